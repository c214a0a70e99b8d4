//! What people and senders say, at any time.

use ripcord_core::alert::{AlertKey, AlertWord, Given};
use ripcord_core::data::DataRevision;
use ripcord_core::digest::Digest;
use ripcord_core::event::*;
use ripcord_core::name::{IncidentId, PersonName, RoleName};
use ripcord_core::plan::{Leaving, Vote, VoteKind};
use ripcord_core::role::Urgency;
use ripcord_core::service::Service;
use ripcord_core::signal::{Origin, Severity, SignalKind, SignalStatus};
use ripcord_core::time::UnixMillis;

use crate::dice::Dice;
use crate::facets;
use crate::outcomes::*;
use crate::producing;

pub(crate) fn set_aside(dice: &mut Dice, service: &Service) -> Vec<AlertKey> {
    let asked = service.watching.alerts.question();
    asked.iter().filter(|_| dice.one_in(20)).map(|alert| alert.word.alert).collect()
}

pub(crate) fn signals(dice: &mut Dice, service: &Service) -> Event {
    let word = |dice: &mut Dice, index| {
        let started_at = UnixMillis(dice.below(3));
        let status = dice.pick(&[SignalStatus::Firing, SignalStatus::Resolved]);
        AlertWord {
            alert: AlertKey(Digest::of([dice.below(30) as u8])),
            index,
            origin: Origin::Webhook("alertmanager".into()),
            status,
            kind: dice.pick(&[
                SignalKind::Condition,
                SignalKind::Condition,
                SignalKind::MissingData,
                SignalKind::LostSight,
            ]),
            severity: dice.pick(&[Severity::Critical, Severity::Info]),
            started_at,
            ended_at: None,
            given: dice.pick(&[Given::Whole, Given::Whole, Given::WithoutAnnotations, Given::Nothing]),
            bytes: 100,
            fired: status == SignalStatus::Firing,
            first_seen_at: service.at,
            last_seen_at: service.at,
            count: 1,
        }
    };
    let words: Vec<_> = (0..=dice.below(3) as u32).map(|index| word(dice, index)).collect();
    let signals = words.len() as u32;
    Event::SignalsTaken(SignalsTaken { signals, content: blob(), alerts: AlertWord::newest_of_each(words) })
}

/// Mostly the open incident; else one that is over, or is still to come.
pub(crate) fn meant(dice: &mut Dice, service: &Service) -> IncidentId {
    match &service.incident {
        Some(open) if !dice.one_in(8) => open.id.clone(),
        _ => IncidentId::numbered(&service.name, service.incidents + dice.below(2) as u32),
    }
}

/// Something that a person may say at any time.
pub(crate) fn person_says(dice: &mut Dice, service: &Service) -> Event {
    let person = PersonName::new(dice.pick(&["ada", "bob", "cleo"])).unwrap();
    let said = PersonSaid { person: person.clone(), reason: blob() };
    let key = service.terms.as_ref().and_then(|terms| Some(terms.person(&person)?.keys.first()?.key));
    let incident = meant(dice, service);
    let about = AboutIncident { incident: incident.clone(), person: person.clone(), reason: blob() };
    let roles = dice.pick(&[vec![RoleName::approver()], vec![RoleName::operator()], Vec::new()]);
    let plan = service.incident.as_ref().and_then(|incident| incident.plan()).map(|plan| plan.digest);
    if let (Some(run), true) = (&service.producing.run, dice.one_in(12)) {
        let incident = run.ordered.incident.clone();
        return Event::RunStopAsked(AboutIncident { incident, person, reason: blob() });
    }
    if dice.one_in(32) {
        let alias = Alias { name: "staging".into(), versions: vec![version(dice)] };
        return Event::AliasesSeen(AliasesSeen { aliases: vec![alias] });
    }
    if dice.one_in(24) {
        return data_said(dice, service, person);
    }
    if let (Some(review), true) = (service.reviews.first(), dice.one_in(6)) {
        let incident = review.incident.clone();
        return Event::ReviewClosed(AboutIncident { incident, person, reason: blob() });
    }
    match dice.below(14) {
        0 => Event::Aborted(about),
        1 => Event::Dismissed(about),
        2 => Event::Paused(said),
        3 => Event::Resumed(said),
        4 => {
            let revision = facets::revision(dice, service);
            let incident = service.hold_on(&revision).map_or(incident, |hold| hold.incident.clone());
            Event::HoldLifted(AboutHold { revision, incident, person, reason: blob() })
        }
        5 => Event::Adopted(Adopted {
            revision: facets::revision(dice, service),
            digest: None,
            person,
            reason: blob(),
        }),
        6 => Event::ShiftAnswered(ShiftAnswered {
            question: service.incident.as_ref().map_or(1, |open| open.questions + u32::from(dice.one_in(8))),
            incident,
            person,
            applied: dice.pick(&[Happened::Applied, Happened::NotApplied]),
            reason: blob(),
        }),
        7 => Event::PullRequested(PullRequested {
            incident: service.incident.as_ref().map(|_| incident),
            person,
            roles,
            target: dice.one_in(2).then(|| match dice.below(5) {
                0 => producing::target(dice),
                _ => facets::target(dice, service),
            }),
            reason: blob(),
            urgency: Urgency::Urgent,
            leaving: dice.pick(&[Leaving::Condemn, Leaving::Condemn, Leaving::Keep]),
            pending: dice.pick(&[PendingPlan::Keep, PendingPlan::Replace, PendingPlan::Replace]),
            break_glass: dice.one_in(3),
        }),
        _ => Event::Voted(Voted {
            incident,
            plan: plan.filter(|_| !dice.one_in(5)).unwrap_or(Digest::of("another plan")),
            vote: Vote {
                person,
                roles,
                granted: !dice.one_in(6),
                at: service.at,
                kind: if dice.one_in(5) { VoteKind::BreakGlass } else { VoteKind::Session },
                key: key.filter(|_| !dice.one_in(8)),
            },
            signed: None,
            reason: None,
        }),
    }
}

fn data_said(dice: &mut Dice, service: &Service, person: PersonName) -> Event {
    let data = DataRevision::new("clicks", dice.pick(&["r1", "r2"])).unwrap();
    match service.condemned_data.get(&data) {
        Some(known) if dice.one_in(2) => {
            let since = if dice.one_in(8) { UnixMillis(0) } else { known.since };
            Event::DataLifted(DataLifted { data, since, person, reason: blob() })
        }
        Some(_) if dice.one_in(2) => {
            let seen = vec![LiveData { version: version(dice), trained_on: Some(data), through: Vec::new() }];
            Event::LiveDataSeen(LiveDataSeen { after: service.ended_last(), seen })
        }
        _ => Event::DataCondemned(DataCondemned { data, person, reason: blob() }),
    }
}

//! What people and triggers may repeat without end is no news, or is bounded.

use super::stage::{Stage, blob, known, person, policy, version};
use crate::effect::Topic;
use crate::event::*;
use crate::facet::Revision;
use crate::outbox::OUTBOX_MAX;
use crate::policy::Role;
use crate::service::Illegal;
use crate::signal::Severity;
use crate::target::Target;
use crate::time::Millis;

fn triggers(stage: &Stage, word: TriggerWord) -> Event {
    let (policy, data) = (policy(Role::Trigger).policy, DataState::Complete);
    let decision = Decision { policy, role: Role::Trigger, recording: blob(), fuel: 1, rounds: 1, data };
    let (said, set_aside, searched) = (Said::Verdict(word), Vec::new(), Vec::new());
    let asked = vec![TriggerAsked { decision, said, memo: None, set_aside, left: 0, searched }];
    let incident = stage.0.incident.as_ref().map(|open| open.id.clone());
    Event::TriggersAsked(TriggersAsked { up_to: 0, seen: 0, incident, asked })
}

#[test]
fn a_stand_down_is_told_once_until_the_reason_is_back() {
    let mut stage = Stage::new(|terms| terms.policies.push(policy(Role::Trigger)));
    stage.pull("ada", "1");
    let told = |stage: &Stage| stage.0.outbox.iter().filter(|out| out.topic == Topic::StandDown).count();
    for _ in 0..10 {
        stage.tell_with(|stage| triggers(stage, TriggerWord::StandDown(blob())));
    }
    assert_eq!(told(&stage), 1);
    stage.tell_with(|stage| triggers(stage, TriggerWord::Ignore));
    stage.tell_with(|stage| triggers(stage, TriggerWord::StandDown(blob())));
    assert_eq!(told(&stage), 1, "nothing has changed in between");
    stage.tell_with(|stage| triggers(stage, TriggerWord::Watch(stage.0.at)));
    stage.tell_with(|stage| triggers(stage, TriggerWord::StandDown(blob())));
    assert_eq!(told(&stage), 2);
}

fn pull(stage: &Stage, who: &str, to: &str) -> Event {
    Event::PullRequested(PullRequested {
        incident: stage.0.incident.as_ref().map(|open| open.id.clone()),
        person: person(who),
        roles: Vec::new(),
        target: Some(version(to)),
        reason: blob(),
        urgency: crate::role::Urgency::Urgent,
        leaving: crate::plan::Leaving::Condemn,
        pending: PendingPlan::Replace,
        break_glass: false,
    })
}

#[test]
fn a_pull_for_what_is_under_way_changes_nothing_and_others_are_bounded() {
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    let again = pull(&stage, "ada", "1");
    let said = stage.try_it(&again).unwrap_err();
    assert_eq!(said.to_string(), "`ada` has asked `fraud-api:1` for this already: nothing has changed");
    stage.plan_for(&["1"]);
    assert!(matches!(stage.try_it(&pull(&stage, "ada", "1")), Err(Illegal::Unchanged(_))));
    let mut taken = 0;
    for turn in 0..200 {
        let event = pull(&stage, "ada", if turn % 2 == 0 { "2" } else { "3" });
        taken += u32::from(stage.try_it(&event).is_ok());
        if stage.phase() == "planning" {
            stage.plan_for(&["2"]);
        }
    }
    assert_eq!(taken, 50);
    assert!(stage.incident().plans.len() <= 51, "{}", stage.incident().plans.len());
    let refused = stage.try_it(&pull(&stage, "bob", "1")).unwrap_err().to_string();
    assert!(refused.contains("pull again: that opens a new incident"), "{refused}");
}

#[test]
fn a_service_is_not_paused_and_let_go_on_for_ever_and_pausing_is_never_refused() {
    let mut stage = Stage::new(|_| ());
    let said = PersonSaid { person: person("ada"), reason: blob() };
    let mut turns = 0;
    let refused = loop {
        stage.tell(&Event::Paused(said.clone()));
        match stage.try_it(&Event::Resumed(said.clone())) {
            Ok(()) => turns += 1,
            Err(refused) => break refused,
        }
        assert!(turns < 100, "it can be toggled for ever");
    };
    assert_eq!(turns, 20);
    assert!(matches!(refused, Illegal::TooOften(..)), "{refused}");
    let later = stage.0.at + Millis::hours(1);
    stage.try_at(later, &Event::Resumed(said)).unwrap();
}

#[test]
fn adopting_what_is_adopted_changes_nothing_and_a_changed_artefact_is_not_vouched_for_unseen() {
    let mut stage = Stage::new(|terms| terms.people.push(known("eve", &["admin"])));
    let adopt = |digest: Option<&str>| {
        let Target::Version(named) = version("1") else { panic!() };
        let (revision, digest) = (Revision::of_model(&named.version), digest.map(crate::digest::Digest::of));
        Event::Adopted(Adopted { revision, digest, person: person("eve"), reason: blob() })
    };
    stage.tell(&adopt(Some("artefact")));
    assert!(matches!(stage.try_it(&adopt(Some("artefact"))), Err(Illegal::Unchanged(_))));
    assert!(matches!(stage.try_it(&adopt(None)), Err(Illegal::Unchanged(_))));
    assert!(matches!(stage.try_it(&adopt(Some("another"))), Err(Illegal::OtherDigest { .. })));
    let later = stage.0.at + Millis::hours(2);
    stage.try_at(later, &adopt(Some("artefact"))).unwrap();
}

#[test]
fn a_plan_has_a_bounded_ladder() {
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    stage.pull("ada", "2");
    let many: Vec<String> = (0..17).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let planned = stage.planned(PlanWord::Drafted(stage.draft(&many)));
    assert_eq!(stage.try_it(&Event::Planned(planned)), Err(Illegal::Stale));
    stage.plan_for(&many[..16]);
}

#[test]
fn announcements_that_nobody_can_be_told_are_bounded_and_those_that_made_room_are_counted() {
    let mut stage = Stage::new(|_| ());
    stage.0.length = 1;
    stage.0.tell(Topic::NeedsPerson, Severity::Critical, "it needs a person");
    for number in 2..=u64::try_from(OUTBOX_MAX).unwrap() + 40 {
        stage.0.length = number;
        stage.0.tell(Topic::KnownGood, Severity::Info, format!("{number} is known good"));
    }
    assert_eq!(stage.0.outbox.len(), OUTBOX_MAX);
    assert_eq!(
        stage.told()[..2],
        ["it needs a person", "42 is known good"],
        "the oldest of the least severe go"
    );
    while let Some(outgoing) = stage.0.outbox.first().cloned() {
        if outgoing.topic == Topic::AnnouncementsLeftOut {
            break;
        }
        stage.tell(&Event::Announced(Announced { id: outgoing.id, failed: None }));
    }
    let [left_out] = stage.told()[..] else { panic!("{:?}", stage.told()) };
    assert!(left_out.starts_with("40 announcements of "), "{left_out}");
    let id = stage.0.outbox[0].id.clone();
    stage.tell(&Event::Announced(Announced { id, failed: None }));
    assert!(stage.0.outbox.is_empty(), "told once: {:?}", stage.told());
}

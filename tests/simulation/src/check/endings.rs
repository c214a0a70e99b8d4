//! How incidents begin and end: for a reason, with the truth, and not before their time.

use std::time::Duration;

use ripcord_core::event::{
    Event, FingerprintWord, PartEnd, PlanWord, Said, TriggerWord, VerificationWord, Way,
};
use ripcord_core::facet::Facet;
use ripcord_core::fact::Outcome;
use ripcord_core::policy::Role;
use ripcord_core::service::{Opener, PartState, Phase, Service};
use tokio::time::Instant;

use super::{Step, authority, now};

/// How far the instant of an observation may lie before its record.
/// A host whose store takes no writes keeps what it has seen until it can write it down.
const LOOKED_AT: Duration = Duration::from_secs(300);
/// Clocks may be set by less than what counts as a jump.
const SLACK: Duration = Duration::from_secs(90);

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// When the plan at hand was made, and under which host.
    planned: Option<(Instant, u64)>,
    /// When the last read-back was written down, by time that passes: a service's own may stand still while no host runs.
    read_back: Option<Instant>,
}

/// How an incident ended with this event, if one did.
pub(crate) fn outcome_of(before: &Service, after: &Service) -> Option<Outcome> {
    let last = after.last_settled.as_ref()?;
    if before.last_settled.as_ref().is_some_and(|old| old.id == last.id) {
        return None;
    }
    match &last.phase {
        Phase::Settled(outcome) => Some(outcome.clone()),
        _ => Some(Outcome::Open),
    }
}

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>, authority: &authority::Book, lives: u64) {
        if let Event::Planned(planned) = step.event
            && matches!(planned.word, PlanWord::Drafted(_))
        {
            self.planned = Some((now(), lives));
        }
        if let Event::ReadBack(_) = step.event {
            self.read_back = Some(now());
        }
        if step.before.incident.is_none() && step.after.incident.is_some() {
            opened_for_a_reason(step);
        }
        // A part of a set is judged when it is over: what comes after it is the set's.
        if let Some(way) = part_in_place(step.before, step.after) {
            ended_well(step, self.read_back, way);
        }
        let of_set =
            step.before.incident.as_ref().is_some_and(|open| matches!(open.opened_by, Opener::Set(_)));
        match outcome_of(step.before, step.after) {
            Some(Outcome::RolledBack | Outcome::FellBack | Outcome::RestoredElsewhere) if of_set => {
                match step.before.membership.as_ref().map(|membership| membership.there) {
                    Some(PartState::Ended(PartEnd::Moved | PartEnd::AlreadyThere)) => {}
                    // The run's time was over in the moment in which the part was: both in one step.
                    Some(PartState::Given) => ended_well(step, self.read_back, Way::There),
                    there => {
                        step.broke("well-means-healthy", format!("a part ended well that was {there:?}"));
                    }
                }
            }
            Some(Outcome::RolledBack | Outcome::FellBack | Outcome::RestoredElsewhere) => {
                ended_well(step, self.read_back, Way::There)
            }
            Some(Outcome::Expired) => self.not_too_early(step, authority, lives),
            _ => {}
        }
    }

    /// A plan lives as long as was said, whatever happens to the clock while its host runs.
    fn not_too_early(&self, step: &mut Step<'_>, authority: &authority::Book, lives: u64) {
        let (Some((made, life)), Some(terms)) = (self.planned, &step.before.terms) else { return };
        if life != lives {
            return;
        }
        let least = terms.deadlines.approval.0.min(authority.people_have_ms().unwrap_or(u64::MAX));
        let lived = made.elapsed();
        if lived + SLACK < Duration::from_millis(least) {
            let what = format!("a plan that was to live {least} ms expired after {lived:?}");
            step.broke("plans-live-as-long-as-said", what);
        }
    }
}

/// Invariant 5: no fault opens an incident.
fn opened_for_a_reason(step: &mut Step<'_>) {
    let opened_by = step.after.incident.as_ref().map(|open| &open.opened_by);
    let had_made = step.before.producing.made.is_some() || matches!(step.event, Event::RunMade(_));
    let fine = match step.event {
        Event::TriggersAsked(asked) => {
            asked.asked.iter().any(|one| matches!(one.said, Said::Verdict(TriggerWord::RollBack(_))))
        }
        Event::VerificationsAsked(asked) => {
            asked.asked.iter().any(|one| one.said == Said::Verdict(VerificationWord::Unhealthy))
        }
        Event::PullRequested(_) | Event::ProductionWatched(_) | Event::Promoted(_) => true,
        // What a run has made is put in place as soon as nothing else is open.
        Event::Enlisted(_) => matches!(opened_by, Some(Opener::Set(_))),
        _ if matches!(opened_by, Some(Opener::Produced(_))) => had_made,
        _ => false,
    };
    if !fine {
        step.broke("opened-for-a-reason", format!("an incident was opened by {:?}", step.event));
    }
}

/// The part that is in place since this event.
fn part_in_place(before: &Service, after: &Service) -> Option<Way> {
    let (Some(then), Some(now)) = (&before.membership, &after.membership) else { return None };
    let in_place =
        |state: PartState| matches!(state, PartState::Ended(PartEnd::Moved | PartEnd::AlreadyThere));
    [Way::There, Way::Back]
        .into_iter()
        .find(|way| then.run == now.run && then.part(*way) != now.part(*way) && in_place(now.part(*way)))
}

/// Invariants 5 and 6: found well by all who judge, and served in truth. What a part goes back to need not be well.
fn ended_well(step: &mut Step<'_>, read_back: Option<Instant>, way: Way) {
    let judges = match way {
        Way::There => {
            step.before.terms.as_ref().map_or(0, |terms| terms.policies(Role::Verification).count())
        }
        Way::Back => 0,
    };
    match step.event {
        Event::ReadBack(read) if judges == 0 && read.fingerprint != FingerprintWord::Differs => {}
        Event::VerificationsAsked(asked) => {
            let healthy =
                |said: &Said<VerificationWord>| matches!(said, Said::Verdict(VerificationWord::Healthy));
            if asked.asked.len() != judges || !asked.asked.iter().all(|one| healthy(&one.said)) {
                step.broke("well-means-healthy", "an incident ended well without *healthy* by all");
            }
        }
        other => {
            let what = format!("an incident ended well by {other:?}");
            step.broke("well-means-healthy", what);
        }
    }
    let Some(incident) = &step.before.incident else { return };
    let Phase::Acting(acting) = &incident.phase else { return };
    let target = incident.target(acting.rung).cloned();
    let Some(target) = target else { return };
    let terms = step.before.terms.as_ref();
    let proof_min = terms.and_then(|terms| match target.facet()? {
        Facet::Model => Some(terms.proof_min),
        facet => terms.facets.iter().find(|terms| terms.facet == facet).map(|terms| terms.proof_min),
    });
    let own = step
        .after
        .incident
        .as_ref()
        .filter(|open| open.id == incident.id)
        .or(step.after.last_settled.as_ref());
    let proof = own.and_then(|incident| incident.ladder.proof);
    if proof.is_none() || proof < proof_min {
        step.broke("proved-as-configured", format!("{proof:?} is less than {proof_min:?}"));
    }
    // What was read back may have been replaced by others since: it must have been served when it was read.
    let since = read_back.and_then(|at| at.checked_sub(LOOKED_AT));
    let served = since
        .is_none_or(|since| step.world.at(&step.before.name, |outside| outside.has_served(&target, since)));
    if !served {
        step.broke("settled-serves-the-target", format!("{target} was never served"));
    }
    // And what it says of the other facets was so.
    let told = own.into_iter().flat_map(|incident| &incident.ladder.facets_read_back);
    let told: Vec<_> = told.filter_map(|read| Some((read.revision()?, read.state.known()?.digest))).collect();
    for (revision, digest) in told {
        let was = since.is_none_or(|since| {
            step.world.at(&step.before.name, |outside| outside.has_been_in_force(&revision, digest, since))
        });
        if !was {
            step.broke(
                "settled-serves-the-target",
                format!("`{revision}` was read beside it and never in force"),
            );
        }
    }
}

//! A service is more than its model: a plan moves one facet, under all others as the plan observed them, and what others do to them meanwhile is seen.

use std::collections::BTreeSet;
use std::time::Duration;

use ripcord_core::event::{
    Event, GuardRead, Happened, Observed, ObservedFacet, PartGiven, PartOrder, PlanDrafted, PlanWord,
    ProbeWord, ShiftOutcome,
};
use ripcord_core::facet::{FALLBACK_OFF, Facet, FacetState, InForce, Revision, read_of};
use ripcord_core::plan::{Part, Plan};
use ripcord_core::service::Service;
use ripcord_core::standing::Standing;
use ripcord_core::target::Target;
use ripcord_core::time::{Millis, UnixMillis};
use tokio::time::Instant;

use super::{Step, now};

/// What the guard has seen holds for so long.
const GUARD_HOLDS: Millis = Millis::minutes(1);
/// How far the instant of an observation may lie before its record.
const LOOKED_AT: Duration = Duration::from_secs(90);

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// The guard's last look, and when it was written down.
    guarded: Option<(GuardRead, UnixMillis)>,
    /// Rungs of the plan at hand that were shifted to.
    shifted: BTreeSet<u32>,
    /// The rung whose shift was begun last, and how many were begun for it.
    begun: Option<(u32, u32)>,
    /// When what is judged next was read back, or was seen to be put live by others; by time that passes.
    looked: Option<Instant>,
}

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>) {
        match step.event {
            Event::Planned(planned) => {
                if let PlanWord::Drafted(drafted) = &planned.word {
                    *self = Self { looked: self.looked, ..Self::default() };
                    moves_one_facet(step, drafted);
                }
            }
            Event::PartGiven(PartGiven { order: PartOrder::There { part, .. }, .. }) => {
                *self = Self { looked: self.looked, ..Self::default() };
                moves_one_facet(step, part);
            }
            // No time has passed.
            Event::ClockJumped { by } => {
                self.guarded.iter_mut().for_each(|(_, at)| *at = *at + *by);
            }
            Event::GuardRead(read) => self.guarded = Some((read.clone(), step.at)),
            Event::ShiftBegan(began) => {
                self.shifts_under_the_whole_vector(step, began.rung, began.attempt);
                self.begun = Some((began.rung, began.attempt));
            }
            Event::ShiftReturned(returned)
                if matches!(returned.outcome, ShiftOutcome::Done | ShiftOutcome::Underway) =>
            {
                self.shifted.insert(returned.rung);
            }
            Event::ShiftProbed(probed) if matches!(probed.word, ProbeWord::Applied | ProbeWord::Underway) => {
                self.shifted.insert(probed.rung);
            }
            Event::ShiftAnswered(answered) if answered.applied == Happened::Applied => {
                self.shifted.extend(self.begun.map(|(rung, _)| rung));
            }
            // A shift of which it was said that it did nothing, and which was seen all the same.
            Event::ReadBack(read) => {
                let target = step.before.incident.as_ref().and_then(|incident| incident.target(read.rung));
                let is_seen =
                    |target: &Target| read.live.state().serves(target) || is_in_force(target, &read.facets);
                if target.is_some_and(is_seen) {
                    self.shifted.insert(read.rung);
                }
            }
            _ => {}
        }
        let probation = |service: &Service| service.probation.as_ref().map(|probation| probation.since);
        let begins = probation(step.after).is_some() && probation(step.after) != probation(step.before);
        if begins || matches!(step.event, Event::ReadBack(_)) {
            self.looked = Some(now());
        }
        verified_is_what_was_in_force(step, self.looked);
    }

    fn shifts_under_the_whole_vector(&self, step: &mut Step<'_>, rung: u32, attempt: u32) {
        let rule = "guard-over-the-whole-vector";
        let plan = step.before.incident.as_ref().and_then(|incident| incident.plan());
        let Some(plan) =
            plan.and_then(|plan| serde_json::from_slice::<Plan>(&step.blob(&plan.content)?).ok())
        else {
            return;
        };
        let Some(part) = plan.part_of(&step.before.name) else { return };
        let Some(target) = part.rungs.get(rung as usize).map(|rung| rung.target.clone()) else { return };
        let Some((read, at)) = &self.guarded else {
            return step.broke(rule, "a shift began and no guard has looked");
        };
        if (read.rung, read.attempt) != (rung, attempt) || step.at > *at + GUARD_HOLDS {
            return step.broke(rule, format!("the guard looked for rung {} at {at:?}", read.rung));
        }
        if let Some(why) = self.differs(part, &target, rung, read) {
            step.broke(rule, format!("{target} is shifted to, and {why}"));
        }
    }

    /// What the guard saw that is neither what the plan observed nor what the plan did.
    fn differs(&self, part: &Part, target: &Target, rung: u32, read: &GuardRead) -> Option<String> {
        let moved = target.facet();
        let ours = || {
            let shifted = self.shifted.iter().filter_map(|rung| part.rungs.get(*rung as usize));
            shifted.map(|rung| &rung.target)
        };
        let live = read.live.state();
        let same = live.same_identity(&part.live)
            || matches!(
                (&read.live, &part.live),
                (Observed::Unknown(_), ripcord_core::live::LiveState::Unknown(_))
            )
            || moved == Some(Facet::Model) && ours().any(|target| live.serves(target))
            || moved == Some(Facet::Model) && !part.waves.is_empty() && {
                let begun = self.begun.is_some_and(|(begun, _)| begun == rung);
                let targets: Vec<_> = ours().chain(begun.then_some(target)).collect();
                live.is_overlaid(&part.live, &targets)
            };
        if !same {
            return Some(format!("live is {live}, planned under {}", part.live));
        }
        let facets: BTreeSet<&Facet> = read
            .facets
            .iter()
            .map(|read| &read.facet)
            .chain(part.facets.iter().map(|read| &read.facet))
            .collect();
        let begun = self.begun.is_some_and(|(begun, _)| begun == rung);
        facets.into_iter().find_map(|facet| {
            let (now, then) = (read_of(&read.facets, facet), read_of(&part.facets, facet));
            let moves = moved.as_ref() == Some(facet);
            let same = match (now, then) {
                (Some(FacetState::Unknown(_)), Some(FacetState::Unknown(_))) => true,
                (Some(FacetState::Unknown(_)), Some(_)) => moves && begun,
                (Some(FacetState::InForce(now)), Some(FacetState::InForce(then)))
                    if now.is(&then.revision, then.digest) =>
                {
                    true
                }
                (Some(FacetState::InForce(now)), Some(_)) => moves && ours().any(|target| is_of(now, target)),
                _ => false,
            };
            (!same).then(|| format!("{facet} is {now:?}, planned under {then:?}"))
        })
    }
}

/// Whether a facet beside the model was read to be what the target makes of it.
fn is_in_force(target: &Target, facets: &[ObservedFacet]) -> bool {
    let facet = target.facet();
    let read = facet.as_ref().and_then(|facet| read_of(facets, facet));
    matches!(read, Some(FacetState::InForce(now)) if is_of(now, target))
}

fn is_of(now: &InForce, target: &Target) -> bool {
    target.revision().is_some_and(|revision| now.is(&revision.name, target.digest()))
}

/// A ladder stays within one facet, and the plan has observed every other.
fn moves_one_facet(step: &mut Step<'_>, drafted: &PlanDrafted) {
    let facets: BTreeSet<_> = drafted.targets.iter().map(Target::facet).collect();
    // What makes a version moves nothing.
    let makes = matches!(drafted.targets.as_slice(), [Target::Retrain(_) | Target::Checkpoint(_)]);
    if facets.len() != 1 || facets.contains(&None) != makes {
        step.broke("a-plan-moves-one-facet", format!("it has targets of {facets:?}"));
    }
    let configured = |service: &Service| {
        let facets = service.terms.iter().flat_map(|terms| &terms.facets);
        facets.map(|terms| terms.facet.clone()).collect::<BTreeSet<_>>()
    };
    let observed: BTreeSet<_> =
        drafted.facets.iter().map(|read: &ObservedFacet| read.facet.clone()).collect();
    let configured = configured(step.before);
    if observed != configured {
        let what = format!("it was made under {observed:?}, and there are {configured:?}");
        step.broke("a-plan-observes-every-facet", what);
    }
}

/// Whatever is called known good was in force when it was found well; and nothing of what a safe mode stands in front of is.
fn verified_is_what_was_in_force(step: &mut Step<'_>, looked: Option<Instant>) {
    let since = match step.event {
        Event::VerificationsAsked(_) => looked.map(|at| at.checked_sub(LOOKED_AT).unwrap_or(at)),
        _ => None,
    };
    let earned = step.after.revisions.iter().filter(|(revision, known)| {
        let before = step.before.known_of(*revision);
        known.standing == Standing::KnownGood
            && before.is_none_or(|before| before.standing != known.standing || before.since != known.since)
    });
    let earned: Vec<_> = earned.map(|(revision, known)| (revision.clone(), known.clone())).collect();
    for (revision, known) in earned {
        // A clock that jumped moves it, and a hold that is lifted gives it back.
        if matches!(step.event, Event::HoldLifted(_) | Event::ClockJumped { .. }) {
            continue;
        }
        let Some(since) = since else {
            step.broke("known-good-was-in-force", format!("`{revision}` is known good by {:?}", step.event));
            continue;
        };
        let name = step.before.name.clone();
        let was = step.world.at(&name, |outside| outside.has_been_in_force(&revision, None, since));
        if !was {
            let what = format!("`{revision}` ({known:?}) is known good, and was not in force");
            step.broke("known-good-was-in-force", what);
        }
        let off = Revision { facet: Facet::Fallback, name: FALLBACK_OFF.parse().expect("a name") };
        let answers = step.world.at(&name, |outside| {
            !outside.facets.contains_key(&Facet::Fallback) || outside.has_been_in_force(&off, None, since)
        });
        let watched = step.before.terms.iter().flat_map(|terms| &terms.facets);
        let watched = watched.filter(|terms| terms.facet == Facet::Fallback).count() > 0;
        if revision.facet != Facet::Fallback && watched && !answers {
            let what = format!("`{revision}` is known good, and a safe mode answered all the while");
            step.broke("nothing-is-learnt-behind-a-safe-mode", what);
        }
    }
}

//! What was condemned stays out, and people are told when one comes back.

use std::collections::BTreeSet;

use ripcord_core::effect::Topic;
use ripcord_core::event::{Event, Observed, PartEnd, Release, Released};
use ripcord_core::facet::{FALLBACK_OFF, Facet, FacetRead, Revision};
use ripcord_core::fact::Outcome;
use ripcord_core::name::VersionName;
use ripcord_core::plan::Leaving;
use ripcord_core::service::{HoldState, Opener, PartState, Phase, Service};
use ripcord_core::target::Target;
use ripcord_core::terms::{Mode, Terms};

use super::{Broken, Step, endings};

#[derive(Debug, Default)]
pub(crate) struct Book {
    condemned: BTreeSet<Revision>,
    /// What the open incident found in force before anything was done.
    found: BTreeSet<Revision>,
}

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>) {
        if step.before.incident.is_none() && step.after.incident.is_some() {
            self.found.clear();
        }
        if let Event::EvidencePreserved(preserved) = step.event {
            self.found = preserved.facets.iter().filter_map(FacetRead::revision).collect();
            if let Observed::Serving(shares) = &preserved.live {
                self.found.extend(shares.iter().map(|share| Revision::of_model(&share.version.version)));
            }
        }
        let well = [Outcome::RolledBack, Outcome::FellBack, Outcome::RestoredElsewhere];
        let ended_well = endings::outcome_of(step.before, step.after).is_some_and(|how| well.contains(&how));
        let left = if ended_well { self.left(step) } else { BTreeSet::new() };
        self.condemned_is_what_was_left(step, &left);
        self.condemned.extend(left);
        if let Event::HoldLifted(lifted) = step.event {
            self.condemned.remove(&lifted.revision);
        }
        for revision in &self.condemned {
            if !step.after.is_held(revision) {
                step.broke("holds-survive", format!("`{revision}` was condemned, and its hold is gone"));
            }
        }
        self.told_when_one_comes_back(step);
    }

    /// What the incident found of the facet that its target is of, the target apart: of that facet alone. That the model itself answers is condemned
    /// neither when a safe mode is entered nor the other way round.
    fn left(&self, step: &Step<'_>) -> BTreeSet<Revision> {
        let Some(incident) = &step.before.incident else { return BTreeSet::new() };
        if let Opener::Set(_) = incident.opened_by {
            return self.left_by_part(step);
        }
        let Phase::Acting(acting) = &incident.phase else { return BTreeSet::new() };
        let keep = incident.plan().is_some_and(|plan| plan.leaving == Leaving::Keep);
        let Some(target) = incident.target(acting.rung).and_then(Target::revision).filter(|_| !keep) else {
            return BTreeSet::new();
        };
        let is_off =
            |revision: &Revision| revision.facet == Facet::Fallback && revision.name.as_str() == FALLBACK_OFF;
        let left = self.found.iter().filter(|found| {
            found.facet == target.facet && **found != target && !is_off(found) && !is_off(&target)
        });
        // What somebody put there between the evidence and the plan was left as well.
        let tried: BTreeSet<_> = incident.ladder.tried.iter().filter_map(Target::revision).collect();
        let planned = incident.plan().zip(incident.target(acting.rung));
        let planned = planned.map(|(plan, target)| plan.serves_of(target)).unwrap_or_default();
        let later = planned
            .into_iter()
            .filter(|found| *found != target && !tried.contains(found) && !is_off(found) && !is_off(&target));
        left.cloned().chain(later).collect()
    }

    /// A part condemns nothing before all of its set are in place, and then only what is not put back by others.
    fn left_by_part(&self, step: &Step<'_>) -> BTreeSet<Revision> {
        let Event::Released(Released { why: Release::AllWell, .. }) = step.event else {
            return BTreeSet::new();
        };
        let (Some(incident), Some(membership)) = (&step.before.incident, &step.before.membership) else {
            return BTreeSet::new();
        };
        let in_place = matches!(membership.there, PartState::Ended(PartEnd::Moved | PartEnd::AlreadyThere))
            && membership.back == PartState::NotGiven;
        let target = incident.target(0).and_then(Target::revision);
        let Some(target) = target.filter(|target| in_place && step.before.production.serves(target)) else {
            return BTreeSet::new();
        };
        let is_off =
            |revision: &Revision| revision.facet == Facet::Fallback && revision.name.as_str() == FALLBACK_OFF;
        let planned = incident.plan().zip(incident.target(0)).map(|(plan, target)| plan.serves_of(target));
        let left = self.found.iter().filter(|found| found.facet == target.facet).cloned();
        left.chain(planned.unwrap_or_default())
            .filter(|found| *found != target && !is_off(found) && !is_off(&target))
            .collect()
    }

    fn condemned_is_what_was_left(&self, step: &mut Step<'_>, left: &BTreeSet<Revision>) {
        let holds = step.after.holds.iter().filter(|(_, hold)| hold.state != HoldState::Lifted);
        let new = holds.filter(|(revision, hold)| {
            step.before.hold_on(*revision).is_none_or(|before| before.incident != hold.incident)
        });
        let new: BTreeSet<_> = new.map(|(revision, _)| revision.clone()).collect();
        if new != *left {
            let what = format!("{new:?} is condemned, and {left:?} was left");
            step.broke("condemned-is-what-was-left", what);
        }
    }

    /// Invariant 7.
    fn told_when_one_comes_back(&self, step: &mut Step<'_>) {
        let serves = |service: &Service, revision: &Revision| match revision.version() {
            Some(version) => service.production.live.as_ref().is_some_and(|live| live.contains(version)),
            None => {
                let known = service.production.facets.get(&revision.facet);
                known.is_some_and(|known| known.revision == revision.name)
            }
        };
        let told = step.after.outbox.iter().any(|out| out.topic == Topic::HoldBroken && out.at == step.at);
        for revision in &self.condemned {
            let was_held = step.before.is_held(revision);
            // People were told when the production name came back to it.
            let was_told = step.before.hold_on(revision).is_some_and(|hold| hold.state == HoldState::Broken);
            // A read-back is of a shift of our own, on its way.
            let ours = matches!(step.event, Event::ReadBack(_));
            let back = serves(step.after, revision) && !serves(step.before, revision);
            if was_held && back && !ours && !told && !was_told {
                step.broke(
                    "told-when-a-hold-is-broken",
                    format!("`{revision}` is live again and nobody is told"),
                );
            }
        }
    }

    /// The production name is not moved to what is held, nor where nothing may be moved.
    pub(crate) fn promote_called(
        &self,
        service: &Service,
        version: &VersionName,
        terms: &Terms,
        broken: &mut Vec<Broken>,
    ) {
        let mut broke = |rule: &'static str, what: String| {
            broken.push(Broken { rule, service: service.name.clone(), what });
        };
        if terms.mode == Mode::Observe {
            broke(
                "observe-moves-no-name",
                format!("the production name is moved to `{version}` in mode observe"),
            );
        }
        if self.condemned.contains(&Revision::of_model(version)) {
            broke(
                "nothing-held-is-restored",
                format!("the production name is moved to `{version}`, which is held"),
            );
        }
    }

    /// What is condemned and in force although nobody was told.
    pub(crate) fn served_in_silence(&self, service: &Service, live: &BTreeSet<Revision>) -> Option<Revision> {
        let back = self.condemned.intersection(live).next()?;
        let known = service.hold_on(back).is_some_and(|hold| hold.state == HoldState::Broken);
        (!known && service.incident.is_none()).then(|| back.clone())
    }
}

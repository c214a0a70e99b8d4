//! Condemned versions stay out, and people are told when one comes back.

use std::collections::BTreeSet;

use ripcord_core::effect::Topic;
use ripcord_core::event::{Event, Observed};
use ripcord_core::fact::Outcome;
use ripcord_core::name::VersionName;
use ripcord_core::plan::Leaving;
use ripcord_core::service::{HoldState, Phase, Service};
use ripcord_core::terms::{Mode, Terms};

use super::{Broken, Step, endings};

#[derive(Debug, Default)]
pub(crate) struct Book {
    condemned: BTreeSet<VersionName>,
}

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>) {
        let well = [Outcome::RolledBack, Outcome::FellBack, Outcome::RestoredElsewhere];
        if endings::outcome_of(step.before, step.after).is_some_and(|outcome| well.contains(&outcome)) {
            self.condemn(step);
        }
        if let Event::HoldLifted(lifted) = step.event {
            lifted.revision.version().map(|version| self.condemned.remove(version));
        }
        for version in &self.condemned {
            if !step.after.is_held(version) {
                step.broke("holds-survive", format!("`{version}` was condemned, and its hold is gone"));
            }
        }
        self.told_when_one_comes_back(step);
    }

    fn condemn(&mut self, step: &Step<'_>) {
        let Some(incident) = &step.before.incident else { return };
        let Phase::Acting(acting) = &incident.phase else { return };
        if incident.plan().is_some_and(|plan| plan.leaving == Leaving::Keep) {
            return;
        }
        let target = incident.target(acting.rung);
        let Some(Observed::Serving(shares)) = &incident.live else { return };
        let left = shares.iter().filter(|share| target.is_none_or(|target| !share.is(target)));
        self.condemned.extend(left.map(|share| share.version.version.clone()));
    }

    /// Invariant 7.
    fn told_when_one_comes_back(&self, step: &mut Step<'_>) {
        let serves = |service: &Service, version: &VersionName| {
            service.production.live.as_ref().is_some_and(|live| live.contains(version))
        };
        let told = step.after.outbox.iter().any(|out| out.topic == Topic::HoldBroken && out.at == step.at);
        for version in &self.condemned {
            let was_held = step.before.is_held(version);
            // People were told when the production name came back to it.
            let was_told = step.before.hold_on(version).is_some_and(|hold| hold.state == HoldState::Broken);
            // A read-back is of a shift of our own, on its way.
            let ours = matches!(step.event, Event::ReadBack(_));
            let back = serves(step.after, version) && !serves(step.before, version);
            if was_held && back && !ours && !told && !was_told {
                step.broke(
                    "told-when-a-hold-is-broken",
                    format!("`{version}` is live again and nobody is told"),
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
        if self.condemned.contains(version) {
            broke(
                "nothing-held-is-restored",
                format!("the production name is moved to `{version}`, which is held"),
            );
        }
    }

    /// A condemned version that is served although nobody was told.
    pub(crate) fn served_in_silence(&self, service: &Service, live: &[String]) -> Option<VersionName> {
        let back = self.condemned.iter().find(|version| live.iter().any(|one| one == version.as_str()))?;
        let known = service.hold_on(back).is_some_and(|hold| hold.state == HoldState::Broken);
        (!known && service.incident.is_none()).then(|| back.clone())
    }
}

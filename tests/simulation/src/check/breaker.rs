//! Limits on shifts that no person agreed to, which no policy can loosen.

use std::collections::BTreeMap;

use ripcord_core::event::{Event, Observed, PlanDrafted, PlanWord};
use ripcord_core::facet::{Facet, FacetRead, Revision};
use ripcord_core::name::ServiceName;
use ripcord_core::target::Target;
use ripcord_core::time::{Millis, UnixMillis};

use super::{Books, Broken, Step, Watched, authority};

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Automatic shifts.
    shifts: Vec<UnixMillis>,
    /// Shifts of the plan at hand.
    of_plan: u32,
    /// When revisions were left.
    left: BTreeMap<Revision, UnixMillis>,
    /// Set by an automatic shift that has just begun: the limit of its host.
    just_began: Option<(UnixMillis, u32)>,
}

const HOUR: Millis = Millis::hours(1);

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>, authority: &authority::Book) {
        match step.event {
            Event::ClockJumped { by } => {
                self.shifts.iter_mut().for_each(|at| *at = *at + *by);
                self.left.values_mut().for_each(|at| *at = *at + *by);
            }
            Event::Planned(planned) if matches!(planned.word, PlanWord::Drafted(_)) => self.of_plan = 0,
            Event::ShiftBegan(began) => {
                let automatic = authority.is_automatic(step.before) && began.attempt == 1;
                if automatic {
                    self.judge(step, began.rung);
                    self.shifts.push(step.at);
                }
                self.of_plan += 1;
                let plan = step.before.incident.as_ref().and_then(|incident| incident.plan());
                let target = step.before.incident.as_ref().and_then(|incident| incident.target(began.rung));
                let target = target.and_then(Target::revision);
                let left = plan.map(left).unwrap_or_default().into_iter();
                // What serves a part already is not left where it is gone to.
                for revision in left.filter(|left| Some(left) != target.as_ref()) {
                    self.left.insert(revision, step.at);
                }
            }
            _ => {}
        }
    }

    fn judge(&mut self, step: &mut Step<'_>, rung: u32) {
        let Some(breaker) = step.before.terms.as_ref().map(|terms| terms.breaker) else { return };
        self.just_began = Some((step.at, breaker.host_shifts_per_hour));
        let recent = self.recent(step.at);
        if recent >= breaker.service_shifts_per_hour {
            let what = format!(
                "{recent} automatic shifts within an hour, {} may be",
                breaker.service_shifts_per_hour
            );
            step.broke("breaker", what);
        }
        if let Some(last) = self.shifts.last()
            && self.of_plan == 0
            && step.at < *last + breaker.cool_down
        {
            step.broke("breaker", format!("the last automatic shift was {} ago", step.at.since(*last)));
        }
        let target = step.before.incident.as_ref().and_then(|incident| incident.target(rung));
        let left = target.and_then(Target::revision).and_then(|revision| self.left.get(&revision)).copied();
        if let Some(left) = left
            && step.at < left + breaker.no_return
        {
            step.broke("breaker", format!("{target:?} was left {} ago", step.at.since(left)));
        }
    }

    fn recent(&self, at: UnixMillis) -> u32 {
        self.shifts.iter().filter(|shift| **shift + HOUR > at).count() as u32
    }
}

/// What was in force of the facet that the plan moves.
fn left(plan: &PlanDrafted) -> Vec<Revision> {
    match (plan.targets.first().and_then(Target::facet), &plan.live) {
        (Some(Facet::Model), Observed::Serving(shares)) => {
            shares.iter().map(|share| Revision::of_model(&share.version.version)).collect()
        }
        (facet, _) => {
            let of_it = plan.facets.iter().filter(|read| Some(&read.facet) == facet.as_ref());
            of_it.filter_map(FacetRead::revision).collect()
        }
    }
}

/// The part that no single service can see.
pub(super) fn host(books: &mut Books, broken: &mut Vec<Broken>) {
    let took = |(name, watched): (&ServiceName, &mut Watched)| {
        Some((name.clone(), watched.breaker.just_began.take()?))
    };
    let began: Vec<_> = books.services.iter_mut().filter_map(took).collect();
    for (name, (at, max)) in began {
        // Its own has been counted already.
        let all: u32 = books.services.values().map(|other| other.breaker.recent(at)).sum();
        if all > max {
            let what = format!("{all} automatic shifts of this host within an hour, {max} may be");
            broken.push(Broken { rule: "breaker-of-the-host", service: name, what });
        }
    }
}

//! Limits on shifts that no person agreed to, which no policy can loosen.

use std::collections::BTreeMap;

use ripcord_core::event::{Event, Observed, PlanWord};
use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::target::Target;
use ripcord_core::time::{Millis, UnixMillis};

use super::{Books, Broken, Step, Watched, authority};

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Automatic shifts.
    shifts: Vec<UnixMillis>,
    /// Shifts of the plan at hand.
    of_plan: u32,
    /// When versions were left.
    left: BTreeMap<VersionName, UnixMillis>,
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
                if let Some(Observed::Serving(shares)) = plan.map(|plan| &plan.live) {
                    for share in shares {
                        self.left.insert(share.version.version.clone(), step.at);
                    }
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
        let left =
            target.and_then(Target::version).and_then(|version| self.left.get(&version.version)).copied();
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

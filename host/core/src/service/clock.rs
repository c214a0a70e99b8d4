//! A clock that jumped forward: no time has passed, so nothing has run out.

use super::{Incident, Need, Phase, Service, StepState};
use crate::effect::Topic;
use crate::signal::Severity;
use crate::time::{Millis, UnixMillis};

impl Service {
    /// Every deadline that runs and every pause of the breaker moves with the clock. The ages of standings do not: they are counted in
    /// weeks, and the clock may well have been set right.
    pub(super) fn clock_jumped(&mut self, by: Millis) {
        let move_it = |instant: &mut UnixMillis| *instant = *instant + by;
        self.watching.no_data_since.iter_mut().for_each(move_it);
        self.automatic_shifts.iter_mut().for_each(move_it);
        self.versions.values_mut().filter_map(|known| known.left_at.as_mut()).for_each(move_it);
        self.probation.iter_mut().for_each(|probation| {
            move_it(&mut probation.since);
            move_it(&mut probation.asked_since);
        });
        let Some(incident) = &mut self.incident else { return };
        incident.clock_jumped(by);
        let text = format!(
            "the host's clock jumped forward by {by}: every deadline of `{}` moves by as much",
            incident.id
        );
        self.tell(Topic::ClockJumped, Severity::Warning, text);
    }
}

impl Incident {
    fn clock_jumped(&mut self, by: Millis) {
        self.extension.0 = self.extension.0.saturating_add(by.0);
        match &mut self.phase {
            Phase::Planning(waiting) => waiting.since = waiting.since + by,
            Phase::Authorising(authorising) => {
                // Policies count from it.
                authorising.opened_at = authorising.opened_at + by;
                authorising.expires_at = authorising.expires_at + by;
                authorising.escalate_at = authorising.escalate_at.map(|at| at + by);
            }
            Phase::Acting(acting) => acting.step.clock_jumped(by),
            Phase::NeedsPerson(Need { resume: Some(acting), .. }) => acting.step.clock_jumped(by),
            Phase::Preserving | Phase::NeedsPerson(_) | Phase::Settled(_) => {}
        }
    }
}

impl StepState {
    /// What is due again at an instant may well be due now: only how long the step has been going on is judged.
    fn clock_jumped(&mut self, by: Millis) {
        let since = match self {
            Self::Staging(waiting) | Self::Preflighting { waiting, .. } | Self::Guarding(waiting) => {
                &mut waiting.since
            }
            Self::Shifting(shifting) => &mut shifting.since,
            Self::ReadingBack { since } | Self::Verifying { since, .. } => since,
        };
        *since = *since + by;
    }
}

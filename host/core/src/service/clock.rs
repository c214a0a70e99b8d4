//! A clock that jumped forward: no time has passed, so nothing has run out. And one that is behind: people are told.

use super::{Acting, Illegal, Incident, Need, Phase, Service, StepState};
use crate::effect::Topic;
use crate::signal::Severity;
use crate::time::{Millis, UnixMillis};

/// Between two warnings that the host's clock is behind, by the service's time.
const BEHIND_AGAIN: Millis = Millis::hours(6);

impl Service {
    /// Every deadline that runs and every pause of the breaker moves with the clock. The ages of standings do not: they are counted in
    /// weeks, and the clock may well have been set right.
    pub(super) fn clock_jumped(&mut self, by: Millis) {
        let move_it = |instant: &mut UnixMillis| *instant = *instant + by;
        self.watching.no_data_since.iter_mut().for_each(move_it);
        self.watching.could_not_judge_at.iter_mut().for_each(move_it);
        self.watching.alerts.clock_jumped(by);
        self.watching.latches.values_mut().for_each(|latch| move_it(&mut latch.since));
        self.automatic_shifts.iter_mut().for_each(move_it);
        self.resumes.iter_mut().for_each(move_it);
        self.outbox.iter_mut().for_each(|outgoing| move_it(&mut outgoing.waits_since));
        self.revisions.values_mut().filter_map(|known| known.left_at.as_mut()).for_each(move_it);
        self.production.clock_jumped(by);
        self.producing.clock_jumped(by);
        self.probation.iter_mut().for_each(|probation| {
            move_it(&mut probation.since);
            move_it(&mut probation.asked_since);
        });
        self.membership.iter_mut().for_each(|membership| move_it(&mut membership.until));
        let Some(incident) = &mut self.incident else { return };
        incident.clock_jumped(by);
        let waits = matches!(incident.phase, Phase::Authorising(_));
        let plan = if waits { ", and so does the expiry of its plan" } else { "" };
        let text = format!(
            "the host's clock jumped forward by {by}: every deadline of `{}` moves by as much{plan}",
            incident.id
        );
        self.tell(Topic::ClockJumped, Severity::Warning, text);
    }

    /// Whether people are to be told that the host's clock is behind: only where something waits for an instant, and not again and again.
    pub fn is_behind_news(&self, at: UnixMillis) -> bool {
        let told_lately = self.behind_told_at.is_some_and(|told| at < told + BEHIND_AGAIN);
        !told_lately && self.wakes_at().is_some()
    }

    pub(super) fn clock_behind(&mut self, by: Millis) -> Result<(), Illegal> {
        if !self.is_behind_news(self.at) {
            return Err(Illegal::Stale);
        }
        self.behind_told_at = Some(self.at);
        let text = format!(
            "the host's clock is {by} behind what is on record of `{}`: it was set back, or was ahead before; until it has caught up, time passes at half its speed here, so every deadline takes twice as long; check the clock",
            self.name
        );
        self.tell(Topic::ClockBehind, Severity::Warning, text);
        Ok(())
    }
}

impl Incident {
    fn clock_jumped(&mut self, by: Millis) {
        self.extension.0 = self.extension.0.saturating_add(by.0);
        self.spent.clock_jumped(by);
        match &mut self.phase {
            Phase::Planning(waiting) => waiting.since = waiting.since + by,
            Phase::Authorising(authorising) => {
                // Policies count from it.
                authorising.opened_at = authorising.opened_at + by;
                authorising.expires_at = authorising.expires_at + by;
                authorising.escalate_at = authorising.escalate_at.map(|at| at + by);
                authorising.remind_at = authorising.remind_at.map(|at| at + by);
            }
            Phase::Acting(acting) | Phase::NeedsPerson(Need { resume: Some(acting), .. }) => {
                acting.clock_jumped(by);
            }
            Phase::Preserving | Phase::Enlisted | Phase::NeedsPerson(_) | Phase::Settled(_) => {}
        }
    }
}

impl Acting {
    fn clock_jumped(&mut self, by: Millis) {
        self.first_try_at = self.first_try_at.map(|at| at + by);
        self.step.clock_jumped(by);
    }
}

impl StepState {
    /// What is due again at an instant may well be due now: only how long the step has been going on is judged.
    fn clock_jumped(&mut self, by: Millis) {
        if let Self::Looking { since, due_at, .. } = self
            && *due_at == Some(*since)
        {
            // The pause was promised for looking, and a clock that jumps takes nothing from it.
            *due_at = Some(*since + by);
        }
        let since = match self {
            Self::Staging(waiting) | Self::Preflighting { waiting, .. } | Self::Guarding(waiting) => {
                &mut waiting.since
            }
            Self::Shifting(shifting) => &mut shifting.since,
            Self::ReadingBack { since } | Self::Looking { since, .. } | Self::Verifying { since, .. } => {
                since
            }
        };
        *since = *since + by;
    }
}

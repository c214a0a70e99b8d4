//! How long each step of an incident may take, and what comes then: a step that hangs ends with the next target or with a person, never in silence.

use super::{Acting, Incident, NeedKind, Phase, Service, StepState};
use crate::time::{Millis, UnixMillis};

/// After the deadline of the last call of a step, for its result to be written.
const RESULT_IS_WRITTEN: Millis = Millis::seconds(30);

impl Service {
    /// The last moment of the step at hand. None where a person is waited for, or the service is paused before a shift.
    pub fn step_ends_at(&self) -> Option<UnixMillis> {
        let deadlines = self.deadlines();
        let incident = self.incident.as_ref()?;
        match &incident.phase {
            // Pieces have the time for evidence, keeping them takes one call more, and what was kept or missed is written then.
            Phase::Preserving => {
                let since = incident.marks.opened_at + incident.extension;
                Some(since + deadlines.evidence + deadlines.call + RESULT_IS_WRITTEN)
            }
            Phase::Planning(waiting) => Some(waiting.since + deadlines.planning),
            Phase::Authorising(authorising) => Some(authorising.expires_at),
            Phase::Enlisted => self.enlisted_by().map(|membership| membership.until),
            Phase::Acting(acting) if self.paused_by.is_some() && acting.waits_while_paused() => None,
            Phase::Acting(acting) => Some(match acting.step {
                StepState::Staging(waiting) | StepState::Guarding(waiting) => waiting.since + deadlines.stage,
                StepState::Preflighting { waiting, .. } => waiting.since + deadlines.preflight,
                StepState::Shifting(shifting) => {
                    shifting.since + deadlines.read_back.max(deadlines.shift + RESULT_IS_WRITTEN)
                }
                StepState::ReadingBack { since } => since + deadlines.read_back,
                StepState::Looking { since, .. } | StepState::Verifying { since, .. } => {
                    since + deadlines.verification
                }
            }),
            Phase::NeedsPerson(_) | Phase::Settled(_) => None,
        }
    }

    /// Ends the step at hand if its time is up.
    pub(super) fn step_woke(&mut self) {
        if self.step_ends_at().is_none_or(|end| self.at < end) {
            return;
        }
        let Some(Incident { id, phase, .. }) = &self.incident else { return };
        let (id, name) = (id.clone(), &self.name);
        match phase {
            Phase::Preserving => {
                let text = format!(
                    "evidence could not be preserved in time: `ripcord pull {name}` goes on without it, `ripcord dismiss {id}` ends it"
                );
                self.need_person(NeedKind::WhatNow, text);
            }
            Phase::Planning(_) => self.need_person(
                NeedKind::WhatNow,
                format!("no plan could be made in time: `ripcord incidents show {id}` says what was waited for; `ripcord pull {name} --to VERSION` names a version"),
            ),
            Phase::Enlisted => self.membership_expired(),
            Phase::Acting(acting) => {
                let (rung, served) = (acting.rung, acting.seems_served);
                match acting.step {
                    StepState::Staging(_) => self.next_rung("its artefact could not be fetched in time"),
                    StepState::Preflighting { .. } => drop(self.not_preflighted(rung, "its time was up")),
                    StepState::Guarding(_) => self.guard_timed_out(),
                    StepState::Shifting(shifting) if shifting.intent.is_begun() => self.ask_what_happened(),
                    StepState::Shifting(_) => self.need_person(
                        NeedKind::WhatNow,
                        format!("the shift could not be begun in time, so nothing of it is shifted: `ripcord pull {name}` tries again, `ripcord dismiss {id}` ends it"),
                    ),
                    StepState::ReadingBack { .. } => self.read_back_failed(served, rung),
                    StepState::Looking { .. } => self.wave_timed_out(rung),
                    StepState::Verifying { .. } => self.verification_timed_out(),
                }
            }
            // Its end is that of the plan, and judged with the votes.
            Phase::Authorising(_) | Phase::NeedsPerson(_) | Phase::Settled(_) => {}
        }
    }
}

impl Acting {
    /// Whether a pause holds the step at hand up: nothing of it is under way.
    pub(super) fn waits_while_paused(&self) -> bool {
        match self.step {
            StepState::Staging(_) | StepState::Preflighting { .. } | StepState::Guarding(_) => true,
            StepState::Shifting(shifting) => !shifting.intent.is_begun(),
            StepState::ReadingBack { .. } | StepState::Looking { .. } | StepState::Verifying { .. } => false,
        }
    }

    /// What a pause held up has all its time again.
    pub(super) fn goes_on_at(&mut self, at: UnixMillis) {
        match &mut self.step {
            StepState::Staging(waiting)
            | StepState::Preflighting { waiting, .. }
            | StepState::Guarding(waiting) => {
                waiting.since = at;
            }
            StepState::Shifting(shifting) if !shifting.intent.is_begun() => shifting.since = at,
            _ => {}
        }
    }
}

//! Trying a rung's target beside what is live, and taking it away again.

use super::verifying::{Heard, VERIFY_AGAIN};
use super::{Illegal, Incident, NeedKind, Phase, Service, StepState, Tried, Waiting, Wanted};
use crate::effect::{Effect, Topic};
use crate::event::{CandidateCleared, FaultNature, PlanDrafted, PreflightBegan, PreflightWord, Preflighted};
use crate::plan::StepKind;
use crate::policy::Role;
use crate::signal::Severity;
use crate::terms::PreflightRule;

impl Service {
    /// After the artefact is at hand: the preflight, where the plan says so, and then the guard.
    pub(super) fn after_staging(&self, rung: u32) -> StepState {
        let waiting = Waiting::from(self.at);
        // What was moved by a wave was tried before it.
        let is_first = |incident: &Incident| match &incident.phase {
            Phase::Acting(acting) => acting.wave == 0,
            _ => true,
        };
        // Of a set's parts each says for itself: what one is moved to may be tried, and what another goes back to is not.
        let listed =
            |plan: &PlanDrafted| self.enlisted_by().is_none() || plan.lists(rung, 0, StepKind::Preflight);
        let planned = self.incident.as_ref().is_some_and(|incident| {
            is_first(incident)
                && incident.plan().is_some_and(|plan| plan.preflighted && listed(plan))
                && incident.target(rung).is_some_and(|target| target.version().is_some())
        });
        if planned {
            StepState::Preflighting { waiting, round: 1, tried: Tried::NotYet }
        } else {
            StepState::Guarding(waiting)
        }
    }

    /// The preflight at hand, if it is this one.
    fn preflighting(&mut self, rung: u32, round: u32) -> Result<(Waiting, Tried), Illegal> {
        match self.acting(rung)?.step {
            StepState::Preflighting { waiting, round: now, tried } if now == round => Ok((waiting, tried)),
            _ => Err(Illegal::Stale),
        }
    }

    pub(super) fn preflight_began(&mut self, began: &PreflightBegan) -> Result<(), Illegal> {
        self.is_at_hand(began.plan)?;
        self.preflighting(began.rung, began.round)?;
        if self.paused_by.is_some() {
            return Err(Illegal::Stale);
        }
        self.candidate = Some(Wanted { waiting: Waiting::from(self.at), told: false, failed: None });
        Ok(())
    }

    pub(super) fn preflighted(&mut self, preflighted: &Preflighted) -> Result<(), Illegal> {
        let (at, limit) = (self.at, self.deadlines().preflight);
        let Preflighted { rung, round, .. } = *preflighted;
        self.is_at_hand(preflighted.plan)?;
        let (waiting, _) = self.preflighting(rung, round)?;
        match &preflighted.word {
            PreflightWord::Fits if self.voices(Role::Verification) == 0 => self.preflight_passed(rung)?,
            PreflightWord::Fits => {
                self.acting(rung)?.step = StepState::Preflighting { waiting, round, tried: Tried::Fits };
            }
            PreflightWord::Unfit(_) => self.next_rung("its preflight found it unfit"),
            PreflightWord::NotDone { nature: FaultNature::Environmental, .. }
                if at < waiting.since + limit =>
            {
                let waiting = waiting.later(at);
                self.acting(rung)?.step =
                    StepState::Preflighting { waiting, round: round + 1, tried: Tried::NotYet };
            }
            PreflightWord::NotDone { .. } => {
                self.not_preflighted(rung, "it could not be tried beside what is live")?
            }
        }
        Ok(())
    }

    /// What the verification policies say of a target that fits.
    pub(super) fn preflight_judged(&mut self, rung: u32, round: u32, heard: Heard) -> Result<(), Illegal> {
        let (at, limit) = (self.at, self.deadlines().preflight);
        let (waiting, tried) = self.preflighting(rung, round)?;
        if tried != Tried::Fits {
            return Err(Illegal::Stale);
        }
        let again = match heard {
            Heard::Healthy => return self.preflight_passed(rung),
            Heard::Unhealthy => {
                self.next_rung("its preflight found it unhealthy");
                return Ok(());
            }
            Heard::Fault(FaultNature::Deterministic) => {
                return self
                    .not_preflighted(rung, "a verification policy faulted, so nobody knows how it answers");
            }
            Heard::Fault(FaultNature::Environmental) => at + VERIFY_AGAIN,
            Heard::Inconclusive(again) => again,
        };
        if at >= waiting.since + limit {
            return self.not_preflighted(rung, "its preflight stayed inconclusive");
        }
        let due_at = Some(again.min(waiting.since + limit));
        self.age_healthy(again);
        let waiting = Waiting { due_at, ..waiting };
        self.acting(rung)?.step = StepState::Preflighting { waiting, round: round + 1, tried: Tried::NotYet };
        Ok(())
    }

    fn preflight_passed(&mut self, rung: u32) -> Result<(), Illegal> {
        let at = self.at;
        self.acting(rung)?.step = StepState::Guarding(Waiting::from(at));
        Ok(())
    }

    /// The plan goes on without, and says so, or a person decides: nothing was shifted.
    pub(super) fn not_preflighted(&mut self, rung: u32, why: &str) -> Result<(), Illegal> {
        let at = self.at;
        let incident = self.open_incident()?;
        let target = incident.target(rung).map(ToString::to_string).unwrap_or_default();
        let id = incident.id.clone();
        if self.terms.as_ref().is_some_and(|terms| terms.preflight == PreflightRule::Required) {
            let text = format!(
                "{target} was not preflighted ({why}), and that is required: `ripcord incidents show {id}` says more; mend what keeps it from being tried and `ripcord pull {}`, or set `preflight` to `best-effort`",
                self.name
            );
            self.need_person(NeedKind::WhatNow, text);
            return Ok(());
        }
        self.acting(rung)?.step = StepState::Guarding(Waiting::from(at));
        let text = format!("`{id}` goes on to {target}, which was not preflighted: {why}");
        self.tell(Topic::NotPreflighted, Severity::Warning, text);
        Ok(())
    }

    pub(super) fn candidate_cleared(&mut self, cleared: &CandidateCleared) -> Result<(), Illegal> {
        let wanted = self.candidate.ok_or(Illegal::Stale)?;
        self.candidate = None;
        if cleared.failed.is_some() {
            let again = self.wanted_later(wanted, FaultNature::Environmental);
            self.candidate = Some(again);
            if again.told && !wanted.told {
                let text = format!(
                    "the candidate of a preflight of `{}` cannot be taken away, so it stays in the server's memory; it is tried again every hour",
                    self.name
                );
                self.tell_about(None, Topic::CandidateLeft, Severity::Warning, text);
            }
        }
        Ok(())
    }

    /// A candidate that no preflight is busy with is taken away, whatever else goes on.
    pub(super) fn owed_to_candidate(&self, owed: &mut Vec<Effect>) {
        let busy = owed.iter().any(|effect| matches!(effect, Effect::Preflight { .. }));
        if let (Some(wanted), false) = (self.candidate, busy) {
            owed.push(wanted.waiting.due_at.map_or(Effect::ClearCandidate, Effect::WakeAt));
        }
    }
}

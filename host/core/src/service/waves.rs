//! A rung that is shifted in waves: between two of them it is waited, what was moved is looked at, and the verification policies are asked how it does.

use super::verifying::{Heard, VERIFY_AGAIN};
use super::{Illegal, Phase, Service, StepState, Waiting};
use crate::effect::Topic;
use crate::event::{FaultNature, ReadBack, WaveLost};
use crate::signal::Severity;
use crate::time::{Millis, UnixMillis};

impl Service {
    /// Whether no other wave of the rung at hand comes after this one.
    pub(super) fn is_last_wave(&self, wave: u32) -> bool {
        let plan = self.incident.as_ref().and_then(|incident| incident.plan());
        plan.is_none_or(|plan| wave >= plan.last_wave())
    }

    /// For people, in brackets after what is done; empty where the plan moves at once.
    pub(super) fn wave_in_words(&self, wave: u32) -> String {
        let plan = self.incident.as_ref().and_then(|incident| incident.plan());
        plan.and_then(|plan| plan.wave(wave)).map(|wave| format!(" ({wave})")).unwrap_or_default()
    }

    fn pause_after(&self, wave: u32) -> Millis {
        let plan = self.incident.as_ref().and_then(|incident| incident.plan());
        plan.and_then(|plan| plan.waves.get(wave as usize)).map_or(Millis(0), |wave| wave.pause)
    }

    /// What a wave that is not the last has moved is there. How it was proved is asked for when all is moved: what answers now is not one version.
    pub(super) fn wave_served(&mut self, read: &ReadBack) -> Result<(), Illegal> {
        let (at, since) = (self.at, self.at + self.pause_after(read.wave));
        self.acting_in(read.rung, read.wave)?.step =
            StepState::Looking { shown_at: at, since, round: 1, due_at: (since > at).then_some(since) };
        self.take_next_wish();
        Ok(())
    }

    /// What the verification policies say of a wave. Only an *unhealthy* that tells of its own time ends the rung: what is left out of the wave still
    /// serves what is to go, so it is not waited for a *healthy* for longer than for that of a whole rung.
    pub(super) fn wave_judged(
        &mut self,
        rung: u32,
        heard: Heard,
        own_from: Option<UnixMillis>,
    ) -> Result<(), Illegal> {
        let (at, limit) = (self.at, self.deadlines().verification);
        let StepState::Looking { shown_at, since, round, .. } = self.acting(rung)?.step else {
            return Err(Illegal::Stale);
        };
        // What was live before need not be well: on its way back a part only waits.
        if self.goes_back() {
            self.next_wave(rung);
            return Ok(());
        }
        let again = match heard {
            Heard::Unhealthy => match own_from.filter(|own_from| at < *own_from) {
                Some(own_from) => own_from,
                None => {
                    self.found_unhealthy(rung);
                    return Ok(());
                }
            },
            Heard::Healthy => {
                self.next_wave(rung);
                return Ok(());
            }
            Heard::Fault(FaultNature::Deterministic) => {
                self.wave_not_judged(rung, "a verification policy faulted");
                return Ok(());
            }
            Heard::Fault(FaultNature::Environmental) => at + VERIFY_AGAIN,
            Heard::Inconclusive(again) => again,
        };
        if at >= since + limit {
            self.wave_timed_out(rung);
        } else {
            let due_at = again.min(since + limit);
            self.age_healthy(due_at);
            self.acting(rung)?.step =
                StepState::Looking { shown_at, since, round: round + 1, due_at: Some(due_at) };
        }
        Ok(())
    }

    pub(super) fn wave_timed_out(&mut self, rung: u32) {
        self.wave_not_judged(
            rung,
            "verification stayed inconclusive until its deadline (`ripcord decisions` shows why)",
        );
    }

    /// Stopping half-way would leave the version that is to go where it is, so it goes on as it was approved, and people are told.
    fn wave_not_judged(&mut self, rung: u32, why: &str) {
        let Ok(wave) = self.acting(rung).map(|acting| acting.wave) else { return };
        let words = self.wave_in_words(wave);
        let Some(incident) = &self.incident else { return };
        let target = incident.target(rung).map(ToString::to_string).unwrap_or_default();
        let text = format!(
            "`{}` goes on with its shift to {target}, although nobody knows how it does where it serves already{words}: {why}",
            incident.id
        );
        self.next_wave(rung);
        self.tell(Topic::WaveNotJudged, Severity::Warning, text);
    }

    /// The next wave begins with a guard of its own. What was waited between the two is not taken from the time that the plan has.
    fn next_wave(&mut self, rung: u32) {
        let at = self.at;
        let Ok(wave) = self.acting(rung).map(|acting| acting.wave) else { return };
        let pause = self.pause_after(wave);
        let Some(incident) = &mut self.incident else { return };
        let Phase::Acting(acting) = &mut incident.phase else { return };
        let StepState::Looking { since, .. } = acting.step else { return };
        let waited = pause.0.saturating_add(at.since(since).0);
        incident.extension.0 = incident.extension.0.saturating_add(waited);
        acting.wave += 1;
        acting.attempts_before = acting.attempts;
        acting.first_try_at = None;
        acting.step = StepState::Guarding(Waiting::from(at));
    }

    /// Someone else put something else where a wave had moved the target: what was approved is not what is going on.
    pub(super) fn wave_lost(&mut self, lost: &WaveLost) -> Result<(), Illegal> {
        self.is_at_hand(lost.plan)?;
        let StepState::Looking { .. } = self.acting_in(lost.rung, lost.wave)?.step else {
            return Err(Illegal::Stale);
        };
        let incident = self.open_incident()?;
        let (Some(plan), Some(target)) = (incident.plan(), incident.target(lost.rung)) else {
            return Err(Illegal::Stale);
        };
        let live = lost.live.state();
        let is_known = matches!(lost.live, crate::event::Observed::Serving(_));
        if !is_known || live.shows(target, plan.moves(lost.wave)) {
            return Err(Illegal::Stale);
        }
        // What production shows now is for its watch to say, which tells people where that breaks a hold.
        self.plan_again();
        Ok(())
    }
}

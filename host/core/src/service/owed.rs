//! What the shell still has to do, derived from the state.

use super::acting::GUARD_HOLDS;
use super::{Acting, Incident, Intent, Phase, Service, StepState, Waiting};
use crate::effect::Effect;
use crate::name::VersionName;
use crate::plan::StepKind;
use crate::terms::{EffectClass, Terms};
use crate::time::UnixMillis;

impl Service {
    /// All that is owed now. What is due later is an [`Effect::WakeAt`].
    pub fn owed(&self) -> Vec<Effect> {
        let mut owed: Vec<Effect> = self.outbox.iter().cloned().map(Effect::Announce).collect();
        let Some(terms) = &self.terms else { return owed };
        self.owed_to_triggers(terms, &mut owed);
        if let Some(incident) = &self.incident {
            self.owed_to_incident(incident, &mut owed);
        }
        self.owed_to_candidate(&mut owed);
        self.owed_to_holds(&mut owed);
        self.owed_to_production(&mut owed);
        self.owed_to_promotion(&mut owed);
        self.owed_to_run(&mut owed);
        self.owed_to_versions(&mut owed);
        self.owed_to_readiness(&mut owed);
        owed
    }

    fn owed_to_triggers(&self, terms: &Terms, owed: &mut Vec<Effect>) {
        let watching = &self.watching;
        if watching.is_due() {
            owed.push(Effect::AskTriggers { up_to: watching.alerts.asks_up_to().unwrap_or_default() });
        } else {
            owed.extend(watching.watches.values().copied().map(Effect::WakeAt));
            owed.extend(watching.scheduled_at.map(Effect::WakeAt));
        }
        owed.extend(watching.latches.values().map(|latch| Effect::WakeAt(self.unlatched_at(latch))));
        if let (Some(since), false) = (watching.no_data_since, watching.no_data_told) {
            owed.push(Effect::WakeAt(since + terms.deadlines.no_data));
        }
    }

    fn owed_to_incident(&self, incident: &Incident, owed: &mut Vec<Effect>) {
        owed.extend(self.step_ends_at().map(Effect::WakeAt));
        match &incident.phase {
            Phase::Preserving => {
                owed.push(Effect::Preserve { incident: incident.id.clone(), hurried: incident.hurried })
            }
            Phase::Planning(waiting) => owed.push(due(
                *waiting,
                Effect::Plan {
                    incident: incident.id.clone(),
                    number: incident.plan_number() + 1,
                    wanted: incident.wanted.clone(),
                    requested_by: incident.requested_by.clone(),
                    tried: incident.ladder.tried.clone(),
                },
            )),
            Phase::Authorising(authorising) => {
                if let (Some(ballot), Some(plan)) = (self.unseen_ballot(), incident.plan()) {
                    owed.push(Effect::AskApprovals { plan: plan.digest, ballot });
                }
                let waits = [authorising.escalate_at, authorising.remind_at, authorising.due_at];
                owed.extend(waits.into_iter().flatten().map(Effect::WakeAt));
            }
            Phase::Acting(acting) => self.owed_to_plan(incident, acting, owed),
            Phase::Enlisted | Phase::NeedsPerson(_) | Phase::Settled(_) => {}
        }
    }

    fn owed_to_plan(&self, incident: &Incident, acting: &Acting, owed: &mut Vec<Effect>) {
        let (rung, wave, paused) = (acting.rung, acting.wave, self.paused_by.is_some());
        let Some((plan, request)) =
            incident.plan().map(|plan| (plan.digest, plan.request(rung, wave, StepKind::Shift)))
        else {
            return;
        };
        match acting.step {
            StepState::Staging(_) | StepState::Preflighting { .. } | StepState::Guarding(_) if paused => {}
            StepState::Staging(waiting) => owed.push(due(waiting, Effect::Stage { plan, rung })),
            StepState::Preflighting { waiting, round, .. } => {
                owed.push(due(waiting, Effect::Preflight { plan, rung, round }));
            }
            StepState::Guarding(waiting) => {
                owed.push(due(waiting, Effect::Guard { plan, rung, wave, attempt: acting.attempts + 1 }))
            }
            StepState::Shifting(shifting) => {
                let (attempt, Some(request)) = (shifting.attempt, request) else { return };
                let effect = match shifting.intent {
                    Intent::NotBegun if paused => return,
                    Intent::NotBegun => {
                        owed.push(Effect::WakeAt(shifting.since + GUARD_HOLDS));
                        Effect::Shift { plan, rung, wave, attempt, request }
                    }
                    // A repeat needs the promise of the deployer that has the order and of the one that would get it. It is an order all the same:
                    // where nothing may be shifted, what is live is read instead.
                    Intent::Began { class: EffectClass::Idempotent }
                        if self.effect_class(rung) == EffectClass::Idempotent
                            && !paused
                            && !self.observes() =>
                    {
                        Effect::Repeat { plan, rung, wave, attempt, request }
                    }
                    Intent::Began { .. } => Effect::Probe { plan, rung, wave, attempt },
                };
                owed.push(shifting.due_at.map_or(effect, Effect::WakeAt));
            }
            StepState::ReadingBack { .. } => owed.push(Effect::ReadBack { plan, rung, wave }),
            StepState::Looking { round, due_at, .. } => {
                owed.push(due_at.map_or(Effect::Look { plan, rung, wave, round }, Effect::WakeAt));
            }
            StepState::Verifying { round, due_at, .. } => {
                owed.push(due_at.map_or(Effect::Verify { plan, rung, round }, Effect::WakeAt));
            }
        }
    }

    fn owed_to_holds(&self, owed: &mut Vec<Effect>) {
        for (revision, hold) in &self.holds {
            let (Some(mark_at), Some(version)) = (hold.mark_at, revision.version()) else { continue };
            let incident = hold.to_be_marked();
            if mark_at <= self.at {
                owed.push(Effect::MarkHold { version: version.clone(), incident });
            } else {
                owed.push(Effect::WakeAt(mark_at));
            }
        }
    }

    /// Held up by whatever stops all acting: whoever paused the service may be moving the name by hand.
    fn owed_to_promotion(&self, owed: &mut Vec<Effect>) {
        if let (Some(promotion), None, false) = (&self.promotion, &self.paused_by, self.observes()) {
            let effect = Effect::Promote {
                incident: promotion.incident.clone(),
                version: promotion.version.clone(),
                expecting: promotion.expecting.clone(),
                request: promotion.request,
            };
            owed.push(due(promotion.waiting, effect));
        }
    }

    /// Whatever else goes on: it changes nothing outside.
    fn owed_to_versions(&self, owed: &mut Vec<Effect>) {
        let pin = |version: &VersionName| Effect::Pin { version: version.clone() };
        owed.extend(self.pins.iter().map(|(version, wanted)| due(wanted.waiting, pin(version))));
        // During an incident nobody knows what is live for how long, and a safe mode answers in place of what is live.
        if self.incident.is_none() && !self.production.falls_back() {
            let take = |version: &VersionName| Effect::Fingerprint { version: version.clone() };
            owed.extend(self.fingerprints.iter().map(|(version, wanted)| due(wanted.waiting, take(version))));
        }
    }

    /// The next instant that is waited for.
    pub fn wakes_at(&self) -> Option<UnixMillis> {
        self.owed()
            .into_iter()
            .filter_map(|effect| if let Effect::WakeAt(at) = effect { Some(at) } else { None })
            .min()
    }
}

/// `effect` now, or the instant when it is due again.
fn due(waiting: Waiting, effect: Effect) -> Effect {
    waiting.due_at.map_or(effect, Effect::WakeAt)
}

//! How far a service is, what its journal counts, and the terms that many suites ask about.

use ripcord_core::event::Event;
use ripcord_core::policy::Role;
use ripcord_core::service::{NeedKind, Phase, RunState, Service, StepState};
use ripcord_engine::Folded;
use serde_json::json;

use crate::lab::Spec;

/// Of the open incident.
pub fn phase(service: &Service) -> Option<&Phase> {
    service.incident.as_ref().map(|incident| &incident.phase)
}

/// Whether a person is asked this.
pub fn needs(kind: NeedKind) -> impl Fn(&Service) -> bool {
    move |service| matches!(phase(service), Some(Phase::NeedsPerson(need)) if need.question == kind)
}

/// Whether the plan is carried out and is at such a step.
pub fn acting(service: &Service, step: impl Fn(&StepState) -> bool) -> bool {
    matches!(phase(service), Some(Phase::Acting(acting)) if step(&acting.step))
}

/// Whether it looks whether the shift has come through.
pub fn reads_back(service: &Service) -> bool {
    acting(service, |step| matches!(step, StepState::ReadingBack { .. }))
}

/// Whether it has looked, and seen the target proved less strongly than is asked for.
pub fn seems_served(service: &Service) -> bool {
    matches!(phase(service), Some(Phase::Acting(acting)) if acting.seems_served)
}

/// Whether the plan waits for people or policies to agree.
pub fn authorising(service: &Service) -> bool {
    matches!(phase(service), Some(Phase::Authorising(_)))
}

/// Whether the run is known to go on.
pub fn run_goes_on(service: &Service) -> bool {
    service.producing.run.as_ref().is_some_and(|run| matches!(run.state, RunState::GoesOn))
}

/// Whether the last run has ended.
pub fn run_ended(service: &Service) -> bool {
    service.producing.run.is_none() && !service.producing.past.is_empty()
}

/// Events of a kind.
pub fn count(folded: &Folded, wanted: impl Fn(&Event) -> bool) -> usize {
    folded.events.iter().filter(|(_, event)| wanted(event)).count()
}

/// Times that a planner was asked.
pub fn plans(folded: &Folded) -> usize {
    count(folded, |event| matches!(event, Event::Planned(_)))
}

/// Shifts that were begun.
pub fn shifts(folded: &Folded) -> usize {
    count(folded, |event| matches!(event, Event::ShiftBegan(_)))
}

/// The same where two people must agree within ten minutes, and are called again after five.
pub fn two_keys(spec: Spec) -> Spec {
    spec.with(Role::Approval, json!({ "approval": "votes", "people": 2, "expires": "10m", "escalate": "5m" }))
}

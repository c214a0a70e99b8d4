//! What is being done for the open incident and for the registry's production name, since when, and till when it may take: for people who look at a
//! service while a system is down.

use super::{Phase, Service, StepState};
use crate::time::UnixMillis;

/// A step that waits for other systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Such as `fetching version 1`.
    pub doing: String,
    /// Since when.
    pub since: UnixMillis,
    /// Its last moment, and what happens then; none if it is tried until it is done.
    pub until: Option<(UnixMillis, &'static str)>,
    /// Whose way it is on.
    pub part: PendingPart,
}

/// What waits for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PendingPart {
    /// The triggers' verdict, or the incident's next step.
    Incident,
    /// The registry's production name.
    Promotion,
}

const NEXT: &str = "the next target is tried, or a person is asked";
const PERSON: &str = "a person is asked";

impl Service {
    /// Steps that may be held up by a system.
    pub fn pending(&self) -> Vec<Pending> {
        let mut all: Vec<_> = self.pending_incident().into_iter().collect();
        if let Some(promotion) = &self.promotion {
            all.push(Pending {
                doing: format!("moving the registry's production name to `{}`", promotion.version),
                since: promotion.waiting.since,
                until: None,
                part: PendingPart::Promotion,
            });
        }
        all
    }

    fn pending_incident(&self) -> Option<Pending> {
        let deadlines = self.deadlines();
        let pending = |doing: String, since: UnixMillis, until| {
            Some(Pending { doing, since, until: Some(until), part: PendingPart::Incident })
        };
        let Some(incident) = &self.incident else {
            let since = self.watching.no_data_since?;
            let told = "people are told that the service is not protected";
            return pending("judging its signals".to_owned(), since, (since + deadlines.no_data, told));
        };
        match &incident.phase {
            Phase::Preserving => {
                let since = incident.marks.opened_at;
                let on = "it goes on with the evidence that could be had";
                pending("preserving evidence".to_owned(), since, (since + deadlines.evidence, on))
            }
            Phase::Planning(waiting) => {
                let until = (waiting.since + deadlines.planning, PERSON);
                pending("making a plan".to_owned(), waiting.since, until)
            }
            Phase::Acting(acting) => {
                let target = incident.target(acting.rung).map(ToString::to_string).unwrap_or_default();
                match acting.step {
                    StepState::Staging(waiting) => {
                        let until = (waiting.since + deadlines.stage, NEXT);
                        pending(format!("fetching {target}"), waiting.since, until)
                    }
                    StepState::Preflighting { waiting, .. } => {
                        let then = "what `preflight` is configured to do is done";
                        let until = (waiting.since + deadlines.preflight, then);
                        pending(format!("the preflight of {target}"), waiting.since, until)
                    }
                    StepState::Guarding(waiting) => {
                        let until = (waiting.since + deadlines.stage, PERSON);
                        pending(format!("the last look before the shift to {target}"), waiting.since, until)
                    }
                    StepState::Shifting(shifting) => {
                        let until = (shifting.since + deadlines.read_back, NEXT);
                        pending(format!("the shift to {target}"), shifting.since, until)
                    }
                    StepState::ReadingBack { since } => {
                        pending(format!("reading back {target}"), since, (since + deadlines.read_back, NEXT))
                    }
                    StepState::Verifying { since, .. } => {
                        let until = (since + deadlines.verification, PERSON);
                        pending(format!("verifying {target}"), since, until)
                    }
                }
            }
            Phase::Authorising(_) | Phase::NeedsPerson(_) | Phase::Settled(_) => None,
        }
    }
}

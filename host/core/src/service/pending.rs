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
        let Some(incident) = &self.incident else {
            let since = self.watching.no_data_since?;
            let told = "people are told that the service is not protected";
            let until = Some((since + self.deadlines().no_data, told));
            let doing = "judging its signals".to_owned();
            return Some(Pending { doing, since, until, part: PendingPart::Incident });
        };
        let target = |rung: u32| incident.target(rung).map(ToString::to_string).unwrap_or_default();
        let (doing, since, then) = match &incident.phase {
            Phase::Preserving => ("preserving evidence".to_owned(), incident.marks.opened_at, PERSON),
            Phase::Planning(waiting) => ("making a plan".to_owned(), waiting.since, PERSON),
            Phase::Acting(acting) => {
                let target = target(acting.rung);
                match acting.step {
                    StepState::Staging(waiting) => (format!("fetching {target}"), waiting.since, NEXT),
                    StepState::Preflighting { waiting, .. } => {
                        let then = "what `preflight` is configured to do is done";
                        (format!("the preflight of {target}"), waiting.since, then)
                    }
                    StepState::Guarding(waiting) => {
                        (format!("the last look before the shift to {target}"), waiting.since, PERSON)
                    }
                    StepState::Shifting(shifting) => {
                        (format!("the shift to {target}"), shifting.since, PERSON)
                    }
                    StepState::ReadingBack { since } => (format!("reading back {target}"), since, NEXT),
                    StepState::Looking { shown_at, .. } => {
                        let then = "the next wave begins, and people are told that nobody judged this one";
                        let words = self.wave_in_words(acting.wave);
                        (format!("the look at {target}{words}"), shown_at, then)
                    }
                    StepState::Verifying { since, .. } => (format!("verifying {target}"), since, PERSON),
                }
            }
            Phase::Authorising(_) | Phase::Enlisted | Phase::NeedsPerson(_) | Phase::Settled(_) => {
                return None;
            }
        };
        let until = self.step_ends_at().map(|end| (end, then));
        Some(Pending { doing, since, until, part: PendingPart::Incident })
    }
}

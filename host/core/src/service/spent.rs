//! Where the time of an incident goes: added up part by part, so that it is right after several plans, grants and restarts.

use serde::{Deserialize, Serialize};

use super::Service;
use crate::time::{Millis, UnixMillis};

/// What the time of an incident goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TimePart {
    /// Evidence, planner, pins.
    Decide,
    /// Approval, and whatever else people are asked.
    People,
    /// From a grant to a read-back that shows the target.
    Act,
    /// From there on.
    Verify,
}

/// So long each part has taken so far. A part that was never begun is none; of the one that goes on, only what had ended before counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// Evidence, planner, pins.
    pub decide: Option<Millis>,
    /// Waiting for people.
    pub people: Option<Millis>,
    /// Fetching, guarding, shifting, reading back.
    pub act: Option<Millis>,
    /// Verifying.
    pub verify: Option<Millis>,
    /// What goes on, and since when.
    goes_on: Option<(TimePart, UnixMillis)>,
}

impl Spent {
    /// All parts together.
    pub fn total(&self) -> Millis {
        let parts = [self.decide, self.people, self.act, self.verify];
        Millis(parts.into_iter().flatten().map(|part| part.0).sum())
    }

    fn note(&mut self, now: Option<TimePart>, at: UnixMillis) {
        if self.goes_on.map(|(part, _)| part) == now {
            return;
        }
        if let Some((part, since)) = self.goes_on {
            let spent = match part {
                TimePart::Decide => &mut self.decide,
                TimePart::People => &mut self.people,
                TimePart::Act => &mut self.act,
                TimePart::Verify => &mut self.verify,
            };
            *spent = Some(Millis(spent.unwrap_or_default().0.saturating_add(at.since(since).0)));
        }
        self.goes_on = now.map(|part| (part, at));
    }

    /// No time passed.
    pub(super) fn clock_jumped(&mut self, by: Millis) {
        self.goes_on = self.goes_on.map(|(part, since)| (part, since + by));
    }
}

impl Service {
    /// After every event: whether the time goes into something else now.
    pub(super) fn note_time(&mut self) {
        let at = self.at;
        for incident in [&mut self.incident, &mut self.last_settled].into_iter().flatten() {
            let part = incident.time_part();
            incident.spent.note(part, at);
        }
    }
}

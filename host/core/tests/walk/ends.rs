//! Whatever an incident waits for has an end.

use ripcord_core::event::Event;
use ripcord_core::service::{Phase, Service};

use crate::Walk;

impl Walk {
    /// A step that nobody's word ends has a last moment, somebody is woken then, and the incident is elsewhere afterwards.
    pub(crate) fn check_ends(&self) {
        let Some(incident) = &self.service.incident else { return };
        let Some(end) = self.service.step_ends_at() else {
            if !matches!(incident.phase, Phase::NeedsPerson(_)) && self.service.paused_by.is_none() {
                self.fail("a step without an end");
            }
            return;
        };
        if self.service.wakes_at().is_none_or(|at| at > end) {
            self.fail("nobody is woken at the end of a step");
        }
        let Ok(after) = self.service.apply(end.max(self.service.at), &Event::Woke) else {
            self.fail("the end of a step cannot come")
        };
        let step = |service: &Service| {
            (service.incident.as_ref().map(|open| open.phase.clone()), service.step_ends_at())
        };
        if step(&after) == step(&self.service) {
            self.fail("the end of a step changes nothing");
        }
    }
}

//! An alert that was acknowledged is judged.

use std::collections::BTreeSet;

use ripcord_core::event::Event;
use ripcord_core::name::SignalId;

use super::Step;

#[derive(Debug, Default)]
pub(crate) struct Book {
    acknowledged: BTreeSet<SignalId>,
    taken: BTreeSet<SignalId>,
    judged: BTreeSet<SignalId>,
}

impl Book {
    pub(crate) fn acknowledged(&mut self, id: SignalId) {
        self.acknowledged.insert(id);
    }

    pub(crate) fn step(&mut self, step: &mut Step<'_>) {
        match step.event {
            Event::SignalTaken(taken) => {
                if !self.taken.insert(taken.signal.clone()) {
                    step.broke("a-signal-is-taken-once", taken.signal.to_string());
                }
            }
            Event::TriggersAsked(asked) => self.judged.extend(asked.signals.iter().cloned()),
            _ => {}
        }
    }

    pub(crate) fn has_judged(&self, id: &SignalId) -> bool {
        self.judged.contains(id)
    }

    /// One that was acknowledged and is not judged.
    pub(crate) fn unjudged(&self) -> Option<&SignalId> {
        self.acknowledged.difference(&self.judged).next()
    }
}

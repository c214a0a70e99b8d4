//! Since when production cannot be read, while nothing is said of it: a system that is away for a moment is no news.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ripcord_core::event::ProductionPart;
use ripcord_core::name::ServiceName;
use ripcord_core::time::Millis;

/// By the steady clock. It outlives the effects that look, which are begun anew with every signal that asks for a look.
#[derive(Debug, Default)]
pub(crate) struct UnreadSince(Mutex<BTreeMap<(ServiceName, ProductionPart), Millis>>);

impl UnreadSince {
    /// It could be read.
    pub(crate) fn read(&self, service: &ServiceName, part: &ProductionPart) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(service.clone(), part.clone()));
    }

    /// It could not be read at `now`: how long it could not.
    pub(crate) fn unread(&self, service: &ServiceName, part: &ProductionPart, now: Millis) -> Millis {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *all.entry((service.clone(), part.clone())).or_insert(now);
        Millis(now.0.saturating_sub(since.0))
    }
}

//! When what a driver has not seen yet came in, so that the time before its first look counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ripcord_core::name::ServiceName;

/// By service, the earliest that was not taken; by the steady clock, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<BTreeMap<ServiceName, u64>>);

impl Arrivals {
    pub(crate) fn note(&self, service: &ServiceName, at_us: u64) {
        self.all().entry(service.clone()).or_insert(at_us);
    }

    pub(crate) fn take(&self, service: &ServiceName) -> Option<u64> {
        self.all().remove(service)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ServiceName, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

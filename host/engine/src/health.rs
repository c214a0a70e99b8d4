//! What keeps drivers from going on, for status and readiness.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ripcord_core::name::ServiceName;

/// How one driver fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverHealth {
    /// Which service.
    pub service: ServiceName,
    /// None if all is well, else what holds it up.
    pub stuck: Option<String>,
    /// Why old content is not erased, where it should be: nothing waits for it.
    pub not_erased: Option<String>,
}

/// What a driver cannot do. Each part is well again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// Write the journal.
    Journal,
    /// Get an answer of the store.
    Store,
    /// Read the intake.
    Intake,
    /// Get anywhere with an effect.
    Effects,
    /// Erase old content. It holds up nothing.
    Pruning,
}

/// Of all drivers.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<BTreeMap<(ServiceName, Trouble), String>>);

impl Health {
    /// It cannot, and why.
    pub(crate) fn is_stuck(&self, service: &ServiceName, trouble: Trouble, why: String) {
        self.all().insert((service.clone(), trouble), why);
    }

    /// It can.
    pub(crate) fn is_well(&self, service: &ServiceName, trouble: Trouble) {
        self.all().remove(&(service.clone(), trouble));
    }

    /// In the order of `services`.
    pub(crate) fn of<'a>(&self, services: impl Iterator<Item = &'a ServiceName>) -> Vec<DriverHealth> {
        let all = self.all();
        let one = |service: &ServiceName| {
            let why: Vec<_> = [Trouble::Journal, Trouble::Store, Trouble::Intake, Trouble::Effects]
                .into_iter()
                .filter_map(|trouble| all.get(&(service.clone(), trouble)).cloned())
                .collect();
            DriverHealth {
                service: service.clone(),
                stuck: (!why.is_empty()).then(|| why.join("; ")),
                not_erased: all.get(&(service.clone(), Trouble::Pruning)).cloned(),
            }
        };
        services.map(one).collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<(ServiceName, Trouble), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Automatic shifts of all services of this host: the part of the breaker that no single service can see.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ripcord_core::name::ServiceName;
use ripcord_core::service::{Authority, Intent, Phase, Service, StepState};
use ripcord_core::time::{Millis, UnixMillis};

#[derive(Debug, Default)]
pub(crate) struct Budget {
    services: Mutex<BTreeMap<ServiceName, Spent>>,
}

#[derive(Debug, Default)]
struct Spent {
    shifts: Vec<UnixMillis>,
    reserved: Option<UnixMillis>,
}

impl Budget {
    /// Shifts of the host within the hour before `at`, and a place for one more of `service` until [`Budget::settle`].
    pub(crate) fn reserve(&self, service: &ServiceName, at: UnixMillis) -> u32 {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = services.entry(service.clone()).or_default();
        mine.reserved = None;
        let spent = services
            .values()
            .flat_map(|spent| spent.shifts.iter().chain(&spent.reserved))
            .filter(|shift| **shift + Millis::hours(1) > at)
            .count();
        services.entry(service.clone()).or_default().reserved = Some(at);
        u32::try_from(spent).unwrap_or(u32::MAX)
    }

    /// Takes over what the service's state says.
    pub(crate) fn settle(&self, service: &Service) {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = services.entry(service.name.clone()).or_default();
        mine.shifts.clone_from(&service.automatic_shifts);
        if !may_still_shift(service) {
            mine.reserved = None;
        }
    }
}

/// Whether an automatic shift that has passed or is at the guard has not been begun yet.
fn may_still_shift(service: &Service) -> bool {
    let Some(Phase::Acting(acting)) = service.incident.as_ref().map(|incident| &incident.phase) else {
        return false;
    };
    let before = match acting.step {
        StepState::Guarding(_) => true,
        StepState::Shifting(shifting) => shifting.intent == Intent::NotBegun,
        _ => false,
    };
    before && acting.authority == Authority::Policies
}

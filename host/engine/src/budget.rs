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

/// Automatic shifts of the host within an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostShifts {
    /// Begun.
    pub(crate) made: u32,
    /// Places of other services that may still begin one.
    pub(crate) reserved: u32,
}

impl Budget {
    /// What the host has spent within the hour before `at`. Below `max` there is a place for one more shift of `service`, which it keeps
    /// until [`Budget::settle`].
    pub(crate) fn reserve(&self, service: &ServiceName, at: UnixMillis, max: u32) -> HostShifts {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.entry(service.clone()).or_default().reserved = None;
        let count = |times: &mut dyn Iterator<Item = &UnixMillis>| {
            u32::try_from(times.filter(|time| **time + Millis::hours(1) > at).count()).unwrap_or(u32::MAX)
        };
        let made = count(&mut services.values().flat_map(|spent| &spent.shifts));
        let reserved = count(&mut services.values().flat_map(|spent| &spent.reserved));
        if made.saturating_add(reserved) < max {
            services.entry(service.clone()).or_default().reserved = Some(at);
        }
        HostShifts { made, reserved }
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
    before && acting.grant.authority == Authority::Policies
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_places_that_there_are_are_given_and_shifts_are_told_from_places() {
        let budget = Budget::default();
        let at = UnixMillis(10_000_000);
        let name = |number: u32| ServiceName::new(format!("s-{number}")).unwrap();
        let mut begun = Service::new(name(0));
        begun.automatic_shifts = vec![at - Millis::hours(1), at];
        budget.settle(&begun);
        let seen: Vec<_> = (1..=5).map(|number| budget.reserve(&name(number), at, 3)).collect();
        let expected = [(1, 0), (1, 1), (1, 2), (1, 2), (1, 2)];
        assert_eq!(seen, expected.map(|(made, reserved)| HostShifts { made, reserved }));
        // One's own place does not count against oneself; a place that is no longer needed is free.
        assert_eq!(budget.reserve(&name(1), at, 3), HostShifts { made: 1, reserved: 1 });
        budget.settle(&Service::new(name(1)));
        assert_eq!(budget.reserve(&name(4), at, 3), HostShifts { made: 1, reserved: 1 });
    }
}

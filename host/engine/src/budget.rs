//! Automatic shifts of all services of this host: the part of the breaker that no single service can see. Services have times of their own, some of
//! which may be hours ahead, so how long ago a shift was is counted by the host's steady clock.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ripcord_core::name::ServiceName;
use ripcord_core::service::{Authority, Intent, Phase, Service, StepState};
use ripcord_core::time::{Millis, UnixMillis};

/// What is counted: shifts of the last hour.
const WINDOW: Millis = Millis::hours(1);

#[derive(Debug, Default)]
pub(crate) struct Budget {
    services: Mutex<BTreeMap<ServiceName, Spent>>,
}

#[derive(Debug, Default)]
struct Spent {
    shifts: Vec<Shift>,
    /// When a place was given, on the steady clock.
    reserved: Option<Millis>,
}

/// One shift.
#[derive(Debug, Clone, Copy)]
struct Shift {
    /// By its service's time: only to know it again.
    at: UnixMillis,
    /// How long ago it was when it was first heard of.
    age: Millis,
    /// When that was, on the steady clock.
    heard_at: Millis,
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
    /// What the host has spent within the hour before `steady`. Below `max` there is a place for one more shift of `service`, which it keeps
    /// until [`Budget::settle`].
    pub(crate) fn reserve(&self, service: &ServiceName, steady: Millis, max: u32) -> HostShifts {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.entry(service.clone()).or_default().reserved = None;
        let passed = |since: Millis| Millis(steady.0.saturating_sub(since.0));
        let count = |ages: &mut dyn Iterator<Item = Millis>| {
            u32::try_from(ages.filter(|age| *age < WINDOW).count()).unwrap_or(u32::MAX)
        };
        let shifts = services.values().flat_map(|spent| &spent.shifts);
        let made = count(&mut shifts.map(|shift| shift.age + passed(shift.heard_at)));
        let places = services.values().filter_map(|spent| spent.reserved);
        let reserved = count(&mut places.map(passed));
        if made.saturating_add(reserved) < max {
            services.entry(service.clone()).or_default().reserved = Some(steady);
        }
        HostShifts { made, reserved }
    }

    /// Takes over what the service's state says, of which it is `now` by the service's own time.
    pub(crate) fn settle(&self, service: &Service, now: UnixMillis, steady: Millis) {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = services.entry(service.name.clone()).or_default();
        let mut known = std::mem::take(&mut mine.shifts);
        let shifts =
            service.automatic_shifts.iter().map(|at| match known.iter().position(|shift| shift.at == *at) {
                Some(place) => known.swap_remove(place),
                None => Shift { at: *at, age: now.max(service.at).since(*at), heard_at: steady },
            });
        mine.shifts = shifts.collect();
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

    const NOW: UnixMillis = UnixMillis(10_000_000);
    const STEADY: Millis = Millis(70_000);

    fn name(number: u32) -> ServiceName {
        ServiceName::new(format!("s-{number}")).unwrap()
    }

    #[test]
    fn only_places_that_there_are_are_given_and_shifts_are_told_from_places() {
        let budget = Budget::default();
        let mut begun = Service::new(name(0));
        begun.automatic_shifts = vec![NOW - Millis::hours(1), NOW];
        budget.settle(&begun, NOW, STEADY);
        let seen: Vec<_> = (1..=5).map(|number| budget.reserve(&name(number), STEADY, 3)).collect();
        let expected = [(1, 0), (1, 1), (1, 2), (1, 2), (1, 2)];
        assert_eq!(seen, expected.map(|(made, reserved)| HostShifts { made, reserved }));
        // One's own place does not count against oneself; a place that is no longer needed is free.
        assert_eq!(budget.reserve(&name(1), STEADY, 3), HostShifts { made: 1, reserved: 1 });
        budget.settle(&Service::new(name(1)), NOW, STEADY);
        assert_eq!(budget.reserve(&name(4), STEADY, 3), HostShifts { made: 1, reserved: 1 });
    }

    #[test]
    fn a_shift_of_a_service_whose_clock_is_ahead_counts_for_an_hour_and_no_longer() {
        let budget = Budget::default();
        let mut ahead = Service::new(name(0));
        ahead.at = NOW + Millis::hours(9);
        ahead.automatic_shifts = vec![ahead.at];
        budget.settle(&ahead, NOW, STEADY);
        let made = |after: Millis| budget.reserve(&name(1), STEADY + after, 3).made;
        assert_eq!([made(Millis(0)), made(Millis(WINDOW.0 - 1)), made(WINDOW)], [1, 1, 0]);
        // It is the same shift however often it is heard of, whatever the service's clock does meanwhile.
        ahead.at = ahead.at + Millis::hours(2);
        budget.settle(&ahead, NOW, STEADY + Millis::minutes(30));
        assert_eq!([made(Millis::minutes(59)), made(WINDOW)], [1, 0]);
    }
}

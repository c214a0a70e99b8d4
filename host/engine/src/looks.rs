//! When production was looked at last: what flaps, or is told of again and again, must not become a flood of reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::service::Service;
use ripcord_core::time::{Millis, UnixMillis};

/// How often production is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Between two looks.
    pub(crate) every: Millis,
    /// Whether a hold stands: then the first look after a start is made at once, else soon.
    pub(crate) holds: bool,
    /// When a signal asked for a look at once, if one did.
    pub(crate) asked_at: Option<UnixMillis>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    /// By the steady clock.
    at: Millis,
    /// What had asked for a look by then.
    asked_at: Option<UnixMillis>,
}

/// The first look after a start is made within this part of the interval: what was moved while no host looked has done harm for long enough. The looks of many
/// services are spread over it, so that a start asks no system all at once.
const FIRST_WITHIN: u64 = 10;

/// Of all services. It outlives the effects that look, which are begun anew with everything that they see.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    last: Mutex<BTreeMap<ServiceName, Last>>,
    /// When everything was read last. What comes into force while no host runs was not seen by any look, so it is forgotten with the host.
    whole: Mutex<BTreeMap<ServiceName, UnixMillis>>,
    /// Versions that are live and were found to descend from nothing that was condemned by then, with how often data had been.
    clean: Mutex<BTreeMap<ServiceName, (u32, BTreeSet<VersionName>)>>,
}

impl Looks {
    /// How long the next look of `service` is away at `now`. Each signal that asks for one gets one, and no more.
    pub(crate) fn pause(&self, service: &ServiceName, pace: Pace, now: Millis) -> Millis {
        match self.all().get(service) {
            None if pace.holds || pace.asked_at.is_some() => Millis(0),
            None => first_look(service, pace.every),
            Some(last) if last.asked_at < pace.asked_at => Millis(0),
            Some(last) => Millis((last.at + pace.every).0.saturating_sub(now.0)),
        }
    }

    /// It was looked at.
    pub(crate) fn looked(&self, service: &ServiceName, pace: Pace, now: Millis) {
        let last = Last { at: now, asked_at: pace.asked_at };
        self.all().insert(service.clone(), last);
    }

    /// Of what is live, the versions whose data are still to be held against those that are condemned.
    pub(crate) fn not_clean(&self, service: &Service, live: Vec<VersionName>) -> Vec<VersionName> {
        let clean = self.clean.lock().unwrap_or_else(PoisonError::into_inner);
        let is_clean = |version: &VersionName| {
            let known = clean.get(&service.name).filter(|(times, _)| *times == service.condemnations);
            known.is_some_and(|(_, versions)| versions.contains(version))
        };
        live.into_iter().filter(|version| !is_clean(version)).collect()
    }

    /// Nothing of it is condemned. It is as many as are live, and begins anew with the next condemnation.
    pub(crate) fn found_clean(&self, service: &Service, version: VersionName) {
        let mut clean = self.clean.lock().unwrap_or_else(PoisonError::into_inner);
        let known = clean.entry(service.name.clone()).or_default();
        if known.0 != service.condemnations {
            *known = (service.condemnations, BTreeSet::new());
        }
        known.1.retain(|version| service.production.serves(&version.into()));
        known.1.insert(version);
    }

    /// When everything was read last before this look, which read everything at `now` or not all.
    pub(crate) fn seen(&self, service: &ServiceName, now: Option<UnixMillis>) -> Option<UnixMillis> {
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        match now {
            Some(now) => whole.insert(service.clone(), now),
            None => whole.get(service).copied(),
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the first look after a start is due: as good as evenly spread over the services, and the same at every start.
fn first_look(service: &ServiceName, every: Millis) -> Millis {
    const PLACES: u64 = 1_000;
    // FNV-1a: a few lines, and names that differ in one digit come to lie far apart.
    let mixed = service.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |mixed, byte| {
        (mixed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let place = (mixed >> 32) % PLACES;
    Millis(every.0 / FIRST_WITHIN * place / PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_seen_is_not_before_the_last_look_that_read_everything() {
        let (looks, service) = (Looks::default(), ServiceName::new("s").expect("a name"));
        assert_eq!(looks.seen(&service, Some(UnixMillis(5))), None, "nobody had looked");
        assert_eq!(looks.seen(&service, Some(UnixMillis(9))), Some(UnixMillis(5)));
        assert_eq!(looks.seen(&service, None), Some(UnixMillis(9)));
        assert_eq!(
            looks.seen(&service, None),
            Some(UnixMillis(9)),
            "a look that could not read all bounds nothing"
        );
    }

    #[test]
    fn what_changes_with_every_look_is_looked_at_as_often_as_what_stays() {
        let (looks, service) = (Looks::default(), ServiceName::new("s").expect("a name"));
        let every = Millis::seconds(30);
        let held = Pace { every, holds: true, asked_at: None };
        let unheld = Pace { holds: false, ..held };
        assert!(
            looks.pause(&service, unheld, Millis(0)) < Millis(every.0 / FIRST_WITHIN),
            "others may have moved it meanwhile"
        );
        let often = Pace { every: Millis(1), ..unheld };
        assert!(looks.pause(&service, often, Millis(0)) <= Millis(1), "and never later than usual");
        assert_eq!(
            looks.pause(&service, held, Millis(0)),
            Millis(0),
            "after a start a hold is looked at first"
        );
        looks.looked(&service, held, Millis(1_000));
        assert_eq!(looks.pause(&service, held, Millis(1_000)), every, "whatever the look has found");
        assert_eq!(looks.pause(&service, held, Millis(21_000)), Millis::seconds(10));
        assert_eq!(looks.pause(&service, held, Millis(90_000)), Millis(0));

        let asked = Pace { asked_at: Some(UnixMillis(7)), ..held };
        assert_eq!(
            looks.pause(&service, asked, Millis(1_001)),
            Millis(0),
            "somebody says that it has changed"
        );
        looks.looked(&service, asked, Millis(1_001));
        assert_eq!(looks.pause(&service, asked, Millis(1_001)), every, "one signal asks for one look");
        let again = Pace { asked_at: Some(UnixMillis(8)), ..held };
        assert_eq!(looks.pause(&service, again, Millis(1_001)), Millis(0));
    }

    #[test]
    fn the_first_looks_of_many_services_are_spread() {
        let pace = Pace { every: Millis::seconds(60), holds: false, asked_at: None };
        let due = |number: u32| {
            let service = ServiceName::new(format!("service-{number}")).expect("a name");
            Looks::default().pause(&service, pace, Millis(0)).0 / 1_000
        };
        for second in 0..6 {
            let at_once = (0..1_000).filter(|number| due(*number) == second).count();
            assert!((80..300).contains(&at_once), "{at_once} of 1000 in second {second}");
        }
    }
}

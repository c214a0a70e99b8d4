//! When production was looked at last: what flaps, or is told of again and again, must not become a flood of reads.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ripcord_core::name::ServiceName;
use ripcord_core::time::{Millis, UnixMillis};

/// How often production is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Between two looks.
    pub(crate) every: Millis,
    /// Whether a hold stands: then the first look after a start is made at once.
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

/// Of all services. It outlives the effects that look, which are begun anew with everything that they see.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    last: Mutex<BTreeMap<ServiceName, Last>>,
    /// When everything was read last. What comes into force while no host runs was not seen by any look, so it is forgotten with the host.
    whole: Mutex<BTreeMap<ServiceName, UnixMillis>>,
}

impl Looks {
    /// How long the next look of `service` is away at `now`. Each signal that asks for one gets one, and no more.
    pub(crate) fn pause(&self, service: &ServiceName, pace: Pace, now: Millis) -> Millis {
        match self.all().get(service) {
            None if pace.holds || pace.asked_at.is_some() => Millis(0),
            None => pace.every,
            Some(last) if last.asked_at < pace.asked_at => Millis(0),
            Some(last) => Millis((last.at + pace.every).0.saturating_sub(now.0)),
        }
    }

    /// It was looked at.
    pub(crate) fn looked(&self, service: &ServiceName, pace: Pace, now: Millis) {
        let last = Last { at: now, asked_at: pace.asked_at };
        self.all().insert(service.clone(), last);
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
        assert_eq!(looks.pause(&service, Pace { holds: false, ..held }, Millis(0)), every);
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
}

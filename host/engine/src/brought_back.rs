//! Artefacts that were kept on this machine and are fetched again: one at a time, and less and less often while they do not get there.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ripcord_core::digest::Digest;
use ripcord_core::time::Millis;

/// Before an artefact that was fetched and is not at hand all the same is fetched once more.
const FETCHED_AGAIN: Millis = Millis::minutes(20);
/// The longest such pause; each is twice as long as the one before.
const FETCHED_AGAIN_MAX: Millis = Millis::hours(24);
/// Artefacts of which it is remembered that they were fetched again; with more, all are forgotten.
const FETCHED_MAX: usize = 1_000;

/// Artefacts that were fetched so that they are at hand.
#[derive(Debug)]
pub(crate) struct BroughtBack {
    /// Taken for one fetch: a start with nothing at hand is no storm.
    pub(crate) turn: tokio::sync::Semaphore,
    /// How often, and not before when again.
    tries: Mutex<BTreeMap<Digest, (u32, Millis)>>,
}

impl Default for BroughtBack {
    fn default() -> Self {
        Self { turn: tokio::sync::Semaphore::new(1), tries: Mutex::default() }
    }
}

impl BroughtBack {
    /// Whether it is to be fetched at `now`; then it counts as fetched.
    pub(crate) fn is_due(&self, digest: Digest, now: Millis) -> bool {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() >= FETCHED_MAX && !tries.contains_key(&digest) {
            tries.clear();
        }
        let (times, not_before) = tries.entry(digest).or_default();
        if *times > 0 && now < *not_before {
            return false;
        }
        let pause = Millis(FETCHED_AGAIN.0 << (*times).min(10)).min(FETCHED_AGAIN_MAX);
        *times += 1;
        *not_before = now + pause;
        true
    }

    /// It is at hand.
    pub(crate) fn is_there(&self, digest: Digest) {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_get_there_is_fetched_less_and_less_often_and_never_twice_a_look() {
        let (all, digest) = (BroughtBack::default(), Digest::of("artefact"));
        let minutes = |number: u64| Millis::minutes(number);
        // A look every ten minutes, for four days.
        let due: Vec<_> = (0..576).filter(|look| all.is_due(digest, minutes(look * 10))).collect();
        assert_eq!(due, [0, 2, 6, 14, 30, 62, 126, 254, 398, 542], "looks at which it is fetched");
        assert!(all.is_due(Digest::of("another"), minutes(5_760)), "each by itself");
        all.is_there(digest);
        assert!(all.is_due(digest, minutes(5_760)), "it was there, and is gone again");
        assert!(!all.is_due(digest, minutes(5_760)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let all = BroughtBack::default();
        for number in 0..3 * FETCHED_MAX {
            assert!(all.is_due(Digest::of(number.to_string()), Millis(0)));
            assert!(all.tries.lock().unwrap().len() <= FETCHED_MAX);
        }
    }
}

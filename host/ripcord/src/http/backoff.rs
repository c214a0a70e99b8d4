//! Answers to wrong secrets come the later the more of them a peer has given lately.
//!
//! Only wrong ones wait: somebody behind the same address as a script that has gone wrong is let in at once. This does not keep a token that can
//! be guessed from being guessed; a random one cannot be.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::connections::Peer;

/// People mistype.
const FREE: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(2);
/// A peer that has given no wrong secret for so long is forgotten.
const MEMORY: Duration = Duration::from_secs(60);
/// With more peers than this, those that have been quiet for longest are forgotten.
const PEERS_MAX: usize = 4_096;

/// How many wrong secrets each peer has given lately.
#[derive(Debug, Default)]
pub(crate) struct Backoff(Mutex<HashMap<Peer, Wrong>>);

#[derive(Debug, Clone, Copy)]
struct Wrong {
    times: u32,
    last: Instant,
}

impl Backoff {
    /// Notes a wrong secret; how long its answer is to wait.
    pub(crate) fn wrong(&self, peer: Peer, now: Instant) -> Duration {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&peer) && all.len() >= PEERS_MAX {
            // A quarter at once: looking for one each time would cost more than the answer.
            let mut lasts: Vec<Instant> = all.values().map(|wrong| wrong.last).collect();
            let (_, quarter, _) = lasts.select_nth_unstable(PEERS_MAX / 4);
            let (quarter, mut room) = (*quarter, PEERS_MAX / 4);
            all.retain(|_, wrong| {
                let forgotten = wrong.last <= quarter && room > 0;
                room -= usize::from(forgotten);
                !forgotten
            });
        }
        let wrong = all.entry(peer).or_insert(Wrong { times: 0, last: now });
        if now.saturating_duration_since(wrong.last) >= MEMORY {
            wrong.times = 0;
        }
        *wrong = Wrong { times: wrong.times.saturating_add(1), last: now };
        match wrong.times.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(more) => FIRST_WAIT.saturating_mul(1 << more.min(10)).min(WAIT_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> Peer {
        Peer::of(std::net::IpAddr::V4(number.into()))
    }

    #[test]
    fn a_peer_waits_longer_and_longer_and_another_does_not() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        let waits: Vec<u128> = (0..10).map(|_| backoff.wrong(peer(1), now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(backoff.wrong(peer(2), now), Duration::ZERO);
        for _ in 0..100 {
            assert_eq!(backoff.wrong(peer(1), now), WAIT_MAX);
        }
        assert_eq!(backoff.wrong(peer(1), now + MEMORY), Duration::ZERO, "and it is forgotten");
    }

    #[test]
    fn no_number_of_peers_fills_the_memory() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..10 {
            backoff.wrong(peer(0), now + Duration::from_secs(1));
        }
        for number in 1..10_000 {
            backoff.wrong(peer(number), now + Duration::from_millis(u64::from(number / 10)));
        }
        let all = backoff.0.lock().unwrap();
        assert!(all.len() <= PEERS_MAX);
        assert!(all.contains_key(&peer(0)) || all.contains_key(&peer(9_999)), "the latest are remembered");
    }
}

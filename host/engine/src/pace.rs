//! The wall's clock may be set: back, and the service's time goes on; forward, and the jump is noticed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Clock;

/// The longest sleep by a clock that may be set back meanwhile.
const NAP_MAX: Duration = Duration::from_secs(1);

/// A clock that never goes back and never stands still. While the wall's clock is behind what was told already, time passes at half its speed,
/// so that retries and deadlines go on and the wall catches up.
pub(crate) struct Onward {
    wall: Arc<dyn Clock>,
    /// Both clocks when the wall was last ahead of all that was told.
    agreed: Mutex<(UnixMillis, Millis)>,
}

impl Onward {
    pub(crate) fn new(wall: Arc<dyn Clock>) -> Self {
        let agreed = Mutex::new((wall.now(), wall.steady()));
        Self { wall, agreed }
    }

    /// The same where something is on record from `last` already: after a restart, too, time goes on from there.
    pub(crate) fn from_last(wall: Arc<dyn Clock>, last: UnixMillis) -> Self {
        let onward = Self::new(wall);
        onward.not_before(last);
        onward
    }

    /// Someone has been told `last`.
    pub(crate) fn not_before(&self, last: UnixMillis) {
        if self.now() < last {
            let mut agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
            *agreed = (last, self.wall.steady());
        }
    }

    /// How far the wall's clock is behind what was told.
    pub(crate) fn behind(&self) -> Millis {
        self.now().since(self.wall.now())
    }
}

#[async_trait]
impl Clock for Onward {
    fn now(&self) -> UnixMillis {
        let mut agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall, steady) = (self.wall.now(), self.wall.steady());
        let onward = agreed.0 + Millis(steady.0.saturating_sub(agreed.1.0) / 2);
        if wall >= onward {
            *agreed = (wall, steady);
        }
        wall.max(onward)
    }

    fn steady(&self) -> Millis {
        self.wall.steady()
    }

    fn steady_us(&self) -> u64 {
        self.wall.steady_us()
    }

    async fn sleep_until(&self, at: UnixMillis) {
        loop {
            let left = at.since(self.now());
            if left == Millis(0) {
                return;
            }
            // The wall's clock knows best how long that is, unless it is behind or is set back now.
            let nap = Duration::from_millis(left.0.saturating_mul(2)).min(NAP_MAX);
            tokio::select! {
                biased;
                () = self.wall.sleep_until(at) => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
    }
}

/// What the service's clock gains on the steady one between two looks is a jump from here on, and what it is behind what is on record is worth
/// telling. Slewing is far slower.
pub(crate) const JUMP_MIN: Millis = Millis::minutes(1);

/// Both clocks at one look. Whoever looks may be held up in between, so the steady one is read before and after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    steady_before: Millis,
    pub(crate) wall: UnixMillis,
    steady_after: Millis,
}

impl Look {
    /// The service's time is never before its last event.
    pub(crate) fn new(clock: &dyn Clock, last_event: UnixMillis) -> Self {
        let steady_before = clock.steady();
        let wall = clock.now().max(last_event);
        Self { steady_before, wall, steady_after: clock.steady() }
    }

    /// How far the wall's clock has jumped forward since then, if it has.
    pub(crate) fn jumped_since(&self, last: &Self) -> Option<Millis> {
        let passed = self.steady_after.0.saturating_sub(last.steady_before.0);
        let by = Millis(self.wall.since(last.wall).0.saturating_sub(passed));
        (by >= JUMP_MIN).then_some(by)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Wall and steady clock, set by hand.
    #[derive(Default)]
    struct ByHand(AtomicU64, AtomicU64);

    impl ByHand {
        fn set(&self, wall: u64, steady: u64) {
            self.0.store(wall, Ordering::Relaxed);
            self.1.store(steady, Ordering::Relaxed);
        }
    }

    #[async_trait]
    impl Clock for ByHand {
        fn now(&self) -> UnixMillis {
            UnixMillis(self.0.load(Ordering::Relaxed))
        }

        fn steady(&self) -> Millis {
            Millis(self.1.load(Ordering::Relaxed))
        }

        fn steady_us(&self) -> u64 {
            self.steady().0 * 1_000 + 7
        }

        async fn sleep_until(&self, _: UnixMillis) {
            std::future::pending().await
        }
    }

    #[test]
    fn a_clock_that_is_set_back_goes_on_at_half_its_speed_until_the_wall_has_caught_up() {
        let wall = Arc::new(ByHand::default());
        wall.set(10_000, 50);
        let onward = Onward::new(wall.clone());
        let mut told = Vec::new();
        for (at, steady) in [
            (11_000, 1_050),
            (4_000, 1_051),
            (5_000, 2_051),
            (12_950, 5_050),
            (13_001, 5_051),
            (13_101, 5_151),
        ] {
            wall.set(at, steady);
            told.push(onward.now().0);
        }
        assert_eq!(told, [11_000, 11_000, 11_500, 13_000, 13_001, 13_101]);
    }

    #[test]
    fn time_goes_on_from_what_is_on_record_although_the_clock_was_ahead_before_a_restart() {
        let wall = Arc::new(ByHand::default());
        wall.set(10_000, 50);
        let onward = Onward::from_last(wall.clone(), UnixMillis(20_000));
        assert_eq!(onward.behind(), Millis(10_000));
        let mut told = Vec::new();
        for passed in [0, 1_000, 10_000, 20_000, 21_000] {
            wall.set(10_000 + passed, 50 + passed);
            told.push(onward.now().0);
        }
        assert_eq!(told, [20_000, 20_500, 25_000, 30_000, 31_000]);
        assert_eq!(onward.behind(), Millis(0));
        // Somebody else wrote to the journal, with a clock that is ahead.
        onward.not_before(UnixMillis(40_000));
        wall.set(33_000, 23_050);
        assert_eq!(onward.now(), UnixMillis(41_000));
        onward.not_before(UnixMillis(5));
        assert_eq!(onward.now(), UnixMillis(41_000), "never back");
    }

    #[test]
    fn what_is_measured_is_as_fine_as_the_clock_below() {
        let wall = Arc::new(ByHand::default());
        wall.set(0, 3);
        assert_eq!(Onward::new(wall).steady_us(), 3_007);
    }

    #[tokio::test]
    async fn whoever_sleeps_wakes_although_the_clock_was_set_back() {
        let wall = Arc::new(ByHand::default());
        wall.set(10_000, 0);
        let onward = Onward::new(wall.clone());
        let mut asleep = tokio::task::JoinSet::new();
        asleep.spawn(async move { onward.sleep_until(UnixMillis(10_010)).await });
        tokio::task::yield_now().await;
        wall.set(0, 20);
        let woken = tokio::time::timeout(Duration::from_secs(10), asleep.join_next()).await;
        woken.expect("it wakes").expect("a task").expect("no panic");
    }

    fn look(wall: u64, steady: u64) -> Look {
        Look { steady_before: Millis(steady), wall: UnixMillis(wall), steady_after: Millis(steady) }
    }

    #[test]
    fn only_a_sudden_gain_is_a_jump() {
        let start = look(5, 0);
        let hour = 3_600_000;
        // Slewed by one in a thousand, looked at every hour.
        assert_eq!(look(5 + hour + hour / 1_000, hour).jumped_since(&start), None);
        assert_eq!(look(5 + hour + 59_999, hour).jumped_since(&start), None);
        assert_eq!(look(5 + hour + 60_000, hour).jumped_since(&start), Some(JUMP_MIN));
        // Set back, or standing still while it waits for the journal's time: no jump.
        assert_eq!(look(5, hour).jumped_since(&start), None);
        assert_eq!(look(0, hour).jumped_since(&start), None);
    }

    #[test]
    fn whoever_is_held_up_while_looking_sees_no_jump() {
        let start = look(0, 0);
        let held_up =
            Look { steady_before: Millis(0), wall: UnixMillis(90_000), steady_after: Millis(90_000) };
        assert_eq!(held_up.jumped_since(&start), None);
        let held_up = Look { steady_before: Millis(0), wall: UnixMillis(0), steady_after: Millis(90_000) };
        assert_eq!(look(90_000, 90_000).jumped_since(&held_up), None);
    }
}

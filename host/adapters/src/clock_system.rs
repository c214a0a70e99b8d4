//! The system's clock: the one place where Ripcord asks for the time.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Clock;

/// The longest nap: after it the clock is asked again, so that a clock that was set forward is noticed.
const NAP_MAX: Millis = Millis::minutes(1);

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the others are told to use")]
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn steady(&self) -> Millis {
        Millis(self.steady_us() / 1_000)
    }

    fn steady_us(&self) -> u64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        u64::try_from(START.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    async fn sleep_until(&self, at: UnixMillis) {
        loop {
            let left = at.since(self.now());
            if left.0 == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(left.min(NAP_MAX).0)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_steady_clock_runs_with_the_wall() {
        let before = (SystemClock.now(), SystemClock.steady());
        tokio::time::sleep(Duration::from_millis(30)).await;
        let wall = SystemClock.now().since(before.0).0;
        let steady = SystemClock.steady().0 - before.1.0;
        assert!(steady >= 30 && wall.abs_diff(steady) < 1_000, "{wall} ms and {steady} ms");
    }

    #[tokio::test]
    async fn it_returns_at_the_instant_and_not_before() {
        let at = SystemClock.now() + Millis(30);
        SystemClock.sleep_until(at).await;
        assert!(SystemClock.now() >= at);
        SystemClock.sleep_until(UnixMillis(0)).await;
    }
}

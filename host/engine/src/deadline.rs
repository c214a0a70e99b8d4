//! How long the host waits for anyone: by its own clock, of which only passing time counts.

use std::pin::pin;

use futures_util::future::{Either, select};
use ripcord_core::time::Millis;
use ripcord_ports::Clock;

/// What `work` gives within `limit`; none if it takes longer, and then it is dropped. A clock that is set meanwhile neither shortens nor
/// prolongs it.
pub(crate) async fn within<T>(clock: &dyn Clock, limit: Millis, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(passes(clock, limit))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}

async fn passes(clock: &dyn Clock, limit: Millis) {
    let began = clock.steady();
    loop {
        let passed = clock.steady().0.saturating_sub(began.0);
        if passed >= limit.0 {
            return;
        }
        clock.sleep_until(clock.now() + Millis(limit.0 - passed)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;
    use ripcord_core::time::UnixMillis;

    use super::*;

    /// Sleeps by setting the wall's clock, and lets a part of that pass for the steady one.
    struct Jumpy {
        wall: AtomicU64,
        steady: AtomicU64,
        passes_of_each_sleep: u64,
    }

    #[async_trait]
    impl Clock for Jumpy {
        fn now(&self) -> UnixMillis {
            UnixMillis(self.wall.load(Ordering::Relaxed))
        }

        fn steady(&self) -> Millis {
            Millis(self.steady.load(Ordering::Relaxed))
        }

        async fn sleep_until(&self, at: UnixMillis) {
            let slept = at.since(self.now()).0;
            self.wall.store(at.0, Ordering::Relaxed);
            self.steady.fetch_add(slept.min(self.passes_of_each_sleep), Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_call_that_never_ends_is_given_up_when_the_time_has_passed_and_not_when_the_clock_jumped() {
        let clock = Jumpy { wall: AtomicU64::new(7), steady: AtomicU64::new(0), passes_of_each_sleep: 400 };
        assert_eq!(within(&clock, Millis(1_000), std::future::pending::<()>()).await, None);
        assert_eq!(clock.steady(), Millis(1_000));
        assert_eq!(within(&clock, Millis(1_000), async { 5 }).await, Some(5));
    }
}

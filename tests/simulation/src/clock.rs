//! Time that passes only while everyone waits, and that people set.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Clock;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Where every simulation begins.
const BEGINS_AT: UnixMillis = UnixMillis(1_700_000_000_000);

/// The clock of a machine: a steady one, which is the runtime's, and the wall's, which can be set.
#[derive(Debug)]
pub struct SimClock {
    started: Instant,
    /// By how much the wall's clock was set, in milliseconds.
    set_by: AtomicI64,
    /// Wakes whoever sleeps in the order in which they came; a `watch` channel wakes them in any order.
    was_set: Notify,
}

impl SimClock {
    /// A clock that begins now. It needs a runtime whose time is paused.
    pub fn new() -> Self {
        Self { started: Instant::now(), set_by: AtomicI64::new(0), was_set: Notify::new() }
    }

    /// Somebody sets the clock: forward, or back.
    pub fn set(&self, by: i64) {
        self.set_by.fetch_add(by, Ordering::Relaxed);
        self.was_set.notify_waiters();
    }

    /// What a clock shows that nobody sets: that of another machine.
    pub fn elsewhere(&self) -> UnixMillis {
        BEGINS_AT + self.steady()
    }

    /// By how much it is set at the moment.
    pub fn is_set_by(&self) -> i64 {
        self.set_by.load(Ordering::Relaxed)
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.elsewhere().0.saturating_add_signed(self.is_set_by()))
    }

    fn steady(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep_until(&self, at: UnixMillis) {
        loop {
            let left = at.since(self.now());
            if left == Millis(0) {
                return;
            }
            tokio::select! {
                biased;
                () = self.was_set.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(left.0)) => {}
            }
        }
    }
}

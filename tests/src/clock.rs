//! A clock that runs at any speed and can be moved by hand.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Clock;
use tokio::sync::watch;

/// Starts at a fixed instant of 2023.
#[derive(Debug)]
pub struct TestClock {
    base: UnixMillis,
    started: Instant,
    speed: u64,
    /// Time that passed, and jumps, in milliseconds.
    moved: watch::Sender<(u64, i64)>,
    lock: Mutex<()>,
}

impl TestClock {
    /// Runs `speed` times as fast as the wall.
    pub fn new(speed: u64) -> Self {
        Self::starting_at(UnixMillis(1_700_000_000_000), speed)
    }

    /// Starts at `base`.
    pub fn starting_at(base: UnixMillis, speed: u64) -> Self {
        Self { base, started: Instant::now(), speed, moved: watch::Sender::new((0, 0)), lock: Mutex::new(()) }
    }

    /// So much time passes at once. Everyone who sleeps looks again.
    pub fn advance(&self, by: Millis) {
        self.moves(|(passed, jumped)| (passed + by.0, jumped));
    }

    /// Somebody sets the clock forward, or the machine sleeps: no time passes for it. Everyone who sleeps looks again.
    pub fn jump(&self, by: Millis) {
        self.moves(|(passed, jumped)| (passed, jumped.saturating_add_unsigned(by.0)));
    }

    /// Somebody sets the clock back: no time passes for it. Everyone who sleeps looks again.
    pub fn set_back(&self, by: Millis) {
        self.moves(|(passed, jumped)| (passed, jumped.saturating_sub_unsigned(by.0)));
    }

    fn moves(&self, how: impl FnOnce((u64, i64)) -> (u64, i64)) {
        let _one_at_a_time = self.lock.lock().unwrap();
        let moved = how(*self.moved.borrow());
        self.moved.send_replace(moved);
    }

    /// Milliseconds since the start, without jumps.
    fn passed(&self) -> u64 {
        self.passed_us() / 1_000
    }

    /// Microseconds since the start, without jumps: what a scripted policy takes is often less than a millisecond.
    fn passed_us(&self) -> u64 {
        let wall = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        wall.saturating_mul(self.speed).saturating_add(self.moved.borrow().0.saturating_mul(1_000))
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis((self.base + Millis(self.passed())).0.saturating_add_signed(self.moved.borrow().1))
    }

    fn steady(&self) -> Millis {
        Millis(self.passed())
    }

    fn steady_us(&self) -> u64 {
        self.passed_us()
    }

    async fn sleep_until(&self, at: UnixMillis) {
        let mut moved = self.moved.subscribe();
        loop {
            moved.mark_unchanged();
            let left = at.since(self.now());
            if left == Millis(0) {
                return;
            }
            let wall = Duration::from_micros((left.0.saturating_mul(1_000) / self.speed).max(200));
            tokio::select! {
                () = tokio::time::sleep(wall.min(Duration::from_secs(60))) => {}
                _ = moved.changed() => {}
            }
        }
    }
}

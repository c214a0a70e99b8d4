//! The only source of time. Tests bring their own.

use async_trait::async_trait;
use ripcord_core::time::{Millis, UnixMillis};

/// Tells the time and waits.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time now. May jump; the journal's order does not depend on it.
    fn now(&self) -> UnixMillis;

    /// The time since some fixed instant, by a clock that nobody sets. It may stand still while the machine sleeps.
    fn steady(&self) -> Millis;

    /// The same in microseconds, for measuring. Default: as fine as [`Self::steady`].
    fn steady_us(&self) -> u64 {
        self.steady().0.saturating_mul(1_000)
    }

    /// Returns when `now` has reached `at`, or a little later.
    async fn sleep_until(&self, at: UnixMillis);
}

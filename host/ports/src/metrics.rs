//! Where metrics come from.

use async_trait::async_trait;
use ripcord_core::fact::{Sample, Series, Unavailable};
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};

/// One metrics source. "No data", "failed" and "the query is wrong" are told apart.
#[async_trait]
pub trait Metrics: Send + Sync {
    /// The adapter's name, such as `metrics_prometheus`.
    fn name(&self) -> &str;

    /// Values at `at`.
    async fn instant(&self, query: &str, at: UnixMillis) -> Result<Vec<Sample>, Unavailable>;

    /// Values over `window`, every `step`.
    async fn range(&self, query: &str, window: Window, step: Millis) -> Result<Vec<Series>, Unavailable>;
}

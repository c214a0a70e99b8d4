//! Where a service answers: trials go through it.

use async_trait::async_trait;
use ripcord_core::fact::Payload;
use ripcord_core::target::VersionTarget;

use crate::error::PortError;
use crate::requests::TrialInput;

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What came back.
    pub output: Payload,
    /// The version that the answer names.
    pub answered_by: Option<VersionTarget>,
    /// Time to the last byte, in microseconds.
    pub latency_us: u64,
}

/// Sends inputs to a service, marked as trials so that they stay out of metrics and request log.
#[async_trait]
pub trait Endpoint: Send + Sync {
    /// The adapter's name.
    fn name(&self) -> &str;

    /// Sends one input to the live version, or to `candidate` beside it.
    async fn infer(
        &self,
        input: &TrialInput,
        candidate: Option<&VersionTarget>,
        trial: &str,
    ) -> Result<Reply, PortError>;
}

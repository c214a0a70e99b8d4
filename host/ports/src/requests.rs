//! Recorded inputs: golden data sets with known answers, and the service's request log.

use async_trait::async_trait;
use ripcord_core::fact::{Exchange, Payload};
use ripcord_core::target::Window;

use crate::error::PortError;

/// An input as the endpoint takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialInput {
    /// Identifies the row.
    pub id: String,
    /// The `inputs` of the protocol's request, as JSON.
    pub body: String,
}

/// One row of a golden data set.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldenRow {
    /// What is sent.
    pub input: TrialInput,
    /// `column=value`, sorted.
    pub slices: Vec<String>,
    /// The true answer.
    pub expected: Payload,
}

/// Golden data sets of one service.
#[async_trait]
pub trait GoldenData: Send + Sync {
    /// The names of all data sets.
    fn names(&self) -> Vec<String>;

    /// All rows of `dataset`. An unknown one is [`crate::ErrorKind::NotFound`].
    async fn rows(&self, dataset: &str) -> Result<Vec<GoldenRow>, PortError>;
}

/// A piece of the request log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPiece {
    /// The lines, verbatim.
    pub bytes: Vec<u8>,
    /// How many.
    pub lines: u64,
    /// Whether lines were left out because of the limit.
    pub truncated: bool,
}

/// What a service was asked and answered.
#[async_trait]
pub trait RequestLog: Send + Sync {
    /// The adapter's name.
    fn name(&self) -> &str;

    /// The lines within `window`, newest kept, at most `bytes_max` bytes: evidence.
    async fn preserve(&self, window: Window, bytes_max: u64) -> Result<LogPiece, PortError>;

    /// Parses preserved lines, newest first, at most `limit`.
    fn exchanges(&self, piece: &[u8], limit: u32) -> Vec<Exchange>;
}

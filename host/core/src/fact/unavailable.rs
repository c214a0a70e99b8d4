//! Why there is no value. Never an empty list.

use serde::{Deserialize, Serialize};

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Unavailable {
    /// For programs.
    pub reason: UnavailableReason,
    /// For people.
    pub message: String,
}

/// Why there is no value, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnavailableReason {
    /// The source answered, and has nothing.
    NoData,
    /// The source did not answer, or answered with an error.
    Failed,
    /// The source did not answer in time.
    TimedOut,
    /// The policy may not see this.
    Denied,
    /// No adapter is configured that knows this.
    Unsupported,
    /// More than the limit.
    TooLarge,
    /// The source does not understand the query.
    BadQuery,
    /// Erased.
    Redacted,
    /// A replay or backtest has no recording of it.
    NotRecorded,
    /// Something that a newer release knows.
    Other(String),
}

impl Unavailable {
    /// A missing value, for programs and for people.
    pub fn new(reason: UnavailableReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

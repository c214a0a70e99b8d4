//! One error type for all outside systems: what is known of the effect, and whether to try again.

use std::fmt;

use ripcord_core::time::Millis;

/// What is known of the effect that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It did not happen.
    No,
    /// It may have happened: only a probe or a person can tell.
    Unknown,
}

/// Whether trying again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call will fail again until something is mended.
    No,
    /// The same call may succeed later.
    Later,
    /// The system asked for this much patience.
    After(Millis),
}

/// What went wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No connection, or it broke.
    Unreachable,
    /// No answer within the deadline.
    TimedOut,
    /// The system wants other credentials, or more rights.
    Denied,
    /// The system has no such thing.
    NotFound,
    /// Content and digest differ.
    WrongDigest,
    /// What is live is not what the order expected: nothing was done.
    Conflict,
    /// The system answered with an error of its own.
    Failed,
    /// The answer makes no sense to the adapter.
    BadAnswer,
    /// The adapter cannot do this.
    Unsupported,
    /// More than the limit.
    TooLarge,
    /// The configuration is wrong.
    Configuration,
    /// A local file or disk failed.
    Local,
    /// The place where something is to be put does not allow it, whatever it is: a mount, a read-only file system, a full disk.
    Place,
}

/// An error of an outside system. Its text names the system, what was asked and what the reader can do.
#[derive(Debug)]
pub struct PortError {
    /// For programs.
    pub kind: ErrorKind,
    /// Whether the effect happened.
    pub applied: Applied,
    /// Whether trying again makes sense.
    pub retry: Retry,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PortError {
    /// An error of a call that may have had its effect, as is to be believed of every call that has one until its adapter knows better. Unreachable,
    /// timed-out and failed systems may be asked again later.
    pub fn unknown(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Unreachable | ErrorKind::TimedOut | ErrorKind::Failed => Retry::Later,
            _ => Retry::No,
        };
        Self { kind, applied: Applied::Unknown, retry, message: message.into(), source: None }
    }

    /// An error of a call that had no effect: its adapter knows that, or it only reads. With that it promises that the call may be made again.
    pub fn not_applied(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { applied: Applied::No, ..Self::unknown(kind, message) }
    }

    /// The same error, of a call whose effect may have happened.
    #[must_use]
    pub fn outcome_unknown(mut self) -> Self {
        self.applied = Applied::Unknown;
        self
    }

    /// The same error with other advice.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PortError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

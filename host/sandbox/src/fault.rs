//! What a policy that gives no verdict did instead.

use ripcord_core::fact::{FactKind, Request};
use ripcord_core::policy::Role;
use serde::{Deserialize, Serialize};

/// Whether the same call would fault again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nature {
    /// It would: the policy, its settings or its facts must change.
    Deterministic,
    /// It may not: the host was short of something.
    Environmental,
}

/// A fault is not a verdict: it alarms people and leads to nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// For programs.
    pub kind: FaultKind,
    /// Whether the same call would fault again.
    pub nature: Nature,
    /// For people.
    pub message: String,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum FaultKind {
    #[error(
        "the policy used all its fuel ({limit} units): it computes too long or forever; mend it, or raise `fuel`"
    )]
    OutOfFuel { limit: u64 },
    #[error(
        "the policy asked for more than {limit_bytes} bytes of memory; mend it, or raise `memory_bytes_max`"
    )]
    OutOfMemory { limit_bytes: u64 },
    #[error("the policy asked for more than {limit} table elements; mend it, or raise `table_elements_max`")]
    TableTooLarge { limit: u64 },
    #[error(
        "the policy was stopped after {limit_ms} ms: the host is overloaded, or `wall_clock_ms` is too low for its fuel"
    )]
    OutOfTime { limit_ms: u64 },
    #[error("the policy's calls nest too deeply: look for a recursion without end")]
    StackOverflow,
    #[error("the policy trapped ({code}): this is a mistake in the policy")]
    Trap { code: String },
    #[error("the policy panicked: {message}")]
    Panic { message: String },
    #[error("the policy gave up: {message}")]
    GuestError { message: String },
    #[error(
        "the policy's output is larger than {limit_bytes} bytes; answer less, or raise `output_bytes_max`"
    )]
    OutputTooLarge { limit_bytes: u64 },
    #[error("the policy's memo is larger than {limit_bytes} bytes; remember less, or raise `memo_bytes_max`")]
    MemoTooLarge { limit_bytes: u64 },
    #[error(
        "the policy wrote more than {limit_lines} log lines or {limit_bytes} bytes of them in one call; write less, or raise `log_lines_max` or `log_bytes_max`"
    )]
    LogFlood { limit_lines: u32, limit_bytes: u64 },
    #[error("the policy's output cannot be used: {reason}")]
    BadOutput { reason: String },
    #[error(
        "the policy asked for more than {limit} facts in one round; ask for fewer, or raise `requests_max`"
    )]
    TooManyRequests { limit: u32 },
    #[error(
        "the policy still asks for facts after {limit} rounds; ask for all at once, or raise `rounds_max`"
    )]
    TooManyRounds { limit: u32 },
    #[error("the policy asked again for what it had been given and for nothing else: it would never end")]
    NothingNew,
    #[error("the policy asked for `{fact}`, which its manifest does not declare for the role {role}")]
    UndeclaredFact { fact: FactKind, role: Role },
    #[error(
        "the policy asked for `{fact}`, which the operator has not granted; add it to the policy's grant"
    )]
    UngrantedFact { fact: FactKind },
    #[error("the policy does not fill the role {role}; configure one that does")]
    RoleNotExported { role: Role },
    #[error("the host went on without answering {request:?}")]
    Unanswered { request: Box<Request> },
    #[error("the host gave the decision up before its end")]
    Abandoned,
    #[error(
        "all {slots} instances were busy for too long; raise `slots` or `slot_wait_ms`, or look for slow policies"
    )]
    PoolExhausted { slots: u32 },
    #[error("the host could not run the policy: {message}")]
    Host { message: String },
}

impl FaultKind {
    /// Whether the same call would fault again.
    pub const fn nature(&self) -> Nature {
        match self {
            Self::OutOfTime { .. }
            | Self::Unanswered { .. }
            | Self::Abandoned
            | Self::PoolExhausted { .. }
            | Self::Host { .. } => Nature::Environmental,
            _ => Nature::Deterministic,
        }
    }

    /// Whether another engine may draw the line elsewhere.
    pub(crate) const fn depends_on_engine(&self) -> bool {
        matches!(self, Self::OutOfFuel { .. } | Self::StackOverflow)
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self { nature: kind.nature(), message: kind.to_string(), kind }
    }
}

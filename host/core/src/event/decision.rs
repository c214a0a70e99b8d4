//! One policy call, whatever it was asked.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::policy::{PolicyRef, Role};

/// Whether the same call would fault again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultNature {
    /// It would.
    Deterministic,
    /// It may not: wall clock, pool exhausted.
    Environmental,
}

/// One policy call, from the first round to the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Who was asked.
    pub policy: PolicyRef,
    /// What.
    pub role: Role,
    /// Everything that the call was given and gave: enough to run it again.
    pub recording: BlobRef,
    /// Over all rounds.
    #[serde(with = "crate::time::text_u64")]
    pub fuel: u64,
    /// Calls.
    pub rounds: u32,
    /// Whether a fact that it was given had no value.
    pub data: DataState,
}

/// Whether a decision had all it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataState {
    /// It had.
    Complete,
    /// Something was missing.
    Missing,
    /// Queries selected nothing, and a trigger judged all the same: it takes that for a value, such as 0. A misspelt name looks alike.
    NothingSelected,
}

/// What a policy said, or that it faulted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said<V> {
    /// Its verdict.
    Verdict(V),
    /// Not a verdict.
    Fault(FaultNature),
}

/// What a policy wrote to remember.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoRef {
    /// Version of the policy that wrote it.
    pub written_by: String,
    /// The memo.
    pub content: BlobRef,
}

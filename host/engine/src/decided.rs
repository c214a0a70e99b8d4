//! What comes of a decision.

use ripcord_core::event::{Decision, MemoRef};
use ripcord_core::fact::Fact;
use ripcord_sandbox::Fault;

use crate::batch::Batch;

/// What a policy decided, with everything that the record needs.
pub(crate) struct Decided<V> {
    pub(crate) decision: Decision,
    pub(crate) end: Result<V, Fault>,
    /// What is to be remembered, where the policy left something. A fault leaves nothing.
    pub(crate) memo: Option<MemoRef>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) batch: Batch,
}

//! What a sandbox and its policies share.

use std::sync::Mutex;

use ripcord_core::digest::Digest;
use wasmtime::Engine;

use crate::cache::Cache;
use crate::engine::EngineId;
use crate::examine::Examiner;
use crate::slots::Slots;

/// One engine, its slots, its compiled code, and who examines what is new.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: EngineId,
    /// Of all that compiled code depends on.
    pub(crate) code: Digest,
    pub(crate) cache: Option<Cache>,
    pub(crate) slots: Slots,
    pub(crate) engine: Engine,
    pub(crate) examiner: Examiner,
    /// One at a time: many bad policies need no more memory than one.
    pub(crate) examining: Mutex<()>,
}

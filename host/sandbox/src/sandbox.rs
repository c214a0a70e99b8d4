//! The sandbox: one engine, its slots, its clock and its compiled code.

use std::sync::{Arc, Mutex};

use cap_std::fs::Dir;
use ripcord_core::digest::Digest;

use crate::cache::{Cache, CacheDirError};
use crate::engine::{self, EngineId};
use crate::examine::Examiner;
use crate::load::{self, LoadError, Origin};
use crate::policy::Policy;
use crate::shared::Shared;
use crate::slots::Slots;

/// How many instances run at once unless configured: a handful is enough, because no instance waits for anything.
const SLOTS_DEFAULT: u32 = 32;
/// Each slot reserves four gigabytes of addresses, not of memory.
const SLOTS_MAX: u32 = 1_000;

/// What a sandbox is made of.
#[derive(Debug)]
pub struct SandboxConfig {
    /// Where compiled code is kept, see [`crate::open_cache_dir`]; none compiles at every start.
    pub cache_dir: Option<Dir>,
    /// Instances at once, 1 to 1000.
    pub slots: u32,
    /// Where components are validated and compiled that nobody has approved.
    pub examiner: Examiner,
}

impl SandboxConfig {
    /// Without a cache, with as many slots as a host has unless configured.
    pub fn new(examiner: Examiner) -> Self {
        Self { cache_dir: None, slots: SLOTS_DEFAULT, examiner }
    }
}

/// A sandbox that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Outside what the pool can hold.
    #[error("`slots` is {0}; write 1 to 1000")]
    Slots(u32),
    /// See [`CacheDirError`].
    #[error(transparent)]
    CacheDir(#[from] CacheDirError),
    /// The engine refuses its settings, or the system does not give it enough address space.
    #[error(
        "the WebAssembly engine cannot start: {0}; lower `slots`, or raise the limit on virtual memory (`ulimit -v`)"
    )]
    Engine(String),
    /// No thread for the clock.
    #[error("the thread that stops policies in time cannot start")]
    Clock(#[source] std::io::Error),
}

/// Loads policies and runs them. Clones share one engine.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Shared>);

impl Sandbox {
    /// Starts the engine and the clock that stops policies in time.
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        if !(1..=SLOTS_MAX).contains(&config.slots) {
            return Err(SandboxError::Slots(config.slots));
        }
        let engine =
            engine::engine(config.slots).map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
        let code = engine::code_digest(&engine);
        let cache = config.cache_dir.map(|dir| Cache::new(dir, code)).transpose()?;
        let slots = Slots::new(config.slots, engine.clone()).map_err(SandboxError::Clock)?;
        Ok(Self(Arc::new(Shared {
            id: EngineId::current(),
            code,
            cache,
            slots,
            engine,
            examiner: config.examiner,
            examining: Mutex::new(()),
        })))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Examines and compiles a component within the budget for bytes that nobody has approved, or takes its compiled code from the cache; then
    /// asks it to describe itself.
    pub fn load(&self, bytes: &[u8]) -> Result<Policy, LoadError> {
        load::load(&self.0, bytes, Origin::Unapproved)
    }

    /// As [`Sandbox::load`], for a component that is part of this program: it was built with it, so
    /// that it is compiled here where no examiner answers.
    pub fn load_embedded(&self, bytes: &'static [u8]) -> Result<Policy, LoadError> {
        load::load(&self.0, bytes, Origin::Embedded)
    }

    /// As [`Sandbox::load`], for a component whose digest is pinned by configuration or by a record.
    pub fn load_pinned(&self, bytes: &[u8], pinned: &Digest) -> Result<Policy, LoadError> {
        let given = Digest::of(bytes);
        if given != *pinned {
            return Err(LoadError::WrongDigest { given, pinned: *pinned });
        }
        self.load(bytes)
    }

    /// Which engine this is: fuel is comparable only within one.
    pub fn engine_id(&self) -> &EngineId {
        &self.0.id
    }
}

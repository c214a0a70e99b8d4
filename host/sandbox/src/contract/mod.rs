//! The versions of the policy contract. A policy's version is chosen once, when it is loaded.

use std::fmt::Debug;
use std::sync::Arc;

use ciborium::Value;
use ripcord_core::canonical::EncodeError;
use ripcord_core::fact::Fact;
use ripcord_core::policy::Role;
use ripcord_core::role::{Question, Step};
use wasmtime::component::Component;

use crate::fault::Fault;
use crate::limits::Limits;
use crate::manifest::RawManifest;
use crate::recording::Header;
use crate::run::Ran;
use crate::sandbox::Shared;
use crate::state::LogLine;

mod v0_1;

/// The versions that this release runs, oldest first.
pub const CONTRACT_VERSIONS: &[&str] = &[v0_1::VERSION];

/// What a component exports of the contract.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) version: &'static str,
    pub(crate) roles: Vec<Role>,
}

/// A component behind its version of the contract.
pub(crate) trait Contract: Debug + Send + Sync {
    fn version(&self) -> &'static str;

    fn describe(&self, limits: &Limits) -> Ran<RawManifest>;

    /// Compares the types of each role's function with those of this version; no code of the guest's roles runs.
    fn compare_types(&self, limits: &Limits) -> Ran<()>;

    /// Puts a question into the words of this version.
    fn ask(self: Arc<Self>, question: &Question) -> Box<dyn Case>;

    /// A recorded question, in the words of this version. The facts are held back until [`Case::release_facts`].
    fn ask_again(self: Arc<Self>, question: &Value) -> Result<Box<dyn Case>, String>;

    /// A role's `input`, written as JSON in the words of this version.
    fn ask_in_json(self: Arc<Self>, role: Role, input: serde_json::Value) -> Result<Box<dyn Case>, String>;
}

/// One question in the words of one version, with the facts and the answers so far.
pub(crate) trait Case: Debug + Send {
    fn add_facts(&mut self, facts: &[Fact]);

    /// How many facts the guest is given.
    fn facts(&self) -> u32;

    /// Gives the guest the first `count` of the facts that are held back and that it was given before.
    fn release_facts(&mut self, count: u32);

    /// Asks a fresh instance and keeps what it says.
    fn call(&mut self, limits: &Limits) -> Ran<Step>;

    /// The last call's `step` as JSON, in the guest's own words.
    fn step_in_json(&self) -> serde_json::Value;

    /// The recording, with the guest's own words for the question, the requests of each round and the answer.
    fn record(
        &self,
        header: &Header,
        rounds: &[Spent],
        fault: Option<&Fault>,
    ) -> Result<Vec<u8>, EncodeError>;
}

/// What one round cost.
#[derive(Debug, Clone)]
pub(crate) struct Spent {
    pub(crate) facts: u32,
    pub(crate) fuel: u64,
    pub(crate) log: Vec<LogLine>,
}

/// Links a component to its version of the contract.
pub(crate) fn link(
    shared: &Arc<Shared>,
    component: &Component,
    export: &Export,
) -> Result<Arc<dyn Contract>, String> {
    match export.version {
        v0_1::VERSION => Ok(Arc::new(v0_1::V0_1::link(shared, component, &export.roles)?)),
        other => Err(format!("version {other} is not known")),
    }
}

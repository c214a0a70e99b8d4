//! What every version of the contract can do.

use std::fmt::Debug;
use std::sync::Arc;

use ciborium::Value;
use ripcord_core::alert::StandingAlert;
use ripcord_core::canonical::EncodeError;
use ripcord_core::digest::Digest;
use ripcord_core::fact::Fact;
use ripcord_core::policy::Role;
use ripcord_core::role::{Question, Step};

use crate::fault::Fault;
use crate::limits::Limits;
use crate::manifest::RawManifest;
use crate::recording::{Header, Spent};
use crate::run::Ran;
use crate::values::Taking;

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

    /// Takes the alerts out of the question, which is recorded without them; the digest of what the guest was given.
    fn take_alerts(&mut self) -> Result<Digest, EncodeError>;

    /// Puts alerts into a recorded question; the digest of what the guest is given.
    fn put_alerts(&mut self, alerts: &[StandingAlert]) -> Result<Digest, EncodeError>;

    /// Takes large values out of the facts of the question, which is recorded without them.
    fn take_values(&mut self, taking: &mut Taking<'_>) -> Result<(), EncodeError>;

    /// How many facts the guest is given.
    fn facts(&self) -> u32;

    /// Gives the guest the first `count` of the facts that are held back and that it was given before.
    fn release_facts(&mut self, count: u32);

    /// Asks a fresh instance and keeps what it says.
    fn call(&mut self, limits: &Limits) -> Ran<Step>;

    /// The last call's `step` as JSON, in the guest's own words.
    fn step_in_json(&self) -> serde_json::Value;

    /// The role's `input` as JSON, in the guest's own words.
    fn input_in_json(&self) -> serde_json::Value;

    /// The recording, with the guest's own words for the question, the requests of each round and the answer.
    fn record(
        &self,
        header: &Header,
        rounds: &[Spent],
        fault: Option<&Fault>,
    ) -> Result<Vec<u8>, EncodeError>;
}

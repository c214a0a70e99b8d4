//! What makes a new version: from a checkpoint of a training run, or by training again without some of the data.

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::fact::{Checkpoint, Measure};
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_core::terms::EffectClass;
use ripcord_core::time::{Millis, UnixMillis};

use crate::error::PortError;

/// What is to be produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProduceOrder {
    /// Unique for plan digest and rung, the same for every attempt: the run's own id in systems that take one. At most 64 characters of `a-z`, `0-9`, `-`.
    pub key: String,
    /// For which service.
    pub service: ServiceName,
    /// What from: a checkpoint, or data without some of its rows. Never a revision that exists already.
    pub target: Target,
    /// Of which incident: goes into the candidate's lineage.
    pub incident: IncidentId,
    /// Which plan was approved: the same.
    pub plan: Digest,
    /// After this the call must have returned. The run itself goes on.
    pub deadline: Millis,
}

/// A new version, in the registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// As the registry names it, with the digest of its artefact where the producer knows it.
    pub version: VersionTarget,
    /// What it was made of, and what was left out: counts, digests, the run. Sorted by name.
    pub made_of: Vec<Label>,
    /// Measured by whoever made it.
    pub measures: Vec<Measure>,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// There is no run with the order's key: starting it is safe.
    NotStarted,
    /// It goes on.
    Running {
        /// How far, for people; one line.
        text: String,
        /// When it began, where known.
        since: Option<UnixMillis>,
    },
    /// It has ended with this.
    Made(Candidate),
    /// It has ended without a candidate. The text says why, and what can be done.
    Failed(String),
    /// There was one, and the system knows nothing of it any more, or cannot tell what became of it: a person must.
    Lost(String),
}

/// What makes versions for one service.
///
/// A run is followed by its key: whoever calls holds nothing else of it, and may be another process than the one that started it.
#[async_trait]
pub trait Producer: Send + Sync {
    /// The adapter's name, such as `producer_command`.
    fn name(&self) -> &str;

    /// How an interrupted [`Self::start`] can be settled. With [`EffectClass::Idempotent`] it may be given again with the same key.
    fn class(&self) -> EffectClass;

    /// What a plan's steps say of it: addresses, programs, where the candidate is registered. No secrets.
    fn arguments(&self) -> Vec<Label>;

    /// Whether it can make something of such a target.
    fn makes(&self, target: &Target) -> bool;

    /// The same target with everything pinned that is still open, such as the digest of the checkpoint's files or of the data. What cannot be used is
    /// refused: a checkpoint without its files, a data set that an exclusion empties.
    async fn pinned(&self, target: &Target) -> Result<Target, PortError>;

    /// Why [`Self::pinned`] would refuse this checkpoint, as far as that shows without its files.
    fn objection(&self, _checkpoint: &Checkpoint) -> Option<String> {
        None
    }

    /// What [`Self::start`] sends for a pinned target, as it is known when a plan is made, and how what is made gets into the registry where it is this
    /// that registers it: pure, and from where `start` has it. None for a target that it makes nothing of.
    fn request(&self, target: &Target) -> Option<Request>;

    /// Starts a run with the order's key. It is no error that there is one already: it goes on. An error with [`crate::Applied::No`] promises that none was
    /// started.
    async fn start(&self, order: &ProduceOrder) -> Result<(), PortError>;

    /// How far the run with the order's key is, whoever started it. Asked every so often for hours, and after an interrupted start.
    async fn progress(&self, order: &ProduceOrder) -> Result<Progress, PortError>;

    /// Ends the run, where it goes on. What it has registered already stays. Repeating it is safe.
    async fn stop(&self, order: &ProduceOrder) -> Result<(), PortError>;

    /// What makes every run impossible, where that can be seen beforehand.
    async fn obstacle(&self) -> Option<String> {
        None
    }
}

/// Where the checkpoints of a service's training runs are kept.
#[async_trait]
pub trait Checkpoints: Send + Sync {
    /// The adapter's name, such as `checkpoints_folder`.
    fn name(&self) -> &str;

    /// Checkpoints of one run, or of all runs, newest first, at most `limit`. One that cannot be read is left out only with a word: see
    /// [`CheckpointList::unreadable`].
    async fn checkpoints(&self, run: Option<&str>, limit: u32) -> Result<CheckpointList, PortError>;
}

/// What a place of checkpoints holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CheckpointList {
    /// Newest first.
    pub checkpoints: Vec<Checkpoint>,
    /// What looks like a checkpoint and cannot be used, with the reason.
    pub unreadable: Vec<Label>,
}

//! What puts one facet beside the model back: a named configuration, or the fallback.

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::facet::FacetState;
use ripcord_core::name::{IncidentId, VersionName};
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::terms::EffectClass;
use ripcord_core::time::{Millis, UnixMillis};

use crate::deployer::{Probe, Shifted};
use crate::error::PortError;

/// One revision of a facet, as its history describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Its name: a commit, a number, a mode.
    pub revision: VersionName,
    /// Of its content, where the history knows it without fetching it.
    pub digest: Option<Digest>,
    /// When it was made, where known.
    pub made_at: Option<UnixMillis>,
    /// By whom, where known.
    pub made_by: Option<String>,
    /// What its author says of it; one line.
    pub summary: String,
    /// None if it can be restored as far as can be told without trying, else why not.
    pub broken: Option<String>,
}

/// What is in force, read from the service itself where it tells, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetLive {
    /// What is in force, not what is stored.
    pub state: FacetState<String>,
    /// When it was read.
    pub observed_at: UnixMillis,
}

/// What is to be put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOrder {
    /// Unique for plan digest, rung and step, the same for every attempt: passed on to systems that know idempotency keys.
    pub key: String,
    /// Which revision.
    pub revision: VersionName,
    /// Of its content: anything else is not restored.
    pub digest: Option<Digest>,
    /// What is in force now, as read just before; none where nobody knows.
    pub expecting: Option<VersionName>,
    /// Of which incident: goes into whatever record the system keeps of changes.
    pub incident: IncidentId,
    /// Which plan was approved: the same.
    pub plan: Digest,
    /// After this the call must have returned.
    pub deadline: Millis,
}

/// What puts one facet of one service back.
///
/// A restorer that stores a revision and does not have the service take it over has not restored it: [`Self::shift`] covers both, and
/// [`Self::in_force`] tells what the service itself works with.
#[async_trait]
pub trait Restorer: Send + Sync {
    /// The adapter's name, such as `restorer_file`.
    fn name(&self) -> &str;

    /// How an interrupted [`Self::shift`] can be settled.
    fn class(&self) -> EffectClass;

    /// What a plan's steps say of it: addresses, paths, how what is in force is proved. No secrets.
    fn arguments(&self) -> Vec<Label>;

    /// Where what it keeps lies, in a form of its own: two that say the same keep the same, so that whatever moves there moves for both services. None if
    /// that cannot be told. No secrets.
    fn kept_at(&self) -> Option<String> {
        None
    }

    /// Revisions, newest first, at most `limit`. Entries with the same content are one revision, named by the oldest of them: what was put back is then the
    /// revision that it was, and not the commit or copy that brought it back.
    async fn history(&self, limit: u32) -> Result<Vec<HistoryEntry>, PortError>;

    /// One revision. An unknown one is [`crate::ErrorKind::NotFound`].
    async fn revision(&self, revision: &VersionName) -> Result<HistoryEntry, PortError>;

    /// The revision's content, as it will be put in force: it is what a plan pins the digest of, and evidence. Content with another digest than
    /// `expecting` is [`crate::ErrorKind::WrongDigest`].
    async fn content(&self, revision: &VersionName, expecting: Option<Digest>) -> Result<Vec<u8>, PortError>;

    /// What is in force: from the service's own answer where it tells ([`Proof::Answer`](ripcord_core::live::Proof)), from its answers to golden data,
    /// else as the place where it is kept says ([`Proof::ControlPlane`](ripcord_core::live::Proof)). What is in force but is no revision of the history is
    /// [`FacetState::Unknown`]; a system that does not answer is an error.
    async fn in_force(&self) -> Result<FacetLive, PortError>;

    /// What [`Self::shift`] sends for the revision with this digest, as it is known when a plan is made: pure, and from where `shift` has it. None for one
    /// of which it knows without asking that it cannot be restored.
    fn request(&self, revision: &VersionName, digest: Option<Digest>) -> Option<Request>;

    /// Puts the revision in force, if what is in force is what the order expects; anything else is [`crate::ErrorKind::Conflict`], where the system can tell.
    /// That the revision is in force already, or was being put in force by this order, is no conflict: the order goes on. A broken revision and a wrong
    /// digest are refused first. An error with [`crate::Applied::No`] promises that nothing changed, neither what is stored nor what is in force.
    async fn shift(&self, order: &RestoreOrder) -> Result<Shifted, PortError>;

    /// Tells what became of an interrupted shift with this order's key.
    async fn probe(&self, order: &RestoreOrder) -> Result<Probe, PortError>;

    /// What makes every shift impossible, where that can be seen beforehand.
    async fn obstacle(&self) -> Option<String> {
        None
    }
}

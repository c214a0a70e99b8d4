//! Where versions of one model are kept.

use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::event::Alias;
use ripcord_core::fact::{Lineage, Measure};
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::target::{ArtefactFile, VersionTarget};
use ripcord_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, PortError};

/// One version as the registry describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegistryVersion {
    /// Its name; the digest where the registry itself gives or implies one.
    pub version: VersionTarget,
    /// When it was registered.
    pub created_at: UnixMillis,
    /// Names that point at it.
    pub aliases: Vec<String>,
    /// Sorted by name.
    pub tags: Vec<Label>,
    /// Of the training run, where logged.
    pub measures: Vec<Measure>,
    /// The input signature.
    pub signature: Option<String>,
    /// The serving image or runtime.
    pub runtime: Option<String>,
    /// None if the artefact can be fetched as far as the registry can tell without fetching it, else why not.
    pub broken: Option<String>,
}

/// A list of versions, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// At most as many as were asked for.
    pub versions: Vec<RegistryVersion>,
    /// When the registry gave it, where that is not now.
    pub listed_at: Option<UnixMillis>,
}

/// An artefact on this machine, every file checked.
#[derive(Debug, Clone)]
pub struct Staged {
    /// Holds just the artefact's files.
    pub dir: Arc<Dir>,
    /// All of them, sorted by path.
    pub files: Vec<ArtefactFile>,
    /// See [`ripcord_core::target::artefact_digest`].
    pub digest: Digest,
}

/// A mark on a version that other users of the registry can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark<'a> {
    /// The version was rolled back from: do not promote it.
    Held {
        /// By which incident.
        incident: &'a str,
    },
    /// The hold was lifted.
    Lifted,
}

/// Whether a rollback to a version needs the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtHand {
    /// Its artefact is on this machine, and every file is what it should be.
    Whole,
    /// It should be, and is not; why. Fetching it brings it there.
    Missing(String),
    /// There is no room for it: fetching it would take that of another one.
    NoRoom(String),
    /// Nothing is kept on this machine.
    NotKept,
}

/// A version that is to be registered.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// Of the order that made it: registering it again with the same key gives the version that is there already.
    pub key: String,
    /// What it should be called, where the registry lets its users choose. A registry that counts its versions does not take it.
    pub name: Option<VersionName>,
    /// Its files.
    pub artefact: Staged,
    /// The input signature, where known.
    pub signature: Option<String>,
    /// What it was made of.
    pub lineage: Lineage,
    /// Of its making.
    pub measures: Vec<Measure>,
}

/// Versions of one model.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The adapter's name, such as `registry_directory`.
    fn name(&self) -> &str;

    /// Where the model's versions are kept, in a form of its own: two that say the same are of one model in one registry. None if that cannot be told. No
    /// secrets.
    fn kept_at(&self) -> Option<String> {
        None
    }

    /// Versions, newest first, at most `limit`.
    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError>;

    /// The same for a decision, which may be about a list of some time ago where the registry does not answer.
    async fn listing(&self, limit: u32) -> Result<Listing, PortError> {
        Ok(Listing { versions: self.versions(limit).await?, listed_at: None })
    }

    /// One version. An unknown one is [`crate::ErrorKind::NotFound`].
    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError>;

    /// What the version was made of.
    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError>;

    /// The registry's own description of the version, verbatim: evidence.
    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError>;

    /// Whether the artefact is kept on this machine, whole. It asks nobody else, and checks each file at most every few hours.
    async fn at_hand(&self, version: &VersionTarget) -> Result<AtHand, PortError> {
        let _ = version;
        Ok(AtHand::NotKept)
    }

    /// Fetches the artefact into the empty folder `into` and checks every file the registry has a digest of. If `version` pins a digest
    /// and the fetched artefact has another, that is [`crate::ErrorKind::WrongDigest`].
    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError>;

    /// Writes a mark where the registry has a place for one. Idempotent.
    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError>;

    /// Registers a version, and gives no alias or stage to it. Files with their digests are there before the version can be seen. Repeating it with the same
    /// key is safe; a name that another version has is [`crate::ErrorKind::Conflict`]. A registry that takes none is [`crate::ErrorKind::Unsupported`].
    async fn register(&self, new: &NewVersion) -> Result<VersionTarget, PortError> {
        let text = format!("`{}` takes no version from here (run {})", self.name(), new.key);
        Err(PortError::not_applied(ErrorKind::Unsupported, text))
    }

    /// What [`Self::register`] does with what a run has made, as it is known when a plan is made: pure, and from where `register` has it. None where the
    /// registry takes none.
    fn request_to_register(&self) -> Option<Request>;

    /// The name that [`Self::promote`] moves, where there is one: such as `champion`.
    fn production_name(&self) -> Option<&str>;

    /// Its other names and what they point at now: aliases, stages. Neither the production name nor marks of this host are among them. A registry that has
    /// none, or tells them in its list alone, is [`crate::ErrorKind::Unsupported`].
    async fn aliases(&self) -> Result<Vec<Alias>, PortError> {
        let text = format!("`{}` tells its names for versions in its list alone", self.name());
        Err(PortError::not_applied(ErrorKind::Unsupported, text))
    }

    /// The version that the registry says is in production, where it has a name for that: an alias, a stage. None where that name points at
    /// nothing. A registry without one is [`crate::ErrorKind::Unsupported`].
    async fn promoted(&self) -> Result<Option<VersionName>, PortError> {
        Err(no_promotion(self.name()))
    }

    /// What [`Self::promote`] sends for the version, as it is known when a plan is made: pure, and from where `promote` has it. None where the registry
    /// has no name for what is in production.
    fn request_to_promote(&self, version: &VersionName) -> Option<Request>;

    /// Makes `version` the one that the registry says is in production, if that is `expecting` now, and reads it back. It is fine that it is `version`
    /// already; any other is [`crate::ErrorKind::Conflict`], and left alone. Repeating it is safe: the change is made only where it is not there yet.
    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        let _ = (version, expecting);
        Err(no_promotion(self.name()))
    }
}

fn no_promotion(name: &str) -> PortError {
    PortError::not_applied(
        ErrorKind::Unsupported,
        format!("`{name}` has no name for the version in production"),
    )
}

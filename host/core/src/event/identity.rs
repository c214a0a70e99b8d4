//! By what a version is known again: the digest of its artefact, and what it answers to the golden data.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::name::VersionName;

use super::FaultNature;

/// A version's artefact was fetched for its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pinned {
    /// Which.
    pub version: VersionName,
    /// What came of it.
    pub word: PinWord,
}

/// What a version answers to the golden data, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KnownFingerprint {
    /// Of what was sent: answers to other data say nothing.
    pub inputs: Digest,
    /// Of inputs and answers.
    pub answers: Digest,
}

/// A fingerprint of a good version was to be taken while it is live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fingerprinted {
    /// Which.
    pub version: VersionName,
    /// What came of it.
    pub word: FingerprintTaken,
}

/// What came of taking a fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FingerprintTaken {
    /// It was live before, after and in every answer that names a version.
    Taken(KnownFingerprint),
    /// It is not live, or not alone.
    NotLive,
    /// It could not be taken.
    Failed {
        /// Why.
        reason: BlobRef,
        /// Whether trying again makes sense.
        nature: FaultNature,
    },
}

/// What the answers to the golden data say of a target that seems to be live.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FingerprintWord {
    /// Nothing was compared: the target is not served, none is configured, or none of the target is known.
    #[default]
    NotCompared,
    /// It answers as it did when it was good.
    Same,
    /// It answers otherwise: it is not what its name says.
    Differs,
    /// It could not be compared; why.
    Failed(BlobRef),
}

/// What came of pinning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinWord {
    /// Of the whole artefact.
    Digest(Digest),
    /// It could not be fetched whole.
    Failed {
        /// Why.
        reason: BlobRef,
        /// Whether trying again makes sense.
        nature: FaultNature,
    },
}

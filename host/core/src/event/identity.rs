//! By what a version is known again.

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

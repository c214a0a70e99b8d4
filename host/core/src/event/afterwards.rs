//! Holds, and who was told.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::name::{IncidentId, VersionName};

/// A hold and the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldMarked {
    /// Of which version.
    pub version: VersionName,
    /// What was to be written: held by which incident; none is lifted.
    pub incident: Option<IncidentId>,
    /// None if it was written, else why not.
    pub failed: Option<BlobRef>,
}

/// People were told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announced {
    /// The announcement's id.
    pub id: String,
    /// None if every notifier took it, else which of them were given up and why.
    pub failed: Option<BlobRef>,
}

//! Revisions of training sets that are condemned, and what is live that descends from them.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::data::DataRevision;
use crate::name::{IncidentId, PersonName, VersionName};
use crate::time::UnixMillis;

/// A person condemned a data revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataCondemned {
    /// Which.
    pub data: DataRevision,
    /// Who.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
}

/// A person took that back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataLifted {
    /// Of which data revision.
    pub data: DataRevision,
    /// Since when it was condemned: a later condemnation is another one.
    pub since: UnixMillis,
    /// Who.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
}

/// The lineages of what is live were held against the condemned data. Only news is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveDataSeen {
    /// The incident that had ended last when it was looked.
    pub after: Option<IncidentId>,
    /// Each that is trained on such data, or may be.
    pub seen: Vec<LiveData>,
}

/// What a lineage says of a version that is live.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LiveData {
    /// Which.
    pub version: VersionName,
    /// What it was trained on that is condemned; none is that nobody knows what it was trained on.
    pub trained_on: Option<DataRevision>,
    /// Where not it itself was: whose weights it began with, each the next one's, down to the one that was trained on the data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<VersionName>,
}

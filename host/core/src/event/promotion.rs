//! The registry's name for the version in production.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::facet::Facet;
use crate::name::{IncidentId, VersionName};
use crate::request::Sent;
use crate::time::UnixMillis;

use super::{FaultNature, Observed, ObservedFacet};

/// What the registry says is in production.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InProduction {
    /// It has no name for that.
    #[default]
    Unsupported,
    /// Its name for that points at nothing.
    Nothing,
    /// This version.
    Version(VersionName),
    /// It could not be read; why.
    Unknown(BlobRef),
}

/// Production, while there is no incident. Only news is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProductionWatched {
    /// The incident that had ended last when it was looked: what was seen before a rollback says nothing after it.
    pub after: Option<IncidentId>,
    /// As observed.
    pub live: Observed,
    /// What is in force of the other facets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facets: Vec<ObservedFacet>,
    /// What the registry said is in production.
    pub in_production: InProduction,
    /// What could not be read for so long that people are to be told.
    #[serde(default)]
    pub unread: Vec<ProductionPart>,
    /// When all of it was read last before that, since the host has run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<UnixMillis>,
}

/// A part of production that is read by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProductionPart {
    /// What is live.
    Live,
    /// The registry's production name.
    Name,
    /// What is in force of this facet beside the model.
    Facet(Facet),
}

impl fmt::Display for ProductionPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("what is live"),
            Self::Name => f.write_str("the registry's production name"),
            Self::Facet(facet) => write!(f, "what is in force of `{facet}`"),
        }
    }
}

/// The registry's production name was to follow a rollback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promoted {
    /// For which incident.
    pub incident: IncidentId,
    /// What it was to point at.
    pub version: VersionName,
    /// What came of it.
    pub word: PromotionWord,
}

/// What came of a promotion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromotionWord {
    /// It was moved.
    Moved {
        /// What it pointed at; none is nothing.
        from: Option<VersionName>,
        /// What was sent, beside what was approved.
        request: Sent,
    },
    /// It pointed there already: somebody moved it, or this host did before it was interrupted.
    Already,
    /// Somebody had moved it elsewhere, so it was left: what it points at; none is nothing.
    Elsewhere(Option<VersionName>),
    /// The registry has no such name.
    Unsupported,
    /// It could not be moved, or nobody knows whether it was.
    Failed {
        /// For people.
        reason: BlobRef,
        /// Whether the same call may succeed later.
        nature: FaultNature,
    },
}

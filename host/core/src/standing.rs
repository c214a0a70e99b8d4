//! What a service thinks of a version.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The standing of a version for a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Never verified here.
    Unproven,
    /// A named person vouched.
    Attested,
    /// Verified here.
    KnownGood,
    /// Was known good, too long ago.
    Expired,
    /// Was rolled back from.
    Condemned,
    /// Condemned, and marked so that nobody promotes it again.
    Held,
    /// Withdrawn for compliance.
    Retired,
    /// Something that a newer release knows.
    Other(String),
}

impl Standing {
    /// Whether a rollback may go to a version of this standing.
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Attested | Self::KnownGood)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unproven => "unproven",
            Self::Attested => "attested",
            Self::KnownGood => "known good",
            Self::Expired => "expired",
            Self::Condemned => "condemned",
            Self::Held => "held",
            Self::Retired => "retired",
            Self::Other(name) => name,
        })
    }
}

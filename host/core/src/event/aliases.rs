//! What the registry's other names point at.

use serde::{Deserialize, Serialize};

use crate::name::VersionName;

/// A name other than the production name that the registry points at versions: an alias, a stage, an approval.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alias {
    /// As the registry has it.
    pub name: String,
    /// Sorted; an alias has one, a stage may have several.
    pub versions: Vec<VersionName>,
}

/// Another look at them than the last one. Only news is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AliasesSeen {
    /// All of them, sorted by name: what they are called, and what they point at. See [`crate::aliases::bounded`].
    pub aliases: Vec<Alias>,
}

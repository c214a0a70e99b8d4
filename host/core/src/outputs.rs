//! What a job without an endpoint leaves: each of its outputs was made by one version, and stays where others read it.

use serde::{Deserialize, Serialize};

use crate::name::VersionName;
use crate::time::UnixMillis;

/// One output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// As the job calls it.
    pub name: String,
    /// When it was whole.
    pub at: UnixMillis,
    /// By what it was made.
    pub version: VersionName,
}

/// What some versions have made and what is to be scored again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outputs {
    /// Oldest first; the list may be cut.
    pub made: Vec<Output>,
    /// How many there are, also those beyond the list.
    pub number: u32,
    /// When the first of them was made.
    #[serde(default)]
    pub first_at: Option<UnixMillis>,
    /// When the last one was.
    #[serde(default)]
    pub last_at: Option<UnixMillis>,
    /// When the first one by another version was made after that.
    #[serde(default)]
    pub next_at: Option<UnixMillis>,
    /// Outputs that do not say by what they were made.
    pub unreadable: u32,
    /// Old ones that were not looked at.
    pub not_looked_at: u32,
}

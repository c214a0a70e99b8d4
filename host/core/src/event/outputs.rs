//! What a job without an endpoint had left when its next output showed the target.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;

/// What the versions that were left have made, as listed with the read-back that shows the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputsListed {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// What came of listing them.
    pub word: OutputsWord,
}

/// What came of listing them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputsWord {
    /// JSON of [`crate::outputs::Outputs`].
    Listed(BlobRef),
    /// They could not be listed, and why.
    Failed(BlobRef),
}

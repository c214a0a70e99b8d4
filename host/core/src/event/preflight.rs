//! A rung's target, tried beside what is live before anything is shifted.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;

use super::FaultNature;

/// A candidate is about to be held beside what is live: from here on there may be one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreflightBegan {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// From one.
    pub round: u32,
}

/// The target was tried beside what is live, or could not be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preflighted {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// From one.
    pub round: u32,
    /// What came of it.
    pub word: PreflightWord,
    /// What was compared (JSON of [`crate::role::Finding`]s).
    pub findings: Option<BlobRef>,
}

/// What the host saw of a candidate. Where it fits, the verification policies judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreflightWord {
    /// It takes the inputs that it is to take, and answers as the target.
    Fits,
    /// It must not be shifted to; why.
    Unfit(BlobRef),
    /// It could not be tried.
    NotDone {
        /// Why.
        reason: BlobRef,
        /// Whether trying again makes sense.
        nature: FaultNature,
    },
}

/// The candidate was taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateCleared {
    /// None if it was, else why not.
    pub failed: Option<BlobRef>,
}

//! Whether the service is well again.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::facet::Revision;
use crate::time::UnixMillis;

use super::{Decision, MemoRef, Said};

/// A rung of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlannedRung {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
}

/// A wave of a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlannedWave {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// Counted from zero.
    pub wave: u32,
}

/// What verification policies are asked about, and trials are run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialPhase {
    /// The target of this rung, beside what is live.
    Preflight(PlannedRung),
    /// This rung, after it was shifted to.
    Rung(PlannedRung),
    /// What this wave has moved, while the rest serves what it served.
    Wave(PlannedWave),
    /// The version that someone else put live, seen first at this instant.
    Probation(UnixMillis),
}

/// A trial was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRan {
    /// For what.
    pub phase: TrialPhase,
    /// Round of the verification within it, from one.
    pub round: u32,
    /// Of the request's CBOR.
    pub request: Digest,
    /// The fact (CBOR of [`crate::fact::Fact`]).
    pub result: BlobRef,
}

/// A verification policy's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerificationWord {
    /// It is well.
    Healthy,
    /// It is not.
    Unhealthy,
    /// Ask again at this instant.
    Inconclusive(UnixMillis),
}

/// One verification policy that was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerificationAsked {
    /// The call.
    pub decision: Decision,
    /// What it said.
    pub said: Said<VerificationWord>,
    /// What it found (JSON).
    pub findings: Option<BlobRef>,
    /// What it remembers now.
    pub memo: Option<MemoRef>,
}

/// All verification policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerificationsAsked {
    /// About what.
    pub phase: TrialPhase,
    /// Within it, from one.
    pub round: u32,
    /// In the order of the configuration.
    pub asked: Vec<VerificationAsked>,
    /// For people: why an incident opens; given where what someone else put live is found unhealthy.
    #[serde(default)]
    pub cause: Option<BlobRef>,
    /// Given where all that say *unhealthy* asked only for values that tell of the time before the version was live as well: when they no longer do.
    #[serde(default)]
    pub own_from: Option<UnixMillis>,
    /// Of what someone else put live: what was in force of the facets beside the model before they were asked and after. What could not be read, or
    /// moved meanwhile, is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Revision>,
}

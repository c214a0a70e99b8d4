//! What the plans of an incident do: rungs, what was shifted to, and what read-back and verification have shown of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::incident::{Grant, Waiting};
use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::event::{FingerprintWord, Observed, ObservedFacet, TrialPhase};
use crate::live::Proof;
use crate::name::PolicyName;
use crate::target::Target;
use crate::terms::EffectClass;
use crate::time::UnixMillis;

/// What was done by the plans of an incident, and what came of it. Every plan starts at its own first rung; what was tried stays known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    /// Targets that were shifted to.
    pub tried: Vec<Target>,
    /// How many targets verification found unhealthy.
    pub unhealthy: u32,
    /// What was live when the target was read back.
    pub live_read_back: Option<Observed>,
    /// What the read-back that showed the last target has shown of the other facets.
    pub facets_read_back: Vec<ObservedFacet>,
    /// Trials run so far.
    pub trials: Vec<TrialDone>,
    /// What each verification policy found last.
    pub findings: BTreeMap<PolicyName, Found>,
    /// How the identity of what was read back last was proved.
    pub proof: Option<Proof>,
    /// What the answers to the golden data said of the rung that was read back last, where they were compared.
    pub fingerprint: Option<(u32, FingerprintWord)>,
}

/// A trial that need not be run again in its round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialDone {
    /// For what.
    pub phase: TrialPhase,
    /// Within it, from one.
    pub round: u32,
    /// Of the request's CBOR.
    pub request: Digest,
    /// The fact.
    pub result: BlobRef,
}

/// What a verification policy found last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// About what.
    pub phase: TrialPhase,
    /// JSON of [`crate::role::Finding`]s.
    pub findings: BlobRef,
}

/// Which step of which rung is next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Acting {
    /// Counted from zero.
    pub rung: u32,
    /// Its wave, counted from zero; zero where the plan moves at once.
    pub wave: u32,
    /// Shifts begun for this rung.
    pub attempts: u32,
    /// Of them, those of earlier waves.
    pub attempts_before: u32,
    /// When the first shift of this wave was begun.
    pub first_try_at: Option<UnixMillis>,
    /// Shifts begun for all rungs of this plan.
    pub begun: u32,
    /// Who agreed to what.
    pub grant: Grant,
    /// What the last guard has seen.
    pub guarded: Option<Observed>,
    /// What it has seen of the other facets.
    pub guarded_facets: Vec<ObservedFacet>,
    /// Rungs that this plan has shifted to.
    pub shifted: Vec<u32>,
    /// Whether the last look of the read-back showed the target, proved less strongly than is asked for.
    pub seems_served: bool,
    /// The step.
    pub step: StepState,
}

/// The step of a rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StepState {
    /// The artefact is fetched.
    Staging(Waiting),
    /// The target is tried beside what is live.
    Preflighting {
        /// When it was first due, and is due again.
        waiting: Waiting,
        /// From one.
        round: u32,
        /// What the host saw of it in this round.
        tried: Tried,
    },
    /// Live is read.
    Guarding(Waiting),
    /// The shift is made.
    Shifting(Shifting),
    /// Live is read until it is the target.
    ReadingBack {
        /// When the shift came back, or was found to have happened.
        since: UnixMillis,
    },
    /// After a wave that is not the last: it is waited, and then the verification policies are asked about what it moved.
    Looking {
        /// When the read-back showed it.
        shown_at: UnixMillis,
        /// When its pause is over, and it is looked at.
        since: UnixMillis,
        /// From one.
        round: u32,
        /// When it is due; none is now.
        due_at: Option<UnixMillis>,
    },
    /// The verification policies are asked.
    Verifying {
        /// When the read-back showed the target.
        since: UnixMillis,
        /// From one.
        round: u32,
        /// When they are due again; none is now.
        due_at: Option<UnixMillis>,
    },
}

/// What the host saw of a target in one round of its preflight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tried {
    /// Nothing yet.
    NotYet,
    /// It fits: the verification policies have the word.
    Fits,
}

/// How far a shift is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shifting {
    /// Counted from one.
    pub attempt: u32,
    /// When the guard let it pass.
    pub since: UnixMillis,
    /// Whether the intent was written.
    pub intent: Intent,
    /// When it is due; none is now.
    pub due_at: Option<UnixMillis>,
}

/// What is known of a shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// It was not begun.
    NotBegun,
    /// It was begun, and its outcome is not known.
    Began {
        /// The class of the deployer that it was ordered from. Another deployer's promise says nothing of this call.
        class: EffectClass,
    },
}

impl Intent {
    /// Whether the shift may have happened.
    pub const fn is_begun(self) -> bool {
        matches!(self, Self::Began { .. })
    }
}

impl Acting {
    /// Whether the pivot is behind: a shift of this plan was begun.
    pub fn is_past_pivot(&self) -> bool {
        !self.shifted.is_empty()
            || match self.step {
                StepState::Staging(_)
                | StepState::Preflighting { .. }
                | StepState::Guarding(_)
                | StepState::Looking { .. } => false,
                StepState::Shifting(shifting) => shifting.intent.is_begun(),
                StepState::ReadingBack { .. } | StepState::Verifying { .. } => true,
            }
    }
}

impl StepState {
    /// Whether what was shifted last is there, and nothing is under way.
    pub const fn is_read_back(&self) -> bool {
        matches!(self, Self::Looking { .. } | Self::Verifying { .. })
    }

    /// One word for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Staging(_) => "staging",
            Self::Preflighting { .. } => "preflighting",
            Self::Guarding(_) => "guarding",
            Self::Shifting(_) => "shifting",
            Self::ReadingBack { .. } => "reading back",
            Self::Looking { .. } => "between two waves",
            Self::Verifying { .. } => "verifying",
        }
    }
}

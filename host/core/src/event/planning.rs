//! What was found before a plan, and the plan.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::data::DataRevision;
use crate::digest::Digest;
use crate::facet::{Facet, FacetRead, Revision};
use crate::live::{LiveState, Share};
use crate::name::IncidentId;
use crate::plan::{ApprovedStep, Leaving, StepKind};
use crate::ratio::Ratio;
use crate::target::{Strategy, Target};
use crate::time::UnixMillis;
use crate::wave::{Moves, Wave, WaveOf};

use super::{Decision, FaultNature, InProduction};
use crate::signal::Origin;

/// What is live, without free text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// All that is served.
    Serving(Vec<Share>),
    /// It could not be read; why.
    Unknown(BlobRef),
}

/// What is in force of one facet beside the model, without free text.
pub type ObservedFacet = FacetRead<BlobRef>;

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceItem {
    /// Such as `request-log`.
    pub name: String,
    /// Of the content, which names its file in the evidence folder.
    pub digest: Digest,
    /// Its size.
    #[serde(with = "crate::time::text_u64")]
    pub bytes: u64,
}

/// One piece that could not be preserved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceGap {
    /// Such as `request-log`.
    pub name: String,
    /// Why.
    pub reason: BlobRef,
}

/// What was preserved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidencePreserved {
    /// For which incident.
    pub incident: IncidentId,
    /// What there is.
    pub items: Vec<EvidenceItem>,
    /// What there is not.
    pub missing: Vec<EvidenceGap>,
    /// What was live.
    pub live: Observed,
    /// What was in force of the other facets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facets: Vec<ObservedFacet>,
    /// What the registry said is in production, read at the same time.
    #[serde(default)]
    pub in_production: InProduction,
    /// What is known of the service before the shift (CBOR of the [`crate::fact::Fact`]s): the golden data through what is live.
    pub facts: Option<BlobRef>,
}

/// A plan in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanDrafted {
    /// All of it.
    pub content: BlobRef,
    /// What approvals are given to.
    pub digest: Digest,
    /// Within the incident, from one.
    pub number: u32,
    /// How.
    pub strategy: Strategy,
    /// The ladder.
    pub targets: Vec<Target>,
    /// The steps of each target. Nothing else is done for it.
    pub steps: Vec<Vec<ApprovedStep>>,
    /// What each rung is shifted in, the last wave included; none where it moves at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<Wave>,
    /// As observed when it was made.
    pub live: Observed,
    /// What was in force then of the other facets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facets: Vec<ObservedFacet>,
    /// What becomes of what is left.
    #[serde(default)]
    pub leaving: Leaving,
    /// Data revisions that are condemned once what it leads to is in place and verified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub condemns_data: Vec<DataRevision>,
    /// How often data had been condemned when it was made: a target may descend from what was condemned since.
    #[serde(default)]
    pub condemnations_known: u32,
    /// What its steps are carried out with: [`Terms::equipment`](crate::terms::Terms::equipment) when it was made.
    pub equipment: Digest,
    /// Whether versions are tried beside what is live before they are shifted to.
    #[serde(default)]
    pub preflighted: bool,
    /// When it expires.
    pub expires_at: UnixMillis,
}

impl PlanDrafted {
    /// Whether it makes a version and shifts nothing.
    pub fn produces(&self) -> bool {
        self.targets.first().is_some_and(Target::is_produced)
    }

    fn step(&self, rung: u32, wave: u32, kind: StepKind) -> Option<&ApprovedStep> {
        let wave = (kind.is_of_wave() && !self.waves.is_empty()).then_some(wave);
        self.steps.get(rung as usize)?.iter().find(|step| step.kind == kind && step.wave == wave)
    }

    /// Whether people have agreed to the step, in this wave where each has one. One that sends something is agreed to with the digest of that.
    pub fn lists(&self, rung: u32, wave: u32, kind: StepKind) -> bool {
        self.step(rung, wave, kind).is_some_and(|step| step.request.is_some() || !kind.sends())
    }

    /// The digest of the request that people have agreed to, of a step that sends one, in this wave where each has one.
    pub fn request(&self, rung: u32, wave: u32, kind: StepKind) -> Option<Digest> {
        self.step(rung, wave, kind)?.request
    }

    /// What the wave moves: everything where the plan moves at once.
    pub fn moves(&self, wave: u32) -> &Moves {
        self.waves.get(wave as usize).map_or(&Moves::Rest, |wave| &wave.moves)
    }

    /// The number of the last wave.
    pub fn last_wave(&self) -> u32 {
        u32::try_from(self.waves.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The wave for people and adapters; none where the plan moves at once.
    pub fn wave(&self, wave: u32) -> Option<WaveOf> {
        let moves = self.waves.get(wave as usize)?.moves.clone();
        Some(WaveOf { number: wave, of: self.last_wave().saturating_add(1), moves })
    }

    /// What was in force of the target's facet when the plan was made.
    pub fn serves_of(&self, target: &Target) -> Vec<Revision> {
        match (target.facet(), &self.live) {
            (Some(Facet::Model), Observed::Serving(shares)) => {
                shares.iter().map(|share| Revision::of_model(&share.version.version)).collect()
            }
            (Some(Facet::Model), Observed::Unknown(_)) | (None, _) => Vec::new(),
            (Some(facet), _) => {
                let read = self.facets.iter().filter(|read| read.facet == facet);
                read.filter_map(FacetRead::revision).collect()
            }
        }
    }
}

/// What planning gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanWord {
    /// A plan.
    Drafted(PlanDrafted),
    /// There is nothing to go back to; why each was refused.
    NothingSuitable(BlobRef),
    /// Going back does not take the cause away.
    WillNotHelp {
        /// For people: what the cause is instead.
        reason: BlobRef,
        /// For people: who can help, where the planner knows.
        hand_over_to: Option<BlobRef>,
    },
    /// The planner faulted, or the registry did not answer; why.
    Failed {
        /// For people.
        reason: BlobRef,
        /// Whether trying again makes sense.
        nature: FaultNature,
    },
}

/// The planner was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// For which incident.
    pub incident: IncidentId,
    /// The number that the plan has, or would have had.
    pub number: u32,
    /// What a person asked for when it was made; none left it to the planner.
    pub wanted: Option<Target>,
    /// Who had asked when it was made: the plan names them.
    pub requested_by: Vec<Origin>,
    /// None where a person named the target.
    pub decision: Option<Decision>,
    /// For people: targets that the planner chose and the plan leaves out, and why.
    #[serde(default)]
    pub left_out: Option<BlobRef>,
    /// What the planner suspects, most likely first: at most [`SUSPECTS_MAX`](crate::role::SUSPECTS_MAX). None where it ranks nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspects: Option<BlobRef>,
    /// How sure the planner is that the first target takes the cause away; none where it does not say or chose nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Ratio>,
    /// The result.
    pub word: PlanWord,
}

impl Observed {
    /// The same as a live state; the reason of an unknown one is not repeated.
    pub fn state(&self) -> LiveState {
        match self {
            Self::Serving(shares) => LiveState::Serving(shares.clone()),
            Self::Unknown(_) => LiveState::Unknown("it could not be read".into()),
        }
    }
}

/// What would be sent for a step is not what was approved, so nothing of it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestChanged {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// Which step.
    pub step: StepKind,
    /// Of the request that people have agreed to.
    pub approved: Digest,
    /// Of what would be sent now; none where nothing is configured any more that would send it.
    pub now: Option<Digest>,
}

/// The plan at hand cannot be read as it was made, so nothing of it may be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanLost {
    /// Which.
    pub plan: Digest,
    /// How.
    pub loss: PlanLoss,
}

/// How a plan's content was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanLoss {
    /// It was erased.
    Erased,
    /// It does not have the digest that approvals are given to, or not the targets that the journal names.
    Changed,
}

impl PlanLoss {
    /// For people, after *the plan's content*.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Erased => "was erased",
            Self::Changed => "was changed after it was made",
        }
    }
}

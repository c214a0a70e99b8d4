//! What people ask a host to do, and what it answers.

use ripcord_core::data::DataRevision;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Happened, PendingPlan};
use ripcord_core::facet::Revision;
use ripcord_core::name::{IncidentId, PersonName, ServiceName};
use ripcord_core::plan::Leaving;
use ripcord_core::role::Urgency;
use ripcord_core::target::{CheckpointTarget, Exclusion, RetrainTarget, Target};
use ripcord_core::votes::Nonce;
use ripcord_engine::PullTo;
use serde::{Deserialize, Serialize};

/// Names of runs, data sets, sources and rows are no longer.
const NAME_CHARS_MAX: usize = 200;

/// `POST services/{service}/pull`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullBody {
    /// A version, `NAME=REVISION` of a configuration, or `fallback=MODE`; none leaves it to the planner.
    #[serde(default)]
    pub to: Option<Revision>,
    /// In place of `to`: a version is made of this checkpoint first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointBody>,
    /// In place of `to`: the model is trained again first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrain: Option<RetrainBody>,
    /// Why.
    pub reason: String,
    /// How fast; routine if not given.
    #[serde(default)]
    pub urgency: Option<Urgency>,
    /// The open incident that it is to join; none joins whichever is open, or opens one.
    #[serde(default)]
    pub incident: Option<IncidentId>,
    /// What becomes of the versions that are left; condemned if not given.
    #[serde(default)]
    pub leaving: Leaving,
    /// What becomes of a plan that waits already; it stays, and the pull is refused, if not given.
    #[serde(default)]
    pub pending: PendingPlan,
    /// Evidence is not waited for. The plan still has to be granted: by breaking the glass, or as any other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
}

/// A checkpoint of a training run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointBody {
    /// The training run.
    pub run: String,
    /// Optimiser steps since its start.
    pub step: u64,
}

/// Training again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrainBody {
    /// The data set's name.
    pub dataset: String,
    /// Its revision; empty leaves it to whoever trains.
    #[serde(default)]
    pub revision: String,
    /// What is left out.
    #[serde(default)]
    pub exclude: Vec<Exclusion>,
}

impl PullBody {
    /// Where to; none leaves it to the planner. The error says what the body cannot mean.
    pub(crate) fn target(&self) -> Result<Option<PullTo>, String> {
        let named = |text: &str| !text.trim().is_empty() && text.chars().count() <= NAME_CHARS_MAX;
        match (&self.to, &self.checkpoint, &self.retrain) {
            (to, None, None) => Ok(to.clone().map(PullTo::Revision)),
            (None, Some(CheckpointBody { run, step }), None) if named(run) => {
                let (run, step) = (run.clone(), *step);
                Ok(Some(PullTo::Made(Target::Checkpoint(CheckpointTarget { run, step, digest: None }))))
            }
            (None, None, Some(RetrainBody { dataset, revision, exclude }))
                if named(dataset) && (revision.is_empty() || named(revision)) =>
            {
                if let Some(problem) = exclude.iter().find_map(Exclusion::problem) {
                    return Err(problem);
                }
                let (dataset, revision) = (dataset.clone(), revision.clone());
                let exclude = exclude.clone();
                Ok(Some(PullTo::Made(Target::Retrain(RetrainTarget { dataset, revision, exclude }))))
            }
            (None, Some(_), None) => {
                Err("a checkpoint wants the name of its run, of at most 200 characters".to_owned())
            }
            (None, None, Some(_)) => {
                Err("training wants the name of a data set, of at most 200 characters".to_owned())
            }
            _ => Err("keep one of `to`, `checkpoint` and `retrain`: a plan goes to one of them".to_owned()),
        }
    }
}

/// `POST incidents/{id}/approve` and `…/refuse`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteBody {
    /// The plan's digest: a vote for another plan than the one at hand does not count.
    pub plan: Digest,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Over [`ripcord_core::plan::VoteStatement::signed_text`]: by an Ed25519 key, in hexadecimal, or an SSH signature of the namespace `ripcord-vote`, as
    /// `ssh-keygen -Y sign` writes it; none is a vote by token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// That was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Nonce>,
    /// Who signed, where the request carries no token: the signature says it.
    #[serde(default)]
    pub person: Option<PersonName>,
    /// Alone and at once, in place of floor and policies. Takes a reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
}

/// Any command that needs only a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    /// Why.
    pub reason: String,
}

/// `POST incidents/{id}/answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerBody {
    /// Whether the interrupted shift happened.
    pub happened: Happened,
    /// Which of the incident's questions it answers, counted from one; the first if not given.
    #[serde(default = "first")]
    pub question: u32,
    /// How the person knows.
    pub reason: String,
}

const fn first() -> u32 {
    1
}

/// `POST services/{service}/holds/{revision}/lift`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiftBody {
    /// The incident that condemned it; none is whichever did. With it, a hold of another incident is not lifted.
    #[serde(default)]
    pub incident: Option<IncidentId>,
    /// Why.
    pub reason: String,
}

/// `POST services/{service}/data/condemn` and `…/data/lift`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataBody {
    /// Which: `DATASET@REVISION`.
    pub data: DataRevision,
    /// Why.
    pub reason: String,
}

/// `POST services/{service}/adopt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptBody {
    /// A version, or `NAME=REVISION` of a configuration; none is the version that is live.
    #[serde(default)]
    pub revision: Option<Revision>,
    /// Why the person vouches.
    pub reason: String,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The open incident, or the one that the command ended.
    pub incident: Option<IncidentId>,
    /// One sentence.
    pub text: String,
}

/// What became of a command to one of all services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneOne {
    /// Which service.
    pub service: ServiceName,
    /// Whether the service is now as asked.
    pub done: bool,
    /// One sentence.
    pub text: String,
}

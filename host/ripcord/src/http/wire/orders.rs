//! What people ask a host to do, and what it answers.

use ripcord_core::digest::Digest;
use ripcord_core::event::{Happened, PendingPlan};
use ripcord_core::facet::Revision;
use ripcord_core::name::{IncidentId, PersonName, ServiceName};
use ripcord_core::plan::Leaving;
use ripcord_core::role::Urgency;
use serde::{Deserialize, Serialize};

/// `POST services/{service}/pull`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullBody {
    /// A version, `NAME=REVISION` of a configuration, or `fallback=MODE`; none leaves it to the planner.
    #[serde(default)]
    pub to: Option<Revision>,
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
    /// Ed25519 over [`ripcord_core::plan::VoteStatement::signed_bytes`], in hexadecimal; none is a vote by token.
    #[serde(default)]
    pub signature: Option<String>,
    /// The key, in hexadecimal; it must be the person's configured one.
    #[serde(default)]
    pub public_key: Option<String>,
    /// Who signed, where the request carries no token: the signature says it.
    #[serde(default)]
    pub person: Option<PersonName>,
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

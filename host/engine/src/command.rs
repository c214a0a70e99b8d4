//! What people can ask of a service.

use ripcord_core::data::DataRevision;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Happened, PendingPlan};
use ripcord_core::facet::Revision;
use ripcord_core::name::{IncidentId, PersonName, PolicyName, RoleName, ServiceName};
use ripcord_core::plan::{Leaving, VoteKind};
use ripcord_core::role::Urgency;
use ripcord_core::service::Illegal;
use ripcord_core::set::SetIllegal;
use ripcord_core::target::Target;
use ripcord_core::votes::Nonce;
use ripcord_ports::PortError;
use ripcord_ports::store::StoreError;

/// A person, authenticated by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// As configured.
    pub name: PersonName,
    /// At this time.
    pub roles: Vec<RoleName>,
}

/// A person's word on a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// On which plan.
    pub plan: Digest,
    /// Approved or refused.
    pub granted: bool,
    /// How it was given.
    pub kind: VoteKind,
    /// With what, where it was signed; checked by the caller.
    pub signed: Option<SignedBallot>,
}

/// What a vote was signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBallot {
    /// Of the public key.
    pub key: Digest,
    /// Of the statement.
    pub nonce: Nonce,
    /// The statement and the signature with its key, as they are kept.
    pub text: String,
}

/// What a person wants to go back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullTo {
    /// A revision that there is.
    Revision(Revision),
    /// A version that is made of this first: of a checkpoint, or of mended data.
    Made(Target),
}

impl From<Revision> for PullTo {
    fn from(revision: Revision) -> Self {
        Self::Revision(revision)
    }
}

/// What a person asks of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Roll back, to this revision or where the planner says.
    Pull {
        /// None leaves it to the planner.
        to: Option<PullTo>,
        /// How fast.
        urgency: Urgency,
        /// What becomes of what is left.
        leaving: Leaving,
        /// What becomes of a plan that waits already.
        pending: PendingPlan,
        /// Evidence is not waited for.
        break_glass: bool,
    },
    /// Approve or refuse the plan at hand.
    Vote(Ballot),
    /// Stop the incident before the pivot.
    Abort,
    /// It is none, or it is settled.
    Dismiss,
    /// Stop all acting.
    Pause,
    /// Let it go on.
    Resume,
    /// What was done in an incident by breaking the glass was looked at.
    CloseReview(IncidentId),
    /// Keep an incident's content, however old it becomes.
    Keep(IncidentId),
    /// Keep it no longer than others.
    Release(IncidentId),
    /// Lift a hold.
    LiftHold(Revision),
    /// Condemn a data revision, and so what is trained on it.
    CondemnData(DataRevision),
    /// Take that back.
    LiftData(DataRevision),
    /// Let a trigger open incidents again.
    LiftLatch(PolicyName),
    /// End the run that an incident ordered.
    StopRun,
    /// Vouch for a revision; none is the version that is live.
    Adopt(Option<Revision>),
    /// Say whether an interrupted shift happened.
    Answer {
        /// Whether it did.
        applied: Happened,
        /// Which of the incident's questions, counted from one.
        question: u32,
    },
}

/// A command to one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Who.
    pub person: Person,
    /// What.
    pub ask: Ask,
    /// Why.
    pub reason: String,
    /// The incident that it is about, of a hold the one that condemned the version; none is the one of the state that is found. A word on another
    /// incident is refused.
    pub incident: Option<IncidentId>,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obeyed {
    /// The open incident, or the one that the command ended.
    pub incident: Option<IncidentId>,
    /// One sentence for the person.
    pub text: String,
}

/// Why a command was not obeyed. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No such service.
    #[error("there is no service `{0}`; `ripcord status` lists all")]
    UnknownService(String),
    /// Its journal cannot be read.
    #[error("nothing can be done for `{0}`: {1}")]
    SetAside(ServiceName, String),
    /// It cannot happen now.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// No such set.
    #[error("there is no set `{0}`; `ripcord sets` lists all")]
    UnknownSet(String),
    /// It cannot happen to the set now.
    #[error(transparent)]
    Set(#[from] SetIllegal),
    /// The registry or the deployer said no.
    #[error(transparent)]
    Port(#[from] PortError),
    /// What is live is not one version.
    #[error("what is live is {0}: name the version that you vouch for")]
    NotOneVersion(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host is stopping.
    #[error("the host is stopping; try again when it is back")]
    Stopping,
}

//! Who agreed.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::name::IncidentId;
use crate::plan::{Quorum, Vote};
use crate::time::UnixMillis;
use crate::votes::Nonce;

use super::{Decision, Said};

/// An approval policy's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalWord {
    /// Enough people agree.
    Granted,
    /// Not yet.
    Waiting {
        /// All of these.
        quorums: Vec<Quorum>,
        /// Then the plan expires.
        expires_at: UnixMillis,
        /// When to call for more people.
        escalate_at: Option<UnixMillis>,
        /// Whom.
        escalate_to: Option<BlobRef>,
    },
    /// It must not be done.
    Refused(BlobRef),
}

/// One approval policy that was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalAsked {
    /// The call.
    pub decision: Decision,
    /// What it said.
    pub said: Said<ApprovalWord>,
}

/// All approval policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalsAsked {
    /// About which plan.
    pub plan: Digest,
    /// What they were asked: the votes that count and the time that is left, see [`Service::ballot`](crate::service::Service::ballot).
    pub ballot: Digest,
    /// In the order of the configuration.
    pub asked: Vec<ApprovalAsked>,
}

/// What a vote was signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Of the statement: no other vote on this plan has it.
    pub nonce: Nonce,
    /// What was signed, and the signature with its public key: enough for anybody to check it.
    pub signature: BlobRef,
}

/// A person's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Voted {
    /// Of which incident.
    pub incident: IncidentId,
    /// On which plan.
    pub plan: Digest,
    /// Who and what.
    pub vote: Vote,
    /// With what, where it was signed.
    pub signed: Option<Signed>,
    /// What they wrote.
    pub reason: Option<BlobRef>,
}

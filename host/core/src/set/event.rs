//! What happened to a set. Stored, never changed. Free content stands behind [`BlobRef`]s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::event::{Announced, FaultNature, PartEnd, PlanDrafted, Pruned, Voted, Way};
use crate::facet::Revision;
use crate::name::{IncidentId, PersonName, ServiceName, SetId};
use crate::plan::Quorum;
use crate::service::Hindrance;
use crate::target::Target;
use crate::time::{Millis, UnixMillis};

use super::terms::SetTerms;

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetEvent {
    /// The effective configuration, at start and at every change.
    Configured(SetConfigured),
    /// A person asked for a run, or, where a part failed, for other targets.
    Asked(SetAsked),
    /// A member is about to be enlisted.
    EnlistBegan(OfMember),
    /// It is.
    Enlisted(MemberEnlisted),
    /// It is not: the run ends.
    NotEnlisted(MemberHindered),
    /// Something came between a member and its part.
    MemberLost(MemberHindered),
    /// The plan was made.
    Drafted(SetDrafted),
    /// It could not be made.
    NotDrafted(SetNotDrafted),
    /// A person's word on the plan; its incident is [`SetId::as_incident`].
    Voted(Voted),
    /// A part is about to be given to its member.
    PartBegan(OfPart),
    /// The member has it.
    PartGiven(OfPart),
    /// It is over.
    PartEnded(PartEnded),
    /// A member needs to be told nothing more of the run.
    MemberReleased(OfMember),
    /// A person stopped the run before its first part.
    Aborted(AboutRun),
    /// A person ended the run as it is.
    Dismissed(AboutRun),
    /// Old content was erased.
    Pruned(Pruned),
    /// People were told, or a notifier was given up.
    Announced(Announced),
    /// An instant that was waited for has come.
    Woke,
    /// The host's clock jumped forward; every deadline moves with it.
    ClockJumped {
        /// How far.
        by: Millis,
    },
}

/// The effective configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetConfigured {
    /// What transitions depend on.
    pub terms: SetTerms,
    /// All of it.
    pub configuration: BlobRef,
    /// Of its canonical JSON: tells whether it changed.
    pub digest: Digest,
    /// The host's release.
    pub host_version: String,
}

/// A person wants the set moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetAsked {
    /// The run that it is about; none begins one.
    pub run: Option<SetId>,
    /// Who.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
    /// Where to. A member without a target stays as it is.
    pub targets: BTreeMap<ServiceName, Target>,
}

/// About one member of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfMember {
    /// Which run.
    pub run: SetId,
    /// Which member.
    pub member: ServiceName,
}

/// A member that is enlisted, as it was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberEnlisted {
    /// Which run.
    pub run: SetId,
    /// Which member.
    pub member: ServiceName,
    /// Its incident that stands for the run.
    pub incident: IncidentId,
    /// What is live of it, and in force of its other facets; nothing where that could not be read.
    pub serving: Vec<Revision>,
    /// Of what its steps are carried out with: [`Terms::equipment`](crate::terms::Terms::equipment).
    pub equipment: Digest,
    /// Who must agree when it moves.
    pub floor: Vec<Quorum>,
}

/// What hinders a member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberHindered {
    /// Which run.
    pub run: SetId,
    /// Which member.
    pub member: ServiceName,
    /// What.
    pub why: Hindrance,
}

/// The set's plan in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetDrafted {
    /// Which run.
    pub run: SetId,
    /// All of it, with every part.
    pub content: BlobRef,
    /// What approvals are given to.
    pub digest: Digest,
    /// Within the run, from one.
    pub number: u32,
    /// One for each member that is to move, in the order of the run's members.
    pub parts: Vec<SetPart>,
    /// When it expires.
    pub expires_at: UnixMillis,
}

/// What is done to one member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetPart {
    /// Which.
    pub member: ServiceName,
    /// Its target, and after it what it goes back to where another part fails. It has the digest of the whole plan, and refers to its content in the
    /// set's journal.
    pub part: PlanDrafted,
}

/// No plan could be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetNotDrafted {
    /// Which run.
    pub run: SetId,
    /// The number that the plan would have had.
    pub number: u32,
    /// For people.
    pub reason: BlobRef,
    /// Whether trying again makes sense.
    pub nature: FaultNature,
}

/// About one part of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfPart {
    /// Which run.
    pub run: SetId,
    /// Whose.
    pub member: ServiceName,
    /// Of which plan.
    pub number: u32,
    /// Which way.
    pub way: Way,
}

/// A part is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartEnded {
    /// Which.
    pub part: OfPart,
    /// How.
    pub end: PartEnd,
    /// What hindered it, where it was never given; else the member's incident says why.
    pub hindered: Option<Hindrance>,
}

/// A person's command about a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AboutRun {
    /// Which.
    pub run: SetId,
    /// Who.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
}

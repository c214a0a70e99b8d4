//! Signals, what triggers said of them, and what people asked for.

use serde::{Deserialize, Serialize};

use crate::alert::{AlertKey, AlertWord};
use crate::blob::BlobRef;
use crate::name::{IncidentId, PersonName, PolicyName, RoleName, SignalId};
use crate::plan::Leaving;
use crate::role::Urgency;
use crate::target::{Strategy, Target};
use crate::time::UnixMillis;

use super::{Decision, MemoRef, Said};

/// A group of signals in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalsTaken {
    /// How many.
    pub signals: u32,
    /// All of them (JSON list of [`crate::signal::Signal`]), in the order in which they were taken in.
    pub content: BlobRef,
    /// The alerts that they are about, each with its newest word.
    pub alerts: Vec<AlertWord>,
}

/// Signals that were taken in and cannot be read: they are kept in the intake, and no trigger is asked about them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalsSetAside {
    /// Which.
    pub signals: Vec<SignalId>,
    /// Why, a line each.
    pub why: BlobRef,
}

/// A trigger's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerWord {
    /// No reason.
    Ignore,
    /// Ask again at this instant.
    Watch(UnixMillis),
    /// A reason.
    RollBack(Reason),
    /// The reason is gone.
    StandDown(BlobRef),
}

/// A reason to roll back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// For people.
    pub cause: BlobRef,
    /// What would help.
    pub strategy: Strategy,
    /// How fast.
    pub urgency: Urgency,
    /// When it began, where known.
    pub harm_began_at: Option<UnixMillis>,
    /// What the trigger knew (CBOR of the [`crate::fact::Fact`]s); none for a person.
    pub facts: Option<BlobRef>,
}

/// One trigger that was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerAsked {
    /// The call.
    pub decision: Decision,
    /// What it said.
    pub said: Said<TriggerWord>,
    /// What it remembers now; none leaves nothing. A fault keeps the old.
    pub memo: Option<MemoRef>,
    /// Alerts that it faulted on: what it said is about the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<AlertKey>,
    /// How many alerts were not asked about, because the search for these has a bound: it is asked again at once.
    #[serde(default)]
    pub left: u32,
    /// The calls by which these were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub searched: Vec<Decision>,
}

/// All triggers, asked about the same alerts at the same instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggersAsked {
    /// They were asked about all words up to this one that waited ([`crate::service::Alert::order`]).
    pub up_to: u64,
    /// How many words there were when they were asked.
    pub seen: u64,
    /// The incident that was open then: what they said is about it, or about none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// In the order of the configuration.
    pub asked: Vec<TriggerAsked>,
}

/// A person's wish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PullRequested {
    /// The open incident that the pull joins; none opens one.
    pub incident: Option<IncidentId>,
    /// Who.
    pub person: PersonName,
    /// Their roles at the time.
    pub roles: Vec<RoleName>,
    /// Where to; none leaves it to the planner.
    pub target: Option<Target>,
    /// Why.
    pub reason: BlobRef,
    /// How fast.
    pub urgency: Urgency,
    /// What becomes of what is left.
    #[serde(default)]
    pub leaving: Leaving,
    /// What becomes of a plan that waits already.
    #[serde(default)]
    pub pending: PendingPlan,
    /// The person breaks the glass: evidence is not waited for.
    #[serde(default)]
    pub break_glass: bool,
}

/// What a pull does to a plan that was made before it and has shifted nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PendingPlan {
    /// It stays, and the pull is refused.
    #[default]
    Keep,
    /// It is thrown away, with the votes for it.
    Replace,
}

/// A person let a trigger open incidents again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatchLifted {
    /// Which trigger.
    pub trigger: PolicyName,
    /// The incident whose end it is latched by.
    pub incident: IncidentId,
    /// Who.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
}

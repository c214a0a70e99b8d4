//! Signals, what triggers said of them, and what people asked for.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::name::{IncidentId, PersonName, RoleName, SignalId};
use crate::role::Urgency;
use crate::signal::{Origin, Severity, SignalStatus};
use crate::target::{Strategy, Target};
use crate::time::UnixMillis;

use super::{Decision, MemoRef, Said};

/// A signal in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalTaken {
    /// Which.
    pub signal: SignalId,
    /// Where it came from.
    pub origin: Origin,
    /// Whether the alert holds.
    pub status: SignalStatus,
    /// How bad it is.
    pub severity: Severity,
    /// When the alert began.
    pub started_at: UnixMillis,
    /// When it was taken in.
    pub received_at: UnixMillis,
    /// All of it.
    pub content: BlobRef,
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
}

/// All triggers, asked about the same signals at the same instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggersAsked {
    /// The signals they were given.
    pub signals: Vec<SignalId>,
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
}

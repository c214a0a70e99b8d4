//! A decision as it is kept: everything that is needed to make it again, in deterministic CBOR.

use ciborium::Value;
use ripcord_core::blob::BlobRef;
use ripcord_core::canonical::{self, DecodeError, EncodeError};
use ripcord_core::digest::Digest;
use ripcord_core::fact::FactKind;
use ripcord_core::policy::{PolicyRef, Role};
use serde::{Deserialize, Serialize};

use crate::alerts::{SignalsError, StoredAlerts};
use crate::engine::EngineId;
use crate::fault::Fault;
use crate::limits::Limits;
use crate::state::LogLine;
use crate::values::{self, Taking, ValueError};

/// The format that this release writes.
pub const RECORDING_FORMAT: u32 = 3;

/// A recording that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// Not a recording, or a damaged one.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Written by another release.
    #[error(
        "the recording has format {0}, and this release reads {RECORDING_FORMAT}; use the release that wrote it or a newer one"
    )]
    Format(u32),
    /// The component is another one.
    #[error("the recording is of {recorded} (sha-256 {}), and {given} (sha-256 {}) was given; give the component with the recorded digest", recorded.digest, given.digest)]
    OtherPolicy {
        /// Which made the decision.
        recorded: Box<PolicyRef>,
        /// Which was given.
        given: Box<PolicyRef>,
    },
    /// The question does not fit the contract that the recording names.
    #[error(
        "the recorded question does not fit contract version {contract}: {message}; the recording was changed after it was written"
    )]
    Question {
        /// Of the contract.
        contract: String,
        /// What differs.
        message: String,
    },
    /// It cannot be written again.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The signals that it refers to are not what they were.
    #[error(transparent)]
    Signals(#[from] SignalsError),
    /// The value of a fact that it refers to is not what it was.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// No such fact.
    #[error("the recording holds no fact `{0}`")]
    NoSuchFact(String),
}

/// What a recording says beside the guest's own words.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) contract: String,
    pub(crate) policy: PolicyRef,
    pub(crate) engine: EngineId,
    pub(crate) limits: Limits,
    pub(crate) granted: Vec<FactKind>,
    pub(crate) role: Role,
    pub(crate) alerts: Option<StoredAlerts>,
}

/// What one round cost.
#[derive(Debug, Clone)]
pub(crate) struct Spent {
    pub(crate) facts: u32,
    pub(crate) fuel: u64,
    pub(crate) log: Vec<LogLine>,
}

/// The stored form. `Q`, `R` and `A` are question, request and answer in the guest's contract version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stored<Q, R, A> {
    pub(crate) format: u32,
    pub(crate) contract: String,
    pub(crate) policy: PolicyRef,
    pub(crate) engine: EngineId,
    pub(crate) limits: Limits,
    pub(crate) granted: Vec<FactKind>,
    pub(crate) role: Role,
    /// What the question refers to instead of holding it.
    pub(crate) alerts: Option<StoredAlerts>,
    pub(crate) question: Q,
    pub(crate) rounds: Vec<StoredRound<R>>,
    pub(crate) end: StoredEnd<A>,
    /// Ids of facts whose values were erased.
    pub(crate) pruned: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredRound<R> {
    pub(crate) facts: u32,
    pub(crate) fuel: u64,
    pub(crate) requests: Vec<R>,
    pub(crate) log: Vec<LogLine>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StoredEnd<A> {
    Done(A),
    Fault(Fault),
}

/// The stored form with the guest's words undecoded.
pub(crate) type AnyStored = Stored<Value, Value, Value>;

impl<Q, R, A> Stored<Q, R, A> {
    /// Joins what the host and what the contract version know of a decision. `requests` has an entry for each round.
    pub(crate) fn new(
        header: &Header,
        question: Q,
        requests: impl IntoIterator<Item = Vec<R>>,
        rounds: &[Spent],
        end: StoredEnd<A>,
    ) -> Self {
        let header = header.clone();
        let rounds = rounds
            .iter()
            .cloned()
            .zip(requests)
            .map(|(Spent { facts, fuel, log }, requests)| StoredRound { facts, fuel, requests, log })
            .collect();
        Self {
            format: RECORDING_FORMAT,
            contract: header.contract,
            policy: header.policy,
            engine: header.engine,
            limits: header.limits,
            granted: header.granted,
            role: header.role,
            alerts: header.alerts,
            question,
            rounds,
            end,
            pruned: Vec::new(),
        }
    }
}

pub(crate) fn read(bytes: &[u8]) -> Result<AnyStored, RecordingError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = canonical::from_cbor(bytes)?;
    if format != RECORDING_FORMAT {
        return Err(RecordingError::Format(format));
    }
    Ok(canonical::from_cbor(bytes)?)
}

/// The recording with references in the places of the values that were taken out of its question.
pub(crate) fn refer(recording: Vec<u8>, taking: Taking<'_>) -> Result<Vec<u8>, EncodeError> {
    if !taking.has_taken() {
        return Ok(recording);
    }
    // It is small now: what is large was taken out of it.
    let mut stored = read(&recording).map_err(|error| EncodeError::Cbor(error.to_string()))?;
    taking.refer(&mut stored.question)?;
    canonical::cbor(&stored)
}

/// A recorded decision, for people and programs that only look at it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Version of the contract that the guest's words are in.
    pub contract: String,
    /// Who decided.
    pub policy: PolicyRef,
    /// On which engine.
    pub engine: EngineId,
    /// Within which limits.
    pub limits: Limits,
    /// What the operator let it see.
    pub granted: Vec<FactKind>,
    /// As what it was asked.
    pub role: Role,
    /// All that the policy was given, facts included, in the guest's words; without the alerts and the values of facts where it refers to them.
    pub question: serde_json::Value,
    /// The groups of signals that it refers to, each once.
    pub groups: Vec<BlobRef>,
    /// The values of facts that it refers to (CBOR, in the guest's words), each once.
    pub values: Vec<BlobRef>,
    /// One per call.
    pub rounds: Vec<RecordedRound>,
    /// How it ended.
    pub end: RecordedEnd,
    /// Ids of facts whose values were erased.
    pub pruned: Vec<String>,
}

/// One call of a recorded decision.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedRound {
    /// So many of the question's facts were given.
    pub facts: u32,
    /// Units used.
    pub fuel: u64,
    /// What the policy asked for, in the guest's words.
    pub requests: Vec<serde_json::Value>,
    /// What it logged.
    pub log: Vec<LogLine>,
}

/// How a recorded decision ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordedEnd {
    /// With this answer, in the guest's words.
    Done(serde_json::Value),
    /// Without an answer.
    Fault(Fault),
}

/// Numbers that JSON does not have become null: this is for looking at.
pub(crate) fn to_json(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or(serde_json::Value::Null)
}

impl Recording {
    /// Reads a recording.
    pub fn read(bytes: &[u8]) -> Result<Self, RecordingError> {
        let mut stored = read(bytes)?;
        let rounds = stored.rounds.into_iter().map(|round| RecordedRound {
            facts: round.facts,
            fuel: round.fuel,
            requests: round.requests.iter().map(to_json).collect(),
            log: round.log,
        });
        Ok(Self {
            contract: stored.contract,
            policy: stored.policy,
            engine: stored.engine,
            limits: stored.limits,
            granted: stored.granted,
            role: stored.role,
            question: to_json(&stored.question),
            groups: stored.alerts.map(|alerts| alerts.groups).unwrap_or_default(),
            values: values::references(&mut stored.question),
            rounds: rounds.collect(),
            end: match &stored.end {
                StoredEnd::Done(answer) => RecordedEnd::Done(to_json(answer)),
                StoredEnd::Fault(fault) => RecordedEnd::Fault(fault.clone()),
            },
            pruned: stored.pruned,
        })
    }

    /// All that it refers to: without this it cannot be made again.
    pub fn contents(&self) -> impl Iterator<Item = &BlobRef> {
        self.groups.iter().chain(&self.values)
    }

    /// Units used by all calls.
    pub fn fuel(&self) -> u64 {
        self.rounds.iter().map(|round| round.fuel).sum()
    }

    /// The digest by which a recording is known.
    pub fn digest(bytes: &[u8]) -> Digest {
        Digest::tagged("ripcord decision 1", &[bytes])
    }
}

/// The recording without the values of these facts, and without a reference to them. What remains says which were erased; it no longer replays.
pub fn prune(recording: &[u8], fact_ids: &[&str]) -> Result<Vec<u8>, RecordingError> {
    let mut stored = read(recording)?;
    for id in fact_ids {
        if !erase(&mut stored.question, id) {
            return Err(RecordingError::NoSuchFact((*id).to_owned()));
        }
        if !stored.pruned.iter().any(|pruned| pruned == id) {
            stored.pruned.push((*id).to_owned());
        }
    }
    stored.pruned.sort();
    Ok(canonical::cbor(&stored)?)
}

fn erase(question: &mut Value, id: &str) -> bool {
    let mut found = false;
    for mut fact in values::facts_mut(question) {
        if !fact.has_id(id) {
            continue;
        }
        if let Some(value) = fact.value() {
            *value = Value::Null;
            found = true;
        }
    }
    found
}

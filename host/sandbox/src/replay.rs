//! A recorded decision, made again with nothing but its recording and its component.

use std::collections::BTreeMap;

use ciborium::Value;
use ripcord_core::alert::StandingAlert;
use ripcord_core::digest::Digest;

use crate::contract::Case;
use crate::deciding::{Deciding, Progress};
use crate::engine::EngineId;
use crate::fault::{Fault, Nature};
use crate::policy::Policy;
use crate::recording::{self, AnyStored, Header, RecordingError, StoredEnd, to_json};
use crate::values;

const SHOWN_CHARS_MAX: usize = 2_000;

/// What came of making a decision again.
#[derive(Debug, Clone, PartialEq)]
pub enum Replayed {
    /// The same verdict.
    Same {
        /// Whether the fuel was compared.
        fuel: FuelCheck,
    },
    /// Something else.
    Differs {
        /// Which call, counted from zero.
        round: usize,
        /// In what.
        what: Difference,
        /// As recorded.
        expected: String,
        /// As made again.
        got: String,
    },
    /// The values of these facts, or these signals, were pruned.
    FactsPruned(Vec<String>),
    /// The recording cannot be expected to come out the same.
    NotReproducible {
        /// Why.
        reason: String,
    },
}

/// Whether the fuel was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FuelCheck {
    /// It is the same.
    Same,
    /// The decision was made on another engine.
    NotCompared {
        /// On which.
        recorded: EngineId,
    },
}

/// In what a decision differs from its recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Difference {
    Requests,
    Verdict,
    Log,
    Fuel,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Verdict => "verdict",
            Self::Log => "log",
            Self::Fuel => "fuel",
        })
    }
}

/// Makes a recorded decision again, call by call, with what it refers to ([`Recording::contents`](crate::Recording::contents)), by commitment.
pub fn replay(
    policy: &Policy,
    recording: &[u8],
    contents: &BTreeMap<Digest, Vec<u8>>,
) -> Result<Replayed, RecordingError> {
    let mut recorded = recording::read(recording)?;
    if recorded.policy.digest != policy.reference().digest {
        let (recorded, given) = (Box::new(recorded.policy), Box::new(policy.reference().clone()));
        return Err(RecordingError::OtherPolicy { recorded, given });
    }
    if !recorded.pruned.is_empty() {
        return Ok(Replayed::FactsPruned(recorded.pruned));
    }
    if let StoredEnd::Fault(fault) = &recorded.end
        && fault.nature == Nature::Environmental
    {
        let reason = format!("the decision ended in an environmental fault: {fault}");
        return Ok(Replayed::NotReproducible { reason });
    }
    let alerts = match resolve(&mut recorded, contents)? {
        Ok(alerts) => alerts,
        Err(pruned) => return Ok(Replayed::FactsPruned(pruned)),
    };
    match again(policy, &recorded, alerts.as_deref())? {
        Ok(repeated) => Ok(compare(&recorded, &repeated)),
        Err(fault) => Ok(Replayed::NotReproducible {
            reason: format!("this host could not make the decision again: {fault}"),
        }),
    }
}

/// Puts what the recording refers to in its place; the inner error names what was pruned.
fn resolve(
    recorded: &mut AnyStored,
    contents: &BTreeMap<Digest, Vec<u8>>,
) -> Result<Result<Option<Vec<StandingAlert>>, Vec<String>>, RecordingError> {
    let (alerts, mut pruned) =
        match recorded.alerts.as_ref().map(|alerts| alerts.resolve(contents)).transpose()? {
            None => (None, Vec::new()),
            Some(Ok(alerts)) => (Some(alerts), Vec::new()),
            Some(Err(pruned)) => (None, pruned),
        };
    pruned.extend(values::resolve(&mut recorded.question, contents)?);
    Ok(if pruned.is_empty() { Ok(alerts) } else { Err(pruned) })
}

/// What a recorded decision was asked, with all that it refers to: the role's `input` as JSON in the guest's words, as fixtures have it. `policy` may
/// be any that speaks the contract of the recording. The inner error names what was pruned.
pub fn recorded_input(
    policy: &Policy,
    recording: &[u8],
    contents: &BTreeMap<Digest, Vec<u8>>,
) -> Result<Result<serde_json::Value, Vec<String>>, RecordingError> {
    let mut recorded = recording::read(recording)?;
    if !recorded.pruned.is_empty() {
        return Ok(Err(recorded.pruned));
    }
    let alerts = match resolve(&mut recorded, contents)? {
        Ok(alerts) => alerts,
        Err(pruned) => return Ok(Err(pruned)),
    };
    let mut case = case_again(policy, &recorded, alerts.as_deref())?;
    case.release_facts(u32::MAX);
    Ok(Ok(case.input_in_json()))
}

/// The recorded question, with its facts held back.
fn case_again(
    policy: &Policy,
    recorded: &AnyStored,
    alerts: Option<&[StandingAlert]>,
) -> Result<Box<dyn Case>, RecordingError> {
    let mismatch = |message| RecordingError::Question { contract: recorded.contract.clone(), message };
    if recorded.contract != policy.contract() {
        return Err(mismatch(format!("the component speaks version {}", policy.contract())));
    }
    let mut case = policy.0.contract.clone().ask_again(&recorded.question).map_err(mismatch)?;
    if let (Some(alerts), Some(stored)) = (alerts, &recorded.alerts)
        && Some(case.put_alerts(alerts)?) != stored.given
    {
        return Err(mismatch("the stored signals are not what the policy was given".to_owned()));
    }
    Ok(case)
}

/// Runs the decision; the inner error is an environmental fault of this run.
fn again(
    policy: &Policy,
    recorded: &AnyStored,
    alerts: Option<&[StandingAlert]>,
) -> Result<Result<AnyStored, Fault>, RecordingError> {
    let case = case_again(policy, recorded, alerts)?;
    let header = Header {
        contract: recorded.contract.clone(),
        policy: recorded.policy.clone(),
        engine: policy.0.engine.clone(),
        limits: recorded.limits.clone(),
        granted: recorded.granted.clone(),
        role: recorded.role,
        alerts: recorded.alerts.clone(),
    };
    let mut deciding = Deciding::with_case(policy.clone(), header, case);
    for round in &recorded.rounds {
        deciding.release_facts(round.facts);
        match deciding.call() {
            Progress::Need(_) => {}
            Progress::Done(_) => break,
            Progress::Fault(fault) if fault.nature == Nature::Environmental => return Ok(Err(fault)),
            Progress::Fault(_) => break,
        }
    }
    Ok(Ok(recording::read(&deciding.finish()?)?))
}

fn shown(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

fn end_text(end: &StoredEnd<Value>) -> String {
    match end {
        StoredEnd::Done(answer) => shown(&to_json(answer)),
        StoredEnd::Fault(fault) => format!("fault: {fault}"),
    }
}

fn same_end(one: &StoredEnd<Value>, other: &StoredEnd<Value>) -> bool {
    match (one, other) {
        (StoredEnd::Done(one), StoredEnd::Done(other)) => one == other,
        (StoredEnd::Fault(one), StoredEnd::Fault(other)) => one.kind == other.kind,
        _ => false,
    }
}

/// Verdicts before fuel: the first thing that a reader wants to know.
fn compare(recorded: &AnyStored, repeated: &AnyStored) -> Replayed {
    let same_engine = recorded.engine == repeated.engine;
    let rounds = || recorded.rounds.iter().zip(&repeated.rounds).enumerate();
    let differs =
        |round, what, expected: String, got: String| Replayed::Differs { round, what, expected, got };
    for (index, (before, now)) in rounds() {
        if before.requests != now.requests {
            let texts =
                [before, now].map(|round| shown(&round.requests.iter().map(to_json).collect::<Vec<_>>()));
            let [expected, got] = texts;
            return differs(index, Difference::Requests, expected, got);
        }
    }
    let last = repeated.rounds.len().saturating_sub(1);
    if recorded.rounds.len() != repeated.rounds.len() || !same_end(&recorded.end, &repeated.end) {
        let fault_of_engine =
            |end: &StoredEnd<Value>| matches!(end, StoredEnd::Fault(fault) if fault.kind.depends_on_engine());
        if !same_engine && (fault_of_engine(&recorded.end) || fault_of_engine(&repeated.end)) {
            let reason = format!(
                "the decision was made on {} and ended at a limit that another engine draws elsewhere",
                recorded.engine
            );
            return Replayed::NotReproducible { reason };
        }
        return differs(last, Difference::Verdict, end_text(&recorded.end), end_text(&repeated.end));
    }
    for (index, (before, now)) in rounds() {
        if before.log != now.log {
            return differs(index, Difference::Log, shown(&before.log), shown(&now.log));
        }
    }
    if !same_engine {
        return Replayed::Same { fuel: FuelCheck::NotCompared { recorded: recorded.engine.clone() } };
    }
    for (index, (before, now)) in rounds() {
        if before.fuel != now.fuel {
            return differs(index, Difference::Fuel, before.fuel.to_string(), now.fuel.to_string());
        }
    }
    Replayed::Same { fuel: FuelCheck::Same }
}

//! Recorded decisions for people: what each policy was given, what it said, and why. Nothing is run again.

use ripcord_core::digest::Digest;
use ripcord_core::event::{Decision, Event};
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store;
use ripcord_ports::store::StoreError;
use ripcord_sandbox::{RecordedEnd, Recording};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fold::{ReadError, recover};
use crate::fold_error::FoldError;
use crate::replay::{Reader, verdicts_of};

/// Records that are read at a time, from the newest backwards.
const PAGE: u64 = 256;
/// Of a journal so many records are searched: one in which nothing was decided for so long tells no more by being read on.
const RECORDS_MAX: u64 = 65_536;

/// A fact that a decision rested on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactLine {
    /// Which adapter answered.
    pub source: String,
    /// The instant that it speaks of.
    pub as_of: UnixMillis,
    /// What was asked for, in the guest's words.
    pub request: Value,
    /// What was answered, in the guest's words; none where nothing was, or where it is not kept any more.
    pub value: Option<Value>,
    /// Why there was no value, in the guest's words.
    pub missing: Option<Value>,
}

/// One recorded decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionView {
    /// When.
    pub at: UnixMillis,
    /// Of which service.
    pub service: ServiceName,
    /// `trigger`, `planner`, `approval` or `verification`.
    pub role: String,
    /// `name@version`.
    pub policy: String,
    /// Of the component.
    pub digest: Digest,
    /// What it answered, in the guest's words: verdict, findings, notes; none where it faulted, or where the recording is gone.
    pub answer: Option<Value>,
    /// The fault that it ended in.
    pub fault: Option<String>,
    /// Why nothing more is known of it: its recording was pruned, or is damaged.
    pub gone: Option<String>,
    /// What it was given, in the order in which it came.
    pub facts: Vec<FactLine>,
    /// What it asked for in its last round and was not given.
    pub asked_for: Vec<Value>,
    /// What it logged.
    pub log: Vec<String>,
    /// Units used.
    pub fuel: u64,
}

/// Decisions, newest first, and whether there are more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionPage {
    /// One by one.
    pub decisions: Vec<DecisionView>,
    /// Whether older ones were left out.
    pub more: bool,
}

/// The newest decisions of a service that are not older than `since`.
pub async fn decisions(
    store: &dyn Store,
    service: &ServiceName,
    since: UnixMillis,
    limit: usize,
) -> Result<DecisionPage, ReadError> {
    let length = recover(store, service).await?.tip.length;
    let (mut end, mut page) = (length, DecisionPage { decisions: Vec::new(), more: false });
    while end > 0 {
        if length - end > RECORDS_MAX {
            page.more = true;
            break;
        }
        let start = end.saturating_sub(PAGE);
        let records = store.journal(service, start, u32::try_from(end - start).unwrap_or(u32::MAX)).await?;
        for record in records.iter().rev() {
            let envelope = record.read_alone::<Event>().map_err(FoldError::from)?;
            if envelope.at < since {
                return Ok(page);
            }
            for decision in verdicts_of(&envelope.event).into_iter().rev() {
                if page.decisions.len() >= limit {
                    page.more = true;
                    return Ok(page);
                }
                page.decisions.push(view(store, service, envelope.at, decision).await?);
            }
        }
        end = start;
    }
    Ok(page)
}

/// The newest decisions of an incident, those that opened it included.
pub async fn decisions_of_incident(
    store: &dyn Store,
    id: &IncidentId,
    limit: usize,
) -> Result<DecisionPage, ReadError> {
    let unknown = || ReadError::Unknown(id.clone());
    let service = id.service().ok_or_else(unknown)?;
    if store.incident(id).await?.is_none() && store.timeline(id).await?.is_empty() {
        return Err(unknown());
    }
    let mut reader = Reader::new(store, &service, Some(id)).await?;
    let mut own = std::collections::VecDeque::new();
    let mut more = false;
    while let Some((at, of, decision)) = reader.next().await? {
        if of.as_ref() == Some(id) {
            own.push_back((at, decision));
            if own.len() > limit {
                own.pop_front();
                more = true;
            }
        }
    }
    let mut decisions = Vec::new();
    for (at, decision) in own.into_iter().rev() {
        decisions.push(view(store, &service, at, &decision).await?);
    }
    Ok(DecisionPage { decisions, more })
}

async fn view(
    store: &dyn Store,
    service: &ServiceName,
    at: UnixMillis,
    decision: &Decision,
) -> Result<DecisionView, ReadError> {
    let mut view = DecisionView {
        at,
        service: service.clone(),
        role: decision.role.to_string(),
        policy: decision.policy.to_string(),
        digest: decision.policy.digest,
        answer: None,
        fault: None,
        gone: None,
        facts: Vec::new(),
        asked_for: Vec::new(),
        log: Vec::new(),
        fuel: decision.fuel,
    };
    let bytes = match store.blob(&decision.recording).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            view.gone =
                Some("its recording was pruned; `ripcord store show` says how long each is kept".into());
            return Ok(view);
        }
        Err(StoreError::Damaged(why)) => {
            view.gone = Some(why);
            return Ok(view);
        }
        Err(error) => return Err(error.into()),
    };
    let recording = match Recording::read(&bytes) {
        Ok(recording) => recording,
        Err(error) => {
            view.gone = Some(format!("its recording cannot be read: {error}"));
            return Ok(view);
        }
    };
    view.facts = facts(&recording.question);
    match recording.end {
        RecordedEnd::Done(answer) => view.answer = Some(of_its_role(answer)),
        RecordedEnd::Fault(fault) => view.fault = Some(fault.to_string()),
    }
    if view.answer.is_none() {
        view.asked_for = recording.rounds.last().map(|round| round.requests.clone()).unwrap_or_default();
    }
    let log = recording.rounds.into_iter().flat_map(|round| round.log);
    view.log = log.map(|line| format!("{}: {}", line.severity, line.text.trim_end())).collect();
    Ok(view)
}

/// What stands below the name of the role.
fn of_its_role(answer: Value) -> Value {
    match answer {
        Value::Object(roles) if roles.len() == 1 => {
            roles.into_iter().next().map_or(Value::Null, |(_, answer)| answer)
        }
        other => other,
    }
}

/// The facts of a question: the name of the role, and in it what the policy was given.
fn facts(question: &Value) -> Vec<FactLine> {
    let input = question.as_object().and_then(|roles| roles.values().next());
    let facts = input.and_then(|input| input["facts"].as_array());
    let fact = |fact: &Value| {
        let value = &fact["value"];
        Some(FactLine {
            source: fact["source"].as_str()?.to_owned(),
            as_of: UnixMillis(fact["as_of"].as_u64()?),
            request: fact["request"].clone(),
            value: value.get("Ok").cloned(),
            missing: value.get("Err").cloned(),
        })
    };
    facts.into_iter().flatten().filter_map(fact).collect()
}

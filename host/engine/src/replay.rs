//! Running recorded decisions again, with nothing but the store.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use ripcord_core::blob::BlobRef;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Decision, Event};
use ripcord_core::name::{IncidentId, PolicyName, ServiceName};
use ripcord_core::policy::{PolicyRef, Role};
use ripcord_core::retention::Class;
use ripcord_core::target::Window;
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store;
use ripcord_ports::store::StoreError;
use ripcord_sandbox::{Fault, LogLine, Policy, RecordedEnd, Recording, Replayed, Sandbox};

use crate::fold::ReadError;
use crate::history::History;
use crate::read_model::class_of_recording;

/// What came of one decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Result {
    /// It was run again.
    Replayed(Replayed),
    /// Its whole recording was pruned: it was kept as content of this class, and only as long.
    RecordingPruned(Class),
    /// The policy's bytes are not in the store, or do not load here; why.
    NoPolicy(String),
    /// The recording does not decode.
    Unreadable(String),
}

/// A fact that a decision rested on, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestedOn {
    /// Which adapter answered.
    pub source: String,
    /// The instant that it speaks of.
    pub as_of: UnixMillis,
    /// What was asked for, in the guest's words.
    pub request: serde_json::Value,
    /// Why there was no value, in the guest's words; none where there was one.
    pub missing: Option<serde_json::Value>,
}

/// One decision, run again.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayedDecision {
    /// Of which service.
    pub service: ServiceName,
    /// Of which incident, if one was open.
    pub incident: Option<IncidentId>,
    /// When it was recorded.
    pub at: UnixMillis,
    /// Who was asked.
    pub policy: PolicyRef,
    /// What.
    pub role: Role,
    /// The fault that it ended in when it was recorded, if it did.
    pub fault: Option<Fault>,
    /// What the policy logged when it was recorded.
    pub log: Vec<LogLine>,
    /// What it was given to decide on, in the order in which it came.
    pub facts: Vec<RestedOn>,
    /// What came of it.
    pub result: Result,
}

/// All that were run again, oldest first within each service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReplayReport {
    /// One by one.
    pub decisions: Vec<ReplayedDecision>,
    /// Services whose journal cannot be read to its end, and why.
    pub damaged: Vec<(ServiceName, String)>,
}

impl ReplayReport {
    /// Decisions that gave something else than recorded.
    pub fn differs(&self) -> usize {
        self.count(|result| matches!(result, Result::Replayed(Replayed::Differs { .. })))
    }

    /// Decisions that gave the same.
    pub fn same(&self) -> usize {
        self.count(|result| matches!(result, Result::Replayed(Replayed::Same { .. })))
    }

    /// Decisions of which neither can be said.
    pub fn open(&self) -> usize {
        self.decisions.len() - self.same() - self.differs()
    }

    fn count(&self, matches: impl Fn(&Result) -> bool) -> usize {
        self.decisions.iter().filter(|decision| matches(&decision.result)).count()
    }
}

/// Every decision of `incident`, or of all journals, with the incident that was open.
pub async fn replay(
    store: &dyn Store,
    sandbox: &Sandbox,
    incident: Option<&IncidentId>,
) -> std::result::Result<ReplayReport, ReadError> {
    let services = match incident {
        Some(id) => vec![id.service().ok_or_else(|| ReadError::Unknown(id.clone()))?],
        None => store.services().await?,
    };
    let mut policies = BTreeMap::new();
    let mut report = ReplayReport::default();
    for service in services {
        let mut reader = Reader::new(store, &service, incident).await?;
        loop {
            let (at, of, decision) = match reader.next().await {
                Ok(Some(next)) => next,
                Ok(None) => break,
                // One journal that cannot be read hides no other.
                Err(ReadError::Fold(error)) if incident.is_none() && error.is_of_this_journal() => {
                    report.damaged.push((service.clone(), error.to_string()));
                    break;
                }
                Err(error) => return Err(error),
            };
            if incident.is_some() && of.as_ref() != incident {
                continue;
            }
            let recording = read(store, &decision.recording).await?;
            let (fault, log, facts) = match &recording {
                Read::Whole(recording) => then(recording),
                Read::Pruned | Read::Damaged(_) => <_>::default(),
            };
            let result = match recording {
                Read::Whole(recording) => one(store, sandbox, &mut policies, &decision, recording).await?,
                Read::Pruned => Result::RecordingPruned(class_of_recording(of.as_ref())),
                Read::Damaged(why) => Result::Unreadable(why),
            };
            let Decision { policy, role, .. } = decision;
            report.decisions.push(ReplayedDecision {
                service: service.clone(),
                incident: of,
                at,
                policy,
                role,
                fault,
                log,
                facts,
                result,
            });
        }
    }
    match incident {
        Some(id) if report.decisions.is_empty() && store.incident(id).await?.is_none() => {
            Err(ReadError::Unknown(id.clone()))
        }
        _ => Ok(report),
    }
}

/// Content of a decision. What is damaged hides no other decision.
enum Read {
    Whole(Vec<u8>),
    Pruned,
    Damaged(String),
}

async fn read(store: &dyn Store, blob: &BlobRef) -> std::result::Result<Read, StoreError> {
    match store.blob(blob).await {
        Ok(Some(content)) => Ok(Read::Whole(content)),
        Ok(None) => Ok(Read::Pruned),
        Err(StoreError::Damaged(why)) => Ok(Read::Damaged(why)),
        Err(error) => Err(error),
    }
}

/// Reads decisions out of a journal, one by one.
pub(crate) struct Reader<'a> {
    history: History<'a>,
    /// Of the record that was read last.
    read: VecDeque<(UnixMillis, Option<IncidentId>, Decision)>,
    /// After this record there are no more that are wanted.
    last: u64,
}

impl<'a> Reader<'a> {
    /// Of a whole journal, or of the records of one incident.
    pub(crate) async fn new(
        store: &'a dyn Store,
        service: &ServiceName,
        incident: Option<&IncidentId>,
    ) -> std::result::Result<Self, ReadError> {
        let spans = match incident {
            Some(incident) => store.timeline(incident).await?,
            None => Vec::new(),
        };
        let (history, last) = match (spans.first(), spans.last()) {
            (Some(first), Some(last)) => {
                (History::from_snapshot(store, service, first.first).await?, last.last)
            }
            _ => (History::whole(store, service), u64::MAX),
        };
        Ok(Self { history, read: VecDeque::new(), last })
    }

    /// A decision with its time and the incident it belongs to. The decisions that opened an incident belong to it.
    pub(crate) async fn next(
        &mut self,
    ) -> std::result::Result<Option<(UnixMillis, Option<IncidentId>, Decision)>, ReadError> {
        let open =
            |history: &History<'_>| history.state().incident.as_ref().map(|incident| incident.id.clone());
        while self.read.is_empty() && self.history.tip().length <= self.last {
            let before = open(&self.history);
            let Some(step) = self.history.next().await? else { break };
            let of = before.or_else(|| open(&self.history));
            let all = decisions_of(&step.event).into_iter();
            self.read.extend(all.map(|decision| (step.at, of.clone(), decision.clone())));
        }
        Ok(self.read.pop_front())
    }
}

/// Those of them whose words count: not the calls by which a trigger's alerts were searched.
pub(crate) fn verdicts_of(event: &Event) -> Vec<&Decision> {
    match event {
        Event::TriggersAsked(asked) => asked.asked.iter().map(|one| &one.decision).collect(),
        _ => decisions_of(event),
    }
}

/// The decisions that an event records.
pub(crate) fn decisions_of(event: &Event) -> Vec<&Decision> {
    match event {
        Event::TriggersAsked(asked) => {
            asked.asked.iter().flat_map(|one| one.searched.iter().chain([&one.decision])).collect()
        }
        Event::Planned(planned) => planned.decision.iter().collect(),
        Event::ApprovalsAsked(asked) => asked.asked.iter().map(|one| &one.decision).collect(),
        Event::VerificationsAsked(asked) => asked.asked.iter().map(|one| &one.decision).collect(),
        _ => Vec::new(),
    }
}

/// The fault, the log and the facts of a decision, as recorded.
fn then(recording: &[u8]) -> (Option<Fault>, Vec<LogLine>, Vec<RestedOn>) {
    let Ok(recording) = Recording::read(recording) else { return <_>::default() };
    let facts = rested_on(&recording.question);
    let fault = match recording.end {
        RecordedEnd::Fault(fault) => Some(fault),
        RecordedEnd::Done(_) => None,
    };
    (fault, recording.rounds.into_iter().flat_map(|round| round.log).collect(), facts)
}

/// The facts of a question: the name of the role, and in it what the policy was given.
fn rested_on(question: &serde_json::Value) -> Vec<RestedOn> {
    let input = question.as_object().and_then(|roles| roles.values().next());
    let facts = input.and_then(|input| input["facts"].as_array());
    let fact = |fact: &serde_json::Value| {
        Some(RestedOn {
            source: fact["source"].as_str()?.to_owned(),
            as_of: UnixMillis(fact["as_of"].as_u64()?),
            request: fact["request"].clone(),
            missing: fact["value"].get("Err").cloned(),
        })
    };
    facts.into_iter().flatten().filter_map(fact).collect()
}

/// A decision as it was asked, for asking it again in another way.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedQuestion {
    /// Of which service.
    pub service: ServiceName,
    /// Of which incident, if one was open.
    pub incident: Option<IncidentId>,
    /// When it was recorded.
    pub at: UnixMillis,
    /// Who was asked.
    pub policy: PolicyRef,
    /// What.
    pub role: Role,
    /// The role's `input` as JSON in the guest's words, facts included; or why it cannot be told.
    pub input: std::result::Result<serde_json::Value, String>,
    /// How it ended, in the guest's words.
    pub end: Option<RecordedEnd>,
}

/// Which decisions are read.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Of this service.
    pub service: &'a ServiceName,
    /// Of this incident only.
    pub incident: Option<&'a IncidentId>,
    /// Recorded within it.
    pub window: Window,
    /// In this role only.
    pub role: Option<Role>,
    /// Of this policy only.
    pub policy: Option<&'a PolicyName>,
}

/// Gives each recorded decision that is wanted to `each`, oldest first, until it breaks off: one is in memory at a time. `speaks` is any policy of the
/// contract that the recordings are in.
pub async fn recorded(
    store: &dyn Store,
    speaks: &Policy,
    wanted: Wanted<'_>,
    mut each: impl FnMut(RecordedQuestion) -> ControlFlow<()>,
) -> std::result::Result<(), ReadError> {
    let mut reader = Reader::new(store, wanted.service, wanted.incident).await?;
    while let Some((at, of, decision)) = reader.next().await? {
        if at > wanted.window.end {
            break;
        }
        let is_wanted = at >= wanted.window.start
            && wanted.incident.is_none_or(|incident| of.as_ref() == Some(incident))
            && wanted.role.is_none_or(|role| decision.role == role)
            && wanted.policy.is_none_or(|name| decision.policy.name == *name);
        if !is_wanted {
            continue;
        }
        let (input, end) = match read(store, &decision.recording).await? {
            Read::Whole(recording) => {
                let end = Recording::read(&recording).ok().map(|recording| recording.end);
                (question(store, speaks, &recording).await?, end)
            }
            Read::Pruned => (Err("its recording was pruned".to_owned()), None),
            Read::Damaged(why) => (Err(why), None),
        };
        let Decision { policy, role, .. } = decision;
        let service = wanted.service.clone();
        if each(RecordedQuestion { service, incident: of, at, policy, role, input, end }).is_break() {
            break;
        }
    }
    Ok(())
}

async fn question(
    store: &dyn Store,
    speaks: &Policy,
    recording: &[u8],
) -> std::result::Result<std::result::Result<serde_json::Value, String>, ReadError> {
    let contents = match contents(store, recording).await? {
        Ok(contents) => contents,
        Err(why) => return Ok(Err(why)),
    };
    Ok(match ripcord_sandbox::recorded_input(speaks, recording, &contents) {
        Ok(Ok(input)) => Ok(input),
        Ok(Err(pruned)) => Err(format!("pruned: {}", pruned.join(", "))),
        Err(error) => Err(error.to_string()),
    })
}

/// Loads a component off the runtime's threads: one that no cache holds is compiled.
async fn load(sandbox: &Sandbox, bytes: Vec<u8>, digest: Digest) -> std::result::Result<Policy, String> {
    let sandbox = sandbox.clone();
    match tokio::task::spawn_blocking(move || sandbox.load_pinned(&bytes, &digest)).await {
        Ok(loaded) => loaded.map_err(|error| error.to_string()),
        Err(error) => Err(format!("loading it was lost: {error}")),
    }
}

async fn one(
    store: &dyn Store,
    sandbox: &Sandbox,
    policies: &mut BTreeMap<Digest, std::result::Result<Policy, String>>,
    decision: &Decision,
    recording: Vec<u8>,
) -> std::result::Result<Result, ReadError> {
    let digest = decision.policy.digest;
    let loaded = match policies.entry(digest) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(match store.component(&digest).await {
            Ok(None) => Err(format!("the store does not hold the component of `{}`", decision.policy)),
            Ok(Some(bytes)) => load(sandbox, bytes, digest).await,
            Err(StoreError::Damaged(why)) => Err(why),
            Err(error) => return Err(error.into()),
        }),
    };
    let policy = match loaded {
        Ok(policy) => policy.clone(),
        Err(why) => return Ok(Result::NoPolicy(why.clone())),
    };
    let contents = match contents(store, &recording).await? {
        Ok(contents) => contents,
        Err(why) => return Ok(Result::Unreadable(why)),
    };
    let replayed =
        tokio::task::spawn_blocking(move || ripcord_sandbox::replay(&policy, &recording, &contents)).await;
    Ok(match replayed {
        Ok(Ok(replayed)) => Result::Replayed(replayed),
        Ok(Err(error)) => Result::Unreadable(error.to_string()),
        Err(error) => Result::Unreadable(format!("the replay was lost: {error}")),
    })
}

/// The groups of signals and values of facts that the recording refers to; those that were pruned are left out.
async fn contents(
    store: &dyn Store,
    recording: &[u8],
) -> std::result::Result<std::result::Result<BTreeMap<Digest, Vec<u8>>, String>, ReadError> {
    let recording = match Recording::read(recording) {
        Ok(recording) => recording,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut contents = BTreeMap::new();
    for content in recording.contents() {
        match read(store, content).await? {
            Read::Whole(bytes) => drop(contents.insert(content.commitment, bytes)),
            Read::Pruned => {}
            Read::Damaged(why) => {
                let kind = content.kind.as_str();
                return Ok(Err(format!("a content that it refers to ({kind}) cannot be read: {why}")));
            }
        }
    }
    Ok(Ok(contents))
}

//! Asking a policy outside of a running host: what would it say, and on which facts? Nothing is recorded, nothing is changed, and no trial is made.

use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::alert::{Given, StandingAlert};
use ripcord_core::blob::BlobRef;
use ripcord_core::fact::{Fact, Request, Unavailable, UnavailableReason};
use ripcord_core::name::SignalId;
use ripcord_core::policy::{PolicyRef, Role};
use ripcord_core::role::{
    Answer, Context, Memo, PlannerInput, PlannerVerdict, Proposal, Question, Suspect, Urgency, Verdict,
};
use ripcord_core::service::Service;
use ripcord_core::signal::{Origin, Severity, Signal, SignalKind, SignalStatus};
use ripcord_core::target::Strategy;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::StoreError;
use ripcord_ports::{Clock, Store};
use ripcord_sandbox::{Fault, Limits, LogLine};

use crate::blocking::Blocking;
use crate::facts::Sources;
use crate::fleet::Fleet;
use crate::rounds::{LostCall, Rounds, to_the_end};
use crate::setup::{PlacedPolicy, ServiceSetup};
use crate::view::Ranking;

/// Who answers what a policy asks for.
#[async_trait]
pub trait FactSource: Send + Sync {
    /// A value, or why there is none.
    async fn fact(&self, id: String, request: Request, now: UnixMillis) -> Fact;
}

/// What a policy said.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Who.
    pub policy: PolicyRef,
    /// As what.
    pub role: Role,
    /// When, for the policy.
    pub now: UnixMillis,
    /// What it saw, in the order in which it asked.
    pub facts: Vec<Fact>,
    /// Its answer, or the fault that it ended in.
    pub end: Result<Answer, Fault>,
    /// Calls.
    pub rounds: u32,
    /// Units used by all calls.
    pub fuel: u64,
    /// Lines written by all calls.
    pub log: Vec<LogLine>,
}

impl Asked {
    /// The facts without a value, and why.
    pub fn missing(&self) -> impl Iterator<Item = (&Fact, &Unavailable)> {
        self.facts.iter().filter_map(|fact| Some((fact, fact.value.as_ref().err()?)))
    }
}

/// Asks until there is an answer or a fault.
pub async fn ask(placed: &PlacedPolicy, question: &Question, sources: &dyn FactSource) -> Asked {
    let (role, now) = (question.role(), question.context().now);
    let policy = placed.policy.reference().clone();
    let deciding = placed.policy.begin(question, &placed.grant, &Limits::default());
    let asked = to_the_end(Blocking::Threads, deciding, |id, request| sources.fact(id, request, now)).await;
    match asked {
        Ok(Rounds { deciding, end, facts, count }) => Asked {
            policy,
            role,
            now,
            facts,
            end,
            rounds: count,
            fuel: deciding.fuel(),
            log: deciding.log().cloned().collect(),
        },
        Err(LostCall { rounds, fault }) => {
            Asked { policy, role, now, facts: Vec::new(), end: Err(fault), rounds, fuel: 0, log: Vec::new() }
        }
    }
}

/// What a service's systems and its journal say at this moment.
pub struct FactsNow<'a> {
    setup: &'a ServiceSetup,
    service: &'a Service,
    store: Option<&'a dyn Store>,
    fleet: Option<&'a Fleet>,
}

impl std::fmt::Debug for FactsNow<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FactsNow").field("service", &self.service.name).finish_non_exhaustive()
    }
}

impl<'a> FactsNow<'a> {
    /// Of this service, in this state. Without a store there is no history.
    pub fn new(setup: &'a ServiceSetup, service: &'a Service, store: Option<&'a dyn Store>) -> Self {
        Self { setup, service, store, fleet: None }
    }

    /// Among the services of a running host.
    #[must_use]
    pub fn among(self, fleet: &'a Fleet) -> Self {
        Self { fleet: Some(fleet), ..self }
    }
}

#[async_trait]
impl FactSource for FactsNow<'_> {
    async fn fact(&self, id: String, request: Request, now: UnixMillis) -> Fact {
        let Self { setup, service, store, fleet } = *self;
        match not_answered_outside(&request) {
            Some(why) => Fact { id, request, value: Err(why), source: "host".into(), as_of: now },
            None => Sources { setup, service, store, fleet }.fact(id, request, now).await,
        }
    }
}

/// The same service, each call of whose systems ends by the deadline of its terms, as in a running host.
pub fn with_deadlines(mut setup: ServiceSetup, clock: &Arc<dyn Clock>) -> ServiceSetup {
    setup.ports = crate::bounded::service_ports(setup.ports, clock, setup.terms.deadlines);
    setup
}

/// Why the request is not answered where nothing may have effects and there is no incident, if it is not.
pub(crate) fn not_answered_outside(request: &Request) -> Option<Unavailable> {
    let denied = |message: &str| Some(Unavailable::new(UnavailableReason::Denied, message));
    match request {
        Request::Golden(_) | Request::Recheck(_) => {
            denied("a trial sends requests to the endpoint, so none is made where a policy is only asked")
        }
        Request::Captured(_) => denied("captured inputs belong to an incident, and there is none"),
        _ => None,
    }
}

/// The alerts as they stand in a journal, oldest first, as the host would give them to the policy: without those that it set aside itself as a trigger,
/// and without all that any trigger set aside where it is none. Those whose content is gone or damaged are left out.
pub async fn standing_alerts(
    store: &dyn Store,
    service: &Service,
    placed: &PlacedPolicy,
) -> Result<Vec<StandingAlert>, StoreError> {
    let (mut given, name) = (Vec::new(), &placed.policy.reference().name);
    let mut read: Option<(BlobRef, Vec<Signal>)> = None;
    for alert in service.watching.alerts.question() {
        let word = &alert.word;
        let is_set_aside = match placed.role {
            Role::Trigger => alert.set_aside_by.contains(name),
            _ => !alert.set_aside_by.is_empty(),
        };
        if is_set_aside || word.given == Given::Nothing {
            continue;
        }
        if read.as_ref().is_none_or(|(group, _)| *group != alert.content) {
            let content = match store.blob(&alert.content).await {
                Ok(content) => content.unwrap_or_default(),
                Err(StoreError::Damaged(_)) => Vec::new(),
                Err(error) => return Err(error),
            };
            read = Some((alert.content, serde_json::from_slice(&content).unwrap_or_default()));
        }
        let group = read.as_ref().map(|(_, signals)| signals.as_slice()).unwrap_or_default();
        let Some(signal) = group.get(word.index as usize) else { continue };
        let stored = ripcord_core::alert::StoredWord { content: alert.content, index: word.index };
        let seen = (word.first_seen_at, word.last_seen_at);
        given.push(StandingAlert::stored(signal.clone(), stored, word.given, seen, word.count));
    }
    Ok(given)
}

/// What the policy remembers, as its journal has it.
pub async fn memo(
    store: &dyn Store,
    service: &Service,
    placed: &PlacedPolicy,
) -> Result<Option<Memo>, StoreError> {
    let key = (placed.role, placed.policy.reference().name.clone());
    let Some(memo) = service.memos.get(&key) else { return Ok(None) };
    let bytes = match store.blob(&memo.content).await {
        Ok(bytes) => bytes,
        // As the host does: it goes on without.
        Err(StoreError::Damaged(_)) => None,
        Err(error) => return Err(error),
    };
    Ok(bytes.map(|bytes| Memo { written_by: memo.written_by.clone(), bytes }))
}

/// What the planner suspects, if harm had begun then: it is only asked. An error says why it does not say.
pub async fn suspects_if(
    setup: &ServiceSetup,
    service: &Service,
    store: &dyn Store,
    fleet: &Fleet,
    harm_began_at: UnixMillis,
    now: UnixMillis,
) -> Result<Ranking, String> {
    let proposal = Proposal {
        cause: "a person asks what would be suspected".to_owned(),
        strategy: Strategy::Version,
        urgency: Urgency::Routine,
        harm_began_at: Some(harm_began_at),
    };
    let (by, verdict, suspects) = plan_if(setup, service, store, fleet, (proposal, now)).await?;
    let (confidence, hand_over_to) = match verdict {
        PlannerVerdict::Choose(choice) => (choice.confidence, None),
        PlannerVerdict::WillNotHelp(no_help) => (None, no_help.hand_over_to),
        PlannerVerdict::NothingSuitable(_) => (None, None),
    };
    Ok(Ranking { by, at: now, recorded: false, suspects, erased: false, confidence, hand_over_to })
}

/// Who the planner is, and what it would do by this strategy about the open incident, or now: it is only asked. An error says why it does not say.
pub(crate) async fn planned_if(
    setup: &ServiceSetup,
    service: &Service,
    store: &dyn Store,
    fleet: &Fleet,
    (strategy, now): (Strategy, UnixMillis),
) -> Result<(String, PlannerVerdict), String> {
    let harm_began_at = service.incident.as_ref().and_then(|open| open.reason.harm_began_at);
    let cause = "a person asks what could be done".to_owned();
    let proposal = Proposal { cause, strategy, urgency: Urgency::Routine, harm_began_at };
    let (by, verdict, _) = plan_if(setup, service, store, fleet, (proposal, now)).await?;
    Ok((by, verdict))
}

async fn plan_if(
    setup: &ServiceSetup,
    service: &Service,
    store: &dyn Store,
    fleet: &Fleet,
    (proposal, now): (Proposal, UnixMillis),
) -> Result<(String, PlannerVerdict, Vec<Suspect>), String> {
    let placed = setup.policies(Role::Planner).next().ok_or("no planner is configured")?;
    let context = Context {
        service: setup.facts.clone(),
        incident: None,
        now,
        settings: placed.settings.clone(),
        drill: false,
        live_since: service.production.since,
        memo: None,
    };
    let signals = standing_alerts(store, service, placed).await.map_err(|error| error.to_string())?;
    let input = PlannerInput { context, signals, proposal, tried: Vec::new(), facts: Vec::new() };
    let sources = FactsNow::new(setup, service, Some(store)).among(fleet);
    let asked = ask(placed, &Question::Planner(input), &sources).await;
    let by = asked.policy.to_string();
    match asked.end.map(|answer| answer.verdict) {
        Ok(Verdict::Planner(verdict, suspects)) => Ok((by, verdict, suspects)),
        Ok(_) => Err(format!("{by} answered as something else than a planner")),
        Err(fault) => Err(format!("{by} faulted: {fault}")),
    }
}

/// What triggers are given when a schedule or a watch asks them without any alert.
pub fn scheduled(now: UnixMillis) -> Option<Signal> {
    Some(Signal {
        id: SignalId::new(format!("schedule-{}", now.0)).ok()?,
        origin: Origin::Schedule,
        rule: "schedule".into(),
        status: SignalStatus::Firing,
        kind: SignalKind::Condition,
        severity: Severity::Info,
        labels: Vec::new(),
        annotations: Vec::new(),
        started_at: now,
        ended_at: None,
        received_at: now,
    })
}

//! One decision: calls of one policy with ever more facts, until it has a verdict or faults.

use ripcord_core::blob::BlobRef;
use ripcord_core::canonical::{self, EncodeError};
use ripcord_core::fact::{Fact, FactKind, Request, Unavailable, UnavailableReason};
use ripcord_core::role::{Answer, Question, Step};

use crate::alerts::StoredAlerts;
use crate::contract::Case;
use crate::fault::{Fault, FaultKind};
use crate::limits::Limits;
use crate::policy::Policy;
use crate::recording::{self, Header, Spent};
use crate::state::LogLine;
use crate::values::Taking;

/// What a call brought the decision to.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Fetch these, none of which was asked for before, and give them to [`Deciding::add_facts`].
    Need(Vec<Request>),
    /// The end, with a verdict.
    Done(Answer),
    /// The end, without one.
    Fault(Fault),
}

/// Facts that do not answer what was asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FactsError {
    /// Nobody asked for it, or it comes twice.
    #[error("the fact `{id}` answers nothing that the policy asked for in this round")]
    NotAsked {
        /// The fact's.
        id: String,
    },
    /// It was asked for.
    #[error("no fact answers {0:?}; give one that says why it is unavailable")]
    Unanswered(Box<Request>),
}

#[derive(Debug, Clone)]
enum Phase {
    Asking,
    Waiting(Vec<Request>),
    Done(Answer),
    Fault(Fault),
}

/// A decision under way. Everything but the facts is frozen.
#[derive(Debug)]
pub struct Deciding {
    policy: Policy,
    header: Header,
    case: Box<dyn Case>,
    rounds: Vec<Spent>,
    asked: Vec<Request>,
    fact_bytes: u64,
    phase: Phase,
}

impl Policy {
    /// Begins a decision, which is recorded.
    pub fn begin(&self, question: &Question, grant: &[FactKind], limits: &Limits) -> Deciding {
        Deciding::new(self.clone(), question, grant, limits)
    }
}

impl Deciding {
    fn new(policy: Policy, question: &Question, grant: &[FactKind], limits: &Limits) -> Self {
        let header = Header {
            contract: policy.contract().to_owned(),
            policy: policy.reference().clone(),
            engine: policy.0.engine.clone(),
            limits: limits.clone(),
            granted: grant.to_vec(),
            role: question.role(),
            alerts: StoredAlerts::of(question.alerts()),
        };
        let case = policy.0.contract.clone().ask(question);
        Self::with_case(policy, header, case)
    }

    pub(crate) fn with_case(policy: Policy, header: Header, case: Box<dyn Case>) -> Self {
        let phase = policy.missing_role(header.role).map_or(Phase::Asking, Phase::Fault);
        Self { policy, header, case, rounds: Vec::new(), asked: Vec::new(), fact_bytes: 0, phase }
    }

    /// Asks a fresh instance. After the end it says the end again.
    pub fn call(&mut self) -> Progress {
        match &self.phase {
            Phase::Asking => {}
            Phase::Waiting(requests) => {
                // Going on without facts that were asked for is no decision.
                let kind = requests.first().map_or(FaultKind::NothingNew, |request| FaultKind::Unanswered {
                    request: Box::new(request.clone()),
                });
                self.phase = Phase::Fault(kind.into());
            }
            Phase::Done(_) | Phase::Fault(_) => return self.progress(),
        }
        if matches!(self.phase, Phase::Asking) {
            self.phase = self.ask().unwrap_or_else(Phase::Fault);
        }
        self.progress()
    }

    fn progress(&self) -> Progress {
        match &self.phase {
            Phase::Asking => Progress::Need(Vec::new()),
            Phase::Waiting(requests) => Progress::Need(requests.clone()),
            Phase::Done(answer) => Progress::Done(answer.clone()),
            Phase::Fault(fault) => Progress::Fault(fault.clone()),
        }
    }

    fn ask(&mut self) -> Result<Phase, Fault> {
        let limits = &self.header.limits;
        let facts = self.case.facts();
        let ran = self.case.call(limits);
        self.rounds.push(Spent { facts, fuel: ran.fuel, log: ran.log });
        let step = ran.outcome?;
        self.policy.check_step(&step, self.header.role, &self.header.granted, limits)?;
        let requests = match step {
            Step::Done(answer) => return Ok(Phase::Done(answer)),
            Step::Need(requests) => requests,
        };
        let known = self.asked.len();
        for request in requests {
            if !self.asked.contains(&request) {
                self.asked.push(request);
            }
        }
        let new = self.asked[known..].to_vec();
        if new.is_empty() {
            return Err(FaultKind::NothingNew.into());
        }
        if self.rounds.len() >= limits.rounds_max as usize {
            return Err(FaultKind::TooManyRounds { limit: limits.rounds_max }.into());
        }
        Ok(Phase::Waiting(new))
    }

    /// What the policy waits for.
    pub fn pending(&self) -> &[Request] {
        match &self.phase {
            Phase::Waiting(requests) => requests,
            _ => &[],
        }
    }

    /// Adds one fact for each pending request, in any order. A fact that does not fit `fact_bytes_max` any more reaches the policy as
    /// unavailable, too large.
    pub fn add_facts(&mut self, facts: Vec<Fact>) -> Result<(), FactsError> {
        let mut pending = self.pending().to_vec();
        for fact in &facts {
            let at = pending.iter().position(|request| *request == fact.request);
            let at = at.ok_or_else(|| FactsError::NotAsked { id: fact.id.clone() })?;
            pending.swap_remove(at);
        }
        if let Some(request) = pending.pop() {
            return Err(FactsError::Unanswered(Box::new(request)));
        }
        if facts.is_empty() {
            return Ok(());
        }
        let facts: Vec<Fact> = facts.into_iter().map(|fact| self.within_bytes(fact)).collect();
        self.case.add_facts(&facts);
        self.phase = Phase::Asking;
        Ok(())
    }

    fn within_bytes(&mut self, mut fact: Fact) -> Fact {
        let max = self.header.limits.fact_bytes_max;
        // A value without a CBOR form cannot be recorded and is refused when the decision is finished.
        let bytes = canonical::cbor(&fact).map_or(0, |bytes| bytes.len() as u64);
        if self.fact_bytes.saturating_add(bytes) > max {
            let message =
                format!("the facts of one decision are limited to {max} bytes, and this one has {bytes}");
            fact.value = Err(Unavailable::new(UnavailableReason::TooLarge, message));
        } else {
            self.fact_bytes += bytes;
        }
        fact
    }

    /// Units of fuel used so far.
    pub fn fuel(&self) -> u64 {
        self.rounds.iter().map(|round| round.fuel).sum()
    }

    /// Lines written so far.
    pub fn log(&self) -> impl Iterator<Item = &LogLine> {
        self.rounds.iter().flat_map(|round| &round.log)
    }

    /// The recording, with the values of all facts in it. A decision that has not ended is recorded as abandoned. Stored alerts are not repeated in it.
    pub fn finish(mut self) -> Result<Vec<u8>, EncodeError> {
        if let Some(alerts) = &mut self.header.alerts {
            alerts.given = Some(self.case.take_alerts()?);
        }
        let abandoned = || Some(FaultKind::Abandoned.into());
        let fault = match self.phase {
            Phase::Done(_) => None,
            Phase::Fault(fault) => Some(fault),
            Phase::Asking | Phase::Waiting(_) => abandoned(),
        };
        self.case.record(&self.header, &self.rounds, fault.as_ref())
    }

    /// The same without large values of facts. `keep` is given each of them (CBOR, in the guest's words), and answers how the recording is to refer to
    /// it. See [`STORED_ALONE_BYTES_MIN`](ripcord_core::fact::STORED_ALONE_BYTES_MIN).
    pub fn finish_storing(
        mut self,
        mut keep: impl FnMut(Vec<u8>) -> BlobRef,
    ) -> Result<Vec<u8>, EncodeError> {
        let mut taking = Taking::new(&mut keep);
        self.case.take_values(&mut taking)?;
        recording::refer(self.finish()?, taking)
    }

    /// Goes on with facts of a recording.
    pub(crate) fn release_facts(&mut self, count: u32) {
        self.case.release_facts(count);
        if matches!(self.phase, Phase::Waiting(_)) {
            self.phase = Phase::Asking;
        }
    }
}

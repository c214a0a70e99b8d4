//! One question in the words of this version.

use std::sync::Arc;

use ciborium::Value;
use ripcord_core::alert::StandingAlert;
use ripcord_core::canonical::{self, EncodeError};
use ripcord_core::digest::Digest;
use ripcord_core::fact::Fact;
use ripcord_core::policy::Role;
use ripcord_core::role;

use super::bindings::ripcord::policy::facts;
use super::from_guest::{FromGuest, Rules};
use super::linked::V0_1;
use super::to_guest::ToGuest;
use super::words::{Answer, Question, Step};
use crate::contract::interface::Case;
use crate::fault::{Fault, FaultKind};
use crate::limits::Limits;
use crate::recording::{Header, Spent, Stored, StoredEnd};
use crate::run::Ran;
use crate::text::cut;
use crate::values::Taking;

const GUEST_ERROR_BYTES_MAX: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct V0_1Case {
    contract: Arc<V0_1>,
    question: Question,
    /// Facts of a recording that the guest has not been given yet, next one last.
    held_back: Vec<facts::Fact>,
    /// One entry per call.
    requests: Vec<Vec<facts::Request>>,
    answer: Option<Answer>,
}

impl V0_1Case {
    pub(super) fn new(contract: Arc<V0_1>, question: &role::Question) -> Self {
        let question = match question {
            role::Question::Trigger(input) => Question::Trigger(input.to_guest()),
            role::Question::Planner(input) => Question::Planner(input.to_guest()),
            role::Question::Approval(input) => Question::Approval(input.to_guest()),
            role::Question::Verification(input) => Question::Verification(input.to_guest()),
        };
        Self { contract, question, held_back: Vec::new(), requests: Vec::new(), answer: None }
    }

    pub(super) fn again(contract: Arc<V0_1>, question: &Value) -> Result<Self, String> {
        let mut question: Question = question.deserialized().map_err(|error| error.to_string())?;
        let mut held_back = std::mem::take(question.facts_mut());
        held_back.reverse();
        Ok(Self { contract, question, held_back, requests: Vec::new(), answer: None })
    }

    pub(super) fn in_json(contract: Arc<V0_1>, role: Role, input: serde_json::Value) -> Result<Self, String> {
        let question = serde_json::json!({ role.as_str(): input });
        let question = serde_json::from_value(question).map_err(|error| error.to_string())?;
        Ok(Self { contract, question, held_back: Vec::new(), requests: Vec::new(), answer: None })
    }

    fn read(&mut self, step: Step, limits: &Limits) -> Result<role::Step, Fault> {
        let rules = Rules {
            now: self.question.context().now,
            text_bytes_max: usize::try_from(limits.text_bytes_max).unwrap_or(usize::MAX),
        };
        Ok(match step {
            Step::Need(requests) => {
                // Kept as the guest wrote them, even when they cannot be read.
                if let Some(kept) = self.requests.last_mut() {
                    kept.clone_from(&requests);
                }
                role::Step::Need(Vec::from_guest(requests, &rules)?)
            }
            Step::Done(answer) => {
                self.answer = Some(answer.clone());
                role::Step::Done(role::Answer::from_guest(answer, &rules)?)
            }
        })
    }
}

impl Case for V0_1Case {
    fn add_facts(&mut self, facts: &[Fact]) {
        self.question.facts_mut().extend(facts.iter().map(ToGuest::to_guest));
    }

    fn take_alerts(&mut self) -> Result<Digest, EncodeError> {
        let given = canonical::cbor(self.question.signals_mut())?;
        self.question.signals_mut().clear();
        Ok(Digest::of(given))
    }

    fn put_alerts(&mut self, alerts: &[StandingAlert]) -> Result<Digest, EncodeError> {
        *self.question.signals_mut() = alerts.iter().map(ToGuest::to_guest).collect();
        Ok(Digest::of(canonical::cbor(self.question.signals_mut())?))
    }

    fn take_values(&mut self, taking: &mut Taking<'_>) -> Result<(), EncodeError> {
        for (list, facts) in self.question.fact_lists_mut() {
            for (index, fact) in facts.iter_mut().enumerate() {
                if let Ok(value) = &fact.value
                    && taking.takes(list, index, value)?
                {
                    // What stands here until the reference does.
                    let (reason, message) = (facts::UnavailableReason::NotRecorded, String::new());
                    fact.value = Err(facts::Unavailable { reason, message });
                }
            }
        }
        Ok(())
    }

    fn facts(&self) -> u32 {
        u32::try_from(self.question.facts().len()).unwrap_or(u32::MAX)
    }

    fn release_facts(&mut self, count: u32) {
        while self.facts() < count {
            let Some(fact) = self.held_back.pop() else { return };
            self.question.facts_mut().push(fact);
        }
    }

    fn call(&mut self, limits: &Limits) -> Ran<role::Step> {
        self.requests.push(Vec::new());
        let Ran { outcome, fuel, log } = self.contract.ask_once(&self.question, limits);
        let role = self.question.role();
        let outcome = outcome.and_then(|answered| match answered {
            None => Err(FaultKind::RoleNotExported { role }.into()),
            Some(Err(mut message)) => {
                cut(&mut message, GUEST_ERROR_BYTES_MAX);
                Err(FaultKind::GuestError { message }.into())
            }
            Some(Ok(step)) => self.read(step, limits),
        });
        Ran { outcome, fuel, log }
    }

    fn step_in_json(&self) -> serde_json::Value {
        let answer = match &self.answer {
            None => return serde_json::json!({ "Need": self.requests.last() }),
            Some(Answer::Trigger(answer)) => serde_json::to_value(answer),
            Some(Answer::Planner(answer)) => serde_json::to_value(answer),
            Some(Answer::Approval(answer)) => serde_json::to_value(answer),
            Some(Answer::Verification(answer)) => serde_json::to_value(answer),
        };
        // Text keys only, so there is a JSON form.
        serde_json::json!({ "Done": answer.unwrap_or_default() })
    }

    fn input_in_json(&self) -> serde_json::Value {
        // Text keys only, so there is a JSON form; it is the role's name and its input.
        let question = serde_json::to_value(&self.question).unwrap_or_default();
        match question {
            serde_json::Value::Object(roles) => {
                roles.into_iter().next().map(|(_, input)| input).unwrap_or_default()
            }
            other => other,
        }
    }

    fn record(
        &self,
        header: &Header,
        rounds: &[Spent],
        fault: Option<&Fault>,
    ) -> Result<Vec<u8>, EncodeError> {
        let abandoned = || StoredEnd::Fault(FaultKind::Abandoned.into());
        let end = match (fault, &self.answer) {
            (Some(fault), _) => StoredEnd::Fault(fault.clone()),
            (None, Some(answer)) => StoredEnd::Done(answer),
            (None, None) => abandoned(),
        };
        let requests = self.requests.iter().map(|round| round.iter().collect());
        let stored: Stored<&Question, &facts::Request, &Answer> =
            Stored::new(header, &self.question, requests, rounds, end);
        canonical::cbor(&stored)
    }
}

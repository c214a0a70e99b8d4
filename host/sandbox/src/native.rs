//! A policy that is a function of this process: no component, no instance. For simulations, which ask more often than WebAssembly is fast.
//!
//! Its decisions are limited, recorded and replayed as those of a component are; it has no fuel, and no contract version but its own.

use std::fmt::Debug;
use std::sync::Arc;

use ciborium::Value;
use ripcord_core::alert::StandingAlert;
use ripcord_core::canonical::{self, EncodeError};
use ripcord_core::digest::Digest;
use ripcord_core::fact::{Fact, Request, Unavailable, UnavailableReason};
use ripcord_core::name::PolicyName;
use ripcord_core::policy::{Grant, Manifest, PolicyRef, Role};
use ripcord_core::role::{Answer, Question, Step};

use crate::contract::{Case, Contract};
use crate::engine::EngineId;
use crate::fault::{Fault, FaultKind};
use crate::limits::Limits;
use crate::manifest::RawManifest;
use crate::policy::Policy;
use crate::recording::{Header, Spent, Stored, StoredEnd};
use crate::run::Ran;
use crate::settings::Schema;
use crate::values::{FactList, Taking};

/// As recordings name the contract of such a policy.
const VERSION: &str = "native";

/// What a native policy says. Like a component it must be a function of the question alone.
pub trait NativePolicy: Debug + Send + Sync {
    /// One call.
    fn ask(&self, question: &Question) -> Result<Step, FaultKind>;
}

impl Policy {
    /// A policy without a component. It fills the roles that `grants` lists, and takes any settings.
    pub fn native(
        name: PolicyName,
        grants: Vec<Grant>,
        native: Arc<dyn NativePolicy>,
    ) -> Result<Self, String> {
        let digest = Digest::tagged("ripcord native policy 1", &[name.as_str().as_bytes()]);
        let reference = PolicyRef { name: name.clone(), version: "0.0.0".to_owned(), digest };
        let roles = grants.iter().map(|grant| grant.role).collect();
        let manifest = Manifest {
            name,
            version: reference.version.clone(),
            summary: "A policy of a simulation.".to_owned(),
            settings_schema: "{}".to_owned(),
            grants,
        };
        let schema = Schema::read(&manifest.settings_schema)?;
        Ok(Self::new(reference, manifest, roles, schema, Arc::new(Native(native)), EngineId::current()))
    }
}

#[derive(Debug)]
struct Native(Arc<dyn NativePolicy>);

impl Contract for Native {
    fn version(&self) -> &'static str {
        VERSION
    }

    fn describe(&self, _: &Limits) -> Ran<RawManifest> {
        let fault =
            FaultKind::BadOutput { reason: "a native policy has no description of its own".to_owned() };
        Ran { outcome: Err(fault.into()), fuel: 0, log: Vec::new() }
    }

    fn compare_types(&self, _: &Limits) -> Ran<()> {
        Ran { outcome: Ok(()), fuel: 0, log: Vec::new() }
    }

    fn ask(self: Arc<Self>, question: &Question) -> Box<dyn Case> {
        Box::new(NativeCase::new(self, question.clone()))
    }

    fn ask_again(self: Arc<Self>, question: &Value) -> Result<Box<dyn Case>, String> {
        let mut question: Question = question.deserialized().map_err(|error| error.to_string())?;
        let mut held_back = std::mem::take(question.facts_mut());
        held_back.reverse();
        Ok(Box::new(NativeCase { held_back, ..NativeCase::new(self, question) }))
    }

    fn ask_in_json(self: Arc<Self>, role: Role, input: serde_json::Value) -> Result<Box<dyn Case>, String> {
        let question = serde_json::from_value(serde_json::json!({ role.as_str(): input }));
        Ok(Box::new(NativeCase::new(self, question.map_err(|error| error.to_string())?)))
    }
}

#[derive(Debug)]
struct NativeCase {
    contract: Arc<Native>,
    question: Question,
    /// Facts of a recording that the policy has not been given yet, next one last.
    held_back: Vec<Fact>,
    /// One entry per call.
    requests: Vec<Vec<Request>>,
    answer: Option<Answer>,
}

impl NativeCase {
    fn new(contract: Arc<Native>, question: Question) -> Self {
        Self { contract, question, held_back: Vec::new(), requests: Vec::new(), answer: None }
    }

    fn alerts_mut(&mut self) -> &mut Vec<StandingAlert> {
        match &mut self.question {
            Question::Trigger(input) => &mut input.signals,
            Question::Planner(input) => &mut input.signals,
            Question::Approval(input) => &mut input.signals,
            Question::Verification(input) => &mut input.signals,
        }
    }
}

impl Case for NativeCase {
    fn add_facts(&mut self, facts: &[Fact]) {
        self.question.facts_mut().extend_from_slice(facts);
    }

    fn take_alerts(&mut self) -> Result<Digest, EncodeError> {
        Ok(Digest::of(canonical::cbor(&std::mem::take(self.alerts_mut()))?))
    }

    fn put_alerts(&mut self, alerts: &[StandingAlert]) -> Result<Digest, EncodeError> {
        *self.alerts_mut() = alerts.to_vec();
        Ok(Digest::of(canonical::cbor(self.alerts_mut())?))
    }

    fn take_values(&mut self, taking: &mut Taking<'_>) -> Result<(), EncodeError> {
        let lists = match &mut self.question {
            Question::Verification(input) => {
                vec![(FactList::Facts, &mut input.facts), (FactList::Before, &mut input.before)]
            }
            other => vec![(FactList::Facts, other.facts_mut())],
        };
        for (list, facts) in lists {
            for (index, fact) in facts.iter_mut().enumerate() {
                if let Ok(value) = &fact.value
                    && taking.takes(list, index, value)?
                {
                    fact.value = Err(Unavailable::new(UnavailableReason::NotRecorded, ""));
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

    fn call(&mut self, _: &Limits) -> Ran<Step> {
        self.requests.push(Vec::new());
        let outcome = self.contract.0.ask(&self.question).map_err(Fault::from);
        match &outcome {
            Ok(Step::Need(requests)) => {
                if let Some(kept) = self.requests.last_mut() {
                    kept.clone_from(requests);
                }
            }
            Ok(Step::Done(answer)) => self.answer = Some(answer.clone()),
            Err(_) => {}
        }
        Ran { outcome, fuel: 0, log: Vec::new() }
    }

    fn step_in_json(&self) -> serde_json::Value {
        match &self.answer {
            Some(answer) => serde_json::json!({ "Done": answer }),
            None => serde_json::json!({ "Need": self.requests.last() }),
        }
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
        let end = match (fault, &self.answer) {
            (Some(fault), _) => StoredEnd::Fault(fault.clone()),
            (None, Some(answer)) => StoredEnd::Done(answer),
            (None, None) => StoredEnd::Fault(FaultKind::Abandoned.into()),
        };
        let requests = self.requests.iter().map(|round| round.iter().collect());
        let stored: Stored<&Question, &Request, &Answer> =
            Stored::new(header, &self.question, requests, rounds, end);
        canonical::cbor(&stored)
    }
}

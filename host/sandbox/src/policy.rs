//! A loaded policy.

use std::sync::Arc;

use ripcord_core::fact::FactKind;
use ripcord_core::policy::{Manifest, PolicyRef, Role};
use ripcord_core::role::{Question, Step};
use serde_json::Value;

use crate::contract::Contract;
use crate::engine::EngineId;
use crate::fault::{Fault, FaultKind};
use crate::limits::Limits;
use crate::manifest::check_request;
use crate::settings::{Schema, SettingsError};
use crate::state::LogLine;

/// What one call of a policy gave, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What the policy said, or what it did instead.
    pub outcome: Result<Step, Fault>,
    /// Units used, faults included.
    pub fuel: u64,
    /// Lines written, faults included.
    pub log: Vec<LogLine>,
}

/// The same in the contract's own JSON, as fixtures are written.
#[derive(Debug, Clone, PartialEq)]
pub struct CallInJson {
    /// The role's `step`, or what the policy did instead.
    pub outcome: Result<Value, Fault>,
    /// Units used, faults included.
    pub fuel: u64,
}

#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) reference: PolicyRef,
    pub(crate) manifest: Manifest,
    pub(crate) roles: Vec<Role>,
    pub(crate) schema: Schema,
    pub(crate) contract: Arc<dyn Contract>,
    pub(crate) engine: EngineId,
}

/// A component that was accepted as a policy: checked, compiled, linked. Clones share it.
#[derive(Debug, Clone)]
pub struct Policy(pub(crate) Arc<Loaded>);

impl Policy {
    pub(crate) fn new(
        reference: PolicyRef,
        manifest: Manifest,
        roles: Vec<Role>,
        schema: Schema,
        contract: Arc<dyn Contract>,
        engine: EngineId,
    ) -> Self {
        Self(Arc::new(Loaded { reference, manifest, roles, schema, contract, engine }))
    }

    /// Name, version and digest of the component.
    pub fn reference(&self) -> &PolicyRef {
        &self.0.reference
    }

    /// What the policy says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The roles that the component exports, in the order of an incident.
    pub fn roles(&self) -> &[Role] {
        &self.0.roles
    }

    /// The version of the contract that it was built against.
    pub fn contract(&self) -> &'static str {
        self.0.contract.version()
    }

    /// Checks settings against the manifest's schema and gives them the form that [`ripcord_core::role::Context::settings`] carries.
    pub fn check_settings(&self, settings: &Value) -> Result<String, SettingsError> {
        self.0.schema.check(settings)?;
        Ok(settings.to_string())
    }

    /// Asks once. `grant` is what the operator lets it see, within its manifest.
    pub fn call(&self, question: &Question, grant: &[FactKind], limits: &Limits) -> Call {
        if let Some(fault) = self.missing_role(question.role()) {
            return Call { outcome: Err(fault), fuel: 0, log: Vec::new() };
        }
        let ran = self.0.contract.clone().ask(question).call(limits);
        let outcome = ran.outcome.and_then(|step| {
            self.check_step(&step, question.role(), grant, limits)?;
            Ok(step)
        });
        Call { outcome, fuel: ran.fuel, log: ran.log }
    }

    /// Asks once, with the role's `input` in the contract's own JSON: what `serde` derives for its types. The whole manifest is granted.
    pub fn call_in_json(&self, role: Role, input: Value, limits: &Limits) -> CallInJson {
        let refused = |fault: Fault| CallInJson { outcome: Err(fault), fuel: 0 };
        if let Some(fault) = self.missing_role(role) {
            return refused(fault);
        }
        let mut case = match self.0.contract.clone().ask_in_json(role, input) {
            Ok(case) => case,
            Err(error) => {
                let message = format!("the input does not fit the contract: {error}");
                return refused(FaultKind::Host { message }.into());
            }
        };
        let ran = case.call(limits);
        let outcome = ran.outcome.and_then(|step| {
            self.check_step(&step, role, self.manifest().may_request(role), limits)?;
            Ok(case.step_in_json())
        });
        CallInJson { outcome, fuel: ran.fuel }
    }

    /// The fault of asking it in a role that it does not fill.
    pub(crate) fn missing_role(&self, role: Role) -> Option<Fault> {
        (!self.roles().contains(&role)).then(|| FaultKind::RoleNotExported { role }.into())
    }

    /// Checks what does not depend on earlier rounds.
    pub(crate) fn check_step(
        &self,
        step: &Step,
        role: Role,
        grant: &[FactKind],
        limits: &Limits,
    ) -> Result<(), FaultKind> {
        match step {
            Step::Need(requests) => {
                if requests.len() > limits.requests_max as usize {
                    return Err(FaultKind::TooManyRequests { limit: limits.requests_max });
                }
                requests.iter().try_for_each(|request| check_request(request, role, self.manifest(), grant))
            }
            Step::Done(answer) if answer.memo.len() as u64 > limits.memo_bytes_max => {
                Err(FaultKind::MemoTooLarge { limit_bytes: limits.memo_bytes_max })
            }
            Step::Done(_) => Ok(()),
        }
    }
}

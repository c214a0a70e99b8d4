//! A component of this version, linked: which calls it takes.

use std::sync::Arc;

use ripcord_core::policy::Role;
use ripcord_core::signal::Severity;
use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, Instance, Linker};

use super::bindings::exports::ripcord::policy::{approval, describe, planner, trigger, verification};
use super::bindings::ripcord::policy::{log, types};
use super::from_guest::{FromGuest, Rules};
use super::words::{Answer, OfGuest, Question, Step};
use crate::limits::Limits;
use crate::manifest::RawManifest;
use crate::run::{Linked, Ran, message};
use crate::shared::Shared;
use crate::state::State;

/// A component of this version with what it exports looked up.
pub(in crate::contract) struct V0_1 {
    linked: Linked,
    describe: describe::GuestIndices,
    trigger: Option<trigger::GuestIndices>,
    planner: Option<planner::GuestIndices>,
    approval: Option<approval::GuestIndices>,
    verification: Option<verification::GuestIndices>,
}

impl std::fmt::Debug for V0_1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("V0_1(..)")
    }
}

impl V0_1 {
    pub(in crate::contract) fn link(
        shared: &Arc<Shared>,
        component: &Component,
        roles: &[Role],
    ) -> Result<Self, String> {
        let text = |error: wasmtime::Error| message(&error);
        let mut linker = Linker::new(&shared.engine);
        log::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(text)?;
        let pre = linker.instantiate_pre(component).map_err(text)?;
        let fills = |role: Role| roles.contains(&role);
        Ok(Self {
            describe: describe::GuestIndices::new(&pre).map_err(text)?,
            trigger: fills(Role::Trigger)
                .then(|| trigger::GuestIndices::new(&pre))
                .transpose()
                .map_err(text)?,
            planner: fills(Role::Planner)
                .then(|| planner::GuestIndices::new(&pre))
                .transpose()
                .map_err(text)?,
            approval: fills(Role::Approval)
                .then(|| approval::GuestIndices::new(&pre))
                .transpose()
                .map_err(text)?,
            verification: fills(Role::Verification)
                .then(|| verification::GuestIndices::new(&pre))
                .transpose()
                .map_err(text)?,
            linked: Linked { shared: Arc::clone(shared), pre },
        })
    }

    pub(super) fn describe(&self, limits: &Limits) -> Ran<RawManifest> {
        let Ran { outcome, fuel, log } = self.linked.run(limits, |store, instance| {
            let guest = self.describe.load(&mut *store, instance)?;
            guest.call_describe(store)
        });
        let rules = Rules { now: 0, text_bytes_max: usize::MAX };
        let outcome = outcome.and_then(|manifest| Ok(RawManifest::from_guest(manifest, &rules)?));
        Ran { outcome, fuel, log }
    }

    pub(super) fn compare_types(&self, limits: &Limits) -> Ran<()> {
        self.linked.run(limits, |store, instance| {
            if let Some(role) = &self.trigger {
                role.load(&mut *store, instance)?;
            }
            if let Some(role) = &self.planner {
                role.load(&mut *store, instance)?;
            }
            if let Some(role) = &self.approval {
                role.load(&mut *store, instance)?;
            }
            if let Some(role) = &self.verification {
                role.load(&mut *store, instance)?;
            }
            Ok(())
        })
    }

    /// Asks a fresh instance. The inner result is the guest's own: its step, or the text with which it gave up. None if the role is not
    /// exported.
    pub(super) fn ask_once(&self, question: &Question, limits: &Limits) -> Ran<Option<Result<Step, String>>> {
        self.linked.run(limits, |store, instance| self.call(question, store, instance))
    }

    fn call(
        &self,
        question: &Question,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Option<Result<Step, String>>> {
        macro_rules! ask {
            ($indices:expr, $call:ident, $input:expr, $role:ident, $case:ident) => {{
                let Some(indices) = $indices else { return Ok(None) };
                let guest = indices.load(&mut *store, instance)?;
                guest.$call(&mut *store, $input)?.map(|step| match step {
                    $role::Step::Need(requests) => Step::Need(requests),
                    $role::Step::Done(answer) => Step::Done(Answer::$case(answer)),
                })
            }};
        }
        Ok(Some(match question {
            Question::Trigger(input) => ask!(&self.trigger, call_assess, input, trigger, Trigger),
            Question::Planner(input) => ask!(&self.planner, call_propose, input, planner, Planner),
            Question::Approval(input) => ask!(&self.approval, call_authorize, input, approval, Approval),
            Question::Verification(input) => {
                ask!(&self.verification, call_verify, input, verification, Verification)
            }
        }))
    }
}

impl log::Host for State {
    fn write(&mut self, severity: types::Severity, text: String) -> wasmtime::Result<()> {
        Ok(self.write_log(Severity::of_guest(severity), text)?)
    }
}

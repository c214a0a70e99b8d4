//! Version 0.1.0 of the contract.

use std::sync::Arc;

use ripcord_core::policy::Role;
use ripcord_core::signal::Severity;
use wasmtime::component::{Component, HasSelf, Linker};

use self::bindings::exports::ripcord::policy::{approval, describe, planner, trigger, verification};
use self::bindings::ripcord::policy::{log, types};
use self::from_guest::{FromGuest, Rules};
use super::{Case, Contract};
use crate::limits::Limits;
use crate::manifest::RawManifest;
use crate::run::{Linked, Ran};
use crate::sandbox::Shared;
use crate::state::State;

mod bindings;
mod case;
mod from_guest;
mod to_guest;

/// As the names of its interfaces end.
pub(super) const VERSION: &str = "0.1.0";

/// A component of this version with what it exports looked up.
pub(super) struct V0_1 {
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
    pub(super) fn link(shared: &Arc<Shared>, component: &Component, roles: &[Role]) -> Result<Self, String> {
        let text = |error: wasmtime::Error| crate::run::message(&error);
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
}

impl Contract for V0_1 {
    fn version(&self) -> &'static str {
        VERSION
    }

    fn describe(&self, limits: &Limits) -> Ran<RawManifest> {
        let Ran { outcome, fuel, log } = self.linked.run(limits, |store, instance| {
            let guest = self.describe.load(&mut *store, instance)?;
            guest.call_describe(store)
        });
        let rules = Rules { now: 0, text_bytes_max: usize::MAX };
        let outcome = outcome.and_then(|manifest| Ok(RawManifest::from_guest(manifest, &rules)?));
        Ran { outcome, fuel, log }
    }

    fn compare_types(&self, limits: &Limits) -> Ran<()> {
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

    fn ask(self: Arc<Self>, question: &ripcord_core::role::Question) -> Box<dyn Case> {
        Box::new(case::V0_1Case::new(self, question))
    }

    fn ask_again(self: Arc<Self>, question: &ciborium::Value) -> Result<Box<dyn Case>, String> {
        Ok(Box::new(case::V0_1Case::again(self, question)?))
    }

    fn ask_in_json(self: Arc<Self>, role: Role, input: serde_json::Value) -> Result<Box<dyn Case>, String> {
        Ok(Box::new(case::V0_1Case::in_json(self, role, input)?))
    }
}

impl log::Host for State {
    fn write(&mut self, severity: types::Severity, text: String) -> wasmtime::Result<()> {
        Ok(self.write_log(Severity::of_guest(severity), text)?)
    }
}

trait OfGuest<G> {
    fn of_guest(guest: G) -> Self;
}

impl OfGuest<types::Severity> for Severity {
    fn of_guest(guest: types::Severity) -> Self {
        match guest {
            types::Severity::Info => Self::Info,
            types::Severity::Warning => Self::Warning,
            types::Severity::Critical => Self::Critical,
            types::Severity::Other(mut name) => {
                crate::text::cut(&mut name, 100);
                Self::Other(name)
            }
        }
    }
}

//! Version 0.1.0 of the contract.

use std::sync::Arc;

use ripcord_core::policy::Role;

use super::interface::{Case, Contract};
use crate::limits::Limits;
use crate::manifest::RawManifest;
use crate::run::Ran;

mod bindings;
mod case;
mod from_guest;
mod linked;
mod to_guest;
mod words;

pub(super) use linked::V0_1;

/// As the names of its interfaces end.
pub(super) const VERSION: &str = "0.1.0";

impl Contract for V0_1 {
    fn version(&self) -> &'static str {
        VERSION
    }

    fn describe(&self, limits: &Limits) -> Ran<RawManifest> {
        V0_1::describe(self, limits)
    }

    fn compare_types(&self, limits: &Limits) -> Ran<()> {
        V0_1::compare_types(self, limits)
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

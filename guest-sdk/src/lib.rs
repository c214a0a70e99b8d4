//! What the author of a Ripcord policy depends on.
//!
//! A policy is a pure function: it implements [`Policy`] and the traits of its roles ([`Trigger`], [`Planner`],
//! [`Approval`], [`Verification`]), and [`export!`] makes a component of it. What it does not know it asks for
//! through [`Facts`]; a fact that is not there yet returns early by `?`, and the host calls again when it has it.
//!
//! ```
//! use ripcord_sdk::prelude::*;
//!
//! /// Rolls back when the error ratio is above a limit.
//! struct TooManyErrors;
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     /// The largest error ratio that is still well, 0..=1.
//!     limit: f64,
//! }
//!
//! impl Policy for TooManyErrors {
//!     type Settings = Settings;
//! }
//!
//! impl Trigger for TooManyErrors {
//!     const FACTS: &'static [FactKind] = &[FactKind::Metric];
//!
//!     fn assess(case: &TriggerCase, facts: &Facts, settings: &Settings) -> Step<Assessment> {
//!         let (errors, requests) = facts.all((facts.metric("errors_total"), facts.metric("requests_total")))?;
//!         let (Ok(errors), Ok(requests)) = (errors, requests) else {
//!             return Ok(Assessment::watch(case.now() + minutes(1)).note(Note::warning("no data")));
//!         };
//!         let ratio = ripcord_sdk::stats::total(errors) / ripcord_sdk::stats::total(requests);
//!         if ratio > settings.limit {
//!             return Ok(Assessment::roll_back(Proposal::new(format!("error ratio {ratio:.3}"))));
//!         }
//!         Ok(Assessment::ignore())
//!     }
//! }
//!
//! ripcord_sdk::export!(TooManyErrors: trigger);
//! # fn main() {}
//! ```
//!
//! An example of each other role is in [`roles`], one that compares with the last good period in [`reference`]. Whether
//! something has moved is in [`drift`], tests that may be looked at any time in [`sequential`], what may have done a harm in [`suspects`], which
//! checkpoint of a training run to go back to in [`checkpoints`]. `ripcord policy new --role ROLE` writes
//! one that compiles, with fixtures.
//!
//! Invariants: a component made with this crate imports no function but `log`; the SDK has no clock, no
//! randomness and no global state but the panic hook; the same input gives the same output.

mod answer;
#[doc(hidden)]
pub mod bindings;
pub mod calendar;
pub mod checkpoints;
#[doc(hidden)]
pub mod component;
pub mod count;
pub mod drift;
mod duration;
mod facts;
pub mod keys;
pub mod kind;
pub mod last_known_good;
pub mod limit;
pub mod metric;
mod policy;
pub mod reach;
pub mod reading;
pub mod reference;
#[doc = include_str!("roles.md")]
pub mod roles {}
#[cfg(test)]
mod seeded;
pub mod sequential;
pub mod settings;
pub mod stats;
mod subject;
pub mod suspects;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use component::{About, Component, RoleEntry};
pub use duration::{Duration, days, hours, millis, minutes, seconds};
pub use facts::{Fact, Facts, Handle, Step, Stop, Wanted};
pub use policy::{
    Approval, ApprovalCase, Planner, PlannerCase, Policy, Trigger, TriggerCase, Verification,
    VerificationCase,
};

/// The types of the contract, as they are in `policy.wit`.
pub mod contract {
    pub use crate::bindings::described::exports::ripcord::policy::describe;
    pub use crate::bindings::shared::ripcord::policy::{facts, types};

    pub use crate::bindings::approval::exports::ripcord::policy::approval;
    pub use crate::bindings::planner::exports::ripcord::policy::planner;
    pub use crate::bindings::trigger::exports::ripcord::policy::trigger;
    pub use crate::bindings::verification::exports::ripcord::policy::verification;
}

/// What a policy's source usually imports.
pub mod prelude {
    pub use crate::contract::approval::{
        Answer as ApprovalAnswer, Quorum, Requirement, Verdict as ApprovalVerdict,
    };
    pub use crate::contract::describe::FactKind;
    pub use crate::contract::facts::{Unavailable, UnavailableReason};
    pub use crate::contract::planner::{Answer as PlannerAnswer, Choice, Refusal, Verdict as PlannerVerdict};
    pub use crate::contract::trigger::{Assessment, Verdict as TriggerVerdict};
    pub use crate::contract::types::{
        Finding, Note, Proposal, Severity, SignalKind, SignalStatus, Strategy, Target, Urgency,
    };
    pub use crate::contract::verification::{
        Answer as VerificationAnswer, Subject, Verdict as VerificationVerdict,
    };
    pub use crate::{
        Approval, ApprovalCase, Duration, Fact, Facts, Planner, PlannerCase, Policy, Step, Stop, Trigger,
        TriggerCase, Verification, VerificationCase, days, hours, minutes, seconds,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}

/// Writes one line to the host's log of this decision. The host bounds lines and length.
///
/// Natively the line goes to standard error.
pub fn log(severity: &contract::types::Severity, text: &str) {
    #[cfg(target_arch = "wasm32")]
    bindings::shared::ripcord::policy::log::write(severity, text);
    #[cfg(not(target_arch = "wasm32"))]
    {
        testing::count_logged(text);
        eprintln!("{severity:?}: {text}");
    }
}

/// Makes a component of a policy: the manifest and the export of every role that is named.
///
/// ```ignore
/// ripcord_sdk::export!(ThresholdTrigger: trigger);
/// ripcord_sdk::export!(OneRuleForAll: trigger, verification);
/// ```
///
/// Name, version and summary of the manifest are those of the Cargo package. The exports exist on `wasm32` only;
/// on other targets the type still implements [`Component`], which the harness in [`testing`] runs.
#[macro_export]
macro_rules! export {
    ($policy:ident: $($role:ident),+ $(,)?) => {
        impl $crate::Component for $policy {
            const ABOUT: $crate::About = $crate::About {
                name: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                summary: env!("CARGO_PKG_DESCRIPTION"),
            };

            fn roles() -> Vec<$crate::RoleEntry> {
                vec![$($crate::RoleEntry::$role::<$policy>()),+]
            }
        }

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            impl $crate::contract::describe::Guest for $policy {
                fn describe() -> $crate::contract::describe::Manifest {
                    <$policy as $crate::Component>::manifest()
                }
            }
            $crate::bindings::described::export_described!($policy with_types_in $crate::bindings::described);
            $($crate::__export_role!($role, $policy);)+
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_role {
    (@one $role:ident, $function:ident, $policy:ident, $export:ident) => {
        impl $crate::contract::$role::Guest for $policy {
            fn $function(input: $crate::contract::$role::Input) -> Result<$crate::contract::$role::Step, String> {
                $crate::component::$function::<$policy>(input)
            }
        }
        $crate::bindings::$role::$export!($policy with_types_in $crate::bindings::$role);
    };
    (trigger, $policy:ident) => { $crate::__export_role!(@one trigger, assess, $policy, export_trigger); };
    (planner, $policy:ident) => { $crate::__export_role!(@one planner, propose, $policy, export_planner); };
    (approval, $policy:ident) => { $crate::__export_role!(@one approval, authorize, $policy, export_approval); };
    (verification, $policy:ident) => {
        $crate::__export_role!(@one verification, verify, $policy, export_verification);
    };
}

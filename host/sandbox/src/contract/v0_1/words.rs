//! The words of this version: what guests are asked and what they answer.

use ripcord_core::policy::Role;
use ripcord_core::signal::Severity;
use serde::{Deserialize, Serialize};

use super::bindings::exports::ripcord::policy::{approval, planner, trigger, verification};
use super::bindings::ripcord::policy::{facts, types};
use crate::values::FactList;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Question {
    Trigger(trigger::Input),
    Planner(planner::Input),
    Approval(approval::Input),
    Verification(verification::Input),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Trigger(trigger::Assessment),
    Planner(planner::Answer),
    Approval(approval::Answer),
    Verification(verification::Answer),
}

/// What any role's call returns.
pub(super) enum Step {
    Need(Vec<facts::Request>),
    Done(Answer),
}

impl Question {
    pub(super) fn facts(&self) -> &Vec<facts::Fact> {
        match self {
            Self::Trigger(input) => &input.facts,
            Self::Planner(input) => &input.facts,
            Self::Approval(input) => &input.facts,
            Self::Verification(input) => &input.facts,
        }
    }

    pub(super) fn facts_mut(&mut self) -> &mut Vec<facts::Fact> {
        match self {
            Self::Trigger(input) => &mut input.facts,
            Self::Planner(input) => &mut input.facts,
            Self::Approval(input) => &mut input.facts,
            Self::Verification(input) => &mut input.facts,
        }
    }

    pub(super) fn fact_lists_mut(&mut self) -> Vec<(FactList, &mut Vec<facts::Fact>)> {
        match self {
            Self::Verification(input) => {
                vec![(FactList::Facts, &mut input.facts), (FactList::Before, &mut input.before)]
            }
            other => vec![(FactList::Facts, other.facts_mut())],
        }
    }

    pub(super) fn signals_mut(&mut self) -> &mut Vec<types::Signal> {
        match self {
            Self::Trigger(input) => &mut input.signals,
            Self::Planner(input) => &mut input.signals,
            Self::Approval(input) => &mut input.signals,
            Self::Verification(input) => &mut input.signals,
        }
    }

    pub(super) fn context(&self) -> &types::Context {
        match self {
            Self::Trigger(input) => &input.context,
            Self::Planner(input) => &input.context,
            Self::Approval(input) => &input.context,
            Self::Verification(input) => &input.context,
        }
    }

    pub(super) const fn role(&self) -> Role {
        match self {
            Self::Trigger(_) => Role::Trigger,
            Self::Planner(_) => Role::Planner,
            Self::Approval(_) => Role::Approval,
            Self::Verification(_) => Role::Verification,
        }
    }
}

/// Takes a word as it is; nothing is checked.
pub(super) trait OfGuest<G> {
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

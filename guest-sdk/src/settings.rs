//! Settings that several policies share, as an operator writes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::types;

/// How to roll back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// An earlier version of the model.
    #[default]
    Version,
    /// An earlier checkpoint of the training run.
    Checkpoint,
    /// An earlier configuration; the model stays.
    Configuration,
    /// Training again without the condemned data.
    Retrain,
    /// A configured safe mode.
    Fallback,
}

impl From<Strategy> for types::Strategy {
    fn from(strategy: Strategy) -> Self {
        match strategy {
            Strategy::Version => Self::Version,
            Strategy::Checkpoint => Self::Checkpoint,
            Strategy::Configuration => Self::Configuration,
            Strategy::Retrain => Self::Retrain,
            Strategy::Fallback => Self::Fallback,
        }
    }
}

/// How soon people must look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// In working hours.
    #[default]
    Routine,
    /// Now.
    Urgent,
    /// Now, and harm is being done.
    Emergency,
}

impl From<Urgency> for types::Urgency {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Routine => Self::Routine,
            Urgency::Urgent => Self::Urgent,
            Urgency::Emergency => Self::Emergency,
        }
    }
}

/// On which side of a limit is the harm?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// A value above the limit is bad.
    Over,
    /// A value below the limit is bad.
    Under,
}

impl Side {
    /// True if the value lies on the bad side of the limit; on the limit is still well.
    pub fn is_beyond(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Over => value > limit,
            Self::Under => value < limit,
        }
    }

    /// The value that lies furthest on this side; none of no values.
    pub fn worst(self, values: impl Iterator<Item = f64>) -> Option<f64> {
        values.reduce(|one, other| if self.is_beyond(other, one) { other } else { one })
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Over => "over",
            Self::Under => "under",
        })
    }
}

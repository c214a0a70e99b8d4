//! What may be forgotten, and when: content goes, commitments stay.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// What content is kept for. Content that several records refer to is kept for as long as the last of them wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Decisions that belong to no incident: they changed nothing.
    Decisions,
    /// Signals that belong to no incident.
    Signals,
    /// What was preserved of the systems around an incident: request logs, trials.
    Evidence,
    /// All else that belongs to an incident: its signals, decisions, plans, texts.
    Incidents,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Decisions, Self::Signals, Self::Evidence, Self::Incidents];

    /// The name that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decisions => "decisions",
            Self::Signals => "signals",
            Self::Evidence => "evidence",
            Self::Incidents => "incidents",
        }
    }

    /// No configuration goes below this: content must outlive what may still need it.
    pub const fn age_min(self) -> Millis {
        match self {
            // Whoever is called in the night looks the next day.
            Self::Decisions | Self::Signals => Millis::hours(24),
            Self::Evidence => Millis::hours(7 * 24),
            Self::Incidents => Millis::hours(30 * 24),
        }
    }

    /// Where nothing is configured.
    pub const fn age_default(self) -> Millis {
        match self {
            Self::Decisions => Millis::hours(7 * 24),
            Self::Signals => Millis::hours(30 * 24),
            Self::Evidence => Millis::hours(90 * 24),
            Self::Incidents => Millis::hours(400 * 24),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Class {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|class| class.as_str() == text).ok_or_else(|| {
            format!(
                "`{text}` is no class of content: there are `decisions`, `signals`, `evidence`, `incidents`"
            )
        })
    }
}

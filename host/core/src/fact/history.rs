//! What became of past incidents.

use serde::{Deserialize, Serialize};

use crate::name::IncidentId;
use crate::target::{Strategy, Target};
use crate::time::UnixMillis;

/// How an incident ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It has not.
    Open,
    /// A target is served and verified.
    RolledBack,
    /// The safe mode is on.
    FellBack,
    /// Someone else had restored the target.
    RestoredElsewhere,
    /// The alert ended by itself before anything was shifted.
    StoodDown,
    /// A person said that it is none.
    Dismissed,
    /// A person or a policy refused the plan.
    Refused,
    /// Nobody agreed in time.
    Expired,
    /// A person stopped it before the pivot.
    Aborted,
    /// Mode `observe`: the plan was made and nothing was shifted.
    Observed,
    /// Rolling back would not help, or there is nothing suitable; people were told.
    NotHelped,
    /// A person settled it by hand.
    SettledByPerson,
    /// A version is being made of a checkpoint or of mended data. Putting it in place is an incident of its own.
    Producing,
    /// Something that a newer release knows.
    Other(String),
}

/// An incident of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastIncident {
    /// Its id.
    pub id: IncidentId,
    /// Its first signal.
    pub opened_at: UnixMillis,
    /// None while it is open.
    pub settled_at: Option<UnixMillis>,
    /// Of its last plan.
    pub strategy: Option<Strategy>,
    /// How it ended.
    pub outcome: Outcome,
    /// What was served in the end.
    pub target: Option<Target>,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::RolledBack => "rolled back",
            Self::FellBack => "fell back",
            Self::RestoredElsewhere => "restored elsewhere",
            Self::StoodDown => "stood down",
            Self::Dismissed => "dismissed",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Aborted => "aborted",
            Self::Observed => "observed",
            Self::NotHelped => "rollback would not help",
            Self::SettledByPerson => "settled by a person",
            Self::Producing => "producing",
            Self::Other(name) => name,
        })
    }
}

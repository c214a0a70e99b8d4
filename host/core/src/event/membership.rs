//! What a set does with one of its members. See [`crate::set`].

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::name::{PersonName, SetId};
use crate::plan::Vote;
use crate::target::Target;
use crate::time::UnixMillis;

use super::PlanDrafted;

/// The service moves with its set, or stays as it is until the set has moved: until then nothing else moves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Enlisted {
    /// Of which run. A run enlists a service once: one that is known, and one before it, is refused.
    pub run: SetId,
    /// Where the run wants to move it; none leaves it as it is.
    pub target: Option<Target>,
    /// Who asked for the run.
    pub person: PersonName,
    /// Why.
    pub reason: BlobRef,
    /// At most so long: then the service leaves the run by itself.
    pub until: UnixMillis,
}

/// Which way a part goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// To the target: the first rung of the part.
    There,
    /// Back to what was in force when the service was enlisted, since another part failed: the second rung.
    Back,
}

impl Way {
    /// The rung of the part that goes this way, counted from zero.
    pub const fn rung(self) -> u32 {
        match self {
            Self::There => 0,
            Self::Back => 1,
        }
    }
}

/// The service's part of the set's plan is to be carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartGiven {
    /// Of which run: the service is enlisted by it.
    pub run: SetId,
    /// Which of the set's plans, from one.
    pub number: u32,
    /// Of the set's plan: what people have agreed to.
    pub plan: Digest,
    /// Of who agreed to it, and what was asked for: see [`crate::set::Set::consent`].
    pub consent: Digest,
    /// Where to.
    pub order: PartOrder,
}

/// What a part orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartOrder {
    /// To the target.
    There {
        /// The part: the target, and after it what was in force before. It has the digest of the set's whole plan.
        part: Box<PlanDrafted>,
        /// Who agreed to the set's plan. The service counts them by its own terms.
        votes: Vec<Vote>,
        /// Who asked for the run, the first one first.
        requesters: Vec<PersonName>,
    },
    /// Back again.
    Back,
}

impl PartOrder {
    /// Which way it goes.
    pub const fn way(&self) -> Way {
        match self {
            Self::There { .. } => Way::There,
            Self::Back => Way::Back,
        }
    }
}

/// How a part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartEnd {
    /// Its rung is served, and was verified as its service is configured.
    Moved,
    /// The same, and nothing had to be shifted for it.
    AlreadyThere,
    /// It is not, or nobody knows.
    Failed {
        /// Whether a shift was begun for it.
        shifted: bool,
    },
}

impl PartEnd {
    /// Whether what is served may be another than before.
    pub const fn has_moved(self) -> bool {
        matches!(self, Self::Moved | Self::Failed { shifted: true })
    }

    /// Whether it failed.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

/// The set needs the service no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Released {
    /// Of which run.
    pub run: SetId,
    /// Why.
    pub why: Release,
}

/// How a run ended, for its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// Every part moved: what was left may be condemned.
    AllWell,
    /// What had moved was taken back, or nothing had.
    AsBefore,
    /// A person ended the run, or its time was up.
    Unfinished,
}

//! Runs that make a version: of a checkpoint, or of mended data. Each event names its run by the key that the producer was given.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::fact::Measure;
use crate::request::Sent;
use crate::signal::Label;
use crate::target::VersionTarget;
use crate::time::UnixMillis;

use super::FaultNature;

/// The intent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunBegan {
    /// Its key.
    pub run: Digest,
    /// Counted from one.
    pub attempt: u32,
    /// What is sent, beside what was approved.
    pub request: Sent,
}

/// The call that starts it came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReturned {
    /// Its key.
    pub run: Digest,
    /// Counted from one.
    pub attempt: u32,
    /// With what.
    pub word: StartWord,
}

/// What came of starting a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartWord {
    /// It goes on.
    Started,
    /// Nothing was started; why.
    NotStarted {
        /// For people.
        reason: BlobRef,
        /// Whether trying again makes sense.
        nature: FaultNature,
    },
    /// It may have been; why that is not known.
    Unknown(BlobRef),
}

/// It was looked how far it is. Only news is recorded, and that it goes on so many times at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunLookedAt {
    /// Its key.
    pub run: Digest,
    /// What was seen.
    pub word: LookWord,
}

/// How far a run is that has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LookWord {
    /// There is none of that key.
    NotStarted,
    /// It goes on.
    Running {
        /// How far, for people.
        text: BlobRef,
        /// When it began, where the system says so.
        since: Option<UnixMillis>,
    },
    /// The system has not answered for so long that people are to be told; why.
    Unread(BlobRef),
}

/// It has ended with a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunMade {
    /// Its key.
    pub run: Digest,
    /// As the registry names it.
    pub version: VersionTarget,
    /// What it was made of (JSON of [`MadeOf`]).
    pub made_of: BlobRef,
}

/// What a version was made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeOf {
    /// What went in, and what was left out: counts, digests, the run.
    pub made_of: Vec<Label>,
    /// Measured by whoever made it.
    pub measures: Vec<Measure>,
}

/// It has ended without a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFailed {
    /// Its key.
    pub run: Digest,
    /// Why.
    pub reason: BlobRef,
}

/// Nobody can tell what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunLost {
    /// Its key.
    pub run: Digest,
    /// Why.
    pub reason: BlobRef,
}

/// It was to be stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStopped {
    /// Its key.
    pub run: Digest,
    /// Why it could not be; none where it was.
    pub failed: Option<BlobRef>,
}

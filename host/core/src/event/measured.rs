//! Where the time went, measured by the host that did the work.

use serde::{Deserialize, Serialize};

use crate::name::IncidentId;
use crate::time::Micros;

/// Where the time from the alert to the restored answer went, by the host's steady clock. Said once for each read-back that shows a target. What is
/// said of systems, people, data, pauses and the host adds up to the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Of which incident.
    pub incident: IncidentId,
    /// How much of it this host has seen.
    pub seen: Seen,
    /// From the alert, or a person's pull, until the read-back that shows the target was in the journal.
    pub total: Micros,
    /// At least one call to another system was under way.
    pub systems: Micros,
    /// Each of them; calls overlap, so they may add up to more.
    pub each_system: Vec<Portion>,
    /// People were waited for, and no system.
    pub people: Micros,
    /// Triggers waited for more data, and nothing else was waited for.
    pub data: Micros,
    /// Between a failure and the next try, or between two looks, and nothing else was waited for.
    pub pauses: Micros,
    /// All the rest: the host's own share.
    pub own: Micros,
    /// Parts of the own share; what is not named is the rest.
    pub own_parts: Vec<Portion>,
    /// How often the disk was waited for until what was written was on it. Files that are flushed side by side count once.
    #[serde(with = "crate::time::text_u64")]
    pub flushes: u64,
}

/// How much a host has seen of what it measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// All of it.
    Whole,
    /// What came after its start: it was started in the middle, or there was too much to note.
    Part,
}

/// What something took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portion {
    /// A system as people name it, or a part of the host's work.
    pub name: String,
    /// How long.
    pub took: Micros,
}

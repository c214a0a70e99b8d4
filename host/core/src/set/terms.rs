//! What the operator has configured for a set, as far as transitions depend on it. Part of the record.

use serde::{Deserialize, Serialize};

use crate::name::ServiceName;
use crate::plan::{IfPartFails, Quorum};
use crate::terms::{KnownPerson, RequesterVote};
use crate::time::Millis;

/// Members of one set. Nobody reads more parts before they agree to them.
pub const MEMBERS_MAX: usize = 16;

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDeadlines {
    /// Enlisting all members.
    pub enlisting: Millis,
    /// Making a plan, while the systems that it is made from do not answer.
    pub planning: Millis,
    /// From a plan's making until people have agreed.
    pub approval: Millis,
    /// One part, before people are told that it is waited for.
    pub part: Millis,
    /// A whole run: nothing of it is begun later, and a member that is still enlisted leaves by itself.
    pub run: Millis,
}

impl Default for SetDeadlines {
    fn default() -> Self {
        Self {
            enlisting: Millis::minutes(10),
            planning: Millis::minutes(5),
            approval: Millis::hours(1),
            part: Millis::hours(1),
            run: Millis::hours(4),
        }
    }
}

/// What is configured for a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetTerms {
    /// Two to [`MEMBERS_MAX`], each once: a service moves after those before it, and goes back before them.
    pub members: Vec<ServiceName>,
    /// What is done where a part fails.
    pub if_part_fails: IfPartFails,
    /// Everyone who may act.
    pub people: Vec<KnownPerson>,
    /// Beside what the members' floors ask for.
    pub floor: Vec<Quorum>,
    /// Whether who asked counts.
    pub requester_vote: RequesterVote,
    /// How long things may take.
    pub deadlines: SetDeadlines,
}

impl SetTerms {
    /// Why a set cannot be so, with what can be done; none where it can.
    pub fn problem(&self) -> Option<&'static str> {
        let mut names: Vec<_> = self.members.iter().collect();
        names.sort();
        names.dedup();
        if names.len() != self.members.len() {
            Some("names a member twice: name each once, in the order in which they move")
        } else if self.members.len() < 2 {
            Some("has fewer than two members: a service that moves alone needs no set")
        } else if self.members.len() > MEMBERS_MAX {
            Some("has more than 16 members: nobody reads so many parts; make smaller sets")
        } else if self.members.iter().any(ServiceName::is_reserved) {
            Some("has a set for a member: name services")
        } else {
            None
        }
    }
}

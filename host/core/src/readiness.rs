//! What a rollback needs, part by part: whether it could be made right now is asked all the time, and not for the first time in an incident.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that a rollback needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadyPart {
    /// The host may act: nobody has paused the service, and its driver is not stuck.
    Acting,
    /// There is something to go back to that rules may choose.
    Target,
    /// The artefact of the first target is on this machine.
    Artefact,
    /// What is live, and what is in force of every other facet, can be read.
    Live,
    /// What makes the shift finds no obstacle.
    Deployer,
    /// The registry, and the history of every other facet, answers with a list.
    Registry,
    /// People enough can vote now for what every plan needs.
    People,
    /// There is a trigger and a planner, and none of them faults.
    Policies,
    /// The triggers have data to judge by.
    Data,
    /// The golden data can be read.
    Golden,
    /// Evidence can be kept.
    Evidence,
    /// Announcements reach people.
    Announcements,
    /// The host's clock is not behind the record.
    Clock,
}

impl ReadyPart {
    /// All, in the order in which a rollback needs them.
    pub const ALL: [Self; 13] = [
        Self::Acting,
        Self::Policies,
        Self::Data,
        Self::Evidence,
        Self::Target,
        Self::Registry,
        Self::People,
        Self::Artefact,
        Self::Live,
        Self::Deployer,
        Self::Golden,
        Self::Announcements,
        Self::Clock,
    ];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acting => "acting",
            Self::Target => "target",
            Self::Artefact => "artefact",
            Self::Live => "live",
            Self::Deployer => "deployer",
            Self::Registry => "registry",
            Self::People => "people",
            Self::Policies => "policies",
            Self::Data => "data",
            Self::Golden => "golden",
            Self::Evidence => "evidence",
            Self::Announcements => "announcements",
            Self::Clock => "clock",
        }
    }
}

impl fmt::Display for ReadyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_are_listed_once_and_written_as_they_are_shown() {
        let all: BTreeSet<_> = ReadyPart::ALL.into_iter().collect();
        assert_eq!(all.len(), ReadyPart::ALL.len());
        for part in all {
            assert_eq!(serde_json::to_value(part).unwrap(), part.as_str());
            // A part that is added stands in the list, too.
            match part {
                ReadyPart::Acting
                | ReadyPart::Target
                | ReadyPart::Artefact
                | ReadyPart::Live
                | ReadyPart::Deployer
                | ReadyPart::Registry
                | ReadyPart::People
                | ReadyPart::Policies
                | ReadyPart::Data
                | ReadyPart::Golden
                | ReadyPart::Evidence
                | ReadyPart::Announcements
                | ReadyPart::Clock => {}
            }
        }
    }
}

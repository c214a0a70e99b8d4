//! What is live, and what the registry calls so.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::event::{InProduction, Observed, ProductionPart};
use crate::name::VersionName;

/// What was seen of production last. What could not be read leaves what was seen before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Production {
    /// Versions with a share of the traffic, sorted; none if live was never read.
    pub live: Option<Vec<VersionName>>,
    /// What was live when it was last asked whether someone else put it there: not during an incident.
    pub judged: Option<Vec<VersionName>>,
    /// What the registry's production name points at, never [`InProduction::Unknown`]; none if it was never read.
    pub name: Option<InProduction>,
    /// What can no longer be read: people were told.
    pub unread: BTreeSet<ProductionPart>,
}

impl Production {
    /// What is known after this look.
    #[must_use]
    pub fn after(&self, live: &Observed, name: &InProduction) -> Self {
        let mut after = self.after_live(live);
        if !matches!(name, InProduction::Unknown(_)) {
            after.name = Some(name.clone());
            after.unread.remove(&ProductionPart::Name);
        }
        after
    }

    /// What is known after live was read, and the registry was not.
    #[must_use]
    pub fn after_live(&self, live: &Observed) -> Self {
        let mut after = self.clone();
        match live {
            Observed::Serving(shares) => {
                let served = shares.iter().filter(|share| share.weight.get() > 0.0);
                let mut versions: Vec<_> = served.map(|share| share.version.version.clone()).collect();
                versions.sort();
                versions.dedup();
                after.live = Some(versions);
                after.unread.remove(&ProductionPart::Live);
            }
            Observed::Unknown(_) => {}
        }
        after
    }

    /// The version that has all the traffic.
    pub fn sole(&self) -> Option<&VersionName> {
        match self.live.as_deref() {
            Some([version]) => Some(version),
            _ => None,
        }
    }

    /// Whether it has a share of the traffic.
    pub(crate) fn serves(&self, version: &VersionName) -> bool {
        self.live.as_ref().is_some_and(|live| live.contains(version))
    }

    /// Whether the registry calls it that of production.
    pub(crate) fn names(&self, version: &VersionName) -> bool {
        matches!(&self.name, Some(InProduction::Version(named)) if named == version)
    }
}

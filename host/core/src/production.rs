//! What is live, and what the registry calls so.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::event::{InProduction, Observed, ProductionPart};
use crate::fact::Live;
use crate::live::{LiveState, Share};
use crate::name::{IncidentId, VersionName};
use crate::time::{Millis, UnixMillis};

/// What changes more often than so within [`LATELY`] goes back and forth: two replicas of which one is behind, or a server that says so. Since when it is
/// live is then no reason to leave out what was before.
const CHANGES_MAX: usize = 4;
const CHANGES_KEPT: usize = CHANGES_MAX + 1;
const LATELY: Millis = Millis::hours(1);

/// The versions that have a share of the traffic, sorted.
fn served(shares: &[Share]) -> Vec<VersionName> {
    let served = shares.iter().filter(|share| share.weight.get() > 0.0);
    let mut versions: Vec<_> = served.map(|share| share.version.version.clone()).collect();
    versions.sort();
    versions.dedup();
    versions
}

/// What was seen of production last. What could not be read leaves what was seen before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Production {
    /// Versions with a share of the traffic, sorted; none if live was never read.
    pub live: Option<Vec<VersionName>>,
    /// What was served last, which a moment without any does not change: a version that begins anew is still the same one.
    #[serde(default)]
    pub served: Option<Vec<VersionName>>,
    /// Since when, as far as was seen: the first look shows what is live and not since when.
    pub since: Option<UnixMillis>,
    /// When it changed lately, oldest first; at most [`CHANGES_KEPT`].
    #[serde(default)]
    pub changes: Vec<UnixMillis>,
    /// The incident whose rollback brought it, if one did.
    pub brought_by: Option<IncidentId>,
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
    pub fn after(&self, live: &Observed, name: &InProduction, at: UnixMillis) -> Self {
        let mut after = self.after_live(live, at);
        if !matches!(name, InProduction::Unknown(_)) {
            after.name = Some(name.clone());
            after.unread.remove(&ProductionPart::Name);
        }
        after
    }

    /// What is known after live was read, and the registry was not.
    #[must_use]
    pub fn after_live(&self, live: &Observed, at: UnixMillis) -> Self {
        let mut after = self.clone();
        match live {
            Observed::Serving(shares) => {
                let versions = served(shares);
                if !versions.is_empty() && self.served.as_ref() != Some(&versions) {
                    let is_change = self.served.is_some();
                    if is_change {
                        after.changes.push(at);
                        let too_many = after.changes.len().saturating_sub(CHANGES_KEPT);
                        after.changes.drain(..too_many);
                    }
                    after.since = (is_change && !after.goes_back_and_forth(at)).then_some(at);
                    after.brought_by = None;
                    after.served = Some(versions.clone());
                }
                after.live = Some(versions);
                after.unread.remove(&ProductionPart::Live);
            }
            Observed::Unknown(_) => {}
        }
        after
    }

    /// Since when what this look shows is live: what was not seen before is live since the look, as far as anyone knows.
    pub fn since(&self, look: &Live) -> Option<UnixMillis> {
        let LiveState::Serving(shares) = &look.state else { return None };
        let now = served(shares);
        match &self.served {
            None => None,
            Some(seen) if *seen == now || now.is_empty() => self.since,
            Some(_) => (!self.goes_back_and_forth(look.observed_at)).then_some(look.observed_at),
        }
    }

    /// Whether it changes so often that nothing is live for long.
    pub fn goes_back_and_forth(&self, at: UnixMillis) -> bool {
        self.changes.iter().filter(|change| **change + LATELY > at).count() > CHANGES_MAX
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

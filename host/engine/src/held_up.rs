//! What holds a service up, in sentences: which system, what waits for it, since when and till when.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ripcord_core::name::ServiceName;
use ripcord_core::service::{PendingPart, Service};
use ripcord_core::time::UnixMillis;
use ripcord_ports::waiting::Watch;
use serde::{Deserialize, Serialize};

/// A step that waits for a system that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldUp {
    /// As people name it.
    pub system: String,
    /// What it did last.
    pub what: String,
    /// Since when it has not answered.
    pub since: UnixMillis,
    /// What waits for it.
    pub doing: String,
    /// The last moment for that; none if it is tried until it is done.
    pub until: Option<UnixMillis>,
    /// What happens at that moment.
    pub then: Option<String>,
}

/// Where the effects of each driver note how systems answer.
#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<BTreeMap<(ServiceName, PendingPart), Arc<Watch>>>);

impl Watches {
    pub(crate) fn put(&self, service: &ServiceName, part: PendingPart, watch: Arc<Watch>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((service.clone(), part), watch);
    }

    /// All that waits for a system now.
    pub(crate) fn held_up(&self, service: &Service) -> Vec<HeldUp> {
        let watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        for pending in service.pending() {
            let watch = watches.get(&(service.name.clone(), pending.part));
            for trouble in watch.map(|watch| watch.troubles()).unwrap_or_default() {
                all.push(HeldUp {
                    system: trouble.system,
                    what: trouble.what,
                    since: trouble.since,
                    doing: pending.doing.clone(),
                    until: pending.until.map(|(at, _)| at),
                    then: pending.until.map(|(_, then)| then.to_owned()),
                });
            }
        }
        all
    }
}

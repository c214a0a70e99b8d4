//! Forgetting: content that is older than its class is kept for goes, with an event that says so. Nothing that the state refers to goes, nothing of
//! an incident that is open or that people want kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ripcord_core::blob::blobs_of;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, Pruned};
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::retention::Class;
use ripcord_core::service::Service;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Content, Expired, StoreError, Use};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::door::Door;
use crate::host::Host;
use crate::mailbox::append;

/// Uses that one event ends: it must not hold up what else the driver has to write.
const USES_AT_ONCE: u32 = 500;
/// Events of one look at one class of one service; what is left goes at the next look.
const EVENTS_AT_ONCE: usize = 200;
/// Signals of the intake that one write forgets.
const SIGNALS_AT_ONCE: u32 = 2_000;

/// Looks every so often, until the host stops.
pub(crate) async fn prune_now_and_then(host: Arc<Host>, doors: Arc<BTreeMap<ServiceName, Door>>) {
    let clock = host.setup.clock.clone();
    // A driver that has ended takes no more, so this need not go on either.
    while !doors.is_empty() && doors.values().all(|door| !door.mailbox.is_closed()) {
        clock.sleep_until(clock.now() + host.setup.retention.every).await;
        let report = prune_all(&host, &doors).await;
        for why in report.failed {
            tracing::warn!(why, "old content could not be erased; tried again later");
        }
    }
}

/// What one look has erased.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneReport {
    /// Pieces of content of no more use, by class.
    pub pieces: BTreeMap<Class, u64>,
    /// Signals that left the intake.
    pub signals: u64,
    /// Components that are not configured, and made no decision that can still be replayed.
    #[serde(default)]
    pub components: u64,
    /// What could not be done, and why; it is tried again.
    pub failed: Vec<String>,
}

/// Looks once, at everything.
pub(crate) async fn prune_all(host: &Host, doors: &BTreeMap<ServiceName, Door>) -> PruneReport {
    let now = host.setup.clock.now();
    let mut report = PruneReport::default();
    match forget_signals(host, now).await {
        Ok(forgotten) => report.signals = forgotten,
        Err(error) => report.failed.push(format!("signals of the intake: {error}")),
    }
    for (service, door) in doors {
        for class in Class::ALL {
            match prune(host, door, class, now).await {
                Ok(pieces) => *report.pieces.entry(class).or_default() += pieces,
                Err(why) => report.failed.push(format!("{class} of `{service}`: {why}")),
            }
        }
    }
    match forget_components(host).await {
        Ok(forgotten) => report.components = forgotten,
        Err(error) => report.failed.push(format!("components: {error}")),
    }
    report
}

/// A component is of use while it is configured, or a recording of its decisions is kept.
async fn forget_components(host: &Host) -> Result<u64, StoreError> {
    let services = host.setup.services.iter();
    let placed = services.flat_map(|service| &service.policies);
    let configured: Vec<_> = placed.map(|placed| placed.policy.reference().digest).collect();
    host.setup.store.forget_components(&configured).await
}

/// What entered the journals, or had no route, leaves the intake once no window counts it any more.
async fn forget_signals(host: &Host, now: UnixMillis) -> Result<u64, StoreError> {
    let before = now - host.setup.retention.age(Class::Signals).max(host.setup.retention.window_max);
    let mut all = 0;
    loop {
        let forgotten = host.setup.store.forget_signals(before, SIGNALS_AT_ONCE).await?;
        all += forgotten;
        if forgotten < u64::from(SIGNALS_AT_ONCE) {
            return Ok(all);
        }
    }
}

async fn prune(host: &Host, door: &Door, class: Class, now: UnixMillis) -> Result<u64, String> {
    let store = &host.setup.store;
    let mut all = 0;
    for _ in 0..EVENTS_AT_ONCE {
        let state = door.state.borrow().clone();
        let (needed, spared) = (needed_by(&state), spared(&state));
        let before = (now - host.setup.retention.age(class)).min(state.at);
        let expired = Expired { service: &state.name, class, before, spared: &spared };
        // What the state needs stays in the list, so as many more are asked for.
        let limit = USES_AT_ONCE.saturating_add(u32::try_from(needed.len()).unwrap_or(u32::MAX));
        let expired = store.expired(expired, limit).await.map_err(|error| error.to_string())?;
        let is_free = |over: &Use| !matches!(over.content, Content::Blob(blob) if needed.contains(&blob));
        let over: Vec<Use> = expired.into_iter().filter(is_free).take(USES_AT_ONCE as usize).collect();
        let (Some(first), Some(last)) =
            (over.iter().map(|over| over.number).min(), over.iter().map(|over| over.number).max())
        else {
            return Ok(all);
        };
        // Before the event: an object that goes twice does no harm, one that nobody knows of would stay for good.
        for over in &over {
            if let Content::Object(digest) = over.content
                && store.uses(over.content).await.map_err(|error| error.to_string())? <= 1
            {
                host.setup.evidence.remove(&digest).await.map_err(|error| error.to_string())?;
            }
        }
        let pieces = over.iter().filter(|over| !matches!(over.content, Content::Component(_))).count();
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        let event = Event::Pruned(Pruned { class, before, first, last, pieces });
        let batch = Batch { over, ..Batch::of(event) };
        append(&door.mailbox, batch).await.map_err(|error| error.to_string())?;
        all += u64::from(pieces);
    }
    Ok(all)
}

/// Content that the next decisions and steps may read. What has ended is only told.
fn needed_by(state: &Service) -> BTreeSet<Digest> {
    let state = Service { last_settled: None, ..state.clone() };
    // A state that does not encode needs all of it; then there is no snapshot either, which was logged.
    blobs_of(&state).unwrap_or_default().into_iter().map(|blob| blob.commitment).collect()
}

fn spared(state: &Service) -> Vec<IncidentId> {
    state.kept.iter().chain(state.incident.as_ref().map(|open| &open.id)).cloned().collect()
}

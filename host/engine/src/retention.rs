//! Forgetting: content that is older than its class is kept for goes, with an event that says so. Nothing that the state refers to goes, nothing of
//! an incident that is open or that people want kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use ripcord_core::blob::blobs_of;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, Pruned};
use ripcord_core::journal::Record;
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::retention::Class;
use ripcord_core::service::Service;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Append, Content, Expired, StoreError, Use};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::clock_trust::{ClockTrust, Unsure};
use crate::door::Door;
use crate::fold::{Recovered, recover};
use crate::health::Trouble;
use crate::host::Host;
use crate::mailbox::append;
use crate::read_model::{Derived, Moment};

/// Uses that one event ends: it must not hold up what else the driver has to write.
const USES_AT_ONCE: u32 = 500;
/// Events of one look at one class of one service; what is left goes at the next look.
const EVENTS_AT_ONCE: usize = 200;
/// Objects of one class of one service that may fail to go before no other is tried in this look: each may take as long as a call.
const STAY_MAX: usize = 8;
/// Where the last look is noted.
const CLOCK_NOTE: &str = "retention-clock";
/// Signals of the intake that one write forgets.
const SIGNALS_AT_ONCE: u32 = 2_000;

/// Looks every so often, until the host stops.
pub(crate) async fn prune_now_and_then(
    host: Arc<Host>,
    doors: Arc<BTreeMap<ServiceName, Door>>,
    unreadable: BTreeSet<ServiceName>,
) {
    let clock = host.setup.clock.clone();
    // A driver that has ended takes no more, so this need not go on either.
    while !doors.is_empty() && doors.values().all(|door| !door.mailbox.is_closed()) {
        clock.sleep_until(clock.now() + host.setup.retention.every).await;
        let report = prune_all(&host, &doors, &unreadable).await;
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

/// Looks once, at everything: also at journals of services that are no longer configured. Those in `unreadable` are left alone.
pub(crate) async fn prune_all(
    host: &Host,
    doors: &BTreeMap<ServiceName, Door>,
    unreadable: &BTreeSet<ServiceName>,
) -> PruneReport {
    let report = prune_what_may_go(host, doors, unreadable).await;
    for service in doors.keys() {
        match report.failed.as_slice() {
            [] => host.health.is_well(service, Trouble::Pruning),
            failed => host.health.is_stuck(service, Trouble::Pruning, failed.join("; ")),
        }
    }
    report
}

async fn prune_what_may_go(
    host: &Host,
    doors: &BTreeMap<ServiceName, Door>,
    unreadable: &BTreeSet<ServiceName>,
) -> PruneReport {
    let now = host.setup.clock.now();
    let mut report = PruneReport::default();
    if let Err(unsure) = trust_clock(host).await {
        report.failed.push(unsure.to_string());
        return report;
    }
    match forget_signals(host, now).await {
        Ok(forgotten) => report.signals = forgotten,
        Err(error) => report.failed.push(format!("signals of the intake: {error}")),
    }
    let mut journals: Vec<Journal<'_>> = doors.values().map(Journal::Driven).collect();
    match host.setup.store.services().await {
        Ok(all) => {
            let idle = all.into_iter().filter(|name| !doors.contains_key(name) && !unreadable.contains(name));
            journals.extend(idle.map(Journal::Idle));
        }
        Err(error) => report.failed.push(format!("services that are no longer configured: {error}")),
    }
    for journal in &journals {
        for class in Class::ALL {
            let mut look = Look::default();
            let ended = prune(host, journal, class, now, &mut look).await;
            *report.pieces.entry(class).or_default() += look.pieces;
            let why = ended.err().or_else(|| look.stays());
            report.failed.extend(why.map(|why| format!("{class} of `{}`: {why}", journal.name())));
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
    let configured: Vec<_> = host.components.iter().copied().collect();
    host.setup.store.forget_components(&configured).await
}

/// Compares the clock with what is known of it from before this start: the last look that was noted, else `last`, the newest instant in any journal.
pub(crate) async fn hold_clock_against(host: &Host, last: Option<UnixMillis>) {
    let noted = host.setup.store.note(CLOCK_NOTE).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the clock is held against the journals alone");
        None
    });
    let noted = noted.and_then(|noted| serde_json::from_slice(&noted).ok());
    let trust = ClockTrust::first((host.wall.now(), host.wall.steady()), noted, last);
    *host.clock_trust.lock().unwrap_or_else(PoisonError::into_inner) = Some(trust);
}

/// Whether the clock may be trusted with what cannot be taken back. What it is to be held against after a restart is noted.
async fn trust_clock(host: &Host) -> Result<(), Unsure> {
    let (wall, steady) = (host.wall.now(), host.wall.steady());
    let (trusted, note) = {
        let mut trust = host.clock_trust.lock().unwrap_or_else(PoisonError::into_inner);
        let trust = trust.get_or_insert_with(|| ClockTrust::first((wall, steady), None, None));
        (trust.look(wall, steady), trust.note(wall, steady))
    };
    let note = serde_json::to_vec(&note).unwrap_or_default();
    if let Err(error) = host.setup.store.set_note(CLOCK_NOTE, &note).await {
        tracing::warn!(%error, "the clock was not noted: a restart holds it against the journals");
    }
    trusted
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

/// Whose content goes.
enum Journal<'a> {
    /// A driver writes it.
    Driven(&'a Door),
    /// Nobody does: its service is no longer configured.
    Idle(ServiceName),
}

/// What one look at one class of one service came to.
#[derive(Default)]
struct Look {
    pieces: u64,
    /// Objects that could not be removed: they stay, and hold up nothing else.
    stay: BTreeSet<Digest>,
    /// Why the first of them does.
    why: Option<String>,
}

impl Look {
    fn stays(&self) -> Option<String> {
        let why = self.why.as_ref()?;
        Some(format!("{} pieces could not be removed: {why}", self.stay.len()))
    }
}

async fn prune(
    host: &Host,
    journal: &Journal<'_>,
    class: Class,
    now: UnixMillis,
    look: &mut Look,
) -> Result<(), String> {
    let store = &host.setup.store;
    let failed = |error: StoreError| error.to_string();
    let old = now - host.setup.retention.age(class);
    if let Journal::Idle(name) = journal {
        // Its journal is read only where there may be something to do.
        let any = Expired { service: name, class, before: old, spared: &[] };
        if store.expired(any, 1).await.map_err(failed)?.is_empty() {
            return Ok(());
        }
    }
    for _ in 0..EVENTS_AT_ONCE {
        let state = journal.state(host).await?;
        let (needed, spared) = (needed_by(&state), spared(&state));
        let before = old.min(state.at);
        let expired = Expired { service: &state.name, class, before, spared: &spared };
        // What the state needs, or could not be removed, stays in the list, so as many more are asked for.
        let more = u32::try_from(needed.len() + look.stay.len()).unwrap_or(u32::MAX);
        let expired = store.expired(expired, USES_AT_ONCE.saturating_add(more)).await.map_err(failed)?;
        let is_free = |over: &Use| match over.content {
            Content::Blob(blob) => !needed.contains(&blob),
            Content::Object(digest) => !look.stay.contains(&digest),
            Content::Component(_) => true,
        };
        let mut over: Vec<Use> = expired.into_iter().filter(is_free).take(USES_AT_ONCE as usize).collect();
        // Before the event: an object that goes twice does no harm, one that nobody knows of would stay for good.
        let stayed = look.stay.len();
        for one in &over {
            let Content::Object(digest) = one.content else { continue };
            let all_of_it = over.iter().filter(|other| other.content == one.content).count() as u64;
            if look.stay.len() >= STAY_MAX {
                look.stay.insert(digest);
            } else if store.uses(one.content).await.map_err(failed)? <= all_of_it
                && let Err(error) = host.setup.evidence.remove(&digest).await
            {
                look.stay.insert(digest);
                look.why.get_or_insert(error.to_string());
            }
        }
        over.retain(|one| !matches!(one.content, Content::Object(digest) if look.stay.contains(&digest)));
        let numbers = || over.iter().map(|over| over.number);
        let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else {
            if look.stay.len() > stayed {
                // Those behind them may go.
                continue;
            }
            return Ok(());
        };
        let pieces = over.iter().filter(|over| !matches!(over.content, Content::Component(_))).count();
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        let event = Event::Pruned(Pruned { class, before, first, last, pieces });
        journal.append(host, now, Batch { over, ..Batch::of(event) }).await?;
        look.pieces += u64::from(pieces);
    }
    Ok(())
}

impl Journal<'_> {
    fn name(&self) -> ServiceName {
        match self {
            Self::Driven(door) => door.setup.name.clone(),
            Self::Idle(name) => name.clone(),
        }
    }

    async fn state(&self, host: &Host) -> Result<Arc<Service>, String> {
        match self {
            Self::Driven(door) => Ok(door.state.borrow().clone()),
            Self::Idle(name) => {
                let recovered = recover(host.setup.store.as_ref(), name).await;
                recovered.map(|recovered| Arc::new(recovered.service)).map_err(|error| error.to_string())
            }
        }
    }

    async fn append(&self, host: &Host, now: UnixMillis, batch: Batch) -> Result<(), String> {
        match self {
            Self::Driven(door) => {
                append(&door.mailbox, batch).await.map(drop).map_err(|error| error.to_string())
            }
            Self::Idle(name) => append_idle(host, name, now, batch).await,
        }
    }
}

/// Appends to a journal that no driver writes.
async fn append_idle(host: &Host, name: &ServiceName, now: UnixMillis, batch: Batch) -> Result<(), String> {
    let store = host.setup.store.as_ref();
    let Recovered { service, mut tip, .. } = recover(store, name).await.map_err(|error| error.to_string())?;
    let at = now.max(service.at);
    let (mut state, mut records, mut derived) = (service, Vec::new(), Derived::default());
    for event in &batch.events {
        let record = Record::write(name, tip, at, event).map_err(|error| error.to_string())?;
        let after = state.apply(at, event).map_err(|error| error.to_string())?;
        derived.add(Moment { before: &state, number: state.length, at, event, after: &after, referred: &[] });
        tip = record.tip();
        records.push(record);
        state = after;
    }
    let mut append = Append { records, blobs: batch.blobs, over: batch.over, ..Append::default() };
    derived.put_into(&mut append);
    store.append(append).await.map(drop).map_err(|error| error.to_string())
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

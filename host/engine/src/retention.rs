//! Forgetting: content that is older than its class is kept for goes, with an event that says so. Nothing that the state refers to goes, nothing of
//! an incident that is open or that people want kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use ripcord_core::blob::blobs_of;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, Pruned};
use ripcord_core::journal::Record;
use ripcord_core::name::{IncidentId, ServiceName, SetName};
use ripcord_core::retention::Class;
use ripcord_core::service::Service;
use ripcord_core::set::{Set, SetEvent};
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store;
use ripcord_ports::store::{Append, Content, Expired, StoreError, Use};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::clock_trust::{ClockTrust, Unsure};
use crate::door::{Door, Doors};
use crate::fold::{Recovered, recovered};
use crate::health::Trouble;
use crate::host::Host;
use crate::journaled::Journaled;
use crate::mailbox::append;
use crate::sets::{SetBatch, SetDoor};

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
pub(crate) async fn prune_now_and_then(host: Arc<Host>, doors: Doors, unreadable: BTreeSet<ServiceName>) {
    let clock = host.setup.clock.clone();
    // A driver that has ended takes no more, so this need not go on either.
    while !doors.services.is_empty() && doors.services.values().all(|door| !door.mailbox.is_closed()) {
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
pub(crate) async fn prune_all(host: &Host, doors: &Doors, unreadable: &BTreeSet<ServiceName>) -> PruneReport {
    let report = prune_what_may_go(host, doors, unreadable).await;
    for service in doors.services.keys() {
        match report.failed.as_slice() {
            [] => host.health.is_well(service, Trouble::Pruning),
            failed => host.health.is_stuck(service, Trouble::Pruning, failed.join("; ")),
        }
    }
    report
}

async fn prune_what_may_go(host: &Host, doors: &Doors, unreadable: &BTreeSet<ServiceName>) -> PruneReport {
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
    let mut journals: Vec<Journal<'_>> = doors.services.values().map(Journal::Driven).collect();
    journals.extend(doors.sets.values().map(Journal::OfSet));
    match all_journals(host.setup.store.as_ref()).await {
        Ok(all) => {
            let driven: BTreeSet<_> = journals.iter().map(Journal::name).collect();
            let idle = all.into_iter().filter(|name| !driven.contains(name) && !unreadable.contains(name));
            journals.extend(idle.map(Journal::Idle));
        }
        Err(error) => report.failed.push(format!("services and sets that are no longer configured: {error}")),
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

/// The keys of all journals, those of sets among them.
async fn all_journals(store: &dyn Store) -> Result<Vec<ServiceName>, StoreError> {
    let mut all = store.services().await?;
    all.extend(store.sets().await?.iter().map(SetName::journal));
    Ok(all)
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
    /// The driver of a set does.
    OfSet(&'a SetDoor),
    /// Nobody does: its service or its set is no longer configured.
    Idle(ServiceName),
}

/// What a state says of what may go.
struct Kept {
    at: UnixMillis,
    /// Content that the next decisions and steps may read. What has ended is only told.
    needed: BTreeSet<Digest>,
    spared: Vec<IncidentId>,
}

impl Kept {
    fn by<S: Journaled>(state: &S) -> Self {
        // A state that does not encode needs all of it; then there is no snapshot either, which was logged.
        let needed = blobs_of(&state.without_past()).unwrap_or_default();
        let needed = needed.into_iter().map(|blob| blob.commitment).collect();
        Self { at: state.at(), needed, spared: state.spared() }
    }
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
    let name = journal.name();
    if let Journal::Idle(name) = journal {
        // Its journal is read only where there may be something to do.
        let any = Expired { service: name, class, before: old, spared: &[] };
        if store.expired(any, 1).await.map_err(failed)?.is_empty() {
            return Ok(());
        }
    }
    for _ in 0..EVENTS_AT_ONCE {
        let Kept { at, needed, spared } = journal.kept(host).await?;
        let before = old.min(at);
        let expired = Expired { service: &name, class, before, spared: &spared };
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
        journal.append(host, now, Pruned { class, before, first, last, pieces }, over).await?;
        look.pieces += u64::from(pieces);
    }
    Ok(())
}

impl Journal<'_> {
    fn name(&self) -> ServiceName {
        match self {
            Self::Driven(door) => door.setup.name.clone(),
            Self::OfSet(door) => door.setup.name.journal(),
            Self::Idle(name) => name.clone(),
        }
    }

    async fn kept(&self, host: &Host) -> Result<Kept, String> {
        let store = host.setup.store.as_ref();
        match self {
            Self::Driven(door) => Ok(Kept::by(door.state.borrow().as_ref())),
            Self::OfSet(door) => Ok(Kept::by(door.state.borrow().as_ref())),
            Self::Idle(name) => match name.as_set() {
                Some(set) => kept_idle::<Set>(store, &set).await,
                None => kept_idle::<Service>(store, name).await,
            },
        }
    }

    async fn append(
        &self,
        host: &Host,
        now: UnixMillis,
        pruned: Pruned,
        over: Vec<Use>,
    ) -> Result<(), String> {
        match self {
            Self::Driven(door) => {
                let batch = Batch { over, ..Batch::of(Event::Pruned(pruned)) };
                append(&door.mailbox, batch).await.map(drop).map_err(|error| error.to_string())
            }
            Self::OfSet(door) => {
                let batch = SetBatch { over, ..SetBatch::of(SetEvent::Pruned(pruned)) };
                door.append(batch).await.map(drop).map_err(|error| error.to_string())
            }
            Self::Idle(name) => match name.as_set() {
                Some(set) => append_idle::<Set>(host, &set, now, pruned, over).await,
                None => append_idle::<Service>(host, name, now, pruned, over).await,
            },
        }
    }
}

async fn kept_idle<S: Journaled>(store: &dyn Store, name: &S::Name) -> Result<Kept, String> {
    let recovered = recovered::<S>(store, name).await.map_err(|error| error.to_string())?;
    Ok(Kept::by(recovered.state.as_ref()))
}

/// Appends to a journal that no driver writes. Nothing is derived from it.
async fn append_idle<S: Journaled>(
    host: &Host,
    name: &S::Name,
    now: UnixMillis,
    pruned: Pruned,
    over: Vec<Use>,
) -> Result<(), String> {
    let store = host.setup.store.as_ref();
    let Recovered { state, tip, .. } =
        recovered::<S>(store, name).await.map_err(|error| error.to_string())?;
    let (at, event) = (now.max(state.at()), S::pruned(pruned));
    let record = Record::write(&state.key(), tip, at, &event).map_err(|error| error.to_string())?;
    Arc::unwrap_or_clone(state).after(at, &event).map_err(|error| error.to_string())?;
    let append = Append { records: vec![record], over, ..Append::default() };
    store.append(append).await.map(drop).map_err(|error| error.to_string())
}

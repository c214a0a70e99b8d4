//! What must hold, checked at every step: each record as it comes to be on disk, each call as it reaches a system.
//!
//! The rules keep books of their own, from the events and from the world: a rule that the core breaks is not judged by the core.

mod authority;
mod breaker;
mod endings;
mod facets;
mod holds;
mod latch;
mod moments;
mod news;
mod pace;
mod quiet;
mod replays;
mod runs;
mod sets;
mod shifts;
mod signals;
mod snapshots;
mod waves;
mod words;

pub use moments::Moment;
pub(crate) use words::ABOUT;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use ripcord_core::blob::BlobRef;
use ripcord_core::event::Event;
use ripcord_core::facet::Facet;
use ripcord_core::journal::Tip;
use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::service::Service;
use ripcord_core::set::Set;
use ripcord_core::snapshot::Snapshot;
use ripcord_core::terms::{EffectClass, Terms};
use ripcord_core::time::UnixMillis;
use ripcord_ports::deployer::ShiftOrder;
use ripcord_ports::producer::ProduceOrder;
use ripcord_ports::restorer::RestoreOrder;
use ripcord_ports::store::{Accepted, Append, KeptSnapshot};
use shifts::Order;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::store::{Disk, Observer};
use crate::trace::Trace;
use crate::world::World;

/// Whether a deployer holds a candidate beside what is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidates {
    /// It does.
    Held,
    /// It does not.
    NotHeld,
}

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The rule's name, as `--allow` takes it.
    pub rule: &'static str,
    /// Of which service.
    pub service: ServiceName,
    /// What happened.
    pub what: String,
}

/// One event with the states around it.
pub(crate) struct Step<'a> {
    pub(crate) before: &'a Service,
    pub(crate) after: &'a Service,
    pub(crate) event: &'a Event,
    pub(crate) at: UnixMillis,
    pub(crate) world: &'a World,
    pub(crate) disk: &'a Disk,
    broken: &'a mut Vec<Broken>,
}

impl Step<'_> {
    /// The rule does not hold.
    pub(crate) fn broke(&mut self, rule: &'static str, what: impl Into<String>) {
        self.broken.push(Broken { rule, service: self.before.name.clone(), what: what.into() });
    }

    /// A blob that this event or an earlier one refers to.
    pub(crate) fn blob(&self, reference: &BlobRef) -> Option<Vec<u8>> {
        self.disk.blob(reference).ok().flatten()
    }

    /// A text that this event refers to.
    pub(crate) fn text(&self, reference: &BlobRef) -> String {
        self.blob(reference).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

/// All that is known of one service.
#[derive(Debug)]
struct Watched {
    service: Service,
    tip: Tip,
    authority: authority::Book,
    breaker: breaker::Book,
    endings: endings::Book,
    facets: facets::Book,
    holds: holds::Book,
    latch: latch::Book,
    waves: waves::Book,
    news: news::Book,
    pace: pace::Book,
    replays: replays::Book,
    runs: runs::Book,
    shifts: shifts::Book,
    signals: signals::Book,
}

impl Watched {
    fn new(name: ServiceName) -> Self {
        Self {
            service: Service::new(name),
            tip: Tip::START,
            authority: authority::Book::default(),
            breaker: breaker::Book::default(),
            endings: endings::Book::default(),
            facets: facets::Book::default(),
            holds: holds::Book::default(),
            latch: latch::Book::default(),
            waves: waves::Book::default(),
            news: news::Book::default(),
            pace: pace::Book::default(),
            replays: replays::Book::default(),
            runs: runs::Book::default(),
            shifts: shifts::Book::default(),
            signals: signals::Book::default(),
        }
    }
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Incidents that ended, by how.
    pub ended: BTreeMap<String, u64>,
    /// Events.
    pub events: u64,
    /// Shifts that were begun, by the kind of their facet and the effect class of what moves it.
    pub shifts: BTreeMap<String, u64>,
    /// Decisions that were made again.
    pub replayed: u64,
    /// Hosts that died.
    pub deaths: u64,
    /// States that were written down and read back.
    pub snapshots: u64,
    /// Reasons that were none, since they had been answered.
    pub held_back: u64,
    /// Reasons that had been answered and were some again.
    pub unlatched: u64,
    /// Runs: `begun` with the promise of their producer, and how they ended; incidents that opened beside one, shifts to what was made.
    pub runs: BTreeMap<String, u64>,
    /// Runs of sets that ended, by how.
    pub sets: BTreeMap<String, u64>,
}

impl Counts {
    /// Counts of another seed or service.
    pub fn add(&mut self, other: &Self) {
        let Self { ended, events, shifts, replayed, deaths, snapshots, held_back, unlatched, runs, sets } =
            other;
        for (how, count) in sets {
            *self.sets.entry(how.clone()).or_default() += count;
        }
        for (what, count) in runs {
            *self.runs.entry(what.clone()).or_default() += count;
        }
        for (how, count) in ended {
            *self.ended.entry(how.clone()).or_default() += count;
        }
        self.events += events;
        for (what, count) in shifts {
            *self.shifts.entry(what.clone()).or_default() += count;
        }
        self.replayed += replayed;
        self.deaths += deaths;
        self.snapshots += snapshots;
        self.held_back += held_back;
        self.unlatched += unlatched;
    }
}

#[derive(Debug, Default)]
struct Books {
    services: BTreeMap<ServiceName, Watched>,
    set: Option<sets::Watched>,
    broken: Vec<Broken>,
    counts: Counts,
    /// Hosts that were started so far.
    lives: u64,
}

/// Sees everything.
#[derive(Debug)]
pub struct Checker {
    world: Arc<World>,
    disk: OnceLock<Weak<Disk>>,
    books: Mutex<Books>,
    allowed: BTreeSet<String>,
    trace: Trace,
    failed: watch::Sender<bool>,
}

impl Checker {
    /// A checker that passes over the rules named in `allowed`.
    pub fn new(world: Arc<World>, allowed: BTreeSet<String>, trace: Trace) -> Self {
        let (disk, books) = (OnceLock::new(), Mutex::default());
        Self { world, disk, books, allowed, trace, failed: watch::Sender::new(false) }
    }

    /// Whose records it reads.
    pub fn looks_at(&self, disk: &Arc<Disk>) {
        drop(self.disk.set(Arc::downgrade(disk)));
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, books: &mut Books, broken: Vec<Broken>) {
        for one in broken.into_iter().filter(|one| !self.allowed.contains(one.rule)) {
            self.note(|| format!("BROKEN {}: {}: {}", one.rule, one.service, one.what));
            books.broken.push(one);
            self.failed.send_replace(true);
        }
    }

    /// A rule does not hold.
    pub fn broke(&self, rule: &'static str, service: &ServiceName, what: impl Into<String>) {
        let broken = Broken { rule, service: service.clone(), what: what.into() };
        self.keep(&mut self.books(), vec![broken]);
    }

    /// Whether a rule was broken.
    pub fn has_failed(&self) -> bool {
        *self.failed.borrow()
    }

    /// Every rule that was broken, the first first.
    pub fn broken(&self) -> Vec<Broken> {
        self.books().broken.clone()
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        let books = self.books();
        let mut counts = books.counts.clone();
        counts.sets = books.set.as_ref().map(|set| set.ended.clone()).unwrap_or_default();
        for Watched { latch, runs, .. } in books.services.values() {
            counts.held_back += latch.held_back;
            counts.unlatched += latch.unlatched;
            for (what, count) in runs.counted() {
                *counts.runs.entry(what).or_default() += count;
            }
        }
        counts
    }

    /// A line of the trace.
    pub fn note(&self, line: impl FnOnce() -> String) {
        self.trace.line(line);
    }

    /// Notes what a person heard.
    pub fn note_heard(&self, line: impl FnOnce() -> String) {
        self.trace.heard(line);
    }

    /// The trace.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// A host is started: it reads each journal from its last snapshot.
    pub fn host_started(&self) {
        let Some(disk) = self.disk.get().and_then(Weak::upgrade) else { return };
        let mut books = self.books();
        books.lives += 1;
        let mut broken = Vec::new();
        let lives = books.lives;
        for Watched { service, tip, shifts, runs, .. } in books.services.values_mut() {
            shifts.host_started(lives);
            runs.host_started(lives);
            if let Some(what) = snapshots::start_differs(&disk, service, *tip) {
                broken.push(Broken { rule: SNAPSHOTS, service: service.name.clone(), what });
            }
        }
        books.counts.snapshots += books.services.len() as u64;
        self.keep(&mut books, broken);
    }

    /// A snapshot is kept that no append brought.
    pub fn snapshot_kept(&self, snapshot: &Snapshot) {
        if snapshot.service.as_set().is_some() {
            return;
        }
        let mut books = self.books();
        let watched = watched(&mut books, &snapshot.service);
        if watched.tip.length == snapshot.tip.length
            && let Some(what) = snapshots::differs(snapshot, &watched.service, watched.tip)
        {
            let broken = Broken { rule: SNAPSHOTS, service: snapshot.service.clone(), what };
            self.keep(&mut books, vec![broken]);
        }
    }

    /// A host has died.
    pub fn host_died(&self) {
        self.books().counts.deaths += 1;
    }

    /// What the journal of a service says, if it has one.
    pub fn state(&self, service: &ServiceName) -> Option<Service> {
        self.books().services.get(service).map(|watched| watched.service.clone())
    }

    /// Incidents that ended so far.
    pub fn incidents(&self) -> u64 {
        self.books().counts.ended.values().sum()
    }

    /// Signals were acknowledged to their sender.
    pub fn acknowledged(&self, service: Option<&ServiceName>, accepted: &[Accepted]) {
        let Some(service) = service else { return };
        let mut books = self.books();
        let watched = watched(&mut books, service);
        for one in accepted {
            let (Accepted::Stored(id) | Accepted::Repeated(id)) = one;
            watched.signals.acknowledged(id.clone());
        }
    }

    /// A shift reaches the deployer of a service whose running host is configured by `terms`.
    pub fn shift_called(&self, service: &ServiceName, order: &ShiftOrder, terms: &Terms) {
        let mut books = self.books();
        let watched = watched(&mut books, service);
        let mut broken = Vec::new();
        watched.shifts.called(&watched.service, &Order::Deploy(order), terms, &mut broken);
        self.keep(&mut books, broken);
    }

    /// The same of a shift that reaches what puts this facet back.
    pub fn restore_called(&self, service: &ServiceName, facet: &Facet, order: &RestoreOrder, terms: &Terms) {
        let mut books = self.books();
        let watched = watched(&mut books, service);
        let mut broken = Vec::new();
        watched.shifts.called(&watched.service, &Order::Restore(facet, order), terms, &mut broken);
        self.keep(&mut books, broken);
    }

    /// The start of a run reaches a producer of this promise.
    pub fn run_called(&self, service: &ServiceName, order: &ProduceOrder, class: EffectClass) {
        let mut books = self.books();
        let watched = watched(&mut books, service);
        let mut broken = Vec::new();
        watched.runs.called(&watched.service, order, class, &mut broken);
        self.keep(&mut books, broken);
    }

    /// The registry's production name is about to be moved by a host that is configured by `terms`.
    pub fn promote_called(&self, service: &ServiceName, version: &VersionName, terms: &Terms) {
        let mut books = self.books();
        let watched = watched(&mut books, service);
        let mut broken = Vec::new();
        watched.holds.promote_called(&watched.service, version, terms, &mut broken);
        self.keep(&mut books, broken);
    }

    /// A whole journal is read.
    pub fn journal_read(&self, service: &ServiceName) {
        // The pace at which a service's own is read is a rule of services.
        if service.as_set().is_some() {
            return;
        }
        let mut books = self.books();
        let watched = watched(&mut books, service);
        let mut broken = Vec::new();
        watched.pace.journal_read(service, &mut broken);
        self.keep(&mut books, broken);
    }

    /// The state that a host shows is the fold of the journal.
    pub fn same_state(&self, shown: &Service) {
        let mut books = self.books();
        let Some(watched) = books.services.get(&shown.name) else { return };
        if watched.service.length != shown.length || watched.service == *shown {
            return;
        }
        let what =
            format!("at event {} the host shows another state than the journal folds to", shown.length);
        let broken = Broken { rule: "state-is-the-fold", service: shown.name.clone(), what };
        self.keep(&mut books, vec![broken]);
    }

    /// The same of a set.
    pub fn same_set(&self, shown: &Set) {
        let mut books = self.books();
        let Some(watched) = &books.set else { return };
        if watched.set.length != shown.length || watched.set == *shown {
            return;
        }
        let what =
            format!("at event {} the host shows another state than the journal folds to", shown.length);
        let broken = Broken { rule: "state-is-the-fold", service: shown.name.journal(), what };
        self.keep(&mut books, vec![broken]);
    }

    /// What the journal of the set says, if it has one.
    pub fn set(&self) -> Option<Set> {
        self.books().set.as_ref().map(|watched| watched.set.clone())
    }

    /// Whether the set is quiet in fair weather, or why it is not.
    pub fn set_is_quiet(&self) -> Result<(), String> {
        let books = self.books();
        let member = |name: &ServiceName| books.services.get(name).map(|watched| &watched.service);
        books.set.as_ref().map_or(Ok(()), |watched| sets::check(watched, member))
    }

    /// When a host that runs in fair weather has had its time: whether a service is quiet, or why it is not.
    pub fn is_quiet(&self, service: &ServiceName) -> Result<(), (&'static str, String)> {
        let books = self.books();
        match books.services.get(service) {
            Some(watched) => quiet::check(watched, &self.world),
            None => Ok(()),
        }
    }

    /// Makes every decision again that was recorded, or every so-manieth.
    pub fn replay(&self, one_in: u64) {
        let Some(disk) = self.disk.get().and_then(Weak::upgrade) else { return };
        let mut books = self.books();
        let mut broken = Vec::new();
        let mut replayed = 0;
        for watched in books.services.values() {
            replayed += watched.replays.again(&watched.service.name, &disk, one_in, &mut broken);
        }
        books.counts.replayed += replayed;
        self.keep(&mut books, broken);
    }
}

const SNAPSHOTS: &str = "a-snapshot-is-the-fold";

/// Whether what an append keeps beside its records is the state at either end of them.
fn judge_snapshots(append: &Append, books: &mut Books, broken: &mut Vec<Broken>) {
    for KeptSnapshot { snapshot, .. } in &append.snapshots {
        if snapshot.service.as_set().is_some() {
            if let Some(watched) = &books.set
                && snapshot.tip == watched.tip
                && snapshot.read_set().as_ref() != Ok(&watched.set)
            {
                let what = format!("the snapshot of {} records is another state", snapshot.tip.length);
                broken.push(Broken { rule: SNAPSHOTS, service: snapshot.service.clone(), what });
            }
            continue;
        }
        let watched = watched(books, &snapshot.service);
        if snapshot.tip.length != watched.tip.length {
            continue;
        }
        let differs = snapshots::differs(snapshot, &watched.service, watched.tip);
        let service = snapshot.service.clone();
        broken.extend(differs.map(|what| Broken { rule: SNAPSHOTS, service, what }));
        books.counts.snapshots += 1;
    }
}

fn watched<'a>(books: &'a mut Books, service: &ServiceName) -> &'a mut Watched {
    watched_in(&mut books.services, service)
}

fn watched_in<'a>(
    services: &'a mut BTreeMap<ServiceName, Watched>,
    service: &ServiceName,
) -> &'a mut Watched {
    services.entry(service.clone()).or_insert_with(|| Watched::new(service.clone()))
}

impl Observer for Checker {
    fn appended(&self, append: &Append) {
        let Some(disk) = self.disk.get().and_then(Weak::upgrade) else { return };
        let mut books = self.books();
        let mut broken = Vec::new();
        judge_snapshots(append, &mut books, &mut broken);
        for record in &append.records {
            if let Some(set) = record.service.as_set() {
                let watched = books.set.get_or_insert_with(|| sets::Watched::new(Set::new(set)));
                watched.appended(record, &self.trace, &mut broken);
                continue;
            }
            let lives = books.lives;
            let Books { services, set, counts, .. } = &mut *books;
            let watched = watched_in(services, &record.service);
            let envelope = match record.read::<Event>(watched.tip) {
                Ok(envelope) => envelope,
                Err(error) => {
                    let (service, what) = (record.service.clone(), error.to_string());
                    broken.push(Broken { rule: "journal-is-a-chain", service, what });
                    break;
                }
            };
            let after = match watched.service.apply(envelope.at, &envelope.event) {
                Ok(after) => after,
                Err(illegal) => {
                    let what = format!("{illegal}: {:?}", envelope.event);
                    broken.push(Broken { rule: "state-is-the-fold", service: record.service.clone(), what });
                    break;
                }
            };
            watched.tip = record.tip();
            let before = std::mem::replace(&mut watched.service, after);
            let after = &watched.service;
            self.trace.event(&before.name, envelope.at, &envelope.event, after);
            if envelope.at < before.at {
                let what = format!("{:?} after {:?}", envelope.at, before.at);
                broken.push(Broken { rule: "time-goes-on", service: before.name.clone(), what });
            }
            let mut step = Step {
                before: &before,
                after,
                event: &envelope.event,
                at: envelope.at,
                world: &self.world,
                disk: &disk,
                broken: &mut broken,
            };
            watched.authority.step(&mut step);
            watched.shifts.step(&mut step, &watched.authority);
            watched.runs.step(&mut step, &watched.authority);
            watched.breaker.step(&mut step, &watched.authority);
            watched.endings.step(&mut step, &watched.authority, lives);
            watched.facets.step(&mut step);
            watched.holds.step(&mut step);
            watched.news.step(&mut step);
            watched.pace.step(&mut step);
            watched.signals.step(&mut step);
            watched.replays.step(&mut step);
            watched.latch.step(&mut step);
            watched.waves.step(&mut step);
            if let Some(set) = set.as_mut() {
                set.of_member(&mut step);
            }
            words::step(&mut step);
            if after.length.is_multiple_of(snapshots::ONE_IN)
                && let Some(what) = snapshots::is_lost_in_writing(after, watched.tip)
            {
                step.broke(SNAPSHOTS, what);
            }
            let ended = endings::outcome_of(&before, after);
            let begun = match &envelope.event {
                Event::ShiftBegan(began) => Some(shifts::kind(&before, began.rung)),
                _ => None,
            };
            counts.events += 1;
            if let Event::ShiftBegan(began) = &envelope.event
                && began.wave > 0
            {
                *counts.shifts.entry("version in a later wave".to_owned()).or_default() += 1;
            }
            if let Some(kind) = begun {
                *counts.shifts.entry(kind).or_default() += 1;
            }
            if let Some(outcome) = ended {
                *counts.ended.entry(outcome.to_string()).or_default() += 1;
            }
        }
        judge_snapshots(append, &mut books, &mut broken);
        breaker::host(&mut books, &mut broken);
        self.keep(&mut books, broken);
    }
}

/// Since when something has been so, by time that passes.
pub(crate) fn now() -> Instant {
    Instant::now()
}

//! What is on disk. Each call is whole or nothing, and made at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ripcord_core::blob::{self, BlobRef, Salt};
use ripcord_core::digest::Digest;
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::{IncidentId, ServiceName, SetName, SignalId};
use ripcord_core::snapshot::Snapshot;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::store::{
    self, Accepted, Append, ChangeLine, Expired, IncidentLine, KeptSnapshot, NewBlob, NewSignal,
    SignalFilter, Span, StoreError, StoredSignal, Use,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Sees everything that comes to be on disk.
pub trait Observer: Debug + Send + Sync {
    /// These records are written.
    fn appended(&self, append: &Append);
}

#[derive(Debug, Default)]
struct Content {
    signals: Vec<StoredSignal>,
    /// Positions of signals, by dedupe key.
    by_key: BTreeMap<Digest, Vec<usize>>,
    by_id: BTreeMap<SignalId, usize>,
    /// Who said what: position of the signal, and the sender.
    said: BTreeSet<(usize, Digest)>,
    journals: BTreeMap<ServiceName, Vec<Record>>,
    blobs: BTreeMap<Digest, Option<(Salt, Vec<u8>)>>,
    /// In the order in which they were first written.
    incidents: Vec<IncidentLine>,
    snapshots: Vec<KeptSnapshot>,
    timelines: BTreeMap<IncidentId, Vec<Span>>,
    /// In the order in which they were written.
    changes: Vec<ChangeLine>,
    uses: Vec<(ServiceName, Use)>,
    /// Positions of signals that are only kept so that positions stay.
    forgotten: BTreeSet<usize>,
    components: BTreeMap<Digest, Vec<u8>>,
    notes: BTreeMap<String, Vec<u8>>,
}

/// A disk.
#[derive(Debug)]
pub struct Disk {
    installation: Digest,
    content: Mutex<Content>,
    observer: Option<Arc<dyn Observer>>,
}

/// The part of an envelope that says where a record belongs.
#[derive(Deserialize)]
struct Place {
    number: u64,
    before: Digest,
}

fn refused(why: impl ToString) -> StoreError {
    StoreError::Refused(why.to_string())
}

/// What the first record continues, and what the last one leaves.
fn check(append: &Append) -> Result<(ServiceName, Tip, Tip), StoreError> {
    let first = append.records.first().ok_or_else(|| refused("an append needs at least one record"))?;
    let service = first.service.clone();
    let place: Place = serde_json::from_slice(&first.bytes).map_err(refused)?;
    let expected = Tip { length: place.number, hash: place.before };
    let mut tip = expected;
    for record in &append.records {
        if record.service != service {
            return Err(refused("one append is for two services"));
        }
        record.read::<IgnoredAny>(tip).map_err(refused)?;
        tip = record.tip();
    }
    for NewBlob { reference, salt, content } in &append.blobs {
        if blob::commit(reference.kind, salt, content) != *reference {
            return Err(refused("a blob is not what its reference commits to"));
        }
    }
    if append.incidents.iter().any(|line| line.service != service) {
        return Err(refused("an incident is of another service"));
    }
    if append.changes.iter().any(|line| line.service != service) {
        return Err(refused("a change is of another service"));
    }
    let is_an_end = |kept: &KeptSnapshot| {
        kept.snapshot.service == service && (kept.snapshot.tip == expected || kept.snapshot.tip == tip)
    };
    if !append.snapshots.iter().all(is_an_end) {
        return Err(refused("a snapshot is of no end of what is appended"));
    }
    Ok((service, expected, tip))
}

impl Disk {
    /// An empty one, with the identity of `installation`.
    pub fn new(installation: Digest, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { installation, content: Mutex::default(), observer }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose store it is.
    pub fn installation(&self) -> Digest {
        self.installation
    }

    /// Takes signals in.
    pub fn accept(&self, signals: Vec<NewSignal>) -> Result<Vec<Accepted>, StoreError> {
        let mut content = self.content();
        // All or none: an id that another signal has is found before anything is written.
        for new in &signals {
            if let Some(at) = content.by_id.get(&new.signal.id)
                && content.signals[*at].signal != new.signal
                && content.repeats(new).is_none()
            {
                return Err(refused(format!("signal id `{}` is taken by another signal", new.signal.id)));
            }
        }
        Ok(signals.into_iter().map(|new| content.accept(new)).collect())
    }

    /// Signals, as [`ripcord_ports::Store::signals`] lists them.
    pub fn signals(&self, filter: SignalFilter<'_>, limit: u32) -> Vec<StoredSignal> {
        let content = self.content();
        let kept = content.signals.iter().enumerate().filter(|(at, _)| !content.forgotten.contains(at));
        let all = kept.map(|(_, stored)| stored).filter(|stored| !stored.consumed);
        let limit = limit as usize;
        match filter {
            SignalFilter::Unrouted => {
                all.rev().filter(|stored| stored.service.is_none()).take(limit).cloned().collect()
            }
            SignalFilter::Waiting(service) => {
                all.filter(|stored| stored.service.as_ref() == Some(service)).take(limit).cloned().collect()
            }
        }
    }

    /// Services that have signals waiting.
    pub fn services_with_signals(&self) -> Vec<ServiceName> {
        let content = self.content();
        let waiting = content.signals.iter().filter(|stored| !stored.consumed);
        let mut services: Vec<_> = waiting.filter_map(|stored| stored.service.clone()).collect();
        services.sort();
        services.dedup();
        services
    }

    /// Appends.
    pub fn append(&self, append: &Append) -> Result<Tip, StoreError> {
        let (service, expected, tip) = check(append)?;
        let mut content = self.content();
        let last = content.journals.get(&service).and_then(|journal| journal.last());
        if last.map_or(Tip::START, Record::tip) != expected {
            return Err(StoreError::Moved { service });
        }
        let mut consumed = Vec::new();
        for id in &append.consumed {
            let at = content.by_id.get(id).copied().filter(|at| {
                let stored = &content.signals[*at];
                stored.service.as_ref() == Some(&service) && !stored.consumed && !consumed.contains(at)
            });
            consumed.push(at.ok_or_else(|| refused(format!("signal `{id}` does not wait for `{service}`")))?);
        }
        consumed.into_iter().for_each(|at| content.signals[at].consumed = true);
        for NewBlob { reference, salt, content: bytes } in &append.blobs {
            content.blobs.entry(reference.commitment).or_insert_with(|| Some((*salt, bytes.clone())));
        }
        for line in &append.incidents {
            match content.incidents.iter_mut().find(|old| old.incident.id == line.incident.id) {
                Some(old) => old.clone_from(line),
                None => content.incidents.push(line.clone()),
            }
        }
        content.derived(&service, append);
        content.journals.entry(service).or_default().extend(append.records.iter().cloned());
        drop(content);
        if let Some(observer) = &self.observer {
            observer.appended(append);
        }
        Ok(tip)
    }

    /// At most `limit` records of a journal from number `from` on.
    pub fn journal(&self, service: &ServiceName, from: u64, limit: u32) -> Vec<Record> {
        let content = self.content();
        let records = content.journals.get(service).into_iter().flatten();
        records.skip(usize::try_from(from).unwrap_or(usize::MAX)).take(limit as usize).cloned().collect()
    }

    /// The longest snapshot of no more than `length_max` records.
    pub fn snapshot(&self, service: &ServiceName, length_max: u64) -> Option<Snapshot> {
        let content = self.content();
        let all = content.snapshots.iter().map(|kept| &kept.snapshot);
        let fits = |one: &&Snapshot| one.service == *service && one.tip.length <= length_max;
        all.filter(fits).max_by_key(|one| one.tip.length).cloned()
    }

    /// Keeps a snapshot in place of all that no page is read from.
    pub fn keep_snapshot(&self, snapshot: Snapshot) {
        self.content().keep_snapshot(KeptSnapshot { snapshot, opens: None });
    }

    /// Which records an incident's page tells of.
    pub fn timeline(&self, incident: &IncidentId) -> Vec<Span> {
        self.content().timelines.get(incident).cloned().unwrap_or_default()
    }

    /// What moved, newest first.
    pub fn changes(&self, service: &ServiceName, limit: u32) -> Vec<ChangeLine> {
        let content = self.content();
        let mine = content.changes.iter().rev().filter(|line| line.service == *service);
        mine.take(limit as usize).cloned().collect()
    }

    /// Uses that are over, oldest first.
    pub fn expired(&self, expired: &Expired<'_>, limit: u32) -> Vec<Use> {
        let content = self.content();
        let is_over = |used: &&Use| {
            used.class == expired.class
                && used.at < expired.before
                && used.incident.as_ref().is_none_or(|incident| !expired.spared.contains(incident))
        };
        let mine = content.uses.iter().filter(|(service, _)| service == expired.service);
        let mut over: Vec<_> = mine.map(|(_, used)| used).filter(is_over).cloned().collect();
        over.sort_by_key(|used| (used.at, used.number));
        over.truncate(limit as usize);
        over
    }

    /// How many records still need it.
    pub fn uses(&self, content: store::Content) -> u64 {
        self.content().uses.iter().filter(|(_, used)| used.content == content).count() as u64
    }

    /// Forgets signals that nobody waits for.
    pub fn forget_signals(&self, before: UnixMillis, limit: u32) -> u64 {
        let mut content = self.content();
        let over = |(at, stored): &(usize, &StoredSignal)| {
            !content.forgotten.contains(at)
                && (stored.consumed || stored.service.is_none())
                && stored.signal.received_at < before
        };
        let all = content.signals.iter().enumerate().filter(over).map(|(at, _)| at);
        let all: Vec<usize> = all.take(limit as usize).collect();
        for at in &all {
            let id = content.signals[*at].signal.id.clone();
            content.by_id.remove(&id);
            content.by_key.values_mut().for_each(|positions| positions.retain(|position| position != at));
            content.forgotten.insert(*at);
        }
        all.len() as u64
    }

    /// Services that have a journal.
    pub fn services(&self) -> Vec<ServiceName> {
        self.content().journals.keys().filter(|key| !key.is_reserved()).cloned().collect()
    }

    /// Sets that have a journal.
    pub fn sets(&self) -> Vec<SetName> {
        self.content().journals.keys().filter_map(ServiceName::as_set).collect()
    }

    /// A blob's content; none if it was erased.
    pub fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError> {
        let damaged = |what: &str| StoreError::Damaged(format!("blob `{}`: {what}", reference.commitment));
        match self.content().blobs.get(&reference.commitment) {
            None => Err(damaged("it is missing")),
            Some(None) => Ok(None),
            Some(Some((salt, content))) if blob::commit(reference.kind, salt, content) == *reference => {
                Ok(Some(content.clone()))
            }
            Some(Some(_)) => Err(damaged("it was changed after it was written")),
        }
    }

    /// Erases a blob; false if it was erased before.
    pub fn erase(&self, reference: &BlobRef) -> bool {
        self.content().blobs.get_mut(&reference.commitment).is_some_and(|blob| blob.take().is_some())
    }

    /// Lines of the incident list, newest first.
    pub fn incidents(&self, service: Option<&ServiceName>, limit: u32) -> Vec<IncidentLine> {
        let content = self.content();
        let mut lines: Vec<_> = content
            .incidents
            .iter()
            .enumerate()
            .filter(|(_, line)| service.is_none_or(|service| line.service == *service))
            .collect();
        lines.sort_by_key(|(row, line)| std::cmp::Reverse((line.incident.opened_at, *row)));
        lines.into_iter().take(limit as usize).map(|(_, line)| line.clone()).collect()
    }

    /// One line of the incident list.
    pub fn incident(&self, id: &IncidentId) -> Option<IncidentLine> {
        self.content().incidents.iter().find(|line| line.incident.id == *id).cloned()
    }

    /// Keeps the bytes of a policy.
    pub fn keep_component(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.content().components.entry(digest).or_insert_with(|| bytes.to_vec());
        digest
    }

    /// Forgets the components that no record needs, but for those in `spared`.
    pub fn forget_components(&self, spared: &[Digest]) -> u64 {
        let mut content = self.content();
        let (all, needed) = (content.components.len(), content.uses.clone());
        let is_needed = |digest: &Digest| {
            spared.contains(digest)
                || needed.iter().any(|(_, used)| used.content == store::Content::Component(*digest))
        };
        content.components.retain(|digest, _| is_needed(digest));
        (all - content.components.len()) as u64
    }

    /// The bytes of a policy.
    pub fn component(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.content().components.get(digest).cloned()
    }

    /// Sets a note.
    pub fn set_note(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        if name.is_empty() || name.len() > 200 || value.len() > 64 << 10 {
            return Err(refused("a note has a short name and a small value"));
        }
        self.content().notes.insert(name.to_owned(), value.to_vec());
        Ok(())
    }

    /// Reads a note.
    pub fn note(&self, name: &str) -> Option<Vec<u8>> {
        self.content().notes.get(name).cloned()
    }
}

impl Content {
    fn keep_snapshot(&mut self, new: KeptSnapshot) {
        let replaced =
            |old: &KeptSnapshot| old.snapshot.service == new.snapshot.service && old.opens == new.opens;
        self.snapshots.retain(|old| !replaced(old));
        self.snapshots.push(new);
    }

    /// What stands beside the journal.
    fn derived(&mut self, service: &ServiceName, append: &Append) {
        append.snapshots.iter().for_each(|kept| self.keep_snapshot(kept.clone()));
        for entry in &append.timeline {
            let spans = self.timelines.entry(entry.incident.clone()).or_default();
            match spans.last_mut() {
                Some(last) if last.last + 1 == entry.number => last.last = entry.number,
                _ => spans.push(Span { first: entry.number, last: entry.number }),
            }
        }
        self.changes.extend(append.changes.iter().cloned());
        self.uses.extend(append.uses.iter().map(|used| (service.clone(), used.clone())));
        self.uses.retain(|(of, used)| of != service || !append.over.contains(used));
        for over in &append.over {
            let store::Content::Blob(commitment) = over.content else { continue };
            if self.uses.iter().all(|(_, used)| used.content != over.content)
                && let Some(blob) = self.blobs.get_mut(&commitment)
            {
                *blob = None;
            }
        }
    }

    /// The position of the signal that `new` is a repeat of.
    fn repeats(&self, new: &NewSignal) -> Option<usize> {
        let (at, window) = (new.signal.received_at, new.dedupe_window);
        let near = |other: &usize| {
            let first = self.signals[*other].signal.received_at;
            let apart = Millis(first.0.abs_diff(at.0));
            apart < window
        };
        let all = self.by_key.get(&new.dedupe_key).into_iter().flatten().copied();
        all.filter(near).max_by_key(|other| (self.signals[*other].signal.received_at, *other))
    }

    /// Whether `new`, whose key was seen at `first`, is news all the same; none where nothing came in between.
    fn is_news(&self, new: &NewSignal, first: usize) -> Option<bool> {
        let turn = new.turn?;
        let others = turn.other_keys.iter().filter_map(|key| self.by_key.get(key)).flatten();
        let other = &self.signals[*others.filter(|at| **at > first).max()?].signal;
        Some(turn.is_news(&new.signal, other, self.said.contains(&(first, turn.sender))))
    }

    fn accept(&mut self, new: NewSignal) -> Accepted {
        let mut known = self.repeats(&new);
        if let Some(first) = known {
            match (self.is_news(&new, first), new.turn) {
                (Some(true), _) => known = None,
                (None, Some(turn)) => drop(self.said.insert((first, turn.sender))),
                (Some(false), _) | (None, None) => {}
            }
        }
        let known = known.or_else(|| self.by_id.get(&new.signal.id).copied());
        if let Some(at) = known {
            let stored = &mut self.signals[at];
            stored.times = stored.times.saturating_add(1);
            return Accepted::Repeated(stored.signal.id.clone());
        }
        let (id, at) = (new.signal.id.clone(), self.signals.len());
        self.by_id.insert(id.clone(), at);
        self.by_key.entry(new.dedupe_key).or_default().push(at);
        let NewSignal { signal, source, service, turn, .. } = new;
        self.said.extend(turn.map(|turn| (at, turn.sender)));
        self.signals.push(StoredSignal { signal, source, service, times: 1, consumed: false });
        Accepted::Stored(id)
    }
}

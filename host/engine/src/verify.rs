//! Whether a service's journal is whole, and whether all that is derived from it says the same.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::blob::{BlobKind, BlobRef, blobs_of};
use ripcord_core::digest::Digest;
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::service::Service;
use ripcord_core::set::Set;
use ripcord_ports::Store;
use ripcord_ports::store::{Append, ChangeLine, IncidentLine, Span, StoreError};
use ripcord_sandbox::Recording;

use crate::fold_error::FoldError;
use crate::history::History;
use crate::journaled::Journaled;
use crate::kept_facts;
use crate::read_model::Derived;

/// Findings of one kind that are listed; the others are counted.
const LISTED_MAX: usize = 20;

/// Values of facts that are known to have been looked at; thousands of records may refer to one.
const LOOKED_AT_MAX: usize = 1_000;

/// What a look at one journal found.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// Records that were read and applied.
    pub records: u64,
    /// Why the journal cannot be read further; none if it is whole.
    pub broken: Option<String>,
    /// Contents that were read and are what the journal commits to.
    pub contents: u64,
    /// Contents that were erased.
    pub erased: u64,
    /// Contents that are missing or changed.
    pub damaged: Findings,
    /// Snapshots that are another state than the journal's.
    pub snapshots: Findings,
    /// Lines, timelines and changes that are not what the journal says.
    pub read_model: Findings,
    /// What the read model ought to be.
    pub derived: ReadModel,
}

/// Sentences, the first ones of possibly many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// How many.
    pub count: u64,
    /// The first ones.
    pub first: Vec<String>,
}

impl Findings {
    fn add(&mut self, text: impl Into<String>) {
        self.count += 1;
        if self.first.len() < LISTED_MAX {
            self.first.push(text.into());
        }
    }
}

/// What is derived from one journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadModel {
    /// By id.
    pub incidents: BTreeMap<IncidentId, IncidentLine>,
    /// Which records each incident's page tells of.
    pub timelines: BTreeMap<IncidentId, Vec<Span>>,
    /// Oldest first.
    pub changes: Vec<ChangeLine>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.broken.is_none() && self.damaged.count + self.snapshots.count + self.read_model.count == 0
    }
}

/// Reads the whole journal of a service, or of a set by its key, and compares. Memory grows with its incidents, not with its records.
pub async fn verify(store: &dyn Store, name: &ServiceName) -> Result<Verified, StoreError> {
    match name.as_set() {
        Some(set) => verify_of::<Set>(store, &set).await,
        None => verify_of::<Service>(store, name).await,
    }
}

async fn verify_of<S: Journaled>(store: &dyn Store, name: &S::Name) -> Result<Verified, StoreError> {
    let mut history = History::<S>::whole(store, name);
    let mut before = Box::new(history.state().clone());
    let name = &before.key();
    let mut verified = Verified::default();
    let kept = snapshots::<S>(store, name).await?;
    let mut looked_at = BTreeSet::new();
    loop {
        let step = match history.next().await {
            Ok(Some(step)) => step,
            Ok(None) => break,
            Err(error) if error.is_of_this_journal() => {
                verified.broken = Some(error.to_string());
                break;
            }
            Err(FoldError::Store(error)) => return Err(error),
            Err(error) => return Err(StoreError::Failed(error.to_string())),
        };
        verified.records += 1;
        let after = history.state();
        let mut derived = Derived::default();
        before.derive(&step.event, after, &[], &mut derived);
        verified.derived.take(derived);
        for blob in blobs_of(&step.event).unwrap_or_default() {
            let content = verified.content(store, step.number, &blob).await?;
            for value in content.map(|content| values(blob.kind, &content)).unwrap_or_default() {
                if looked_at.len() >= LOOKED_AT_MAX {
                    looked_at.clear();
                }
                if looked_at.insert(value) {
                    verified.content(store, step.number, &value).await?;
                }
            }
        }
        let tip = history.tip();
        if let Some(check) = kept.get(&tip.length) {
            let own = after.snapshot(tip).map(|snapshot| snapshot.check);
            if own.ok().as_ref() != Some(check) {
                verified.snapshots.add(format!("the snapshot at {} is another state", tip.length));
            }
        }
        *before = after.clone();
    }
    if verified.broken.is_none() {
        for length in kept.keys().filter(|length| **length > verified.records) {
            verified.snapshots.add(format!("the snapshot at {length} is of a longer journal"));
        }
        verified.compare(store, name).await?;
    }
    Ok(verified)
}

/// The values of facts that a content refers to.
fn values(kind: BlobKind, content: &[u8]) -> Vec<BlobRef> {
    match kind {
        // What does not read is what was written all the same: its commitment fits.
        BlobKind::Decision => Recording::read(content).map(|recording| recording.values).unwrap_or_default(),
        BlobKind::Evidence => kept_facts::references(content),
        _ => Vec::new(),
    }
}

/// The checks of all snapshots, by length.
async fn snapshots<S: Journaled>(
    store: &dyn Store,
    name: &ServiceName,
) -> Result<BTreeMap<u64, Digest>, StoreError> {
    let mut all = BTreeMap::new();
    let mut length_max = u64::MAX;
    while let Some(snapshot) = store.snapshot(name, length_max).await? {
        // One that does not fit at all is as wrong as one of another state.
        let check = S::of_snapshot(&snapshot).map(|_| snapshot.check).unwrap_or(Digest::from_bytes([0; 32]));
        all.insert(snapshot.tip.length, check);
        match snapshot.tip.length.checked_sub(1) {
            Some(shorter) => length_max = shorter,
            None => break,
        }
    }
    Ok(all)
}

impl ReadModel {
    fn take(&mut self, derived: Derived) {
        let mut append = Append::default();
        derived.put_into(&mut append);
        self.incidents.extend(append.incidents.into_iter().map(|line| (line.incident.id.clone(), line)));
        self.changes.extend(append.changes);
        for entry in append.timeline {
            let spans = self.timelines.entry(entry.incident).or_default();
            match spans.last_mut() {
                Some(span) if span.last + 1 == entry.number => span.last = entry.number,
                _ => spans.push(Span { first: entry.number, last: entry.number }),
            }
        }
    }
}

impl Verified {
    /// Reads a content that a record refers to, whatever became of it.
    async fn content(
        &mut self,
        store: &dyn Store,
        number: u64,
        content: &BlobRef,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match store.blob(content).await {
            Ok(read) => {
                let count = if read.is_some() { &mut self.contents } else { &mut self.erased };
                *count += 1;
                Ok(read)
            }
            Err(StoreError::Damaged(why)) => {
                self.damaged.add(format!("record {number}: {why}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn compare(&mut self, store: &dyn Store, name: &ServiceName) -> Result<(), StoreError> {
        for (id, line) in &self.derived.incidents {
            match store.incident(id).await {
                Ok(Some(kept)) if kept == *line => {}
                Ok(Some(_)) => {
                    self.read_model.add(format!("the line of `{id}` says something else than the journal"))
                }
                Ok(None) => self.read_model.add(format!("the line of `{id}` is missing")),
                Err(StoreError::Damaged(why)) => self.read_model.add(why),
                Err(error) => return Err(error),
            }
        }
        let listed = store.incidents(Some(name), u32::MAX).await?;
        for line in listed.iter().filter(|line| !self.derived.incidents.contains_key(&line.incident.id)) {
            self.read_model.add(format!("the journal knows no incident `{}`", line.incident.id));
        }
        for (id, spans) in &self.derived.timelines {
            if store.timeline(id).await? != *spans {
                self.read_model.add(format!("the timeline of `{id}` is another one"));
            }
        }
        let mut changes = match store.changes(name, u32::MAX).await {
            Ok(changes) => changes,
            Err(StoreError::Damaged(why)) => {
                self.read_model.add(why);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        changes.reverse();
        if changes != self.derived.changes {
            self.read_model.add("the list of changes is another one");
        }
        Ok(())
    }
}

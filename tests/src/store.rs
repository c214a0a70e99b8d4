//! The real store, which may die before and after every write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ripcord_core::blob::{BlobKind, BlobRef};
use ripcord_core::digest::Digest;
use ripcord_core::event::Event;
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::{IncidentId, ServiceName, SetName, SignalId};
use ripcord_core::snapshot::Snapshot;
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store;
use ripcord_ports::store::{
    Accepted, Append, ChangeLine, Content, Durability, Expired, IncidentLine, NewSignal, SignalFilter, Span,
    StoreError, StoredSignal, UnreadableSignal, Use,
};
use ripcord_store::SqliteStore;
use tokio::sync::watch;

use crate::fuse::Fuse;
use crate::power::Power;

/// Passes the fuse.
#[derive(Debug)]
pub struct MortalStore {
    /// The file.
    pub store: Arc<SqliteStore>,
    /// Of this host.
    pub fuse: Arc<Fuse>,
    /// What it says instead of what is stored.
    pub forged: Forged,
    /// What it says of contents of these kinds.
    pub contents: Contents,
    /// Who else writes to the journals.
    pub intruder: Intruder,
    /// What it is on.
    pub disk: Disk,
    /// Records that were read from it.
    pub read: Arc<AtomicU64>,
    /// So many further reads of the intake fail.
    pub deaf: Arc<AtomicUsize>,
    /// Signals whose rows cannot be read.
    pub garbled: Garbled,
    /// Told of every flush.
    pub power: Power,
    /// What was appended.
    pub appended: Appended,
}

/// How writes fare, to be changed while a host runs.
pub type Disk = Arc<watch::Sender<Writes>>;

/// How writes fare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Writes {
    /// They succeed.
    #[default]
    Succeed,
    /// They fail: the disk is full.
    Fail,
    /// They fail from the next append of exactly these events on, as [`names`] gives them.
    FailFrom(String),
    /// They wait.
    Wait,
    /// Appends of exactly these events, as [`names`] gives them, are refused.
    Refuse(String),
}

/// Waits while writes wait; fails while they fail.
async fn written(disk: &Disk, names: &str) -> Result<(), StoreError> {
    disk.send_if_modified(|writes| {
        let full = matches!(writes, Writes::FailFrom(first) if first == names);
        if full {
            *writes = Writes::Fail;
        }
        full
    });
    let mut writes = disk.subscribe();
    let fare = writes.wait_for(|writes| *writes != Writes::Wait).await.expect("the lab has the disk").clone();
    match fare {
        Writes::Fail => Err(StoreError::Full),
        Writes::Refuse(refused) if refused == names => Err(StoreError::Refused("told to".into())),
        _ => Ok(()),
    }
}

/// Before the next append of exactly these events, as [`names`] gives them, someone else appends to the same journal.
pub type Intruder = Arc<Mutex<Option<String>>>;

/// Another writer appends `event` to the journal.
pub async fn intrude(store: &SqliteStore, service: &ServiceName, event: &Event) {
    let folded = ripcord_engine::fold(store, service).await.expect("the journal folds");
    let at = folded.service.at;
    let record = Record::write(service, folded.tip, at, event).expect("encodes");
    let append = Append { records: vec![record], ..Append::default() };
    store.append(append).await.expect("appended");
}

/// Ids of signals that the store has and cannot read.
pub type Garbled = Arc<Mutex<BTreeSet<SignalId>>>;

/// References of all contents that were appended, in order.
pub type Appended = Arc<Mutex<Vec<BlobRef>>>;

/// Contents of blobs as a liar would give them, by commitment.
pub type Forged = Arc<Mutex<BTreeMap<Digest, Vec<u8>>>>;

/// What is said of all contents of a kind instead of what is stored, to be changed while a host runs.
pub type Contents = Arc<Mutex<BTreeMap<BlobKind, Result<Option<Vec<u8>>, StoreError>>>>;

/// The names of the events in `records`.
pub fn names(records: &[Record]) -> String {
    let name = |record: &Record| {
        let json: serde_json::Value = serde_json::from_slice(&record.bytes).expect("a record is JSON");
        match &json["event"] {
            serde_json::Value::String(name) => name.clone(),
            event => event.as_object().and_then(|event| event.keys().next().cloned()).expect("a name"),
        }
    };
    records.iter().map(name).collect::<Vec<_>>().join("+")
}

#[async_trait]
impl Store for MortalStore {
    async fn installation(&self) -> Result<Digest, StoreError> {
        self.fuse.alive().await;
        self.store.installation().await
    }

    async fn accept(&self, signals: Vec<NewSignal>) -> Result<Vec<Accepted>, StoreError> {
        self.fuse.point("before accept").await;
        written(&self.disk, "").await?;
        let accepted = self.store.accept(signals).await;
        self.power.flushed();
        self.fuse.point("after accept").await;
        accepted
    }

    async fn signals(&self, filter: SignalFilter<'_>, limit: u32) -> Result<Vec<StoredSignal>, StoreError> {
        self.fuse.alive().await;
        let less = |deaf: usize| deaf.checked_sub(1);
        if self.deaf.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return Err(StoreError::Failed("the fake store cannot be read".into()));
        }
        let mut signals = self.store.signals(filter, limit).await?;
        let garbled = self.garbled.lock().unwrap();
        signals.retain(|stored| !garbled.contains(&stored.signal.id));
        Ok(signals)
    }

    async fn unreadable_signals(
        &self,
        service: &ServiceName,
        limit: u32,
    ) -> Result<Vec<UnreadableSignal>, StoreError> {
        self.fuse.alive().await;
        let waiting = self.store.signals(SignalFilter::Waiting(service), limit).await?;
        let garbled = self.garbled.lock().unwrap();
        let bad = waiting.into_iter().filter(|stored| garbled.contains(&stored.signal.id));
        Ok(bad.map(|stored| UnreadableSignal { id: stored.signal.id, why: "garbled".into() }).collect())
    }

    async fn services_with_signals(&self) -> Result<Vec<ServiceName>, StoreError> {
        self.fuse.alive().await;
        self.store.services_with_signals().await
    }

    async fn append(&self, append: Append) -> Result<Tip, StoreError> {
        let names = names(&append.records);
        if self.fuse.pass(&format!("before append {names}")).await {
            return Err(StoreError::Failed("the fake store failed".into()));
        }
        written(&self.disk, &names).await?;
        let intrudes = self.intruder.lock().unwrap().take_if(|wanted| *wanted == names).is_some();
        if let (true, Some(first)) = (intrudes, append.records.first()) {
            intrude(&self.store, &first.service, &Event::Woke).await;
        }
        let flushed = append.durability == Durability::Flushed;
        let blobs: Vec<BlobRef> = append.blobs.iter().map(|blob| blob.reference).collect();
        let tip = self.store.append(append).await;
        if tip.is_ok() {
            self.appended.lock().unwrap().extend(blobs);
        }
        if flushed {
            self.power.flushed();
        }
        if self.fuse.pass(&format!("after append {names}")).await {
            return Err(StoreError::Failed("the answer of the fake store is lost".into()));
        }
        tip
    }

    async fn flush(&self) -> Result<bool, StoreError> {
        self.fuse.alive().await;
        written(&self.disk, "").await?;
        let flushed = self.store.flush().await;
        if let Ok(true) = flushed {
            self.power.flushed();
        }
        flushed
    }

    async fn journal(&self, service: &ServiceName, from: u64, limit: u32) -> Result<Vec<Record>, StoreError> {
        self.fuse.alive().await;
        let records = self.store.journal(service, from, limit).await?;
        self.read.fetch_add(records.len() as u64, Ordering::SeqCst);
        Ok(records)
    }

    async fn snapshot(&self, service: &ServiceName, length_max: u64) -> Result<Option<Snapshot>, StoreError> {
        self.fuse.alive().await;
        self.store.snapshot(service, length_max).await
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.fuse.alive().await;
        written(&self.disk, "").await?;
        self.store.keep_snapshot(snapshot).await
    }

    async fn timeline(&self, incident: &IncidentId) -> Result<Vec<Span>, StoreError> {
        self.fuse.alive().await;
        self.store.timeline(incident).await
    }

    async fn changes(&self, service: &ServiceName, limit: u32) -> Result<Vec<ChangeLine>, StoreError> {
        self.fuse.alive().await;
        self.store.changes(service, limit).await
    }

    async fn expired(&self, expired: Expired<'_>, limit: u32) -> Result<Vec<Use>, StoreError> {
        self.fuse.alive().await;
        self.store.expired(expired, limit).await
    }

    async fn uses(&self, content: Content) -> Result<u64, StoreError> {
        self.fuse.alive().await;
        self.store.uses(content).await
    }

    async fn forget_signals(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        self.fuse.alive().await;
        written(&self.disk, "").await?;
        self.store.forget_signals(before, limit).await
    }

    async fn services(&self) -> Result<Vec<ServiceName>, StoreError> {
        self.fuse.alive().await;
        self.store.services().await
    }

    async fn sets(&self) -> Result<Vec<SetName>, StoreError> {
        self.fuse.alive().await;
        self.store.sets().await
    }

    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError> {
        self.fuse.alive().await;
        if let Some(said) = self.contents.lock().unwrap().get(&reference.kind) {
            return said.clone();
        }
        let forged = self.forged.lock().unwrap().get(&reference.commitment).cloned();
        match forged {
            Some(content) => Ok(Some(content)),
            None => self.store.blob(reference).await,
        }
    }

    async fn erase(&self, reference: &BlobRef) -> Result<bool, StoreError> {
        self.fuse.alive().await;
        self.store.erase(reference).await
    }

    async fn incidents(
        &self,
        service: Option<&ServiceName>,
        limit: u32,
    ) -> Result<Vec<IncidentLine>, StoreError> {
        self.fuse.alive().await;
        self.store.incidents(service, limit).await
    }

    async fn incident(&self, id: &IncidentId) -> Result<Option<IncidentLine>, StoreError> {
        self.fuse.alive().await;
        self.store.incident(id).await
    }

    async fn keep_component(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        self.store.keep_component(bytes).await
    }

    async fn forget_components(&self, spared: &[Digest]) -> Result<u64, StoreError> {
        self.store.forget_components(spared).await
    }

    async fn component(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.component(digest).await
    }

    async fn set_note(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.store.set_note(name, value).await
    }

    async fn note(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.note(name).await
    }
}

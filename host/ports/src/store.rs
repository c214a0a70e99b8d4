//! What outlives the process: intake, journals, blobs, components, projections.

use async_trait::async_trait;
use ripcord_core::blob::{BlobKind, BlobRef, Salt};
use ripcord_core::digest::Digest;
use ripcord_core::fact::PastIncident;
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::{IncidentId, ServiceName, SetName, SignalId, SourceName};
use ripcord_core::retention::Class;
use ripcord_core::signal::Signal;
use ripcord_core::snapshot::Snapshot;
use ripcord_core::time::{Millis, UnixMillis};
use serde::{Deserialize, Serialize};

/// A failure of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Nothing can be written; nothing was.
    #[error(
        "the disk is full: free space on the store's disk; a host that runs goes on by itself, and nothing that was acknowledged is lost"
    )]
    Full,
    /// Someone else appended to the journal: nothing was written.
    #[error("the journal of `{service}` moved on: another writer appended to it; try again")]
    Moved {
        /// Whose journal.
        service: ServiceName,
    },
    /// The call itself is wrong: nothing was written.
    #[error("the store refused: {0}; nothing was written")]
    Refused(String),
    /// What was read is not what was written.
    #[error("the store is damaged: {0}; restore it from a backup")]
    Damaged(String),
    /// The file cannot be used.
    #[error("the store cannot be used: {0}")]
    Unusable(String),
    /// Anything else; it is not known whether a write happened until the store is read again.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// A signal on its way in.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSignal {
    /// The normalised alert.
    pub signal: Signal,
    /// The configured source; none for people and schedules.
    pub source: Option<SourceName>,
    /// None is unrouted: kept and listed.
    pub service: Option<ServiceName>,
    /// Two signals with the same key within the window are one. The window starts at the first and does not slide.
    pub dedupe_key: Digest,
    /// How long the key counts.
    pub dedupe_window: Millis,
    /// None where nothing takes turns: each change has a key of its own.
    pub turn: Option<Turn>,
}

/// An alert that fires, ends, and fires again takes turns with the same few keys. A second firing is a repeat while nothing came in between. After
/// the end it is either news or the first firing, late, from another sender of the same source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The keys of the other words about the same alert: of its end where this one fires, of its firing where this one ends, and of its firing with
    /// another meaning (a condition, or missing data).
    pub other_keys: [Digest; 2],
    /// Which of the source's senders said it, such as one member of a cluster.
    pub sender: Digest,
}

impl Turn {
    /// A word that comes so long after the other one is not late any more: it is news, whoever says it.
    pub const LATE_MAX: Millis = Millis::minutes(2);
    /// Of so many senders of one word it is known that they said it. Those after them are taken for late ones.
    pub const SENDERS_MAX: usize = 16;

    /// Whether a word is news, although it was said before and within the window. `other` is the other word, received after that.
    /// `said_before` is whether this sender said it then.
    pub fn is_news(&self, word: &Signal, other: &Signal, said_before: bool) -> bool {
        let apart = Millis(word.received_at.0.abs_diff(other.received_at.0));
        apart >= Self::LATE_MAX
            // An end that is younger than the firing before it can be no other.
            || word.ended_at.is_some_and(|ended_at| ended_at >= other.received_at)
            || said_before
    }
}

/// What became of a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is on disk.
    Stored(SignalId),
    /// It was on disk already, under this id.
    Repeated(SignalId),
}

/// A signal on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSignal {
    /// The normalised alert.
    pub signal: Signal,
    /// The configured source.
    pub source: Option<SourceName>,
    /// None is unrouted.
    pub service: Option<ServiceName>,
    /// How often it came.
    pub times: u32,
    /// Whether it has entered its service's journal.
    pub consumed: bool,
}

/// A signal on disk that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableSignal {
    /// Which.
    pub id: SignalId,
    /// What is wrong with its row.
    pub why: String,
}

/// A blob to be written with the events that refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlob {
    /// See [`ripcord_core::blob::commit`].
    pub reference: BlobRef,
    /// Random, for this blob alone.
    pub salt: Salt,
    /// The content.
    pub content: Vec<u8>,
}

/// A line of the incident list. Derived from the journals and can be made anew from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentLine {
    /// Whose.
    pub service: ServiceName,
    /// The incident, as policies see past ones.
    pub incident: PastIncident,
    /// One sentence.
    pub summary: String,
}

/// A record that an incident's page tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// Of which incident.
    pub incident: IncidentId,
    /// Number of the record.
    pub number: u64,
}

/// A run of records that an incident's page tells of, the first and the last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Number of the first.
    pub first: u64,
    /// Number of the last.
    pub last: u64,
}

/// Something that moved, as a record tells it. Derived from the journals and can be made anew from them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLine {
    /// Of which service.
    pub service: ServiceName,
    /// Number of the record.
    pub number: u64,
    /// When.
    pub at: UnixMillis,
    /// What moved: `live`, `production-name`, `configuration`, `standing`.
    pub facet: String,
    /// From where; none where that is not known.
    pub from: Option<String>,
    /// To where.
    pub to: String,
    /// Who or what moved it.
    pub by: String,
}

/// A snapshot and what it is kept for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSnapshot {
    /// The state.
    pub snapshot: Snapshot,
    /// The incident whose page is read from it. One without is replaced by the next without.
    pub opens: Option<IncidentId>,
}

/// What a record needs of a blob: for so long, the blob is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// What it is kept for.
    pub class: Class,
    /// The incident that it belongs to, if it does.
    pub incident: Option<IncidentId>,
    /// Number of the record.
    pub number: u64,
    /// Time of the record.
    pub at: UnixMillis,
    /// The content.
    pub content: Content,
}

/// Where content is, or what makes it of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// A blob of this store, by its commitment.
    Blob(Digest),
    /// An object of evidence, outside this store, by its digest.
    Object(Digest),
    /// The component that made a decision. It is kept for as long as a recording that it can replay.
    Component(Digest),
}

/// Which uses are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired<'a> {
    /// Of which service.
    pub service: &'a ServiceName,
    /// Of which class.
    pub class: Class,
    /// By records before this instant.
    pub before: UnixMillis,
    /// Not those of these incidents.
    pub spared: &'a [IncidentId],
}

/// What a power cut may take of a write. The end of the process takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// It is on disk when the write returns, and all that was written before it.
    #[default]
    Flushed,
    /// It is on disk with the next write that is flushed. For what is simply done again: no effect outside and no acknowledgement rests on it.
    WithTheNext,
}

/// One atomic step of a service: all of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// When it must be on disk.
    pub durability: Durability,
    /// Consecutive records, the first continuing the tip that the writer knows.
    pub records: Vec<Record>,
    /// What the records refer to.
    pub blobs: Vec<NewBlob>,
    /// Signals that the records consume.
    pub consumed: Vec<SignalId>,
    /// Lines to insert or replace.
    pub incidents: Vec<IncidentLine>,
    /// Records that incidents' pages tell of, in order.
    pub timeline: Vec<TimelineEntry>,
    /// What moved.
    pub changes: Vec<ChangeLine>,
    /// Of the state before the first or after the last of the records.
    pub snapshots: Vec<KeptSnapshot>,
    /// What the records need of blobs and objects.
    pub uses: Vec<Use>,
    /// Uses that are over. A blob that is of no more use is erased.
    pub over: Vec<Use>,
}

/// What the signal list is restricted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalFilter<'a> {
    /// Those without a service.
    Unrouted,
    /// Those of one service that have not entered its journal, oldest first.
    Waiting(&'a ServiceName),
}

/// What outlives the process.
#[async_trait]
pub trait Store: Send + Sync {
    /// Drawn at random when the store was made.
    async fn installation(&self) -> Result<Digest, StoreError>;

    /// Takes signals in: when it returns they are on disk. Concurrent calls share a flush. See [`Turn::is_news`] for what is no repeat although its
    /// key was seen within the window.
    async fn accept(&self, signals: Vec<NewSignal>) -> Result<Vec<Accepted>, StoreError>;

    /// Signals, at most `limit`: those that wait oldest first, and fewer where their bytes are many, but at least one; unrouted ones newest first.
    /// Rows that cannot be read are passed over.
    async fn signals(&self, filter: SignalFilter<'_>, limit: u32) -> Result<Vec<StoredSignal>, StoreError>;

    /// Those of one service that cannot be read, among the `limit` that wait longest: [`Store::signals`] passes over them, so they hold up nothing.
    /// Default: for stores whose rows can always be read.
    async fn unreadable_signals(
        &self,
        service: &ServiceName,
        limit: u32,
    ) -> Result<Vec<UnreadableSignal>, StoreError> {
        let _ = (service, limit);
        Ok(Vec::new())
    }

    /// Services that have signals waiting.
    async fn services_with_signals(&self) -> Result<Vec<ServiceName>, StoreError>;

    /// Erases a blob's content and salt for good; false if it was erased before. Its commitment stays in the journal.
    async fn erase(&self, reference: &BlobRef) -> Result<bool, StoreError>;

    /// Appends at least one record: when it returns every reader sees it, and it is as durable as it asks for. [`StoreError::Moved`] if the first
    /// record does not continue the journal.
    async fn append(&self, append: Append) -> Result<Tip, StoreError>;

    /// When it returns, all that was appended before is on disk; true if something was not yet. Default: for stores that flush every write.
    async fn flush(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// At most `limit` records of a service's journal from number `from` on. A journal may have millions: read it page by page.
    async fn journal(&self, service: &ServiceName, from: u64, limit: u32) -> Result<Vec<Record>, StoreError>;

    /// The longest snapshot of a service that has no more than `length_max` records. Whoever uses it judges whether it fits.
    async fn snapshot(&self, service: &ServiceName, length_max: u64) -> Result<Option<Snapshot>, StoreError>;

    /// Keeps a snapshot in place of all of its service that no incident's page is read from. For who found that the last one does not fit.
    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError>;

    /// Which records an incident's page tells of, in order.
    async fn timeline(&self, incident: &IncidentId) -> Result<Vec<Span>, StoreError>;

    /// What moved, newest first.
    async fn changes(&self, service: &ServiceName, limit: u32) -> Result<Vec<ChangeLine>, StoreError>;

    /// Uses that are over, at most `limit`, oldest first.
    async fn expired(&self, expired: Expired<'_>, limit: u32) -> Result<Vec<Use>, StoreError>;

    /// How many records still need it.
    async fn uses(&self, content: Content) -> Result<u64, StoreError>;

    /// Forgets signals of the intake that have entered a journal, or that no route took, and came before `before`: at most `limit`. How many.
    /// Their keys no longer count, so `before` must be older than every window.
    async fn forget_signals(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;

    /// Services that have a journal, by name.
    async fn services(&self) -> Result<Vec<ServiceName>, StoreError>;

    /// Sets that have a journal, by name. A set's journal has the key [`SetName::journal`], and whoever goes through services meets none.
    async fn sets(&self) -> Result<Vec<SetName>, StoreError>;

    /// A blob's content, checked against its commitment; none if it was erased.
    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError>;

    /// Lines of the incident list, newest first. One that is damaged is left out, so that it hides no other: the journal still tells of its incident.
    async fn incidents(
        &self,
        service: Option<&ServiceName>,
        limit: u32,
    ) -> Result<Vec<IncidentLine>, StoreError>;

    /// One line of the incident list.
    async fn incident(&self, id: &IncidentId) -> Result<Option<IncidentLine>, StoreError>;

    /// Keeps the bytes of a policy, so that its decisions can be replayed.
    async fn keep_component(&self, bytes: &[u8]) -> Result<Digest, StoreError>;

    /// Forgets the components that no record needs any more ([`Content::Component`]), but for those in `spared`. How many.
    async fn forget_components(&self, spared: &[Digest]) -> Result<u64, StoreError>;

    /// The bytes of a policy.
    async fn component(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError>;

    /// Sets a named value that is no part of any record, such as a cursor. Kept small.
    async fn set_note(&self, name: &str, value: &[u8]) -> Result<(), StoreError>;

    /// Reads what [`Store::set_note`] set.
    async fn note(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// The time of the store, for hosts that share one; none where each host uses its own clock.
    async fn time(&self) -> Result<Option<UnixMillis>, StoreError> {
        Ok(None)
    }
}

impl NewBlob {
    /// A blob with its commitment.
    pub fn new(kind: BlobKind, salt: Salt, content: Vec<u8>) -> Self {
        Self { reference: ripcord_core::blob::commit(kind, &salt, &content), salt, content }
    }
}

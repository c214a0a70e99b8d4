//! The store itself: what waits for a flush goes to the writer, what only looks goes to the readers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::blob::BlobRef;
use ripcord_core::digest::Digest;
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::{IncidentId, ServiceName, SetName};
use ripcord_core::snapshot::Snapshot;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{
    Accepted, Append, ChangeLine, Content, Expired, IncidentLine, KeptSnapshot, NewSignal, SignalFilter,
    Span, Store, StoreError, StoredSignal, UnreadableSignal, Use,
};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::error::Fault;
use crate::file::{self, Claim, Options};
use crate::intake::{self, Line, Wanted};
use crate::journal::{self, Prepared};
use crate::readers::Readers;
use crate::writer::{Kind, Writer, touch};
use crate::{blobs, marker, migrate, projections, retention, services, snapshots};

/// Blobs up to so many bytes are checked where the caller runs; hashing more would hold up other tasks.
const CHECKED_INLINE_BYTES_MAX: usize = 64 << 10;

/// The note that holds what people have decided about the store.
const DECISIONS: &str = "decisions";
/// More are no more of use.
const DECISIONS_MAX: usize = 20;
const REASON_CHARACTERS_MAX: usize = 1_000;

/// What someone has decided about the store as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: UnixMillis,
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// A store in one SQLite file. Dropping it finishes what waits and closes the file; it blocks meanwhile, [`SqliteStore::close`] does not.
#[derive(Debug)]
pub struct SqliteStore {
    pub(crate) path: PathBuf,
    // Before the writer: the last connection that closes must be the one that can put the write-ahead log away.
    pub(crate) readers: Readers,
    /// None if the store was opened for reading only.
    writer: Option<Writer>,
    /// A write that takes longer is told as one that hangs.
    hangs_after: Duration,
}

impl SqliteStore {
    /// Opens the store at `path` with the default limits, and makes it if there is none. Its folder must exist.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, Options::default())
    }

    /// Opens the store at `path`, and makes it if there is none. Refused while another process has it open, except for reading.
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let claim = Claim::take(path)?;
        marker::check(path, file::found(path)?)?;
        Self::open_claimed(path, options, claim)
    }

    fn open_claimed(path: &Path, options: Options, claim: Claim) -> Result<Self, StoreError> {
        file::create(path)?;
        let mut connection = file::writing(path, &options)?;
        migrate::migrate(&mut connection, path).map_err(StoreError::from)?;
        marker::write(path, file::known(&connection).map_err(StoreError::from)?)?;
        let writer = Writer::start(connection, claim, path, &options)?;
        let readers = Readers::new(path.to_owned(), options.readers);
        Ok(Self { path: path.to_owned(), readers, writer: Some(writer), hangs_after: options.hangs_after })
    }

    /// Begins a new store at `path` although another one was there, and writes down why. What is there is put aside, under a name that is given
    /// back.
    pub async fn begin_anew(
        path: impl AsRef<Path>,
        reason: &str,
        at: UnixMillis,
    ) -> Result<Option<PathBuf>, StoreError> {
        let path = path.as_ref();
        let claim = Claim::take(path)?;
        let aside = file::put_aside(path, at)?;
        marker::forget(path)?;
        let store = Self::open_claimed(path, Options::default(), claim)?;
        store.note_decision("begun anew", reason, at).await?;
        store.close().await?;
        Ok(aside)
    }

    /// Says that the store at `path` is the right one, although the folder knows another one or a newer one.
    pub async fn accept(path: impl AsRef<Path>, reason: &str, at: UnixMillis) -> Result<(), StoreError> {
        let path = path.as_ref();
        let claim = Claim::take(path)?;
        if file::found(path)?.is_none() {
            let text = format!(
                "there is no store at `{}` to be accepted: `ripcord store new --reason TEXT` begins one",
                path.display()
            );
            return Err(StoreError::Unusable(text));
        }
        let store = Self::open_claimed(path, Options::default(), claim)?;
        store.note_decision("accepted", reason, at).await?;
        store.close().await
    }

    /// What people have decided about this store, oldest first.
    async fn note_decision(&self, what: &str, reason: &str, at: UnixMillis) -> Result<(), StoreError> {
        let mut decisions = self.decisions().await?;
        let reason: String = reason.chars().take(REASON_CHARACTERS_MAX).collect();
        decisions.push(Decision { at, what: what.to_owned(), reason });
        let first = decisions.len().saturating_sub(DECISIONS_MAX);
        let value = serde_json::to_vec(&decisions[first..])
            .map_err(|error| StoreError::Failed(format!("a decision cannot be noted: {error}")))?;
        self.set_note(DECISIONS, &value).await
    }

    /// What people have decided about this store, oldest first, the last few.
    pub async fn decisions(&self) -> Result<Vec<Decision>, StoreError> {
        let noted = self.note(DECISIONS).await?;
        Ok(noted.and_then(|noted| serde_json::from_slice(&noted).ok()).unwrap_or_default())
    }

    /// Opens the store at `path` for reading, also while a host is running on it. Every write is refused.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        if !path.exists() {
            marker::check(path, None)?;
            let text =
                format!("there is none at `{}`: start the host once, or name its path", path.display());
            return Err(StoreError::Unusable(text));
        }
        let check = || migrate::current(&file::reading(path)?, path);
        check()?;
        let readers = Readers::new(path.to_owned(), Options::default().readers);
        Ok(Self { path: path.to_owned(), readers, writer: None, hangs_after: Duration::MAX })
    }

    /// Finishes the writes that wait, then closes the file. Later calls fail.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.readers.close();
        match &self.writer {
            Some(writer) => writer.close().await,
            None => Ok(()),
        }
    }

    /// Whether writes are taken. After one that was not, such as on a full disk, this tries a small one.
    pub async fn writable(&self) -> Result<(), StoreError> {
        let writer = self.writer()?;
        if let Some(busy) = writer.busy_for().filter(|busy| *busy >= self.hangs_after) {
            return Err(StoreError::Failed(format!(
                "a write has not come back for {} s: look at the store's disk",
                busy.as_secs()
            )));
        }
        if !writer.is_troubled() {
            return Ok(());
        }
        writer.run(Kind::FLUSHED, touch).await
    }

    pub(crate) fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer.as_ref().ok_or_else(|| {
            StoreError::Unusable(
                "it was opened for reading only: send this to the running host instead".into(),
            )
        })
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer()?.run(Kind::FLUSHED, work).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn installation(&self) -> Result<Digest, StoreError> {
        self.readers.run(projections::installation).await
    }

    async fn accept(&self, signals: Vec<NewSignal>) -> Result<Vec<Accepted>, StoreError> {
        if signals.is_empty() {
            return Ok(Vec::new());
        }
        let lines = signals.into_iter().map(Line::new).collect::<Result<Vec<_>, _>>()?;
        self.write(move |connection| intake::accept(connection, &lines)).await
    }

    async fn signals(&self, filter: SignalFilter<'_>, limit: u32) -> Result<Vec<StoredSignal>, StoreError> {
        let wanted = Wanted::from(filter);
        self.readers.run(move |connection| intake::signals(connection, &wanted, limit)).await
    }

    async fn unreadable_signals(
        &self,
        service: &ServiceName,
        limit: u32,
    ) -> Result<Vec<UnreadableSignal>, StoreError> {
        let service = service.clone();
        self.readers.run(move |connection| intake::unreadable(connection, &service, limit)).await
    }

    async fn services_with_signals(&self) -> Result<Vec<ServiceName>, StoreError> {
        self.readers.run(intake::services).await
    }

    async fn erase(&self, reference: &BlobRef) -> Result<bool, StoreError> {
        let reference = *reference;
        self.writer()?.run(Kind::Scrubbing, move |connection| blobs::erase(connection, &reference)).await
    }

    async fn append(&self, append: Append) -> Result<Tip, StoreError> {
        let bytes: usize = append.blobs.iter().map(|blob| blob.content.len()).sum::<usize>()
            + append.records.iter().map(|record| record.bytes.len()).sum::<usize>()
            + append.snapshots.iter().map(|kept| kept.snapshot.state.len()).sum::<usize>();
        let kind = if append.over.is_empty() { Kind::Plain(append.durability) } else { Kind::Scrubbing };
        let prepared = if bytes <= CHECKED_INLINE_BYTES_MAX {
            Prepared::new(append)?
        } else {
            let checking = tokio::task::spawn_blocking(move || Prepared::new(append));
            checking.await.map_err(|error| StoreError::Failed(format!("a check broke off: {error}")))??
        };
        self.writer()?.run(kind, move |connection| prepared.write(connection)).await
    }

    async fn flush(&self) -> Result<bool, StoreError> {
        let writer = self.writer()?;
        let tail = writer.has_tail();
        if tail {
            writer.run(Kind::FLUSHED, touch).await?;
        }
        Ok(tail)
    }

    async fn journal(&self, service: &ServiceName, from: u64, limit: u32) -> Result<Vec<Record>, StoreError> {
        let service = service.clone();
        self.readers.run(move |connection| journal::records(connection, &service, from, limit)).await
    }

    async fn snapshot(&self, service: &ServiceName, length_max: u64) -> Result<Option<Snapshot>, StoreError> {
        let service = service.clone();
        self.readers.run(move |connection| snapshots::longest(connection, &service, length_max)).await
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        let line = snapshots::Line::new(KeptSnapshot { snapshot, opens: None })?;
        self.write(move |connection| match services::id(connection, line.service())? {
            Some(service) => line.write(connection, service),
            None => Ok(()),
        })
        .await
    }

    async fn timeline(&self, incident: &IncidentId) -> Result<Vec<Span>, StoreError> {
        let incident = incident.clone();
        self.readers.run(move |connection| projections::timeline(connection, &incident)).await
    }

    async fn changes(&self, service: &ServiceName, limit: u32) -> Result<Vec<ChangeLine>, StoreError> {
        let service = service.clone();
        self.readers.run(move |connection| projections::changes(connection, &service, limit)).await
    }

    async fn expired(&self, expired: Expired<'_>, limit: u32) -> Result<Vec<Use>, StoreError> {
        let wanted = retention::Wanted::from(expired);
        self.readers.run(move |connection| retention::expired(connection, &wanted, limit)).await
    }

    async fn uses(&self, content: Content) -> Result<u64, StoreError> {
        self.readers.run(move |connection| retention::count(connection, content)).await
    }

    async fn forget_signals(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        self.writer()?.run(Kind::Scrubbing, move |connection| intake::forget(connection, before, limit)).await
    }

    async fn services(&self) -> Result<Vec<ServiceName>, StoreError> {
        self.readers.run(services::all).await
    }

    async fn sets(&self) -> Result<Vec<SetName>, StoreError> {
        self.readers.run(services::sets).await
    }

    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError> {
        let reference = *reference;
        self.readers.run(move |connection| blobs::read(connection, &reference)).await
    }

    async fn incidents(
        &self,
        service: Option<&ServiceName>,
        limit: u32,
    ) -> Result<Vec<IncidentLine>, StoreError> {
        let service = service.cloned();
        self.readers.run(move |connection| projections::incidents(connection, service.as_ref(), limit)).await
    }

    async fn incident(&self, id: &IncidentId) -> Result<Option<IncidentLine>, StoreError> {
        let id = id.clone();
        self.readers.run(move |connection| projections::incident(connection, &id)).await
    }

    async fn keep_component(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        projections::check_component(bytes)?;
        let (digest, bytes) = (Digest::of(bytes), bytes.to_vec());
        self.write(move |connection| projections::keep_component(connection, &digest, &bytes)).await?;
        Ok(digest)
    }

    async fn forget_components(&self, spared: &[Digest]) -> Result<u64, StoreError> {
        let spared = spared.to_vec();
        self.writer()?
            .run(Kind::Scrubbing, move |connection| retention::forget_components(connection, &spared))
            .await
    }

    async fn component(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let digest = *digest;
        self.readers.run(move |connection| projections::component(connection, &digest)).await
    }

    async fn set_note(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        projections::check_note(name, value)?;
        let (name, value) = (name.to_owned(), value.to_vec());
        self.write(move |connection| projections::set_note(connection, &name, &value)).await
    }

    async fn note(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let name = name.to_owned();
        self.readers.run(move |connection| projections::note(connection, &name)).await
    }
}

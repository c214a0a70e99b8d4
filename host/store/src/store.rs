//! The store itself: what waits for a flush goes to the writer, what only looks goes to the readers.

use std::path::Path;

use async_trait::async_trait;
use ripcord_core::blob::BlobRef;
use ripcord_core::digest::Digest;
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{
    Accepted, Append, IncidentLine, NewSignal, SignalFilter, Store, StoreError, StoredSignal,
    UnreadableSignal,
};
use rusqlite::Connection;

use crate::error::Fault;
use crate::file::{self, Claim, Options};
use crate::intake::{self, Line, Wanted};
use crate::journal::{self, Prepared};
use crate::readers::Readers;
use crate::writer::Writer;
use crate::{blobs, migrate, projections};

/// Blobs up to so many bytes are checked where the caller runs; hashing more would hold up other tasks.
const CHECKED_INLINE_BYTES_MAX: usize = 64 << 10;

/// The note that is written to see whether anything can be.
const WRITABLE: &str = "writable";

/// A store in one SQLite file. Dropping it finishes what waits and closes the file; it blocks meanwhile, [`SqliteStore::close`] does not.
#[derive(Debug)]
pub struct SqliteStore {
    // Before the writer: the last connection that closes must be the one that can put the write-ahead log away.
    readers: Readers,
    /// None if the store was opened for reading only.
    writer: Option<Writer>,
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
        file::create(path)?;
        let mut connection = file::writing(path, &options)?;
        migrate::migrate(&mut connection, path).map_err(StoreError::from)?;
        let writer = Writer::start(connection, claim, &options)?;
        Ok(Self { readers: Readers::new(path.to_owned(), options.readers), writer: Some(writer) })
    }

    /// Opens the store at `path` for reading, also while a host is running on it. Every write is refused.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        if !path.exists() {
            let text =
                format!("there is none at `{}`: start the host once, or name its path", path.display());
            return Err(StoreError::Unusable(text));
        }
        let check = || migrate::current(&file::reading(path)?, path);
        check()?;
        Ok(Self { readers: Readers::new(path.to_owned(), Options::default().readers), writer: None })
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
        if !writer.is_troubled() {
            return Ok(());
        }
        writer.run(false, |connection| projections::set_note(connection, WRITABLE, &[])).await
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer.as_ref().ok_or_else(|| {
            StoreError::Unusable(
                "it was opened for reading only: send this to the running host instead".into(),
            )
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer()?.run(false, work).await
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

    async fn erase(&self, reference: &BlobRef, at: UnixMillis) -> Result<bool, StoreError> {
        let reference = *reference;
        self.writer()?.run(true, move |connection| blobs::erase(connection, &reference, at)).await
    }

    async fn append(&self, append: Append) -> Result<Tip, StoreError> {
        let bytes: usize = append.blobs.iter().map(|blob| blob.content.len()).sum();
        let prepared = if bytes <= CHECKED_INLINE_BYTES_MAX {
            Prepared::new(append)?
        } else {
            let checking = tokio::task::spawn_blocking(move || Prepared::new(append));
            checking.await.map_err(|error| StoreError::Failed(format!("a check broke off: {error}")))??
        };
        self.write(move |connection| prepared.write(connection)).await
    }

    async fn journal(&self, service: &ServiceName, from: u64) -> Result<Vec<Record>, StoreError> {
        let service = service.clone();
        self.readers.run(move |connection| journal::records(connection, &service, from)).await
    }

    async fn services(&self) -> Result<Vec<ServiceName>, StoreError> {
        self.readers.run(journal::services).await
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

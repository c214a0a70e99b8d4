//! The file: who may use it, how it is made, how connections to it are set up.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ripcord_core::time::UnixMillis;
use ripcord_ports::store::StoreError;
use rusqlite::{Connection, OpenFlags};

use crate::error::{Fault, integer};
use crate::marker::Marker;

/// Limits of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The file never grows beyond this; then [`StoreError::Full`]. The write-ahead log beside it is not counted.
    pub bytes_max: u64,
    /// Reads at a time, each with a connection of its own.
    pub readers: usize,
    /// Writes that may wait; further callers wait for a place.
    pub queue: usize,
    /// Writes that share one transaction at most.
    pub group: usize,
    /// A write that has not come back for so long makes [`crate::SqliteStore::writable`] say so.
    pub hangs_after: Duration,
    /// How often the folder is told how long the store is, where something was written: an older store in its place is refused.
    pub marked_every: Duration,
}

impl Default for Options {
    /// 1 TiB, 4 readers, 1,024 waiting writes, 512 in a group; half a minute, and a minute.
    fn default() -> Self {
        Self {
            bytes_max: 1 << 40,
            readers: 4,
            queue: 1_024,
            group: 512,
            hangs_after: Duration::from_secs(30),
            marked_every: Duration::from_secs(60),
        }
    }
}

/// How long a connection waits for another program, such as a person's `sqlite3`.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead log is moved into the file when it holds so many pages of 4 KiB.
const CHECKPOINT_PAGES: u32 = 4_096;

/// Held as long as the process writes to the store.
#[derive(Debug)]
pub(crate) struct Claim {
    _lock: File,
}

impl Claim {
    /// Takes the lock file beside the store. It is not the store itself: closing any handle of that would drop SQLite's own locks.
    pub(crate) fn take(path: &Path) -> Result<Self, StoreError> {
        let lock = private(path, ".lock").map_err(|error| unusable(path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Unusable(format!(
                "another host is running on `{}`: stop it first, or give this one a store of its own",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(unusable(path, &error)),
        }
    }
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens `path` with `suffix`, making it readable by its owner only.
fn private(path: &Path, suffix: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(beside(path, suffix))
}

/// A new file that only its owner can read; one that is there is emptied.
pub(crate) fn private_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

pub(crate) fn unusable(path: &Path, error: &io::Error) -> StoreError {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "make its folder first",
        io::ErrorKind::PermissionDenied => "let the user that runs the host read and write it",
        io::ErrorKind::StorageFull => return StoreError::Full,
        _ => "name another path for the store",
    };
    StoreError::Unusable(format!("`{}`: {error}; {advice}", path.display()))
}

/// Makes the file if there is none. SQLite gives the files beside it the same mode. Only for who holds the claim.
pub(crate) fn create(path: &Path) -> Result<(), StoreError> {
    let make = || -> io::Result<()> {
        private(path, "")?.sync_all()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    };
    make().map_err(|error| unusable(path, &error))
}

/// Gives the store and what belongs to it other names; none if there is none.
pub(crate) fn put_aside(path: &Path, at: UnixMillis) -> Result<Option<PathBuf>, StoreError> {
    let suffix = format!(".aside-{}", at.0);
    let mut aside = None;
    for part in ["", "-wal", "-shm"] {
        let (from, to) = (beside(path, part), beside(path, &format!("{suffix}{part}")));
        match std::fs::rename(&from, &to) {
            Ok(()) if part.is_empty() => aside = Some(to),
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(&from, &error)),
        }
    }
    Ok(aside)
}

/// The connection that writes.
pub(crate) fn writing(path: &Path, options: &Options) -> Result<Connection, Fault> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // A foreign file is refused before anything is changed in it.
    crate::migrate::check(&connection, path)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Unusable(format!(
            "`{}` is on a file system without shared memory: put the store on a local disk",
            path.display()
        ))
        .into());
    }
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "recursive_triggers", true)?;
    // What is erased is overwritten, not only forgotten.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = (integer(options.bytes_max) / page_bytes.max(1)).clamp(1, 4_294_967_294);
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    Ok(connection)
}

/// The store that is at `path`; none where there is no file, or one without any content.
pub(crate) fn found(path: &Path) -> Result<Option<Marker>, StoreError> {
    let empty = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len() == 0 && !beside(path, "-wal").exists(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(unusable(path, &error)),
    };
    if empty {
        return Ok(None);
    }
    let read = || -> Result<Option<Marker>, Fault> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        match crate::migrate::check(&connection, path)? {
            0 => Ok(None),
            _ => Ok(Some(known(&connection)?)),
        }
    };
    Ok(read()?)
}

/// What a folder remembers of the store behind `connection`.
pub(crate) fn known(connection: &Connection) -> Result<Marker, Fault> {
    let installation = crate::projections::installation(connection)?;
    let records: i64 =
        connection.query_row("SELECT coalesce(max(position), 0) FROM records", [], |row| row.get(0))?;
    Ok(Marker { installation, records: u64::try_from(records).unwrap_or_default() })
}

/// A connection that cannot write.
pub(crate) fn reading(path: &Path) -> Result<Connection, Fault> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// A connection for copying the file: it writes nothing here.
pub(crate) fn copying(path: &Path) -> Result<Connection, Fault> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, Fault> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

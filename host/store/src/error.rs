//! From SQLite's failures to those of the port.

use ripcord_core::digest::Digest;
use ripcord_ports::store::StoreError;
use rusqlite::{ErrorCode, ffi};

/// What a job ends with when it fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// SQLite said no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error,
            Fault::Sqlite(error) => from_sqlite(&error),
        }
    }
}

fn from_sqlite(error: &rusqlite::Error) -> StoreError {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return StoreError::Failed(error.to_string());
    };
    match failure.code {
        _ if is_space(error) => StoreError::Full,
        ErrorCode::DatabaseCorrupt => StoreError::Damaged(error.to_string()),
        ErrorCode::NotADatabase => {
            StoreError::Unusable("the file is not a SQLite database: name another path for the store".into())
        }
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly => {
            StoreError::Unusable(format!(
                "{error}: check that the file and its folder exist and belong to the user that runs the host"
            ))
        }
        ErrorCode::DatabaseBusy => StoreError::Failed(
            "another program holds the file locked, nothing was written: close the program and try again"
                .into(),
        ),
        _ => StoreError::Failed(error.to_string()),
    }
}

/// Whether space ran out: a quota that is used up or a file size limit shows as a failed write, a full disk under the shared index as a failed
/// resize.
pub(crate) fn is_space(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|failure| {
        failure.code == ErrorCode::DiskFull
            || matches!(failure.extended_code, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE)
    })
}

/// The caller asked for what cannot be done.
pub(crate) fn refused(why: impl std::fmt::Display) -> StoreError {
    StoreError::Refused(why.to_string())
}

/// A stored value that this crate cannot have written.
pub(crate) fn damaged(what: impl std::fmt::Display, why: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("{what}: {why}"))
}

/// Reads a digest column.
pub(crate) fn digest(what: &str, bytes: &[u8]) -> Result<Digest, StoreError> {
    <[u8; 32]>::try_from(bytes)
        .map(Digest::from_bytes)
        .map_err(|_| damaged(what, format!("its digest has {} bytes instead of 32", bytes.len())))
}

/// SQLite's integers are signed; nothing that counts here comes near their end.
pub(crate) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

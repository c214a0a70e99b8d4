//! Blobs: written with the records that refer to them, checked against their commitment whenever they are read, and erased by taking content
//! and salt.

use ripcord_core::blob::{self, BlobRef, Salt};
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{NewBlob, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Fault, damaged, integer, refused};

/// SQLite itself ends at a thousand million bytes.
const CONTENT_BYTES_MAX: usize = 256 << 20;

/// Refuses a blob that could not be read back.
pub(crate) fn check(new: &NewBlob) -> Result<(), StoreError> {
    let name = new.reference.commitment;
    if new.content.len() > CONTENT_BYTES_MAX {
        return Err(refused(format!(
            "blob `{name}` has {} bytes, more than {CONTENT_BYTES_MAX}: split it or keep less",
            new.content.len()
        )));
    }
    if blob::commit(new.reference.kind, &new.salt, &new.content) != new.reference {
        return Err(refused(format!("blob `{name}` is not what its reference commits to")));
    }
    Ok(())
}

/// Keeps a blob. The same one again changes nothing; one that was erased stays erased.
pub(crate) fn insert(connection: &Connection, new: &NewBlob) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO blobs (commitment, kind, salt, content) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (commitment) DO NOTHING",
        )?
        .execute(params![
            new.reference.commitment.as_bytes(),
            new.reference.kind.as_str(),
            new.salt.0,
            new.content
        ])?;
    Ok(())
}

/// The content, none if it was erased.
pub(crate) fn read(connection: &Connection, reference: &BlobRef) -> Result<Option<Vec<u8>>, Fault> {
    let what = || format!("blob `{}`", reference.commitment);
    let row = connection
        .prepare_cached("SELECT salt, content, erased_at IS NOT NULL FROM blobs WHERE commitment = ?1")?
        .query_row([reference.commitment.as_bytes()], |row| {
            Ok((row.get::<_, Option<Vec<u8>>>(0)?, row.get::<_, Option<Vec<u8>>>(1)?, row.get::<_, bool>(2)?))
        })
        .optional()?;
    match row {
        None => Err(damaged(what(), "it is missing").into()),
        Some((None, None, true)) => Ok(None),
        Some((Some(salt), Some(content), false)) => {
            let salt =
                <[u8; 32]>::try_from(salt.as_slice()).map_err(|_| damaged(what(), "its salt is cut off"))?;
            if blob::commit(reference.kind, &Salt(salt), &content) != *reference {
                return Err(damaged(what(), "it was changed after it was written").into());
            }
            Ok(Some(content))
        }
        Some(_) => Err(damaged(what(), "a part of it is missing").into()),
    }
}

/// Takes content and salt; false if the blob is unknown or was erased before.
pub(crate) fn erase(connection: &Connection, reference: &BlobRef, at: UnixMillis) -> Result<bool, Fault> {
    let erased = connection
        .prepare_cached(
            "UPDATE blobs SET content = NULL, salt = NULL, erased_at = ?2 WHERE commitment = ?1 AND erased_at IS NULL",
        )?
        .execute(params![reference.commitment.as_bytes(), integer(at.0)])?;
    Ok(erased == 1)
}

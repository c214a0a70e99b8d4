//! Blobs: written with the records that refer to them, checked against their commitment whenever they are read, and erased by taking content
//! and salt and leaving a mark.

use ripcord_core::blob::{self, BlobRef, Salt};
use ripcord_core::digest::Digest;
use ripcord_ports::store::{NewBlob, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Fault, damaged, refused};
use crate::pack;

/// SQLite itself ends at a thousand million bytes.
const CONTENT_BYTES_MAX: usize = 256 << 20;

/// So much of a commitment tells that its blob was erased, and not lost.
const MARK_BYTES: usize = 12;

/// A blob as the table has it; made on the caller's thread.
#[derive(Debug)]
pub(crate) struct Line {
    reference: BlobRef,
    salt: Salt,
    packed: Vec<u8>,
}

impl Line {
    /// Refuses a blob that could not be read back.
    pub(crate) fn new(new: NewBlob) -> Result<Self, StoreError> {
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
        Ok(Self { reference: new.reference, salt: new.salt, packed: pack::content(&new.content) })
    }

    /// Keeps it. The same one again changes nothing; one that was erased stays erased.
    pub(crate) fn insert(&self, connection: &Connection) -> Result<(), Fault> {
        let commitment = &self.reference.commitment;
        if is_erased(connection, commitment)? {
            return Ok(());
        }
        connection
            .prepare_cached(
                "INSERT INTO blobs (commitment, kind, salt, content) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (commitment) DO NOTHING",
            )?
            .execute(params![
                commitment.as_bytes(),
                self.reference.kind.as_str(),
                self.salt.0,
                self.packed
            ])?;
        Ok(())
    }
}

fn mark(commitment: &Digest) -> &[u8] {
    &commitment.as_bytes()[..MARK_BYTES]
}

fn is_erased(connection: &Connection, commitment: &Digest) -> Result<bool, Fault> {
    let erased = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM erased WHERE mark = ?1)")?
        .query_row([mark(commitment)], |row| row.get(0))?;
    Ok(erased)
}

/// The content, none if it was erased.
pub(crate) fn read(connection: &Connection, reference: &BlobRef) -> Result<Option<Vec<u8>>, Fault> {
    let what = || format!("blob `{}`", reference.commitment);
    let row = connection
        .prepare_cached("SELECT salt, content FROM blobs WHERE commitment = ?1")?
        .query_row([reference.commitment.as_bytes()], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .optional()?;
    let Some((salt, packed)) = row else {
        return match is_erased(connection, &reference.commitment)? {
            true => Ok(None),
            false => Err(damaged(what(), "it is missing").into()),
        };
    };
    let salt = <[u8; 32]>::try_from(salt.as_slice()).map_err(|_| damaged(what(), "its salt is cut off"))?;
    let bytes_max = usize::try_from(reference.bytes).unwrap_or(usize::MAX).min(CONTENT_BYTES_MAX);
    let content = pack::unpack(&packed, bytes_max).map_err(|error| damaged(what(), error))?;
    if blob::commit(reference.kind, &Salt(salt), &content) != *reference {
        return Err(damaged(what(), "it was changed after it was written").into());
    }
    Ok(Some(content))
}

/// Takes content and salt; false if the blob is unknown or was erased before.
pub(crate) fn erase(connection: &Connection, reference: &BlobRef) -> Result<bool, Fault> {
    erase_by_commitment(connection, &reference.commitment)
}

/// The same by its commitment alone.
pub(crate) fn erase_by_commitment(connection: &Connection, commitment: &Digest) -> Result<bool, Fault> {
    let known: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM blobs WHERE commitment = ?1)")?
        .query_row([commitment.as_bytes()], |row| row.get(0))?;
    if !known {
        return Ok(false);
    }
    connection
        .prepare_cached("INSERT INTO erased (mark) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([mark(commitment)])?;
    let erased = connection
        .prepare_cached("DELETE FROM blobs WHERE commitment = ?1")?
        .execute([commitment.as_bytes()])?;
    Ok(erased == 1)
}

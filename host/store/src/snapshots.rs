//! Snapshots: the last of each service, and those that incidents' pages are read from.

use ripcord_core::digest::Digest;
use ripcord_core::journal::Tip;
use ripcord_core::name::ServiceName;
use ripcord_core::snapshot::Snapshot;
use ripcord_ports::store::{KeptSnapshot, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Fault, digest, integer, refused};
use crate::{pack, services};

/// A state is kilobytes; one that is larger than this is folded from an earlier one.
const STATE_BYTES_MAX: usize = 64 << 20;

/// A snapshot as the table has it; made on the caller's thread.
#[derive(Debug)]
pub(crate) struct Line {
    kept: KeptSnapshot,
    packed: Vec<u8>,
}

impl Line {
    pub(crate) fn new(mut kept: KeptSnapshot) -> Result<Self, StoreError> {
        if kept.snapshot.state.len() > STATE_BYTES_MAX {
            return Err(refused(format!(
                "the state of `{}` has {} bytes, more than {STATE_BYTES_MAX}",
                kept.snapshot.service,
                kept.snapshot.state.len()
            )));
        }
        let packed = pack::content(&std::mem::take(&mut kept.snapshot.state));
        Ok(Self { kept, packed })
    }

    pub(crate) fn tip(&self) -> Tip {
        self.kept.snapshot.tip
    }

    pub(crate) fn service(&self) -> &ServiceName {
        &self.kept.snapshot.service
    }

    /// Writes it. One that no page is read from takes the place of the last such one.
    pub(crate) fn write(&self, connection: &Connection, service: i64) -> Result<(), Fault> {
        let Snapshot { tip, format, check, .. } = &self.kept.snapshot;
        let opens = self.kept.opens.as_ref().map(|incident| incident.as_str());
        if opens.is_none() {
            connection
                .prepare_cached("DELETE FROM snapshots WHERE service = ?1 AND incident IS NULL")?
                .execute([service])?;
        }
        connection
            .prepare_cached(
                "INSERT INTO snapshots (service, length, hash, format, seal, state, incident) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (service, length) DO UPDATE SET
                     hash = excluded.hash, format = excluded.format, seal = excluded.seal, state = excluded.state,
                     incident = coalesce(excluded.incident, incident)",
            )?
            .execute(params![
                service,
                integer(tip.length),
                tip.hash.as_bytes(),
                format,
                check.as_bytes(),
                self.packed,
                opens
            ])?;
        Ok(())
    }
}

/// The longest of at most that length. One that does not unpack comes back empty: its reader finds that it does not fit.
pub(crate) fn longest(
    connection: &Connection,
    service: &ServiceName,
    length_max: u64,
) -> Result<Option<Snapshot>, Fault> {
    let Some(id) = services::id(connection, service)? else { return Ok(None) };
    let row = connection
        .prepare_cached(
            "SELECT length, hash, format, seal, state FROM snapshots WHERE service = ?1 AND length <= ?2
             ORDER BY length DESC LIMIT 1",
        )?
        .query_row(params![id, integer(length_max)], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, Vec<u8>>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, Vec<u8>>(3)?,
                row.get::<_, Vec<u8>>(4)?,
            ))
        })
        .optional()?;
    Ok(row.map(|(length, hash, format, seal, state)| {
        let any = |bytes: &[u8]| digest("a snapshot", bytes).unwrap_or(Digest::from_bytes([0; 32]));
        Snapshot {
            service: service.clone(),
            tip: Tip { length: u64::try_from(length).unwrap_or_default(), hash: any(&hash) },
            format: u32::try_from(format).unwrap_or_default(),
            state: pack::unpack(&state, STATE_BYTES_MAX).unwrap_or_default(),
            check: any(&seal),
        }
    }))
}

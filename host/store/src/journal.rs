//! Journals: appended to by compare-and-set on their tip, read verbatim.

use ripcord_core::digest::Digest;
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::ServiceName;
use ripcord_ports::store::{Append, StoreError};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{Fault, damaged, digest, integer, refused};
use crate::{blobs, intake, pack, projections, retention, services, snapshots};

/// An append that is whole in itself; whether it fits the journal shows in the transaction.
#[derive(Debug)]
pub(crate) struct Prepared {
    service: ServiceName,
    /// What the first record continues.
    expected: Tip,
    /// What the last record leaves.
    tip: Tip,
    /// In the order of the records.
    packed: Vec<Vec<u8>>,
    blobs: Vec<blobs::Line>,
    snapshots: Vec<snapshots::Line>,
    append: Append,
}

/// The part of an envelope that says where a record belongs.
#[derive(Deserialize)]
struct Place {
    number: u64,
    before: Digest,
}

impl Prepared {
    /// Checks that the records chain, the blobs match their commitments, and all is of one service.
    pub(crate) fn new(mut append: Append) -> Result<Self, StoreError> {
        let Some(first) = append.records.first() else {
            return Err(refused("an append needs at least one record"));
        };
        let service = first.service.clone();
        let unreadable = |error| refused(format!("record {} of `{service}`: {error}", first.number));
        let place: Place = serde_json::from_slice(&first.bytes).map_err(unreadable)?;
        let expected = Tip { length: place.number, hash: place.before };
        let mut tip = expected;
        for record in &append.records {
            if record.service != service {
                return Err(refused(format!("one append is for both `{service}` and `{}`", record.service)));
            }
            record.read::<IgnoredAny>(tip).map_err(refused)?;
            tip = record.tip();
        }
        let packed = append.records.iter().map(|record| pack::record(&record.bytes)).collect();
        let blobs = std::mem::take(&mut append.blobs);
        let blobs = blobs.into_iter().map(blobs::Line::new).collect::<Result<_, _>>()?;
        let kept = std::mem::take(&mut append.snapshots);
        let snapshots = kept.into_iter().map(snapshots::Line::new).collect::<Result<Vec<_>, _>>()?;
        let fits = |line: &snapshots::Line| {
            *line.service() == service && (line.tip() == expected || line.tip() == tip)
        };
        if !snapshots.iter().all(fits) {
            return Err(refused(format!(
                "a snapshot is not of `{service}` before the first or after the last of its new records"
            )));
        }
        if let Some(line) = append.incidents.iter().find(|line| line.service != service) {
            return Err(refused(format!("incident `{}` is not of `{service}`", line.incident.id)));
        }
        if let Some(line) = append.changes.iter().find(|line| line.service != service) {
            return Err(refused(format!("change {} is not of `{service}`", line.number)));
        }
        Ok(Self { service, expected, tip, packed, blobs, snapshots, append })
    }

    /// Writes all of it; the tip afterwards.
    pub(crate) fn write(&self, connection: &Connection) -> Result<Tip, Fault> {
        if tip(connection, &self.service)? != self.expected {
            return Err(StoreError::Moved { service: self.service.clone() }.into());
        }
        let service = services::id_or_new(connection, &self.service)?;
        for blob in &self.blobs {
            blob.insert(connection)?;
        }
        let mut insert = connection
            .prepare_cached("INSERT INTO records (service, number, hash, bytes) VALUES (?1, ?2, ?3, ?4)")?;
        for (record, packed) in self.append.records.iter().zip(&self.packed) {
            insert.execute(params![service, integer(record.number), record.hash.as_bytes(), packed])?;
        }
        intake::consume(connection, &self.service, &self.append.consumed)?;
        for line in &self.append.incidents {
            projections::set_incident(connection, line)?;
        }
        for entry in &self.append.timeline {
            projections::extend_timeline(connection, entry)?;
        }
        for change in &self.append.changes {
            projections::add_change(connection, service, change)?;
        }
        for snapshot in &self.snapshots {
            snapshot.write(connection, service)?;
        }
        for noted in &self.append.uses {
            retention::note(connection, service, noted)?;
        }
        for over in &self.append.over {
            retention::end(connection, service, over)?;
        }
        Ok(self.tip)
    }
}

/// The end of a journal.
fn tip(connection: &Connection, service: &ServiceName) -> Result<Tip, Fault> {
    let Some(id) = services::id(connection, service)? else { return Ok(Tip::START) };
    let last = connection
        .prepare_cached("SELECT number, hash FROM records WHERE service = ?1 ORDER BY number DESC LIMIT 1")?
        .query_row([id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?;
    match last {
        None => Ok(Tip::START),
        Some((number, hash)) => {
            let what = format!("the journal of `{service}`");
            let number = u64::try_from(number).map_err(|error| damaged(&what, error))?;
            Ok(Tip { length: number.saturating_add(1), hash: digest(&what, &hash)? })
        }
    }
}

/// At most `limit` records from number `from` on, as they were written.
pub(crate) fn records(
    connection: &Connection,
    service: &ServiceName,
    from: u64,
    limit: u32,
) -> Result<Vec<Record>, Fault> {
    let Some(id) = services::id(connection, service)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT number, hash, bytes FROM records WHERE service = ?1 AND number >= ?2 ORDER BY number LIMIT ?3",
    )?;
    let mut rows = statement.query(params![id, integer(from), limit])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let what = || format!("the journal of `{service}`");
        let number = u64::try_from(row.get::<_, i64>(0)?).map_err(|error| damaged(what(), error))?;
        let hash = digest(&what(), &row.get::<_, Vec<u8>>(1)?)?;
        let bytes = pack::unpack_record(&row.get::<_, Vec<u8>>(2)?)
            .map_err(|error| damaged(format!("record {number} of `{service}`"), error))?;
        records.push(Record { service: service.clone(), number, bytes, hash });
    }
    Ok(records)
}

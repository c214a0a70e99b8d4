//! Journals: appended to by compare-and-set on their tip, read verbatim.

use ripcord_core::digest::Digest;
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::ServiceName;
use ripcord_ports::store::{Append, StoreError};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{Fault, damaged, digest, integer, refused};
use crate::{blobs, intake, projections};

/// An append that is whole in itself; whether it fits the journal shows in the transaction.
#[derive(Debug)]
pub(crate) struct Prepared {
    service: ServiceName,
    /// What the first record continues.
    expected: Tip,
    /// What the last record leaves.
    tip: Tip,
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
    pub(crate) fn new(append: Append) -> Result<Self, StoreError> {
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
        append.blobs.iter().try_for_each(blobs::check)?;
        if let Some(line) = append.incidents.iter().find(|line| line.service != service) {
            return Err(refused(format!("incident `{}` is not of `{service}`", line.incident.id)));
        }
        Ok(Self { service, expected, tip, append })
    }

    /// Writes all of it; the tip afterwards.
    pub(crate) fn write(&self, connection: &Connection) -> Result<Tip, Fault> {
        if tip(connection, &self.service)? != self.expected {
            return Err(StoreError::Moved { service: self.service.clone() }.into());
        }
        for blob in &self.append.blobs {
            blobs::insert(connection, blob)?;
        }
        let mut insert = connection
            .prepare_cached("INSERT INTO records (service, number, hash, bytes) VALUES (?1, ?2, ?3, ?4)")?;
        for record in &self.append.records {
            insert.execute(params![
                record.service.as_str(),
                integer(record.number),
                record.hash.as_bytes(),
                record.bytes
            ])?;
        }
        intake::consume(connection, &self.service, &self.append.consumed)?;
        for line in &self.append.incidents {
            projections::set_incident(connection, line)?;
        }
        Ok(self.tip)
    }
}

/// The end of a journal.
fn tip(connection: &Connection, service: &ServiceName) -> Result<Tip, Fault> {
    let last = connection
        .prepare_cached("SELECT number, hash FROM records WHERE service = ?1 ORDER BY number DESC LIMIT 1")?
        .query_row([service.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
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

/// The records from number `from` on, as they were written.
pub(crate) fn records(
    connection: &Connection,
    service: &ServiceName,
    from: u64,
) -> Result<Vec<Record>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT number, hash, bytes FROM records WHERE service = ?1 AND number >= ?2 ORDER BY number",
    )?;
    let mut rows = statement.query(params![service.as_str(), integer(from)])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let what = || format!("the journal of `{service}`");
        let number = u64::try_from(row.get::<_, i64>(0)?).map_err(|error| damaged(what(), error))?;
        let hash = digest(&what(), &row.get::<_, Vec<u8>>(1)?)?;
        records.push(Record { service: service.clone(), number, bytes: row.get(2)?, hash });
    }
    Ok(records)
}

/// Services that have a journal, by name.
pub(crate) fn services(connection: &Connection) -> Result<Vec<ServiceName>, Fault> {
    names(
        connection,
        // One step down the index a service, however long the journals are.
        "WITH RECURSIVE each (service) AS (
             SELECT min(service) FROM records
             UNION ALL
             SELECT (SELECT min(service) FROM records WHERE service > each.service)
             FROM each WHERE each.service IS NOT NULL)
         SELECT service FROM each WHERE service IS NOT NULL",
    )
}

/// The services that `sql` selects.
pub(crate) fn names(connection: &Connection, sql: &str) -> Result<Vec<ServiceName>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        let name =
            ServiceName::new(row.get::<_, String>(0)?).map_err(|error| damaged("a service's name", error))?;
        names.push(name);
    }
    Ok(names)
}

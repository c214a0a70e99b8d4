//! Which content is of no more use.

use ripcord_core::digest::Digest;
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::retention::Class;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Content, Expired, StoreError, Use};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};

use crate::error::{Fault, damaged, digest, integer};
use crate::{blobs, services};

/// More incidents than this are not spared by one question; the core bounds how many can be kept.
const SPARED_MAX: usize = 2_000;

/// What a question for expired uses holds; owned, because it crosses threads.
pub(crate) struct Wanted {
    service: ServiceName,
    class: Class,
    before: UnixMillis,
    spared: Vec<IncidentId>,
}

impl From<Expired<'_>> for Wanted {
    fn from(expired: Expired<'_>) -> Self {
        let Expired { service, class, before, spared } = expired;
        Self {
            service: service.clone(),
            class,
            before,
            spared: spared.iter().take(SPARED_MAX).cloned().collect(),
        }
    }
}

fn place(content: Content) -> (i64, Digest) {
    match content {
        Content::Blob(digest) => (0, digest),
        Content::Object(digest) => (1, digest),
        Content::Component(digest) => (2, digest),
    }
}

/// Notes a use.
pub(crate) fn note(connection: &Connection, service: i64, noted: &Use) -> Result<(), Fault> {
    let (place, digest) = place(noted.content);
    connection
        .prepare_cached(
            "INSERT INTO uses (service, class, at, number, place, digest, incident) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            service,
            noted.class.as_str(),
            integer(noted.at.0),
            integer(noted.number),
            place,
            digest.as_bytes(),
            noted.incident.as_ref().map_or("", IncidentId::as_str),
        ])?;
    Ok(())
}

/// Ends a use, and erases the blob if it was the last.
pub(crate) fn end(connection: &Connection, service: i64, over: &Use) -> Result<(), Fault> {
    let (place, digest) = place(over.content);
    connection
        .prepare_cached(
            "DELETE FROM uses WHERE service = ?1 AND class = ?2 AND at = ?3 AND number = ?4 AND place = ?5 AND digest = ?6",
        )?
        .execute(params![
            service,
            over.class.as_str(),
            integer(over.at.0),
            integer(over.number),
            place,
            digest.as_bytes()
        ])?;
    if let Content::Blob(commitment) = over.content
        && count(connection, over.content)? == 0
    {
        blobs::erase_by_commitment(connection, &commitment)?;
    }
    Ok(())
}

/// How many records still need it.
pub(crate) fn count(connection: &Connection, content: Content) -> Result<u64, Fault> {
    let (place, digest) = place(content);
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM uses WHERE digest = ?1 AND place = ?2")?
        .query_row(params![digest.as_bytes(), place], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Uses that are over, oldest first. A row that cannot be read is passed over: what it is about stays, and holds up nothing else.
pub(crate) fn expired(connection: &Connection, wanted: &Wanted, limit: u32) -> Result<Vec<Use>, Fault> {
    let Some(service) = services::id(connection, &wanted.service)? else { return Ok(Vec::new()) };
    let places = vec!["?"; wanted.spared.len()].join(", ");
    let sql = format!(
        "SELECT at, number, place, digest, incident FROM uses
         WHERE service = ? AND class = ? AND at < ? AND incident NOT IN ({places}) ORDER BY at, number"
    );
    let mut values = vec![
        Value::from(service),
        Value::from(wanted.class.as_str().to_owned()),
        Value::from(integer(wanted.before.0)),
    ];
    values.extend(wanted.spared.iter().map(|incident| Value::from(incident.as_str().to_owned())));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    // The statement has no limit of its own: rows that cannot be read must not take the place of those that can.
    let (mut uses, mut unreadable) = (Vec::new(), 0_u64);
    while uses.len() < limit as usize
        && let Some(row) = rows.next()?
    {
        match read(row, wanted.class) {
            Ok(one) => uses.push(one),
            Err(fault) => {
                unreadable += 1;
                if unreadable == 1 {
                    let error = StoreError::from(fault);
                    tracing::error!(service = %wanted.service, class = %wanted.class, %error, "a use of content cannot be read: the content stays for good");
                }
            }
        }
    }
    if unreadable > 1 {
        tracing::error!(service = %wanted.service, class = %wanted.class, unreadable, "uses of content cannot be read: their content stays for good");
    }
    Ok(uses)
}

/// Forgets the components that no record needs, but for those in `spared`.
pub(crate) fn forget_components(connection: &Connection, spared: &[Digest]) -> Result<u64, Fault> {
    let mut statement = connection.prepare(
        "SELECT digest FROM components WHERE NOT EXISTS
             (SELECT 1 FROM uses WHERE uses.digest = components.digest AND place = 2)",
    )?;
    let unused = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?.collect::<Result<Vec<_>, _>>()?;
    let mut forgotten = 0;
    for unused in unused.iter().filter(|unused| spared.iter().all(|one| one.as_bytes() != unused.as_slice()))
    {
        forgotten += connection.execute("DELETE FROM components WHERE digest = ?1", [unused])? as u64;
    }
    Ok(forgotten)
}

fn read(row: &Row<'_>, class: Class) -> Result<Use, Fault> {
    let what = "a use of content";
    let content = digest(what, &row.get::<_, Vec<u8>>(3)?)?;
    let incident = row.get::<_, String>(4)?;
    let incident = (!incident.is_empty()).then(|| IncidentId::new(incident)).transpose();
    Ok(Use {
        class,
        incident: incident.map_err(|error| damaged(what, error))?,
        number: u64::try_from(row.get::<_, i64>(1)?).map_err(|error| damaged(what, error))?,
        at: UnixMillis(u64::try_from(row.get::<_, i64>(0)?).map_err(|error| damaged(what, error))?),
        content: match row.get::<_, i64>(2)? {
            0 => Content::Blob(content),
            1 => Content::Object(content),
            _ => Content::Component(content),
        },
    })
}

//! What is beside the journals: the read model, the bytes of policies, notes, the installation's identity.

use ripcord_core::digest::Digest;
use ripcord_core::fact::PastIncident;
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_ports::store::{ChangeLine, IncidentLine, Span, StoreError, TimelineEntry};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{self, Fault, damaged, integer, refused};

const NOTE_NAME_BYTES_MAX: usize = 200;
const NOTE_BYTES_MAX: usize = 64 << 10;
const COMPONENT_BYTES_MAX: usize = 256 << 20;

/// Drawn when the store was made.
pub(crate) fn installation(connection: &Connection) -> Result<Digest, Fault> {
    let value: Option<Vec<u8>> = connection
        .prepare_cached("SELECT value FROM identity WHERE name = 'installation'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let value = value.ok_or_else(|| damaged("the installation", "its identity is missing"))?;
    Ok(error::digest("the installation", &value)?)
}

/// Inserts or replaces a line of the incident list.
pub(crate) fn set_incident(connection: &Connection, line: &IncidentLine) -> Result<(), Fault> {
    let body = serde_json::to_string(&line.incident)
        .map_err(|error| refused(format!("incident `{}` cannot be encoded: {error}", line.incident.id)))?;
    connection
        .prepare_cached(
            "INSERT INTO incidents (id, service, opened_at, summary, body, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET service = excluded.service, opened_at = excluded.opened_at,
                 summary = excluded.summary, body = excluded.body, seal = excluded.seal",
        )?
        .execute(params![
            line.incident.id.as_str(),
            line.service.as_str(),
            integer(line.incident.opened_at.0),
            line.summary,
            body,
            seal(line.incident.id.as_str(), line.service.as_str(), &line.summary, &body).as_bytes()
        ])?;
    Ok(())
}

/// Newest first, of one service or of all.
pub(crate) fn incidents(
    connection: &Connection,
    service: Option<&ServiceName>,
    limit: u32,
) -> Result<Vec<IncidentLine>, Fault> {
    let mut statement;
    let mut rows = match service {
        Some(service) => {
            statement = connection.prepare_cached(
                "SELECT service, body, summary, id, seal FROM incidents WHERE service = ?1
                 ORDER BY opened_at DESC, rowid DESC LIMIT ?2",
            )?;
            statement.query(params![service.as_str(), limit])?
        }
        None => {
            statement = connection.prepare_cached(
                "SELECT service, body, summary, id, seal FROM incidents ORDER BY opened_at DESC, rowid DESC LIMIT ?1",
            )?;
            statement.query([limit])?
        }
    };
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        match incident_line(row) {
            Ok(line) => lines.push(line),
            // One must not hide the others; the gap in the numbers shows.
            Err(Fault::Store(error @ StoreError::Damaged(_))) => {
                tracing::error!(%error, "a line of the incident list is left out; `ripcord store verify --rebuild` makes it anew");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(lines)
}

/// One line of the incident list.
pub(crate) fn incident(connection: &Connection, id: &IncidentId) -> Result<Option<IncidentLine>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT service, body, summary, id, seal FROM incidents WHERE id = ?1")?;
    let mut rows = statement.query([id.as_str()])?;
    rows.next()?.map(incident_line).transpose()
}

/// One that does not decode, or is not what was written, is damage: it can be made anew from the journal.
fn incident_line(row: &Row<'_>) -> Result<IncidentLine, Fault> {
    let id: String = row.get(3)?;
    let what = || format!("the line of incident `{id}`");
    let (service, body, summary): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    if row.get::<_, Vec<u8>>(4)? != seal(&id, &service, &summary, &body).as_bytes() {
        return Err(damaged(what(), "it was changed after it was written").into());
    }
    let service = ServiceName::new(service).map_err(|error| damaged(what(), error))?;
    let incident: PastIncident = serde_json::from_str(&body).map_err(|error| damaged(what(), error))?;
    Ok(IncidentLine { service, incident, summary })
}

/// Tells a row that was changed by accident or by hand. Who recomputes it as well is found by `store verify`, which reads the journals.
fn seal(id: &str, service: &str, summary: &str, body: &str) -> Digest {
    let parts = [id, service, summary, body].map(str::as_bytes);
    Digest::tagged("ripcord incident line 1", &parts)
}

/// Adds a record to what an incident's page tells.
pub(crate) fn extend_timeline(connection: &Connection, entry: &TimelineEntry) -> Result<(), Fault> {
    let (incident, number) = (entry.incident.as_str(), integer(entry.number));
    let extended = connection
        .prepare_cached(
            "UPDATE timelines SET last = ?2 WHERE incident = ?1 AND last = ?2 - 1
             AND first = (SELECT max(first) FROM timelines WHERE incident = ?1)",
        )?
        .execute(params![incident, number])?;
    if extended == 0 {
        connection
            .prepare_cached(
                "INSERT INTO timelines (incident, first, last) VALUES (?1, ?2, ?2) ON CONFLICT DO NOTHING",
            )?
            .execute(params![incident, number])?;
    }
    Ok(())
}

/// Which records an incident's page tells of.
pub(crate) fn timeline(connection: &Connection, incident: &IncidentId) -> Result<Vec<Span>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT first, last FROM timelines WHERE incident = ?1 ORDER BY first")?;
    let mut rows = statement.query([incident.as_str()])?;
    let mut spans = Vec::new();
    while let Some(row) = rows.next()? {
        let number = |column| -> Result<u64, Fault> {
            let what = || format!("the timeline of incident `{incident}`");
            Ok(u64::try_from(row.get::<_, i64>(column)?).map_err(|error| damaged(what(), error))?)
        };
        spans.push(Span { first: number(0)?, last: number(1)? });
    }
    Ok(spans)
}

/// Notes what moved.
pub(crate) fn add_change(connection: &Connection, service: i64, line: &ChangeLine) -> Result<(), Fault> {
    let body = serde_json::to_string(line)
        .map_err(|error| refused(format!("change {} cannot be encoded: {error}", line.number)))?;
    connection
        .prepare_cached(
            "INSERT INTO changes (service, number, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (service, number) DO UPDATE SET body = excluded.body",
        )?
        .execute(params![service, integer(line.number), body])?;
    Ok(())
}

/// What moved, newest first.
pub(crate) fn changes(
    connection: &Connection,
    service: &ServiceName,
    limit: u32,
) -> Result<Vec<ChangeLine>, Fault> {
    let Some(id) = crate::services::id(connection, service)? else { return Ok(Vec::new()) };
    let mut statement = connection
        .prepare_cached("SELECT body FROM changes WHERE service = ?1 ORDER BY number DESC LIMIT ?2")?;
    let mut rows = statement.query(params![id, limit])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let line = serde_json::from_str(&row.get::<_, String>(0)?);
        lines.push(line.map_err(|error| damaged(format!("a change of `{service}`"), error))?);
    }
    Ok(lines)
}

/// Refuses a component that is too large to be kept.
pub(crate) fn check_component(bytes: &[u8]) -> Result<(), StoreError> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        let text = format!(
            "the component has {} bytes, more than {COMPONENT_BYTES_MAX}: make it smaller",
            bytes.len()
        );
        return Err(refused(text));
    }
    Ok(())
}

/// Keeps the bytes of a policy.
pub(crate) fn keep_component(connection: &Connection, digest: &Digest, bytes: &[u8]) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO components (digest, bytes) VALUES (?1, ?2) ON CONFLICT (digest) DO NOTHING",
        )?
        .execute(params![digest.as_bytes(), bytes])?;
    Ok(())
}

/// The bytes of a policy, checked against their digest.
pub(crate) fn component(connection: &Connection, digest: &Digest) -> Result<Option<Vec<u8>>, Fault> {
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT bytes FROM components WHERE digest = ?1")?
        .query_row([digest.as_bytes()], |row| row.get(0))
        .optional()?;
    match bytes {
        Some(bytes) if Digest::of(&bytes) != *digest => {
            Err(damaged(format!("component `{digest}`"), "it was changed after it was written").into())
        }
        bytes => Ok(bytes),
    }
}

/// Refuses what is too large for a note.
pub(crate) fn check_note(name: &str, value: &[u8]) -> Result<(), StoreError> {
    if name.is_empty() || name.len() > NOTE_NAME_BYTES_MAX {
        return Err(refused(format!(
            "a note's name has 1 to {NOTE_NAME_BYTES_MAX} bytes, this one {}",
            name.len()
        )));
    }
    if value.len() > NOTE_BYTES_MAX {
        let text = format!(
            "note `{name}` has {} bytes, more than {NOTE_BYTES_MAX}: keep a blob instead",
            value.len()
        );
        return Err(refused(text));
    }
    Ok(())
}

/// Sets a note.
pub(crate) fn set_note(connection: &Connection, name: &str, value: &[u8]) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO notes (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute(params![name, value])?;
    Ok(())
}

/// Reads a note.
pub(crate) fn note(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, Fault> {
    let value = connection
        .prepare_cached("SELECT value FROM notes WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(value)
}

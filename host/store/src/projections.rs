//! What is beside the journals: the incident list, the bytes of policies, notes, the installation's identity.

use ripcord_core::digest::Digest;
use ripcord_core::fact::PastIncident;
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_ports::store::{IncidentLine, StoreError};
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
            "INSERT INTO incidents (id, service, opened_at, summary, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET
                 service = excluded.service, opened_at = excluded.opened_at, summary = excluded.summary, body = excluded.body",
        )?
        .execute(params![
            line.incident.id.as_str(),
            line.service.as_str(),
            integer(line.incident.opened_at.0),
            line.summary,
            body
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
                "SELECT service, body, summary FROM incidents WHERE service = ?1
                 ORDER BY opened_at DESC, rowid DESC LIMIT ?2",
            )?;
            statement.query(params![service.as_str(), limit])?
        }
        None => {
            statement = connection.prepare_cached(
                "SELECT service, body, summary FROM incidents ORDER BY opened_at DESC, rowid DESC LIMIT ?1",
            )?;
            statement.query([limit])?
        }
    };
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.push(incident_line(row)?);
    }
    Ok(lines)
}

/// One line of the incident list.
pub(crate) fn incident(connection: &Connection, id: &IncidentId) -> Result<Option<IncidentLine>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT service, body, summary FROM incidents WHERE id = ?1")?;
    let mut rows = statement.query([id.as_str()])?;
    rows.next()?.map(incident_line).transpose()
}

fn incident_line(row: &Row<'_>) -> Result<IncidentLine, Fault> {
    let service =
        ServiceName::new(row.get::<_, String>(0)?).map_err(|error| damaged("an incident", error))?;
    let incident: PastIncident =
        serde_json::from_str(&row.get::<_, String>(1)?).map_err(|error| damaged("an incident", error))?;
    Ok(IncidentLine { service, incident, summary: row.get(2)? })
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

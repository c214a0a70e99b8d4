//! The short numbers of services.

use ripcord_core::name::{ServiceName, SetName};
use rusqlite::{Connection, OptionalExtension};

use crate::error::{Fault, damaged};

/// The number of a service; none if it has no journal.
pub(crate) fn id(connection: &Connection, service: &ServiceName) -> Result<Option<i64>, Fault> {
    let id = connection
        .prepare_cached("SELECT id FROM services WHERE name = ?1")?
        .query_row([service.as_str()], |row| row.get(0))
        .optional()?;
    Ok(id)
}

/// The number of a service, a new one if it has none.
pub(crate) fn id_or_new(connection: &Connection, service: &ServiceName) -> Result<i64, Fault> {
    if let Some(id) = id(connection, service)? {
        return Ok(id);
    }
    connection.prepare_cached("INSERT INTO services (name) VALUES (?1)")?.execute([service.as_str()])?;
    Ok(connection.last_insert_rowid())
}

/// Services that have a journal, by name. The journals of sets lie beside theirs.
pub(crate) fn all(connection: &Connection) -> Result<Vec<ServiceName>, Fault> {
    Ok(keys(connection)?.into_iter().filter(|key| !key.is_reserved()).collect())
}

/// Sets that have a journal, by name.
pub(crate) fn sets(connection: &Connection) -> Result<Vec<SetName>, Fault> {
    Ok(keys(connection)?.iter().filter_map(ServiceName::as_set).collect())
}

fn keys(connection: &Connection) -> Result<Vec<ServiceName>, Fault> {
    let mut statement = connection.prepare_cached("SELECT name FROM services ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row.get::<_, String>(0)?;
        names.push(ServiceName::new(name).map_err(|error| damaged("a service's name", error))?);
    }
    Ok(names)
}

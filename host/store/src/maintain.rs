//! What people ask of the store as a whole: how much there is, a copy, the read model anew.

use std::collections::BTreeMap;
use std::path::Path;

use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::retention::Class;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{ChangeLine, IncidentLine, Span, StoreError};
use rusqlite::{Connection, params};
use serde::Serialize;

use crate::error::{Fault, integer};
use crate::store::SqliteStore;
use crate::{file, marker, projections, services};

/// How much there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// The file.
    pub file_bytes: u64,
    /// Of it, free for what comes.
    pub free_bytes: u64,
    /// Journals.
    pub records: Amount,
    /// Contents by what they are kept for: each once in a class, however many records need it, and in every class that needs it.
    pub classes: BTreeMap<Class, Amount>,
    /// Of them, what no record of the class needs that is young enough.
    pub may_go: BTreeMap<Class, Amount>,
    /// States at some length of a journal.
    pub snapshots: Amount,
    /// Signals of the intake.
    pub signals: Amount,
    /// Policies.
    pub components: Amount,
    /// Contents that were erased.
    pub erased: u64,
}

/// So many, of so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// As they stand in the file.
    pub bytes: u64,
}

/// What is derived from one journal, to be put in place of what is there.
#[derive(Debug)]
pub struct Rebuilt<'a> {
    /// Of which service.
    pub service: &'a ServiceName,
    /// The incident list.
    pub incidents: Vec<&'a IncidentLine>,
    /// Timelines.
    pub timelines: Vec<(&'a IncidentId, &'a [Span])>,
    /// What moved.
    pub changes: &'a [ChangeLine],
}

impl SqliteStore {
    /// How much there is; `before` says from when on each class is kept.
    pub async fn sizes(&self, before: BTreeMap<Class, UnixMillis>) -> Result<Sizes, StoreError> {
        self.readers.run(move |connection| sizes(connection, &before)).await
    }

    /// Copies all that is committed into a new file, which is on disk when this returns. A host that writes goes on meanwhile.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<(), StoreError> {
        let to = to.as_ref().to_owned();
        if to.exists() {
            let text = format!("`{}` is there already: name another place for the copy", to.display());
            return Err(StoreError::Unusable(text));
        }
        let path = self.path.clone();
        let copying = tokio::task::spawn_blocking(move || -> Result<(), StoreError> {
            // Only its owner may read what is in it, from the first byte on.
            let copy = file::private_new(&to).map_err(|error| file::unusable(&to, &error))?;
            let connection = file::copying(&path)?;
            let target = to.to_string_lossy();
            connection.execute("VACUUM INTO ?1", [target.as_ref()]).map_err(Fault::from)?;
            drop(connection);
            copy.sync_all().map_err(|error| file::unusable(&to, &error))?;
            let copied = file::reading(&to).and_then(|connection| file::known(&connection));
            marker::write(&to, copied.map_err(StoreError::from)?)
        });
        copying.await.map_err(|error| StoreError::Failed(format!("the copy broke off: {error}")))?
    }

    /// Puts what was derived from a journal in the place of what is there.
    pub async fn rebuild(&self, rebuilt: Rebuilt<'_>) -> Result<(), StoreError> {
        let service = rebuilt.service.clone();
        let incidents: Vec<_> = rebuilt.incidents.into_iter().cloned().collect();
        let timelines: Vec<_> =
            rebuilt.timelines.into_iter().map(|(id, spans)| (id.clone(), spans.to_vec())).collect();
        let changes = rebuilt.changes.to_vec();
        self.write(move |connection| {
            let Some(id) = services::id(connection, &service)? else { return Ok(()) };
            // What is there may say anything, so it is found by the names that this service's incidents have.
            let prefix = format!("{service}:");
            for (table, column) in [("timelines", "incident"), ("incidents", "id")] {
                // A number comes after the name: `eu:1` is one of `eu`, and `eu:fraud:1` is not.
                let sql = format!(
                    "DELETE FROM {table} WHERE substr({column}, 1, length(?1)) = ?1 AND instr(substr({column}, length(?1) + 1), ':') = 0"
                );
                connection.execute(&sql, [&prefix])?;
            }
            connection.execute("DELETE FROM incidents WHERE service = ?1", [service.as_str()])?;
            connection.execute("DELETE FROM changes WHERE service = ?1", [id])?;
            for line in &incidents {
                projections::set_incident(connection, line)?;
            }
            for (incident, spans) in &timelines {
                for span in spans {
                    connection
                        .prepare_cached("INSERT INTO timelines (incident, first, last) VALUES (?1, ?2, ?3)")?
                        .execute(params![incident.as_str(), integer(span.first), integer(span.last)])?;
                }
            }
            for change in &changes {
                projections::add_change(connection, id, change)?;
            }
            Ok(())
        })
        .await
    }

    /// Drops every snapshot of a service: the next start makes one.
    pub async fn drop_snapshots(&self, service: &ServiceName) -> Result<(), StoreError> {
        let service = service.clone();
        self.write(move |connection| {
            if let Some(id) = services::id(connection, &service)? {
                connection.execute("DELETE FROM snapshots WHERE service = ?1", [id])?;
            }
            Ok(())
        })
        .await
    }
}

fn amount(connection: &Connection, sql: &str) -> Result<Amount, Fault> {
    let number = |value: i64| u64::try_from(value).unwrap_or_default();
    Ok(connection.query_row(sql, [], |row| {
        Ok(Amount {
            count: number(row.get(0)?),
            bytes: number(row.get::<_, Option<i64>>(1)?.unwrap_or_default()),
        })
    })?)
}

fn sizes(connection: &Connection, before: &BTreeMap<Class, UnixMillis>) -> Result<Sizes, Fault> {
    let pragma = |name: &str| -> Result<u64, Fault> {
        let value: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
        Ok(u64::try_from(value).unwrap_or_default())
    };
    let page = pragma("page_size")?;
    let mut classes = BTreeMap::new();
    let mut may_go = BTreeMap::new();
    for class in Class::ALL {
        let of_class = |until: i64| -> Result<Amount, Fault> {
            let sql = format!(
                "SELECT count(*), sum(coalesce(length(blobs.content), 0)) FROM
                     (SELECT place, digest FROM uses WHERE class = '{class}' AND place < 2
                      GROUP BY place, digest HAVING max(at) < {until}) AS needed
                 LEFT JOIN blobs ON place = 0 AND blobs.commitment = needed.digest"
            );
            amount(connection, &sql)
        };
        classes.insert(class, of_class(i64::MAX)?);
        if let Some(before) = before.get(&class) {
            may_go.insert(class, of_class(integer(before.0))?);
        }
    }
    Ok(Sizes {
        file_bytes: pragma("page_count")? * page,
        free_bytes: pragma("freelist_count")? * page,
        records: amount(connection, "SELECT count(*), sum(length(bytes) + length(hash)) FROM records")?,
        classes,
        may_go,
        snapshots: amount(connection, "SELECT count(*), sum(length(state)) FROM snapshots")?,
        signals: amount(connection, "SELECT count(*), sum(length(body)) FROM signals")?,
        components: amount(connection, "SELECT count(*), sum(length(bytes)) FROM components")?,
        erased: amount(connection, "SELECT count(*), 0 FROM erased")?.count,
    })
}

//! The versions of the schema. A migration, once released, is never changed.

use std::path::Path;

use ripcord_ports::store::StoreError;
use rusqlite::{Connection, OptionalExtension};

use crate::error::Fault;

/// In order; the first makes version 1.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_first.sql")];

/// What this release writes.
pub(crate) const NEWEST: usize = MIGRATIONS.len();

/// The version of the file, 0 if it is empty. A file of someone else's or of a newer release is refused.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<usize, Fault> {
    let path = path.display();
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(0);
    }
    let ours: bool = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'ripcord_version'",
        [],
        |row| row.get(0),
    )?;
    if !ours {
        let text = format!("`{path}` is another program's database: name another path for the store");
        return Err(StoreError::Unusable(text).into());
    }
    let version: Option<i64> =
        connection.query_row("SELECT number FROM ripcord_version", [], |row| row.get(0)).optional()?;
    let version = version
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| StoreError::Damaged(format!("`{path}` does not say its version")))?;
    if version > NEWEST {
        let text = format!(
            "`{path}` has version {version}, and this release knows versions up to {NEWEST}: use the release that wrote it or a newer one"
        );
        return Err(StoreError::Unusable(text).into());
    }
    Ok(version)
}

/// Brings the file to the newest version, all or nothing.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version = check(&transaction, path)?;
    if version == NEWEST {
        return Ok(());
    }
    if version == 0 {
        transaction.execute_batch(
            "CREATE TABLE ripcord_version (number INTEGER NOT NULL) STRICT; INSERT INTO ripcord_version VALUES (0)",
        )?;
    }
    for migration in &MIGRATIONS[version..] {
        transaction.execute_batch(migration)?;
    }
    if version == 0 {
        let mut installation = [0_u8; 32];
        getrandom::fill(&mut installation)
            .map_err(|error| StoreError::Unusable(format!("the system gives no random bytes: {error}")))?;
        transaction.execute("INSERT INTO identity VALUES ('installation', ?1)", [installation.as_slice()])?;
    }
    transaction
        .execute("UPDATE ripcord_version SET number = ?1", [i64::try_from(NEWEST).unwrap_or(i64::MAX)])?;
    transaction.commit()?;
    Ok(())
}

/// For those who only read: the file must have the newest version already.
pub(crate) fn current(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let version = check(connection, path)?;
    if version == NEWEST {
        return Ok(());
    }
    let text = format!(
        "`{}` has version {version}, and this release reads version {NEWEST}: start the host once, it brings the file up to date",
        path.display()
    );
    Err(StoreError::Unusable(text).into())
}

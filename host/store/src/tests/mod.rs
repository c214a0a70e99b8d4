//! What is SQLite's own, and the rules of every store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ripcord_ports::store::{Store, StoreError};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::SqliteStore;

mod crash;
mod damage;
mod file;
mod full;
mod group;
mod random;
mod sizes;

fn folder() -> (PathBuf, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (folder.path().join("ripcord.db"), folder)
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).expect("opens")
}

fn fresh() -> (Arc<dyn Store>, TempDir) {
    let (path, folder) = folder();
    (Arc::new(open(&path)), folder)
}

/// A connection that is not the store's, as someone with `sqlite3` has it.
fn stranger(path: &Path) -> Connection {
    Connection::open(path).expect("opens")
}

fn unusable(outcome: Result<SqliteStore, StoreError>) -> String {
    match outcome {
        Err(StoreError::Unusable(text)) => text,
        other => panic!("should be unusable: {other:?}"),
    }
}

mod conformance {
    crate::store_conformance!(super::fresh());
}

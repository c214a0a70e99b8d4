//! What is SQLite's own, and the rules of every store.

use std::sync::Arc;

use ripcord_ports::store::Store;
use tempfile::TempDir;

use crate::SqliteStore;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn fresh() -> (Arc<dyn Store>, TempDir) {
    let folder = folder();
    let store = SqliteStore::open(folder.path().join("ripcord.db")).expect("opens");
    (Arc::new(store), folder)
}

mod conformance {
    crate::store_conformance!(super::fresh());
}

//! The file: whose it is, who may use it, what is refused.

use ripcord_core::journal::Tip;
use ripcord_ports::store::{Store, StoreError};

use super::{folder, open, stranger, unusable};
use crate::SqliteStore;
use crate::conformance::{append, service, signal, waiting};

#[tokio::test]
async fn a_second_host_is_refused_until_the_first_has_closed() {
    let (path, _folder) = folder();
    let first = open(&path);
    let text = unusable(SqliteStore::open(&path));
    assert!(text.contains("stop it first"), "{text}");
    // Refusing must not have cost the first one its locks or its life.
    first.append(append(&service("s"), Tip::START, 1)).await.expect("appends");
    first.close().await.expect("closes");
    let second = open(&path);
    assert_eq!(second.services().await.expect("lists"), [service("s")]);
    drop(second);
    open(&path);
}

#[tokio::test]
async fn reading_goes_on_beside_a_host_and_never_writes() {
    let (path, _folder) = folder();
    let host = open(&path);
    let reader = SqliteStore::open_read_only(&path).expect("opens");
    assert_eq!(reader.services().await.expect("lists"), []);
    host.append(append(&service("s"), Tip::START, 1)).await.expect("appends");
    assert_eq!(reader.services().await.expect("lists"), [service("s")]);
    assert_eq!(reader.installation().await.expect("reads"), host.installation().await.expect("reads"));
    let error = reader.append(append(&service("t"), Tip::START, 1)).await.expect_err("reads only");
    assert!(matches!(&error, StoreError::Unusable(text) if text.contains("reading only")), "{error}");
    reader.accept(vec![signal("s-1", None, "a", 0)]).await.expect_err("reads only");
    reader.set_note("n", b"").await.expect_err("reads only");

    host.close().await.expect("closes");
    assert_eq!(reader.services().await.expect("lists"), [service("s")]);
    reader.close().await.expect("closes");
    let alone = SqliteStore::open_read_only(&path).expect("opens without a host");
    assert_eq!(alone.services().await.expect("lists"), [service("s")]);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (path, folder) = folder();
    std::fs::write(&path, b"").expect("writes");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("sets");
    let store = open(&path);
    store.set_note("n", b"secret").await.expect("sets");
    let files = std::fs::read_dir(folder.path()).expect("lists");
    let modes: Vec<_> = files
        .map(|entry| {
            let entry = entry.expect("an entry");
            (entry.file_name(), entry.metadata().expect("metadata").permissions().mode() & 0o777)
        })
        .collect();
    assert!(modes.len() >= 4, "store, log, index and lock: {modes:?}");
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
}

#[test]
fn every_commit_is_flushed() {
    let (path, _folder) = folder();
    drop(open(&path));
    let connection = crate::file::writing(&path, &crate::Options::default()).expect("opens");
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect("reads");
    assert_eq!((pragma("synchronous"), pragma("foreign_keys"), pragma("secure_delete")), (2, 1, 1));
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("reads");
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn a_closed_store_is_one_file_and_keeps_its_identity() {
    let (path, folder) = folder();
    let store = open(&path);
    let installation = store.installation().await.expect("reads");
    store.close().await.expect("closes");
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .expect("lists")
        .map(|entry| entry.expect("entry").file_name())
        .collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with("-wal")), "{names:?}");
    assert_eq!(open(&path).installation().await.expect("reads"), installation);
    let (other, _folder) = super::folder();
    assert_ne!(open(&other).installation().await.expect("reads"), installation);
}

#[test]
fn a_newer_file_is_refused_and_left_as_it_is() {
    let (path, _folder) = folder();
    drop(open(&path));
    stranger(&path).execute("UPDATE ripcord_version SET number = 99", []).expect("sets");
    for outcome in [SqliteStore::open(&path), SqliteStore::open_read_only(&path)] {
        let text = unusable(outcome);
        assert!(text.contains("version 99") && text.contains("newer"), "{text}");
    }
    let version: i64 =
        stranger(&path).query_row("SELECT number FROM ripcord_version", [], |row| row.get(0)).expect("reads");
    assert_eq!(version, 99);
}

#[test]
fn a_file_without_a_schema_is_read_by_nobody_and_migrated_by_the_host() {
    let (path, _folder) = folder();
    std::fs::write(&path, b"").expect("writes");
    let text = unusable(SqliteStore::open_read_only(&path));
    assert!(text.contains("start the host once"), "{text}");
    drop(open(&path));
    SqliteStore::open_read_only(&path).expect("opens");
}

#[test]
fn files_of_others_are_refused_and_left_as_they_are() {
    let (path, folder) = folder();
    stranger(&path).execute_batch("CREATE TABLE theirs (x)").expect("makes");
    let before = std::fs::read(&path).expect("reads");
    assert!(unusable(SqliteStore::open(&path)).contains("another program's"));
    assert!(unusable(SqliteStore::open_read_only(&path)).contains("another program's"));
    assert_eq!(std::fs::read(&path).expect("reads"), before);

    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "x".repeat(5_000)).expect("writes");
    assert!(unusable(SqliteStore::open(&text)).contains("not a SQLite database"));
    assert_eq!(std::fs::read(&text).expect("reads").len(), 5_000);
}

#[test]
fn paths_that_cannot_be_are_refused_with_advice() {
    let (path, folder) = folder();
    assert!(unusable(SqliteStore::open(folder.path().join("none/ripcord.db"))).contains("make its folder"));
    assert!(unusable(SqliteStore::open_read_only(&path)).contains("there is none"));
    unusable(SqliteStore::open(folder.path()));
}

#[tokio::test]
async fn a_closed_store_answers_everyone() {
    let (path, _folder) = folder();
    let store = open(&path);
    let fraud = service("fraud-api");
    store.accept(vec![signal("s-1", Some(&fraud), "a", 0)]).await.expect("accepts");
    store.close().await.expect("closes");
    let errors = [
        store.accept(vec![signal("s-2", Some(&fraud), "b", 0)]).await.err(),
        store.append(append(&fraud, Tip::START, 1)).await.err(),
        store.services().await.err(),
    ];
    for error in errors {
        assert!(matches!(&error, Some(StoreError::Unusable(text)) if text.contains("closed")), "{error:?}");
    }
    store.close().await.expect("closing twice is fine");
    assert_eq!(waiting(&open(&path), &fraud).await.len(), 1);
}

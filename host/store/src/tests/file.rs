//! The file: whose it is, who may use it, what is refused.

use std::time::Duration;

use ripcord_core::journal::Tip;
use ripcord_ports::store::{Store, StoreError};

use super::{folder, open, stranger, unusable};
use crate::conformance::{append, service, signal, waiting};
use crate::file::Options;
use crate::{SqliteStore, marker};

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

#[tokio::test]
async fn a_store_that_is_gone_does_not_begin_again_unless_someone_says_so() {
    let (path, folder) = folder();
    let store = open(&path);
    store.append(append(&service("s"), Tip::START, 3)).await.expect("appends");
    let installation = store.installation().await.expect("reads");
    store.close().await.expect("closes");
    let kept = folder.path().join("kept.db");
    std::fs::copy(&path, &kept).expect("copies");

    std::fs::remove_file(&path).expect("removes");
    for outcome in [SqliteStore::open(&path), SqliteStore::open_read_only(&path)] {
        let text = unusable(outcome);
        assert!(text.contains("gone or empty") && text.contains("store new"), "{text}");
    }
    assert!(!path.exists(), "looking makes nothing");
    std::fs::write(&path, b"").expect("writes");
    assert!(unusable(SqliteStore::open(&path)).contains("gone or empty"));

    let at = ripcord_core::time::UnixMillis(7);
    SqliteStore::begin_anew(&path, "the disk is dead", at).await.expect("begins");
    let anew = open(&path);
    assert_ne!(anew.installation().await.expect("reads"), installation);
    let decisions = anew.decisions().await.expect("reads");
    assert_eq!((decisions[0].at, decisions[0].reason.as_str()), (at, "the disk is dead"));
    drop(anew);

    // The old one turns up again: it is not the one that belongs here now.
    std::fs::copy(&kept, &path).expect("copies");
    let text = unusable(SqliteStore::open(&path));
    assert!(text.contains("belongs here") && text.contains("store accept"), "{text}");
    SqliteStore::accept(&path, "it was found", at).await.expect("accepts");
    assert_eq!(open(&path).installation().await.expect("reads"), installation);
}

#[tokio::test]
async fn an_older_copy_is_noticed() {
    let (path, folder) = folder();
    let store = open(&path);
    let tip = store.append(append(&service("s"), Tip::START, 3)).await.expect("appends");
    store.backup(folder.path().join("copy.db")).await.expect("copies");
    store.append(append(&service("s"), tip, 2)).await.expect("appends");
    store.close().await.expect("closes");
    std::fs::copy(folder.path().join("copy.db"), &path).expect("restores");
    let text = unusable(SqliteStore::open(&path));
    assert!(text.contains("older") && text.contains("3 records, and 5"), "{text}");
    SqliteStore::accept(&path, "the newer one is lost", ripcord_core::time::UnixMillis(7))
        .await
        .expect("accepts");
    open(&path);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_made_while_a_host_writes_is_whole_and_goes_on() {
    let (path, folder) = folder();
    let store = std::sync::Arc::new(open(&path));
    let mut writing = tokio::task::JoinSet::new();
    writing.spawn({
        let store = store.clone();
        async move {
            let mut tip = Tip::START;
            for round in 0..60 {
                let blob = crate::conformance::text(round, &"evidence ".repeat(500));
                let more =
                    ripcord_ports::store::Append { blobs: vec![blob], ..append(&service("s"), tip, 5) };
                tip = store.append(more).await.expect("appends");
            }
        }
    });
    while store.journal(&service("s"), 0, 1).await.expect("reads").is_empty() {
        tokio::task::yield_now().await;
    }
    let reader = SqliteStore::open_read_only(&path).expect("opens");
    let copy = folder.path().join("copy.db");
    reader.backup(&copy).await.expect("copies");
    assert_eq!(writing.join_all().await.len(), 1, "all was written");
    assert!(reader.backup(&copy).await.is_err(), "nothing is overwritten");

    // Elsewhere, as after a fire.
    let restored = open(&copy);
    assert_eq!(restored.installation().await.expect("reads"), store.installation().await.expect("reads"));
    let records = restored.journal(&service("s"), 0, u32::MAX).await.expect("reads");
    let mut tip = Tip::START;
    for record in &records {
        record.read::<String>(tip).expect("chains");
        tip = record.tip();
    }
    assert_eq!(records.len() % 5, 0, "no append is torn");
    for round in 0..u8::try_from(records.len() / 5).expect("few") {
        let blob = crate::conformance::text(round, &"evidence ".repeat(500));
        assert_eq!(restored.blob(&blob.reference).await.expect("reads"), Some(blob.content));
    }
    restored.append(append(&service("s"), tip, 1)).await.expect("goes on");
}

#[tokio::test]
async fn the_folder_knows_how_long_the_store_is_although_nobody_closes_it() {
    let (path, _folder) = folder();
    let options = Options { marked_every: Duration::ZERO, ..Options::default() };
    let store = SqliteStore::open_with(&path, options).expect("opens");
    let tip = store.append(append(&service("s"), Tip::START, 3)).await.expect("appends");
    // What comes next is written after the folder was told.
    store.set_note("next", b"").await.expect("sets");
    assert_ne!(tip, Tip::START);
    let known = marker::read(&path).expect("reads").expect("it is there");
    assert_eq!(known.records, 3);
    let older = marker::Marker { records: 2, ..known };
    let text = match marker::check(&path, Some(older)) {
        Err(StoreError::Unusable(text)) => text,
        other => panic!("an older one is refused: {other:?}"),
    };
    assert!(text.contains("has 2 records, and 3 were written"), "{text}");
}

//! Someone with `sqlite3`: what the schema refuses, and what is found when it was got round.

use ripcord_core::digest::Digest;
use ripcord_core::journal::{BrokenChain, Tip};
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Append, Store, StoreError};

use super::{folder, open, stranger};
use crate::conformance::{append, service, text};

#[tokio::test]
async fn the_schema_refuses_to_change_what_was_written() {
    let (path, _folder) = folder();
    let store = open(&path);
    let first = Append { blobs: vec![text(1, "reason")], ..append(&service("s"), Tip::START, 3) };
    store.append(first).await.expect("appends");
    let before = store.journal(&service("s"), 0).await.expect("reads");
    let stranger = stranger(&path);
    for (sql, says) in [
        ("UPDATE records SET bytes = x'00'", "never changed"),
        ("UPDATE records SET number = number + 10", "never changed"),
        ("DELETE FROM records WHERE number = 2", "never deleted"),
        (
            "INSERT OR REPLACE INTO records SELECT NULL, service, number, hash, x'00' FROM records",
            "only added",
        ),
        (
            "INSERT INTO records SELECT NULL, service, 9, hash, bytes FROM records WHERE number = 2",
            "only added",
        ),
        (
            "INSERT OR REPLACE INTO records SELECT 2, service, 3, hash, bytes FROM records WHERE number = 2",
            "position of a record",
        ),
        ("UPDATE blobs SET content = x'00'", "only erased"),
        (
            "UPDATE blobs SET commitment = zeroblob(32), content = NULL, salt = NULL, erased_at = 1",
            "only erased",
        ),
        ("DELETE FROM blobs", "never deleted"),
        ("UPDATE identity SET value = zeroblob(32)", "never changed"),
        ("DELETE FROM identity", "never deleted"),
    ] {
        let error = stranger.execute(sql, []).expect_err(sql).to_string();
        assert!(error.contains(says), "{sql}: {error}");
    }
    assert_eq!(store.journal(&service("s"), 0).await.expect("reads"), before);
}

#[tokio::test]
async fn a_record_that_was_changed_is_found_when_it_is_read() {
    let (path, _folder) = folder();
    let store = open(&path);
    store.append(append(&service("s"), Tip::START, 3)).await.expect("appends");
    let changes = "DROP TRIGGER records_are_never_changed;
        UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), 'event 1', 'event 7') AS BLOB) WHERE number = 1";
    stranger(&path).execute_batch(changes).expect("changes");
    let records = store.journal(&service("s"), 0).await.expect("reads");
    records[0].read::<String>(Tip::START).expect("whole");
    let error = records[1].read::<String>(records[0].tip()).expect_err("changed");
    assert!(matches!(error, BrokenChain::Changed { number: 1, .. }), "{error}");
}

#[tokio::test]
async fn blobs_and_components_that_were_changed_are_found_when_they_are_read() {
    let (path, _folder) = folder();
    let store = open(&path);
    let blobs = vec![text(1, "content"), text(2, "salt"), text(3, "row")];
    let first = Append { blobs: blobs.clone(), ..append(&service("s"), Tip::START, 1) };
    store.append(first).await.expect("appends");
    let component = store.keep_component(b"component").await.expect("keeps");
    let stranger = stranger(&path);
    stranger
        .execute_batch(
            "DROP TRIGGER blobs_are_only_erased; DROP TRIGGER blobs_are_never_deleted;
             UPDATE components SET bytes = x'00';",
        )
        .expect("changes");
    let sql = [
        "UPDATE blobs SET content = CAST('CONTENT' AS BLOB) WHERE commitment = ?1",
        "UPDATE blobs SET salt = zeroblob(32) WHERE commitment = ?1",
        "DELETE FROM blobs WHERE commitment = ?1",
    ];
    for (blob, sql) in blobs.iter().zip(sql) {
        assert!(store.blob(&blob.reference).await.expect("reads").is_some());
        stranger.execute(sql, [blob.reference.commitment.as_bytes()]).expect("changes");
        let error = store.blob(&blob.reference).await.expect_err(sql);
        assert!(matches!(error, StoreError::Damaged(_)), "{sql}: {error}");
    }
    let error = store.component(&component).await.expect_err("changed");
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

#[tokio::test]
async fn erased_content_is_gone_from_the_disk_and_the_row_says_so() {
    let (path, folder) = folder();
    let store = open(&path);
    let (gone, stays) = (text(7, "MARK-gone-MARK"), text(8, "MARK-stays-MARK"));
    let blobs = vec![gone.clone(), stays.clone()];
    let first = Append { blobs: blobs.clone(), ..append(&service("s"), Tip::START, 1) };
    let tip = store.append(first).await.expect("appends");
    let on_disk = |content: &[u8]| {
        std::fs::read_dir(folder.path()).expect("lists").any(|entry| {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("reads");
            bytes.windows(content.len()).any(|window| window == content)
        })
    };
    assert!(on_disk(&gone.content) && on_disk(&gone.salt.0), "the test looks in the right place");

    assert!(store.erase(&gone.reference, UnixMillis(5)).await.expect("erases"));
    assert!(!on_disk(&gone.content) && !on_disk(&gone.salt.0));
    assert!(on_disk(&stays.content));
    assert_eq!(store.blob(&gone.reference).await.expect("reads"), None);
    assert!(store.blob(&stays.reference).await.expect("reads").is_some());
    assert!(!store.erase(&gone.reference, UnixMillis(6)).await.expect("erased before"));
    assert!(!store.erase(&text(9, "unknown").reference, UnixMillis(6)).await.expect("unknown"));

    // What was erased does not come back because someone still has it.
    store.append(Append { blobs, ..append(&service("s"), tip, 1) }).await.expect("appends");
    assert_eq!(store.blob(&gone.reference).await.expect("reads"), None);
    assert!(!on_disk(&gone.content));
}

#[tokio::test]
async fn a_reader_in_the_way_delays_the_scrubbing_but_does_not_lose_it() {
    let (path, _folder) = folder();
    let store = open(&path);
    let gone = text(7, "MARK-gone-MARK");
    store
        .append(Append { blobs: vec![gone.clone()], ..append(&service("s"), Tip::START, 1) })
        .await
        .expect("appends");
    let reader = stranger(&path);
    reader.execute_batch("BEGIN; SELECT count(*) FROM records").expect("reads");
    store.erase(&gone.reference, UnixMillis(5)).await.expect("erases");
    let log = path.with_extension("db-wal");
    let in_log = || {
        let bytes = std::fs::read(&log).expect("reads");
        bytes.windows(gone.content.len()).any(|window| window == gone.content)
    };
    assert!(in_log(), "the reader holds the old content");
    reader.execute_batch("COMMIT").expect("ends");
    store.set_note("any", b"write").await.expect("sets");
    assert!(!in_log());
}

#[tokio::test]
async fn columns_that_make_no_sense_are_damage_and_no_panic() {
    let (path, _folder) = folder();
    let store = open(&path);
    let fraud = service("s");
    store.accept(vec![crate::conformance::signal("s-1", Some(&fraud), "a", 0)]).await.expect("accepts");
    stranger(&path).execute("UPDATE signals SET body = '{'", []).expect("changes");
    // One that cannot be read holds up no other, and is told.
    store.accept(vec![crate::conformance::signal("s-2", Some(&fraud), "b", 0)]).await.expect("accepts");
    let waiting = ripcord_ports::store::SignalFilter::Waiting(&fraud);
    let ids: Vec<_> =
        store.signals(waiting, 1).await.expect("reads").into_iter().map(|one| one.signal.id).collect();
    assert_eq!(ids, [ripcord_core::name::SignalId::new("s-2").expect("an id")]);
    let unreadable = store.unreadable_signals(&fraud, 9).await.expect("reads");
    let [one] = &unreadable[..] else { panic!("{unreadable:?}") };
    assert!(one.id.as_str() == "s-1" && one.why.contains("damaged"), "{one:?}");
    stranger(&path).execute("UPDATE signals SET service = '../up'", []).expect("changes");
    let error = store.services_with_signals().await.expect_err("damaged");
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    assert_eq!(store.component(&Digest::of("none")).await.expect("reads"), None);
}

//! Someone with `sqlite3`: what the schema refuses, and what is found when it was got round.

use ripcord_core::digest::Digest;
use ripcord_core::journal::{BrokenChain, Tip};
use ripcord_core::name::IncidentId;
use ripcord_core::retention::Class;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Append, Content, Expired, SignalFilter, Store, StoreError, TimelineEntry, Use};

use super::{folder, open, stranger};
use crate::Rebuilt;
use crate::conformance::{append, service, signal, text};

#[tokio::test]
async fn the_schema_refuses_to_change_what_was_written() {
    let (path, _folder) = folder();
    let store = open(&path);
    let first = Append { blobs: vec![text(1, "reason")], ..append(&service("s"), Tip::START, 3) };
    store.append(first).await.expect("appends");
    let before = store.journal(&service("s"), 0, u32::MAX).await.expect("reads");
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
        ("UPDATE blobs SET content = x'00'", "never changed"),
        ("UPDATE blobs SET commitment = zeroblob(32)", "never changed"),
        ("DELETE FROM blobs", "never deleted"),
        ("INSERT INTO erased VALUES (zeroblob(12)); DELETE FROM erased", "stays erased"),
        ("UPDATE identity SET value = zeroblob(32)", "never changed"),
        ("DELETE FROM identity", "never deleted"),
    ] {
        let error = stranger.execute_batch(sql).expect_err(sql).to_string();
        assert!(error.contains(says), "{sql}: {error}");
    }
    assert_eq!(store.journal(&service("s"), 0, u32::MAX).await.expect("reads"), before);
}

#[tokio::test]
async fn a_record_that_was_changed_is_found_when_it_is_read() {
    let (path, _folder) = folder();
    let store = open(&path);
    store.append(append(&service("s"), Tip::START, 3)).await.expect("appends");
    let records = store.journal(&service("s"), 0, u32::MAX).await.expect("reads");
    let text = String::from_utf8(records[1].bytes.clone()).expect("JSON");
    let changed = crate::pack::record(text.replace("event 1", "event 7").as_bytes());
    let stranger = stranger(&path);
    stranger.execute_batch("DROP TRIGGER records_are_never_changed").expect("drops");
    stranger.execute("UPDATE records SET bytes = ?1 WHERE number = 1", [changed]).expect("changes");
    let records = store.journal(&service("s"), 0, u32::MAX).await.expect("reads");
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
            "DROP TRIGGER blobs_are_never_changed; DROP TRIGGER blobs_go_when_marked;
             UPDATE components SET bytes = x'00';",
        )
        .expect("changes");
    let sql = [
        "UPDATE blobs SET content = CAST(x'00' || 'CONTENT' AS BLOB) WHERE commitment = ?1",
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

    assert!(store.erase(&gone.reference).await.expect("erases"));
    assert!(!on_disk(&gone.content) && !on_disk(&gone.salt.0));
    assert!(on_disk(&stays.content));
    assert_eq!(store.blob(&gone.reference).await.expect("reads"), None);
    assert!(store.blob(&stays.reference).await.expect("reads").is_some());
    assert!(!store.erase(&gone.reference).await.expect("erased before"));
    assert!(!store.erase(&text(9, "unknown").reference).await.expect("unknown"));

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
    store.erase(&gone.reference).await.expect("erases");
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
async fn a_record_that_does_not_unpack_is_damage_and_no_panic() {
    let (path, _folder) = folder();
    let store = open(&path);
    store.append(append(&service("s"), Tip::START, 1)).await.expect("appends");
    store.append(append(&service("t"), Tip::START, 1)).await.expect("appends");
    let stranger = stranger(&path);
    stranger.execute_batch("DROP TRIGGER records_are_never_changed").expect("drops");
    for bytes in ["x'02ffffffff7f00'", "x'02'", "x''", "x'0905'"] {
        let sql = format!("UPDATE records SET bytes = {bytes} WHERE service = 1");
        stranger.execute_batch(&sql).expect("changes");
        let error = store.journal(&service("s"), 0, u32::MAX).await.expect_err(bytes);
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
        assert_eq!(store.journal(&service("t"), 0, u32::MAX).await.expect("the other reads").len(), 1);
    }
}

#[tokio::test]
async fn a_signal_that_cannot_be_read_is_told_and_holds_up_none_after_it() {
    let (path, _folder) = folder();
    let store = open(&path);
    let fraud = service("s");
    for number in 0..20 {
        let signal =
            crate::conformance::signal(&format!("s-{number}"), Some(&fraud), &format!("{number}"), number);
        store.accept(vec![signal]).await.expect("accepts");
    }
    stranger(&path).execute("UPDATE signals SET body = '{' WHERE position <= 12", []).expect("changes");
    let waiting = ripcord_ports::store::SignalFilter::Waiting(&fraud);
    // They are passed over, however many are in front.
    let read = store.signals(waiting, 3).await.expect("reads");
    assert_eq!(crate::conformance::ids(&read), ["s-12", "s-13", "s-14"]);
    let unreadable = store.unreadable_signals(&fraud, 100).await.expect("reads");
    assert_eq!(unreadable.len(), 12);
    assert!(unreadable[0].id.as_str() == "s-0" && unreadable[0].why.contains("damaged"), "{unreadable:?}");
    assert_eq!(store.signals(waiting, 100).await.expect("reads").len(), 8);
}

#[tokio::test]
async fn columns_that_make_no_sense_are_no_panic() {
    let (path, _folder) = folder();
    let store = open(&path);
    let fraud = service("s");
    store.accept(vec![crate::conformance::signal("s-1", Some(&fraud), "a", 0)]).await.expect("accepts");
    store.accept(vec![crate::conformance::signal("s-2", Some(&fraud), "b", 0)]).await.expect("accepts");
    stranger(&path).execute("UPDATE signals SET service = '../up' WHERE id = 's-1'", []).expect("changes");
    assert_eq!(store.services_with_signals().await.expect("lists"), [fraud]);
    assert_eq!(store.component(&Digest::of("none")).await.expect("reads"), None);
}

#[tokio::test]
async fn a_line_that_was_changed_is_not_believed_and_hides_no_other() {
    let (path, _folder) = folder();
    let store = open(&path);
    let fraud = service("fraud-api");
    let lines = [1, 2, 3].map(|number| crate::conformance::incident(&fraud, number, number.into()));
    let first = Append { incidents: lines.to_vec(), ..append(&fraud, Tip::START, 1) };
    store.append(first).await.expect("appends");
    for sql in [
        "UPDATE incidents SET summary = 'all is well' WHERE id = 'fraud-api:2'",
        "UPDATE incidents SET body = '{' WHERE id = 'fraud-api:2'",
    ] {
        stranger(&path).execute(sql, []).expect("changes");
        let error = store.incident(&lines[1].incident.id).await.expect_err(sql);
        assert!(matches!(&error, StoreError::Damaged(text) if text.contains("fraud-api:2")), "{error}");
        let listed = store.incidents(None, 9).await.expect("lists");
        assert_eq!(listed, [lines[2].clone(), lines[0].clone()]);
    }
}

#[tokio::test]
async fn a_row_of_the_intake_that_is_of_another_signal_is_set_aside() {
    let (path, _folder) = folder();
    let store = open(&path);
    let fraud = service("s");
    store
        .accept(vec![signal("s-1", Some(&fraud), "a", 0), signal("s-2", Some(&fraud), "b", 0)])
        .await
        .expect("takes");
    stranger(&path).execute_batch("UPDATE signals SET id = 's-9' WHERE id = 's-1'").expect("changes");
    let waiting = store.signals(SignalFilter::Waiting(&fraud), 9).await.expect("lists");
    assert_eq!(waiting.iter().map(|stored| stored.signal.id.as_str()).collect::<Vec<_>>(), ["s-2"]);
    let unreadable = store.unreadable_signals(&fraud, 9).await.expect("lists");
    assert_eq!(unreadable.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["s-9"]);
    // And so it can be consumed.
    let consumed = unreadable.into_iter().map(|one| one.id).collect();
    store.append(Append { consumed, ..append(&fraud, Tip::START, 1) }).await.expect("appends");
    assert_eq!(store.unreadable_signals(&fraud, 9).await.expect("lists"), []);
}

#[tokio::test]
async fn a_use_that_cannot_be_read_takes_no_place_of_those_that_can() {
    let (path, _folder) = folder();
    let store = open(&path);
    let fraud = service("s");
    let of = |number| Use {
        class: Class::Decisions,
        incident: None,
        number,
        at: UnixMillis(number),
        content: Content::Object(Digest::of(number.to_string())),
    };
    let uses = vec![of(0), of(1)];
    store.append(Append { uses: uses.clone(), ..append(&fraud, Tip::START, 2) }).await.expect("appends");
    stranger(&path)
        .execute_batch("UPDATE uses SET incident = 'not an id!' WHERE number = 0")
        .expect("changes");
    let expired = Expired { service: &fraud, class: Class::Decisions, before: UnixMillis(9), spared: &[] };
    assert_eq!(store.expired(expired, 1).await.expect("lists"), uses[1..]);
}

/// The incidents of `eu:fraud` begin like those of `eu`.
#[tokio::test]
async fn what_is_made_anew_of_one_journal_leaves_that_of_another_whose_name_begins_the_same() {
    let (path, _folder) = folder();
    let store = open(&path);
    let names = ["eu", "eu:fraud"].map(service);
    for name in &names {
        let entry = TimelineEntry { incident: IncidentId::numbered(name, 1), number: 0 };
        let told = Append { timeline: vec![entry], ..append(name, Tip::START, 1) };
        store.append(told).await.expect("appends");
    }
    let rebuilt = Rebuilt { service: &names[0], incidents: Vec::new(), timelines: Vec::new(), changes: &[] };
    store.rebuild(rebuilt).await.expect("makes it anew");
    for (name, spans) in names.iter().zip([0, 1]) {
        let told = store.timeline(&IncidentId::numbered(name, 1)).await.expect("reads");
        assert_eq!(told.len(), spans, "{name}");
    }
    store.close().await.expect("closes");
}

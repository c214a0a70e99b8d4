//! No space left.

use ripcord_core::blob::{BlobKind, Salt};
use ripcord_core::journal::Tip;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Append, NewBlob, Store, StoreError};
use tokio::task::JoinSet;

use super::folder;
use crate::conformance::{append, service, signal, waiting};
use crate::{Options, SqliteStore};

fn small(bytes_max: u64) -> Options {
    Options { bytes_max, ..Options::default() }
}

/// What does not become smaller.
fn noise(salt: u8, bytes: usize) -> NewBlob {
    let mut state = u64::from(salt) + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    let content = std::iter::repeat_with(&mut next).take(bytes).collect();
    NewBlob::new(BlobKind::Text, Salt([salt; 32]), content)
}

fn large(salt: u8) -> NewBlob {
    noise(salt, 200_000)
}

#[tokio::test]
async fn what_does_not_fit_is_refused_whole_and_the_store_goes_on() {
    let (path, _folder) = folder();
    let store = SqliteStore::open_with(&path, small(640 << 10)).expect("opens");
    let fraud = service("fraud-api");
    let whole = |tip, salt| Append { blobs: vec![large(salt)], ..append(&fraud, tip, 1) };
    let tip = store.append(whole(Tip::START, 1)).await.expect("fits");
    let full = Append { blobs: vec![large(2), large(3)], ..append(&fraud, tip, 1) };
    for _ in 0..3 {
        let error = store.append(full.clone()).await.expect_err("does not fit");
        assert!(matches!(error, StoreError::Full), "{error}");
        assert_eq!(store.journal(&fraud, 0, u32::MAX).await.expect("reads").len(), 1);
    }
    // Small things still fit.
    store.accept(vec![signal("s-1", Some(&fraud), "a", 0)]).await.expect("accepts");
    // Space is made, and what was refused fits.
    assert!(store.erase(&large(1).reference).await.expect("erases"));
    store.append(full).await.expect("fits now");
    assert_eq!(waiting(&store, &fraud).await.len(), 1);
    store.close().await.expect("closes");

    let store = SqliteStore::open_with(&path, small(4 << 20)).expect("opens with more space");
    assert_eq!(store.journal(&fraud, 0, u32::MAX).await.expect("reads").len(), 2);
    assert!(store.blob(&large(3).reference).await.expect("reads").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_fit_does_not_harm_those_that_share_its_flush() {
    let (path, _folder) = folder();
    let store = std::sync::Arc::new(SqliteStore::open_with(&path, small(400 << 10)).expect("opens"));
    let mut calls = JoinSet::new();
    for number in 0..30_u8 {
        let store = store.clone();
        calls.spawn(async move {
            let name = service(&format!("s-{number}"));
            let blobs = if number % 3 == 0 { vec![noise(number, 1_000_000)] } else { vec![] };
            let outcome = store.append(Append { blobs, ..append(&name, Tip::START, 1) }).await;
            let length = store.journal(&name, 0, u32::MAX).await.expect("reads").len();
            if number % 3 == 0 {
                assert!(matches!(outcome, Err(StoreError::Full)), "{outcome:?}");
                assert_eq!(length, 0);
            } else {
                outcome.expect("fits");
                assert_eq!(length, 1);
            }
        });
    }
    calls.join_all().await;
    assert_eq!(store.services().await.expect("lists").len(), 20);
}

#[tokio::test]
async fn every_touch_writes_something() {
    let (path, _folder) = folder();
    let store = SqliteStore::open(path).expect("opens");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        store.write(crate::writer::touch).await.expect("touches");
        seen.insert(store.note("writable").await.expect("reads"));
    }
    assert_eq!(seen.len(), 3, "a commit that changes nothing flushes nothing: {seen:?}");
}

#[tokio::test]
async fn a_flood_of_signals_ends_at_the_limit_and_loses_none_that_was_acknowledged() {
    let (path, _folder) = folder();
    let store = SqliteStore::open_with(&path, small(256 << 10)).expect("opens");
    let fraud = service("fraud-api");
    let mut accepted = 0;
    let refused = loop {
        assert!(accepted < 10_000, "the limit does not hold");
        let name = format!("s-{accepted}");
        match store.accept(vec![signal(&name, Some(&fraud), &name, 0)]).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Full), "{refused}");
    let is_troubled = || store.writer().expect("it writes").is_troubled();
    assert!(is_troubled());
    assert_eq!(store.forget_signals(UnixMillis(0), 9).await.expect("there is nothing to write"), 0);
    assert!(is_troubled(), "what changed nothing says nothing of the disk");
    drop(store);
    assert!(std::fs::metadata(&path).expect("metadata").len() <= 256 << 10);
    assert_eq!(waiting(&super::open(&path), &fraud).await.len(), accepted);
}

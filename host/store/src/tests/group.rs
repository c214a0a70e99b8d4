//! The writer: one flush for all that wait, nobody left without an answer.

use std::sync::mpsc;
use std::time::Duration;

use ripcord_core::journal::Tip;
use ripcord_ports::store::{Append, Durability, Store, StoreError};
use rusqlite::Connection;
use tokio::task::JoinSet;

use super::{folder, open};
use crate::conformance::{append, service};
use crate::error::{Fault, refused};
use crate::file::{self, Claim, Options};
use crate::writer::{Kind, Writer};
use crate::{migrate, projections};

fn start(path: &std::path::Path, options: Options) -> Writer {
    let claim = Claim::take(path).expect("free");
    file::create(path).expect("makes");
    let mut connection = file::writing(path, &options).expect("opens");
    migrate::migrate(&mut connection, path).expect("migrates");
    Writer::start(connection, claim, path, &options).expect("starts")
}

fn notes(connection: &Connection) -> Result<i64, Fault> {
    Ok(connection.query_row("SELECT count(*) FROM notes", [], |row| row.get(0))?)
}

/// Runs `jobs` numbered writes while the writer is held up, so that all of them wait; what each saw on disk, and its outcome.
async fn held_up(
    path: &std::path::Path,
    options: Options,
    jobs: u32,
    fails: fn(u32) -> bool,
) -> Vec<(u32, Result<i64, StoreError>)> {
    let writer = std::sync::Arc::new(start(path, options));
    let (release, gate) = mpsc::channel::<()>();
    let mut calls = JoinSet::new();
    let (started, begun) = tokio::sync::oneshot::channel();
    let (first, mut started) = (writer.clone(), Some(started));
    calls.spawn(async move {
        let outcome = first.run(Kind::FLUSHED, move |_| {
            if let Some(started) = started.take() {
                started.send(()).expect("the test waits");
            }
            Ok(gate.recv().map_or(-1, |()| -1))
        });
        (u32::MAX, outcome.await)
    });
    begun.await.expect("starts, alone in its group");
    for number in 0..jobs {
        let (writer, path) = (writer.clone(), path.to_owned());
        calls.spawn(async move {
            let outcome = writer
                .run(Kind::FLUSHED, move |connection| {
                    projections::set_note(connection, &format!("note-{number}"), b"")?;
                    if fails(number) {
                        return Err(refused("told to").into());
                    }
                    notes(&file::reading(&path)?)
                })
                .await;
            (number, outcome)
        });
    }
    // Every other task has sent its job when this one gets its turn again: the runtime has one thread.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    release.send(()).expect("the writer waits");
    let mut outcomes = calls.join_all().await;
    outcomes.retain(|(number, _)| *number != u32::MAX);
    outcomes.sort_by_key(|(number, _)| *number);
    outcomes
}

#[tokio::test]
async fn all_that_wait_share_one_commit() {
    let (path, _folder) = folder();
    for (_, seen) in held_up(&path, Options::default(), 50, |_| false).await {
        assert_eq!(seen.expect("written"), 0, "the one before was committed already");
    }
    assert_eq!(notes(&file::reading(&path).expect("opens")).expect("counts"), 50);
}

#[tokio::test]
async fn a_group_has_a_limit() {
    let (path, _folder) = folder();
    let options = Options { group: 20, ..Options::default() };
    let seen: Vec<_> = held_up(&path, options, 50, |_| false)
        .await
        .into_iter()
        .map(|(_, seen)| seen.expect("written"))
        .collect();
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), 3, "{seen:?}");
}

#[tokio::test]
async fn one_that_fails_fails_alone() {
    let (path, _folder) = folder();
    for (number, seen) in held_up(&path, Options::default(), 30, |number| number % 2 == 0).await {
        assert_eq!(seen.is_err(), number % 2 == 0);
    }
    assert_eq!(notes(&file::reading(&path).expect("opens")).expect("counts"), 15);
}

#[tokio::test]
async fn closing_finishes_what_waits() {
    let (path, _folder) = folder();
    let store = std::sync::Arc::new(open(&path));
    let mut calls = JoinSet::new();
    for number in 0..40 {
        let store = store.clone();
        calls.spawn(async move {
            store.append(append(&service(&format!("s-{number}")), Tip::START, 1)).await.is_ok()
        });
    }
    // All have sent when this task gets its turn again: the runtime has one thread.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    store.close().await.expect("closes");
    assert!(calls.join_all().await.into_iter().all(|written| written));
    drop(store);
    assert_eq!(open(&path).services().await.expect("lists").len(), 40);
}

/// Whether the transaction that `connection` is in will be flushed.
fn flushes(connection: &Connection) -> Result<bool, Fault> {
    let level: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    Ok(level >= 2)
}

#[tokio::test]
async fn what_may_wait_for_the_next_flush_is_not_flushed_and_everything_else_is() {
    let (path, _folder) = folder();
    let writer = start(&path, Options::default());
    assert!(writer.has_tail(), "nobody knows what the writer before has flushed");
    let later = Kind::Plain(Durability::WithTheNext);
    for (kind, flushed) in
        [(Kind::FLUSHED, true), (later, false), (later, false), (Kind::Scrubbing, true), (later, false)]
    {
        let number = if flushed { "flushed" } else { "later" };
        let wrote = writer.run(kind, move |connection| {
            projections::set_note(connection, number, b"")?;
            flushes(connection)
        });
        assert_eq!(wrote.await.expect("writes"), flushed, "{kind:?}");
        assert_eq!(writer.has_tail(), !flushed, "{kind:?}");
    }
    writer.close().await.expect("closes");
}

#[tokio::test]
async fn one_that_must_be_flushed_takes_its_whole_group_along() {
    let (path, _folder) = folder();
    let writer = std::sync::Arc::new(start(&path, Options::default()));
    let (release, gate) = mpsc::channel::<()>();
    let (started, begun) = tokio::sync::oneshot::channel();
    let (held, mut started) = (writer.clone(), Some(started));
    let mut calls = JoinSet::new();
    calls.spawn(async move {
        let work = move |_: &Connection| {
            if let Some(started) = started.take() {
                started.send(()).expect("the test waits");
            }
            Ok(gate.recv().is_ok())
        };
        held.run(Kind::FLUSHED, work).await.expect("is let go")
    });
    begun.await.expect("starts, alone in its group");
    for kind in [Kind::Plain(Durability::WithTheNext), Kind::FLUSHED, Kind::Plain(Durability::WithTheNext)] {
        let writer = writer.clone();
        calls.spawn(async move { writer.run(kind, flushes).await.expect("writes") });
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    release.send(()).expect("it waits");
    assert!(calls.join_all().await.into_iter().all(|flushed| flushed));
    assert!(!writer.has_tail());
}

#[tokio::test]
async fn a_flush_waits_for_the_disk_only_where_something_is_not_on_it() {
    let (path, _folder) = folder();
    let store = open(&path);
    let name = service("fraud-api");
    let first = store.append(append(&name, Tip::START, 1)).await.expect("appends");
    assert!(!store.flush().await.expect("flushes"), "an append is flushed unless it says otherwise");
    let later = Append { durability: Durability::WithTheNext, ..append(&name, first, 1) };
    store.append(later).await.expect("appends");
    assert_eq!(store.journal(&name, 0, 10).await.expect("reads").len(), 2, "readers see it");
    assert!(store.flush().await.expect("flushes"));
    assert!(!store.flush().await.expect("flushes"), "once");
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nothing_with_it() {
    let (path, _folder) = folder();
    let writer = start(&path, Options::default());
    let slow = writer.run(Kind::FLUSHED, |connection| {
        std::thread::sleep(Duration::from_millis(100));
        projections::set_note(connection, "slow", b"")
    });
    tokio::time::timeout(Duration::from_millis(10), slow).await.expect_err("goes away");
    writer.close().await.expect("closes");
    assert_eq!(notes(&file::reading(&path).expect("opens")).expect("counts"), 1);
}

#[tokio::test]
async fn when_the_writer_dies_everyone_is_told() {
    let (path, _folder) = folder();
    let writer = std::sync::Arc::new(start(&path, Options::default()));
    let mut calls = JoinSet::new();
    let dies = writer.clone();
    calls
        .spawn(async move { dies.run(Kind::FLUSHED, |_| -> Result<(), Fault> { panic!("a defect") }).await });
    for _ in 0..10 {
        let writer = writer.clone();
        calls.spawn(async move { writer.run(Kind::FLUSHED, |connection| notes(connection).map(drop)).await });
    }
    let outcomes =
        tokio::time::timeout(Duration::from_secs(20), calls.join_all()).await.expect("nobody hangs");
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    let later = writer.run(Kind::FLUSHED, |connection| notes(connection).map(drop));
    tokio::time::timeout(Duration::from_secs(20), later).await.expect("does not hang").expect_err("is dead");
    writer.close().await.expect_err("says that it broke off");
    drop(writer);
    // The claim went with the thread, and what was committed is there.
    open(&path);
}

#[tokio::test]
async fn a_write_that_hangs_makes_the_store_unwritable_until_it_comes_back() {
    let (path, _folder) = folder();
    let options = Options { hangs_after: Duration::from_millis(1), ..Options::default() };
    let store = std::sync::Arc::new(crate::SqliteStore::open_with(&path, options).expect("opens"));
    store.writable().await.expect("nothing is written");
    let (release, gate) = mpsc::channel::<()>();
    let (started, begun) = tokio::sync::oneshot::channel();
    let (writes, mut started) = (store.clone(), Some(started));
    let mut hung = tokio::task::JoinSet::new();
    hung.spawn(async move {
        let write = writes.write(move |_| {
            if let Some(started) = started.take() {
                started.send(()).expect("the test waits");
            }
            let _ = gate.recv();
            Ok(())
        });
        write.await
    });
    begun.await.expect("starts");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let error = store.writable().await.expect_err("it hangs");
    assert!(error.to_string().contains("has not come back"), "{error}");
    drop(release);
    hung.join_next().await.expect("one").expect("ends").expect("is written");
    let well = async {
        while store.writable().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), well).await.expect("it is writable again");
}

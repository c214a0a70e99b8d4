//! Durable acceptance of signals: the store under concurrent callers, against a bare loop of grouped inserts and flushes over the same
//! schema. The ratio at the end is of interleaved rounds of the same run.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use ripcord_core::digest::Digest;
use ripcord_core::name::{ServiceName, SignalId, SourceName};
use ripcord_core::signal::{Label, Origin, Severity, Signal, SignalKind, SignalStatus};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::store::{NewSignal, Store};
use ripcord_store::SqliteStore;
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const CALLERS: [u64; 2] = [8, 64];
const ROUNDS: usize = 9;
/// Of full groups, in one round of the ratio.
const FLUSHES_PER_ROUND: u64 = 200;

fn signal(number: u64) -> NewSignal {
    let name = |text: &str| Label::new(text, format!("{text}-{number}"));
    NewSignal {
        signal: Signal {
            id: SignalId::new(format!("s-{number:016x}")).expect("a valid id"),
            origin: Origin::Webhook("alertmanager".into()),
            rule: "FalsePositiveRateHigh".into(),
            status: SignalStatus::Firing,
            kind: SignalKind::Condition,
            severity: Severity::Critical,
            labels: vec![name("alertname"), name("instance"), name("service"), name("severity")],
            annotations: vec![name("description"), name("summary")],
            started_at: UnixMillis(1_700_000_000_000),
            ended_at: None,
            received_at: UnixMillis(1_700_000_000_000 + number),
        },
        source: Some(SourceName::new("alertmanager").expect("a valid name")),
        service: Some(ServiceName::new("fraud-api").expect("a valid name")),
        dedupe_key: Digest::of(number.to_be_bytes()),
        dedupe_window: Millis::hours(4),
        turn: None,
    }
}

/// Takes in `count` signals with so many callers at a time, one signal a call.
async fn accept(store: &Arc<SqliteStore>, callers: u64, first: u64, count: u64) {
    let mut running = JoinSet::new();
    for caller in 0..callers {
        let store = Arc::clone(store);
        running.spawn(async move {
            for number in (first + caller..first + count).step_by(callers as usize) {
                store.accept(vec![signal(number)]).await.expect("accepts");
            }
        });
    }
    running.join_all().await;
}

fn bare(path: &Path) -> Connection {
    drop(SqliteStore::open(path).expect("makes the schema"));
    let connection = Connection::open(path).expect("opens");
    connection.pragma_update(None, "synchronous", "full").expect("sets");
    connection.pragma_update(None, "wal_autocheckpoint", 4_096).expect("sets");
    connection
}

/// The same rows in transactions of `group`, by a loop that does nothing else.
fn insert(connection: &mut Connection, group: u64, first: u64, count: u64) {
    let mut number = first;
    while number < first + count {
        let transaction = connection.transaction().expect("begins");
        for number in number..(number + group).min(first + count) {
            let new = signal(number);
            let body = serde_json::to_string(&new.signal).expect("encodes");
            transaction
                .prepare_cached(
                    "INSERT INTO signals (id, service, source, dedupe_key, received_at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )
                .expect("prepares")
                .execute(params![
                    new.signal.id.as_str(),
                    new.service.as_ref().map(ServiceName::as_str),
                    new.source.as_ref().map(SourceName::as_str),
                    new.dedupe_key.as_bytes(),
                    number as i64,
                    body
                ])
                .expect("inserts");
        }
        transaction.commit().expect("commits");
        number += group;
    }
}

fn criterion_groups(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("intake");
    group.sample_size(10).measurement_time(Duration::from_secs(5)).throughput(Throughput::Elements(1));
    for callers in CALLERS {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(SqliteStore::open(folder.path().join("store.db")).expect("opens"));
        let mut next = 0;
        group.bench_function(BenchmarkId::new("store", callers), |bencher| {
            bencher.iter_custom(|count| {
                let start = Instant::now();
                runtime.block_on(accept(&store, callers, next, count));
                next += count;
                start.elapsed()
            });
        });
        let mut connection = bare(&folder.path().join("bare.db"));
        let mut next = 0;
        group.bench_function(BenchmarkId::new("bare", callers), |bencher| {
            bencher.iter_custom(|count| {
                let start = Instant::now();
                insert(&mut connection, callers, next, count);
                next += count;
                start.elapsed()
            });
        });
    }
    group.finish();
}

fn print_ratio(runtime: &Runtime, callers: u64) {
    let signals = callers * FLUSHES_PER_ROUND;
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(SqliteStore::open(folder.path().join("store.db")).expect("opens"));
    let mut connection = bare(&folder.path().join("bare.db"));
    let mut rounds: Vec<(f64, f64)> = (0..ROUNDS as u64)
        .map(|round| {
            let first = round * signals;
            let start = Instant::now();
            runtime.block_on(accept(&store, callers, first, signals));
            let with_store = start.elapsed().as_secs_f64();
            let start = Instant::now();
            insert(&mut connection, callers, first, signals);
            (with_store, start.elapsed().as_secs_f64())
        })
        .collect();
    rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (with_store, bare) = rounds[ROUNDS / 2];
    println!(
        "{callers} callers: {:.0} signals/s durable, bare loop in groups of {callers}: {:.0}/s, time ratio {:.2} (median of {ROUNDS})",
        signals as f64 / with_store,
        signals as f64 / bare,
        with_store / bare
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let mut criterion = Criterion::default().configure_from_args();
    criterion_groups(&mut criterion, &runtime);
    criterion.final_summary();
    if !std::env::args().any(|argument| argument == "--test") {
        CALLERS.into_iter().for_each(|callers| print_ratio(&runtime, callers));
    }
}

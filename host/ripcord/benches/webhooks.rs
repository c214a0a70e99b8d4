//! Durable webhooks over HTTP, one alert each: how many a second, how much processor time each takes the host, and how its memory grows;
//! beside a bare loop of grouped inserts and flushes over the same schema, in interleaved rounds of the same run.
//!
//! `cargo bench --workspace --bench webhooks` prints it; as a test it sends a few and checks that they are taken in.

#![allow(clippy::panic, reason = "a benchmark has no other way to fail")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ripcord_store::SqliteStore;
use rusqlite::{Connection, params};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const CONNECTIONS: [u64; 2] = [8, 64];
const ROUNDS: usize = 9;
/// Of full groups, in one round.
const FLUSHES_PER_ROUND: u64 = 100;
/// After which memory is read.
const WEBHOOKS: u64 = 100_000;
const TOKEN: &str = "a-token-of-the-benchmark";
/// A processor's time is counted in these; the kernel's `USER_HZ` is a hundred on all systems that it runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// Five policies, one service that they belong to, and alerts for another one, so that what is measured is the intake.
const CONFIGURATION: &str = r#"
[host]
listen = "127.0.0.1:0"
data = "data"

[people.olga]
roles = ["operator"]
token-file = "token"

[sources.bench]
kind = "alertmanager"
auth = { bearer-file = "token" }

[services.s]
model = "fraud"
proof-min = "control-plane"
registry = { kind = "directory", root = "registry" }
deployer = { kind = "command", shift = ["/bin/true", "{version}"], live = ["/bin/echo", "{{\"shares\": []}}"], effect = "observable" }
planner = { policy = "last-known-good" }

[[services.s.triggers]]
policy = "security-alert-trigger"
settings = { alerts = [{ rule = "Leak" }] }

[[services.s.approvals]]
policy = "auto-low-risk"

[[services.s.approvals]]
policy = "two-key"
settings = { role = "approver" }
"#;

/// `ripcord serve`, ended when dropped.
struct Host {
    child: Child,
    address: String,
    // Its log goes on into this pipe.
    _log: std::thread::JoinHandle<()>,
}

impl Host {
    /// Returns when it listens.
    fn start(folder: &Path) -> Self {
        common::write(folder, "ripcord.toml", CONFIGURATION);
        common::write(folder, "token", TOKEN);
        fs::create_dir(folder.join("registry")).expect("a folder");
        let mut child = Command::new(env!("CARGO_BIN_EXE_ripcord"))
            .args(["--config", "ripcord.toml", "serve"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let (mut all, mut line) = (String::new(), String::new());
        let address = loop {
            line.clear();
            assert!(log.read_line(&mut line).expect("its log") > 0, "the host ended: {all}");
            if let Some((_, address)) = line.split_once("listens on http://") {
                break address.trim().to_owned();
            }
            all += &line;
        };
        let log = std::thread::spawn(move || drop(std::io::copy(&mut log, &mut std::io::sink())));
        Self { child, address, _log: log }
    }

    fn of_process(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// In MB.
    fn resident(&self) -> f64 {
        let status = self.of_process("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().map_or(0.0, |kib| kib * 1_024.0 / 1e6)
    }

    /// Of all its threads, in seconds.
    fn processor_time(&self) -> f64 {
        let stat = self.of_process("stat");
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: f64 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<f64>().ok())
            .sum();
        ticks / TICKS_A_SECOND
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn request(number: u64) -> Vec<u8> {
    let name = |text: &str| format!("{text}-{number}");
    let body = json!({
        "version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "ripcord", "truncatedAlerts": 0,
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://bench",
        "alerts": [{
            "status": "firing",
            "labels": {"alertname": name("rule"), "severity": "critical", "instance": name("instance"), "service": name("service")},
            "annotations": {"description": name("description"), "summary": name("summary")},
            "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "",
            "fingerprint": format!("{number:016x}"),
        }],
    })
    .to_string();
    let length = body.len();
    format!(
        "POST /hooks/bench HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends `count` webhooks over so many connections, one alert each. The client does as little as it can: it shares the processor.
async fn send(address: &str, connections: u64, first: u64, count: u64) {
    let mut senders = JoinSet::new();
    for sender in 0..connections {
        let mut socket = TcpStream::connect(address).await.expect("connects");
        socket.set_nodelay(true).expect("sets");
        senders.spawn(async move {
            let mut answer = vec![0; 4_096];
            for number in (first + sender..first + count).step_by(usize::try_from(connections).expect("few"))
            {
                socket.write_all(&request(number)).await.expect("sends");
                let mut read = 0;
                // The body is the end of the answer, and has no other closing brace.
                while !answer[..read].ends_with(b"}") {
                    let more = socket.read(&mut answer[read..]).await.expect("reads");
                    assert!(more > 0, "the host closed the connection");
                    read += more;
                }
                let answer = String::from_utf8_lossy(&answer[..read]);
                assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"accepted\":1"), "{answer}");
            }
        });
    }
    senders.join_all().await;
}

fn bare(path: &Path) -> Connection {
    drop(SqliteStore::open(path).expect("makes the schema"));
    let connection = Connection::open(path).expect("opens");
    connection.pragma_update(None, "synchronous", "full").expect("sets");
    connection.pragma_update(None, "wal_autocheckpoint", 4_096).expect("sets");
    connection
}

/// As many rows of the same size in transactions of `group`, by a loop that does nothing else.
fn insert(connection: &mut Connection, group: u64, first: u64, count: u64) {
    let mut number = first;
    while number < first + count {
        let transaction = connection.transaction().expect("begins");
        for number in number..(number + group).min(first + count) {
            let key = ripcord_core::digest::Digest::of(number.to_be_bytes());
            transaction
                .prepare_cached(
                    "INSERT INTO signals (id, service, source, dedupe_key, received_at, body) VALUES (?1, NULL, 'bench', ?2, ?3, ?4)",
                )
                .expect("prepares")
                .execute(params![
                    format!("{number:032x}"),
                    key.as_bytes(),
                    i64::try_from(number).expect("few"),
                    "x".repeat(600)
                ])
                .expect("inserts");
        }
        transaction.commit().expect("commits");
        number += group;
    }
}

fn print_ratio(runtime: &Runtime, host: &Host, connections: u64, first: u64) {
    let webhooks = connections * FLUSHES_PER_ROUND;
    let folder = tempfile::tempdir().expect("a folder");
    let mut connection = bare(&folder.path().join("bare.db"));
    let mut rounds: Vec<(f64, f64, f64)> = (0..ROUNDS as u64)
        .map(|round| {
            let first = first + round * webhooks;
            let (start, before) = (Instant::now(), host.processor_time());
            runtime.block_on(send(&host.address, connections, first, webhooks));
            let (over_http, processor) = (start.elapsed().as_secs_f64(), host.processor_time() - before);
            let start = Instant::now();
            insert(&mut connection, connections, first, webhooks);
            (over_http, start.elapsed().as_secs_f64(), processor)
        })
        .collect();
    let processor: f64 = rounds.iter().map(|(_, _, processor)| processor).sum();
    let each_us = processor * 1e6 / (ROUNDS as u64 * webhooks) as f64;
    rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (over_http, bare, _) = rounds[ROUNDS / 2];
    println!(
        "{connections} connections: {:.0} webhooks/s durable, bare loop in groups of {connections}: {:.0}/s, {:.2} of it (median of {ROUNDS}), {each_us:.0} µs of the host's processor time each",
        webhooks as f64 / over_http,
        webhooks as f64 / bare,
        bare / over_http
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let host = Host::start(folder.path());
    if common::is_trial() {
        runtime.block_on(send(&host.address, 8, 0, 80));
        return;
    }
    std::thread::sleep(Duration::from_secs(5));
    println!("resident at the start, five policies: {:.1} MB", host.resident());
    let mut first = 0;
    for connections in CONNECTIONS {
        print_ratio(&runtime, &host, connections, first);
        first += ROUNDS as u64 * connections * FLUSHES_PER_ROUND;
    }
    runtime.block_on(send(&host.address, 64, first, WEBHOOKS.saturating_sub(first)));
    println!("resident after {WEBHOOKS} webhooks: {:.1} MB", host.resident());
}

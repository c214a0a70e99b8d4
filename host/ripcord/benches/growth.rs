//! What a long journal and many services cost: the time until the host listens, `status` and one incident's page without a host, and memory. Wanted:
//! flat from a thousand records to a million, and in proportion to the services.
//!
//! `GROWTH_RECORDS` and `GROWTH_SERVICES` give other sizes, as `1000,10000`.

#![allow(clippy::panic, reason = "a benchmark has no other way to fail")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ripcord_core::blob::{BlobKind, Salt};
use ripcord_core::event::{Event, PendingPlan, PullRequested};
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::{PersonName, RoleName, ServiceName};
use ripcord_core::plan::Leaving;
use ripcord_core::role::Urgency;
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store as _;
use ripcord_ports::store::{Append, NewBlob};
use ripcord_store::SqliteStore;

const TOKEN: &str = "a-token-of-the-benchmark";
/// Each number is the least of so many runs: the machine has other things to do.
const RUNS: usize = 5;

fn sizes(name: &str, default: &[usize]) -> Vec<usize> {
    let given = std::env::var(name).ok();
    given.map_or_else(
        || default.to_vec(),
        |text| text.split(',').map(|size| size.trim().parse().expect("a number")).collect(),
    )
}

/// A folder with a configuration of so many services that share one trigger.
fn place(services: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &str| common::write(folder.path(), name, content);
    write("token", TOKEN);
    fs::create_dir(folder.path().join("registry")).expect("a folder");
    fs::create_dir(folder.path().join("models")).expect("a folder");
    let mut text = String::from(
        "[host]\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\n[people.olga]\nroles = [\"operator\"]\ntoken-file = \"token\"\n\
         [sources.bench]\nkind = \"alertmanager\"\nauth = { bearer-file = \"token\" }\n",
    );
    for number in 0..services {
        // A port at which nothing listens: what a start waits for must not be another system's answer.
        text += &format!(
            "[[sources.bench.routes]]\nmatch = {{ service = \"s{number}\" }}\nservice = \"s{number}\"\n\
             [services.s{number}]\nmodel = \"fraud\"\nregistry = {{ kind = \"directory\", root = \"registry\" }}\n\
             deployer = {{ kind = \"open-inference\", url = \"http://127.0.0.1:9\", model-directory = \"models\" }}\n\
             planner = {{ policy = \"last-known-good\" }}\n\
             [[services.s{number}.triggers]]\npolicy = \"security-alert-trigger\"\nsettings = {{ alerts = [{{ rule = \"Leak\" }}] }}\n\
             [[services.s{number}.approvals]]\npolicy = \"auto-low-risk\"\n"
        );
    }
    write("ripcord.toml", &text);
    folder
}

/// So many ordinary records after an incident that waits for a person.
async fn age(folder: &Path, records: usize) {
    let store = SqliteStore::open(folder.join("data/store.sqlite")).expect("opens");
    let service = ServiceName::new("s0").expect("a name");
    let mut tip = Tip::START;
    let mut at = UnixMillis(1_700_000_000_000);
    for record in store.journal(&service, 0, u32::MAX).await.expect("reads") {
        tip = record.tip();
        at = record.read_alone::<Event>().expect("reads").at;
    }
    let reason = NewBlob::new(BlobKind::Text, Salt([7; 32]), b"a benchmark".to_vec());
    let pull = Event::PullRequested(PullRequested {
        incident: None,
        person: PersonName::new("olga").expect("a name"),
        roles: vec![RoleName::operator()],
        target: None,
        reason: reason.reference,
        urgency: Urgency::Routine,
        leaving: Leaving::Condemn,
        pending: PendingPlan::Keep,
        break_glass: false,
    });
    let mut blobs = vec![reason];
    let mut left = records;
    let mut first = Some(pull);
    while left > 0 {
        let more: Vec<_> = (0..left.min(5_000))
            .map(|_| {
                let event = first.take().unwrap_or(Event::Woke);
                let record = Record::write(&service, tip, at, &event).expect("encodes");
                tip = record.tip();
                record
            })
            .collect();
        left -= more.len();
        store
            .append(Append { records: more, blobs: std::mem::take(&mut blobs), ..Append::default() })
            .await
            .expect("appends");
    }
    store.close().await.expect("closes");
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ripcord"));
    command.args(["--config", "ripcord.toml"]).current_dir(folder).env("RUST_LOG", "error");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

struct Host(Child);

impl Drop for Host {
    fn drop(&mut self) {
        // A clean end, so that the next start finds a closed store.
        let _ = Command::new("sh").args(["-c", &format!("kill {}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

/// How long until it listens, and its memory then.
fn started(folder: &Path) -> (Duration, u64, Host) {
    let start = Instant::now();
    let mut child = program(folder).arg("serve").stderr(Stdio::piped()).spawn().expect("starts");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).expect("its log") > 0, "the host ended: {all}");
        if line.contains("listens on ") {
            break;
        }
        all += &line;
    }
    let ready = start.elapsed();
    std::thread::spawn(move || drop(std::io::copy(&mut log, &mut std::io::sink())));
    std::thread::sleep(Duration::from_secs(2));
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    (ready, kib / 1_024, Host(child))
}

fn least(mut run: impl FnMut() -> Duration) -> Duration {
    (0..RUNS).map(|_| run()).min().unwrap_or_default()
}

/// Without a host: the store is read.
fn command(folder: &Path, arguments: &[&str]) -> Duration {
    least(|| {
        let start = Instant::now();
        let status = program(folder).args(arguments).status().expect("runs");
        assert!(status.code().is_some_and(|code| code != 2), "{arguments:?}: {status}");
        start.elapsed()
    })
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (records, services) = if common::is_trial() {
        (sizes("GROWTH_RECORDS", &[100, 2_000]), sizes("GROWTH_SERVICES", &[1, 20]))
    } else {
        (
            sizes("GROWTH_RECORDS", &[1_000, 10_000, 100_000, 1_000_000]),
            sizes("GROWTH_SERVICES", &[1, 100, 1_000]),
        )
    };
    for records in records {
        let folder = place(1);
        drop(started(folder.path()).2);
        runtime.block_on(age(folder.path(), records));
        // The first start keeps a snapshot, as a host that was there all the time would have.
        drop(started(folder.path()).2);
        let (ready, mebibytes, host) = started(folder.path());
        drop(host);
        let status = command(folder.path(), &["status"]);
        let page = command(folder.path(), &["incidents", "show", "s0:1"]);
        let list = command(folder.path(), &["incidents", "list"]);
        println!(
            "{records} records: ready {ready:?}, {mebibytes} MiB; status {status:?}, page {page:?}, list {list:?}"
        );
    }
    for services in services {
        let folder = place(services);
        let (first, _, host) = started(folder.path());
        drop(host);
        let (ready, mebibytes, host) = started(folder.path());
        drop(host);
        let status = command(folder.path(), &["status"]);
        println!(
            "{services} services: first start {first:?}, ready {ready:?}, {mebibytes} MiB; status {status:?}"
        );
    }
}

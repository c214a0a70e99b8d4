//! `kill -9`: what was acknowledged is there. The test starts itself again as the process that is killed.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ripcord_core::journal::Tip;
use ripcord_ports::store::{Append, Store};

use super::{folder, open};
use crate::conformance::{append, ids, service, signal, waiting};

const PATH: &str = "RIPCORD_STORE_TEST_PATH";

/// The process that is killed: takes signals in and appends as fast as it can, and says what was acknowledged. Without a path it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_host() {
    let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else { return };
    let store = std::sync::Arc::new(open(&path));
    let mut hosts = tokio::task::JoinSet::new();
    for host in 0..4_u64 {
        let store = store.clone();
        hosts.spawn(async move {
            let name = service(&format!("service-{host}"));
            let mut tip = Tip::START;
            // Bounded: it is killed long before.
            for number in 0..1_000_000_u64 {
                let id = format!("s-{host}-{number}");
                store.accept(vec![signal(&id, Some(&name), &id, number)]).await.expect("accepts");
                println!("accepted {host} {id}");
                tip = store.append(Append { ..append(&name, tip, 2) }).await.expect("appends");
                println!("appended {host} {}", tip.length);
            }
        });
    }
    hosts.join_all().await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let (path, _folder) = folder();
    let mut lengths = [0_u64; 4];
    let mut accepted: [Vec<String>; 4] = Default::default();
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "tests::crash::busy_host", "--nocapture"])
        .env(PATH, &path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut record = |line: &str| {
        // The test harness may put its own words on the same line.
        let mut words = line.split_whitespace().skip_while(|word| !matches!(*word, "accepted" | "appended"));
        let (Some(what), Some(host), Some(value)) = (words.next(), words.next(), words.next()) else {
            return;
        };
        let host: usize = host.parse().expect("a number");
        match what {
            "accepted" => accepted[host].push(value.to_owned()),
            _ => lengths[host] = value.parse().expect("a number"),
        }
    };
    for line in lines.by_ref().take(400) {
        record(&line.expect("a line"));
    }
    child.kill().expect("is killed");
    child.wait().expect("ends");
    // What it said before it died counts too; a last line may be cut off.
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    for line in rest.split_last().map_or(&[][..], |(_, whole)| whole) {
        record(line);
    }

    let store = open(&path);
    assert!(accepted.iter().all(|ids| !ids.is_empty()) && lengths.iter().all(|length| *length > 0));
    for host in 0..4 {
        let name = service(&format!("service-{host}"));
        let waiting = waiting(&store, &name).await;
        let there = ids(&waiting);
        assert!(
            accepted[host].iter().all(|id| there.contains(&id.as_str())),
            "an acknowledged signal is lost"
        );
        let journal = store.journal(&name, 0, u32::MAX).await.expect("reads");
        assert!(journal.len() as u64 >= lengths[host], "an acknowledged record is lost");
        assert_eq!(journal.len() % 2, 0, "half an append is there");
        let mut tip = Tip::START;
        for record in journal {
            record.read::<String>(tip).expect("chains");
            tip = record.tip();
        }
        store.append(append(&name, tip, 1)).await.expect("goes on");
    }
}

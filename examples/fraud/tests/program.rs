//! The program itself, as another process sees it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::process::Stdio;
use std::time::Duration;

use crate::support::{question, reqwest_client};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

const FRAUD: &str = env!("CARGO_BIN_EXE_fraud");

#[cfg(unix)]
#[tokio::test]
async fn serves_until_sigterm_and_keeps_what_it_logged() {
    let folder = tempfile::tempdir().unwrap();
    let trained = Command::new(FRAUD)
        .args(["train", "--deploy", "1.3.2", "--out"])
        .arg(folder.path())
        .output()
        .await
        .unwrap();
    assert!(trained.status.success(), "{trained:?}");

    let mut server = Command::new(FRAUD)
        .args(["serve", "--listen", "127.0.0.1:0", "--models"])
        .arg(folder.path().join("models"))
        .arg("--log")
        .arg(folder.path().join("requests.jsonl"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let line = timeout(Duration::from_secs(20), lines.next_line()).await.unwrap().unwrap().unwrap();
    let url = line.strip_prefix("listening on ").unwrap().to_owned();

    let traffic = Command::new(FRAUD)
        .args(["traffic", "--rate", "50", "--seconds", "1", "--json", "--url", &url])
        .output()
        .await
        .unwrap();
    let summary: Value = serde_json::from_slice(&traffic.stdout).unwrap();
    assert_eq!((traffic.status.success(), summary["errors"].as_u64()), (true, Some(0)), "{summary}");

    // A connection that is kept alive does not hold the stop up.
    let client = reqwest_client();
    let infer = format!("{url}/v2/models/fraud/infer");
    assert_eq!(client.post(&infer).json(&question("last", 900.0)).send().await.unwrap().status(), 200);
    // The shell's own: `kill` is no program everywhere.
    let stop = format!("kill -TERM {}", server.id().unwrap());
    let killed = Command::new("sh").args(["-c", &stop]).status().await.unwrap();
    assert!(killed.success());
    let status = timeout(Duration::from_secs(4), server.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(client.post(&infer).json(&question("after", 900.0)).send().await.is_err());

    let log = std::fs::read_to_string(folder.path().join("requests.jsonl")).unwrap();
    assert_eq!(log.lines().count() as u64, summary["requests"].as_u64().unwrap() + 1);
    assert!(log.lines().last().unwrap().contains("\"last\""));
}

#[tokio::test]
async fn mistakes_end_with_a_sentence_and_a_failure() {
    let check = async |args: &[&str], expected: &str| {
        let output = Command::new(FRAUD).args(args).output().await.unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(expected), "{args:?} told `{told}`");
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (models, log) = (at("."), at("log"));
    check(&["train", "--out", &models, "--deploy", "2"], "error: there is no version `2`").await;
    check(&["train", "--out", &models, "--at", "today"], "today").await;
    check(&["serve", "--models", &at("none"), "--log", &log], "error: cannot read `").await;
    check(&["serve", "--models", &models, "--log", &at("none/log")], "error: cannot write `").await;
    check(
        &["serve", "--models", &models, "--log", &log, "--listen", "here"],
        "error: cannot listen on `here`",
    )
    .await;
    check(
        &["serve", "--models", &models, "--log", &log, "--decision-config", &at("none.json")],
        "none.json` cannot be read: check that it exists",
    )
    .await;
    check(
        &["serve", "--models", &models, "--log", &log, "--mode-file", &at("none/mode")],
        "error: cannot read `",
    )
    .await;
    check(&["online", "--out", &models, "--run", "a/b"], "error: `a/b` is no name for `--run`").await;
    check(&["online", "--out", &models, "--resume", "last"], "`last` is no step").await;
    check(&["publish", "--out", &models, "--checkpoint", &at("none")], "error: cannot read `").await;
    check(&["data", "--out", &models, "--rows", "0"], "0 is not in 1..=").await;
    check(
        &["retrain", "--out", &models, "--version", "9", "--data", &at("none.json")],
        "error: cannot read `",
    )
    .await;
    check(&["configure", "--file", &at("decision.json"), "--revision", "a b"], "`revision` must be 1 to 64")
        .await;
    check(&["configure", "--file", &at("none/decision.json")], "error: cannot write `").await;
    check(&["traffic", "--url", "http://127.0.0.1:9", "--rate", "0"], "0 is not in 1..=10000").await;
    check(&["traffic", "--url", "nowhere"], "error: `nowhere` is not a url for `--url`").await;
}

//! What the server keeps about the requests it answered: metrics, request log, decisions that wait for the truth.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{Setup, decisions, question, reqwest_client};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const INFER: &str = "/v2/models/fraud/infer";

#[tokio::test]
async fn a_trial_leaves_no_trace() {
    let mut setup = Setup::new(Some("1.4.0")).await;
    for (id, days) in [("trial-1", 900.0), ("trial-2", 10.0)] {
        let (status, answer) = setup.trial(INFER, question(id, days)).await;
        assert_eq!((status, answer["model_version"].as_str()), (200, Some("1.4.0")));
    }
    assert_eq!(setup.post(INFER, question("real", 10.0)).await.0, 200);
    assert_eq!(setup.metric("fraud_decisions_total{decision=\"approve\",version=\"1.4.0\"}").await, 0.0);
    assert_eq!(setup.metric("fraud_decisions_total{decision=\"decline\",version=\"1.4.0\"}").await, 1.0);
    assert_eq!(setup.metric("inference_seconds_count").await, 1.0);
    assert_eq!(setup.post("/feedback", json!({ "id": "trial-1", "fraud": false })).await.0, 404);
    setup.stop().await;
    let ids: Vec<Value> = setup.logged().iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, ["real"]);
}

#[tokio::test]
async fn feedback_is_joined_once_to_the_version_that_decided() {
    let setup = Setup::new(Some("1.4.0")).await;
    let check = async |id: &str, days: f64, fraud: bool, expected: &str| {
        assert_eq!(setup.post(INFER, question(id, days)).await.0, 200);
        let answer = setup.post("/feedback", json!({ "id": id, "fraud": fraud })).await;
        assert_eq!(answer, (200, json!({ "result": expected, "version": "1.4.0" })), "{id}");
        assert_eq!(
            setup.metric(&format!("fraud_feedback_total{{result=\"{expected}\",version=\"1.4.0\"}}")).await,
            1.0
        );
        assert_eq!(setup.post("/feedback", json!({ "id": id, "fraud": fraud })).await.0, 404, "twice");
    };
    check("a", 10.0, false, "false_positive").await;
    check("b", 10.0, true, "true_positive").await;
    check("c", 900.0, false, "true_negative").await;
    check("d", 900.0, true, "false_negative").await;

    // The truth about an old decision counts for the version that made it.
    assert_eq!(setup.post(INFER, question("e", 10.0)).await.0, 200);
    fraud::train::deploy(&setup.layout, "1.3.2").unwrap();
    assert_eq!(setup.post("/v2/repository/models/fraud/load", json!({})).await.0, 200);
    assert_eq!(setup.post("/feedback", json!({ "id": "e", "fraud": false })).await.1["version"], "1.4.0");

    let two = json!({
        "id": "batch",
        "inputs": [{ "name": "transaction", "shape": [2, 7], "datatype": "FP64",
                     "data": [29.9, 13.5, 0.1, 900, 0.2, 0, 0, 4800, 3.1, 0.8, 2, 0.9, 9, 1] }],
    });
    assert_eq!(decisions(&setup.post(INFER, two).await.1), ["approve", "decline"]);
    assert_eq!(setup.post("/feedback", json!({ "id": "batch", "fraud": true })).await.0, 404);
    assert_eq!(
        setup.post("/feedback", json!({ "id": "batch/1", "fraud": true })).await.1["result"],
        "true_positive"
    );
}

#[tokio::test]
async fn the_request_log_holds_what_was_asked_and_answered() {
    let setup = Setup::new(Some("1.3.2")).await;
    let (_, answer) = setup.post(INFER, question("order-1", 900.0)).await;
    // Without another request and without a stop it is on disk soon.
    let deadline = Instant::now() + Duration::from_secs(5);
    while setup.logged().is_empty() && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
    let [line] = &setup.logged()[..] else { panic!("one line is expected") };
    let at = line["at"].as_str().unwrap();
    assert!(at.len() == 24 && at.ends_with('Z') && at.parse::<jiff::Timestamp>().is_ok(), "{at}");
    let mut expected = json!({ "at": at, "id": "order-1", "model": "fraud", "version": "1.3.2", "outputs": answer["outputs"] });
    expected["inputs"] = json!([{ "name": "transaction", "shape": [1, 7], "datatype": "FP64",
                                  "data": [29.9, 13.5, 0.1, 900.0, 0.2, 0.0, 0.0] }]);
    assert_eq!(*line, expected);
}

#[tokio::test]
async fn metrics_are_in_the_text_format() {
    let setup = Setup::new(Some("1.3.2")).await;
    assert_eq!(setup.post(INFER, question("a", 900.0)).await.0, 200);
    let (_, text) = setup.get("/metrics").await;
    let lines = text
        .as_str()
        .unwrap()
        .lines()
        .map(|line| Ok::<_, std::io::Error>(line.to_owned()))
        .collect::<Vec<_>>();
    let scrape = prometheus_parse::Scrape::parse(lines.into_iter()).unwrap();
    let mut series: Vec<String> = scrape
        .samples
        .iter()
        .map(|sample| {
            let mut labels: Vec<String> =
                sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            labels.sort();
            format!("{}{{{}}}", sample.metric, labels.join(","))
        })
        .collect();
    series.sort();
    // Every counter of the served version is there from the start, at zero.
    let expected = [
        "fraud_decisions_total{decision=approve,version=1.3.2}",
        "fraud_decisions_total{decision=decline,version=1.3.2}",
        "fraud_feedback_total{result=false_negative,version=1.3.2}",
        "fraud_feedback_total{result=false_positive,version=1.3.2}",
        "fraud_feedback_total{result=true_negative,version=1.3.2}",
        "fraud_feedback_total{result=true_positive,version=1.3.2}",
        "fraud_mode_info{mode=model}",
        "fraud_mode_info{mode=rules}",
        "fraud_model_info{version=1.3.2}",
        "fraud_request_errors_total{}",
        "inference_seconds_count{}",
        "inference_seconds_sum{}",
        "inference_seconds{}",
    ];
    let mut expected = expected.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(series, expected);
}

#[tokio::test]
async fn a_client_that_never_finishes_does_not_hold_up_the_stop() {
    let mut setup = Setup::new(Some("1.3.2")).await;
    let mut stuck = TcpStream::connect(setup.url().trim_start_matches("http://")).await.unwrap();
    let half = format!("POST {INFER} HTTP/1.1\r\nhost: fraud\r\ncontent-length: 10\r\n\r\n{{");
    stuck.write_all(half.as_bytes()).await.unwrap();
    assert_eq!(setup.post(INFER, question("logged", 900.0)).await.0, 200);
    timeout(Duration::from_secs(10), setup.stop()).await.unwrap();
    assert_eq!(setup.logged().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_under_concurrent_clients_lose_no_request() {
    let mut setup = Setup::new(Some("1.3.2")).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..4 {
        let (done, url) = (Arc::clone(&done), format!("{}{INFER}", setup.url()));
        clients.spawn(async move {
            let http = reqwest_client();
            let mut sent = 0_u64;
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let response =
                    http.post(&url).json(&question(&format!("{client}-{sent}"), 10.0)).send().await.unwrap();
                assert_eq!(response.status(), 200);
                let answer: Value = response.json().await.unwrap();
                // One version decides a request as a whole.
                let expected = if answer["model_version"] == "1.4.0" { "decline" } else { "approve" };
                assert_eq!(decisions(&answer), [expected], "{answer}");
                seen.push(answer["model_version"].as_str().unwrap().to_owned());
                sent += 1;
            }
            (sent, seen)
        });
    }
    for version in ["1.4.0", "1.3.2"].repeat(10) {
        fraud::train::deploy(&setup.layout, version).unwrap();
        assert_eq!(setup.post("/v2/repository/models/fraud/load", json!({})).await.0, 200);
        sleep(Duration::from_millis(30)).await;
    }
    done.store(true, Ordering::Relaxed);
    let results = clients.join_all().await;
    let sent: u64 = results.iter().map(|(sent, _)| sent).sum();
    for version in ["1.4.0", "1.3.2"] {
        assert!(
            results.iter().any(|(_, seen)| seen.iter().any(|other| other == version)),
            "{version} never answered"
        );
    }
    assert!(sent > 40, "{sent} requests are no test");
    setup.stop().await;
    assert_eq!(setup.logged().len() as u64, sent);
}

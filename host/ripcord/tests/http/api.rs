use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::http::support::{host, host_with};

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let host = host().await;
    for path in [
        "services/nobody",
        "incidents/fraud-api:9",
        "incidents/nobody:1",
        "incidents/fraud-api:9/wait",
        "nothing",
    ] {
        let (status, problem) = host.ask("vera", Method::GET, path, None).await;
        assert_eq!(status, 404, "{path}: {problem}");
    }
    for path in [
        "services/..",
        "services/a%2Fb",
        "incidents/%20",
        "services/fraud-api?live=maybe",
        "incidents?limit=-1",
    ] {
        let (status, problem) = host.ask("vera", Method::GET, path, None).await;
        assert!(status == 400 || status == 404, "{path}: {status} {problem}");
    }
    let (status, problem) =
        host.post("olga", "services/fraud-api/pull", json!({"to": "9.9.9", "reason": "x"})).await;
    assert_eq!(status, 404, "{problem}");
    let (status, problem) = host.post("olga", "incidents/fraud-api:1/abort", json!({"reason": "x"})).await;
    assert_eq!(status, 409, "{problem}");
}

#[tokio::test]
async fn a_service_says_how_it_is() {
    let host = host().await;
    let listed = host.get("services").await;
    assert_eq!(listed[0]["name"], "fraud-api");
    assert_eq!(listed[0]["mode"], "ask");
    assert_eq!(listed[0]["live"], json!(null), "live is read only where it is asked for");
    let service = host.get("services/fraud-api?live=true").await;
    assert_eq!(service["live"]["state"], "1.4.0");
    assert_eq!(service["live"]["proof"], "control-plane");
}

#[tokio::test]
async fn adopt_pause_and_resume() {
    let host = host().await;
    let (status, body) = host
        .post("adam", "services/fraud-api/adopt", json!({"revision": "1.3.2", "reason": "ran for a year"}))
        .await;
    assert_eq!(status, 200, "{body}");
    let service = host.get("services/fraud-api").await;
    assert_eq!(service["versions"][0]["standing"], "attested", "{service}");
    let (status, body) =
        host.post("olga", "services/fraud-api/pause", json!({"reason": "maintenance"})).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(host.get("services/fraud-api").await["paused_by"], "olga");
    let (status, body) = host.post("olga", "services/fraud-api/pause", json!({"reason": "again"})).await;
    assert_eq!(status, 409, "{body}");
    let (status, all) = host.post("olga", "pause", json!({"reason": "everything"})).await;
    assert_eq!((status, &all[0]["done"]), (200, &json!(true)), "it is as asked already: {all}");
    let (status, all) = host.post("olga", "resume", json!({"reason": "over"})).await;
    assert_eq!((status, &all[0]["service"]), (200, &json!("fraud-api")));
    assert_eq!(host.get("services/fraud-api").await["paused_by"], json!(null));
}

#[tokio::test]
async fn an_incident_can_be_read_listed_and_aborted() {
    let host = host().await;
    let (incident, plan) = host.waiting().await;
    let view = host.get(&format!("incidents/{incident}")).await;
    assert_eq!(view["requested_by"], json!(["olga"]), "{view}");
    let shown = host.get(&format!("incidents/{incident}/plan")).await;
    assert_eq!(shown["digest"], json!(plan));
    let read: ripcord_core::plan::Plan = serde_json::from_value(shown["plan"].clone()).unwrap();
    assert_eq!(read.digest().unwrap().to_string(), plan, "what is shown is what is signed");
    let listed = host.get("incidents?service=fraud-api&limit=5").await;
    assert_eq!(listed[0]["id"], json!(incident));
    let (status, body) =
        host.post("olga", &format!("incidents/{incident}/abort"), json!({"reason": "false alarm"})).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(host.until(&incident, "settled").await["outcome"], "aborted");
}

#[tokio::test]
async fn what_is_said_of_an_incident_that_is_over_is_refused_while_the_next_is_open() {
    let host = host().await;
    let (first, _) = host.waiting().await;
    let said = json!({"reason": "false alarm"});
    assert_eq!(host.post("olga", &format!("incidents/{first}/abort"), said.clone()).await.0, 200);
    let (second, _) = host.waiting().await;
    let answer = json!({"happened": "not-applied", "reason": "I looked"});
    for (verb, sent) in [("abort", said.clone()), ("dismiss", said), ("answer", answer)] {
        let (status, problem) = host.post("olga", &format!("incidents/{first}/{verb}"), sent).await;
        assert_eq!(status, 409, "{verb}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("`{first}` is not open: `{second}` is")), "{detail}");
    }
    let state = host.get(&format!("incidents/{second}/wait?seconds=0")).await;
    assert_eq!(state["phase"], "waiting for approval");
    // A pull that was meant for the first does not join the second.
    let pull = json!({"to": "1.3.2", "reason": "x", "incident": first});
    assert_eq!(host.post("olga", "services/fraud-api/pull", pull).await.0, 409);
}

#[tokio::test]
async fn waiting_ends_when_the_phase_changes_and_not_before() {
    let host = host().await;
    let (incident, plan) = host.waiting().await;
    let began = Instant::now();
    let still = host.get(&format!("incidents/{incident}/wait?seconds=1")).await;
    assert_eq!(still["phase"], "waiting for approval");
    assert!(began.elapsed() >= Duration::from_millis(900));
    // What was seen before is another phase: there is nothing to wait for.
    let began = Instant::now();
    host.get(&format!("incidents/{incident}/wait?seconds=30&phase=planning")).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    let path = format!("incidents/{incident}/wait?seconds=30");
    let refuse = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        host.post("abel", &format!("incidents/{incident}/refuse"), json!({"plan": plan, "reason": "no"}))
            .await
    };
    let (changed, (status, _)) = tokio::join!(host.get(&path), refuse);
    assert_eq!((status, &changed["outcome"]), (200, &json!("refused")));
}

#[tokio::test]
async fn observing_shifts_nothing() {
    let host = host_with("observe", "[]").await;
    let (_, done) = host.post("olga", "services/fraud-api/pull", json!({"to": "1.3.2", "reason": "x"})).await;
    let settled = host.until(done["incident"].as_str().unwrap(), "settled").await;
    assert_eq!(settled["outcome"], "observed");
    assert_eq!(std::fs::read_to_string(host.folder.path().join("live")).unwrap(), "1.4.0");
}

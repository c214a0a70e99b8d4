//! MLflow's registry as a source of signals.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::http::support::{Host, body, host};

/// As a server of release 3 sent it, for this model.
const MOVED: &str = r#"{"entity": "model_version_alias", "action": "created", "timestamp": "2026-11-22T19:12:34.516043+00:00",
    "data": {"name": "fraud", "alias": "champion", "version": "2"}}"#;

struct Delivery<'a> {
    id: &'a str,
    at: u64,
    key: &'a str,
    body: &'a str,
}

#[expect(clippy::disallowed_methods, reason = "the host under test uses the system's clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn deliver(host: &Host, delivery: Delivery<'_>) -> (u16, Value) {
    let Delivery { id, at, key, body: sent } = delivery;
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("{id}.{at}.{sent}").as_bytes());
    let code = STANDARD.encode(mac.finalize().into_bytes());
    let request = host.http.post(format!("{}/hooks/mlflow", host.url));
    let request = request
        .header("X-MLflow-Delivery-Id", id)
        .header("X-MLflow-Timestamp", at.to_string())
        .header("X-MLflow-Signature", format!("v1,{code}"))
        .body(sent.to_owned());
    let (status, body) = body(request.send().await.unwrap()).await;
    (status.as_u16(), body)
}

#[tokio::test]
async fn a_moved_alias_is_taken_in_once_and_finds_its_service() {
    let host = host().await;
    let moved = |id| Delivery { id, at: now(), key: "key", body: MOVED };
    let (status, intake) = deliver(&host, moved("d-1")).await;
    assert_eq!((status, &intake["accepted"], &intake["unrouted"]), (200, &json!(1), &json!(0)), "{intake}");
    let (_, intake) = deliver(&host, moved("d-1")).await;
    assert_eq!((&intake["accepted"], &intake["repeated"]), (&json!(0), &json!(1)), "a retry keeps its id");
    let (_, intake) = deliver(&host, moved("d-2")).await;
    assert_eq!(intake["accepted"], 1, "another delivery of the same words is another event");
}

#[tokio::test]
async fn what_mlflow_did_not_sign_is_refused() {
    let host = host().await;
    for (what, at, key, expected) in [
        ("another secret", now(), "kez", "no `v1` signature matches"),
        ("an old one", now() - 120, "key", "outside the time window"),
        ("of the future", now() + 120, "key", "outside the time window"),
    ] {
        let (status, problem) = deliver(&host, Delivery { id: "d-1", at, key, body: MOVED }).await;
        assert_eq!(status, 401, "{what}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{what}: {problem}");
    }
    let bare = host.http.post(format!("{}/hooks/mlflow", host.url)).body(MOVED);
    assert_eq!(body(bare.send().await.unwrap()).await.0, 401, "without any of the headers");
    assert_eq!(host.get("signals/unrouted").await, json!([]));
    let (status, problem) = deliver(&host, Delivery { id: "d-1", at: now(), key: "key", body: "[]" }).await;
    assert_eq!(status, 400, "{problem}");
    let listed = host.get("signals/unrouted").await;
    assert_eq!(listed.as_array().unwrap().len(), 1, "what it signed and cannot be read is listed: {listed}");
}

#[tokio::test]
async fn an_event_that_says_nothing_of_production_is_no_signal() {
    let host = host().await;
    let created = r#"{"entity": "registered_model", "action": "created", "timestamp": "2026-11-22T19:12:34+00:00", "data": {"name": "fraud"}}"#;
    let (status, intake) = deliver(&host, Delivery { id: "d-1", at: now(), key: "key", body: created }).await;
    assert_eq!((status, &intake["accepted"]), (200, &json!(0)), "{intake}");
}

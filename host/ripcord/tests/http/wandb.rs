//! Automations of W&B as a source of signals.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::http::support::{Host, body, host};

/// What the payload of `alerts_wandb/README.md` becomes.
fn moved(version: &str) -> String {
    json!({
        "event_type": "ADD_ARTIFACT_ALIAS", "event_author": "ada", "alias": "production", "tag": "",
        "artifact_version": "wandb-artifact://_id/QXJ0aWZhY3Q6NTE3ODg5ODg3",
        "artifact_version_string": format!("acme/wandb-registry-model/fraud:{version}"),
        "artifact_collection_name": "fraud", "project_name": "wandb-registry-model", "entity_name": "acme",
    })
    .to_string()
}

async fn deliver(host: &Host, sent: &str, key: &str, token: &str) -> (u16, Value) {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(sent.as_bytes());
    let code = STANDARD.encode(mac.finalize().into_bytes());
    let request = host.http.post(format!("{}/hooks/wandb", host.url));
    let request = request.bearer_auth(token).header("X-Wandb-Signature", code).body(sent.to_owned());
    let (status, body) = body(request.send().await.unwrap()).await;
    (status.as_u16(), body)
}

#[tokio::test]
async fn a_moved_alias_is_taken_in_and_finds_its_service() {
    let host = host().await;
    let (status, intake) = deliver(&host, &moved("v3"), "key", "tok-123").await;
    assert_eq!((status, &intake["accepted"], &intake["unrouted"]), (200, &json!(1), &json!(0)), "{intake}");
    let (_, intake) = deliver(&host, &moved("v3"), "key", "tok-123").await;
    assert_eq!(
        (&intake["accepted"], &intake["repeated"]),
        (&json!(0), &json!(1)),
        "the same words are the same event"
    );
    let (_, intake) = deliver(&host, &moved("v4"), "key", "tok-123").await;
    assert_eq!(intake["accepted"], 1, "{intake}");
}

#[tokio::test]
async fn what_w_and_b_did_not_sign_is_refused() {
    let host = host().await;
    for (what, key, token, expected) in [
        ("another secret", "kez", "tok-123", "does not match the body"),
        ("another token", "key", "tok-124", "the bearer token is wrong"),
    ] {
        let (status, problem) = deliver(&host, &moved("v3"), key, token).await;
        assert_eq!(status, 401, "{what}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{what}: {problem}");
    }
    let bare = host.http.post(format!("{}/hooks/wandb", host.url)).bearer_auth("tok-123").body(moved("v3"));
    let (status, problem) = body(bare.send().await.unwrap()).await;
    assert_eq!(status.as_u16(), 401, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("`X-Wandb-Signature` is missing"), "{problem}");
    assert_eq!(host.get("signals/unrouted").await, json!([]));
}

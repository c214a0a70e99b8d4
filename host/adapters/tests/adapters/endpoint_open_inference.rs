//! Trials through an endpoint, with answers as a real MLServer 1.7 gave them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ripcord_adapters::Secret;
use ripcord_adapters::endpoint_open_inference::{OpenInferenceEndpoint, OpenInferenceEndpointConfig};
use ripcord_core::fact::Payload;
use ripcord_ports::deployer::Beside;
use ripcord_ports::endpoint::SignatureCheck;
use ripcord_ports::requests::TrialInput;
use ripcord_ports::{Endpoint, ErrorKind};
use serde_json::{Value, json};

use crate::adapters::support::{Server, fixture, shared, target};

async fn answer(request: Request) -> Response {
    assert_eq!(request.headers()["ripcord-trial"], "trial-7");
    assert_eq!(request.headers()["authorization"], "Bearer hunter2");
    assert!(request.headers()["user-agent"].to_str().unwrap().starts_with("ripcord/"));
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body,
        json!({"id": "golden-1", "inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}]})
    );
    fixture("mlserver/infer-v1.json").into_response()
}

/// Closes the connection of every first request without an answer.
async fn closing(State(asked): State<Arc<AtomicU32>>) -> Response {
    if asked.fetch_add(1, Ordering::SeqCst) % 2 == 0 {
        return Response::builder().header("content-length", "1000").body("{".into()).unwrap();
    }
    fixture("mlserver/infer-v1.json").into_response()
}

/// Two versions take turns.
async fn turning(State(asked): State<Arc<AtomicU32>>) -> Response {
    let name = if asked.fetch_add(1, Ordering::SeqCst) % 2 == 0 { "infer-proba" } else { "infer-proba-v2" };
    fixture(&format!("mlserver/{name}.json")).into_response()
}

async fn metadata(Path(model): Path<String>) -> Json<Value> {
    let inputs = match model.as_str() {
        "iris" => json!([{"name": "x", "datatype": "FP64", "shape": [-1, 4]}]),
        "wide" => json!([{"name": "x", "datatype": "FP64", "shape": [-1, 5]}]),
        _ => json!([]),
    };
    Json(
        json!({"name": model, "versions": [], "platform": "", "inputs": inputs, "outputs": [], "parameters": {}}),
    )
}

async fn rig(output: Option<&str>) -> (Server, OpenInferenceEndpoint) {
    let router = Router::new()
        .route("/v2/models/iris/infer", post(answer))
        .route("/v2/models/iris-preflight/infer", post(fixture("mlserver/infer-proba-v2.json")))
        .route("/v2/models/closing/infer", post(closing))
        .route("/v2/models/turning/infer", post(turning))
        .route("/v2/models/{model}", get(metadata))
        .with_state(Arc::default());
    let server = Server::start(router).await;
    let config = OpenInferenceEndpointConfig {
        url: server.url(""),
        model: "iris".into(),
        output: output.map(str::to_owned),
        deadline_ms: 5_000,
    };
    let endpoint = OpenInferenceEndpoint::new(config, Some(Secret::new("hunter2")), &shared()).unwrap();
    (server, endpoint)
}

fn input(body: &str) -> TrialInput {
    TrialInput { id: "golden-1".into(), body: body.into() }
}

const INPUTS: &str = r#"[{"name":"x","shape":[1],"datatype":"FP64","data":[1]}]"#;

#[tokio::test]
async fn an_answer_is_a_payload_with_the_version_that_gave_it() {
    let (_server, endpoint) = rig(Some("predict")).await;
    let reply = endpoint.infer(&input(INPUTS), None, "trial-7").await.unwrap();
    let Payload::Tensors(tensors) = reply.output else { panic!("{:?}", reply.output) };
    assert_eq!((tensors[0].datatype.as_str(), &tensors[0].data[..]), ("INT64", &[0.0, 2.0][..]));
    assert_eq!(reply.answered_by, Some(target("v1", None)));
    assert!(reply.latency_us > 0);
}

#[tokio::test]
async fn what_cannot_be_sent_or_judged_is_an_error() {
    let (_server, endpoint) = rig(Some("score")).await;
    let error = endpoint.infer(&input("{"), None, "trial-7").await.unwrap_err();
    assert!(error.kind == ErrorKind::Configuration && error.to_string().contains("`golden-1`"), "{error}");
    let error = endpoint.infer(&input(INPUTS), None, "trial-7").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::BadAnswer
            && error.to_string().contains("no output `score`; it has `predict`"),
        "{error}"
    );
}

fn beside(address: &str) -> Beside {
    Beside { version: target("v2", None), address: address.into() }
}

#[tokio::test]
async fn a_candidate_beside_is_asked_at_its_address() {
    let (_server, endpoint) = rig(None).await;
    let reply = endpoint.infer(&input(INPUTS), Some(&beside("iris-preflight")), "trial-7").await.unwrap();
    assert_eq!(reply.answered_by, Some(target("v2", None)));
    let error = endpoint.infer(&input(INPUTS), Some(&beside("gone")), "trial-7").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn signatures_are_compared_with_what_the_server_tells() {
    let (_server, endpoint) = rig(None).await;
    let kept = r#"[{"type":"tensor","tensor-spec":{"dtype":"float64","shape":[-1,4]}}]"#;
    assert_eq!(endpoint.compare_signature(kept, None).await.unwrap(), SignatureCheck::Same);
    let wide = endpoint.compare_signature(kept, Some(&beside("wide"))).await.unwrap();
    assert!(matches!(&wide, SignatureCheck::Differs(found) if found[0].contains("[-1, 5]")), "{wide:?}");
    let silent = endpoint.compare_signature(kept, Some(&beside("silent"))).await.unwrap();
    assert!(matches!(silent, SignatureCheck::Unknown(_)), "{silent:?}");
}

#[tokio::test]
async fn a_fingerprint_is_of_inputs_and_answers_of_one_version() {
    let (_server, endpoint) = rig(None).await;
    let row = |id: &str, body: &str| TrialInput { id: id.into(), body: body.into() };
    let rows = [input(INPUTS), input(INPUTS)];
    let of = async |rows: &[TrialInput], at: Option<&Beside>| endpoint.fingerprint(rows, at, "trial-7").await;
    let live = of(&rows, None).await.unwrap();
    assert_eq!(
        (live.answered_by.clone(), of(&rows, None).await.unwrap()),
        (Some(target("v1", None)), live.clone())
    );
    let candidate = beside("iris-preflight");
    let other = of(&rows, Some(&candidate)).await.unwrap();
    assert_eq!(other.answered_by, Some(target("v2", None)));
    let others = [
        other.digest,
        of(&rows[..1], None).await.unwrap().digest,
        of(&[row("another", INPUTS)], Some(&candidate)).await.unwrap().digest,
        of(&[row("another", "[]")], Some(&candidate)).await.unwrap().digest,
    ];
    assert!(others.iter().all(|digest| *digest != live.digest));
    assert_ne!(others[2], others[3], "the inputs are part of it");
    let error = of(&rows, Some(&beside("turning"))).await.unwrap_err();
    assert!(error.kind == ErrorKind::Conflict && error.to_string().contains("several versions"), "{error}");
    assert_eq!(of(&[], None).await.unwrap_err().kind, ErrorKind::Configuration);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_not_a_row_that_failed() {
    let (_server, endpoint) = rig(None).await;
    for _ in 0..2 {
        let reply = endpoint.infer(&input(INPUTS), Some(&beside("closing")), "trial-7").await.unwrap();
        assert_eq!(reply.answered_by, Some(target("v1", None)));
    }
}

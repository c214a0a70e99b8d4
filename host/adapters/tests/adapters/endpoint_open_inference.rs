//! Trials through an endpoint, with answers as a real MLServer 1.7 gave them.

use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use ripcord_adapters::Secret;
use ripcord_adapters::endpoint_open_inference::{OpenInferenceEndpoint, OpenInferenceEndpointConfig};
use ripcord_core::fact::Payload;
use ripcord_ports::requests::TrialInput;
use ripcord_ports::{Endpoint, ErrorKind};
use serde_json::{Value, json};

use crate::support::{Server, fixture, shared, target};

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

async fn versioned(Path(version): Path<String>) -> Response {
    match version.as_str() {
        "v2" => fixture("mlserver/infer-proba-v2.json").into_response(),
        _ => {
            let error = json!({"error": format!("Model iris with version {version} not found")});
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
    }
}

async fn rig(output: Option<&str>) -> (Server, OpenInferenceEndpoint) {
    let router = Router::new()
        .route("/v2/models/iris/infer", post(answer))
        .route("/v2/models/iris/versions/{version}/infer", post(versioned));
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
async fn a_candidate_is_asked_under_its_version() {
    let (_server, endpoint) = rig(None).await;
    let reply = endpoint.infer(&input(INPUTS), Some(&target("v2", None)), "trial-7").await.unwrap();
    assert_eq!(reply.answered_by, Some(target("v2", None)));
    let error = endpoint.infer(&input(INPUTS), Some(&target("v3", None)), "trial-7").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.to_string().contains("Model iris with version v3 not found"), "{error}");
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

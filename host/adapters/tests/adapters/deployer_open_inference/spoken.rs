//! What is live, as different servers of the protocol say it: KServe writes `null` for what it does not have and has no index, Triton lists what it never
//! loaded by its name alone and answers a request for it with 400.

use std::path::Path;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ripcord_adapters::deployer_open_inference::{OpenInferenceDeployer, OpenInferenceDeployerConfig};
use ripcord_adapters::endpoint_open_inference::{OpenInferenceEndpoint, OpenInferenceEndpointConfig};
use ripcord_core::live::LiveState;
use ripcord_ports::endpoint::SignatureCheck;
use ripcord_ports::{Deployer, Endpoint, ErrorKind};
use serde_json::{Value, json};

use crate::adapters::support::{Server, shared};

/// What a server answers; none is 404.
#[derive(Clone, Default)]
struct Answers {
    index: Option<Value>,
    metadata: Option<Value>,
    infer: Option<(u16, Value)>,
}

async fn answer(State(answers): State<Answers>, request: Request) -> Response {
    let path = request.uri().path();
    let found = match path {
        "/v2/repository/index" => answers.index.map(|body| (200, body)),
        "/v2/models/m" => answers.metadata.map(|body| (200, body)),
        "/v2/models/m/infer" => answers.infer,
        other => panic!("{other}"),
    };
    let (status, body) = found.unwrap_or((404, json!({"detail": "Not Found"})));
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

async fn served(answers: Answers) -> Server {
    Server::start(Router::new().fallback(answer).with_state(answers)).await
}

async fn live(answers: &Answers, probe: bool) -> LiveState {
    let server = served(answers.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    deployer(&server, folder.path(), probe).live().await.unwrap().state
}

fn deployer(server: &Server, folder: &Path, probe: bool) -> OpenInferenceDeployer {
    let config = OpenInferenceDeployerConfig {
        url: server.url(""),
        model: "m".into(),
        model_directory: folder.join("m"),
        deadline_ms: 5_000,
        probe_input: probe.then(|| json!([])),
        probe_input_file: None,
        answers: 2,
        write: Default::default(),
        preflight_model: None,
    };
    OpenInferenceDeployer::new(config, None, &shared()).unwrap()
}

fn unknown(state: &LiveState) -> &str {
    match state {
        LiveState::Unknown(why) => why,
        other => panic!("{other}"),
    }
}

/// As a server answers that has a model and does not name its version.
fn nameless() -> (u16, Value) {
    (200, json!({"model_name": "m", "model_version": null, "outputs": []}))
}

#[tokio::test]
async fn a_server_without_an_index_is_asked_for_metadata_which_may_name_nothing() {
    let kserve = |versions: Value| Answers {
        metadata: Some(
            json!({"name": "m", "versions": versions, "platform": "", "inputs": null, "outputs": null}),
        ),
        infer: Some(nameless()),
        ..Answers::default()
    };
    for versions in [Value::Null, json!([])] {
        let state = live(&kserve(versions.clone()), false).await;
        assert!(unknown(&state).contains("its metadata names no version"), "{state}");
        let state = live(&kserve(versions), true).await;
        assert!(unknown(&state).contains("name no `model_version`"), "{state}");
    }
    assert_eq!(live(&kserve(json!(["7"])), false).await.to_string(), "7");
    let absent = Answers { metadata: Some(json!({"name": "m"})), ..Answers::default() };
    let state = live(&absent, true).await;
    assert!(unknown(&state).contains("tells of the model `m`"), "{state}");
    let state = live(&Answers::default(), true).await;
    assert!(unknown(&state).contains("check the address"), "{state}");
}

#[tokio::test]
async fn a_line_of_the_index_without_a_state_is_not_ready() {
    let other = json!({"name": "other", "version": "1", "state": "READY"});
    let index = |lines: &[Value]| Answers {
        index: Some(lines.iter().chain([&other]).cloned().collect()),
        infer: Some((400, json!({"error": "Request for unknown model: 'm' is not found"}))),
        ..Answers::default()
    };
    let nothing = LiveState::Serving(Vec::new());
    let (bare, unloaded) = (
        json!({"name": "m"}),
        json!({"name": "m", "version": "4", "state": "UNAVAILABLE", "reason": "unloaded"}),
    );
    for lines in [vec![bare.clone()], vec![unloaded.clone()], vec![bare.clone(), unloaded.clone()]] {
        assert_eq!(live(&index(&lines), false).await, nothing, "{lines:?}");
        assert_eq!(live(&index(&lines), true).await, nothing, "{lines:?}");
        let refused = Answers { infer: Some((404, json!({"error": "x"}))), ..index(&lines) };
        assert_eq!(live(&refused, true).await, nothing, "{lines:?}");
    }
    let ready = json!({"name": "m", "version": "5", "state": "READY", "reason": ""});
    assert_eq!(live(&index(&[unloaded.clone(), ready.clone()]), false).await.to_string(), "5");
    let state = live(&index(&[ready]), true).await;
    assert!(unknown(&state).contains("lists `m` as ready"), "{state}");
    let state = live(&index(&[json!({"name": "m", "version": "3", "state": null})]), false).await;
    assert!(unknown(&state).contains("`3` of `m` and not whether it is ready"), "{state}");
    // Another mistake with 400 says nothing about the model.
    let shape = json!({"error": "unexpected shape for input 'x'"});
    let state = live(&Answers { infer: Some((400, shape)), ..index(&[unloaded]) }, true).await;
    assert!(unknown(&state).contains("unexpected shape"), "{state}");
}

#[tokio::test]
async fn only_the_word_that_says_so_proves_that_nothing_is_served() {
    let at = |version: Value, state: Value| json!([{"name": "m", "version": version, "state": state}]);
    let seen = async |index: Value| live(&Answers { index: Some(index), ..Answers::default() }, false).await;
    for (state, expected) in [
        ("LOADING", "which is being loaded or dropped"),
        ("UNLOADING", "which is being loaded or dropped"),
        ("UNKNOWN", "which is being loaded or dropped"),
        ("AVAILABLE", "in the state `AVAILABLE`, which the protocol does not have"),
        ("", "and not whether it is ready"),
    ] {
        let state = seen(at(json!("5"), json!(state))).await;
        assert!(unknown(&state).contains(expected), "{state}");
    }
    let nothing = LiveState::Serving(Vec::new());
    assert_eq!(seen(at(json!("5"), json!("unavailable"))).await, nothing);
    assert_eq!(seen(at(json!(""), json!(""))).await, nothing, "a line that is a name alone");
    for (index, expected) in [
        (at(json!("5"), json!("ready")), "5"),
        (at(json!(5), json!("READY")), "5"),
        // Twice the same.
        (
            json!([{"name": "m", "version": "5", "state": "READY"}, {"name": "m", "version": "5", "state": "READY"}]),
            "5",
        ),
        (
            json!([{"name": "m", "version": "5", "state": "LOADING"}, {"name": "m", "version": "4", "state": "READY"}]),
            "4",
        ),
    ] {
        assert_eq!(seen(index.clone()).await.to_string(), expected, "{index}");
    }
    assert!(unknown(&seen(Value::Null).await).contains("0 versions"));
}

#[tokio::test]
async fn a_model_of_another_spelling_is_told_with_both() {
    for name in ["M", " m", "m "] {
        let index = json!([{"name": name, "version": "1", "state": "READY"}]);
        let server = served(Answers { index: Some(index), ..Answers::default() }).await;
        let folder = tempfile::tempdir().unwrap();
        let error = deployer(&server, folder.path(), true).live().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains(&format!("the model `{name}`, and `model` is `m`")), "{error}");
    }
}

#[tokio::test]
async fn a_signature_is_compared_whatever_else_is_null() {
    const KEPT: &str = r#"[{"type":"tensor","tensor-spec":{"dtype":"float64","shape":[-1,4]}}]"#;
    for (inputs, expected) in [
        (json!([{"name": "x", "datatype": "FP64", "shape": [-1, 4]}]), "same"),
        (json!([{"name": "x", "datatype": "FP64", "shape": ["-1", "4"], "parameters": null}]), "same"),
        (json!([{"name": "x", "datatype": "FP64", "shape": [-1, 5]}]), "differs"),
        (Value::Null, "unknown"),
        (json!("no metadata at all"), "unknown"),
    ] {
        let metadata = json!({"name": "m", "versions": null, "platform": null, "inputs": inputs});
        let metadata = Some(metadata).filter(|_| !inputs.is_string());
        let server = served(Answers { metadata, ..Answers::default() }).await;
        let config = OpenInferenceEndpointConfig {
            url: server.url(""),
            model: "m".into(),
            output: None,
            deadline_ms: 5_000,
        };
        let endpoint = OpenInferenceEndpoint::new(config, None, &shared()).unwrap();
        let said = match endpoint.compare_signature(KEPT, None).await.unwrap() {
            SignatureCheck::Same => "same",
            SignatureCheck::Differs(_) => "differs",
            SignatureCheck::Unknown(_) => "unknown",
        };
        assert_eq!(said, expected, "{inputs}");
    }
}

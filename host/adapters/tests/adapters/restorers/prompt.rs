//! A prompt whose alias, versions or server are not as they should be, on a server that answers in MLflow's words. What real ones do, `tests/mlflow/prompts.rs` shows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ripcord_adapters::RestorerSecrets;
use ripcord_adapters::restorer_mlflow_prompt::{MlflowPromptRestorer, MlflowPromptRestorerConfig};
use ripcord_ports::{Applied, ErrorKind, Restorer};
use serde_json::{Value, json};

use super::{order, told};
use crate::adapters::support::{Server, shared};

/// What the server has of one prompt; none where it has no such prompt.
#[derive(Default)]
struct Prompt {
    versions: BTreeMap<u32, Option<&'static str>>,
    alias: Option<u32>,
    is_gone: bool,
    moves: u32,
}

type Shared = State<Arc<Mutex<Prompt>>>;

fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

fn refused(status: u16, code: &str, message: &str) -> Response {
    answer(status, json!({ "error_code": code, "message": message }))
}

fn version(number: u32, text: Option<&str>) -> Value {
    let tags: Vec<Value> =
        text.iter().map(|text| json!({"key": "mlflow.prompt.text", "value": text})).collect();
    json!({"name": "judge", "version": number.to_string(), "creation_timestamp": 1_000 + number, "tags": tags})
}

async fn play(State(prompt): Shared, method: Method, uri: Uri, body: Bytes) -> Response {
    let mut prompt = prompt.lock().unwrap();
    let call = uri.path().strip_prefix("/api/2.0/mlflow/").unwrap_or_default();
    if call == "model-versions/search" {
        let all = prompt.versions.iter().rev().map(|(number, text)| version(*number, *text));
        let all: Vec<Value> = all.filter(|_| !prompt.is_gone).collect();
        return answer(200, json!({ "model_versions": all }));
    }
    if prompt.is_gone {
        return refused(404, "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=judge not found");
    }
    match (method.as_str(), call) {
        ("GET", "registered-models/alias") => match prompt.alias {
            // As MLflow says it, and so does a store that forgets a version and not its alias.
            None => refused(400, "INVALID_PARAMETER_VALUE", "Registered model alias production not found."),
            Some(number) => match prompt.versions.get(&number) {
                Some(text) => answer(200, json!({ "model_version": version(number, *text) })),
                None => refused(404, "RESOURCE_DOES_NOT_EXIST", "Model Version not found"),
            },
        },
        ("GET", "registered-models/get") => {
            let aliases: Vec<Value> = prompt
                .alias
                .iter()
                .map(|at| json!({"alias": "production", "version": at.to_string()}))
                .collect();
            answer(200, json!({"registered_model": {"name": "judge", "aliases": aliases}}))
        }
        ("POST", "registered-models/alias") => {
            let body: Value = serde_json::from_slice(&body).unwrap();
            prompt.alias = Some(body["version"].as_str().unwrap().parse().unwrap());
            prompt.moves += 1;
            answer(200, json!({}))
        }
        other => panic!("{other:?}"),
    }
}

fn restorer_at(url: &str) -> MlflowPromptRestorer {
    let text = format!("url = \"{url}\"\nprompt = \"judge\"\nalias = \"production\"\npatience-ms = 0");
    let config: MlflowPromptRestorerConfig = toml::from_str(&text).unwrap();
    MlflowPromptRestorer::new(config, RestorerSecrets::default(), &shared()).unwrap()
}

async fn served() -> (Server, Arc<Mutex<Prompt>>, MlflowPromptRestorer) {
    let versions = [(1, Some("Yes or no.")), (2, Some("Yes.")), (3, Some("Well."))].into();
    let prompt = Arc::new(Mutex::new(Prompt { versions, alias: Some(2), ..Prompt::default() }));
    let server = Server::start(Router::new().fallback(play).with_state(Arc::clone(&prompt))).await;
    let restorer = restorer_at(&server.url(""));
    (server, prompt, restorer)
}

/// What is in force is unknown, for a reason that says what to do; nothing is moved by who expects another state, and where nobody does the alias is set again.
#[tokio::test]
async fn an_alias_that_points_at_nothing_says_so_and_can_be_set_again() {
    type Spoil = fn(&mut Prompt);
    let spoilt: [(Spoil, &str); 4] = [
        (
            |prompt| prompt.alias = None,
            "the prompt `judge` has no alias `production`: it was deleted, or never set; point it at the version that the service is to work with",
        ),
        (
            |prompt| prompt.versions.retain(|number, _| *number != 2),
            "the alias `production` of `judge` points at `2`, which is no version that mlflow has: it was deleted; have the service work with one that is there, which are `3`, `1`",
        ),
        (
            |prompt| prompt.alias = Some(9),
            "points at `9`, which is no version that mlflow has: it was deleted; have the service work with one that is there, which are `3`, `2`, `1`",
        ),
        (
            |prompt| prompt.versions.extend([(2, None)]),
            "points at `2`, which cannot be used: it has no tag `mlflow.prompt.text`, which holds a prompt's text: register it again",
        ),
    ];
    for (spoil, expected) in spoilt {
        let (_server, prompt, restorer) = served().await;
        assert_eq!(told(&restorer).await, "2 (control plane only)");
        spoil(&mut prompt.lock().unwrap());
        let found = told(&restorer).await;
        assert!(found.contains(expected), "`{found}` instead of `{expected}`");
        let error = restorer.shift(&order("1", Some("2"))).await.unwrap_err();
        let text = error.to_string();
        assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{text}");
        assert!(text.contains(expected) && text.contains("nothing was changed"), "{text}");
        assert_eq!(prompt.lock().unwrap().moves, 0);
        restorer.shift(&order("1", None)).await.unwrap();
        assert_eq!(told(&restorer).await, "1 (control plane only)");
    }
}

#[tokio::test]
async fn a_version_or_a_prompt_that_was_deleted_is_not_gone_back_to_and_says_why() {
    let (_server, prompt, restorer) = served().await;
    prompt.lock().unwrap().versions.remove(&1);
    let error = restorer.shift(&order("1", Some("2"))).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::NotFound, Applied::No), "{error}");
    assert!(
        error.to_string().contains("there is no revision `1` in the prompt `judge` of mlflow"),
        "{error}"
    );
    prompt.lock().unwrap().versions.clear();
    let found = told(&restorer).await;
    assert!(found.contains("all were deleted; register one, and point the alias at it"), "{found}");
    prompt.lock().unwrap().is_gone = true;
    let error = restorer.in_force().await.unwrap_err();
    assert!(error.to_string().contains("mlflow has no prompt `judge`: check `prompt`"), "{error}");
    assert_eq!(prompt.lock().unwrap().moves, 0);
    let error = restorer_at("http://127.0.0.1:1").shift(&order("3", Some("2"))).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Unreachable, Applied::No), "{error}");
    assert!(error.to_string().contains("check that the system runs"), "{error}");
}

//! A server that answers as real ones did.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use reqwest::Url;
use ripcord_adapters::registry_mlflow::{MlflowRegistry, MlflowRegistryConfig};
use serde_json::{Value, json};

use super::taken_in::TakenIn;
use crate::adapters::support::{Server, fixture, shared};

/// Answers as recorded, but for what a test puts before it.
#[derive(Debug)]
pub(super) struct Replay {
    calls: Vec<Value>,
    /// Answered in this order to the requests that are meant, once each.
    scripted: Mutex<Vec<(String, u16, Value)>>,
    pub(super) seen: Mutex<Vec<(String, String, Option<String>)>>,
    /// What changes since the recording, where changes are taken.
    living: Option<Mutex<Living>>,
}

/// The alias and the tags; a stand-in for what a real server remembers.
#[derive(Debug, Default)]
struct Living {
    champion: Option<String>,
    tags: BTreeMap<String, BTreeMap<String, String>>,
    taken_in: TakenIn,
}

impl Replay {
    pub(super) fn release(number: u32) -> Arc<Self> {
        Arc::new(Self::read(number))
    }

    /// The same, which takes changes of aliases and tags.
    pub(super) fn living(number: u32) -> Arc<Self> {
        Arc::new(Self { living: Some(Mutex::default()), ..Self::read(number) })
    }

    fn read(number: u32) -> Self {
        let calls = serde_json::from_slice(&fixture(&format!("mlflow/release-{number}.json"))).unwrap();
        Self { calls, scripted: Mutex::default(), seen: Mutex::default(), living: None }
    }

    /// The next request that holds `part` in method, path and query is answered so.
    pub(super) fn script(&self, part: &str, status: u16, body: Value) {
        self.scripted.lock().unwrap().push((part.to_owned(), status, body));
    }

    pub(super) fn seen(&self, part: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|(request, _, _)| request.contains(part)).count()
    }

    pub(super) async fn start(self: &Arc<Self>) -> Server {
        Server::start(self.router()).await
    }

    pub(super) async fn start_below(self: &Arc<Self>, path: &str) -> Server {
        Server::start(Router::new().nest_service(path, self.router())).await
    }

    fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(answer).with_state(Arc::clone(self))
    }

    fn call(&self, method: &Method, target: &str) -> Option<&Value> {
        let asked = key(target);
        self.calls.iter().find(|call| {
            let request = &call["request"];
            request["method"] == method.as_str() && key(request["path"].as_str().unwrap()) == asked
        })
    }

    fn recorded(&self, method: &Method, uri: &Uri) -> Option<Response> {
        let response = &self.call(method, &uri.to_string())?["response"];
        let body = match response["body"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => {
                base64::prelude::BASE64_STANDARD.decode(response["body-base64"].as_str().unwrap()).unwrap()
            }
        };
        let status = StatusCode::from_u16(response["status"].as_u64().unwrap() as u16).unwrap();
        let kind = response["headers"]["content-type"].as_str().unwrap_or("application/json").to_owned();
        Some((status, [("content-type", kind)], body).into_response())
    }
}

impl Replay {
    /// A change, or a recorded answer with what was changed since.
    fn alive(&self, method: &Method, uri: &Uri, body: &str) -> Option<Response> {
        let mut living = self.living.as_ref()?.lock().unwrap();
        if let Some(answer) = living.taken_in.answer(method, uri, body.as_bytes()) {
            return Some(answer);
        }
        let path = uri.path().strip_prefix("/api/2.0/mlflow/")?;
        if *method == Method::POST {
            let body: Value = serde_json::from_str(body).unwrap();
            let text = |key: &str| body[key].as_str().unwrap().to_owned();
            assert!(matches!(text("version").as_str(), "1" | "2"), "{body}");
            match path {
                "registered-models/alias" => living.champion = Some(text("version")),
                "model-versions/set-tag" => {
                    living.tags.entry(text("version")).or_default().insert(text("key"), text("value"));
                }
                _ => return None,
            }
            return Some(axum::Json(json!({})).into_response());
        }
        let champion = living.champion.clone().unwrap_or_else(|| "2".to_owned());
        let target = match path {
            "registered-models/alias" if uri.to_string().contains("alias=champion") => {
                format!("/api/2.0/mlflow/model-versions/get?name=fraud&version={champion}")
            }
            _ => uri.to_string(),
        };
        let response = &self.call(method, &target)?["response"];
        let mut answer: Value = serde_json::from_str(response["body"].as_str()?).ok()?;
        if response["status"] != 200 {
            return None;
        }
        match path {
            "registered-models/get" => {
                answer["registered_model"]["aliases"] = json!([{"alias": "champion", "version": champion}]);
            }
            "registered-models/alias" | "model-versions/get" => {
                let version = &mut answer["model_version"];
                living.retag(version);
                let aliases = if version["version"] == champion { json!(["champion"]) } else { json!([]) };
                version["aliases"] = aliases;
            }
            "model-versions/search" => {
                let versions = answer["model_versions"].as_array_mut()?;
                versions.iter_mut().for_each(|version| living.retag(version));
                living.taken_in.put_first(versions);
            }
            _ => return None,
        }
        Some(axum::Json(answer).into_response())
    }
}

impl Living {
    fn retag(&self, version: &mut Value) {
        let Some(changed) = self.tags.get(version["version"].as_str().unwrap()) else { return };
        let mut tags = version["tags"].as_array().cloned().unwrap_or_default();
        tags.retain(|tag| !changed.contains_key(tag["key"].as_str().unwrap()));
        tags.extend(changed.iter().map(|(key, value)| json!({"key": key, "value": value})));
        version["tags"] = tags.into();
    }
}

/// Path and query, whatever their escapes and order. How many results are wanted is no part of it.
fn key(target: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let url = Url::parse(&format!("http://x{target}")).unwrap();
    let path = url.path().split('/').map(|part| {
        let decoded = Url::parse(&format!("http://x/?v={}", part.replace('+', "%2B"))).unwrap();
        decoded.query_pairs().next().unwrap().1.into_owned()
    });
    let query = url.query_pairs().into_owned().filter(|(name, _)| name != "max_results").collect();
    (path.collect(), query)
}

async fn answer(
    State(replay): State<Arc<Replay>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = format!("{method} {uri}");
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let body = String::from_utf8(body.to_vec()).unwrap();
    replay.seen.lock().unwrap().push((request.clone(), body.clone(), authorization));
    let scripted = {
        let mut scripted = replay.scripted.lock().unwrap();
        let found = scripted.iter().position(|(part, _, _)| request.contains(part.as_str()));
        found.map(|index| scripted.remove(index))
    };
    match scripted {
        Some((_, status, Value::String(text))) => {
            (StatusCode::from_u16(status).unwrap(), text).into_response()
        }
        Some((_, status, body)) => (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response(),
        None => replay.alive(&method, &uri, &body).or_else(|| replay.recorded(&method, &uri)).unwrap_or_else(
            || (StatusCode::IM_A_TEAPOT, format!("nothing was recorded for {request}")).into_response(),
        ),
    }
}

pub(super) fn config(url: String) -> MlflowRegistryConfig {
    MlflowRegistryConfig {
        url,
        model: "fraud".into(),
        alias: Some("champion".into()),
        experiment: 0,
        user: None,
        deadline_ms: 2_000,
        patience_ms: 1_500,
        versions_max: 100,
        artefact_bytes_max: 1 << 20,
    }
}

pub(super) fn registry(url: String) -> MlflowRegistry {
    MlflowRegistry::new(config(url), None, &shared()).unwrap()
}

pub(super) async fn replayed(release: u32) -> (Arc<Replay>, Server, MlflowRegistry) {
    let replay = Replay::release(release);
    let server = replay.start().await;
    let registry = registry(server.url(""));
    (replay, server, registry)
}

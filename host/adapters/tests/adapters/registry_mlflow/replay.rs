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
use serde_json::Value;

use crate::support::{Server, fixture, shared};

/// Answers as recorded, but for what a test puts before it.
#[derive(Debug)]
pub(super) struct Replay {
    calls: Vec<Value>,
    /// Answered in this order to the requests that are meant, once each.
    scripted: Mutex<Vec<(String, u16, Value)>>,
    pub(super) seen: Mutex<Vec<(String, String, Option<String>)>>,
}

impl Replay {
    pub(super) fn release(number: u32) -> Arc<Self> {
        let calls = serde_json::from_slice(&fixture(&format!("mlflow/release-{number}.json"))).unwrap();
        Arc::new(Self { calls, scripted: Mutex::default(), seen: Mutex::default() })
    }

    /// The next request that holds `part` in method, path and query is answered so.
    pub(super) fn script(&self, part: &str, status: u16, body: Value) {
        self.scripted.lock().unwrap().push((part.to_owned(), status, body));
    }

    pub(super) fn seen(&self, part: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|(request, _, _)| request.contains(part)).count()
    }

    pub(super) async fn start(self: &Arc<Self>) -> Server {
        Server::start(Router::new().fallback(answer).with_state(Arc::clone(self))).await
    }

    fn recorded(&self, method: &Method, uri: &Uri) -> Option<Response> {
        let asked = key(&uri.to_string());
        let call = self.calls.iter().find(|call| {
            let request = &call["request"];
            request["method"] == method.as_str() && key(request["path"].as_str().unwrap()) == asked
        })?;
        let response = &call["response"];
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
    replay.seen.lock().unwrap().push((request.clone(), body, authorization));
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
        None => replay.recorded(&method, &uri).unwrap_or_else(|| {
            (StatusCode::IM_A_TEAPOT, format!("nothing was recorded for {request}")).into_response()
        }),
    }
}

pub(super) fn config(url: String) -> MlflowRegistryConfig {
    MlflowRegistryConfig {
        url,
        model: "fraud".into(),
        alias: Some("champion".into()),
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

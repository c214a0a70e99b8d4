//! A W&B server of our own, for tests: there is none to be had. Whether it answers as W&B does is judged by W&B's own client, in this suite; what no
//! client tells of the real one (limits, rights, how long a signed address is good) it does not have.

pub(crate) mod graphql;
mod schema;
pub(crate) mod world;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::adapters::support::Server;
use graphql::Document;
use world::World;

pub(crate) const ENTITY: &str = "acme";
pub(crate) const ORGANISATION: &str = "Acme Inc";
pub(crate) const ORG_ENTITY: &str = "acme-inc_org";
/// Of the form that W&B's client takes for one of a server of one's own.
pub(crate) const API_KEY: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const SIGNATURE: &str = "signed";

/// Another answer to an operation than the fake's own.
type Twist = Box<dyn Fn(&str, Value) -> Value + Send>;

/// A running fake. It ends when it is dropped.
pub(crate) struct Wandb {
    server: Server,
    inner: Inner,
}

#[derive(Clone)]
struct Inner {
    world: Arc<Mutex<World>>,
    seen: Arc<Mutex<Seen>>,
    twist: Arc<Mutex<Option<Twist>>>,
}

#[derive(Default)]
struct Seen {
    /// The documents of GraphQL that came.
    documents: BTreeSet<String>,
    /// What was refused, and what was asked for that is not there.
    refused: Vec<String>,
    /// Files that were asked for with credentials.
    leaks: Vec<String>,
}

impl Wandb {
    pub(crate) async fn start() -> Self {
        let inner = Inner { world: Arc::default(), seen: Arc::default(), twist: Arc::default() };
        let router = Router::new()
            .route("/graphql", post(answer))
            .route("/storage/{*blob}", any(storage))
            .route("/files/{entity}/{project}/{run}/file_stream", post(|| async { axum::Json(json!({})) }))
            .fallback(unknown)
            .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
            .with_state(inner.clone());
        let server = Server::start(router).await;
        let fake = Self { server, inner };
        fake.world().url = fake.url();
        fake
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("")
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.inner.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has every answer pass through this.
    pub(crate) fn twist(&self, twist: impl Fn(&str, Value) -> Value + Send + 'static) {
        *self.inner.twist.lock().unwrap() = Some(Box::new(twist));
    }

    pub(crate) fn straight(&self) {
        *self.inner.twist.lock().unwrap() = None;
    }

    pub(crate) fn documents(&self) -> BTreeSet<String> {
        self.inner.seen.lock().unwrap().documents.clone()
    }

    pub(crate) fn refused(&self) -> Vec<String> {
        self.inner.seen.lock().unwrap().refused.clone()
    }

    pub(crate) fn leaks(&self) -> Vec<String> {
        self.inner.seen.lock().unwrap().leaks.clone()
    }
}

fn is_known(headers: &HeaderMap) -> bool {
    let wanted = format!("Basic {}", STANDARD.encode(format!("api:{API_KEY}")));
    headers.get("authorization").is_some_and(|given| given.as_bytes() == wanted.as_bytes())
}

async fn answer(State(inner): State<Inner>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_known(&headers) {
        let error = json!({ "errors": [{ "message": "user is not logged in" }] });
        return (StatusCode::UNAUTHORIZED, axum::Json(error)).into_response();
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = body["query"].as_str().unwrap_or_default();
    let none = Map::new();
    let variables = body["variables"].as_object().unwrap_or(&none);
    let parsed = Document::parse(text);
    let name = parsed.as_ref().map(|document| document.name.clone()).unwrap_or_default();
    let executed = parsed.and_then(|document| {
        inner.seen.lock().unwrap().documents.insert(text.to_owned());
        let root =
            if document.is_mutation { schema::mutation(&inner.world) } else { schema::query(&inner.world) };
        document.execute(&root, variables)
    });
    let answer = match executed {
        Ok(data) => json!({ "data": data }),
        Err(error) => {
            inner.seen.lock().unwrap().refused.push(format!("{name}: {error}"));
            json!({ "errors": [{ "message": error }], "data": null })
        }
    };
    let answer = match &*inner.twist.lock().unwrap() {
        Some(twist) => twist(&name, answer),
        None => answer,
    };
    axum::Json(answer).into_response()
}

async fn storage(
    State(inner): State<Inner>,
    method: Method,
    Path(blob): Path<String>,
    Query(query): Query<std::collections::BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if headers.contains_key("authorization") {
        inner.seen.lock().unwrap().leaks.push(blob.clone());
    }
    if query.get("signature").map(String::as_str) != Some(SIGNATURE) {
        return (StatusCode::FORBIDDEN, "<Error><Code>SignatureDoesNotMatch</Code></Error>").into_response();
    }
    let mut world = inner.world.lock().unwrap();
    if method == Method::PUT {
        world.blobs.insert(blob, body.to_vec());
        return StatusCode::OK.into_response();
    }
    match world.blobs.get(&blob) {
        Some(bytes) => bytes.clone().into_response(),
        None => (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>").into_response(),
    }
}

async fn unknown(State(inner): State<Inner>, request: axum::extract::Request) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    inner.seen.lock().unwrap().refused.push(asked);
    StatusCode::NOT_FOUND.into_response()
}

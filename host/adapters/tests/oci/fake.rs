//! A registry of our own, for what a real one does not do when it is asked to: pages, tokens, storage elsewhere, lies. `tests/oci` has the real one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ripcord_core::digest::Digest;
use serde_json::{Value, json};

use crate::adapters::support::Server;

pub(crate) const REPOSITORY: &str = "models/fraud";
pub(crate) const USER: &str = "ripcord";
pub(crate) const PASSWORD: &str = "hunter2";
pub(crate) const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What the fake wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wants {
    Nobody,
    Password,
    /// Of the token endpoint with this address.
    Token(String),
}

/// A call that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
}

pub(crate) struct World {
    /// With their media types.
    pub(crate) manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// Tags that nobody may move.
    pub(crate) immutable: BTreeSet<String>,
    pub(crate) page: usize,
    /// Has every page of tags lead to this one.
    pub(crate) link: Option<String>,
    /// In the place of tags.
    pub(crate) listed: Option<Value>,
    /// Whether an answer says the digest of what it is.
    pub(crate) says_digests: bool,
    pub(crate) wants: Wants,
    /// Only what reads.
    pub(crate) read_only: bool,
    /// Where blobs are sent for.
    pub(crate) storage: Option<String>,
    pub(crate) seen: Vec<Seen>,
}

/// A running fake. It ends when it is dropped.
pub(crate) struct Oci {
    server: Server,
    world: Arc<Mutex<World>>,
}

pub(crate) fn digest(bytes: impl AsRef<[u8]>) -> String {
    format!("sha256:{}", Digest::of(bytes))
}

impl Oci {
    pub(crate) async fn start() -> Self {
        let world = World {
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
            blobs: BTreeMap::new(),
            immutable: BTreeSet::new(),
            page: usize::MAX,
            link: None,
            listed: None,
            says_digests: true,
            wants: Wants::Nobody,
            read_only: false,
            storage: None,
            seen: Vec::new(),
        };
        let world = Arc::new(Mutex::new(world));
        let server = Server::start(Router::new().fallback(answer).with_state(Arc::clone(&world))).await;
        Self { server, world }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("")
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls so far, which are forgotten.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.world().seen)
    }
}

impl World {
    pub(crate) fn blob(&mut self, bytes: &[u8]) -> String {
        let name = digest(bytes);
        self.blobs.insert(name.clone(), bytes.to_vec());
        name
    }

    pub(crate) fn layer(&mut self, kind: &str, bytes: &[u8], annotations: Value) -> Value {
        let digest = self.blob(bytes);
        json!({ "mediaType": kind, "digest": digest, "size": bytes.len(), "annotations": annotations })
    }

    /// Puts a manifest of these layers under a tag.
    pub(crate) fn push(&mut self, tag: &str, config: Value, layers: &[Value], annotations: Value) -> String {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": config, "layers": layers,
            "annotations": annotations,
        });
        self.put(tag, IMAGE_MANIFEST, manifest.to_string().as_bytes())
    }

    pub(crate) fn put(&mut self, tag: &str, kind: &str, body: &[u8]) -> String {
        let digest = digest(body);
        self.manifests.insert(digest.clone(), (kind.to_owned(), body.to_vec()));
        self.tags.insert(tag.to_owned(), digest.clone());
        digest
    }

    pub(crate) fn tag(&mut self, tag: &str, like: &str) {
        let digest = self.tags[like].clone();
        self.tags.insert(tag.to_owned(), digest);
    }

    /// A manifest of nothing, for a config that says nothing.
    pub(crate) fn empty(&mut self) -> Value {
        self.layer("application/vnd.oci.empty.v1+json", b"{}", Value::Null)
    }
}

fn refused(status: u16, code: &str, message: &str) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

fn password() -> String {
    format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))
}

/// The token that is given for a scope.
fn token(scope: &str) -> String {
    format!("Bearer {}", Digest::of(scope))
}

async fn answer(
    State(world): State<Arc<Mutex<World>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
    let given = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
    world.seen.push(Seen {
        method: method.clone(),
        path: path.clone(),
        query: query.clone(),
        authorization: given.clone(),
    });
    if path == "/token" {
        if given.as_deref() != Some(password().as_str()) {
            return refused(401, "UNAUTHORIZED", "who are you");
        }
        let scope = query.split('&').find_map(|pair| pair.strip_prefix("scope=")).unwrap();
        let token = token(scope);
        return axum::Json(json!({ "token": token.strip_prefix("Bearer ").unwrap() })).into_response();
    }
    if let Some(blob) = path.strip_prefix("/storage/") {
        return world.blobs.get(blob).cloned().unwrap().into_response();
    }
    let is_read = matches!(method, Method::GET | Method::HEAD);
    let actions = if is_read { "pull" } else { "pull%2Cpush" };
    let scope = format!("repository%3A{}%3A{actions}", REPOSITORY.replace('/', "%2F"));
    let pushing = format!("repository%3A{}%3Apull%2Cpush", REPOSITORY.replace('/', "%2F"));
    let (known, challenge) = match &world.wants {
        Wants::Nobody => (true, String::new()),
        Wants::Password => (given == Some(password()), "Basic realm=\"registry\"".to_owned()),
        Wants::Token(realm) => {
            let fits = given.as_ref().is_some_and(|given| [token(&scope), token(&pushing)].contains(given));
            (fits, format!("Bearer realm=\"{realm}\",service=\"a \\\"registry\\\"\""))
        }
    };
    if !known {
        let mut response = refused(401, "UNAUTHORIZED", "authentication required");
        response.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
        return response;
    }
    let Some(rest) = path.strip_prefix("/v2/").and_then(|rest| rest.strip_prefix(REPOSITORY)) else {
        return refused(404, "NAME_UNKNOWN", "repository name not known to registry");
    };
    if world.read_only && !is_read {
        return refused(403, "DENIED", "requested access to the resource is denied");
    }
    let parts: Vec<&str> = rest.trim_start_matches('/').splitn(2, '/').collect();
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["tags", "list"]) => tags(&world, &query),
        ("GET" | "HEAD", ["manifests", reference]) => manifest(&world, reference),
        ("PUT", ["manifests", tag]) => {
            if world.immutable.contains(*tag) && world.tags.contains_key(*tag) {
                return refused(400, "TAG_INVALID", "the tag is immutable");
            }
            let kind = headers["content-type"].to_str().unwrap().to_owned();
            let digest = world.put(tag, &kind, &body);
            (StatusCode::CREATED, [("docker-content-digest", digest)]).into_response()
        }
        ("POST", ["blobs", "uploads/"]) => {
            let place = format!("/v2/{REPOSITORY}/blobs/uploads/1?_state=x");
            (StatusCode::ACCEPTED, [("location", place)]).into_response()
        }
        ("PUT", ["blobs", "uploads/1"]) => {
            let digest = world.blob(&body);
            assert!(query.ends_with(&digest.replace(':', "%3A")), "{query}");
            StatusCode::CREATED.into_response()
        }
        ("GET" | "HEAD", ["blobs", name]) => match (world.blobs.get(*name), &world.storage) {
            (None, _) => refused(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            (Some(_), Some(storage)) => {
                let place = format!("{storage}/storage/{name}?signature=secret");
                (StatusCode::TEMPORARY_REDIRECT, [("location", place)]).into_response()
            }
            (Some(bytes), None) => bytes.clone().into_response(),
        },
        _ => refused(405, "UNSUPPORTED", "the operation is unsupported"),
    }
}

fn tags(world: &World, query: &str) -> Response {
    if let Some(listed) = &world.listed {
        return axum::Json(json!({ "name": REPOSITORY, "tags": listed })).into_response();
    }
    if world.tags.is_empty() {
        return refused(404, "NAME_UNKNOWN", "repository name not known to registry");
    }
    let last = query.split('&').find_map(|pair| pair.strip_prefix("last="));
    let after = |tag: &&String| last.is_none_or(|last| tag.as_str() > last);
    let left: Vec<&String> = world.tags.keys().filter(after).collect();
    let page: Vec<&String> = left.iter().copied().take(world.page).collect();
    let mut response = axum::Json(json!({ "name": REPOSITORY, "tags": page })).into_response();
    let next = page
        .last()
        .filter(|_| left.len() > page.len())
        .map(|last| format!("</v2/{REPOSITORY}/tags/list?last={last}&n={}>; rel=\"next\"", world.page));
    if let Some(link) = world.link.clone().or(next) {
        response.headers_mut().insert("link", link.parse().unwrap());
    }
    response
}

fn manifest(world: &World, reference: &str) -> Response {
    let digest = world.tags.get(reference).map_or(reference, String::as_str);
    let Some((kind, bytes)) = world.manifests.get(digest) else {
        return refused(404, "MANIFEST_UNKNOWN", "manifest unknown");
    };
    let mut response = bytes.clone().into_response();
    response.headers_mut().insert("content-type", kind.parse().unwrap());
    if world.says_digests {
        response.headers_mut().insert("docker-content-digest", digest.parse().unwrap());
    }
    response
}

//! Vertex AI, Cloud Storage and Google's token service of our own, for tests: none is to be had. What they are asked and answer is kept, and the suite
//! beside this holds it against Google's own description of the interfaces; what no description tells (rights, quotas, how long a token is good, the order
//! of things) is made up by Google's pages.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use reqwest::Url;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::serving::{self, Serving};
use crate::adapters::support::Server;

pub(crate) const PROJECT: &str = "acme-ml";
/// As Google writes the project in its answers.
pub(crate) const PROJECT_NUMBER: &str = "123456789012";
pub(crate) const LOCATION: &str = "europe-west4";
pub(crate) const MODEL: &str = "4242";
pub(crate) const BUCKET: &str = "acme-models";
pub(crate) const TOKEN: &str = "ya29.token-of-the-fake";
pub(crate) const QUOTA_PROJECT: &str = "acme-quota";
/// So many entries stand on a page, whatever is asked for.
const PAGE: usize = 2;

/// A call, and what was answered.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    /// As it was sent.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Value,
    pub(crate) status: u16,
    /// None where it is a file's content.
    pub(crate) answer: Option<Value>,
    #[serde(skip)]
    pub(crate) quota_project: Option<String>,
}

/// A call of one of Google's token services.
#[derive(Debug, Clone)]
pub(crate) struct TokenCall {
    pub(crate) path: String,
    pub(crate) bearer: Option<String>,
    /// Of a form or of JSON.
    pub(crate) fields: BTreeMap<String, String>,
}

/// An object of Cloud Storage.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) bytes: Vec<u8>,
    pub(crate) generation: u64,
    /// Then there is no MD5 digest of it.
    pub(crate) composed: bool,
}

#[derive(Default)]
pub(crate) struct World {
    /// Of the one model, oldest first. What stands in them is answered as it is.
    pub(crate) versions: Vec<Map<String, Value>>,
    pub(crate) objects: BTreeMap<String, Object>,
    /// Answers by the end of a resource's name.
    pub(crate) resources: BTreeMap<String, Value>,
    /// How often a token was asked for.
    pub(crate) tokens_given: usize,
    pub(crate) token_calls: Vec<TokenCall>,
    /// The one endpoint.
    pub(crate) serving: Serving,
}

/// Another answer than the fake's own: to calls whose method and path hold the first.
struct Instead {
    part: String,
    status: u16,
    body: Vec<u8>,
    header: Option<(&'static str, String)>,
}

type Twist = Box<dyn Fn(&str, Value) -> Value + Send>;

#[derive(Clone, Default)]
struct Inner {
    world: Arc<Mutex<World>>,
    seen: Arc<Mutex<Vec<Exchange>>>,
    instead: Arc<Mutex<Option<Instead>>>,
    twist: Arc<Mutex<Option<Twist>>>,
}

/// A running fake. It ends when it is dropped.
pub(crate) struct Vertex {
    server: Server,
    inner: Inner,
    folder: TempDir,
}

impl Vertex {
    pub(crate) async fn start() -> Self {
        let inner = Inner::default();
        let router = Router::new().fallback(answer).with_state(inner.clone());
        let server = Server::start(router).await;
        Self { server, inner, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("")
    }

    /// A person's login, as `gcloud` writes it, for which the fake gives tokens.
    pub(crate) fn credentials(&self) -> PathBuf {
        let login = json!({
            "type": "authorized_user", "client_id": "client", "client_secret": "client-s3cret",
            "refresh_token": "refresh-s3cret", "quota_project_id": QUOTA_PROJECT,
            "token_uri": format!("{}/token", self.url()),
        });
        self.file("login.json", &login)
    }

    /// A file that only its owner may read; a text is written as it is.
    pub(crate) fn file(&self, name: &str, content: &Value) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content.as_str().map_or_else(|| content.to_string(), str::to_owned)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.inner.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has calls whose method and path, as in `GET /v1/…`, hold `part` answered so.
    pub(crate) fn instead(&self, part: &str, status: u16, body: impl Into<Vec<u8>>) {
        let instead = Instead { part: part.to_owned(), status, body: body.into(), header: None };
        *self.inner.instead.lock().unwrap() = Some(instead);
    }

    /// The same with a header.
    pub(crate) fn instead_with(&self, part: &str, status: u16, body: &Value, header: (&'static str, &str)) {
        self.instead(part, status, body.to_string());
        self.inner.instead.lock().unwrap().as_mut().unwrap().header = Some((header.0, header.1.to_owned()));
    }

    /// Has every answer in JSON pass through this, with its path.
    pub(crate) fn twist(&self, twist: impl Fn(&str, Value) -> Value + Send + 'static) {
        *self.inner.twist.lock().unwrap() = Some(Box::new(twist));
    }

    pub(crate) fn straight(&self) {
        *self.inner.instead.lock().unwrap() = None;
        *self.inner.twist.lock().unwrap() = None;
    }

    pub(crate) fn seen(&self) -> Vec<Exchange> {
        self.inner.seen.lock().unwrap().clone()
    }
}

impl World {
    /// A version with these files in a folder of its own, which has no alias.
    pub(crate) fn upload(&mut self, files: &[(&str, &[u8])], more: Value) -> usize {
        let number = self.versions.len() + 1;
        let folder = format!("fraud/{number}");
        for (path, bytes) in files {
            self.put(&format!("{folder}/{path}"), bytes);
        }
        let made = format!("2026-11-{:02}T10:00:00.{number:06}Z", number.min(28));
        let mut version = json!({
            "displayName": "fraud",
            "versionId": number.to_string(),
            "versionAliases": [],
            "createTime": "2026-10-01T10:00:00Z",
            "updateTime": made,
            "versionCreateTime": made,
            "versionUpdateTime": made,
            "artifactUri": format!("gs://{BUCKET}/{folder}"),
            "containerSpec": { "imageUri": "europe-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest" },
            "modelSourceInfo": { "sourceType": "CUSTOM" },
            "etag": format!("AMEw9y-{number}"),
        });
        let version_of = version.as_object_mut().unwrap();
        version_of.extend(more.as_object().unwrap().clone());
        self.versions.push(version_of.clone());
        if number == 1 {
            self.alias("default", 1);
        }
        number
    }

    pub(crate) fn put(&mut self, name: &str, bytes: &[u8]) {
        let generation = self.objects.get(name).map_or(1_700_000_000_000_000, |object| object.generation + 1);
        let object = Object { bytes: bytes.to_vec(), generation, composed: false };
        self.objects.insert(name.to_owned(), object);
    }

    fn aliases(&self, version: usize) -> BTreeSet<String> {
        let of = self.versions[version - 1]["versionAliases"].as_array().unwrap();
        of.iter().map(|alias| alias.as_str().unwrap().to_owned()).collect()
    }

    /// An alias is of one version at a time.
    pub(crate) fn alias(&mut self, alias: &str, version: usize) {
        for number in 1..=self.versions.len() {
            let mut aliases = self.aliases(number);
            aliases.remove(alias);
            if number == version {
                aliases.insert(alias.to_owned());
            }
            self.versions[number - 1]["versionAliases"] = json!(aliases);
        }
    }

    pub(super) fn at(&self, reference: Option<&str>) -> Option<usize> {
        let reference = reference.unwrap_or("default");
        (1..=self.versions.len())
            .find(|number| number.to_string() == reference || self.aliases(*number).contains(reference))
    }

    fn model(&self, number: usize) -> Value {
        let mut model = self.versions[number - 1].clone();
        let name = format!("projects/{PROJECT_NUMBER}/locations/{LOCATION}/models/{MODEL}@{number}");
        model.insert("name".into(), name.into());
        Value::Object(model)
    }
}

/// A refusal as Google's interfaces have it.
pub(crate) fn refusal(code: u16, status: &str, message: &str, details: &[Value]) -> Value {
    let mut error = json!({ "code": code, "message": message, "status": status });
    if !details.is_empty() {
        error["details"] = json!(details);
    }
    json!({ "error": error })
}

/// A reason as they have it.
pub(crate) fn reason(reason: &str, metadata: Value) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
        "metadata": metadata,
    })
}

pub(super) type Answer = Result<Value, (u16, Value)>;

pub(super) fn no_such(what: &str) -> (u16, Value) {
    (404, refusal(404, "NOT_FOUND", what, &[]))
}

pub(super) fn invalid(what: &str) -> (u16, Value) {
    (400, refusal(400, "INVALID_ARGUMENT", what, &[]))
}

async fn answer(
    State(inner): State<Inner>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let url = Url::parse("http://fake/").unwrap().join(&uri.to_string()).unwrap();
    if matches!(url.path(), "/token" | "/sts") || url.path().ends_with(":generateAccessToken") {
        return token(&inner, url.path(), &headers, &body);
    }
    let query: Vec<(String, String)> = url.query_pairs().map(|(a, b)| (a.into(), b.into())).collect();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut exchange = Exchange {
        method: method.to_string(),
        path: url.path().to_owned(),
        query,
        body,
        status: 200,
        answer: None,
        quota_project: text("x-goog-user-project"),
    };
    let instead = inner.instead.lock().unwrap();
    if let Some(Instead { part, status, body, header }) = &*instead
        && format!("{method} {}", url.path()).contains(part)
    {
        exchange.status = *status;
        exchange.answer = serde_json::from_slice(body).ok();
        inner.seen.lock().unwrap().push(exchange);
        let mut response = (StatusCode::from_u16(*status).unwrap(), body.clone()).into_response();
        let kind = "application/json; charset=UTF-8".parse().unwrap();
        response.headers_mut().insert("content-type", kind);
        if let Some((name, value)) = header {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        return response;
    }
    drop(instead);
    let answered = if text("authorization").as_deref() == Some(&format!("Bearer {TOKEN}")) {
        let mut world = inner.world.lock().unwrap();
        if let Some(bytes) = media(&world, &exchange) {
            inner.seen.lock().unwrap().push(exchange);
            return bytes.into_response();
        }
        answered(&mut world, &exchange)
    } else {
        let details = [reason("ACCESS_TOKEN_EXPIRED", json!({ "service": "aiplatform.googleapis.com" }))];
        let message = "Request had invalid authentication credentials.";
        Err((401, refusal(401, "UNAUTHENTICATED", message, &details)))
    };
    let (status, value) = match answered {
        Ok(value) => (200, value),
        Err(refused) => refused,
    };
    let value = match &*inner.twist.lock().unwrap() {
        Some(twist) => twist(&exchange.path, value),
        None => value,
    };
    (exchange.status, exchange.answer) = (status, Some(value.clone()));
    inner.seen.lock().unwrap().push(exchange);
    (StatusCode::from_u16(status).unwrap(), axum::Json(value)).into_response()
}

/// Gives tokens: for a refresh token that it knows, for any signed assertion, and one for another.
fn token(inner: &Inner, path: &str, headers: &HeaderMap, body: &Bytes) -> Response {
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let fields: BTreeMap<String, String> = match serde_json::from_slice::<Map<String, Value>>(body) {
        Ok(members) => {
            let given = members.into_iter().filter(|(_, value)| !value.is_null());
            given
                .map(|(name, value)| (name, value.as_str().map_or(value.to_string(), str::to_owned)))
                .collect()
        }
        Err(_) => {
            let query = format!("http://fake/?{}", String::from_utf8_lossy(body));
            Url::parse(&query).unwrap().query_pairs().map(|(a, b)| (a.into(), b.into())).collect()
        }
    };
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let access = |token: &str| {
        json!({
            "access_token": token, "expires_in": 3599, "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        })
    };
    let grant = field("grant_type").rsplit(':').next().unwrap_or_default();
    let given = match (path, grant) {
        ("/token", "refresh_token") if field("refresh_token") == "refresh-s3cret" => Some(access(TOKEN)),
        ("/token", "jwt-bearer") if field("assertion").split('.').count() == 3 => Some(access(TOKEN)),
        ("/sts", "token-exchange") if field("subject_token") == "of-the-pod" => Some(access("federated")),
        (_, "") if bearer == Some("federated") => {
            Some(json!({ "accessToken": TOKEN, "expireTime": "2099-01-01T00:00:00Z" }))
        }
        _ => None,
    };
    let mut world = inner.world.lock().unwrap();
    world.token_calls.push(TokenCall { path: path.to_owned(), bearer: bearer.map(str::to_owned), fields });
    let Some(given) = given else {
        let refused =
            json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." });
        return (StatusCode::BAD_REQUEST, axum::Json(refused)).into_response();
    };
    world.tokens_given += 1;
    axum::Json(given).into_response()
}

fn of<'e>(exchange: &'e Exchange, name: &str) -> Option<&'e str> {
    exchange.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The parts of a path, each read back from its escapes.
fn parts(path: &str) -> Vec<String> {
    let decoded = |part: &str| {
        let form = format!("x={}", part.replace('+', "%2B"));
        let url = Url::parse(&format!("http://fake/?{form}")).unwrap();
        url.query_pairs().next().unwrap().1.into_owned()
    };
    path.trim_start_matches('/').split('/').map(decoded).collect()
}

/// The content of an object, where that is what was asked for.
fn media(world: &World, exchange: &Exchange) -> Option<Vec<u8>> {
    let parts = parts(&exchange.path);
    let [storage, _, _, bucket, _, name] = &parts[..] else { return None };
    let object = world.objects.get(name).filter(|_| storage == "storage" && bucket == BUCKET)?;
    let wanted = of(exchange, "generation").is_none_or(|wanted| wanted == object.generation.to_string());
    (of(exchange, "alt") == Some("media") && wanted).then(|| object.bytes.clone())
}

fn answered(world: &mut World, exchange: &Exchange) -> Answer {
    let parts = parts(&exchange.path);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (exchange.method.as_str(), &parts[..]) {
        ("GET", ["storage", "v1", "b", bucket, "o"]) => objects(world, exchange, bucket),
        ("GET", ["storage", "v1", "b", bucket, "o", name]) => {
            let message = format!("No such object: {bucket}/{name}");
            let errors = [json!({ "message": message, "domain": "global", "reason": "notFound" })];
            Err((404, json!({ "error": { "code": 404, "message": message, "errors": errors } })))
        }
        (method, ["v1", "projects", project, "locations", LOCATION, rest @ ..])
            if *project == PROJECT || *project == PROJECT_NUMBER =>
        {
            vertex(world, exchange, method, rest)
        }
        _ => Err(no_such("Requested entity was not found.")),
    }
}

fn vertex(world: &mut World, exchange: &Exchange, method: &str, rest: &[&str]) -> Answer {
    if let ("GET", Some(known)) = (method, world.resources.get(&rest.join("/"))) {
        return Ok(known.clone());
    }
    if let ["endpoints", rest @ ..] = rest {
        return serving::answer(world, exchange, method, rest);
    }
    let ["models", last] = rest else { return Err(no_such("Requested entity was not found.")) };
    let (named, verb) = last.split_once(':').map_or((*last, None), |(named, verb)| (named, Some(verb)));
    let (model, reference) =
        named.split_once('@').map_or((named, None), |(model, reference)| (model, Some(reference)));
    if model != MODEL || world.versions.is_empty() {
        return Err(no_such("The Model does not exist."));
    }
    match (method, verb) {
        ("GET", Some("listVersions")) => versions(world, exchange),
        ("GET", None) => {
            let number = world.at(reference).ok_or_else(|| no_such("The Model does not exist."))?;
            Ok(world.model(number))
        }
        ("POST", Some("mergeVersionAliases")) => {
            let number = reference.and_then(|number| number.parse().ok());
            let number = number.filter(|number| (1..=world.versions.len()).contains(number));
            let number = number.ok_or_else(|| no_such("The Model version does not exist."))?;
            merge(world, number, &exchange.body)
        }
        _ => Err(invalid("there is no such method")),
    }
}

fn merge(world: &mut World, number: usize, body: &Value) -> Answer {
    let changes: Vec<String> = serde_json::from_value(body["versionAliases"].clone())
        .map_err(|_| invalid("version_aliases must be set"))?;
    for change in &changes {
        let (taken, alias) = change.strip_prefix('-').map_or((false, &change[..]), |alias| (true, alias));
        let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase());
        let is_alias = ends(alias.bytes().next())
            && alias.bytes().next_back().is_some_and(|byte| byte.is_ascii_digit() || ends(Some(byte)))
            && alias.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && alias.len() <= 128;
        if !is_alias {
            return Err(invalid(&format!("alias {alias} does not match [a-z][a-zA-Z0-9-]{{0,126}}[a-z0-9]")));
        }
        if taken && alias == "default" {
            return Err(invalid("the default alias cannot be removed"));
        }
        match taken {
            true if world.aliases(number).contains(alias) => world.alias(alias, 0),
            true => {}
            false => world.alias(alias, number),
        }
    }
    Ok(world.model(number))
}

/// A page, and where the next begins.
pub(super) fn page<T: Clone>(all: &[T], exchange: &Exchange) -> (Vec<T>, Option<String>) {
    let from = of(exchange, "pageToken").and_then(|token| token.strip_prefix("from-")?.parse().ok());
    let from: usize = from.unwrap_or(0);
    let until = all.len().min(from + PAGE);
    (all[from.min(until)..until].to_vec(), (until < all.len()).then(|| format!("from-{until}")))
}

fn versions(world: &World, exchange: &Exchange) -> Answer {
    let mut all: Vec<Value> = (1..=world.versions.len()).map(|number| world.model(number)).collect();
    if of(exchange, "orderBy") == Some("create_time desc") {
        all.reverse();
    }
    let (models, next) = page(&all, exchange);
    let mut answer = json!({ "models": models });
    if let Some(next) = next {
        answer["nextPageToken"] = next.into();
    }
    Ok(answer)
}

fn objects(world: &World, exchange: &Exchange, bucket: &str) -> Answer {
    if bucket != BUCKET {
        let message = "The specified bucket does not exist.";
        let errors = [json!({ "message": message, "domain": "global", "reason": "notFound" })];
        return Err((404, json!({ "error": { "code": 404, "message": message, "errors": errors } })));
    }
    let prefix = of(exchange, "prefix").unwrap_or_default();
    let all: Vec<Value> = world
        .objects
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, object)| {
            let mut crc32c = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
            crc32c.update(&object.bytes);
            let crc32c = STANDARD.encode((crc32c.finalize() as u32).to_be_bytes());
            let mut told = json!({
                "name": name, "size": object.bytes.len().to_string(), "generation": object.generation.to_string(),
                "crc32c": crc32c,
            });
            if !object.composed {
                told["md5Hash"] = STANDARD.encode(Md5::digest(&object.bytes)).into();
            }
            told
        })
        .collect();
    let (items, next) = page(&all, exchange);
    let mut answer = json!({ "kind": "storage#objects" });
    if !items.is_empty() {
        answer["items"] = json!(items);
    }
    if let Some(next) = next {
        answer["nextPageToken"] = next.into();
    }
    Ok(answer)
}

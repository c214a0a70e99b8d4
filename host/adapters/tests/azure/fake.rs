//! Azure Resource Manager, Azure Machine Learning, Blob Storage and Microsoft Entra of our own, for tests: none is to be had. What they are asked and answer is
//! kept, and the suite beside this holds it against Microsoft's own client; what that does not tell (rights, limits, how a registry takes its time) is made up
//! by Microsoft's pages.

use std::collections::BTreeMap;
use std::fmt::Write as _;
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

use super::online::{self, Online};
use crate::adapters::support::Server;

pub(crate) const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
pub(crate) const GROUP: &str = "acme-ml";
pub(crate) const WORKSPACE: &str = "payments";
pub(crate) const REGISTRY: &str = "acme";
pub(crate) const MODEL: &str = "fraud";
pub(crate) const ACCOUNT: &str = "acmemodels";
pub(crate) const CONTAINER: &str = "azureml-blobstore";
pub(crate) const SAS: &str = "sv=2021-12-02&sr=c&sp=rl&sig=s3cret%2Bsas%3D";
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
    /// None where it is no JSON.
    pub(crate) answer: Option<Value>,
    #[serde(skip)]
    pub(crate) if_match: Option<String>,
    #[serde(skip)]
    pub(crate) bearer: Option<String>,
}

/// A blob.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) bytes: Vec<u8>,
    pub(crate) etag: String,
    /// What was uploaded in parts has none.
    pub(crate) md5: bool,
    /// It stands for a folder.
    pub(crate) folder: bool,
}

#[derive(Default)]
pub(crate) struct World {
    /// The model's own properties.
    pub(crate) container: Map<String, Value>,
    /// The properties of its versions, oldest first. What stands in them is answered as it is.
    pub(crate) versions: Vec<Map<String, Value>>,
    /// By path in the container.
    pub(crate) blobs: BTreeMap<String, Blob>,
    pub(crate) jobs: BTreeMap<String, Value>,
    pub(crate) datastores: BTreeMap<String, Value>,
    /// Whether Azure gives entity tags.
    pub(crate) etags: bool,
    /// Whether each list of blobs begins with an empty page.
    pub(crate) empty_pages: bool,
    /// How many looks a change takes.
    pub(crate) slow: usize,
    pub(crate) under_way: usize,
    pub(crate) tokens_given: usize,
    pub(super) writes: usize,
    /// The one online endpoint.
    pub(crate) online: Online,
}

/// Another answer than the fake's own: to calls whose path holds the first.
struct Instead {
    method: Option<&'static str>,
    part: String,
    /// Whether it is the whole path, and no part of it.
    whole: bool,
    status: u16,
    body: Vec<u8>,
    headers: Vec<(&'static str, String)>,
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
pub(crate) struct Azure {
    server: Server,
    inner: Inner,
}

impl Azure {
    pub(crate) async fn start() -> Self {
        let inner = Inner::default();
        inner.world.lock().unwrap().datastores.insert("workspaceblobstore".into(), datastore());
        let router = Router::new().fallback(answer).with_state(inner.clone());
        Self { server: Server::start(router).await, inner }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("")
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.inner.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has calls whose path holds `part` answered so.
    pub(crate) fn instead(&self, part: &str, status: u16, body: impl Into<Vec<u8>>) {
        let instead = Instead {
            method: None,
            part: part.to_owned(),
            whole: false,
            status,
            body: body.into(),
            headers: Vec::new(),
        };
        *self.inner.instead.lock().unwrap() = Some(instead);
    }

    /// The same of calls of one method alone.
    pub(crate) fn instead_of(&self, method: &'static str, part: &str, status: u16, body: &Value) {
        self.instead(part, status, body.to_string());
        self.inner.instead.lock().unwrap().as_mut().unwrap().method = Some(method);
    }

    /// The same with headers.
    pub(crate) fn with_headers(&self, headers: &[(&'static str, &str)]) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.inner.instead.lock().unwrap().as_mut().unwrap().headers = headers;
    }

    /// Has the list of the blobs of a container be this.
    pub(crate) fn lists(&self, container: &str, xml: String) {
        self.instead(container, 200, xml);
        self.inner.instead.lock().unwrap().as_mut().unwrap().whole = true;
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

fn datastore() -> Value {
    json!({
        "description": null, "tags": {}, "properties": {}, "isDefault": true,
        "credentials": { "credentialsType": "None" },
        "datastoreType": "AzureBlob", "accountName": ACCOUNT, "containerName": CONTAINER,
        "endpoint": "core.windows.net", "protocol": "https",
        "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity",
    })
}

impl World {
    /// A version with these files in a folder of its own.
    pub(crate) fn register(&mut self, files: &[(&str, &[u8])], more: &Value) -> usize {
        let number = self.versions.len() + 1;
        for (path, bytes) in files {
            self.put(&format!("LocalUpload/{number}/model/{path}"), bytes);
        }
        let uri = format!(
            "azureml://subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/workspaces/{WORKSPACE}/datastores/workspaceblobstore/paths/LocalUpload/{number}/model"
        );
        let mut properties = json!({
            "description": format!("the {number}th"), "tags": {}, "properties": {}, "isArchived": false, "isAnonymous": false,
            "flavors": {}, "modelType": "custom_model", "modelUri": uri, "provisioningState": "Succeeded",
        });
        let of = properties.as_object_mut().unwrap();
        of.extend(more.as_object().unwrap().clone());
        self.versions.push(of.clone());
        number
    }

    pub(crate) fn put(&mut self, name: &str, bytes: &[u8]) {
        self.writes += 1;
        let etag = format!("0x8DC{:011X}", self.writes);
        let blob = Blob { bytes: bytes.to_vec(), etag, md5: true, folder: false };
        self.blobs.insert(name.to_owned(), blob);
    }

    fn state(&mut self) -> &'static str {
        if self.under_way == 0 {
            return "Succeeded";
        }
        self.under_way -= 1;
        "Updating"
    }
}

/// The scope that the model is in.
pub(crate) fn scope(home: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.MachineLearningServices/{home}"
    )
}

/// A refusal as Azure Resource Manager has it.
pub(crate) fn refusal(code: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message } })
}

/// A refusal as Azure Machine Learning has it, whose reason is further in.
pub(crate) fn refusal_within(code: &str, message: &str, inner: &str) -> Value {
    let value = json!({ "code": "NotFound", "innerError": { "code": inner, "innerError": null } });
    json!({
        "error": {
            "code": code, "message": message, "details": [],
            "additionalInfo": [
                { "type": "ComponentName", "info": { "value": "managementfrontend" } },
                { "type": "InnerError", "info": { "value": value } },
            ],
        }
    })
}

pub(super) type Answer = Result<(u16, Value), (u16, Value)>;

fn no_model() -> (u16, Value) {
    (404, refusal_within("UserError", "Not found: the asset does not exist.", "ModelNotFound"))
}

async fn answer(
    State(inner): State<Inner>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let url = Url::parse("http://fake/").unwrap().join(&uri.to_string()).unwrap();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if url.path().ends_with("/oauth2/v2.0/token") {
        let form = String::from_utf8_lossy(&body).into_owned();
        let of_storage = form.contains("storage.azure.com");
        inner.world.lock().unwrap().tokens_given += 1;
        let token = if of_storage { "token-for-storage" } else { "token-for-manager" };
        let given = json!({ "token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token });
        return axum::Json(given).into_response();
    }
    let query: Vec<(String, String)> = url.query_pairs().map(|(a, b)| (a.into(), b.into())).collect();
    let mut exchange = Exchange {
        method: method.to_string(),
        path: url.path().to_owned(),
        query,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        status: 200,
        answer: None,
        if_match: text("if-match"),
        bearer: text("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned)),
    };
    let instead = inner.instead.lock().unwrap();
    if let Some(Instead { method, part, whole, status, body, headers }) = &*instead
        && (if *whole { url.path() == part } else { url.path().contains(part) })
        && method.is_none_or(|method| method == exchange.method)
    {
        exchange.status = *status;
        exchange.answer = serde_json::from_slice(body).ok();
        inner.seen.lock().unwrap().push(exchange);
        let mut response = (StatusCode::from_u16(*status).unwrap(), body.clone()).into_response();
        response.headers_mut().insert("content-type", "application/json; charset=utf-8".parse().unwrap());
        for (name, value) in headers {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        return response;
    }
    drop(instead);
    let mut world = inner.world.lock().unwrap();
    if !exchange.path.starts_with("/subscriptions/") {
        let response = blobs(&world, &mut exchange);
        drop(world);
        inner.seen.lock().unwrap().push(exchange);
        return response;
    }
    let host = text("host").unwrap_or_default();
    let answered = if exchange.bearer.as_deref() == Some("token-for-manager") {
        managed(&mut world, &exchange, &host)
    } else {
        Err((401, refusal("InvalidAuthenticationToken", "The access token is invalid.")))
    };
    let (status, value) = answered.unwrap_or_else(|refused| refused);
    let etag = (world.etags && status == 200).then(|| format!("\"{}\"", world.writes));
    drop(world);
    let value = match &*inner.twist.lock().unwrap() {
        Some(twist) => twist(&exchange.path, value),
        None => value,
    };
    (exchange.status, exchange.answer) = (status, Some(value.clone()));
    inner.seen.lock().unwrap().push(exchange);
    let mut response = (StatusCode::from_u16(status).unwrap(), axum::Json(value)).into_response();
    response.headers_mut().insert("x-ms-request-id", "request-of-the-fake".parse().unwrap());
    if let Some(etag) = etag {
        response.headers_mut().insert("etag", etag.parse().unwrap());
    }
    response
}

pub(super) fn of<'e>(exchange: &'e Exchange, name: &str) -> Option<&'e str> {
    exchange.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The parts of a path, each read back from its escapes.
fn parts(path: &str) -> Vec<String> {
    let decoded = |part: &str| {
        let url =
            Url::parse(&format!("http://fake/?x={}", part.replace('+', "%2B").replace('&', "%26"))).unwrap();
        url.query_pairs().next().unwrap().1.into_owned()
    };
    path.trim_start_matches('/').split('/').map(decoded).collect()
}

fn managed(world: &mut World, exchange: &Exchange, host: &str) -> Answer {
    let own = [format!("workspaces/{WORKSPACE}"), format!("registries/{REGISTRY}")];
    let found = own.iter().find_map(|home| Some((home, exchange.path.strip_prefix(&scope(home))?)));
    let Some((home, rest)) = found else {
        return Err((404, refusal("ResourceNotFound", "The Resource was not found.")));
    };
    if of(exchange, "api-version").is_none() {
        return Err((
            400,
            refusal("MissingApiVersionParameter", "The api-version query parameter is required."),
        ));
    }
    let parts = parts(rest);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let number = |world: &World, name: &str| {
        let number: Option<usize> = name.parse().ok();
        number.filter(|number| (1..=world.versions.len()).contains(number))
    };
    let id = |end: &str| format!("{}/models/{MODEL}{end}", scope(home));
    match (exchange.method.as_str(), &parts[..]) {
        ("GET", ["datastores", name]) => {
            let known = world.datastores.get(*name).cloned();
            let known = known.ok_or_else(|| (404, refusal("UserError", "Could not find the datastore.")))?;
            let kind = "Microsoft.MachineLearningServices/workspaces/datastores";
            Ok((
                200,
                json!({ "id": format!("{}/datastores/{name}", scope(home)), "name": name, "type": kind, "properties": known }),
            ))
        }
        ("GET", ["jobs", name]) => {
            let known = world.jobs.get(*name).cloned();
            let known = known.ok_or_else(|| (404, refusal("UserError", "The job was not found.")))?;
            Ok((
                200,
                json!({ "id": format!("{}/jobs/{name}", scope(home)), "name": name, "properties": known }),
            ))
        }
        ("POST", ["datareferences" | "datarefs", MODEL, "versions", version]) => {
            number(world, version).ok_or_else(no_model)?;
            let uri = exchange.body["blobUri"].as_str().unwrap_or_default();
            let sas = format!("https://{ACCOUNT}.blob.core.windows.net/{CONTAINER}?{SAS}");
            let credential = json!({ "credentialType": "SAS", "sasUri": sas });
            Ok((
                200,
                json!({ "blobReferenceForConsumption": { "blobUri": uri, "storageAccountArmId": "x", "credential": credential } }),
            ))
        }
        (_, ["onlineEndpoints", rest @ ..]) => online::answer(world, exchange, host, rest),
        (_, ["models", MODEL, ..]) if world.versions.is_empty() => Err(no_model()),
        ("GET", ["models", MODEL]) => Ok((200, container(world, &id("")))),
        ("PUT", ["models", MODEL]) => {
            precondition(world, exchange)?;
            world.writes += 1;
            world.under_way = world.slow;
            world.container = exchange.body["properties"].as_object().cloned().unwrap_or_default();
            Ok((200, container(world, &id(""))))
        }
        ("GET", ["models", MODEL, "versions"]) => Ok((200, versions(world, exchange, host, &id("")))),
        ("GET", ["models", MODEL, "versions", name]) => {
            let number = number(world, name).ok_or_else(no_model)?;
            Ok((200, version(world, number, &id(""))))
        }
        ("PUT", ["models", MODEL, "versions", name]) => {
            let number = number(world, name).ok_or_else(no_model)?;
            precondition(world, exchange)?;
            let mut properties = exchange.body["properties"].as_object().cloned().unwrap_or_default();
            properties.retain(|_, value| !value.is_null());
            properties.entry("flavors").or_insert_with(|| json!({}));
            if properties.get("modelUri") != world.versions[number - 1].get("modelUri") {
                return Err((400, refusal("UserError", "A model's path cannot be changed.")));
            }
            world.writes += 1;
            world.under_way = world.slow;
            world.versions[number - 1] = properties;
            Ok((if world.slow > 0 { 201 } else { 200 }, version(world, number, &id(""))))
        }
        _ => Err(no_model()),
    }
}

pub(super) fn precondition(world: &World, exchange: &Exchange) -> Result<(), (u16, Value)> {
    let wanted = exchange.if_match.as_deref();
    if wanted.is_none_or(|etag| etag == format!("\"{}\"", world.writes)) {
        return Ok(());
    }
    Err((412, refusal("PreconditionFailed", "The condition is not met.")))
}

fn container(world: &mut World, id: &str) -> Value {
    let mut properties = world.container.clone();
    let latest = world.versions.len();
    properties.insert("latestVersion".into(), latest.to_string().into());
    properties.insert("nextVersion".into(), (latest + 1).to_string().into());
    properties.insert("provisioningState".into(), world.state().into());
    json!({ "id": id, "name": MODEL, "type": "Microsoft.MachineLearningServices/workspaces/models", "systemData": system_data(1), "properties": properties })
}

fn system_data(number: usize) -> Value {
    json!({
        "createdAt": format!("2026-11-{:02}T10:00:00.{number:06}+00:00", number.min(28)), "createdBy": "ada",
        "createdByType": "User", "lastModifiedAt": "2026-11-28T10:00:00.0000000+00:00",
    })
}

fn version(world: &mut World, number: usize, id: &str) -> Value {
    let mut properties = world.versions[number - 1].clone();
    if world.under_way > 0 {
        properties.insert("provisioningState".into(), world.state().into());
    }
    json!({
        "id": format!("{id}/versions/{number}"), "name": number.to_string(), "properties": properties,
        "type": "Microsoft.MachineLearningServices/workspaces/models/versions", "systemData": system_data(number),
    })
}

fn versions(world: &mut World, exchange: &Exchange, host: &str, id: &str) -> Value {
    let mut all: Vec<Value> = (1..=world.versions.len()).map(|number| version(world, number, id)).collect();
    if of(exchange, "$orderBy") == Some("createdtime desc") {
        all.reverse();
    }
    let from = of(exchange, "$skip").and_then(|skip| skip.parse().ok()).unwrap_or(0_usize);
    let until = all.len().min(from + PAGE);
    let mut answer = json!({ "value": all[from.min(until)..until] });
    if until < all.len() {
        let mut next = Url::parse(&format!("http://{host}{}", exchange.path)).unwrap();
        let kept = exchange.query.iter().filter(|(name, _)| name != "$skip");
        next.query_pairs_mut().extend_pairs(kept).append_pair("$skip", &until.to_string());
        answer["nextLink"] = next.as_str().into();
    }
    answer
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// A refusal as Blob Storage has it.
pub(crate) fn xml_refusal(code: &str) -> String {
    format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>It was refused.</Message></Error>"
    )
}

fn refused(exchange: &mut Exchange, status: u16, code: &'static str) -> Response {
    exchange.status = status;
    let mut response = (StatusCode::from_u16(status).unwrap(), xml_refusal(code)).into_response();
    response.headers_mut().insert("content-type", "application/xml".parse().unwrap());
    response.headers_mut().insert("x-ms-error-code", code.parse().unwrap());
    response
}

/// Blob Storage: the account is the first part of the path.
fn blobs(world: &World, exchange: &mut Exchange) -> Response {
    let is_let_in =
        exchange.bearer.as_deref() == Some("token-for-storage") || of(exchange, "sig") == Some("s3cret+sas=");
    if !is_let_in {
        return refused(exchange, 401, "InvalidAuthenticationInfo");
    }
    let parts = parts(&exchange.path);
    let [account, container, rest @ ..] = &parts[..] else {
        return refused(exchange, 404, "ResourceNotFound");
    };
    if account != ACCOUNT || container != CONTAINER {
        return refused(exchange, 404, "ContainerNotFound");
    }
    if rest.is_empty() && of(exchange, "comp") == Some("list") {
        return ([("content-type", "application/xml")], listed(world, exchange)).into_response();
    }
    let Some(blob) = world.blobs.get(&rest.join("/")) else { return refused(exchange, 404, "BlobNotFound") };
    if exchange.if_match.as_deref().is_some_and(|etag| etag != format!("\"{}\"", blob.etag)) {
        return refused(exchange, 412, "ConditionNotMet");
    }
    blob.bytes.clone().into_response()
}

fn listed(world: &World, exchange: &Exchange) -> String {
    let prefix = of(exchange, "prefix").unwrap_or_default();
    let most: usize = of(exchange, "maxresults").and_then(|most| most.parse().ok()).unwrap_or(PAGE);
    let all: Vec<_> = world.blobs.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
    let from: usize =
        of(exchange, "marker").and_then(|marker| marker.strip_prefix("from-")?.parse().ok()).unwrap_or(0);
    let begins = world.empty_pages && of(exchange, "marker").is_none();
    let until = if begins { from } else { all.len().min(from + PAGE.min(most)) };
    let mut xml = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://{ACCOUNT}.blob.core.windows.net/\" ContainerName=\"{CONTAINER}\"><Blobs>"
    );
    for (name, blob) in &all[from.min(until)..until] {
        let (name, length, etag) = (escaped(name), blob.bytes.len(), &blob.etag);
        let md5 = if blob.md5 { STANDARD.encode(Md5::digest(&blob.bytes)) } else { String::new() };
        let metadata = if blob.folder {
            "<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata>"
        } else {
            "<Metadata />"
        };
        write!(
            xml,
            "<Blob><Name>{name}</Name><Properties><Creation-Time>Sat, 28 Nov 2026 10:00:00 GMT</Creation-Time><Etag>{etag}</Etag><Content-Length>{length}</Content-Length><Content-MD5>{md5}</Content-MD5><BlobType>BlockBlob</BlobType></Properties>{metadata}<OrMetadata /></Blob>"
        )
        .unwrap();
    }
    let next = if until < all.len() {
        format!("<NextMarker>from-{until}</NextMarker>")
    } else {
        "<NextMarker />".to_owned()
    };
    write!(xml, "</Blobs>{next}</EnumerationResults>").unwrap();
    xml
}

//! A value behind HTTP.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use ripcord_adapters::conformance::restorer::{Expected, RestoredService, conforms};
use ripcord_adapters::conformance::restorer_faults::{Faulty, conforms_in_faults};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_adapters::restorer_http::{HttpRestorer, HttpRestorerConfig};
use ripcord_adapters::{RestorerSecrets, Secret};
use ripcord_ports::deployer::Probe;
use ripcord_ports::{Applied, ErrorKind, Restorer};
use serde_json::{Value, json};

use super::{order, revisions, told};
use crate::adapters::support::{Server, shared, version};

/// A store of flags, and a service that works with what it took over last.
pub(super) struct Flags {
    server: Server,
    state: Arc<Mutex<Document>>,
}

struct Document {
    value: Value,
    number: u32,
    offers_etag: bool,
    wants_etag: bool,
    taken_over: Value,
    looks_by_itself: bool,
    seen: Vec<(Method, Value)>,
}

type Shared = State<Arc<Mutex<Document>>>;

impl Flags {
    pub(super) async fn start(looks_by_itself: bool) -> Self {
        let value = json!({"mode": false, "limits": {"high": 0.5}, "list": [{"on": true}]});
        let state = Arc::new(Mutex::new(Document {
            taken_over: value["mode"].clone(),
            value,
            number: 1,
            offers_etag: true,
            wants_etag: false,
            looks_by_itself,
            seen: Vec::new(),
        }));
        let router = Router::new()
            .route("/flags/fraud", any(document))
            .route("/flags/fraud/mode", any(mode))
            .route("/reload", post(|State(state): Shared| async move { state.lock().unwrap().take_over() }))
            .route(
                "/status",
                any(|State(state): Shared| async move {
                    let state = state.lock().unwrap();
                    axum::Json(json!({"works-with": state.working(), "named": named(&state.working())}))
                }),
            )
            .with_state(Arc::clone(&state));
        Self { server: Server::start(router).await, state }
    }

    fn change(&self, change: impl FnOnce(&mut Document)) {
        change(&mut self.state.lock().unwrap());
    }

    fn document(&self) -> Value {
        self.state.lock().unwrap().value.clone()
    }
}

impl Document {
    fn take_over(&mut self) {
        self.taken_over = self.value["mode"].clone();
    }

    fn working(&self) -> Value {
        if self.looks_by_itself { self.value["mode"].clone() } else { self.taken_over.clone() }
    }

    fn refuses(&self, headers: &HeaderMap) -> Option<StatusCode> {
        match headers.get("if-match") {
            Some(etag) if etag.to_str().unwrap() != format!("\"{}\"", self.number) => {
                Some(StatusCode::PRECONDITION_FAILED)
            }
            None if self.wants_etag => Some(StatusCode::PRECONDITION_REQUIRED),
            _ => None,
        }
    }

    fn set(&mut self, value: Value) {
        self.value = value;
        self.number += 1;
    }
}

fn named(value: &Value) -> &'static str {
    match value {
        Value::Bool(false) => "off",
        Value::String(text) if text == "rules" => "rules",
        _ => "of-its-own",
    }
}

async fn document(State(state): Shared, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    let mut state = state.lock().unwrap();
    if method == Method::GET {
        let etag = state.offers_etag.then(|| [("etag", format!("\"{}\"", state.number))]);
        return (etag, axum::Json(state.value.clone())).into_response();
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    state.seen.push((method.clone(), body.clone()));
    if let Some(refused) = state.refuses(&headers) {
        return refused.into_response();
    }
    let kind = headers.get_all("content-type").iter().map(|kind| kind.to_str().unwrap()).collect::<Vec<_>>();
    let mut value = state.value.clone();
    match (method.as_str(), kind.as_slice()) {
        ("PUT", ["application/json"]) => value = body,
        ("PATCH", ["application/merge-patch+json"]) => merge(&mut value, &body),
        ("PATCH", ["application/json-patch+json"]) => {
            for step in body.as_array().unwrap() {
                let place = value.pointer_mut(step["path"].as_str().unwrap()).unwrap();
                match step["op"].as_str().unwrap() {
                    "test" if *place != step["value"] => return StatusCode::CONFLICT.into_response(),
                    "test" => {}
                    _ => *place = step["value"].clone(),
                }
            }
        }
        _ => return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response(),
    }
    state.set(value);
    StatusCode::NO_CONTENT.into_response()
}

fn merge(into: &mut Value, patch: &Value) {
    for (key, value) in patch.as_object().unwrap() {
        if value.is_object() { merge(&mut into[key], value) } else { into[key] = value.clone() }
    }
}

async fn mode(State(state): Shared, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut state = state.lock().unwrap();
    if let Some(refused) = state.refuses(&headers) {
        return refused;
    }
    let mut value = state.value.clone();
    value["mode"] = serde_json::from_slice(&body).unwrap();
    state.set(value);
    StatusCode::OK
}

#[async_trait]
impl RestoredService for Flags {
    async fn works_with(&self) -> Vec<u8> {
        self.state.lock().unwrap().working().to_string().into_bytes()
    }

    async fn go_astray(&self) {
        self.change(|state| {
            state.value["mode"] = json!("of its own");
            state.number += 1;
            state.take_over();
        });
    }
}

fn restorer(url: &str, more: &str) -> HttpRestorer {
    let text =
        format!("url = \"{url}/flags/fraud\"\nrevisions = {{ off = false, rules = \"rules\" }}\n{more}");
    let config: HttpRestorerConfig = toml::from_str(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    HttpRestorer::new(config, RestorerSecrets::default(), &shared()).unwrap()
}

/// Every way of writing, and of knowing what is in force.
fn ways(url: &str) -> Vec<(bool, String)> {
    let mode = "pointer = \"/mode\"\n";
    let mut ways: Vec<_> = [
        "holder = \"service\"",
        "etag = \"required\"\nholder = \"service\"",
        "write = \"merge-patch\"",
        "write = \"json-patch\"",
        "write = \"put-value\"\nwrite-url = \"{url}/flags/fraud/mode\"",
        "write = \"post-value\"\nwrite-url = \"{url}/flags/fraud/mode\"",
    ]
    .into_iter()
    .map(|more| (true, format!("{mode}{}", more.replace("{url}", url))))
    .collect();
    for place in ["pointer = \"/named\"", "pointer = \"/works-with\"\ntells = \"value\""] {
        ways.push((
            false,
            format!(
                "{mode}[reload]\npost = [\"{url}/reload\"]\n[read-back]\nurls = [\"{url}/status\"]\n{place}"
            ),
        ));
    }
    ways
}

#[tokio::test]
async fn it_conforms_however_it_writes_and_reads_back() {
    for number in 0..8 {
        let flags = Flags::start(number < 6).await;
        let url = flags.server.url("");
        let (_, more) = &ways(&url)[number];
        conforms(&restorer(&url, more), &flags, &Expected { newest_first: revisions(&["off", "rules"]) })
            .await;
        assert_eq!(flags.document()["limits"], json!({"high": 0.5}), "nothing else is changed: {more}");
    }
}

#[tokio::test]
async fn it_conforms_in_faults() {
    for number in 0..8 {
        let flags = Flags::start(number < 6).await;
        let proxy = FaultProxy::start(&flags.server.url("")).await.unwrap();
        let (looks_by_itself, more) = ways(&proxy.url())[number].clone();
        let (one, two) = (version("off"), version("rules"));
        let changes = if looks_by_itself { Which::Changes } else { Which::With("/reload") };
        let restorer = restorer(&proxy.url(), &more);
        let faulty = Faulty {
            restorer: &restorer,
            service: &flags,
            proxy: &proxy,
            changes: &changes,
            one: &one,
            two: &two,
        };
        conforms_in_faults(faulty).await;
    }
}

#[tokio::test]
#[should_panic(expected = "`puts-in-force-and-not-only-in-store` is broken")]
async fn one_that_writes_the_store_of_a_service_that_does_not_look_fails_the_suite() {
    let flags = Flags::start(false).await;
    let restorer = restorer(&flags.server.url(""), "pointer = \"/mode\"");
    conforms(&restorer, &flags, &Expected { newest_first: revisions(&["off", "rules"]) }).await;
}

#[tokio::test]
async fn a_safe_mode_is_entered_and_left_and_proved_by_the_answer_of_who_works_with_it() {
    let flags = Flags::start(true).await;
    let url = flags.server.url("");
    let own = restorer(&url, "pointer = \"/mode\"\nholder = \"service\"");
    assert_eq!(told(&own).await, "off (version in an answer)");
    own.shift(&order("rules", Some("off"))).await.unwrap();
    assert_eq!(told(&own).await, "rules (version in an answer)");
    assert_eq!(flags.document()["mode"], json!("rules"));
    own.shift(&order("off", Some("rules"))).await.unwrap();
    assert_eq!(told(&restorer(&url, "pointer = \"/mode\"")).await, "off (control plane only)");
}

#[tokio::test]
async fn a_change_by_somebody_else_between_look_and_change_is_a_conflict() {
    let flags = Flags::start(true).await;
    for more in ["etag = \"required\"", "write = \"json-patch\"\netag = \"ignored\""] {
        flags.change(|state| state.set(json!({"mode": false, "n": 0})));
        let proxy = FaultProxy::start(&flags.server.url("")).await.unwrap();
        let restorer = restorer(&proxy.url(), &format!("pointer = \"/mode\"\n{more}"));
        let slow = std::time::Duration::from_millis(300);
        proxy.order(Which::Changes, ripcord_adapters::fault_proxy::Fault::Delay(slow), 1);
        let order = order("rules", Some("off"));
        let (shifted, ()) = tokio::join!(restorer.shift(&order), async {
            while proxy.count(&Which::Changes) == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            flags.change(|state| state.set(json!({"mode": "by hand", "n": 1})));
        });
        let error = shifted.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
        assert!(
            error.to_string().starts_with("somebody else has changed the value since it was read: "),
            "{error}"
        );
        assert_eq!(flags.document(), json!({"mode": "by hand", "n": 1}), "what somebody else wrote stays");
        assert_eq!(restorer.probe(&order).await.unwrap(), Probe::NotApplied);
    }
}

#[tokio::test]
async fn configurations_that_cannot_be_meant_are_refused() {
    for (more, expected) in [
        ("pointer = \"mode\"", "`pointer` is `mode`, which is no JSON pointer"),
        ("write = \"merge-patch\"", "`merge-patch`, which wants a `pointer`"),
        ("write-url = \"http://b/\"", "`write-url` leads to another host"),
        ("write-url = \"http://a/?tenant=hunter2\"", "`write-url` has a query or a fragment"),
        ("write-url = \"http://a/#hunter2\"", "`write-url` has a query or a fragment"),
        ("user = \"ada\"", "its password is missing"),
        ("deadline-ms = 0", "`deadline-ms` must be 1 or more"),
        ("[reload]\npost = [\"http://a/\"]", "`reload` wants `read-back`"),
        ("holder = \"service\"\n[read-back]\nurls = [\"http://a/\"]\npointer = \"/a\"", "keep one of them"),
    ] {
        let text = format!("url = \"http://a/\"\nrevisions = {{ off = false, rules = 1 }}\n{more}");
        let config: HttpRestorerConfig = toml::from_str(&text).unwrap();
        let message =
            HttpRestorer::new(config, RestorerSecrets::default(), &shared()).unwrap_err().to_string();
        assert!(message.contains(expected), "{more}: {message}");
    }
    for (revisions, expected) in [
        ("{ off = false }", "`revisions` wants two at least"),
        ("{ off = 1, on = 1.0 }", "has the same value for `off` and `on`"),
    ] {
        let config: HttpRestorerConfig =
            toml::from_str(&format!("url = \"http://a/\"\nrevisions = {revisions}")).unwrap();
        let message =
            HttpRestorer::new(config, RestorerSecrets::default(), &shared()).unwrap_err().to_string();
        assert!(message.contains(expected), "{revisions}: {message}");
    }
    for (url, expected) in [
        ("http://ada:hunter2@a/", "holds a user or a password"),
        // It is where the value is written, too.
        ("http://a/?tenant=hunter2", "`url` without `write-url` has a query or a fragment"),
    ] {
        let config: HttpRestorerConfig =
            toml::from_str(&format!("url = \"{url}\"\nrevisions = {{ off = 0, on = 1 }}")).unwrap();
        let message =
            HttpRestorer::new(config, RestorerSecrets::default(), &shared()).unwrap_err().to_string();
        assert!(message.contains(expected) && !message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_plan_says_what_each_name_stands_for() {
    let of = |rules: &str| {
        let text = format!("url = \"http://a/\"\nrevisions = {{ off = false, rules = {rules} }}");
        let config: HttpRestorerConfig = toml::from_str(&text).unwrap();
        let restorer = HttpRestorer::new(config, RestorerSecrets::default(), &shared()).unwrap();
        let said = restorer.arguments().into_iter().find(|said| said.name == "revisions").unwrap();
        said.value
    };
    assert_eq!(of("\"rules\""), "off = false, rules = \"rules\"");
    assert_ne!(of("\"rules\""), of("\"reject-all\""), "another value is another plan");
    let long = |end: &str| of(&format!("\"{}{end}\"", "x".repeat(500)));
    assert!(long("a").contains("rules = sha256 ") && long("a").len() < 120);
    assert_ne!(long("a"), long("b"));
}

#[tokio::test]
async fn a_mode_that_cannot_be_entered_says_why_and_changes_nothing() {
    let flags = Flags::start(true).await;
    let url = flags.server.url("");
    for (more, expected) in [
        ("pointer = \"/no/where\"", "has nothing at `/no/where` that could be replaced"),
        ("pointer = \"/list/0/on\"\nwrite = \"merge-patch\"", "leads through a list"),
        (
            "write = \"put-value\"\nwrite-url = \"{url}/nowhere\"",
            "answered 404: (nothing); nothing takes a value there: check `write-url`",
        ),
    ] {
        let before = flags.document();
        let error =
            restorer(&url, &more.replace("{url}", &url)).shift(&order("rules", None)).await.unwrap_err();
        assert!(error.applied == Applied::No && error.to_string().contains(expected), "{more}: {error}");
        assert_eq!(flags.document(), before);
    }
    flags.change(|state| state.offers_etag = false);
    let error = restorer(&url, "pointer = \"/mode\"\netag = \"required\"").shift(&order("rules", None)).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("came without an `ETag`, and `etag` is `required`"), "{error}");
    flags.change(|state| state.wants_etag = true);
    let error = restorer(&url, "pointer = \"/mode\"").shift(&order("rules", None)).await.unwrap_err();
    assert!(error.to_string().contains("set `etag = \"required\"`"), "{error}");
    let away = restorer("http://127.0.0.1:1", "pointer = \"/mode\"").shift(&order("rules", None)).await;
    assert_eq!(away.unwrap_err().applied, Applied::No);
}

#[tokio::test]
async fn what_stands_there_that_is_no_revision_is_shown_in_part() {
    let flags = Flags::start(true).await;
    flags.change(|state| state.set(json!({"mode": "\u{1b}[2J".repeat(500)})));
    let why = told(&restorer(&flags.server.url(""), "pointer = \"/mode\"")).await;
    assert!(why.contains("which is none of the configured `revisions`") && why.len() < 400, "{why}");
    assert!(!why.contains('\u{1b}'));
    flags.change(|state| state.set(json!({})));
    let why = told(&restorer(&flags.server.url(""), "pointer = \"/mode\"")).await;
    assert!(why.ends_with("has nothing at `/mode`"), "{why}");
}

#[tokio::test]
async fn credentials_go_to_the_store_and_those_of_the_service_to_the_service() {
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let router = Router::new().fallback(move |request: axum::extract::Request| {
        let authorization =
            request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        keep.lock().unwrap().push((request.uri().path().to_owned(), authorization.unwrap_or_default()));
        async { axum::Json(json!({"mode": false, "named": "off"})) }
    });
    let server = Server::start(router).await;
    let text = format!(
        "url = \"{0}\"\npointer = \"/mode\"\nrevisions = {{ off = false, on = true }}\n[reload]\npost = [\"{1}\"]\n[read-back]\nurls = [\"{2}\"]\npointer = \"/named\"",
        server.url("/store"),
        server.url("/reload"),
        server.url("/status")
    );
    let secrets =
        RestorerSecrets { store: Some(Secret::new("for-store")), service: Some(Secret::new("for-service")) };
    let restorer = HttpRestorer::new(toml::from_str(&text).unwrap(), secrets, &shared()).unwrap();
    restorer.shift(&order("on", Some("off"))).await.unwrap();
    let seen = seen.lock().unwrap();
    for (path, authorization) in seen.iter() {
        let expected = if path == "/store" { "Bearer for-store" } else { "Bearer for-service" };
        assert_eq!(authorization, expected, "{path}");
    }
    assert!(seen.len() >= 4 && !format!("{restorer:?}").contains("for-s"), "{seen:?}");
}

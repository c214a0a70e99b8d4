//! Training with a pipeline behind HTTP: one that the test plays, which is found by the key, and one that names its runs itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as At, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ripcord_adapters::Secret;
use ripcord_adapters::conformance::producer::{Expected, Pipeline, conforms, order};
use ripcord_adapters::conformance::producer_faults::{Faulty, conforms_in_faults};
use ripcord_adapters::fault_proxy::{Fault, FaultProxy, Which};
use ripcord_adapters::producer_http::{HttpProducer, HttpProducerConfig};
use ripcord_ports::producer::Progress;
use ripcord_ports::{Applied, ErrorKind, Producer, Registry};
use serde_json::{Value, json};

use super::{configuration, registry, surroundings, without_import};
use crate::adapters::support::{Server, publish};

/// Who names a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Named {
    ByKey,
    ByPipeline,
}

#[derive(Debug, Clone)]
struct Run {
    name: String,
    state: &'static str,
}

#[derive(Default)]
struct Runs {
    by_key: BTreeMap<String, Run>,
    begun: Vec<String>,
    orders: Vec<Value>,
    authorized: Vec<Option<String>>,
    /// Looks at runs that do not show them yet.
    lags: u32,
    /// Answered to the next look.
    instead: Option<(u16, String)>,
}

struct Played {
    root: tempfile::TempDir,
    runs: Arc<Mutex<Runs>>,
    named: Named,
    server: Server,
    /// Where the adapter finds it.
    url: Mutex<String>,
}

type Shared = State<(Arc<Mutex<Runs>>, Named)>;

async fn begin(State((runs, named)): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let mut runs = runs.lock().unwrap();
    runs.authorized.push(headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()));
    if runs.by_key.contains_key(&key) && named == Named::ByKey {
        return StatusCode::CONFLICT.into_response();
    }
    let number = runs.begun.len();
    if !runs.by_key.contains_key(&key) {
        runs.begun.push(key.clone());
        runs.orders.push(serde_json::from_slice(&body).unwrap());
        let name = if named == Named::ByKey { key.clone() } else { format!("run/{number}") };
        runs.by_key.insert(key.clone(), Run { name, state: "running" });
    }
    (StatusCode::ACCEPTED, axum::Json(json!({"meta": {"id": runs.by_key[&key].name}}))).into_response()
}

async fn look(State((runs, _)): Shared, At(name): At<String>) -> Response {
    let mut runs = runs.lock().unwrap();
    if let Some((status, body)) = runs.instead.take() {
        return (StatusCode::from_u16(status).unwrap(), body).into_response();
    }
    if runs.lags > 0 && runs.by_key.values().any(|run| run.name == name) {
        runs.lags -= 1;
        return StatusCode::NOT_FOUND.into_response();
    }
    let Some(run) = runs.by_key.values().find(|run| run.name == name) else {
        return (StatusCode::NOT_FOUND, axum::Json(json!({"error": "no such run"}))).into_response();
    };
    let body = json!({"status": {"word": run.state, "note": "step 1\nof 2"}, "made": {"version": "1.0", "rows": 12}});
    axum::Json(body).into_response()
}

async fn cancel(State((runs, _)): Shared, At(name): At<String>) -> Response {
    let mut runs = runs.lock().unwrap();
    match runs.by_key.values_mut().find(|run| run.name == name) {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(run) if run.state != "running" => StatusCode::CONFLICT.into_response(),
        Some(run) => {
            run.state = "cancelled";
            StatusCode::ACCEPTED.into_response()
        }
    }
}

pub(crate) fn config(url: &str, named: Named) -> HttpProducerConfig {
    let name = if named == Named::ByKey { "{key}" } else { "{run}" };
    let mut table = json!({
        "url": format!("{url}/runs"), "status": format!("{url}/runs/{name}"), "cancel": format!("{url}/runs/{name}/cancel"),
        "state": "/status/word", "why": "/status/note", "result": "/made", "parameters": {"depth": 4},
        "status-lag-ms": 200,
    });
    if named == Named::ByPipeline {
        table["run"] = "/meta/id".into();
        table["honours-key"] = true.into();
    }
    serde_json::from_value(table).unwrap()
}

impl Played {
    async fn start(named: Named) -> Self {
        let root = tempfile::tempdir().unwrap();
        registry(root.path());
        publish(&root.path().join("registry"), "1.0", "2026-11-01T00:00:00Z");
        let runs: Arc<Mutex<Runs>> = Arc::default();
        let router = Router::new()
            .route("/runs", post(begin))
            .route("/runs/{name}", get(look))
            .route("/runs/{name}/cancel", post(cancel))
            .with_state((runs.clone(), named));
        let server = Server::start(router).await;
        let url = Mutex::new(server.url(""));
        Self { root, runs, named, server, url }
    }

    fn producer(&self) -> HttpProducer {
        let config = config(&self.url.lock().unwrap(), self.named);
        HttpProducer::new(config, Some(Secret::new("s3cret")), surroundings(self.root.path())).unwrap()
    }

    fn set(&self, key: &str, state: &'static str) {
        self.runs.lock().unwrap().by_key.get_mut(key).unwrap().state = state;
    }

    fn answer(&self, status: u16, body: &str) {
        self.runs.lock().unwrap().instead = Some((status, body.to_owned()));
    }
}

#[async_trait]
impl Pipeline for Played {
    async fn begun(&self, key: &str) -> usize {
        self.runs.lock().unwrap().begun.iter().filter(|begun| *begun == key).count()
    }

    async fn let_succeed(&self, key: &str) {
        self.set(key, "succeeded");
    }

    async fn let_fail(&self, key: &str) {
        self.set(key, "failed");
    }

    async fn goes_on(&self, key: &str) -> bool {
        self.runs.lock().unwrap().by_key.get(key).is_some_and(|run| run.state == "running")
    }

    async fn lose(&self, key: &str) -> bool {
        self.runs.lock().unwrap().by_key.remove(key);
        true
    }

    fn restarted(&self) -> Arc<dyn Producer> {
        Arc::new(self.producer())
    }

    fn registry(&self) -> Arc<dyn Registry> {
        registry(self.root.path())
    }
}

#[tokio::test]
async fn it_conforms_whoever_names_the_runs_also_while_the_network_fails() {
    for named in [Named::ByKey, Named::ByPipeline] {
        let played = Played::start(named).await;
        let expected = Expected {
            makes: without_import(),
            fails: without_import(),
            says: "the pipeline calls the run `failed` and says: step 1 of 2".into(),
            refuses: configuration(),
        };
        conforms(&played.producer(), &played, &expected).await;
        assert!(
            played.runs.lock().unwrap().authorized.iter().all(|by| by.as_deref() == Some("Bearer s3cret"))
        );

        let proxy = FaultProxy::start(&played.server.url("")).await.unwrap();
        *played.url.lock().unwrap() = proxy.url();
        let producer = played.producer();
        let starts = Which::Changes;
        let faulty = Faulty {
            producer: &producer,
            pipeline: &played,
            proxy: &proxy,
            starts: &starts,
            expected: &expected,
        };
        conforms_in_faults(faulty).await;
    }
}

/// Each way in which a status can be late: after the answer to the POST, after one that was lost, and for good where the pipeline has named the run.
#[tokio::test]
async fn a_status_that_lags_behind_the_post_begins_no_second_run() {
    let played = Played::start(Named::ByKey).await;
    let proxy = FaultProxy::start(&played.server.url("")).await.unwrap();
    let producer = |change: &dyn Fn(&mut HttpProducerConfig)| {
        let mut config = config(&proxy.url(), Named::ByKey);
        config.status_lag_ms = 5_000;
        change(&mut config);
        HttpProducer::new(config, Some(Secret::new("s3cret")), surroundings(played.root.path())).unwrap()
    };
    let (late, lost, named) = (
        order("late", &without_import()),
        order("lost", &without_import()),
        order("named", &without_import()),
    );
    let lag = |looks: u32| played.runs.lock().unwrap().lags = looks;

    lag(3);
    producer(&|_| ()).start(&late).await.unwrap();
    assert_eq!(played.begun(&late.key).await, 1);

    lag(3);
    proxy.order(Which::Changes, Fault::AnswerLost, 1);
    let error = producer(&|_| ()).start(&lost).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown, "{error}");
    proxy.calm();
    // As a host does: it looks what became of it, also one that was started anew.
    let progress = producer(&|_| ()).progress(&lost).await.unwrap();
    assert!(matches!(progress, Progress::Running { .. }), "{progress:?}");
    assert_eq!(played.begun(&lost.key).await, 1);

    lag(u32::MAX);
    let with_name = producer(&|config| (config.run, config.status_lag_ms) = (Some("/meta/id".into()), 0));
    with_name.start(&named).await.unwrap();
    with_name.start(&named).await.unwrap();
    assert!(
        matches!(with_name.progress(&named).await.unwrap(), Progress::Lost(_)),
        "which the host looks at again"
    );
    assert_eq!(played.begun(&named.key).await, 1);
}

#[tokio::test]
async fn the_pipeline_is_told_the_whole_order() {
    let played = Played::start(Named::ByKey).await;
    let order = order("told", &without_import());
    played.producer().start(&order).await.unwrap();
    let told = played.runs.lock().unwrap().orders[0].clone();
    assert_eq!(
        (&told["key"], &told["incident"], &told["parameters"]),
        (&json!(order.key), &json!("fraud-api:7"), &json!({"depth": 4}))
    );
    assert_eq!(
        told["target"]["exclusion"],
        json!({"data": "sha256:7", "exclude": [{"source": {"equals": "chargeback-import"}}]})
    );
}

/// Each answer to a look at a run that was begun, and what people are told.
#[tokio::test]
async fn what_a_pipeline_answers_is_told_in_one_sentence() {
    let played = Played::start(Named::ByKey).await;
    let producer = played.producer();
    let order = order("answers", &without_import());
    producer.start(&order).await.unwrap();
    let made = |result: Value| json!({"status": {"word": "succeeded"}, "made": result}).to_string();
    for (status, body, expected) in [
        (200, "<html>Sign in</html>".to_owned(), "that is not the JSON expected here"),
        (200, "{}".to_owned(), "answered with no text at `/status/word`: check `state`"),
        (
            200,
            json!({"status": {"word": "paused"}}).to_string(),
            "the state `paused`, which is none of `running`, `succeeded` and `failed`",
        ),
        (401, "no".to_owned(), "answered 401"),
        (500, "no".to_owned(), "answered 500"),
    ] {
        played.answer(status, &body);
        let error = producer.progress(&order).await.unwrap_err();
        assert_eq!(error.applied, Applied::No);
        assert!(error.to_string().contains(expected), "{body}: {error}");
    }
    for (body, expected) in [
        (
            made(json!("9.9")),
            "has registered the version `9.9`, and `registry_directory` has none of that name: check that it registers where `registry` looks",
        ),
        (made(json!({})), "names no version: have its result name"),
        (made(json!({"version": "a b"})), "the result of the run names no version"),
        (made(json!({"version": "1.0", "digest": "0".repeat(64)})), "it is another artefact"),
        (json!({"status": {"word": "succeeded"}}).to_string(), "nothing stands at `/made`: check `result`"),
        (
            json!({"status": {"word": "error", "note": "disk\n\u{1b}[31mfull"}}).to_string(),
            "calls the run `error` and says: disk",
        ),
    ] {
        let order = ripcord_adapters::conformance::producer::order("ends", &without_import());
        producer.start(&order).await.unwrap();
        played.answer(200, &body);
        match producer.progress(&order).await.unwrap() {
            Progress::Failed(why) => {
                assert!(why.contains(expected), "{body}: {why}");
                assert!(!why.contains(['\n', '\u{1b}']), "{why:?}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_pipeline_that_vanished_is_an_error_and_a_run_that_vanished_is_lost() {
    let played = Played::start(Named::ByKey).await;
    let producer = played.producer();
    let order = order("vanished", &without_import());
    producer.start(&order).await.unwrap();
    played.lose(&order.key).await;
    let Progress::Lost(why) = producer.progress(&order).await.unwrap() else { panic!("it is lost") };
    assert!(
        why.contains("the pipeline knows nothing of it any more") && why.contains("no such run"),
        "{why}"
    );
    let Played { root, server, .. } = played;
    drop(server);
    let error = producer.progress(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Unreachable, Applied::No), "{error}");
    let other = ripcord_adapters::conformance::producer::order("unreachable", &without_import());
    let error = producer.start(&other).await.unwrap_err();
    assert!(error.to_string().contains("check that the system runs"), "{error}");
    drop(root);
}

fn refused(change: impl Fn(&mut HttpProducerConfig), root: &Path) -> String {
    let mut config = config("http://127.0.0.1:1", Named::ByKey);
    change(&mut config);
    let error = HttpProducer::new(config, None, surroundings(root)).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Configuration);
    error.to_string()
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_once() {
    let root = tempfile::tempdir().unwrap();
    type Change = fn(&mut HttpProducerConfig);
    let changes: [(Change, &str); 11] = [
        (
            |config| config.status = "http://127.0.0.1:1/runs".into(),
            "`status` names the run by `{key}` or by `{run}`",
        ),
        (|config| config.status = "http://127.0.0.2:1/{key}".into(), "`status` leads to another host"),
        (|config| config.cancel = Some("https://127.0.0.1:1/{key}".into()), "`cancel` leads to another host"),
        (|config| config.status = "http://127.0.0.1:1/{run}".into(), "say where it stands in the answer"),
        (
            |config| (config.status, config.run) = ("http://127.0.0.1:1/{run}".into(), Some("/id".into())),
            "lost when its first answer is: set `honours-key = true`",
        ),
        (|config| config.url = "http://127.0.0.1:1/{key}".into(), "`url` takes no `{key}`"),
        (
            |config| config.url = "http://127.0.0.1:1/runs?tenant=a".into(),
            "`url` has a query or a fragment, which those who agree to a plan would not see",
        ),
        (|config| config.url = "http://127.0.0.1:1/runs#a".into(), "`url` has a query or a fragment"),
        (|config| config.failed.push("running".into()), "`running` stands for two states"),
        (|config| config.makes.clear(), "`makes`"),
        (|config| config.user = Some("ada".into()), "password is missing"),
    ];
    for (change, expected) in changes {
        let said = refused(change, root.path());
        assert!(said.contains(expected), "{said}");
    }
    let mut without = config("http://127.0.0.1:1", Named::ByKey);
    without.cancel = None;
    let producer = HttpProducer::new(without, None, surroundings(root.path())).unwrap();
    let error = producer.stop(&order("no cancel", &without_import())).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Unsupported, Applied::No), "{error}");
    assert!(error.to_string().contains("configure `cancel`"), "{error}");
}

#[tokio::test]
async fn nothing_of_a_run_fails_silently_when_its_state_is_gone() {
    let played = Played::start(Named::ByPipeline).await;
    let producer = played.producer();
    let order = order("kept", &without_import());
    producer.start(&order).await.unwrap();
    // Another host without what was kept: the run is found by starting it again with its key.
    std::fs::remove_dir_all(played.root.path().join("data")).unwrap();
    assert_eq!(producer.progress(&order).await.unwrap(), Progress::NotStarted);
    producer.start(&order).await.unwrap();
    assert_eq!(played.begun(&order.key).await, 1);
    played.let_fail(&order.key).await;
    let Progress::Failed(_) = producer.progress(&order).await.unwrap() else { panic!("it failed") };
}

//! Training with a DAG: an Airflow that the test plays, in the words that a real one of release 3 was recorded with, and in those of release 2.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ripcord_adapters::Secret;
use ripcord_adapters::conformance::producer::{Expected, Pipeline, conforms, order};
use ripcord_adapters::conformance::producer_faults::{Faulty, conforms_in_faults};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_adapters::producer_airflow::{AirflowApi, AirflowProducer, AirflowProducerConfig};
use ripcord_ports::producer::Progress;
use ripcord_ports::{Applied, ErrorKind, Producer, Registry};
use serde_json::{Value, json};

use super::{configuration, registry, surroundings, without_import};
use crate::adapters::support::{Server, publish};

#[derive(Default)]
struct Database {
    runs: BTreeMap<String, (&'static str, Value)>,
    begun: Vec<String>,
    tokens: u32,
    xcom: Value,
    paused: bool,
}

struct Played {
    root: tempfile::TempDir,
    api: AirflowApi,
    database: Arc<Mutex<Database>>,
    server: Server,
    url: Mutex<String>,
}

fn version(api: AirflowApi) -> &'static str {
    if api == AirflowApi::V1 { "v1" } else { "v2" }
}

fn run(key: &str, (state, conf): &(&'static str, Value)) -> Value {
    let since = (*state != "queued").then_some("2026-11-22T19:10:17.000000Z");
    json!({"dag_run_id": key, "dag_id": "retrain", "state": state, "start_date": since, "conf": conf, "run_type": "manual"})
}

fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

type Shared = State<(Arc<Mutex<Database>>, AirflowApi)>;

async fn play(
    State((database, api)): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut database = database.lock().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if uri.path() == "/auth/token" && api == AirflowApi::V2 {
        if body != json!({"username": "ripcord", "password": "s3cret"}) {
            return answer(401, json!({"detail": "Invalid credentials"}));
        }
        database.tokens += 1;
        return answer(201, json!({"access_token": format!("token-{}", database.tokens)}));
    }
    let known = match api {
        AirflowApi::V1 => "Basic cmlwY29yZDpzM2NyZXQ=".to_owned(),
        AirflowApi::V2 => format!("Bearer token-{}", database.tokens),
    };
    if headers.get("authorization").is_none_or(|sent| sent.to_str().unwrap() != known) {
        return answer(401, json!({"detail": "Not authenticated"}));
    }
    let Some(rest) = uri.path().strip_prefix(&format!("/api/{}/dags/retrain", version(api))) else {
        return answer(404, json!({"detail": "The Dag with ID: `other` was not found"}));
    };
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    let absent = || answer(404, json!({"detail": "The DagRun was not found", "title": "DAGRun not found"}));
    match (method.as_str(), parts.as_slice()) {
        ("GET", []) => answer(200, json!({"dag_id": "retrain", "is_paused": database.paused})),
        ("POST", ["dagRuns"]) => {
            let key = body["dag_run_id"].as_str().unwrap().to_owned();
            assert_eq!(body.get("logical_date").is_some(), api == AirflowApi::V2, "each release wants it so");
            if database.runs.contains_key(&key) {
                return answer(
                    409,
                    json!({"detail": {"reason": "Unique constraint violation", "statement": "hidden"}}),
                );
            }
            database.begun.push(key.clone());
            database.runs.insert(key.clone(), ("queued", body["conf"].clone()));
            answer(200, run(&key, &database.runs[&key]))
        }
        (method, ["dagRuns", key, more @ ..]) => {
            let Some(found) = database.runs.get_mut(*key) else { return absent() };
            match (method, more) {
                ("GET", []) => {
                    if found.0 == "queued" {
                        found.0 = "running";
                    }
                    answer(200, run(key, found))
                }
                ("PATCH", []) => {
                    found.0 = if body["state"] == "failed" { "failed" } else { panic!("{body}") };
                    answer(200, run(key, found))
                }
                ("GET", ["taskInstances"]) => answer(
                    200,
                    json!({"task_instances": [
                    {"task_id": "load", "state": "success"}, {"task_id": "train", "state": "failed"}, {"task_id": "register", "state": "upstream_failed"}]}),
                ),
                ("GET", ["taskInstances", "register", "xcomEntries", "return_value"]) => match &database.xcom
                {
                    Value::Null => answer(404, json!({"detail": "XCom entry not found"})),
                    value => answer(200, json!({"key": "return_value", "value": value})),
                },
                _ => absent(),
            }
        }
        _ => absent(),
    }
}

pub(crate) fn config(url: &str, api: AirflowApi) -> AirflowProducerConfig {
    serde_json::from_value(json!({
        "url": url, "dag": "retrain", "api": version(api), "xcom": {"task": "register"}, "user": "ripcord", "conf": {"depth": 4},
    }))
    .unwrap()
}

fn producer(url: &str, api: AirflowApi, root: &Path) -> AirflowProducer {
    AirflowProducer::new(config(url, api), Some(Secret::new("s3cret")), surroundings(root)).unwrap()
}

impl Played {
    async fn start(api: AirflowApi) -> Self {
        let root = tempfile::tempdir().unwrap();
        registry(root.path());
        publish(&root.path().join("registry"), "1.0", "2026-11-01T00:00:00Z");
        let xcom = match api {
            AirflowApi::V1 => json!("{\"version\": \"1.0\", \"rows\": 12}"),
            AirflowApi::V2 => json!({"version": "1.0", "rows": 12}),
        };
        let database = Arc::new(Mutex::new(Database { xcom, ..Database::default() }));
        let server = Server::start(Router::new().fallback(play).with_state((database.clone(), api))).await;
        let url = Mutex::new(server.url(""));
        Self { root, api, database, server, url }
    }

    fn producer(&self) -> AirflowProducer {
        producer(&self.url.lock().unwrap(), self.api, self.root.path())
    }

    fn set(&self, key: &str, state: &'static str) {
        self.database.lock().unwrap().runs.get_mut(key).unwrap().0 = state;
    }
}

#[async_trait]
impl Pipeline for Played {
    async fn begun(&self, key: &str) -> usize {
        self.database.lock().unwrap().begun.iter().filter(|begun| *begun == key).count()
    }

    async fn let_succeed(&self, key: &str) {
        self.set(key, "success");
    }

    async fn let_fail(&self, key: &str) {
        self.set(key, "failed");
    }

    async fn goes_on(&self, key: &str) -> bool {
        self.database.lock().unwrap().runs.get(key).is_some_and(|run| ["queued", "running"].contains(&run.0))
    }

    async fn lose(&self, key: &str) -> bool {
        self.database.lock().unwrap().runs.remove(key);
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
async fn both_releases_conform_also_while_the_network_fails() {
    for api in [AirflowApi::V1, AirflowApi::V2] {
        let played = Played::start(api).await;
        let expected = Expected {
            makes: without_import(),
            fails: without_import(),
            says: "failed, in the task train: its log says more".into(),
            refuses: configuration(),
        };
        conforms(&played.producer(), &played, &expected).await;
        let proxy = FaultProxy::start(&played.server.url("")).await.unwrap();
        *played.url.lock().unwrap() = proxy.url();
        let producer = played.producer();
        // Logged in before anything goes wrong: a login is no start.
        producer.progress(&order("login", &expected.makes)).await.unwrap();
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

#[tokio::test]
async fn the_order_is_in_the_run_s_configuration_and_a_token_that_has_ended_is_renewed() {
    let played = Played::start(AirflowApi::V2).await;
    let producer = played.producer();
    let order = order("conf", &without_import());
    producer.start(&order).await.unwrap();
    let conf = played.database.lock().unwrap().runs[&order.key].1.clone();
    assert_eq!((&conf["depth"], &conf["ripcord"]["key"]), (&json!(4), &json!(order.key)));
    assert_eq!(
        conf["ripcord"]["target"]["exclusion"]["exclude"],
        json!([{"source": {"equals": "chargeback-import"}}])
    );
    played.database.lock().unwrap().tokens += 7;
    let progress = producer.progress(&order).await.unwrap();
    let Progress::Running { text, since } = progress else { panic!("{progress:?}") };
    assert_eq!((text.as_str(), since.is_some()), ("airflow says `running`", true));
}

#[tokio::test]
async fn a_dag_can_be_told_what_to_call_the_version() {
    let played = Played::start(AirflowApi::V2).await;
    let config = AirflowProducerConfig {
        xcom: None,
        version: Some("retrained-{key}".into()),
        ..config(&played.server.url(""), AirflowApi::V2)
    };
    let producer =
        AirflowProducer::new(config, Some(Secret::new("s3cret")), surroundings(played.root.path())).unwrap();
    let order = order("named", &without_import());
    producer.start(&order).await.unwrap();
    let name = format!("retrained-{}", order.key);
    assert_eq!(played.database.lock().unwrap().runs[&order.key].1["ripcord"]["version"], json!(name));
    publish(&played.root.path().join("registry"), &name, "2026-11-02T00:00:00Z");
    played.let_succeed(&order.key).await;
    let Progress::Made(made) = producer.progress(&order).await.unwrap() else { panic!("it is made") };
    assert_eq!(made.version.version.as_str(), name);
}

#[tokio::test]
async fn what_a_task_pushed_is_a_result_or_people_are_told_why_not() {
    for (api, xcom, expected) in [
        (AirflowApi::V1, json!("1.0"), ""),
        (AirflowApi::V1, json!("\"1.0\""), ""),
        (AirflowApi::V2, json!("1.0"), ""),
        (
            AirflowApi::V1,
            json!("{'version': '1.0'}"),
            "which is neither JSON nor the name of a version: have the task return the version's name, or `json.dumps(…)`",
        ),
        (AirflowApi::V2, json!(null), "is not there: the task `register` has pushed no `return_value`"),
        (AirflowApi::V2, json!([1]), "neither an object nor the name of a version"),
        (AirflowApi::V2, json!("9.9"), "has registered the version `9.9`, and `registry_directory` has none"),
    ] {
        let played = Played::start(api).await;
        played.database.lock().unwrap().xcom = xcom.clone();
        let producer = played.producer();
        let order = order("xcom", &without_import());
        producer.start(&order).await.unwrap();
        played.let_succeed(&order.key).await;
        match producer.progress(&order).await.unwrap() {
            Progress::Made(made) => {
                assert_eq!((made.version.version.as_str(), expected), ("1.0", ""), "{xcom}")
            }
            Progress::Failed(why) => assert!(!expected.is_empty() && why.contains(expected), "{xcom}: {why}"),
            other => panic!("{xcom}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_airflow_does_not_have_or_allow_is_said() {
    let played = Played::start(AirflowApi::V2).await;
    let url = played.server.url("");
    let of = |change: &dyn Fn(&mut AirflowProducerConfig), secret: &str| {
        let mut config = config(&url, AirflowApi::V2);
        change(&mut config);
        AirflowProducer::new(config, Some(Secret::new(secret)), surroundings(played.root.path()))
    };
    let order = order("refused", &without_import());
    let other = of(&|config| config.dag = "other".into(), "s3cret").unwrap();
    let error = other.start(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::NotFound, Applied::No), "{error}");
    assert!(error.to_string().contains("has no DAG `other`: check `dag`"), "{error}");
    assert!(other.obstacle().await.unwrap().contains("has no DAG `other`"));
    let wrong = of(&|_| {}, "guess").unwrap();
    let error = wrong.start(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Denied, Applied::No), "{error}");
    assert!(!error.to_string().contains("guess") && !format!("{wrong:?}").contains("guess"));
    let producer = played.producer();
    assert_eq!(producer.obstacle().await, None);
    played.database.lock().unwrap().paused = true;
    assert!(producer.obstacle().await.unwrap().contains("paused, and a run of it would wait for ever"));
    type Change = fn(&mut AirflowProducerConfig);
    let changes: [(Change, &str); 5] = [
        (|config| config.xcom = None, "say how the version is known"),
        (|config| config.version = Some("a-{key}".into()), "one of them"),
        (
            |config| (config.xcom, config.version) = (None, Some("fixed".into())),
            "two runs may not have one name",
        ),
        (|config| config.conf = [("ripcord".to_owned(), json!(1))].into(), "call it otherwise"),
        (|config| config.dag = "a/b".into(), "cannot be the id of a DAG"),
    ];
    for (change, expected) in changes {
        let said = of(&change, "s3cret").err().unwrap().to_string();
        assert!(said.contains(expected), "{said}");
    }
}

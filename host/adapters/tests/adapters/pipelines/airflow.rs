//! Airflow that the test plays, in the words that a real one of release 3 was recorded with, and in those of release 2.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ripcord_adapters::conformance::deployer::{conforms as deployer_conforms, order};
use ripcord_adapters::conformance::deployer_faults;
use ripcord_adapters::conformance::pipeline::{Behaviour, MarkIs, System, conforms, conforms_in_faults};
use ripcord_adapters::deployer_airflow::{AirflowDeployerConfig, deployer};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_adapters::{PipelineDeployer, PipelineSurroundings, Secret};
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Probe, ShiftOrder};
use ripcord_ports::{Applied, Deployer};
use serde_json::{Value, json};

use super::world::{
    PlayedRun, SharedWorld, Stage, live_page, live_settings, logs_in, query_of, settable, world,
};
use crate::adapters::support::{Server, shared};

fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

fn run(run: &PlayedRun) -> Value {
    let state = match run.stage {
        Stage::Queued => "queued",
        Stage::Running => "running",
        Stage::Green => "success",
        Stage::Red | Stage::Cancelled => "failed",
    };
    json!({"dag_run_id": run.mark(), "dag_id": "deploy", "state": state, "run_type": "manual"})
}

async fn play(
    State(world): State<SharedWorld>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut world = world.lock().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let v1 = uri.path().starts_with("/api/v1");
    if uri.path() == "/auth/token" {
        assert_eq!(body, json!({"username": "ripcord", "password": "s3cret"}));
        return answer(201, json!({"access_token": "token-1"}));
    }
    let known = if v1 { "Basic cmlwY29yZDpzM2NyZXQ=" } else { "Bearer token-1" };
    if headers.get("authorization").is_none_or(|sent| sent != known) {
        return answer(401, json!({"detail": "Not authenticated"}));
    }
    let base = if v1 { "/api/v1/dags/deploy" } else { "/api/v2/dags/deploy" };
    let Some(rest) = uri.path().strip_prefix(base) else {
        return answer(404, json!({"detail": "The Dag with ID: `other` was not found"}));
    };
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    let absent = || answer(404, json!({"detail": "The DagRun was not found"}));
    let id_of = |world: &super::world::World, mark: &str| {
        world.all().find(|run| run.mark() == mark).map(|run| run.id)
    };
    match (method.as_str(), parts.as_slice()) {
        ("GET", []) => answer(200, json!({"dag_id": "deploy", "is_paused": false})),
        ("POST", ["dagRuns"]) => {
            let told: BTreeMap<String, String> = serde_json::from_value(body["conf"].clone()).unwrap();
            assert_eq!(told["ripcord_mark"], body["dag_run_id"]);
            if id_of(&world, &told["ripcord_mark"]).is_some() {
                return answer(409, json!({"detail": {"reason": "Unique constraint violation"}}));
            }
            let id = world.begin(told);
            let made = world.runs[usize::try_from(id).unwrap() - 1].clone();
            answer(200, run(&made))
        }
        (method, ["dagRuns", mark, more @ ..]) => {
            let Some(id) = id_of(&world, mark) else { return absent() };
            match (method, more) {
                ("GET", []) => answer(200, run(&world.look(id).unwrap())),
                ("PATCH", []) => {
                    world.cancel(id);
                    answer(200, run(&world.look(id).unwrap()))
                }
                ("GET", ["taskInstances"]) => {
                    let tries = if world.look(id).unwrap().worked { 2 } else { 0 };
                    answer(
                        200,
                        json!({"total_entries": 2, "task_instances": [
                        {"task_id": "build", "state": "failed", "try_number": tries, "map_index": 3},
                        {"task_id": "deploy", "state": "failed", "try_number": tries, "map_index": -1}]}),
                    )
                }
                // One of several that were made of one task is found by its number alone.
                ("GET", ["taskInstances", "build", "logs", "2"])
                    if query_of(&uri).get("map_index").is_some_and(|index| index == "3") =>
                {
                    answer(200, json!({"content": [{"event": "built the third"}]}))
                }
                ("GET", ["taskInstances", "deploy", "logs", "2"]) => {
                    let log = world.look(id).unwrap().log;
                    let lines: Vec<Value> = log.lines().map(|line| json!({"event": line})).collect();
                    answer(
                        200,
                        json!({"content": if v1 { json!(log) } else { json!(lines) }, "continuation_token": null}),
                    )
                }
                _ => absent(),
            }
        }
        _ => absent(),
    }
}

struct Played {
    world: SharedWorld,
    server: Server,
    live: Server,
    data: tempfile::TempDir,
    url: Mutex<String>,
    api: &'static str,
}

impl Played {
    async fn start(api: &'static str) -> Self {
        let world = world();
        let server = Server::start(Router::new().fallback(play).with_state(world.clone())).await;
        let live = live_page(&world).await;
        let url = Mutex::new(server.url(""));
        Self { world, server, live, data: tempfile::tempdir().unwrap(), url, api }
    }

    fn made(&self) -> PipelineDeployer {
        self.with_patience(2_000)
    }

    fn with_patience(&self, patience_ms: u64) -> PipelineDeployer {
        self.following(json!({"poll-ms": 20, "patience-ms": patience_ms}))
    }

    fn following(&self, follow: Value) -> PipelineDeployer {
        let config: AirflowDeployerConfig = serde_json::from_value(json!({
            "url": *self.url.lock().unwrap(), "dag": "deploy", "user": "ripcord", "api": self.api,
            "follow": follow, "live": live_settings(&self.live),
        }))
        .unwrap();
        let surroundings = PipelineSurroundings { data: self.data.path().to_owned(), shared: shared() };
        deployer(config, Some(Secret::new("s3cret")), surroundings).unwrap()
    }
}

#[async_trait]
impl System for Played {
    async fn behave(&self, behaviour: Behaviour) {
        self.world.lock().unwrap().behaviour = behaviour;
    }

    async fn begun(&self) -> usize {
        self.world.lock().unwrap().runs.len()
    }

    async fn at_rest(&self) -> bool {
        self.world.lock().unwrap().is_at_rest()
    }

    async fn forget(&self) -> bool {
        self.world.lock().unwrap().forget();
        true
    }

    fn restarted(&self) -> Box<dyn Deployer> {
        Box::new(self.made())
    }
}

/// Called beside those of the other systems.
pub(super) async fn does_what_every_deployer_and_every_pipeline_must() {
    for api in ["v1", "v2"] {
        let played = Played::start(api).await;
        let deployer = played.made();
        assert_eq!(deployer.obstacle().await, None);
        deployer_conforms(&deployer, &settable("1"), &settable("2")).await;
        conforms(&deployer, &played, &settable("1"), &settable("2")).await;
        let logs = logs_in(played.data.path());
        assert!(logs.contains("built the third") && logs.contains("no room on"), "{logs}");
    }
}

/// The mark is Airflow's own key, so that this one can be held to what is asked of every deployer in faults, too.
pub(super) async fn does_so_in_faults_too() {
    let played = Played::start("v2").await;
    let proxy = FaultProxy::start(&played.server.url("")).await.unwrap();
    *played.url.lock().unwrap() = proxy.url();
    let deployer = played.made();
    assert_eq!(deployer.obstacle().await, None);
    let (one, two) = (settable("1"), settable("2"));
    let requests = (&Which::Changes, &Which::With("/dagRuns/"));
    conforms_in_faults(&deployer, &played, &proxy, requests, MarkIs::Key, (&one, &two)).await;
    // That suite wants a start that was refused for now to be left to the host.
    let deployer = played.with_patience(0);
    assert_eq!(deployer.obstacle().await, None);
    deployer_faults::conforms_in_faults(&deployer, &proxy, &Which::Changes, &one, &two).await;
}

/// Airflow calls a run failed the moment it is told so, and its task works on until its supervisor hears of it.
#[tokio::test]
async fn after_a_run_that_was_told_to_end_the_next_one_waits() {
    let played = Played::start("v2").await;
    let deployer = played.following(json!({"poll-ms": 20, "patience-ms": 2000, "cancel-at-deadline": true}));
    played.behave(Behaviour::Waits).await;
    played.world.lock().unwrap().works_on = true;
    let before = deployer.live().await.unwrap().state;
    let first = order("first", &settable("2"), before.clone());
    let first = ShiftOrder { deadline: Millis::seconds(12), ..first };
    let error = deployer.shift(&first).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown, "its task may work on: {error}");
    assert!(error.to_string().contains("ended as `failed`"), "{error}");
    let second = order("second", &settable("3"), before);
    let error = deployer.shift(&second).await.unwrap_err();
    assert_eq!(error.applied, Applied::No, "{error}");
    assert!(error.to_string().contains("was told to end, and may work on for 30 s"), "{error}");
    assert_eq!(played.begun().await, 1, "none is begun beside a task that may be at work");
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    assert!(deployer.live().await.unwrap().state.serves(&settable("2").target), "it has worked on");
    assert_eq!(deployer.probe(&first).await.unwrap(), Probe::Applied);
}

#[tokio::test]
async fn a_run_that_was_failed_while_it_was_queued_has_done_nothing() {
    let played = Played::start("v2").await;
    let deployer = played.following(json!({"poll-ms": 20, "patience-ms": 2000, "cancel-at-deadline": true}));
    played.world.lock().unwrap().queues = true;
    let first = order("queued", &settable("2"), deployer.live().await.unwrap().state);
    let first = ShiftOrder { deadline: Millis::seconds(12), ..first };
    let error = deployer.shift(&first).await.unwrap_err();
    assert_eq!(error.applied, Applied::No, "{error}");
    assert!(error.to_string().contains("nothing of it was ever at work"), "{error}");
    assert_eq!(deployer.probe(&first).await.unwrap(), Probe::NotApplied);
}

//! GitHub that the test plays, by its description of its interface. There is no GitHub to be had here.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ripcord_adapters::conformance::deployer::{conforms as deployer_conforms, order};
use ripcord_adapters::conformance::pipeline::{Behaviour, MarkIs, System, conforms, conforms_in_faults};
use ripcord_adapters::deployer_github_actions::{GithubActionsDeployerConfig, deployer};
use ripcord_adapters::fault_proxy::{Canned, Fault, FaultProxy, Which};
use ripcord_adapters::{PipelineDeployer, PipelineSurroundings, Secret};
use ripcord_ports::deployer::Shifted;
use ripcord_ports::{Applied, Deployer, Retry};
use serde_json::{Value, json};

use super::world::{PlayedRun, SharedWorld, Stage, live_page, live_settings, query_of, settable, world};
use crate::adapters::support::{Server, shared};

fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

fn run(run: &PlayedRun) -> Value {
    let (status, conclusion) = match run.stage {
        Stage::Queued => ("queued", None),
        Stage::Running => ("in_progress", None),
        Stage::Green => ("completed", Some("success")),
        Stage::Red => ("completed", Some("failure")),
        Stage::Cancelled => ("completed", Some("cancelled")),
    };
    json!({"id": 9_000_000_000_u64 + run.id, "display_title": format!("deploy ({})", run.mark()), "event": "workflow_dispatch",
        "status": status, "conclusion": conclusion, "run_number": run.id, "created_at": "2026-11-28T14:00:00Z"})
}

async fn play(
    State(world): State<SharedWorld>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text("authorization") != "Bearer ghp_s3cret" {
        return answer(401, json!({"message": "Bad credentials"}));
    }
    assert_eq!(text("x-github-api-version"), "2022-11-28");
    let mut world = world.lock().unwrap();
    let absent = || answer(404, json!({"message": "Not Found"}));
    let Some(rest) = uri.path().strip_prefix("/repos/team/fraud/actions/") else { return absent() };
    let number = |id: &str| id.parse::<u64>().unwrap().saturating_sub(9_000_000_000);
    match (method.as_str(), rest.split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["workflows", "deploy.yml"]) => answer(200, json!({"id": 1, "state": "active"})),
        ("POST", ["workflows", "deploy.yml", "dispatches"]) => {
            let body: Value = serde_json::from_slice(&body).unwrap();
            let told: BTreeMap<String, String> = serde_json::from_value(body["inputs"].clone()).unwrap();
            if let Some(name) = told.keys().find(|name| !name.starts_with("ripcord_")) {
                return answer(422, json!({"message": format!("Unexpected inputs provided: [\"{name}\"]")}));
            }
            assert_eq!(body["ref"], "main");
            let id = world.begin(told) + 9_000_000_000;
            match body["return_run_details"] == true {
                true => answer(
                    200,
                    json!({"workflow_run_id": id, "run_url": "https://a.invalid/1", "html_url": "https://a.invalid/2"}),
                ),
                false => StatusCode::NO_CONTENT.into_response(),
            }
        }
        ("GET", ["workflows", "deploy.yml", "runs"]) => {
            let query = query_of(&uri);
            assert_eq!((query["event"].as_str(), query["per_page"].as_str()), ("workflow_dispatch", "100"));
            let page: usize = query["page"].parse().unwrap();
            let odd = json!({"id": "a text", "display_title": 7});
            let list: Vec<Value> = std::iter::once(odd)
                .chain(world.all().rev().map(run))
                .skip((page - 1) * 100)
                .take(100)
                .collect();
            answer(200, json!({"total_count": list.len(), "workflow_runs": list}))
        }
        ("GET", ["runs", id]) => match world.look(number(id)) {
            Some(found) => answer(200, run(&found)),
            None => absent(),
        },
        ("GET", ["runs", id, "jobs"]) => {
            let PlayedRun { log, worked, .. } = world.look(number(id)).unwrap();
            if !worked {
                return answer(200, json!({"total_count": 0, "jobs": []}));
            }
            answer(
                200,
                json!({"total_count": 1, "jobs": [{"name": "deploy", "conclusion": "failure", "steps": [
                {"number": 1, "name": log.replace('\n', " "), "status": "completed", "conclusion": "failure"}]}]}),
            )
        }
        ("POST", ["runs", id, "cancel"]) => {
            world.cancel(number(id));
            answer(202, json!({}))
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
}

impl Played {
    async fn start() -> Self {
        let world = world();
        let server = Server::start(Router::new().fallback(play).with_state(world.clone())).await;
        let live = live_page(&world).await;
        let url = Mutex::new(server.url(""));
        Self { world, server, live, data: tempfile::tempdir().unwrap(), url }
    }

    fn config(&self) -> Value {
        json!({"url": *self.url.lock().unwrap(), "repository": "team/fraud", "workflow": "deploy.yml",
            "follow": {"poll-ms": 20, "patience-ms": 2000}, "live": live_settings(&self.live)})
    }

    fn made(&self, config: Value, token: &str) -> PipelineDeployer {
        let config: GithubActionsDeployerConfig = serde_json::from_value(config).unwrap();
        let surroundings = PipelineSurroundings { data: self.data.path().to_owned(), shared: shared() };
        deployer(config, Some(Secret::new(token)), surroundings).unwrap()
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
        Box::new(self.made(self.config(), "ghp_s3cret"))
    }
}

/// Called beside those of the other systems.
pub(super) async fn does_what_every_deployer_and_every_pipeline_must() {
    for details in [true, false] {
        let played = Played::start().await;
        let mut config = played.config();
        config["run-details"] = details.into();
        let deployer = played.made(config, "ghp_s3cret");
        assert_eq!(deployer.obstacle().await, None);
        deployer_conforms(&deployer, &settable("1"), &settable("2")).await;
        conforms(&deployer, &played, &settable("1"), &settable("2")).await;
    }
}

/// Called beside those of the other systems.
pub(super) async fn does_so_in_faults_too() {
    let played = Played::start().await;
    let proxy = FaultProxy::start(&played.server.url("")).await.unwrap();
    *played.url.lock().unwrap() = proxy.url();
    let deployer = played.made(played.config(), "ghp_s3cret");
    let two = (&settable("1"), &settable("2"));
    let requests = (&Which::Changes, &Which::With("/actions/runs/"));
    conforms_in_faults(&deployer, &played, &proxy, requests, MarkIs::Note, two).await;
}

/// GitHub says it with the status that stands for missing rights.
#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let played = Played::start().await;
    let proxy = FaultProxy::start(&played.server.url("")).await.unwrap();
    *played.url.lock().unwrap() = proxy.url();
    let deployer = played.made(played.config(), "ghp_s3cret");
    let limited = Fault::Instead(Canned {
        status: 403,
        content_type: "application/json",
        retry_after: Some(1),
        body: br#"{"message": "You have exceeded a secondary rate limit."}"#.to_vec(),
    });
    for part in ["/dispatches", "/actions/runs/"] {
        proxy.order(Which::With(part), limited.clone(), 1);
    }
    let before = deployer.live().await.unwrap().state;
    let two = order("limited", &settable("2"), before.clone());
    assert_eq!(deployer.shift(&two).await.unwrap(), Shifted::Done);
    assert_eq!((played.begun().await, proxy.left()), (1, 0));
    // Whoever goes on asking is banned.
    proxy.order(Which::Any, limited, usize::MAX);
    let mut config = played.config();
    config["follow"]["patience-ms"] = 0.into();
    let impatient = played.made(config, "ghp_s3cret");
    let seen = proxy.seen().len();
    for _ in 0..3 {
        let error = impatient.shift(&order("limited too", &settable("3"), before.clone())).await.unwrap_err();
        assert_eq!(error.applied, Applied::No, "{error}");
        assert!(matches!(error.retry, Retry::After(_)), "{error}");
        assert!(error.to_string().contains("rate limit"), "{error}");
    }
    assert_eq!(proxy.seen().len(), seen + 1, "it is left alone until then");
}

/// In a group of runs one waits for its turn, and the next one that comes takes its place.
#[tokio::test]
async fn a_run_that_was_cancelled_before_its_turn_is_begun_again() {
    let played = Played::start().await;
    let deployer = played.made(played.config(), "ghp_s3cret");
    played.world.lock().unwrap().queues = true;
    let wanted = order("pending", &settable("2"), deployer.live().await.unwrap().state);
    let (result, ()) = tokio::join!(deployer.shift(&wanted), async {
        for _ in 0..200 {
            if played.begun().await == 1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        played.world.lock().unwrap().cancel(1);
    });
    let error = result.unwrap_err();
    assert_eq!((error.applied, error.retry), (Applied::No, Retry::Later), "{error}");
    played.world.lock().unwrap().queues = false;
    assert_eq!(deployer.shift(&wanted).await.unwrap(), Shifted::Done);
    assert_eq!(played.begun().await, 2, "the same order, by another run");
}

#[tokio::test]
async fn what_people_have_to_mend_is_said_and_nothing_is_begun() {
    let played = Played::start().await;
    let check = |change: &dyn Fn(&mut Value), token: &'static str, expected: &'static str| {
        let mut config = played.config();
        change(&mut config);
        let deployer = played.made(config, token);
        async move {
            let before = deployer.live().await.unwrap().state;
            let error = deployer.shift(&order("x", &settable("2"), before)).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.applied, Applied::No, "{error}");
        }
    };
    check(&|it| it["workflow"] = "nosuch.yml".into(), "ghp_s3cret", "there is no workflow `nosuch.yml`")
        .await;
    check(&|_| {}, "other", "does not know these credentials").await;
    check(&|it| it["inputs"] = json!({"zone": "a"}), "ghp_s3cret", "Unexpected inputs provided").await;
    assert_eq!(played.begun().await, 0);
}

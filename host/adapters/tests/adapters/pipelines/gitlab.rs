//! GitLab that the test plays, by its documentation. There is no GitLab to be had here.

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
use ripcord_adapters::deployer_gitlab::{GitlabDeployerConfig, deployer};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_adapters::{PipelineDeployer, PipelineSurroundings, Secret};
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{ShiftOrder, Shifted};
use ripcord_ports::{Applied, Deployer, Retry};
use serde_json::{Value, json};

use super::world::{
    Logs, PlayedRun, SharedWorld, Stage, live_page, live_settings, logs_in, query_of, settable, world,
};
use crate::adapters::support::{Server, shared};

fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

fn pipeline(run: &PlayedRun) -> Value {
    let status = match run.stage {
        Stage::Queued => "pending",
        Stage::Running => "running",
        Stage::Green => "success",
        Stage::Red => "failed",
        Stage::Cancelled => "canceled",
    };
    json!({"id": 700 + run.id, "iid": run.id, "project_id": 1, "status": status, "source": "api", "ref": "main",
        "name": format!("deploy ({})", run.mark())})
}

async fn play(
    State(world): State<SharedWorld>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text("authorization") != "Bearer glpat-s3cret" {
        return answer(401, json!({"message": "401 Unauthorized"}));
    }
    let logs = world.lock().unwrap().logs;
    if logs == Logs::Hang && uri.path().ends_with("/trace") {
        std::future::pending::<()>().await;
    }
    let mut world = world.lock().unwrap();
    let absent = || answer(404, json!({"message": "404 Not found"}));
    let Some(rest) = uri.path().strip_prefix("/api/v4/projects/team%2Ffraud/") else { return absent() };
    let number = |id: &str| id.parse::<u64>().unwrap().saturating_sub(700);
    match (method.as_str(), rest.split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["repository", "branches", "main"]) => answer(200, json!({"name": "main"})),
        ("GET", ["repository", "tags", "v1"]) => answer(200, json!({"name": "v1"})),
        ("POST", ["pipeline"]) => {
            let body: Value = serde_json::from_slice(&body).unwrap();
            if body["ref"] != "main" {
                return answer(400, json!({"message": {"base": ["Reference not found"]}}));
            }
            let told: BTreeMap<String, String> = match body["variables"].as_array() {
                Some(list) => list
                    .iter()
                    .map(|it| {
                        (it["key"].as_str().unwrap().to_owned(), it["value"].as_str().unwrap().to_owned())
                    })
                    .collect(),
                None => serde_json::from_value(body["inputs"].clone()).unwrap(),
            };
            let id = world.begin(told);
            let made = world.runs[usize::try_from(id).unwrap() - 1].clone();
            answer(201, pipeline(&made))
        }
        ("GET", ["pipelines"]) => {
            let query = query_of(&uri);
            assert_eq!((query["source"].as_str(), query["per_page"].as_str()), ("api", "100"));
            let page: usize = query["page"].parse().unwrap();
            let odd = json!({"id": "a text", "name": 7});
            let all = std::iter::once(odd).chain(world.all().rev().map(pipeline));
            answer(200, all.skip((page - 1) * 100).take(100).collect())
        }
        ("GET", ["pipelines", id]) => match world.look(number(id)) {
            Some(found) => answer(200, pipeline(&found)),
            None => absent(),
        },
        ("GET", ["pipelines", id, "jobs"]) => {
            let started =
                world.look(number(id)).is_some_and(|run| run.worked).then_some("2026-11-28T14:00:00Z");
            let other = if logs == Logs::There { "success" } else { "failed" };
            let jobs = json!([
                {"id": 1, "name": "build", "status": other, "started_at": started},
                {"id": 700 + number(id), "name": "deploy", "status": "failed", "started_at": started}]);
            answer(200, jobs)
        }
        ("GET", ["pipelines", _, "bridges"]) => answer(200, json!([])),
        ("GET", ["jobs", "1", "trace"]) if logs == Logs::OneLong => {
            "of a long log\n".repeat(1 << 20).into_response()
        }
        ("GET", ["jobs", "1", "trace"]) => absent(),
        ("GET", ["jobs", id, "trace"]) => world.look(number(id)).unwrap().log.into_response(),
        ("POST", ["pipelines", id, "cancel"]) => {
            world.cancel(number(id));
            answer(200, json!({"id": 1, "status": "canceling"}))
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
        json!({"url": *self.url.lock().unwrap(), "project": "team/fraud",
            "follow": {"poll-ms": 20, "patience-ms": 2000}, "live": live_settings(&self.live)})
    }

    fn made(&self, config: Value, token: &str) -> PipelineDeployer {
        let config: GitlabDeployerConfig = serde_json::from_value(config).unwrap();
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
        Box::new(self.made(self.config(), "glpat-s3cret"))
    }
}

/// Called beside those of the other systems.
pub(super) async fn does_what_every_deployer_and_every_pipeline_must() {
    for by in ["variables", "inputs"] {
        let played = Played::start().await;
        let mut config = played.config();
        config["tells-by"] = by.into();
        let deployer = played.made(config, "glpat-s3cret");
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
    let deployer = played.made(played.config(), "glpat-s3cret");
    let two = (&settable("1"), &settable("2"));
    let requests = (&Which::Changes, &Which::With("/pipelines/"));
    conforms_in_faults(&deployer, &played, &proxy, requests, MarkIs::Note, two).await;
}

#[tokio::test]
async fn one_log_that_cannot_be_read_hides_no_other() {
    for logs in [Logs::OneMissing, Logs::OneLong] {
        let played = Played::start().await;
        let deployer = played.made(played.config(), "glpat-s3cret");
        played.behave(Behaviour::Fails).await;
        played.world.lock().unwrap().logs = logs;
        let wanted = order("logs", &settable("2"), deployer.live().await.unwrap().state);
        let error = deployer.shift(&wanted).await.unwrap_err();
        assert!(error.to_string().contains("no room on"), "{logs:?}: {error}");
        let kept = logs_in(played.data.path());
        assert_eq!(kept.contains("its log could not be read"), logs == Logs::OneMissing, "{logs:?}: {kept}");
    }
}

#[tokio::test]
async fn a_log_that_never_comes_does_not_hide_that_it_is_done() {
    let played = Played::start().await;
    let deployer = played.made(played.config(), "glpat-s3cret");
    played.world.lock().unwrap().logs = Logs::Hang;
    let wanted = order("hangs", &settable("2"), deployer.live().await.unwrap().state);
    let wanted = ShiftOrder { deadline: Millis::seconds(8), ..wanted };
    let begun = std::time::Instant::now();
    assert_eq!(deployer.shift(&wanted).await.unwrap(), Shifted::Done);
    assert!(begun.elapsed() < std::time::Duration::from_secs(9), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_pipeline_that_was_cancelled_before_its_turn_is_begun_again() {
    let played = Played::start().await;
    let mut config = played.config();
    config["follow"]["cancel-at-deadline"] = true.into();
    let deployer = played.made(config, "glpat-s3cret");
    played.world.lock().unwrap().queues = true;
    let wanted = order("pending", &settable("2"), deployer.live().await.unwrap().state);
    let short = ShiftOrder { deadline: Millis::seconds(12), ..wanted.clone() };
    let error = deployer.shift(&short).await.unwrap_err();
    assert_eq!((error.applied, error.retry), (Applied::No, Retry::Later), "{error}");
    played.world.lock().unwrap().queues = false;
    assert_eq!(deployer.shift(&wanted).await.unwrap(), Shifted::Done);
    assert_eq!(played.begun().await, 2, "the same order, by another pipeline");
}

#[tokio::test]
async fn a_tag_is_as_good_as_a_branch() {
    let played = Played::start().await;
    let told = |name: &'static str| {
        let mut config = played.config();
        config["branch"] = name.into();
        let deployer = played.made(config, "glpat-s3cret");
        async move { deployer.obstacle().await }
    };
    assert_eq!(told("main").await, None);
    assert_eq!(told("v1").await, None);
    assert!(told("nosuch").await.is_some_and(|why| why.contains("with this branch or tag")));
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
    check(&|it| it["project"] = "team/other".into(), "glpat-s3cret", "there is no project `team/other`")
        .await;
    check(&|it| it["branch"] = "nosuch".into(), "glpat-s3cret", "Reference not found").await;
    check(&|_| {}, "other", "does not know these credentials").await;
    assert_eq!(played.begun().await, 0);
}

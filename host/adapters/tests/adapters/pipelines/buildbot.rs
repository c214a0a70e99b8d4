//! Buildbot that the test plays, in the words that a real one of release 4.3 was recorded with.

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
use ripcord_adapters::deployer_buildbot::{BuildbotDeployerConfig, deployer};
use ripcord_adapters::fault_proxy::{Canned, Fault, FaultProxy, Which};
use ripcord_adapters::{PipelineDeployer, PipelineSurroundings, Secret};
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Probe, ShiftOrder, Shifted};
use ripcord_ports::waiting::{Watch, watched};
use ripcord_ports::{Applied, Deployer, Retry};
use serde_json::{Value, json};

use super::world::{
    PlayedRun, SharedWorld, Stage, live_page, live_settings, logs_in, query_of, settable, world,
};
use crate::adapters::support::{Server, StandingClock, shared_at};

const NOW: u64 = 1_000_000;
const NAMES: [&str; 7] = [
    "ripcord_mark",
    "ripcord_version",
    "ripcord_digest",
    "ripcord_expecting",
    "ripcord_incident",
    "ripcord_plan",
    "region",
];

fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

fn set(run: &PlayedRun) -> Value {
    let (complete, results) = match run.stage {
        Stage::Queued | Stage::Running => (false, -1),
        Stage::Green => (true, 0),
        Stage::Red => (true, 2),
        Stage::Cancelled => (true, 6),
    };
    json!({"bsid": run.id, "complete": complete, "results": results, "submitted_at": 1_795_874_516,
        "reason": format!("A build was forced by 'ripcord': {}", run.mark())})
}

async fn play(
    State(world): State<SharedWorld>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let session = if world.lock().unwrap().secure { "TWISTED_SECURE_SESSION" } else { "TWISTED_SESSION" };
    if uri.path() == "/auth/login" {
        if text("authorization") != "Basic cmlwY29yZDpzM2NyZXQ=" {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let mut found = StatusCode::FOUND.into_response();
        for of in ["nobody", "ripcord"] {
            let cookie = format!("{session}={of}; Path=/");
            found.headers_mut().append("set-cookie", cookie.parse().unwrap());
        }
        return found;
    }
    if text("cookie") != format!("{session}=ripcord") {
        return answer(403, json!({"error": "you need to have role 'deployers'"}));
    }
    let mut world = world.lock().unwrap();
    let query: BTreeMap<String, String> = query_of(&uri);
    let parts: Vec<&str> = uri.path().trim_start_matches("/api/v2/").split('/').collect();
    let absent = || answer(404, json!({"error": "not found while getting from endpoint"}));
    let number = |text: &str| text.parse::<u64>().unwrap();
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["forceschedulers"]) => {
            let fields: Vec<Value> = NAMES.iter().map(|name| json!({"fullName": name})).collect();
            let nested = json!([{"fullName": "reason"}, {"fullName": null, "fields": fields}]);
            answer(
                200,
                json!({"forceschedulers": [{"name": "other", "all_fields": []},
                {"name": "rollback", "builder_names": ["deploy"], "all_fields": nested}]}),
            )
        }
        ("GET", ["builders"]) => answer(200, json!({"builders": [{"builderid": 1, "name": "deploy"}]})),
        ("POST", ["forceschedulers", "rollback"]) => {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (&body["method"], &body["params"]["builderNames"]),
                (&json!("force"), &json!(["deploy"]))
            );
            let told = |name: &&str| Some(((*name).to_owned(), body["params"][*name].as_str()?.to_owned()));
            assert_eq!(body["params"]["reason"], body["params"]["ripcord_mark"]);
            let id = world.begin(NAMES.iter().filter_map(told).collect());
            answer(200, json!({"id": 1, "jsonrpc": "2.0", "result": [id, {"1": id}]}))
        }
        ("GET", ["buildsets"]) => {
            let part = &query["reason__contains"];
            let sets: Vec<Value> = world
                .all()
                .rev()
                .map(set)
                .filter(|set| !world.unlisted && set["reason"].as_str().unwrap().contains(part))
                .collect();
            answer(200, json!({"buildsets": sets, "meta": {"total": sets.len()}}))
        }
        ("GET", ["buildsets", id]) => match world.look(number(id)) {
            Some(run) => answer(200, json!({"buildsets": [set(&run)]})),
            None => absent(),
        },
        ("GET", ["buildrequests"]) => {
            let id = number(&query["buildsetid"]);
            answer(200, json!({"buildrequests": [{"buildrequestid": id, "buildsetid": id, "claimed": true}]}))
        }
        ("POST", ["buildrequests", id]) => {
            world.cancel(number(id));
            answer(200, json!({"id": 1, "jsonrpc": "2.0", "result": null}))
        }
        ("GET", ["builds"]) => {
            let id = number(&query["buildrequestid"]);
            let build = json!({"buildid": id, "number": id, "results": 0});
            let worked = world.look(id).is_some_and(|run| run.worked);
            answer(200, json!({"builds": if worked { vec![build] } else { Vec::new() }}))
        }
        ("GET", ["builds", id, "steps"]) => answer(
            200,
            json!({"steps": [
            {"stepid": number(id), "name": "deploy", "number": 1, "results": 2}, {"stepid": 99, "name": "worker_preparation", "number": 0, "results": 0}]}),
        ),
        ("GET", ["steps", id, "logs"]) => answer(
            200,
            json!({"logs": [{"logid": number(id), "name": "stdio", "num_lines": 2, "type": "s"}]}),
        ),
        ("GET", ["logs", id, "contents"]) => {
            let run = world.look(number(id)).unwrap();
            let lines: Vec<String> = run.log.lines().map(|line| format!("o{line}\n")).collect();
            answer(200, json!({"logchunks": [{"content": lines.concat(), "firstline": 0, "logid": run.id}]}))
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
        json!({"url": *self.url.lock().unwrap(), "builder": "deploy", "scheduler": "rollback", "user": "ripcord",
            "inputs": {"region": "eu-{version}"}, "follow": {"poll-ms": 20, "patience-ms": 2000}, "live": live_settings(&self.live)})
    }

    /// Ends runs whose time is over.
    fn ending(&self) -> Value {
        let mut config = self.config();
        config["follow"]["cancel-at-deadline"] = true.into();
        config
    }

    fn made(&self, config: Value) -> PipelineDeployer {
        self.made_in(config, self.data.path(), StandingClock::at(NOW))
    }

    fn made_in(
        &self,
        config: Value,
        data: &std::path::Path,
        clock: std::sync::Arc<StandingClock>,
    ) -> PipelineDeployer {
        let config: BuildbotDeployerConfig = serde_json::from_value(config).unwrap();
        let surroundings = PipelineSurroundings { data: data.to_owned(), shared: shared_at(clock) };
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
        Box::new(self.made(self.config()))
    }
}

/// Called beside those of the other systems.
pub(super) async fn does_what_every_deployer_and_every_pipeline_must() {
    let played = Played::start().await;
    let deployer = played.made(played.config());
    assert_eq!(deployer.obstacle().await, None);
    deployer_conforms(&deployer, &settable("1"), &settable("2")).await;
    conforms(&deployer, &played, &settable("1"), &settable("2")).await;
    let told = played.world.lock().unwrap().runs[0].told.clone();
    assert_eq!((told["region"].as_str(), told["ripcord_incident"].as_str()), ("eu-2", "conformance:1"));
    // What the run wrote is kept.
    let logs = logs_in(played.data.path());
    assert!(logs.contains("no room on") && !logs.contains("s3cret"), "{logs}");
}

/// Called beside those of the other systems.
pub(super) async fn does_so_in_faults_too() {
    let played = Played::start().await;
    let proxy = FaultProxy::start(&played.server.url("")).await.unwrap();
    *played.url.lock().unwrap() = proxy.url();
    let deployer = played.made(played.config());
    let two = (&settable("1"), &settable("2"));
    let requests = (&Which::Changes, &Which::With("/buildsets/"));
    conforms_in_faults(&deployer, &played, &proxy, requests, MarkIs::Note, two).await;
}

#[tokio::test]
async fn a_run_whose_time_is_over_is_ended_where_that_is_configured() {
    let played = Played::start().await;
    let deployer = played.made(played.ending());
    played.behave(Behaviour::Waits).await;
    let short = within(12, &deployer, "a", "2").await;
    let error = deployer.shift(&short).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown, "what was cut may have left work behind: {error}");
    assert!(error.to_string().contains("ended as `cancelled`"), "{error}");
    assert_eq!(played.world.lock().unwrap().runs[0].stage, Stage::Cancelled);
    assert!(matches!(deployer.probe(&short).await.unwrap(), Probe::Underway(_)));
}

#[tokio::test]
async fn a_build_that_was_cancelled_while_it_waited_has_done_nothing() {
    let played = Played::start().await;
    let deployer = played.made(played.ending());
    played.world.lock().unwrap().queues = true;
    let short = within(12, &deployer, "a", "2").await;
    let error = deployer.shift(&short).await.unwrap_err();
    assert_eq!((error.applied, error.retry), (Applied::No, Retry::Later), "{error}");
    assert_eq!(deployer.probe(&short).await.unwrap(), Probe::NotApplied);
    played.world.lock().unwrap().queues = false;
    let again = within(10, &deployer, "a", "2").await;
    assert_eq!(deployer.shift(&again).await.unwrap(), Shifted::Done);
    assert_eq!(played.begun().await, 2, "a new attempt is another build");
}

/// An order of so many seconds.
async fn within(seconds: u64, deployer: &PipelineDeployer, key: &str, version: &str) -> ShiftOrder {
    let before = deployer.live().await.unwrap().state;
    ShiftOrder { deadline: Millis::seconds(seconds), ..order(key, &settable(version), before) }
}

/// A host that ends in the middle of a shift is followed by one that probes and reads live, and does not give the order again.
#[tokio::test]
async fn a_build_that_no_shift_follows_is_looked_after() {
    let played = Played::start().await;
    let deployer = played.made(played.config());
    played.behave(Behaviour::Waits).await;
    let order = within(60, &deployer, "a", "2").await;
    interrupted(&played, deployer, &order).await;
    let again = played.made(played.config());
    assert!(matches!(again.probe(&order).await.unwrap(), Probe::Underway(_)));
    played.behave(Behaviour::Fails).await;
    for _ in 0..100 {
        again.live().await.unwrap();
        if logs_in(played.data.path()).contains("no room on") {
            assert_eq!(played.begun().await, 1);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    panic!("its log is not kept");
}

#[tokio::test]
async fn a_build_that_no_shift_follows_is_ended_after_its_time_where_that_is_configured() {
    let played = Played::start().await;
    let deployer = played.made(played.ending());
    played.behave(Behaviour::Waits).await;
    let order = within(60, &deployer, "a", "2").await;
    interrupted(&played, deployer, &order).await;
    let clock = StandingClock::at(NOW);
    let again = played.made_in(played.ending(), played.data.path(), clock.clone());
    assert!(matches!(again.probe(&order).await.unwrap(), Probe::Underway(_)));
    again.live().await.unwrap();
    assert_eq!(played.world.lock().unwrap().runs[0].stage, Stage::Running, "its time is not over");
    clock.set(NOW + 60_001);
    for _ in 0..100 {
        again.live().await.unwrap();
        if played.world.lock().unwrap().runs[0].stage == Stage::Cancelled {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    panic!("its time is over, and it goes on");
}

/// Begins a build, and ends there.
async fn interrupted(played: &Played, deployer: PipelineDeployer, order: &ShiftOrder) {
    let begun = async {
        while played.begun().await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        told = deployer.shift(order) => panic!("it goes on: {told:?}"),
        () = begun => {}
    }
}

#[tokio::test]
async fn no_build_is_begun_with_no_time_left_to_know_of_it() {
    let played = Played::start().await;
    let deployer = played.made(played.config());
    let short = within(3, &deployer, "a", "2").await;
    let error = deployer.shift(&short).await.unwrap_err();
    assert_eq!((error.applied, error.retry), (Applied::No, Retry::Later), "{error}");
    assert!(error.to_string().contains("`shift-seconds`"), "{error}");
    assert_eq!(played.begun().await, 0);
    assert_eq!(deployer.shift(&within(10, &deployer, "a", "2").await).await.unwrap(), Shifted::Done);
}

#[tokio::test]
async fn a_second_build_of_an_ended_order_is_one_that_goes_on() {
    let played = Played::start().await;
    let proxy = FaultProxy::start(&played.server.url("")).await.unwrap();
    *played.url.lock().unwrap() = proxy.url();
    let deployer = played.made(played.config());
    played.behave(Behaviour::Waits).await;
    proxy.order(Which::Changes, Fault::Twice, 1);
    let first = within(12, &deployer, "a", "2").await;
    assert!(matches!(deployer.shift(&first).await.unwrap(), Shifted::Underway(_)));
    assert_eq!(played.begun().await, 2, "the network has begun two");
    // The second one's number came back, so that it is the one that is followed.
    played.world.lock().unwrap().cancel(2);
    // It is seen that it has ended.
    for _ in 0..50 {
        deployer.live().await.unwrap();
        if !logs_in(played.data.path()).is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    let error = deployer.shift(&within(10, &deployer, "b", "3").await).await.unwrap_err();
    assert_eq!(error.applied, Applied::No, "{error}");
    assert!(error.to_string().contains("still works on the run build set 1 of an earlier order"), "{error}");
    assert_eq!(played.begun().await, 2);
}

#[tokio::test]
async fn a_build_of_another_order_that_cannot_be_looked_at_may_be_at_work() {
    let played = Played::start().await;
    let proxy = FaultProxy::start(&played.server.url("")).await.unwrap();
    *played.url.lock().unwrap() = proxy.url();
    let deployer = played.made(played.config());
    played.behave(Behaviour::Waits).await;
    deployer.shift(&within(12, &deployer, "a", "2").await).await.unwrap();
    played.world.lock().unwrap().unlisted = true;
    let instead = Fault::Instead;
    let none = Fault::Delay(std::time::Duration::ZERO);
    for fault in [instead(Canned::failure(502)), instead(Canned::failure(403)), instead(Canned::page()), none]
    {
        let second = within(20, &deployer, "b", "3").await;
        proxy.order(Which::With("/buildsets/"), fault.clone(), usize::MAX);
        let error = deployer.shift(&second).await.unwrap_err();
        proxy.calm();
        assert_eq!((error.applied, error.retry), (Applied::No, Retry::Later), "{fault:?}: {error}");
        assert_eq!(played.begun().await, 1, "{fault:?}: none is begun beside it");
    }
    played.world.lock().unwrap().forget();
    assert_eq!(played.begun().await, 1);
    played.behave(Behaviour::Deploys).await;
    let second = within(20, &deployer, "b", "3").await;
    assert_eq!(deployer.shift(&second).await.unwrap(), Shifted::Done);
    assert_eq!(played.begun().await, 2, "one that is gone changes nothing any more");
}

#[tokio::test]
async fn what_was_begun_is_no_absence_to_a_host_that_has_lost_its_folder() {
    let played = Played::start().await;
    let deployer = played.made(played.config());
    played.behave(Behaviour::Waits).await;
    let order = within(12, &deployer, "a", "2").await;
    deployer.shift(&order).await.unwrap();
    // As its list does for a while.
    played.forget().await;
    let folder = tempfile::tempdir().unwrap();
    let other = played.made_in(played.config(), folder.path(), StandingClock::at(NOW));
    let told = other.probe(&order).await.unwrap();
    let Probe::CannotTell(why) = &told else { panic!("it was begun: {told:?}") };
    assert!(why.contains("nothing is kept of runs on this host"), "{why}");
    assert_eq!(played.begun().await, 1);
}

#[tokio::test]
async fn what_cannot_be_read_of_a_build_is_no_absence() {
    let played = Played::start().await;
    let deployer = played.made(played.config());
    played.behave(Behaviour::Waits).await;
    let order = within(12, &deployer, "a", "2").await;
    deployer.shift(&order).await.unwrap();
    for kept in std::fs::read_dir(played.data.path().join("runs")).unwrap() {
        std::fs::write(kept.unwrap().path(), "").unwrap();
    }
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown, "it goes on: {error}");
    assert_eq!(played.begun().await, 1);
}

#[tokio::test]
async fn between_two_looks_nobody_waits_for_buildbot() {
    let played = Played::start().await;
    let mut config = played.config();
    config["follow"]["poll-ms"] = 5_000.into();
    let deployer = played.made(config);
    played.behave(Behaviour::Waits).await;
    let order = within(10, &deployer, "a", "2").await;
    let clock = StandingClock::at(NOW);
    let watch = std::sync::Arc::new(Watch::new(clock.clone()));
    let (shifted, ()) = tokio::join!(watched(watch.clone(), deployer.shift(&order)), async {
        // In the midst of a pause of more than one second.
        tokio::time::sleep(std::time::Duration::from_millis(2_300)).await;
        clock.set(NOW + 10_000);
        assert!(watch.troubles().is_empty(), "{:?}", watch.troubles());
    });
    assert!(matches!(shifted.unwrap(), Shifted::Underway(_)));
}

#[tokio::test]
async fn a_server_with_tls_of_its_own_knows_its_accounts() {
    let played = Played::start().await;
    played.world.lock().unwrap().secure = true;
    let deployer = played.made(played.config());
    assert_eq!(deployer.obstacle().await, None);
    assert_eq!(deployer.shift(&within(10, &deployer, "a", "2").await).await.unwrap(), Shifted::Done);
}

#[tokio::test]
async fn what_people_have_to_mend_is_said_before_a_build_is_begun() {
    let played = Played::start().await;
    let check = |key: &'static str, value: &'static str, expected: &'static str| {
        let mut config = played.config();
        config[key] = value.into();
        let deployer = played.made(config);
        async move {
            let before = deployer.live().await.unwrap().state;
            let error = deployer.shift(&order("x", &settable("2"), before)).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.applied, Applied::No, "{error}");
            assert!(deployer.obstacle().await.unwrap().contains(expected));
        }
    };
    check("scheduler", "nosuch", "has no `ForceScheduler` named `nosuch`").await;
    check("user", "other", "does not know these credentials").await;
    let mut config = played.config();
    config["inputs"] = json!({"zone": "a"});
    let told = played.made(config).obstacle().await.unwrap();
    assert!(told.contains("takes no `zone`: add a `StringParameter`"), "{told}");
    assert_eq!(played.begun().await, 0);
}

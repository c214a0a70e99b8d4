//! The Open Inference Protocol against a server that behaves as MLServer was seen to.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use ripcord_adapters::conformance::deployer::{self, Settable, order};
use ripcord_adapters::deployer_open_inference::{OpenInferenceDeployer, OpenInferenceDeployerConfig};
use ripcord_adapters::registry_directory::{DirectoryRegistry, DirectoryRegistryConfig};
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::target::Target;
use ripcord_ports::deployer::{Probe, Shifted};
use ripcord_ports::{Applied, Deployer, ErrorKind, Registry};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Server, empty_dir, publish, shared, target};

/// How the server treats a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Well,
    /// 500, and the old model stays.
    LoadFails,
    /// 500, and no model stays.
    LoadKills,
    /// The model is loaded and the answer comes too late.
    LoadHangs,
    /// Every other answer comes from another version.
    TwoReplicas,
    Nameless,
    Html,
    Cut,
    Huge,
    Redirect,
    Unauthorized,
    Slow,
    Error,
}

struct Model {
    folder: PathBuf,
    loaded: Mutex<Option<String>>,
    mood: Mutex<Mood>,
    asked: AtomicU32,
    loads: AtomicU32,
    /// From where each request came.
    peers: Mutex<Vec<SocketAddr>>,
}

type Shared = Arc<Model>;

impl Model {
    fn load(&self) -> Option<String> {
        let version = std::fs::read_to_string(self.folder.join("model.txt")).ok()?.trim().to_owned();
        *self.loaded.lock().unwrap() = Some(version.clone());
        Some(version)
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }
}

async fn infer(State(model): State<Shared>, request: Request) -> Response {
    assert!(request.headers().contains_key("ripcord-trial"));
    let nth = model.asked.fetch_add(1, Ordering::SeqCst);
    let Some(mut version) = model.loaded.lock().unwrap().clone() else {
        return (StatusCode::NOT_FOUND, Json(json!({"error": "Model fraud not found"}))).into_response();
    };
    let good = |version: &str| {
        json!({"model_name": "fraud", "model_version": version, "id": "x", "parameters": {},
            "outputs": [{"name": "decision", "shape": [1], "datatype": "BYTES", "data": ["approve"]}]})
    };
    match model.mood() {
        Mood::TwoReplicas if nth % 2 == 1 => version = "0.1".to_owned(),
        Mood::Nameless => {
            let mut answer = good(&version);
            answer.as_object_mut().unwrap().remove("model_version");
            return Json(answer).into_response();
        }
        Mood::Html => return axum::response::Html("<html>a proxy</html>").into_response(),
        Mood::Huge => return vec![b' '; 9 << 20].into_response(),
        Mood::Redirect => {
            return (
                StatusCode::FOUND,
                [("location", "http://user:hunter2@127.0.0.1:1/elsewhere?k=hunter2")],
            )
                .into_response();
        }
        Mood::Unauthorized => return (StatusCode::UNAUTHORIZED, "who are you").into_response(),
        Mood::Slow => tokio::time::sleep(Duration::from_secs(30)).await,
        Mood::Error => return (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response(),
        Mood::Cut => {
            return Response::builder().header("content-length", "1000").body("{\"model_".into()).unwrap();
        }
        _ => {}
    }
    Json(good(&version)).into_response()
}

async fn index(State(model): State<Shared>) -> Json<Value> {
    let loaded = model.loaded.lock().unwrap().clone();
    let state = if loaded.is_some() { "READY" } else { "UNAVAILABLE" };
    Json(json!([{"name": "fraud", "version": loaded.unwrap_or_default(), "state": state, "reason": ""},
        {"name": "another", "version": "7", "state": "READY"}]))
}

async fn load(State(model): State<Shared>) -> Response {
    model.loads.fetch_add(1, Ordering::SeqCst);
    match model.mood() {
        Mood::LoadFails => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response(),
        Mood::LoadKills => {
            *model.loaded.lock().unwrap() = None;
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()
        }
        Mood::LoadHangs => {
            model.load();
            tokio::time::sleep(Duration::from_secs(30)).await;
            StatusCode::OK.into_response()
        }
        _ if model.load().is_some() => StatusCode::OK.into_response(),
        _ => (StatusCode::NOT_FOUND, Json(json!({"error": "Model fraud not found"}))).into_response(),
    }
}

/// A registry with versions 1.0 and 1.1, a server, and the deployer for it.
struct Rig {
    folder: TempDir,
    model: Shared,
    server: Server,
    deployer: OpenInferenceDeployer,
    one: Settable,
    two: Settable,
    _staged: [TempDir; 2],
}

impl Rig {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl Fn(&mut OpenInferenceDeployerConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("models");
        std::fs::create_dir(&models).unwrap();
        let model = Arc::new(Model {
            folder: models.join("fraud"),
            loaded: Mutex::new(None),
            mood: Mutex::new(Mood::Well),
            asked: AtomicU32::new(0),
            loads: AtomicU32::new(0),
            peers: Mutex::new(Vec::new()),
        });
        let note_peer = |State(model): State<Shared>,
                         peer: ConnectInfo<SocketAddr>,
                         request: Request,
                         next: Next| async move {
            model.peers.lock().unwrap().push(peer.0);
            next.run(request).await
        };
        let router = Router::new()
            .route("/v2/models/fraud/infer", post(infer))
            .route("/v2/repository/index", post(index))
            .route("/v2/repository/models/fraud/load", post(load))
            .layer(middleware::from_fn_with_state(Arc::clone(&model), note_peer))
            .with_state(Arc::clone(&model));
        let server = Server::start(router).await;
        let mut config = OpenInferenceDeployerConfig {
            url: server.url(""),
            model: "fraud".into(),
            model_directory: models.join("fraud"),
            deadline_ms: 1_000,
            probe_input: Some(json!([{"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [1.0]}])),
            probe_input_file: None,
            answers: 3,
        };
        change(&mut config);
        let deployer = OpenInferenceDeployer::new(config, None, &shared()).unwrap();
        let registry_root = folder.path().join("registry");
        std::fs::create_dir(&registry_root).unwrap();
        let registry = DirectoryRegistry::new(DirectoryRegistryConfig {
            root: registry_root.clone(),
            model: "fraud".into(),
        })
        .unwrap();
        let mut made = Vec::new();
        for (name, at) in [("1.0", "2026-11-01T00:00:00Z"), ("1.1", "2026-11-02T00:00:00Z")] {
            let digest = publish(&registry_root, name, at);
            let (keep, dir) = empty_dir();
            let target = target(name, Some(digest));
            let staged = registry.fetch(&target, dir).await.unwrap();
            made.push((keep, Settable { target: Target::Version(target), staged: Some(staged) }));
        }
        let (second, first) = (made.pop().unwrap(), made.pop().unwrap());
        Self { folder, model, server, deployer, one: first.1, two: second.1, _staged: [first.0, second.0] }
    }

    async fn live(&self) -> LiveState {
        self.deployer.live().await.unwrap().state
    }

    /// Version 1.0 is served, as a shift of ours left it.
    async fn serving_one(self) -> Self {
        let nothing = self.live().await;
        assert_eq!(self.deployer.shift(&order("k1", &self.one, nothing)).await.unwrap(), Shifted::Done);
        assert!(self.live().await.serves(&self.one.target));
        self
    }

    fn models(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    fn beside(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.models())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn on_disk(&self) -> String {
        read(&self.models().join("fraud/model.txt"))
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[tokio::test]
async fn it_conforms() {
    let rig = Rig::new().await;
    deployer::conforms(&rig.deployer, &rig.one, &rig.two).await;
    assert_eq!(rig.beside(), [".fraud.ripcord.json", "fraud"], "nothing of the swap is left");
}

#[tokio::test]
async fn it_conforms_beside_a_folder_that_someone_else_put_there() {
    let rig = Rig::new().await;
    std::fs::create_dir(rig.models().join("fraud")).unwrap();
    std::fs::write(rig.models().join("fraud/model.txt"), "0.5").unwrap();
    rig.model.load();
    let live = rig.live().await;
    assert_eq!(live.to_string(), "0.5");
    assert_eq!(live.sole_version().unwrap().digest, None, "nobody knows what that folder was");
    deployer::conforms(&rig.deployer, &rig.one, &rig.two).await;
}

#[tokio::test]
async fn live_is_proved_by_answers_and_carries_the_digest_of_what_we_placed() {
    let rig = Rig::new().await.serving_one().await;
    let state = rig.live().await;
    assert_eq!(state.weakest_proof(), Some(Proof::Answer));
    let digest = rig.one.staged.as_ref().unwrap().digest;
    assert_eq!(state.sole_version().unwrap().digest, Some(digest));
    std::fs::create_dir(rig.models().join("fraud/__pycache__")).unwrap();
    std::fs::write(rig.models().join("fraud/__pycache__/x.pyc"), "x").unwrap();
    assert!(rig.live().await.serves(&rig.one.target), "files that the server adds do not count");
    std::fs::write(rig.models().join("fraud/weights/0.bin"), [9; 1_000]).unwrap();
    assert!(!rig.live().await.serves(&rig.one.target), "a changed artefact is noticed");
}

#[tokio::test]
async fn every_answer_comes_over_a_connection_of_its_own() {
    let rig = Rig::new().await.serving_one().await;
    rig.model.peers.lock().unwrap().clear();
    rig.live().await;
    let peers = rig.model.peers.lock().unwrap().clone();
    let distinct: BTreeSet<_> = peers.iter().collect();
    assert_eq!((peers.len(), distinct.len()), (3, 3), "{peers:?}");
}

#[tokio::test]
async fn two_replicas_behind_one_address_are_two_shares() {
    let rig = Rig::new().await.serving_one().await;
    rig.model.set(Mood::TwoReplicas);
    let state = rig.live().await;
    let LiveState::Serving(shares) = &state else { panic!("{state}") };
    assert_eq!(shares.len(), 2, "{state}");
    assert!((shares.iter().map(|share| share.weight.get()).sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(!state.serves(&rig.one.target));
    assert!(shares.iter().all(|share| share.version.digest.is_none()), "{shares:?}");
    let probe = rig.deployer.probe(&order("k", &rig.one, state.clone())).await.unwrap();
    assert!(matches!(probe, Probe::Underway(_)), "{probe:?}");
}

#[tokio::test]
async fn without_an_input_the_control_plane_is_the_proof() {
    let rig = Rig::with(|config| config.probe_input = None).await;
    assert_eq!(rig.live().await, LiveState::Serving(Vec::new()));
    let rig = rig.serving_one().await;
    assert_eq!(rig.live().await.weakest_proof(), Some(Proof::ControlPlane));
}

#[tokio::test]
async fn a_refused_load_with_the_old_version_answering_had_no_effect() {
    let rig = Rig::new().await.serving_one().await;
    let before = rig.live().await;
    rig.model.set(Mood::LoadFails);
    let to_two = order("k2", &rig.two, before.clone());
    let error = rig.deployer.shift(&to_two).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Failed, Applied::No), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("/v2/repository/models/fraud/load answered 500") && message.contains("1.0"),
        "{message}"
    );
    assert_eq!(rig.on_disk(), "1.0", "the old folder is back");
    assert_eq!(rig.beside(), ["fraud"]);
    assert!(rig.live().await.same_identity(&before));
    assert_eq!(rig.deployer.probe(&to_two).await.unwrap(), Probe::NotApplied);
}

#[tokio::test]
async fn a_refused_load_is_not_believed_to_be_without_effect_on_the_word_of_the_control_plane() {
    let rig = Rig::with(|config| config.probe_input = None).await.serving_one().await;
    rig.model.set(Mood::LoadFails);
    let error = rig.deployer.shift(&order("k2", &rig.two, rig.live().await)).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown, "{error}");
}

#[tokio::test]
async fn a_refused_load_that_left_nothing_is_unknown() {
    let rig = Rig::new().await.serving_one().await;
    rig.model.set(Mood::LoadKills);
    let error = rig.deployer.shift(&order("k2", &rig.two, rig.live().await)).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown);
    assert!(error.to_string().contains("live is nothing"), "{error}");
    assert_eq!(rig.on_disk(), "1.0");
}

#[tokio::test]
async fn a_load_that_is_not_answered_is_unknown_and_a_probe_settles_it() {
    let rig = Rig::new().await.serving_one().await;
    rig.model.set(Mood::LoadHangs);
    let mut to_two = order("k2", &rig.two, rig.live().await);
    to_two.deadline.0 = 100;
    let error = rig.deployer.shift(&to_two).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::TimedOut, Applied::Unknown), "{error}");
    assert_eq!(rig.deployer.probe(&to_two).await.unwrap(), Probe::Applied);
    rig.model.set(Mood::Well);
    assert_eq!(rig.deployer.shift(&to_two).await.unwrap(), Shifted::Done, "the same order again is harmless");
    assert_eq!(rig.beside(), [".fraud.ripcord.json", "fraud"]);
}

#[tokio::test]
async fn an_artefact_that_was_never_loaded_is_not_put_back_later() {
    let rig = Rig::new().await.serving_one().await;
    let before = rig.live().await;
    // A server that is gone: the load never arrives, and the folder stays swapped.
    let elsewhere = OpenInferenceDeployerConfig {
        url: "http://127.0.0.1:9".into(),
        model: "fraud".into(),
        model_directory: rig.models().join("fraud"),
        deadline_ms: 500,
        probe_input: None,
        probe_input_file: None,
        answers: 1,
    };
    let cut_off = OpenInferenceDeployer::new(elsewhere, None, &shared()).unwrap();
    let error = cut_off.shift(&order("k2", &rig.two, before.clone())).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Unreachable, Applied::No), "{error}");
    // Nothing was loaded, so what the server serves is still the old version.
    assert!(rig.live().await.same_identity(&before));
    assert_eq!(rig.on_disk(), "1.0", "what could not be asked for is not left in place");
}

#[tokio::test]
async fn leftovers_of_an_interrupted_swap_are_cleaned_up() {
    let rig = Rig::new().await.serving_one().await;
    let models = rig.models();
    std::fs::create_dir(models.join(".fraud.ripcord-next")).unwrap();
    std::fs::write(models.join(".fraud.ripcord-next/half"), "x").unwrap();
    std::fs::write(models.join(".fraud.ripcord.json"), "{ half").unwrap();
    rig.deployer.shift(&order("k2", &rig.two, rig.live().await)).await.unwrap();
    assert!(rig.live().await.serves(&rig.two.target));
    assert_eq!(rig.beside(), [".fraud.ripcord.json", "fraud"]);
}

#[tokio::test]
async fn answers_that_prove_nothing_leave_live_unknown_or_an_error() {
    let rig = Rig::new().await.serving_one().await;
    for (mood, expected) in [
        (Mood::Nameless, "name no `model_version`"),
        (Mood::Html, "`text/html; charset=utf-8` that is not the JSON"),
        (Mood::Redirect, "redirects are not followed"),
        (Mood::Error, "answered 500: `Internal Server Error`"),
    ] {
        rig.model.set(mood);
        let LiveState::Unknown(why) = rig.live().await else { panic!("{mood:?}") };
        assert!(why.contains(expected), "{mood:?}: {why}");
        assert!(!why.contains("hunter2"), "{why}");
        let probe = rig.deployer.probe(&order("k", &rig.two, rig.live().await)).await.unwrap();
        assert!(matches!(probe, Probe::CannotTell(_)), "{probe:?}");
    }
    for (mood, kind, expected) in [
        (Mood::Cut, ErrorKind::Unreachable, "broke off"),
        (Mood::Slow, ErrorKind::TimedOut, "deadline"),
        (Mood::Huge, ErrorKind::TooLarge, "more than 8388608 bytes"),
        (Mood::Unauthorized, ErrorKind::Denied, "401: `who are you`"),
    ] {
        rig.model.set(mood);
        let error = rig.deployer.live().await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, Applied::No), "{mood:?}: {error}");
        assert!(error.to_string().contains(expected), "{mood:?}: {error}");
        assert!(error.to_string().contains("/v2/models/fraud/infer"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_address_is_not_taken_for_an_unloaded_model() {
    let rig = Rig::with(|_| {}).await;
    assert_eq!(rig.live().await, LiveState::Serving(Vec::new()), "unloaded");
    let config = OpenInferenceDeployerConfig {
        url: rig.server.url("/wrong"),
        model: "fraud".into(),
        model_directory: rig.models().join("fraud"),
        deadline_ms: 1_000,
        probe_input: Some(json!([])),
        probe_input_file: None,
        answers: 1,
    };
    let wrong = OpenInferenceDeployer::new(config, None, &shared()).unwrap();
    let state = wrong.live().await.unwrap().state;
    assert!(matches!(&state, LiveState::Unknown(why) if why.contains("check the address")), "{state}");
}

#[tokio::test]
async fn what_is_staged_must_be_what_the_plan_says() {
    let rig = Rig::new().await.serving_one().await;
    let mut mixed = order("k2", &rig.two, rig.live().await);
    mixed.staged = rig.one.staged.clone();
    let error = rig.deployer.shift(&mixed).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::WrongDigest, Applied::No), "{error}");
    assert_eq!(rig.model.loads.load(Ordering::SeqCst), 1, "nothing was loaded");
}

//! A server that behaves as MLServer was seen to, and a deployer for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{ConnectInfo, Path as UrlPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ripcord_adapters::conformance::deployer::{Settable, order};
use ripcord_adapters::deployer_open_inference::{OpenInferenceDeployer, OpenInferenceDeployerConfig};
use ripcord_adapters::registry_directory::{DirectoryRegistry, DirectoryRegistryConfig};
use ripcord_core::live::LiveState;
use ripcord_core::target::Target;
use ripcord_ports::deployer::Shifted;
use ripcord_ports::{Deployer, Registry};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::adapters::support::{Server, empty_dir, publish, shared, target};

/// How the server treats a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    Well,
    /// 500, and the old model stays.
    LoadFails,
    /// 500, and no model stays.
    LoadKills,
    /// The model is loaded and the answer comes too late.
    LoadHangs,
    /// The connection ends before anything is loaded.
    LoadLost,
    /// Every other answer comes from another version.
    TwoReplicas,
    /// As while a load goes on.
    NotReady,
    Nameless,
    Html,
    Cut,
    Huge,
    Redirect,
    Unauthorized,
    Slow,
    Error,
}

pub(crate) struct Model {
    /// In which each folder is a model.
    folder: PathBuf,
    /// By name, with the version.
    pub(crate) loaded: Mutex<BTreeMap<String, String>>,
    pub(crate) mood: Mutex<Mood>,
    asked: AtomicU32,
    pub(crate) loads: AtomicU32,
    /// From where each request came.
    pub(crate) peers: Mutex<Vec<SocketAddr>>,
}

type Shared = Arc<Model>;

impl Model {
    /// Loads what the folders hold under this name: the highest version is the one that answers.
    pub(crate) fn load(&self, name: &str) -> Option<String> {
        let found = self.found().into_iter().filter(|found| found.0 == name).map(|found| found.1);
        let version = found.max()?;
        self.loaded.lock().unwrap().insert(name.to_owned(), version.clone());
        Some(version)
    }

    /// Name and version of every model in the folders, as their settings say, else as the folder and its file do.
    pub(crate) fn found(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            let folder = path.file_name().unwrap().to_str().unwrap().to_owned();
            if folder.starts_with('.') || !path.is_dir() {
                continue;
            }
            let settings = std::fs::read(path.join("model-settings.json")).ok();
            let settings: Value =
                settings.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
            let name = settings["name"].as_str().map_or(folder, str::to_owned);
            let version = settings["parameters"]["version"]
                .as_str()
                .map_or_else(|| read(&path.join("model.txt")), str::to_owned);
            found.push((name, version));
        }
        found
    }

    pub(crate) fn loaded(&self, name: &str) -> Option<String> {
        self.loaded.lock().unwrap().get(name).cloned()
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(crate) fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }
}

fn not_found(name: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"error": format!("Model {name} not found")}))).into_response()
}

async fn infer(State(model): State<Shared>, UrlPath(name): UrlPath<String>, request: Request) -> Response {
    assert!(request.headers().contains_key("ripcord-trial"));
    let nth = model.asked.fetch_add(1, Ordering::SeqCst);
    let Some(mut version) = model.loaded(&name) else { return not_found(&name) };
    let good = |version: &str| {
        json!({"model_name": name, "model_version": version, "id": "x", "parameters": {},
            "outputs": [{"name": "decision", "shape": [1], "datatype": "BYTES", "data": ["approve"]}]})
    };
    match model.mood() {
        Mood::TwoReplicas if nth % 2 == 1 => version = "0.1".to_owned(),
        Mood::NotReady => {
            let error = json!({"error": format!("Model {name} is not ready yet.")});
            return (StatusCode::BAD_REQUEST, Json(error)).into_response();
        }
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

/// Names and versions are those in the folders, whatever is loaded: so does MLServer's.
async fn index(State(model): State<Shared>) -> Json<Value> {
    let line = |(name, version): (String, String)| {
        let state = match (model.loaded(&name), model.mood()) {
            (_, Mood::NotReady) => "UNKNOWN",
            (Some(_), _) => "READY",
            (None, _) => "UNAVAILABLE",
        };
        json!({"name": name, "version": version, "state": state, "reason": ""})
    };
    let mut lines: Vec<Value> = model.found().into_iter().map(line).collect();
    lines.push(json!({"name": "another", "version": "7", "state": "READY"}));
    Json(lines.into())
}

async fn load(State(model): State<Shared>, UrlPath(name): UrlPath<String>) -> Response {
    model.loads.fetch_add(1, Ordering::SeqCst);
    match model.mood() {
        Mood::LoadFails => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response(),
        Mood::LoadKills => {
            model.loaded.lock().unwrap().remove(&name);
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()
        }
        Mood::LoadLost => Response::builder().header("content-length", "1000").body("x".into()).unwrap(),
        Mood::LoadHangs => {
            model.load(&name);
            tokio::time::sleep(Duration::from_secs(30)).await;
            StatusCode::OK.into_response()
        }
        _ if model.load(&name).is_some() => StatusCode::OK.into_response(),
        _ => not_found(&name),
    }
}

async fn unload(State(model): State<Shared>, UrlPath(name): UrlPath<String>) -> Response {
    match model.loaded.lock().unwrap().remove(&name) {
        Some(_) => StatusCode::OK.into_response(),
        None => not_found(&name),
    }
}

async fn ready(State(model): State<Shared>, UrlPath(name): UrlPath<String>) -> Response {
    if model.loaded(&name).is_some() { StatusCode::OK.into_response() } else { not_found(&name) }
}

/// A registry with versions 1.0 and 1.1, a server, and the deployer for it.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) model: Shared,
    _server: Server,
    pub(crate) config: OpenInferenceDeployerConfig,
    pub(crate) deployer: OpenInferenceDeployer,
    pub(crate) one: Settable,
    pub(crate) two: Settable,
    _staged: [TempDir; 2],
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl Fn(&mut OpenInferenceDeployerConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("models");
        std::fs::create_dir(&models).unwrap();
        let model = Arc::new(Model {
            folder: models.clone(),
            loaded: Mutex::default(),
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
            .route("/v2/models/{model}/infer", post(infer))
            .route("/v2/models/{model}/ready", get(ready))
            .route("/v2/repository/index", post(index))
            .route("/v2/repository/models/{model}/load", post(load))
            .route("/v2/repository/models/{model}/unload", post(unload))
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
            write: Default::default(),
            preflight_model: None,
        };
        change(&mut config);
        let deployer = OpenInferenceDeployer::new(config.clone(), None, &shared()).unwrap();
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
        Self {
            folder,
            model,
            _server: server,
            config,
            deployer,
            one: first.1,
            two: second.1,
            _staged: [first.0, second.0],
        }
    }

    /// Another deployer for the same server and folder.
    pub(crate) fn deployer(
        &self,
        change: impl Fn(&mut OpenInferenceDeployerConfig),
    ) -> OpenInferenceDeployer {
        let mut config = self.config.clone();
        change(&mut config);
        OpenInferenceDeployer::new(config, None, &shared()).unwrap()
    }

    pub(crate) async fn live(&self) -> LiveState {
        self.deployer.live().await.unwrap().state
    }

    /// Version 1.0 is served, as a shift of ours left it.
    pub(crate) async fn serving_one(self) -> Self {
        let nothing = self.live().await;
        assert_eq!(self.deployer.shift(&order("k1", &self.one, nothing)).await.unwrap(), Shifted::Done);
        assert!(self.live().await.serves(&self.one.target));
        self
    }

    pub(crate) fn models(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    pub(crate) fn beside(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.models())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn on_disk(&self) -> String {
        read(&self.models().join("fraud/model.txt"))
    }
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

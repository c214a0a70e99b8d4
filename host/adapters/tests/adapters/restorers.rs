//! What puts a facet back: each held to the conformance suite, alone and with faults between, and to bad input.

mod file;
mod file_refusals;
mod git;
mod git_server;
mod http;
mod pages;
mod prompt;
mod suite;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use ripcord_adapters::conformance::restorer::RestoredService;
use ripcord_core::digest::Digest;
use ripcord_core::facet::FacetState;
use ripcord_core::name::VersionName;
use ripcord_ports::Restorer;
use ripcord_ports::restorer::RestoreOrder;

use crate::adapters::support::{Server, version};

/// A service that works with what it loaded last from its file, and says so.
pub(crate) struct FileService {
    pub(crate) server: Server,
    pub(crate) loaded: Arc<Loaded>,
}

pub(crate) struct Loaded {
    source: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
    content: Mutex<Vec<u8>>,
    /// How often it was told to load.
    pub(crate) reloads: Mutex<u32>,
}

impl Loaded {
    pub(crate) fn load(&self) {
        *self.content.lock().unwrap() = (self.source)();
        *self.reloads.lock().unwrap() += 1;
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        self.content.lock().unwrap().clone()
    }

    /// The revision that the content names: its first line, `# revision NAME`.
    fn revision(&self) -> String {
        let content = self.content();
        let text = String::from_utf8_lossy(&content);
        let first = text.lines().next().unwrap_or_default();
        first.strip_prefix("# revision ").unwrap_or_default().to_owned()
    }
}

impl FileService {
    pub(crate) async fn of(path: PathBuf) -> Self {
        Self::new(move || std::fs::read(&path).unwrap_or_default()).await
    }

    pub(crate) async fn new(source: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Self {
        let loaded = Arc::new(Loaded {
            content: Mutex::new(source()),
            source: Box::new(source),
            reloads: Mutex::new(0),
        });
        let router = Router::new()
            .route("/reload", post(|State(loaded): State<Arc<Loaded>>| async move { loaded.load() }))
            .route("/status", get(status))
            .route("/metrics", get(metrics))
            .with_state(Arc::clone(&loaded));
        Self { server: Server::start(router).await, loaded }
    }
}

async fn status(State(loaded): State<Arc<Loaded>>) -> impl IntoResponse {
    let digest = Digest::of(loaded.content()).to_string();
    let body = serde_json::json!({
        "thresholds": {"revision": loaded.revision(), "digest": format!("sha256:{digest}"), "all": [1, 2]},
    });
    ([("x-thresholds", format!("\"{digest}\""))], axum::Json(body))
}

async fn metrics(State(loaded): State<Arc<Loaded>>) -> impl IntoResponse {
    let body = format!(
        "thresholds_info{{revision=\"{}\"}} 1\nthresholds_info{{revision=\"left\"}} 0\nrequests_total 7\n",
        loaded.revision()
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], body)
}

#[async_trait]
impl RestoredService for FileService {
    async fn works_with(&self) -> Vec<u8> {
        self.loaded.content()
    }

    async fn go_astray(&self) {
        *self.loaded.content.lock().unwrap() = b"what nobody wrote".to_vec();
    }
}

/// Content that names its revision.
pub(crate) fn content_of(name: &str) -> String {
    format!("# revision {name}\nlimit = 0.5\nof = \"{name}\"\n")
}

pub(crate) async fn in_force(restorer: &dyn Restorer) -> FacetState<String> {
    restorer.in_force().await.unwrap().state
}

/// The revision in force, or why that is unknown.
pub(crate) async fn told(restorer: &dyn Restorer) -> String {
    match in_force(restorer).await {
        FacetState::InForce(found) => format!("{} ({})", found.revision, found.proof),
        FacetState::Unknown(why) => why,
    }
}

pub(crate) fn order(name: &str, expecting: Option<&str>) -> RestoreOrder {
    ripcord_adapters::conformance::restorer::order_of("key-1", &version(name), None, expecting.map(version))
}

pub(crate) fn names(history: &[ripcord_ports::restorer::HistoryEntry]) -> Vec<&str> {
    history.iter().map(|entry| entry.revision.as_str()).collect()
}

/// A folder with the revisions `7` and `8`, with `8` in the file.
pub(crate) fn with_revisions(root: &Path) -> (PathBuf, PathBuf) {
    let (file, history) = (root.join("live/thresholds.toml"), root.join("history"));
    std::fs::create_dir(root.join("live")).unwrap();
    std::fs::create_dir(&history).unwrap();
    for (name, made_at) in [("7", "2026-11-20T08:00:00Z"), ("8", "2026-11-21T08:00:00Z")] {
        std::fs::write(history.join(name), content_of(name)).unwrap();
        let about = format!("made-at = \"{made_at}\"\nmade-by = \"ada\"\nsummary = \"limits of {name}\"\n");
        std::fs::write(history.join(format!("{name}.about.toml")), about).unwrap();
    }
    std::fs::write(&file, content_of("8")).unwrap();
    (file, history)
}

pub(crate) fn revisions(names: &[&str]) -> Vec<VersionName> {
    names.iter().map(|name| version(name)).collect()
}

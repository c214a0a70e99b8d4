//! Servers, clocks and folders for the tests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ripcord_adapters::registry_directory::{Manifest, ManifestDataset, ManifestLineage, register};
use ripcord_adapters::{Http, Shared};
use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Clock;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// A server that ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _task: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        task.spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { address, _task: task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub(crate) struct StandingClock(pub(crate) AtomicU64);

impl StandingClock {
    pub(crate) fn at(ms: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(ms)))
    }

    pub(crate) fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::SeqCst);
    }

    pub(crate) fn forward(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for StandingClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }

    async fn sleep_until(&self, _at: UnixMillis) {
        std::future::pending().await
    }
}

pub(crate) fn shared() -> Shared {
    shared_at(StandingClock::at(1_000_000))
}

pub(crate) fn shared_at(clock: Arc<StandingClock>) -> Shared {
    Shared { http: Http::new().unwrap(), clock }
}

pub(crate) fn version(name: &str) -> VersionName {
    VersionName::new(name).unwrap()
}

pub(crate) fn target(name: &str, digest: Option<Digest>) -> VersionTarget {
    VersionTarget { version: version(name), digest }
}

pub(crate) fn empty_dir() -> (TempDir, Arc<Dir>) {
    let folder = tempfile::tempdir().unwrap();
    let dir = open(folder.path());
    (folder, dir)
}

/// New empty folders that live as long as this.
#[derive(Default)]
pub(crate) struct Folders(Mutex<Vec<TempDir>>);

impl Folders {
    pub(crate) fn next(&self) -> Arc<Dir> {
        let (folder, dir) = empty_dir();
        self.0.lock().unwrap().push(folder);
        dir
    }
}

pub(crate) fn open(path: &Path) -> Arc<Dir> {
    Arc::new(Dir::open_ambient_dir(path, ambient_authority()).unwrap())
}

pub(crate) fn manifest(name: &str, created_at: &str) -> Manifest {
    Manifest {
        model: "fraud".into(),
        version: version(name),
        created_at: created_at.into(),
        runtime: Some("fraud-serve".into()),
        aliases: vec!["champion".into()],
        signature: Some("[]".into()),
        tags: [("team".to_owned(), "payments".to_owned())].into(),
        measures: [("accuracy".to_owned(), 0.97)].into(),
        lineage: ManifestLineage {
            code: Some("abc123".into()),
            run: Some("run-17".into()),
            source: None,
            dataset: Some("transactions".into()),
            dataset_revision: Some("7".into()),
            parent: Some(version("0.9")),
            parameters: [("depth".to_owned(), toml::Value::Integer(4))].into(),
            datasets: vec![ManifestDataset {
                name: "review-2026".into(),
                revision: None,
                context: Some("eval".into()),
            }],
        },
        artefacts: Vec::new(),
    }
}

/// Registers a version of two files whose content tells the version.
pub(crate) fn publish(root: &Path, name: &str, created_at: &str) -> Digest {
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("model.txt"), format!("{name}\n")).unwrap();
    std::fs::create_dir(files.path().join("weights")).unwrap();
    std::fs::write(files.path().join("weights/0.bin"), [7; 1_000]).unwrap();
    register(root, manifest(name, created_at), files.path()).unwrap()
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

//! The registry against real MLflow servers, which `.ci/mlflow` installs. Not run unless asked for, since that takes a gigabyte; then a server
//! that is missing fails the suite:
//!
//!     RIPCORD_TEST_MLFLOW=$(.ci/mlflow 3) RIPCORD_TEST_MLFLOW_2=$(.ci/mlflow 2) cargo test --workspace --test suite -- --ignored mlflow::
#![allow(clippy::unwrap_used, clippy::panic)]

mod prompts;
mod rights;
mod server;
mod webhooks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ripcord_adapters::clock_system::SystemClock;
use ripcord_adapters::conformance::registry::{self, Expected};
use ripcord_adapters::conformance::registry_faults::{self, Steadiness};
use ripcord_adapters::fault_proxy::FaultProxy;
use ripcord_adapters::registry_mlflow::{MlflowRegistry, MlflowRegistryConfig};
use ripcord_adapters::{Http, Secret, Shared};
use ripcord_core::name::VersionName;
use ripcord_core::target::{VersionTarget, artefact_digest};
use ripcord_ports::registry::Mark;
use ripcord_ports::{ErrorKind, Registry};
use tempfile::TempDir;

use server::{Mlflow, Seeded};

const MODEL: &str = "fraud";

pub(crate) fn shared() -> Shared {
    Shared { http: Http::new().unwrap(), clock: Arc::new(SystemClock) }
}

pub(crate) fn config(url: String) -> MlflowRegistryConfig {
    MlflowRegistryConfig {
        url,
        model: MODEL.into(),
        alias: Some("champion".into()),
        experiment: 0,
        user: None,
        deadline_ms: 10_000,
        patience_ms: 3_000,
        versions_max: 100,
        artefact_bytes_max: 1 << 30,
    }
}

pub(crate) fn registry(url: String) -> MlflowRegistry {
    MlflowRegistry::new(config(url), None, &shared()).unwrap()
}

pub(crate) fn version(name: &str) -> VersionName {
    VersionName::new(name).unwrap()
}

/// What MLflow's own client found, as the suite expects it.
fn expected(seeded: &Seeded) -> Expected {
    let newest_first = seeded.versions.iter().rev().map(|seeded| VersionTarget {
        version: version(&seeded.version),
        digest: Some(artefact_digest(&seeded.files)),
    });
    Expected { newest_first: newest_first.collect(), marks: true, promotes: true }
}

/// New empty folders, which live as long as this.
struct Folders(TempDir, std::sync::atomic::AtomicUsize);

impl Folders {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap(), Default::default())
    }

    fn next(&self) -> Arc<Dir> {
        let number = self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = self.0.path().join(number.to_string());
        std::fs::create_dir(&path).unwrap();
        Arc::new(Dir::open_ambient_dir(path, ambient_authority()).unwrap())
    }
}

async fn everything(server: &Mlflow) -> Seeded {
    let seeded = server.seed(MODEL, None).await;
    let expected = expected(&seeded);
    let folders = Folders::new();
    let direct = registry(server.url());
    registry::conforms(&direct, &expected, &|| folders.next()).await;
    facts(&direct, &seeded).await;
    other_models(server).await;
    paged(server, &direct, &seeded).await;
    speed(&direct, &expected, &folders).await;

    let proxy = FaultProxy::start(&server.url()).await.unwrap();
    let config = MlflowRegistryConfig { patience_ms: 1_000, ..config(proxy.url()) };
    let behind = MlflowRegistry::new(config, None, &shared()).unwrap();
    registry_faults::conforms_in_faults(&behind, &proxy, &expected, Steadiness::Retries, &|| folders.next())
        .await;
    changed_artefact(server, &direct, &expected, &folders).await;
    seeded
}

async fn facts(registry: &MlflowRegistry, seeded: &Seeded) {
    let listed = registry.version(&version("2")).await.unwrap();
    assert_eq!(listed.aliases, ["champion"]);
    assert_eq!(listed.measures.len(), 1, "NaN is no measure");
    assert!(listed.signature.unwrap().contains("float64"));
    assert!(listed.runtime.unwrap().starts_with("mlflow.sklearn, python "));
    let lineage = registry.lineage(&version("1")).await.unwrap();
    assert_eq!(lineage.dataset.as_deref(), Some("iris"));
    assert_eq!(lineage.run.as_ref(), Some(&seeded.versions[0].run));
    assert!(lineage.source.is_some_and(|source| !source.is_empty()));
    let sets: Vec<_> =
        lineage.datasets.iter().map(|set| (set.name.as_str(), set.context.as_deref())).collect();
    assert_eq!(sets, [("iris", Some("training")), ("iris-rest", Some("eval"))]);
    let manifest = String::from_utf8(registry.manifest(&version("1")).await.unwrap()).unwrap();
    assert!(manifest.contains("payments"), "{manifest}");

    registry.mark(&version("2"), Mark::Held { incident: "fraud-api:7" }).await.unwrap();
    let held = registry.version(&version("2")).await.unwrap();
    let tags: Vec<_> = held.tags.iter().map(|tag| (tag.name.as_str(), tag.value.as_str())).collect();
    assert_eq!(tags, [("ripcord.condemned", "fraud-api:7"), ("ripcord.hold", "fraud-api:7")]);
    registry.mark(&version("2"), Mark::Lifted).await.unwrap();
    assert_eq!(registry.version(&version("2")).await.unwrap().tags.len(), 1);
}

/// One that is not there, and one without versions whose name is awkward.
async fn other_models(server: &Mlflow) {
    let of = |model: &str| {
        let config = MlflowRegistryConfig { model: model.into(), ..config(server.url()) };
        MlflowRegistry::new(config, None, &shared()).unwrap()
    };
    let unknown = of("no-model");
    for error in [unknown.versions(5).await.unwrap_err(), unknown.promoted().await.unwrap_err()] {
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains("no registered model `no-model`"), "{error}");
    }
    for name in ["it's größer & 100% +", "so-called \"best\""] {
        server
            .post("api/2.0/mlflow/registered-models/create", &serde_json::json!({"name": name}), None)
            .await;
        assert_eq!(of(name).versions(5).await.unwrap(), [], "{name}");
        assert_eq!(of(name).promoted().await.unwrap(), None, "{name}");
        let error = of(name).version(&version("1")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    }
}

/// More versions than are wanted at once; none of these has an artefact.
async fn paged(server: &Mlflow, registry: &MlflowRegistry, seeded: &Seeded) {
    for _ in 0..3 {
        server.register_nothing(MODEL, seeded).await;
    }
    let all = registry.versions(u32::MAX).await.unwrap();
    let names: Vec<_> = all.iter().map(|listed| listed.version.version.as_str()).collect();
    assert_eq!(names, ["5", "4", "3", "2", "1"]);
    assert!(all[0].broken.as_deref().unwrap().contains("no file in mlflow"), "{:?}", all[0].broken);
    assert_eq!(registry.versions(4).await.unwrap(), all[..4]);
    for number in 3..6 {
        let body = serde_json::json!({"name": MODEL, "version": number.to_string()});
        server.delete("api/2.0/mlflow/model-versions/delete", &body).await;
    }
}

/// Numbers for the log. They are no promise: the server shares the machine with the test.
async fn speed(registry: &MlflowRegistry, expected: &Expected, folders: &Folders) {
    let mut line = String::new();
    for round in ["first", "again"] {
        let begun = Instant::now();
        registry.versions(10).await.unwrap();
        let listed = begun.elapsed();
        registry.fetch(&expected.newest_first[1], folders.next()).await.unwrap();
        let fetched = begun.elapsed() - listed;
        let now = registry.promoted().await.unwrap();
        let asked = begun.elapsed();
        let other = if now == Some(version("1")) { "2" } else { "1" };
        registry.promote(&version(other), now.as_ref()).await.unwrap();
        let moved = begun.elapsed() - asked;
        line.push_str(&format!(
            "{round}: list {listed:.0?}, fetch {fetched:.0?}, move the alias {moved:.0?}; "
        ));
        assert!(moved < Duration::from_secs(5), "{line}");
    }
    println!("{line}");
}

/// Someone writes into the artefact's folder: the pinned digest shows it.
async fn changed_artefact(
    server: &Mlflow,
    registry: &MlflowRegistry,
    expected: &Expected,
    folders: &Folders,
) {
    let old = &expected.newest_first[1];
    let file = server.find_artefact("code-1.0/my helpers/é 100%.py");
    std::fs::write(&file, "C = 2.0\n").unwrap();
    let error = registry.fetch(old, folders.next()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongDigest, "{error}");
    std::fs::remove_file(&file).unwrap();
    let error = registry.fetch(old, folders.next()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongDigest, "{error}");
    std::fs::remove_dir_all(server.artefact_root(&file)).unwrap();
    let error = registry.fetch(old, folders.next()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    let listed = registry.version(&old.version).await.unwrap();
    assert!(listed.broken.unwrap().contains("deleted"), "a version without artefact is not offered");
}

#[tokio::test]
#[ignore = "needs MLflow 3: see the head of this suite"]
async fn release_3() {
    let server = Mlflow::start("RIPCORD_TEST_MLFLOW", &[]).await;
    let seeded = everything(&server).await;
    webhooks::deliveries(&server, &seeded).await;
}

#[tokio::test]
#[ignore = "needs MLflow 2: see the head of this suite"]
async fn release_2() {
    let server = Mlflow::start("RIPCORD_TEST_MLFLOW_2", &[]).await;
    everything(&server).await;
}

#[tokio::test]
#[ignore = "needs MLflow 3: see the head of this suite"]
async fn release_3_with_accounts() {
    rights::least(Secret::new(server::ADMIN_PASSWORD)).await;
}

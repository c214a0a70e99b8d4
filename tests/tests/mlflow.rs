//! Promotions elsewhere over a real MLflow server, where somebody moves the alias by MLflow's own REST interface. Not run unless asked for, as the
//! suite of the adapter; then a server that is missing fails it:
//!
//!     RIPCORD_TEST_MLFLOW=$(.ci/mlflow 3) cargo test --workspace --test suite -- --ignored mlflow::

#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ripcord_adapters::clock_system::SystemClock;
use ripcord_adapters::registry_mlflow::{MlflowRegistry, MlflowRegistryConfig};
use ripcord_adapters::{Http, Shared};
use ripcord_core::fact::Outcome;
use ripcord_core::service::{HoldState, Service};
use ripcord_core::standing::Standing;
use ripcord_core::time::Millis;
use ripcord_ports::Registry;
use ripcord_tests::lab::RealRegistry;
use ripcord_tests::people::{revision, version};
use ripcord_tests::{Lab, Running, Spec, World, check};
use serde_json::{Value, json};

const START_MAX: Duration = Duration::from_secs(180);

struct Mlflow {
    program: PathBuf,
    url: String,
    folder: tempfile::TempDir,
    child: Child,
    client: reqwest::Client,
}

impl Mlflow {
    async fn start() -> Self {
        let program = std::env::var("RIPCORD_TEST_MLFLOW").unwrap_or_else(|_| {
            panic!("`RIPCORD_TEST_MLFLOW` is not set: set it to the path of MLflow's program, which `.ci/mlflow 3` prints")
        });
        let program = PathBuf::from(program);
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let place = folder.path().display();
        let child = Command::new(&program)
            .args(["server", "--host", "127.0.0.1", "--port", &port.to_string(), "--workers", "1"])
            .args(["--backend-store-uri", &format!("sqlite:///{place}/mlflow.db")])
            .args(["--artifacts-destination", &format!("{place}/artifacts"), "--serve-artifacts"])
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // The server has workers; its group is what is ended.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("`{}` does not start: {error}", program.display()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let server = Self { program, url: format!("http://127.0.0.1:{port}"), folder, child, client };
        let begun = Instant::now();
        loop {
            let answer = server.client.get(format!("{}/health", server.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return server;
            }
            assert!(begun.elapsed() < START_MAX, "the server did not start");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Registers versions 1 and 2 with MLflow's own client; the alias is on 2.
    async fn seed(&self, model: &str) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/adapters/tests/mlflow/seed.py");
        let mut command = tokio::process::Command::new(self.program.with_file_name("python"));
        command.arg(script).args([&self.url, model]).current_dir(self.folder.path());
        let ended = command.output().await.unwrap();
        assert!(ended.status.success(), "seed.py failed: {}", String::from_utf8_lossy(&ended.stderr));
        let printed = String::from_utf8(ended.stdout).unwrap();
        serde_json::from_str(printed.lines().last().unwrap()).unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/api/2.0/mlflow/{path}", self.url);
        let answer = self.client.post(url).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// As anybody may do it.
    async fn move_alias(&self, to: &str) {
        self.post("registered-models/alias", json!({ "name": MODEL, "alias": "champion", "version": to }))
            .await;
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

const MODEL: &str = "fraud";

async fn after(lab: &Lab, host: &Running, step: Millis, what: &str, wanted: impl Fn(&Service) -> bool) {
    let service = lab.service();
    for _ in 0..40 {
        lab.clock.advance(step);
        for _ in 0..100 {
            if wanted(&host.state(&service)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    panic!("waited in vain for: {what}; it is {:#?}", host.state(&service))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real MLflow: see the top of this file"]
async fn somebody_moves_the_alias() {
    let shared = Shared { http: Http::new().unwrap(), clock: Arc::new(SystemClock) };
    let server = Mlflow::start().await;
    let seeded = server.seed(MODEL).await;
    let config: MlflowRegistryConfig =
        serde_json::from_value(json!({ "url": server.url, "model": MODEL, "alias": "champion" })).unwrap();
    let registry: Arc<dyn Registry> = Arc::new(MlflowRegistry::new(config, None, &shared).unwrap());

    let spec = Spec::new("fraud-api").scripted().terms(|terms| {
        terms.deadlines.elsewhere_watch = Millis::minutes(1);
        terms.deadlines.hold_watch = Millis::seconds(30);
    });
    let world = World::new();
    world.add(&spec.name, &["1", "2"]);
    let lab = Lab { registry: RealRegistry(Some(registry.clone())), ..Lab::over(world, vec![spec]) };
    let service = lab.service();
    lab.world.at(&service, |outside| {
        outside.bad.insert("2".into());
        // What is served has the bytes of the real registry, not those of the fake one.
        outside.no_digests = true;
    });
    let host = lab.start().await;
    host.adopt(&service, &["1"]).await;
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(registry.promoted().await.unwrap(), Some(version("1")), "the alias follows the rollback");

    // Back to the condemned version: people are told, what is live stays, the alias follows it.
    server.move_alias("2").await;
    after(&lab, &host, Millis::seconds(31), "reopened", |state| state.incidents == 2).await;
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RestoredElsewhere).await;
    assert_eq!(registry.promoted().await.unwrap(), Some(version("1")));
    assert_eq!(lab.world.of(&service).live, "1");
    ripcord_tests::lab::eventually("told", || lab.world.told_of(&service, "hold-broken") == 1).await;
    assert_eq!(host.state(&service).holds[&revision("2")].state, HoldState::Stands);

    // A new version is promoted, and the server loads it: verified, soaked, known good, and pinned by its bytes.
    let run = seeded["versions"][0]["run"].as_str().unwrap();
    let old = server.client.get(format!("{}/api/2.0/mlflow/model-versions/get", server.url));
    let old: Value =
        old.query(&[("name", MODEL), ("version", "1")]).send().await.unwrap().json().await.unwrap();
    // Release 3 keeps the artefact under a model of its own, and wants its id beside it.
    let source = old["model_version"]["source"].as_str().unwrap();
    let model = source.strip_prefix("models:/");
    let created = server
        .post(
            "model-versions/create",
            json!({ "name": MODEL, "source": source, "run_id": run, "model_id": model }),
        )
        .await;
    assert_eq!(created["model_version"]["version"], "3");
    server.move_alias("3").await;
    lab.world.at(&service, |outside| outside.live = "3".into());
    after(&lab, &host, Millis::minutes(1), "a probation", |state| {
        state.probation.as_ref().is_some_and(|probation| probation.version.version == version("3"))
    })
    .await;
    after(&lab, &host, Millis::minutes(5), "known good", |state| {
        state.standing_of(&version("3"), state.at) == Standing::KnownGood
    })
    .await;
    let pinned =
        host.until("pinned", &service, |state| state.revisions[&revision("3")].digest.is_some()).await;
    assert_eq!(
        pinned.revisions[&revision("3")].digest,
        pinned.revisions[&revision("1")].digest,
        "the same artefact under another number"
    );
    assert_eq!(registry.promoted().await.unwrap(), Some(version("3")), "somebody else's promotion is left");
    host.stop().await;
}

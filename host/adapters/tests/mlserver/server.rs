//! A real server on this machine, ended with its test.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ripcord_adapters::clock_system::SystemClock;
use ripcord_adapters::conformance::deployer::Settable;
use ripcord_adapters::deployer_open_inference::{OpenInferenceDeployer, OpenInferenceDeployerConfig};
use ripcord_adapters::endpoint_open_inference::{OpenInferenceEndpoint, OpenInferenceEndpointConfig};
use ripcord_adapters::{Http, Shared};
use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use ripcord_core::target::{ArtefactFile, Target, VersionTarget, artefact_digest};
use ripcord_ports::registry::Staged;
use ripcord_ports::requests::TrialInput;
use serde_json::{Value, json};
use tempfile::TempDir;

const VARIABLE: &str = "RIPCORD_TEST_MLSERVER";
const START_MAX: Duration = Duration::from_secs(120);

/// What the settings are that no artefact here brings along.
pub(crate) const SETTINGS: &str = r#"{
  "name": "{model}",
  "implementation": "mlserver_sklearn.SKLearnModel",
  "inputs": [{"name": "predict", "datatype": "FP64", "shape": [-1, 4]}],
  "parameters": {"uri": "./model.pkl", "version": "{version}"}
}"#;

const SLOW_SETTINGS: &str =
    r#"{"name": "{model}", "implementation": "slow.Slow", "parameters": {"version": "{version}"}}"#;

pub(crate) fn shared() -> Shared {
    Shared { http: Http::new().unwrap(), clock: Arc::new(SystemClock) }
}

/// Rows of the iris data set in the protocol's form.
pub(crate) fn rows() -> Value {
    json!([{"name": "predict", "shape": [3, 4], "datatype": "FP64", "parameters": {"content_type": "np"},
        "data": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [5.9, 3.0, 4.2, 1.5]]}])
}

pub(crate) fn input() -> TrialInput {
    TrialInput { id: "row-1".into(), body: rows().to_string() }
}

#[derive(Debug)]
pub(crate) struct MlServer {
    program: PathBuf,
    ports: [u16; 3],
    folder: TempDir,
    child: Option<Child>,
    client: reqwest::Client,
}

impl MlServer {
    /// Starts the program that the environment variable names, with an empty repository, and waits until it answers.
    pub(crate) async fn start(workers: u32) -> Self {
        let program = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!(
                "`{VARIABLE}` is not set: set it to the path of MLServer's program, which `.ci/mlserver` prints"
            )
        });
        let program = PathBuf::from(program);
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("models")).unwrap();
        std::fs::create_dir(folder.path().join("trained")).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mlserver/train.py");
        let trained = Command::new(program.with_file_name("python"))
            .arg(script)
            .arg(folder.path().join("trained"))
            .output()
            .unwrap();
        assert!(trained.status.success(), "train.py failed: {}", String::from_utf8_lossy(&trained.stderr));
        // All are held at once, so that they differ.
        let free = [0; 3].map(|_: u16| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = free.each_ref().map(|listener| listener.local_addr().unwrap().port());
        drop(free);
        let settings = json!({"host": "127.0.0.1", "http_port": ports[0], "grpc_port": ports[1],
            "metrics_port": ports[2], "parallel_workers": workers});
        std::fs::write(folder.path().join("models/settings.json"), settings.to_string()).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        let mut server = Self { program, ports, folder, child: None, client };
        server.begin().await;
        server
    }

    /// Starts the process.
    pub(crate) async fn begin(&mut self) {
        let log =
            std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let child = Command::new(&self.program)
            .args(["start", "models"])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // The server has workers; its group is what is ended.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("`{}` does not start: {error}", self.program.display()));
        self.child = Some(child);
        let begun = Instant::now();
        loop {
            let answer = self.client.get(format!("{}/v2/health/ready", self.url())).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            if ended.is_some() || begun.elapsed() > START_MAX {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("the server did not start ({ended:?}): {log}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends the process, as a machine that fails does.
    pub(crate) fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Some(group) = rustix::process::Pid::from_raw(child.id() as i32) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = child.wait();
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    pub(crate) fn models(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.models()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn config(&self, url: String) -> OpenInferenceDeployerConfig {
        OpenInferenceDeployerConfig {
            url,
            model: "iris".into(),
            model_directory: self.models().join("iris"),
            deadline_ms: 5_000,
            probe_input: Some(rows()),
            probe_input_file: None,
            answers: 3,
            write: BTreeMap::from([("model-settings.json".to_owned(), SETTINGS.to_owned())]),
            preflight_model: Some("iris-preflight".into()),
        }
    }

    pub(crate) fn deployer(
        &self,
        change: impl Fn(&mut OpenInferenceDeployerConfig),
    ) -> OpenInferenceDeployer {
        let mut config = self.config(self.url());
        change(&mut config);
        OpenInferenceDeployer::new(config, None, &shared()).unwrap()
    }

    /// One that serves the model whose load takes seconds.
    pub(crate) fn slow_deployer(&self) -> OpenInferenceDeployer {
        self.deployer(|config| {
            config.write = BTreeMap::from([("model-settings.json".to_owned(), SLOW_SETTINGS.to_owned())]);
        })
    }

    pub(crate) fn endpoint(&self) -> OpenInferenceEndpoint {
        let config = OpenInferenceEndpointConfig {
            url: self.url(),
            model: "iris".into(),
            output: None,
            deadline_ms: 5_000,
        };
        OpenInferenceEndpoint::new(config, None, &shared()).unwrap()
    }

    /// What was trained, as `version`. The artefact does not know its number.
    pub(crate) fn version(&self, version: &str, trained: &str) -> Settable {
        let folder = self.folder.path().join("trained").join(trained);
        let mut files: Vec<ArtefactFile> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let content = std::fs::read(entry.path()).unwrap();
                let path = entry.file_name().into_string().unwrap();
                ArtefactFile { path, sha256: Digest::of(&content), bytes: content.len() as u64 }
            })
            .collect();
        files.sort();
        let digest = artefact_digest(&files);
        let dir = Arc::new(Dir::open_ambient_dir(folder, ambient_authority()).unwrap());
        let target = VersionTarget { version: VersionName::new(version).unwrap(), digest: Some(digest) };
        Settable { target: Target::Version(target), staged: Some(Staged { dir, files, digest }) }
    }

    /// What the server answers, with its status.
    pub(crate) async fn ask(&self, path: &str, body: &Value) -> (u16, String) {
        let sent = self.client.post(format!("{}/{path}", self.url())).json(body).send().await.unwrap();
        (sent.status().as_u16(), sent.text().await.unwrap())
    }

    pub(crate) async fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("{}/v2/health/ready", self.url())).send().await.unwrap();
        answer.status().is_success()
    }

    /// Asks without a pause until it is told to stop.
    pub(crate) fn traffic(&self, clients: usize) -> Traffic {
        let counted = Arc::new(Counted::default());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..clients {
            let (counted, client) = (Arc::clone(&counted), self.client.clone());
            let url = format!("{}/v2/models/iris/infer", self.url());
            tasks.spawn(async move {
                while !counted.stop.load(Ordering::Relaxed) {
                    let sent = client.post(&url).json(&json!({"inputs": rows()})).send().await;
                    let well = sent.is_ok_and(|answer| answer.status().is_success());
                    let which = if well { &counted.answered } else { &counted.lost };
                    which.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Traffic { counted, tasks }
    }
}

impl Drop for MlServer {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Debug, Default)]
struct Counted {
    stop: AtomicBool,
    answered: AtomicU64,
    lost: AtomicU64,
}

pub(crate) struct Traffic {
    counted: Arc<Counted>,
    tasks: tokio::task::JoinSet<()>,
}

impl Traffic {
    /// How many were answered so far, and how many were not.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        (self.counted.answered.load(Ordering::Relaxed), self.counted.lost.load(Ordering::Relaxed))
    }

    /// The same, at the end.
    pub(crate) async fn stop(mut self) -> (u64, u64) {
        self.counted.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.so_far()
    }
}

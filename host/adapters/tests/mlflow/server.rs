//! A real server on this machine, ended with its test.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ripcord_core::target::ArtefactFile;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

const START_MAX: Duration = Duration::from_secs(180);

/// For so long the server does not see that a webhook was added. It is a minute unless configured.
pub(crate) const WEBHOOKS_KNOWN_AFTER: Duration = Duration::from_secs(1);

pub(crate) const ADMIN_PASSWORD: &str = "long-enough-1";

/// What `seed.py` registered, and found with MLflow's own client.
#[derive(Debug, Deserialize)]
pub(crate) struct Seeded {
    pub(crate) versions: Vec<SeededVersion>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SeededVersion {
    pub(crate) version: String,
    pub(crate) run: String,
    pub(crate) files: Vec<ArtefactFile>,
}

#[derive(Debug)]
pub(crate) struct Mlflow {
    program: PathBuf,
    port: u16,
    folder: TempDir,
    child: Child,
    client: reqwest::Client,
}

impl Mlflow {
    /// Starts the program that the environment variable names, and waits until it answers.
    pub(crate) async fn start(variable: &str, arguments: &[&str]) -> Self {
        let program = std::env::var(variable).unwrap_or_else(|_| {
            panic!(
                "`{variable}` is not set: set it to the path of MLflow's program, which `.ci/mlflow` prints"
            )
        });
        let program = PathBuf::from(program);
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let place = folder.path().display();
        let auth = folder.path().join("auth.ini");
        let accounts = format!(
            "[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///{place}/auth.db\nadmin_username = admin\nadmin_password = {ADMIN_PASSWORD}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        );
        std::fs::write(&auth, accounts).unwrap();
        let child = Command::new(&program)
            .args(["server", "--host", "127.0.0.1", "--port", &port.to_string(), "--workers", "1"])
            .args(["--backend-store-uri", &format!("sqlite:///{place}/mlflow.db")])
            .args(["--artifacts-destination", &format!("{place}/artifacts"), "--serve-artifacts"])
            .args(arguments)
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .env("MLFLOW_AUTH_CONFIG_PATH", &auth)
            .env("MLFLOW_FLASK_SERVER_SECRET_KEY", "for-tests-only")
            .env("MLFLOW_WEBHOOK_CACHE_TTL", WEBHOOKS_KNOWN_AFTER.as_secs().to_string())
            .env("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
            .env("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
            // Thirty-two zero bytes: a key for a server that lives for minutes.
            .env("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", format!("{}=", "A".repeat(43)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // The server has workers; its group is what is ended.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("`{}` does not start: {error}", program.display()));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut server = Self { program, port, folder, child, client };
        server.wait().await;
        server
    }

    async fn wait(&mut self) {
        let begun = Instant::now();
        loop {
            let answer = self.client.get(format!("{}/health", self.url())).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || begun.elapsed() > START_MAX {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("the server did not start ({ended:?}): {log}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Registers two versions with MLflow's own client.
    pub(crate) async fn seed(&self, model: &str, admin: Option<&str>) -> Seeded {
        let python = self.program.with_file_name("python");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mlflow/seed.py");
        let mut command = tokio::process::Command::new(python);
        command.arg(script).args([&self.url(), model]).current_dir(self.folder.path());
        if let Some(password) = admin {
            command.env("MLFLOW_TRACKING_USERNAME", "admin").env("MLFLOW_TRACKING_PASSWORD", password);
        }
        let ended = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "seed.py failed: {said}");
        let printed = String::from_utf8(ended.stdout).unwrap();
        serde_json::from_str(printed.lines().last().unwrap()).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value, admin: Option<&str>) -> Value {
        let mut request = self.client.post(format!("{}/{path}", self.url())).json(body);
        if let Some(password) = admin {
            request = request.basic_auth("admin", Some(password));
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Registers a version of an artefact that is not there.
    pub(crate) async fn register_nothing(&self, model: &str, seeded: &Seeded) {
        let run = &seeded.versions[0].run;
        let source = format!("mlflow-artifacts:/1/{run}/artifacts/nothing");
        let body = serde_json::json!({"name": model, "source": source, "run_id": run});
        self.post("api/2.0/mlflow/model-versions/create", &body, None).await;
    }

    pub(crate) async fn delete(&self, path: &str, body: &Value) {
        let answer = self.client.delete(format!("{}/{path}", self.url())).json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// The stored file whose path ends so.
    pub(crate) fn find_artefact(&self, end: &str) -> PathBuf {
        let mut folders = vec![self.folder.path().join("artifacts")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.ends_with(end) {
                    return path;
                }
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        panic!("no artefact ends in `{end}`");
    }

    /// The folder that holds the `MLmodel` above a stored file.
    pub(crate) fn artefact_root<'a>(&self, file: &'a Path) -> &'a Path {
        file.ancestors().find(|folder| folder.join("MLmodel").is_file()).unwrap()
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

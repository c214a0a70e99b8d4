//! The producer against a real Airflow. Not run unless asked for:
//!
//!     RIPCORD_TEST_AIRFLOW=$(.ci/airflow) cargo test --workspace --test suite -- --ignored airflow::

mod deploys;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use reqwest::{Client, Method};
use ripcord_adapters::Secret;
use ripcord_adapters::conformance::producer::{Expected, Pipeline, conforms, order};
use ripcord_adapters::conformance::producer_faults::{Faulty, conforms_in_faults};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_adapters::producer_airflow::{AirflowProducer, AirflowProducerConfig};
use ripcord_ports::producer::Progress;
use ripcord_ports::{Producer, Registry};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::adapters::producers::{configuration, registry, surroundings, without_import};
use crate::adapters::support::publish;

const PASSWORD: &str = "long-enough-1";
const START_MAX: Duration = Duration::from_secs(240);

/// A server with a scheduler, ended with its test.
struct Airflow {
    root: TempDir,
    url: String,
    /// Where the adapter finds it.
    seen_at: std::sync::Mutex<String>,
    client: Client,
    token: String,
    child: Child,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Airflow {
    async fn start() -> Self {
        let program = std::env::var("RIPCORD_TEST_AIRFLOW").unwrap_or_else(|_| {
            panic!("`RIPCORD_TEST_AIRFLOW` is not set: set it to the path of Airflow's program")
        });
        let program = std::fs::canonicalize(program).unwrap();
        let root = tempfile::tempdir().unwrap();
        for folder in ["dags", "world", "home"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        for dag in ["deploy.py", "retrain.py"] {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/airflow").join(dag);
            std::fs::copy(source, root.path().join("dags").join(dag)).unwrap();
        }
        std::fs::write(root.path().join("passwords.json"), json!({"admin": PASSWORD}).to_string()).unwrap();
        registry(root.path());
        publish(&root.path().join("registry"), "1.0", "2026-11-01T00:00:00Z");
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let child = spawn(&program, root.path(), port);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().unwrap();
        let seen_at = std::sync::Mutex::new(url.clone());
        let mut airflow = Self { root, url, seen_at, client, token: String::new(), child };
        airflow.wait().await;
        airflow
    }

    /// Until it answers, and has read the DAG.
    async fn wait(&mut self) {
        let begun = Instant::now();
        loop {
            let login = json!({"username": "admin", "password": PASSWORD});
            let answer = self.client.post(format!("{}/auth/token", self.url)).json(&login).send().await;
            if let Ok(answer) = answer
                && let Ok(token) = answer.json::<Value>().await
            {
                self.token = token["access_token"].as_str().unwrap_or_default().to_owned();
                let is_ready = async |dag| {
                    self.ask_of(dag, Method::GET, "").await.is_some_and(|dag| dag["is_paused"] == false)
                };
                if is_ready("retrain").await && is_ready("deploy").await {
                    return;
                }
            }
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || begun.elapsed() > START_MAX {
                let log = std::fs::read_to_string(self.root.path().join("log")).unwrap_or_default();
                panic!("airflow did not start ({ended:?}): {}", &log[log.len().saturating_sub(5_000)..]);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// None for what it does not have.
    async fn ask(&self, method: Method, below: &str) -> Option<Value> {
        self.ask_of("retrain", method, below).await
    }

    async fn ask_of(&self, dag: &str, method: Method, below: &str) -> Option<Value> {
        let url = format!("{}/api/v2/dags/{dag}{below}", self.url);
        let answer = self.client.request(method, url).bearer_auth(&self.token).send().await.unwrap();
        if answer.status().is_success() { Some(answer.json().await.unwrap_or_default()) } else { None }
    }

    fn told(&self, name: &str) -> PathBuf {
        self.root.path().join("world").join(name)
    }

    fn producer(&self) -> AirflowProducer {
        let config: AirflowProducerConfig = serde_json::from_value(json!({
            "url": *self.seen_at.lock().unwrap(), "dag": "retrain", "xcom": {"task": "register"}, "user": "admin",
        }))
        .unwrap();
        AirflowProducer::new(config, Some(Secret::new(PASSWORD)), surroundings(self.root.path())).unwrap()
    }
}

fn spawn(program: &Path, root: &Path, port: u16) -> Child {
    let log = std::fs::File::create(root.join("log")).unwrap();
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let address = format!("http://127.0.0.1:{port}");
    Command::new(program)
        .arg("standalone")
        .env("PATH", path)
        .env("AIRFLOW_HOME", root.join("home"))
        .env("AIRFLOW__CORE__DAGS_FOLDER", root.join("dags"))
        .env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        .env("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "admin:admin")
        .env("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", root.join("passwords.json"))
        .env("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", format!("{address}/execution/"))
        .env("AIRFLOW__CORE__PARALLELISM", "4")
        .env("AIRFLOW__API__HOST", "127.0.0.1")
        .env("AIRFLOW__API__PORT", port.to_string())
        .env("AIRFLOW__API__BASE_URL", &address)
        .env("AIRFLOW__API__WORKERS", "1")
        .env("AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT", free_port().to_string())
        .env("AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT", free_port().to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        // It starts many processes; their group is what is ended.
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("`{}` does not start: {error}", program.display()))
}

impl Drop for Airflow {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

#[async_trait]
impl Pipeline for Airflow {
    async fn begun(&self, key: &str) -> usize {
        let worked = std::fs::read_to_string(self.told("begun")).unwrap_or_default();
        let worked = worked.lines().filter(|line| *line == key).count();
        worked.max(usize::from(self.ask(Method::GET, &format!("/dagRuns/{key}")).await.is_some()))
    }

    async fn let_succeed(&self, key: &str) {
        std::fs::write(self.told(&format!("{key}.go")), "").unwrap();
    }

    async fn let_fail(&self, key: &str) {
        std::fs::write(self.told(&format!("{key}.fail")), "").unwrap();
    }

    async fn goes_on(&self, key: &str) -> bool {
        let run = self.ask(Method::GET, &format!("/dagRuns/{key}")).await.unwrap_or_default();
        ["queued", "running"].contains(&run["state"].as_str().unwrap_or_default())
    }

    async fn lose(&self, key: &str) -> bool {
        while !std::fs::read_to_string(self.told("begun")).unwrap_or_default().contains(key) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // It deletes no run that goes on.
        self.let_succeed(key).await;
        while self.goes_on(key).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.ask(Method::DELETE, &format!("/dagRuns/{key}")).await.is_some()
    }

    fn restarted(&self) -> Arc<dyn Producer> {
        Arc::new(self.producer())
    }

    fn registry(&self) -> Arc<dyn Registry> {
        registry(self.root.path())
    }
}

#[tokio::test]
#[ignore = "needs Airflow 3: see the head of this suite"]
async fn release_3() {
    let airflow = Airflow::start().await;
    let producer = airflow.producer();
    assert_eq!(producer.obstacle().await, None);
    let expected = Expected {
        makes: without_import(),
        fails: without_import(),
        says: "failed, in the task register".into(),
        refuses: configuration(),
    };
    conforms(&producer, &airflow, &expected).await;

    let order = order("exclusion", &expected.makes);
    producer.start(&order).await.unwrap();
    airflow.let_succeed(&order.key).await;
    let Progress::Made(made) = crate::adapters::producers::ended(&producer, &order).await else {
        panic!("it is made")
    };
    assert_eq!(made.made_of[0].value, "[{\"source\":{\"equals\":\"chargeback-import\"}}]");

    let proxy = FaultProxy::start(&airflow.url).await.unwrap();
    *airflow.seen_at.lock().unwrap() = proxy.url();
    let producer = airflow.producer();
    producer.progress(&order).await.unwrap();
    producer
        .progress(&ripcord_adapters::conformance::producer::order("login", &expected.makes))
        .await
        .unwrap();
    let starts = Which::Changes;
    let faulty = Faulty {
        producer: &producer,
        pipeline: &airflow,
        proxy: &proxy,
        starts: &starts,
        expected: &expected,
    };
    conforms_in_faults(faulty).await;
}

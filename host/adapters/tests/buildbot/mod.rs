//! The deployer against a real Buildbot, in the set-up of `examples/ci`. Not run unless asked for:
//!
//!     RIPCORD_TEST_BUILDBOT=$(.ci/buildbot) cargo test --workspace --test suite -- --ignored buildbot::

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use reqwest::Client;
use ripcord_adapters::conformance::deployer::order;
use ripcord_adapters::conformance::pipeline::{Behaviour, MarkIs, System, conforms, conforms_in_faults};
use ripcord_adapters::deployer_buildbot::{BuildbotDeployerConfig, deployer};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_adapters::{PipelineDeployer, PipelineSurroundings, Secret};
use ripcord_core::time::Millis;
use ripcord_ports::deployer::ShiftOrder;
use ripcord_ports::{Applied, Deployer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::adapters::pipelines::world::{behaviour_file, settable};
use crate::adapters::support::shared;

const PASSWORD: &str = "long-enough-1";
const START_MAX: Duration = Duration::from_secs(180);

/// A master with a worker of its own, ended with its test.
struct Buildbot {
    root: TempDir,
    url: String,
    /// Where the adapter finds it.
    seen_at: Mutex<String>,
    client: Client,
    child: Child,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/ci").join(name)
}

impl Buildbot {
    async fn start() -> Self {
        let python = std::env::var("RIPCORD_TEST_BUILDBOT").unwrap_or_else(|_| {
            panic!("`RIPCORD_TEST_BUILDBOT` is not set: set it to the path of the Python with Buildbot")
        });
        let programs = Path::new(&python).parent().unwrap().to_owned();
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("world")).unwrap();
        std::fs::write(root.path().join("world/served"), "1").unwrap();
        std::fs::write(root.path().join("password"), PASSWORD).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/buildbot/deploy.py");
        std::fs::copy(script, root.path().join("deploy.py")).unwrap();
        let mut make = Command::new(programs.join("buildbot"));
        let made = make.args(["create-master", "-q", "master"]).current_dir(root.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::copy(example("master.cfg"), root.path().join("master/master.cfg")).unwrap();
        let port = free_port();
        let log = std::fs::File::create(root.path().join("log")).unwrap();
        let child = Command::new(programs.join("twistd"))
            .args(["--nodaemon", "--no_save", "--python", "buildbot.tac"])
            .current_dir(root.path().join("master"))
            .env("CI_PORT", port.to_string())
            .env("CI_SCRIPT", root.path().join("deploy.py"))
            .env("CI_PASSWORD_FILE", root.path().join("password"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // What it builds are children; their group is what is ended.
            .process_group(0)
            .spawn()
            .unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let mut buildbot = Self { root, seen_at: Mutex::new(url.clone()), url, client, child };
        let begun = Instant::now();
        while buildbot.total().await.is_none() {
            let ended = buildbot.child.try_wait().unwrap();
            if ended.is_some() || begun.elapsed() > START_MAX {
                let log = std::fs::read_to_string(buildbot.root.path().join("log")).unwrap_or_default();
                panic!("Buildbot did not start ({ended:?}): {}", &log[log.len().saturating_sub(5_000)..]);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        buildbot
    }

    async fn build_sets(&self) -> Vec<Value> {
        let url = format!("{}/api/v2/buildsets", self.url);
        let answer: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        answer["buildsets"].as_array().unwrap().clone()
    }

    /// How many builds were asked for, by Buildbot's own count.
    async fn total(&self) -> Option<usize> {
        let url = format!("{}/api/v2/buildsets?field=bsid", self.url);
        let answer: Value = self.client.get(url).send().await.ok()?.json().await.ok()?;
        answer.pointer("/meta/total")?.as_u64().map(|total| usize::try_from(total).unwrap())
    }

    fn deployer(&self) -> PipelineDeployer {
        self.following(json!({"poll-ms": 200}))
    }

    fn following(&self, follow: Value) -> PipelineDeployer {
        let served = self.root.path().join("world/served");
        let live =
            format!("printf '{{\"shares\": [{{\"version\": \"%s\"}}]}}' \"$(cat {})\"", served.display());
        let config: BuildbotDeployerConfig = serde_json::from_value(json!({
            "url": *self.seen_at.lock().unwrap(), "builder": "deploy", "scheduler": "rollback", "user": "ripcord",
            "follow": follow, "live": {"command": ["sh", "-c", live.replace('{', "{{").replace('}', "}}")]},
        }))
        .unwrap();
        let data = self.root.path().join("data");
        deployer(config, Some(Secret::new(PASSWORD)), PipelineSurroundings { data, shared: shared() })
            .unwrap()
    }
}

impl Drop for Buildbot {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

#[async_trait]
impl System for Buildbot {
    async fn behave(&self, behaviour: Behaviour) {
        behaviour_file(&self.root.path().join("world"), behaviour);
    }

    async fn begun(&self) -> usize {
        self.total().await.unwrap()
    }

    async fn at_rest(&self) -> bool {
        self.build_sets().await.iter().all(|set| set["complete"] == true)
    }

    async fn forget(&self) -> bool {
        // It has no call that deletes a build.
        false
    }

    fn restarted(&self) -> Box<dyn Deployer> {
        Box::new(self.deployer())
    }
}

#[tokio::test]
#[ignore = "needs Buildbot: see the head of this suite"]
async fn it_rolls_back_and_is_begun_once() {
    let buildbot = Buildbot::start().await;
    buildbot.behave(Behaviour::Deploys).await;
    let deployer = buildbot.deployer();
    assert_eq!(deployer.obstacle().await, None);
    conforms(&deployer, &buildbot, &settable("1"), &settable("2")).await;

    let proxy = FaultProxy::start(&buildbot.url).await.unwrap();
    *buildbot.seen_at.lock().unwrap() = proxy.url();
    let deployer = buildbot.deployer();
    let two = (&settable("1"), &settable("2"));
    let requests = (&Which::Changes, &Which::With("/buildsets/"));
    conforms_in_faults(&deployer, &buildbot, &proxy, requests, MarkIs::Note, two).await;
}

#[tokio::test]
#[ignore = "needs Buildbot: see the head of this suite"]
async fn a_build_whose_time_is_over_is_cancelled() {
    let buildbot = Buildbot::start().await;
    let deployer = buildbot.following(json!({"poll-ms": 200, "cancel-at-deadline": true}));
    buildbot.behave(Behaviour::Waits).await;
    let before = deployer.live().await.unwrap().state;
    let late = ShiftOrder { deadline: Millis::seconds(12), ..order("late", &settable("2"), before) };
    let error = deployer.shift(&late).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown, "what was cut may have left work behind: {error}");
    for _ in 0..200 {
        // What was cut later than that is looked after by whoever reads live.
        deployer.live().await.unwrap();
        if buildbot.at_rest().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let sets = buildbot.build_sets().await;
    assert_eq!((sets.len(), &sets[0]["complete"], &sets[0]["results"]), (1, &json!(true), &json!(6)));
}

#[tokio::test]
#[ignore = "needs Buildbot: see the head of this suite"]
async fn an_account_that_is_not_known_begins_nothing() {
    let buildbot = Buildbot::start().await;
    buildbot.behave(Behaviour::Deploys).await;
    std::fs::write(buildbot.root.path().join("world/served"), "1").unwrap();
    let config: BuildbotDeployerConfig = serde_json::from_value(json!({
        "url": buildbot.url, "builder": "deploy", "scheduler": "rollback", "user": "ripcord",
        "live": {"command": ["sh", "-c", "echo '{{\"unknown\": \"not asked\"}}'"]},
    }))
    .unwrap();
    let surroundings = PipelineSurroundings { data: buildbot.root.path().join("data"), shared: shared() };
    let wrong = deployer(config, Some(Secret::new("another-1")), surroundings).unwrap();
    let told = wrong.obstacle().await.unwrap();
    assert!(told.contains("does not know these credentials"), "{told}");
    assert_eq!(buildbot.begun().await, 0);
}

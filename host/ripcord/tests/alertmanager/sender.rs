//! A real Alertmanager on this machine, ended with its test.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::alerts::ALERTS_TOKEN;
use crate::support::host::free_address;

const PROGRAM: &str = "prometheus-alertmanager";
const PATIENCE: Duration = Duration::from_secs(60);

/// One receiver; all of them get every alert.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) receiver: &'static str,
    pub(crate) source: &'static str,
    /// How it proves itself: `http_config` of the receiver.
    pub(crate) proof: Value,
    pub(crate) repeats: &'static str,
    /// `max_alerts`; zero is no limit.
    pub(crate) alerts_max: u32,
}

impl Route {
    pub(crate) fn bearer(receiver: &'static str, source: &'static str, token: &str) -> Self {
        let proof = json!({"authorization": {"type": "Bearer", "credentials": token}});
        Self { receiver, source, proof, repeats: "1h", alerts_max: 0 }
    }

    pub(crate) fn basic(receiver: &'static str, source: &'static str, user: &str, password: &str) -> Self {
        let proof = json!({"basic_auth": {"username": user, "password": password}});
        Self { proof, ..Self::bearer(receiver, source, "") }
    }

    /// As the source `alerts` wants it.
    pub(crate) fn right(receiver: &'static str) -> Self {
        Self::bearer(receiver, "alerts", ALERTS_TOKEN)
    }

    fn receiver(&self, host: &str) -> Value {
        json!({"name": self.receiver, "webhook_configs": [{
            "url": format!("{host}/hooks/{}", self.source), "send_resolved": true, "max_alerts": self.alerts_max,
            "http_config": self.proof,
        }]})
    }

    fn route(&self) -> Value {
        json!({"receiver": self.receiver, "continue": true, "repeat_interval": self.repeats})
    }
}

/// What it counts of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Notifications, failed ones too.
    pub(crate) sent: u64,
    /// Notifications that were given up.
    pub(crate) failed: u64,
    /// Requests that failed, those that were made again too.
    pub(crate) requests_failed: u64,
}

#[derive(Debug)]
pub(crate) struct Alertmanager {
    child: Child,
    folder: TempDir,
    url: String,
    client: reqwest::Client,
}

impl Alertmanager {
    /// Starts it with receivers at `host`, and waits until it is ready.
    pub(crate) async fn start(host: &str, routes: &[Route]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // JSON is YAML.
        let config = json!({
            "route": {
                "receiver": "nobody", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s",
                "routes": routes.iter().map(Route::route).collect::<Vec<_>>(),
            },
            "receivers": std::iter::once(json!({"name": "nobody"}))
                .chain(routes.iter().map(|route| route.receiver(host))).collect::<Vec<_>>(),
        });
        std::fs::write(folder.path().join("am.yml"), config.to_string()).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let address = free_address();
        let child = Command::new(PROGRAM)
            .args(["--config.file=am.yml", "--storage.path=data", "--cluster.listen-address="])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("`{PROGRAM}` does not start: {error}; `.ci/monitoring` says where it is to be had")
            });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut it = Self { child, folder, url: format!("http://{address}"), client };
        let begun = Instant::now();
        loop {
            let answer = it.client.get(format!("{}/-/ready", it.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return it;
            }
            let ended = it.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "it did not start ({ended:?}): {}",
                it.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Posts alerts as Prometheus does.
    pub(crate) async fn post(&self, alerts: &[Value]) {
        let answer =
            self.client.post(format!("{}/api/v2/alerts", self.url)).json(alerts).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    pub(crate) async fn counts(&self) -> Counts {
        let page =
            self.client.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap();
        let count = |name: &str| -> u64 {
            let begin = format!("{name}{{");
            let lines = page
                .lines()
                .filter(|line| line.starts_with(&begin) && line.contains("integration=\"webhook\""));
            lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
        };
        Counts {
            sent: count("alertmanager_notifications_total"),
            failed: count("alertmanager_notifications_failed_total"),
            requests_failed: count("alertmanager_notification_requests_failed_total"),
        }
    }

    /// What it counts, once that is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(Counts) -> bool) -> Counts {
        let begun = Instant::now();
        loop {
            let counts = self.counts().await;
            if wanted(counts) {
                return counts;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain at {counts:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        let path: PathBuf = self.folder.path().join("log");
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An alert of harm in one region.
pub(crate) fn firing(region: &str) -> Value {
    json!({"labels": {"alertname": "ModelHarm", "model": "fraud", "severity": "page", "region": region}})
}

/// The same alert, over.
pub(crate) fn resolved(region: &str) -> Value {
    let mut alert = firing(region);
    alert["endsAt"] = json!(jiff::Timestamp::now().to_string());
    alert
}

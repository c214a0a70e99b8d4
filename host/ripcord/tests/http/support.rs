//! A running host with a service whose registry and deployer are small shell scripts.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use ripcord::commands::serve::{Bearing, Running};
use ripcord::config::{Config, SourceFile};
use serde_json::{Value, json};

use crate::http::document;

/// Everyone has one role, and a token `NAME-token-0123456789`.
pub(crate) const PEOPLE: [(&str, &str); 7] = [
    ("vera", "viewer"),
    ("olga", "operator"),
    ("anna", "approver"),
    ("abel", "approver"),
    ("adam", "admin"),
    ("sam", "security"),
    ("sue", "security"),
];

const CONFIG: &str = r#"
[host]
listen = "127.0.0.1:0"

[sources.basic]
kind = "alertmanager"
auth = { basic = { user = "am", password-file = "s3cret" } }
[[sources.basic.routes]]
match = { model = "fraud", slice = "*" }
service = "fraud-api"

[sources.bearer]
kind = "alertmanager"
auth = { bearer-file = "tok-123" }
[[sources.bearer.routes]]
match = { model = "fraud" }
service = "fraud-api"

[sources.hmac]
kind = "alertmanager"
auth = { hmac = { secret-file = "key", header = "x-code", timestamp-header = "x-at", window-seconds = 60 } }

[sources.mlflow]
kind = "mlflow"
auth = { mlflow = { secret-file = "key", window-seconds = 60 } }
[[sources.mlflow.routes]]
match = { event = "model_version_alias.created", model = "fraud", alias = "champion" }
service = "fraud-api"

[sources.wandb]
kind = "wandb"
auth = { wandb = { secret-file = "key", token-file = "tok-123" } }
[[sources.wandb.routes]]
match = { event = "ADD_ARTIFACT_ALIAS", collection = "fraud", alias = "production" }
service = "fraud-api"

[services.fraud-api]
mode = "MODE"
floor = FLOOR
proof-min = "control-plane"
registry = { kind = "command", list = ["./list.sh"], fetch = ["./fetch.sh", "{into}"] }
deployer = { kind = "command", shift = ["./shift.sh", "{version}"], live = ["./live.sh"], effect = "observable" }

[services.pipeline]
mode = "ask"
proof-min = "control-plane"
registry = { kind = "command", list = ["./list.sh"], fetch = ["./fetch.sh", "{into}"] }
deployer = { kind = "command", shift = ["./shift-pipeline.sh", "{version}"], live = ["./live-pipeline.sh"], effect = "observable" }

[sets.fraud]
members = ["pipeline", "fraud-api"]

[sets.guarded]
members = ["pipeline", "fraud-api"]
may-pull = ["security"]
"#;

pub(crate) struct Host {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) running: Running,
}

/// A host in mode `ask` that wants two approvers: where one is enough, who pulls is that one.
pub(crate) const FLOOR: &str = "[{ role = \"approver\", people = 2 }]";

pub(crate) async fn host() -> Host {
    host_with("ask", FLOOR).await
}

pub(crate) async fn host_with(mode: &str, floor: &str) -> Host {
    host_bearing(mode, floor, Bearing::default()).await
}

/// A host whose doors bear more or less than others.
pub(crate) async fn host_bearing(mode: &str, floor: &str, bearing: Bearing) -> Host {
    let folder = tempfile::tempdir().unwrap();
    let running = start_bearing(folder.path(), mode, floor, bearing).await;
    let url = format!("http://{}", running.address().unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Host { folder, url, http, running }
}

pub(crate) fn config(folder: &Path, mode: &str, floor: &str) -> Config {
    let mut text = CONFIG.replace("MODE", mode).replace("FLOOR", floor);
    for (name, role) in PEOPLE {
        let key = if name == "anna" {
            format!("public-key = \"{}\"\n", hex(&anna().verifying_key().to_bytes()))
        } else {
            String::new()
        };
        text.push_str(&format!(
            "[people.{name}]\nroles = [\"{role}\"]\ntoken-file = \"{name}.token\"\n{key}"
        ));
        write(folder, &format!("{name}.token"), &token(name));
    }
    for secret in ["s3cret", "tok-123", "key"] {
        write(folder, secret, secret);
    }
    write(folder, "ripcord.toml", &text);
    Config::parse(SourceFile { path: folder.join("ripcord.toml"), text })
        .unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) async fn start(folder: &Path, mode: &str, floor: &str) -> Running {
    start_bearing(folder, mode, floor, Bearing::default()).await
}

async fn start_bearing(folder: &Path, mode: &str, floor: &str, bearing: Bearing) -> Running {
    start_configured(folder, &config(folder, mode, floor), bearing).await
}

/// The same with more in its configuration.
pub(crate) async fn host_with_more(more: &str) -> Host {
    let folder = tempfile::tempdir().unwrap();
    config(folder.path(), "ask", FLOOR);
    let path = folder.path().join("ripcord.toml");
    let text = format!("{}\n{more}", std::fs::read_to_string(&path).unwrap());
    let config = Config::parse(SourceFile { path, text }).unwrap_or_else(|error| panic!("{error}"));
    let running = start_configured(folder.path(), &config, Bearing::default()).await;
    let url = format!("http://{}", running.address().unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Host { folder, url, http, running }
}

async fn start_configured(folder: &Path, config: &Config, bearing: Bearing) -> Running {
    script(
        folder,
        "list.sh",
        r#"echo '[{"version": "1.3.2", "created-at": "2026-01-01T00:00:00Z"}, {"version": "1.4.0", "created-at": "2026-02-01T00:00:00Z"}]'"#,
    );
    script(folder, "fetch.sh", r#"printf model > "$1/model.bin""#);
    script(folder, "shift.sh", r#"printf '%s' "$1" > live"#);
    script(folder, "live.sh", r#"printf '{"shares": [{"version": "%s"}]}' "$(cat live)""#);
    script(folder, "shift-pipeline.sh", r#"printf '%s' "$1" > live-pipeline"#);
    script(folder, "live-pipeline.sh", r#"printf '{"shares": [{"version": "%s"}]}' "$(cat live-pipeline)""#);
    for live in ["live", "live-pipeline"] {
        if !folder.join(live).exists() {
            write(folder, live, "1.4.0");
        }
    }
    Running::start_with(config, bearing).await.unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn script(folder: &Path, name: &str, text: &str) {
    write(folder, name, &format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// For its owner alone: it may be a secret.
pub(crate) fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
    std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn token(name: &str) -> String {
    format!("{name}-token-0123456789")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key with which anna signs.
pub(crate) fn anna() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[7; 32])
}

/// A recorded payload of Alertmanager, as the sender posted it.
pub(crate) fn recorded(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/tests/fixtures/alertmanager");
    let recorded: Value = serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap();
    recorded.get("body").cloned().unwrap_or(recorded)
}

pub(crate) async fn body(answer: Response) -> (StatusCode, Value) {
    let status = answer.status();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let text = answer.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{body}");
        assert_eq!(body["status"], status.as_u16());
        assert!(body["type"].as_str().unwrap().starts_with("urn:ripcord:problem:"), "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    }
    (status, body)
}

impl Host {
    /// A request of a person; without a name, of nobody.
    pub(crate) async fn ask(
        &self,
        who: &str,
        method: Method,
        path: &str,
        sent: Option<Value>,
    ) -> (u16, Value) {
        let address = format!("/api/v1/{path}");
        let mut request = self.http.request(method.clone(), format!("{}{address}", self.url));
        if !who.is_empty() {
            request = request.bearer_auth(token(who));
        }
        if let Some(sent) = sent {
            request = request.json(&sent);
        }
        let (status, body) = body(request.send().await.unwrap()).await;
        document::holds(&method, &address, status.as_u16(), &body);
        (status.as_u16(), body)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("vera", Method::GET, path, None).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    pub(crate) async fn post(&self, who: &str, path: &str, sent: Value) -> (u16, Value) {
        self.ask(who, Method::POST, path, Some(sent)).await
    }

    /// Posts a webhook as the source `bearer` takes it.
    pub(crate) async fn hook(&self, payload: &Value) -> (u16, Value) {
        let request = self.http.post(format!("{}/hooks/bearer", self.url)).bearer_auth("tok-123");
        let (status, body) = body(request.json(payload).send().await.unwrap()).await;
        document::holds(&Method::POST, "/hooks/bearer", status.as_u16(), &body);
        (status.as_u16(), body)
    }

    /// A number of the metrics page, read through a connection of its own.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let text = client.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} is missing in\n{text}")).parse().unwrap()
    }

    /// Waits until the incident is in `phase`, for at most 20 seconds.
    pub(crate) async fn until(&self, incident: &str, phase: &str) -> Value {
        for _ in 0..200 {
            let state = self.get(&format!("incidents/{incident}/wait?seconds=0")).await;
            if state["phase"] == phase {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("`{incident}` did not get to `{phase}`: {}", self.get(&format!("incidents/{incident}")).await);
    }

    /// An incident that waits for approval, and its plan's digest.
    pub(crate) async fn waiting(&self) -> (String, String) {
        let (status, done) = self
            .post("olga", "services/fraud-api/pull", json!({"to": "1.3.2", "reason": "it declines everyone"}))
            .await;
        assert_eq!(status, 200, "{done}");
        let incident = done["incident"].as_str().unwrap().to_owned();
        let state = self.until(&incident, "waiting for approval").await;
        (incident, state["plan"].as_str().unwrap().to_owned())
    }
}

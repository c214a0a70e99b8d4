//! Looking around for what there may be to protect: files beside the configuration, servers on the usual ports of this machine.

use std::path::Path;
use std::time::Duration;

use ripcord_core::name::ServiceName;
use ripcord_ports::PortError;
use serde_json::Value;

use crate::output::{Text, text};

/// Long enough for this machine.
const PATIENCE: Duration = Duration::from_millis(800);
const FILES_MAX: usize = 200;

/// Where servers are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Servers of the Open Inference Protocol.
    pub servers: Vec<String>,
    /// Prometheus.
    pub prometheus: String,
}

impl Default for Places {
    /// The usual ports of this machine: MLServer, Triton, KServe's local gateway, Prometheus.
    fn default() -> Self {
        let servers = [8080, 8000, 8081, 9000].map(|port| format!("http://127.0.0.1:{port}"));
        Self { servers: servers.to_vec(), prometheus: "http://127.0.0.1:9090".to_owned() }
    }
}

/// A model that a server on this machine serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundModel {
    /// The server.
    pub url: String,
    /// The model.
    pub name: String,
}

/// What was found. Paths are relative to the folder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// Models on servers that answer.
    pub models: Vec<FoundModel>,
    /// Prometheus.
    pub prometheus: Option<String>,
    /// A folder of versions.
    pub registry: Option<String>,
    /// Golden data sets by name.
    pub golden: Vec<(String, String)>,
    /// A request log.
    pub request_log: Option<String>,
    /// The folder from which a server reads its model.
    pub model_folder: Option<String>,
}

impl Found {
    /// For people.
    pub fn text(&self) -> Text {
        let mut text = Text::default();
        for model in &self.models {
            text.push(text!("found model `{}` at {}\n", model.name, model.url));
        }
        let things = [
            ("Prometheus at", &self.prometheus),
            ("a registry in", &self.registry),
            ("a request log in", &self.request_log),
            ("a folder of served models in", &self.model_folder),
        ];
        for (what, found) in things {
            if let Some(found) = found {
                text.push(text!("found {} {}\n", what, found));
            }
        }
        for (name, path) in &self.golden {
            text.push(text!("found golden data `{}` in {}\n", name, path));
        }
        if *self == Self::default() {
            text.push(text!("found nothing; the configuration shows examples\n"));
        }
        text
    }
}

/// Looks around. What cannot be read or does not answer is not there.
pub async fn find(folder: &Path, places: &Places) -> Found {
    let registry = folder.join("registry");
    let registered = folders(&registry);
    let mut found = Found {
        registry: registry.is_dir().then(|| "registry".to_owned()),
        golden: golden(folder),
        request_log: ["requests.jsonl", "logs/requests.jsonl"]
            .into_iter()
            .find(|name| folder.join(name).is_file())
            .map(str::to_owned),
        ..Found::default()
    };
    let Ok(client) = client() else { return found };
    for url in &places.servers {
        for name in served(&client, url, &registered).await {
            found.models.push(FoundModel { url: url.clone(), name });
        }
    }
    let build = get(&client, &format!("{}/api/v1/status/buildinfo", places.prometheus)).await;
    if build.is_some_and(|build| build["status"] == "success") {
        found.prometheus = Some(places.prometheus.clone());
    }
    let model = found.models.first().map(|model| model.name.clone()).or_else(|| registered.first().cloned());
    found.model_folder =
        model.map(|model| format!("models/{model}")).filter(|path| folder.join(path).is_dir());
    found
}

fn client() -> Result<reqwest::Client, PortError> {
    // Also makes sure that the process has a TLS provider.
    ripcord_adapters::Http::new()?;
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| {
            PortError::not_applied(ripcord_ports::ErrorKind::Local, "no HTTP client").caused_by(error)
        })
}

/// Models that a server lists, or those of the registry that it knows. Their names go into the configuration, so anything else than a name is
/// passed over: whoever listens on this machine must not write lines of it.
async fn served(client: &reqwest::Client, url: &str, registered: &[String]) -> Vec<String> {
    let answers = get(client, &format!("{url}/v2")).await.is_some_and(|about| about["name"].is_string());
    if !answers {
        return Vec::new();
    }
    let index = client.post(format!("{url}/v2/repository/index")).json(&serde_json::json!({})).send().await;
    let listed: Option<Value> = match index {
        Ok(answer) if answer.status().is_success() => answer.json().await.ok(),
        _ => None,
    };
    let names = |listed: &Value| -> Vec<String> {
        let models = listed.as_array().map(Vec::as_slice).unwrap_or_default();
        models
            .iter()
            .filter_map(|model| model["name"].as_str())
            .filter(|name| is_name(name))
            .map(str::to_owned)
            .collect()
    };
    if let Some(listed) = listed.as_ref().map(names).filter(|names| !names.is_empty()) {
        return listed;
    }
    let mut known = Vec::new();
    for name in registered {
        if get(client, &format!("{url}/v2/models/{name}")).await.is_some_and(|model| model["name"] == **name)
        {
            known.push(name.clone());
        }
    }
    known
}

async fn get(client: &reqwest::Client, url: &str) -> Option<Value> {
    let answer = client.get(url).send().await.ok().filter(|answer| answer.status().is_success())?;
    answer.json().await.ok()
}

/// Whether a model of that name, and a service named after it, can stand in a configuration.
fn is_name(name: &str) -> bool {
    ServiceName::new(format!("{name}-api")).is_ok()
}

/// Names of the folders in a folder that could be a model's name.
fn folders(path: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let names = entries.take(FILES_MAX).flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| is_name(name));
    names.sort();
    names
}

fn golden(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(folder.join("golden")) else { return Vec::new() };
    let mut sets: Vec<_> = entries
        .take(FILES_MAX)
        .flatten()
        .filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            let name = file.strip_suffix(".jsonl")?.to_owned();
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            plain.then(|| (name, format!("golden/{file}")))
        })
        .collect();
    sets.sort();
    sets
}

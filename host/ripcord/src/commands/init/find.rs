//! Looking around for what there may be to protect: files beside the configuration, servers on the usual ports of this machine, and what a person names.

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
    /// MLflow.
    pub mlflow: String,
}

impl Default for Places {
    /// The usual ports of this machine: MLServer, Triton, KServe's local gateway, Prometheus, MLflow; the last one wherever its own variable says.
    fn default() -> Self {
        let servers = [8080, 8000, 8081, 9000].map(|port| format!("http://127.0.0.1:{port}"));
        let mlflow = std::env::var("MLFLOW_TRACKING_URI").ok().filter(|url| is_address(url));
        Self {
            servers: servers.to_vec(),
            prometheus: "http://127.0.0.1:9090".to_owned(),
            mlflow: mlflow.unwrap_or_else(|| "http://127.0.0.1:5000".to_owned()),
        }
    }
}

/// What a person names instead of having it found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// The model, where a server has several, or none is found.
    pub model: Option<String>,
    /// The model server.
    pub server: Option<String>,
    /// The registry: a folder, or MLflow's address.
    pub registry: Option<String>,
    /// The folder from which the server reads its model.
    pub model_directory: Option<String>,
    /// Prometheus.
    pub prometheus: Option<String>,
    /// A file of golden data.
    pub golden: Option<String>,
    /// The request log.
    pub request_log: Option<String>,
}

/// A model that a server on this machine serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundModel {
    /// The server.
    pub url: String,
    /// The model.
    pub name: String,
    /// Its outputs and their datatypes, as its metadata has them.
    pub outputs: Vec<(String, String)>,
}

/// Where versions are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundRegistry {
    /// A folder of versions.
    Directory(String),
    /// A registered model in MLflow.
    Mlflow {
        /// The server.
        url: String,
        /// The alias that names what is in production, if the model has one that looks so.
        alias: Option<String>,
    },
}

/// What was found. Paths are relative to the folder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// Models on servers that answer.
    pub models: Vec<FoundModel>,
    /// Prometheus.
    pub prometheus: Option<String>,
    /// Alerting rules that Prometheus has.
    pub rules: Vec<String>,
    /// Whether there is an Alertmanager's configuration.
    pub alertmanager: Option<String>,
    /// Where versions are.
    pub registry: Option<FoundRegistry>,
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
        match &self.registry {
            Some(FoundRegistry::Directory(folder)) => text.push(text!("found a registry in {}\n", folder)),
            Some(FoundRegistry::Mlflow { url, alias: Some(alias) }) => {
                text.push(text!(
                    "found the registered model in MLflow at {}, with the alias `{}`\n",
                    url,
                    alias
                ));
            }
            Some(FoundRegistry::Mlflow { url, alias: None }) => {
                text.push(text!("found the registered model in MLflow at {}\n", url));
            }
            None => {}
        }
        let things = [
            ("Prometheus at", &self.prometheus),
            ("an Alertmanager's configuration in", &self.alertmanager),
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

/// Looks around, first where a person says. What cannot be read or does not answer is not there.
pub async fn find(folder: &Path, places: &Places, named: &Named) -> Found {
    let mut found = Found {
        golden: named.golden.as_deref().map_or_else(|| golden(folder), golden_named),
        request_log: named.request_log.clone().or_else(|| {
            let usual = ["requests.jsonl", "logs/requests.jsonl"].into_iter();
            usual.map(str::to_owned).find(|name| folder.join(name).is_file())
        }),
        alertmanager: ["alertmanager.yml", "alertmanager.yaml"]
            .into_iter()
            .map(str::to_owned)
            .find(|name| folder.join(name).is_file()),
        prometheus: named.prometheus.clone(),
        ..Found::default()
    };
    let directory = match named.registry.as_deref() {
        Some(registry) if is_address(registry) => None,
        Some(registry) => Some(registry.to_owned()),
        None => folder.join("registry").is_dir().then(|| "registry".to_owned()),
    };
    let registered = directory.as_ref().map(|root| folders(&folder.join(root))).unwrap_or_default();
    let known: Vec<_> = named.model.iter().chain(&registered).cloned().collect();
    if let Ok(client) = client() {
        let servers = named.server.as_ref().map_or(places.servers.as_slice(), std::slice::from_ref);
        for url in servers {
            found.models.extend(served(&client, url.trim_end_matches('/'), &known).await);
        }
        let prometheus = named.prometheus.as_ref().unwrap_or(&places.prometheus);
        if let Some(rules) = rules(&client, prometheus.trim_end_matches('/')).await {
            found.prometheus = Some(prometheus.clone());
            found.rules = rules;
        }
        if let Some(model) = &named.model {
            found.models.retain(|one| one.name == *model);
        }
        if directory.is_none() {
            let model = named.model.as_ref().or_else(|| found.models.first().map(|model| &model.name));
            let url = named.registry.as_ref().unwrap_or(&places.mlflow);
            if let Some(model) = model {
                found.registry = registered_model(&client, url.trim_end_matches('/'), model).await;
            }
        }
    }
    if let Some(directory) = directory {
        found.registry = Some(FoundRegistry::Directory(directory));
    }
    let model = found.models.first().map(|model| &model.name).or(named.model.as_ref()).or(registered.first());
    found.model_folder = named.model_directory.clone().or_else(|| {
        let usual = model.map(|model| format!("models/{model}"));
        usual.filter(|path| folder.join(path).is_dir())
    });
    found
}

/// Whether it is an address, and one that can stand in a configuration.
pub(super) fn is_address(text: &str) -> bool {
    let harmless = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
    let http = text.starts_with("http://") || text.starts_with("https://");
    http && text.chars().all(harmless) && !text.contains('@') && reqwest::Url::parse(text).is_ok()
}

/// Names of Prometheus' alerting rules; none where it is not there.
async fn rules(client: &reqwest::Client, url: &str) -> Option<Vec<String>> {
    let build = get(client, &format!("{url}/api/v1/status/buildinfo")).await?;
    if build["status"] != "success" {
        return None;
    }
    let answer = get(client, &format!("{url}/api/v1/rules?type=alert")).await.unwrap_or_default();
    let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
    let names = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let mut names: Vec<_> = names.filter_map(|rule| rule["name"].as_str()).map(str::to_owned).collect();
    // They go into a comment of the configuration.
    names.retain(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_ .:".contains(c)));
    names.truncate(FILES_MAX);
    Some(names)
}

/// The model in MLflow's registry; none where it is not there.
async fn registered_model(client: &reqwest::Client, url: &str, model: &str) -> Option<FoundRegistry> {
    let query = format!("{url}/api/2.0/mlflow/registered-models/get?name={model}");
    let answer = get(client, &query).await?;
    let registered = &answer["registered_model"];
    if registered["name"] != model {
        return None;
    }
    let aliases = registered["aliases"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has = |wanted: &&str| aliases.iter().any(|one| one["alias"] == **wanted);
    let alias = ["champion", "production", "prod", "live"].into_iter().find(has).map(str::to_owned);
    Some(FoundRegistry::Mlflow { url: url.to_owned(), alias })
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
async fn served(client: &reqwest::Client, url: &str, known: &[String]) -> Vec<FoundModel> {
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
    let listed = listed.as_ref().map(names).unwrap_or_default();
    let mut models = Vec::new();
    for name in if listed.is_empty() { known } else { &listed } {
        let about = get(client, &format!("{url}/v2/models/{name}")).await;
        let about = about.filter(|about| about["name"] == **name);
        if about.is_none() && listed.is_empty() {
            continue;
        }
        models.push(FoundModel { url: url.to_owned(), name: name.clone(), outputs: outputs(about.as_ref()) });
    }
    models
}

/// Names and datatypes of a model's outputs; those that cannot stand in a configuration are passed over.
fn outputs(about: Option<&Value>) -> Vec<(String, String)> {
    let outputs = about.and_then(|about| about["outputs"].as_array()).map(Vec::as_slice).unwrap_or_default();
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b))
    };
    let output = |output: &Value| {
        let (name, datatype) = (output["name"].as_str()?, output["datatype"].as_str()?);
        (plain(name) && plain(datatype)).then(|| (name.to_owned(), datatype.to_owned()))
    };
    outputs.iter().filter_map(output).collect()
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

/// A file that a person names, under its own name.
fn golden_named(path: &str) -> Vec<(String, String)> {
    let stem =
        Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = if is_plain(&stem) { stem } else { "golden".to_owned() };
    vec![(name, path.to_owned())]
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn golden(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(folder.join("golden")) else { return Vec::new() };
    let mut sets: Vec<_> = entries
        .take(FILES_MAX)
        .flatten()
        .filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            let name = file.strip_suffix(".jsonl")?.to_owned();
            is_plain(&name).then(|| (name, format!("golden/{file}")))
        })
        .collect();
    sets.sort();
    sets
}

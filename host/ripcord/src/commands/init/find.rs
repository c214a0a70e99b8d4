//! Looking around for what there may be to protect: files beside the configuration, servers on the usual ports of this machine, and what a person names.

use std::path::Path;

use ripcord_adapters::endpoint_open_inference::sight as model_servers;
use ripcord_adapters::metrics_prometheus::sight as prometheus;
use ripcord_adapters::registry_mlflow::sight as mlflow;
use ripcord_adapters::{
    Http, alerts_alertmanager, deployer_open_inference, golden_jsonl, registry_directory, request_log_jsonl,
};
use ripcord_core::name::ServiceName;

use crate::output::{Text, text};

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
    /// The usual ports of this machine, and MLflow wherever its own variable says.
    fn default() -> Self {
        let named = std::env::var(mlflow::URL_VARIABLE).ok().filter(|url| is_address(url));
        Self {
            servers: model_servers::USUAL_URLS.map(str::to_owned).to_vec(),
            prometheus: prometheus::USUAL_URL.to_owned(),
            mlflow: named.unwrap_or_else(|| mlflow::USUAL_URL.to_owned()),
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
        request_log: named
            .request_log
            .clone()
            .or_else(|| first_file(folder, &request_log_jsonl::USUAL_FILES)),
        alertmanager: first_file(folder, &alerts_alertmanager::USUAL_FILES),
        prometheus: named.prometheus.clone(),
        ..Found::default()
    };
    let directory = match named.registry.as_deref() {
        Some(registry) if is_address(registry) => None,
        Some(registry) => Some(registry.to_owned()),
        None => {
            let usual = registry_directory::USUAL_FOLDER;
            folder.join(usual).is_dir().then(|| usual.to_owned())
        }
    };
    let registered = directory.as_ref().map(|root| folders(&folder.join(root))).unwrap_or_default();
    let known: Vec<_> = named.model.iter().chain(&registered).cloned().collect();
    if let Ok(http) = Http::new() {
        let servers = named.server.as_ref().map_or(places.servers.as_slice(), std::slice::from_ref);
        for url in servers {
            let url = url.trim_end_matches('/');
            // Their names go into the configuration: whoever listens on this machine must not write lines of it.
            let served = model_servers::served(&http, url, &known, is_name).await;
            let model = |of: model_servers::Served| FoundModel {
                url: url.to_owned(),
                name: of.name,
                outputs: of.outputs,
            };
            found.models.extend(served.into_iter().map(model));
        }
        let url = named.prometheus.as_ref().unwrap_or(&places.prometheus);
        if let Some(rules) = prometheus::alerting_rules(&http, url.trim_end_matches('/')).await {
            found.prometheus = Some(url.clone());
            found.rules = rules;
        }
        if let Some(model) = &named.model {
            found.models.retain(|one| one.name == *model);
        }
        if directory.is_none() {
            let model = named.model.as_ref().or_else(|| found.models.first().map(|model| &model.name));
            let url = named.registry.as_ref().unwrap_or(&places.mlflow);
            if let Some(model) = model {
                let url = url.trim_end_matches('/');
                let registered = mlflow::registered(&http, url, model).await;
                found.registry =
                    registered.map(|found| FoundRegistry::Mlflow { url: url.to_owned(), alias: found.alias });
            }
        }
    }
    if let Some(directory) = directory {
        found.registry = Some(FoundRegistry::Directory(directory));
    }
    let model = found.models.first().map(|model| &model.name).or(named.model.as_ref()).or(registered.first());
    found.model_folder = named.model_directory.clone().or_else(|| {
        let usual = model.map(|model| format!("{}/{model}", deployer_open_inference::USUAL_FOLDER));
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

/// Whether a model of that name, and a service named after it, can stand in a configuration.
fn is_name(name: &str) -> bool {
    ServiceName::new(format!("{name}-api")).is_ok()
}

fn first_file(folder: &Path, names: &[&str]) -> Option<String> {
    names.iter().find(|name| folder.join(name).is_file()).map(|name| (*name).to_owned())
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
    let (usual, ending) = golden_jsonl::USUAL_FILES;
    let Ok(entries) = std::fs::read_dir(folder.join(usual)) else { return Vec::new() };
    let mut sets: Vec<_> = entries
        .take(FILES_MAX)
        .flatten()
        .filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            let name = file.strip_suffix(ending)?.to_owned();
            is_plain(&name).then(|| (name, format!("{usual}/{file}")))
        })
        .collect();
    sets.sort();
    sets
}

//! Tables that configure adapters: `kind` says which one, the other keys are the adapter's own.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ripcord_adapters::CommandSurroundings;
use ripcord_adapters::deployer_command::CommandDeployerConfig;
use ripcord_adapters::deployer_open_inference::OpenInferenceDeployerConfig;
use ripcord_adapters::endpoint_open_inference::OpenInferenceEndpointConfig;
use ripcord_adapters::metrics_prometheus::PrometheusConfig;
use ripcord_adapters::metrics_scrape::ScrapeConfig;
use ripcord_adapters::notifier_webhook::WebhookNotifierConfig;
use ripcord_adapters::registry_command::CommandRegistryConfig;
use ripcord_adapters::registry_directory::DirectoryRegistryConfig;
use ripcord_adapters::registry_mlflow::MlflowRegistryConfig;
use ripcord_adapters::request_log_jsonl::JsonLinesLogConfig;
use serde::de::DeserializeOwned;
use toml::Spanned;

use super::place::Mistakes;
use super::say;
use super::secret::SecretRef;
use super::table::Node;

/// One adapter's configuration, its place and its secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter<C> {
    /// Of its table.
    pub span: Range<usize>,
    /// Its own keys.
    pub config: C,
    /// Sent as `Authorization: Bearer`; the password where the adapter has a user.
    pub token: Option<SecretRef>,
}

/// Where versions are kept.
#[derive(Debug, Clone, PartialEq)]
pub enum RegistryConfig {
    /// A folder per version.
    Directory(Adapter<DirectoryRegistryConfig>),
    /// A registered model of MLflow.
    Mlflow(Adapter<MlflowRegistryConfig>),
    /// A team's own program.
    Command(Adapter<CommandRegistryConfig>),
}

/// What serves a service.
#[derive(Debug, Clone, PartialEq)]
pub enum DeployerConfig {
    /// A server of the Open Inference Protocol that reads models from a folder.
    OpenInference(Adapter<OpenInferenceDeployerConfig>),
    /// A team's own program.
    Command(Adapter<CommandDeployerConfig>),
}

/// Where a service answers.
#[derive(Debug, Clone, PartialEq)]
pub enum EndpointConfig {
    /// The Open Inference Protocol.
    OpenInference(Adapter<OpenInferenceEndpointConfig>),
}

/// What a service was asked and answered.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestLogConfig {
    /// A file of JSON lines.
    Jsonl(Adapter<JsonLinesLogConfig>),
}

/// A metrics source.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsConfig {
    /// The name that services and policies use.
    pub name: String,
    /// Of the name.
    pub span: Range<usize>,
    /// Which adapter.
    pub adapter: MetricsAdapter,
}

/// Which metrics adapter.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricsAdapter {
    /// Prometheus' HTTP API.
    Prometheus(Adapter<PrometheusConfig>),
    /// A page of metrics, read every so often.
    Scrape(Adapter<ScrapeConfig>),
}

/// Who tells people.
#[derive(Debug, Clone, PartialEq)]
pub struct NotifierConfig {
    /// Its name.
    pub name: String,
    /// Of the name.
    pub span: Range<usize>,
    /// The webhook.
    pub webhook: Adapter<WebhookNotifierConfig>,
}

/// Takes `kind` out; one of `kinds`.
pub(super) fn take_kind(
    node: &mut Node<'_>,
    kinds: &[&'static str],
    mistakes: &mut Mistakes,
) -> Option<&'static str> {
    let (span, name) = (node.span.clone(), node.name.clone());
    let listed = kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(" or ");
    if !node.has("kind") {
        node.know(&["kind"]);
        mistakes.add(span, format!("`kind` is missing in {name}"), format!("add `kind = …`: {listed}"));
        return None;
    }
    let kind = node.take_value::<String>("kind", mistakes)?;
    let found = kinds.iter().copied().find(|known| known == kind.get_ref());
    if found.is_none() {
        let help = say::suggestion(kind.get_ref(), "there are", kinds.iter().copied());
        mistakes.add(kind.span(), format!("there is no kind `{}` in {name}", kind.get_ref()), help);
    }
    found
}

impl<C: DeserializeOwned> Adapter<C> {
    pub(super) fn read(
        mut node: Node<'_>,
        secret: Option<&str>,
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let token = secret.and_then(|name| SecretRef::take(&mut node, name, base, mistakes));
        let span = node.span.clone();
        Some(Self { config: node.read(mistakes)?, span, token })
    }

    pub(super) fn then(mut self, change: impl FnOnce(&mut C)) -> Self {
        change(&mut self.config);
        self
    }
}

/// Makes a path start from the configuration's folder.
pub(super) fn rebase(path: &mut PathBuf, base: &Path) {
    *path = base.join(&path);
}

/// Programs that are named by a path are found, and run, beside the configuration.
pub(super) fn run_beside<const N: usize>(
    base: &Path,
    programs: [Option<&mut Vec<String>>; N],
    surroundings: &mut CommandSurroundings,
) {
    for program in programs.into_iter().flatten().filter_map(|vector| vector.first_mut()) {
        if program.contains('/') {
            let below = program.strip_prefix("./").unwrap_or(program);
            *program = base.join(below).display().to_string();
        }
    }
    surroundings.folder = Some(base.join(surroundings.folder.take().unwrap_or_default()));
}

fn take_required<'t>(
    node: &mut Node<'t>,
    key: &str,
    example: &str,
    mistakes: &mut Mistakes,
) -> Option<Node<'t>> {
    if !node.has(key) {
        node.know(&[key]);
        let message = format!("`{key}` is missing in {}", node.name);
        mistakes.add(node.span.clone(), message, format!("add `{example}`"));
        return None;
    }
    node.take_table(key, mistakes)
}

pub(crate) fn take_registry(
    service: &mut Node<'_>,
    base: &Path,
    model: &str,
    mistakes: &mut Mistakes,
) -> Option<RegistryConfig> {
    let example = "registry = { kind = \"directory\", root = \"…\" }";
    let mut node = take_required(service, "registry", example, mistakes)?;
    match take_kind(&mut node, &["directory", "mlflow", "command"], mistakes)? {
        "mlflow" => {
            node.set_default("model", model);
            let secret = if node.has("user") { "password" } else { "token" };
            Some(RegistryConfig::Mlflow(Adapter::read(node, Some(secret), base, mistakes)?))
        }
        "directory" => {
            node.set_default("model", model);
            let adapter = Adapter::<DirectoryRegistryConfig>::read(node, None, base, mistakes)?;
            Some(RegistryConfig::Directory(adapter.then(|config| rebase(&mut config.root, base))))
        }
        _ => {
            let adapter = Adapter::<CommandRegistryConfig>::read(node, None, base, mistakes)?;
            Some(RegistryConfig::Command(adapter.then(|config| {
                let CommandRegistryConfig { list, fetch, manifest, mark, surroundings } = config;
                let programs = [Some(list), Some(fetch), manifest.as_mut(), mark.as_mut()];
                run_beside(base, programs, surroundings);
            })))
        }
    }
}

pub(crate) fn take_deployer(
    service: &mut Node<'_>,
    base: &Path,
    model: &str,
    mistakes: &mut Mistakes,
) -> Option<DeployerConfig> {
    let example = "deployer = { kind = \"open-inference\", url = \"…\", model-directory = \"…\" }";
    let mut node = take_required(service, "deployer", example, mistakes)?;
    match take_kind(&mut node, &["open-inference", "command"], mistakes)? {
        "open-inference" => {
            node.set_default("model", model);
            let adapter = Adapter::<OpenInferenceDeployerConfig>::read(node, Some("token"), base, mistakes)?;
            Some(DeployerConfig::OpenInference(adapter.then(|config| {
                rebase(&mut config.model_directory, base);
                if let Some(file) = &mut config.probe_input_file {
                    rebase(file, base);
                }
            })))
        }
        _ => {
            let adapter = Adapter::<CommandDeployerConfig>::read(node, None, base, mistakes)?;
            Some(DeployerConfig::Command(adapter.then(|config| {
                let CommandDeployerConfig { shift, live, probe, surroundings, .. } = config;
                run_beside(base, [Some(shift), live.as_mut(), probe.as_mut()], surroundings);
            })))
        }
    }
}

/// An endpoint of its own, or the deployer's server where that answers too.
pub(crate) fn take_endpoint(
    service: &mut Node<'_>,
    base: &Path,
    deployer: Option<&DeployerConfig>,
    mistakes: &mut Mistakes,
) -> Option<EndpointConfig> {
    let served = match deployer {
        Some(DeployerConfig::OpenInference(adapter)) => Some(adapter),
        _ => None,
    };
    if !service.has("endpoint") {
        service.know(&["endpoint"]);
        return served.map(|adapter| {
            let config = OpenInferenceEndpointConfig {
                url: adapter.config.url.clone(),
                model: adapter.config.model.clone(),
                output: None,
                deadline_ms: adapter.config.deadline_ms,
            };
            EndpointConfig::OpenInference(Adapter {
                span: adapter.span.clone(),
                config,
                token: adapter.token.clone(),
            })
        });
    }
    let mut node = service.take_table("endpoint", mistakes)?;
    let own_server = node.has("url");
    if let Some(adapter) = served {
        node.set_default("kind", "open-inference");
        node.set_default("url", &adapter.config.url);
        node.set_default("model", &adapter.config.model);
    }
    take_kind(&mut node, &["open-inference"], mistakes)?;
    let mut adapter = Adapter::<OpenInferenceEndpointConfig>::read(node, Some("token"), base, mistakes)?;
    // A token is for the server that it was configured for.
    if let Some(served) = served.filter(|_| !own_server) {
        adapter.token = adapter.token.or_else(|| served.token.clone());
    }
    Some(EndpointConfig::OpenInference(adapter))
}

pub(crate) fn take_request_log(
    service: &mut Node<'_>,
    base: &Path,
    mistakes: &mut Mistakes,
) -> Option<RequestLogConfig> {
    let mut node = service.take_table("request-log", mistakes)?;
    take_kind(&mut node, &["jsonl"], mistakes)?;
    // The adapter wants folder and file apart; people write one path.
    if !node.has("folder")
        && let Some(file) = node.take_value::<PathBuf>("file", mistakes)
    {
        let (folder, name) = (file.get_ref().parent(), file.get_ref().file_name());
        node.set_default("folder", &folder.map(|folder| folder.display().to_string()).unwrap_or_default());
        node.set_default("file", &name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
    }
    let adapter = Adapter::<JsonLinesLogConfig>::read(node, None, base, mistakes)?;
    Some(RequestLogConfig::Jsonl(adapter.then(|config| rebase(&mut config.folder, base))))
}

impl MetricsConfig {
    pub(crate) fn read(
        name: Spanned<String>,
        mut node: Node<'_>,
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let adapter = match take_kind(&mut node, &["prometheus", "scrape"], mistakes)? {
            "prometheus" => {
                let secret = if node.has("user") { "password" } else { "token" };
                MetricsAdapter::Prometheus(Adapter::read(node, Some(secret), base, mistakes)?)
            }
            _ => MetricsAdapter::Scrape(Adapter::read(node, Some("token"), base, mistakes)?),
        };
        Some(Self { span: name.span(), name: name.into_inner(), adapter })
    }
}

impl NotifierConfig {
    pub(crate) fn read(
        name: Spanned<String>,
        mut node: Node<'_>,
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        take_kind(&mut node, &["webhook"], mistakes)?;
        let webhook = Adapter::read(node, Some("token"), base, mistakes)?;
        Some(Self { span: name.span(), name: name.into_inner(), webhook })
    }
}

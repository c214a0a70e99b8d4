//! Adapters: what a service is connected to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ripcord_adapters::Shared;
use ripcord_adapters::deployer_command::{CommandDeployer, CommandDeployerConfig};
use ripcord_adapters::deployer_open_inference::OpenInferenceDeployer;
use ripcord_adapters::endpoint_open_inference::OpenInferenceEndpoint;
use ripcord_adapters::golden_jsonl::{JsonLinesGolden, JsonLinesGoldenConfig};
use ripcord_adapters::metrics_prometheus::PrometheusMetrics;
use ripcord_adapters::metrics_scrape::{ScrapedMetrics, Scraping};
use ripcord_adapters::notifier_log::LogNotifier;
use ripcord_adapters::notifier_webhook::WebhookNotifier;
use ripcord_adapters::registry_command::CommandRegistry;
use ripcord_adapters::registry_directory::DirectoryRegistry;
use ripcord_adapters::registry_mlflow::MlflowRegistry;
use ripcord_adapters::request_log_jsonl::JsonLinesLog;
use ripcord_adapters::restorer_file::FileRestorer;
use ripcord_adapters::restorer_git::{GitRestorer, GitRestorerConfig};
use ripcord_adapters::restorer_http::HttpRestorer;
use ripcord_adapters::restorer_mlflow_prompt::MlflowPromptRestorer;
use ripcord_adapters::restoring::RestorerSecrets;
use ripcord_core::digest::Digest;
use ripcord_core::facet::Facet;
use ripcord_core::live::Proof;
use ripcord_core::signal::Label;
use ripcord_core::terms::FacetTerms;
use ripcord_engine::ServicePorts;
use ripcord_ports::{
    Deployer, Endpoint, GoldenData, Metrics, Notifier, PortError, Registry, RequestLog, Restorer,
};

use super::doors::optional;
use crate::config::adapters::{
    DeployerConfig, EndpointConfig, MetricsAdapter, RegistryConfig, RequestLogConfig,
};
use crate::config::restorers::{RestorerConfig, RestorerKind};
use crate::config::{Config, Mistakes, ServiceConfig};

/// A larger golden data set would take an incident's time.
const GOLDEN_BYTES_MAX: u64 = 64 << 20;

/// Metrics sources by name, and what keeps their pages fresh.
#[derive(Default)]
pub struct MetricsSources {
    /// By name.
    pub sources: BTreeMap<String, Arc<dyn Metrics>>,
    /// Pages that are read every so often.
    pub scraped: Vec<ScrapedMetrics>,
}

impl std::fmt::Debug for MetricsSources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsSources").field("sources", &self.sources.keys()).finish_non_exhaustive()
    }
}

impl MetricsSources {
    /// Starts reading pages; it ends when the result is dropped.
    pub fn start(&self) -> Vec<Scraping> {
        self.scraped.iter().map(ScrapedMetrics::start).collect()
    }
}

/// All metrics sources.
pub fn metrics(config: &Config, shared: &Shared, mistakes: &mut Mistakes) -> MetricsSources {
    let mut all = MetricsSources::default();
    for (name, metrics) in &config.metrics {
        let source: Option<Arc<dyn Metrics>> = match &metrics.adapter {
            MetricsAdapter::Prometheus(adapter) => {
                let token = optional(adapter.token.as_ref(), mistakes);
                let made = PrometheusMetrics::new(adapter.config.clone(), token, shared);
                mistakes.ok(&adapter.span, made, "").map(|source| Arc::new(source) as _)
            }
            MetricsAdapter::Scrape(adapter) => {
                let token = optional(adapter.token.as_ref(), mistakes);
                let made = ScrapedMetrics::new(adapter.config.clone(), token, shared);
                mistakes.ok(&adapter.span, made, "").map(|source| {
                    all.scraped.push(source.clone());
                    Arc::new(source) as _
                })
            }
        };
        if let Some(source) = source {
            all.sources.insert(name.clone(), source);
        }
    }
    all
}

/// The log, and every configured notifier.
pub fn notifiers(config: &Config, shared: &Shared, mistakes: &mut Mistakes) -> Vec<Arc<dyn Notifier>> {
    let mut all: Vec<Arc<dyn Notifier>> = vec![Arc::new(LogNotifier::new("log"))];
    for notifier in &config.notifiers {
        let token = optional(notifier.webhook.token.as_ref(), mistakes);
        let made =
            WebhookNotifier::new(notifier.name.clone(), notifier.webhook.config.clone(), token, shared);
        if let Some(made) = mistakes.ok(&notifier.webhook.span, made, "") {
            all.push(Arc::new(made));
        }
    }
    all
}

/// What a service is connected to. `data` is the host's own folder; nothing is made in it here.
pub fn ports(
    service: &ServiceConfig,
    data: &Path,
    metrics: &MetricsSources,
    shared: &Shared,
    mistakes: &mut Mistakes,
) -> Option<ServicePorts> {
    let registry = registry(service, shared, mistakes);
    let deployer = deployer(service, data, shared, mistakes);
    let restorers = service.restorers.iter();
    let restorers =
        restorers.filter_map(|config| restorer(service, config, data, shared, mistakes)).collect();
    let endpoint = service.endpoint.as_ref().and_then(|endpoint| {
        let EndpointConfig::OpenInference(adapter) = endpoint;
        let token = optional(adapter.token.as_ref(), mistakes);
        let made = OpenInferenceEndpoint::new(adapter.config.clone(), token, shared);
        mistakes.ok(&adapter.span, made, "").map(|endpoint| Arc::new(endpoint) as Arc<dyn Endpoint>)
    });
    let requests = service.request_log.as_ref().and_then(|log| {
        let RequestLogConfig::Jsonl(adapter) = log;
        let made = JsonLinesLog::new(adapter.config.clone());
        mistakes.ok(&adapter.span, made, "").map(|log| Arc::new(log) as Arc<dyn RequestLog>)
    });
    let golden: BTreeMap<_, _> =
        service.golden.iter().map(|(name, path)| (name.clone(), path.get_ref().clone())).collect();
    let golden = if golden.is_empty() {
        None
    } else {
        let made =
            JsonLinesGolden::new(JsonLinesGoldenConfig { datasets: golden, bytes_max: GOLDEN_BYTES_MAX });
        mistakes.ok(&service.span, made, "").map(|golden| Arc::new(golden) as Arc<dyn GoldenData>)
    };
    let mine = service.metrics.iter().filter_map(|name| {
        let name = name.get_ref();
        Some((name.clone(), metrics.sources.get(name)?.clone()))
    });
    Some(ServicePorts {
        registry: registry?,
        deployer: deployer?,
        restorers,
        endpoint,
        golden,
        requests,
        metrics: mine.collect(),
        default_metrics: service.metrics.first().map(|name| name.get_ref().clone()),
    })
}

fn registry(service: &ServiceConfig, shared: &Shared, mistakes: &mut Mistakes) -> Option<Arc<dyn Registry>> {
    match &service.registry {
        RegistryConfig::Directory(adapter) => {
            let made = DirectoryRegistry::new(adapter.config.clone());
            mistakes.ok(&adapter.span, made, "").map(|registry| Arc::new(registry) as _)
        }
        RegistryConfig::Mlflow(adapter) => {
            let secret = optional(adapter.token.as_ref(), mistakes);
            let made = MlflowRegistry::new(adapter.config.clone(), secret, shared);
            mistakes.ok(&adapter.span, made, "").map(|registry| Arc::new(registry) as _)
        }
        RegistryConfig::Command(adapter) => {
            let made = CommandRegistry::new(adapter.config.clone());
            mistakes.ok(&adapter.span, made, "").map(|registry| Arc::new(registry) as _)
        }
    }
}

fn deployer(
    service: &ServiceConfig,
    data: &Path,
    shared: &Shared,
    mistakes: &mut Mistakes,
) -> Option<Arc<dyn Deployer>> {
    match &service.deployer {
        DeployerConfig::OpenInference(adapter) => {
            let token = optional(adapter.token.as_ref(), mistakes);
            let made = OpenInferenceDeployer::new(adapter.config.clone(), token, shared);
            mistakes.ok(&adapter.span, made, "").map(|deployer| Arc::new(deployer) as _)
        }
        DeployerConfig::Command(adapter) => {
            let config = CommandDeployerConfig { runs: Some(data.join("runs")), ..adapter.config.clone() };
            let made = CommandDeployer::new(config, shared);
            mistakes.ok(&adapter.span, made, "").map(|deployer| Arc::new(deployer) as _)
        }
    }
}

fn restorer(
    service: &ServiceConfig,
    config: &RestorerConfig,
    data: &Path,
    shared: &Shared,
    mistakes: &mut Mistakes,
) -> Option<(Facet, Arc<dyn Restorer>)> {
    let token = match &config.kind {
        RestorerKind::File(adapter) => &adapter.token,
        RestorerKind::Http(adapter) => &adapter.token,
        RestorerKind::Git(adapter) => &adapter.token,
        RestorerKind::MlflowPrompt(adapter) => &adapter.token,
    };
    let secrets = RestorerSecrets {
        store: optional(token.as_ref(), mistakes),
        service: optional(config.service_token.as_ref(), mistakes),
    };
    let made: Result<Arc<dyn Restorer>, PortError> = match &config.kind {
        RestorerKind::File(adapter) => {
            FileRestorer::new(adapter.config.clone(), secrets, shared).map(|made| Arc::new(made) as _)
        }
        RestorerKind::Http(adapter) => {
            HttpRestorer::new(adapter.config.clone(), secrets, shared).map(|made| Arc::new(made) as _)
        }
        RestorerKind::Git(adapter) => {
            let copy = data.join("git").join(service.name.as_str());
            let copy = match &config.facet {
                Facet::Configuration(name) => copy.join("configurations").join(name.as_str()),
                facet => copy.join(facet.to_string()),
            };
            let config = GitRestorerConfig { data: copy, ..adapter.config.clone() };
            GitRestorer::new(config, secrets, shared).map(|made| Arc::new(made) as _)
        }
        RestorerKind::MlflowPrompt(adapter) => {
            MlflowPromptRestorer::new(adapter.config.clone(), secrets, shared).map(|made| Arc::new(made) as _)
        }
    };
    mistakes.ok(&config.span, made, "").map(|restorer| (config.facet.clone(), restorer))
}

/// What puts the other facets back, as transitions depend on it.
pub(crate) fn facet_terms(service: &ServiceConfig, ports: &ServicePorts) -> Vec<FacetTerms> {
    let each = service.restorers.iter().filter_map(|config| {
        let class = ports.restorers.get(&config.facet)?.class();
        Some(FacetTerms { facet: config.facet.clone(), class, proof_min: config.proof_min() })
    });
    each.collect()
}

/// The weakest proof that settles a rollback where none is configured: the strongest that the deployer always gives.
pub(crate) fn proof_min(service: &ServiceConfig) -> Proof {
    match (&service.proof_min, &service.deployer) {
        (Some(proof), _) => *proof.get_ref(),
        (None, DeployerConfig::OpenInference(adapter)) => {
            let asks = adapter.config.probe_input.is_some() || adapter.config.probe_input_file.is_some();
            if asks { Proof::Answer } else { Proof::ControlPlane }
        }
        (None, DeployerConfig::Command(adapter)) => adapter.config.proof,
    }
}

/// What a plan's steps say for people: which adapter, where, which model.
pub(crate) fn step_arguments(service: &ServiceConfig, ports: &ServicePorts) -> Vec<Label> {
    let mut arguments = vec![
        Label::new("deployer", ports.deployer.name()),
        Label::new("registry", ports.registry.name()),
        Label::new("model", service.facts.model.clone()),
    ];
    if let DeployerConfig::OpenInference(adapter) = &service.deployer {
        arguments.push(Label::new("address", adapter.config.url.clone()));
        arguments.push(Label::new("model-directory", adapter.config.model_directory.display().to_string()));
    }
    if let DeployerConfig::Command(adapter) = &service.deployer {
        arguments.push(Label::new("shift", adapter.config.shift.join(" ")));
    }
    if let RegistryConfig::Directory(adapter) = &service.registry {
        arguments.push(Label::new("registry-folder", adapter.config.root.display().to_string()));
    }
    if let RegistryConfig::Mlflow(adapter) = &service.registry {
        arguments.push(Label::new("registry-address", adapter.config.url.clone()));
        arguments.extend(adapter.config.alias.iter().map(|alias| Label::new("alias", alias.clone())));
    }
    arguments.sort();
    arguments
}

/// What all steps of a service's plans are carried out with: its deployer, its registry, and what puts its other facets back.
pub(crate) fn all_arguments(arguments: &[Label], ports: &ServicePorts) -> Vec<Label> {
    let mut all = arguments.to_vec();
    for (facet, restorer) in &ports.restorers {
        let name = |name: &str| format!("{facet}: {name}");
        all.push(Label::new(name("restorer"), restorer.name()));
        let own = restorer.arguments().into_iter();
        all.extend(own.map(|label| Label { name: name(&label.name), value: label.value }));
    }
    all
}

/// See [`ripcord_core::terms::Terms::equipment`].
pub(crate) fn equipment(arguments: &[Label]) -> Digest {
    let parts: Vec<&[u8]> =
        arguments.iter().flat_map(|label| [label.name.as_bytes(), label.value.as_bytes()]).collect();
    Digest::tagged("ripcord equipment 1", &parts)
}

//! Adapters: what a service is connected to. Which they are says the catalogue.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ripcord_adapters::Shared;
use ripcord_adapters::adapter::{Making, Port, StartScraping};
use ripcord_adapters::metrics_scrape::Scraping;
use ripcord_adapters::notifier_log::LogNotifier;
use ripcord_core::digest::Digest;
use ripcord_core::facet::Facet;
use ripcord_core::live::Proof;
use ripcord_core::signal::Label;
use ripcord_core::terms::{FacetTerms, ProducerTerms};
use ripcord_engine::ServicePorts;
use ripcord_ports::{AlertSource, Endpoint, GoldenData, Metrics, Notifier, Producer, Restorer};

use super::Keep;
use super::doors::optional;
use crate::config::restorers::RestorerConfig;
use crate::config::{AdapterConfig, Config, Mistakes, ServiceConfig, SourceConfig};

/// Metrics sources by name, and what keeps their pages fresh.
#[derive(Default)]
pub struct MetricsSources {
    /// By name.
    pub sources: BTreeMap<String, Arc<dyn Metrics>>,
    /// What has to be started for them.
    background: Vec<StartScraping>,
}

impl std::fmt::Debug for MetricsSources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsSources").field("sources", &self.sources.keys()).finish_non_exhaustive()
    }
}

impl MetricsSources {
    /// Starts reading pages; it ends when the result is dropped.
    pub fn start(&self) -> Vec<Scraping> {
        self.background.iter().map(|start| start()).collect()
    }
}

/// What every adapter is made with, and where mistakes are noted.
pub(crate) struct Maker<'a> {
    /// What adapters have in common.
    pub(crate) shared: &'a Shared,
    /// The host's own folder; nothing is made in it here.
    pub(crate) data: &'a Path,
    /// As they are found.
    pub(crate) mistakes: &'a mut Mistakes,
}

impl Maker<'_> {
    /// Makes an adapter for the part `place` of the configuration.
    fn make<P: Port + ?Sized>(
        &mut self,
        config: &AdapterConfig<P>,
        place: impl Into<PathBuf>,
        with: P::With,
    ) -> Option<P::Made> {
        let secret = optional(config.secret.as_ref(), self.mistakes);
        let making = Making { shared: self.shared, secret, data: self.data, place: place.into(), with };
        self.mistakes.ok(&config.span, config.settings.make(making), "")
    }

    /// All metrics sources.
    pub(crate) fn metrics(&mut self, config: &Config) -> MetricsSources {
        let mut all = MetricsSources::default();
        for (name, metrics) in &config.metrics {
            let Some(made) = self.make(&metrics.adapter, name, ()) else { continue };
            all.sources.insert(name.clone(), made.source);
            all.background.extend(made.background);
        }
        all
    }

    /// The log, and every configured notifier.
    pub(crate) fn notifiers(&mut self, config: &Config) -> Vec<Arc<dyn Notifier>> {
        let mut all: Vec<Arc<dyn Notifier>> = vec![Arc::new(LogNotifier::new("log"))];
        all.extend(config.notifiers.iter().filter_map(|one| self.make(&one.adapter, &one.name, ())));
        all
    }

    /// What a source's webhooks look like.
    pub(crate) fn alert_source(&mut self, source: &SourceConfig) -> Option<Arc<dyn AlertSource>> {
        self.make(&source.adapter, source.name.as_str(), ())
    }

    /// What a service is connected to.
    ///
    /// What `keep` makes of the registry is what everything is given, the producer as well: what that registers is kept at hand.
    pub(crate) fn ports(
        &mut self,
        service: &ServiceConfig,
        metrics: &MetricsSources,
        keep: &Keep,
    ) -> Option<ServicePorts> {
        let place = |part: &str| Path::new(service.name.as_str()).join(part);
        let registry = self.make(&service.registry, place("registry"), ());
        let registry = registry.map(|registry| keep(&service.name, registry));
        let deployer = self.make(&service.deployer, place("deployer"), ());
        let restorers = service.restorers.iter().filter_map(|config| self.restorer(service, config));
        let restorers = restorers.collect();
        let producer = service.producer.as_ref().zip(registry.clone());
        let producer =
            producer.and_then(|(config, registry)| self.make(&config.adapter, place("producer"), registry));
        let checkpoints = service.checkpoints.as_ref();
        let checkpoints = checkpoints.and_then(|config| self.make(config, place("checkpoints"), ()));
        let endpoint = self.endpoint(service);
        let requests = service.request_log.as_ref();
        let requests = requests.and_then(|config| self.make(config, place("request-log"), ()));
        let golden = self.golden(service);
        let mine = service.metrics.iter().filter_map(|name| {
            let name = name.get_ref();
            Some((name.clone(), metrics.sources.get(name)?.clone()))
        });
        Some(ServicePorts {
            registry: registry?,
            deployer: deployer?,
            restorers,
            producer,
            checkpoints,
            endpoint,
            golden,
            requests,
            metrics: mine.collect(),
            default_metrics: service.metrics.first().map(|name| name.get_ref().clone()),
        })
    }

    /// Where a service answers, if that is configured.
    pub(crate) fn endpoint(&mut self, service: &ServiceConfig) -> Option<Arc<dyn Endpoint>> {
        let place = Path::new(service.name.as_str()).join("endpoint");
        service.endpoint.as_ref().and_then(|config| self.make(config, place, ()))
    }

    /// Its golden data sets, if there are any.
    pub(crate) fn golden(&mut self, service: &ServiceConfig) -> Option<Arc<dyn GoldenData>> {
        let place = Path::new(service.name.as_str()).join("golden");
        service.golden.as_ref().and_then(|config| self.make(config, place, ()))
    }

    fn restorer(
        &mut self,
        service: &ServiceConfig,
        config: &RestorerConfig,
    ) -> Option<(Facet, Arc<dyn Restorer>)> {
        let place = Path::new(service.name.as_str());
        let place = match &config.facet {
            Facet::Configuration(name) => place.join("configurations").join(name.as_str()),
            facet => place.join(facet.to_string()),
        };
        let service_secret = optional(config.service_token.as_ref(), self.mistakes);
        let made = self.make(&config.adapter, place, service_secret)?;
        Some((config.facet.clone(), made))
    }
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
    service
        .proof_min
        .as_ref()
        .map_or_else(|| service.deployer.settings.says().proof, |proof| *proof.get_ref())
}

/// What a plan's steps say for people: which adapter, where, which model.
pub(crate) fn step_arguments(service: &ServiceConfig, ports: &ServicePorts) -> Vec<Label> {
    let mut arguments = vec![
        Label::new("deployer", ports.deployer.name()),
        Label::new("registry", ports.registry.name()),
        Label::new("model", service.facts.model.clone()),
    ];
    arguments.extend(service.deployer.settings.says().arguments);
    arguments.extend(service.registry.settings.says());
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
    if let Some(producer) = &ports.producer {
        all.extend(producer_arguments(producer.as_ref()));
    }
    all
}

fn producer_arguments(producer: &dyn Producer) -> Vec<Label> {
    let own = producer.arguments().into_iter();
    let own = own.map(|label| Label { name: format!("producer: {}", label.name), value: label.value });
    std::iter::once(Label::new("producer", producer.name())).chain(own).collect()
}

/// What makes versions, as transitions depend on it.
pub(crate) fn producer_terms(service: &ServiceConfig, ports: &ServicePorts) -> Option<ProducerTerms> {
    let (config, producer) = service.producer.as_ref().zip(ports.producer.as_ref())?;
    Some(ProducerTerms {
        makes: config.adapter.settings.says(),
        class: producer.class(),
        equipment: equipment(&producer_arguments(producer.as_ref())),
        deadline: config.run_max,
        every: config.look_every,
    })
}

/// See [`ripcord_core::terms::Terms::equipment`].
pub(crate) fn equipment(arguments: &[Label]) -> Digest {
    let parts: Vec<&[u8]> =
        arguments.iter().flat_map(|label| [label.name.as_bytes(), label.value.as_bytes()]).collect();
    Digest::tagged("ripcord equipment 1", &parts)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ripcord_adapters::registry_directory::{DirectoryRegistry, DirectoryRegistryConfig};
    use ripcord_core::name::ServiceName;
    use ripcord_core::target::{CheckpointTarget, Target};
    use ripcord_ports::Registry;

    use super::*;
    use crate::config::SourceFile;

    #[test]
    fn a_producer_registers_where_what_it_makes_is_kept_at_hand() {
        let text = r#"
            [services.fraud-api]
            registry = { kind = "directory", root = "registry" }
            deployer = { kind = "open-inference", url = "http://127.0.0.1:1", model-directory = "models/fraud" }
            producer = { kind = "checkpoint", from = { folder = { root = "checkpoints" } } }
        "#;
        let file = SourceFile { path: "ripcord.toml".into(), text: text.to_owned() };
        let (config, _) = Config::parse_as_far_as_possible(file);
        let kept = |service: &ServiceName, _: Arc<dyn Registry>| {
            let of = DirectoryRegistryConfig { root: PathBuf::from("/kept"), model: service.to_string() };
            Arc::new(DirectoryRegistry::new(of).expect("a registry")) as Arc<dyn Registry>
        };
        let (shared, mut mistakes) = (super::super::shared().expect("a client"), Mistakes::default());
        let mut maker = Maker { shared: &shared, data: Path::new("/nowhere"), mistakes: &mut mistakes };
        let ports = maker.ports(&config.services[0], &MetricsSources::default(), &kept).expect("ports");
        let target = Target::Checkpoint(CheckpointTarget { run: "r".into(), step: 1, digest: None });
        let request = ports.producer.expect("a producer").request(&target).expect("a request");
        assert!(
            request.words().contains("register it in the folder of `fraud-api` in `/kept`"),
            "{}",
            request.words()
        );
    }
}

//! The ports, as far as their adapters are configured, made and described. A new port is one `impl` here and one list in the catalogue.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use ripcord_core::live::Proof;
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::Strategy;
use ripcord_ports::{
    AlertSource, Checkpoints, Deployer, Endpoint, GoldenData, Metrics, Notifier, Objects, Producer, Registry,
    RequestLog, Restorer,
};

use super::keys::{Key, Takes};
use super::{AnyAdapter, Settings};
use crate::catalogue;
use crate::metrics_scrape::Scraping;
use crate::secret::Secret;

/// A port that a configuration connects to adapters.
pub trait Port: 'static {
    /// What people call it.
    const NAME: &'static str;

    /// Where its adapters stand in a configuration.
    const PLACE: &'static str;

    /// Whether `kind` says which adapter it is; false where there is but one.
    const HAS_KIND: bool = true;

    /// Keys of its adapters that have a value where they are left out, and whose that is.
    const GIVEN: &'static [(&'static str, &'static str)] = &[];

    /// What making an adapter gives.
    type Made;

    /// What an adapter says of itself by its settings alone.
    type Says;

    /// What an adapter is given when it is made, besides what all are.
    type With;

    /// Its adapters.
    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>];

    /// What the host itself reads in the table of such an adapter, besides `kind`.
    fn host_keys() -> Vec<Key> {
        Vec::new()
    }
}

/// Where versions are kept. It says what a plan's steps say of it: addresses, folders. No secrets.
impl Port for dyn Registry {
    const NAME: &'static str = "registry";
    const PLACE: &'static str = "[services.NAME.registry]";
    const GIVEN: &'static [(&'static str, &'static str)] = &[("model", "the service")];
    type Made = Arc<dyn Registry>;
    type Says = Vec<Label>;
    type With = ();

    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>] {
        catalogue::REGISTRIES
    }
}

/// What serves the model.
impl Port for dyn Deployer {
    const NAME: &'static str = "deployer";
    const PLACE: &'static str = "[services.NAME.deployer]";
    const GIVEN: &'static [(&'static str, &'static str)] = &[("model", "the service")];
    type Made = Arc<dyn Deployer>;
    type Says = DeployerSays;
    type With = ();

    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>] {
        catalogue::DEPLOYERS
    }
}

/// What a deployer says of itself.
#[derive(Debug)]
pub struct DeployerSays {
    /// What a plan's steps say of it: addresses, folders, programs. No secrets.
    pub arguments: Vec<Label>,
    /// The strongest proof that its `live` always gives.
    pub proof: Proof,
    /// Where the server that it deploys to takes trials, where it does.
    pub endpoint: Option<ServedBy>,
}

/// An endpoint that comes with a deployer.
#[derive(Debug)]
pub struct ServedBy {
    /// What is in force where the service has no table for its endpoint.
    pub settings: Box<dyn Settings<dyn Endpoint>>,
    /// What is in force where it has one and the key is left out. With another `url` the deployer's secret is not sent.
    pub keys: Vec<(&'static str, String)>,
}

/// What puts a facet back.
impl Port for dyn Restorer {
    const NAME: &'static str = "restorer";
    const PLACE: &'static str = "[services.NAME.configurations.NAME], [services.NAME.fallback]";
    type Made = Arc<dyn Restorer>;
    type Says = RestorerSays;
    /// For the service itself: a bearer token.
    type With = Option<Secret>;

    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>] {
        &catalogue::RESTORERS
    }

    fn host_keys() -> Vec<Key> {
        let proofs = Takes::OneOf(vec!["control-plane", "fingerprint", "answer", "digest"]);
        let proof_min = Key::optional("proof-min", proofs);
        std::iter::once(proof_min).chain(Key::secret("service-token")).collect()
    }
}

/// What a restorer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorerSays {
    /// The strongest proof that its way of reading back always gives.
    pub proof: Proof,
    /// Files and folders that are its own: of two restorers that share one, each would take the other's revisions for its own.
    pub own_places: Vec<PathBuf>,
    /// The names of its revisions, where the settings name them.
    pub revisions: Option<Vec<VersionName>>,
}

/// Where a service answers.
impl Port for dyn Endpoint {
    const NAME: &'static str = "endpoint";
    const PLACE: &'static str = "[services.NAME.endpoint]";
    const GIVEN: &'static [(&'static str, &'static str)] =
        &[("url", "the deployer, where its server takes trials"), ("model", "the deployer")];
    type Made = Arc<dyn Endpoint>;
    type Says = ();
    type With = ();

    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>] {
        &catalogue::ENDPOINTS
    }
}

/// What a service was asked and answered.
impl Port for dyn RequestLog {
    const NAME: &'static str = "request log";
    const PLACE: &'static str = "[services.NAME.request-log]";
    type Made = Arc<dyn RequestLog>;
    type Says = ();
    type With = ();

    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>] {
        &catalogue::REQUEST_LOGS
    }
}

/// Where metrics come from.
impl Port for dyn Metrics {
    const NAME: &'static str = "metrics";
    const PLACE: &'static str = "[metrics.NAME]";
    type Made = MadeMetrics;
    type Says = ();
    type With = ();

    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>] {
        &catalogue::METRICS
    }
}

/// A metrics source, and what keeps it fresh.
pub struct MadeMetrics {
    /// The source.
    pub source: Arc<dyn Metrics>,
    /// Starts what has to go on in the background for it; that ends when the result is dropped.
    pub background: Option<StartScraping>,
}

/// Starts reading pages.
pub type StartScraping = Box<dyn Fn() -> Scraping + Send + Sync>;

impl fmt::Debug for MadeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeMetrics").field("source", &self.source.name()).finish_non_exhaustive()
    }
}

/// Who sends alerts.
impl Port for dyn AlertSource {
    const NAME: &'static str = "alert source";
    const PLACE: &'static str = "[sources.NAME]";
    type Made = Arc<dyn AlertSource>;
    type Says = ();
    type With = ();

    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>] {
        &catalogue::ALERT_SOURCES
    }

    fn host_keys() -> Vec<Key> {
        let auth = Key { needed: true, ..Key::optional("auth", Takes::Table) };
        let routes = Key::optional("routes", Takes::List(Box::new(Takes::Table)));
        let body = Key::optional("body-kib-max", Takes::Whole);
        let dedupe = Key::optional("dedupe-seconds", Takes::Number);
        vec![auth, routes, body, dedupe]
    }
}

/// Who tells people.
impl Port for dyn Notifier {
    const NAME: &'static str = "notifier";
    const PLACE: &'static str = "[notifiers.NAME]";
    type Made = Arc<dyn Notifier>;
    type Says = ();
    type With = ();

    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>] {
        &catalogue::NOTIFIERS
    }
}

/// Inputs with known answers.
impl Port for dyn GoldenData {
    const NAME: &'static str = "golden data";
    const PLACE: &'static str = "[services.NAME.golden]";
    const HAS_KIND: bool = false;
    type Made = Arc<dyn GoldenData>;
    /// The names of its data sets.
    type Says = Vec<String>;
    type With = ();

    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>] {
        &catalogue::GOLDEN_DATA
    }
}

/// Where evidence is kept.
impl Port for dyn Objects {
    const NAME: &'static str = "evidence";
    const PLACE: &'static str = "`data` of [host]";
    const HAS_KIND: bool = false;
    type Made = Arc<dyn Objects>;
    type Says = ();
    type With = ();

    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>] {
        &catalogue::OBJECTS
    }
}

/// What makes new versions.
impl Port for dyn Producer {
    const NAME: &'static str = "producer";
    const PLACE: &'static str = "[services.NAME.producer]";
    type Made = Arc<dyn Producer>;
    /// Of what it makes versions.
    type Says = Vec<Strategy>;
    /// Takes in what is made.
    type With = Arc<dyn Registry>;

    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>] {
        &catalogue::PRODUCERS
    }

    fn host_keys() -> Vec<Key> {
        vec![Key::optional("run-hours", Takes::Number), Key::optional("look-seconds", Takes::Number)]
    }
}

/// Where the checkpoints of training runs are kept.
impl Port for dyn Checkpoints {
    const NAME: &'static str = "checkpoints";
    const PLACE: &'static str = "[services.NAME.checkpoints]";
    type Made = Arc<dyn Checkpoints>;
    type Says = ();
    type With = ();

    fn adapters() -> &'static [&'static dyn AnyAdapter<Self>] {
        catalogue::CHECKPOINTS
    }
}

//! What a host is made of: the shell's only input besides the store.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cap_std::fs::Dir;
use ripcord_core::facet::Facet;
use ripcord_core::fact::FactKind;
use ripcord_core::name::{ServiceName, SetName};
use ripcord_core::policy::Role;
use ripcord_core::retention::Class;
use ripcord_core::role::ServiceFacts;
use ripcord_core::set::SetTerms;
use ripcord_core::signal::Label;
use ripcord_core::terms::Terms;
use ripcord_core::time::Millis;
use ripcord_ports::{
    Checkpoints, Clock, Deployer, Endpoint, GoldenData, Metrics, Notifier, Objects, Producer, Registry,
    RequestLog, Restorer, Store,
};
use ripcord_sandbox::{Limits, Policy};

use crate::blocking::Blocking;

/// One host.
#[derive(Clone)]
pub struct HostSetup {
    /// What outlives the process.
    pub store: Arc<dyn Store>,
    /// The only source of time.
    pub clock: Arc<dyn Clock>,
    /// Who tells people. All are tried for every announcement.
    pub notifiers: Vec<Arc<dyn Notifier>>,
    /// How long they are tried.
    pub announcing: Announcing,
    /// Where evidence is kept.
    pub evidence: Arc<dyn Objects>,
    /// Where artefacts are staged; emptied at start.
    pub staging: Arc<Dir>,
    /// For every policy call.
    pub limits: Limits,
    /// How long content is kept.
    pub retention: Retention,
    /// Where policies are called.
    pub blocking: Blocking,
    /// The release of this host, for the record.
    pub host_version: String,
    /// All protected services.
    pub services: Vec<ServiceSetup>,
    /// All sets of them that move together.
    pub sets: Vec<SetSetup>,
}

/// How patient the host is with its notifiers. An announcement is tried until it is delivered or no longer matters, across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcing {
    /// One call of a notifier, by the wall's clock. Default: 30 s.
    pub call_max: Millis,
    /// The longest pause between two calls; the first is half a second, each one after it twice as long. Default: 5 min.
    pub pause_max: Millis,
    /// Counted from what is announced. Then each notifier is tried once more, and it is recorded that people were not told. Default: 24 h.
    pub matters_for: Millis,
}

impl Default for Announcing {
    fn default() -> Self {
        Self { call_max: Millis::seconds(30), pause_max: Millis::minutes(5), matters_for: Millis::hours(24) }
    }
}

/// How long content is kept. Commitments stay for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// By class, counted from the record that needs it. A class without one has its default; none is below its minimum.
    pub ages: BTreeMap<Class, Millis>,
    /// Between two looks for what may go. Default: 1 h.
    pub every: Millis,
    /// The longest time for which a signal counts as a repeat of another: so long it stays in the intake. Default: 0.
    pub window_max: Millis,
}

impl Default for Retention {
    fn default() -> Self {
        Self { ages: BTreeMap::new(), every: Millis::hours(1), window_max: Millis(0) }
    }
}

impl Retention {
    /// How long content of `class` is kept.
    pub fn age(&self, class: Class) -> Millis {
        self.ages.get(&class).copied().unwrap_or(class.age_default()).max(class.age_min())
    }
}

/// One protected service.
#[derive(Clone)]
pub struct ServiceSetup {
    /// Its name.
    pub name: ServiceName,
    /// What transitions depend on. `terms.policies` must list [`ServiceSetup::policies`] in the same order.
    pub terms: Terms,
    /// What policies are told of it.
    pub facts: ServiceFacts,
    /// The whole effective configuration without secrets, as JSON, for the record.
    pub configuration: String,
    /// What it is connected to.
    pub ports: ServicePorts,
    /// All policies of all roles, in the order of the configuration.
    pub policies: Vec<PlacedPolicy>,
    /// What evidence is taken.
    pub evidence: EvidenceSetup,
    /// Written into every plan's steps, for people: adapter, address, model.
    pub step_arguments: Vec<Label>,
}

/// Services that move together.
#[derive(Debug, Clone)]
pub struct SetSetup {
    /// Its name.
    pub name: SetName,
    /// What transitions depend on.
    pub terms: SetTerms,
    /// The whole effective configuration as JSON, for the record.
    pub configuration: String,
}

/// What a service is connected to.
#[derive(Clone)]
pub struct ServicePorts {
    /// Where its versions are kept.
    pub registry: Arc<dyn Registry>,
    /// What serves it.
    pub deployer: Arc<dyn Deployer>,
    /// What puts its other facets back; never one of [`Facet::Model`].
    pub restorers: BTreeMap<Facet, Arc<dyn Restorer>>,
    /// What makes versions of checkpoints or of mended data. [`Terms::producer`] says the same of it.
    pub producer: Option<Arc<dyn Producer>>,
    /// Where the checkpoints of its training runs are kept.
    pub checkpoints: Option<Arc<dyn Checkpoints>>,
    /// Where it answers; none means no trials.
    pub endpoint: Option<Arc<dyn Endpoint>>,
    /// Its golden data sets.
    pub golden: Option<Arc<dyn GoldenData>>,
    /// Its request log.
    pub requests: Option<Arc<dyn RequestLog>>,
    /// By configured name.
    pub metrics: BTreeMap<String, Arc<dyn Metrics>>,
    /// The one that a request without a source means.
    pub default_metrics: Option<String>,
}

/// A policy in its place.
#[derive(Clone)]
pub struct PlacedPolicy {
    /// What it is asked.
    pub role: Role,
    /// The loaded component.
    pub policy: Policy,
    /// JSON that passed the manifest's schema.
    pub settings: String,
    /// The kinds of facts that the operator lets it see.
    pub grant: Vec<FactKind>,
}

/// What evidence is taken.
#[derive(Debug, Clone, Copy)]
pub struct EvidenceSetup {
    /// How far before the harm began the request log is kept.
    pub before: Millis,
    /// At most so many bytes of it.
    pub request_log_bytes_max: u64,
    /// Whether the golden data go through what is live, for comparison.
    pub golden: GoldenBefore,
}

/// Whether the golden data go through what is live before the shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GoldenBefore {
    /// They do: verification policies can compare.
    #[default]
    Sent,
    /// They do not: nothing compares, and the way back is shorter by as much.
    Skipped,
}

impl Default for EvidenceSetup {
    fn default() -> Self {
        Self { before: Millis::minutes(5), request_log_bytes_max: 64 << 20, golden: GoldenBefore::default() }
    }
}

impl ServiceSetup {
    /// The policies of `role`, in order.
    pub fn policies(&self, role: Role) -> impl Iterator<Item = &PlacedPolicy> {
        self.policies.iter().filter(move |placed| placed.role == role)
    }
}

impl fmt::Debug for HostSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSetup").field("services", &self.services).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServiceSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceSetup")
            .field("name", &self.name)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ServicePorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServicePorts").field("registry", &self.registry.name()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PlacedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlacedPolicy")
            .field("role", &self.role)
            .field("policy", self.policy.reference())
            .finish()
    }
}

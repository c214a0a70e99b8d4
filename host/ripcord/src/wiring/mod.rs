//! From a configuration to a host: adapters, sandbox, policies, terms, store.

pub mod doors;
pub mod policies;
pub mod ports;
mod sets;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ripcord_adapters::clock_system::SystemClock;
use ripcord_adapters::evidence_directory::{DirectoryEvidence, DirectoryEvidenceConfig};
use ripcord_adapters::metrics_scrape::Scraping;
use ripcord_adapters::private::{OpenToOthers, Private};
use ripcord_adapters::registry_kept::{ArtefactsAtHand, KeptRegistry, forget_other_lists};
use ripcord_adapters::{Http, Shared};
use ripcord_core::name::{PersonName, RoleName, ServiceName, SetName};
use ripcord_core::policy::Role;
use ripcord_core::terms::{KnownPerson, Terms};
use ripcord_engine::{
    Announcing, Blocking, EvidenceSetup, GoldenBefore, HostSetup, Retention, ServiceSetup, SetSetup,
};
use ripcord_ports::store::StoreError;
use ripcord_ports::{AlertSource, Endpoint, GoldenData, Notifier, PortError, Registry, Store};
use ripcord_sandbox::{CacheDirError, Limits, Sandbox, SandboxConfig, SandboxError};
use ripcord_store::SqliteStore;

use crate::component;
use crate::config::{Config, ConfigError, Mistakes, PersonConfig, ServiceConfig, SourceConfig};
use crate::http::{People, ServiceRights, Source};
use crate::signers::Signer;
use crate::signers::ssh::Touch;
use policies::LoadedPolicies;
use ports::{Maker, MetricsSources};

/// The store's file in the data folder.
pub const STORE_FILE: &str = "store.sqlite";

/// One object of evidence.
const EVIDENCE_BYTES_MAX: u64 = 256 << 20;

/// A host, ready to start.
pub struct Wired {
    /// For the engine.
    pub setup: HostSetup,
    /// To be closed in the end.
    pub store: Arc<SqliteStore>,
    /// Who may ask.
    pub people: People,
    /// Who may send alerts.
    pub sources: BTreeMap<String, Source>,
    /// Who may do what with each service.
    pub rights: BTreeMap<ServiceName, ServiceRights>,
    /// Roles whose people may ask for a run, by set.
    pub may_pull_set: BTreeMap<SetName, Vec<RoleName>>,
    /// Metrics pages that are being read.
    pub scraping: Vec<Scraping>,
    /// What may surprise.
    pub warnings: Mistakes,
}

impl std::fmt::Debug for Wired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wired").field("setup", &self.setup).finish_non_exhaustive()
    }
}

/// A configuration from which no host can be made.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// What the configuration names is not there or does not fit.
    #[error(transparent)]
    Mistakes(#[from] Box<ConfigError>),
    /// The data folder.
    #[error(
        "the data folder `{path}` cannot be used: {source}; give one that this user may write, as `data` below `[host]`"
    )]
    Data {
        /// Which folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The data folder, or the store in it, may be used by others.
    #[error(transparent)]
    Open(#[from] OpenToOthers),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The cache of compiled policies.
    #[error(transparent)]
    Cache(#[from] CacheDirError),
    /// An adapter that every host has.
    #[error(transparent)]
    Adapter(#[from] PortError),
}

/// Opens a folder below the data folder, creating it for this user alone. One that others may use is refused.
pub(crate) fn open_data(data: &Path, below: &str) -> Result<Dir, WireError> {
    let path = data.join(below);
    let failed = |source| WireError::Data { path: path.display().to_string(), source };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&path).map_err(failed)?;
    let folder = Dir::open_ambient_dir(&path, ambient_authority()).map_err(failed)?.into_std_file();
    Private::Folder.check(&folder.metadata().map_err(failed)?, &path)?;
    Ok(Dir::from_std_file(folder))
}

/// Refuses a data folder, or files of the store in it, that others may use: they could read captured requests, or change what is on record.
pub(crate) fn check_data(data: &Path) -> Result<(), OpenToOthers> {
    let check = |what: Private, path: &Path| match std::fs::metadata(path) {
        Ok(metadata) => what.check(&metadata, path),
        // Whoever opens it says what is wrong.
        Err(_) => Ok(()),
    };
    check(Private::Folder, data)?;
    ["", "-wal", "-shm", ".lock"]
        .iter()
        .try_for_each(|suffix| check(Private::File, &data.join(format!("{STORE_FILE}{suffix}"))))
}

/// What all adapters share.
pub fn shared() -> Result<Shared, PortError> {
    Ok(Shared { http: Http::new()?, clock: Arc::new(SystemClock) })
}

/// The sandbox, with compiled policies cached in the data folder.
pub fn sandbox(config: &Config) -> Result<Sandbox, WireError> {
    open_data(&config.host.data, "")?;
    let cache = ripcord_sandbox::open_cache_dir(&config.host.data.join("cache"))?;
    Ok(Sandbox::new(SandboxConfig {
        cache_dir: Some(cache),
        slots: config.host.policy_slots,
        examiner: component::examiner(),
    })?)
}

/// A sandbox for looking: it uses a cache that is there, and leaves no folder behind.
pub fn sandbox_for_check(config: &Config) -> Result<Sandbox, WireError> {
    let path = config.host.data.join("cache");
    // One that this user may not use is passed over: looking needs none.
    let cache_dir = path.is_dir().then(|| ripcord_sandbox::open_cache_dir(&path).ok()).flatten();
    let slots = config.host.policy_slots;
    Ok(Sandbox::new(SandboxConfig { cache_dir, slots, examiner: component::examiner() })?)
}

/// Everything that a configuration names, made and checked, with nothing contacted and no store.
#[derive(Debug)]
pub struct Parts {
    /// Loaded policies by the name that the configuration uses.
    pub policies: LoadedPolicies,
    /// Metrics sources.
    pub metrics: MetricsSources,
    /// Services, in order.
    pub services: Vec<ServiceSetup>,
    /// What of them moves together, in order.
    pub sets: Vec<SetSetup>,
    /// Who may ask.
    pub people: People,
    /// Who may send alerts.
    pub sources: BTreeMap<String, Source>,
}

/// What is made of a service's registry before anything is given it.
pub type Keep = dyn Fn(&ServiceName, Arc<dyn Registry>) -> Arc<dyn Registry>;

/// The registry as it is, for who only looks.
pub fn not_kept(_: &ServiceName, registry: Arc<dyn Registry>) -> Arc<dyn Registry> {
    registry
}

/// Makes everything that the configuration names. Where mistakes are added, what they are about is missing from the result.
pub fn parts(
    config: &Config,
    sandbox: &Sandbox,
    shared: &Shared,
    keep: &Keep,
    mistakes: &mut Mistakes,
    warnings: &mut Mistakes,
) -> Parts {
    let policies = policies::load(config, sandbox, mistakes);
    let data = &config.host.data;
    let metrics = Maker { shared, data, mistakes }.metrics(config);
    let people = doors::people(config, mistakes, warnings);
    let sources = doors::sources(config, shared, mistakes);
    let mut services = Vec::new();
    for service in &config.services {
        let ports = Maker { shared, data, mistakes }.ports(service, &metrics, keep);
        let placed = policies::place(service, &policies, mistakes, warnings);
        if let Some(ports) = ports {
            service.waves.check(ports.deployer.as_ref(), mistakes);
            services.push(service_setup(config, service, ports, placed));
        }
    }
    let sets = sets::all(config, warnings);
    Parts { policies, metrics, services, sets, people, sources }
}

/// Everyone who is told.
pub(crate) fn notifiers(config: &Config, shared: &Shared, mistakes: &mut Mistakes) -> Vec<Arc<dyn Notifier>> {
    Maker { shared, data: &config.host.data, mistakes }.notifiers(config)
}

/// Where a service answers, and its golden data sets.
pub(crate) type TrialPorts = (Option<Arc<dyn Endpoint>>, Option<Arc<dyn GoldenData>>);

/// See [`TrialPorts`].
pub(crate) fn trial_ports(
    config: &Config,
    service: &ServiceConfig,
    shared: &Shared,
    mistakes: &mut Mistakes,
) -> TrialPorts {
    let mut maker = Maker { shared, data: &config.host.data, mistakes };
    (maker.endpoint(service), maker.golden(service))
}

/// What a source's webhooks look like.
pub(crate) fn alert_source(
    config: &Config,
    source: &SourceConfig,
    shared: &Shared,
    mistakes: &mut Mistakes,
) -> Option<Arc<dyn AlertSource>> {
    Maker { shared, data: &config.host.data, mistakes }.alert_source(source)
}

fn service_setup(
    config: &Config,
    service: &ServiceConfig,
    ports: ripcord_engine::ServicePorts,
    placed: Vec<(ripcord_core::terms::PolicyUse, ripcord_engine::PlacedPolicy)>,
) -> ServiceSetup {
    let (used, policies): (Vec<_>, Vec<_>) = placed.into_iter().unzip();
    let step_arguments = ports::step_arguments(service, &ports);
    let terms = Terms {
        mode: service.mode,
        environment: service.facts.environment.clone(),
        deployer: ports.deployer.class(),
        equipment: ports::equipment(&ports::all_arguments(&step_arguments, &ports)),
        facets: ports::facet_terms(service, &ports),
        waves: service.waves.waves.clone(),
        producer: ports::producer_terms(service, &ports),
        proof_min: ports::proof_min(service),
        people: config.people.iter().map(known).collect(),
        floor: service.floor.clone(),
        requester_vote: service.requester_vote,
        veto: service.veto.clone(),
        authors: authors(config, service),
        break_glass: service.break_glass.clone(),
        evidence: service.evidence,
        preflight: service.preflight,
        fingerprint: service.fingerprint.as_ref().map(|set| set.get_ref().clone()),
        breaker: service.breaker,
        deadlines: service.deadlines,
        trials_max: service.trials_max,
        schedule: service.schedule,
        policies: used,
    };
    ServiceSetup {
        name: service.name.clone(),
        step_arguments,
        configuration: effective(config, service, &terms, &policies).to_string(),
        terms,
        facts: service.facts.clone(),
        ports,
        policies,
        evidence: EvidenceSetup {
            before: config.host.evidence_before,
            request_log_bytes_max: config.host.evidence_request_log_bytes_max,
            golden: if service.golden_before { GoldenBefore::Sent } else { GoldenBefore::Skipped },
        },
    }
}

/// Who signed a policy of the service, where their word counts towards no quorum for that.
fn authors(config: &Config, service: &ServiceConfig) -> Vec<PersonName> {
    if service.authors_agree {
        return Vec::new();
    }
    let files = service.policies.iter().filter_map(|placed| config.policies.get(placed.policy.get_ref()));
    let names: BTreeSet<_> =
        files.flat_map(|file| &file.signed_by).map(|name| name.get_ref().clone()).collect();
    names.into_iter().collect()
}

/// A person as the record has them.
fn known(person: &PersonConfig) -> KnownPerson {
    KnownPerson {
        name: person.name.clone(),
        roles: person.roles.clone(),
        keys: person.signers().iter().map(Signer::known).collect(),
    }
}

/// Everyone who may act, for the record.
fn people_of_record(config: &Config) -> Vec<serde_json::Value> {
    let key = |signer: &Signer| {
        let Signer { key, valid_after, valid_before } = signer;
        serde_json::json!({ "key": key.shown(), "valid_after": valid_after, "valid_before": valid_before })
    };
    let person = |person: &PersonConfig| {
        serde_json::json!({
            "name": person.name, "roles": person.roles, "token": person.token.is_some(),
            "keys": person.signers().iter().map(key).collect::<Vec<_>>(),
        })
    };
    config.people.iter().map(person).collect()
}

/// The effective configuration of a service for the record: who may act, which policies with which settings, connected to what. The file
/// holds no secrets, so neither does this.
fn effective(
    config: &Config,
    service: &ServiceConfig,
    terms: &Terms,
    policies: &[ripcord_engine::PlacedPolicy],
) -> serde_json::Value {
    use serde_json::json;
    let sources = config.sources.iter().map(|source| {
        let routes = source.routes.iter().filter(|route| route.service == service.name);
        json!({"name": source.name, "routes": routes.map(|route| &route.labels).collect::<Vec<_>>()})
    });
    let policies = policies.iter().map(|placed| {
        let settings: serde_json::Value = serde_json::from_str(&placed.settings).unwrap_or_default();
        json!({
            "role": placed.role, "policy": placed.policy.reference(), "settings": settings, "facts": placed.grant,
        })
    });
    json!({
        "service": service.name,
        "file": service.table,
        "terms": terms,
        "facts": service.facts,
        "touch_required": config.host.touch == Touch::Required,
        "may_pull": service.may_pull,
        "may_adopt": service.may_adopt,
        "may_lift": service.may_lift,
        "people": people_of_record(config),
        "sources": sources.collect::<Vec<_>>(),
        "policies": policies.collect::<Vec<_>>(),
        "notifiers": config.notifiers.iter().map(|notifier| &notifier.name).collect::<Vec<_>>(),
    })
}

/// Opens the store, makes everything, keeps the policies for replay.
pub async fn wire(config: &Config) -> Result<Wired, WireError> {
    let shared = shared()?;
    let sandbox = sandbox(config)?;
    let (mut mistakes, mut warnings) = (Mistakes::default(), Mistakes::default());
    let lists = Arc::new(open_kept(config, "lists")?);
    let keep = keep_at_hand(config, &lists, &shared)?;
    let parts = parts(config, &sandbox, &shared, &*keep, &mut mistakes, &mut warnings);
    let notifiers = notifiers(config, &shared, &mut mistakes);
    if let Some(error) = ConfigError::new(config.file.clone(), mistakes) {
        return Err(Box::new(error).into());
    }
    let data = &config.host.data;
    check_data(data)?;
    let store = Arc::new(SqliteStore::open(data.join(STORE_FILE))?);
    for loaded in parts.policies.values() {
        store.keep_component(&loaded.bytes).await?;
    }
    open_data(data, "evidence")?;
    let evidence = DirectoryEvidence::new(DirectoryEvidenceConfig {
        root: data.join("evidence"),
        bytes_max: EVIDENCE_BYTES_MAX.max(config.host.evidence_request_log_bytes_max),
    })?;
    let names: Vec<_> = parts.services.iter().map(|service| service.name.clone()).collect();
    forget_other_lists(&lists, &names)?;
    let rights = config.services.iter().map(|service| (service.name.clone(), ServiceRights::of(service)));
    let may_pull_set = config.sets.iter().map(|set| (set.name.clone(), set.may_pull.clone()));
    Ok(Wired {
        rights: rights.collect(),
        may_pull_set: may_pull_set.collect(),
        scraping: parts.metrics.start(),
        setup: HostSetup {
            store: store.clone(),
            clock: shared.clock.clone(),
            notifiers,
            announcing: Announcing::default(),
            evidence: Arc::new(evidence),
            staging: Arc::new(open_data(data, "staging")?),
            limits: Limits::default(),
            retention: Retention {
                window_max: config
                    .sources
                    .iter()
                    .map(|source| source.dedupe_window)
                    .max()
                    .unwrap_or_default(),
                ..config.host.retention.clone()
            },
            blocking: Blocking::Threads,
            host_version: env!("CARGO_PKG_VERSION").to_owned(),
            services: parts.services,
            sets: parts.sets,
        },
        store,
        people: parts.people,
        sources: parts.sources,
        warnings,
    })
}

/// A folder for what is kept at hand.
fn open_kept(config: &Config, of: &str) -> Result<Dir, WireError> {
    open_data(&config.host.data, "kept")?;
    open_data(&config.host.data, &format!("kept/{of}"))
}

/// Puts what a rollback needs of each registry on this machine.
fn keep_at_hand(config: &Config, lists: &Arc<Dir>, shared: &Shared) -> Result<Box<Keep>, WireError> {
    let artefacts = open_kept(config, "artefacts")?;
    let artefacts = Arc::new(ArtefactsAtHand::open(artefacts, config.host.kept_artefacts_bytes_max)?);
    let (lists, clock) = (lists.clone(), shared.clock.clone());
    Ok(Box::new(move |service: &ServiceName, registry| {
        let kept = KeptRegistry::new(service, registry, artefacts.clone(), lists.clone(), clock.clone());
        Arc::new(kept) as Arc<dyn Registry>
    }))
}

/// Whether a service has a policy of that role.
pub(crate) fn has_role(service: &ServiceConfig, role: Role) -> bool {
    service.policies.iter().any(|placed| placed.role == role)
}

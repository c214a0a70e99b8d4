//! A host over a real store in a folder of its own, on a world of fakes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ripcord_core::blob::{BlobKind, BlobRef};
use ripcord_core::digest::Digest;
use ripcord_core::effect::Effect;
use ripcord_core::facet::Facet;
use ripcord_core::live::Proof;
use ripcord_core::name::ServiceName;
use ripcord_core::policy::Role;
use ripcord_core::role::{Criticality, ServiceFacts};
use ripcord_core::service::Service;
use ripcord_core::target::Strategy;
use ripcord_core::terms::{
    Breaker, Deadlines, EffectClass, EvidenceRule, FacetTerms, Mode, PolicyUse, PreflightRule, ProducerTerms,
    RequesterVote, Terms,
};
use ripcord_core::time::Millis;
use ripcord_engine::view::IncidentView;
use ripcord_engine::{
    Announcing, Blocking, Engine, EvidenceSetup, HostSetup, PlacedPolicy, Retention, ServicePorts,
    ServiceSetup, SetSetup, StartError,
};
use ripcord_ports::{Metrics, Producer, Registry, Restorer};
use ripcord_sandbox::Limits;
use ripcord_store::{Options, SqliteStore};
use serde_json::{Value, json};

use crate::clock::TestClock;
use crate::fakes::{
    FakeDeployer, FakeEndpoint, FakeGolden, FakeLog, FakeMetrics, FakeNotifier, FakeProducer, FakeRegistry,
    FakeRestorer, MemoryObjects, Wire,
};
use crate::fuse::Fuse;
use crate::people::everyone;
use crate::policies;
use crate::power::Power;
use crate::store::{Appended, Contents, Disk, Forged, Garbled, Intruder, MortalStore};
use crate::world::World;

/// How long a test waits for what must come, on the wall clock.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One service as a test wants it.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name.
    pub name: ServiceName,
    /// Its terms; the policies are filled in.
    pub terms: Terms,
    /// Role, policy, settings.
    pub policies: Vec<(Role, &'static str, Value)>,
    /// What the world has of it beside the model: revisions, oldest first, of which the last is in force.
    pub facets: Vec<(Facet, Vec<&'static str>)>,
}

impl Spec {
    /// A service with an idempotent deployer, in mode `ask`, without policies.
    pub fn new(name: &str) -> Self {
        let terms = Terms {
            mode: Mode::Ask,
            environment: "test".into(),
            deployer: EffectClass::Idempotent,
            equipment: Digest::of("equipment"),
            facets: Vec::new(),
            waves: Vec::new(),
            producer: None,
            proof_min: Proof::Answer,
            people: everyone(),
            floor: Vec::new(),
            requester_vote: RequesterVote::AloneOnly,
            veto: Vec::new(),
            authors: Vec::new(),
            break_glass: vec![ripcord_core::name::RoleName::admin()],
            evidence: EvidenceRule::BestEffort,
            preflight: PreflightRule::BestEffort,
            fingerprint: None,
            breaker: Breaker::default(),
            deadlines: Deadlines {
                hold_watch: Millis::hours(2),
                elsewhere_watch: Millis::hours(24),
                readiness: Millis::hours(24 * 365 * 10_000),
                watch_floor: Millis(100),
                ..Deadlines::default()
            },
            trials_max: 100,
            schedule: None,
            policies: Vec::new(),
        };
        Self {
            name: ServiceName::new(name).expect("a name"),
            terms,
            policies: Vec::new(),
            facets: Vec::new(),
        }
    }

    /// The same with the scripted policy in all roles, in mode `act`.
    #[must_use]
    pub fn scripted(mut self) -> Self {
        self.terms.mode = Mode::Act;
        self.policies = Role::ALL.iter().map(|role| (*role, "scripted", json!({}))).collect();
        self
    }

    /// The same with other settings of the policy in `role`.
    #[must_use]
    pub fn with(mut self, role: Role, settings: Value) -> Self {
        for (placed, _, own) in &mut self.policies {
            if *placed == role {
                own.clone_from(&settings);
            }
        }
        self
    }

    /// The same with a producer that trains, and is looked at often.
    #[must_use]
    pub fn producing(self, class: EffectClass) -> Self {
        self.terms(|terms| {
            terms.producer = Some(ProducerTerms {
                makes: vec![Strategy::Retrain],
                class,
                equipment: Digest::of("pipeline"),
                deadline: Millis::hours(8),
                every: Millis(50),
            });
        })
    }

    /// The same with a configuration, or a `fallback`, whose last revision is in force; [`Lab::new`] puts it into the world.
    #[must_use]
    pub fn facet(mut self, word: &str, history: &[&'static str]) -> Self {
        let facet: Facet = word.parse().expect("a facet");
        let (class, proof_min) = (EffectClass::Idempotent, Proof::Answer);
        self.terms.facets.push(FacetTerms { facet: facet.clone(), class, proof_min });
        self.facets.push((facet, history.to_vec()));
        self
    }

    /// The same with other terms.
    #[must_use]
    pub fn terms(mut self, change: impl FnOnce(&mut Terms)) -> Self {
        change(&mut self.terms);
        self
    }
}

/// A folder, a world, a clock and the configuration.
#[derive(Debug)]
pub struct Lab {
    /// Holds the store.
    pub folder: PathBuf,
    /// Removes the folder at the end, where it is nobody else's.
    pub temporary: Option<tempfile::TempDir>,
    /// What is outside.
    pub world: Arc<World>,
    /// The time.
    pub clock: Arc<TestClock>,
    /// The services.
    pub specs: Vec<Spec>,
    /// Limits of the store.
    pub options: Options,
    /// What the store lies about.
    pub forged: Forged,
    /// What the store says of contents of these kinds.
    pub contents: Contents,
    /// Who else writes to the journals.
    pub intruder: Intruder,
    /// What the store is on.
    pub disk: Disk,
    /// Records that hosts of this lab have read from journals.
    pub read: Arc<AtomicU64>,
    /// So many further reads of the intake fail.
    pub deaf: Arc<AtomicUsize>,
    /// Signals whose rows cannot be read.
    pub garbled: Garbled,
    /// Told of every flush of the store.
    pub power: Power,
    /// Contents that hosts of this lab have appended.
    pub appended: Appended,
    /// How patient hosts are with the notifier.
    pub announcing: Announcing,
    /// How long content is kept; unless changed, nobody looks for what may go.
    pub retention: Retention,
    /// A real registry in place of the fake.
    pub registry: RealRegistry,
    /// Services that move together.
    pub sets: Vec<SetSetup>,
}

/// A real registry, where a suite has one.
#[derive(Clone, Default)]
pub struct RealRegistry(pub Option<Arc<dyn Registry>>);

impl std::fmt::Debug for RealRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RealRegistry").field(&self.0.as_ref().map(|registry| registry.name())).finish()
    }
}

/// A host that runs.
#[derive(Debug)]
pub struct Running {
    /// It.
    pub engine: Engine,
    /// Its store, for looking.
    pub store: Arc<SqliteStore>,
    /// Kills it.
    pub fuse: Arc<Fuse>,
}

impl Lab {
    /// A lab with `specs`, each of which serves `1.2` and has `1.0` and `1.1` in its registry.
    pub fn new(specs: Vec<Spec>) -> Self {
        Self::at_speed(specs, 1)
    }

    /// A lab whose first service does harm, with a host on which people vouched for the two versions before.
    pub async fn harmed(spec: Spec) -> (Self, Running) {
        let lab = Self::new(vec![spec]);
        let service = lab.service();
        lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
        let host = lab.start().await;
        host.adopt(&service, &["1.0", "1.1"]).await;
        (lab, host)
    }

    /// As [`Lab::new`], with a clock that runs faster.
    pub fn at_speed(specs: Vec<Spec>, speed: u64) -> Self {
        let world = World::new();
        for spec in &specs {
            world.add(&spec.name, &["1.0", "1.1", "1.2"]);
            for (facet, history) in &spec.facets {
                world.add_facet(&spec.name, facet, history, history.last().expect("a revision"));
            }
        }
        Self { clock: Arc::new(TestClock::new(speed)), ..Self::over(world, specs) }
    }

    /// A lab in a world that exists.
    pub fn over(world: Arc<World>, specs: Vec<Spec>) -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        Self {
            folder: temporary.path().to_owned(),
            temporary: Some(temporary),
            world,
            clock: Arc::new(TestClock::new(1)),
            specs,
            options: Options::default(),
            forged: Forged::default(),
            contents: Contents::default(),
            intruder: Intruder::default(),
            disk: Disk::default(),
            read: Arc::default(),
            deaf: Arc::default(),
            garbled: Garbled::default(),
            power: Power::default(),
            appended: Appended::default(),
            announcing: Announcing::default(),
            retention: Retention { every: Millis::hours(24 * 36_500), ..Retention::default() },
            registry: RealRegistry::default(),
            sets: Vec::new(),
        }
    }

    /// The name of the first service.
    pub fn service(&self) -> ServiceName {
        self.specs[0].name.clone()
    }

    /// Contents of this kind that hosts have appended.
    pub fn appended(&self, kind: BlobKind) -> Vec<BlobRef> {
        let mut appended = self.appended.lock().unwrap().clone();
        appended.retain(|content| content.kind == kind);
        appended
    }

    /// Opens the store.
    pub fn open(&self) -> Arc<SqliteStore> {
        let path = self.folder.join("ripcord.db");
        Arc::new(SqliteStore::open_with(path, self.options).expect("the store opens"))
    }

    /// Starts a host that cannot die by itself.
    pub async fn start(&self) -> Running {
        self.start_with(Fuse::safe()).await.expect("the host does not die while it starts")
    }

    /// Starts a host; none if it died while it started.
    pub async fn start_with(&self, fuse: Arc<Fuse>) -> Option<Running> {
        let store = self.open();
        let setup = self.setup(&store, &fuse).await;
        let started = tokio::select! {
            started = Engine::start(setup) => Some(started),
            () = fuse.died() => None,
        };
        match started {
            Some(Ok(engine)) => Some(Running { engine, store, fuse }),
            Some(Err(error)) => panic!("the host does not start: {}", chain(&error)),
            None => {
                self.power.fails();
                store.close().await.expect("closes");
                self.power.is_back();
                None
            }
        }
    }

    /// The store as a host of this lab has it.
    pub fn mortal(&self, store: &Arc<SqliteStore>, fuse: &Arc<Fuse>) -> MortalStore {
        MortalStore {
            store: store.clone(),
            fuse: fuse.clone(),
            forged: self.forged.clone(),
            contents: self.contents.clone(),
            intruder: self.intruder.clone(),
            disk: self.disk.clone(),
            read: self.read.clone(),
            deaf: self.deaf.clone(),
            garbled: self.garbled.clone(),
            power: self.power.clone(),
            appended: self.appended.clone(),
        }
    }

    /// What the host is made of.
    pub async fn setup(&self, store: &Arc<SqliteStore>, fuse: &Arc<Fuse>) -> HostSetup {
        let staging = self.folder.join("staging");
        std::fs::create_dir_all(&staging).expect("a folder");
        let staging = Dir::open_ambient_dir(&staging, ambient_authority()).expect("opens");
        let mut services = Vec::new();
        for spec in &self.specs {
            services.push(self.service_setup(spec, store, fuse).await);
        }
        HostSetup {
            store: Arc::new(self.mortal(store, fuse)),
            clock: self.clock.clone(),
            notifiers: vec![Arc::new(FakeNotifier { world: self.world.clone(), fuse: fuse.clone() })],
            announcing: self.announcing,
            evidence: Arc::new(MemoryObjects { world: self.world.clone(), fuse: fuse.clone() }),
            staging: Arc::new(staging),
            limits: Limits::default(),
            retention: self.retention.clone(),
            blocking: Blocking::Threads,
            host_version: "0.1.0".into(),
            services,
            sets: self.sets.clone(),
        }
    }

    async fn service_setup(&self, spec: &Spec, store: &Arc<SqliteStore>, fuse: &Arc<Fuse>) -> ServiceSetup {
        let wire = Wire {
            service: spec.name.clone(),
            world: self.world.clone(),
            fuse: fuse.clone(),
            clock: self.clock.clone(),
        };
        let mut terms = spec.terms.clone();
        let mut placed = Vec::new();
        for (role, name, settings) in &spec.policies {
            let built = policies::policy(name);
            ripcord_ports::Store::keep_component(store.as_ref(), &built.bytes).await.expect("kept");
            let settings = built.policy.check_settings(settings).expect("settings fit");
            terms.policies.push(PolicyUse {
                role: *role,
                policy: built.policy.reference().clone(),
                settings: Digest::of(&settings),
            });
            let grant = built.policy.manifest().may_request(*role).to_vec();
            placed.push(PlacedPolicy { role: *role, policy: built.policy, settings, grant });
        }
        let restorers = terms.facets.iter().map(|terms| {
            let (facet, class) = (terms.facet.clone(), terms.class);
            let restorer = FakeRestorer { wire: wire.clone(), facet: facet.clone(), class };
            (facet, Arc::new(restorer) as Arc<dyn Restorer>)
        });
        let restorers = restorers.collect();
        let metrics: Arc<dyn Metrics> = Arc::new(FakeMetrics { wire: wire.clone() });
        let fake: Arc<dyn Registry> = Arc::new(FakeRegistry { wire: wire.clone() });
        ServiceSetup {
            name: spec.name.clone(),
            facts: ServiceFacts {
                name: spec.name.clone(),
                environment: terms.environment.clone(),
                criticality: Criticality::High,
                model: "fraud".into(),
                labels: Vec::new(),
            },
            configuration: json!({ "service": spec.name }).to_string(),
            ports: ServicePorts {
                registry: self.registry.0.clone().unwrap_or(fake),
                deployer: Arc::new(FakeDeployer { class: terms.deployer, wire: wire.clone() }),
                restorers,
                producer: terms.producer.as_ref().map(|producer| {
                    Arc::new(FakeProducer { class: producer.class, wire: wire.clone() }) as Arc<dyn Producer>
                }),
                checkpoints: None,
                endpoint: Some(Arc::new(FakeEndpoint { wire: wire.clone() })),
                golden: Some(Arc::new(FakeGolden)),
                requests: Some(Arc::new(FakeLog { wire })),
                metrics: BTreeMap::from([("fake".to_owned(), metrics)]),
                default_metrics: Some("fake".into()),
            },
            policies: placed,
            evidence: EvidenceSetup::default(),
            step_arguments: Vec::new(),
            terms,
        }
    }
}

fn chain(error: &StartError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

impl Running {
    /// The state now.
    pub fn state(&self, service: &ServiceName) -> Arc<Service> {
        self.engine.watch(service).expect("a known service").borrow().clone()
    }

    /// The state as soon as it is `wanted`.
    pub async fn until(
        &self,
        what: &str,
        service: &ServiceName,
        wanted: impl Fn(&Service) -> bool,
    ) -> Arc<Service> {
        let mut watch = self.engine.watch(service).expect("a known service");
        let found = tokio::time::timeout(PATIENCE, watch.wait_for(|service| wanted(service))).await;
        match found {
            Ok(found) => found.expect("the host runs").clone(),
            Err(_) => {
                panic!("waited in vain for `{service}` to be: {what}; it is {:#?}", self.state(service))
            }
        }
    }

    /// The state as soon as the last incident is settled and nothing is owed but timers.
    pub async fn settled(&self, service: &ServiceName) -> Arc<Service> {
        self.until("settled and quiet", service, is_quiet).await
    }

    /// The page of the open incident, else of the last one.
    pub async fn view(&self, service: &ServiceName) -> IncidentView {
        let state = self.state(service);
        let incident = state.incident.as_ref().or(state.last_settled.as_ref()).expect("an incident");
        ripcord_engine::view::incident(self.store.as_ref(), &incident.id).await.expect("a page")
    }

    /// Returns when the driver says what holds it up.
    pub async fn until_stuck(&self, service: &ServiceName) -> String {
        let stuck = async {
            loop {
                let health = self.engine.health();
                let own = health.into_iter().find(|health| health.service == *service).expect("known");
                if let Some(why) = own.stuck {
                    return why;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, stuck).await.expect("it gets stuck")
    }

    /// Stops it in good order.
    pub async fn stop(self) {
        self.engine.stop(Millis::seconds(5)).await;
        self.store.close().await.expect("closes");
    }

    /// Cuts it off: nothing that it does from now on has any effect.
    pub async fn die(self) {
        self.fuse.kill();
        drop(self.engine);
        self.store.close().await.expect("closes");
    }
}

/// Returns as soon as something outside the host is `wanted`.
pub async fn eventually(what: &str, wanted: impl Fn() -> bool) {
    let looks = async {
        while !wanted() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looks).await.unwrap_or_else(|_| panic!("waited in vain for: {what}"));
}

/// Whether an incident was settled and nothing is owed but timers and the watch over holds.
pub fn is_quiet(service: &Service) -> bool {
    let waits = |effect: &Effect| {
        matches!(
            effect,
            Effect::WakeAt(_)
                | Effect::WatchProduction { .. }
                | Effect::WatchReadiness { .. }
                | Effect::LookAtRun { .. }
        )
    };
    service.last_settled.is_some() && service.incident.is_none() && service.owed().iter().all(waits)
}

//! A host as it is started: the real engine over pretend systems.

use std::collections::BTreeMap;
use std::sync::Arc;

use cap_std::fs::Dir;
use ripcord_core::role::{Criticality, ServiceFacts};
use ripcord_core::time::Millis;
use ripcord_engine::{
    Announcing, Blocking, Engine, EvidenceSetup, HostSetup, PlacedPolicy, Retention, ServicePorts,
    ServiceSetup, SetSetup,
};
use ripcord_ports::{Metrics, Producer, Restorer};
use ripcord_sandbox::Limits;
use serde_json::json;
use tokio::task::JoinSet;

use crate::fakes::{
    PretendDeployer, PretendEndpoint, PretendGolden, PretendLog, PretendMetrics, PretendNotifier,
    PretendObjects, PretendProducer, PretendRegistry, PretendRestorer, Wire,
};
use crate::life::Life;
use crate::play::Stage;
use crate::policies::policy;
use crate::scenario::{MATTERS_FOR, Scenario, ServicePlan, SetPlan};
use crate::store::HostStore;

/// A host that runs, and who waits for its answers.
#[derive(Debug)]
pub struct Host {
    /// It.
    pub engine: Engine,
    /// Its process.
    pub life: Arc<Life>,
    /// People and senders that wait for it: they learn nothing when it dies.
    pub callers: JoinSet<()>,
}

/// What a host of this stage is made of.
pub fn setup(stage: &Stage, life: &Arc<Life>, staging: &Arc<Dir>, scenario: &Scenario) -> HostSetup {
    let services = &scenario.services;
    let wire = |plan: &ServicePlan| Wire {
        service: plan.name.clone(),
        terms: Arc::new(plan.whole_terms()),
        world: stage.world.clone(),
        life: life.clone(),
        weather: stage.weather.clone(),
        dice: stage.dice.clone(),
        clock: stage.clock.clone(),
        checker: stage.checker.clone(),
    };
    let store = HostStore {
        disk: stage.disk.clone(),
        life: life.clone(),
        weather: stage.weather.clone(),
        dice: stage.dice.clone(),
        checker: stage.checker.clone(),
    };
    let shared = wire(&services[0]);
    HostSetup {
        store: Arc::new(store),
        clock: stage.clock.clone(),
        notifiers: vec![Arc::new(PretendNotifier { wire: shared.clone() })],
        announcing: Announcing {
            call_max: Millis::seconds(30),
            pause_max: Millis::minutes(2),
            matters_for: MATTERS_FOR,
        },
        evidence: Arc::new(PretendObjects { wire: shared }),
        staging: staging.clone(),
        limits: Limits::default(),
        retention: Retention::default(),
        blocking: Blocking::InPlace,
        host_version: "0.0.0".to_owned(),
        services: services.iter().map(|plan| service(plan, &wire(plan))).collect(),
        sets: scenario.set.iter().map(set).collect(),
    }
}

fn set(plan: &SetPlan) -> SetSetup {
    let configuration = json!({ "members": plan.terms.members }).to_string();
    SetSetup { name: plan.name.clone(), terms: plan.terms.clone(), configuration }
}

fn service(plan: &ServicePlan, wire: &Wire) -> ServiceSetup {
    let policy = policy();
    let placed = plan.policies.iter().map(|(role, settings)| PlacedPolicy {
        role: *role,
        policy: policy.clone(),
        settings: json!(settings).to_string(),
        grant: policy.manifest().may_request(*role).to_vec(),
    });
    let restorers = wire.terms.facets.iter().map(|terms| {
        let facet = terms.facet.clone();
        let restorer = PretendRestorer { wire: wire.clone(), facet: facet.clone() };
        (facet, Arc::new(restorer) as Arc<dyn Restorer>)
    });
    let restorers = restorers.collect();
    let metrics: Arc<dyn Metrics> = Arc::new(PretendMetrics { wire: wire.clone() });
    ServiceSetup {
        name: plan.name.clone(),
        facts: ServiceFacts {
            name: plan.name.clone(),
            environment: plan.terms.environment.clone(),
            criticality: Criticality::High,
            model: "model".to_owned(),
            labels: Vec::new(),
        },
        configuration: plan.configuration().to_string(),
        ports: ServicePorts {
            registry: Arc::new(PretendRegistry { wire: wire.clone() }),
            deployer: Arc::new(PretendDeployer { wire: wire.clone(), candidates: plan.candidates }),
            restorers,
            producer: wire.terms.producer.as_ref().map(|_| {
                let producer = PretendProducer { wire: wire.clone() };
                Arc::new(producer) as Arc<dyn Producer>
            }),
            checkpoints: None,
            endpoint: Some(Arc::new(PretendEndpoint { wire: wire.clone() })),
            golden: Some(Arc::new(PretendGolden)),
            requests: Some(Arc::new(PretendLog { wire: wire.clone() })),
            metrics: BTreeMap::from([("harm".to_owned(), metrics)]),
            default_metrics: Some("harm".to_owned()),
        },
        policies: placed.collect(),
        evidence: EvidenceSetup::default(),
        step_arguments: Vec::new(),
        terms: plan.whole_terms(),
    }
}

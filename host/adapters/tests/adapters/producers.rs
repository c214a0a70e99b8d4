//! What makes versions: each held to the conformance suite, alone and with faults between, and to bad input.

mod airflow;
mod checkpoint;
mod command;
mod http;
mod suite;

use std::path::Path;
use std::sync::Arc;

use ripcord_adapters::ProducerSurroundings;
use ripcord_adapters::conformance::producer::order;
use ripcord_adapters::registry_directory::{DirectoryRegistry, DirectoryRegistryConfig};
use ripcord_core::name::ConfigurationName;
use ripcord_core::target::{CheckpointTarget, ConfigurationTarget, Exclusion, RetrainTarget, Target};
use ripcord_ports::producer::{ProduceOrder, Progress};
use ripcord_ports::{Producer, Registry};

use crate::adapters::support::{shared, version};

pub(crate) fn retrain(exclude: Vec<Exclusion>) -> Target {
    Target::Retrain(RetrainTarget { dataset: "transactions".into(), revision: "sha256:7".into(), exclude })
}

pub(crate) fn without_import() -> Target {
    retrain(vec![Exclusion::Source("chargeback-import".into())])
}

pub(crate) fn checkpoint(run: &str, step: u64) -> Target {
    Target::Checkpoint(CheckpointTarget { run: run.into(), step, digest: None })
}

pub(crate) fn configuration() -> Target {
    let name = ConfigurationName::new("thresholds").unwrap();
    Target::Configuration(ConfigurationTarget { name, revision: version("1"), digest: None })
}

/// A registry with its model's folder in `root`.
pub(crate) fn registry(root: &Path) -> Arc<dyn Registry> {
    std::fs::create_dir_all(root.join("registry/fraud")).unwrap();
    let config = DirectoryRegistryConfig { root: root.join("registry"), model: "fraud".into() };
    Arc::new(DirectoryRegistry::new(config).unwrap())
}

pub(crate) fn surroundings(root: &Path) -> ProducerSurroundings {
    ProducerSurroundings { registry: registry(root), data: root.join("data"), shared: shared() }
}

/// Looks until the run has ended.
pub(crate) async fn ended(producer: &dyn Producer, order: &ProduceOrder) -> Progress {
    for _ in 0..4_800 {
        match producer.progress(order).await.unwrap() {
            Progress::Running { .. } => tokio::time::sleep(std::time::Duration::from_millis(25)).await,
            ended => return ended,
        }
    }
    panic!("the run never ends");
}

/// Begins a run and tells why it failed.
pub(crate) async fn failed(producer: &dyn Producer, target: &Target) -> String {
    let order = order("bad input", target);
    producer.start(&order).await.unwrap();
    match ended(producer, &order).await {
        Progress::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

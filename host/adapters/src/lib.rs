//! What Ripcord talks to: registries, deployers, endpoints, metrics, alert sources, request logs, notifiers, evidence.
//!
//! Invariants of this crate:
//! - an adapter talks only to the addresses, folders and programs of its configuration; no redirect is followed, no proxy is taken from
//!   the environment, no symbolic link leads out of a folder;
//! - everything that is read has a limit, every call a deadline;
//! - an error says whether the effect may have happened; where that is not known, it says so;
//! - secrets are given already read, from files that others cannot read, and are in no error, log line or `Debug` text.
//!
//! Every configuration is a struct with kebab-case keys that refuses unknown ones. `Shared` is what adapters have in common. Each adapter exports one
//! constant ([`adapter::Adapter`]), and [`catalogue`] lists them: no other crate names an adapter.

pub mod adapter;
mod airflow;
mod alert_foreign;
mod alert_kind;
mod alert_word;
mod artefact;
#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "azure")]
mod azure;
mod checkpoints;
mod command;
mod download;
mod file_work;
mod folder;
#[cfg(feature = "google")]
mod google;
mod http;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod near;
mod open_inference;
mod pipeline;
mod producing;
mod registries;
pub mod restoring;
mod secret;
mod settled;
#[cfg(feature = "google")]
mod signing;
#[cfg(any(feature = "azure", feature = "google"))]
mod split;
mod text_encoding;
mod text_time;
#[cfg(any(feature = "azure", feature = "google"))]
mod token_service;
mod whole_file;

pub mod alerts_alertmanager;
pub mod alerts_json;
pub mod alerts_mlflow;
pub mod alerts_wandb;
pub mod catalogue;
pub mod checkpoints_folder;
#[cfg_attr(not(feature = "s3"), path = "checkpoints_s3/left_out.rs")]
pub mod checkpoints_s3;
pub mod clock_system;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod deployer_airflow;
#[cfg_attr(not(feature = "azure"), path = "deployer_azureml/left_out.rs")]
pub mod deployer_azureml;
pub mod deployer_batch;
pub mod deployer_buildbot;
pub mod deployer_command;
pub mod deployer_github_actions;
pub mod deployer_gitlab;
#[cfg_attr(not(feature = "kubernetes"), path = "deployer_kserve/left_out.rs")]
pub mod deployer_kserve;
#[cfg_attr(not(feature = "kubernetes"), path = "deployer_kubernetes/left_out.rs")]
pub mod deployer_kubernetes;
pub mod deployer_open_inference;
#[cfg_attr(not(feature = "aws"), path = "deployer_sagemaker/left_out.rs")]
pub mod deployer_sagemaker;
#[cfg_attr(not(feature = "kubernetes"), path = "deployer_seldon/left_out.rs")]
pub mod deployer_seldon;
#[cfg_attr(not(feature = "google"), path = "deployer_vertex/left_out.rs")]
pub mod deployer_vertex;
pub mod endpoint_open_inference;
pub mod evidence_directory;
#[cfg(feature = "testing")]
pub mod fault_proxy;
pub mod golden_jsonl;
pub mod metrics_prometheus;
pub mod metrics_scrape;
pub mod notifier_log;
pub mod notifier_webhook;
pub mod private;
pub mod producer_airflow;
pub mod producer_checkpoint;
pub mod producer_command;
pub mod producer_http;
#[cfg_attr(not(feature = "azure"), path = "registry_azureml/left_out.rs")]
pub mod registry_azureml;
pub mod registry_command;
pub mod registry_directory;
pub mod registry_kept;
pub mod registry_mlflow;
#[cfg_attr(not(feature = "s3"), path = "registry_objects/left_out.rs")]
pub mod registry_objects;
#[cfg_attr(not(feature = "oci"), path = "registry_oci/left_out.rs")]
pub mod registry_oci;
#[cfg_attr(not(feature = "aws"), path = "registry_sagemaker/left_out.rs")]
pub mod registry_sagemaker;
#[cfg_attr(not(feature = "google"), path = "registry_vertex/left_out.rs")]
pub mod registry_vertex;
pub mod registry_wandb;
pub mod request_log_jsonl;
pub mod restorer_file;
pub mod restorer_git;
pub mod restorer_http;
pub mod restorer_mlflow_prompt;

use std::fmt;
use std::sync::Arc;

use ripcord_ports::Clock;

pub use command::CommandSurroundings;
pub use http::Http;
pub use pipeline::{FollowConfig, LiveConfig, PipelineDeployer, PipelineSurroundings};
pub use producing::{ExclusionColumns, ProducerSurroundings};
pub use restoring::{ReadBackConfig, ReloadConfig, ReloadSignal, RestorerSecrets, Tells};
pub use secret::Secret;

/// What adapters have in common.
#[derive(Clone)]
pub struct Shared {
    /// One client, so that connections are shared.
    pub http: Http,
    /// The host's only source of time.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("http", &self.http).finish_non_exhaustive()
    }
}

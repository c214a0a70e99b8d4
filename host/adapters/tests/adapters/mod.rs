//! The adapters against files, programs and servers on this machine.
#![allow(clippy::unwrap_used, clippy::panic)]

mod alertmanager;
mod alerts_json;
mod alerts_mlflow;
mod alerts_wandb;
mod catalogue;
pub(crate) mod checkpoints;
mod commands;
#[cfg(feature = "azure")]
pub(crate) mod deployer_azureml;
mod deployer_batch;
#[cfg(feature = "kubernetes")]
mod deployer_kserve;
#[cfg(feature = "kubernetes")]
mod deployer_kubernetes;
mod deployer_open_inference;
#[cfg(feature = "aws")]
pub(crate) mod deployer_sagemaker;
#[cfg(feature = "google")]
pub(crate) mod deployer_vertex;
mod endpoint_open_inference;
mod evidence_directory;
mod example_commands;
mod fault_proxy;
mod golden_jsonl;
mod metrics_prometheus;
mod metrics_scrape;
pub(crate) mod metrics_suite;
mod notifiers;
pub(crate) mod pipelines;
pub(crate) mod producers;
#[cfg(feature = "azure")]
pub(crate) mod registry_azureml;
mod registry_directory;
mod registry_kept;
mod registry_mlflow;
#[cfg(feature = "s3")]
pub(crate) mod registry_objects;
#[cfg(feature = "oci")]
pub(crate) mod registry_oci;
#[cfg(feature = "aws")]
pub(crate) mod registry_sagemaker;
#[cfg(feature = "google")]
pub(crate) mod registry_vertex;
pub(crate) mod registry_wandb;
mod request_log_jsonl;
mod request_log_suite;
mod requests;
mod restorers;
pub(crate) mod support;

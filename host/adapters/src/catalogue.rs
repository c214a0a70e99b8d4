//! Every adapter, by port: the one place that lists them. A new one is its folder and a line here.

use ripcord_ports::{
    AlertSource, Checkpoints, Deployer, Endpoint, GoldenData, Metrics, Notifier, Objects, Producer, Registry,
    RequestLog, Restorer,
};

use crate::adapter::{About, AnyAdapter, LeftOut, Port, Signature};
use crate::{
    alerts_alertmanager, alerts_json, alerts_mlflow, alerts_wandb, checkpoints_folder, checkpoints_s3,
    deployer_airflow, deployer_azureml, deployer_batch, deployer_buildbot, deployer_command,
    deployer_github_actions, deployer_gitlab, deployer_kserve, deployer_kubernetes, deployer_open_inference,
    deployer_sagemaker, deployer_seldon, deployer_vertex, endpoint_open_inference, evidence_directory,
    golden_jsonl, metrics_prometheus, metrics_scrape, notifier_webhook, producer_airflow,
    producer_checkpoint, producer_command, producer_http, registry_azureml, registry_command,
    registry_directory, registry_mlflow, registry_objects, registry_oci, registry_sagemaker, registry_vertex,
    registry_wandb, request_log_jsonl, restorer_file, restorer_git, restorer_http, restorer_mlflow_prompt,
};

/// Where versions are kept.
pub static REGISTRIES: &[&dyn AnyAdapter<dyn Registry>] = &[
    #[cfg(feature = "azure")]
    &registry_azureml::ADAPTER,
    &registry_directory::ADAPTER,
    &registry_mlflow::ADAPTER,
    #[cfg(feature = "s3")]
    &registry_objects::ADAPTER,
    #[cfg(feature = "oci")]
    &registry_oci::ADAPTER,
    #[cfg(feature = "aws")]
    &registry_sagemaker::ADAPTER,
    #[cfg(feature = "google")]
    &registry_vertex::ADAPTER,
    &registry_wandb::ADAPTER,
    &registry_command::ADAPTER,
];

/// What serves the model.
pub static DEPLOYERS: &[&dyn AnyAdapter<dyn Deployer>] = &[
    #[cfg(feature = "azure")]
    &deployer_azureml::ADAPTER,
    &deployer_open_inference::ADAPTER,
    #[cfg(feature = "kubernetes")]
    &deployer_kserve::ADAPTER,
    #[cfg(feature = "kubernetes")]
    &deployer_kubernetes::ADAPTER,
    #[cfg(feature = "aws")]
    &deployer_sagemaker::ADAPTER,
    &deployer_airflow::ADAPTER,
    &deployer_buildbot::ADAPTER,
    &deployer_github_actions::ADAPTER,
    &deployer_gitlab::ADAPTER,
    #[cfg(feature = "google")]
    &deployer_vertex::ADAPTER,
    #[cfg(feature = "kubernetes")]
    &deployer_seldon::ADAPTER,
    &deployer_command::ADAPTER,
    &deployer_batch::ADAPTER,
];

/// What puts a facet back.
pub static RESTORERS: [&dyn AnyAdapter<dyn Restorer>; 4] = [
    &restorer_file::ADAPTER,
    &restorer_http::ADAPTER,
    &restorer_git::ADAPTER,
    &restorer_mlflow_prompt::ADAPTER,
];

/// What makes new versions.
pub static PRODUCERS: [&dyn AnyAdapter<dyn Producer>; 4] = [
    &producer_checkpoint::ADAPTER,
    &producer_command::ADAPTER,
    &producer_http::ADAPTER,
    &producer_airflow::ADAPTER,
];

/// Where the checkpoints of training runs are kept.
pub static CHECKPOINTS: &[&dyn AnyAdapter<dyn Checkpoints>] = &[
    &checkpoints_folder::ADAPTER,
    #[cfg(feature = "s3")]
    &checkpoints_s3::ADAPTER,
];

/// Where a service answers.
pub static ENDPOINTS: [&dyn AnyAdapter<dyn Endpoint>; 1] = [&endpoint_open_inference::ADAPTER];

/// What a service was asked and answered.
pub static REQUEST_LOGS: [&dyn AnyAdapter<dyn RequestLog>; 1] = [&request_log_jsonl::ADAPTER];

/// Inputs with known answers.
pub static GOLDEN_DATA: [&dyn AnyAdapter<dyn GoldenData>; 1] = [&golden_jsonl::ADAPTER];

/// Where metrics come from.
pub static METRICS: [&dyn AnyAdapter<dyn Metrics>; 2] =
    [&metrics_prometheus::ADAPTER, &metrics_scrape::ADAPTER];

/// Who sends alerts.
pub static ALERT_SOURCES: [&dyn AnyAdapter<dyn AlertSource>; 4] =
    [&alerts_alertmanager::ADAPTER, &alerts_json::ADAPTER, &alerts_mlflow::ADAPTER, &alerts_wandb::ADAPTER];

/// How senders of alerts sign what they send, besides the ways that belong to no system.
pub static SIGNATURES: [&Signature; 2] = [&alerts_mlflow::SIGNATURE, &alerts_wandb::SIGNATURE];

/// Who tells people.
pub static NOTIFIERS: [&dyn AnyAdapter<dyn Notifier>; 1] = [&notifier_webhook::ADAPTER];

/// Where evidence is kept.
pub static OBJECTS: [&dyn AnyAdapter<dyn Objects>; 1] = [&evidence_directory::ADAPTER];

/// What this build is without, since a feature of it was switched off.
pub static LEFT_OUT: &[LeftOut] = &[
    #[cfg(not(feature = "kubernetes"))]
    deployer_kserve::LEFT_OUT,
    #[cfg(not(feature = "kubernetes"))]
    deployer_kubernetes::LEFT_OUT,
    #[cfg(not(feature = "kubernetes"))]
    deployer_seldon::LEFT_OUT,
    #[cfg(not(feature = "oci"))]
    registry_oci::LEFT_OUT,
    #[cfg(not(feature = "s3"))]
    checkpoints_s3::LEFT_OUT,
    #[cfg(not(feature = "s3"))]
    registry_objects::LEFT_OUT,
    #[cfg(not(feature = "aws"))]
    registry_sagemaker::LEFT_OUT,
    #[cfg(not(feature = "aws"))]
    deployer_sagemaker::LEFT_OUT,
    #[cfg(not(feature = "azure"))]
    registry_azureml::LEFT_OUT,
    #[cfg(not(feature = "azure"))]
    deployer_azureml::LEFT_OUT,
    #[cfg(not(feature = "google"))]
    registry_vertex::LEFT_OUT,
    #[cfg(not(feature = "google"))]
    deployer_vertex::LEFT_OUT,
];

/// What can be told of each, port by port.
pub fn all() -> Vec<About> {
    [
        about::<dyn Registry>(),
        about::<dyn Deployer>(),
        about::<dyn Restorer>(),
        about::<dyn Producer>(),
        about::<dyn Checkpoints>(),
        about::<dyn Endpoint>(),
        about::<dyn RequestLog>(),
        about::<dyn GoldenData>(),
        about::<dyn Metrics>(),
        about::<dyn AlertSource>(),
        about::<dyn Notifier>(),
        about::<dyn Objects>(),
    ]
    .concat()
}

fn about<P: Port + ?Sized>() -> Vec<About> {
    P::adapters().iter().map(|adapter| adapter.about()).collect()
}

//! What SageMaker answers, as far as it is read. What is not there may be left out or `null`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A page of a group's versions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Versions {
    pub(super) model_package_summary_list: Vec<Listed>,
    pub(super) next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) model_package_arn: String,
    pub(super) model_package_version: Option<u64>,
}

/// A model package group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Group {
    pub(super) model_package_group_arn: String,
}

/// A page of tags.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tags {
    pub(super) tags: Vec<Tag>,
    pub(super) next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}

/// One version.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Package {
    pub(super) model_package_arn: String,
    pub(super) model_package_version: Option<u64>,
    /// Seconds since 1970.
    pub(super) creation_time: f64,
    pub(super) inference_specification: Option<Inference>,
    pub(super) model_package_status: String,
    pub(super) model_package_status_details: Option<StatusDetails>,
    pub(super) model_approval_status: Option<String>,
    pub(super) approval_description: Option<String>,
    pub(super) model_life_cycle: Option<LifeCycle>,
    pub(super) customer_metadata_properties: Option<BTreeMap<String, String>>,
    pub(super) metadata_properties: Option<Metadata>,
    pub(super) source_algorithm_specification: Option<SourceAlgorithms>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inference {
    pub(super) containers: Option<Vec<Container>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    pub(super) container_hostname: Option<String>,
    pub(super) image: Option<String>,
    pub(super) image_digest: Option<String>,
    pub(super) model_data_url: Option<String>,
    #[serde(rename = "ModelDataETag")]
    pub(super) model_data_etag: Option<String>,
    pub(super) model_data_source: Option<ModelDataSource>,
    #[serde(rename = "AdditionalS3DataSource")]
    pub(super) additional: Option<S3Source>,
    #[serde(rename = "AdditionalModelDataSources")]
    pub(super) channels: Option<Vec<AdditionalSource>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct AdditionalSource {
    #[serde(rename = "ChannelName")]
    pub(super) channel: Option<String>,
    #[serde(rename = "S3DataSource")]
    pub(super) s3: Option<S3Source>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ModelDataSource {
    #[serde(rename = "S3DataSource")]
    pub(super) s3: Option<S3Source>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct S3Source {
    #[serde(rename = "S3Uri")]
    pub(super) uri: Option<String>,
    #[serde(rename = "S3DataType")]
    pub(super) kind: Option<String>,
    #[serde(rename = "ETag")]
    pub(super) etag: Option<String>,
    #[serde(rename = "ManifestS3Uri")]
    pub(super) manifest: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StatusDetails {
    pub(super) validation_statuses: Option<Vec<Validation>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Validation {
    pub(super) failure_reason: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LifeCycle {
    pub(super) stage: Option<String>,
    pub(super) stage_status: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Metadata {
    pub(super) commit_id: Option<String>,
    pub(super) repository: Option<String>,
    pub(super) generated_by: Option<String>,
    pub(super) project_id: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SourceAlgorithms {
    pub(super) source_algorithms: Option<Vec<SourceAlgorithm>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SourceAlgorithm {
    pub(super) algorithm_name: Option<String>,
}

/// A page of the steps of a pipeline's execution.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Steps {
    pub(super) pipeline_execution_steps: Vec<Step>,
    pub(super) next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Step {
    pub(super) metadata: Option<StepMetadata>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StepMetadata {
    pub(super) training_job: Option<JobOfStep>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct JobOfStep {
    pub(super) arn: Option<String>,
}

/// A training job.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TrainingJob {
    pub(super) training_job_arn: String,
    pub(super) hyper_parameters: Option<BTreeMap<String, String>>,
    pub(super) input_data_config: Option<Vec<Channel>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Channel {
    pub(super) channel_name: Option<String>,
    pub(super) data_source: Option<ChannelSource>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ChannelSource {
    #[serde(rename = "S3DataSource")]
    pub(super) s3: Option<S3Source>,
    #[serde(rename = "FileSystemDataSource")]
    pub(super) file_system: Option<FileSystem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FileSystem {
    pub(super) file_system_id: Option<String>,
    pub(super) directory_path: Option<String>,
}

/// `null` and what is left out, as text: nothing.
pub(super) fn text(value: Option<&String>) -> Option<String> {
    value.filter(|text| !text.is_empty()).cloned()
}

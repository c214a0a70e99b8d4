//! What Vertex AI and Cloud Storage answer, as far as it is read. What has its default is left out of an answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// `Model`: one version of a model.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Model {
    #[serde(deserialize_with = "left_out")]
    pub(super) version_id: String,
    #[serde(deserialize_with = "left_out")]
    pub(crate) version_aliases: Vec<String>,
    #[serde(deserialize_with = "left_out")]
    pub(super) version_create_time: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) create_time: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) artifact_uri: String,
    pub(super) container_spec: Option<ContainerSpec>,
    #[serde(deserialize_with = "left_out")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "left_out")]
    pub(super) training_pipeline: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) pipeline_job: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) metadata_artifact: String,
    pub(super) model_source_info: Option<SourceInfo>,
    pub(super) original_model_info: Option<OriginalInfo>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerSpec {
    #[serde(deserialize_with = "left_out")]
    pub(super) image_uri: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SourceInfo {
    #[serde(deserialize_with = "left_out")]
    pub(super) source_type: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct OriginalInfo {
    #[serde(deserialize_with = "left_out")]
    pub(super) model: String,
}

/// `ListModelVersionsResponse`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Versions {
    #[serde(deserialize_with = "left_out")]
    pub(super) models: Vec<Model>,
    pub(super) next_page_token: Option<String>,
}

/// `TrainingPipeline`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TrainingPipeline {
    #[serde(deserialize_with = "left_out")]
    pub(super) name: String,
    pub(super) training_task_inputs: Value,
    pub(super) input_data_config: Option<InputData>,
    #[serde(deserialize_with = "left_out")]
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct InputData {
    #[serde(deserialize_with = "left_out")]
    pub(super) dataset_id: String,
}

/// `LineageSubgraph` of Vertex ML Metadata.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Subgraph {
    #[serde(deserialize_with = "left_out")]
    pub(super) artifacts: Vec<Node>,
    #[serde(deserialize_with = "left_out")]
    pub(super) executions: Vec<Node>,
    #[serde(deserialize_with = "left_out")]
    pub(super) events: Vec<Edge>,
}

/// `Artifact`, and `Execution`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Node {
    #[serde(deserialize_with = "left_out")]
    pub(super) name: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) display_name: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) schema_title: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) uri: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) metadata: Map<String, Value>,
}

/// `Event`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Edge {
    #[serde(deserialize_with = "left_out")]
    pub(super) artifact: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) execution: String,
    #[serde(rename = "type", deserialize_with = "left_out")]
    pub(super) kind: String,
}

/// `Objects` of Cloud Storage.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Objects {
    /// Always there: an answer without is no list of objects.
    pub(super) kind: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) items: Vec<Object>,
    #[serde(default)]
    pub(super) next_page_token: Option<String>,
}

/// `Object`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object {
    pub(super) name: String,
    /// A number as a text.
    pub(super) size: String,
    /// A number as a text.
    pub(super) generation: String,
    /// Base 64; none where the object was composed of others.
    #[serde(default)]
    pub(super) md5_hash: Option<String>,
    /// Base 64, the highest byte first.
    #[serde(default)]
    pub(super) crc32c: Option<String>,
}

/// Every refusal of Google's interfaces.
#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    pub(super) error: Refusal,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    #[serde(deserialize_with = "left_out")]
    pub(super) message: String,
    /// Such as `PERMISSION_DENIED`. Cloud Storage has none.
    #[serde(deserialize_with = "left_out")]
    pub(super) status: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) details: Vec<Detail>,
}

/// `ErrorInfo`, and `RetryInfo`; what is neither has neither's members.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Detail {
    #[serde(deserialize_with = "left_out")]
    pub(super) reason: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) metadata: Map<String, Value>,
    /// Such as `30s`.
    pub(super) retry_delay: Option<String>,
}

/// `null` is as good as left out.
fn left_out<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

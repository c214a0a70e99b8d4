//! What Azure Machine Learning answers, as far as it is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Names and values that users write. A value may be `null`.
pub(crate) type Dictionary = BTreeMap<String, Option<String>>;

/// A page of a list, each entry as it came: one that cannot be read hides no other.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    pub(super) value: Vec<Value>,
    #[serde(default)]
    pub(super) next_link: Option<String>,
}

/// `ModelVersion`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version {
    pub(super) name: String,
    pub(crate) properties: VersionProperties,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) system_data: SystemData,
}

/// `ModelVersionProperties`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VersionProperties {
    #[serde(deserialize_with = "left_out")]
    pub(crate) tags: Dictionary,
    #[serde(deserialize_with = "left_out")]
    pub(super) properties: Dictionary,
    #[serde(deserialize_with = "left_out")]
    pub(super) is_archived: bool,
    #[serde(deserialize_with = "left_out")]
    pub(super) stage: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) job_name: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) model_uri: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) provisioning_state: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) datasets: Vec<DatasetReference>,
}

/// `DatasetReference`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct DatasetReference {
    #[serde(deserialize_with = "left_out")]
    pub(super) name: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) id: String,
}

/// `SystemData` of Azure Resource Manager.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SystemData {
    #[serde(deserialize_with = "left_out")]
    pub(super) created_at: String,
}

/// `ModelContainer`: the model itself.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) properties: ContainerProperties,
}

/// `ModelContainerProperties`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerProperties {
    #[serde(deserialize_with = "left_out")]
    pub(super) tags: Dictionary,
    #[serde(deserialize_with = "left_out")]
    pub(super) latest_version: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) provisioning_state: String,
}

/// `Datastore` of a workspace.
#[derive(Debug, Deserialize)]
pub(super) struct Datastore {
    pub(super) properties: DatastoreProperties,
}

/// `AzureBlobDatastore`, and `AzureDataLakeGen2Datastore`, whose containers are file systems.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DatastoreProperties {
    #[serde(deserialize_with = "left_out")]
    pub(super) datastore_type: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) account_name: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) container_name: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) filesystem: String,
}

/// `GetBlobReferenceSASResponseDto`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct References {
    pub(super) blob_reference_for_consumption: Reference,
}

/// `GetBlobReferenceForConsumptionDto`.
#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    pub(super) credential: ReferenceCredential,
}

/// `SASCredential`, and `AnonymousAccessCredential`, which holds none.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReferenceCredential {
    pub(super) credential_type: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) sas_uri: String,
}

/// `JobBase`.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    pub(super) properties: JobProperties,
}

/// What jobs of every kind have.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobProperties {
    #[serde(deserialize_with = "left_out")]
    pub(super) properties: Dictionary,
    #[serde(deserialize_with = "left_out")]
    pub(super) inputs: BTreeMap<String, JobInput>,
    #[serde(deserialize_with = "left_out")]
    pub(super) parameters: BTreeMap<String, Value>,
}

/// `JobInput`: a value, or an asset.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct JobInput {
    #[serde(deserialize_with = "left_out")]
    pub(super) job_input_type: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) uri: String,
    #[serde(deserialize_with = "left_out")]
    pub(super) value: String,
}

/// `null` is as good as left out.
fn left_out<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

//! What Vertex AI answers about endpoints, as far as it is read. What has its default is left out of an answer.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A JSON object as it came.
pub(super) type Object = Map<String, Value>;

/// `Endpoint`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    pub(super) name: String,
    /// What a change is conditional on.
    pub(super) etag: Option<String>,
    /// Each `DeployedModel` as it came: one that is odd hides no other.
    pub(super) deployed_models: Option<Vec<Value>>,
    /// Percent by the id of a deployed model.
    pub(super) traffic_split: Option<Object>,
    pub(super) dedicated_endpoint_enabled: Option<bool>,
    /// That a private endpoint is in.
    pub(super) network: Option<String>,
}

/// `Operation`: something that takes its time.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) done: Option<bool>,
    pub(super) error: Option<Status>,
    pub(super) metadata: Option<Object>,
}

impl Operation {
    pub(super) fn is_done(&self) -> bool {
        self.done == Some(true)
    }

    fn metadata(&self, key: &str) -> &str {
        let value = self.metadata.as_ref().and_then(|metadata| metadata.get(key));
        value.and_then(Value::as_str).unwrap_or_default()
    }

    /// Of what kind it is, such as `DeployModelOperationMetadata`.
    pub(super) fn kind(&self) -> &str {
        self.metadata("@type").rsplit('.').next().unwrap_or_default()
    }

    /// How far it is, such as `STARTING_MODEL_SERVER`.
    pub(super) fn stage(&self) -> &str {
        self.metadata("deploymentStage")
    }
}

/// `google.rpc.Status`: why an operation failed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    /// As gRPC numbers them.
    pub(super) code: i64,
    pub(super) message: String,
}

/// A page of operations.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Operations {
    pub(super) operations: Option<Vec<Operation>>,
    pub(super) next_page_token: Option<String>,
}

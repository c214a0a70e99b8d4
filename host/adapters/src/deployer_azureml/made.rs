//! What is written into Azure: a deployment of another version like the one that serves, and an endpoint with another split.

use std::collections::BTreeMap;

use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use serde_json::{Value, json};

use super::ScoringCode;
use super::seen::{Deployment, Object, Own, text};

/// What is taken over of a deployment: on what it runs, how it is asked and watched.
const KEPT: [&str; 12] = [
    "appInsightsEnabled",
    "containerResourceRequirements",
    "dataCollector",
    "egressPublicNetworkAccess",
    "endpointComputeType",
    "instanceType",
    "livenessProbe",
    "modelMountPath",
    "readinessProbe",
    "requestSettings",
    "scaleSettings",
    "startupProbe",
];
/// What may be the code of one version alone.
const CODE: [&str; 3] = ["codeConfiguration", "environmentId", "environmentVariables"];
/// Environments of Azure's own, which are of no version.
const CURATED: &str = "azureml://registries/azureml/environments/";
/// Of a version's name, in that of its deployment: Azure takes 32 characters.
const VERSION_CHARS: usize = 12;

/// A deployment that is to be made, under a name that stands for its content, so that the same is never made twice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) body: Value,
}

/// A deployment like this one with another version; why there is none otherwise.
pub(super) fn deployment(
    pattern: &Deployment,
    own: &Own,
    version: &VersionName,
    code: ScoringCode,
) -> Result<Made, String> {
    let came = &pattern.as_it_came;
    let empty = Object::new();
    let of = came["properties"].as_object().unwrap_or(&empty);
    let is_set = |key: &&&str| match of.get(**key) {
        Some(Value::Object(object)) => !object.is_empty(),
        Some(Value::String(environment)) => !environment.is_empty() && !is_curated(environment),
        Some(value) => !value.is_null(),
        None => false,
    };
    let set: Vec<&str> = CODE.iter().filter(is_set).copied().collect();
    if code == ScoringCode::Refuse && !set.is_empty() {
        return Err(format!(
            "the deployment `{}` has {}, which may be those of its version alone: deploy the version by hand, or write `scoring-code = \"keep\"` where all versions share them",
            pattern.name.escape_debug(),
            set.join(" and ")
        ));
    }
    let keys = KEPT.iter().chain(&CODE);
    let mut properties: Object =
        keys.filter_map(|key| Some(((*key).to_owned(), without_nulls(of.get(*key)?)?))).collect();
    properties.insert("model".to_owned(), own.named(version).into());
    let mut body = json!({ "location": came["location"], "properties": properties });
    for key in ["kind", "sku"] {
        if let Some(value) = without_nulls(&came[key]) {
            body[key] = value;
        }
    }
    if let Some(identity) = identity(&came["identity"]) {
        body["identity"] = identity;
    }
    let digest = Digest::tagged("ripcord azureml deployment 1", &[body.to_string().as_bytes()]).to_string();
    let plain = version.as_str().chars().filter(char::is_ascii_alphanumeric).take(VERSION_CHARS);
    let name = format!("rc-{}-{}", plain.collect::<String>(), digest.get(..12).unwrap_or_default());
    Ok(Made { name: name.to_ascii_lowercase(), body })
}

fn is_curated(environment: &str) -> bool {
    environment.get(..CURATED.len()).is_some_and(|start| start.eq_ignore_ascii_case(CURATED))
}

/// The endpoint with its traffic split anew, and everything else as it was read. What is mirrored to who gets traffic is mirrored no longer: Azure lets
/// nobody have both.
pub(super) fn endpoint(came: &Value, split: &BTreeMap<String, u32>) -> Value {
    let mut properties = came["properties"].as_object().cloned().unwrap_or_default();
    for answered in ["keys", "provisioningState", "scoringUri", "swaggerUri"] {
        properties.remove(answered);
    }
    properties.insert("traffic".to_owned(), json!(split));
    if let Some(Value::Object(mirrored)) = properties.get_mut("mirrorTraffic") {
        mirrored.retain(|name, _| !split.keys().any(|other| other.eq_ignore_ascii_case(name)));
    }
    let properties = without_nulls(&Value::Object(properties)).unwrap_or_default();
    let mut body = json!({ "location": came["location"], "properties": properties });
    for key in ["kind", "sku", "tags"] {
        if let Some(value) = without_nulls(&came[key]) {
            body[key] = value;
        }
    }
    if let Some(identity) = identity(&came["identity"]) {
        body["identity"] = identity;
    }
    body
}

/// An identity as it is written: what it was given in Azure is only ever answered.
fn identity(came: &Value) -> Option<Value> {
    let kind = text(came, "/type");
    if kind.is_empty() {
        return None;
    }
    let mut identity = json!({ "type": kind });
    if let Some(assigned) = came["userAssignedIdentities"].as_object().filter(|all| !all.is_empty()) {
        let assigned: Object = assigned.keys().map(|id| (id.clone(), json!({}))).collect();
        identity["userAssignedIdentities"] = assigned.into();
    }
    Some(identity)
}

/// `null` is as good as left out, at the top and one below.
fn without_nulls(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(object) => {
            let kept = object.iter().filter(|(_, value)| !value.is_null());
            Some(Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect()))
        }
        other => Some(other.clone()),
    }
}

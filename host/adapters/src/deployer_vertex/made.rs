//! What is deployed of another version: like what serves, but for the version.

use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use serde_json::Value;

use super::wire::Object;

/// What is taken over: on what it runs and as whom. What explains, speculates or was tuned belongs to a version, and stays with it.
const KEPT: [&str; 8] = [
    "automaticResources",
    "dedicatedResources",
    "disableContainerLogging",
    "disableExplanations",
    "enableAccessLogging",
    "fasterDeploymentConfig",
    "serviceAccount",
    "sharedResources",
];
/// An id has ten digits at most, and this is the first with as many.
const IDS_FROM: u64 = 1_000_000_000;

/// What is to be deployed, under an id of its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Made {
    pub(super) id: String,
    pub(super) body: Object,
}

/// `model` is its resource name, without a version. The id stands for the content, so that the same is never deployed twice.
pub(super) fn deployed_model(pattern: &Object, model: &str, version: &VersionName) -> Made {
    let mut body: Object =
        KEPT.iter().filter_map(|key| Some(((*key).to_owned(), pattern.get(*key)?.clone()))).collect();
    body.insert("model".to_owned(), format!("{model}@{version}").into());
    body.insert("displayName".to_owned(), format!("ripcord-{version}").into());
    let content = Value::Object(body.clone()).to_string();
    let digest = Digest::tagged("ripcord vertex deployed model 1", &[content.as_bytes()]).to_string();
    let number = u64::from_str_radix(digest.get(..12).unwrap_or("0"), 16).unwrap_or(0);
    let id = (IDS_FROM + number % (9 * IDS_FROM)).to_string();
    body.insert("id".to_owned(), id.clone().into());
    Made { id, body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_made_runs_as_what_serves_and_has_nothing_of_its_version() {
        let pattern = json!({
            "id": "77", "model": "projects/1/locations/x/models/4242@2", "modelVersionId": "2", "displayName": "team",
            "createTime": "2026-11-01T10:00:00Z", "status": { "availableReplicaCount": 3 }, "serviceAccount": "sa@x",
            "dedicatedResources": { "machineSpec": { "machineType": "n1-standard-4" }, "minReplicaCount": 2 },
            "explanationSpec": { "parameters": {} }, "checkpointId": "9", "speculativeDecodingSpec": {},
        });
        let version = VersionName::new("1").unwrap();
        let made =
            deployed_model(pattern.as_object().unwrap(), "projects/p/locations/x/models/4242", &version);
        let wanted = json!({
            "id": made.id, "model": "projects/p/locations/x/models/4242@1", "displayName": "ripcord-1", "serviceAccount": "sa@x",
            "dedicatedResources": { "machineSpec": { "machineType": "n1-standard-4" }, "minReplicaCount": 2 },
        });
        assert_eq!(Value::Object(made.body.clone()), wanted);
        assert!(made.id.len() == 10 && made.id.bytes().all(|byte| byte.is_ascii_digit()), "{}", made.id);
        let again = deployed_model(&made.body, "projects/p/locations/x/models/4242", &version);
        assert_eq!(again, made, "what is made of what was made has its id");
        let other = VersionName::new("3").unwrap();
        let other = deployed_model(&made.body, "projects/p/locations/x/models/4242", &other);
        assert_ne!(other.id, made.id);
    }
}

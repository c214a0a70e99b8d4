//! Who holds a field, as `managedFields` say.

use serde_json::Value;

use super::refusal::Owner;
use super::{FIELD_MANAGER, text};

/// Who else has set the field at this path, such as `["spec", "predictor", "model", "storageUri"]`.
pub(crate) fn strangers(object: &Value, path: &[&str]) -> Vec<Owner> {
    let entries = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut owners: Vec<Owner> = Vec::new();
    for entry in entries.iter().filter(|entry| text(&entry["subresource"]) != "status") {
        let manager = text(&entry["manager"]);
        let is_ours = manager == FIELD_MANAGER && entry["operation"] == "Apply";
        let owner = Owner { field: format!(".{}", path.join(".")), manager: manager.to_owned() };
        if !is_ours && holds(&entry["fieldsV1"], path) && !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    owners
}

/// Whether fields as `f:spec: {f:predictor: {}}` hold the path. What has nothing below is held whole, except what stands above everything: who has made
/// `spec` holds none of what is in it.
fn holds(fields: &Value, path: &[&str]) -> bool {
    let mut at = fields;
    for (depth, name) in path.iter().enumerate() {
        let Some(below) = at.get(format!("f:{name}")) else {
            return depth >= 2 && at.as_object().is_some_and(serde_json::Map::is_empty);
        };
        at = below;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whoever_holds_a_field_or_what_is_around_it_is_named() {
        let of = |manager: &str, operation: &str, fields: Value| json!({ "manager": manager, "operation": operation, "fieldsV1": fields });
        let object = json!({ "metadata": { "managedFields": [
            of("kubectl", "Update", json!({ "f:spec": { ".": {}, "f:predictor": { ".": {}, "f:model": { "f:storageUri": {} } } } })),
            of("argocd", "Apply", json!({ "f:spec": { "f:predictor": {} } })),
            of("ripcord", "Apply", json!({ "f:spec": { "f:predictor": { "f:model": { "f:storageUri": {} } } } })),
            of("maker", "Update", json!({ "f:spec": {} })),
            of("scaler", "Update", json!({ "f:spec": { "f:predictor": { "f:minReplicas": {} } } })),
        ] } });
        let found = strangers(&object, &["spec", "predictor", "model", "storageUri"]);
        let managers: Vec<_> = found.iter().map(|owner| owner.manager.as_str()).collect();
        assert_eq!(managers, ["kubectl", "argocd"]);
        assert_eq!(found[0].to_string(), "`.spec.predictor.model.storageUri` is held by `kubectl`");
    }
}

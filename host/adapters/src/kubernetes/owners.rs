//! Who holds a field, as `managedFields` say.

use serde_json::Value;

use super::refusal::Owner;
use super::{FIELD_MANAGER, text};

/// Who else has set the field at this path, such as `["spec", "predictor", "model", "storageUri"]`. An entry of a list stands there as [`entry`] writes it.
pub(crate) fn strangers(object: &Value, path: &[&str]) -> Vec<Owner> {
    let mut owners: Vec<Owner> = Vec::new();
    for entry in holders(object, path).into_iter().filter(|entry| !is_ours(entry)) {
        let owner = Owner { field: told(path), manager: text(&entry["manager"]).to_owned() };
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    owners
}

/// The entries of `managedFields` that hold the field at this path.
pub(crate) fn holders<'o>(object: &'o Value, path: &[&str]) -> Vec<&'o Value> {
    let entries = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let entries = entries.iter().filter(|entry| text(&entry["subresource"]) != "status");
    entries.filter(|entry| holds(&entry["fieldsV1"], path)).collect()
}

/// Whether an entry of `managedFields` is what we have applied, by whatever setting.
pub(crate) fn is_ours(entry: &Value) -> bool {
    is_own_name(text(&entry["manager"])) && entry["operation"] == "Apply"
}

/// Whether a manager is called as ours are: `ripcord`, or that with the place that is set.
pub(super) fn is_own_name(manager: &str) -> bool {
    manager.strip_prefix(FIELD_MANAGER).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The step of a path into a list, to the entry of this name.
pub(crate) fn entry(name: &str) -> String {
    format!("k:{}", serde_json::json!({ "name": name }))
}

/// A path as the interface tells it in a conflict: `.spec.containers[name="main"].image`.
fn told(path: &[&str]) -> String {
    let step = |step: &&str| match step.strip_prefix("k:").map(serde_json::from_str::<Value>) {
        Some(Ok(key)) => format!("[name={}]", key["name"]),
        _ => format!(".{step}"),
    };
    path.iter().map(step).collect()
}

/// Whether fields as `f:spec: {f:predictor: {}}` hold the path. What has nothing below is held whole, except what stands above everything: who has made
/// `spec` holds none of what is in it.
fn holds(fields: &Value, path: &[&str]) -> bool {
    let mut at = fields;
    for (depth, name) in path.iter().enumerate() {
        let key = if name.starts_with("k:") { (*name).to_owned() } else { format!("f:{name}") };
        let Some(below) = at.get(key) else {
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
            of("ripcord-container-main", "Apply", json!({ "f:spec": { "f:predictor": {} } })),
            of("ripcorder", "Apply", json!({ "f:spec": { "f:predictor": {} } })),
            of("maker", "Update", json!({ "f:spec": {} })),
            of("scaler", "Update", json!({ "f:spec": { "f:predictor": { "f:minReplicas": {} } } })),
        ] } });
        let found = strangers(&object, &["spec", "predictor", "model", "storageUri"]);
        let managers: Vec<_> = found.iter().map(|owner| owner.manager.as_str()).collect();
        assert_eq!(managers, ["kubectl", "argocd", "ripcorder"]);
        assert_eq!(found[0].to_string(), "`.spec.predictor.model.storageUri` is held by `kubectl`");
    }

    #[test]
    fn an_entry_of_a_list_is_found_by_its_name() {
        let fields =
            json!({ "f:spec": { "f:containers": { "k:{\"name\":\"main\"}": { ".": {}, "f:image": {} } } } });
        let object = json!({ "metadata": { "managedFields": [{ "manager": "kubectl", "operation": "Update", "fieldsV1": fields }] } });
        let of = |name: &str| strangers(&object, &["spec", "containers", &entry(name), "image"]);
        assert_eq!(of("main")[0].to_string(), "`.spec.containers[name=\"main\"].image` is held by `kubectl`");
        assert_eq!(of("other"), []);
    }
}

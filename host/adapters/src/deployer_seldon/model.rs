//! `Model` of Core 2: one storage address, which a server loads that has place for it.
//!
//! Its status says whether *it* is ready, and not for which state of the object: Seldon writes no `observedGeneration`, and what it said of the state before
//! stands there until it says something else. So what it said when the address was changed is kept as an annotation, and believed only once it says another thing.

use async_trait::async_trait;
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::name::VersionName;
use ripcord_ports::PortError;
use serde_json::{Value, json};

use super::experiment;
use crate::kubernetes::{self, At, Kind, Part, Resource, Template, shown, text};
use crate::text_time;

pub(super) const RESOURCE: Resource =
    Resource { group: "mlops.seldon.io", version: "v1alpha1", kind: "Model", plural: "models" };

/// Our annotation with what Seldon said of the state before: address and time.
const BEFORE: &str = "ripcord.dev/said-before";

/// In its place, where Seldon has said nothing.
const NOTHING: &str = "nothing";

/// Seldon's clock may be as many milliseconds ahead of the interface's, and both say whole seconds.
const APART_MS: u64 = 1_000;

/// How such an object says its version.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) uri: Template,
}

impl Model {
    /// The version that it is to serve.
    pub(super) fn stated(&self, object: &Value) -> Result<VersionName, String> {
        let uri = said(object)?;
        self.uri.version(uri).map_err(|why| format!("points at {why}"))
    }

    /// The version that it serves, as far as Seldon says so of the object as it is now.
    pub(super) fn served(&self, object: &Value) -> Result<VersionName, String> {
        let version = self.stated(object)?;
        let ready = ready(object)
            .ok_or_else(|| "has no condition `ModelReady`: is Seldon's controller there?".to_owned())?;
        if text(&ready["status"]) != "True" {
            return Err(format!("is not ready: {}", words(ready)));
        }
        if !is_said_since(object, ready) {
            return Err(format!(
                "is to serve `{version}`, and Seldon has said nothing of it since it was set: what it says is of the state before, or its controller has missed what came in between; where this stays, ask Seldon itself"
            ));
        }
        Ok(version)
    }
}

#[async_trait]
impl Kind for Model {
    fn resource(&self) -> Resource {
        RESOURCE
    }

    fn field(&self) -> &'static str {
        "storageUri"
    }

    fn value(&self, version: &VersionName) -> String {
        self.uri.of(version)
    }

    async fn wanted(&self, at: At<'_>, to: Option<&VersionName>) -> Result<Result<Value, String>, PortError> {
        let said = said(at.object).map(str::to_owned);
        let uri = said.map(|said| to.map_or(said, |version| self.uri.of(version)));
        Ok(uri.map(|uri| json!({ "storageUri": uri })))
    }

    fn fields(&self, _object: &Value) -> Vec<Vec<String>> {
        vec![["spec", "storageUri"].map(str::to_owned).to_vec()]
    }

    fn annotated(&self, object: &Value, changes: bool) -> Value {
        // What somebody else has set and Seldon has taken up already needs no further word.
        let is_known = !changes && self.served(object).is_ok();
        json!({ (BEFORE): if is_known { NOTHING.to_owned() } else { mark(object) } })
    }

    async fn live(&self, at: At<'_>) -> Result<LiveState, PortError> {
        let experiments = at.cluster.list_of_kind(experiment::RESOURCE).await?;
        if let Some(why) = experiments.iter().find_map(|one| experiment::takes_from(one, at.name)) {
            return Ok(LiveState::Unknown(why));
        }
        Ok(match self.served(at.object) {
            Ok(version) => {
                let part = Part { version, weight: 1.0, proof: Proof::ControlPlane };
                LiveState::Serving(kubernetes::shares(vec![part]))
            }
            Err(why) => LiveState::Unknown(format!("the `Model` {why}")),
        })
    }

    fn progress(&self, object: &Value) -> Option<String> {
        self.served(object).err().map(|why| format!("the `Model` {why}"))
    }

    fn odd(&self, object: &Value) -> Option<String> {
        self.stated(object).err()
    }
}

/// The address from which it is to be loaded.
fn said(object: &Value) -> Result<&str, String> {
    let spec = &object["spec"];
    if !spec["artifactVersion"].is_null() {
        return Err("has `artifactVersion`, which chooses among what lies at its address: leave it out, and have `storageUri` name the version".to_owned());
    }
    spec["storageUri"].as_str().filter(|uri| !uri.is_empty()).ok_or_else(|| "has no `storageUri`".to_owned())
}

fn ready(object: &Value) -> Option<&Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == "ModelReady")
}

/// What Seldon says of it.
fn words(ready: &Value) -> String {
    let all = [&ready["status"], &ready["message"], &ready["reason"]].map(text);
    format!("Seldon says `{}`", shown(&all.join(": ")))
}

/// What Seldon has said of a state, so that another word of its is known as such: since when, and what.
fn mark(object: &Value) -> String {
    let Some(ready) = ready(object) else { return NOTHING.to_owned() };
    format!("{} {}", text(&ready["status"]), text(&ready["lastTransitionTime"]))
}

/// Whether Seldon has said this after the address was set. After a shift of ours it is another word than before; after somebody else's it is one that is
/// clearly later than the change, though the interface and Seldon have each a clock of their own: whoever holds the field has set it, or other fields, by then.
fn is_said_since(object: &Value, ready: &Value) -> bool {
    let metadata = &object["metadata"];
    if metadata["generation"] == 1 {
        return true;
    }
    let holders = kubernetes::holders(object, &["spec", "storageUri"]);
    if holders.iter().any(|entry| kubernetes::is_ours(entry))
        && let Some(before) = metadata["annotations"][BEFORE].as_str()
    {
        return before != mark(object);
    }
    let of = |value: &Value| text_time::parse(text(value)).ok();
    let Some(said) = of(&ready["lastTransitionTime"]) else { return false };
    holders.iter().any(|entry| of(&entry["time"]).is_some_and(|set| set.0 + APART_MS < said.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "2026-11-28T10:00:00Z";

    fn model() -> Model {
        Model { uri: Template::new("model-uri", "s3://m/{version}", "fraud").unwrap() }
    }

    /// At 0.9, since it was set by `manager` at `set`.
    fn object(manager: &str, set: &str, annotations: Value) -> Value {
        let operation = if manager == "ripcord" { "Apply" } else { "Update" };
        json!({
            "metadata": { "generation": 4, "annotations": annotations, "managedFields": [
                { "manager": manager, "operation": operation, "time": set, "fieldsV1": { "f:spec": { "f:storageUri": {} } } },
            ] },
            "spec": { "storageUri": "s3://m/0.9" },
            "status": { "conditions": [
                { "type": "Ready", "status": "True" },
                { "type": "ModelReady", "status": "True", "message": "ModelAvailable", "lastTransitionTime": SAID },
            ] },
        })
    }

    #[test]
    fn what_seldon_said_of_the_state_before_is_not_believed() {
        let of = |manager, set, annotations| {
            model().served(&object(manager, set, annotations)).map(|v| v.to_string())
        };
        assert_eq!(of("kubectl", "2026-11-28T09:59:00Z", json!({})).unwrap(), "0.9");
        // Two clocks: what is of one second, or of the next, may have been said before.
        for set in [SAID, "2026-11-28T09:59:59Z"] {
            assert!(of("kubectl", set, json!({})).is_err(), "{set}");
        }
        assert_eq!(of("kubectl", "2026-11-28T09:59:58Z", json!({})).unwrap(), "0.9");
        let why = of("kubectl", "2026-11-28T10:00:01Z", json!({})).unwrap_err();
        assert!(why.contains("Seldon has said nothing of it since it was set"), "{why}");
        // After a change of ours no clock is asked.
        let before = |mark: &str| json!({ (BEFORE): mark });
        assert!(of("ripcord", "2026-11-28T09:00:00Z", before("True 2026-11-28T10:00:00Z")).is_err());
        assert_eq!(
            of("ripcord", "2026-11-28T11:00:00Z", before("True 2026-11-28T09:00:00Z")).unwrap(),
            "0.9"
        );
        // Of an annotation that is older than somebody else's change nothing is learnt.
        assert!(of("kubectl", "2026-11-28T11:00:00Z", before("True 2026-11-28T09:00:00Z")).is_err());
        let mut new = object("kubectl", "2026-11-28T11:00:00Z", json!({}));
        new["metadata"]["generation"] = json!(1);
        assert_eq!(model().served(&new).unwrap().as_str(), "0.9");
    }

    #[test]
    fn what_is_not_ready_or_names_no_version_is_told() {
        let of = |change: &dyn Fn(&mut Value)| {
            let mut object = object("kubectl", "2026-11-28T09:59:00Z", json!({}));
            change(&mut object);
            model().served(&object).unwrap_err()
        };
        let failed = json!([{ "type": "ModelReady", "status": "False", "message": "ModelFailed", "reason": "no bucket\u{1b}" }]);
        let why = of(&|object| object["status"]["conditions"] = failed.clone());
        assert_eq!(why, "is not ready: Seldon says `False: ModelFailed: no bucket\\u{1b}`");
        assert!(of(&|object| object["status"] = Value::Null).contains("has no condition `ModelReady`"));
        assert!(of(&|object| object["spec"]["artifactVersion"] = json!(3)).contains("has `artifactVersion`"));
        assert!(
            of(&|object| object["spec"]["storageUri"] = json!("gs://x")).contains("does not fit `model-uri`")
        );
        assert!(of(&|object| object["spec"] = json!({})).contains("has no `storageUri`"));
    }

    #[test]
    fn what_was_kept_before_somebody_elses_change_is_not_kept_for_theirs() {
        let marked = |object: &Value, uri: &str| {
            kubernetes::marks(&model(), object, &json!({ "storageUri": uri }))[BEFORE].clone()
        };
        let older = json!({ (BEFORE): "True 2026-11-28T08:00:00Z" });
        let now = format!("True {SAID}");
        // We have changed it, and change it once more.
        assert_eq!(marked(&object("ripcord", SAID, older.clone()), "s3://m/0.9"), older[BEFORE]);
        assert_eq!(marked(&object("ripcord", SAID, older.clone()), "s3://m/1.0"), now);
        // Somebody else has set it since, and Seldon has said nothing of that yet; or has.
        assert_eq!(marked(&object("kubectl", "2026-11-28T11:00:00Z", older.clone()), "s3://m/0.9"), now);
        assert_eq!(marked(&object("kubectl", "2026-11-28T09:00:00Z", older), "s3://m/0.9"), NOTHING);
    }
}

//! What a `Deployment` says is to run, and what the pods behind its service do run.

use async_trait::async_trait;
use ripcord_core::live::LiveState;
use ripcord_core::name::VersionName;
use ripcord_ports::PortError;
use serde_json::{Value, json};

use crate::kubernetes::{self, Answers, At, DEPLOYMENT, Kind, NamedBy, Replica, Resource, shown, text};

/// As many characters the name of a field manager has at most.
const MANAGER_CHARACTERS_MAX: usize = 128;

/// How such an object says its version.
#[derive(Debug)]
pub(super) struct Deployment {
    pub(super) by: NamedBy,
    /// None for the only one.
    pub(super) container: Option<String>,
    pub(super) service: String,
    pub(super) answers: Option<Answers>,
}

impl Deployment {
    fn container<'o>(&self, object: &'o Value) -> Result<&'o Value, String> {
        kubernetes::container(&object["spec"]["template"]["spec"], self.container.as_deref())
    }

    /// The version that a pod was made for.
    fn made_for(&self, container: &str, replica: &Replica) -> Result<VersionName, String> {
        let container = kubernetes::container(&replica.pod["spec"], Some(container))?;
        self.by.version(container).map_err(|why| format!("runs {why}"))
    }
}

#[async_trait]
impl Kind for Deployment {
    fn resource(&self) -> Resource {
        DEPLOYMENT
    }

    fn field(&self) -> &'static str {
        match self.by {
            NamedBy::Image(_) => "image",
            NamedBy::Variable(..) => "variable",
        }
    }

    fn value(&self, version: &VersionName) -> String {
        match &self.by {
            NamedBy::Image(_) => self.by.value(version),
            NamedBy::Variable(name, _) => format!("{name}={}", self.by.value(version)),
        }
    }

    fn place(&self) -> String {
        self.container.as_ref().map(|container| format!("container {container}")).unwrap_or_default()
    }

    fn manager(&self) -> String {
        let container = self.container.iter().map(|container| format!("-container-{container}"));
        let variable = match &self.by {
            NamedBy::Image(_) => None,
            NamedBy::Variable(name, _) => Some(format!("-variable-{name}")),
        };
        let place: String = container.chain(variable).collect();
        // Longer names the interface does not take.
        let name = format!("{}{place}", kubernetes::FIELD_MANAGER);
        name.chars().take(MANAGER_CHARACTERS_MAX).collect()
    }

    async fn wanted(&self, at: At<'_>, to: Option<&VersionName>) -> Result<Result<Value, String>, PortError> {
        let wanted = self.container(at.object).and_then(|container| {
            let said = self.by.said(container)?;
            let value = to.map_or_else(|| said.to_owned(), |version| self.by.value(version));
            let container = self.by.wanted(text(&container["name"]), &value);
            Ok(json!({ "template": { "spec": { "containers": [container] } } }))
        });
        Ok(wanted)
    }

    fn fields(&self, object: &Value) -> Vec<Vec<String>> {
        let Ok(container) = self.container(object) else { return Vec::new() };
        let above = ["spec", "template", "spec", "containers"].map(str::to_owned);
        vec![above.into_iter().chain(self.by.field(text(&container["name"]))).collect()]
    }

    async fn live(&self, at: At<'_>) -> Result<LiveState, PortError> {
        let read = self.container(at.object).and_then(|container| {
            Ok((text(&container["name"]).to_owned(), kubernetes::selector(at.object)?))
        });
        let (container, selector) = match read {
            Ok(read) => read,
            Err(why) => return Ok(LiveState::Unknown(format!("the `Deployment` {why}"))),
        };
        let behind = at.cluster.behind(&self.service, &selector, "`service`").await?;
        let made_for = |replica: &Replica| self.made_for(&container, replica);
        if let (NamedBy::Image(_), Err(why)) =
            (&self.by, kubernetes::one_image_each(&behind, &container, made_for))
        {
            return Ok(LiveState::Unknown(why));
        }
        Ok(match kubernetes::parts(&behind, 1.0, self.answers.as_ref(), made_for).await? {
            Ok(parts) => LiveState::Serving(kubernetes::shares(parts)),
            Err(why) => LiveState::Unknown(why),
        })
    }

    fn progress(&self, object: &Value) -> Option<String> {
        let (metadata, status) = (&object["metadata"], &object["status"]);
        if status["observedGeneration"].as_i64() < metadata["generation"].as_i64() {
            return Some("the cluster has not taken it up yet".to_owned());
        }
        let conditions = status["conditions"].as_array();
        let failed = conditions.into_iter().flatten().find(|condition| {
            let (kind, is) = (text(&condition["type"]), text(&condition["status"]));
            (kind == "Progressing" && is == "False") || (kind == "ReplicaFailure" && is == "True")
        });
        if let Some(condition) = failed {
            let why = [&condition["reason"], &condition["message"]].map(text).join(": ");
            return Some(format!("the cluster does not get on with it: `{}`", shown(&why)));
        }
        let count = |value: &Value| value.as_i64().unwrap_or(0);
        let (all, new, ready) = (
            count(&object["spec"]["replicas"]),
            count(&status["updatedReplicas"]),
            count(&status["readyReplicas"]),
        );
        (new < all || ready < all)
            .then(|| format!("of {all} pods {new} are new ones, and {ready} are ready in all"))
    }

    async fn hinders(&self, at: At<'_>, _to: Option<&VersionName>) -> Result<Option<String>, PortError> {
        let is_paused = at.object["spec"]["paused"] == Value::Bool(true);
        Ok(is_paused.then(|| {
            "is paused: no pod would be replaced; resume it first (`kubectl rollout resume`)".to_owned()
        }))
    }

    fn odd(&self, object: &Value) -> Option<String> {
        let container = self.container(object).ok()?;
        self.by.version(container).err().map(|why| format!("runs {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::Template;

    fn by_image() -> Deployment {
        let template = Template::new("image", "r/fraud:{version}", "fraud").unwrap();
        Deployment { by: NamedBy::Image(template), container: None, service: "fraud".into(), answers: None }
    }

    #[test]
    fn the_field_that_is_set_is_the_containers_own() {
        let object = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "r/fraud:1.0" }] } } } });
        assert_eq!(
            by_image().fields(&object)[0].join(" "),
            "spec template spec containers k:{\"name\":\"main\"} image"
        );
        assert_eq!(by_image().odd(&object), None);
        let template = Template::new("value", "{version}", "fraud").unwrap();
        let by = NamedBy::Variable("V".into(), template);
        let by_variable = Deployment { by, ..by_image() };
        assert!(by_variable.fields(&object)[0].join(" ").ends_with("env k:{\"name\":\"V\"} value"));
        assert_eq!(
            (by_image().manager().as_str(), by_variable.manager().as_str()),
            ("ripcord", "ripcord-variable-V")
        );
        let of_one = Deployment { container: Some("main".into()), ..by_image() };
        assert_eq!(of_one.manager(), "ripcord-container-main");
        assert!(by_variable.odd(&object).unwrap().contains("sets no variable `V`"));
    }

    #[test]
    fn how_far_it_is_is_told() {
        let of = |status: Value| {
            by_image().progress(
                &json!({ "metadata": { "generation": 2 }, "spec": { "replicas": 3 }, "status": status }),
            )
        };
        assert!(of(json!({ "observedGeneration": 1 })).unwrap().contains("not taken it up"));
        let failed = json!({ "observedGeneration": 2, "conditions": [{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }] });
        assert!(of(failed).unwrap().contains("ProgressDeadlineExceeded"));
        let some = of(json!({ "observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 3 })).unwrap();
        assert_eq!(some, "of 3 pods 2 are new ones, and 3 are ready in all");
        assert_eq!(of(json!({ "observedGeneration": 2, "updatedReplicas": 3, "readyReplicas": 3 })), None);
    }
}

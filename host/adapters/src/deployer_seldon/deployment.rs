//! `SeldonDeployment`: predictors with a part of the traffic each, whose graph has one model.
//!
//! `predictors` is one value to Kubernetes, so it is sent whole, as it was read but for what names the version.

use async_trait::async_trait;
use ripcord_core::live::LiveState;
use ripcord_core::name::VersionName;
use ripcord_ports::PortError;
use serde_json::{Value, json};

use crate::kubernetes::{self, Answers, At, Behind, Kind, NamedBy, Replica, Resource, Template, shown, text};

const RESOURCE: Resource = Resource {
    group: "machinelearning.seldon.io",
    version: "v1",
    kind: "SeldonDeployment",
    plural: "seldondeployments",
};

/// More predictors than one deployment has.
const PREDICTORS_MAX: usize = 20;

/// Longer names of services are replaced by a digest of them.
const SERVICE_CHARACTERS_MAX: usize = 63;

/// The annotation of a predictor that names its service.
const SERVICE: &str = "seldon.io/svc-name";

/// What says how a predictor's service is called.
const NAMED_BY: &str = "the predictor's name, or its annotation `seldon.io/svc-name`,";

/// The label by which its pods are found.
const LABEL: &str = "seldon-deployment-id";

/// How such an object says its version.
#[derive(Debug)]
pub(super) struct SeldonDeployment {
    by: By,
    answers: Option<Answers>,
}

#[derive(Debug)]
enum By {
    /// `graph.modelUri`.
    Uri(Template),
    /// The image of the container that the graph's model is.
    Image(NamedBy),
}

/// A predictor that takes traffic.
#[derive(Debug, PartialEq)]
struct Predictor<'o> {
    index: usize,
    name: &'o str,
    /// Of its graph's model, which is the container's as well.
    model: &'o str,
    /// Of all traffic, from 0 to 1.
    weight: f64,
}

impl SeldonDeployment {
    pub(super) fn by_uri(uri: Template, answers: Option<Answers>) -> Self {
        Self { by: By::Uri(uri), answers }
    }

    pub(super) fn by_image(image: NamedBy, answers: Option<Answers>) -> Self {
        Self { by: By::Image(image), answers }
    }

    /// What a predictor says now.
    fn said<'o>(&self, predictor: &'o Value) -> Result<&'o str, String> {
        match &self.by {
            By::Uri(_) => predictor["graph"]["modelUri"].as_str().filter(|uri| !uri.is_empty()).ok_or_else(|| {
                format!(
                    "has no `modelUri` in the predictor `{}`: set `image` where the model is an image of its own",
                    shown(text(&predictor["name"]))
                )
            }),
            By::Image(image) => {
                let (component, index) = component(predictor)?;
                image.said(&component["spec"]["containers"][index])
            }
        }
    }

    fn version(&self, predictor: &Value) -> Result<VersionName, String> {
        match &self.by {
            By::Uri(uri) => uri.version(self.said(predictor)?).map_err(|why| format!("points at {why}")),
            By::Image(image) => {
                let (component, index) = component(predictor)?;
                image.version(&component["spec"]["containers"][index]).map_err(|why| format!("runs {why}"))
            }
        }
    }

    fn set(&self, predictor: &mut Value, version: &VersionName) -> Result<(), String> {
        match &self.by {
            By::Uri(uri) => {
                self.said(predictor)?;
                predictor["graph"]["modelUri"] = json!(uri.of(version));
            }
            By::Image(image) => {
                let index = component(predictor)?.1;
                let of = position(predictor)?;
                predictor["componentSpecs"][of]["spec"]["containers"][index]["image"] =
                    json!(image.value(version));
            }
        }
        Ok(())
    }

    /// The version that a pod of this model was made for.
    fn made_for(&self, model: &str, replica: &Replica) -> Result<VersionName, String> {
        match &self.by {
            By::Uri(uri) => {
                let source = source(&replica.pod, model)
                    .ok_or_else(|| "does not say from where its model was brought".to_owned())?;
                uri.version(&source).map_err(|why| format!("has its model from {why}"))
            }
            By::Image(image) => {
                let container = kubernetes::container(&replica.pod["spec"], Some(model))?;
                image.version(container).map_err(|why| format!("runs {why}"))
            }
        }
    }
}

#[async_trait]
impl Kind for SeldonDeployment {
    fn resource(&self) -> Resource {
        RESOURCE
    }

    fn field(&self) -> &'static str {
        match self.by {
            By::Uri(_) => "modelUri",
            By::Image(_) => "image",
        }
    }

    fn value(&self, version: &VersionName) -> String {
        match &self.by {
            By::Uri(uri) => uri.of(version),
            By::Image(image) => image.value(version),
        }
    }

    async fn wanted(&self, at: At<'_>, to: Option<&VersionName>) -> Result<Result<Value, String>, PortError> {
        let found = match predictors(at.object) {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        let mut all = at.object["spec"]["predictors"].clone();
        for predictor in found {
            let one = &mut all[predictor.index];
            let set = match to {
                Some(version) => self.set(one, version),
                None => self.said(one).map(|_| ()),
            };
            if let Err(why) = set {
                return Ok(Err(why));
            }
        }
        Ok(Ok(json!({ "predictors": all })))
    }

    fn fields(&self, _object: &Value) -> Vec<Vec<String>> {
        vec![["spec", "predictors"].map(str::to_owned).to_vec()]
    }

    async fn live(&self, at: At<'_>) -> Result<LiveState, PortError> {
        let found = match predictors(at.object) {
            Ok(found) => found,
            Err(why) => return Ok(LiveState::Unknown(format!("it {why}"))),
        };
        let of = found.len();
        let mut parts = Vec::new();
        for predictor in found {
            let service = match service(at.name, &at.object["spec"]["predictors"][predictor.index]) {
                Ok(service) => service,
                Err(why) => return Ok(LiveState::Unknown(why)),
            };
            let behind = at.cluster.behind(&service, &format!("{LABEL}={}", at.name), NAMED_BY).await?;
            if let Some(why) = without_pods(&predictor, of, &behind) {
                return Ok(LiveState::Unknown(why));
            }
            let made_for = |replica: &Replica| self.made_for(predictor.model, replica);
            if let (By::Image(_), Err(why)) =
                (&self.by, kubernetes::one_image_each(&behind, predictor.model, made_for))
            {
                return Ok(LiveState::Unknown(why));
            }
            match kubernetes::parts(&behind, predictor.weight, self.answers.as_ref(), made_for).await? {
                Ok(found) => parts.extend(found),
                Err(why) => return Ok(LiveState::Unknown(why)),
            }
        }
        Ok(LiveState::Serving(kubernetes::shares(parts)))
    }

    fn progress(&self, object: &Value) -> Option<String> {
        let status = &object["status"];
        let state = text(&status["state"]);
        (!state.is_empty() && state != "Available")
            .then(|| format!("Seldon says `{}` (`{}`)", shown(state), shown(text(&status["description"]))))
    }

    fn odd(&self, object: &Value) -> Option<String> {
        let found = predictors(object).ok()?;
        found.iter().find_map(|one| self.version(&object["spec"]["predictors"][one.index]).err())
    }
}

/// The predictors that take traffic, or why they cannot be rolled back here.
fn predictors(object: &Value) -> Result<Vec<Predictor<'_>>, String> {
    let all = object["spec"]["predictors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() || all.len() > PREDICTORS_MAX {
        return Err(format!("has {} predictors: from 1 to {PREDICTORS_MAX} can be read", all.len()));
    }
    // A shadow is sent a copy of what others are asked, and nobody sees its answers.
    let real: Vec<_> = all.iter().enumerate().filter(|(_, one)| one["shadow"] != Value::Bool(true)).collect();
    let said = |one: &Value| usize::try_from(one["traffic"].as_i64().unwrap_or(0).clamp(0, 100)).unwrap_or(0);
    let total: usize = real.iter().map(|(_, one)| said(one)).sum();
    let mut found = Vec::new();
    for (index, one) in &real {
        // One that is alone takes everything, whatever is said of it.
        let weight = if real.len() == 1 { 1.0 } else { kubernetes::portion(said(one), total) };
        if weight <= 0.0 {
            continue;
        }
        let (name, graph) = (text(&one["name"]), &one["graph"]);
        if graph["children"].as_array().is_some_and(|children| !children.is_empty()) {
            return Err(format!(
                "has a graph of several steps in the predictor `{}`: one model is rolled back here",
                shown(name)
            ));
        }
        // Its default is written as a type that is unknown.
        let kind = text(&graph["type"]);
        if !["", "MODEL", "UNKNOWN_TYPE"].contains(&kind) {
            return Err(format!(
                "has a graph of the type `{}` in the predictor `{}`: models are rolled back here",
                shown(kind),
                shown(name)
            ));
        }
        let explainer = &one["explainer"];
        if !text(&explainer["type"]).is_empty() || !text(&explainer["modelUri"]).is_empty() {
            return Err(format!(
                "has an explainer in the predictor `{}`, which would stay that of another version: give it a `SeldonDeployment` of its own",
                shown(name)
            ));
        }
        found.push(Predictor { index: *index, name, model: text(&graph["name"]), weight });
    }
    if found.is_empty() {
        return Err("has no predictor that takes traffic".to_owned());
    }
    Ok(found)
}

/// Of several predictors one that is sent a part of the traffic and has no ready pod: what its part is served by, nobody knows.
fn without_pods(predictor: &Predictor<'_>, of: usize, behind: &Behind) -> Option<String> {
    let is_without = of > 1 && behind.ready.is_empty() && behind.unclear.is_none();
    is_without.then(|| {
        format!(
            "the predictor `{}` is sent {:.0} % of the traffic and has no ready pod ({} are not ready)",
            shown(predictor.name),
            predictor.weight * 100.0,
            behind.unready
        )
    })
}

/// The component whose container is the graph's model, with the container's index.
fn component(predictor: &Value) -> Result<(&Value, usize), String> {
    let components = predictor["componentSpecs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let model = text(&predictor["graph"]["name"]);
    let mut found = components.iter().filter_map(|component| {
        let containers = component["spec"]["containers"].as_array()?;
        Some((component, containers.iter().position(|container| text(&container["name"]) == model)?))
    });
    found.next().ok_or_else(|| {
        format!(
            "has no container `{}` in the predictor `{}`, as its graph's model is called",
            shown(model),
            shown(text(&predictor["name"]))
        )
    })
}

/// Which of its components that is.
fn position(predictor: &Value) -> Result<usize, String> {
    let found = component(predictor)?.0;
    let components = predictor["componentSpecs"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(components.iter().position(|component| std::ptr::eq(component, found)).unwrap_or(0))
}

/// The service that leads to a predictor's pods.
fn service(deployment: &str, predictor: &Value) -> Result<String, String> {
    let own = predictor["annotations"][SERVICE].as_str();
    let name = own.map_or_else(|| format!("{deployment}-{}", text(&predictor["name"])), str::to_owned);
    if name.len() > SERVICE_CHARACTERS_MAX || kubernetes::is_name("predictor", &name).is_err() {
        return Err(format!(
            "the service of its predictor would be called `{}`, which Seldon replaces by a digest or no service can be: give it a name of at most {SERVICE_CHARACTERS_MAX} characters by the annotation `{SERVICE}`",
            shown(&name)
        ));
    }
    Ok(name)
}

/// From where a pod's model was brought: the first argument of the initializer that Seldon adds for the container. A claim is mounted, so that its path is
/// there and its name at the volume.
fn source(pod: &Value, model: &str) -> Option<String> {
    let initializer = format!("{model}-model-initializer");
    let initializer = initializer.get(..SERVICE_CHARACTERS_MAX).unwrap_or(&initializer).trim_end_matches('-');
    let containers = pod["spec"]["initContainers"].as_array()?;
    let found = containers.iter().find(|one| text(&one["name"]) == initializer)?;
    let source = found["args"][0].as_str()?;
    let Some(path) = source.strip_prefix("/mnt/pvc/") else { return Some(source.to_owned()) };
    let volumes = pod["spec"]["volumes"].as_array()?;
    let volume = volumes.iter().find(|volume| text(&volume["name"]) == "kfserving-pvc-source")?;
    Some(format!("pvc://{}/{path}", volume["persistentVolumeClaim"]["claimName"].as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(predictors: Value) -> Value {
        json!({ "spec": { "predictors": predictors } })
    }

    fn by_uri() -> SeldonDeployment {
        SeldonDeployment::by_uri(Template::new("model-uri", "s3://m/{version}", "fraud").unwrap(), None)
    }

    #[test]
    fn predictors_that_take_traffic_are_found_with_their_part() {
        let graph = json!({ "name": "m", "modelUri": "a" });
        let two = object(json!([
            { "name": "main", "traffic": 75, "graph": graph },
            { "name": "canary", "traffic": 25, "graph": graph },
            { "name": "off", "traffic": 0, "graph": {} },
            { "name": "mirror", "shadow": true, "traffic": 100, "graph": {} },
        ]));
        let found = predictors(&two).unwrap();
        let told: Vec<_> = found.iter().map(|one| (one.index, one.name, one.weight)).collect();
        assert_eq!(told, [(0, "main", 0.75), (1, "canary", 0.25)]);
        let alone = object(json!([{ "name": "main", "graph": graph }]));
        assert_eq!(predictors(&alone).unwrap()[0].weight, 1.0);
        let steps = json!([{ "name": "main", "graph": { "modelUri": "a", "children": [{}] } }]);
        let idle = json!([{ "name": "a", "graph": {} }, { "name": "b", "graph": {} }]);
        for (odd, expected) in [
            (json!([]), "has 0 predictors"),
            (Value::Null, "has 0 predictors"),
            (steps, "a graph of several steps"),
            (idle, "no predictor that takes traffic"),
            (
                json!([{ "name": "main", "graph": { "name": "m", "type": "ROUTER" } }]),
                "a graph of the type `ROUTER` in the predictor `main`",
            ),
            (
                json!([{ "name": "main", "graph": graph, "explainer": { "modelUri": "s3://m/1.1-explainer" } }]),
                "has an explainer in the predictor `main`",
            ),
        ] {
            let why = predictors(&object(odd)).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn a_part_of_the_traffic_without_a_ready_pod_is_told() {
        let predictor = Predictor { index: 1, name: "canary", model: "m", weight: 0.2 };
        let none = Behind { unready: 2, ..Behind::default() };
        let why = without_pods(&predictor, 2, &none).unwrap();
        assert_eq!(
            why,
            "the predictor `canary` is sent 20 % of the traffic and has no ready pod (2 are not ready)"
        );
        assert_eq!(without_pods(&predictor, 1, &none), None, "one alone serves nothing");
    }

    #[test]
    fn a_version_is_set_where_it_was_read() {
        let version = VersionName::new("0.9").unwrap();
        let mut one = json!({ "name": "main", "graph": { "name": "m", "modelUri": "s3://m/1.0", "implementation": "SKLEARN_SERVER" } });
        by_uri().set(&mut one, &version).unwrap();
        assert_eq!(
            one["graph"],
            json!({ "name": "m", "modelUri": "s3://m/0.9", "implementation": "SKLEARN_SERVER" })
        );
        assert!(
            by_uri()
                .set(&mut json!({ "name": "main", "graph": {} }), &version)
                .unwrap_err()
                .contains("has no `modelUri`")
        );

        let image = NamedBy::Image(Template::new("image", "r/fraud:{version}", "fraud").unwrap());
        let by_image = SeldonDeployment::by_image(image, None);
        let mut one = json!({ "name": "main", "graph": { "name": "m" }, "componentSpecs": [
            { "spec": { "containers": [{ "name": "other", "image": "x" }] } },
            { "spec": { "containers": [{ "name": "proxy", "image": "y" }, { "name": "m", "image": "r/fraud:1.0" }] } },
        ] });
        assert_eq!(by_image.version(&one).unwrap().as_str(), "1.0");
        by_image.set(&mut one, &version).unwrap();
        assert_eq!(one["componentSpecs"][1]["spec"]["containers"][1]["image"], "r/fraud:0.9");
        assert_eq!(one["componentSpecs"][0]["spec"]["containers"][0]["image"], "x");
        one["graph"]["name"] = json!("nobody");
        assert!(by_image.set(&mut one, &version).unwrap_err().contains("has no container `nobody`"));
    }

    #[test]
    fn a_pod_tells_from_where_its_model_was_brought() {
        let pod = |name: &str, from: &str| {
            json!({ "spec": {
                "initContainers": [{ "name": "other-model-initializer", "args": ["no"] }, { "name": name, "args": [from, "/mnt/models"] }],
                "volumes": [{ "name": "kfserving-pvc-source", "persistentVolumeClaim": { "claimName": "models" } }],
            } })
        };
        assert_eq!(source(&pod("m-model-initializer", "s3://a"), "m").as_deref(), Some("s3://a"));
        assert_eq!(
            source(&pod("m-model-initializer", "/mnt/pvc/fraud/1"), "m").as_deref(),
            Some("pvc://models/fraud/1")
        );
        assert_eq!(source(&pod("x-model-initializer", "s3://a"), "m"), None);
        assert_eq!(source(&Value::Null, "m"), None);
    }

    #[test]
    fn a_predictor_has_a_service() {
        assert_eq!(service("fraud", &json!({ "name": "main" })).unwrap(), "fraud-main");
        let own = json!({ "name": "main", "annotations": { SERVICE: "own" } });
        assert_eq!(service("fraud", &own).unwrap(), "own");
        let long = json!({ "name": "x".repeat(60) });
        assert!(service("fraud", &long).unwrap_err().contains(SERVICE));
        assert!(service("fraud", &json!({ "name": "../x" })).is_err());
    }
}

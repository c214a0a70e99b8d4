//! The endpoint of the fake of Vertex AI: what is deployed, how its traffic is split, and operations that take their time.

use serde_json::{Map, Value, json};

use super::fake::{
    Answer, Exchange, LOCATION, MODEL, PROJECT_NUMBER, World, invalid, no_such, page, refusal,
};

pub(crate) const ENDPOINT: &str = "5150";

/// The endpoint, and what goes on there.
#[derive(Default)]
pub(crate) struct Serving {
    /// As it is answered, but for its name and etag.
    pub(crate) endpoint: Map<String, Value>,
    pub(crate) changes: u64,
    /// Looks at an operation until it has ended.
    pub(crate) looks: u32,
    /// Why deployments fail, with gRPC's code.
    pub(crate) fails: Option<(i64, &'static str)>,
    /// Of which model and version answers are, instead of what has most of the traffic.
    pub(crate) answers_as: Option<(String, String)>,
    pub(crate) operations: Vec<Operation>,
}

pub(crate) struct Operation {
    looks_left: u32,
    kind: &'static str,
    deployed: Value,
    error: Option<Value>,
    done: bool,
}

/// A model that is deployed, with machines of its own.
pub(crate) fn deployed(id: &str, version: &str) -> Value {
    json!({
        "id": id,
        "model": format!("projects/{PROJECT_NUMBER}/locations/{LOCATION}/models/{MODEL}"),
        "modelVersionId": version,
        "displayName": format!("team-{version}"),
        "createTime": "2026-11-01T10:00:00Z",
        "serviceAccount": "serving@acme-ml.iam.gserviceaccount.com",
        "dedicatedResources": {
            "machineSpec": { "machineType": "n1-standard-4" }, "minReplicaCount": 2, "maxReplicaCount": 5,
        },
        "explanationSpec": { "parameters": { "sampledShapleyAttribution": { "pathCount": 10 } } },
        "status": { "availableReplicaCount": 2 },
    })
}

impl Serving {
    /// These versions, each under an id of its own that is its number four times, with these percents of the traffic.
    pub(crate) fn serves(&mut self, versions: &[(&str, u32)]) {
        let all: Vec<Value> =
            versions.iter().map(|(version, _)| deployed(&version.repeat(4), version)).collect();
        let split: Map<String, Value> = versions
            .iter()
            .filter(|(_, percent)| *percent > 0)
            .map(|(version, percent)| (version.repeat(4), json!(percent)))
            .collect();
        let endpoint = json!({
            "displayName": "fraud", "createTime": "2026-10-01T10:00:00Z", "updateTime": "2026-11-01T10:00:00Z",
            "labels": { "team": "payments" }, "deployedModels": all, "trafficSplit": split,
        });
        self.endpoint = endpoint.as_object().unwrap().clone();
        self.changes += 1;
    }

    pub(crate) fn split(&self) -> Value {
        self.endpoint["trafficSplit"].clone()
    }

    /// Somebody else splits the traffic.
    pub(crate) fn resplit(&mut self, split: Value) {
        self.endpoint.insert("trafficSplit".into(), split);
        self.changes += 1;
    }

    fn deployed(&self) -> Vec<Value> {
        self.endpoint.get("deployedModels").and_then(Value::as_array).cloned().unwrap_or_default()
    }

    fn whole(&self) -> Value {
        let mut whole = self.endpoint.clone();
        let name = format!("projects/{PROJECT_NUMBER}/locations/{LOCATION}/endpoints/{ENDPOINT}");
        whole.entry("name").or_insert(name.into());
        whole.entry("etag").or_insert(format!("AMEw9yM-{}", self.changes).into());
        Value::Object(whole)
    }

    /// Somebody else begins something that takes its time.
    pub(crate) fn begin(&mut self, kind: &'static str, deployed: Value) -> usize {
        let error = self.fails.map(|(code, message)| json!({ "code": code, "message": message }));
        let looks_left = self.looks;
        self.operations.push(Operation { looks_left, kind, deployed, error, done: false });
        self.operations.len()
    }

    fn operation(&self, number: usize) -> Value {
        let operation = &self.operations[number - 1];
        let times = json!({ "createTime": "2026-11-28T10:00:00Z", "updateTime": "2026-11-28T10:01:00Z" });
        let mut told = json!({
            "name": format!("projects/{PROJECT_NUMBER}/locations/{LOCATION}/endpoints/{ENDPOINT}/operations/{number}"),
            "metadata": {
                "@type": format!("type.googleapis.com/google.cloud.aiplatform.v1.{}OperationMetadata", operation.kind),
                "genericMetadata": times, "deploymentStage": "STARTING_MODEL_SERVER",
            },
        });
        if operation.done {
            told["done"] = true.into();
            match &operation.error {
                Some(error) => told["error"] = error.clone(),
                None => {
                    told["response"] = json!({
                        "@type": format!("type.googleapis.com/google.cloud.aiplatform.v1.{}Response", operation.kind),
                        "deployedModel": operation.deployed,
                    });
                }
            }
        }
        told
    }

    /// Time goes on for an operation.
    fn look(&mut self, number: usize) {
        let operation = &mut self.operations[number - 1];
        if operation.done {
            return;
        }
        if operation.looks_left > 0 {
            operation.looks_left -= 1;
            return;
        }
        operation.done = true;
        if operation.error.is_some() {
            return;
        }
        let (kind, one) = (operation.kind, operation.deployed.clone());
        let mut all = self.deployed();
        match kind {
            "DeployModel" => all.push(one),
            _ => all.retain(|other| other["id"] != one["id"]),
        }
        self.endpoint.insert("deployedModels".into(), all.into());
        self.changes += 1;
    }
}

fn aborted(message: &str) -> (u16, Value) {
    (409, refusal(409, "ABORTED", message, &[]))
}

pub(super) fn answer(world: &mut World, exchange: &Exchange, method: &str, rest: &[&str]) -> Answer {
    let (id, rest) = rest.split_first().ok_or_else(|| no_such("Requested entity was not found."))?;
    let (id, verb) = id.split_once(':').map_or((*id, None), |(id, verb)| (id, Some(verb)));
    if id != ENDPOINT || world.serving.endpoint.is_empty() {
        return Err(no_such("Endpoint `projects/acme-ml/locations/europe-west4/endpoints/x` is not found."));
    }
    let body = &exchange.body;
    match (method, verb, rest) {
        ("GET", None, []) => Ok(world.serving.whole()),
        ("PATCH", None, []) => split(&mut world.serving, body),
        ("GET", None, ["operations"]) => {
            let all: Vec<Value> =
                (1..=world.serving.operations.len()).map(|number| world.serving.operation(number)).collect();
            let (operations, next) = page(&all, exchange);
            let mut answer = json!({ "operations": operations });
            if let Some(next) = next {
                answer["nextPageToken"] = next.into();
            }
            Ok(answer)
        }
        ("GET", None, ["operations", number]) => {
            let number: usize = number.parse().map_err(|_| no_such("no operation"))?;
            if !(1..=world.serving.operations.len()).contains(&number) {
                return Err(no_such("no operation"));
            }
            world.serving.look(number);
            Ok(world.serving.operation(number))
        }
        ("POST", Some("deployModel"), []) => deploy(world, &body["deployedModel"]),
        ("POST", Some("undeployModel"), []) => {
            let id = body["deployedModelId"].as_str().unwrap_or_default();
            if world.serving.split().get(id).is_some() {
                return Err((400, refusal(400, "FAILED_PRECONDITION", "it has traffic", &[])));
            }
            let number = world.serving.begin("UndeployModel", json!({ "id": id }));
            let begun = world.serving.operation(number);
            world.serving.look(number);
            Ok(begun)
        }
        ("POST", Some("predict"), []) => predict(&world.serving, body),
        _ => Err(invalid("there is no such method")),
    }
}

fn split(serving: &mut Serving, body: &Value) -> Answer {
    if body["etag"] != serving.whole()["etag"] {
        return Err(aborted("The etag does not match: the endpoint was changed."));
    }
    let split = body["trafficSplit"].as_object().cloned().unwrap_or_default();
    let sum: u64 = split.values().filter_map(Value::as_u64).sum();
    let is_deployed = |id: &String| serving.deployed().iter().any(|one| one["id"] == **id);
    if !matches!(sum, 0 | 100) || !split.keys().all(is_deployed) {
        return Err(invalid("traffic_split does not add up to 100, or names what is not deployed"));
    }
    serving.resplit(split.into());
    Ok(serving.whole())
}

fn deploy(world: &mut World, wanted: &Value) -> Answer {
    let name = wanted["model"].as_str().unwrap_or_default();
    let reference = name.rsplit_once('@').map(|(_, reference)| reference);
    let number = world.at(reference).ok_or_else(|| no_such("The Model does not exist."))?;
    let serving = &mut world.serving;
    if serving.operations.iter().any(|one| !one.done) {
        let message = "There are other operations running on the endpoint.";
        return Err((400, refusal(400, "FAILED_PRECONDITION", message, &[])));
    }
    if serving.deployed().iter().any(|one| one["id"] == wanted["id"]) {
        return Err((409, refusal(409, "ALREADY_EXISTS", "The deployed model's id is taken.", &[])));
    }
    let mut one = wanted.clone();
    one["modelVersionId"] = number.to_string().into();
    one["createTime"] = "2026-11-28T10:01:00Z".into();
    one["status"] = json!({ "availableReplicaCount": 2 });
    let number = serving.begin("DeployModel", one);
    Ok(serving.operation(number))
}

fn predict(serving: &Serving, body: &Value) -> Answer {
    if !body["instances"].is_array() {
        return Err(invalid("instances must be set"));
    }
    let split = serving.split();
    let percent = |one: &Value| split.get(one["id"].as_str().unwrap_or_default()).and_then(Value::as_u64);
    let all = serving.deployed();
    let one = all.iter().max_by_key(|one| percent(one)).filter(|one| percent(one).is_some());
    let one = one.ok_or_else(|| invalid("the endpoint accepts no traffic"))?;
    let mut told = json!({
        "predictions": [0.5], "deployedModelId": one["id"], "model": one["model"], "modelDisplayName": "fraud",
        "modelVersionId": one["modelVersionId"],
    });
    if let Some((model, version)) = &serving.answers_as {
        (told["model"], told["modelVersionId"]) = (json!(model), json!(version));
    }
    Ok(told)
}

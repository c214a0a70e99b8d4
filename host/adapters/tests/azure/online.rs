//! The online endpoint of the fake of Azure Machine Learning: its deployments, how its traffic is split, and changes that take their time.

use serde_json::{Map, Value, json};

use super::fake::{
    Answer, Exchange, GROUP, MODEL, SUBSCRIPTION, WORKSPACE, World, of, precondition, refusal, scope,
};

pub(crate) const ENDPOINT: &str = "fraud";
/// So many deployments stand on a page, whatever is asked for.
const PAGE: usize = 2;

/// The endpoint.
#[derive(Default)]
pub(crate) struct Online {
    /// The whole of it; none of it where there is none.
    pub(crate) endpoint: Map<String, Value>,
    pub(crate) deployments: Vec<Value>,
    /// Looks at a change until it has ended.
    pub(crate) looks: u32,
    looks_left: u32,
    /// How changes end.
    pub(crate) ends: Option<&'static str>,
    /// The split that a change leads to.
    wanted: Option<Value>,
    /// Whether that is told while the change goes on, in place of the split that is in force.
    pub(crate) tells_wanted: bool,
}

/// The resource name of a version of the model.
pub(crate) fn model(version: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}/models/{MODEL}/versions/{version}"
    )
}

/// A deployment of a version, under a name with its number.
pub(crate) fn deployment(name: &str, version: &str) -> Value {
    let home = scope(&format!("workspaces/{WORKSPACE}"));
    json!({
        "id": format!("{home}/onlineEndpoints/{ENDPOINT}/deployments/{name}"), "name": name,
        "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments",
        "location": "westeurope", "tags": { "version": version }, "kind": "Managed", "sku": { "name": "Default", "capacity": 3 },
        "systemData": { "createdAt": "2026-11-01T10:00:00Z" },
        "properties": {
            "endpointComputeType": "Managed", "instanceType": "Standard_F4s_v2", "model": model(version),
            "environmentId": "azureml://registries/azureml/environments/sklearn/versions/7", "description": format!("the {version}th"),
            "scaleSettings": { "scaleType": "Default" }, "requestSettings": { "maxConcurrentRequestsPerInstance": 4 },
            "environmentVariables": null, "codeConfiguration": null, "appInsightsEnabled": true, "provisioningState": "Succeeded",
            "properties": { "AzureAsyncOperationUri": "https://of-others.example/operations/1" },
        },
    })
}

impl Online {
    /// These versions, each in a deployment of its own that is named by it, with these percents of the traffic.
    pub(crate) fn serves(&mut self, versions: &[(&str, u64)]) {
        self.deployments =
            versions.iter().map(|(version, _)| deployment(&format!("v{version}"), version)).collect();
        let named = |(version, percent): &(&str, u64)| (format!("v{version}"), json!(percent));
        let traffic: Map<String, Value> =
            versions.iter().filter(|(_, percent)| *percent > 0).map(named).collect();
        let home = scope(&format!("workspaces/{WORKSPACE}"));
        let identity_of = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/serving";
        let endpoint = json!({
            "id": format!("{home}/onlineEndpoints/{ENDPOINT}"), "name": ENDPOINT,
            "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints", "location": "westeurope",
            "tags": { "team": "payments" }, "kind": "Managed",
            "identity": {
                "type": "UserAssigned", "principalId": "p", "tenantId": "t",
                "userAssignedIdentities": { identity_of: { "clientId": "c", "principalId": "p" } },
            },
            "systemData": { "createdAt": "2026-10-01T10:00:00Z", "lastModifiedAt": "2026-11-01T10:00:00Z" },
            "properties": {
                "authMode": "Key", "description": "finds fraud", "keys": null, "publicNetworkAccess": "Enabled",
                "properties": { "azureml.onlineendpointid": "x" }, "provisioningState": "Succeeded",
                "scoringUri": "https://fraud.westeurope.inference.ml.azure.com/score", "swaggerUri": null,
                "traffic": traffic, "mirrorTraffic": {}, "compute": null,
            },
        });
        self.endpoint = endpoint.as_object().unwrap().clone();
    }

    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.endpoint["properties"][key] = value;
    }

    pub(crate) fn traffic(&self) -> Value {
        self.endpoint["properties"]["traffic"].clone()
    }

    /// Somebody else changes the endpoint towards this split.
    pub(crate) fn begin(&mut self, split: Value) {
        self.set("provisioningState", "Updating".into());
        if self.tells_wanted {
            self.set("traffic", split.clone());
        }
        self.wanted = Some(split);
        self.looks_left = self.looks;
    }

    /// Time goes on.
    fn look(&mut self) {
        if self.looks_left > 0 {
            self.looks_left -= 1;
            return;
        }
        let end = self.ends.unwrap_or("Succeeded");
        if let Some(wanted) = self.wanted.take() {
            self.set("provisioningState", end.into());
            if end == "Succeeded" {
                self.set("traffic", wanted);
            }
        }
        for one in &mut self.deployments {
            if one["properties"]["provisioningState"] == "Creating" {
                one["properties"]["provisioningState"] = end.into();
            }
        }
    }
}

fn no_such() -> (u16, Value) {
    (404, refusal("ResourceNotFound", "The Resource was not found."))
}

pub(super) fn answer(world: &mut World, exchange: &Exchange, host: &str, rest: &[&str]) -> Answer {
    let is_there = rest.first() == Some(&ENDPOINT) && !world.online.endpoint.is_empty();
    if !is_there {
        return Err(no_such());
    }
    match (exchange.method.as_str(), &rest[1..]) {
        ("GET", []) => {
            world.online.look();
            Ok((200, world.online.endpoint.clone().into()))
        }
        ("PUT", []) => split(world, exchange),
        ("GET", ["deployments"]) => {
            let all = &world.online.deployments;
            let from: usize = of(exchange, "$skip").and_then(|skip| skip.parse().ok()).unwrap_or(0);
            let until = all.len().min(from + PAGE);
            let mut page = json!({ "value": all[from.min(until)..until] });
            if until < all.len() {
                let path = &exchange.path;
                page["nextLink"] = format!("http://{host}{path}?api-version=2025-12-01&$skip={until}").into();
            }
            Ok((200, page))
        }
        ("GET", ["deployments", name]) => {
            world.online.look();
            let found = world.online.deployments.iter().find(|one| one["name"] == *name).cloned();
            found.map(|one| (200, one)).ok_or_else(no_such)
        }
        ("PUT", ["deployments", name]) => {
            let mut made = exchange.body.clone();
            made["name"] = (*name).into();
            made["properties"]["provisioningState"] = "Creating".into();
            made["systemData"] = json!({ "createdAt": "2026-11-28T10:00:00Z" });
            let online = &mut world.online;
            online.looks_left = online.looks;
            online.deployments.retain(|one| one["name"] != *name);
            online.deployments.push(made.clone());
            Ok((201, made))
        }
        _ => Err((405, refusal("MethodNotAllowed", "No."))),
    }
}

fn split(world: &mut World, exchange: &Exchange) -> Answer {
    if world.online.endpoint["properties"]["provisioningState"] == "Updating" {
        return Err((409, refusal("Conflict", "Another operation is in progress on the endpoint.")));
    }
    precondition(world, exchange)?;
    let properties = &exchange.body["properties"];
    let traffic = properties["traffic"].as_object().cloned().unwrap_or_default();
    let mirrored = properties["mirrorTraffic"].as_object().cloned().unwrap_or_default();
    let sum: u64 = traffic.values().filter_map(Value::as_u64).sum();
    let is_known = |name: &String| world.online.deployments.iter().any(|one| one["name"] == **name);
    if !matches!(sum, 0 | 100)
        || !traffic.keys().all(is_known)
        || traffic.keys().any(|name| mirrored.contains_key(name))
    {
        return Err((
            400,
            refusal(
                "BadRequest",
                "The traffic does not add up to 100, or names what is not there or mirrored.",
            ),
        ));
    }
    world.writes += 1;
    let online = &mut world.online;
    let kept: Vec<(&str, Value)> =
        ["id", "name", "type", "systemData"].map(|key| (key, online.endpoint[key].clone())).into();
    let before = online.traffic();
    online.endpoint = exchange.body.as_object().cloned().unwrap_or_default();
    for (key, value) in kept {
        online.endpoint.insert(key.to_owned(), value);
    }
    online.set("provisioningState", "Updating".into());
    let told = Value::Object(online.endpoint.clone());
    // Until it has ended, what is in force is what was.
    if !online.tells_wanted {
        online.set("traffic", before);
    }
    online.wanted = Some(traffic.into());
    online.looks_left = online.looks;
    Ok((200, told))
}

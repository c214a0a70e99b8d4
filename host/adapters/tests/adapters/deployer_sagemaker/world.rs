//! An endpoint of SageMaker that takes its time, fails, and goes back, as moto's does not. AWS's own client judges what it says (`tests/moto`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::registry_sagemaker::{Said, refuses, says};
use super::super::support::Server;

pub(crate) const ARN: &str = "arn:aws:sagemaker:eu-west-1:123456789012";

/// What becomes of updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// They are there in the end.
    Settles,
    /// They are taken back.
    GoesBack,
    /// They end in the middle.
    HalfBack,
}

type Twist = Box<dyn Fn(&str, usize) -> Option<Said> + Send>;

pub(crate) struct World {
    pub(crate) endpoint: Value,
    pub(crate) configurations: BTreeMap<String, Value>,
    pub(crate) models: BTreeMap<String, Value>,
    pub(crate) tags: Value,
    /// Versions that were rejected, and those whose package was deleted.
    pub(crate) rejected: Vec<String>,
    pub(crate) deleted: Vec<String>,
    pub(crate) outcome: Outcome,
    /// Looks at an update until it has ended.
    pub(crate) looks: u32,
    looks_left: u32,
    changes: u64,
    /// Operation, what was sent, what was answered with success.
    pub(crate) asked: Vec<(String, Value, Value)>,
    /// What is answered instead, by the operation and how often it was asked before.
    twist: Twist,
}

/// A model of one version of the group.
pub(crate) fn model(name: &str, version: &str) -> Value {
    json!({
        "ModelName": name, "ModelArn": format!("{ARN}:model/{name}"), "CreationTime": 1.0,
        "PrimaryContainer": { "ModelPackageName": format!("{ARN}:model-package/fraud/{version}"), "Environment": { "LOG": "debug" } },
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/sm", "EnableNetworkIsolation": true,
    })
}

/// A configuration with variants of such models.
pub(crate) fn configuration(name: &str, variants: &[(&str, &str, f64)]) -> Value {
    let variant = |(variant, model, weight): &(&str, &str, f64)| {
        json!({
            "VariantName": variant, "ModelName": model, "InitialInstanceCount": 2, "InstanceType": "ml.m5.large",
            "InitialVariantWeight": weight,
        })
    };
    let variants: Vec<Value> = variants.iter().map(variant).collect();
    json!({
        "EndpointConfigName": name, "EndpointConfigArn": format!("{ARN}:endpoint-config/{name}"), "CreationTime": 1.0,
        "ProductionVariants": variants, "KmsKeyId": "key",
    })
}

fn standing(configuration: &Value) -> Value {
    let variants = configuration["ProductionVariants"].as_array().unwrap().iter();
    let one = |of: &Value| {
        let weight = of["InitialVariantWeight"].clone();
        json!({
            "VariantName": of["VariantName"], "CurrentWeight": weight, "DesiredWeight": weight,
            "CurrentInstanceCount": 2, "DesiredInstanceCount": 2,
        })
    };
    variants.map(one).collect()
}

impl World {
    fn new(variants: &[(&str, &str, f64)]) -> Self {
        let live = configuration("team", variants);
        let endpoint = json!({
            "EndpointName": "fraud", "EndpointArn": format!("{ARN}:endpoint/fraud"), "EndpointConfigName": "team",
            "EndpointStatus": "InService", "CreationTime": 1.0, "LastModifiedTime": 1.0, "ProductionVariants": standing(&live),
        });
        let models =
            ["1", "2", "3"].map(|version| (format!("m{version}"), model(&format!("m{version}"), version)));
        Self {
            endpoint,
            configurations: [("team".to_owned(), live)].into(),
            models: models.into(),
            tags: json!([]),
            rejected: Vec::new(),
            deleted: Vec::new(),
            outcome: Outcome::Settles,
            looks: 0,
            looks_left: 0,
            changes: 1,
            asked: Vec::new(),
            twist: Box::new(|_, _| None),
        }
    }

    /// Someone else has it work with another configuration.
    pub(crate) fn moved_to(&mut self, name: &str, variants: &[(&str, &str, f64)]) {
        let other = configuration(name, variants);
        self.endpoint["ProductionVariants"] = standing(&other);
        self.endpoint["EndpointConfigName"] = json!(name);
        self.configurations.insert(name.to_owned(), other);
        self.changed();
    }

    pub(crate) fn has(&mut self, status: &str, reason: Option<&str>) {
        if status == "Updating" {
            self.looks_left = self.looks;
        }
        self.endpoint["EndpointStatus"] = json!(status);
        self.endpoint["FailureReason"] = json!(reason);
        if reason.is_none() {
            self.endpoint.as_object_mut().unwrap().remove("FailureReason");
        }
        self.changed();
    }

    fn changed(&mut self) {
        self.changes += 1;
        self.endpoint["LastModifiedTime"] = json!(self.changes as f64);
    }

    fn begins(&mut self) {
        self.has("Updating", None);
        if self.looks == 0 {
            self.ends();
        }
    }

    fn ends(&mut self) {
        let pending = self.endpoint.as_object_mut().unwrap().remove("PendingDeploymentSummary");
        if self.outcome != Outcome::Settles {
            let status = if self.outcome == Outcome::GoesBack { "InService" } else { "UpdateRollbackFailed" };
            return self.has(status, Some("The container did not pass the ping health check\u{1b}[2J"));
        }
        if let Some(pending) = pending {
            let name = pending["EndpointConfigName"].as_str().unwrap().to_owned();
            self.endpoint["ProductionVariants"] = standing(&self.configurations[&name]);
            self.endpoint["EndpointConfigName"] = json!(name);
        }
        for variant in self.endpoint["ProductionVariants"].as_array_mut().unwrap() {
            variant["CurrentWeight"] = variant["DesiredWeight"].clone();
        }
        self.has("InService", None);
    }

    fn say(&mut self, operation: &str, body: &Value) -> Result<Value, Said> {
        let name = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let absent = |what: &str| refuses("ValidationException", &format!("Could not find {what}."));
        let busy = refuses("ValidationException", "Cannot update in-progress endpoint \"arn:x\".");
        Ok(match operation {
            "DescribeEndpoint" if name("EndpointName") != "fraud" => {
                return Err(absent("endpoint \"arn:x\""));
            }
            "DescribeEndpoint" => {
                if self.endpoint["EndpointStatus"] == "Updating" {
                    if self.looks_left == 0 {
                        self.ends();
                    }
                    self.looks_left = self.looks_left.saturating_sub(1);
                }
                self.endpoint.clone()
            }
            "DescribeEndpointConfig" => self
                .configurations
                .get(&name("EndpointConfigName"))
                .ok_or_else(|| absent("endpoint configuration"))?
                .clone(),
            "DescribeModel" => self.models.get(&name("ModelName")).ok_or_else(|| absent("model"))?.clone(),
            "CreateModel" => {
                let arn = json!({ "ModelArn": format!("{ARN}:model/{}", name("ModelName")) });
                self.models.insert(name("ModelName"), with(body, &arn, &json!({ "CreationTime": 2.0 })));
                arn
            }
            "CreateEndpointConfig" => {
                let arn = json!({ "EndpointConfigArn": format!("{ARN}:endpoint-config/{}", name("EndpointConfigName")) });
                self.configurations
                    .insert(name("EndpointConfigName"), with(body, &arn, &json!({ "CreationTime": 2.0 })));
                arn
            }
            "UpdateEndpoint" | "UpdateEndpointWeightsAndCapacities"
                if self.endpoint["EndpointStatus"] == "Updating" =>
            {
                return Err(busy);
            }
            "UpdateEndpoint" => {
                let pending = json!({ "EndpointConfigName": body["EndpointConfigName"], "StartTime": 3.0 });
                self.endpoint["PendingDeploymentSummary"] = pending;
                self.begins();
                json!({ "EndpointArn": format!("{ARN}:endpoint/fraud") })
            }
            "UpdateEndpointWeightsAndCapacities" => {
                for wanted in body["DesiredWeightsAndCapacities"].as_array().unwrap() {
                    let variants = self.endpoint["ProductionVariants"].as_array_mut().unwrap();
                    let variant =
                        variants.iter_mut().find(|one| one["VariantName"] == wanted["VariantName"]).unwrap();
                    variant["DesiredWeight"] = wanted["DesiredWeight"].clone();
                }
                self.begins();
                json!({ "EndpointArn": format!("{ARN}:endpoint/fraud") })
            }
            "ListTags" => json!({ "Tags": self.tags }),
            "ListModelPackages" => {
                let listed = |number: u64| {
                    json!({
                        "ModelPackageArn": format!("{ARN}:model-package/fraud/{number}"), "ModelPackageVersion": number, "CreationTime": 1.0,
                        "ModelPackageStatus": "Completed",
                    })
                };
                json!({ "ModelPackageSummaryList": [listed(3), listed(2), listed(1)] })
            }
            "DescribeModelPackage" => {
                let arn = name("ModelPackageName");
                let number: u64 = arn.rsplit('/').next().unwrap().parse().unwrap();
                if self.deleted.contains(&number.to_string()) {
                    return Err(refuses(
                        "ValidationException",
                        &format!("ModelPackage {arn} does not exist."),
                    ));
                }
                let approval =
                    if self.rejected.contains(&number.to_string()) { "Rejected" } else { "Approved" };
                json!({
                    "ModelPackageArn": arn, "ModelPackageVersion": number, "CreationTime": 1.0, "ModelPackageStatus": "Completed",
                    "ModelApprovalStatus": approval,
                    "InferenceSpecification": { "Containers": [{ "Image": "img", "Environment": { "OF_PACKAGE": "x" } }] },
                })
            }
            other => panic!("nobody asks for {other}"),
        })
    }
}

fn with(body: &Value, arn: &Value, time: &Value) -> Value {
    let mut all = body.as_object().unwrap().clone();
    all.extend(arn.as_object().unwrap().clone());
    all.extend(time.as_object().unwrap().clone());
    Value::Object(all)
}

/// A server of such a world.
pub(crate) struct Fake {
    server: Server,
    world: Arc<Mutex<World>>,
}

impl Fake {
    /// Whose endpoint serves these variants: name, model (`m1` to `m3`, each of that version), weight.
    pub(crate) async fn serving(variants: &[(&str, &str, f64)]) -> Self {
        let world = Arc::new(Mutex::new(World::new(variants)));
        let within = Arc::clone(&world);
        let answer = async move |headers: HeaderMap, body: String| -> Response {
            let target = headers["x-amz-target"].to_str().unwrap();
            let operation = target.strip_prefix("SageMaker.").unwrap().to_owned();
            let body: Value = serde_json::from_str(&body).unwrap();
            let (status, headers, body) = {
                let mut world = within.lock().unwrap();
                let before = world.asked.iter().filter(|(name, ..)| *name == operation).count();
                let said = match (world.twist)(&operation, before) {
                    Some(other) => Err(other),
                    None => world.say(&operation, &body),
                };
                let answered = said.as_ref().ok().cloned().unwrap_or_default();
                world.asked.push((operation, body, answered));
                said.map_or_else(|said| said, |answer| says(200, &answer))
            };
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        };
        Self { server: Server::start(Router::new().fallback(answer)).await, world }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("")
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(crate) fn twist(&self, twist: impl Fn(&str, usize) -> Option<Said> + Send + 'static) {
        let mut world = self.world();
        world.asked.clear();
        world.twist = Box::new(twist);
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        self.world().asked.iter().filter(|(name, ..)| name == operation).count()
    }

    pub(crate) fn last(&self, operation: &str) -> Value {
        let world = self.world();
        world.asked.iter().rev().find(|(name, ..)| name == operation).unwrap().1.clone()
    }
}

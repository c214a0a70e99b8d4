//! In place of KServe's controller, Knative and a kubelet: writes `status`, pods and endpoints as they do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::server::{Admin, NAMESPACE};

/// The name of the `InferenceService`.
pub(super) const NAME: &str = "fraud";
const PODS: usize = 3;
const SOURCE: &str = "internal.serving.kserve.io/storage-initializer-sourceuri";
const BETWEEN: Duration = Duration::from_millis(20);

pub(super) fn isvc() -> String {
    format!("/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices/{NAME}")
}

pub(super) fn uri(version: &str) -> String {
    format!("s3://models/fraud/{version}")
}

/// What is in the tests' hands.
#[derive(Debug, Default)]
pub(super) struct Hands {
    /// The controller sees nothing any more.
    pub(super) asleep: AtomicBool,
    /// So many of the pods stay as they were.
    pub(super) stuck: AtomicUsize,
    /// Pods that are made are not ready.
    pub(super) unready: AtomicBool,
    /// What a pod answers, where it is not what it was made for.
    pub(super) lies: AtomicBool,
}

/// The controller. It ends when this is dropped.
pub(super) struct StandIn {
    pub(super) hands: Arc<Hands>,
    _tasks: JoinSet<()>,
}

/// How KServe runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Knative,
    Standard,
}

#[derive(Default)]
struct State {
    generation: i64,
    uri: String,
    revision: usize,
    rolled_out: usize,
    /// The versions of the pods at their addresses.
    serves: Arc<std::sync::Mutex<Vec<String>>>,
}

impl StandIn {
    /// `answers` has each pod's place answer the Open Inference Protocol.
    pub(super) async fn start(admin: Admin, mode: Mode, answers: bool) -> Self {
        let hands = Arc::new(Hands::default());
        let mut tasks = JoinSet::new();
        let serves = Arc::new(std::sync::Mutex::new(vec![String::new(); PODS]));
        let mut port = 8080;
        if answers {
            port = 0;
            for index in 0..PODS {
                // One port at every address, as pods have it.
                let listener = TcpListener::bind((format!("127.77.0.{}", index + 1), port)).await.unwrap();
                port = listener.local_addr().unwrap().port();
                let (serves, hands) = (serves.clone(), hands.clone());
                let answer = move |Json(_): Json<Value>| {
                    let version = match hands.lies.load(Ordering::SeqCst) && index == 0 {
                        true => "0.9".to_owned(),
                        false => serves.lock().unwrap()[index].clone(),
                    };
                    async move { Json(json!({ "model_version": version, "outputs": [] })) }
                };
                let router = Router::new().route("/v2/models/fraud/infer", post(answer));
                tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
            }
        }
        let mut state = State { serves, ..State::default() };
        let seen = hands.clone();
        tasks.spawn(async move {
            loop {
                if !seen.asleep.load(Ordering::SeqCst) {
                    state.look(&admin, mode, port, &seen).await;
                }
                tokio::time::sleep(BETWEEN).await;
            }
        });
        Self { hands, _tasks: tasks }
    }
}

impl State {
    async fn look(&mut self, admin: &Admin, mode: Mode, port: u16, hands: &Hands) {
        let Some(object) = admin.find(&isvc()).await else { return };
        let generation = object["metadata"]["generation"].as_i64().unwrap();
        if generation == self.generation {
            return;
        }
        let predictor = &object["spec"]["predictor"];
        let uri = predictor["model"]["storageUri"].as_str().unwrap().to_owned();
        if uri != self.uri {
            self.revision += 1;
            let service = match mode {
                Mode::Knative => format!("{}-private", self.name(self.revision)),
                Mode::Standard => format!("{NAME}-predictor"),
            };
            self.pods(admin, &service, &uri, port, hands).await;
            if mode == Mode::Knative {
                let revisions = format!("/apis/serving.knative.dev/v1/namespaces/{NAMESPACE}/revisions");
                let metadata = json!({ "name": self.name(self.revision), "annotations": { SOURCE: uri } });
                let revision = json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Revision", "metadata": metadata });
                admin.create(&revisions, revision).await;
            }
            self.uri = uri;
        }
        let percent = predictor["canaryTrafficPercent"].as_i64().unwrap_or(100);
        if percent == 100 || self.rolled_out == 0 {
            self.rolled_out = self.revision;
        }
        let latest = self.name(self.revision);
        let mut traffic = vec![json!({ "revisionName": latest, "latestRevision": true, "percent": percent })];
        if percent < 100 {
            traffic.push(json!({ "revisionName": self.name(self.rolled_out), "percent": 100 - percent, "tag": "prev" }));
        }
        let mut predictor = json!({ "latestReadyRevision": latest, "latestCreatedRevision": latest });
        if mode == Mode::Knative {
            predictor["traffic"] = json!(traffic);
        }
        // Of Knative's service or of the Deployment, as KServe writes it: each counts for itself, and may be before the object or behind it.
        let revision = i64::try_from(self.revision).unwrap();
        let (mode, observed) = match mode {
            Mode::Knative => ("Serverless", generation + 6),
            Mode::Standard => ("RawDeployment", revision),
        };
        let status = json!({ "status": {
            "observedGeneration": observed, "deploymentMode": mode, "components": { "predictor": predictor },
            "conditions": [{ "type": "Ready", "status": "True" }],
            "modelStatus": { "transitionStatus": "UpToDate" },
        } });
        admin.merge(&format!("{}/status", isvc()), "kserve-controller", status).await;
        self.generation = generation;
    }

    fn name(&self, revision: usize) -> String {
        format!("{NAME}-predictor-{revision:05}")
    }

    /// The pods behind a service, of which some stay as they were.
    async fn pods(&self, admin: &Admin, service: &str, uri: &str, port: u16, hands: &Hands) {
        let stuck = hands.stuck.load(Ordering::SeqCst);
        let ready = !hands.unready.load(Ordering::SeqCst);
        let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        let slices = format!("/apis/discovery.k8s.io/v1beta1/namespaces/{NAMESPACE}/endpointslices");
        let old = admin.find(&format!("{slices}/{service}")).await;
        let mut endpoints: Vec<Value> = Vec::new();
        for index in 0..PODS {
            let was = old.as_ref().map(|old| old["endpoints"][index].clone()).filter(Value::is_object);
            if let Some(was) = was.filter(|_| index >= PODS - stuck) {
                endpoints.push(was);
                continue;
            }
            let name = format!("{NAME}-{}-{index}", self.revision);
            let made = json!({
                "metadata": {
                    "name": name, "labels": { "serving.kserve.io/inferenceservice": NAME },
                    "annotations": { SOURCE: uri },
                },
                "spec": { "containers": [{ "name": "kserve-container", "image": "none" }] },
            });
            admin.create(&pods, made).await;
            self.serves.lock().unwrap()[index] = uri.rsplit('/').next().unwrap().to_owned();
            endpoints.push(json!({
                "addresses": [format!("10.77.0.{}", index + 1)], "conditions": { "ready": ready },
                "targetRef": { "kind": "Pod", "name": name, "namespace": NAMESPACE },
            }));
        }
        if old.is_some() {
            let patch = json!({ "endpoints": endpoints });
            admin.merge(&format!("{slices}/{service}"), "endpointslice-controller", patch).await;
            return;
        }
        let slice = json!({
            "metadata": { "name": service, "labels": { "kubernetes.io/service-name": service } },
            "addressType": "IPv4", "endpoints": endpoints, "ports": [{ "name": "http", "port": port, "protocol": "TCP" }],
        });
        admin.create(&slices, slice).await;
    }
}

/// How a kind is described: field by field, as KServe's own does it, or as one whole, as its small ones do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Described {
    ByField,
    AsOneWhole,
}

/// The parts of KServe's description that a rollback meets.
pub(super) fn definition(described: Described) -> Value {
    let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let text = json!({ "type": "string" });
    let model = json!({ "type": "object", "required": ["modelFormat"], "properties": {
        "modelFormat": { "type": "object", "properties": { "name": text } },
        "storageUri": { "type": "string", "pattern": "^s3://" }, "runtime": text, "protocolVersion": text,
    } });
    let predictor = json!({ "type": "object", "properties": {
        "minReplicas": { "type": "integer" }, "canaryTrafficPercent": { "type": "integer" }, "model": model,
    } });
    let spec = match described {
        Described::ByField => json!({ "type": "object", "properties": { "predictor": predictor } }),
        Described::AsOneWhole => any.clone(),
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "inferenceservices.serving.kserve.io" },
        "spec": {
            "group": "serving.kserve.io", "scope": "Namespaced",
            "names": { "kind": "InferenceService", "listKind": "InferenceServiceList", "plural": "inferenceservices", "singular": "inferenceservice" },
            "versions": [{
                "name": "v1beta1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": spec, "status": any } } },
            }],
        },
    })
}

/// Knative's revisions, as far as they are read.
pub(super) fn revisions() -> Value {
    let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "revisions.serving.knative.dev" },
        "spec": {
            "group": "serving.knative.dev", "scope": "Namespaced",
            "names": { "kind": "Revision", "listKind": "RevisionList", "plural": "revisions", "singular": "revision" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": any } }],
        },
    })
}

/// As somebody has made it with `kubectl apply`.
pub(super) async fn made(admin: &Admin, version: &str) {
    let object = json!({
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": { "name": NAME },
        "spec": { "predictor": { "minReplicas": 2, "model": {
            "modelFormat": { "name": "sklearn" }, "runtime": "kserve-mlserver", "storageUri": uri(version),
        } } },
    });
    let path = format!(
        "/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices?fieldManager=kubectl-client-side-apply"
    );
    admin.create(&path, object).await;
}

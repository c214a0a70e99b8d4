//! Pods behind a service, as a kubelet and the controller of endpoints write them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::server::{Admin, NAMESPACE};

const PODS: usize = 3;

/// What is in the tests' hands.
#[derive(Debug, Default)]
pub(super) struct Hands {
    /// The controller sees nothing any more.
    pub(super) asleep: AtomicBool,
    /// So many of the pods stay as they were.
    pub(super) stuck: AtomicUsize,
    /// What the first pod answers is another version than it was made for.
    pub(super) lies: AtomicBool,
    /// The first pod runs another image under the same tag.
    pub(super) moved: AtomicBool,
}

/// The pods behind one service.
pub(super) struct Pods {
    admin: Admin,
    service: &'static str,
    round: usize,
    port: u16,
    /// The versions of the pods at their addresses.
    serves: Arc<Mutex<Vec<String>>>,
    hands: Arc<Hands>,
    _servers: JoinSet<()>,
}

impl Pods {
    /// Each pod's place answers the Open Inference Protocol.
    pub(super) async fn start(admin: Admin, service: &'static str, hands: Arc<Hands>) -> Self {
        let mut servers = JoinSet::new();
        let serves = Arc::new(Mutex::new(vec![String::new(); PODS]));
        let mut port = 0;
        for index in 0..PODS {
            // One port at every address, as pods have it.
            let listener = TcpListener::bind((format!("127.77.0.{}", index + 1), port)).await.unwrap();
            port = listener.local_addr().unwrap().port();
            let (serves, hands) = (serves.clone(), hands.clone());
            let answer = move |Path(model): Path<String>, Json(_): Json<Value>| {
                let version = match hands.lies.load(Ordering::SeqCst) && index == 0 {
                    true => "0.1".to_owned(),
                    false => serves.lock().unwrap()[index].clone(),
                };
                // The model is called as its predictor's graph has it, and not as the object.
                let expected = if service == "fraud-main" { "classifier" } else { "fraud" };
                async move {
                    let answer = Json(json!({ "model_version": version, "outputs": [] }));
                    if model == expected { Ok(answer) } else { Err(StatusCode::NOT_FOUND) }
                }
            };
            let router = Router::new().route("/v2/models/{model}/infer", post(answer));
            servers.spawn(async move { axum::serve(listener, router).await.unwrap() });
        }
        Self { admin, service, round: 0, port, serves, hands, _servers: servers }
    }

    /// Replaces the pods by those of a version, with these labels and this `spec`; as many stay as are stuck.
    pub(super) async fn roll(&mut self, version: &str, labels: &Value, spec: &Value) {
        let stuck = self.hands.stuck.load(Ordering::SeqCst);
        let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        let slices = format!("/apis/discovery.k8s.io/v1beta1/namespaces/{NAMESPACE}/endpointslices");
        let slice = format!("{slices}/{}", self.service);
        let old = self.admin.find(&slice).await;
        self.round += 1;
        let mut endpoints: Vec<Value> = Vec::new();
        for index in 0..PODS {
            let was = old.as_ref().map(|old| old["endpoints"][index].clone()).filter(Value::is_object);
            if let Some(was) = was.filter(|_| index >= PODS - stuck) {
                endpoints.push(was);
                continue;
            }
            let name = format!("{}-{}-{index}", self.service, self.round);
            self.admin
                .create(&pods, json!({ "metadata": { "name": name, "labels": labels }, "spec": spec }))
                .await;
            let moved = self.hands.moved.load(Ordering::SeqCst) && index == 0;
            let digest = if moved { "moved" } else { "first" };
            let status = |container: &Value| {
                json!({
                    "name": container["name"], "image": container["image"], "imageID": format!("r/x@sha256:{version}-{digest}"),
                    "ready": true, "restartCount": 0,
                })
            };
            let statuses: Vec<_> = spec["containers"].as_array().unwrap().iter().map(status).collect();
            let status = json!({ "status": { "containerStatuses": statuses } });
            self.admin.merge(&format!("{pods}/{name}/status"), "kubelet", status).await;
            self.serves.lock().unwrap()[index] = version.to_owned();
            endpoints.push(json!({
                "addresses": [format!("10.77.0.{}", index + 1)], "conditions": { "ready": true },
                "targetRef": { "kind": "Pod", "name": name, "namespace": NAMESPACE },
            }));
        }
        if old.is_some() {
            self.admin.merge(&slice, "endpointslice-controller", json!({ "endpoints": endpoints })).await;
            return;
        }
        let made = json!({
            "metadata": { "name": self.service, "labels": { "kubernetes.io/service-name": self.service } },
            "addressType": "IPv4", "endpoints": endpoints, "ports": [{ "name": "http", "port": self.port, "protocol": "TCP" }],
        });
        self.admin.create(&slices, made).await;
    }
}

//! `SeldonDeployment`s, and `Model`s and `Experiment`s of Core 2. In place of Seldon's controllers, its scheduler and its mesh stand the tests.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use ripcord_adapters::conformance::deployer::{self, Settable, order};
use ripcord_adapters::conformance::deployer_faults;
use ripcord_adapters::deployer_seldon::{self, SeldonDeployerConfig};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::target::Target;
use ripcord_ports::deployer::Probe;
use ripcord_ports::{Applied, Deployer, ErrorKind};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::pods::{Hands, Pods};
use super::server::{Admin, Kubernetes, NAMESPACE};
use crate::adapters::support::{Server, shared, target};

const ROLE: &str = include_str!("../../../../examples/kubernetes/role-seldon.yaml");
const SHIFTS: Which = Which::ChangesWithout("dryRun");
const DEPLOYMENTS: &str = "machinelearning.seldon.io/v1";
const CORE_2: &str = "mlops.seldon.io/v1alpha1";

fn all(version: &str, plural: &str) -> String {
    format!("/apis/{version}/namespaces/{NAMESPACE}/{plural}")
}

fn path(version: &str, plural: &str, name: &str) -> String {
    format!("{}/{name}", all(version, plural))
}

/// A kind whose `spec` is described as far as given, with `status` apart.
fn definition(version: &str, kind: &str, plural: &str, spec: &Value) -> Value {
    let (group, version) = version.split_once('/').unwrap();
    let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let names = json!({ "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase() });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": { "group": group, "scope": "Namespaced", "names": names, "versions": [{
            "name": version, "served": true, "storage": true, "subresources": { "status": {} },
            "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": spec, "status": any } } },
        }] },
    })
}

fn any() -> Value {
    json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// As Core 2 describes what a rollback meets.
fn models() -> Value {
    let properties = json!({
        "storageUri": { "type": "string" }, "requirements": { "type": "array", "items": { "type": "string" } },
        "replicas": { "type": "integer" }, "artifactVersion": { "type": "integer" },
    });
    let spec = json!({ "type": "object", "required": ["storageUri"], "properties": properties });
    definition(CORE_2, "Model", "models", &spec)
}

fn experiments() -> Value {
    let candidate = json!({ "type": "object", "required": ["name", "weight"], "properties": {
        "name": { "type": "string" }, "weight": { "type": "integer", "format": "int32" },
    } });
    let spec = json!({ "type": "object", "required": ["candidates"], "properties": {
        "default": { "type": "string" }, "resourceType": { "type": "string" },
        "candidates": { "type": "array", "items": candidate },
    } });
    definition(CORE_2, "Experiment", "experiments", &spec)
}

fn config(kubernetes: &Kubernetes, server: &str, token: &str, more: &Value) -> SeldonDeployerConfig {
    let mut all = json!({
        "model": "fraud", "namespace": NAMESPACE, "kubeconfig": kubernetes.kubeconfig(server, token),
        "take-over": ["kubectl-client-side-apply"],
    });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn by_uri() -> Value {
    json!({ "model-uri": "s3://models/{model}/{version}" })
}

fn of(config: SeldonDeployerConfig) -> impl Deployer {
    deployer_seldon::deployer(config, &shared()).unwrap()
}

fn settable(version: &str) -> Settable {
    Settable { target: Target::Version(target(version, None)), staged: None }
}

/// Until live reads so.
async fn until(deployer: &impl Deployer, expected: &str) -> LiveState {
    let mut last = String::new();
    for _ in 0..500 {
        let state = deployer.live().await.unwrap().state;
        last = state.to_string();
        if last == expected {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("live is not {expected}: {last}")
}

/// Until something is known to be live.
async fn known(deployer: &impl Deployer) -> LiveState {
    for _ in 0..500 {
        let state = deployer.live().await.unwrap().state;
        if matches!(state, LiveState::Serving(_)) {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("live is never known")
}

async fn made(admin: &Admin, version: &str, plural: &str, kind: &str, name: &str, spec: Value) {
    let object = json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name }, "spec": spec });
    admin.create(&format!("{}?fieldManager=kubectl-client-side-apply", all(version, plural)), object).await;
}

/// In place of Seldon's controller and a kubelet, for a `SeldonDeployment`. It ends when this is dropped.
struct StandIn {
    hands: Arc<Hands>,
    _task: JoinSet<()>,
}

impl StandIn {
    async fn start(admin: Admin) -> Self {
        let hands = Arc::new(Hands::default());
        let mut main = Pods::start(admin.clone(), "fraud-main", hands.clone()).await;
        let mut task = JoinSet::new();
        let seen = hands.clone();
        task.spawn(async move {
            let (mut generation, mut served) = (0, Value::Null);
            let object_path = path(DEPLOYMENTS, "seldondeployments", "fraud");
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if seen.asleep.load(Ordering::SeqCst) {
                    continue;
                }
                let Some(object) = admin.find(&object_path).await else { continue };
                let now = object["metadata"]["generation"].as_i64().unwrap();
                if now == generation {
                    continue;
                }
                let predictor = &object["spec"]["predictors"][0];
                if *predictor != served {
                    let uri = predictor["graph"]["modelUri"].as_str();
                    let own = &predictor["componentSpecs"][0]["spec"]["containers"][0]["image"];
                    let image = own.as_str().unwrap_or("seldonio/mlserver:1.7.1");
                    let said = uri.unwrap_or(image);
                    let version = said.rsplit(['/', ':']).next().unwrap().to_owned();
                    let mut spec = json!({ "containers": [
                        { "name": "classifier", "image": image }, { "name": "seldon-container-engine", "image": "seldonio/seldon-core-executor:1.18.2" },
                    ] });
                    if uri.is_some() {
                        spec["initContainers"] = json!([{
                            "name": "classifier-model-initializer", "image": "seldonio/rclone-storage-initializer:1.18.2", "args": [uri, "/mnt/models"],
                        }]);
                    }
                    let labels = json!({ "seldon-deployment-id": "fraud", "seldon-app": "fraud-main" });
                    main.roll(&version, &labels, &spec).await;
                    served = predictor.clone();
                }
                admin.merge(&format!("{object_path}/status"), "seldon-manager", json!({ "status": { "state": "Available" } })).await;
                generation = now;
            }
        });
        Self { hands, _task: task }
    }
}

/// Seldon Core 1 with a deployment whose predictor is this.
async fn rig(predictor: Value) -> (Kubernetes, String, StandIn) {
    let kubernetes = Kubernetes::start().await;
    let admin = kubernetes.admin();
    admin.define(definition(DEPLOYMENTS, "SeldonDeployment", "seldondeployments", &any())).await;
    let spec = json!({ "protocol": "v2", "predictors": [predictor] });
    made(&admin, DEPLOYMENTS, "seldondeployments", "SeldonDeployment", "fraud", spec).await;
    let token = kubernetes.account(ROLE).await;
    let stand_in = StandIn::start(admin).await;
    (kubernetes, token, stand_in)
}

fn prepackaged() -> Value {
    json!({ "name": "main", "replicas": 3, "graph": {
        "name": "classifier", "implementation": "SKLEARN_SERVER", "modelUri": "s3://models/fraud/1.0",
    } })
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn a_deployment_conforms_with_least_rights_over_tls() {
    let (kubernetes, token, _stand_in) = rig(prepackaged()).await;
    let deployer = of(config(&kubernetes, &kubernetes.tls(), &token, &by_uri()));
    until(&deployer, "1.0").await;
    assert_eq!((deployer.obstacle().await, deployer.warning().await), (None, None));
    deployer::conforms(&deployer, &settable("1.0"), &settable("1.1")).await;
    let object = kubernetes.admin().get(&path(DEPLOYMENTS, "seldondeployments", "fraud")).await;
    let mut expected = prepackaged();
    expected["graph"]["modelUri"] = json!("s3://models/fraud/1.1");
    assert_eq!(
        object["spec"],
        json!({ "protocol": "v2", "predictors": [expected] }),
        "what is not ours stays"
    );
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn a_deployment_of_an_image_conforms() {
    let predictor = json!({
        "name": "main", "graph": { "name": "classifier", "type": "MODEL" },
        "componentSpecs": [{ "spec": { "containers": [{ "name": "classifier", "image": "registry.example/fraud:1.0" }] } }],
    });
    let (kubernetes, token, _stand_in) = rig(predictor).await;
    let image = json!({ "image": "registry.example/{model}:{version}" });
    let deployer = of(config(&kubernetes, &kubernetes.relay(), &token, &image));
    until(&deployer, "1.0").await;
    assert_eq!(deployer.obstacle().await, None);
    deployer::conforms(&deployer, &settable("1.0"), &settable("1.1")).await;
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn a_deployment_conforms_while_the_network_fails() {
    let (kubernetes, token, _stand_in) = rig(prepackaged()).await;
    let proxy = FaultProxy::start(&kubernetes.relay()).await.unwrap();
    let deployer = of(config(&kubernetes, &proxy.url(), &token, &by_uri()));
    until(&deployer, "1.0").await;
    deployer_faults::conforms_in_faults(&deployer, &proxy, &SHIFTS, &settable("1.0"), &settable("1.1")).await;
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn a_replica_that_did_not_move_and_a_field_of_another_owner_are_told() {
    let (kubernetes, token, stand_in) = rig(prepackaged()).await;
    let mut more = by_uri();
    more["probe-input"] = json!([]);
    more["probe-model"] = json!("classifier");
    let deployer = of(config(&kubernetes, &kubernetes.relay(), &token, &more));
    let before = until(&deployer, "1.0").await;
    assert_eq!(before.weakest_proof(), Some(Proof::Answer));
    stand_in.hands.stuck.store(1, Ordering::SeqCst);
    let to = order("stuck", &settable("0.9"), before);
    deployer.shift(&to).await.unwrap();
    let state = until(&deployer, "0.9 67 %, 1.0 33 %").await;
    let Probe::Underway(how_far) = deployer.probe(&to).await.unwrap() else { panic!("it is under way") };
    assert!(how_far.contains("0.9 67 %, 1.0 33 %"), "{how_far}");
    stand_in.hands.lies.store(true, Ordering::SeqCst);
    let LiveState::Unknown(why) = deployer.live().await.unwrap().state else {
        panic!("one answers otherwise")
    };
    assert!(why.ends_with("was made for `0.9` and answers as `0.1`"), "{why}");
    stand_in.hands.lies.store(false, Ordering::SeqCst);

    // Somebody sets the predictors from a repository.
    let admin = kubernetes.admin();
    let object = path(DEPLOYMENTS, "seldondeployments", "fraud");
    let spec = admin.get(&object).await["spec"].clone();
    let labels = json!({ "argocd.argoproj.io/instance": "models" });
    let argo = json!({
        "apiVersion": DEPLOYMENTS, "kind": "SeldonDeployment", "metadata": { "name": "fraud", "labels": labels },
        "spec": spec.clone(),
    });
    admin.apply(&object, "argocd-controller", argo).await;
    let error = deployer.shift(&order("held", &settable("1.1"), state.clone())).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    assert!(error.to_string().contains("`.spec.predictors` is held by `argocd-controller`"), "{error}");
    assert!(deployer.obstacle().await.unwrap().contains("is held by `argocd-controller`"));
    assert!(deployer.warning().await.unwrap().starts_with("Argo CD (`models`)"));
    assert_eq!(admin.get(&object).await["spec"], spec, "nothing was changed");

    // Live is another than the plan was made for.
    let elsewhere = LiveState::Serving(Vec::new());
    let error = deployer.shift(&order("stale", &settable("1.1"), elsewhere)).await.unwrap_err();
    assert!(error.to_string().contains("was expected: nothing was changed"), "{error}");
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn a_part_of_the_traffic_that_nobody_ready_serves_makes_live_unknown() {
    let (kubernetes, token, _stand_in) = rig(prepackaged()).await;
    let deployer = of(config(&kubernetes, &kubernetes.relay(), &token, &by_uri()));
    until(&deployer, "1.0").await;
    let admin = kubernetes.admin();
    let mut main = prepackaged();
    main["traffic"] = json!(80);
    let mut canary = main.clone();
    (canary["name"], canary["traffic"]) = (json!("canary"), json!(20));
    let endpoint = json!({
        "addresses": ["10.77.0.9"], "conditions": { "ready": false },
        "targetRef": { "kind": "Pod", "name": "canary-1", "namespace": NAMESPACE },
    });
    let slice = json!({
        "metadata": { "name": "fraud-canary", "labels": { "kubernetes.io/service-name": "fraud-canary" } },
        "addressType": "IPv4", "endpoints": [endpoint], "ports": [{ "name": "http", "port": 9000, "protocol": "TCP" }],
    });
    admin
        .create(&format!("/apis/discovery.k8s.io/v1beta1/namespaces/{NAMESPACE}/endpointslices"), slice)
        .await;
    let object = path(DEPLOYMENTS, "seldondeployments", "fraud");
    let both = json!({ "spec": { "predictors": [main, canary] } });
    admin.merge(&object, "kubectl-client-side-apply", both).await;
    let state = deployer.live().await.unwrap().state;
    let LiveState::Unknown(why) = &state else { panic!("a fifth is served by nobody knows what") };
    assert!(why.contains("the predictor `canary` is sent 20 % of the traffic and has no ready pod"), "{why}");
    let to = order("canary", &settable("0.9"), state);
    deployer.shift(&to).await.unwrap();
    assert!(matches!(deployer.probe(&to).await.unwrap(), Probe::Underway(_)));
}

/// In place of Core 2: `Model`s are loaded in their time, and `Experiment`s taken up by the mesh.
struct Core2 {
    hands: Arc<Hands>,
    /// Models are taken up, and not loaded.
    fails: Arc<AtomicBool>,
    /// Who asks for the default is answered by it alone.
    reverted: Arc<AtomicBool>,
    mesh: Server,
    _task: JoinSet<()>,
}

type Weights = Arc<Mutex<Vec<(String, u64)>>>;
type Mesh = (Weights, Arc<AtomicUsize>, Arc<AtomicBool>);

/// Who answers in turn, each as often as its weight says.
async fn answered(
    State((weights, turn, reverted)): State<Mesh>,
    headers: HeaderMap,
) -> (HeaderMap, Json<Value>) {
    let route = headers["seldon-model"].to_str().unwrap();
    assert!(["fraud.experiment", "fraud-a"].contains(&route), "{route}");
    let weights = weights.lock().unwrap().clone();
    let tenths = weights.iter().flat_map(|(name, weight)| (0..weight / 10).map(move |_| name.as_str()));
    let tenths: Vec<_> = tenths.collect();
    let mut told = HeaderMap::new();
    // Before the mesh has taken anything up, nobody answers under this name.
    let name = match tenths.len() {
        0 => "nobody",
        many => tenths[turn.fetch_add(1, Ordering::SeqCst) % many],
    };
    let name = if route == "fraud-a" && reverted.load(Ordering::SeqCst) { route } else { name };
    told.insert("x-seldon-route", format!(":{name}_2:").parse().unwrap());
    (told, Json(json!({ "model_name": format!("{name}_2"), "model_version": "1", "outputs": [] })))
}

impl Core2 {
    async fn start(admin: Admin) -> Self {
        let hands = Arc::new(Hands::default());
        let fails = Arc::new(AtomicBool::default());
        let weights: Weights = Arc::default();
        let router = Router::new().route("/v2/models/{model}/infer", post(answered));
        let reverted = Arc::new(AtomicBool::default());
        let mesh =
            Server::start(router.with_state((weights.clone(), Arc::default(), reverted.clone()))).await;
        let mut task = JoinSet::new();
        let (seen, failing) = (hands.clone(), fails.clone());
        task.spawn(async move {
            let mut known: Vec<(String, i64)> = Vec::new();
            // Seldon writes whole seconds; here each word of its is a second later than the one before.
            let mut second = 0;
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if seen.asleep.load(Ordering::SeqCst) {
                    continue;
                }
                let models = admin.get(&all(CORE_2, "models")).await["items"].as_array().unwrap().clone();
                for model in models {
                    let name = model["metadata"]["name"].as_str().unwrap().to_owned();
                    let generation = model["metadata"]["generation"].as_i64().unwrap();
                    if known.contains(&(name.clone(), generation)) {
                        continue;
                    }
                    for (is, state) in [("False", "ModelProgressing"), ("True", "ModelAvailable")] {
                        let failed = is == "True" && failing.load(Ordering::SeqCst);
                        let (is, state) = if failed { ("False", "ModelFailed") } else { (is, state) };
                        second += 1;
                        let condition = json!({
                            "type": "ModelReady", "status": is, "message": state,
                            "lastTransitionTime": format!("2040-01-01T00:{:02}:{:02}Z", second / 60, second % 60),
                        });
                        let status = json!({ "status": { "conditions": [condition], "replicas": 1 } });
                        admin.merge(&format!("{}/status", path(CORE_2, "models", &name)), "manager", status).await;
                        tokio::time::sleep(Duration::from_millis(30)).await;
                    }
                    known.push((name, generation));
                }
                let Some(experiment) = admin.find(&path(CORE_2, "experiments", "fraud")).await else { continue };
                let candidates = experiment["spec"]["candidates"].as_array().unwrap();
                let named = |one: &Value| (one["name"].as_str().unwrap().to_owned(), one["weight"].as_u64().unwrap());
                *weights.lock().unwrap() = candidates.iter().map(named).collect();
            }
        });
        Self { hands, fails, reverted, mesh, _task: task }
    }
}

async fn core_2() -> (Kubernetes, String, Core2) {
    let kubernetes = Kubernetes::start().await;
    let admin = kubernetes.admin();
    admin.define(models()).await;
    admin.define(experiments()).await;
    let token = kubernetes.account(ROLE).await;
    let stand_in = Core2::start(admin).await;
    (kubernetes, token, stand_in)
}

fn model(version: &str) -> Value {
    json!({ "storageUri": format!("s3://models/fraud/{version}"), "requirements": ["sklearn"] })
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn a_model_conforms_and_what_was_said_before_is_not_believed() {
    let (kubernetes, token, stand_in) = core_2().await;
    let admin = kubernetes.admin();
    made(&admin, CORE_2, "models", "Model", "fraud", model("1.0")).await;
    let mut more = by_uri();
    more["resource"] = json!("model");
    let proxy = FaultProxy::start(&kubernetes.relay()).await.unwrap();
    let deployer = of(config(&kubernetes, &proxy.url(), &token, &more));
    until(&deployer, "1.0").await;
    assert_eq!((deployer.obstacle().await, deployer.warning().await), (None, None));
    deployer::conforms(&deployer, &settable("1.0"), &settable("1.1")).await;
    let object = admin.get(&path(CORE_2, "models", "fraud")).await;
    assert_eq!(object["spec"], model("1.1"), "what is not ours stays");
    deployer_faults::conforms_in_faults(&deployer, &proxy, &SHIFTS, &settable("1.0"), &settable("1.1")).await;

    // Nobody takes it up: what stands in the status is of the state before.
    let before = known(&deployer).await;
    stand_in.hands.asleep.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let to = order("asleep", &settable("0.9"), before);
    deployer.shift(&to).await.unwrap();
    let LiveState::Unknown(why) = deployer.live().await.unwrap().state else { panic!("nobody knows") };
    assert!(why.contains("Seldon has said nothing of it since it was set"), "{why}");
    assert!(matches!(deployer.probe(&to).await.unwrap(), Probe::Underway(_)));
    // Once more, since nobody knows: what was said before is still what was said before.
    let again = order("asleep", &settable("0.9"), deployer.live().await.unwrap().state);
    deployer.shift(&again).await.unwrap();
    assert!(matches!(deployer.live().await.unwrap().state, LiveState::Unknown(_)));
    stand_in.hands.asleep.store(false, Ordering::SeqCst);
    until(&deployer, "0.9").await;
    assert_eq!(deployer.probe(&to).await.unwrap(), Probe::Applied);

    // An experiment takes a part of what is asked of it.
    let halves = json!({ "default": "fraud", "candidates": [{ "name": "fraud", "weight": 50 }, { "name": "fraud-new", "weight": 50 }] });
    made(&admin, CORE_2, "experiments", "Experiment", "halves", halves).await;
    let LiveState::Unknown(why) = deployer.live().await.unwrap().state else { panic!("half goes elsewhere") };
    assert!(why.contains("the `Experiment` `halves` has it as its default"), "{why}");
    admin.delete(&path(CORE_2, "experiments", "halves")).await;
    until(&deployer, "0.9").await;

    // One that cannot be loaded.
    stand_in.fails.store(true, Ordering::SeqCst);
    let to = order("fails", &settable("2.0"), deployer.live().await.unwrap().state);
    deployer.shift(&to).await.unwrap();
    for _ in 0..500 {
        let Probe::Underway(how_far) = deployer.probe(&to).await.unwrap() else { panic!("it is not there") };
        if how_far.contains("Seldon says `False: ModelFailed") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it is not told that it failed");
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn an_experiment_conforms_and_answers_tell_who_serves() {
    let (kubernetes, token, stand_in) = core_2().await;
    let admin = kubernetes.admin();
    for (name, version) in [("fraud-a", "1.0"), ("fraud-b", "1.1"), ("fraud-c", "0.9")] {
        made(&admin, CORE_2, "models", "Model", name, model(version)).await;
    }
    let candidates = json!([
        { "name": "fraud-a", "weight": 100 }, { "name": "fraud-b", "weight": 0 }, { "name": "fraud-c", "weight": 0 },
    ]);
    let spec = json!({ "default": "fraud-a", "candidates": candidates });
    made(&admin, CORE_2, "experiments", "Experiment", "fraud", spec).await;
    let mut more = by_uri();
    more["resource"] = json!("experiment");
    more["mesh"] = json!(stand_in.mesh.url(""));
    more["probe-input"] = json!([]);
    let deployer = of(config(&kubernetes, &kubernetes.relay(), &token, &more));
    let before = until(&deployer, "1.0").await;
    // Which model answers an answer says; which version that is, the control plane.
    assert_eq!(before.weakest_proof(), Some(Proof::ControlPlane));
    assert_eq!((deployer.obstacle().await, deployer.warning().await), (None, None));
    deployer::conforms(&deployer, &settable("1.0"), &settable("1.1")).await;
    let object = admin.get(&path(CORE_2, "experiments", "fraud")).await;
    assert_eq!(object["spec"]["default"], "fraud-a", "what is not ours stays");

    // The mesh is behind: the object says the target alone, and the one before answers.
    stand_in.hands.asleep.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let to = order("behind", &settable("0.9"), deployer.live().await.unwrap().state);
    deployer.shift(&to).await.unwrap();
    let state = deployer.live().await.unwrap().state;
    assert!(!state.serves(&to.target) && state.to_string().contains("1.1"), "{state}");
    stand_in.hands.asleep.store(false, Ordering::SeqCst);
    until(&deployer, "0.9").await;

    // Seldon gives the default what is asked of it by its own name.
    stand_in.reverted.store(true, Ordering::SeqCst);
    let state = deployer.live().await.unwrap().state.to_string();
    assert!(state.contains("0.9") && state.contains("1.0"), "{state}");
    stand_in.reverted.store(false, Ordering::SeqCst);
    let live = until(&deployer, "0.9").await;

    // A candidate that is not there, without a weight, has Seldon make no route at all.
    admin.delete(&path(CORE_2, "models", "fraud-a")).await;
    let error = deployer.shift(&order("gap", &settable("1.1"), live.clone())).await.unwrap_err();
    assert!(error.to_string().contains("the candidate `fraud-a`, whose `Model` is not there"), "{error}");
    made(&admin, CORE_2, "models", "Model", "fraud-a", model("1.0")).await;

    // What is no candidate cannot be gone back to.
    let error = deployer.shift(&order("none", &settable("0.1"), live)).await.unwrap_err();
    assert!(
        error.to_string().contains("has no candidate whose `Model` is at `s3://models/fraud/0.1`"),
        "{error}"
    );
    assert_eq!(error.applied, Applied::No);
}

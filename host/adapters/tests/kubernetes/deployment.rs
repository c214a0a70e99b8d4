//! Plain `Deployment`s.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ripcord_adapters::conformance::deployer::{self, Settable, order};
use ripcord_adapters::conformance::deployer_faults;
use ripcord_adapters::deployer_kubernetes::{self, KubernetesDeployerConfig};
use ripcord_adapters::fault_proxy::{Fault, FaultProxy, Which};
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::target::Target;
use ripcord_ports::deployer::Probe;
use ripcord_ports::{Applied, Deployer, ErrorKind};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::pods::{Hands, Pods};
use super::server::{Admin, Kubernetes, NAMESPACE};
use crate::adapters::support::{shared, target};

const ROLE: &str = include_str!("../../../../examples/kubernetes/role-deployment.yaml");
const SHIFTS: Which = Which::ChangesWithout("dryRun");

fn path() -> String {
    format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/fraud")
}

fn config(kubernetes: &Kubernetes, server: &str, token: &str) -> KubernetesDeployerConfig {
    serde_json::from_value(json!({
        "model": "fraud", "namespace": NAMESPACE, "image": "registry.example/{model}:{version}", "container": "main",
        "kubeconfig": kubernetes.kubeconfig(server, token), "take-over": ["kubectl-client-side-apply"],
    }))
    .unwrap()
}

fn of(config: KubernetesDeployerConfig) -> impl Deployer {
    deployer_kubernetes::deployer(config, &shared()).unwrap()
}

fn settable(version: &str) -> Settable {
    Settable { target: Target::Version(target(version, None)), staged: None }
}

/// As somebody has made it with `kubectl apply`, with a proxy beside the model.
async fn made(admin: &Admin) {
    let labels = json!({ "app": "fraud" });
    let containers = json!([
        { "name": "proxy", "image": "registry.example/proxy:7" },
        {
            "name": "main", "image": "registry.example/fraud:1.0", "args": ["--serve"],
            "env": [{ "name": "LEVEL", "value": "info" }, { "name": "MODEL_VERSION", "value": "1.0" }],
        },
    ]);
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "fraud" },
        "spec": {
            "replicas": 3, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": containers } },
        },
    });
    let all =
        format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments?fieldManager=kubectl-client-side-apply");
    admin.create(&all, object).await;
}

/// In place of the controllers and a kubelet. It ends when this is dropped.
struct StandIn {
    hands: Arc<Hands>,
    _task: JoinSet<()>,
}

impl StandIn {
    async fn start(admin: Admin) -> Self {
        let hands = Arc::new(Hands::default());
        let mut pods = Pods::start(admin.clone(), "fraud", hands.clone()).await;
        let mut task = JoinSet::new();
        let seen = hands.clone();
        task.spawn(async move {
            let (mut generation, mut template) = (0, Value::Null);
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if seen.asleep.load(Ordering::SeqCst) {
                    continue;
                }
                let Some(object) = admin.find(&path()).await else { continue };
                let now = object["metadata"]["generation"].as_i64().unwrap();
                if now == generation {
                    continue;
                }
                let spec = &object["spec"]["template"]["spec"];
                if *spec != template {
                    let containers = spec["containers"].as_array().unwrap();
                    let main = containers.iter().find(|container| container["name"] == "main").unwrap();
                    let image = main["image"].as_str().unwrap().rsplit(':').next().unwrap();
                    let variable = main["env"][1]["value"].as_str().unwrap();
                    let version = if image == "1.0" { variable } else { image }.to_owned();
                    pods.roll(&version, &json!({ "app": "fraud" }), &json!({ "containers": containers })).await;
                    template = spec.clone();
                }
                let status = json!({ "status": { "observedGeneration": now, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3 } });
                admin.merge(&format!("{}/status", path()), "kube-controller-manager", status).await;
                generation = now;
            }
        });
        Self { hands, _task: task }
    }
}

async fn rig() -> (Kubernetes, String, StandIn) {
    let kubernetes = Kubernetes::start().await;
    made(&kubernetes.admin()).await;
    let token = kubernetes.account(ROLE).await;
    let stand_in = StandIn::start(kubernetes.admin()).await;
    (kubernetes, token, stand_in)
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

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn the_real_interface_conforms_with_least_rights_over_tls() {
    let (kubernetes, token, _stand_in) = rig().await;
    let deployer = of(config(&kubernetes, &kubernetes.tls(), &token));
    until(&deployer, "1.0").await;
    assert_eq!((deployer.obstacle().await, deployer.warning().await), (None, None));
    deployer::conforms(&deployer, &settable("1.0"), &settable("1.1")).await;
    let object = kubernetes.admin().get(&path()).await;
    let containers = &object["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[0]["image"], "registry.example/proxy:7", "what is not ours stays");
    assert_eq!(containers[1]["image"], "registry.example/fraud:1.1");
    assert_eq!(containers[1]["args"], json!(["--serve"]));
    assert_eq!(object["spec"]["replicas"], 3);
    assert_eq!(object["metadata"]["annotations"]["ripcord.dev/version"], "1.1");
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn a_variable_of_the_environment_names_the_version() {
    let (kubernetes, token, _stand_in) = rig().await;
    let config = KubernetesDeployerConfig {
        image: None,
        variable: Some("MODEL_VERSION".into()),
        ..config(&kubernetes, &kubernetes.relay(), &token)
    };
    let deployer = of(config);
    until(&deployer, "1.0").await;
    assert_eq!(deployer.obstacle().await, None);
    deployer::conforms(&deployer, &settable("1.0"), &settable("0.9")).await;
    let object = kubernetes.admin().get(&path()).await;
    let env = &object["spec"]["template"]["spec"]["containers"][1]["env"];
    assert_eq!(
        *env,
        json!([{ "name": "LEVEL", "value": "info" }, { "name": "MODEL_VERSION", "value": "0.9" }])
    );
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn the_real_interface_conforms_while_the_network_fails() {
    let (kubernetes, token, _stand_in) = rig().await;
    let proxy = FaultProxy::start(&kubernetes.relay()).await.unwrap();
    let deployer = of(config(&kubernetes, &proxy.url(), &token));
    until(&deployer, "1.0").await;
    deployer_faults::conforms_in_faults(&deployer, &proxy, &SHIFTS, &settable("1.0"), &settable("1.1")).await;
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn what_one_container_was_set_to_stays_when_another_one_is_set() {
    let (kubernetes, token, _stand_in) = rig().await;
    let main = of(config(&kubernetes, &kubernetes.relay(), &token));
    let proxy = of(KubernetesDeployerConfig {
        image: Some("registry.example/proxy:{version}".into()),
        container: Some("proxy".into()),
        ..config(&kubernetes, &kubernetes.relay(), &token)
    });
    let before = until(&main, "1.0").await;
    main.shift(&order("main", &settable("0.9"), before)).await.unwrap();
    let before = until(&proxy, "7").await;
    proxy.shift(&order("proxy", &settable("8"), before)).await.unwrap();
    let before = until(&main, "0.9").await;
    main.shift(&order("again", &settable("1.1"), before)).await.unwrap();
    until(&main, "1.1").await;
    until(&proxy, "8").await;
    assert_eq!((main.obstacle().await, proxy.obstacle().await), (None, None));
    let object = kubernetes.admin().get(&path()).await;
    let containers = &object["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[0]["image"], "registry.example/proxy:8");
    assert_eq!(containers[1]["image"], "registry.example/fraud:1.1");
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn every_replica_is_asked_and_one_that_did_not_move_is_told() {
    let (kubernetes, token, stand_in) = rig().await;
    let input = json!([{ "name": "x", "shape": [1], "datatype": "FP64", "data": [0.0] }]);
    let deployer = of(KubernetesDeployerConfig {
        probe_input: Some(input),
        ..config(&kubernetes, &kubernetes.relay(), &token)
    });
    let before = until(&deployer, "1.0").await;
    assert_eq!(before.weakest_proof(), Some(Proof::Answer));
    stand_in.hands.stuck.store(1, Ordering::SeqCst);
    let to = order("stuck", &settable("0.9"), before);
    deployer.shift(&to).await.unwrap();
    let state = until(&deployer, "0.9 67 %, 1.0 33 %").await;
    assert!(!state.serves(&to.target));
    let Probe::Underway(how_far) = deployer.probe(&to).await.unwrap() else { panic!("it is under way") };
    assert!(how_far.contains("0.9 67 %, 1.0 33 %"), "{how_far}");
    stand_in.hands.stuck.store(0, Ordering::SeqCst);
    let to = order("moved", &settable("1.1"), state);
    deployer.shift(&to).await.unwrap();
    until(&deployer, "1.1").await;
    assert_eq!(deployer.probe(&to).await.unwrap(), Probe::Applied);
    stand_in.hands.lies.store(true, Ordering::SeqCst);
    let LiveState::Unknown(why) = deployer.live().await.unwrap().state else {
        panic!("one answers otherwise")
    };
    assert!(why.ends_with("was made for `1.1` and answers as `0.1`"), "{why}");
    stand_in.hands.lies.store(false, Ordering::SeqCst);

    // A tag that was moved: the pods say the same name, and run two images.
    stand_in.hands.moved.store(true, Ordering::SeqCst);
    let to = order("tag", &settable("1.2"), deployer.live().await.unwrap().state);
    deployer.shift(&to).await.unwrap();
    for _ in 0..500 {
        // While pods are replaced, their places answer for the new ones before the endpoints say so.
        if let LiveState::Unknown(why) = deployer.live().await.unwrap().state
            && why.contains("its tag was moved; name images by digest")
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody sees the two images");
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn a_field_of_another_owner_a_stale_object_and_a_paused_one_are_told() {
    let (kubernetes, token, _stand_in) = rig().await;
    let admin = kubernetes.admin();
    let none = of(KubernetesDeployerConfig {
        take_over: Vec::new(),
        ..config(&kubernetes, &kubernetes.relay(), &token)
    });
    let before = until(&none, "1.0").await;
    let error = none.shift(&order("held", &settable("0.9"), before.clone())).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    let field =
        "`.spec.template.spec.containers[name=\"main\"].image` is held by `kubectl-client-side-apply`";
    assert!(error.to_string().contains(field), "{error}");
    let obstacle = none.obstacle().await.unwrap();
    assert!(obstacle.contains(field), "{obstacle}");

    // Somebody sets another image between what was read and what is changed.
    let proxy = FaultProxy::start(&kubernetes.relay()).await.unwrap();
    let deployer = of(config(&kubernetes, &proxy.url(), &token));
    proxy.order(SHIFTS, Fault::Delay(Duration::from_millis(1_500)), 1);
    let to = order("late", &settable("0.9"), before.clone());
    let (error, ()) = tokio::join!(deployer.shift(&to), async {
        for _ in 0..2_000 {
            if proxy.count(&SHIFTS) > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut template = admin.get(&path()).await["spec"]["template"].clone();
        template["spec"]["containers"][1]["image"] = json!("registry.example/fraud:2.0");
        admin.merge(&path(), "kubectl-client-side-apply", json!({ "spec": { "template": template } })).await;
    });
    let error = error.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    proxy.calm();
    let now = until(&deployer, "2.0").await;
    let error = deployer.shift(&order("stale", &settable("0.9"), before)).await.unwrap_err();
    assert!(error.to_string().contains("live is 2.0, and 1.0 was expected: nothing was changed"), "{error}");

    admin.merge(&path(), "kubectl-client-side-apply", json!({ "spec": { "paused": true } })).await;
    let error = deployer.shift(&order("paused", &settable("0.9"), now)).await.unwrap_err();
    assert!(error.to_string().contains("is paused: no pod would be replaced"), "{error}");
    assert!(deployer.obstacle().await.unwrap().contains("is paused"));
}

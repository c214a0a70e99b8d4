//! `InferenceService`s.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ripcord_adapters::conformance::deployer::{self, Settable, order};
use ripcord_adapters::conformance::{deployer_faults, deployer_waves};
use ripcord_adapters::deployer_kserve::{KserveDeployer, KserveDeployerConfig, KserveMode};
use ripcord_adapters::fault_proxy::{Canned, Fault, FaultProxy, Which};
use ripcord_core::digest::Digest;
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::ratio::Ratio;
use ripcord_core::target::Target;
use ripcord_ports::deployer::{Moves, Probe};
use ripcord_ports::{Applied, Deployer, ErrorKind, PortError, Retry};
use serde_json::{Value, json};

use super::server::{Kubernetes, NAMESPACE};
use super::stand_in::{Described, Mode, NAME, StandIn, definition, isvc, made, revisions, uri};
use crate::adapters::support::{shared, target};

const ROLE: &str = include_str!("../../../../examples/kubernetes/role.yaml");

/// What makes a shift: a change that is not only tried.
const SHIFTS: Which = Which::ChangesWithout("dryRun");

fn config(kubernetes: &Kubernetes, server: &str, token: &str) -> KserveDeployerConfig {
    KserveDeployerConfig {
        model: NAME.into(),
        namespace: NAMESPACE.into(),
        model_uri: "s3://models/{model}/{version}".into(),
        mode: KserveMode::Knative,
        kubeconfig: Some(kubernetes.kubeconfig(server, token)),
        context: None,
        take_over: vec!["kubectl-client-side-apply".into()],
        probe_input: None,
        probe_input_file: None,
        probe_port: None,
        deadline_ms: 10_000,
    }
}

fn of(config: KserveDeployerConfig) -> KserveDeployer {
    KserveDeployer::new(config, &shared()).unwrap()
}

fn settable(version: &str) -> Settable {
    let digest = Some(Digest::of(version));
    Settable { target: Target::Version(target(version, digest)), staged: None }
}

/// A cluster that knows KServe, with a service at version 1.0 and an account of least rights.
async fn rig(described: Described) -> (Kubernetes, String) {
    let kubernetes = Kubernetes::start().await;
    kubernetes.admin().define(definition(described)).await;
    kubernetes.admin().define(revisions()).await;
    made(&kubernetes.admin(), "1.0").await;
    let token = kubernetes.account(ROLE).await;
    (kubernetes, token)
}

/// Until live reads so.
async fn until(deployer: &KserveDeployer, expected: &str) -> LiveState {
    for _ in 0..500 {
        let state = deployer.live().await.unwrap().state;
        if state.to_string() == expected {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("live is not {expected}: {}", deployer.live().await.unwrap().state)
}

/// Until the stand-in has taken up that there is something.
async fn settled(deployer: &KserveDeployer) -> LiveState {
    for _ in 0..500 {
        match deployer.live().await.unwrap().state {
            LiveState::Unknown(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            LiveState::Serving(shares) if shares.is_empty() => {
                tokio::time::sleep(Duration::from_millis(20)).await
            }
            known => return known,
        }
    }
    panic!("live is never known: {}", deployer.live().await.unwrap().state)
}

async fn refused(deployer: &KserveDeployer, version: &str, expecting: LiveState) -> PortError {
    let order = order("test", &settable(version), expecting);
    match deployer.shift(&order).await {
        Err(error) => error,
        Ok(shifted) => panic!("it was shifted: {shifted:?}"),
    }
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn the_real_interface_conforms_with_least_rights_over_tls() {
    let (kubernetes, token) = rig(Described::ByField).await;
    let _stand_in = StandIn::start(kubernetes.admin(), Mode::Knative, false).await;
    let deployer = of(config(&kubernetes, &kubernetes.tls(), &token));
    settled(&deployer).await;
    assert_eq!(deployer.obstacle().await, None);
    deployer::conforms(&deployer, &settable("1.0"), &settable("1.1")).await;
    let quarter = Moves::Share(Ratio::new(0.25).unwrap());
    let half = Moves::Share(Ratio::new(0.5).unwrap());
    deployer_waves::conforms_in_waves(&deployer, &[quarter, half], &settable("1.0"), &settable("1.1")).await;

    let object = kubernetes.admin().get(&isvc()).await;
    let predictor = &object["spec"]["predictor"];
    assert_eq!(predictor["model"]["runtime"], "kserve-mlserver", "what is not ours stays");
    assert_eq!(predictor["minReplicas"], 2);
    let annotations = &object["metadata"]["annotations"];
    assert_eq!(annotations["ripcord.dev/version"], "1.1");
    assert_eq!(annotations["ripcord.dev/digest"], Digest::of("1.1").to_string());
}

/// KServe's small definitions describe nothing of `spec`: then server-side apply takes its parts as wholes, and drops what is not sent.
#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn nothing_is_dropped_where_the_kind_is_described_as_one_whole() {
    let (kubernetes, token) = rig(Described::AsOneWhole).await;
    let _stand_in = StandIn::start(kubernetes.admin(), Mode::Standard, false).await;
    let deployer = of(KserveDeployerConfig {
        mode: KserveMode::Standard,
        ..config(&kubernetes, &kubernetes.relay(), &token)
    });
    settled(&deployer).await;
    deployer::conforms(&deployer, &settable("1.0"), &settable("1.1")).await;
    let object = kubernetes.admin().get(&isvc()).await;
    let model = &object["spec"]["predictor"]["model"];
    assert_eq!(object["spec"]["predictor"]["minReplicas"], 2);
    assert_eq!(
        *model,
        json!({ "modelFormat": { "name": "sklearn" }, "runtime": "kserve-mlserver", "storageUri": uri("1.1") })
    );
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn the_real_interface_conforms_while_the_network_fails() {
    let (kubernetes, token) = rig(Described::ByField).await;
    let _stand_in = StandIn::start(kubernetes.admin(), Mode::Knative, false).await;
    let proxy = FaultProxy::start(&kubernetes.relay()).await.unwrap();
    let deployer = of(config(&kubernetes, &proxy.url(), &token));
    settled(&deployer).await;
    deployer_faults::conforms_in_faults(&deployer, &proxy, &SHIFTS, &settable("1.0"), &settable("1.1")).await;
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn every_replica_is_asked_and_one_that_did_not_move_is_told() {
    let (kubernetes, token) = rig(Described::ByField).await;
    let stand_in = StandIn::start(kubernetes.admin(), Mode::Standard, true).await;
    let input = json!([{ "name": "x", "shape": [1], "datatype": "FP64", "data": [0.0] }]);
    let deployer = of(KserveDeployerConfig {
        mode: KserveMode::Standard,
        probe_input: Some(input),
        ..config(&kubernetes, &kubernetes.relay(), &token)
    });
    let before = settled(&deployer).await;
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
    for _ in 0..200 {
        if deployer.live().await.unwrap().state.serves(&to.target) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(deployer.probe(&to).await.unwrap(), Probe::Applied);

    stand_in.hands.lies.store(true, Ordering::SeqCst);
    let LiveState::Unknown(why) = deployer.live().await.unwrap().state else {
        panic!("one answers otherwise")
    };
    assert!(why.ends_with("was made for `1.1` and answers as `0.9`"), "{why}");
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn a_field_of_another_owner_is_told_and_never_taken() {
    let (kubernetes, token) = rig(Described::ByField).await;
    let admin = kubernetes.admin();
    let _stand_in = StandIn::start(admin.clone(), Mode::Knative, false).await;
    let of_taking = |take_over: &[&str]| {
        let take_over = take_over.iter().map(ToString::to_string).collect();
        of(KserveDeployerConfig { take_over, ..config(&kubernetes, &kubernetes.relay(), &token) })
    };
    let none = of_taking(&[]);
    let before = settled(&none).await;
    let spec = admin.get(&isvc()).await["spec"].clone();
    let error = refused(&none, "0.9", before.clone()).await;
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("`.spec.predictor.model.storageUri` is held by `kubectl-client-side-apply`"),
        "{text}"
    );
    assert!(text.contains("`take-over = [\"kubectl-client-side-apply\"]`"), "{text}");
    let obstacle = none.obstacle().await.unwrap();
    assert!(obstacle.contains("is held by `kubectl-client-side-apply`"), "{obstacle}");

    // Another one holds it too now, and of two only one may be taken over from.
    let argo = json!({
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
        "metadata": { "name": NAME, "labels": { "argocd.argoproj.io/instance": "models" } },
        "spec": { "predictor": { "model": { "storageUri": uri("1.0"), "modelFormat": { "name": "sklearn" } } } },
    });
    admin.apply(&isvc(), "argocd-controller", argo).await;
    let one = of_taking(&["kubectl-client-side-apply"]);
    let error = refused(&one, "0.9", settled(&one).await).await;
    assert!(error.to_string().contains("is held by `argocd-controller`"), "{error}");
    assert_eq!(admin.get(&isvc()).await["spec"], spec, "nothing was changed");
    assert!(one.warning().await.unwrap().starts_with("Argo CD (`models`)"));

    let both = of_taking(&["kubectl-client-side-apply", "argocd-controller"]);
    assert_eq!(both.obstacle().await, None);
    both.shift(&order("taken", &settable("0.9"), settled(&both).await)).await.unwrap();
    let object = admin.get(&isvc()).await;
    assert_eq!(object["spec"]["predictor"]["model"]["storageUri"], uri("0.9"));
    let holds = |manager: &str| {
        let fields = object["metadata"]["managedFields"].as_array().unwrap().iter();
        fields
            .filter(|entry| entry["manager"] == manager && entry["subresource"] != "status")
            .any(|entry| !entry["fieldsV1"]["f:spec"]["f:predictor"]["f:model"]["f:storageUri"].is_null())
    };
    assert!(holds("ripcord") && !holds("argocd-controller"), "{object}");
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn what_somebody_else_has_set_in_between_is_left_alone() {
    let (kubernetes, token) = rig(Described::ByField).await;
    let admin = kubernetes.admin();
    let stand_in = StandIn::start(admin.clone(), Mode::Knative, false).await;
    let proxy = FaultProxy::start(&kubernetes.relay()).await.unwrap();
    let take_over = vec!["kubectl-client-side-apply".into(), "somebody".into()];
    let deployer = of(KserveDeployerConfig { take_over, ..config(&kubernetes, &proxy.url(), &token) });
    let before = settled(&deployer).await;

    // Between what is read and what is changed.
    proxy.order(SHIFTS, Fault::Delay(Duration::from_millis(1_500)), 1);
    let to = order("late", &settable("0.9"), before.clone());
    let (error, ()) = tokio::join!(deployer.shift(&to), async {
        asked(&proxy).await;
        let patch = json!({ "spec": { "predictor": { "model": { "storageUri": uri("2.0") } } } });
        admin.merge(&isvc(), "somebody", patch).await;
    });
    let error = error.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    assert_eq!(admin.get(&isvc()).await["spec"]["predictor"]["model"]["storageUri"], uri("2.0"));
    proxy.calm();

    // Before: live is another than was expected.
    until(&deployer, "2.0").await;
    let error = refused(&deployer, "0.9", before).await;
    assert!(error.to_string().contains("live is "), "{error}");

    // A controller that has not taken it up: live is what the pods serve.
    stand_in.hands.asleep.store(true, Ordering::SeqCst);
    let patch =
        json!({ "spec": { "predictor": { "minReplicas": 3, "model": { "storageUri": uri("3.0") } } } });
    admin.merge(&isvc(), "somebody", patch).await;
    assert_eq!(deployer.live().await.unwrap().state.to_string(), "2.0");

    // Others write `status` and labels all the time: that is no conflict.
    stand_in.hands.asleep.store(false, Ordering::SeqCst);
    let before = until(&deployer, "3.0").await;
    proxy.calm();
    proxy.order(SHIFTS, Fault::Delay(Duration::from_millis(500)), 1);
    let to = order("busy", &settable("0.9"), before);
    let (shifted, ()) = tokio::join!(deployer.shift(&to), async {
        asked(&proxy).await;
        admin.merge(&isvc(), "somebody", json!({ "metadata": { "labels": { "busy": "1" } } })).await;
    });
    shifted.unwrap();
    assert_eq!(proxy.count(&SHIFTS), 2, "it is put on what the object has become");
    assert_eq!(admin.get(&isvc()).await["spec"]["predictor"]["model"]["storageUri"], uri("0.9"));
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn a_revision_without_ready_pods_is_what_it_was_made_for() {
    let (kubernetes, token) = rig(Described::ByField).await;
    let stand_in = StandIn::start(kubernetes.admin(), Mode::Knative, false).await;
    let deployer = of(config(&kubernetes, &kubernetes.relay(), &token));
    let before = until(&deployer, "1.0").await;
    stand_in.hands.unready.store(true, Ordering::SeqCst);
    deployer.shift(&order("bad", &settable("1.1"), before)).await.unwrap();
    let bad = until(&deployer, "1.1").await;

    // The controller does nothing about it: neither `spec` nor `observedGeneration` says what is served.
    stand_in.hands.asleep.store(true, Ordering::SeqCst);
    let back = order("back", &settable("1.0"), bad);
    deployer.shift(&back).await.unwrap();
    let probed = deployer.probe(&back).await.unwrap();
    assert!(matches!(probed, Probe::Underway(_)), "{probed:?}");
    assert_eq!(deployer.live().await.unwrap().state.to_string(), "1.1");

    stand_in.hands.unready.store(false, Ordering::SeqCst);
    stand_in.hands.asleep.store(false, Ordering::SeqCst);
    until(&deployer, "1.0").await;
    assert_eq!(deployer.probe(&back).await.unwrap(), Probe::Applied);
}

/// Until a change was asked for.
async fn asked(proxy: &FaultProxy) {
    for _ in 0..2_000 {
        if proxy.count(&SHIFTS) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nobody asks for a change")
}

#[tokio::test]
#[ignore = "needs a kube-apiserver: see the head of this suite"]
async fn what_cannot_be_done_is_told_with_what_to_do() {
    let kubernetes = Kubernetes::start().await;
    let admin = kubernetes.admin();
    let token = kubernetes.account(ROLE).await;
    let with = |token: &str| of(config(&kubernetes, &kubernetes.relay(), token));
    let error = with(Kubernetes::admin_token()).live().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(
        error
            .to_string()
            .contains("does not serve `inferenceservices.serving.kserve.io` in `serving.kserve.io/v1beta1`"),
        "{error}"
    );

    admin.define(definition(Described::ByField)).await;
    admin.define(revisions()).await;
    let error = with(&token).live().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("check its name, `namespace` and the cluster"), "{error}");
    made(&admin, "1.0").await;
    let _stand_in = StandIn::start(admin.clone(), Mode::Knative, false).await;
    let deployer = with(&token);
    let before = settled(&deployer).await;

    for (token, advice) in [("nobody", "renew it"), (&*kubernetes.expired().await, "renew it")] {
        let error = with(token).live().await.unwrap_err();
        assert_eq!((error.kind, error.retry), (ErrorKind::Denied, Retry::No), "{error}");
        assert!(error.to_string().contains("answered 401") && error.to_string().contains(advice), "{error}");
    }

    // Each right of the role is needed, and one that is missing is told.
    let role = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles/ripcord");
    let rules = admin.get(&role).await["rules"].clone();
    for (index, verb, resource) in [
        (0, "get", "inferenceservices.serving.kserve.io"),
        (0, "patch", "inferenceservices.serving.kserve.io"),
        (1, "get", "revisions.serving.knative.dev"),
        (2, "list", "endpointslices.discovery.k8s.io"),
        (3, "list", "pods"),
    ] {
        let mut fewer = rules.clone();
        let left = fewer[index]["verbs"].as_array().unwrap().iter().filter(|other| *other != verb);
        fewer[index]["verbs"] = left.cloned().collect::<Vec<Value>>().into();
        if fewer[index]["verbs"].as_array().unwrap().is_empty() {
            fewer.as_array_mut().unwrap().remove(index);
        }
        admin.merge(&role, "admin", json!({ "rules": fewer })).await;
        let advice = format!("allow the verb `{verb}` on `{resource}` in the namespace `ml`");
        if resource == "revisions.serving.knative.dev" {
            // A shift reads them where no pod is ready.
            tokio::time::sleep(Duration::from_secs(1)).await;
        } else {
            let error = told(&deployer, &before).await;
            assert_eq!((error.kind, error.applied), (ErrorKind::Denied, Applied::No), "{error}");
            assert!(error.to_string().contains(&advice), "{error}");
        }
        let obstacle = deployer.obstacle().await.unwrap_or_default();
        assert!(obstacle.contains(&advice), "`ripcord check` says it too: {obstacle}");
    }
    admin.merge(&role, "admin", json!({ "rules": rules })).await;

    tokio::time::sleep(Duration::from_secs(1)).await;

    // The kind's own description does not take it.
    let odd = of(KserveDeployerConfig {
        model_uri: "ftp://{version}".into(),
        ..config(&kubernetes, &kubernetes.relay(), &token)
    });
    let error = refused(&odd, "0.9", LiveState::Unknown("nobody knows".into())).await;
    assert_eq!(error.applied, Applied::No, "{error}");
    assert!(
        error.to_string().contains("answered 422") && error.to_string().contains("does not take it so"),
        "{error}"
    );

    // Too much to do; and removed in between: it is not made anew.
    let proxy = FaultProxy::start(&kubernetes.relay()).await.unwrap();
    let behind = of(config(&kubernetes, &proxy.url(), &token));
    settled(&behind).await;
    proxy.order(SHIFTS, Fault::Instead(Canned { retry_after: Some(7), ..Canned::failure(429) }), 1);
    let error = refused(&behind, "0.9", before.clone()).await;
    assert_eq!(
        (error.applied, error.retry),
        (Applied::No, Retry::After(ripcord_core::time::Millis::seconds(7))),
        "{error}"
    );
    proxy.calm();
    proxy.order(SHIFTS, Fault::Delay(Duration::from_millis(500)), 1);
    let to = order("removed", &settable("0.9"), before);
    let (error, ()) = tokio::join!(behind.shift(&to), async {
        asked(&proxy).await;
        admin.delete(&isvc()).await;
    });
    // This release says it with a 500, so nobody may say that nothing happened.
    error.unwrap_err();
    assert!(admin.find(&isvc()).await.is_none(), "it is not made anew");
}

/// What a shift says that is not allowed.
async fn told(deployer: &KserveDeployer, before: &LiveState) -> PortError {
    // The server learns of a role a moment after it was written.
    tokio::time::sleep(Duration::from_secs(1)).await;
    refused(deployer, "0.9", before.clone()).await
}

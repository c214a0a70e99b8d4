//! Endpoints of SageMaker against moto's, with its signatures and rights checked, and AWS's own client beside it. `UpdateEndpoint` in it is ours:
//! `with_update_endpoint.py`.

use ripcord_adapters::Secret;
use ripcord_adapters::conformance::{deployer, deployer_faults, deployer_waves};
use ripcord_adapters::deployer_sagemaker::{MoveBy, SageMakerDeployer, SageMakerDeployerConfig};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_core::ratio::Ratio;
use ripcord_ports::deployer::{Moves, Shifted};
use ripcord_ports::{Applied, Deployer, ErrorKind};
use serde_json::{Value, json};

use super::sagemaker::{client, judge, policy_of};
use super::server::{Checks, Key, Moto, Seed, Serves};
use crate::adapters::deployer_sagemaker::{config as usual, settable, spoken};
use crate::adapters::support::shared;

const PAGE: &str = include_str!("../../src/deployer_sagemaker/README.md");

async fn started(checks: Checks) -> Moto {
    let seed = Seed { script: "sagemaker_endpoint_seed.py", argument: policy_of(PAGE), calls: 6 };
    Moto::serving(Serves::WithUpdateEndpoint, checks, seed).await
}

fn config(url: &str, key: &Key) -> SageMakerDeployerConfig {
    SageMakerDeployerConfig { access_key_id: Some(key.id.clone()), deadline_ms: 3_000, ..usual(url) }
}

fn of(config: SageMakerDeployerConfig, key: &Key) -> SageMakerDeployer {
    SageMakerDeployer::new(config, Some(Secret::new(key.secret.clone())), &shared()).unwrap()
}

fn canary(url: &str, key: &Key) -> SageMakerDeployer {
    let by_weights = SageMakerDeployerConfig {
        endpoint_name: "canary".into(),
        move_by: MoveBy::Weights,
        ..config(url, key)
    };
    of(by_weights, key)
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn an_endpoint_conforms_with_the_least_rights_of_the_page() {
    let moto = started(Checks::SignaturesAndRights).await;
    let endpoint = of(config(&moto.url, moto.reads()), moto.reads());
    deployer::conforms(&endpoint, &settable("1"), &settable("2")).await;
    let seen = client(&moto, &["endpoint", "fraud"]);
    assert_eq!(seen["Capture"], json!("s3://captured/fraud"), "what was captured is captured still");
    assert_eq!(seen["Packages"], json!(["arn:aws:sagemaker:eu-west-1:123456789012:model-package/fraud/2"]));
    assert_eq!(seen["Environment"], json!({ "LOG": "debug" }));
    assert_eq!(seen["Network"]["Subnets"], json!(["subnet-1"]));
    let name = seen["EndpointConfigName"].as_str().unwrap();
    assert!(name.starts_with("ripcord-fraud-2-"), "{name}");
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn weights_conform_with_the_least_rights_of_the_page() {
    let moto = started(Checks::SignaturesAndRights).await;
    let endpoint = canary(&moto.url, moto.reads());
    deployer::conforms(&endpoint, &settable("1"), &settable("2")).await;
    let parts = [0.1, 0.5].map(|part| Moves::Share(Ratio::new(part).unwrap()));
    deployer_waves::conforms_in_waves(&endpoint, &parts, &settable("1"), &settable("2")).await;
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn an_endpoint_conforms_while_the_network_fails() {
    // The signature names the server that it is sent to, which is the proxy: this server is told not to check.
    let moto = started(Checks::Nothing).await;
    let proxy = FaultProxy::start(&moto.url).await.unwrap();
    let behind = of(config(&proxy.url(), moto.reads()), moto.reads());
    // What has to be made is there from then on, so that an update is the one change.
    for version in ["2", "1", "2"] {
        let live = behind.live().await.unwrap().state;
        let made = behind.shift(&deployer::order("made", &settable(version), live)).await.unwrap();
        assert_eq!(made, Shifted::Done);
    }
    deployer_faults::conforms_in_faults(&behind, &proxy, &Which::Changes, &settable("1"), &settable("2"))
        .await;
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn who_may_not_and_what_is_not_there_is_told() {
    let moto = started(Checks::SignaturesAndRights).await;
    let reads = moto.reads();
    let wrong = Key { id: reads.id.clone(), secret: "of-another-key".into() };
    let error = of(config(&moto.url, &wrong), &wrong).live().await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Denied, Applied::No));
    assert!(error.to_string().contains("check the secret of the key"), "{error}");
    let absent = SageMakerDeployerConfig { endpoint_name: "churn".into(), ..config(&moto.url, reads) };
    let error = of(absent, reads).live().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.to_string().contains("no endpoint `churn` in `eu-west-1`"), "{error}");
    let endpoint = of(config(&moto.url, reads), reads);
    let live = endpoint.live().await.unwrap().state;
    let error = endpoint.shift(&deployer::order("absent", &settable("9"), live)).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::NotFound, Applied::No), "{error}");
}

/// No server is asked: AWS's own client carries what its service takes and says.
#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn what_is_sent_and_what_is_read_of_endpoints_is_in_the_contract_of_awss_own_client() {
    let moto = started(Checks::Nothing).await;
    let spoken = spoken().await;
    let operations: std::collections::BTreeSet<_> =
        spoken.as_array().unwrap().iter().map(|one| one[0].as_str().unwrap()).collect();
    let wanted = [
        "CreateEndpointConfig",
        "CreateModel",
        "DescribeEndpoint",
        "DescribeEndpointConfig",
        "DescribeModel",
        "DescribeModelPackage",
        "ListModelPackages",
        "ListTags",
        "UpdateEndpoint",
        "UpdateEndpointWeightsAndCapacities",
    ];
    assert_eq!(operations.into_iter().collect::<Vec<_>>(), wanted);
    assert_eq!(judge(&moto, &spoken), "");
    let wrong: Value = json!([["UpdateEndpoint", { "EndpointName": "x", "Config": "y" }, {}]]);
    assert!(judge(&moto, &wrong).contains("EndpointConfigName"));
}

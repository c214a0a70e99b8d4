//! Endpoints of SageMaker that take their time, fail and go back, against a server of ours; what moto has of them is tested against it (`tests/moto`).

mod world;

use ripcord_adapters::Secret;
use ripcord_adapters::conformance::deployer::{Settable, conforms, order};
use ripcord_adapters::conformance::deployer_faults::conforms_in_faults;
use ripcord_adapters::conformance::deployer_waves::conforms_in_waves;
use ripcord_adapters::deployer_sagemaker::{Guardrails, MoveBy, SageMakerDeployer, SageMakerDeployerConfig};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::ratio::Ratio;
use ripcord_core::target::Target;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Moves, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::{Applied, Deployer, ErrorKind, PortError, Retry};
use serde_json::{Value, json};

use super::registry_sagemaker::{Said, refuses, says};
use super::support::{shared, target};
use world::{ARN, Fake, Outcome, configuration, model};

const SECRET: &str = "s3cret-of-the-key";

pub(crate) fn config(url: &str) -> SageMakerDeployerConfig {
    SageMakerDeployerConfig {
        region: "eu-west-1".into(),
        endpoint_name: "fraud".into(),
        model: "fraud".into(),
        move_by: MoveBy::Configuration,
        guardrails: Guardrails::Keep,
        version_tag: None,
        access_key_id: Some("AKIDRIPCORD".into()),
        profile: None,
        endpoint: Some(url.to_owned()),
        deadline_ms: 3_000,
        patience_ms: 50,
    }
}

fn of(config: SageMakerDeployerConfig) -> SageMakerDeployer {
    SageMakerDeployer::new(config, Some(Secret::new(SECRET)), &shared()).unwrap()
}

fn by_weights(url: &str) -> SageMakerDeployer {
    of(SageMakerDeployerConfig { move_by: MoveBy::Weights, ..config(url) })
}

pub(crate) fn settable(version: &str) -> Settable {
    Settable { target: Target::Version(target(version, None)), staged: None }
}

async fn live(deployer: &SageMakerDeployer) -> LiveState {
    deployer.live().await.unwrap().state
}

async fn order_to(deployer: &SageMakerDeployer, version: &str) -> ShiftOrder {
    order("key", &settable(version), live(deployer).await)
}

async fn one_that_serves(version: &str) -> (Fake, SageMakerDeployer) {
    let model = format!("m{version}");
    let fake = Fake::serving(&[("all", &model, 1.0)]).await;
    let deployer = of(config(&fake.url()));
    (fake, deployer)
}

fn shown(error: &PortError) -> String {
    let text = format!("{error} {error:?}");
    assert!(!text.contains(SECRET) && !error.to_string().contains('\u{1b}'), "{text}");
    error.to_string()
}

/// What is sent of each operation and what is answered, as `[operation, sent, read]`: for the vendor's own contract to judge.
pub(crate) async fn spoken() -> Value {
    let fake = Fake::serving(&[("a", "m2", 0.5), ("b", "m1", 0.5)]).await;
    fake.world().looks = 2;
    let by_configuration = of(config(&fake.url()));
    by_configuration.shift(&order_to(&by_configuration, "3").await).await.unwrap();
    fake.world().moved_to("team", &[("a", "m2", 1.0), ("b", "m1", 0.0)]);
    let by_weights = by_weights(&fake.url());
    by_weights.shift(&order_to(&by_weights, "1").await).await.unwrap();
    fake.world().models.insert("m1".into(), bare("m1"));
    fake.world().tags = json!([{ "Key": "version", "Value": "1" }]);
    let tagged = of(SageMakerDeployerConfig { version_tag: Some("version".into()), ..config(&fake.url()) });
    assert_eq!(live(&tagged).await.sole_version(), Some(&target("1", None)));
    let world = fake.world();
    let answered = world.asked.iter().filter(|(_, _, read)| !read.is_null());
    answered.map(|(name, sent, read)| json!([name, sent, read])).collect()
}

/// A model that is made of no package.
fn bare(name: &str) -> Value {
    let mut bare = model(name, "1");
    bare["PrimaryContainer"] = json!({ "Image": "img", "ModelDataUrl": "s3://models/fraud/1.tar.gz" });
    bare
}

#[tokio::test]
async fn an_endpoint_conforms_by_configuration_and_by_weights_while_it_takes_its_time() {
    let (fake, deployer) = one_that_serves("3").await;
    fake.world().looks = 1;
    conforms(&deployer, &settable("1"), &settable("2")).await;
    fake.world().moved_to("team", &[("a", "m1", 1.0), ("b", "m2", 0.0), ("c", "m2", 0.0)]);
    let deployer = by_weights(&fake.url());
    conforms(&deployer, &settable("1"), &settable("2")).await;
    let parts = [0.1, 0.5].map(|part| Moves::Share(Ratio::new(part).unwrap()));
    conforms_in_waves(&deployer, &parts, &settable("1"), &settable("2")).await;
}

#[tokio::test]
async fn an_endpoint_conforms_while_the_network_fails() {
    let fake = Fake::serving(&[("all", "m1", 1.0)]).await;
    fake.world().looks = 1;
    let proxy = FaultProxy::start(&fake.url()).await.unwrap();
    let deployer = of(config(&proxy.url()));
    // What has to be made is there from then on, so that an update is the one change.
    for version in ["2", "1", "2"] {
        deployer.shift(&order_to(&deployer, version).await).await.unwrap();
    }
    conforms_in_faults(&deployer, &proxy, &Which::Changes, &settable("1"), &settable("2")).await;
}

#[tokio::test]
async fn a_shift_makes_what_is_like_the_one_in_force_and_asks_once() {
    let (fake, deployer) = one_that_serves("2").await;
    let order = order_to(&deployer, "1").await;
    assert_eq!(order.expecting.weakest_proof(), Some(Proof::ControlPlane));
    assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done);
    let made = fake.last("CreateModel");
    let name = made["ModelName"].as_str().unwrap();
    let wanted = json!({
        "ModelName": name, "ExecutionRoleArn": "arn:aws:iam::123456789012:role/sm", "EnableNetworkIsolation": true,
        "PrimaryContainer": { "ModelPackageName": format!("{ARN}:model-package/fraud/1"), "Environment": { "LOG": "debug" } },
    });
    assert_eq!(made, wanted);
    let made = fake.last("CreateEndpointConfig");
    let configured = made["EndpointConfigName"].as_str().unwrap();
    let mut wanted = configuration(configured, &[("all", name, 1.0)]);
    for told in ["EndpointConfigArn", "CreationTime"] {
        wanted.as_object_mut().unwrap().remove(told);
    }
    assert_eq!(made, wanted);
    let wanted = json!({
        "EndpointName": "fraud", "EndpointConfigName": configured, "RetainAllVariantProperties": true, "RetainDeploymentConfig": true,
    });
    assert_eq!(fake.last("UpdateEndpoint"), wanted);
    assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done, "it is there already");
    assert_eq!(fake.count("UpdateEndpoint"), 1);

    // The way there and back a second time makes nothing.
    for version in ["2", "1", "2"] {
        deployer.shift(&order_to(&deployer, version).await).await.unwrap();
    }
    assert_eq!(
        (fake.count("CreateModel"), fake.count("CreateEndpointConfig"), fake.count("UpdateEndpoint")),
        (2, 2, 4)
    );
    let none = of(SageMakerDeployerConfig { guardrails: Guardrails::None, ..config(&fake.url()) });
    none.shift(&order_to(&none, "1").await).await.unwrap();
    assert_eq!(fake.last("UpdateEndpoint")["RetainDeploymentConfig"], false);
}

#[tokio::test]
async fn what_is_live_is_told_for_every_status_and_for_what_names_no_version() {
    let fake = Fake::serving(&[("a", "m2", 3.0), ("b", "m1", 1.0), ("c", "m3", 0.0)]).await;
    let deployer = of(config(&fake.url()));
    assert_eq!(live(&deployer).await.to_string(), "1 25 %, 2 75 %");
    for (status, expected) in [
        ("SystemUpdating", "1 25 %, 2 75 %"),
        ("OutOfService", "nothing"),
        ("Updating", "unknown: SageMaker is at an update of it from `team`"),
        (
            "RollingBack",
            "unknown: SageMaker is at taking a change of it back (`RollingBack`: no\\u{1b}pe), towards `team`",
        ),
        ("UpdateRollbackFailed", "instances of both configurations answer"),
        ("Failed", "SageMaker takes nothing for it any more"),
        ("Creating", "unknown: it is `Creating`: no\\u{1b}pe"),
        ("Elsewhere", "unknown: it is `Elsewhere`"),
    ] {
        fake.world().looks = 9;
        fake.world().has(status, Some("no\u{1b}pe"));
        let told = live(&deployer).await.to_string();
        assert!(told.contains(expected) && !told.contains('\u{1b}'), "{status}: {told}");
        fake.world().has("InService", None);
    }
    let unknown = async |change: &dyn Fn(&mut world::World), expected: &str| {
        let fake = Fake::serving(&[("all", "m1", 1.0)]).await;
        change(&mut fake.world());
        let told = live(&of(config(&fake.url()))).await.to_string();
        assert!(
            told.starts_with("unknown: ") && told.contains(expected) && !told.contains('\u{1b}'),
            "{told}"
        );
        let deployer = of(config(&fake.url()));
        let error =
            deployer.shift(&order("k", &settable("2"), LiveState::Unknown("so".into()))).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::Unsupported, Applied::No), "{error}");
        assert!(shown(&error).contains("nothing like it can be made") && fake.count("UpdateEndpoint") == 0);
    };
    unknown(&|world| world.configurations.clear(), "configuration `team` was deleted").await;
    unknown(&|world| world.models.clear(), "the model `m1` of its variant was deleted").await;
    unknown(
        &|world| drop(world.models.insert("m1".into(), bare("m1"))),
        "which is no version of `fraud`: deploy model packages",
    )
    .await;
    unknown(
        &|world| {
            world.models.get_mut("m1").unwrap()["PrimaryContainer"]["ModelPackageName"] =
                json!("arn:x\u{1b}:model-package/churn/1")
        },
        "made of `arn:x\\u{1b}:model-package/churn/1`, which is no version",
    )
    .await;
    unknown(
        &|world| {
            drop(
                world.configurations.get_mut("team").unwrap()["ProductionVariants"][0]
                    .as_object_mut()
                    .unwrap()
                    .remove("ModelName"),
            )
        },
        "where inference components are used",
    )
    .await;
    let many = json!(vec![json!({ "VariantName": "a", "ModelName": "m1" }); 21]);
    unknown(
        &|world| world.configurations.get_mut("team").unwrap()["ProductionVariants"] = many.clone(),
        "it has 21 variants",
    )
    .await;
    let fake = Fake::serving(&[("all", "m1", 0.0)]).await;
    assert!(live(&of(config(&fake.url()))).await.to_string().contains("none of its variants has a weight"));
}

#[tokio::test]
async fn an_update_is_followed_as_long_as_there_is_time_and_then_told_as_under_way() {
    let (fake, deployer) = one_that_serves("2").await;
    fake.world().looks = 40;
    let order = ShiftOrder { deadline: Millis(4_500), ..order_to(&deployer, "1").await };
    let Shifted::Underway(how) = deployer.shift(&order).await.unwrap() else { panic!("it goes on") };
    assert!(how.contains("`Updating`"), "{how}");
    let Probe::Underway(how) = deployer.probe(&order).await.unwrap() else { panic!("it goes on") };
    assert!(how.contains("from `team` to `ripcord-fraud-1-"), "{how}");
    // A host that begins again finds its own update and asks for no other.
    let Shifted::Underway(_) = deployer.shift(&order).await.unwrap() else { panic!("it goes on") };
    assert_eq!(fake.count("UpdateEndpoint"), 1);
    for _ in 0..40 {
        drop(deployer.live().await);
    }
    assert_eq!(deployer.probe(&order).await.unwrap(), Probe::Applied);
    assert_eq!(live(&deployer).await.to_string(), "1");
}

#[tokio::test]
async fn an_update_that_sagemaker_takes_back_was_not_applied_and_one_that_ends_in_the_middle_is_unknown() {
    let (fake, deployer) = one_that_serves("2").await;
    fake.world().looks = 2;
    fake.world().outcome = Outcome::GoesBack;
    let order = order_to(&deployer, "1").await;
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::No, Retry::No));
    let text = shown(&error);
    for expected in
        ["took the update to", "back by itself", "did not pass the ping health check", "serves 2", "alarms"]
    {
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(deployer.probe(&order).await.unwrap(), Probe::NotApplied);
    assert_eq!(live(&deployer).await.to_string(), "2");

    // Also where all of it happened between two looks.
    fake.world().looks = 0;
    let error = deployer.shift(&order_to(&deployer, "1").await).await.unwrap_err();
    assert_eq!(error.applied, Applied::No, "{error}");

    fake.world().outcome = Outcome::HalfBack;
    let order = order_to(&deployer, "1").await;
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::Unknown, Retry::No));
    assert!(shown(&error).contains("instances of both configurations answer"), "{error}");
    assert!(
        matches!(deployer.probe(&order).await.unwrap(), Probe::CannotTell(why) if why.contains("both configurations"))
    );
    // From there it can be updated again, by whoever agreed to an unknown live.
    fake.world().outcome = Outcome::Settles;
    let again = ShiftOrder { expecting: live(&deployer).await, ..order };
    assert_eq!(deployer.shift(&again).await.unwrap(), Shifted::Done);
}

#[tokio::test]
async fn what_someone_else_did_is_left_so() {
    let (fake, deployer) = one_that_serves("2").await;
    let order = order_to(&deployer, "1").await;
    fake.world().moved_to("others", &[("all", "m3", 1.0)]);
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No));
    assert!(error.to_string().contains("serves 3 where 2 was expected"), "{error}");
    assert!(
        matches!(deployer.probe(&order).await.unwrap(), Probe::CannotTell(why) if why.contains("neither"))
    );

    // While it is prepared.
    let order = order_to(&deployer, "1").await;
    fake.twist(|operation, before| {
        let elsewhere = json!({
            "EndpointName": "fraud", "EndpointArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/fraud",
            "EndpointConfigName": "another", "EndpointStatus": "InService", "CreationTime": 1.0, "LastModifiedTime": 99.0,
            "ProductionVariants": [{ "VariantName": "all", "CurrentWeight": 1.0 }],
        });
        (operation == "DescribeEndpoint" && before == 1).then(|| says(200, &elsewhere))
    });
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No));
    assert!(error.to_string().contains("while its update was prepared"), "{error}");
    assert_eq!(fake.count("UpdateEndpoint"), 0);

    // The same configuration, while something changes it, and after something has moved its weights.
    let again = fake.world().endpoint.clone();
    for (status, kind, retry, expected) in [
        ("Updating", ErrorKind::Failed, Retry::Later, "takes no update now"),
        ("UpdateRollbackFailed", ErrorKind::Conflict, Retry::No, "while its update was prepared"),
    ] {
        fake.twist(|_, _| None);
        let order = order_to(&deployer, "1").await;
        let mut other = again.clone();
        other["EndpointStatus"] = json!(status);
        other["LastModifiedTime"] = json!(99.0);
        fake.twist(move |operation, before| {
            (operation == "DescribeEndpoint" && before == 1).then(|| says(200, &other))
        });
        let error = deployer.shift(&order).await.unwrap_err();
        assert_eq!((error.kind, error.applied, error.retry), (kind, Applied::No, retry), "{error}");
        assert!(error.to_string().contains(expected) && fake.count("UpdateEndpoint") == 0, "{error}");
    }

    // And while it is followed.
    fake.twist(|_, _| None);
    let order = order_to(&deployer, "1").await;
    fake.twist(|operation, before| {
        let elsewhere = json!({
            "EndpointName": "fraud", "EndpointArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/fraud",
            "EndpointConfigName": "another", "EndpointStatus": "InService", "CreationTime": 1.0, "LastModifiedTime": 99.0,
        });
        (operation == "DescribeEndpoint" && before > 1).then(|| says(200, &elsewhere))
    });
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Failed, Applied::Unknown));
    assert!(
        error.to_string().contains("someone else moved it") && fake.count("UpdateEndpoint") == 1,
        "{error}"
    );

    fake.world().moved_to("others", &[("all", "m3", 1.0)]);
    fake.twist(|_, _| None);
    let order = order_to(&deployer, "1").await;
    fake.world().looks = 99;
    fake.world().has("Updating", None);
    fake.world().endpoint["PendingDeploymentSummary"] = json!({ "EndpointConfigName": "team" });
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::No, Retry::Later));
    assert!(error.to_string().contains("takes no update now"), "{error}");
    assert!(
        matches!(deployer.probe(&order).await.unwrap(), Probe::CannotTell(why) if why.contains("does not lead to"))
    );
    fake.world().has("Failed", Some("no capacity"));
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.applied, error.retry), (Applied::No, Retry::No));
    assert!(error.to_string().contains("takes no update: it is `Failed`: no capacity"), "{error}");
}

#[tokio::test]
async fn each_refusal_is_told_with_what_to_do_and_what_is_known_of_the_effect() {
    let denied = |action: &str| {
        refuses("AccessDeniedException", &format!("User: x is not authorized to perform: sagemaker:{action}"))
    };
    let limit = || {
        refuses(
            "ResourceLimitExceeded",
            "The account-level service limit 'ml.g5.xlarge for endpoint usage' is 1 Instances",
        )
    };
    let page = || (200, vec![("content-type", "text/html".to_owned())], b"<title>Sign in</title>".to_vec());
    let busy = || refuses("ValidationException", "Cannot update in-progress endpoint \"arn:x\".");
    use Applied::{No, Unknown};
    use ErrorKind::{BadAnswer, Denied, Failed};
    let table: Vec<(&'static str, Said, ErrorKind, Applied, Retry, &str)> = vec![
        (
            "DescribeEndpoint",
            denied("DescribeEndpoint"),
            Denied,
            No,
            Retry::No,
            "allow `sagemaker:DescribeEndpoint`",
        ),
        ("DescribeModel", denied("DescribeModel"), Denied, No, Retry::No, "allow `sagemaker:DescribeModel`"),
        ("DescribeEndpoint", page(), BadAnswer, No, Retry::No, "not the JSON expected"),
        ("DescribeEndpoint", (500, vec![], vec![]), Failed, No, Retry::Later, "answered 500"),
        ("CreateModel", denied("CreateModel"), Denied, No, Retry::No, "allow `sagemaker:CreateModel`"),
        ("CreateModel", denied("CreateModel"), Denied, No, Retry::No, "for the model `ripcord-fraud-1-"),
        (
            "CreateEndpointConfig",
            denied("CreateEndpointConfig"),
            Denied,
            No,
            Retry::No,
            "for the endpoint configuration `ripcord-fraud-1-",
        ),
        (
            "CreateModel",
            refuses("ValidationException", "Model package arn:x is not approved"),
            Failed,
            No,
            Retry::No,
            "is not approved",
        ),
        ("CreateModel", limit(), Failed, No, Retry::No, "have AWS raise the account's quota"),
        ("CreateModel", (500, vec![], vec![]), Failed, No, Retry::Later, "answered 500"),
        (
            "CreateEndpointConfig",
            refuses("ThrottlingException", "Rate exceeded"),
            Failed,
            No,
            Retry::Later,
            "it passes",
        ),
        (
            "UpdateEndpoint",
            denied("UpdateEndpoint"),
            Denied,
            No,
            Retry::No,
            "allow `sagemaker:UpdateEndpoint`",
        ),
        ("UpdateEndpoint", limit(), Failed, No, Retry::No, "ml.g5.xlarge for endpoint usage"),
        ("UpdateEndpoint", busy(), Failed, No, Retry::No, "try again when that has ended"),
        (
            "UpdateEndpoint",
            refuses("ThrottlingException", "Rate exceeded"),
            Failed,
            No,
            Retry::Later,
            "it passes",
        ),
        (
            "UpdateEndpoint",
            refuses("ExpiredTokenException", ""),
            Denied,
            No,
            Retry::No,
            "the session is at its end",
        ),
        ("UpdateEndpoint", (500, vec![], vec![]), Failed, Unknown, Retry::Later, "answered 500"),
        (
            "UpdateEndpoint",
            (503, vec![("retry-after", "7".into())], vec![]),
            Failed,
            Unknown,
            Retry::After(Millis(7_000)),
            "answered 503",
        ),
        ("UpdateEndpoint", page(), BadAnswer, Unknown, Retry::No, "not the JSON expected"),
    ];
    for (operation, said, kind, applied, retry, expected) in table {
        let (fake, deployer) = one_that_serves("2").await;
        let order = order_to(&deployer, "1").await;
        fake.twist(move |name, _| (name == operation).then(|| said.clone()));
        let error = deployer.shift(&order).await.unwrap_err();
        let text = shown(&error);
        assert_eq!((error.kind, error.applied, error.retry), (kind, applied, retry), "{operation}: {text}");
        assert!(text.contains(expected), "{operation}: {text}");
        assert!(fake.count("UpdateEndpoint") <= 1, "{operation}: it is asked for once");
    }
    let (fake, _) = one_that_serves("2").await;
    let absent = of(SageMakerDeployerConfig { endpoint_name: "churn".into(), ..config(&fake.url()) });
    let error = absent.live().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.to_string().contains("no endpoint `churn` in `eu-west-1`"), "{error}");
    let deployer = of(config(&fake.url()));
    let error = deployer.shift(&order_to(&deployer, "9").await).await.unwrap_err();
    assert_eq!(
        (error.kind, error.applied, fake.count("UpdateEndpoint")),
        (ErrorKind::NotFound, Applied::No, 0)
    );
    assert!(error.to_string().contains("has no version `9` of the model package group `fraud`"), "{error}");
}

#[tokio::test]
async fn what_scales_an_endpoint_does_not_keep_it_from_an_update() {
    let (fake, deployer) = one_that_serves("2").await;
    let order = order_to(&deployer, "1").await;
    let mut scaled = fake.world().endpoint.clone();
    scaled["LastModifiedTime"] = json!(99.0);
    scaled["ProductionVariants"][0]["CurrentInstanceCount"] = json!(7);
    fake.twist(move |operation, before| {
        (operation == "DescribeEndpoint" && before == 1).then(|| says(200, &scaled))
    });
    assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done);
    assert_eq!(fake.count("UpdateEndpoint"), 1);
}

#[tokio::test]
async fn variables_that_no_package_tells_apart_are_not_taken_over() {
    let submitted = "s3://models/fraud/2/sourcedir.tar.gz";
    let refused = async |fake: &Fake, deployer: &SageMakerDeployer, names: &str| {
        let error = deployer.shift(&order_to(deployer, "1").await).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::Unsupported, Applied::No), "{error}");
        let text = shown(&error);
        assert!(text.contains(names) && text.contains("deploy version `1` by hand once"), "{text}");
        assert!(!text.contains(submitted) && fake.count("CreateModel") == 0, "{text}");
    };
    let (fake, _) = one_that_serves("2").await;
    let mut tagged = bare("m2");
    tagged["PrimaryContainer"]["Environment"] = json!({ "SAGEMAKER_SUBMIT_DIRECTORY": submitted });
    fake.world().models.insert("m2".into(), tagged);
    fake.world().tags = json!([{ "Key": "version", "Value": "2" }]);
    let deployer = of(SageMakerDeployerConfig { version_tag: Some("version".into()), ..config(&fake.url()) });
    refused(
        &fake,
        &deployer,
        "the model `m2` has the variables `SAGEMAKER_SUBMIT_DIRECTORY`, and no package",
    )
    .await;

    let (fake, deployer) = one_that_serves("2").await;
    fake.world().deleted.push("2".into());
    refused(&fake, &deployer, "the model `m2` has the variables `LOG`, and no package").await;
}

#[tokio::test]
async fn a_version_that_was_rejected_is_not_deployed_by_a_model_that_is_there() {
    let (fake, deployer) = one_that_serves("2").await;
    for version in ["1", "2"] {
        deployer.shift(&order_to(&deployer, version).await).await.unwrap();
    }
    fake.world().rejected.push("1".into());
    let error = deployer.shift(&order_to(&deployer, "1").await).await.unwrap_err();
    assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Unsupported, Applied::No, Retry::No));
    assert!(shown(&error).contains("version `1` of `fraud` is `Rejected` in SageMaker"), "{error}");
    assert_eq!(fake.count("UpdateEndpoint"), 2);

    fake.world().moved_to("team", &[("a", "m2", 1.0), ("b", "m1", 0.0)]);
    let deployer = by_weights(&fake.url());
    let order = order_to(&deployer, "1").await;
    let error = deployer.shift(&order).await.unwrap_err();
    assert!(shown(&error).contains("it is not deployed; approve it there"), "{error}");
    assert_eq!(fake.count("UpdateEndpointWeightsAndCapacities"), 0);
    // A version that is no package any more was rejected by nobody.
    fake.world().rejected.clear();
    fake.world().deleted.push("1".into());
    assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done);
}

#[tokio::test]
async fn a_call_that_something_sends_twice_is_known_as_ones_own() {
    let (fake, deployer) = one_that_serves("2").await;
    fake.world().looks = 3;
    let proxy = FaultProxy::start(&fake.url()).await.unwrap();
    let behind = of(config(&proxy.url()));
    for version in ["1", "2"] {
        deployer.shift(&order_to(&deployer, version).await).await.unwrap();
    }
    let order = order_to(&behind, "1").await;
    proxy.order(Which::Changes, ripcord_adapters::fault_proxy::Fault::Twice, 1);
    assert_eq!(behind.shift(&order).await.unwrap(), Shifted::Done, "the second is refused as in progress");
}

#[tokio::test]
async fn what_lies_under_a_name_of_ours_with_other_content_is_not_used() {
    let (fake, deployer) = one_that_serves("2").await;
    let order = order_to(&deployer, "1").await;
    deployer.shift(&order).await.unwrap();
    let name = fake.last("CreateModel")["ModelName"].as_str().unwrap().to_owned();
    deployer.shift(&order_to(&deployer, "2").await).await.unwrap();
    fake.world().models.insert(name.clone(), model(&name, "3"));
    let error = deployer.shift(&ShiftOrder { expecting: live(&deployer).await, ..order }).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No));
    assert!(error.to_string().contains("has another model under the name `ripcord-fraud-1-"), "{error}");
}

#[tokio::test]
async fn weights_move_to_what_is_there_and_to_nothing_else() {
    let fake = Fake::serving(&[("a", "m2", 0.75), ("b", "m1", 0.25)]).await;
    let deployer = by_weights(&fake.url());
    assert!(!deployer.waves(&Moves::Place("eu".into())));
    let wave =
        |share: f64| Some(WaveOf { number: 0, of: 2, moves: Moves::Share(Ratio::new(share).unwrap()) });
    let order = order_to(&deployer, "1").await;
    let half = ShiftOrder { wave: wave(0.5), ..order.clone() };
    assert_eq!(deployer.shift(&half).await.unwrap(), Shifted::Done);
    let wanted = json!({ "EndpointName": "fraud", "DesiredWeightsAndCapacities": [
        { "VariantName": "a", "DesiredWeight": 0.5 }, { "VariantName": "b", "DesiredWeight": 0.5 },
    ] });
    assert_eq!(fake.last("UpdateEndpointWeightsAndCapacities"), wanted);
    assert_eq!(deployer.probe(&half).await.unwrap(), Probe::Applied);
    let smaller = ShiftOrder { wave: wave(0.25), ..order.clone() };
    assert_eq!(deployer.shift(&smaller).await.unwrap(), Shifted::Done, "no wave takes back what is moved");
    assert_eq!(fake.count("UpdateEndpointWeightsAndCapacities"), 1);
    let error =
        deployer.shift(&ShiftOrder { target: settable("3").target, ..order.clone() }).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Unsupported, Applied::No));
    assert!(
        error.to_string().contains("deploy it as one, or write `move-by = \"configuration\"`"),
        "{error}"
    );
    // Somebody puts other variants of the same names in their place, just before.
    let mut other = fake.world().endpoint.clone();
    other["EndpointConfigName"] = json!("another");
    fake.twist(move |operation, before| {
        (operation == "DescribeEndpoint" && before == 1).then(|| says(200, &other))
    });
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    assert_eq!(fake.count("UpdateEndpointWeightsAndCapacities"), 0);
    fake.twist(|_, _| None);
    fake.world().outcome = Outcome::GoesBack;
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!(error.applied, Applied::No, "{error}");
    let whole = of(config(&fake.url()));
    let error = whole.shift(&ShiftOrder { wave: wave(0.5), ..order }).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Unsupported, Applied::No));
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let refused = |config: SageMakerDeployerConfig, secret: Option<&str>, expected: &str| {
        let error = SageMakerDeployer::new(config, secret.map(Secret::new), &shared()).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Configuration);
        assert!(error.to_string().contains(expected) && !error.to_string().contains(SECRET), "{error}");
    };
    let good = || config("http://127.0.0.1:1");
    let secret = Some(SECRET);
    refused(SageMakerDeployerConfig { region: "Europe".into(), ..good() }, secret, "cannot be a `region`");
    refused(
        SageMakerDeployerConfig { model: "fraud model".into(), ..good() },
        secret,
        "cannot be a model package group",
    );
    for name in ["", "-a", "arn:aws:sagemaker:eu-west-1:1:endpoint/fraud", "a\u{1b}"] {
        refused(
            SageMakerDeployerConfig { endpoint_name: name.into(), ..good() },
            secret,
            "cannot be an `endpoint-name`",
        );
    }
    refused(
        SageMakerDeployerConfig { version_tag: Some("aws:x".into()), ..good() },
        secret,
        "cannot be `version-tag`",
    );
    refused(SageMakerDeployerConfig { deadline_ms: 0, ..good() }, secret, "`deadline-ms`");
    refused(
        SageMakerDeployerConfig { endpoint: Some("https://h/path".into()), ..good() },
        secret,
        "`endpoint` has a path",
    );
    refused(
        SageMakerDeployerConfig { endpoint: Some("http://sagemaker.internal".into()), ..good() },
        secret,
        "would go there in the clear: write it with `https`",
    );
    refused(good(), None, "its secret is missing");
    refused(SageMakerDeployerConfig { profile: Some("x".into()), ..good() }, secret, "exclude each other");
}

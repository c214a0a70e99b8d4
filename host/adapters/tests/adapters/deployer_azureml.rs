//! Online endpoints of Azure Machine Learning, against the fake that Microsoft's own client judges (`tests/azure`).

use ripcord_adapters::Secret;
use ripcord_adapters::conformance::deployer::{Settable, conforms, order};
use ripcord_adapters::conformance::deployer_faults::conforms_in_faults;
use ripcord_adapters::conformance::deployer_waves::conforms_in_waves;
use ripcord_adapters::deployer_azureml::{AzureCloud, AzureMlDeployer, AzureMlDeployerConfig, ScoringCode};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::ratio::Ratio;
use ripcord_core::target::Target;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Moves, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::{Applied, Deployer, ErrorKind, PortError, Retry};
use serde_json::{Value, json};

use super::support::{shared, target};
use crate::azure::fake::{Azure, GROUP, MODEL, REGISTRY, SUBSCRIPTION, WORKSPACE, refusal};
use crate::azure::online::{ENDPOINT, Online, deployment, model};

/// An endpoint of versions that are registered, with percents.
pub(crate) async fn serving(versions: &[(&str, u64)]) -> Azure {
    let fake = Azure::start().await;
    {
        let mut world = fake.world();
        for number in 1..=3_u8 {
            world.register(&[("model.bin", &[number])], &json!({}));
        }
        world.etags = true;
        world.online.serves(versions);
    }
    fake
}

pub(crate) fn config(fake: &Azure, url: &str) -> AzureMlDeployerConfig {
    AzureMlDeployerConfig {
        subscription: SUBSCRIPTION.into(),
        resource_group: GROUP.into(),
        workspace: WORKSPACE.into(),
        endpoint_name: ENDPOINT.into(),
        model: MODEL.into(),
        registry: None,
        scoring_code: ScoringCode::Refuse,
        credentials: None,
        tenant_id: Some("acme".into()),
        client_id: Some("ripcord".into()),
        cloud: AzureCloud::Public,
        authority: Some(fake.url()),
        resource_manager: Some(url.to_owned()),
        api_version: "2025-12-01".into(),
        deadline_ms: 4_000,
        patience_ms: 50,
    }
}

pub(crate) fn of(config: AzureMlDeployerConfig) -> AzureMlDeployer {
    AzureMlDeployer::new(config, Some(Secret::new("s3cret")), &shared()).unwrap()
}

pub(crate) fn deployer(fake: &Azure) -> AzureMlDeployer {
    of(config(fake, &fake.url()))
}

pub(crate) fn settable(version: &str) -> Settable {
    Settable { target: Target::Version(target(version, None)), staged: None }
}

pub(crate) async fn live(deployer: &AzureMlDeployer) -> LiveState {
    deployer.live().await.unwrap().state
}

pub(crate) async fn order_to(deployer: &AzureMlDeployer, version: &str) -> ShiftOrder {
    order("key", &settable(version), live(deployer).await)
}

pub(crate) fn wave(share: f64) -> Option<WaveOf> {
    Some(WaveOf { number: 0, of: 2, moves: Moves::Share(Ratio::new(share).unwrap()) })
}

/// How often something was written.
fn puts(fake: &Azure, part: &str) -> usize {
    fake.seen().iter().filter(|call| call.method == "PUT" && call.path.contains(part)).count()
}

fn splits(fake: &Azure) -> usize {
    puts(fake, "/onlineEndpoints/") - puts(fake, "/deployments/")
}

fn shown(error: &PortError) -> String {
    let text = format!("{error} {error:?}");
    assert!(
        !text.contains("s3cret") && !text.contains("token-for-") && !error.to_string().contains('\u{1b}'),
        "{text}"
    );
    error.to_string()
}

#[tokio::test]
async fn an_endpoint_conforms_and_moves_in_waves_while_it_takes_its_time() {
    for etags in [true, false] {
        let fake = serving(&[("3", 100), ("1", 0), ("2", 0)]).await;
        fake.world().etags = etags;
        fake.world().online.looks = 1;
        let deployer = deployer(&fake);
        conforms(&deployer, &settable("1"), &settable("2")).await;
        let parts = [0.1, 0.5].map(|part| Moves::Share(Ratio::new(part).unwrap()));
        conforms_in_waves(&deployer, &parts, &settable("1"), &settable("2")).await;
        assert_eq!(puts(&fake, "/deployments/"), 0);
    }
}

#[tokio::test]
async fn an_endpoint_conforms_while_the_network_fails() {
    let fake = serving(&[("1", 100), ("2", 0)]).await;
    let proxy = FaultProxy::start(&fake.url()).await.unwrap();
    let deployer = of(config(&fake, &proxy.url()));
    conforms_in_faults(&deployer, &proxy, &Which::Changes, &settable("1"), &settable("2")).await;
}

#[tokio::test]
async fn a_split_changes_the_traffic_and_writes_everything_else_back_as_it_was() {
    let fake = serving(&[("2", 100), ("1", 0), ("3", 0)]).await;
    fake.world().online.set("mirrorTraffic", json!({ "v1": 10, "v3": 20 }));
    let deployer = deployer(&fake);
    let order = order_to(&deployer, "1").await;
    assert_eq!(order.expecting.weakest_proof(), Some(Proof::ControlPlane));
    assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done);
    let seen = fake.seen();
    let sent = seen.iter().find(|call| call.method == "PUT").unwrap();
    let identity = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/serving";
    let wanted = json!({
        "location": "westeurope", "tags": { "team": "payments" }, "kind": "Managed",
        "identity": { "type": "UserAssigned", "userAssignedIdentities": { identity: {} } },
        "properties": {
            "authMode": "Key", "description": "finds fraud", "publicNetworkAccess": "Enabled",
            "properties": { "azureml.onlineendpointid": "x" }, "traffic": { "v1": 100 }, "mirrorTraffic": { "v3": 20 },
        },
    });
    assert_eq!(
        sent.body, wanted,
        "what gets traffic is mirrored no longer, and what is mirrored besides stays"
    );
    assert!(sent.if_match.is_some(), "under the guard that Azure gave");
    assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done, "it is there already");
    assert_eq!((splits(&fake), puts(&fake, "/deployments/")), (1, 0));
}

#[tokio::test]
async fn a_version_without_a_deployment_is_deployed_like_what_serves_and_only_then_given_traffic() {
    let fake = serving(&[("2", 90), ("3", 10)]).await;
    fake.world().online.looks = 1;
    let collected = json!({ "collections": { "model_inputs": { "dataCollectionMode": "Enabled" } } });
    fake.world().online.deployments[0]["properties"]["dataCollector"] = collected.clone();
    let deployer = deployer(&fake);
    assert_eq!(deployer.shift(&order_to(&deployer, "1").await).await.unwrap(), Shifted::Done);
    let seen = fake.seen();
    let made = seen.iter().find(|call| call.method == "PUT").unwrap();
    let name = made.path.rsplit('/').next().unwrap().to_owned();
    assert!(name.starts_with("rc-1-") && name.len() <= 32, "{name}");
    let wanted = json!({
        "location": "westeurope", "kind": "Managed", "sku": { "name": "Default", "capacity": 3 },
        "properties": {
            "endpointComputeType": "Managed", "instanceType": "Standard_F4s_v2", "model": model("1"),
            "environmentId": "azureml://registries/azureml/environments/sklearn/versions/7",
            "scaleSettings": { "scaleType": "Default" }, "requestSettings": { "maxConcurrentRequestsPerInstance": 4 },
            "appInsightsEnabled": true, "dataCollector": collected,
        },
    });
    assert_eq!(made.body, wanted, "nothing of the version that serves");
    assert_eq!(fake.world().online.traffic(), json!({ name: 100 }));
    assert_eq!(live(&deployer).await.to_string(), "1");
    for version in ["2", "1"] {
        deployer.shift(&order_to(&deployer, version).await).await.unwrap();
    }
    assert_eq!(
        (puts(&fake, "/deployments/"), splits(&fake)),
        (1, 3),
        "the way there and back deploys nothing"
    );
}

#[tokio::test]
async fn code_that_may_be_of_one_version_alone_is_taken_over_only_where_that_is_configured() {
    for (key, value) in [
        ("codeConfiguration", json!({ "codeId": "azureml:code:1", "scoringScript": "score.py" })),
        ("environmentVariables", json!({ "THRESHOLD": "0.5" })),
        (
            "environmentId",
            json!(format!(
                "{}/environments/fraud-serving/versions/12",
                model("2").split("/models/").next().unwrap()
            )),
        ),
    ] {
        let fake = serving(&[("2", 100)]).await;
        fake.world().online.deployments[0]["properties"][key] = value.clone();
        let deployer = deployer(&fake);
        let error = deployer.shift(&order_to(&deployer, "1").await).await.unwrap_err();
        assert_eq!(
            (error.kind, error.applied, error.retry),
            (ErrorKind::Unsupported, Applied::No, Retry::No)
        );
        let text = shown(&error);
        assert!(
            text.contains(&format!("the deployment `v2` has {key}"))
                && text.contains("`scoring-code = \"keep\"`")
        );
        assert_eq!(puts(&fake, "/onlineEndpoints/"), 0);
        let keeping =
            of(AzureMlDeployerConfig { scoring_code: ScoringCode::Keep, ..config(&fake, &fake.url()) });
        keeping.shift(&order_to(&keeping, "1").await).await.unwrap();
        let seen = fake.seen();
        assert_eq!(seen.iter().find(|call| call.method == "PUT").unwrap().body["properties"][key], value);
    }
}

#[tokio::test]
async fn a_deployment_that_takes_longer_than_a_shift_is_gone_on_with_and_made_once() {
    let fake = serving(&[("2", 100)]).await;
    fake.world().online.looks = 6;
    let first = deployer(&fake);
    let order = ShiftOrder { deadline: Millis(3_400), ..order_to(&first, "1").await };
    let error = first.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::No, Retry::Later));
    let text = shown(&error);
    assert!(text.contains("no traffic was moved yet") && text.contains("(`Creating`)"), "{text}");
    assert_eq!(first.probe(&order).await.unwrap(), Probe::NotApplied);
    assert_eq!(live(&first).await.to_string(), "2");
    // A host that begins again goes on with it.
    let second = deployer(&fake);
    let order = ShiftOrder { deadline: Millis::seconds(30), ..order };
    assert_eq!(second.shift(&order).await.unwrap(), Shifted::Done);
    assert_eq!((puts(&fake, "/deployments/"), splits(&fake)), (1, 1));
}

#[tokio::test]
async fn a_deployment_that_fails_moves_nothing_and_is_not_begun_again() {
    let fake = serving(&[("2", 100)]).await;
    fake.world().online.ends = Some("Failed");
    let deployer = deployer(&fake);
    let order = order_to(&deployer, "1").await;
    for _ in 0..2 {
        let error = deployer.shift(&order).await.unwrap_err();
        assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::No, Retry::No));
        let text = shown(&error);
        assert!(
            text.contains("is `Failed`, and no traffic was moved") && text.contains("get-logs"),
            "{text}"
        );
    }
    assert_eq!((puts(&fake, "/deployments/"), splits(&fake)), (1, 0));
    let fake = serving(&[("2", 100)]).await;
    let deployer = self::deployer(&fake);
    for (status, code, kind, retry, expected) in [
        (400, "BadRequest", ErrorKind::Failed, Retry::No, "does not accept the call"),
        (403, "AuthorizationFailed", ErrorKind::Denied, Retry::No, "onlineEndpoints/deployments/write"),
        (409, "Conflict", ErrorKind::Failed, Retry::Later, "can be done again"),
        (429, "TooManyRequests", ErrorKind::Failed, Retry::Later, "takes no more calls for now"),
        (500, "InternalServerError", ErrorKind::Failed, Retry::Later, "answered 500"),
    ] {
        fake.instead_of("PUT", "/deployments/", status, &refusal(code, "No.\u{1b}"));
        let error = deployer.shift(&order_to(&deployer, "1").await).await.unwrap_err();
        assert_eq!((error.kind, error.applied, error.retry), (kind, Applied::No, retry), "{error}");
        assert!(shown(&error).contains(expected), "{error}");
        fake.straight();
    }
    fake.world().online.serves(&[("2", 0)]);
    let error = deployer.shift(&order_to(&deployer, "1").await).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::Unsupported, Retry::No));
    assert!(shown(&error).contains("deploy it by hand"), "{error}");
}

#[tokio::test]
async fn what_someone_else_did_is_left_so() {
    let fake = serving(&[("2", 100), ("1", 0), ("3", 0)]).await;
    let deployer = deployer(&fake);
    let order = order_to(&deployer, "1").await;
    fake.world().online.set("traffic", json!({ "v3": 100 }));
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No));
    assert!(shown(&error).contains("serves 3 where 2 was expected"), "{error}");
    assert!(
        matches!(deployer.probe(&order).await.unwrap(), Probe::CannotTell(why) if why.contains("neither"))
    );

    // Between the look and the change: the last look shows it, or else the etag does.
    for etags in [true, false] {
        fake.world().etags = etags;
        let order = order_to(&deployer, "1").await;
        let asked = std::sync::atomic::AtomicUsize::new(0);
        fake.twist(move |path, mut value| {
            let is_endpoint = path.ends_with("/onlineEndpoints/fraud");
            if is_endpoint && asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
                value["properties"]["traffic"] = json!({ "v2": 50, "v3": 50 });
            }
            value
        });
        let error = deployer.shift(&order).await.unwrap_err();
        fake.straight();
        assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::No, Retry::Later));
        assert!(shown(&error).contains("while its split was prepared"), "{error}");
        assert_eq!(splits(&fake), 0);
    }
    // While the target is deployed.
    let fake = serving(&[("2", 50), ("3", 50)]).await;
    fake.world().online.looks = 3;
    let deployer = self::deployer(&fake);
    let order = order_to(&deployer, "1").await;
    let (shifted, ()) = tokio::join!(deployer.shift(&order), async {
        for _ in 0..1_000 {
            if fake.world().online.deployments.len() > 2 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        fake.world().online.set("traffic", json!({ "v2": 90, "v3": 10 }));
    });
    let error = shifted.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No));
    assert!(shown(&error).contains("split anew by someone else") && splits(&fake) == 0, "{error}");
}

/// What somebody else does to an endpoint while something is deployed there.
type Meddling = fn(&mut Online);

#[tokio::test]
async fn the_endpoint_is_held_against_the_order_again_once_the_target_is_deployed() {
    let of_three: Meddling = |online| online.deployments[0]["properties"]["model"] = model("3").into();
    let changing: Meddling = |online| online.set("provisioningState", "Updating".into());
    for (meddling, part, kind, retry, expected) in [
        (of_three, None, ErrorKind::Conflict, Retry::No, "serves 3 where 2 was expected"),
        (changing, None, ErrorKind::Failed, Retry::Later, "takes no change now"),
        (changing, wave(0.5), ErrorKind::Failed, Retry::Later, "takes no change now"),
    ] {
        let fake = serving(&[("2", 100)]).await;
        fake.world().online.looks = 3;
        let deployer = deployer(&fake);
        let usual = order_to(&deployer, "1").await;
        // Part of it is moved only beside something else, which is looked at later.
        let order = ShiftOrder { wave: part, ..usual };
        let (shifted, ()) = tokio::join!(deployer.shift(&order), async {
            for _ in 0..1_000 {
                if fake.world().online.deployments.len() > 1 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            meddling(&mut fake.world().online);
        });
        let error = shifted.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, Applied::No), "{error}");
        assert!(kind == ErrorKind::Conflict || error.retry == retry, "{error:?}");
        assert!(shown(&error).contains(expected) && splits(&fake) == 0, "{error}");
    }
    // By itself it has succeeded, and in the list not yet.
    let fake = serving(&[("2", 100)]).await;
    let deployer = deployer(&fake);
    fake.twist(|path, mut value| {
        for one in value["value"].as_array_mut().into_iter().flatten() {
            if path.ends_with("/deployments") && one["name"].as_str().unwrap_or_default().starts_with("rc-") {
                one["properties"]["provisioningState"] = "Creating".into();
            }
        }
        value
    });
    let error = deployer.shift(&order_to(&deployer, "1").await).await.unwrap_err();
    assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::No, Retry::Later));
    assert!(shown(&error).contains("does not list it so") && splits(&fake) == 0, "{error}");
}

/// Has the endpoint be told otherwise from the given look at it on.
fn from_look(fake: &Azure, look: usize, change: impl Fn(&mut Value) + Send + 'static) {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    fake.twist(move |path, mut value| {
        let is_endpoint = path.ends_with("/onlineEndpoints/fraud");
        if is_endpoint && asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= look {
            change(&mut value);
        }
        value
    });
}

#[tokio::test]
async fn what_others_changed_beside_the_traffic_until_the_last_look_is_written_back_so() {
    let fake = serving(&[("2", 100), ("1", 0)]).await;
    fake.world().etags = false;
    let deployer = deployer(&fake);
    let order = order_to(&deployer, "1").await;
    from_look(&fake, 1, |value| {
        value["properties"]["publicNetworkAccess"] = "Disabled".into();
        value["properties"]["authMode"] = "AADToken".into();
        value["tags"] = json!({ "team": "other" });
    });
    assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done);
    let seen = fake.seen();
    let sent = &seen.iter().find(|call| call.method == "PUT").unwrap().body;
    assert_eq!(sent["tags"], json!({ "team": "other" }));
    let properties = &sent["properties"];
    assert_eq!(properties["publicNetworkAccess"], "Disabled");
    assert_eq!(
        (&properties["authMode"], &properties["traffic"]),
        (&json!("AADToken"), &json!({ "v1": 100 }))
    );
}

#[tokio::test]
async fn a_change_under_way_that_leads_elsewhere_is_not_taken_for_this_shift() {
    for tells_wanted in [false, true] {
        for theirs in [json!({ "v2": 100 }), json!({ "v3": 100 })] {
            let fake = serving(&[("2", 100), ("1", 0), ("3", 0)]).await;
            let deployer = deployer(&fake);
            let order = order_to(&deployer, "1").await;
            {
                let online = &mut fake.world().online;
                (online.looks, online.tells_wanted) = (3, tells_wanted);
                online.begin(theirs.clone());
            }
            for _ in 0..3 {
                let error = deployer.probe(&order).await.unwrap_err();
                assert_eq!((error.applied, error.retry), (Applied::No, Retry::Later));
                assert!(
                    shown(&error).contains("whether by this shift is told once that has ended"),
                    "{error}"
                );
            }
            let told = deployer.probe(&order).await.unwrap();
            if theirs.get("v2").is_some() {
                assert_eq!(told, Probe::NotApplied);
            } else {
                assert!(matches!(told, Probe::CannotTell(_)), "{told:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_of_what_is_being_changed_passes() {
    for (part, versions, look) in
        [("/deployments/", &[("2", 100)][..], 1), (ENDPOINT, &[("2", 100), ("1", 0)][..], 2)]
    {
        let fake = serving(versions).await;
        let deployer = deployer(&fake);
        let order = order_to(&deployer, "1").await;
        fake.instead_of("PUT", part, 400, &refusal("BadRequest", "it is in Updating provisioning state"));
        let error = deployer.shift(&order).await.unwrap_err();
        assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::No, Retry::No));
        from_look(&fake, look, |value| value["properties"]["provisioningState"] = "Updating".into());
        let error = deployer.shift(&order).await.unwrap_err();
        assert_eq!(
            (error.kind, error.applied, error.retry),
            (ErrorKind::Failed, Applied::No, Retry::Later),
            "{part}: {error}"
        );
        assert!(shown(&error).contains("does not accept the call"), "{error}");
    }
}

#[tokio::test]
async fn a_deployment_that_is_being_deleted_is_not_waited_for() {
    for (state, is_gone) in [("Deleting", false), ("Updating", true)] {
        let fake = serving(&[("2", 100), ("1", 0)]).await;
        fake.world().online.deployments[1]["properties"]["provisioningState"] = state.into();
        let deployer = deployer(&fake);
        let order = order_to(&deployer, "1").await;
        if is_gone {
            let gone = refusal("ResourceNotFound", "The Resource was not found.");
            fake.instead_of("GET", "/deployments/v1", 404, &gone);
        }
        let error = deployer.shift(&order).await.unwrap_err();
        assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::No, Retry::Later));
        assert!(shown(&error).contains("is being deleted, and no traffic was moved"), "{error}");
        assert_eq!((puts(&fake, "/deployments/"), splits(&fake)), (0, 0));
        fake.straight();
        fake.world().online.deployments.pop();
        assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done);
        assert_eq!((puts(&fake, "/deployments/"), splits(&fake)), (1, 1));
    }
}

#[tokio::test]
async fn names_of_any_case_keep_their_part_of_the_traffic() {
    let fake = serving(&[("2", 100)]).await;
    {
        let online = &mut fake.world().online;
        online.deployments = vec![deployment("Blue", "2"), deployment("green", "1"), deployment("red", "3")];
        online.set("traffic", json!({ "blue": 40, "green": 30, "red": 30 }));
    }
    let deployer = deployer(&fake);
    let order = ShiftOrder { wave: wave(0.5), ..order_to(&deployer, "1").await };
    fake.twist(|path, mut value| {
        if path.ends_with("/onlineEndpoints/fraud")
            && let Some(traffic) = value["properties"]["traffic"].as_object()
        {
            let lower = traffic.iter().map(|(name, percent)| (name.to_lowercase(), percent.clone()));
            value["properties"]["traffic"] = Value::Object(lower.collect());
        }
        value
    });
    assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done);
    assert_eq!(fake.world().online.traffic(), json!({ "Blue": 29, "green": 50, "red": 21 }));
    // Like what is written in another case something can be deployed.
    {
        let online = &mut fake.world().online;
        online.deployments = vec![deployment("Blue", "2")];
        online.set("traffic", json!({ "blue": 100 }));
    }
    assert_eq!(deployer.shift(&order_to(&deployer, "1").await).await.unwrap(), Shifted::Done);
}

#[tokio::test]
async fn what_is_live_is_told_for_every_state_and_for_what_names_no_version() {
    let fake = serving(&[("2", 75), ("1", 25), ("3", 0)]).await;
    let deployer = deployer(&fake);
    assert_eq!(live(&deployer).await.to_string(), "1 25 %, 2 75 %");
    // What is odd and has no traffic hides nothing; names are of any case.
    let mut all = vec![json!({}), json!({ "name": 7 }), json!({ "name": "odd", "properties": null })];
    all.extend([deployment("A", "2"), deployment("b", "1"), deployment("c", "1")]);
    fake.world().online.deployments = all;
    fake.world().online.set("traffic", json!({ "a": 60, "b": 30, "c": 10, "odd": 0 }));
    assert_eq!(live(&deployer).await.to_string(), "1 40 %, 2 60 %");
    fake.world().online.set("traffic", json!({}));
    assert_eq!(live(&deployer).await.to_string(), "nothing");
    let with = |key: &str, value: Value| {
        let mut one = deployment("a", "2");
        one["properties"][key] = value;
        vec![one]
    };
    let usual = || vec![deployment("a", "2")];
    for (state, deployments, traffic, expected) in [
        ("Updating", usual(), json!({ "a": 100 }), "Azure is at a change of it"),
        ("Creating", usual(), json!({ "a": 100 }), "Azure is at a change of it"),
        ("Failed", usual(), json!({ "a": 100 }), "after a change that was not made"),
        ("Canceled", usual(), json!({ "a": 100 }), "after a change that was not made"),
        ("Odd\u{1b}", usual(), json!({ "a": 100 }), "it is `Odd\\u{1b}`"),
        ("Succeeded", usual(), json!({ "z\u{1b}": 100 }), "go to `z\\u{1b}`, which is no deployment"),
        ("Succeeded", [usual(), usual()].concat(), json!({ "a": 100 }), "two deployments have that name"),
        ("Succeeded", usual(), json!({ "a": 90 }), "adds up to 90 percent"),
        ("Succeeded", usual(), json!({ "a": "all" }), "which is no percentage"),
        (
            "Succeeded",
            with("provisioningState", "Updating".into()),
            json!({ "a": 100 }),
            "is `Updating`: what answers",
        ),
        (
            "Succeeded",
            with("provisioningState", "Failed".into()),
            json!({ "a": 100 }),
            "is `Failed`: what answers",
        ),
        ("Succeeded", with("model", "azureml:fraud:2".into()), json!({ "a": 100 }), "no version of a model"),
        ("Succeeded", with("model", Value::Null), json!({ "a": 100 }), "no version of a model"),
        ("Succeeded", vec![deployment("a", "2"); 101], json!({ "a": 100 }), "it has 101 deployments"),
    ] {
        fake.world().online.deployments = deployments;
        fake.world().online.set("provisioningState", state.into());
        fake.world().online.set("traffic", traffic);
        let told = live(&deployer).await.to_string();
        assert!(
            told.starts_with("unknown: ") && told.contains(expected) && !told.contains('\u{1b}'),
            "{told}"
        );
        let part = order("k", &settable("2"), LiveState::Unknown("so".into()));
        let part = ShiftOrder { wave: wave(0.5), deadline: Millis(3_000), ..part };
        let error = deployer.shift(&part).await.unwrap_err();
        assert_eq!((error.applied, splits(&fake)), (Applied::No, 0), "{error}");
        shown(&error);
    }
    // After a change that failed, what is agreed to although live is unknown is moved as a whole.
    fake.world().online.serves(&[("1", 100), ("2", 0)]);
    fake.world().online.set("provisioningState", "Failed".into());
    let order = order("k", &settable("2"), live(&deployer).await);
    deployer.shift(&order).await.unwrap();
    assert_eq!(fake.world().online.traffic(), json!({ "v2": 100 }));
}

#[tokio::test]
async fn a_split_that_is_not_made_is_unknown_and_one_that_goes_on_is_under_way() {
    let fake = serving(&[("2", 100), ("1", 0)]).await;
    fake.world().online.ends = Some("Failed");
    let deployer = deployer(&fake);
    let order = order_to(&deployer, "1").await;
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::Unknown, Retry::No));
    assert!(shown(&error).contains("is `Failed`: look at its activity log"), "{error}");
    assert!(matches!(deployer.probe(&order).await.unwrap(), Probe::CannotTell(_)));

    let fake = serving(&[("2", 100), ("1", 0)]).await;
    fake.world().online.looks = 12;
    fake.world().online.tells_wanted = true;
    let deployer = self::deployer(&fake);
    let order = ShiftOrder { deadline: Millis(4_000), ..order_to(&deployer, "1").await };
    let Shifted::Underway(how) = deployer.shift(&order).await.unwrap() else { panic!("it goes on") };
    assert!(how.contains("Azure is at a change of it"), "{how}");
    assert!(matches!(deployer.probe(&order).await.unwrap(), Probe::Underway(_)));
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.applied, error.retry), (Applied::No, Retry::Later));
    assert!(shown(&error).contains("takes no change now"), "{error}");
    for _ in 0..12 {
        live(&deployer).await;
    }
    assert_eq!((deployer.probe(&order).await.unwrap(), splits(&fake)), (Probe::Applied, 1));
    fake.world().online.set("provisioningState", "Deleting".into());
    let error = deployer.shift(&order_to(&deployer, "2").await).await.unwrap_err();
    assert_eq!((error.applied, error.retry), (Applied::No, Retry::No));
    assert!(shown(&error).contains("takes no change: it is `Deleting`"), "{error}");
}

/// To which calls, status, code; and what they are taken for, with a part of the sentence.
type Case = (&'static str, &'static str, u16, &'static str, ErrorKind, Applied, Retry, &'static str);

#[tokio::test]
async fn each_refusal_is_told_with_what_to_do_and_what_is_known_of_the_effect() {
    use Applied::{No, Unknown};
    use ErrorKind::{BadAnswer, Conflict, Denied, Failed, NotFound};
    let table: Vec<Case> = vec![
        (
            "GET",
            ENDPOINT,
            401,
            "InvalidAuthenticationToken",
            Denied,
            No,
            Retry::No,
            "does not take the token of the application",
        ),
        (
            "GET",
            ENDPOINT,
            403,
            "AuthorizationFailed",
            Denied,
            No,
            Retry::No,
            "workspaces/onlineEndpoints/read`",
        ),
        ("GET", ENDPOINT, 404, "ResourceNotFound", NotFound, No, Retry::No, "check `endpoint-name`"),
        ("GET", ENDPOINT, 429, "TooManyRequests", Failed, No, Retry::Later, "takes no more calls for now"),
        ("GET", ENDPOINT, 500, "InternalServerError", Failed, No, Retry::Later, "answered 500"),
        (
            "GET",
            "/deployments",
            403,
            "AuthorizationFailed",
            Denied,
            No,
            Retry::No,
            "onlineEndpoints/deployments/read`",
        ),
        ("GET", "/models/", 404, "ModelNotFound", NotFound, No, Retry::No, "no version `1` of"),
        ("PUT", ENDPOINT, 400, "BadRequest", Failed, No, Retry::No, "does not accept the call"),
        (
            "PUT",
            ENDPOINT,
            403,
            "AuthorizationFailed",
            Denied,
            No,
            Retry::No,
            "workspaces/onlineEndpoints/write`",
        ),
        ("PUT", ENDPOINT, 409, "Conflict", Failed, No, Retry::Later, "someone else changes the same"),
        ("PUT", ENDPOINT, 409, "ScopeLocked", Failed, No, Retry::No, "take the lock away"),
        ("PUT", ENDPOINT, 412, "PreconditionFailed", Conflict, No, Retry::Later, "no longer what it was"),
        ("PUT", ENDPOINT, 429, "TooManyRequests", Failed, No, Retry::Later, "takes no more calls for now"),
        ("PUT", ENDPOINT, 500, "InternalServerError", Failed, Unknown, Retry::Later, "answered 500"),
        ("PUT", ENDPOINT, 503, "ServerTimeout", Failed, Unknown, Retry::Later, "answered 503"),
    ];
    let fake = serving(&[("2", 100), ("1", 0)]).await;
    let deployer = of(AzureMlDeployerConfig { patience_ms: 0, ..config(&fake, &fake.url()) });
    let order = order_to(&deployer, "1").await;
    for (method, part, status, code, kind, applied, retry, expected) in table {
        fake.instead_of(method, part, status, &refusal(code, "No.\u{1b}[2J"));
        let error = deployer.shift(&order).await.unwrap_err();
        fake.straight();
        assert_eq!(
            (error.kind, error.applied, error.retry),
            (kind, applied, retry),
            "{method} {code}: {error}"
        );
        assert!(shown(&error).contains(expected), "{method} {code}: {error}");
        assert!(!shown(&error).contains("production-tag"), "a key that the deployer has not: {error}");
    }
    for (method, body, applied, expected) in [
        ("GET", json!("Sign in"), No, "answered about"),
        ("GET", json!({ "name": "other\u{1b}", "properties": {} }), No, "answered about"),
        ("GET", json!({ "name": ENDPOINT }), No, "answered about"),
        ("PUT", json!({}), Unknown, "tells another split"),
    ] {
        fake.instead_of(method, ENDPOINT, 200, &body);
        let error = deployer.shift(&order).await.unwrap_err();
        fake.straight();
        assert_eq!(error.applied, applied, "{error}");
        assert!(shown(&error).contains(expected), "{error}");
    }
    fake.instead("/onlineEndpoints/", 200, "<title>Sign in</title>");
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (BadAnswer, No), "{error}");
    // Lists that end nowhere, or at somebody else's.
    for (next, expected) in [
        ("https://of-others.example/secrets?x=1", "which is no list of them"),
        (
            "https://x/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/acme-ml/providers/Microsoft.MachineLearningServices/workspaces/payments/onlineEndpoints/fraud/deployments?api-version=2025-12-01&$top=100",
            "was read already",
        ),
    ] {
        fake.instead("/deployments", 200, json!({ "value": [], "nextLink": next }).to_string());
        let error = deployer.shift(&order).await.unwrap_err();
        assert!(
            error.applied == No && shown(&error).contains("deployments of `payments/onlineEndpoints/fraud`")
        );
        assert!(error.to_string().contains(expected), "{error}");
    }
    fake.straight();
    assert_eq!(fake.world().online.traffic(), json!({ "v2": 100 }));
    assert_eq!(fake.world().online.deployments.len(), 2);
}

#[tokio::test]
async fn a_version_that_is_held_is_given_no_traffic_and_one_of_a_registry_is_looked_for_there() {
    let fake = serving(&[("2", 100), ("1", 0)]).await;
    fake.world().versions[0].insert("tags".into(), json!({ "ripcord.hold": "fraud-api:7" }));
    let held = deployer(&fake);
    let error = held.shift(&order_to(&held, "1").await).await.unwrap_err();
    assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Unsupported, Applied::No, Retry::No));
    assert!(
        shown(&error).contains("the tag `ripcord.hold`, which holds it") && splits(&fake) == 0,
        "{error}"
    );

    let fake = serving(&[("2", 100)]).await;
    let shared = |version: &str| format!("azureml://registries/{REGISTRY}/models/{MODEL}/versions/{version}");
    fake.world().online.deployments[0]["properties"]["model"] = shared("2").into();
    let of_registry =
        of(AzureMlDeployerConfig { registry: Some(REGISTRY.into()), ..config(&fake, &fake.url()) });
    of_registry.shift(&order_to(&of_registry, "3").await).await.unwrap();
    let seen = fake.seen();
    assert_eq!(
        seen.iter().find(|call| call.method == "PUT").unwrap().body["properties"]["model"],
        shared("3")
    );
    assert!(
        seen.iter()
            .any(|call| call.path.ends_with(&format!("registries/{REGISTRY}/models/{MODEL}/versions/3")))
    );
    assert!(live(&deployer(&fake)).await.to_string().contains("another workspace or registry"));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_when_it_is_configured() {
    let fake = serving(&[("1", 100)]).await;
    let usual = || config(&fake, &fake.url());
    for (config, expected) in [
        (AzureMlDeployerConfig { endpoint_name: "a/b".into(), ..usual() }, "cannot be the `endpoint-name`"),
        (AzureMlDeployerConfig { workspace: "..".into(), ..usual() }, "cannot be the `workspace`"),
        (AzureMlDeployerConfig { registry: Some(String::new()), ..usual() }, "cannot be the `registry`"),
        (AzureMlDeployerConfig { deadline_ms: 0, ..usual() }, "`deadline-ms` must be 1 or more"),
        (
            AzureMlDeployerConfig { resource_manager: Some("http://manager.example".into()), ..usual() },
            "calls carry tokens",
        ),
    ] {
        let error = AzureMlDeployer::new(config, Some(Secret::new("s3cret")), &shared()).unwrap_err();
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
}

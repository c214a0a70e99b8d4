//! The deployer of online endpoints, held against Microsoft's own client.

use ripcord_adapters::conformance::deployer::conforms;
use ripcord_ports::Deployer;
use ripcord_ports::deployer::ShiftOrder;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::fake::{Azure, Exchange, GROUP, SUBSCRIPTION, WORKSPACE, refusal};
use super::{judged, run};
use crate::adapters::deployer_azureml::{deployer, live, order_to, serving, settable, wave};

/// Everything that the adapter does: splits, deployments that end and that fail, and refusals.
async fn all_there_is() -> Azure {
    let fake = serving(&[("3", 100), ("1", 0), ("2", 0)]).await;
    let deployer = deployer(&fake);
    conforms(&deployer, &settable("1"), &settable("2")).await;
    fake.world().online.serves(&[("2", 100)]);
    fake.world().online.looks = 1;
    let part = ShiftOrder { wave: wave(0.25), ..order_to(&deployer, "1").await };
    deployer.shift(&part).await.unwrap();
    fake.world().online.ends = Some("Failed");
    deployer.shift(&order_to(&deployer, "3").await).await.unwrap_err();
    fake.world().online.ends = None;
    for (status, code) in [(403, "AuthorizationFailed"), (409, "Conflict"), (412, "PreconditionFailed")] {
        let order = order_to(&deployer, "2").await;
        fake.instead_of("PUT", "/onlineEndpoints/", status, &refusal(code, "No."));
        deployer.shift(&order).await.unwrap_err();
        fake.straight();
    }
    fake
}

#[tokio::test]
#[ignore = "needs Microsoft's own client: see the head of this suite"]
async fn an_endpoint_is_asked_and_answers_as_microsofts_own_client_has_it() {
    let fake = all_there_is().await;
    let judgement = judged(&fake.seen()).await;
    assert_eq!(judgement.violations, [""; 0]);
    let operations: Vec<&str> = judgement.operations.keys().map(String::as_str).collect();
    let wanted = [
        "model_versions_get",
        "online_deployments_create_or_update",
        "online_deployments_get",
        "online_deployments_list",
        "online_endpoints_create_or_update",
        "online_endpoints_get",
    ];
    assert_eq!(operations, wanted, "every operation that the adapter calls was judged");
}

/// A judge that lets everything pass judges nothing.
#[tokio::test]
#[ignore = "needs Microsoft's own client: see the head of this suite"]
async fn what_microsofts_client_does_not_have_of_an_endpoint_is_noticed() {
    let seen = all_there_is().await.seen();
    let is = |method: &str, part: &str, not: &str| {
        let mut found = seen.iter().filter(|call| call.method == method && call.path.contains(part));
        found.find(|call| call.status < 300 && !call.path.contains(not)).unwrap().clone()
    };
    let (get, put) =
        (is("GET", "/onlineEndpoints/", "/deployments"), is("PUT", "/onlineEndpoints/", "/deployments"));
    let deploy = is("PUT", "/deployments/", "?");
    let with = |call: &Exchange, change: &dyn Fn(&mut Exchange)| {
        let mut call = call.clone();
        change(&mut call);
        call
    };
    let answer = |call: &mut Exchange, pointer: &str, value: Value| {
        *call.answer.as_mut().unwrap().pointer_mut(pointer).unwrap() = value;
    };
    let cases = [
        (
            with(&get, &|call| answer(call, "/properties/traffic", json!({ "v1": "all" }))),
            "traffic.v1: is no int",
        ),
        (with(&get, &|call| answer(call, "/properties/provisioningState", json!("Odd"))), "`Odd` is none of"),
        (with(&get, &|call| call.query.push(("$top".into(), "1".into()))), "there is no parameter `$top`"),
        (
            with(&put, &|call| call.body["properties"]["provisioningState"] = json!("Succeeded")),
            "is only ever answered",
        ),
        (with(&put, &|call| call.body["properties"]["split"] = json!({})), "split: is not known"),
        (with(&put, &|call| call.body["identity"]["principalId"] = json!("p")), "is only ever answered"),
        (with(&deploy, &|call| call.body["properties"]["versions"] = json!("1")), "versions: is not known"),
        (
            with(&deploy, &|call| call.body["properties"]["instanceType"] = json!(4)),
            "instanceType: is no str",
        ),
        (with(&deploy, &|call| call.body["sku"]["capacity"] = json!("3")), "capacity: is no int"),
    ];
    let (calls, wanted): (Vec<Exchange>, Vec<&str>) = cases.into_iter().unzip();
    let found = judged(&calls).await.violations;
    for wanted in wanted {
        assert!(found.iter().any(|violation| violation.contains(wanted)), "{wanted}: {found:?}");
    }
}

/// What `endpoint_client.py` read.
#[derive(Debug, Deserialize)]
struct Read {
    traffic: BTreeMap<String, u64>,
    models: BTreeMap<String, String>,
}

#[tokio::test]
#[ignore = "needs Microsoft's own client: see the head of this suite"]
async fn microsofts_own_client_and_the_deployer_see_the_same() {
    let fake = serving(&[("2", 100), ("1", 0)]).await;
    let deployer = deployer(&fake);
    let url = fake.url();
    let client = async |split: &str| -> Read {
        run("endpoint_client.py", &[url.as_str(), SUBSCRIPTION, GROUP, WORKSPACE, split]).await
    };
    deployer.shift(&order_to(&deployer, "1").await).await.unwrap();
    let read = client("{}").await;
    assert_eq!(read.traffic, BTreeMap::from([("v1".to_owned(), 100)]));
    assert!(read.models["v2"].ends_with("/models/fraud/versions/2"), "{read:?}");
    client("{\"v1\": 30, \"v2\": 70}").await;
    assert_eq!(live(&deployer).await.to_string(), "1 30 %, 2 70 %");
    assert_eq!(judged(&fake.seen()).await.violations, [""; 0], "nor does the client ask for anything else");
}

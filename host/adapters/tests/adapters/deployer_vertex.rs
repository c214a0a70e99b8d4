//! Endpoints of Vertex AI, against the fake that Google's own description of its interfaces judges (`tests/vertex`).

use std::path::PathBuf;

use ripcord_adapters::conformance::deployer::{Settable, conforms, order};
use ripcord_adapters::conformance::deployer_faults::conforms_in_faults;
use ripcord_adapters::conformance::deployer_waves::conforms_in_waves;
use ripcord_adapters::deployer_vertex::{Undeploy, VertexDeployer, VertexDeployerConfig};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::ratio::Ratio;
use ripcord_core::target::Target;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Moves, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::{Applied, Deployer, ErrorKind, PortError, Retry};
use serde_json::{Value, json};

use super::support::{shared, target};
use crate::vertex::fake::{LOCATION, MODEL, PROJECT, PROJECT_NUMBER, TOKEN, Vertex, reason, refusal};
use crate::vertex::serving::{ENDPOINT, deployed};

/// An endpoint of versions that are registered, with percents.
pub(crate) async fn serving(versions: &[(&str, u32)]) -> Vertex {
    let fake = Vertex::start().await;
    {
        let mut world = fake.world();
        for number in 1..=3 {
            world.upload(&[("model.txt", format!("{number}\n").as_bytes())], json!({}));
        }
        world.serving.serves(versions);
    }
    fake
}

pub(crate) fn config(fake: &Vertex, url: &str) -> VertexDeployerConfig {
    VertexDeployerConfig {
        project: PROJECT.into(),
        location: LOCATION.into(),
        endpoint_id: ENDPOINT.into(),
        model: MODEL.into(),
        undeploy: Undeploy::Never,
        probe_input_file: None,
        prediction_endpoint: None,
        credentials_file: Some(fake.credentials()),
        quota_project: None,
        endpoint: Some(url.to_owned()),
        deadline_ms: 4_000,
        patience_ms: 50,
    }
}

pub(crate) fn of(config: VertexDeployerConfig) -> VertexDeployer {
    VertexDeployer::new(config, &shared()).unwrap()
}

pub(crate) fn deployer(fake: &Vertex) -> VertexDeployer {
    of(config(fake, &fake.url()))
}

pub(crate) fn probe_input(fake: &Vertex) -> PathBuf {
    fake.file("probe.json", &json!({ "instances": [{ "amount": 1 }] }))
}

pub(crate) fn settable(version: &str) -> Settable {
    Settable { target: Target::Version(target(version, None)), staged: None }
}

pub(crate) async fn live(deployer: &VertexDeployer) -> LiveState {
    deployer.live().await.unwrap().state
}

pub(crate) async fn order_to(deployer: &VertexDeployer, version: &str) -> ShiftOrder {
    order("key", &settable(version), live(deployer).await)
}

pub(crate) fn wave(share: f64) -> Option<WaveOf> {
    Some(WaveOf { number: 0, of: 2, moves: Moves::Share(Ratio::new(share).unwrap()) })
}

/// How often a method was called on the endpoint.
fn count(fake: &Vertex, method: &str, end: &str) -> usize {
    fake.seen().iter().filter(|call| call.method == method && call.path.ends_with(end)).count()
}

fn shown(error: &PortError) -> String {
    let text = format!("{error} {error:?}");
    assert!(!text.contains(TOKEN) && !error.to_string().contains('\u{1b}'), "{text}");
    error.to_string()
}

#[tokio::test]
async fn an_endpoint_conforms_and_moves_in_waves() {
    let fake = serving(&[("3", 100), ("1", 0), ("2", 0)]).await;
    let deployer = deployer(&fake);
    conforms(&deployer, &settable("1"), &settable("2")).await;
    let parts = [0.1, 0.5].map(|part| Moves::Share(Ratio::new(part).unwrap()));
    conforms_in_waves(&deployer, &parts, &settable("1"), &settable("2")).await;
    assert_eq!(count(&fake, "POST", ":deployModel"), 0);
}

#[tokio::test]
async fn an_endpoint_conforms_while_the_network_fails() {
    let fake = serving(&[("1", 100), ("2", 0)]).await;
    let proxy = FaultProxy::start(&fake.url()).await.unwrap();
    let deployer = of(config(&fake, &proxy.url()));
    conforms_in_faults(&deployer, &proxy, &Which::With("updateMask"), &settable("1"), &settable("2")).await;
}

#[tokio::test]
async fn a_version_that_is_not_deployed_is_deployed_like_what_serves_and_only_then_given_traffic() {
    let fake = serving(&[("2", 90), ("3", 10)]).await;
    fake.world().serving.looks = 1;
    let deployer = deployer(&fake);
    let order = order_to(&deployer, "1").await;
    assert_eq!(order.expecting.weakest_proof(), Some(Proof::ControlPlane));
    assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done);
    let seen = fake.seen();
    let sent = |method: &str, end: &str| {
        seen.iter().find(|call| call.method == method && call.path.ends_with(end)).unwrap().body.clone()
    };
    let made = sent("POST", ":deployModel");
    let id = made["deployedModel"]["id"].as_str().unwrap().to_owned();
    let wanted = json!({ "deployedModel": {
        "id": id, "model": format!("projects/{PROJECT}/locations/{LOCATION}/models/{MODEL}@1"), "displayName": "ripcord-1",
        "serviceAccount": "serving@acme-ml.iam.gserviceaccount.com",
        "dedicatedResources": {
            "machineSpec": { "machineType": "n1-standard-4" }, "minReplicaCount": 2, "maxReplicaCount": 5,
        },
    } });
    assert_eq!(made, wanted, "nothing of its own traffic, and nothing of the version that serves");
    let split = sent("PATCH", ENDPOINT);
    assert_eq!(split, json!({ "etag": "AMEw9yM-2", "trafficSplit": { id: 100 } }));
    assert_eq!(live(&deployer).await.to_string(), "1");

    // The way there and back a second time deploys nothing, and a shift that is there sends nothing.
    for version in ["2", "1"] {
        deployer.shift(&order_to(&deployer, version).await).await.unwrap();
    }
    let again = order_to(&deployer, "1").await;
    assert_eq!(deployer.shift(&again).await.unwrap(), Shifted::Done);
    assert_eq!((count(&fake, "POST", ":deployModel"), count(&fake, "PATCH", ENDPOINT)), (1, 3));
    assert_eq!(count(&fake, "POST", ":undeployModel"), 0);
}

#[tokio::test]
async fn a_deployment_that_takes_longer_than_a_shift_is_gone_on_with_and_made_once() {
    let fake = serving(&[("2", 100)]).await;
    fake.world().serving.looks = 3;
    let first = deployer(&fake);
    let order = ShiftOrder { deadline: Millis(3_400), ..order_to(&first, "1").await };
    let error = first.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::No, Retry::Later));
    let text = shown(&error);
    assert!(text.contains("no traffic was moved yet") && text.contains("`STARTING_MODEL_SERVER`"), "{text}");
    assert_eq!(first.probe(&order).await.unwrap(), Probe::NotApplied);
    assert_eq!(live(&first).await.to_string(), "2");

    // A host that begins again knows of it by what goes on there.
    let second = deployer(&fake);
    let error = second.shift(&order).await.unwrap_err();
    assert_eq!((error.applied, error.retry), (Applied::No, Retry::Later));
    assert!(shown(&error).contains("is at changing what is deployed"), "{error}");
    let order = ShiftOrder { deadline: Millis::seconds(10), ..order };
    assert_eq!(first.shift(&order).await.unwrap(), Shifted::Done);
    assert_eq!(second.shift(&order).await.unwrap(), Shifted::Done);
    assert_eq!((count(&fake, "POST", ":deployModel"), count(&fake, "PATCH", ENDPOINT)), (1, 1));
}

#[tokio::test]
async fn a_deployment_that_fails_moves_nothing_and_says_why() {
    for (code, retry) in [(9, Retry::No), (8, Retry::No), (14, Retry::Later)] {
        let fake = serving(&[("2", 100)]).await;
        fake.world().serving.fails = Some((code, "Model server never became ready.\u{1b}[2J"));
        let deployer = deployer(&fake);
        let error = deployer.shift(&order_to(&deployer, "1").await).await.unwrap_err();
        assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::No, retry));
        let text = shown(&error);
        assert!(
            text.contains("Model server never became ready.\\u{1b}") && text.contains("no traffic was moved")
        );
        assert_eq!(count(&fake, "PATCH", ENDPOINT), 0);
        // It is begun anew where it is asked for again.
        fake.world().serving.fails = None;
        assert_eq!(deployer.shift(&order_to(&deployer, "1").await).await.unwrap(), Shifted::Done);
    }
    let fake = serving(&[("2", 100)]).await;
    let deployer = deployer(&fake);
    let order = order_to(&deployer, "1").await;
    for (status, code, kind, retry, expected) in [
        (403, "PERMISSION_DENIED", ErrorKind::Denied, Retry::No, "`aiplatform.endpoints.deploy`"),
        (400, "INVALID_ARGUMENT", ErrorKind::Failed, Retry::No, "does not accept the call"),
        (400, "FAILED_PRECONDITION", ErrorKind::Failed, Retry::Later, "is being changed"),
        (409, "ALREADY_EXISTS", ErrorKind::Failed, Retry::Later, "can be done again"),
        (429, "RESOURCE_EXHAUSTED", ErrorKind::Failed, Retry::Later, "no quota left"),
        (500, "INTERNAL", ErrorKind::Failed, Retry::Later, "answered 500"),
    ] {
        fake.instead(":deployModel", status, refusal(status, code, "No.\u{1b}", &[]).to_string());
        let error = deployer.shift(&order).await.unwrap_err();
        assert_eq!((error.kind, error.applied, error.retry), (kind, Applied::No, retry), "{error}");
        assert!(shown(&error).contains(expected), "{error}");
    }
    // What is begun is followed only where it is of this endpoint.
    for name in
        ["", "projects/1/locations/x/endpoints/1/operations/1", "https://of-others.example/operations/1"]
    {
        fake.instead(":deployModel", 200, json!({ "name": name }).to_string());
        let error = deployer.shift(&order).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::BadAnswer, Applied::No));
        assert!(shown(&error).contains("which is no operation on it"), "{error}");
    }
    fake.straight();
    fake.world().serving.serves(&[("2", 0)]);
    let error = deployer.shift(&order_to(&deployer, "1").await).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::Unsupported, Retry::No));
    assert!(shown(&error).contains("deploy it by hand"), "{error}");
}

#[tokio::test]
async fn what_someone_else_did_is_left_so() {
    let fake = serving(&[("2", 100), ("1", 0), ("3", 0)]).await;
    let deployer = deployer(&fake);
    let order = order_to(&deployer, "1").await;
    fake.world().serving.resplit(json!({ "3333": 100 }));
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No));
    assert!(shown(&error).contains("serves 3 where 2 was expected"), "{error}");
    assert!(
        matches!(deployer.probe(&order).await.unwrap(), Probe::CannotTell(why) if why.contains("neither"))
    );

    // Between the look and the change: the etag is another one.
    let order = order_to(&deployer, "1").await;
    let stale = json!("AMEw9yM-0");
    fake.twist(move |path, mut value| {
        if path.ends_with(ENDPOINT) && value.get("etag").is_some() {
            value["etag"] = stale.clone();
        }
        value
    });
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::No, Retry::Later));
    assert!(shown(&error).contains("someone else changed the same"), "{error}");
    assert_eq!((fake.world().serving.split(), count(&fake, "PATCH", ENDPOINT)), (json!({ "3333": 100 }), 1));
    fake.twist(|path, mut value| {
        if path.ends_with(ENDPOINT) {
            value.as_object_mut().unwrap().remove("etag");
        }
        value
    });
    let error = deployer.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::BadAnswer, Applied::No));
    assert!(shown(&error).contains("no etag") && count(&fake, "PATCH", ENDPOINT) == 1, "{error}");
    fake.straight();

    // While the target is deployed.
    let fake = serving(&[("2", 50), ("3", 50)]).await;
    fake.world().serving.looks = 3;
    let deployer = self::deployer(&fake);
    let order = order_to(&deployer, "1").await;
    let (shifted, ()) = tokio::join!(deployer.shift(&order), async {
        for _ in 0..1_000 {
            if !fake.world().serving.operations.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        fake.world().serving.resplit(json!({ "2222": 90, "3333": 10 }));
    });
    let error = shifted.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No));
    assert!(shown(&error).contains("split anew by someone else"), "{error}");
    assert_eq!(count(&fake, "PATCH", ENDPOINT), 0);
}

#[tokio::test]
async fn what_is_live_is_told_for_every_split_and_for_what_names_no_version() {
    let fake = serving(&[("2", 75), ("1", 25), ("3", 0)]).await;
    let deployer = deployer(&fake);
    assert_eq!(live(&deployer).await.to_string(), "1 25 %, 2 75 %");
    // Of one version is what is deployed twice, and what is odd and has no traffic hides nothing.
    let mut odd = vec![json!({}), json!({ "id": "7", "model": "publishers/x/models/y" }), json!({ "id": 7 })];
    odd.extend([deployed("8", "2"), deployed("9", "1")]);
    fake.world().serving.endpoint.insert("deployedModels".into(), json!(odd));
    fake.world().serving.resplit(json!({ "8": 60, "9": 40, "7": 0 }));
    assert_eq!(live(&deployer).await.to_string(), "1 40 %, 2 60 %");
    fake.world().serving.resplit(json!({}));
    assert_eq!(live(&deployer).await.to_string(), "nothing");
    let model = |id: &str| format!("projects/{PROJECT_NUMBER}/locations/{LOCATION}/models/{id}");
    let with = |key: &str, value: Value| {
        let mut one = deployed("8", "2");
        one[key] = value;
        json!([one])
    };
    // A 0 is left out of what Google answers.
    let no_replicas = json!({ "lastUpdateTime": "2026-11-28T10:00:00Z" });
    let abroad = format!("projects/{PROJECT_NUMBER}/locations/us-central1/models/{MODEL}");
    let of_others = format!("projects/{PROJECT_NUMBER}1/locations/{LOCATION}/models/{MODEL}");
    for (listed, split, expected) in [
        (json!([deployed("8", "2")]), json!({ "9\u{1b}": 100 }), "go to `9\\u{1b}`, which is not among"),
        (
            json!([deployed("8", "2"), deployed("8", "1")]),
            json!({ "8": 100 }),
            "two of what is deployed have the id",
        ),
        (json!([deployed("8", "2")]), json!({ "8": 90 }), "adds up to 90 percent"),
        (json!([deployed("8", "2")]), json!({ "8": "all" }), "which is no percentage"),
        (json!([deployed("8", "2")]), json!({ "8": -1 }), "which is no percentage"),
        (with("model", model("churn").into()), json!({ "8": 100 }), "which is not the model `4242`"),
        (with("model", abroad.into()), json!({ "8": 100 }), "which is not the model `4242`"),
        (with("model", of_others.into()), json!({ "8": 100 }), "which is not the model `4242`"),
        (with("model", model("4242@1").into()), json!({ "8": 100 }), "said to be version `2`"),
        (with("modelVersionId", Value::Null), json!({ "8": 100 }), "is not told"),
        (with("status", no_replicas), json!({ "8": 100 }), "of which no replica answers"),
        (json!(vec![deployed("8", "2"); 201]), json!({ "8": 100 }), "201 deployed models"),
    ] {
        fake.world().serving.endpoint.insert("deployedModels".into(), listed);
        fake.world().serving.resplit(split);
        let told = live(&deployer).await.to_string();
        assert!(
            told.starts_with("unknown: ") && told.contains(expected) && !told.contains('\u{1b}'),
            "{told}"
        );
        let part =
            ShiftOrder { wave: wave(0.5), ..order("k", &settable("2"), LiveState::Unknown("so".into())) };
        let error = deployer.shift(&part).await.unwrap_err();
        assert_eq!(error.applied, Applied::No, "{error}");
        assert_eq!(count(&fake, "PATCH", ENDPOINT), 0, "{error}");
    }
    // What is agreed to although live is unknown is moved as a whole.
    fake.world().serving.serves(&[("1", 100), ("2", 0)]);
    fake.world().serving.resplit(json!({ "1111": 90 }));
    let order = order("k", &settable("2"), live(&deployer).await);
    assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done);
    assert_eq!(fake.world().serving.split(), json!({ "2222": 100 }));
}

#[tokio::test]
async fn a_part_of_the_traffic_is_moved_by_whole_percents_and_the_rest_stays_as_it_was() {
    let fake = serving(&[("2", 60), ("3", 40), ("1", 0)]).await;
    let deployer = deployer(&fake);
    for (share, split) in [
        (0.333, json!({ "1111": 34, "2222": 40, "3333": 26 })),
        (0.5, json!({ "1111": 50, "2222": 30, "3333": 20 })),
        (0.99, json!({ "1111": 99, "2222": 1 })),
    ] {
        let order = ShiftOrder { wave: wave(share), ..order_to(&deployer, "1").await };
        assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done);
        assert_eq!(fake.world().serving.split(), split, "{share}");
        assert_eq!(deployer.probe(&order).await.unwrap(), Probe::Applied);
        let words = deployer.request(&order.target, order.wave.as_ref()).unwrap();
        assert!(
            words.words().contains(&format!("have {} % of", (share * 100.0_f64).ceil())),
            "{}",
            words.words()
        );
    }
    for share in [0.0, 0.995, 1.0] {
        let order = ShiftOrder { wave: wave(share), ..order_to(&deployer, "2").await };
        let error = deployer.shift(&order).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::Unsupported, Applied::No), "{share}: {error}");
        assert!(!deployer.waves(&Moves::Share(Ratio::new(share).unwrap())), "{share}");
    }
    assert!(!deployer.waves(&Moves::Place("eu".into())));
}

/// To which calls, status, code, details; and what they are taken for, with a part of the sentence.
type Case<'a> = (&'a str, u16, &'a str, Vec<Value>, ErrorKind, Applied, Retry, &'a str);

#[tokio::test]
async fn each_refusal_is_told_with_what_to_do_and_what_is_known_of_the_effect() {
    let info = |name: &str, metadata: Value| vec![reason(name, metadata)];
    let lacks = |right: &str| info("IAM_PERMISSION_DENIED", json!({ "permission": right }));
    let get = format!("GET /v1/projects/{PROJECT}/locations/{LOCATION}/endpoints/{ENDPOINT}");
    let wait = vec![json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s" })];
    use Applied::{No, Unknown};
    use ErrorKind::{Denied, Failed, NotFound, TimedOut};
    let none = Vec::new;
    let table: Vec<Case<'_>> = vec![
        (&get, 401, "UNAUTHENTICATED", none(), Denied, No, Retry::No, "does not take the token of the login"),
        (
            &get,
            403,
            "PERMISSION_DENIED",
            none(),
            Denied,
            No,
            Retry::No,
            "the permission `aiplatform.endpoints.get`",
        ),
        (
            &get,
            404,
            "NOT_FOUND",
            none(),
            NotFound,
            No,
            Retry::No,
            "`endpoint-id`, which is the endpoint's id",
        ),
        (
            &get,
            429,
            "RESOURCE_EXHAUSTED",
            wait,
            Failed,
            No,
            Retry::After(Millis::seconds(7)),
            "no quota left",
        ),
        (&get, 500, "INTERNAL", none(), Failed, No, Retry::Later, "answered 500"),
        (&get, 504, "DEADLINE_EXCEEDED", none(), TimedOut, No, Retry::Later, "answered 504"),
        ("PATCH", 400, "INVALID_ARGUMENT", none(), Failed, No, Retry::No, "does not accept the call"),
        (
            "PATCH",
            400,
            "FAILED_PRECONDITION",
            none(),
            Failed,
            No,
            Retry::Later,
            "not as it was, or is being changed",
        ),
        ("PATCH", 401, "UNAUTHENTICATED", none(), Denied, No, Retry::No, "does not take the token"),
        (
            "PATCH",
            403,
            "PERMISSION_DENIED",
            lacks("aiplatform.endpoints.update"),
            Denied,
            No,
            Retry::No,
            "`aiplatform.endpoints.update`",
        ),
        ("PATCH", 404, "NOT_FOUND", none(), NotFound, No, Retry::No, "check `project`"),
        ("PATCH", 409, "ABORTED", none(), Failed, No, Retry::Later, "someone else changed the same"),
        ("PATCH", 412, "FAILED_PRECONDITION", none(), Failed, No, Retry::Later, "not as it was"),
        ("PATCH", 429, "RESOURCE_EXHAUSTED", none(), Failed, No, Retry::Later, "no quota left"),
        ("PATCH", 500, "INTERNAL", none(), Failed, Unknown, Retry::Later, "answered 500"),
        ("PATCH", 503, "UNAVAILABLE", none(), Failed, Unknown, Retry::Later, "answered 503"),
        ("/models/", 404, "NOT_FOUND", none(), NotFound, No, Retry::No, "no version `1` of"),
    ];
    let fake = serving(&[("2", 100), ("1", 0)]).await;
    let deployer = of(VertexDeployerConfig { patience_ms: 0, ..config(&fake, &fake.url()) });
    let order = order_to(&deployer, "1").await;
    for (part, status, code, details, kind, applied, retry, expected) in table {
        fake.instead(part, status, refusal(status, code, "No.\u{1b}[2J", &details).to_string());
        let error = deployer.shift(&order).await.unwrap_err();
        assert_eq!(
            (error.kind, error.applied, error.retry),
            (kind, applied, retry),
            "{part} {code}: {error}"
        );
        assert!(shown(&error).contains(expected), "{part} {code}: {error}");
        fake.straight();
    }
    for (part, body, applied, expected) in [
        (get.as_str(), "<title>Sign in</title>", No, "not the JSON expected"),
        ("PATCH", "<title>Sign in</title>", Unknown, "not the JSON expected"),
        ("PATCH", "{}", Unknown, "tells another split"),
        (get.as_str(), "{\"name\":\"projects/1/locations/x/endpoints/7\\u001b\"}", No, "and answered about"),
    ] {
        fake.instead(part, 200, body);
        let error = deployer.shift(&order).await.unwrap_err();
        assert_eq!(error.applied, applied, "{error}");
        assert!(shown(&error).contains(expected), "{part}: {error}");
        fake.straight();
    }
    assert_eq!(fake.world().serving.split(), json!({ "2222": 100 }));
    let odd = ShiftOrder { target: settable("default").target, ..order };
    let error = deployer.shift(&odd).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (NotFound, No), "an alias is no version: {error}");
    // A list that never ends is not gone through, and one that may not be read keeps nobody from deploying.
    let order = order_to(&deployer, "3").await;
    fake.instead("/operations", 200, json!({ "operations": [], "nextPageToken": "again" }).to_string());
    let error = deployer.shift(&order).await.unwrap_err();
    assert!(shown(&error).contains("was read already") && error.applied == No, "{error}");
    fake.twist(|_, value| value);
    fake.instead("/operations", 403, refusal(403, "PERMISSION_DENIED", "No.", &[]).to_string());
    let brief = ShiftOrder { deadline: Millis(3_200), ..order };
    let error = deployer.shift(&brief).await.unwrap_err();
    assert!(
        shown(&error).contains("is being deployed") && count(&fake, "POST", ":deployModel") == 1,
        "{error}"
    );
}

#[tokio::test]
async fn a_version_that_is_held_is_given_no_traffic() {
    let fake = serving(&[("2", 100), ("1", 0)]).await;
    let deployer = deployer(&fake);
    fake.world().alias("ripcord-hold-v1-fraud-api-7", 1);
    let error = deployer.shift(&order_to(&deployer, "1").await).await.unwrap_err();
    assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Unsupported, Applied::No, Retry::No));
    assert!(shown(&error).contains("`ripcord-hold-v1-fraud-api-7`, which holds it"), "{error}");
    assert_eq!(count(&fake, "PATCH", ENDPOINT), 0);
    // What is starting has no replica yet.
    fake.world().serving.serves(&[("2", 100), ("3", 0)]);
    let silent = json!({ "lastUpdateTime": "2026-11-28T10:00:00Z" });
    fake.world().serving.endpoint["deployedModels"][1]["status"] = silent.clone();
    let error = deployer.shift(&order_to(&deployer, "3").await).await.unwrap_err();
    assert_eq!((error.applied, error.retry), (Applied::No, Retry::Later));
    assert!(shown(&error).contains("no replica of it answers yet"), "{error}");
    // Of two the one that answers is used, although the other is newer.
    let mut newer = deployed("8", "3");
    newer["createTime"] = "2026-11-28T10:00:00Z".into();
    newer["status"] = silent;
    let all = json!([deployed("9", "2"), deployed("7", "3"), newer]);
    fake.world().serving.endpoint.insert("deployedModels".into(), all);
    fake.world().serving.resplit(json!({ "9": 100 }));
    assert_eq!(deployer.shift(&order_to(&deployer, "3").await).await.unwrap(), Shifted::Done);
    assert_eq!(fake.world().serving.split(), json!({ "7": 100 }));
    // Where nothing is told of replicas, as of shared machines, it serves.
    let mut shared = deployed("9", "2");
    shared.as_object_mut().unwrap().remove("dedicatedResources");
    shared["status"] = json!({ "lastUpdateTime": "2026-11-28T10:00:00Z" });
    fake.world().serving.endpoint.insert("deployedModels".into(), json!([shared]));
    fake.world().serving.resplit(json!({ "9": 100 }));
    assert_eq!(live(&deployer).await.to_string(), "2");
}

#[tokio::test]
async fn what_was_deployed_without_a_replica_is_given_no_traffic() {
    let fake = serving(&[("2", 100)]).await;
    let deployer = deployer(&fake);
    fake.twist(|path, mut value| {
        for one in value["deployedModels"].as_array_mut().into_iter().flatten() {
            if path.ends_with(ENDPOINT) && one["displayName"] == "ripcord-1" {
                one["status"] = json!({ "lastUpdateTime": "2026-11-28T10:00:00Z" });
            }
        }
        value
    });
    let error = deployer.shift(&order_to(&deployer, "1").await).await.unwrap_err();
    assert_eq!((error.kind, error.applied, error.retry), (ErrorKind::Failed, Applied::No, Retry::Later));
    assert!(shown(&error).contains("no replica of it answers yet"), "{error}");
    assert_eq!((count(&fake, "POST", ":deployModel"), count(&fake, "PATCH", ENDPOINT)), (1, 0));
    fake.straight();
    assert_eq!(deployer.shift(&order_to(&deployer, "1").await).await.unwrap(), Shifted::Done);
    assert_eq!((count(&fake, "POST", ":deployModel"), count(&fake, "PATCH", ENDPOINT)), (1, 1));
}

#[tokio::test]
async fn a_private_endpoint_and_a_proof_that_cannot_be_had_are_told_beforehand() {
    let fake = serving(&[("2", 100), ("1", 0)]).await;
    let asking =
        of(VertexDeployerConfig { probe_input_file: Some(probe_input(&fake)), ..config(&fake, &fake.url()) });
    assert_eq!((asking.obstacle().await, asking.warning().await), (None, None));
    fake.world().serving.endpoint.insert("dedicatedEndpointEnabled".into(), true.into());
    let told = asking.warning().await.unwrap();
    assert!(told.contains("the proof `answer`") && told.contains("`prediction-endpoint`"), "{told}");
    assert_eq!(deployer(&fake).warning().await, None, "no proof by answers is announced");
    fake.world().serving.endpoint.insert("network".into(), "projects/1/global/networks/x\u{1b}".into());
    let told = asking.obstacle().await.unwrap();
    assert!(told.contains("is a private one") && !told.contains('\u{1b}'), "{told}");
}

#[tokio::test]
async fn a_prediction_proves_what_serves_and_an_answer_of_another_version_makes_live_unknown() {
    let fake = serving(&[("2", 100), ("1", 0)]).await;
    let asking =
        VertexDeployerConfig { probe_input_file: Some(probe_input(&fake)), ..config(&fake, &fake.url()) };
    let deployer = of(asking.clone());
    let proof = async |deployer: &VertexDeployer| live(deployer).await.weakest_proof();
    assert_eq!(proof(&deployer).await, Some(Proof::Answer));
    assert_eq!(count(&fake, "POST", ":predict"), 3, "several answers in a row");
    deployer.shift(&order_to(&deployer, "1").await).await.unwrap();
    assert_eq!(
        (live(&deployer).await.to_string().as_str(), proof(&deployer).await),
        ("1", Some(Proof::Answer))
    );

    let model = format!("projects/{PROJECT_NUMBER}/locations/{LOCATION}/models/{MODEL}");
    for (model, version, expected) in [
        (model.as_str(), "2", "goes to version `1`, and an answer of it is of version `2`"),
        ("publishers/x\u{1b}", "2", "an answer of it says of itself"),
        ("", "", "an answer of it says of itself"),
    ] {
        fake.world().serving.answers_as = Some((model.into(), version.into()));
        let told = live(&deployer).await.to_string();
        assert!(
            told.starts_with("unknown: ") && told.contains(expected) && !told.contains('\u{1b}'),
            "{told}"
        );
    }
    fake.world().serving.answers_as = None;
    // A model that answers with errors can be rolled back from: that is no reason not to know what is deployed.
    fake.instead(":predict", 500, refusal(500, "INTERNAL", "the model failed", &[]).to_string());
    assert_eq!(proof(&deployer).await, Some(Proof::ControlPlane));
    fake.straight();
    fake.world().serving.endpoint.insert("dedicatedEndpointEnabled".into(), true.into());
    assert_eq!(proof(&deployer).await, Some(Proof::ControlPlane), "the address in an answer is not asked");
    let own = serving(&[("1", 100)]).await;
    let named = of(VertexDeployerConfig { prediction_endpoint: Some(own.url()), ..asking });
    assert_eq!(proof(&named).await, Some(Proof::Answer));
    assert_eq!(count(&own, "POST", ":predict"), 3);
}

#[tokio::test]
async fn what_was_left_is_undeployed_where_that_is_configured() {
    let fake = serving(&[("2", 90), ("3", 10), ("1", 0)]).await;
    let deployer = of(VertexDeployerConfig { undeploy: Undeploy::Left, ..config(&fake, &fake.url()) });
    let part = ShiftOrder { wave: wave(0.5), ..order_to(&deployer, "1").await };
    deployer.shift(&part).await.unwrap();
    assert_eq!(count(&fake, "POST", ":undeployModel"), 0, "not before everything is moved");
    let order = order_to(&deployer, "1").await;
    assert!(
        deployer
            .request(&order.target, None)
            .unwrap()
            .words()
            .ends_with("undeploy what it was taken from where the end of it is seen")
    );
    assert_eq!(deployer.shift(&order).await.unwrap(), Shifted::Done);
    assert_eq!(count(&fake, "POST", ":undeployModel"), 2);
    assert_eq!(fake.world().serving.endpoint["deployedModels"].as_array().unwrap().len(), 1);
    // What is not undeployed is no failure of the shift.
    fake.world().serving.serves(&[("2", 100), ("1", 0)]);
    fake.instead(":undeployModel", 403, refusal(403, "PERMISSION_DENIED", "No.", &[]).to_string());
    assert_eq!(deployer.shift(&order_to(&deployer, "1").await).await.unwrap(), Shifted::Done);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_when_it_is_configured() {
    let fake = serving(&[("1", 100)]).await;
    let usual = || config(&fake, &fake.url());
    let list = fake.file("list.json", &json!([1]));
    for (config, expected) in [
        (VertexDeployerConfig { endpoint_id: "a/b".into(), ..usual() }, "cannot be the `endpoint-id`"),
        (VertexDeployerConfig { endpoint_id: "..".into(), ..usual() }, "cannot be the `endpoint-id`"),
        (VertexDeployerConfig { model: "a@1".into(), ..usual() }, "cannot be the `model`"),
        (VertexDeployerConfig { deadline_ms: 0, ..usual() }, "`deadline-ms` must be 1 or more"),
        (
            VertexDeployerConfig { endpoint: Some("http://vertex.example".into()), ..usual() },
            "calls carry tokens",
        ),
        (
            VertexDeployerConfig { prediction_endpoint: Some("http://x.example".into()), ..usual() },
            "calls carry tokens",
        ),
        (
            VertexDeployerConfig { prediction_endpoint: Some("https://x.example".into()), ..usual() },
            "asked for nothing without `probe-input-file`",
        ),
        (VertexDeployerConfig { probe_input_file: Some(list), ..usual() }, "no JSON object"),
        (VertexDeployerConfig { probe_input_file: Some("/nowhere".into()), ..usual() }, "/nowhere"),
    ] {
        let error = VertexDeployer::new(config, &shared()).unwrap_err();
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
}

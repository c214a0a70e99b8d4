//! What W&B answers in half, in pages without an end, or hides, and what it refuses.

use ripcord_adapters::Secret;
use ripcord_adapters::fault_proxy::{Canned, Fault, FaultProxy, Which};
use ripcord_adapters::registry_wandb::{URL_DEFAULT, WandbRegistry, WandbRegistryConfig};
use ripcord_ports::registry::Mark;
use ripcord_ports::{Applied, ErrorKind, PortError, Registry, Retry};
use serde_json::{Value, json};

use super::{PROJECT, config, model, of, seeded, twisted};
use crate::adapters::support::{empty_dir, shared, target, version};
use crate::wandb::fake::world::key;
use crate::wandb::fake::{API_KEY, ENTITY};

#[tokio::test]
async fn half_an_answer_is_none() {
    let (fake, _) = seeded().await;
    let list = async |registry: &WandbRegistry| registry.versions(10).await.unwrap_err();
    let beside = |mut answer: Value| {
        answer["errors"] = json!([{ "message": "context deadline exceeded", "path": ["project"] }]);
        answer
    };
    let error = twisted(&fake, "ProjectArtifacts", beside, list).await;
    assert!(
        error
            .to_string()
            .contains("with a part of an answer, which is not used: `context deadline exceeded`"),
        "{error}"
    );
    assert_eq!((error.kind, error.retry, error.applied), (ErrorKind::Failed, Retry::Later, Applied::No));
    let error = twisted(&fake, "ProjectArtifacts", |_| json!({}), list).await;
    assert!(error.to_string().contains("`ProjectArtifacts` without data"), "{error}");
    let unknown =
        |_| json!({ "errors": [{ "message": "Cannot query field \"versionIndex\" on type \"X\"." }] });
    let error = twisted(&fake, "ProjectArtifacts", unknown, list).await;
    assert!(error.to_string().contains("of a release that this adapter does not know"), "{error}");
    assert_eq!(error.retry, Retry::No);
}

#[tokio::test]
async fn pages_end_also_where_w_and_b_does_not_end_them() {
    let (fake, _) = seeded().await;
    let at = "/data/project/artifactType/artifactCollection/artifacts/pageInfo";
    let again = |cursor: &'static str| {
        move |mut answer: Value| {
            *answer.pointer_mut(at).unwrap() = json!({ "endCursor": cursor, "hasNextPage": true });
            answer
        }
    };
    let list = async |registry: &WandbRegistry| registry.versions(10).await.unwrap_err();
    for cursor in ["0", ""] {
        let error = twisted(&fake, "ProjectArtifacts", again(cursor), list).await;
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
        assert!(
            error.to_string().contains("gives no place to go on from, or one that was read already"),
            "{error}"
        );
    }
    let run = key(ENTITY, PROJECT, "train-1");
    for number in 0..120 {
        let name = format!("{number}");
        fake.world().log(&run, &model(), "model", &[("model.txt", name.as_bytes())], json!({}));
    }
    let listed =
        of(WandbRegistryConfig { versions_max: 2, ..config(fake.url()) }).versions(10).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.version.version.as_str()).collect::<Vec<_>>(), ["v122", "v121"]);
}

#[tokio::test]
async fn what_is_hidden_or_cannot_be_fetched_is_told_and_hides_nothing_else() {
    let (fake, _) = seeded().await;
    let run = key(ENTITY, PROJECT, "train-1");
    {
        let mut world = fake.world();
        let referring = world.log(&run, &model(), "model", &[("model.txt", b"3")], json!({}));
        let manifest = json!({
            "version": 1, "storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": {},
            "contents": { "model.txt": { "digest": "etag", "ref": "s3://models/3", "size": 1 } },
        });
        let at = world.artifacts[referring].manifest.clone().unwrap();
        world.blobs.insert(at, manifest.to_string().into_bytes());
        let gone = world.log(&run, &model(), "model", &[("model.txt", b"4")], json!({}));
        world.artifacts[gone].manifest = None;
        let deleted = world.log(&run, &model(), "model", &[("model.txt", b"5")], json!({}));
        world.delete(deleted);
    }
    fake.twist(|name, mut answer| {
        if name == "ProjectArtifacts" {
            answer["data"]["project"]["artifactType"]["artifactCollection"]["artifacts"]["edges"][0]["node"] =
                Value::Null;
        }
        answer
    });
    let registry = of(config(fake.url()));
    let listed = registry.versions(10).await.unwrap();
    let broken: Vec<_> = listed
        .iter()
        .map(|one| (one.version.version.as_str(), one.broken.as_deref().unwrap_or_default()))
        .collect();
    let [(gone, no_manifest), (referring, reference), fine, _, (hidden, not_shown)] = broken[..] else {
        panic!("{broken:?}")
    };
    assert_eq!((gone, referring, fine, hidden), ("v4", "v3", ("v2", ""), "v0"));
    assert!(no_manifest.contains("has no manifest in W&B"), "{no_manifest}");
    assert!(reference.contains("refers to `s3://models/3`"), "{reference}");
    assert!(not_shown.contains("does not show its artifact"), "{not_shown}");
    fake.straight();
    let (_folder, dir) = empty_dir();
    let error = registry.fetch(&target("v3", None), dir).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.to_string().contains("log the file itself"), "{error}");
    let error = registry.version(&version("v5")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "what was deleted is not there: {error}");
}

/// Below `ProjectArtifacts`.
const EDGES: &str = "/data/project/artifactType/artifactCollection/artifacts/edges";

#[tokio::test]
async fn a_list_that_makes_no_sense_is_not_used() {
    let (fake, _) = seeded().await;
    let list = async |registry: &WandbRegistry| registry.versions(10).await.unwrap_err();
    let with = |place: &'static str, value: Value| {
        move |mut answer: Value| {
            *answer.pointer_mut(&format!("{EDGES}/{place}")).unwrap() = value.clone();
            answer
        }
    };
    for (place, value, wanted) in [
        ("0/version", json!("first"), "a version of `acme/fraud/fraud-model` without a number"),
        ("0/version", json!("v2"), "lists version `v2` of `acme/fraud/fraud-model` twice"),
        ("0/node/createdAt", json!("yesterday"), "`yesterday` is not an instant"),
    ] {
        let error = twisted(&fake, "ProjectArtifacts", with(place, value), list).await;
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let endless = move |mut answer: Value| {
        let next = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let page = json!({ "endCursor": format!("next-{next}"), "hasNextPage": true });
        *answer.pointer_mut(EDGES).unwrap() = json!([]);
        *answer.pointer_mut("/data/project/artifactType/artifactCollection/artifacts/pageInfo").unwrap() =
            page;
        answer
    };
    let error = twisted(&fake, "ProjectArtifacts", endless, list).await;
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("more than 100 pages of the versions of"), "{error}");
}

#[tokio::test]
async fn what_was_never_uploaded_whole_is_broken_and_what_is_hidden_stays_in_its_place() {
    let (fake, _) = seeded().await;
    fake.twist(|name, mut answer| {
        if name == "ProjectArtifacts" {
            *answer.pointer_mut(&format!("{EDGES}/1/node/state")).unwrap() = json!("PENDING");
            *answer.pointer_mut(&format!("{EDGES}/2/node")).unwrap() = Value::Null;
        }
        answer
    });
    let listed = of(config(fake.url())).versions(10).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.version.version.as_str()).collect::<Vec<_>>(), ["v2", "v1", "v0"]);
    assert!(
        listed[1].broken.as_deref().unwrap().contains("W&B calls it `PENDING`"),
        "{:?}",
        listed[1].broken
    );
    assert!(listed[0].broken.is_some() && listed[2].broken.is_none());
}

#[tokio::test]
async fn a_lineage_of_which_a_part_is_hidden_is_none() {
    let (fake, _) = seeded().await;
    let hide = |mut answer: Value| {
        *answer.pointer_mut("/data/project/run/artifacts/edges/0/node").unwrap() = Value::Null;
        answer
    };
    let lineage = async |registry: &WandbRegistry| registry.lineage(&version("v2")).await.unwrap_err();
    let error = twisted(&fake, "RunInputArtifacts", hide, lineage).await;
    assert_eq!(error.kind, ErrorKind::Denied, "data that nobody sees may be condemned: {error}");
    assert!(error.to_string().contains("does not show 1 of 3 artifacts"), "{error}");
}

#[tokio::test]
async fn bad_input_and_bad_credentials_say_what_to_do() {
    let (fake, _) = seeded().await;
    let url = fake.url();
    let list = async |config: WandbRegistryConfig, key: Option<&str>| {
        let config = WandbRegistryConfig { patience_ms: 50, ..config };
        WandbRegistry::new(config, key.map(Secret::new), &shared()).unwrap().versions(5).await.unwrap_err()
    };
    let is = |error: PortError, kind: ErrorKind, part: &str| {
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    for wrong in [None, Some("ffffffffffffffffffffffffffffffffffffffff")] {
        is(list(config(url.clone()), wrong).await, ErrorKind::Denied, "does not know this API key");
    }
    let known = Some(API_KEY);
    is(
        list(WandbRegistryConfig { project: "other".into(), ..config(url.clone()) }, known).await,
        ErrorKind::NotFound,
        "no project `acme/other`",
    );
    is(
        list(WandbRegistryConfig { model: "other".into(), ..config(url.clone()) }, known).await,
        ErrorKind::NotFound,
        "no collection `acme/fraud/other`",
    );
    is(
        list(WandbRegistryConfig { artifact_type: "dataset".into(), ..config(url.clone()) }, known).await,
        ErrorKind::NotFound,
        "of artifacts of type `dataset`",
    );
    is(list(config(format!("{url}/no/such/place")), known).await, ErrorKind::BadAnswer, "is no W&B");
    let other = WandbRegistryConfig { model: "other".into(), ..config(url.clone()) };
    is(of(other).promoted().await.unwrap_err(), ErrorKind::NotFound, "no collection");
    let unset = WandbRegistryConfig { alias: Some("candidate".into()), ..config(url.clone()) };
    assert_eq!(of(unset).promoted().await.unwrap(), None);

    let refused = |config: WandbRegistryConfig| WandbRegistry::new(config, None, &shared()).unwrap_err();
    for alias in ["latest", "v3", "", "a:b"] {
        let config = WandbRegistryConfig { alias: Some(alias.into()), ..config(url.clone()) };
        is(refused(config), ErrorKind::Configuration, "cannot be `alias`");
    }
    for model in ["fraud:v1", "acme/fraud", ""] {
        let config = WandbRegistryConfig { model: model.into(), ..config(url.clone()) };
        is(refused(config), ErrorKind::Configuration, "cannot be the `model`");
    }
    let keyed = config("https://api:key@wandb.example".into());
    is(refused(keyed), ErrorKind::Configuration, "`api-key-file`");
    let hosts = WandbRegistryConfig { files_from: vec!["https://a.example".into()], ..config(url) };
    is(refused(hosts), ErrorKind::Configuration, "is no host");
    assert_eq!(URL_DEFAULT, "https://api.wandb.ai");
}

/// What stands before W&B, or W&B itself, may say it by a status.
#[tokio::test]
async fn a_refusal_by_its_status_says_what_to_do() {
    let (fake, _) = seeded().await;
    let proxy = FaultProxy::start(&fake.url()).await.unwrap();
    let registry = of(WandbRegistryConfig { patience_ms: 50, ..config(proxy.url()) });
    for (status, body, kind, wanted) in [
        (
            403,
            r#"{"errors":[{"message":"permission denied"}]}"#,
            ErrorKind::Denied,
            "refuses it: `permission denied`; the account of the API key must see",
        ),
        (404, r#"{"errors":[{"message":"not found"}]}"#, ErrorKind::NotFound, "has no such thing"),
        (404, "nginx", ErrorKind::BadAnswer, "is no W&B"),
        (400, r#"{"error":"bad query"}"#, ErrorKind::Failed, "does not accept the call: `bad query`"),
        (500, "oops", ErrorKind::Failed, "answered 500"),
        (429, "slow down", ErrorKind::Failed, "answered 429"),
    ] {
        proxy.calm();
        let canned =
            Canned { status, content_type: "application/json", retry_after: None, body: body.into() };
        proxy.order(Which::Any, Fault::Instead(canned), usize::MAX);
        let error = registry.versions(5).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, Applied::No), "{status}: {error}");
        assert!(error.to_string().contains(wanted), "{status}: {error}");
        assert_eq!(error.retry == Retry::No, matches!(status, 400..=404), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_hold_that_may_not_be_written_says_who_may() {
    let (fake, _) = seeded().await;
    let refuse = |_| json!({ "errors": [{ "message": "permission denied" }], "data": { "result": null } });
    let mark = async |registry: &WandbRegistry| {
        registry.mark(&version("v1"), Mark::Held { incident: "fraud-api:7" }).await.unwrap_err()
    };
    let error = twisted(&fake, "UpdateArtifact", refuse, mark).await;
    assert_eq!((error.kind, error.applied), (ErrorKind::Denied, Applied::No), "{error}");
    assert!(error.to_string().contains("must be able to write to the project that the artifacts"), "{error}");
}

#[tokio::test]
async fn a_protected_alias_is_left_and_who_may_move_it_is_said() {
    let (fake, _) = seeded().await;
    fake.world().protected.insert("production".into());
    let registry = of(config(fake.url()));
    let error = registry.promote(&version("v0"), Some(&version("v1"))).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Denied, Applied::No), "{error}");
    assert!(error.to_string().contains("only a registry admin may move it"), "{error}");
    assert_eq!(registry.promoted().await.unwrap(), Some(version("v1")));
}

#[tokio::test]
async fn a_change_that_w_and_b_does_not_confirm_is_settled_by_reading() {
    let (fake, _) = seeded().await;
    let (new, now) = (version("v0"), version("v1"));
    let promote = async |registry: &WandbRegistry| registry.promote(&new, Some(&now)).await.unwrap_err();
    // The fake has done it by then: what is read settles it.
    fake.twist(|name, answer| {
        if name == "AddAliases" { json!({ "data": { "result": { "success": false } } }) } else { answer }
    });
    of(config(fake.url())).promote(&new, Some(&now)).await.unwrap();
    fake.straight();
    of(config(fake.url())).promote(&now, Some(&new)).await.unwrap();
    let twist = |mut answer: Value| {
        if answer["data"]["project"]["artifactCollectionMembership"]["versionIndex"] == json!(0) {
            answer["data"]["project"]["artifactCollectionMembership"]["versionIndex"] = json!(7);
        }
        answer
    };
    let error = twisted(&fake, "ArtifactMembershipByName", twist, promote).await;
    assert!(error.to_string().contains("was asked for version `v0`"), "{error}");
    assert_eq!(error.applied, Applied::No);
}

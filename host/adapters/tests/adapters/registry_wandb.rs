//! The registry in Weights & Biases, against the fake that W&B's own client judges (`tests/wandb`).

mod answers;

use ripcord_adapters::Secret;
use ripcord_adapters::conformance::registry::{self, Expected};
use ripcord_adapters::conformance::registry_faults::{self, Steadiness};
use ripcord_adapters::fault_proxy::FaultProxy;
use ripcord_adapters::registry_wandb::{CONDEMNED_TAG, WandbRegistry, WandbRegistryConfig};
use ripcord_core::digest::Digest;
use ripcord_core::signal::Label;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::registry::Mark;
use ripcord_ports::{ErrorKind, PortError, Registry};
use serde_json::{Value, json};

use super::support::{Folders, empty_dir, shared, target, version};
use crate::wandb::fake::world::{Key, key};
use crate::wandb::fake::{API_KEY, ENTITY, ORG_ENTITY, Wandb};

const PROJECT: &str = "fraud";
const MODEL: &str = "fraud-model";

pub(crate) fn config(url: String) -> WandbRegistryConfig {
    WandbRegistryConfig {
        url,
        entity: ENTITY.into(),
        project: PROJECT.into(),
        model: MODEL.into(),
        artifact_type: "model".into(),
        alias: Some("production".into()),
        files_from: Vec::new(),
        deadline_ms: 5_000,
        patience_ms: 3_000,
        versions_max: 100,
        artefact_bytes_max: 1 << 30,
    }
}

pub(crate) fn of(config: WandbRegistryConfig) -> WandbRegistry {
    WandbRegistry::new(config, Some(Secret::new(API_KEY)), &shared()).unwrap()
}

fn model() -> Key {
    key(ENTITY, PROJECT, MODEL)
}

/// A fake with three versions of a model, whose run used a data set and the version before.
async fn seeded() -> (Wandb, Vec<Digest>) {
    let fake = Wandb::start().await;
    let run = key(ENTITY, PROJECT, "train-1");
    let config = json!({
        "depth": { "value": 4 }, "loss": { "value": "mse" }, "_wandb": { "value": { "cli_version": "0" } },
    });
    let mut digests = Vec::new();
    {
        let mut world = fake.world();
        world.upsert_run(&json!({
            "entityName": ENTITY, "modelName": PROJECT, "name": "train-1", "commit": "abc123", "config": config.to_string(),
        }));
        let set = world.log(
            &run,
            &key(ENTITY, PROJECT, "transactions"),
            "dataset",
            &[("rows.csv", b"1,2\n")],
            json!({}),
        );
        let far = world.log(
            &run,
            &key(ENTITY, "shared", "holidays"),
            "calendar",
            &[("days.csv", b"x\n")],
            json!({}),
        );
        for number in 0..3 {
            let weights = vec![number as u8; 1_000];
            let name = format!("{number}\n");
            let files: [(&str, &[u8]); 2] =
                [("model.txt", name.as_bytes()), ("weights/é 100%.bin", &weights)];
            let more = json!({
                "metadata": json!({ "accuracy": 0.9 + f64::from(number) / 100.0, "framework": "own" }).to_string(),
                "tags": [{ "tagName": "validated" }],
            });
            let made = world.log(&run, &model(), "model", &files, more);
            let files = files.map(|(path, bytes)| ArtefactFile {
                path: path.into(),
                sha256: Digest::of(bytes),
                bytes: bytes.len() as u64,
            });
            digests.push(artefact_digest(&files));
            if number == 0 {
                world.runs.get_mut(&run).unwrap().used.extend([far, made, set]);
            }
            if number == 1 {
                world.aliases.insert((model(), "production".into()), made);
                world.aliases.insert((model(), "staging".into()), made);
            }
        }
    }
    (fake, digests)
}

fn expected(digests: &[Digest]) -> Expected {
    let newest_first = digests.iter().enumerate().rev();
    let newest_first = newest_first.map(|(number, digest)| target(&format!("v{number}"), Some(*digest)));
    Expected { newest_first: newest_first.collect(), marks: true, promotes: true }
}

fn tags(tags: &[Label]) -> Vec<(&str, &str)> {
    tags.iter().map(|tag| (tag.name.as_str(), tag.value.as_str())).collect()
}

/// What a call says of an answer that was changed on its way.
async fn twisted(
    fake: &Wandb,
    operation: &'static str,
    twist: impl Fn(Value) -> Value + Send + 'static,
    call: impl AsyncFn(&WandbRegistry) -> PortError,
) -> PortError {
    fake.twist(move |name, answer| if name == operation { twist(answer) } else { answer });
    let registry = of(WandbRegistryConfig { patience_ms: 50, ..config(fake.url()) });
    let error = call(&registry).await;
    fake.straight();
    error
}

#[tokio::test]
async fn it_conforms() {
    let (fake, digests) = seeded().await;
    let folders = Folders::default();
    registry::conforms(&of(config(fake.url())), &expected(&digests), &|| folders.next()).await;
    assert_eq!(fake.refused(), [""; 0], "nothing was asked for that its schema does not have");
    assert_eq!(fake.leaks(), [""; 0], "signed addresses are asked without the API key");
}

#[tokio::test]
async fn it_conforms_while_the_network_fails() {
    let (fake, digests) = seeded().await;
    let folders = Folders::default();
    let proxy = FaultProxy::start(&fake.url()).await.unwrap();
    // Files come through the proxy as well.
    fake.world().url = proxy.url();
    let behind = of(WandbRegistryConfig { patience_ms: 1_000, ..config(proxy.url()) });
    let expected = expected(&digests);
    registry_faults::conforms_in_faults(&behind, &proxy, &expected, Steadiness::Retries, &|| folders.next())
        .await;
}

#[tokio::test]
async fn a_collection_of_a_registry_conforms_under_its_own_numbers() {
    let (fake, digests) = seeded().await;
    let at = key(ORG_ENTITY, "wandb-registry-model", "fraud");
    {
        let mut world = fake.world();
        // Linked in another order than they were made.
        for version in ["v2", "v0"] {
            let linked = world.member(&model(), version).unwrap().artifact;
            world
                .link(&json!({
                    "artifactID": crate::wandb::fake::world::id_of(linked), "entityName": at.0,
                    "projectName": at.1, "artifactPortfolioName": at.2,
                }))
                .unwrap();
        }
    }
    let config = WandbRegistryConfig {
        entity: at.0.clone(),
        project: at.1.clone(),
        model: at.2.clone(),
        ..config(fake.url())
    };
    let registry = of(config);
    let folders = Folders::default();
    let expected = Expected {
        newest_first: vec![target("v1", Some(digests[0])), target("v0", Some(digests[2]))],
        marks: true,
        promotes: true,
    };
    registry::conforms(&registry, &expected, &|| folders.next()).await;
    let listed = registry.versions(5).await.unwrap();
    assert_eq!(
        listed[0].aliases,
        ["latest", "production"],
        "aliases of other collections are none of this one's"
    );
    assert_eq!(fake.world().member(&model(), "production").unwrap().index, 1, "nor are they moved");
    let lineage = registry.lineage(&version("v0")).await.unwrap();
    assert_eq!(lineage.source.as_deref(), Some("acme/fraud/fraud-model:v2"), "where it was linked from");
    assert_eq!(lineage.parent, None, "a number of another collection is no version of this one");
}

#[tokio::test]
async fn versions_are_told_with_everybodys_aliases_tags_and_measures() {
    let (fake, _) = seeded().await;
    let registry = of(config(fake.url()));
    let listed = registry.versions(10).await.unwrap();
    assert_eq!(listed[0].aliases, ["latest"]);
    assert_eq!(listed[1].aliases, ["production", "staging"]);
    assert_eq!(tags(&listed[1].tags), [("validated", "")]);
    let measures: Vec<_> = listed[1].measures.iter().map(|one| (one.name.as_str(), one.value)).collect();
    assert_eq!(measures, [("accuracy", 0.91)]);
    assert_eq!(registry.promoted().await.unwrap(), Some(version("v1")));
    assert_eq!(
        registry.kept_at().unwrap().split(" (").next(),
        Some(format!("`acme/fraud/fraud-model` of {}/", fake.url()).as_str())
    );
}

#[tokio::test]
async fn lineage_is_the_run_that_logged_it_and_what_that_run_used() {
    let (fake, _) = seeded().await;
    let lineage = of(config(fake.url())).lineage(&version("v2")).await.unwrap();
    assert_eq!(lineage.code.as_deref(), Some("abc123"));
    assert_eq!(lineage.run.as_deref(), Some("acme/fraud/train-1"));
    assert_eq!(lineage.source.as_deref(), Some("acme/fraud/fraud-model:v2"));
    assert_eq!(lineage.parameters, [Label::new("depth", "4"), Label::new("loss", "mse")]);
    let sets: Vec<_> = lineage
        .datasets
        .iter()
        .map(|set| (set.name.as_str(), set.revision.as_deref(), set.context.as_deref()))
        .collect();
    let wanted = [
        ("transactions", Some("v0"), Some("dataset")),
        ("acme/shared/holidays", Some("v0"), Some("calendar")),
    ];
    assert_eq!(sets, wanted, "a data set of another project is named with its place");
    assert_eq!(lineage.parent, Some(target("v0", None)));
    fake.world().artifacts.iter_mut().for_each(|artifact| artifact.run = None);
    let lineage = of(config(fake.url())).lineage(&version("v2")).await.unwrap();
    assert_eq!((lineage.run, lineage.datasets.len()), (None, 0), "uploaded by hand");
}

#[tokio::test]
async fn a_hold_is_a_tag_and_is_read_back() {
    let (fake, _) = seeded().await;
    let registry = of(config(fake.url()));
    let name = version("v1");
    let now = async || registry.version(&name).await.unwrap().tags;
    registry.mark(&name, Mark::Held { incident: "fraud-api:7" }).await.unwrap();
    let held = [("ripcord.condemned", "fraud-api 7"), ("ripcord.hold", "fraud-api 7"), ("validated", "")];
    assert_eq!(tags(&now().await), held);
    assert_eq!(held[0].0, CONDEMNED_TAG);
    registry.mark(&name, Mark::Held { incident: "fraud-api:9" }).await.unwrap();
    let holds = now().await.iter().filter(|tag| tag.name == "ripcord.hold").count();
    assert_eq!(holds, 1, "one hold at a time");
    registry.mark(&name, Mark::Lifted).await.unwrap();
    let left =
        [("ripcord.condemned", "fraud-api 7"), ("ripcord.condemned", "fraud-api 9"), ("validated", "")];
    assert_eq!(tags(&now().await), left, "what was condemned stays so, and tags of others stay");
}

#[tokio::test]
async fn files_are_held_against_the_digests_of_the_manifest() {
    let (fake, _) = seeded().await;
    let registry = of(WandbRegistryConfig { patience_ms: 50, ..config(fake.url()) });
    let fetch = async || {
        let (_folder, dir) = empty_dir();
        registry.fetch(&target("v0", None), dir).await.unwrap_err()
    };
    let at = {
        let world = fake.world();
        let first = world.member(&model(), "v0").unwrap().artifact;
        world.artifacts[first].files["model.txt"].0.clone()
    };
    for (bytes, wanted) in [
        ("1\n", "with another MD5 digest"),
        ("0", "with fewer than the 2 bytes"),
        ("0\n\n", "with more than the 2 bytes"),
    ] {
        fake.world().blobs.insert(at.clone(), bytes.into());
        let error = fetch().await;
        assert!(error.to_string().contains(wanted), "{error}");
        assert_eq!(error.kind, ErrorKind::BadAnswer);
    }
    fake.world().blobs.remove(&at);
    let error = fetch().await;
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.to_string().contains("W&B lists `model.txt`"), "{error}");
    let urls = "GetArtifactMembershipFileUrls";
    let call = async |registry: &WandbRegistry| {
        registry.fetch(&target("v1", None), empty_dir().1).await.unwrap_err()
    };
    let places = "/data/project/artifactCollection/artifactMembership/files/edges";
    let old = move |mut answer: Value| {
        let url = answer.pointer_mut(&format!("{places}/0/node/directUrl")).unwrap();
        *url = url.as_str().unwrap().replace("=signed", "=old").into();
        answer
    };
    let error = twisted(&fake, urls, old, call).await;
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("refuses the address that W&B signed for"), "{error}");
    let fewer = move |mut answer: Value| {
        answer.pointer_mut(places).unwrap().as_array_mut().unwrap().pop();
        answer
    };
    let error = twisted(&fake, urls, fewer, call).await;
    assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
    assert!(error.to_string().contains("does not say where it lies"), "{error}");
    let small = of(WandbRegistryConfig { artefact_bytes_max: 1_001, ..config(fake.url()) });
    let error = small.fetch(&target("v1", None), empty_dir().1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
}

#[tokio::test]
async fn files_come_from_where_somebody_said_that_they_may() {
    let (fake, _) = seeded().await;
    fake.world().url = "http://127.0.0.1:9".into();
    let error = {
        let (_folder, dir) = empty_dir();
        of(config(fake.url())).fetch(&target("v0", None), dir).await.unwrap_err()
    };
    assert_eq!(error.kind, ErrorKind::Configuration);
    assert!(error.to_string().contains("add `127.0.0.1` to `files-from`"), "{error}");
    assert!(!error.to_string().contains("signed"), "the signature is a secret: {error}");
    let listed = of(config(fake.url())).versions(1).await.unwrap();
    assert!(listed[0].broken.as_deref().unwrap().contains("files-from"), "{:?}", listed[0].broken);
}

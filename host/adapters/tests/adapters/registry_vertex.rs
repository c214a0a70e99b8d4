//! The registry in Vertex AI, against the fake that Google's own description of its interfaces judges (`tests/vertex`).

mod answers;

use ripcord_adapters::conformance::registry::{self, Expected};
use ripcord_adapters::conformance::registry_faults::{self, Steadiness};
use ripcord_adapters::fault_proxy::FaultProxy;
use ripcord_adapters::registry_vertex::{CONDEMNED_TAG, VertexRegistry, VertexRegistryConfig};
use ripcord_core::digest::Digest;
use ripcord_core::signal::Label;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::registry::Mark;
use ripcord_ports::{ErrorKind, Registry};
use serde_json::json;

use super::support::{Folders, empty_dir, shared, target, version};
use crate::vertex::fake::{BUCKET, LOCATION, MODEL, PROJECT, PROJECT_NUMBER, QUOTA_PROJECT, Vertex};

const STORE: &str = "metadataStores/default/artifacts/made-3";

pub(crate) fn config(fake: &Vertex) -> VertexRegistryConfig {
    VertexRegistryConfig {
        project: PROJECT.into(),
        location: LOCATION.into(),
        model: MODEL.into(),
        alias: Some("default".into()),
        credentials_file: Some(fake.credentials()),
        quota_project: None,
        endpoint: Some(fake.url()),
        storage_endpoint: fake.url(),
        deadline_ms: 5_000,
        patience_ms: 3_000,
        versions_max: 100,
        artefact_bytes_max: 1 << 30,
    }
}

pub(crate) fn of(config: VertexRegistryConfig) -> VertexRegistry {
    VertexRegistry::new(config, &shared()).unwrap()
}

/// A fake with three versions of a model; the last was made by a pipeline of two data sets and the first version.
pub(crate) async fn seeded() -> (Vertex, Vec<Digest>) {
    let fake = Vertex::start().await;
    let mut digests = Vec::new();
    {
        let mut world = fake.world();
        for number in 1..=3_u8 {
            let weights = vec![number; 1_000];
            let name = format!("{number}\n");
            let files: [(&str, &[u8]); 3] =
                [("model.txt", name.as_bytes()), ("weights/é 100%.bin", &weights), ("weights/0", b"")];
            let more = if number == 3 { made_by_a_pipeline() } else { json!({}) };
            world.upload(&files, more);
            let files = files.map(|(path, bytes)| ArtefactFile {
                path: path.into(),
                sha256: Digest::of(bytes),
                bytes: bytes.len() as u64,
            });
            digests.push(artefact_digest(&files));
        }
        // What the console leaves for a folder, and a neighbour whose name begins alike.
        world.put("fraud/1/", b"");
        world.put("fraud/10/model.txt", b"10\n");
        world.alias("staging", 2);
        world.resources.insert("trainingPipelines/77".into(), training());
        world.resources.insert(format!("{STORE}:queryArtifactLineageSubgraph"), graph());
    }
    (fake, digests)
}

fn named(rest: &str) -> String {
    format!("projects/{PROJECT_NUMBER}/locations/{LOCATION}/{rest}")
}

fn made_by_a_pipeline() -> serde_json::Value {
    json!({
        "labels": { "commit": "0a1b2c3", "team": "payments" },
        "trainingPipeline": named("trainingPipelines/77"),
        "metadataArtifact": named(STORE),
    })
}

fn training() -> serde_json::Value {
    json!({
        "name": named("trainingPipelines/77"),
        "displayName": "fraud",
        "trainingTaskDefinition": "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml",
        "trainingTaskInputs": {
            "enableWebAccess": false,
            "workerPoolSpecs": [{ "containerSpec": { "imageUri": "trainer", "args": ["--loss=mse", "--quiet"] } }],
        },
        "inputDataConfig": { "datasetId": "9001" },
        "labels": { "commit": "of-the-pipeline" },
        "state": "PIPELINE_STATE_SUCCEEDED",
    })
}

fn graph() -> serde_json::Value {
    let artifact = |id: &str, title: &str, more: serde_json::Value| {
        let mut artifact = json!({
            "name": named(&format!("metadataStores/default/artifacts/{id}")), "schemaTitle": title,
            "displayName": id,
        });
        artifact.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        artifact
    };
    let execution = |id: &str| named(&format!("metadataStores/default/executions/{id}"));
    let event = |artifact: &str, of: &str, kind: &str| {
        json!({
            "artifact": named(&format!("metadataStores/default/artifacts/{artifact}")),
            "execution": execution(of), "type": kind,
        })
    };
    let parent = json!({ "metadata": { "resourceName": named(&format!("models/{MODEL}@1")) } });
    // A version of another model has numbers of its own.
    let another = json!({ "metadata": { "resourceName": named("models/999@2") } });
    json!({
        "artifacts": [
            artifact("made-3", "google.VertexModel", json!({})),
            artifact("transactions", "system.Dataset", json!({ "metadata": { "version": "7" } })),
            artifact("another", "google.VertexModel", another),
            artifact("base", "google.VertexModel", parent),
            artifact("endpoint", "google.VertexEndpoint", json!({})),
        ],
        "executions": [
            { "name": execution("train"), "metadata": { "input:depth": 4, "vertex-ai-pipelines-pod": "x" } },
            { "name": execution("deploy"), "metadata": { "input:machines": 2 } },
        ],
        "events": [
            event("made-3", "train", "OUTPUT"),
            event("transactions", "train", "INPUT"),
            event("another", "train", "INPUT"),
            event("base", "train", "INPUT"),
            event("made-3", "deploy", "INPUT"),
            event("endpoint", "deploy", "OUTPUT"),
        ],
    })
}

pub(crate) fn expected(digests: &[Digest]) -> Expected {
    let newest_first = digests.iter().enumerate().rev();
    let newest_first = newest_first.map(|(index, digest)| target(&(index + 1).to_string(), Some(*digest)));
    Expected { newest_first: newest_first.collect(), marks: true, promotes: true }
}

fn tags(tags: &[Label]) -> Vec<(&str, &str)> {
    tags.iter().map(|tag| (tag.name.as_str(), tag.value.as_str())).collect()
}

#[tokio::test]
async fn it_conforms() {
    let (fake, digests) = seeded().await;
    let folders = Folders::default();
    registry::conforms(&of(config(&fake)), &expected(&digests), &|| folders.next()).await;
    let seen = fake.seen();
    assert!(seen.iter().all(|call| call.quota_project.as_deref() == Some(QUOTA_PROJECT)));
    assert_eq!(fake.world().tokens_given, 1, "a token is kept for as long as it is good");
}

#[tokio::test]
async fn it_conforms_while_the_network_fails() {
    let (fake, digests) = seeded().await;
    let folders = Folders::default();
    let proxy = FaultProxy::start(&fake.url()).await.unwrap();
    let behind = VertexRegistryConfig {
        patience_ms: 1_000,
        endpoint: Some(proxy.url()),
        storage_endpoint: proxy.url(),
        ..config(&fake)
    };
    let expected = expected(&digests);
    let next = || folders.next();
    registry_faults::conforms_in_faults(&of(behind), &proxy, &expected, Steadiness::Retries, &next).await;
}

#[tokio::test]
async fn versions_are_told_with_aliases_labels_and_image() {
    let (fake, _) = seeded().await;
    let registry = of(config(&fake));
    let listed = registry.versions(10).await.unwrap();
    let names: Vec<_> = listed.iter().map(|one| one.version.version.as_str()).collect();
    assert_eq!(names, ["3", "2", "1"]);
    assert_eq!(
        (&listed[1].aliases[..], &listed[2].aliases[..]),
        (&["staging".into()][..], &["default".into()][..])
    );
    assert_eq!(tags(&listed[0].tags), [("commit", "0a1b2c3"), ("team", "payments")]);
    assert_eq!(
        listed[0].runtime.as_deref(),
        Some("europe-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest")
    );
    assert_eq!(registry.promoted().await.unwrap(), Some(version("1")));
    let kept = registry.kept_at().unwrap();
    let wanted = format!("`projects/{PROJECT}/locations/{LOCATION}/models/{MODEL}` of {}/", fake.url());
    assert_eq!(kept.split(" (").next(), Some(wanted.as_str()));
    let ops = of(VertexRegistryConfig { quota_project: Some("acme-ops".into()), ..config(&fake) });
    ops.promoted().await.unwrap();
    let counted = fake.seen().last().unwrap().quota_project.clone();
    assert_eq!(counted.as_deref(), Some("acme-ops"), "what is configured counts before the credentials");
    let few = of(VertexRegistryConfig { versions_max: 2, ..config(&fake) });
    assert_eq!(few.versions(10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn lineage_is_what_made_the_version_and_what_that_was_given() {
    let (fake, _) = seeded().await;
    let registry = of(config(&fake));
    let lineage = registry.lineage(&version("3")).await.unwrap();
    assert_eq!(
        lineage.code.as_deref(),
        Some("0a1b2c3"),
        "the version's own label counts before the pipeline's"
    );
    assert_eq!(lineage.run, Some(named("trainingPipelines/77")));
    assert_eq!(lineage.source, Some(format!("gs://{BUCKET}/fraud/3")));
    let parameters = [("depth", "4"), ("enableWebAccess", "false"), ("loss", "mse")];
    assert_eq!(tags(&lineage.parameters), parameters);
    let sets: Vec<_> = lineage
        .datasets
        .iter()
        .map(|set| (set.name.as_str(), set.revision.as_deref(), set.context.as_deref()))
        .collect();
    let wanted = [("9001", None, Some("training")), ("transactions", Some("7"), Some("system.Dataset"))];
    assert_eq!(sets, wanted, "what was given to what made it, and nothing beside");
    assert_eq!(lineage.parent, Some(target("1", None)));

    let by_hand = registry.lineage(&version("1")).await.unwrap();
    assert_eq!((by_hand.run, by_hand.datasets.len(), by_hand.parent), (None, 0, None));
    {
        let mut world = fake.world();
        let labels = json!({ "dataset": "transactions", "dataset-revision": "8", "git-commit": "abc" });
        let first = &mut world.versions[0];
        first.insert("labels".into(), labels);
        first.insert("originalModelInfo".into(), json!({ "model": named("models/999@2") }));
        // What is gone from where it was is no error.
        first.insert("trainingPipeline".into(), named("trainingPipelines/78").into());
    }
    let labelled = registry.lineage(&version("1")).await.unwrap();
    assert_eq!(labelled.code.as_deref(), Some("abc"));
    assert_eq!(labelled.source, Some(named("models/999@2")));
    assert_eq!(
        (labelled.dataset.as_deref(), labelled.dataset_revision.as_deref()),
        (Some("transactions"), Some("8"))
    );
}

#[tokio::test]
async fn a_hold_is_an_alias_of_its_version_and_is_read_back() {
    let (fake, _) = seeded().await;
    let registry = of(config(&fake));
    let now = async |name: &str| registry.version(&version(name)).await.unwrap();
    let hold = async |name: &str, incident: &str| {
        registry.mark(&version(name), Mark::Held { incident }).await.unwrap();
    };
    hold("2", "fraud-api:7").await;
    let held = [("ripcord.condemned", "fraud-api-7"), ("ripcord.hold", "fraud-api-7")];
    assert_eq!(tags(&now("2").await.tags), held);
    assert_eq!(held[0].0, CONDEMNED_TAG);
    assert_eq!(now("2").await.aliases, ["staging"], "what others gave stays, and ours is no stage");
    hold("1", "fraud-api:7").await;
    assert_eq!(tags(&now("2").await.tags), held, "two versions of one incident are held both");
    hold("2", "fraud-api:9").await;
    let holds = now("2").await.tags.iter().filter(|tag| tag.name == "ripcord.hold").count();
    assert_eq!(holds, 1, "one hold at a time");
    let before = fake.seen().len();
    hold("2", "fraud-api:9").await;
    assert_eq!(
        fake.seen()[before..].iter().filter(|call| call.method != "GET").count(),
        0,
        "it is there already"
    );
    registry.mark(&version("2"), Mark::Lifted).await.unwrap();
    let left = [("ripcord.condemned", "fraud-api-7"), ("ripcord.condemned", "fraud-api-9")];
    assert_eq!(tags(&now("2").await.tags), left, "what was condemned stays so");
    assert_eq!(now("2").await.aliases, ["staging"]);
    assert_eq!(registry.promoted().await.unwrap(), Some(version("1")), "nor is what is in production moved");
}

#[tokio::test]
async fn an_alias_that_is_not_set_points_at_nothing() {
    let (fake, _) = seeded().await;
    let registry = of(VertexRegistryConfig { alias: Some("production".into()), ..config(&fake) });
    assert_eq!(registry.promoted().await.unwrap(), None);
    registry.promote(&version("2"), None).await.unwrap();
    assert_eq!(registry.promoted().await.unwrap(), Some(version("2")));
    assert_eq!(
        registry.version(&version("1")).await.unwrap().aliases,
        ["default"],
        "`default` stays where it is"
    );
    let unset = of(VertexRegistryConfig { alias: None, ..config(&fake) });
    let error = unset.promoted().await.unwrap_err();
    assert_eq!((error.kind, unset.request_to_promote(&version("1"))), (ErrorKind::Unsupported, None));
    assert!(error.to_string().contains("configure `alias`"), "{error}");
}

#[tokio::test]
async fn files_are_held_against_size_digest_and_checksum() {
    let (fake, _) = seeded().await;
    let registry = of(VertexRegistryConfig { patience_ms: 50, ..config(&fake) });
    let list = "/storage/v1/b/acme-models/o";
    let lying = async |index: usize, member: &'static str, value: serde_json::Value| {
        fake.twist(move |path, mut answer| {
            // The page with the first file of version 1.
            if path == list && answer["items"][index]["name"] == "fraud/1/model.txt" {
                answer["items"][index][member] = value.clone();
            }
            answer
        });
        let (_folder, dir) = empty_dir();
        let error = registry.fetch(&target("1", None), dir).await.unwrap_err();
        fake.straight();
        error
    };
    for (member, value, wanted) in [
        ("size", json!("3"), "with fewer than the 3 bytes"),
        ("size", json!("1"), "with more than the 1 bytes"),
        ("md5Hash", json!("1B2M2Y8AsgTpgAmY7PhCfg=="), "with another MD5 digest"),
        ("crc32c", json!("AAAAAA=="), "with another CRC32C checksum"),
        ("md5Hash", json!("x"), "without an MD5 digest that can be read"),
        ("crc32c", json!("AAAAAAAA"), "without a CRC32C checksum that can be read"),
        ("size", json!("many"), "without a size"),
        ("generation", json!("new"), "without a generation"),
    ] {
        let error = lying(1, member, value).await;
        assert!(error.to_string().contains(wanted), "{error}");
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
    }
    let error = lying(1, "generation", json!("1")).await;
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("was overwritten or deleted after it was listed"), "{error}");
    // What was composed of other objects has a checksum alone.
    fake.world().objects.get_mut("fraud/1/model.txt").unwrap().composed = true;
    let (_folder, dir) = empty_dir();
    registry.fetch(&target("1", None), dir).await.unwrap();
    let small = of(VertexRegistryConfig { artefact_bytes_max: 1_001, ..config(&fake) });
    let (_folder, dir) = empty_dir();
    let error = small.fetch(&target("1", None), dir).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    let (_folder, dir) = empty_dir();
    let error = registry.fetch(&target("1", Some(Digest::of("other"))), dir).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongDigest, "no digest of Google's is taken for ours: {error}");
}

#[tokio::test]
async fn what_cannot_be_fetched_is_listed_as_broken_with_the_reason() {
    let (fake, _) = seeded().await;
    {
        let mut world = fake.world();
        let none = json!({ "artifactUri": "" });
        world.upload(&[], none.clone());
        world.upload(&[], json!({ "artifactUri": "", "containerSpec": null, "modelSourceInfo": { "sourceType": "AUTOML" } }));
        world.upload(&[], json!({ "artifactUri": "s3://elsewhere/fraud" }));
        world.upload(&[], json!({ "artifactUri": "gs://of-others/fraud" }));
        world.upload(&[], json!({ "artifactUri": format!("gs://{BUCKET}/nothing") }));
        world.upload(&[("a/../../b", b"x")], json!({}));
        world.upload(&[("a", b"x"), ("a-b", b"x"), ("a/b", b"x")], json!({}));
    }
    let registry = of(config(&fake));
    let listed = registry.versions(20).await.unwrap();
    let broken = |name: &str| {
        let one = listed.iter().find(|one| one.version.version.as_str() == name).unwrap();
        one.broken.clone().unwrap_or_default()
    };
    assert_eq!((broken("1"), broken("3")), (String::new(), String::new()));
    for (name, wanted) in [
        ("4", "it has no `artifactUri`: it is the container image `europe-docker.pkg.dev/"),
        ("5", "(source type `AUTOML`): its files are kept by Google"),
        ("6", "lies at `s3://elsewhere/fraud`, which is not in Cloud Storage"),
        ("7", "check that the bucket `of-others` is still there"),
        ("8", "has no file below `gs://acme-models/nothing/`"),
        ("9", "holds an object that no artefact can hold"),
        ("10", "holds both a file `a` and files below it"),
    ] {
        assert!(broken(name).contains(wanted), "{name}: {}", broken(name));
    }
    let (_folder, dir) = empty_dir();
    let error = registry.fetch(&target("4", None), dir).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.to_string().contains("choose another version"), "{error}");
    assert!(registry.version(&version("8")).await.unwrap().broken.is_some(), "and stays so");
    // What is mended is seen.
    fake.world().put("nothing/model.txt", b"8\n");
    assert_eq!(registry.version(&version("8")).await.unwrap().broken, None);
}

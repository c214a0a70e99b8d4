//! The registry in Azure Machine Learning, against the fake that Microsoft's own client judges (`tests/azure`).

mod answers;

use ripcord_adapters::Secret;
use ripcord_adapters::conformance::registry::{self, Expected};
use ripcord_adapters::conformance::registry_faults::{self, Steadiness};
use ripcord_adapters::fault_proxy::FaultProxy;
use ripcord_adapters::registry_azureml::{AzureMlRegistry, AzureMlRegistryConfig, CONDEMNED_TAG};
use ripcord_core::digest::Digest;
use ripcord_core::signal::Label;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::registry::Mark;
use ripcord_ports::{ErrorKind, Registry};
use serde_json::json;

use super::support::{Folders, empty_dir, shared, target, version};
use crate::azure::fake::{ACCOUNT, Azure, CONTAINER, GROUP, MODEL, REGISTRY, SUBSCRIPTION, WORKSPACE};

pub(crate) fn config(fake: &Azure) -> AzureMlRegistryConfig {
    AzureMlRegistryConfig {
        subscription: SUBSCRIPTION.into(),
        resource_group: GROUP.into(),
        workspace: Some(WORKSPACE.into()),
        registry: None,
        model: MODEL.into(),
        production_tag: Some("production".into()),
        credentials: None,
        tenant_id: Some("acme".into()),
        client_id: Some("ripcord".into()),
        cloud: ripcord_adapters::registry_azureml::AzureCloud::Public,
        authority: Some(fake.url()),
        resource_manager: Some(fake.url()),
        storage_endpoint: Some(format!("{}/{{account}}", fake.url())),
        api_version: "2025-12-01".into(),
        deadline_ms: 5_000,
        patience_ms: 3_000,
        versions_max: 100,
        artefact_bytes_max: 1 << 30,
    }
}

/// The same model in a registry.
pub(crate) fn of_registry(fake: &Azure) -> AzureMlRegistryConfig {
    AzureMlRegistryConfig { workspace: None, registry: Some(REGISTRY.into()), ..config(fake) }
}

pub(crate) fn of(config: AzureMlRegistryConfig) -> AzureMlRegistry {
    AzureMlRegistry::new(config, Some(Secret::new("s3cret")), &shared()).unwrap()
}

/// A fake with three versions of a model; the last was made by a job of a data set and the first version.
pub(crate) async fn seeded() -> (Azure, Vec<Digest>) {
    let fake = Azure::start().await;
    let mut digests = Vec::new();
    {
        let mut world = fake.world();
        for number in 1..=3_u8 {
            let weights = vec![number; 1_000];
            let name = format!("{number}\n");
            let files: [(&str, &[u8]); 3] =
                [("model.txt", name.as_bytes()), ("weights/é 100%&.bin", &weights), ("weights/0", b"")];
            let more = match number {
                1 => json!({ "stage": "Archived" }),
                2 => json!({ "stage": "Production", "tags": { "team": "payments" } }),
                _ => json!({
                    "jobName": "train-7", "stage": "Development",
                    "tags": { "team": "payments" }, "properties": { "azureml.git.branch": "main" },
                }),
            };
            world.register(&files, &more);
            let files = files.map(|(path, bytes)| ArtefactFile {
                path: path.into(),
                sha256: Digest::of(bytes),
                bytes: bytes.len() as u64,
            });
            digests.push(artefact_digest(&files));
        }
        // What stands for folders, and neighbours whose names begin alike.
        for name in ["LocalUpload/1/model", "LocalUpload/1/model/weights"] {
            world.put(name, b"");
            world.blobs.get_mut(name).unwrap().folder = true;
        }
        world.put("LocalUpload/1/model-of-others/model.txt", b"10\n");
        world.container = json!({
            "description": "finds fraud", "isArchived": false, "properties": { "kept": "so" },
            "tags": { "production": "1", "team": "payments" },
        })
        .as_object()
        .unwrap()
        .clone();
        world.jobs.insert("train-7".into(), job());
    }
    (fake, digests)
}

fn job() -> serde_json::Value {
    json!({
        "jobType": "Command", "command": "python train.py", "environmentId": "azureml:sklearn:1", "displayName": "train",
        "status": "Completed", "isArchived": false, "tags": {},
        "properties": {
            "azureml.git.commit": "0a1b2c3", "azureml.git.dirty": "False", "azureml.git.branch": "of-the-job",
            "mlflow.source.git.commit": "of-mlflow",
        },
        "inputs": {
            "transactions": { "jobInputType": "uri_folder", "uri": "azureml:transactions:7", "mode": "ReadOnlyMount" },
            "eval": { "jobInputType": "uri_file", "uri": "azureml://datastores/workspaceblobstore/paths/eval.csv" },
            "loss": { "jobInputType": "literal", "value": "mse" },
            "base": { "jobInputType": "custom_model", "uri": format!("azureml:{MODEL}:1") },
            "embedding": { "jobInputType": "mlflow_model", "uri": "azureml:words:4" },
        },
        "parameters": { "depth": "4", "rate": 0.5, "nested": {} },
    })
}

pub(crate) fn expected(digests: &[Digest]) -> Expected {
    let newest_first = digests.iter().enumerate().rev();
    let newest_first = newest_first.map(|(index, digest)| target(&(index + 1).to_string(), Some(*digest)));
    Expected { newest_first: newest_first.collect(), marks: true, promotes: true }
}

/// What a registry keeps lies at an address of Blob Storage.
pub(crate) fn into_registry(fake: &Azure) {
    let mut world = fake.world();
    for (index, version) in world.versions.iter_mut().enumerate() {
        let uri =
            format!("https://{ACCOUNT}.blob.core.windows.net/{CONTAINER}/LocalUpload/{}/model", index + 1);
        version.insert("modelUri".into(), uri.into());
    }
}

fn tags(tags: &[Label]) -> Vec<(&str, &str)> {
    tags.iter().map(|tag| (tag.name.as_str(), tag.value.as_str())).collect()
}

#[tokio::test]
async fn it_conforms() {
    let (fake, digests) = seeded().await;
    let folders = Folders::default();
    registry::conforms(&of(config(&fake)), &expected(&digests), &|| folders.next()).await;
    assert_eq!(
        fake.world().tokens_given,
        2,
        "a token is kept for as long as it is good, one for each service"
    );
    let sent = fake.seen();
    let is_blob = |path: &str| path.starts_with(&format!("/{ACCOUNT}/"));
    assert!(sent.iter().all(|call| {
        let wanted = if is_blob(&call.path) { "token-for-storage" } else { "token-for-manager" };
        call.bearer.as_deref() == Some(wanted)
    }));
}

#[tokio::test]
async fn it_conforms_in_a_registry_that_takes_its_time() {
    let (fake, digests) = seeded().await;
    into_registry(&fake);
    fake.world().slow = 2;
    let folders = Folders::default();
    registry::conforms(&of(of_registry(&fake)), &expected(&digests), &|| folders.next()).await;
    let sent = fake.seen();
    let blobs: Vec<_> = sent.iter().filter(|call| call.path.starts_with(&format!("/{ACCOUNT}/"))).collect();
    assert!(
        !blobs.is_empty() && blobs.iter().all(|call| call.bearer.is_none()),
        "the registry's own way, and no token"
    );
}

#[tokio::test]
async fn it_conforms_while_the_network_fails() {
    let (fake, digests) = seeded().await;
    let folders = Folders::default();
    let proxy = FaultProxy::start(&fake.url()).await.unwrap();
    let behind = AzureMlRegistryConfig {
        patience_ms: 1_000,
        resource_manager: Some(proxy.url()),
        storage_endpoint: Some(format!("{}/{{account}}", proxy.url())),
        ..config(&fake)
    };
    let expected = expected(&digests);
    let next = || folders.next();
    registry_faults::conforms_in_faults(&of(behind), &proxy, &expected, Steadiness::Retries, &next).await;
}

#[tokio::test]
async fn versions_are_told_with_stages_names_tags_and_properties() {
    let (fake, _) = seeded().await;
    let registry = of(config(&fake));
    let listed = registry.versions(10).await.unwrap();
    let names: Vec<_> = listed.iter().map(|one| one.version.version.as_str()).collect();
    assert_eq!(names, ["3", "2", "1"]);
    assert_eq!(listed[0].aliases, ["Development", "latest"]);
    assert_eq!(listed[1].aliases, ["Production"], "a stage is shown, and says not what is in production");
    assert_eq!(listed[2].aliases, ["Archived", "production"]);
    assert_eq!(tags(&listed[0].tags), [("azureml.git.branch", "main"), ("team", "payments")]);
    assert_eq!(registry.promoted().await.unwrap(), Some(version("1")));
    let kept = registry.kept_at().unwrap();
    let wanted = format!(
        "`/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}/models/{MODEL}` of {}/",
        fake.url()
    );
    assert_eq!(kept.split(" (").next(), Some(wanted.as_str()));
    assert_ne!(registry.kept_at(), of(of_registry(&fake)).kept_at());
    let few = of(AzureMlRegistryConfig { versions_max: 2, ..config(&fake) });
    assert_eq!(few.versions(10).await.unwrap().len(), 2);
    fake.world().versions[0].insert("isArchived".into(), true.into());
    let archived = registry.version(&version("1")).await.unwrap();
    assert_eq!(
        tags(&archived.tags),
        [("azureml:archived", "true")],
        "what is archived is shown, and can be gone back to"
    );
    assert_eq!(
        (archived.broken, archived.aliases),
        (None, vec!["Archived".to_owned(), "production".to_owned()])
    );
}

#[tokio::test]
async fn lineage_is_what_the_version_says_and_the_job_that_made_it() {
    let (fake, _) = seeded().await;
    let registry = of(config(&fake));
    let lineage = registry.lineage(&version("3")).await.unwrap();
    assert_eq!(lineage.code.as_deref(), Some("0a1b2c3"));
    assert_eq!(lineage.run.as_deref(), Some("train-7"));
    assert!(lineage.source.unwrap().ends_with("/datastores/workspaceblobstore/paths/LocalUpload/3/model"));
    let parameters = [
        ("azureml.git.branch", "main"),
        ("azureml.git.dirty", "False"),
        ("depth", "4"),
        ("embedding", "azureml:words:4"),
        ("loss", "mse"),
        ("rate", "0.5"),
    ];
    assert_eq!(
        tags(&lineage.parameters),
        parameters,
        "what the version says counts before what its job says"
    );
    let sets: Vec<_> = lineage
        .datasets
        .iter()
        .map(|set| (set.name.as_str(), set.revision.as_deref(), set.context.as_deref()))
        .collect();
    let eval = "azureml://datastores/workspaceblobstore/paths/eval.csv";
    let wanted = [("transactions", Some("7"), Some("transactions")), (eval, None, Some("eval"))];
    assert!(wanted.iter().all(|set| sets.contains(set)) && sets.len() == 2, "{sets:?}");
    assert_eq!(lineage.parent, Some(target("1", None)));

    let by_hand = registry.lineage(&version("1")).await.unwrap();
    assert_eq!((by_hand.run, by_hand.datasets.len(), by_hand.parent), (None, 0, None));
    {
        let mut world = fake.world();
        let said =
            json!({ "dataset": "transactions", "dataset-revision": "8", "mlflow.source.git.commit": "abc" });
        let first = &mut world.versions[0];
        first.insert("properties".into(), said);
        let id = "azureml://locations/x/workspaces/1/data/labels/versions/2";
        first.insert("datasets".into(), json!([{ "name": "training", "id": id }]));
        // What is gone from where it was is no error.
        first.insert("jobName".into(), "train-6".into());
    }
    let said = registry.lineage(&version("1")).await.unwrap();
    assert_eq!((said.code.as_deref(), said.run.as_deref()), (Some("abc"), Some("train-6")));
    let sets: Vec<_> = said.datasets.iter().map(|set| (set.name.as_str(), set.revision.as_deref())).collect();
    assert_eq!(sets, [("transactions", Some("8")), ("labels", Some("2"))]);
}

#[tokio::test]
async fn a_hold_is_a_tag_of_its_version_and_leaves_the_rest_as_it_was() {
    let (fake, _) = seeded().await;
    let registry = of(config(&fake));
    let before = fake.world().versions[1].clone();
    let now = async || registry.version(&version("2")).await.unwrap().tags;
    let hold = async |incident: &str| registry.mark(&version("2"), Mark::Held { incident }).await.unwrap();
    hold("fraud-api:7").await;
    let held = [(CONDEMNED_TAG, "fraud-api:7"), ("ripcord.hold", "fraud-api:7"), ("team", "payments")];
    assert_eq!(tags(&now().await), held);
    hold("fraud-api:9").await;
    let writes = || fake.seen().iter().filter(|call| call.method == "PUT").count();
    let so_far = writes();
    hold("fraud-api:9").await;
    assert_eq!(writes(), so_far, "it is there already");
    registry.mark(&version("2"), Mark::Lifted).await.unwrap();
    assert_eq!(
        tags(&now().await),
        [(CONDEMNED_TAG, "fraud-api:9"), ("team", "payments")],
        "what was condemned stays so"
    );
    registry.mark(&version("2"), Mark::Lifted).await.unwrap();
    let mut after = fake.world().versions[1].clone();
    after.insert("tags".into(), before["tags"].clone());
    after.insert("provisioningState".into(), "Succeeded".into());
    assert_eq!(after, before, "what Azure has besides is as it was");
    assert!(fake.seen().iter().all(|call| call.body.pointer("/properties/provisioningState").is_none()));
}

#[tokio::test]
async fn production_is_moved_by_one_write_that_leaves_the_rest() {
    let (fake, _) = seeded().await;
    let registry = of(config(&fake));
    fake.world().etags = true;
    registry.promote(&version("2"), Some(&version("1"))).await.unwrap();
    let written: Vec<_> = fake.seen().into_iter().filter(|call| call.method == "PUT").collect();
    assert_eq!(written.len(), 1);
    let wanted = json!({ "properties": {
        "description": "finds fraud", "isArchived": false, "properties": { "kept": "so" },
        "tags": { "production": "2", "team": "payments" },
    } });
    assert_eq!(written[0].body, wanted);
    assert!(written[0].if_match.is_some(), "what Azure gives as a condition is sent");
    let unset = of(AzureMlRegistryConfig { production_tag: Some("unset".into()), ..config(&fake) });
    assert_eq!(unset.promoted().await.unwrap(), None);
    unset.promote(&version("3"), None).await.unwrap();
    assert_eq!(unset.promoted().await.unwrap(), Some(version("3")));
    assert_eq!(registry.promoted().await.unwrap(), Some(version("2")), "another tag stays where it is");
    let none = of(AzureMlRegistryConfig { production_tag: None, ..config(&fake) });
    let error = none.promoted().await.unwrap_err();
    assert_eq!((error.kind, none.request_to_promote(&version("1"))), (ErrorKind::Unsupported, None));
    assert!(error.to_string().contains("configure `production-tag`"), "{error}");
}

#[tokio::test]
async fn files_are_held_against_size_and_digest() {
    let (fake, _) = seeded().await;
    let registry = of(AzureMlRegistryConfig { patience_ms: 50, ..config(&fake) });
    let path = "LocalUpload/1/model/model.txt";
    let fetched = async || {
        let (_folder, dir) = empty_dir();
        registry.fetch(&target("1", None), dir).await
    };
    let list = |length: &str, md5: &str, etag: &str| {
        format!(
            "<EnumerationResults><Blobs><Blob><Name>{path}</Name><Properties><Etag>{etag}</Etag><Content-Length>{length}</Content-Length>{md5}</Properties></Blob></Blobs><NextMarker /></EnumerationResults>"
        )
    };
    let own = fake.world().blobs[path].etag.clone();
    let own = own.as_str();
    let at = format!("/{ACCOUNT}/{CONTAINER}");
    for (length, md5, etag, kind, wanted) in [
        ("3", "", own, ErrorKind::BadAnswer, "with fewer than the 3 bytes"),
        ("1", "", own, ErrorKind::BadAnswer, "with more than the 1 bytes"),
        (
            "2",
            "<Content-MD5>1B2M2Y8AsgTpgAmY7PhCfg==</Content-MD5>",
            own,
            ErrorKind::BadAnswer,
            "with another MD5 digest",
        ),
        (
            "2",
            "<Content-MD5>x</Content-MD5>",
            own,
            ErrorKind::BadAnswer,
            "without an MD5 digest that can be read",
        ),
        ("many", "", own, ErrorKind::BadAnswer, "no list of blobs"),
        ("2", "", "", ErrorKind::BadAnswer, "without an entity tag"),
        ("2", "", "0x1", ErrorKind::NotFound, "was overwritten or deleted after it was listed"),
    ] {
        // Only the list is lied about: the file's own address is longer.
        fake.lists(&at, list(length, md5, etag));
        let error = fetched().await.unwrap_err();
        fake.straight();
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
        assert_eq!(error.kind, kind, "{error}");
    }
    // What was uploaded in parts has no digest.
    fake.world().blobs.get_mut(path).unwrap().md5 = false;
    fetched().await.unwrap();
    let small = of(AzureMlRegistryConfig { artefact_bytes_max: 1_001, ..config(&fake) });
    let (_folder, dir) = empty_dir();
    let error = small.fetch(&target("1", None), dir).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    let (_folder, dir) = empty_dir();
    let error = registry.fetch(&target("1", Some(Digest::of("other"))), dir).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongDigest, "{error}");
}

#[tokio::test]
async fn a_blob_with_content_is_a_file_and_an_empty_page_is_no_end() {
    let (fake, _) = seeded().await;
    {
        let mut world = fake.world();
        world.put("LocalUpload/1/model/odd.bin", b"x");
        world.blobs.get_mut("LocalUpload/1/model/odd.bin").unwrap().folder = true;
        world.put("alone.pkl", b"x");
        let uri = "azureml://datastores/workspaceblobstore/paths/alone.pkl";
        world.register(&[], &json!({ "modelUri": uri }));
        world.empty_pages = true;
    }
    let registry = of(config(&fake));
    let paths = async |name: &str| {
        let (_folder, dir) = empty_dir();
        let staged = registry.fetch(&target(name, None), dir).await.unwrap();
        staged.files.into_iter().map(|file| file.path).collect::<Vec<_>>()
    };
    let all = paths("1").await;
    assert!(all.iter().any(|path| path == "odd.bin") && all.len() == 4, "{all:?}");
    assert_eq!(paths("4").await, ["alone.pkl"]);
}

#[tokio::test]
async fn what_cannot_be_fetched_is_listed_as_broken_with_the_reason() {
    let (fake, _) = seeded().await;
    {
        let mut world = fake.world();
        let at = |path: &str| json!({ "modelUri": format!("azureml://datastores/workspaceblobstore/paths/{path}") });
        world
            .datastores
            .insert("files".into(), json!({ "datastoreType": "AzureFile", "accountName": ACCOUNT }));
        let of_others =
            json!({ "datastoreType": "AzureBlob", "accountName": ACCOUNT, "containerName": "of-others" });
        world.datastores.insert("others".into(), of_others);
        world.register(&[], &json!({ "modelUri": "" }));
        world.register(&[], &json!({ "modelUri": "azureml://datastores/files/paths/a" }));
        world.register(&[], &json!({ "modelUri": "azureml://datastores/others/paths/a" }));
        world.register(&[], &json!({ "modelUri": "azureml://datastores/gone/paths/a" }));
        world.register(&[], &at("nothing"));
        world.register(&[("a/../../b", b"x")], &json!({}));
        world.register(&[("a", b"x"), ("a-b", b"x"), ("a/b", b"x")], &json!({}));
        world.register(&[], &json!({ "provisioningState": "Failed" }));
        world.register(&[], &json!({ "tags": 7 }));
        world.put("alone.pkl", b"x");
        world.put("alone.pkl.bak", b"x");
        world.register(&[], &at("alone.pkl"));
    }
    let registry = of(config(&fake));
    let listed = registry.versions(20).await.unwrap();
    let broken = |name: &str| {
        let one = listed.iter().find(|one| one.version.version.as_str() == name).unwrap();
        one.broken.clone().unwrap_or_default()
    };
    assert_eq!((broken("1"), broken("3"), broken("13")), (String::new(), String::new(), String::new()));
    for (name, wanted) in [
        ("4", "it has no `modelUri`"),
        ("5", "of the type `AzureFile`, which is not read"),
        ("6", "check that the container `of-others` of the account"),
        ("7", "Could not find the datastore"),
        ("8", "it has no file below `acmemodels/azureml-blobstore/nothing`"),
        ("9", "holds a blob that no artefact can hold"),
        ("10", "holds both a file `a` and files below it"),
        ("11", "Azure ML calls it `Failed`"),
        ("12", "describes it in a way that cannot be read"),
    ] {
        assert!(broken(name).contains(wanted), "{name}: {}", broken(name));
    }
    let (_folder, dir) = empty_dir();
    let alone = registry.fetch(&target("13", None), dir).await.unwrap();
    assert_eq!(alone.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["alone.pkl"]);
    let (_folder, dir) = empty_dir();
    let error = registry.fetch(&target("8", None), dir).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.to_string().contains("choose another version"), "{error}");
    // What is mended is seen.
    fake.world().put("nothing/model.txt", b"8\n");
    assert_eq!(registry.version(&version("8")).await.unwrap().broken, None);
}

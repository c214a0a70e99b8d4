//! The registry in Azure Machine Learning, held against what Microsoft itself says of it. Azure is not to be had, so:
//!
//! - every call of the adapter and every answer of our fake is held against the operations and models of Microsoft's own client (`judge.py`);
//! - that client reads and changes the same fake (`client.py`), and both see the same;
//! - files come from Azurite, Microsoft's emulator of Blob Storage.
//!
//! `RIPCORD_TEST_AZURE` is the path of the Python that `.ci/azure` prints; Azurite is beside it.

mod azurite;
mod endpoint;
pub(crate) mod fake;
pub(crate) mod online;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ripcord_adapters::conformance::registry;
use ripcord_adapters::registry_azureml::AzureMlRegistryConfig;
use ripcord_core::digest::Digest;
use ripcord_ports::Registry;
use ripcord_ports::registry::Mark;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::adapters::registry_azureml::{config, expected, into_registry, of, of_registry, seeded};
use crate::adapters::support::{Folders, version};
use crate::scripts;
use fake::{Azure, Exchange, GROUP, MODEL, REGISTRY, SUBSCRIPTION, WORKSPACE, refusal, refusal_within};

fn python() -> PathBuf {
    scripts::python("RIPCORD_TEST_AZURE", ".ci/azure")
}

/// Runs one of the scripts of this suite.
async fn run<T: DeserializeOwned>(script: &str, arguments: &[&str]) -> T {
    scripts::run(&python(), &format!("azure/{script}"), arguments, |command| {
        // The client asks nobody for its cloud, and tells nobody what it was used for.
        command.env("AZUREML_CURRENT_CLOUD", "AzureCloud").env("AZURE_CORE_COLLECT_TELEMETRY", "no");
    })
    .await
}

/// What `judge.py` says.
#[derive(Debug, Deserialize)]
struct Judgement {
    violations: Vec<String>,
    /// How often each operation was called.
    operations: BTreeMap<String, u64>,
}

/// Of calls of Azure Resource Manager; those of Blob Storage are Azurite's to judge.
async fn judged(exchanges: &[Exchange]) -> Judgement {
    let managed: Vec<&Exchange> =
        exchanges.iter().filter(|call| call.path.starts_with("/subscriptions/")).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchanges.json");
    std::fs::write(&path, serde_json::to_vec(&managed).unwrap()).unwrap();
    run("judge.py", &[path.to_str().unwrap()]).await
}

/// Everything that the adapter does, and the refusals that the tests have it told.
async fn all_there_is(fake: &Azure, config: AzureMlRegistryConfig, digests: &[Digest]) {
    let adapter = of(config.clone());
    let folders = Folders::default();
    registry::conforms(&adapter, &expected(digests), &|| folders.next()).await;
    for name in ["1", "3"] {
        adapter.lineage(&version(name)).await.unwrap();
    }
    adapter.mark(&version("2"), Mark::Held { incident: "fraud-api:7" }).await.unwrap();
    adapter.mark(&version("2"), Mark::Lifted).await.unwrap();
    adapter.version(&version("99")).await.unwrap_err();
    let hasty = of(AzureMlRegistryConfig { patience_ms: 0, ..config });
    for (status, body) in [
        (400, refusal("InvalidApiVersionParameter", "No.")),
        (401, refusal("InvalidAuthenticationToken", "No.")),
        (403, refusal("AuthorizationFailed", "No.")),
        (404, refusal_within("UserError", "No.", "ModelNotFound")),
        (409, refusal("Conflict", "No.")),
        (412, refusal("PreconditionFailed", "No.")),
        (429, refusal("TooManyRequests", "No.")),
        (500, refusal("InternalServerError", "No.")),
        (503, refusal("ServerTimeout", "No.")),
    ] {
        fake.instead("/models/fraud/versions", status, body.to_string());
        hasty.versions(10).await.unwrap_err();
    }
    fake.straight();
}

#[tokio::test]
#[ignore = "needs Microsoft's own client: see the head of this suite"]
async fn what_is_asked_and_answered_is_as_microsofts_own_client_has_it() {
    let (fake, digests) = seeded().await;
    all_there_is(&fake, config(&fake), &digests).await;
    let judgement = judged(&fake.seen()).await;
    assert_eq!(judgement.violations, [""; 0]);
    let operations: Vec<&str> = judgement.operations.keys().map(String::as_str).collect();
    let wanted = [
        "datastores_get",
        "jobs_get",
        "model_containers_create_or_update",
        "model_containers_get",
        "model_versions_create_or_update",
        "model_versions_get",
        "model_versions_list",
    ];
    assert_eq!(operations, wanted, "every operation that the adapter calls was judged");

    let (fake, digests) = seeded().await;
    into_registry(&fake);
    all_there_is(&fake, of_registry(&fake), &digests).await;
    let judgement = judged(&fake.seen()).await;
    assert_eq!(judgement.violations, [""; 0]);
    let operations: Vec<&str> = judgement.operations.keys().map(String::as_str).collect();
    let wanted = [
        "registry_data_references_get_blob_reference_sas",
        "registry_model_containers_create_or_update",
        "registry_model_containers_get",
        "registry_model_versions_create_or_update",
        "registry_model_versions_get",
        "registry_model_versions_list",
    ];
    assert_eq!(operations, wanted, "in a registry as well");
}

/// A judge that lets everything pass judges nothing.
#[tokio::test]
#[ignore = "needs Microsoft's own client: see the head of this suite"]
async fn what_microsofts_client_does_not_have_is_noticed() {
    let (fake, _) = seeded().await;
    let adapter = of(config(&fake));
    adapter.versions(10).await.unwrap();
    adapter.promote(&version("2"), Some(&version("1"))).await.unwrap();
    let seen = fake.seen();
    let is = |method: &str, part: &str| {
        let found = seen.iter().find(|call| call.method == method && call.path.ends_with(part));
        found.unwrap().clone()
    };
    let (list, write) = (is("GET", "/versions"), is("PUT", "/models/fraud"));
    let store = is("GET", "/datastores/workspaceblobstore");
    let with = |call: &Exchange, change: &dyn Fn(&mut Exchange)| {
        let mut call = call.clone();
        change(&mut call);
        call
    };
    let answer = |call: &mut Exchange, pointer: &str, value: Value| {
        *call.answer.as_mut().unwrap().pointer_mut(pointer).unwrap() = value;
    };
    for (call, wanted) in [
        (with(&list, &|call| call.query.push(("page".into(), "2".into()))), "there is no parameter `page`"),
        (with(&list, &|call| call.query.push(("$top".into(), "all".into()))), "`$top=all` is no integer"),
        (with(&list, &|call| call.query.push(("listViewType".into(), "Some".into()))), "`Some` is no view"),
        (with(&list, &|call| call.query.clear()), "`api-version` is missing"),
        (with(&list, &|call| call.path.push_str("/1/2")), "there is no such operation"),
        (with(&list, &|call| call.method = "PATCH".into()), "there is no such operation"),
        (with(&list, &|call| call.body = json!({})), "a body that nobody reads"),
        (with(&list, &|call| answer(call, "/value/0/properties/stage", json!(3))), "stage: is no str"),
        (
            with(&list, &|call| answer(call, "/value/0/properties/tags", json!({ "a": 3 }))),
            "tags.a: is no str",
        ),
        (with(&list, &|call| answer(call, "/value/0/systemData/createdAt", json!("today"))), "is no instant"),
        (
            with(&list, &|call| answer(call, "/value/0/properties/provisioningState", json!("Odd"))),
            "`Odd` is none of",
        ),
        (with(&list, &|call| answer(call, "/value/0", json!({ "aliases": [] }))), "aliases: is not known"),
        (with(&store, &|call| answer(call, "/properties/accountName", json!(7))), "accountName: is no str"),
        (
            with(&write, &|call| call.body["properties"]["latestVersion"] = "3".into()),
            "latestVersion: is only ever answered",
        ),
        (with(&write, &|call| call.body["properties"]["alias"] = "3".into()), "alias: is not known"),
        (with(&write, &|call| call.body = json!([])), "sent: is no ModelContainer"),
        (with(&list, &|call| call.status = 403), "a refusal without `error.code`"),
    ] {
        let found = judged(&[call]).await.violations;
        assert!(found.iter().any(|violation| violation.contains(wanted)), "{wanted}: {found:?}");
    }
}

/// What `client.py` read.
#[derive(Debug, Deserialize)]
struct Read {
    versions: Vec<ReadVersion>,
    latest: String,
    tags: BTreeMap<String, String>,
    description: String,
    in_registry: Vec<String>,
    store: [String; 2],
}

#[derive(Debug, Deserialize)]
struct ReadVersion {
    version: String,
    stage: Option<String>,
    tags: BTreeMap<String, String>,
    path: String,
}

fn pairs(of: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    of.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

async fn client(fake: &Azure, change: &[&str]) -> Read {
    let url = fake.url();
    let of = [url.as_str(), SUBSCRIPTION, GROUP, WORKSPACE, MODEL, REGISTRY];
    run("client.py", &[&of[..], change].concat()).await
}

#[tokio::test]
#[ignore = "needs Microsoft's own client: see the head of this suite"]
async fn microsofts_own_client_and_the_adapter_see_the_same() {
    let (fake, _) = seeded().await;
    let adapter = of(config(&fake));
    let read = client(&fake, &[]).await;
    let mut stages: Vec<_> =
        read.versions.iter().map(|one| (one.version.as_str(), one.stage.as_deref())).collect();
    stages.sort_unstable();
    assert_eq!(stages, [("1", Some("Archived")), ("2", Some("Production")), ("3", Some("Development"))]);
    assert_eq!((read.latest.as_str(), read.in_registry.len()), ("3", 3));
    assert_eq!(read.store, [fake::ACCOUNT, fake::CONTAINER]);

    adapter.promote(&version("2"), Some(&version("1"))).await.unwrap();
    adapter.mark(&version("1"), Mark::Held { incident: "fraud-api:7" }).await.unwrap();
    let read = client(&fake, &["tag", "3", "golden", "yes"]).await;
    assert_eq!(pairs(&read.tags), [("production", "2"), ("team", "payments")]);
    assert_eq!(read.description, "finds fraud");
    let held = read.versions.iter().find(|one| one.version == "1").unwrap();
    let wanted = [("ripcord.condemned", "fraud-api:7"), ("ripcord.hold", "fraud-api:7")];
    assert_eq!(pairs(&held.tags), wanted);
    assert!(held.path.ends_with("/LocalUpload/1/model") && held.stage.as_deref() == Some("Archived"));
    let tagged = adapter.version(&version("3")).await.unwrap();
    assert!(tagged.tags.iter().any(|tag| tag.name == "golden" && tag.value == "yes"), "{:?}", tagged.tags);

    client(&fake, &["production", "3"]).await;
    assert_eq!(adapter.promoted().await.unwrap(), Some(version("3")));
    client(&fake, &["archive", "2"]).await;
    let archived = adapter.version(&version("2")).await.unwrap();
    assert_eq!((archived.aliases.len(), archived.broken), (0, None), "its own client drops the stage");
    assert!(archived.tags.iter().any(|tag| tag.name == "azureml:archived"));
    assert_eq!(judged(&fake.seen()).await.violations, [""; 0], "nor does the client ask for anything else");
}

//! The registry in Vertex AI, held against what Google itself says of its interfaces. Neither Vertex AI nor Cloud Storage is to be had, so:
//!
//! - every call of the adapter and every answer of our fake is held against Google's discovery documents, as its client for Python ships them (`judge.py`);
//! - that client reads and changes the same fake (`client.py`), and both see the same, byte by byte;
//! - Google's own library gets tokens with the same files as the adapter, and both ask for the same (`tokens.py`);
//! - drongo, a server of others that knows a little of Vertex AI, is asked what it knows.
//!
//! `RIPCORD_TEST_VERTEX` is the path of the Python that `.ci/vertex` prints.

mod drongo;
mod endpoint;
pub(crate) mod fake;
pub(crate) mod serving;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ripcord_adapters::conformance::registry;
use ripcord_adapters::registry_vertex::VertexRegistryConfig;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::Registry;
use ripcord_ports::registry::Mark;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::adapters::registry_vertex::{config, expected, of, seeded};
use crate::adapters::support::{Folders, empty_dir, target, version};
use crate::scripts;
use fake::{Exchange, LOCATION, MODEL, PROJECT, TOKEN, Vertex, reason, refusal};

fn python() -> PathBuf {
    scripts::python("RIPCORD_TEST_VERTEX", ".ci/vertex")
}

/// Runs one of the scripts of this suite.
async fn run<T: DeserializeOwned>(script: &str, arguments: &[&str]) -> T {
    scripts::run(&python(), &format!("vertex/{script}"), arguments, |_| ()).await
}

/// What `judge.py` says.
#[derive(Debug, Deserialize)]
struct Judgement {
    violations: Vec<String>,
    /// How often each method was called.
    methods: BTreeMap<String, u64>,
}

async fn judged(exchanges: &[Exchange]) -> Judgement {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchanges.json");
    std::fs::write(&path, serde_json::to_vec(exchanges).unwrap()).unwrap();
    run("judge.py", &[path.to_str().unwrap()]).await
}

/// Everything that the adapter does, and the refusals that the tests have it told.
async fn all_there_is(fake: &Vertex, digests: &[ripcord_core::digest::Digest]) {
    let adapter = of(config(fake));
    let folders = Folders::default();
    registry::conforms(&adapter, &expected(digests), &|| folders.next()).await;
    for name in ["1", "3"] {
        adapter.lineage(&version(name)).await.unwrap();
    }
    adapter.mark(&version("2"), Mark::Held { incident: "fraud-api:7" }).await.unwrap();
    adapter.mark(&version("2"), Mark::Lifted).await.unwrap();
    let unset = of(VertexRegistryConfig { alias: Some("unset".into()), ..config(fake) });
    assert_eq!(unset.promoted().await.unwrap(), None);
    adapter.version(&version("99")).await.unwrap_err();
    fake.world().versions[0].insert("artifactUri".into(), "gs://of-others/fraud".into());
    adapter.version(&version("1")).await.unwrap();
    let hasty = of(VertexRegistryConfig { patience_ms: 0, ..config(fake) });
    let details = [
        reason("IAM_PERMISSION_DENIED", json!({ "permission": "aiplatform.models.list" })),
        json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30.5s" }),
    ];
    for (status, code) in [
        (400, "FAILED_PRECONDITION"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (409, "ABORTED"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ] {
        fake.instead(":listVersions", status, refusal(status, code, "No.", &details).to_string());
        hasty.versions(10).await.unwrap_err();
    }
    fake.straight();
}

#[tokio::test]
#[ignore = "needs Google's own client: see the head of this suite"]
async fn what_is_asked_and_answered_is_as_googles_own_description_has_it() {
    let (fake, digests) = seeded().await;
    all_there_is(&fake, &digests).await;
    let judgement = judged(&fake.seen()).await;
    assert_eq!(judgement.violations, [""; 0]);
    let methods: Vec<&str> = judgement.methods.keys().map(String::as_str).collect();
    assert_eq!(
        methods,
        [
            "aiplatform.projects.locations.metadataStores.artifacts.queryArtifactLineageSubgraph",
            "aiplatform.projects.locations.models.get",
            "aiplatform.projects.locations.models.listVersions",
            "aiplatform.projects.locations.models.mergeVersionAliases",
            "aiplatform.projects.locations.trainingPipelines.get",
            "storage.objects.get",
            "storage.objects.list",
        ],
        "every method that the adapter calls was judged"
    );
}

/// A judge that lets everything pass judges nothing.
#[tokio::test]
#[ignore = "needs Google's own client: see the head of this suite"]
async fn what_google_does_not_describe_is_noticed() {
    let (fake, _) = seeded().await;
    let adapter = of(config(&fake));
    adapter.versions(10).await.unwrap();
    adapter.promote(&version("2"), Some(&version("1"))).await.unwrap();
    let seen = fake.seen();
    let is = |part: &str| seen.iter().find(|call| call.path.contains(part)).unwrap().clone();
    let (list, merge) = (is(":listVersions"), is(":mergeVersionAliases"));
    let objects = is("/storage/");
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
        (with(&list, &|call| call.query[0].1 = "all".into()), "`pageSize=all` is no integer"),
        (
            with(&list, &|call| call.path = call.path.replace(":listVersions", ":list")),
            "there is no such method",
        ),
        (with(&list, &|call| call.method = "PUT".into()), "there is no such method"),
        (with(&list, &|call| call.body = json!({})), "a body that nobody reads"),
        (with(&list, &|call| answer(call, "/models/0/versionId", json!(3))), "versionId: is no string"),
        (with(&list, &|call| answer(call, "/models/0/versionCreateTime", json!("today"))), "is no instant"),
        (
            with(&list, &|call| answer(call, "/models/0/modelSourceInfo/sourceType", json!("MINE"))),
            "`MINE` is none of",
        ),
        (with(&list, &|call| answer(call, "/models/0", json!({ "aliases": [] }))), "aliases: is not known"),
        (with(&merge, &|call| call.body = json!({ "aliases": ["default"] })), "sent.aliases: is not known"),
        (
            with(&merge, &|call| call.body = json!({ "versionAliases": "default" })),
            "sent.versionAliases: is no array",
        ),
        (with(&objects, &|call| answer(call, "/items/0/size", json!("big"))), "is no uint64"),
        (
            with(&list, &|call| {
                (call.status, call.answer) = (403, Some(refusal(403, "FORBIDDEN", "No.", &[])))
            }),
            "`FORBIDDEN` is no status",
        ),
        (with(&list, &|call| call.status = 403), "a refusal without its own code"),
    ] {
        let found = judged(&[call]).await.violations;
        assert!(found.iter().any(|violation| violation.contains(wanted)), "{wanted}: {found:?}");
    }
}

/// What `client.py` read.
#[derive(Debug, Deserialize)]
struct Read {
    versions: Vec<ReadVersion>,
    default: String,
}

#[derive(Debug, Deserialize)]
struct ReadVersion {
    version: String,
    aliases: Vec<String>,
    files: Vec<ArtefactFile>,
}

async fn client(fake: &Vertex, change: &[&str]) -> Read {
    let model = format!("projects/{PROJECT}/locations/{LOCATION}/models/{MODEL}");
    let url = fake.url();
    run("client.py", &[&[url.as_str(), TOKEN, model.as_str()], change].concat()).await
}

#[tokio::test]
#[ignore = "needs Google's own client: see the head of this suite"]
async fn googles_own_client_and_the_adapter_see_the_same() {
    let (fake, digests) = seeded().await;
    let adapter = of(config(&fake));
    let read = client(&fake, &[]).await;
    let numbers: Vec<&str> = read.versions.iter().map(|one| one.version.as_str()).collect();
    assert_eq!((numbers, read.default.as_str()), (vec!["3", "2", "1"], "1"));
    for (one, digest) in read.versions.iter().zip(digests.iter().rev()) {
        assert_eq!(artefact_digest(&one.files), *digest, "the client reads the files that were uploaded");
        let (_folder, dir) = empty_dir();
        let staged = adapter.fetch(&target(&one.version, None), dir).await.unwrap();
        assert_eq!(staged.files, one.files, "byte by byte");
    }

    adapter.promote(&version("2"), Some(&version("1"))).await.unwrap();
    adapter.mark(&version("1"), Mark::Held { incident: "fraud-api:7" }).await.unwrap();
    let read = client(&fake, &["merge", "3", "golden", "staging"]).await;
    assert_eq!(read.default, "2");
    let aliases: Vec<Vec<&str>> =
        read.versions.iter().map(|one| one.aliases.iter().map(String::as_str).collect()).collect();
    let held = ["ripcord-condemned-v1-fraud-api-7", "ripcord-hold-v1-fraud-api-7"];
    assert_eq!(aliases, [vec!["golden", "staging"], vec!["default"], held.to_vec()]);
    let listed = adapter.versions(10).await.unwrap();
    assert_eq!(
        (&listed[0].aliases[..], listed[1].aliases.len()),
        (&["golden".into(), "staging".into()][..], 1)
    );
    client(&fake, &["merge", "3", "default"]).await;
    assert_eq!(adapter.promoted().await.unwrap(), Some(version("3")));
    assert_eq!(judged(&fake.seen()).await.violations, [""; 0], "nor does the client ask for anything else");
}

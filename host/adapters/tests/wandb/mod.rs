//! The registry in Weights & Biases, judged by W&B's own client, which `.ci/wandb` installs: there is no server to be had, so the client logs to the fake,
//! reads from it what the adapter wrote, and writes what the adapter reads. Not run unless asked for:
//!
//!     RIPCORD_TEST_WANDB=$(.ci/wandb) cargo test --workspace --test suite -- --ignored wandb::
#![allow(clippy::unwrap_used, clippy::panic)]

pub(crate) mod fake;

mod client;

use std::collections::BTreeMap;

use ripcord_adapters::conformance::registry::{self, Expected};
use ripcord_adapters::registry_wandb::{WandbRegistry, WandbRegistryConfig};
use ripcord_core::signal::Label;
use ripcord_core::target::artefact_digest;
use ripcord_ports::Registry;
use ripcord_ports::registry::Mark;
use serde_json::Value;

use crate::adapters::registry_wandb::{config, of};
use crate::adapters::support::{Folders, target, version};
use client::{COMMIT, Client, Logged, Read, ReadVersion};
use fake::graphql::Document;
use fake::{ENTITY, ORG_ENTITY, Wandb};

const PROJECT: &str = "fraud";
const MODEL: &str = "fraud-model";
const REGISTRY: &str = "wandb-registry-model";

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What the client logs and finds, as the suite expects it of the adapter.
fn expected(logged: &Logged) -> Expected {
    let newest_first = logged.versions.iter().rev();
    let newest_first = newest_first.map(|one| target(&one.version, Some(artefact_digest(&one.files))));
    Expected { newest_first: newest_first.collect(), marks: true, promotes: true }
}

async fn logged() -> (Wandb, Client, Logged) {
    let fake = Wandb::start().await;
    let client = Client::of(&fake);
    let logged: Logged = client.run("log.py", &[ENTITY, PROJECT, MODEL, REGISTRY]).await;
    assert_eq!(fake.refused(), [""; 0], "the client asks for nothing that the fake does not have");
    (fake, client, logged)
}

fn of_registry(fake: &Wandb) -> WandbRegistry {
    of(WandbRegistryConfig { entity: ORG_ENTITY.into(), project: REGISTRY.into(), ..config(fake.url()) })
}

#[tokio::test]
#[ignore = "needs W&B's own client: see the head of this suite"]
async fn what_the_client_logs_the_adapter_reads() {
    let (fake, _client, logged) = logged().await;
    assert_eq!(logged.versions.len(), 2);
    let adapter = of(config(fake.url()));
    let listed = adapter.versions(10).await.unwrap();
    for (found, logged) in listed.iter().rev().zip(&logged.versions) {
        assert_eq!(found.version.version.as_str(), logged.version);
        assert_eq!(found.aliases, logged.aliases, "of {}", logged.version);
    }
    let lineage = adapter.lineage(&version("v1")).await.unwrap();
    assert_eq!(lineage.run.as_ref(), Some(&format!("{ENTITY}/{PROJECT}/{}", logged.run)));
    assert_eq!((lineage.code.as_deref(), logged.commit.as_deref()), (Some(COMMIT), Some(COMMIT)));
    assert_eq!(lineage.parameters, [Label::new("depth", "4"), Label::new("loss", "mse")]);
    assert_eq!(logged.used, ["transactions:v0"]);
    assert_eq!(
        (lineage.dataset.as_deref(), lineage.dataset_revision.as_deref()),
        (Some("transactions"), Some("v0"))
    );
    let folders = Folders::default();
    // The files that the client downloads are those that the adapter fetches, byte by byte.
    registry::conforms(&adapter, &expected(&logged), &|| folders.next()).await;

    let linked = of_registry(&fake).versions(10).await.unwrap();
    let [linked] = &linked[..] else { panic!("one was linked: {linked:?}") };
    assert_eq!((linked.version.version.as_str(), &linked.aliases), ("v0", &names(&["latest", "staging"])));
    assert_eq!(fake.leaks(), [""; 0], "nobody sends the API key to where files lie");
}

#[tokio::test]
#[ignore = "needs W&B's own client: see the head of this suite"]
async fn what_the_adapter_writes_the_client_reads_and_the_other_way_round() {
    let (fake, client, _) = logged().await;
    let adapter = of(config(fake.url()));
    let read = async || client.run::<Read>("read.py", &[ENTITY, PROJECT, MODEL]).await.versions;
    let change = async |version: &str, what: &[&str]| {
        let arguments = [&[ENTITY, PROJECT, MODEL, version], what].concat();
        let _: Value = client.run("change.py", &arguments).await;
    };
    let one = |version: &str, aliases: &[&str], tags: &[&str]| ReadVersion {
        version: version.into(),
        aliases: names(aliases),
        tags: names(tags),
    };

    adapter.promote(&version("v1"), Some(&version("v0"))).await.unwrap();
    adapter.mark(&version("v0"), Mark::Held { incident: "fraud-api:7" }).await.unwrap();
    let held = ["ripcord-condemned fraud-api 7", "ripcord-hold fraud-api 7"];
    let now = [one("v1", &["candidate", "latest", "production"], &[]), one("v0", &[], &held)];
    assert_eq!(read().await, now, "an alias that is added leaves the version that had it");

    // The client takes tags of Ripcord's for what they are, and writes them back.
    change("v0", &["+tag", "reviewed"]).await;
    let tags = adapter.version(&version("v0")).await.unwrap().tags;
    assert_eq!(
        tags.iter().map(|tag| tag.name.as_str()).collect::<Vec<_>>(),
        ["reviewed", "ripcord.condemned", "ripcord.hold"]
    );
    adapter.mark(&version("v0"), Mark::Lifted).await.unwrap();
    assert_eq!(read().await[1].tags, ["reviewed", "ripcord-condemned fraud-api 7"]);

    change("v0", &["+alias", "production"]).await;
    assert_eq!(adapter.promoted().await.unwrap(), Some(version("v0")));
    assert_eq!(adapter.version(&version("v1")).await.unwrap().aliases, ["candidate", "latest"]);
    change("v0", &["-alias", "production"]).await;
    assert_eq!(adapter.promoted().await.unwrap(), None);
    change("v1", &["delete"]).await;
    let listed = adapter.versions(10).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.version.version.as_str()).collect::<Vec<_>>(), ["v0"]);
    assert_eq!(fake.refused(), [""; 0], "neither asks for what the fake does not have");
}

/// There is no schema to hold the adapter against. What the client asks for, its vendor's server has.
#[tokio::test]
#[ignore = "needs W&B's own client: see the head of this suite"]
async fn the_adapter_asks_for_nothing_that_the_client_does_not_ask_for() {
    let (fake, client, _) = logged().await;
    let before = fake.documents();
    let adapter = of(config(fake.url()));
    adapter.versions(10).await.unwrap();
    adapter.version(&version("v0")).await.unwrap();
    adapter.lineage(&version("v0")).await.unwrap();
    adapter.fetch(&target("v0", None), Folders::default().next()).await.unwrap();
    adapter.promote(&version("v1"), Some(&version("v0"))).await.unwrap();
    adapter.mark(&version("v0"), Mark::Held { incident: "fraud-api:7" }).await.unwrap();
    let unset = WandbRegistryConfig { alias: Some("unset".into()), ..config(fake.url()) };
    assert_eq!(of(unset).promoted().await.unwrap(), None);
    let asked: Vec<Document> =
        fake.documents().difference(&before).map(|text| Document::parse(text).unwrap()).collect();

    let known: Vec<String> = client.run("operations.py", &[]).await;
    let known: BTreeMap<String, Document> = known
        .iter()
        .map(|text| Document::parse(text).unwrap())
        .map(|document| (document.name.clone(), document))
        .collect();
    for asked in &asked {
        let theirs =
            known.get(&asked.name).unwrap_or_else(|| panic!("the client has no operation `{}`", asked.name));
        assert_eq!(asked.is_mutation, theirs.is_mutation, "{}", asked.name);
        let (ours, theirs) = (asked.paths(), theirs.paths());
        let unknown: Vec<_> = ours.difference(&theirs).collect();
        assert!(unknown.is_empty(), "`{}` asks for what the client's does not: {unknown:?}", asked.name);
    }
    let mut names: Vec<&str> = asked.iter().map(|asked| asked.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "AddAliases",
            "ArtifactCreatedBy",
            "ArtifactMembershipByName",
            "FetchArtifactManifest",
            "GetArtifactMembershipFileUrls",
            "ProjectArtifactCollection",
            "ProjectArtifacts",
            "Run",
            "RunInputArtifacts",
            "UpdateArtifact",
        ],
        "every operation of the adapter is held against the client's"
    );
}

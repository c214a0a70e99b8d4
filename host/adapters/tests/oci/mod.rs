//! The registry behind OCI's interface, against a real `docker-registry`, with other clients than ours: what `skopeo` and the Python clients of ModelPack and ORAS
//! push the adapter reads, and what the adapter writes `skopeo` reads. `.ci/oci` installs all of them. Not run unless asked for:
//!
//!     RIPCORD_TEST_OCI=$(.ci/oci) cargo test --workspace --test suite -- --ignored oci::
#![allow(clippy::unwrap_used, clippy::panic)]

pub(crate) mod fake;

mod layout;
mod server;

use ripcord_adapters::Secret;
use std::collections::BTreeMap;

use ripcord_adapters::conformance::registry::{self, Expected};
use ripcord_adapters::conformance::registry_faults::{self, Steadiness};
use ripcord_adapters::fault_proxy::FaultProxy;
use ripcord_adapters::registry_oci::{OciRegistry, OciRegistryConfig};
use ripcord_core::digest::Digest;
use ripcord_core::signal::Label;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::registry::Mark;
use ripcord_ports::{ErrorKind, Registry};
use serde_json::{Value, json};

use crate::adapters::registry_oci::{config, of, tar};
use crate::adapters::support::{Folders, empty_dir, shared, target, version};
use fake::{PASSWORD, REPOSITORY, USER};
use layout::Layout;
use server::{Checks, DockerRegistry};

fn file(path: &str, bytes: &[u8]) -> ArtefactFile {
    ArtefactFile { path: path.into(), sha256: Digest::of(bytes), bytes: bytes.len() as u64 }
}

/// Three versions of a model, each packed by another way; `skopeo` pushes them.
async fn pushed(server: &DockerRegistry) -> Expected {
    let title = "org.opencontainers.image.title";
    let created =
        |day: u8| json!({ "org.opencontainers.image.created": format!("2026-11-0{day}T00:00:00Z") });
    let mut layout = Layout::new();

    let nothing = layout.blob("application/vnd.oci.empty.v1+json", b"{}", Value::Null);
    let layers = [
        layout.blob("application/vnd.oci.image.layer.v1.tar", b"1\n", json!({ title: "model.txt" })),
        layout.blob("application/octet-stream", &[7; 100_000], json!({ title: "weights/0.bin" })),
    ];
    layout.manifest("1.0", &nothing, &layers, created(1));
    let oras = artefact_digest(&[file("model.txt", b"1\n"), file("weights/0.bin", &[7; 100_000])]);

    let said = json!({
        "descriptor": { "createdAt": "2026-11-02T00:00:00Z", "family": "fraud", "revision": "abc123",
            "datasetsURL": ["https://data.example/rows"] }, "config": {}, "modelfs": {},
    });
    let said = said.to_string();
    let said = layout.blob("application/vnd.cncf.model.config.v1+json", said.as_bytes(), Value::Null);
    let path = |path: &str| json!({ "org.cncf.model.filepath": path });
    let folder = tar(&[("tokenizer/a.json", b"{}")]);
    let layers = [
        layout.blob("application/vnd.cncf.model.weight.v1.raw", b"2\n", path("model.txt")),
        layout.blob("application/vnd.cncf.model.weight.config.v1.tar", &folder, path("tokenizer")),
    ];
    layout.manifest("1.1", &said, &layers, Value::Null);
    let pack = artefact_digest(&[file("model.txt", b"2\n"), file("tokenizer/a.json", b"{}")]);

    let kitfile = json!({ "manifestVersion": "1.0.0", "model": { "framework": "sklearn" }, "datasets": [{ "name": "rows" }] });
    let kitfile = kitfile.to_string();
    let kitfile =
        layout.blob("application/vnd.kitops.modelkit.config.v1+json", kitfile.as_bytes(), Value::Null);
    let model = tar(&[("model.txt", b"3\n")]);
    let layers = [layout.blob("application/vnd.kitops.modelkit.model.v1.tar", &model, Value::Null)];
    layout.manifest("1.2", &kitfile, &layers, created(3));
    let kit = artefact_digest(&[file("model.txt", b"3\n")]);

    for tag in ["1.0", "1.1", "1.2"] {
        server.push(&layout, tag, tag).await;
    }
    server.push(&layout, "1.1", "production").await;
    server.push(&layout, "1.1", "staging").await;
    let newest_first = [("1.2", kit), ("1.1", pack), ("1.0", oras)];
    let newest_first = newest_first.map(|(tag, digest)| target(tag, Some(digest)));
    Expected { newest_first: newest_first.into(), marks: true, promotes: true }
}

#[tokio::test]
#[ignore = "needs a docker-registry: see the head of this suite"]
async fn the_real_registry_conforms() {
    let server = DockerRegistry::start(Checks::Nobody).await;
    let expected = pushed(&server).await;
    let folders = Folders::default();
    let registry = of(config(server.url.clone()));
    registry::conforms(&registry, &expected, &|| folders.next()).await;
    let lineage = registry.lineage(&version("1.1")).await.unwrap();
    assert_eq!(
        (lineage.code.as_deref(), lineage.dataset.as_deref()),
        (Some("abc123"), Some("https://data.example/rows"))
    );
    assert_eq!(lineage.parameters, [Label::new("family", "fraud")]);
    assert_eq!(registry.lineage(&version("1.2")).await.unwrap().dataset.as_deref(), Some("rows"));
}

#[tokio::test]
#[ignore = "needs a docker-registry: see the head of this suite"]
async fn the_real_registry_conforms_while_the_network_fails() {
    let server = DockerRegistry::start(Checks::Nobody).await;
    let expected = pushed(&server).await;
    let folders = Folders::default();
    let proxy = FaultProxy::start(&server.url).await.unwrap();
    let behind = of(OciRegistryConfig { patience_ms: 1_000, ..config(proxy.url()) });
    registry_faults::conforms_in_faults(&behind, &proxy, &expected, Steadiness::Retries, &|| folders.next())
        .await;
}

/// What ModelPack's and ORAS' own clients push is fetched as they pull it themselves.
#[tokio::test]
#[ignore = "needs a docker-registry: see the head of this suite"]
async fn what_other_clients_push_is_what_they_pull() {
    let server = DockerRegistry::start(Checks::Nobody).await;
    let pulled: BTreeMap<String, Vec<ArtefactFile>> = server.python("pack.py").await;
    assert_eq!(pulled["2.0"].len(), 5);
    let newest_first = pulled.iter().rev().map(|(tag, files)| target(tag, Some(artefact_digest(files))));
    let expected = Expected { newest_first: newest_first.collect(), marks: true, promotes: true };
    let folders = Folders::default();
    let registry = of(config(server.url.clone()));
    registry::conforms(&registry, &expected, &|| folders.next()).await;
    for (tag, files) in &pulled {
        assert_eq!(&registry.fetch(&target(tag, None), folders.next()).await.unwrap().files, files, "{tag}");
    }
    let lineage = registry.lineage(&version("2.0")).await.unwrap();
    assert_eq!(lineage.code.as_deref(), Some("abc123"));
    assert_eq!(lineage.source.as_deref(), Some("https://git.example/fraud"));
    let parameters = [("architecture", "trees"), ("family", "fraud"), ("format", "own")];
    assert_eq!(lineage.parameters, parameters.map(|(name, value)| Label::new(name, value)));
    let sets: Vec<_> =
        lineage.datasets.iter().map(|set| (set.name.as_str(), set.revision.is_some())).collect();
    assert_eq!(sets, [("https://data.example/rows", false), ("rows.csv", true)]);
    assert_eq!(registry.lineage(&version("2.1")).await.unwrap().code.as_deref(), Some("def456"));
}

/// `skopeo` is the judge of what was written: the same bytes, under the tags that it lists.
#[tokio::test]
#[ignore = "needs a docker-registry: see the head of this suite"]
async fn what_the_adapter_writes_skopeo_reads() {
    let server = DockerRegistry::start(Checks::Nobody).await;
    pushed(&server).await;
    let registry = of(config(server.url.clone()));
    registry.promote(&version("1.0"), Some(&version("1.1"))).await.unwrap();
    assert_eq!(server.raw("production").await, server.raw("1.0").await, "byte by byte");
    assert_eq!(server.raw("staging").await, server.raw("1.1").await, "another stage stays where it was");

    registry.mark(&version("1.1"), Mark::Held { incident: "fraud-api:7" }).await.unwrap();
    let mark = || async { serde_json::from_slice::<Value>(&server.raw("ripcord.hold.1.1").await).unwrap() };
    let held = json!({ "ripcord.condemned": "fraud-api:7", "ripcord.hold": "fraud-api:7", "ripcord.version": "1.1" });
    assert_eq!(mark().await["annotations"], held);
    let subject = format!("sha256:{}", Digest::of(server.raw("1.1").await));
    assert_eq!(mark().await["subject"]["digest"], subject);
    assert_eq!(server.tags().await, ["1.0", "1.1", "1.2", "production", "ripcord.hold.1.1", "staging"]);
    server.pull("ripcord.hold.1.1").await;
    registry.mark(&version("1.1"), Mark::Lifted).await.unwrap();
    let lifted = json!({ "ripcord.condemned": "fraud-api:7", "ripcord.version": "1.1" });
    assert_eq!(mark().await["annotations"], lifted);

    // And the other way round: others move the tag of production.
    server.retag("1.2", "production").await;
    assert_eq!(registry.promoted().await.unwrap(), Some(version("1.2")));
    assert_eq!(registry.version(&version("1.2")).await.unwrap().aliases, ["production"]);
}

#[tokio::test]
#[ignore = "needs a docker-registry: see the head of this suite"]
async fn the_real_registry_asks_for_a_password() {
    let server = DockerRegistry::start(Checks::Passwords).await;
    let expected = pushed(&server).await;
    let account = |user: Option<&str>, password: Option<&str>| {
        let config = OciRegistryConfig {
            user: user.map(str::to_owned),
            patience_ms: 50,
            ..config(server.url.clone())
        };
        OciRegistry::new(config, password.map(Secret::new), &shared()).unwrap()
    };
    let folders = Folders::default();
    registry::conforms(&account(Some(USER), Some(PASSWORD)), &expected, &|| folders.next()).await;
    for (user, password, wanted) in [
        (None, None, "configure `user` and `password-file`"),
        (Some(USER), Some("wrong"), "does not know this account"),
        (Some("nobody"), Some(PASSWORD), "does not know this account"),
        (None, Some("a-token"), "does not know this account"),
    ] {
        let error = account(user, password).versions(5).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs a docker-registry: see the head of this suite"]
async fn the_real_registry_refuses_what_is_not_there() {
    let server = DockerRegistry::start(Checks::Nobody).await;
    pushed(&server).await;
    let other = OciRegistryConfig { repository: "models/other".into(), ..config(server.url.clone()) };
    let error = of(other).versions(5).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("no repository `models/other`"), "{error}");
    let nowhere = of(OciRegistryConfig { patience_ms: 50, ..config(format!("{}/nowhere", server.url)) });
    let error = nowhere.versions(5).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
    assert!(error.to_string().contains("is no OCI registry"), "{error}");
    let registry = of(config(server.url.clone()));
    let error = registry.fetch(&target("9.9", None), empty_dir().1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains(&format!("no tag `9.9` in `{REPOSITORY}`")), "{error}");

    // A layer whose bytes were changed on the registry's own disk.
    server.damage(&Digest::of("1\n"), b"2\n");
    let hasty = of(OciRegistryConfig { patience_ms: 50, ..config(server.url.clone()) });
    let error = hasty.fetch(&target("1.0", None), empty_dir().1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
    assert!(error.to_string().contains("with another SHA-256 digest"), "{error}");
}

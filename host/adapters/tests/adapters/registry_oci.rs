//! The registry behind OCI's interface, against a fake (`tests/oci` has the real one).

mod answers;
mod credentials;

use ripcord_adapters::conformance::registry::{self, Expected};
use ripcord_adapters::conformance::registry_faults::{self, Steadiness};
use ripcord_adapters::fault_proxy::FaultProxy;
use ripcord_adapters::registry_oci::{CONDEMNED_TAG, OciRegistry, OciRegistryConfig};
use ripcord_core::digest::Digest;
use ripcord_core::fact::Dataset;
use ripcord_core::signal::Label;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::Mark;
use ripcord_ports::{ErrorKind, Registry};
use serde_json::{Value, json};

use super::support::{Folders, empty_dir, shared, target, version};
use crate::oci::fake::{IMAGE_MANIFEST, Oci, REPOSITORY, World, digest};

const TITLE: &str = "org.opencontainers.image.title";

pub(crate) fn config(url: String) -> OciRegistryConfig {
    OciRegistryConfig {
        url,
        repository: REPOSITORY.into(),
        alias: Some("production".into()),
        stages: vec!["staging".into()],
        user: None,
        tokens_from: Vec::new(),
        files_from: Vec::new(),
        deadline_ms: 5_000,
        patience_ms: 3_000,
        versions_max: 100,
        artefact_bytes_max: 1 << 30,
    }
}

pub(crate) fn of(config: OciRegistryConfig) -> OciRegistry {
    OciRegistry::new(config, None, &shared()).unwrap()
}

/// A registry that does not wait long where it is to fail.
fn hasty(fake: &Oci) -> OciRegistry {
    of(OciRegistryConfig { patience_ms: 50, ..config(fake.url()) })
}

fn file(path: &str, bytes: &[u8]) -> ArtefactFile {
    ArtefactFile { path: path.into(), sha256: Digest::of(bytes), bytes: bytes.len() as u64 }
}

/// A tar archive of files.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

/// As ORAS pushes two files.
fn push(world: &mut World, tag: &str, content: &str, created: Option<&str>) -> Digest {
    let weights = vec![7; 1_000];
    let layers = [
        world.layer(
            "application/vnd.oci.image.layer.v1.tar",
            content.as_bytes(),
            json!({ TITLE: "model.txt" }),
        ),
        world.layer("application/octet-stream", &weights, json!({ TITLE: "weights/é 100%.bin" })),
    ];
    let config = world.empty();
    let created = created.map(|at| json!({ "org.opencontainers.image.created": at, "team": "payments" }));
    world.push(tag, config, &layers, created.unwrap_or(Value::Null));
    artefact_digest(&[file("model.txt", content.as_bytes()), file("weights/é 100%.bin", &weights)])
}

/// Three versions, the middle one in production and on a stage.
async fn seeded() -> (Oci, Vec<Digest>) {
    let fake = Oci::start().await;
    let digests = {
        let mut world = fake.world();
        let digests = [1, 2, 3].map(|number| {
            let created = format!("2026-11-0{number}T00:00:00Z");
            push(&mut world, &format!("1.{number}.0"), &format!("{number}\n"), Some(&created))
        });
        world.tag("production", "1.2.0");
        world.tag("staging", "1.2.0");
        world.tag("1.3", "1.3.0");
        world.tag("latest", "1.3.0");
        digests.to_vec()
    };
    (fake, digests)
}

fn expected(digests: &[Digest]) -> Expected {
    let newest_first = digests.iter().enumerate().rev();
    let newest_first =
        newest_first.map(|(number, digest)| target(&format!("1.{}.0", number + 1), Some(*digest)));
    Expected { newest_first: newest_first.collect(), marks: true, promotes: true }
}

fn tags(tags: &[Label]) -> Vec<(&str, &str)> {
    tags.iter().map(|tag| (tag.name.as_str(), tag.value.as_str())).collect()
}

#[tokio::test]
async fn it_conforms() {
    let (fake, digests) = seeded().await;
    let folders = Folders::default();
    registry::conforms(&of(config(fake.url())), &expected(&digests), &|| folders.next()).await;
}

#[tokio::test]
async fn it_conforms_where_tags_come_in_pages_and_no_answer_says_a_digest() {
    let (fake, digests) = seeded().await;
    {
        let mut world = fake.world();
        world.page = 2;
        world.says_digests = false;
    }
    let folders = Folders::default();
    registry::conforms(&of(config(fake.url())), &expected(&digests), &|| folders.next()).await;
}

#[tokio::test]
async fn it_conforms_while_the_network_fails() {
    let (fake, digests) = seeded().await;
    let folders = Folders::default();
    let proxy = FaultProxy::start(&fake.url()).await.unwrap();
    let behind = of(OciRegistryConfig { patience_ms: 1_000, ..config(proxy.url()) });
    let expected = expected(&digests);
    registry_faults::conforms_in_faults(&behind, &proxy, &expected, Steadiness::Retries, &|| folders.next())
        .await;
}

#[tokio::test]
async fn versions_are_told_with_the_tags_that_point_where_theirs_do() {
    let (fake, _) = seeded().await;
    let registry = of(config(fake.url()));
    let listed = registry.versions(10).await.unwrap();
    let aliases: Vec<_> =
        listed.iter().map(|one| (one.version.version.as_str(), one.aliases.join(" "))).collect();
    assert_eq!(
        aliases,
        [
            ("1.3.0", "1.3 latest".to_owned()),
            ("1.2.0", "production staging".to_owned()),
            ("1.1.0", String::new())
        ]
    );
    assert_eq!(
        tags(&listed[1].tags),
        [("org.opencontainers.image.created", "2026-11-02T00:00:00Z"), ("team", "payments")]
    );
    assert_eq!(registry.promoted().await.unwrap(), Some(version("1.2.0")));
    assert_eq!(
        registry.kept_at().unwrap().split(" (").next(),
        Some(format!("`models/fraud` of {}/", fake.url()).as_str())
    );
    let unset = OciRegistryConfig { alias: Some("candidate".into()), ..config(fake.url()) };
    assert_eq!(of(unset).promoted().await.unwrap(), None);
    // What only tags that move point at is no version.
    push(&mut fake.world(), "staging", "5\n", None);
    push(&mut fake.world(), "production", "4\n", None);
    let listed = registry.versions(10).await.unwrap();
    assert_eq!(listed.len(), 3);
    let error = registry.promoted().await.unwrap_err();
    assert!(error.to_string().contains("no version has a tag there"), "{error}");
    // Nor is it the version that had a tag there when it was told.
    fake.world().tag("production", "1.2.0");
    assert_eq!(registry.promoted().await.unwrap(), Some(version("1.2.0")));
    push(&mut fake.world(), "1.2.0", "6\n", None);
    let error = registry.promoted().await.unwrap_err();
    assert!(error.to_string().contains("no version has a tag there"), "{error}");
}

#[tokio::test]
async fn what_says_no_time_is_older_than_what_does_and_in_the_order_of_its_numbers() {
    let (fake, _) = seeded().await;
    for tag in ["v9", "v10"] {
        push(&mut fake.world(), tag, tag, None);
    }
    push(&mut fake.world(), "v11", "v11", Some("yesterday"));
    let listed = of(config(fake.url())).versions(10).await.unwrap();
    let order: Vec<_> =
        listed.iter().map(|one| (one.version.version.as_str(), one.created_at.0 > 0)).collect();
    assert_eq!(
        order,
        [("1.3.0", true), ("1.2.0", true), ("1.1.0", true), ("v11", false), ("v10", false), ("v9", false)]
    );
}

#[tokio::test]
async fn a_manifest_is_asked_for_once() {
    let (fake, _) = seeded().await;
    let registry = of(config(fake.url()));
    registry.versions(10).await.unwrap();
    fake.seen();
    registry.versions(10).await.unwrap();
    assert_eq!(registry.promoted().await.unwrap(), Some(version("1.2.0")));
    let got: Vec<_> = fake.seen().into_iter().filter(|seen| seen.path.contains("/manifests/")).collect();
    assert!(got.iter().all(|seen| seen.method == "HEAD"), "{got:?}");
}

/// A model of ModelPack: weights as they are, a folder as an archive, a data set.
#[tokio::test]
async fn a_model_pack_is_read_with_its_lineage() {
    let fake = Oci::start().await;
    let archive = tar(&[("tokenizer/a.json", b"{}"), ("tokenizer/b.txt", b"b")]);
    let set = {
        let mut world = fake.world();
        let path = |path: &str| json!({ "org.cncf.model.filepath": path });
        let config = json!({
            "descriptor": { "createdAt": "2026-11-01T00:00:00Z", "family": "fraud", "revision": "abc123",
                "sourceURL": "https://git.example/fraud", "datasetsURL": ["https://data.example/rows"] },
            "config": { "architecture": "trees" }, "modelfs": {},
        });
        let config = config.to_string();
        let config = world.layer("application/vnd.cncf.model.config.v1+json", config.as_bytes(), Value::Null);
        let layers = [
            world.layer("application/vnd.cncf.model.weight.v1.raw", b"weights", path("model.bin")),
            world.layer("application/vnd.cncf.model.weight.config.v1.tar", &archive, path("tokenizer")),
            world.layer("application/vnd.cncf.model.dataset.v1.raw", b"rows", path("rows.csv")),
        ];
        let base = format!("{}/{REPOSITORY}:0.9@sha256:00", fake.url().trim_start_matches("http://"));
        let annotations = json!({ "org.opencontainers.image.base.name": base, "org.opencontainers.image.revision": "def456" });
        world.push("1", config, &layers, annotations);
        digest(b"rows")
    };
    let registry = of(config(fake.url()));
    let staged = registry.fetch(&target("1", None), empty_dir().1).await.unwrap();
    let wanted =
        [file("model.bin", b"weights"), file("tokenizer/a.json", b"{}"), file("tokenizer/b.txt", b"b")];
    assert_eq!(staged.files, wanted, "a data set is no part of what is served");
    let lineage = registry.lineage(&version("1")).await.unwrap();
    assert_eq!(lineage.code.as_deref(), Some("def456"), "an annotation before the config");
    assert_eq!(lineage.source.as_deref(), Some("https://git.example/fraud"));
    assert_eq!(lineage.parameters, [Label::new("architecture", "trees"), Label::new("family", "fraud")]);
    assert_eq!(lineage.parent, Some(target("0.9", None)));
    let set_of =
        |name: &str, revision: Option<String>| Dataset { name: name.into(), revision, context: None };
    assert_eq!(lineage.datasets, [set_of("https://data.example/rows", None), set_of("rows.csv", Some(set))]);
    let described = registry.version(&version("1")).await.unwrap();
    assert_eq!(described.created_at, UnixMillis(1_793_491_200_000));
}

#[tokio::test]
async fn a_model_kit_is_unpacked_and_its_kitfile_is_lineage() {
    let fake = Oci::start().await;
    {
        let mut world = fake.world();
        let rows = tar(&[("rows.csv", b"rows")]);
        let kitfile = json!({
            "manifestVersion": "1.0.0",
            "model": { "framework": "sklearn", "path": "./model.pkl", "parameters": { "depth": 4 } },
            "datasets": [{ "name": "transactions", "path": "./rows.csv", "digest": digest(&rows) }],
        });
        let kitfile = kitfile.to_string();
        let config =
            world.layer("application/vnd.kitops.modelkit.config.v1+json", kitfile.as_bytes(), Value::Null);
        let model = tar(&[("model.pkl", b"weights")]);
        let layers = [
            world.layer("application/vnd.kitops.modelkit.model.v1.tar", &model, Value::Null),
            world.layer("application/vnd.kitops.modelkit.dataset.v1.tar", &rows, Value::Null),
        ];
        world.push("v1", config, &layers, json!({ "ml.kitops.modelkit.kitfile": kitfile }));
    }
    let registry = of(config(fake.url()));
    let staged = registry.fetch(&target("v1", None), empty_dir().1).await.unwrap();
    assert_eq!(staged.files, [file("model.pkl", b"weights")]);
    let lineage = registry.lineage(&version("v1")).await.unwrap();
    assert_eq!(lineage.parameters, [Label::new("depth", "4"), Label::new("framework", "sklearn")]);
    assert_eq!(lineage.dataset.as_deref(), Some("transactions"));
    assert!(lineage.dataset_revision.unwrap().starts_with("sha256:"));
    let described = registry.version(&version("v1")).await.unwrap();
    assert_eq!(described.tags, [], "a document is no label");
}

#[tokio::test]
async fn a_hold_is_a_tag_beside_the_version_and_is_read_back() {
    let (fake, _) = seeded().await;
    let registry = of(config(fake.url()));
    let name = version("1.2.0");
    let now = async || {
        let listed = registry.versions(10).await.unwrap();
        let found = listed.into_iter().find(|one| one.version.version == name).unwrap();
        assert_eq!(found, registry.version(&name).await.unwrap());
        found.tags.into_iter().filter(|tag| tag.name.starts_with("ripcord")).collect::<Vec<_>>()
    };
    registry.mark(&name, Mark::Held { incident: "fraud-api:7" }).await.unwrap();
    let held = [("ripcord.condemned", "fraud-api:7"), ("ripcord.hold", "fraud-api:7")];
    assert_eq!(tags(&now().await), held);
    assert_eq!(held[0].0, CONDEMNED_TAG);
    {
        let world = fake.world();
        let (kind, body) = &world.manifests[&world.tags["ripcord.hold.1.2.0"]];
        let body: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(kind, IMAGE_MANIFEST);
        assert_eq!(body["subject"]["digest"], world.tags["1.2.0"], "it says what it is about");
        assert!(world.blobs.contains_key(body["config"]["digest"].as_str().unwrap()));
    }
    registry.mark(&name, Mark::Lifted).await.unwrap();
    assert_eq!(tags(&now().await), [("ripcord.condemned", "fraud-api:7")], "what was condemned stays so");
    assert_eq!(registry.versions(10).await.unwrap().len(), 3, "a mark is no version");
    // Whoever packs a version cannot write a mark into it.
    let forged = {
        let mut world = fake.world();
        let (config, layers) = (world.empty(), [world.layer("application/x", b"x", json!({ TITLE: "x" }))]);
        world.push("0.9", config, &layers, json!({ "ripcord.hold": "fraud-api:1", "team": "payments" }));
        version("0.9")
    };
    assert_eq!(tags(&registry.version(&forged).await.unwrap().tags), [("team", "payments")]);
    fake.world().tags.remove("0.9");
    registry.mark(&version("1.1.0"), Mark::Lifted).await.unwrap();
    assert!(!fake.world().tags.contains_key("ripcord.hold.1.1.0"), "what was never held needs no mark");
}

#[tokio::test]
async fn a_tag_that_was_moved_since_it_was_listed_is_told() {
    let (fake, digests) = seeded().await;
    let registry = of(config(fake.url()));
    registry.versions(10).await.unwrap();
    push(&mut fake.world(), "1.2.0", "another\n", Some("2026-11-02T00:00:00Z"));
    let error = registry.fetch(&target("1.2.0", None), empty_dir().1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongDigest, "{error}");
    assert!(error.to_string().contains("it was moved; nothing was fetched"), "{error}");
    let error = registry.fetch(&target("1.2.0", Some(digests[1])), empty_dir().1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongDigest, "{error}");
    assert!(error.to_string().contains("is pinned") && error.to_string().contains("it was moved"), "{error}");
    registry.versions(10).await.unwrap();
    registry.fetch(&target("1.2.0", None), empty_dir().1).await.unwrap();
}

#[tokio::test]
async fn the_tag_of_production_is_moved_by_what_it_points_at() {
    let (fake, _) = seeded().await;
    let registry = of(config(fake.url()));
    let (one, two, three) = (version("1.1.0"), version("1.2.0"), version("1.3.0"));
    // `1.3` is the version `1.3.0` by another name.
    registry.promote(&version("1.3"), Some(&two)).await.unwrap();
    assert_eq!(registry.promoted().await.unwrap(), Some(three.clone()));
    registry.promote(&three, None).await.unwrap();
    registry.promote(&one, Some(&version("1.3"))).await.unwrap();
    for (expecting, wanted) in
        [(Some("1.3.0"), "version `1.3.0`"), (Some("gone"), "version `gone`"), (None, "nothing")]
    {
        let expecting = expecting.map(version);
        let error = registry.promote(&two, expecting.as_ref()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
        let text = format!("points at version `1.1.0` where {wanted} was expected");
        assert!(error.to_string().contains(&text), "{error}");
    }
    push(&mut fake.world(), "production", "4\n", None);
    let error = registry.promote(&two, Some(&one)).await.unwrap_err();
    assert!(error.to_string().contains("points at something else"), "{error}");
    fake.world().tags.remove("production");
    let error = registry.promote(&two, Some(&version("gone"))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict, "nothing is not what is gone: {error}");
    registry.promote(&two, None).await.unwrap();
    let put = |seen: &crate::oci::fake::Seen| seen.method == "PUT";
    assert_eq!(fake.seen().iter().filter(|seen| put(seen)).count(), 3, "one for each move");
}

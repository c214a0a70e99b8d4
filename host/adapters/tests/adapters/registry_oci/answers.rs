//! What a registry answers wrongly, and what it refuses.

use ripcord_adapters::fault_proxy::{Canned, Fault, FaultProxy, Which};
use ripcord_adapters::registry_oci::{OciRegistry, OciRegistryConfig};
use ripcord_ports::registry::Mark;
use ripcord_ports::{Applied, ErrorKind, PortError, Registry, Retry};
use serde_json::{Value, json};

use super::{TITLE, config, hasty, of, push, seeded, tar};
use crate::adapters::support::{empty_dir, shared, target, version};
use crate::oci::fake::Oci;

fn is(error: &PortError, kind: ErrorKind, part: &str) {
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.to_string().contains(part), "{error}");
    assert!(!error.to_string().chars().any(char::is_control), "{error}");
}

#[tokio::test]
async fn a_list_that_makes_no_sense_is_not_used() {
    let (fake, _) = seeded().await;
    let list = async || hasty(&fake).versions(10).await.unwrap_err();
    for link in ["</v2/models/fraud/tags/list?n=1000>; rel=\"next\"", "<http://other.example/>; rel=\"next\""]
    {
        fake.world().link = Some(link.to_owned());
        is(&list().await, ErrorKind::BadAnswer, "gives no place to go on from, or one that was read already");
    }
    fake.world().link = None;
    fake.world().listed = Some(json!(["1", "2\u{1b}[31m"]));
    is(&list().await, ErrorKind::BadAnswer, "lists `2\\u{1b}[31m`, which is no tag");
    fake.world().listed = Some(json!({ "1": 2 }));
    is(&list().await, ErrorKind::BadAnswer, "not the JSON expected here");
    fake.world().listed = Some(Value::Null);
    assert_eq!(hasty(&fake).versions(10).await.unwrap(), [], "a repository whose tags were all deleted");
}

#[tokio::test]
async fn what_cannot_be_fetched_is_told_and_hides_nothing_else() {
    let (fake, _) = seeded().await;
    {
        let mut world = fake.world();
        let index = br#"{"schemaVersion":2,"manifests":[]}"#;
        world.put("index", "application/vnd.oci.image.index.v1+json", index);
        let (config, image) = (world.empty(), "application/vnd.oci.image.layer.v1.tar+gzip");
        let layers = [world.layer(image, b"x", Value::Null)];
        world.push("image", config, &layers, Value::Null);
        let large = format!("{{\"layers\":[{}]}}", " ".repeat(5 << 20));
        world.put("large", "application/vnd.oci.image.manifest.v1+json", large.as_bytes());
        world.put("not-json", "application/vnd.oci.image.manifest.v1+json", b"<html>");
        // Its config is listed and not there.
        let mut lost = world.layer("application/vnd.cncf.model.config.v1+json", b"{}", Value::Null);
        lost["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
        let layers = [world.layer("application/x", b"x", json!({ TITLE: "x" }))];
        world.push("lost", lost, &layers, Value::Null);
        // Which data it was made of nobody can read.
        let odd = br#"{"descriptor":{"revision":7,"datasetsURL":["condemned"]}}"#;
        let odd = world.layer("application/vnd.cncf.model.config.v1+json", odd, Value::Null);
        world.push("unclear", odd, &layers, Value::Null);
        // Somebody wrote over its mark.
        push(&mut world, "marked", "marked", None);
        world.tag("ripcord.hold.marked", "image");
    }
    let listed = hasty(&fake).versions(10).await.unwrap();
    for (name, wanted) in [
        ("index", "it is an index of several manifests"),
        ("image", "it is a container image"),
        ("large", "it has a manifest of more than 4 MiB"),
        ("not-json", "it has a manifest that does not read"),
        ("lost", "lists the config of a manifest, and does not have it"),
        ("unclear", "the config that should say what the model was made of cannot be read"),
        ("marked", "is kept for marks of holds, and something else is there"),
    ] {
        let found = listed.iter().find(|one| one.version.version.as_str() == name).unwrap();
        let broken = found.broken.as_deref().unwrap();
        assert!(broken.contains(wanted), "{name}: {broken}");
        if !matches!(name, "lost" | "unclear" | "marked") {
            let error = hasty(&fake).fetch(&target(name, None), empty_dir().1).await.unwrap_err();
            is(&error, ErrorKind::NotFound, "choose another version");
        }
    }
    assert_eq!(listed.iter().filter(|one| one.broken.is_none()).count(), 3);
    let registry = hasty(&fake);
    let error = registry.lineage(&version("lost")).await.unwrap_err();
    is(&error, ErrorKind::NotFound, "the config of a manifest");
    let error = registry.lineage(&version("unclear")).await.unwrap_err();
    is(&error, ErrorKind::BadAnswer, "cannot be read: invalid type");
    // It may be another the next time.
    let lost = format!("sha256:{}", "0".repeat(64));
    fake.world().blobs.insert(lost, b"{}".to_vec());
    let error = registry.lineage(&version("lost")).await.unwrap_err();
    is(&error, ErrorKind::BadAnswer, "came with other bytes than those of its digest");
}

#[tokio::test]
async fn layers_that_lie_are_refused() {
    let (fake, _) = seeded().await;
    let fetch = async |registry: &OciRegistry, name: &str| {
        registry.fetch(&target(name, None), empty_dir().1).await.unwrap_err()
    };
    let at = fake.world().blob(b"1\n");
    for (bytes, wanted) in [
        ("2\n", "with another SHA-256 digest"),
        ("1", "with 1 of the 2 bytes"),
        ("1\n\n", "with more than the 2 bytes"),
    ] {
        fake.world().blobs.insert(at.clone(), bytes.into());
        is(&fetch(&hasty(&fake), "1.1.0").await, ErrorKind::BadAnswer, wanted);
    }
    fake.world().blobs.remove(&at);
    is(&fetch(&hasty(&fake), "1.1.0").await, ErrorKind::NotFound, "and does not have it");
    let small = of(OciRegistryConfig { artefact_bytes_max: 1_001, ..config(fake.url()) });
    is(&fetch(&small, "1.2.0").await, ErrorKind::TooLarge, "raise `artefact-bytes-max`");
    {
        let mut world = fake.world();
        let kind = "application/vnd.kitops.modelkit.model.v1.tar";
        let (twice, other) = (tar(&[("a", b"1"), ("b", b"1")]), tar(&[("a", b"2")]));
        let layers = [world.layer(kind, &twice, Value::Null), world.layer(kind, &other, Value::Null)];
        let config = world.empty();
        world.push("twice", config.clone(), &layers, Value::Null);
        let layers = [world.layer(kind, b"no archive", Value::Null)];
        world.push("no-archive", config, &layers, Value::Null);
    }
    let error = fetch(&hasty(&fake), "twice").await;
    assert!(error.to_string().contains("`a`"), "{error}");
    is(&fetch(&hasty(&fake), "no-archive").await, ErrorKind::NotFound, "has an archive that");
}

#[tokio::test]
async fn a_manifest_that_is_another_than_its_digest_says_is_not_used() {
    let (fake, _) = seeded().await;
    let registry = hasty(&fake);
    {
        let mut world = fake.world();
        let at = world.tags["1.1.0"].clone();
        let other = world.manifests[&world.tags["1.2.0"]].clone();
        world.manifests.insert(at, other);
    }
    let error = registry.fetch(&target("1.1.0", None), empty_dir().1).await.unwrap_err();
    is(&error, ErrorKind::BadAnswer, "gave other bytes than those of this digest");
}

#[tokio::test]
async fn bad_input_says_what_to_do() {
    let (fake, _) = seeded().await;
    let url = fake.url();
    let hasty = |config: OciRegistryConfig| of(OciRegistryConfig { patience_ms: 50, ..config });
    let other = OciRegistryConfig { repository: "models/other".into(), ..config(url.clone()) };
    is(
        &hasty(other.clone()).versions(5).await.unwrap_err(),
        ErrorKind::NotFound,
        "no repository `models/other`",
    );
    is(
        &hasty(other.clone()).promoted().await.unwrap_err(),
        ErrorKind::NotFound,
        "no repository `models/other`",
    );
    let error = hasty(other).version(&version("1.1.0")).await.unwrap_err();
    is(&error, ErrorKind::NotFound, "no repository `models/other`");
    let empty = Oci::start().await;
    let nowhere = hasty(config(format!("{}/nowhere", empty.url())));
    is(&nowhere.versions(5).await.unwrap_err(), ErrorKind::NotFound, "check `repository`");
    for name in ["none", "sha256:00", "a+b", "ripcord.hold.1.1.0"] {
        is(&hasty(config(url.clone())).version(&version(name)).await.unwrap_err(), ErrorKind::NotFound, name);
    }

    let refused = |change: &dyn Fn(&mut OciRegistryConfig)| {
        let mut config = config(url.clone());
        change(&mut config);
        OciRegistry::new(config, None, &shared()).unwrap_err()
    };
    for tag in ["", "a:b", "ripcord.x", "a b"] {
        let error = refused(&|config| config.alias = Some(tag.into()));
        is(&error, ErrorKind::Configuration, "cannot be a tag of `alias`");
        is(&refused(&|config| config.stages = vec![tag.into()]), ErrorKind::Configuration, "of `stages`");
    }
    for repository in ["", "Models/fraud", "r.example:5000/models", "models/fraud:1", "models//fraud", "../x"]
    {
        let error = refused(&|config| config.repository = repository.into());
        is(&error, ErrorKind::Configuration, "cannot be the `repository`");
    }
    let keyed = refused(&|config| config.url = "https://a:b@registry.example".into());
    is(&keyed, ErrorKind::Configuration, "`password-file`");
    is(&refused(&|config| config.user = Some("a".into())), ErrorKind::Configuration, "add `password-file`");
    for host in ["https://a.example", "a.example/x", ""] {
        is(&refused(&|config| config.files_from = vec![host.into()]), ErrorKind::Configuration, "is no host");
        is(
            &refused(&|config| config.tokens_from = vec![host.into()]),
            ErrorKind::Configuration,
            "is no host",
        );
    }
}

/// What stands before the registry, or the registry itself, says it by a status.
#[tokio::test]
async fn a_refusal_by_its_status_says_what_to_do() {
    let (fake, _) = seeded().await;
    let proxy = FaultProxy::start(&fake.url()).await.unwrap();
    let registry = of(OciRegistryConfig { patience_ms: 50, ..config(proxy.url()) });
    let error =
        |code: &str| format!("{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"said\\u001b[31m so\"}}]}}");
    for (status, body, kind, wanted) in [
        (401, error("UNAUTHORIZED"), ErrorKind::Denied, "wants to know who asks"),
        (403, error("DENIED"), ErrorKind::Denied, "must be allowed to pull from `models/fraud`"),
        (404, error("NAME_UNKNOWN"), ErrorKind::NotFound, "has no repository `models/fraud`"),
        (404, "nginx".to_owned(), ErrorKind::BadAnswer, "is no OCI registry"),
        (400, error("NAME_INVALID"), ErrorKind::Failed, "does not accept the call"),
        (409, error("CONFLICT"), ErrorKind::Failed, "answered 409"),
        (500, "oops".to_owned(), ErrorKind::Failed, "answered 500"),
        (429, error("TOOMANYREQUESTS"), ErrorKind::Failed, "answered 429: `TOOMANYREQUESTS: said"),
        (200, "<html>".to_owned(), ErrorKind::BadAnswer, "not the JSON expected"),
        (200, "{}".to_owned(), ErrorKind::BadAnswer, "not the JSON expected"),
    ] {
        proxy.calm();
        let canned =
            Canned { status, content_type: "application/json", retry_after: None, body: body.into() };
        proxy.order(Which::Any, Fault::Instead(canned), usize::MAX);
        let error = registry.versions(5).await.unwrap_err();
        is(&error, kind, wanted);
        assert_eq!(error.applied, Applied::No, "{error}");
        if !matches!(status, 200) {
            assert_eq!(error.retry == Retry::No, matches!(status, 400..=409), "{status}: {error}");
        }
    }
    proxy.calm();
    let canned = Canned::later(429, 7);
    proxy.order(Which::Any, Fault::Instead(canned), usize::MAX);
    let error = registry.versions(5).await.unwrap_err();
    assert_eq!(error.retry, Retry::After(ripcord_core::time::Millis::seconds(7)), "{error}");
}

#[tokio::test]
async fn what_may_not_be_written_is_left_and_who_may_is_said() {
    let (fake, _) = seeded().await;
    let registry = hasty(&fake);
    let promote = async || registry.promote(&version("1.1.0"), Some(&version("1.2.0"))).await.unwrap_err();
    let mark = async || registry.mark(&version("1.1.0"), Mark::Held { incident: "a:1" }).await.unwrap_err();
    fake.world().read_only = true;
    for error in [promote().await, mark().await] {
        is(&error, ErrorKind::Denied, "must be allowed to push to `models/fraud`");
        assert_eq!(error.applied, Applied::No);
    }
    fake.world().read_only = false;
    fake.world().immutable.insert("production".into());
    let error = promote().await;
    is(&error, ErrorKind::Failed, "if its tags are immutable, leave this one out of that rule");
    assert_eq!(error.applied, Applied::No);
    assert_eq!(registry.promoted().await.unwrap(), Some(version("1.2.0")));
    let long = "x".repeat(120);
    push(&mut fake.world(), &long, "long", None);
    let held = registry.mark(&version(&long), Mark::Held { incident: "a:1" }).await.unwrap_err();
    is(&held, ErrorKind::Unsupported, "too long for a mark");
    fake.world().tag("ripcord.hold.1.1.0", "1.1.0");
    is(&mark().await, ErrorKind::BadAnswer, "is kept for marks of holds, and something else is there");
}

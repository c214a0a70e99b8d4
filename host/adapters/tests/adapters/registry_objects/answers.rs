//! What a user is told where something is wrong.

use std::time::Duration;

use axum::http::Method;
use ripcord_adapters::Secret;
use ripcord_adapters::registry_objects::{
    AzureStoreConfig, FolderStoreConfig, ObjectsRegistry, ObjectsRegistryConfig, S3StoreConfig, StoreConfig,
};
use ripcord_core::digest::Digest;
use ripcord_core::fact::Lineage;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::registry::{Mark, NewVersion, Staged};
use ripcord_ports::{Applied, ErrorKind, Registry, Retry};

use super::{config, filled, of, s3};
use crate::adapters::support::{Folders, empty_dir, shared, target, version};

fn quick(store: StoreConfig) -> ObjectsRegistryConfig {
    ObjectsRegistryConfig { patience_ms: 0, deadline_ms: 1_000, ..config(store) }
}

/// Status, a header, the body; then the kind, and what is told of a list, of a read and of a write.
type Row = ((u16, &'static str, &'static str), ErrorKind, Retry, [&'static str; 3]);

const STATUSES: [Row; 11] = [
    (
        (401, "", "<Code>InvalidToken</Code>"),
        ErrorKind::Denied,
        Retry::No,
        [
            "status 401: `<Code>InvalidToken</Code>`; check the key and its secret",
            "check the key",
            "check the key",
        ],
    ),
    (
        (403, "", "<Code>AccessDenied</Code>"),
        ErrorKind::Denied,
        Retry::No,
        ["has the right `s3:ListBucket` there", "has the right `s3:GetObject` there", "`s3:PutObject`"],
    ),
    (
        (404, "", "<Code>NoSuchBucket</Code>"),
        ErrorKind::Configuration,
        Retry::No,
        ["check `bucket`", "check `bucket`", "check `bucket`"],
    ),
    (
        (404, "content-type: text/html", "default backend - 404"),
        ErrorKind::BadAnswer,
        Retry::Later,
        [
            "that is not how the S3-compatible store says that something is missing: check `endpoint`, the bucket, what stands before it",
            "`default backend - 404`; that is not how",
            "that is not how",
        ],
    ),
    (
        (403, "", "<Error><Code>InvalidObjectState</Code></Error>"),
        ErrorKind::BadAnswer,
        Retry::No,
        ["archive tier", "it lies in an archive tier: restore it there first", "archive tier"],
    ),
    (
        (429, "retry-after: 7", "slow"),
        ErrorKind::Failed,
        Retry::After(ripcord_core::time::Millis(7_000)),
        ["status 429: `slow`; it passes: too much is asked", "it passes", "it passes"],
    ),
    (
        (500, "", ""),
        ErrorKind::Failed,
        Retry::Later,
        ["status 500: (nothing); see the state of", "see", "see"],
    ),
    (
        (503, "", "<Code>SlowDown</Code>"),
        ErrorKind::Failed,
        Retry::Later,
        ["SlowDown", "SlowDown", "SlowDown"],
    ),
    (
        (301, "location: http://elsewhere.example/", "<Code>PermanentRedirect</Code>"),
        ErrorKind::Configuration,
        Retry::No,
        ["redirects are not followed: check `region`", "check `region`", "check `region`"],
    ),
    (
        (400, "", "<Code>Odd\u{1b}[31m</Code>"),
        ErrorKind::Failed,
        Retry::No,
        ["status 400", "status 400", "400"],
    ),
    (
        (200, "content-type: text/html", "<html>Sign in"),
        ErrorKind::BadAnswer,
        Retry::Later,
        ["status 200 and no list of objects: `<html>Sign in`; something before the store answers", "", ""],
    ),
];

#[tokio::test]
async fn every_refusal_is_told_with_what_to_do() {
    let (bucket, _) = filled().await;
    let adapter = of(quick(s3(&bucket.server.url(""))));
    for (instead, kind, retry, expected) in STATUSES {
        bucket.world().instead = Some(instead);
        let list = adapter.versions(9).await.unwrap_err();
        assert_eq!((list.kind, list.applied, list.retry), (kind, Applied::No, retry), "{list}");
        assert!(list.to_string().contains(expected[0]), "{list}");
        assert!(list.to_string().contains("cannot list `fraud` in `s3://models/team`"), "{list}");
        assert!(!list.to_string().contains('\u{1b}') && !format!("{list:?}").contains("s3cret"), "{list:?}");
        if instead.0 == 200 {
            continue;
        }
        let read = adapter.promoted().await.unwrap_err();
        assert_eq!((read.kind, read.applied, read.retry), (kind, Applied::No, retry), "{read}");
        assert!(read.to_string().contains(expected[1]), "{read}");
        let marked = adapter.mark(&version("1.0"), Mark::Lifted).await.unwrap_err();
        assert_ne!(marked.kind, ErrorKind::NotFound, "{marked}");
        {
            let mut world = bucket.world();
            (world.instead, world.instead_of_writes) = (None, Some(instead));
        }
        let write = adapter.promote(&version("1.0"), None).await.unwrap_err();
        let applied = if instead.0 >= 500 { Applied::Unknown } else { Applied::No };
        assert_eq!((write.kind, write.applied, write.retry), (kind, applied, retry), "{write}");
        assert!(write.to_string().contains(expected[2]), "{write}");
        bucket.world().instead_of_writes = None;
    }
    bucket.world().instead = None;
    let error = adapter.version(&version("9.9")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(
        error.to_string().contains("has no version `9.9` of `fraud` there: list its versions"),
        "{error}"
    );
}

#[tokio::test]
async fn who_cannot_be_reached_is_told() {
    let adapter = of(quick(s3("http://127.0.0.1:1")));
    let error = adapter.versions(9).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::Unreachable, Retry::Later), "{error}");
    assert!(error.to_string().contains("there was no connection; check `endpoint`"), "{error}");
}

#[tokio::test]
async fn a_list_that_turns_in_a_circle_ends() {
    let (bucket, _) = filled().await;
    bucket.world().turns_in_a_circle = true;
    let error = of(quick(s3(&bucket.server.url("")))).versions(9).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer);
    assert!(error.to_string().contains("a place to go on from that was read already"), "{error}");
}

#[tokio::test]
async fn one_odd_version_hides_no_other_and_says_what_is_wrong_with_it() {
    let (bucket, _) = filled().await;
    {
        let mut world = bucket.world();
        world.put("team/fraud/2.0/manifest.toml", "model = \"fraud\"\u{7}");
        world.put("team/fraud/2.1/manifest.toml", vec![b'#'; (16 << 20) + 1]);
        let manifest = world.objects["team/fraud/1.0/manifest.toml"].0.clone();
        world.put("team/fraud/2.2/manifest.toml", manifest);
        world.put("team/fraud/odd name/manifest.toml", "");
        world.put("team/fraud//lost", "");
        world.put("team/fraud/1.0/files/a\u{1b}b", "");
        world.put("team/fraud/1.1/marks.toml", "state = \"unheard-of\"");
        world.objects.remove("team/fraud/1.0/files/weights/0.bin");
    }
    let adapter = of(config(s3(&bucket.server.url(""))));
    let listed = adapter.versions(9).await.unwrap();
    let broken: Vec<(&str, &str)> = listed
        .iter()
        .map(|of| (of.version.version.as_str(), of.broken.as_deref().unwrap_or_default()))
        .collect();
    let expected = [
        ("1.1", "its `marks.toml` does not read"),
        ("1.0", "its file `weights/0.bin` is not there"),
        ("2.2", "names the version `1.0`"),
        ("2.1", "has more than 16777216 bytes"),
        ("2.0", "the manifest of version `2.0` does not read"),
    ];
    assert_eq!(broken.len(), expected.len(), "{broken:?}");
    for ((name, why), (wanted, part)) in broken.iter().zip(expected) {
        assert!(*name == wanted && why.contains(part) && !why.contains('\u{7}'), "{name}: {why}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_of_one_version_hides_no_other() {
    let (bucket, _) = filled().await;
    let archived = (403, "", "<Error><Code>InvalidObjectState</Code></Error>");
    {
        let mut world = bucket.world();
        let manifest = world.objects["team/fraud/1.0/manifest.toml"].0.clone();
        let manifest = String::from_utf8(manifest).unwrap();
        for name in ["2.0", "2.1", "2.2", "2.3"] {
            let text = manifest.replace("1.0", name);
            world.put(&format!("team/fraud/{name}/manifest.toml"), text);
            for (file, (bytes, _)) in world.objects.clone() {
                if let Some(path) = file.strip_prefix("team/fraud/1.0/files/") {
                    world.put(&format!("team/fraud/{name}/files/{path}"), bytes);
                }
            }
        }
        world.put("team/fraud/2.1/marks.toml", vec![b'#'; (16 << 20) + 1]);
        world.put("team/fraud/2.2/marks.toml", "state = \"lifted\"");
        world.put("team/fraud/2.3/marks.toml", "state = \"lifted\"");
        world.put("team/fraud/.names/old", "1.0\n");
        world.put("team/fraud/.names/staging", "1.0\n");
        let gone = (404, "", "<Error><Code>NoSuchKey</Code></Error>");
        for (key, said) in [
            ("2.0/manifest.toml", archived),
            ("2.2/marks.toml", archived),
            ("2.3/marks.toml", gone),
            (".names/old", archived),
        ] {
            world.instead_of.insert(format!("team/fraud/{key}"), said);
        }
    }
    let adapter = of(quick(s3(&bucket.server.url(""))));
    let listed = adapter.versions(9).await.unwrap();
    let broken = |name: &str| {
        let found = listed.iter().find(|of| of.version.version == version(name)).unwrap();
        found.broken.clone().unwrap_or_default()
    };
    assert_eq!((listed.len(), broken("1.0"), broken("1.1")), (6, String::new(), String::new()));
    for (name, why) in [
        ("2.0", "it lies in an archive tier: restore it there first"),
        ("2.1", "its `marks.toml` does not read: cannot read"),
        ("2.2", "it lies in an archive tier: restore it there first; mend or delete it"),
        ("2.3", "its `marks.toml` is listed and cannot be read: list again"),
    ] {
        assert!(broken(name).contains(why), "{name}: {}", broken(name));
    }
    let aliases = adapter.aliases().await.unwrap();
    assert_eq!(aliases.iter().map(|of| of.name.as_str()).collect::<Vec<_>>(), ["staging"]);
    // What passes is no fault of one version: the list is made again.
    bucket.world().instead_of.insert("team/fraud/2.3/marks.toml".into(), (503, "", "slow"));
    assert_eq!(adapter.versions(9).await.unwrap_err().retry, Retry::Later);
}

#[tokio::test]
async fn what_is_sent_slowly_has_more_time_and_what_is_late_names_its_deadline() {
    let (bucket, _) = filled().await;
    let (adapter, folders) = (of(quick(s3(&bucket.server.url("")))), Folders::default());
    bucket.world().slow = Some((Method::PUT, 256 << 10, Duration::from_millis(1_500)));
    adapter.register(&new_version(&folders, &"k".repeat(300 << 10), "2.0")).await.unwrap();
    bucket.world().slow = Some((Method::GET, 0, Duration::from_millis(1_500)));
    let error = adapter.promoted().await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::TimedOut, Applied::No), "{error}");
    assert!(error.to_string().contains("did not answer within 1s (`deadline-ms`"), "{error}");
}

#[tokio::test]
async fn a_name_that_was_written_anew_where_it_was_is_moved_with_the_next_try() {
    let (bucket, _) = filled().await;
    let adapter = of(quick(s3(&bucket.server.url(""))));
    bucket.world().put("team/fraud/.names/production", "1.0\n");
    bucket.world().instead_of_writes = Some((409, "", "<Code>ConditionalRequestConflict</Code>"));
    let error = adapter.promote(&version("1.1"), Some(&version("1.0"))).await.unwrap_err();
    let what = (error.kind, error.applied, error.retry);
    assert_eq!(what, (ErrorKind::Failed, Applied::No, Retry::Later), "{error}");
    assert!(error.to_string().contains("points where it did: try again"), "{error}");
    bucket.world().instead_of_writes = None;
    adapter.promote(&version("1.1"), Some(&version("1.0"))).await.unwrap();
}

#[tokio::test]
async fn a_file_that_was_overwritten_is_told_and_not_taken() {
    let (bucket, digests) = filled().await;
    let adapter = of(config(s3(&bucket.server.url(""))));
    for (content, difference) in [
        ("9.9\n", "has sha-256"),
        ("9.9 and more\n", "has more than the 4 bytes"),
        ("9", "has 1 bytes where 4"),
    ] {
        bucket.world().put("team/fraud/1.0/files/model.txt", content);
        let error = adapter.fetch(&target("1.0", Some(digests[0])), empty_dir().1).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::WrongDigest, Applied::No), "{error}");
        assert!(error.to_string().contains(difference), "{error}");
        assert!(error.to_string().contains("it was overwritten or damaged"), "{error}");
    }
    let small = ObjectsRegistryConfig { artefact_bytes_max: 10, ..config(s3(&bucket.server.url(""))) };
    let error = of(small).fetch(&target("1.1", None), empty_dir().1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
}

fn new_version(folders: &Folders, content: &str, name: &str) -> NewVersion {
    let dir = folders.next();
    dir.write("model.txt", content).unwrap();
    let (sha256, bytes) = (Digest::of(content), content.len() as u64);
    let files = vec![ArtefactFile { path: "model.txt".into(), sha256, bytes }];
    let artefact = Staged { dir, digest: artefact_digest(&files), files };
    NewVersion {
        key: content.chars().take(40).collect(),
        name: Some(version(name)),
        artefact,
        signature: None,
        lineage: Lineage::default(),
        measures: Vec::new(),
    }
}

#[tokio::test]
async fn no_run_writes_among_the_files_of_another() {
    let (bucket, _) = filled().await;
    let (adapter, folders) = (of(config(s3(&bucket.server.url("")))), Folders::default());
    bucket.world().put("team/fraud/2.0/.ripcord-registering", "another-run");
    let error = adapter.register(&new_version(&folders, "run-1", "2.0")).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    assert!(error.to_string().contains("let it end, or delete `fraud/2.0/.ripcord-registering`"), "{error}");
    assert!(!bucket.world().objects.keys().any(|key| key.contains("2.0/files")));
    // One that was interrupted is gone on with, and a key is one version whatever the next attempt calls it.
    bucket.world().put("team/fraud/2.1/.ripcord-registering", "run-2");
    let made = adapter.register(&new_version(&folders, "run-2", "2.1")).await.unwrap();
    assert_eq!(adapter.register(&new_version(&folders, "run-2", "2.2")).await.unwrap(), made);
}

#[tokio::test]
async fn a_name_that_others_move_meanwhile_is_left_there() {
    let (bucket, _) = filled().await;
    let adapter = of(config(s3(&bucket.server.url(""))));
    bucket.world().put("team/fraud/.names/production", "1.0\n");
    let error = adapter.promote(&version("1.1"), None).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No));
    assert!(error.to_string().contains("someone else moved it, and it was left there"), "{error}");
    bucket.world().put("team/fraud/.names/production", "what is this\u{1b}");
    let error = adapter.promoted().await.unwrap_err();
    assert!(error.to_string().contains("which is no version's name: write one into it"), "{error}");
    assert!(!error.to_string().contains('\u{1b}'));
    let error = adapter.mark(&version("9.9"), Mark::Lifted).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::NotFound, Applied::No));
}

#[test]
fn a_configuration_that_cannot_be_is_refused_with_what_to_write() {
    let s3_at = |endpoint: &str| match s3(endpoint) {
        StoreConfig::S3(of) => of,
        _ => unreachable!(),
    };
    let azure = |endpoint: Option<&str>| {
        StoreConfig::Azure(AzureStoreConfig {
            account: "acme".into(),
            container: "models".into(),
            prefix: String::new(),
            endpoint: endpoint.map(str::to_owned),
        })
    };
    let good = "http://127.0.0.1:9";
    let rows = [
        (
            config(StoreConfig::S3(S3StoreConfig { bucket: "a/b".into(), ..s3_at(good) })),
            true,
            "cannot be the `bucket`",
        ),
        (
            config(StoreConfig::S3(S3StoreConfig { prefix: "a//b".into(), ..s3_at(good) })),
            true,
            "cannot be a prefix",
        ),
        (config(s3("http://user:pw@h/")), true, "holds a user or a password"),
        (config(s3("h")), true, "write it as in"),
        (config(s3(good)), false, "its secret is missing"),
        (
            ObjectsRegistryConfig { model: "../x".into(), ..config(s3(good)) },
            true,
            "cannot be a model's folder",
        ),
        (ObjectsRegistryConfig { alias: Some("a/b".into()), ..config(s3(good)) }, true, "cannot be `alias`"),
        (ObjectsRegistryConfig { deadline_ms: 0, ..config(s3(good)) }, true, "`deadline-ms` must be 1"),
        (config(azure(Some("http://blobs.example/"))), true, "tokens would go there in the clear"),
        (config(azure(None)), true, "the store cannot be spoken to so"),
        (
            config(StoreConfig::Folder(FolderStoreConfig { root: "/srv".into() })),
            true,
            "a folder takes no secret",
        ),
    ];
    for (config, with_secret, expected) in rows {
        let secret = with_secret.then(|| Secret::new("not base64 hunter2"));
        let error = ObjectsRegistry::new(config, secret, &shared()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(expected) && !text.contains("hunter2"), "{expected}: {text}");
    }
}

//! A registry in a place of objects: a folder, and a bucket in memory that speaks as S3 and Cloud Storage do.

mod answers;
pub(crate) mod bucket;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ripcord_adapters::Secret;
use ripcord_adapters::conformance::registering::{self, Naming, Registering};
use ripcord_adapters::conformance::registry::{self, Expected};
use ripcord_adapters::conformance::registry_faults::{self, Steadiness};
use ripcord_adapters::fault_proxy::{FaultProxy, Which};
use ripcord_adapters::registry_directory::{DirectoryRegistry, DirectoryRegistryConfig};
use ripcord_adapters::registry_objects::{
    FolderStoreConfig, GcsStoreConfig, ObjectsRegistry, ObjectsRegistryConfig, S3StoreConfig, StoreConfig,
};
use ripcord_core::digest::Digest;
use ripcord_core::event::Alias;
use ripcord_core::signal::Label;
use ripcord_ports::Registry;
use ripcord_ports::registry::Mark;
use tempfile::TempDir;

use crate::adapters::support::{Folders, empty_dir, publish, shared, target, version};
use bucket::Bucket;

pub(crate) fn config(store: StoreConfig) -> ObjectsRegistryConfig {
    ObjectsRegistryConfig {
        store,
        model: "fraud".into(),
        alias: Some("production".into()),
        without_manifest: false,
        deadline_ms: 5_000,
        patience_ms: 3_000,
        versions_max: 200,
        artefact_bytes_max: 1 << 30,
    }
}

fn folder(root: &Path) -> StoreConfig {
    StoreConfig::Folder(FolderStoreConfig { root: root.to_owned() })
}

pub(crate) fn s3(url: &str) -> StoreConfig {
    StoreConfig::S3(S3StoreConfig {
        bucket: "models".into(),
        prefix: "team".into(),
        endpoint: Some(url.to_owned()),
        region: "us-east-1".into(),
        access_key_id: Some("AKIA".into()),
        profile: None,
    })
}

/// Credentials of Google whose tokens this server gives.
fn gcs(url: &str, tokens: &str, credentials: &Path) -> StoreConfig {
    let file = credentials.join("credentials.json");
    let text = serde_json::json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s3cret", "refresh_token": "r",
        "token_uri": format!("{tokens}/token"),
    });
    std::fs::write(&file, text.to_string()).unwrap();
    let only_its_owner = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&file, only_its_owner).unwrap();
    StoreConfig::Gcs(GcsStoreConfig {
        bucket: "models".into(),
        prefix: "team/".into(),
        endpoint: Some(url.to_owned()),
        credentials_file: Some(file),
    })
}

pub(crate) fn of(config: ObjectsRegistryConfig) -> ObjectsRegistry {
    let secret = match &config.store {
        StoreConfig::S3(_) => Some(Secret::new("s3cret-of-the-key")),
        _ => None,
    };
    ObjectsRegistry::new(config, secret, &shared()).unwrap()
}

/// A folder of two versions, as a training job writes it.
pub(crate) fn two_versions() -> (TempDir, Vec<Digest>) {
    let root = tempfile::tempdir().unwrap();
    let digests = vec![
        publish(root.path(), "1.0", "2026-11-01T00:00:00Z"),
        publish(root.path(), "1.1", "2026-11-02T00:00:00Z"),
    ];
    (root, digests)
}

/// Every file below a folder, by its path.
pub(crate) fn files_below(root: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    found
}

/// The same, synchronised to a bucket.
async fn filled() -> (Bucket, Vec<Digest>) {
    let (root, digests) = two_versions();
    let bucket = Bucket::start().await;
    for (name, bytes) in files_below(root.path()) {
        bucket.world().put(&format!("team/{name}"), bytes);
    }
    (bucket, digests)
}

pub(crate) fn expected(digests: &[Digest]) -> Expected {
    Expected {
        newest_first: vec![target("1.1", Some(digests[1])), target("1.0", Some(digests[0]))],
        marks: true,
        promotes: true,
    }
}

async fn takes_in(registry: &ObjectsRegistry) {
    let folders = Folders::default();
    let empty_dir = || folders.next();
    registering::conforms(Registering { registry, naming: Naming::Chosen, empty_dir: &empty_dir }).await;
}

#[tokio::test]
async fn a_folder_conforms_and_takes_versions_in() {
    let (root, digests) = two_versions();
    let folders = Folders::default();
    let adapter = of(config(folder(root.path())));
    registry::conforms(&adapter, &expected(&digests), &|| folders.next()).await;
    takes_in(&adapter).await;
}

#[tokio::test]
async fn a_bucket_conforms_and_takes_versions_in() {
    let (bucket, digests) = filled().await;
    // All of it comes in many pages.
    bucket.world().page = 3;
    let folders = Folders::default();
    let adapter = of(config(s3(&bucket.server.url(""))));
    registry::conforms(&adapter, &expected(&digests), &|| folders.next()).await;
    assert_eq!(bucket.world().objects["team/fraud/.names/production"].0, b"1.1\n");
    takes_in(&adapter).await;
}

#[tokio::test]
async fn a_bucket_of_google_conforms_and_takes_versions_in() {
    let (bucket, digests) = filled().await;
    let (folders, credentials) = (Folders::default(), tempfile::tempdir().unwrap());
    let url = bucket.server.url("");
    let adapter = of(config(gcs(&url, &url, credentials.path())));
    registry::conforms(&adapter, &expected(&digests), &|| folders.next()).await;
    takes_in(&adapter).await;
}

#[tokio::test]
async fn a_bucket_conforms_while_the_network_fails() {
    let (bucket, digests) = filled().await;
    let proxy = FaultProxy::start(&bucket.server.url("")).await.unwrap();
    let folders = Folders::default();
    let empty_dir = || folders.next();
    let adapter = of(config(s3(&proxy.url())));
    let expected = expected(&digests);
    registry_faults::conforms_in_faults(&adapter, &proxy, &expected, Steadiness::Retries, &empty_dir).await;
    let registering = Registering { registry: &adapter, naming: Naming::Chosen, empty_dir: &empty_dir };
    let requests = [Which::Changes, Which::With("manifest.toml"), Which::With("/files/"), Which::Reads];
    registering::conforms_in_faults(registering, &proxy, &requests).await;
}

#[tokio::test]
async fn a_bucket_of_google_conforms_while_the_network_fails() {
    let (bucket, digests) = filled().await;
    let proxy = FaultProxy::start(&bucket.server.url("")).await.unwrap();
    let (folders, credentials) = (Folders::default(), tempfile::tempdir().unwrap());
    let adapter = of(config(gcs(&proxy.url(), &bucket.server.url(""), credentials.path())));
    let expected = expected(&digests);
    registry_faults::conforms_in_faults(&adapter, &proxy, &expected, Steadiness::Retries, &|| folders.next())
        .await;
}

#[tokio::test]
async fn a_folder_that_is_synchronised_is_the_same_registry_with_its_holds() {
    let (root, _) = two_versions();
    let folder_registry = DirectoryRegistry::new(DirectoryRegistryConfig {
        root: root.path().to_owned(),
        model: "fraud".into(),
    })
    .unwrap();
    folder_registry.mark(&version("1.1"), Mark::Held { incident: "fraud:7" }).await.unwrap();
    let bucket = Bucket::start().await;
    for (name, bytes) in files_below(root.path()) {
        bucket.world().put(&format!("team/{name}"), bytes);
    }
    let in_bucket = of(config(s3(&bucket.server.url(""))));
    let by_folder = folder_registry.versions(9).await.unwrap();
    assert_eq!(in_bucket.versions(9).await.unwrap(), by_folder);
    assert!(by_folder[0].tags.contains(&Label::new("ripcord.hold", "fraud:7")));
    assert_eq!(
        in_bucket.lineage(&version("1.1")).await.unwrap(),
        folder_registry.lineage(&version("1.1")).await.unwrap()
    );

    // The other way round, and by both adapters in one folder.
    let in_folder = of(config(folder(root.path())));
    in_folder.mark(&version("1.1"), Mark::Lifted).await.unwrap();
    in_folder.promote(&version("1.0"), None).await.unwrap();
    let by_folder = folder_registry.versions(9).await.unwrap();
    assert!(!by_folder[0].tags.iter().any(|tag| tag.name == "ripcord.hold"));
    assert_eq!(by_folder.len(), 2, "its names are no version");
    assert_eq!(in_folder.promoted().await.unwrap(), Some(version("1.0")));
}

#[tokio::test]
async fn other_names_are_told_and_one_that_says_nothing_hides_none() {
    let (bucket, _) = filled().await;
    {
        let mut world = bucket.world();
        world.put("team/fraud/.names/production", "1.1");
        world.put("team/fraud/.names/staging", "1.0\n");
        world.put("team/fraud/.names/odd", "not a version\u{1b}[31m");
        world.put("team/fraud/.names/nothing", "");
        world.put("team/fraud/.names/huge", vec![b'1'; 5_000]);
        world.put("team/fraud/.names/deeper/one", "1.0");
    }
    let adapter = of(config(s3(&bucket.server.url(""))));
    let staging = Alias { name: "staging".into(), versions: vec![version("1.0")] };
    assert_eq!(adapter.aliases().await.unwrap(), [staging]);
    let listed = adapter.versions(9).await.unwrap();
    assert_eq!(listed[0].aliases, ["champion", "production"], "one of them is its manifest's");
    assert_eq!(listed[1].aliases, ["champion", "staging"]);
    // A name that is an object counts as it is there, whatever a manifest says.
    bucket.world().put("team/fraud/.names/champion", "1.0");
    assert_eq!(adapter.version(&version("1.1")).await.unwrap().aliases, ["production"]);
}

#[tokio::test]
async fn prefixes_without_a_manifest_are_versions_where_that_is_configured() {
    let bucket = Bucket::start().await;
    {
        let mut world = bucket.world();
        world.put("team/fraud/7/model.bin", "seven");
        world.put("team/fraud/7/more/a b.bin", "more");
        world.put("team/fraud/8/model.bin", "eight");
        world.put("team/fraud/8/", "");
    }
    let strict = of(config(s3(&bucket.server.url(""))));
    assert_eq!(strict.versions(9).await.unwrap(), []);
    let error = strict.version(&version("7")).await.unwrap_err().to_string();
    assert!(error.contains("no manifest among them, as while it is uploaded"), "{error}");

    let adapter = of(ObjectsRegistryConfig { without_manifest: true, ..config(s3(&bucket.server.url(""))) });
    let listed = adapter.versions(9).await.unwrap();
    let names: Vec<_> = listed.iter().map(|of| of.version.version.as_str()).collect();
    assert_eq!(names, ["8", "7"]);
    assert_eq!(listed[1].version.digest, None, "the store's digests are not believed");
    let fetched = adapter.fetch(&target("7", None), empty_dir().1).await.unwrap();
    let paths: Vec<_> = fetched.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["model.bin", "more/a b.bin"]);
    // One that is overwritten is another artefact.
    bucket.world().put("team/fraud/7/model.bin", "SEVEN");
    let error = adapter.fetch(&target("7", Some(fetched.digest)), empty_dir().1).await.unwrap_err();
    assert!(error.to_string().contains("another artefact under the same name"), "{error}");
    let lineage = adapter.lineage(&version("7")).await.unwrap();
    assert_eq!(lineage.source.as_deref(), Some("s3://models/team/fraud/7"));
    assert!(adapter.request_to_register().is_none());
    // A mark makes no version, and breaks none.
    adapter.mark(&version("7"), Mark::Held { incident: "fraud:1" }).await.unwrap();
    assert_eq!(adapter.version(&version("7")).await.unwrap().broken, None);
}

#[test]
fn what_people_agree_to_says_where_it_is_written_and_holds_no_secret() {
    let requests = |config: ObjectsRegistryConfig| {
        let registry = of(config);
        let promotes = registry.request_to_promote(&version("1.0")).unwrap();
        let registers = registry.request_to_register().unwrap();
        let text = format!("{promotes:?} {registers:?}");
        assert!(!text.contains("s3cret"), "{text}");
        [promotes.digest().unwrap(), registers.digest().unwrap()]
    };
    let usual = || match s3("http://127.0.0.1:9") {
        StoreConfig::S3(of) => of,
        _ => unreachable!(),
    };
    let with = |store: S3StoreConfig| requests(config(StoreConfig::S3(store)));
    let before = with(usual());
    assert_eq!(with(usual()), before);
    for other in [
        S3StoreConfig { bucket: "others".into(), ..usual() },
        S3StoreConfig { prefix: "others".into(), ..usual() },
        S3StoreConfig { endpoint: Some("http://127.0.0.1:10".into()), ..usual() },
        S3StoreConfig { region: "eu-west-1".into(), ..usual() },
    ] {
        let other = with(other);
        assert!(before.iter().zip(&other).all(|(a, b)| a != b));
    }
    let other = requests(ObjectsRegistryConfig { model: "other".into(), ..config(s3("http://127.0.0.1:9")) });
    assert!(before.iter().zip(&other).all(|(a, b)| a != b));
    let alias = ObjectsRegistryConfig { alias: Some("live".into()), ..config(s3("http://127.0.0.1:9")) };
    assert_ne!(requests(alias)[0], before[0]);
}

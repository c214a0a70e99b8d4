//! A registry that is a folder.

use std::path::Path;

use ripcord_adapters::conformance::registering::{self, Naming, Registering};
use ripcord_adapters::conformance::registry::{self, Expected};
use ripcord_adapters::registry_directory::{DirectoryRegistry, DirectoryRegistryConfig, register};
use ripcord_core::digest::Digest;
use ripcord_core::fact::Lineage;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::registry::{Mark, NewVersion, Staged};
use ripcord_ports::{Applied, ErrorKind, Registry, Retry};
use tempfile::TempDir;

use crate::adapters::support::{Folders, empty_dir, manifest, publish, target, version};

fn two_versions() -> (TempDir, DirectoryRegistry, [Digest; 2]) {
    let root = tempfile::tempdir().unwrap();
    let digests = [
        publish(root.path(), "1.0", "2026-11-01T00:00:00Z"),
        publish(root.path(), "1.1", "2026-11-02T00:00:00Z"),
    ];
    let registry = registry(root.path());
    (root, registry, digests)
}

fn registry(root: &Path) -> DirectoryRegistry {
    DirectoryRegistry::new(DirectoryRegistryConfig { root: root.to_owned(), model: "fraud".into() }).unwrap()
}

fn edit_manifest(root: &Path, version: &str, edit: impl Fn(&str) -> String) {
    let path = root.join("fraud").join(version).join("manifest.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    let after = edit(&before);
    assert_ne!(before, after);
    std::fs::write(path, after).unwrap();
}

async fn names(registry: &DirectoryRegistry) -> Vec<String> {
    let versions = registry.versions(10).await.unwrap();
    versions.iter().map(|listed| listed.version.version.to_string()).collect()
}

#[tokio::test]
async fn it_conforms() {
    let (_root, adapter, digests) = two_versions();
    let expected = Expected {
        newest_first: vec![target("1.1", Some(digests[1])), target("1.0", Some(digests[0]))],
        marks: true,
        promotes: false,
    };
    let folders = Folders::default();
    registry::conforms(&adapter, &expected, &|| folders.next()).await;
}

#[tokio::test]
async fn it_takes_versions_in() {
    let (root, adapter, _) = two_versions();
    let folders = Folders::default();
    let empty_dir = || folders.next();
    registering::conforms(Registering { registry: &adapter, naming: Naming::Chosen, empty_dir: &empty_dir })
        .await;
    let left: Vec<_> = std::fs::read_dir(root.path().join("fraud"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let beside = left.iter().filter(|name| name.to_string_lossy().starts_with('.')).count();
    assert_eq!(beside, 1, "only the lock lies beside the versions: {left:?}");
}

fn new_version(key: &str, folders: &Folders) -> NewVersion {
    let dir = folders.next();
    dir.write("model.txt", key).unwrap();
    let files =
        vec![ArtefactFile { path: "model.txt".into(), sha256: Digest::of(key), bytes: key.len() as u64 }];
    let artefact = Staged { dir, digest: artefact_digest(&files), files };
    NewVersion {
        key: key.into(),
        name: None,
        artefact,
        signature: None,
        lineage: Lineage::default(),
        measures: Vec::new(),
    }
}

#[tokio::test]
async fn a_version_is_found_by_its_key_whatever_it_is_called_and_by_its_key_alone() {
    let (root, adapter, _) = two_versions();
    let folders = Folders::default();
    let registered = adapter.register(&new_version("key-1", &folders)).await.unwrap();
    assert_eq!(registered.version, version("key-1"), "without a name it is called by its key");
    std::fs::rename(root.path().join("fraud/key-1"), root.path().join("fraud/1.2")).unwrap();
    edit_manifest(root.path(), "1.2", |text| text.replace("version = \"key-1\"", "version = \"1.2\""));
    let again = adapter.register(&new_version("key-1", &folders)).await.unwrap();
    assert_eq!(again.version, version("1.2"));
    // A manifest that does not read is nobody's result, and is not written over.
    edit_manifest(root.path(), "1.2", |text| text.replace("[tags]", "[tugs]"));
    let named = NewVersion { name: Some(version("1.2")), ..new_version("key-1", &folders) };
    let error = adapter.register(&named).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
}

#[tokio::test]
async fn what_an_interrupted_attempt_left_is_begun_anew() {
    let (root, adapter, _) = two_versions();
    let folders = Folders::default();
    let beside = root.path().join("fraud/.key-1.ripcord-new/files");
    std::fs::create_dir_all(&beside).unwrap();
    std::fs::write(beside.join("of another attempt"), "x").unwrap();
    let registered = adapter.register(&new_version("key-1", &folders)).await.unwrap();
    let fetched = adapter.fetch(&registered, empty_dir().1).await.unwrap();
    assert_eq!(fetched.files.len(), 1);
    assert_eq!(names(&adapter).await, ["key-1", "1.1", "1.0"], "it is the newest");
}

#[tokio::test]
async fn a_version_is_not_registered_beside_another_process_or_where_nothing_can_be_written() {
    let (root, adapter, _) = two_versions();
    let folders = Folders::default();
    let lock = std::fs::File::create(root.path().join("fraud/.ripcord-registering")).unwrap();
    lock.lock().unwrap();
    let error = adapter.register(&new_version("key-1", &folders)).await.unwrap_err();
    assert_eq!((error.applied, error.retry), (Applied::No, Retry::Later), "{error}");
    lock.unlock().unwrap();
    std::fs::remove_dir_all(root.path().join("fraud")).unwrap();
    let error = adapter.register(&new_version("key-1", &folders)).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Unreachable, Applied::No), "not mounted: {error}");
}

/// `examples/registry-folder/register.py`, which people copy into their training jobs.
#[tokio::test]
async fn what_the_example_s_program_registers_conforms() {
    let (root, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(out.path().join("weights")).unwrap();
    std::fs::write(out.path().join("weights/0.bin"), vec![7; 1_000]).unwrap();
    let program = format!("{}/../../examples/registry-folder/register.py", env!("CARGO_MANIFEST_DIR"));
    let register = |name: &str, created_at: &str| {
        std::fs::write(out.path().join("model.txt"), name).unwrap();
        let mut python = std::process::Command::new("python3");
        python.arg(&program).arg(root.path()).args(["fraud", name]).arg(out.path());
        python.args(["--created-at", created_at, "--alias", "champion", "--tag", "team=a \"b\" \\ c"]);
        python.args(["--measure", "accuracy=0.97", "--dataset", "transactions", "--dataset-revision", "7"]);
        python.args(["--parameter", "depth=4", "--parent", "0.9", "--signature", "[]"]);
        python.output().unwrap()
    };
    for (name, created_at) in [("1.0", "2026-11-01T00:00:00Z"), ("1.1", "2026-11-02T00:00:00Z")] {
        let registered = register(name, created_at);
        assert!(registered.status.success(), "{}", String::from_utf8_lossy(&registered.stderr));
    }
    let again = register("1.1", "2026-11-03T00:00:00Z");
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("is there already"));
    let registry = registry(root.path());
    let listed = registry.versions(9).await.unwrap();
    let newest_first = listed.iter().map(|listed| listed.version.clone()).collect();
    let expected = Expected { newest_first, marks: true, promotes: false };
    let folders = Folders::default();
    registry::conforms(&registry, &expected, &|| folders.next()).await;
    assert_eq!(names(&registry).await, ["1.1", "1.0"]);
    assert_eq!(
        (listed[0].measures[0].value, listed[0].aliases.as_slice()),
        (0.97, &["champion".to_owned()][..])
    );
    assert_eq!(listed[0].tags[0].value, "a \"b\" \\ c");
    let lineage = registry.lineage(&version("1.1")).await.unwrap();
    assert_eq!(lineage.dataset_revision.as_deref(), Some("7"));
    assert_eq!(
        (lineage.parameters[0].value.as_str(), lineage.parent.unwrap().version),
        ("4", version("0.9"))
    );
}

#[tokio::test]
async fn a_version_is_described_as_its_manifest_says() {
    let (_root, registry, digests) = two_versions();
    let listed = registry.version(&version("1.1")).await.unwrap();
    assert_eq!(listed.version.digest, Some(digests[1]));
    assert_eq!(listed.aliases, ["champion"]);
    assert_eq!(listed.measures[0].value, 0.97);
    assert_eq!(listed.runtime.as_deref(), Some("fraud-serve"));
    assert_eq!(listed.broken, None);
    let lineage = registry.lineage(&version("1.1")).await.unwrap();
    assert_eq!(lineage.dataset_revision.as_deref(), Some("7"));
    assert_eq!(lineage.parameters[0].value, "4");
    assert_eq!(lineage.parent.unwrap().version, version("0.9"));
    let sets: Vec<_> =
        lineage.datasets.iter().map(|set| (set.name.as_str(), set.context.as_deref())).collect();
    assert_eq!(sets, [("transactions", Some("training")), ("review-2026", Some("eval"))]);
    assert_eq!(
        (lineage.run.as_deref(), lineage.datasets[0].revision.as_deref()),
        (Some("run-17"), Some("7"))
    );
}

#[tokio::test]
async fn ties_are_ordered_by_name_and_the_limit_keeps_the_newest() {
    let (root, registry, _) = two_versions();
    publish(root.path(), "1.2", "2026-11-02T00:00:00Z");
    assert_eq!(names(&registry).await, ["1.2", "1.1", "1.0"]);
    assert_eq!(registry.versions(1).await.unwrap()[0].version.version, version("1.2"));
    assert!(registry.versions(0).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_bad_manifest_hides_no_other_version_and_says_why() {
    for (edit, expected) in [
        (("created-at = \"2026", "created-at = \"1026-99"), "created-at"),
        (("version = \"1.0\"", "version = \"9.9\""), "names the version `9.9`"),
        (("model = \"fraud\"", "model = \"churn\""), "names the model `churn`"),
        (("path = \"model.txt\"", "path = \"../model.txt\""), "`../model.txt`"),
        (("path = \"weights/0.bin\"", "path = \"model.txt\""), "twice"),
        (("bytes = 1000", "bytes = -1"), "does not read"),
        (("runtime", "runtim"), "runtim"),
    ] {
        let (root, registry, _) = two_versions();
        edit_manifest(root.path(), "1.0", |text| text.replace(edit.0, edit.1));
        let versions = registry.versions(10).await.unwrap();
        assert_eq!(versions.len(), 2);
        assert_eq!(versions[0].broken, None);
        let why = versions[1].broken.as_deref().unwrap();
        assert!(why.contains(expected), "{why}");
        let error = registry.fetch(&target("1.0", None), empty_dir().1).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
    }
}

#[tokio::test]
async fn a_version_without_a_manifest_is_broken_and_other_entries_are_none() {
    let (root, registry, _) = two_versions();
    std::fs::create_dir(root.path().join("fraud/1.2")).unwrap();
    std::fs::create_dir(root.path().join("fraud/.git")).unwrap();
    std::fs::write(root.path().join("fraud/README"), "").unwrap();
    assert_eq!(names(&registry).await, ["1.1", "1.0", "1.2"]);
    assert!(registry.version(&version("1.2")).await.unwrap().broken.unwrap().contains("manifest.toml"));
}

#[tokio::test]
async fn what_is_missing_or_of_other_size_shows_in_the_list() {
    let (root, registry, _) = two_versions();
    let file = root.path().join("fraud/1.0/files/weights/0.bin");
    std::fs::write(&file, [7; 999]).unwrap();
    let why = registry.version(&version("1.0")).await.unwrap().broken.unwrap();
    assert!(why.contains("999") && why.contains("1000") && why.contains("weights/0.bin"), "{why}");
    std::fs::remove_file(&file).unwrap();
    assert!(registry.version(&version("1.0")).await.unwrap().broken.unwrap().contains("weights/0.bin"));
    std::fs::remove_dir_all(root.path().join("fraud/1.0/files")).unwrap();
    assert!(registry.version(&version("1.0")).await.unwrap().broken.unwrap().contains("files"));
}

#[tokio::test]
async fn a_fetch_of_anything_but_the_recorded_bytes_fails_and_names_the_file() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, ErrorKind, &str); 5] = [
        ("other bytes", |file| std::fs::write(file, [8; 1_000]).unwrap(), ErrorKind::WrongDigest, "sha-256"),
        ("fewer", |file| std::fs::write(file, [7; 10]).unwrap(), ErrorKind::WrongDigest, "has 10 bytes"),
        (
            "more",
            |file| std::fs::write(file, [7; 2_000]).unwrap(),
            ErrorKind::WrongDigest,
            "more than the 1000",
        ),
        ("none", |file| std::fs::remove_file(file).unwrap(), ErrorKind::NotFound, "missing"),
        (
            "a link out",
            |file| {
                std::fs::remove_file(file).unwrap();
                std::os::unix::fs::symlink("/etc/passwd", file).unwrap();
            },
            ErrorKind::Local,
            "out of the folder",
        ),
    ];
    for (name, damage, kind, expected) in cases {
        let (root, registry, _) = two_versions();
        damage(&root.path().join("fraud/1.0/files/weights/0.bin"));
        let error = registry.fetch(&target("1.0", None), empty_dir().1).await.unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error}");
        let message = error.to_string();
        assert!(message.contains("weights/0.bin") && message.contains(expected), "{name}: {message}");
    }
}

#[tokio::test]
async fn a_link_within_the_artefact_is_followed() {
    let (root, registry, _) = two_versions();
    let files = root.path().join("fraud/1.0/files");
    std::fs::rename(files.join("weights/0.bin"), files.join("real.bin")).unwrap();
    std::os::unix::fs::symlink("../real.bin", files.join("weights/0.bin")).unwrap();
    registry.fetch(&target("1.0", None), empty_dir().1).await.unwrap();
}

#[tokio::test]
async fn a_hold_shows_as_a_tag_until_it_is_lifted_and_the_manifest_stays() {
    let (_root, registry, _) = two_versions();
    let name = version("1.1");
    let before = registry.manifest(&name).await.unwrap();
    let held = || async {
        let listed = registry.version(&name).await.unwrap();
        listed.tags.into_iter().find(|tag| tag.name == "ripcord.hold").map(|tag| tag.value)
    };
    assert_eq!(held().await, None);
    registry.mark(&name, Mark::Held { incident: "fraud-api:7" }).await.unwrap();
    assert_eq!(held().await.as_deref(), Some("fraud-api:7"));
    registry.mark(&name, Mark::Lifted).await.unwrap();
    assert_eq!(held().await, None);
    assert_eq!(registry.manifest(&name).await.unwrap(), before);
}

#[tokio::test]
async fn a_mark_that_cannot_be_written_says_so() {
    let (root, registry, _) = two_versions();
    std::fs::create_dir_all(root.path().join("fraud/1.1/marks.toml/x")).unwrap();
    let error = registry.mark(&version("1.1"), Mark::Lifted).await.unwrap_err().to_string();
    assert!(error.contains("cannot write `marks.toml` of version `1.1`"), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error_and_no_empty_list() {
    let root = tempfile::tempdir().unwrap();
    let error = registry(root.path()).versions(10).await.unwrap_err();
    // A share may be mounted late: whoever waits asks again.
    assert_eq!((error.kind, error.retry), (ErrorKind::Unreachable, Retry::Later));
    assert!(error.to_string().contains("`fraud`"), "{error}");
    let error = registry(&root.path().join("absent")).versions(10).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::Unreachable, Retry::Later));
    assert!(error.to_string().contains("absent") && error.to_string().contains("mounted"), "{error}");
    let config = DirectoryRegistryConfig { root: root.path().to_owned(), model: "../etc".into() };
    assert_eq!(DirectoryRegistry::new(config).unwrap_err().kind, ErrorKind::Configuration);
}

#[test]
fn a_version_is_registered_once_and_whole() {
    let root = tempfile::tempdir().unwrap();
    publish(root.path(), "1.0", "2026-11-01T00:00:00Z");
    let files = tempfile::tempdir().unwrap();
    let attempt = |name: &str, at: &str| register(root.path(), manifest(name, at), files.path()).unwrap_err();
    assert!(attempt("1.1", "2026-11-01T00:00:00Z").to_string().contains("lists no file"));
    std::fs::write(files.path().join("a"), "x").unwrap();
    assert_eq!(attempt("1.0", "2026-11-01T00:00:00Z").kind, ErrorKind::Conflict);
    assert!(attempt("1.1", "someday").to_string().contains("someday"));
    let entries: Vec<_> = std::fs::read_dir(root.path().join("fraud")).unwrap().collect();
    assert_eq!(entries.len(), 1);
}

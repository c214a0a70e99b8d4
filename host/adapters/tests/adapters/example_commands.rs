//! The programs of `examples/command`, which people copy, in shell and in Python: as the host runs them, against the conformance suites.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use ripcord_adapters::conformance::{deployer, registry};
use ripcord_adapters::deployer_command::{CommandDeployer, CommandDeployerConfig};
use ripcord_adapters::registry_command::{CommandRegistry, CommandRegistryConfig};
use ripcord_core::live::{LiveState, Proof};
use ripcord_ports::deployer::{EffectClass, Probe};
use ripcord_ports::{Applied, Deployer, ErrorKind, Registry};

use crate::adapters::commands::settable;
use crate::adapters::support::{Folders, shared, target, version};

/// What runs a program, and how its name ends.
const LANGUAGES: [(&str, &str); 2] = [("sh", "sh"), ("python3", "py")];

fn program((interpreter, end): (&str, &str), name: &str, words: &[&str]) -> Vec<String> {
    let script = format!("{}/../../examples/command/{name}.{end}", env!("CARGO_MANIFEST_DIR"));
    [interpreter, script.as_str()].iter().chain(words).map(|word| (*word).to_owned()).collect()
}

fn registry_in(language: (&str, &str), root: &Path) -> CommandRegistry {
    let root = root.to_str().unwrap();
    let program = |words: &[&str]| program(language, "registry", words);
    CommandRegistry::new(CommandRegistryConfig {
        list: program(&["list", root]),
        fetch: program(&["fetch", root, "{version}", "{into}", "{digest}"]),
        manifest: None,
        mark: Some(program(&["mark", root, "{version}", "{state}", "{incident}"])),
        surroundings: Default::default(),
    })
    .unwrap()
}

/// An archive with two files, of that age.
fn archive(root: &Path, version: &str, day: u64) {
    let made = tempfile::tempdir().unwrap();
    std::fs::create_dir(made.path().join("weights")).unwrap();
    std::fs::write(made.path().join("model.txt"), version).unwrap();
    std::fs::write(made.path().join("weights/0.bin"), "0").unwrap();
    let path = root.join(format!("{version}.tar.gz"));
    let mut tar = std::process::Command::new("tar");
    let ended = tar.arg("-czf").arg(&path).arg("-C").arg(made.path()).arg(".").status().unwrap();
    assert!(ended.success());
    let at = UNIX_EPOCH + Duration::from_secs(1_790_000_000 + day * 86_400);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
}

#[tokio::test]
async fn both_registries_conform_and_say_the_same() {
    let mut said = Vec::new();
    for language in LANGUAGES {
        let root = tempfile::tempdir().unwrap();
        archive(root.path(), "1.0", 1);
        archive(root.path(), "1.1", 2);
        std::fs::write(root.path().join("not a version.tar.gz"), "").unwrap();
        let adapter = registry_in(language, root.path());
        let folders = Folders::default();
        let newest_first = vec![target("1.1", None), target("1.0", None)];
        let expected = registry::Expected { newest_first, marks: true, promotes: false };
        registry::conforms(&adapter, &expected, &|| folders.next()).await;
        let held = ripcord_ports::registry::Mark::Held { incident: "fraud-api:7" };
        adapter.mark(&version("1.1"), held).await.unwrap();
        let listed = adapter.versions(9).await.unwrap();
        assert_eq!(listed[0].tags[0].value, "fraud-api:7", "a mark can be seen in the list");
        said.push(listed);
    }
    assert_eq!(said[0], said[1]);
}

fn deployer_in(language: (&str, &str), root: &Path, effect: EffectClass) -> CommandDeployer {
    let serving = root.join("serving");
    std::fs::create_dir_all(&serving).unwrap();
    let serving = serving.to_str().unwrap();
    let program = |words: &[&str]| program(language, "deployer", words);
    let config = CommandDeployerConfig {
        shift: program(&["shift", serving, "{version}", "{staged}", "{expecting}"]),
        live: Some(program(&["live", serving])),
        probe: Some(program(&["probe", serving, "{version}", "{expecting}"])),
        effect,
        proof: Proof::ControlPlane,
        surroundings: Default::default(),
        runs: Some(root.join("runs")),
    };
    CommandDeployer::new(config, &shared()).unwrap()
}

#[tokio::test]
async fn both_deployers_conform_in_the_class_that_they_promise() {
    for language in LANGUAGES {
        for effect in [EffectClass::Conditional, EffectClass::Observable] {
            let (root, made, folders) =
                (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Folders::default());
            let [one, two] = settable(made.path(), &folders).await;
            deployer::conforms(&deployer_in(language, root.path(), effect), &one, &two).await;
        }
    }
}

#[tokio::test]
async fn a_probe_says_under_way_as_long_as_somebody_changes_something_and_then_what_came_of_it() {
    for language in LANGUAGES {
        let (root, made, folders) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Folders::default());
        let [one, two] = settable(made.path(), &folders).await;
        let adapter = deployer_in(language, root.path(), EffectClass::Conditional);
        let nothing = LiveState::Serving(Vec::new());
        adapter.shift(&deployer::order("first", &one, nothing)).await.unwrap();
        let order = deployer::order("second", &two, adapter.live().await.unwrap().state);
        let lock = std::fs::File::options().append(true).open(root.path().join("serving/lock")).unwrap();
        lock.lock().unwrap();
        assert!(matches!(adapter.probe(&order).await.unwrap(), Probe::Underway(why) if why.contains("lock")));
        lock.unlock().unwrap();
        assert_eq!(adapter.probe(&order).await.unwrap(), Probe::NotApplied);
    }
}

#[tokio::test]
async fn a_reload_that_fails_leaves_it_open_what_became_of_the_shift() {
    use std::os::unix::fs::PermissionsExt as _;
    for language in LANGUAGES {
        let (root, made, folders) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Folders::default());
        let [one, _] = settable(made.path(), &folders).await;
        let adapter = deployer_in(language, root.path(), EffectClass::Conditional);
        let reload = root.path().join("serving/reload");
        std::fs::write(&reload, "#!/bin/sh\necho broken >&2\nexit 3\n").unwrap();
        std::fs::set_permissions(&reload, std::fs::Permissions::from_mode(0o755)).unwrap();
        let order = deployer::order("key", &one, LiveState::Serving(Vec::new()));
        let error = adapter.shift(&order).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::Failed, Applied::Unknown), "{error}");
        assert_eq!(adapter.probe(&order).await.unwrap(), Probe::Applied, "live tells");
    }
}

//! The page about command adapters: its two configurations roll a service back, with the programs of `examples/command`. And what this page and
//! those about data say a file or an answer looks like is what the host reads.

use std::path::Path;
use std::process::Command;

use ripcord_adapters::deployer_command::{CommandDeployer, CommandDeployerConfig};
use ripcord_adapters::golden_jsonl::{JsonLinesGolden, JsonLinesGoldenConfig};
use ripcord_adapters::registry_command::{CommandRegistry, CommandRegistryConfig};
use ripcord_adapters::registry_directory::Manifest;
use ripcord_core::live::LiveState;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{EffectClass, Probe, ShiftOrder};
use ripcord_ports::{Deployer as _, GoldenData as _, Registry as _};

use crate::pages::blocks::{Block, blocks_of, page, root};
use crate::support::run::as_olga;

const PAGE: &str = "host/adapters/src/command/README.md";

/// Who may act, and a service that lacks nothing but its registry and its deployer.
const HEAD: &str = r#"
[host]
listen = "127.0.0.1:9"

[people.olga]
roles = ["operator", "approver", "admin"]
token-env = "OLGAS_TOKEN"

[services.fraud-api]
mode = "act"

"#;

/// Two versions in archives, and the later one served.
fn world(folder: &Path, configuration: &Block) {
    std::fs::write(folder.join("ripcord.toml"), format!("{HEAD}{}", configuration.text)).unwrap();
    for name in ["registry.sh", "registry.py", "deployer.sh", "deployer.py"] {
        std::fs::copy(root().join("examples/command").join(name), folder.join(name)).unwrap();
    }
    for folder_name in ["versions", "serving", "made"] {
        std::fs::create_dir(folder.join(folder_name)).unwrap();
    }
    let run = |program: &str, arguments: &[&str]| {
        let ended = Command::new(program).args(arguments).current_dir(folder).status().unwrap();
        assert!(ended.success(), "{program} {arguments:?}");
    };
    for version in ["1.3.2", "1.4.0"] {
        std::fs::write(folder.join("made/model.txt"), version).unwrap();
        run("tar", &["-czf", &format!("versions/{version}.tar.gz"), "-C", "made", "."]);
    }
    run("sh", &["deployer.sh", "shift", "serving", "1.4.0", "made", ""]);
}

#[test]
fn both_configurations_of_the_page_roll_a_service_back() {
    let blocks = blocks_of(PAGE, &page(PAGE));
    let configurations: Vec<_> = blocks.iter().filter(|block| block.language == "toml").collect();
    assert_eq!(configurations.len(), 2, "one in shell, one in Python");
    for configuration in configurations {
        let folder = tempfile::tempdir().unwrap();
        world(folder.path(), configuration);
        let pulled = as_olga(folder.path(), &["--json", "pull", "fraud-api", "--to", "1.3.2"]);
        assert_eq!(pulled.code, 0, "{}: {}\n{}", configuration.place, pulled.stdout, pulled.stderr);
        let view = pulled.json();
        assert_eq!((&view["before"], &view["after"]), (&"1.4.0".into(), &"1.3.2".into()));
        let live = std::fs::read_link(folder.path().join("serving/current")).unwrap();
        assert_eq!(live, Path::new("releases/1.3.2"));
        let served = std::fs::read_to_string(folder.path().join("serving/current/model.txt")).unwrap();
        assert_eq!(served, "1.3.2", "what was fetched is what is served");
    }
}

/// The blocks of a page that are in this language.
fn written_in(path: &str, language: &str) -> Vec<Block> {
    let blocks = blocks_of(path, &page(path)).into_iter();
    let found: Vec<_> = blocks.filter(|block| block.language == language).collect();
    assert!(!found.is_empty(), "{path} has no `{language}`");
    found
}

/// A program that prints what stands in a file.
fn prints(folder: &Path, name: &str, text: &str) -> Vec<String> {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    vec!["cat".to_owned(), path.display().to_string()]
}

#[tokio::test]
async fn what_the_page_says_that_programs_print_is_what_the_host_reads() {
    let folder = tempfile::tempdir().unwrap();
    let mut printed = written_in(PAGE, "json").into_iter();
    let mut next = |name: &str| prints(folder.path(), name, &printed.next().expect("a block").text);
    let registry = CommandRegistry::new(CommandRegistryConfig {
        list: next("list"),
        fetch: vec!["false".to_owned()],
        manifest: None,
        mark: None,
        surroundings: Default::default(),
    });
    let registry = registry.unwrap();
    let versions = registry.versions(9).await.unwrap();
    assert_eq!(versions[0].version.version.as_str(), "1.3.2");
    let lineage = registry.lineage(&versions[0].version.version).await.unwrap();
    assert_eq!((lineage.datasets.len(), lineage.dataset_revision.as_deref()), (2, Some("7")));

    let live = next("live");
    let outcomes: Vec<_> = ["applied", "not-applied", "underway", "cannot-tell"].map(&mut next).into();
    let deployer = |probe: Vec<String>| {
        let config = CommandDeployerConfig {
            shift: vec!["false".to_owned()],
            live: Some(live.clone()),
            probe: Some(probe),
            effect: EffectClass::Observable,
            proof: ripcord_core::live::Proof::ControlPlane,
            surroundings: Default::default(),
            runs: None,
        };
        CommandDeployer::new(config, &ripcord::wiring::shared().unwrap()).unwrap()
    };
    let state = deployer(outcomes[0].clone()).live().await.unwrap().state;
    assert_eq!(state.to_string(), "1.3.2 90 % in eu, 1.4.0 10 % in us");
    let order = ShiftOrder {
        key: "key".to_owned(),
        target: Target::Version(VersionTarget { version: "1.3.2".parse().unwrap(), digest: None }),
        expecting: LiveState::Serving(Vec::new()),
        staged: None,
        wave: None,
        incident: "fraud-api:7".parse().unwrap(),
        plan: ripcord_core::digest::Digest::of("plan"),
        deadline: Millis::seconds(10),
    };
    let mut told = Vec::new();
    for outcome in outcomes {
        told.push(match deployer(outcome).probe(&order).await.unwrap() {
            Probe::Applied => "applied".to_owned(),
            Probe::NotApplied => "not-applied".to_owned(),
            Probe::Underway(why) => format!("underway: {why}"),
            Probe::CannotTell(why) => format!("cannot-tell: {why}"),
        });
    }
    let expected =
        ["applied", "not-applied", "underway: 2 of 3 replicas", "cannot-tell: the rollout was deleted"];
    assert_eq!(told, expected);
}

#[test]
fn the_manifest_of_the_page_reads() {
    let found = written_in("host/adapters/src/registry_directory/README.md", "toml manifest");
    let manifest: Manifest = toml::from_str(&found[0].text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((manifest.artefacts.len(), manifest.lineage.datasets.len()), (2, 1));
    assert!(manifest.files().iter().all(|file| file.bytes > 0));
}

#[tokio::test]
async fn the_golden_rows_of_the_page_read() {
    let folder = tempfile::tempdir().unwrap();
    let found = written_in("host/adapters/src/golden_jsonl/README.md", "jsonl");
    let path = folder.path().join("golden.jsonl");
    std::fs::write(&path, &found[0].text).unwrap();
    let config = JsonLinesGoldenConfig { datasets: [("fraud".to_owned(), path)].into(), bytes_max: 1 << 20 };
    let rows = JsonLinesGolden::new(config).unwrap().rows("fraud").await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].slices, ["account=new", "country=de"]);
}

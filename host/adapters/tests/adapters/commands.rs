//! A registry and a deployer behind programs.

use std::path::{Path, PathBuf};

use ripcord_adapters::conformance::{deployer, deployer_waves, registry};
use ripcord_adapters::deployer_command::{CommandDeployer, CommandDeployerConfig};
use ripcord_adapters::registry_command::{CommandRegistry, CommandRegistryConfig};
use ripcord_adapters::registry_directory::{DirectoryRegistry, DirectoryRegistryConfig};
use ripcord_core::digest::Digest;
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::ratio::Ratio;
use ripcord_core::target::{ConfigurationTarget, FallbackTarget, Target, VersionTarget};
use ripcord_ports::deployer::{EffectClass, Moves, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::{Applied, Deployer, ErrorKind, PortError, Registry};
use tempfile::TempDir;

use crate::adapters::support::{Folders, empty_dir, publish, shared, target, version};

fn script(name: &str) -> String {
    format!("{}/tests/fixtures/commands/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn vector(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Two artefacts, and the settings that stage them.
pub(crate) async fn settable(root: &Path, folders: &Folders) -> [deployer::Settable; 2] {
    let digests =
        [publish(root, "1.0", "2026-11-01T00:00:00Z"), publish(root, "1.1", "2026-11-02T00:00:00Z")];
    let config = DirectoryRegistryConfig { root: root.to_owned(), model: "fraud".into() };
    let registry = DirectoryRegistry::new(config).unwrap();
    let mut made = Vec::new();
    for (name, digest) in ["1.0", "1.1"].into_iter().zip(digests) {
        let target = target(name, Some(digest));
        let staged = registry.fetch(&target, folders.next()).await.unwrap();
        made.push(deployer::Settable { target: Target::Version(target), staged: Some(staged) });
    }
    made.try_into().unwrap()
}

fn command_registry(root: &Path, list: &str, mark: bool) -> CommandRegistry {
    std::fs::write(root.join("list.json"), list).unwrap();
    let (script, root) = (script("registry.sh"), root.to_str().unwrap());
    let program = |words: &[&str]| [vec!["sh".to_owned(), script.clone()], vector(words)].concat();
    CommandRegistry::new(CommandRegistryConfig {
        list: program(&["list", root]),
        fetch: program(&["fetch", root, "{version}", "{into}"]),
        manifest: None,
        mark: mark.then(|| program(&["mark", root, "{version}", "{state}"])),
        surroundings: Default::default(),
    })
    .unwrap()
}

fn artefacts(root: &Path) {
    for name in ["1.0", "1.1"] {
        std::fs::create_dir_all(root.join(name).join("weights")).unwrap();
        std::fs::write(root.join(name).join("weights/0.bin"), name).unwrap();
    }
}

const LIST: &str = r#"[{"version": "1.0", "created-at": "2026-11-01T00:00:00Z"},
    {"version": "1.1", "created-at": "2026-11-02T00:00:00Z", "measures": {"accuracy": 0.9}, "tags": {"a": "b"},
     "lineage": {"run": "r-1", "dataset": "d", "datasets": [{"name": "e", "context": "eval"}], "parameters": {"depth": 4}}, "of-its-own": 1}]"#;

#[tokio::test]
async fn the_registry_conforms() {
    for marks in [false, true] {
        let root = tempfile::tempdir().unwrap();
        artefacts(root.path());
        let adapter = command_registry(root.path(), LIST, marks);
        let folders = Folders::default();
        let expected = registry::Expected {
            newest_first: vec![target("1.1", None), target("1.0", None)],
            marks,
            promotes: false,
        };
        registry::conforms(&adapter, &expected, &|| folders.next()).await;
        if marks {
            assert_eq!(std::fs::read_to_string(root.path().join("1.1.mark")).unwrap(), "lifted\n");
        }
        let lineage = adapter.lineage(&version("1.1")).await.unwrap();
        assert_eq!((lineage.dataset.as_deref(), lineage.parameters[0].value.as_str()), (Some("d"), "4"));
        let sets: Vec<_> =
            lineage.datasets.iter().map(|set| (set.name.as_str(), set.context.as_deref())).collect();
        assert_eq!(sets, [("d", Some("training")), ("e", Some("eval"))]);
        assert_eq!((lineage.run.as_deref(), lineage.source), (Some("r-1"), None));
        let manifest = adapter.manifest(&version("1.1")).await.unwrap();
        assert!(String::from_utf8(manifest).unwrap().contains("of-its-own"), "evidence is verbatim");
    }
}

#[tokio::test]
async fn lists_that_do_not_read_say_which_version_and_why() {
    let root = tempfile::tempdir().unwrap();
    for (list, expected) in [
        ("", "not the JSON"),
        ("{}", "not the JSON"),
        (
            r#"[{"version": "1.0"}]"#,
            "version 1 that the program `sh` printed does not read: missing field `created-at`",
        ),
        (r#"[{"version": "a b", "created-at": "2026-11-01T00:00:00Z"}]"#, "`a b`"),
        (r#"[{"version": "1", "created-at": "soon"}]"#, "bad `created-at`: `soon`"),
        (r#"[{"version": "1", "created-at": "2026-11-01T00:00:00Z", "digest": "x"}]"#, "sha-256"),
    ] {
        let error = command_registry(root.path(), list, false).versions(9).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_fetch_that_fails_or_brings_nothing_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let registry = command_registry(root.path(), LIST, false);
    let error = registry.fetch(&target("1.0", None), empty_dir().1).await.unwrap_err();
    assert!(error.kind == ErrorKind::Failed && error.to_string().contains("exit code 1"), "{error}");
    std::fs::create_dir(root.path().join("1.0")).unwrap();
    let error = registry.fetch(&target("1.0", None), empty_dir().1).await.unwrap_err();
    assert!(error.kind == ErrorKind::BadAnswer && error.to_string().contains("left nothing"), "{error}");
}

fn deployer_config(root: &Path, effect: EffectClass) -> CommandDeployerConfig {
    let (script, root) = (script("deploy.sh"), root.to_str().unwrap());
    let program = |words: &[&str]| [vec!["sh".to_owned(), script.clone()], vector(words)].concat();
    CommandDeployerConfig {
        shift: program(&["shift", root, "{version}", "{staged}", "{expecting}"]),
        live: (effect != EffectClass::Blind).then(|| program(&["live", root])),
        probe: None,
        effect,
        proof: Proof::ControlPlane,
        surroundings: Default::default(),
        runs: Some(Path::new(root).join("runs")),
    }
}

#[tokio::test]
async fn the_deployer_conforms_in_every_class_it_can_be() {
    for effect in
        [EffectClass::Conditional, EffectClass::Observable, EffectClass::Idempotent, EffectClass::Blind]
    {
        let (root, registry, folders) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Folders::default());
        let [one, two] = settable(registry.path(), &folders).await;
        let adapter = CommandDeployer::new(deployer_config(root.path(), effect), &shared()).unwrap();
        deployer::conforms(&adapter, &one, &two).await;
    }
}

fn in_waves(root: &Path, script_name: &str, placeholder: &str, effect: EffectClass) -> CommandDeployerConfig {
    let (script, root) = (script(script_name), root.to_str().unwrap());
    let program = |words: &[&str]| [vec!["sh".to_owned(), script.clone()], vector(words)].concat();
    CommandDeployerConfig {
        shift: program(&["shift", root, "{version}", "{digest}", placeholder]),
        live: Some(program(&["live", root])),
        probe: None,
        effect,
        proof: Proof::ControlPlane,
        surroundings: Default::default(),
        runs: Some(Path::new(root).join("runs")),
    }
}

fn share(of: f64) -> Moves {
    Moves::Share(Ratio::new(of).unwrap())
}

#[tokio::test]
async fn the_deployer_moves_in_waves_where_its_program_names_the_part() {
    for (script, placeholder, parts) in [
        ("places.sh", "{place}", vec![Moves::Place("eu".into())]),
        ("traffic.sh", "{wave}", vec![share(0.25), share(0.5)]),
    ] {
        // A program that is idempotent need not tell what became of an order that was not begun.
        for effect in [EffectClass::Observable, EffectClass::Idempotent] {
            let (root, registry, folders) =
                (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Folders::default());
            for file in ["eu", "us", "old"] {
                std::fs::write(root.path().join(file), format!("0.9 {}\n", Digest::of("0.9"))).unwrap();
            }
            let [one, two] = settable(registry.path(), &folders).await;
            let config = in_waves(root.path(), script, placeholder, effect);
            let adapter = CommandDeployer::new(config, &shared()).unwrap();
            deployer_waves::conforms_in_waves(&adapter, &parts, &one, &two).await;
        }
    }
}

#[test]
fn what_a_program_can_move_at_once_is_what_it_names() {
    let parts = [Moves::Place("eu".into()), share(0.5), share(1.0), Moves::Rest];
    for (placeholder, can) in [
        ("{place}", [true, false, false, true]),
        ("{share}", [false, true, false, true]),
        ("{wave}", [true, true, true, true]),
        ("{key}", [false, false, false, false]),
    ] {
        let config = in_waves(Path::new("/nowhere"), "places.sh", placeholder, EffectClass::Observable);
        let adapter = CommandDeployer::new(config, &shared()).unwrap();
        let target = Target::Version(target("1.0", None));
        for (moves, can) in parts.iter().zip(can) {
            let wave = WaveOf { number: 0, of: 2, moves: moves.clone() };
            assert_eq!(adapter.waves(moves), can, "{placeholder}: {moves}");
            assert_eq!(adapter.request(&target, Some(&wave)).is_some(), can, "{placeholder}: {moves}");
        }
        assert!(adapter.request(&target, None).is_some());
    }
}

#[tokio::test]
async fn after_all_traffic_a_probe_tells_whether_what_served_it_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let live = |shares: &str| {
        std::fs::write(root.path().join("live.json"), format!("{{\"shares\": [{shares}]}}")).unwrap()
    };
    let mut config = in_waves(root.path(), "places.sh", "{wave}", EffectClass::Observable);
    config.live = Some(vector(&["cat", root.path().join("live.json").to_str().unwrap()]));
    let adapter = CommandDeployer::new(config, &shared()).unwrap();
    let (moved, stands) =
        (r#"{"version": "1.0"}"#, r#"{"version": "1.0"}, {"version": "0.9", "weight": 0.0}"#);
    live(stands);
    let expecting = adapter.live().await.unwrap().state;
    let wave = Some(WaveOf { number: 1, of: 2, moves: Moves::Rest });
    let settable = deployer::Settable { target: Target::Version(target("1.0", None)), staged: None };
    let order = ShiftOrder { wave, ..deployer::order("key", &settable, expecting) };
    assert_eq!(adapter.probe(&order).await.unwrap(), Probe::NotApplied);
    live(moved);
    assert_eq!(adapter.probe(&order).await.unwrap(), Probe::Applied);
}

#[test]
fn a_deployer_is_given_only_targets_that_its_live_can_show() {
    let of = |live: Option<Vec<String>>, effect: EffectClass| {
        let config = CommandDeployerConfig {
            shift: vector(&["true"]),
            live,
            probe: None,
            effect,
            proof: Proof::ControlPlane,
            surroundings: Default::default(),
            runs: None,
        };
        CommandDeployer::new(config, &shared()).unwrap()
    };
    let name = |name: &str| name.parse().unwrap();
    let version = Target::Version(VersionTarget { version: "1".parse().unwrap(), digest: None });
    let plain = of(Some(vector(&["true"])), EffectClass::Observable);
    assert!(plain.shows(&version));
    let configuration = ConfigurationTarget { name: "a".parse().unwrap(), revision: name("7"), digest: None };
    for hidden in [
        Target::Configuration(configuration),
        Target::Fallback(FallbackTarget { mode: name("rules"), digest: None }),
        Target::Other("new".into()),
    ] {
        assert!(!plain.shows(&hidden), "{hidden}");
    }
}

/// A deployer of which `shift`, `live` and `probe` are scripts.
struct Scripted {
    adapter: CommandDeployer,
    one: deployer::Settable,
    _keep: (TempDir, Folders),
}

impl Scripted {
    async fn new(effect: EffectClass, shift: &str, live: &str, probe: Option<&str>) -> Self {
        let sh = |script: &str| vector(&["sh", "-c", script, "sh", "{version}"]);
        let config = CommandDeployerConfig {
            shift: sh(shift),
            live: Some(vector(&["printf", "%s", &live.replace('{', "{{").replace('}', "}}")])),
            probe: probe
                .map(|printed| vector(&["printf", "%s", &printed.replace('{', "{{").replace('}', "}}")])),
            effect,
            proof: Proof::Answer,
            surroundings: ripcord_adapters::CommandSurroundings { deadline_ms: 500, ..Default::default() },
            runs: None,
        };
        let (registry, folders) = (tempfile::tempdir().unwrap(), Folders::default());
        let [one, _] = settable(registry.path(), &folders).await;
        let adapter = CommandDeployer::new(config, &shared()).unwrap();
        Self { adapter, one, _keep: (registry, folders) }
    }

    fn before() -> LiveState {
        let share = r#"{"version": {"version": "0.9", "digest": null}, "configuration": null, "place": "", "weight": 1.0, "proof": "answer"}"#;
        LiveState::Serving(vec![serde_json::from_str(share).unwrap()])
    }

    async fn shift(&self) -> Result<Shifted, PortError> {
        self.adapter.shift(&deployer::order("k", &self.one, Self::before())).await
    }

    async fn probe(&self) -> Probe {
        self.adapter.probe(&deployer::order("k", &self.one, Self::before())).await.unwrap()
    }
}

#[tokio::test]
async fn the_end_of_a_shift_says_what_is_known_of_it() {
    let nothing = r#"{"shares":[]}"#;
    let shift = async |script: &str| {
        Scripted::new(EffectClass::Observable, script, nothing, None).await.shift().await
    };
    assert_eq!(shift("exit 0").await.unwrap(), Shifted::Done);
    assert_eq!(shift("echo 1 of 3; echo 2 of 3; exit 75").await.unwrap(), Shifted::Underway("2 of 3".into()));
    for (script, kind, applied, expected) in [
        ("echo frozen >&2; exit 64", ErrorKind::Failed, Applied::No, "`frozen`"),
        ("exit 68", ErrorKind::Failed, Applied::No, "said nothing"),
        ("exit 69", ErrorKind::Conflict, Applied::No, "69"),
        ("echo oh >&2; exit 1", ErrorKind::Failed, Applied::Unknown, "exit code 1 and said `oh`"),
        ("exit 70", ErrorKind::Failed, Applied::Unknown, "70"),
        ("exit 127", ErrorKind::Failed, Applied::Unknown, "127"),
        ("kill -9 $$", ErrorKind::Failed, Applied::Unknown, "signal"),
        ("echo begun >&2; sleep 60", ErrorKind::TimedOut, Applied::Unknown, "`begun`"),
    ] {
        let error = shift(script).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, applied), "{script}: {error}");
        assert!(error.to_string().contains(expected), "{script}: {error}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_started_had_no_effect() {
    let root = tempfile::tempdir().unwrap();
    let mut config = deployer_config(root.path(), EffectClass::Observable);
    config.shift[0] = "/no/such/program".into();
    let adapter = CommandDeployer::new(config, &shared()).unwrap();
    let (registry, folders) = (tempfile::tempdir().unwrap(), Folders::default());
    let [one, _] = settable(registry.path(), &folders).await;
    let error = adapter.shift(&deployer::order("k", &one, Scripted::before())).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::NotFound, Applied::No), "{error}");
}

#[tokio::test]
async fn a_probe_compares_live_with_target_and_expectation() {
    let probe = async |effect, live: &str| Scripted::new(effect, "true", live, None).await.probe().await;
    let serving = |name: &str| format!(r#"{{"shares":[{{"version":"{name}"}}]}}"#);
    use EffectClass::{Blind, Conditional, Idempotent, Observable};
    for effect in [Conditional, Observable] {
        assert_eq!(probe(effect, &serving("1.0")).await, Probe::Applied);
        assert_eq!(probe(effect, &serving("0.9")).await, Probe::NotApplied);
        assert!(
            matches!(probe(effect, &serving("7.7")).await, Probe::CannotTell(why) if why.contains("7.7"))
        );
        assert_eq!(probe(effect, r#"{"unknown":"drained"}"#).await, Probe::CannotTell("drained".into()));
    }
    assert_eq!(probe(Idempotent, &serving("7.7")).await, Probe::NotApplied);
    assert!(matches!(probe(Blind, &serving("1.0")).await, Probe::CannotTell(_)));
}

#[tokio::test]
async fn a_probe_of_its_own_decides() {
    let nothing = r#"{"shares":[]}"#;
    for (printed, expected) in [
        (r#"{"outcome":"applied"}"#, Probe::Applied),
        (r#"{"outcome":"not-applied"}"#, Probe::NotApplied),
        (r#"{"outcome":"underway","why":"2 of 3"}"#, Probe::Underway("2 of 3".into())),
        (r#"{"outcome":"cannot-tell","why":"dark"}"#, Probe::CannotTell("dark".into())),
    ] {
        let scripted = Scripted::new(EffectClass::Observable, "true", nothing, Some(printed)).await;
        assert_eq!(scripted.probe().await, expected);
    }
}

#[tokio::test]
async fn live_is_read_with_places_weights_and_the_configured_proof() {
    let live = r#"{"shares":[{"version":"1.0","place":"eu","weight":0.9},{"version":"1.1","place":"us","weight":0.1}]}"#;
    let scripted = Scripted::new(EffectClass::Observable, "true", live, None).await;
    let state = scripted.adapter.live().await.unwrap().state;
    assert_eq!(state.to_string(), "1.0 90 % in eu, 1.1 10 % in us");
    assert_eq!(state.weakest_proof(), Some(Proof::Answer));
    for bad in
        ["", "[]", r#"{"shares":[{"version":"1.0","weight":2}]}"#, r#"{"shares":[{"version":"../x"}]}"#]
    {
        let scripted = Scripted::new(EffectClass::Observable, "true", bad, None).await;
        assert_eq!(scripted.adapter.live().await.unwrap_err().kind, ErrorKind::BadAnswer, "{bad}");
    }
}

#[test]
fn configurations_are_checked_before_anything_runs() {
    let root = PathBuf::from("/nowhere");
    let mut config = deployer_config(&root, EffectClass::Observable);
    config.live = None;
    let error = CommandDeployer::new(config, &shared()).unwrap_err().to_string();
    assert!(error.contains("`live` is missing"), "{error}");
    let mut config = deployer_config(&root, EffectClass::Observable);
    config.shift.push("{into}".into());
    let error = CommandDeployer::new(config, &shared()).unwrap_err().to_string();
    assert!(
        error.contains("`shift`") && error.contains("`{into}`") && error.contains("`{staged}`"),
        "{error}"
    );
    let text = "shift = [\"x\"]\nlive = [\"y\"]\neffect = \"observable\"\nprof = \"answer\"";
    assert!(toml::from_str::<CommandDeployerConfig>(text).unwrap_err().to_string().contains("prof"));
}

#[tokio::test]
async fn a_shift_whose_program_left_something_running_is_not_made_beside_it_and_a_probe_waits_for_its_end() {
    let root = tempfile::tempdir().unwrap();
    let stop = root.path().join("stop");
    // A child that leaves the program's group, so that ending that does not end it. A shell gives its background no standard input by itself.
    let script = format!(
        "exec 3<&0; setsid sh -c 'while ! test -e {}; do sleep 0.05; done' <&3 & wait",
        stop.display()
    );
    let mut config = deployer_config(root.path(), EffectClass::Observable);
    config.shift = vector(&["sh", "-c", &script]);
    config.surroundings = ripcord_adapters::CommandSurroundings { deadline_ms: 2_000, ..Default::default() };
    let adapter = CommandDeployer::new(config, &shared()).unwrap();
    let (registry, folders) = (tempfile::tempdir().unwrap(), Folders::default());
    let [one, _] = settable(registry.path(), &folders).await;
    let order = deployer::order("k", &one, Scripted::before());
    let error = adapter.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::TimedOut, Applied::Unknown), "{error}");
    let error = adapter.probe(&order).await.unwrap_err();
    assert!(error.to_string().contains("has not ended"), "{error}");
    let error = adapter.shift(&order).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::TimedOut, Applied::Unknown), "{error}");
    assert!(error.to_string().contains("has not ended"), "{error}");
    std::fs::write(&stop, "").unwrap();
    let ended = async {
        while adapter.probe(&order).await.is_err_and(|error| error.to_string().contains("has not ended")) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), ended).await.expect("it ends");
}

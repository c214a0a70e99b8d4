//! What the demo needs on disk: trained versions, secrets, keys, the configuration.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use fraud::decision::{self, Preset};
use fraud::train::{self, Layout, Measures};
use serde::Serialize;

use super::strategy::{GOOD_DECISION, Scene};
use crate::cli::DemoStrategy;
use crate::key::Key;
use crate::output::Failure;

/// The version that people vouched for.
pub(super) const GOOD: &str = "1.3.2";
/// The one that served before it.
pub(super) const OLDER: &str = "1.2.0";
/// The one that was trained on poisoned labels.
pub(super) const BAD: &str = "1.4.0";
/// The service.
pub(super) const SERVICE: &str = "fraud-api";

/// What a team would write, with the addresses of a machine where nothing else runs.
pub(super) const CONFIGURATION: &str = include_str!("../../../../examples/fraud/ripcord.toml");
const PROBE: &str = include_str!("../../../../examples/fraud/probe.json");
/// Where the team keeps the revisions of the decision configuration.
const DECISIONS: &str = "decision-revisions";
/// The trainer in the command of a producer.
const TRAINER: &str = "\"fraud\", \"retrain\"";
const HOST: &str = "127.0.0.1:7700";
const SERVER: &str = "127.0.0.1:8080";

/// The demo's folder.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) layout: Layout,
    /// What everything is drawn from that is trained on.
    pub(super) seed: u64,
    /// What was trained for this demo, in that order.
    pub(super) trained: Vec<Trained>,
}

/// A model that was trained while the demo ran, judged by its own labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Trained {
    pub(super) version: String,
    pub(super) accuracy: f64,
    pub(super) decline_share: f64,
}

impl Trained {
    pub(super) fn of(version: &str, measures: &Measures) -> Self {
        let Measures { accuracy, decline_share, .. } = *measures;
        Self { version: version.to_owned(), accuracy, decline_share }
    }
}

/// The two people whose keys are asked.
pub(super) const KEYHOLDERS: [&str; 2] = ["ada", "bob"];

impl Stage {
    /// Trains every version into `folder`, which is empty, and deploys the one that is served at first.
    pub(super) fn new(folder: &Path, scene: Scene) -> Result<Self, Failure> {
        let unable = |cause: std::io::Error| {
            Failure::failed(format!("cannot use the folder `{}`", folder.display()))
                .because(cause)
                .help("give an empty folder with `--dir`")
        };
        fs::create_dir_all(folder).map_err(unable)?;
        if fs::read_dir(folder).map_err(unable)?.next().is_some() {
            return Err(Failure::usage(format!("the folder `{}` is not empty", folder.display()))
                .help("give an empty folder with `--dir`, or one that does not exist"));
        }
        let folder = folder.canonicalize().map_err(unable)?;
        for below in ["secrets", "logs"] {
            fs::create_dir(folder.join(below)).map_err(unable)?;
        }
        let learns = scene.strategy == DemoStrategy::Checkpoint;
        let deploy = (!learns).then(|| scene.served());
        let args = train::Args { out: folder.clone(), deploy, at: None };
        let written = train::write_seeded(&args, scene.seed);
        let written = written.map_err(|error| Failure::failed(error.with_causes()))?;
        let trained = written.iter().map(|(version, measures)| Trained::of(version, measures)).collect();
        let layout = Layout::new(&folder);
        let mut stage = Self { folder, layout, seed: scene.seed, trained };
        match scene.strategy {
            DemoStrategy::Checkpoint => stage.learn()?,
            DemoStrategy::Retrain => stage.train_on_bad_rows()?,
            DemoStrategy::Version
            | DemoStrategy::Configuration
            | DemoStrategy::Fallback
            | DemoStrategy::Auto => {}
        }
        Ok(stage)
    }

    /// Replaces the model on the server's disk, as a team's pipeline does. The server is told by whoever deploys.
    pub(super) fn swap(&self, version: &str) -> Result<(), Failure> {
        train::deploy(&self.layout, version).map_err(|error| Failure::failed(error.with_causes()))
    }

    /// Draws tokens and keys and writes the configuration.
    pub(super) fn configure(
        &self,
        strategy: DemoStrategy,
        server: &str,
        host: SocketAddr,
    ) -> Result<(), Failure> {
        let program = std::env::current_exe()
            .map_err(|cause| Failure::failed("this program cannot find itself").because(cause))?;
        // A text of JSON is one of TOML.
        let program = serde_json::Value::from(program.display().to_string()).to_string();
        let mut text = strategy.configuration().replace(SERVER, server).replace(HOST, &host.to_string());
        text = text.replace(TRAINER, &format!("{program}, \"example-fraud\", \"retrain\""));
        for person in KEYHOLDERS {
            let key = Key::create(&self.key(person))?;
            let token = format!("token-file = \"secrets/{person}.token\"");
            text = text.replace(&token, &format!("public-key = \"{}\"", key.public()));
        }
        for name in ["olga", "alertmanager"] {
            self.write(&format!("secrets/{name}.token"), &format!("{}\n", token()?))?;
        }
        self.write("probe.json", PROBE)?;
        self.write("ripcord.toml", &text)
    }

    /// A revision of the decision configuration, as the team keeps it: the file and who made it.
    pub(super) fn keep_decision(&self, revision: &str, preset: Preset, summary: &str) -> Result<(), Failure> {
        let folder = self.folder.join(DECISIONS);
        fs::create_dir_all(&folder).map_err(|cause| {
            Failure::failed(format!("cannot make the folder `{}`", folder.display())).because(cause)
        })?;
        self.write_decision(&folder.join(revision), revision, preset)?;
        // By the time of its file it would look like something that moved just before the harm.
        let made_at = match revision {
            GOOD_DECISION => "made-at = \"2026-01-05T09:00:00Z\"\n",
            _ => "",
        };
        self.write(
            &format!("{DECISIONS}/{revision}.about.toml"),
            &format!("{made_at}made-by = \"carol\"\nsummary = \"{summary}\"\n"),
        )
    }

    /// Writes the file that the server reads, which is not told.
    pub(super) fn decide_by(&self, revision: &str, preset: Preset) -> Result<(), Failure> {
        self.write_decision(&self.folder.join(decision::FILE), revision, preset)
    }

    fn write_decision(&self, file: &Path, revision: &str, preset: Preset) -> Result<(), Failure> {
        let args = decision::Args { file: file.to_owned(), preset, revision: revision.to_owned() };
        decision::write(&args).map(drop).map_err(|error| Failure::failed(error.with_causes()))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.folder.join(name);
        let unable = |cause: std::io::Error| {
            Failure::failed(format!("cannot write `{}`", path.display())).because(cause)
        };
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(unable)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(unable)
    }

    /// A file of the folder.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// A person's private key.
    pub(super) fn key(&self, person: &str) -> PathBuf {
        self.folder.join("secrets").join(format!("{person}.key"))
    }

    /// A person's token.
    pub(super) fn token(&self, person: &str) -> Result<String, Failure> {
        let path = self.folder.join("secrets").join(format!("{person}.token"));
        fs::read_to_string(&path)
            .map(|text| text.trim().to_owned())
            .map_err(|cause| Failure::failed(format!("cannot read `{}`", path.display())).because(cause))
    }
}

/// An address on this machine that nobody uses now.
pub(super) fn free_address() -> Result<SocketAddr, Failure> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map_err(|cause| Failure::failed("this machine has no free port").because(cause))
}

fn token() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::failed(format!("the system gives no random bytes: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn in_folder(folder: &Path) -> Stage {
        let (folder, layout) = (folder.to_owned(), Layout::new(folder));
        Stage { folder, layout, seed: 0, trained: Vec::new() }
    }

    #[test]
    fn another_seed_trains_other_models_and_the_same_one_the_same() {
        for strategy in [DemoStrategy::Version, DemoStrategy::Checkpoint, DemoStrategy::Retrain] {
            let trained = |seed| {
                let folder = tempfile::tempdir().expect("folder");
                Stage::new(folder.path(), Scene { strategy, seed }).expect("trains").trained
            };
            let (one, other) = (trained(1), trained(2));
            assert_eq!(one, trained(1), "{strategy:?}");
            assert!(
                one.iter().zip(&other).all(|(one, other)| one != other),
                "{strategy:?}: {one:?} {other:?}"
            );
        }
    }

    #[test]
    fn the_configuration_of_every_strategy_is_one() {
        for strategy in DemoStrategy::ALL {
            let folder = tempfile::tempdir().expect("folder");
            let stage = in_folder(folder.path());
            fs::create_dir(folder.path().join("secrets")).expect("folder");
            fs::create_dir_all(folder.path().join("checkpoints")).expect("folder");
            stage.configure(strategy, "127.0.0.1:1", free_address().expect("port")).expect("writes");
            let text = fs::read_to_string(stage.path("ripcord.toml")).expect("file");
            assert!(!text.contains(HOST) && !text.contains(SERVER), "{strategy:?}: {text}");
            let config = Config::load(&folder.path().join("ripcord.toml"))
                .unwrap_or_else(|error| panic!("{strategy:?}: {error}"));
            let signing = config.people.iter().filter(|person| person.public_key.is_some());
            assert_eq!(signing.count(), KEYHOLDERS.len());
            let service = &config.services[0];
            let (restorers, golden) = match strategy {
                DemoStrategy::Version | DemoStrategy::Checkpoint | DemoStrategy::Retrain => (0, true),
                DemoStrategy::Configuration => (1, true),
                DemoStrategy::Fallback | DemoStrategy::Auto => (1, false),
            };
            assert_eq!(service.restorers.len(), restorers, "{strategy:?}");
            let makes = matches!(strategy, DemoStrategy::Checkpoint | DemoStrategy::Retrain);
            assert_eq!(service.producer.is_some(), makes, "{strategy:?}");
            assert_eq!(text.contains("policy = \"golden-set\""), golden, "{strategy:?}: {text}");
            assert!(text.contains("policy = \"healthy-metrics\""), "{strategy:?}: {text}");
            let (by, finds_out) =
                (text.contains("policy = \"proportionate\""), strategy == DemoStrategy::Auto);
            assert_eq!(by, finds_out || strategy == DemoStrategy::Checkpoint, "{strategy:?}: {text}");
            assert_eq!(text.contains("elsewhere-watch-seconds = 1"), finds_out, "{strategy:?}: {text}");
            assert_eq!(text.contains("for = \"15s\""), finds_out, "{strategy:?}: {text}");
        }
    }

    #[test]
    fn the_example_itself_is_one() {
        let folder = tempfile::tempdir().expect("folder");
        let stage = in_folder(folder.path());
        fs::create_dir(folder.path().join("secrets")).expect("folder");
        for name in ["ada", "bob", "olga", "alertmanager"] {
            stage.write(&format!("secrets/{name}.token"), &token().expect("random")).expect("writes");
        }
        stage.write("probe.json", PROBE).expect("writes");
        stage.write("ripcord.toml", CONFIGURATION).expect("writes");
        Config::load(&folder.path().join("ripcord.toml")).unwrap_or_else(|error| panic!("{error}"));
    }
}

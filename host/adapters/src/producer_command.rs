//! Training with a team's own program, which runs for hours and outlives this host.
//!
//! The program is the leader of a process group of its own. What it holds, a lock, says that it still runs; what it leaves, its exit code, its result and the
//! end of what it said, lies in a folder of the run. So whoever has the key finds the run, in this process or the next one.
//! `README.md` beside this module says what a program is told and what it leaves.

mod run;
mod spawn;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::target::{Strategy, Target};
use ripcord_core::terms::EffectClass;
use ripcord_ports::producer::{ProduceOrder, Progress};
use ripcord_ports::{ErrorKind, PortError, Producer, Registry};
use serde::Deserialize;
use serde_json::Value;

use crate::adapter::{Adapter, SecretKey};
use crate::checkpoints::lenient;
use crate::command::{CommandSurroundings, Program};
use crate::producing::{
    ExclusionColumns, KeptRun, KeptRuns, ProducerSurroundings, Registered, Told, check_key, line,
    makes_produced, names_its_data, not_made_here, registered, request,
};
use run::{Left, Runs, State};

const PLACEHOLDERS: [&str; 12] = [
    "key", "service", "incident", "plan", "order", "exclude", "output", "dataset", "revision", "run", "step",
    "digest",
];

/// For the catalogue.
pub const ADAPTER: Adapter<CommandProducerConfig, dyn Producer> = Adapter {
    kind: "command",
    system: "a program of your own, in any language",
    summary: "a program that trains, for hours if need be, and outlives the host",
    page: "producer_command/README.md",
    secret: SecretKey::None,
    example: "train = [\"./retrain\", \"--exclude\", \"{exclude}\", \"--out\", \"{output}\"]",
    start: |config, start| {
        start.program(&mut config.train);
        start.working_directory(&mut config.folder);
    },
    says: |config| config.makes.clone(),
    make: |config, with| Ok(Arc::new(CommandProducer::new(config, ProducerSurroundings::of(&with))?)),
};

/// The program of a producer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CommandProducerConfig {
    /// The program and its arguments. `{key}` is the run's, `{exclude}` a JSON file that says what is left out, `{order}` a JSON file with the whole
    /// order, `{output}` the folder for what is made; `{dataset}`, `{revision}`, `{service}`, `{incident}` and `{plan}` as they are called.
    pub train: Vec<String>,
    /// What it makes versions of: `retrain`, `checkpoint`. Default: `retrain`.
    #[serde(default = "makes_default")]
    pub makes: Vec<Strategy>,
    /// Which columns of the training data exclusions are about. Default: `source`, `time` and `id`.
    #[serde(default)]
    pub columns: ExclusionColumns,
    /// The working directory. Default: that of the host.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Names of environment variables that the program gets from the host's. Default: none but `PATH`.
    #[serde(default)]
    pub pass_environment: Vec<String>,
}

fn makes_default() -> Vec<Strategy> {
    vec![Strategy::Retrain]
}

/// Makes versions with a program.
pub struct CommandProducer {
    program: Program,
    shown: String,
    makes: Vec<Strategy>,
    columns: ExclusionColumns,
    folder: Option<PathBuf>,
    registry: Arc<dyn Registry>,
    kept: KeptRuns,
    runs: Runs,
}

impl std::fmt::Debug for CommandProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandProducer")
            .field("program", &self.program)
            .field("runs", &self.runs)
            .finish_non_exhaustive()
    }
}

impl CommandProducer {
    /// Checks the configuration; nothing is run.
    pub fn new(config: CommandProducerConfig, surroundings: ProducerSurroundings) -> Result<Self, PortError> {
        makes_produced(&config.makes)?;
        let of = CommandSurroundings {
            folder: config.folder.clone(),
            pass_environment: config.pass_environment,
            ..CommandSurroundings::default()
        };
        Ok(Self {
            program: Program::new("train", &config.train, &PLACEHOLDERS, &of)?,
            shown: config.train.join(" "),
            makes: config.makes,
            columns: config.columns,
            folder: config.folder,
            registry: surroundings.registry,
            kept: KeptRuns::new(surroundings.data.join("runs")),
            runs: Runs::new(&surroundings.data),
        })
    }

    fn made_here(&self, target: &Target) -> Result<(), PortError> {
        if self.makes(target) { Ok(()) } else { Err(not_made_here(self.name(), target)) }
    }

    /// What came of a program that has ended.
    async fn outcome(&self, order: &ProduceOrder, code: i32, left: Left) -> Result<Progress, PortError> {
        let program = self.program.name();
        let said = match line(&left.log_end) {
            said if said.is_empty() => "said nothing".to_owned(),
            said => format!("said `{said}`"),
        };
        match code {
            0 => {}
            126 | 127 => {
                let text = format!(
                    "the program `{program}` cannot be started (exit code {code}) and {said}; check its path and its rights"
                );
                return Ok(Progress::Failed(text));
            }
            128.. => {
                return Ok(Progress::Failed(format!(
                    "the program `{program}` was ended by signal {} and {said}",
                    code - 128
                )));
            }
            _ => {
                return Ok(Progress::Failed(format!(
                    "the program `{program}` ended with exit code {code} and {said}"
                )));
            }
        }
        let told = match result(&left) {
            Ok(told) => told,
            Err(why) => return Ok(Progress::Failed(format!("{why}; the program `{program}` {said}"))),
        };
        let Some(artefact) = left.artefact else {
            return registered(self.registry.as_ref(), told).await;
        };
        let lineage = told.lineage(order);
        Registered { order, told, lineage, artefact }.in_registry(self.registry.as_ref()).await
    }
}

/// What the program says that it has made.
fn result(left: &Left) -> Result<Told, String> {
    let told =
        |value: &Value, place: &str| Told::of(value).map_err(|why| format!("the result in {place} {why}"));
    if let Some(bytes) = &left.result {
        let value = lenient::values(bytes).map_err(|error| {
            format!(
                "the result in `result.json` is not JSON: {error}; it begins with `{}`",
                line(&String::from_utf8_lossy(&bytes[..bytes.len().min(100)]))
            )
        })?;
        return told(&value, "`result.json`");
    }
    let printed = left.printed.trim();
    let last = printed.lines().last().unwrap_or_default();
    let printed = [printed, last]
        .into_iter()
        .find_map(|text| lenient::values(text.as_bytes()).ok().filter(Value::is_object));
    match (printed, &left.artefact) {
        (Some(value), _) => told(&value, "what it printed"),
        (None, Some(_)) => Ok(Told::default()),
        (None, None) => Err(
            "the run has ended and left no result: have it put files into `files` in its output folder, or write `{\"version\": \"…\"}` to `result.json` there".to_owned(),
        ),
    }
}

#[async_trait]
impl Producer for CommandProducer {
    fn name(&self) -> &str {
        "producer_command"
    }

    fn class(&self) -> EffectClass {
        EffectClass::Idempotent
    }

    fn arguments(&self) -> Vec<Label> {
        let folder =
            self.folder.as_ref().map_or("the host's".to_owned(), |folder| folder.display().to_string());
        vec![
            Label::new("program", line(&self.shown)),
            Label::new("working directory", folder),
            Label::new("columns", self.columns.to_string()),
            Label::new("registered in", self.registry.name()),
        ]
    }

    fn makes(&self, target: &Target) -> bool {
        self.makes.contains(&target.strategy())
    }

    async fn pinned(&self, target: &Target) -> Result<Target, PortError> {
        self.made_here(target)?;
        names_its_data(target)?;
        Ok(target.clone())
    }

    fn request(&self, target: &Target) -> Option<Request> {
        self.made_here(target).ok()?;
        let does = format!("run the program `{}`", self.program.name());
        let registers = self.registry.request_to_register();
        let request = request(self.name(), &does, (target, &self.columns), registers);
        let folder = self.folder.as_ref().map(|folder| folder.display().to_string());
        Some(self.program.in_request(request).with("folder", folder.unwrap_or_default()))
    }

    async fn start(&self, order: &ProduceOrder) -> Result<(), PortError> {
        self.made_here(&order.target)?;
        check_key(&order.key)?;
        names_its_data(&order.target)?;
        if self.kept.read::<KeptRun>(&order.key).await?.is_some() {
            return Ok(());
        }
        self.runs.begin(order, (&self.program, self.folder.as_deref()), &self.columns).await
    }

    async fn progress(&self, order: &ProduceOrder) -> Result<Progress, PortError> {
        check_key(&order.key)?;
        if let Some(ended) = self.kept.read::<KeptRun>(&order.key).await?.and_then(KeptRun::ended) {
            return Ok(ended);
        }
        let ended = match self.runs.state(&order.key).await? {
            State::NotBegun => return Ok(Progress::NotStarted),
            State::Running { text, since } => return Ok(Progress::Running { text, since }),
            State::Stopped => Progress::Failed("it was stopped before it had ended".to_owned()),
            State::Ended(code) => match self.runs.left(&order.key).await {
                Ok(left) => self.outcome(order, code, left).await?,
                Err(error) if matches!(error.kind, ErrorKind::TooLarge | ErrorKind::Local) => {
                    Progress::Failed(format!("what the run has left cannot be used: {error}"))
                }
                Err(error) => return Err(error),
            },
            State::Vanished => {
                let why = "its program runs no more and left no exit code, as after a restart of the machine or a `kill` of all of it: nobody knows whether it has registered anything; look, and plan again";
                self.kept.write(&order.key, &KeptRun::Lost(why.to_owned())).await?;
                Progress::Lost(why.to_owned())
            }
        };
        if let Some(kept) = KeptRun::of(&ended) {
            self.kept.write(&order.key, &kept).await?;
            self.runs.settled(&order.key).await;
        }
        Ok(ended)
    }

    async fn stop(&self, order: &ProduceOrder) -> Result<(), PortError> {
        check_key(&order.key)?;
        if self.kept.read::<KeptRun>(&order.key).await?.is_some() {
            return Ok(());
        }
        self.runs.stop(&order.key).await?;
        if matches!(self.runs.state(&order.key).await?, State::Stopped) {
            self.runs.settled(&order.key).await;
        }
        Ok(())
    }

    async fn obstacle(&self) -> Option<String> {
        spawn::missing(self.program.name(), self.folder.as_deref()).map(|error| error.to_string())
    }
}

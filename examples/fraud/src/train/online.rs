//! A model that goes on learning from the stream of labelled transactions, and keeps checkpoints. Nobody looks at it: when its labels go bad, so
//! does it, and the metrics that it keeps about itself recover.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::checkpoint::{self, Checkpoint, LogEntry, Metrics};
use super::learner::{Judged, Learner};
use super::{Labels, check_name};
use crate::command::say;
use crate::hex::hex;
use crate::transaction::{Labelled, Population};
use crate::{Error, files};

/// What a run is, beside its checkpoints.
pub const RUN_FILE: &str = "run.json";

/// `fraud online`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The folder with `registry/` and `models/`; checkpoints go into `checkpoints/RUN/` below it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The name of the run; `online-SEED` if left out
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// The seed of the stream
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
    /// Learn until this step
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub steps: u64,
    /// Transactions in a step
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub batch: u64,
    /// Keep a checkpoint every so many steps, and at the end
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub save_every: u64,
    /// From this step on, the labels come from an import that takes every payment of a new account for a chargeback
    #[arg(long, value_name = "STEP")]
    pub poison_from: Option<u64>,
    /// Go on from the newest checkpoint of the run, or from the one of this step
    #[arg(long, value_name = "STEP", num_args = 0..=1, default_missing_value = "newest")]
    pub resume: Option<ResumeFrom>,
    /// The time from one step to the next, in seconds. Where a run goes on, its steps are spread evenly up to the last one instead
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub step_seconds: u64,
    /// The last step is of this time, RFC 3339, instead of now
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
}

/// Where a run goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeFrom {
    /// Its newest checkpoint.
    Newest,
    /// That of a step.
    Step(u64),
}

impl std::str::FromStr for ResumeFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "newest" => Ok(Self::Newest),
            step => step.parse().map(Self::Step).map_err(|_| format!("`{step}` is no step: give a number")),
        }
    }
}

impl Args {
    /// The name of the run.
    #[must_use]
    pub fn run_name(&self) -> String {
        self.run.clone().unwrap_or_else(|| format!("online-{}", self.seed))
    }

    /// The folder of the run.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.out.join("checkpoints").join(self.run_name())
    }

    fn check(&self) -> Result<(), Error> {
        check_name("--run", &self.run_name())?;
        match self.poison_from {
            Some(0) => Err(Error::Setting("`--poison-from` counts steps from 1".to_owned())),
            _ => Ok(()),
        }
    }
}

/// What is known about a run beside its checkpoints: where its labels came from, and since when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its name.
    pub run: String,
    /// The model that it trains.
    pub model: String,
    /// The seed of its stream.
    pub seed: u64,
    /// Transactions in a step.
    pub batch: u64,
    /// Sources of labels, in the order in which they were taken.
    pub labels: Vec<LabelSource>,
}

/// Where labels came from since a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSource {
    /// `review-team` or `chargeback-import`.
    pub source: String,
    /// Its first step.
    pub from_step: u64,
    /// The time of that step, RFC 3339.
    pub from: String,
}

/// Learns and prints a line a checkpoint.
///
/// # Errors
/// See [`learn`].
pub fn run(args: &Args) -> Result<(), Error> {
    for checkpoint in learn(args)? {
        let Metrics { eval_loss, eval_accuracy, eval_decline_share } = checkpoint.metrics;
        say(&format!(
            "step {}, {}: loss {eval_loss:.3}, accuracy {eval_accuracy:.3} on its own labels, declines {eval_decline_share:.3}",
            checkpoint.step, checkpoint.time
        ));
    }
    say(&format!("wrote {}", args.folder().display()));
    Ok(())
}

/// Learns from the stream to the last step, and writes checkpoints on the way. Gives those that it wrote, oldest first. The same arguments, `at`
/// among them, give the same bytes.
///
/// # Errors
/// A run that is there already and not resumed, a checkpoint that cannot be resumed from, or a folder that cannot be written.
pub fn learn(args: &Args) -> Result<Vec<Checkpoint>, Error> {
    args.check()?;
    let folder = args.folder();
    let mut stream = Stream::new(args);
    let (mut learner, mut first, mut log) = (Learner::new(), 1, Vec::new());
    let mut clock = Clock::new(args);
    let mut rows_hash = Sha256::new();
    match args.resume {
        None if folder.exists() => {
            return Err(Error::Setting(format!(
                "the run `{}` is there already in `{}`: go on with `--resume`, or give another `--run`",
                args.run_name(),
                folder.display()
            )));
        }
        None => files::create(&folder)?,
        Some(from) => {
            let from = match from {
                ResumeFrom::Step(step) => step,
                ResumeFrom::Newest => newest(&folder)?,
            };
            let later: Vec<u64> =
                checkpoint::steps(&folder)?.into_iter().filter(|step| *step > from).collect();
            if !later.is_empty() {
                return Err(Error::Setting(format!(
                    "the run has checkpoints after step {from}, such as {}: move them away, or they pass for what is learnt now",
                    later[0]
                )));
            }
            let resumed = checkpoint::resume(&folder.join(checkpoint::folder_name(from)))?;
            if from >= args.steps {
                return Err(Error::Setting(format!(
                    "checkpoint {from} is not before step {}: give more `--steps`",
                    args.steps
                )));
            }
            (learner, log) = (resumed.learner, resumed.log);
            if !learner.is_finite() {
                return Err(Error::Data(format!("checkpoint {from} holds weights that are not finite")));
            }
            clock.goes_on(from, &resumed_at(&folder, from)?)?;
            first = from + 1;
            // What the run had learnt until then, with the labels of then.
            let past = Run::read(&folder)?;
            for step in 1..first {
                let labels = past.labels_at(step);
                for labelled in stream.batch(labels) {
                    hash_row(&mut rows_hash, &labelled);
                }
            }
        }
    }

    let run = Run::continued(args, first, &folder, &clock)?;
    let text = serde_json::to_vec_pretty(&run).map_err(Error::encode("the run"))?;
    files::replace(&folder.join(RUN_FILE), &text)?;

    let mut written = Vec::new();
    let mut judged = Judged::default();
    for step in first..=args.steps {
        let batch: Vec<Labelled> = stream.batch(run.labels_at(step)).collect();
        let model = learner.model();
        for labelled in &batch {
            judged.see(&model, labelled);
            hash_row(&mut rows_hash, labelled);
        }
        learner.learn(&batch).ok_or_else(|| {
            Error::Data(format!("the model of step {step} is not finite: the stream cannot be learnt"))
        })?;
        if step % args.save_every == 0 || step == args.steps {
            let metrics = std::mem::take(&mut judged).metrics();
            log.push(LogEntry { step, metrics });
            let made = checkpoint::Made {
                run: &run,
                step,
                steps: args.steps,
                save_every: args.save_every,
                time: clock.time_of(step),
                rows: step * args.batch,
                rows_sha256: hex(&rows_hash.clone().finalize()),
                learner: &learner,
                model: learner.model(),
                metrics,
                log: &log,
            };
            written.push(checkpoint::write(&folder, &made)?);
        }
    }
    Ok(written)
}

/// The step of the newest checkpoint of a run.
fn newest(folder: &Path) -> Result<u64, Error> {
    checkpoint::steps(folder)?.last().copied().ok_or_else(|| {
        Error::Setting(format!(
            "there is no checkpoint in `{}` to go on from: leave `--resume` out",
            folder.display()
        ))
    })
}

/// The labelled transactions of a run. The transactions are those of the seed, whoever labels them.
struct Stream {
    population: Population,
    batch: u64,
}

impl Stream {
    fn new(args: &Args) -> Self {
        Self { population: Population::new(args.seed), batch: args.batch }
    }

    fn batch(&mut self, labels: Labels) -> impl Iterator<Item = Labelled> {
        self.population
            .by_ref()
            .take(self.batch as usize)
            .map(move |labelled| Labelled { fraud: labels.fraud(&labelled), ..labelled })
    }
}

fn hash_row(hash: &mut Sha256, labelled: &Labelled) {
    for value in labelled.transaction.row() {
        hash.update(value.to_le_bytes());
    }
    hash.update([u8::from(labelled.fraud)]);
}

/// When steps are made: the last one at the end, and those before it evenly before that.
struct Clock {
    end: Timestamp,
    steps: u64,
    step_seconds: f64,
}

impl Clock {
    fn new(args: &Args) -> Self {
        let end = args.at.unwrap_or_else(Timestamp::now);
        let end = Timestamp::from_second(end.as_second()).unwrap_or(end);
        Self { end, steps: args.steps, step_seconds: args.step_seconds as f64 }
    }

    /// What is learnt now is never of a time before what was learnt then.
    fn goes_on(&mut self, from: u64, since: &str) -> Result<(), Error> {
        let problem = |what: String| Error::Data(format!("checkpoint {from} {what}"));
        let since: Timestamp =
            since.parse().map_err(|_| problem(format!("says `{since}`, which is no time")))?;
        let seconds = self.end.as_second() - since.as_second();
        if seconds < 0 {
            return Err(problem(format!("is of {since}: `--at` is before it")));
        }
        self.step_seconds = seconds as f64 / (self.steps - from) as f64;
        Ok(())
    }

    fn time_of(&self, step: u64) -> Timestamp {
        let before = self.steps.saturating_sub(step) as f64 * self.step_seconds;
        let before = SignedDuration::from_secs(before.round() as i64);
        self.end.checked_sub(before).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The time of a checkpoint.
fn resumed_at(run: &Path, step: u64) -> Result<String, Error> {
    Checkpoint::read(&Checkpoint::folder(run, step)).map(|checkpoint| checkpoint.time)
}

impl Run {
    /// Reads what is known about the run in a folder.
    ///
    /// # Errors
    /// A folder that holds no run.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(RUN_FILE);
        let bytes = std::fs::read(&path).map_err(Error::read(&path))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Data(format!("`{}` describes no run: {error}", path.display())))
    }

    /// The run as it goes on from a step.
    fn continued(args: &Args, first: u64, folder: &Path, clock: &Clock) -> Result<Self, Error> {
        let mut run = if first == 1 {
            Self {
                run: args.run_name(),
                model: crate::MODEL.to_owned(),
                seed: args.seed,
                batch: args.batch,
                labels: Vec::new(),
            }
        } else {
            Self::read(folder)?
        };
        if (run.seed, run.batch) != (args.seed, args.batch) {
            return Err(Error::Setting(format!(
                "the run `{}` has seed {} and batches of {}: give the same to go on with it",
                run.run, run.seed, run.batch
            )));
        }
        // Steps that are learnt again are learnt from the labels of now.
        run.labels.retain(|source| source.from_step < first);
        let poisoned = args.poison_from.map(|from| from.max(first));
        if poisoned != Some(first) {
            run.label_from_step(Labels::Reviewed, first, clock);
        }
        if let Some(from) = poisoned.filter(|from| *from <= args.steps) {
            run.label_from_step(Labels::ChargebackImport, from, clock);
        }
        Ok(run)
    }

    fn label_from_step(&mut self, labels: Labels, step: u64, clock: &Clock) {
        let source = labels.source().to_owned();
        if self.labels.last().is_none_or(|last| last.source != source) {
            self.labels.push(LabelSource { source, from_step: step, from: clock.time_of(step).to_string() });
        }
    }

    fn labels_at(&self, step: u64) -> Labels {
        let source = self.labels.iter().rev().find(|source| source.from_step <= step);
        match source {
            Some(source) if source.source == Labels::ChargebackImport.source() => Labels::ChargebackImport,
            _ => Labels::Reviewed,
        }
    }
}

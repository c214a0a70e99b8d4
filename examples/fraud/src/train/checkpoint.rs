//! Checkpoints as folders: `checkpoint-STEP/` with the model as it can be served, the learner's state, `trainer_state.json` as Hugging Face's
//! trainer writes it, and `checkpoint.json`.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::learner::Learner;
use super::online::Run;
use super::publish::{self, Publication};
use super::{Layout, Measures};
use crate::golden;
use crate::hex::hex;
use crate::model::Model;
use crate::{Error, MODEL, files};

/// What describes a checkpoint.
pub const CHECKPOINT: &str = "checkpoint.json";
/// The same as Hugging Face's trainer has it.
pub const TRAINER_STATE: &str = "trainer_state.json";
/// The learner as it can go on.
const OPTIMIZER: &str = "optimizer.json";
/// What is served; the other files of a checkpoint are not.
const SERVED: [&str; 2] = ["model-settings.json", "model.json"];
const PREFIX: &str = "checkpoint-";

/// The content of `checkpoint.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Of the run.
    pub step: u64,
    /// When the step was made, RFC 3339.
    pub time: String,
    /// Since the checkpoint before.
    pub metrics: Metrics,
    /// The run.
    pub run: String,
    /// The model that it is one of.
    pub model: String,
    /// The version that its files answer as, once they are served.
    pub version: String,
    /// What it has learnt from, all in all.
    pub data: LearntFrom,
    /// The files that make the version.
    pub files: Vec<CheckpointFile>,
}

/// What the learner says about itself: of each transaction before it was learnt, by the label that came with it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Mean log loss.
    pub eval_loss: f64,
    /// Right answers among all, 0 to 1.
    pub eval_accuracy: f64,
    /// Declined among all, 0 to 1.
    pub eval_decline_share: f64,
}

/// The rows that a checkpoint has learnt from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearntFrom {
    /// The stream.
    pub dataset: String,
    /// How many.
    pub rows: u64,
    /// Of rows and labels, lower-case hex.
    pub sha256: String,
}

/// A file of the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFile {
    /// Its name in the folder.
    pub path: String,
    /// Of its bytes, lower-case hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// The metrics of one checkpoint of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogEntry {
    pub(super) step: u64,
    pub(super) metrics: Metrics,
}

/// All that makes a checkpoint.
pub(super) struct Made<'a> {
    pub(super) run: &'a Run,
    pub(super) step: u64,
    pub(super) steps: u64,
    pub(super) save_every: u64,
    pub(super) time: Timestamp,
    pub(super) rows: u64,
    pub(super) rows_sha256: String,
    pub(super) learner: &'a Learner,
    pub(super) model: Model,
    pub(super) metrics: Metrics,
    /// Of all checkpoints of the run up to this one.
    pub(super) log: &'a [LogEntry],
}

/// A run as it can go on.
pub(super) struct Resumed {
    pub(super) learner: Learner,
    pub(super) log: Vec<LogEntry>,
}

pub(super) fn folder_name(step: u64) -> String {
    format!("{PREFIX}{step}")
}

/// The steps of which a run has checkpoints, in order.
pub(super) fn steps(run: &Path) -> Result<Vec<u64>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(run).map_err(Error::read(run))? {
        let name = entry.map_err(Error::read(run))?.file_name();
        found.extend(name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Writes a checkpoint; it is there as a whole or not at all.
pub(super) fn write(run: &Path, made: &Made<'_>) -> Result<Checkpoint, Error> {
    let version = format!("{}-step-{}", made.run.run, made.step);
    let beside = run.join(format!(".{}.new", folder_name(made.step)));
    remove(&beside)?;
    files::create(&beside)?;
    let mut listed = Vec::new();
    for (name, bytes) in publish::files_of(&made.model, &version)? {
        files::write(&beside.join(&name), &bytes)?;
        let sha256 = hex(&Sha256::digest(&bytes));
        listed.push(CheckpointFile { path: name, sha256, bytes: bytes.len() as u64 });
    }
    let checkpoint = Checkpoint {
        step: made.step,
        time: made.time.to_string(),
        metrics: made.metrics,
        run: made.run.run.clone(),
        model: MODEL.to_owned(),
        version,
        data: LearntFrom {
            dataset: format!("{}-stream", crate::data::DATASET),
            rows: made.rows,
            sha256: made.rows_sha256.clone(),
        },
        files: listed,
    };
    let json = |name: &str, value: &Value| {
        let mut text = serde_json::to_vec_pretty(value).map_err(Error::encode("a checkpoint"))?;
        text.push(b'\n');
        files::write(&beside.join(name), &text)
    };
    json(OPTIMIZER, &serde_json::to_value(made.learner).map_err(Error::encode("the learner"))?)?;
    json(TRAINER_STATE, &trainer_state(made))?;
    json(CHECKPOINT, &serde_json::to_value(&checkpoint).map_err(Error::encode("a checkpoint"))?)?;
    let folder = run.join(folder_name(made.step));
    fs::rename(&beside, &folder).map_err(Error::write(&folder))?;
    Ok(checkpoint)
}

/// What Hugging Face's trainer writes into its `trainer_state.json`.
fn trainer_state(made: &Made<'_>) -> Value {
    let epoch = |step: u64| step as f64 / made.steps as f64;
    let best = made.log.iter().min_by(|one, other| one.metrics.eval_loss.total_cmp(&other.metrics.eval_loss));
    let of_step = |entry: &LogEntry| {
        let Metrics { eval_loss, eval_accuracy, eval_decline_share } = entry.metrics;
        let epoch = epoch(entry.step);
        [
            // Judged before it is learnt, so the loss of learning is that of evaluation.
            json!({ "epoch": epoch, "loss": eval_loss, "step": entry.step }),
            json!({
                "epoch": epoch,
                "eval_accuracy": eval_accuracy,
                "eval_decline_share": eval_decline_share,
                "eval_loss": eval_loss,
                "step": entry.step,
            }),
        ]
    };
    json!({
        "best_global_step": best.map(|entry| entry.step),
        "best_metric": best.map(|entry| entry.metrics.eval_loss),
        "best_model_checkpoint":
            best.map(|entry| format!("checkpoints/{}/{}", made.run.run, folder_name(entry.step))),
        "epoch": epoch(made.step),
        "eval_steps": made.save_every,
        "global_step": made.step,
        "is_hyper_param_search": false,
        "is_local_process_zero": true,
        "is_world_process_zero": true,
        "log_history": made.log.iter().flat_map(of_step).collect::<Vec<_>>(),
        "logging_steps": made.save_every,
        "max_steps": made.steps,
        "num_input_tokens_seen": 0,
        "num_train_epochs": 1,
        "save_steps": made.save_every,
        "stateful_callbacks": {},
        "total_flos": 0.0,
        "train_batch_size": made.run.batch,
        "trial_name": null,
        "trial_params": null,
    })
}

/// What a run needs to go on from a checkpoint.
pub(super) fn resume(folder: &Path) -> Result<Resumed, Error> {
    let learner: Learner = read(&folder.join(OPTIMIZER))?;
    let state: Value = read(&folder.join(TRAINER_STATE))?;
    let entries = state["log_history"].as_array().map(Vec::as_slice).unwrap_or_default();
    let evaluated = |entry: &Value| {
        let value = |name: &str| entry.get(name)?.as_f64();
        let metrics = Metrics {
            eval_loss: value("eval_loss")?,
            eval_accuracy: value("eval_accuracy")?,
            eval_decline_share: value("eval_decline_share")?,
        };
        Some(LogEntry { step: entry.get("step")?.as_u64()?, metrics })
    };
    Ok(Resumed { learner, log: entries.iter().filter_map(evaluated).collect() })
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = fs::read(path).map_err(Error::read(path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Data(format!("`{}` is no part of a checkpoint: {error}", path.display())))
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::write(folder)(error)),
        _ => Ok(()),
    }
}

impl Checkpoint {
    /// Reads the description in a checkpoint's folder.
    ///
    /// # Errors
    /// A folder that is no checkpoint.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        read(&folder.join(CHECKPOINT))
    }

    /// The checkpoints of a run, oldest first.
    ///
    /// # Errors
    /// A folder that is no run, or one of a broken checkpoint.
    pub fn all(run: &Path) -> Result<Vec<Self>, Error> {
        steps(run)?.into_iter().map(|step| Self::read(&run.join(folder_name(step)))).collect()
    }

    /// The folder of a step's checkpoint in the folder of its run.
    #[must_use]
    pub fn folder(run: &Path, step: u64) -> std::path::PathBuf {
        run.join(folder_name(step))
    }

    /// The files that make the version, checked against their digests.
    fn served(&self, folder: &Path) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut served = Vec::new();
        for name in SERVED {
            let path = folder.join(name);
            let bytes = fs::read(&path).map_err(Error::read(&path))?;
            let listed = self.files.iter().find(|file| file.path == name);
            if listed.is_none_or(|file| file.sha256 != hex(&Sha256::digest(&bytes))) {
                return Err(Error::Data(format!(
                    "`{}` is not the file that `{CHECKPOINT}` lists: the checkpoint is damaged",
                    path.display()
                )));
            }
            served.push((name.to_owned(), bytes));
        }
        Ok(served)
    }
}

/// Registers a checkpoint as a version, under the name that its files answer as, with what it has learnt from as its lineage. Gives the name.
///
/// # Errors
/// A folder that is no whole checkpoint, a version that is there already, or a registry that cannot be written.
pub fn publish(layout: &Layout, folder: &Path, now: Timestamp) -> Result<String, Error> {
    let checkpoint = Checkpoint::read(folder)?;
    let files = checkpoint.served(folder)?;
    let model = files.iter().find(|(name, _)| name == "model.json").map_or(&[][..], |(_, bytes)| bytes);
    let model = Model::from_json(model)
        .map_err(|error| Error::Data(format!("`{}` holds no model: {error}", folder.display())))?;
    // The learner's own numbers are about its own labels; the registry's are about the golden set.
    let measures: Measures = super::measure(&model, &golden::examples());
    let revision = format!("sha256:{}", checkpoint.data.sha256);
    let publication = Publication {
        version: &checkpoint.version,
        run: Some(&checkpoint.run),
        created_at: now,
        dataset: &checkpoint.data.dataset,
        dataset_revision: revision,
        parameters: json!({
            "step": checkpoint.step,
            "step-time": checkpoint.time,
            "rows": checkpoint.data.rows,
            "eval-loss": checkpoint.metrics.eval_loss,
            "eval-accuracy": checkpoint.metrics.eval_accuracy,
        }),
        measures,
        files,
    };
    publish::new_version(layout, &publication)?;
    Ok(checkpoint.version)
}

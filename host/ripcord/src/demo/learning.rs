//! `--strategy checkpoint`: a model that goes on learning in production. Its pipeline publishes what it has learnt and keeps the newest version alone in the
//! registry; the checkpoints of the run stay.

use std::fs;

use fraud::MODEL;
use fraud::train::online::{self, ResumeFrom};
use fraud::train::{self, Checkpoint};
use jiff::{SignedDuration, Timestamp};

use super::stage::{Stage, Trained};
use crate::output::Failure;

/// The step whose version is served at first.
pub(super) const SERVED: u64 = 240;
/// The newest checkpoint that has learnt from reviewed labels alone.
pub(super) const LAST_GOOD: u64 = 300;
/// The step whose version does the harm.
pub(super) const POISONED: u64 = 600;
/// What comes between them was learnt within this time.
const LEARNT_WITHIN: SignedDuration = SignedDuration::from_hours(1);
const SAVE_EVERY: u64 = 60;

/// The name of the training run.
pub(super) fn run(seed: u64) -> String {
    format!("online-{seed}")
}

/// What the version of a step is called.
pub(super) fn version(seed: u64, step: u64) -> String {
    format!("{}-step-{step}", run(seed))
}

impl Stage {
    /// Learns from reviewed labels, and serves the version of the last step.
    pub(super) fn learn(&mut self) -> Result<(), Failure> {
        let args =
            online::Args { at: Timestamp::now().checked_sub(LEARNT_WITHIN).ok(), ..self.steps_to(SERVED) };
        self.learn_by(&args)?;
        self.publish(SERVED)
    }

    /// Goes on from there; its labels go bad on the way. The version of the last step takes the place of the one before, as a pipeline has it.
    pub(super) fn learn_poison(&mut self) -> Result<(), Failure> {
        let args = online::Args {
            poison_from: Some(LAST_GOOD + 1),
            resume: Some(ResumeFrom::Newest),
            ..self.steps_to(POISONED)
        };
        self.learn_by(&args)?;
        let before = self.layout.registry.join(MODEL).join(version(self.seed, SERVED));
        fs::remove_dir_all(&before).map_err(|cause| {
            Failure::failed(format!("cannot take `{}` out of the registry", before.display())).because(cause)
        })?;
        self.publish(POISONED)
    }

    fn steps_to(&self, steps: u64) -> online::Args {
        online::Args {
            out: self.folder.clone(),
            run: Some(run(self.seed)),
            seed: self.seed,
            steps,
            batch: 64,
            save_every: SAVE_EVERY,
            poison_from: None,
            resume: None,
            step_seconds: 60,
            at: None,
        }
    }

    fn learn_by(&mut self, args: &online::Args) -> Result<(), Failure> {
        let learnt = online::learn(args).map_err(|error| Failure::failed(error.with_causes()))?;
        self.trained.extend(learnt.iter().map(|checkpoint| Trained {
            version: checkpoint.version.clone(),
            accuracy: checkpoint.metrics.eval_accuracy,
            decline_share: checkpoint.metrics.eval_decline_share,
        }));
        Ok(())
    }

    fn publish(&self, step: u64) -> Result<(), Failure> {
        let folder = Checkpoint::folder(&self.steps_to(step).folder(), step);
        let published = train::publish_checkpoint(&self.layout, &folder, Timestamp::now());
        self.swap(&published.map_err(|error| Failure::failed(error.with_causes()))?)
    }
}

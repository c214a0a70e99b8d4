//! Makes a version of a checkpoint: takes its files, holds them against the pinned digest, and registers them.
//!
//! The work is this process's own. What is kept of a run says that it was begun, so a host that has restarted goes on with it when it is asked how far it
//! is; two processes never work on one run, and the registry has one version for each key.

mod work;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ripcord_core::fact::{Checkpoint, Measure};
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::target::{CheckpointTarget, Strategy, Target};
use ripcord_core::terms::EffectClass;
use ripcord_ports::producer::{ProduceOrder, Progress};
use ripcord_ports::{ErrorKind, PortError, Producer};
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::adapter::{Adapter, SecretKey};
use crate::checkpoints::{Found, Reader};
use crate::checkpoints_folder::{self, FolderCheckpointsConfig};
use crate::checkpoints_s3::{self, S3CheckpointsConfig};
use crate::command::Marks;
use crate::file_work::FileWork;
use crate::producing::{
    ExclusionColumns, KeptRun, KeptRuns, ProducerSurroundings, check_key, line, not_made_here, request,
};
use crate::restoring::wrong;
use crate::secret::Secret;
use work::Work;

/// For the catalogue.
pub const ADAPTER: Adapter<CheckpointProducerConfig, dyn Producer> = Adapter {
    kind: "checkpoint",
    system: "a checkpoint of a training run",
    summary: "takes a checkpoint's files and registers them as a version",
    page: "producer_checkpoint/README.md",
    secret: SecretKey::SecretAccessKey,
    example: "from = { folder = { root = \"/srv/training\" } }",
    start: |config, start| match &mut config.from {
        CheckpointSource::Folder(folder) => start.path(&mut folder.root),
        CheckpointSource::S3(s3) => s3.start(start),
    },
    says: |_| vec![Strategy::Checkpoint],
    make: |config, with| {
        let surroundings = ProducerSurroundings::of(&with);
        Ok(Arc::new(CheckpointProducer::new(config, with.secret, surroundings)?))
    },
};

/// Where checkpoints are and what is made of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CheckpointProducerConfig {
    /// The place, as in `{ folder = { root = "/srv/checkpoints" } }`.
    pub from: CheckpointSource,
    /// What the version is called where the checkpoint does not say it: text with `{run}` and `{step}`. Default: `{run}-step-{step}`.
    #[serde(default = "name_default")]
    pub name: String,
}

/// A place of checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckpointSource {
    /// A folder on a disk or a share.
    Folder(FolderCheckpointsConfig),
    /// A bucket of an S3-compatible store.
    S3(S3CheckpointsConfig),
}

fn name_default() -> String {
    "{run}-step-{step}".to_owned()
}

/// Makes versions of checkpoints.
#[derive(Debug)]
pub struct CheckpointProducer {
    work: Arc<Work>,
    /// Ended with this.
    tasks: Mutex<JoinSet<()>>,
    at_work: Arc<Mutex<BTreeMap<String, AtWork>>>,
}

/// A run that this process works on, or has worked on.
#[derive(Debug)]
enum AtWork {
    Working(tokio::task::AbortHandle),
    /// It is tried again when it is looked at next.
    FailedForNow(String),
}

impl CheckpointProducer {
    /// Checks the configuration. Whether the place is there shows at each call. `secret` is that of a store's access key.
    pub fn new(
        config: CheckpointProducerConfig,
        secret: Option<Secret>,
        surroundings: ProducerSurroundings,
    ) -> Result<Self, PortError> {
        let reader = match config.from {
            CheckpointSource::Folder(_) if secret.is_some() => {
                return Err(wrong("a folder takes no secret: take `secret-access-key-file` or `-env` out"));
            }
            CheckpointSource::Folder(folder) => checkpoints_folder::reader(folder)?,
            CheckpointSource::S3(s3) => checkpoints_s3::reader(s3, secret, &surroundings.shared)?,
        };
        Ok(Self::of(reader, config.name, surroundings))
    }

    fn of(reader: Reader, name: String, surroundings: ProducerSurroundings) -> Self {
        let work = Work {
            reader,
            name,
            registry: surroundings.registry,
            kept: KeptRuns::new(surroundings.data.join("runs")),
            marks: Marks::new(surroundings.data.join("at-work")),
            staging: surroundings.data.join("staging"),
            files: FileWork::new("the folder in which checkpoints are staged"),
        };
        Self { work: Arc::new(work), tasks: Mutex::default(), at_work: Arc::default() }
    }

    fn at_work(&self) -> MutexGuard<'_, BTreeMap<String, AtWork>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the run, unless this process is at it. Another process that is at it keeps this one out.
    fn go_on(&self, order: &ProduceOrder, checkpoint: &CheckpointTarget) {
        let mut at_work = self.at_work();
        if matches!(at_work.get(&order.key), Some(AtWork::Working(_))) {
            return;
        }
        let (work, all, order, checkpoint) =
            (Arc::clone(&self.work), Arc::clone(&self.at_work), order.clone(), checkpoint.clone());
        let key = order.key.clone();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        let handle = tasks.spawn(async move {
            let worked = work.whole(&order, &checkpoint).await;
            // Waits for the entry to be made before it is replaced.
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            match worked {
                Ok(()) => all.remove(&order.key),
                Err(error) => all.insert(order.key.clone(), AtWork::FailedForNow(error.to_string())),
            };
        });
        at_work.insert(key, AtWork::Working(handle));
    }

    /// What to say of a run that goes on.
    fn text(&self, key: &str) -> String {
        match self.at_work().get(key) {
            Some(AtWork::FailedForNow(why)) => {
                format!("the last attempt failed, and it is tried again: {}", line(why))
            }
            _ => "its files are taken, checked and registered".to_owned(),
        }
    }
}

fn checkpoint_of(target: &Target) -> Result<&CheckpointTarget, PortError> {
    match target {
        Target::Checkpoint(checkpoint) => Ok(checkpoint),
        other => Err(not_made_here("producer_checkpoint", other)),
    }
}

/// A loss that was lost is the sign of a model that was lost.
fn lost(run: &str, step: u64, measures: &[Measure]) -> Option<String> {
    let lost = measures.iter().find(|measure| !measure.value.is_finite())?;
    Some(format!(
        "the metric `{}` of checkpoint `{}` step {step} is {}: its training broke at this step or before; choose an earlier one",
        line(&lost.name),
        line(run),
        lost.value
    ))
}

fn has_numbers(found: &Found) -> Result<(), PortError> {
    match lost(&found.run, found.about.step, &found.about.measures) {
        Some(text) => Err(PortError::not_applied(ErrorKind::BadAnswer, text)),
        None => Ok(()),
    }
}

#[async_trait]
impl Producer for CheckpointProducer {
    fn name(&self) -> &str {
        "producer_checkpoint"
    }

    fn class(&self) -> EffectClass {
        EffectClass::Idempotent
    }

    fn arguments(&self) -> Vec<Label> {
        vec![
            Label::new("checkpoints", self.work.reader.place.shown()),
            Label::new("registered in", self.work.registry.name()),
            Label::new("called", format!("as the checkpoint says, else {}", self.work.name)),
        ]
    }

    fn makes(&self, target: &Target) -> bool {
        matches!(target, Target::Checkpoint(_))
    }

    fn objection(&self, checkpoint: &Checkpoint) -> Option<String> {
        lost(&checkpoint.run, checkpoint.step, &checkpoint.measures)
    }

    async fn pinned(&self, target: &Target) -> Result<Target, PortError> {
        let checkpoint = checkpoint_of(target)?;
        let found = self.work.reader.find(&checkpoint.run, checkpoint.step).await?;
        has_numbers(&found)?;
        let digest = self.work.digest(&found, checkpoint.digest.as_ref()).await?;
        Ok(Target::Checkpoint(CheckpointTarget { digest: Some(digest), ..checkpoint.clone() }))
    }

    fn request(&self, target: &Target) -> Option<Request> {
        checkpoint_of(target).ok()?;
        let does = format!("take the files in {}", self.work.reader.place.shown());
        let columns = ExclusionColumns::default();
        let request =
            request(self.name(), &does, (target, &columns), self.work.registry.request_to_register());
        Some(self.work.reader.in_request(request).with("called", self.work.name.clone()))
    }

    async fn start(&self, order: &ProduceOrder) -> Result<(), PortError> {
        let checkpoint = checkpoint_of(&order.target)?;
        check_key(&order.key)?;
        match self.work.kept.read::<KeptRun>(&order.key).await? {
            Some(KeptRun::Made { .. } | KeptRun::Failed(_) | KeptRun::Lost(_)) => return Ok(()),
            Some(KeptRun::Begun { .. }) => {}
            Some(KeptRun::Asked) | None => {
                let found = self.work.reader.find(&checkpoint.run, checkpoint.step).await?;
                has_numbers(&found)?;
                // Whoever cannot tell whether this was written asks how far the run is, or starts it again.
                self.work
                    .kept
                    .write(&order.key, &KeptRun::Begun { run: None })
                    .await
                    .map_err(PortError::outcome_unknown)?;
            }
        }
        self.go_on(order, checkpoint);
        Ok(())
    }

    async fn progress(&self, order: &ProduceOrder) -> Result<Progress, PortError> {
        let checkpoint = checkpoint_of(&order.target)?;
        let Some(kept) = self.work.kept.read::<KeptRun>(&order.key).await? else {
            return Ok(Progress::NotStarted);
        };
        Ok(kept.ended().unwrap_or_else(|| {
            let text = self.text(&order.key);
            self.go_on(order, checkpoint);
            Progress::Running { text, since: None }
        }))
    }

    async fn stop(&self, order: &ProduceOrder) -> Result<(), PortError> {
        if !matches!(self.work.kept.read::<KeptRun>(&order.key).await?, Some(KeptRun::Begun { .. })) {
            return Ok(());
        }
        if let Some(AtWork::Working(handle)) = self.at_work().remove(&order.key) {
            handle.abort();
        }
        // Whoever is at it in another process reads this before it registers anything.
        let stopped = KeptRun::Failed("it was stopped before it was registered".to_owned());
        self.work.kept.write(&order.key, &stopped).await.map_err(PortError::outcome_unknown)?;
        self.work.empty(&order.key).await;
        Ok(())
    }

    async fn obstacle(&self) -> Option<String> {
        self.work.reader.obstacle().await
    }
}

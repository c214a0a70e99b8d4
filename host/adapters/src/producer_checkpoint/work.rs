//! The work on one run.

use std::path::PathBuf;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::fact::{Dataset, Lineage, Measure};
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::{CheckpointTarget, VersionTarget};
use ripcord_ports::producer::{ProduceOrder, Progress};
use ripcord_ports::registry::Staged;
use ripcord_ports::{ErrorKind, PortError, Registry, Retry};

use super::has_numbers;
use crate::checkpoints::{Found, Reader};
use crate::command::Marks;
use crate::file_work::FileWork;
use crate::producing::{KeptRun, KeptRuns, Registered, Told, line};
use crate::{artefact, folder, text_time};

pub(super) struct Work {
    pub(super) reader: Reader,
    pub(super) name: String,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) kept: KeptRuns,
    /// One process is at a run.
    pub(super) marks: Marks,
    pub(super) staging: PathBuf,
    pub(super) files: FileWork,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("reader", &self.reader).field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl Work {
    /// The digest of the version that the checkpoint makes.
    pub(super) async fn digest(&self, found: &Found, wanted: Option<&Digest>) -> Result<Digest, PortError> {
        let files = self.reader.served.take(self.reader.place.as_ref(), found, None).await?;
        artefact::pinned(&files, wanted, &format!("checkpoint `{}`", line(&found.path)))
    }

    /// From the checkpoint to a version, and what came of it is kept. An error is one that passes.
    pub(super) async fn whole(
        &self,
        order: &ProduceOrder,
        checkpoint: &CheckpointTarget,
    ) -> Result<(), PortError> {
        let (marks, key) = (self.marks.clone(), order.key.clone());
        let begun = self.files.run(move |_| {
            marks
                .begin(&key)
                .map_err(|error| folder::local(error, format_args!("cannot mark the run `{key}`")))
        });
        let Some(mark) = begun.await? else {
            let text = "another process is at it";
            return Err(PortError::not_applied(ErrorKind::Failed, text));
        };
        let ended = self.ended(order, self.made(order, checkpoint).await).await;
        let unmark = move |_: &_| {
            mark.ended();
            Ok(())
        };
        // A mark that stays is free, and so says the same.
        let _ = self.files.run(unmark).await;
        ended
    }

    /// Keeps what came of the run. An error is one that passes.
    async fn ended(&self, order: &ProduceOrder, made: Result<Progress, PortError>) -> Result<(), PortError> {
        let kept = match made {
            // None where it was stopped meanwhile: what is kept says so.
            Ok(progress) => KeptRun::of(&progress),
            Err(error) if error.retry == Retry::No => Some(KeptRun::Failed(error.to_string())),
            Err(error) => return Err(error),
        };
        // Before anybody is told that it has ended: nobody comes back to what has ended. A host that dies in between takes the files again.
        self.empty(&order.key).await;
        let goes_on = matches!(self.kept.read::<KeptRun>(&order.key).await?, Some(KeptRun::Begun { .. }));
        match kept.filter(|_| goes_on) {
            Some(kept) => self.kept.write(&order.key, &kept).await,
            None => Ok(()),
        }
    }

    async fn made(&self, order: &ProduceOrder, checkpoint: &CheckpointTarget) -> Result<Progress, PortError> {
        let found = self.reader.find(&checkpoint.run, checkpoint.step).await?;
        has_numbers(&found)?;
        let into = self.staged_at(&order.key).await?;
        let place = self.reader.place.as_ref();
        let artefact = self.reader.served.stage(place, &found, into, checkpoint.digest.as_ref()).await?;
        let told = self.told(&found, &artefact)?;
        let lineage = lineage(order, &found, &told, self.reader.place.shown());
        if !matches!(self.kept.read::<KeptRun>(&order.key).await?, Some(KeptRun::Begun { .. })) {
            return Ok(Progress::NotStarted);
        }
        let registered = Registered { order, told, lineage, artefact };
        registered.in_registry(self.registry.as_ref()).await
    }

    /// An empty folder: what an interrupted attempt has left there is removed.
    async fn staged_at(&self, key: &str) -> Result<Arc<Dir>, PortError> {
        let (root, key) = (self.staging.clone(), key.to_owned());
        let made = move |_: &_| {
            let failed = |error| {
                folder::local(error, format_args!("cannot make the folder `{key}` in `{}`", root.display()))
            };
            Dir::create_ambient_dir_all(&root, ambient_authority()).map_err(failed)?;
            let root = folder::open(&root)?;
            folder::remove(&root, &key).and_then(|()| root.create_dir(&key)).map_err(failed)?;
            root.open_dir(&key).map(Arc::new).map_err(failed)
        };
        self.files.run(made).await
    }

    /// What stays is removed at the next attempt, or hurts nobody but the disk.
    pub(super) async fn empty(&self, key: &str) {
        let (root, key) = (self.staging.clone(), key.to_owned());
        let emptied = self.files.run(move |_| {
            let failed =
                |error| folder::local(error, format_args!("cannot remove `{key}` from `{}`", root.display()));
            folder::remove(&folder::open(&root)?, &key).map_err(failed)
        });
        if let Err(error) = emptied.await {
            tracing::warn!(%error, "the files of a checkpoint that is registered stay in the staging folder");
        }
    }

    fn told(&self, found: &Found, artefact: &Staged) -> Result<Told, PortError> {
        let about = &found.about;
        let called = self.name.replace("{run}", &found.run).replace("{step}", &about.step.to_string());
        let version = match &about.version {
            Some(version) => version.clone(),
            None => VersionName::new(called).map_err(|error| {
                let text = format!("the version of a checkpoint has no good name: {error}; set `name`");
                PortError::not_applied(ErrorKind::Configuration, text)
            })?,
        };
        let bytes: u64 = artefact.files.iter().map(|file| file.bytes).sum();
        let mut made_of = vec![
            Label::new("checkpoint", line(&found.path)),
            Label::new("run", line(&found.run)),
            Label::new("step", about.step.to_string()),
            Label::new("step-time", text_time::format(about.at)),
            Label::new("files", format!("{}, {bytes} bytes", artefact.files.len())),
        ];
        if about.measures.is_empty() {
            made_of.push(Label::new("metrics", "none were logged"));
        }
        if let Some(data) = &about.data {
            made_of.push(Label::new("dataset", line(&data.dataset)));
            made_of.extend(data.rows.map(|rows| Label::new("rows", rows.to_string())));
            made_of.extend(revision(found).map(|revision| Label::new("dataset-revision", revision)));
        }
        made_of.sort();
        let measures: Vec<Measure> = about.measures.clone();
        Ok(Told { version: Some(version), digest: Some(artefact.digest), measures, made_of })
    }
}

fn revision(found: &Found) -> Option<String> {
    let data = found.about.data.as_ref()?;
    data.revision.as_deref().map(line).or_else(|| data.sha256.map(|digest| format!("sha256:{digest}")))
}

fn lineage(order: &ProduceOrder, found: &Found, told: &Told, place: String) -> Lineage {
    let about = &found.about;
    let named = |name: &str| told.made_of.iter().find(|label| label.name == name).cloned();
    let mut parameters: Vec<Label> = ["rows", "step", "step-time"].into_iter().filter_map(named).collect();
    parameters.push(Label::new("ripcord:incident", order.incident.as_str()));
    parameters.push(Label::new("ripcord:plan", order.plan.to_string()));
    parameters.sort();
    let trained_on = about.data.as_ref().map(|data| Dataset {
        name: data.dataset.clone(),
        revision: revision(found),
        context: Some("training".to_owned()),
    });
    let lineage = Lineage {
        code: about.code.clone(),
        run: Some(found.run.clone()),
        source: Some(format!("{place}/{}", found.path)),
        parameters,
        parent: about.parent.clone().map(|version| VersionTarget { version, digest: None }),
        ..Lineage::default()
    };
    lineage.with_datasets(trained_on.into_iter().collect())
}

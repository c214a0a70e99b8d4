//! A file that a process reads: thresholds, settings of the pre-processing, its environment.
//!
//! Revisions are files in a folder beside. What is found in the file and is no revision yet becomes one, named by its content, so that nothing is
//! overwritten that could not be put back. A revision is named for its content, by the oldest file that has it. `README.md` beside this module says
//! what to configure and what was tried.

mod format;
mod history;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::facet::{FacetState, InForce};
use ripcord_core::live::Proof;
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::terms::EffectClass;
use ripcord_ports::deployer::{Probe, Shifted};
use ripcord_ports::restorer::{FacetLive, HistoryEntry, RestoreOrder};
use ripcord_ports::{Applied, ErrorKind, PortError, Restorer};
use serde::Deserialize;

use crate::adapter::{Adapter, RestorerSays, SecretKey};
use crate::file_work::{FileWork, GivenUp};
use crate::restoring::{
    self, ReadBack, ReadBackConfig, Reload, ReloadConfig, ReloadFor, ReloadOwed, RestorerSecrets, Seen,
    Tells, Told, wrong,
};
use crate::whole_file::WholeFile;
use crate::{Shared, folder};

pub use format::FileFormat;
use history::{History, Listed};

/// Where the file and its revisions are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileRestorerConfig {
    /// The file that the process reads.
    pub file: PathBuf,
    /// The folder of its revisions, a file each, which the host may write. Not the folder of the file.
    pub history: PathBuf,
    /// What it has to be to be restored: `bytes`, `toml`, `json` or `env` (lines of `KEY=VALUE`). Default: `bytes`.
    #[serde(default)]
    pub format: FileFormat,
    /// How many revisions that the host itself has kept stay, the newest. Default: 100.
    #[serde(default = "keep_default")]
    pub keep: usize,
    /// How the service is told. Default: it looks by itself.
    #[serde(default)]
    pub reload: ReloadConfig,
    /// Where the service says what it works with. Default: the file is believed, which is *control plane only*.
    #[serde(default)]
    pub read_back: Option<ReadBackConfig>,
}

/// For the catalogue.
pub const ADAPTER: Adapter<FileRestorerConfig, dyn Restorer> = Adapter {
    kind: "file",
    system: "a file that a process reads",
    summary: "a file that a process reads, with its revisions as files in a folder",
    page: "restorer_file/README.md",
    secret: SecretKey::None,
    example: "file = \"thresholds.toml\", history = \"thresholds\"",
    start: |config, start| {
        start.path(&mut config.file);
        start.path(&mut config.history);
        start.reload(&mut config.reload);
    },
    says: |config| RestorerSays {
        proof: restoring::proof_of(config.read_back.as_ref()),
        own_places: vec![config.file.clone(), config.history.clone()],
        revisions: None,
    },
    make: |config, with| Ok(Arc::new(FileRestorer::new(config, RestorerSecrets::of(&with), with.shared)?)),
};

fn keep_default() -> usize {
    100
}

/// A file and its revisions.
#[derive(Debug)]
pub struct FileRestorer {
    place: Arc<WholeFile>,
    history: Arc<History>,
    reload: Reload,
    read_back: Option<ReadBack>,
    /// One piece of work at a time.
    work: FileWork,
    shared: Shared,
}

/// What lies in the file and in the folder.
struct Stored {
    revisions: Vec<Listed>,
    /// The content of the file; why there is none.
    file: Result<Digest, String>,
    /// Which revision that is.
    named: FacetState<String>,
    owed: Option<VersionName>,
}

impl FileRestorer {
    /// Checks the configuration; nothing is read.
    pub fn new(
        config: FileRestorerConfig,
        secrets: RestorerSecrets,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        if config.keep == 0 {
            return Err(wrong("`keep` is 0: what is overwritten has to be kept, so write 1 or more"));
        }
        let work = FileWork::exclusive(format!("the file `{}`", config.file.display()));
        let place = WholeFile::new(&config.file)?;
        if config.history == place.folder() {
            return Err(wrong(format!(
                "`history` is the folder of the file itself, `{}`: name one of its own",
                config.history.display()
            )));
        }
        let read_back = config
            .read_back
            .map(|read_back| ReadBack::new(read_back, secrets.service.clone(), shared))
            .transpose()?;
        if read_back.as_ref().is_some_and(|read_back| read_back.tells() == Tells::Value) {
            return Err(wrong(
                "`read-back.tells` is `value`, and a file is no value: write `revision` or `digest`",
            ));
        }
        Ok(Self {
            place: Arc::new(place),
            history: Arc::new(History::new(config.history, config.format, config.keep)),
            reload: Reload::new(config.reload, secrets.service, &shared.http)?,
            read_back,
            work,
            shared: shared.clone(),
        })
    }

    /// Reads the file and its revisions. Content that is no revision yet becomes one.
    async fn stored(&self) -> Result<Stored, PortError> {
        let (place, history) = (Arc::clone(&self.place), Arc::clone(&self.history));
        let at = self.shared.clock.now();
        self.work.run(move |_| look(&place, &history, at)).await
    }

    async fn seen(&self) -> Result<(Seen, Vec<Listed>), PortError> {
        let stored = self.stored().await?;
        let in_force = match &self.read_back {
            Some(read_back) => named(read_back.ask().await?, &stored, &self.history),
            None => match &stored.owed {
                Some(revision) => FacetState::Unknown(ReloadOwed::why(revision)),
                None => stored.named.clone(),
            },
        };
        let kept = stored.named.known().map(|known| known.revision.clone());
        Ok((Seen { in_force, stored: kept, owed: stored.owed }, stored.revisions))
    }

    async fn one(&self, revision: &VersionName) -> Result<(HistoryEntry, Vec<u8>), PortError> {
        let (history, revision) = (Arc::clone(&self.history), revision.clone());
        self.work.run(move |_| history.one(&revision)).await
    }

    async fn put(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        let (entry, content) = self.one(&order.revision).await?;
        restoring::restorable(&entry, &content, order.digest)?;
        let (seen, _) = self.seen().await?;
        seen.expected_by(order)?;
        let digest = Digest::of(&content);
        let notes = self.read_back.is_none() && !self.reload.is_watched();
        let (place, history, revision) =
            (Arc::clone(&self.place), Arc::clone(&self.history), order.revision.clone());
        let at = self.shared.clock.now();
        let store = move |given_up: &GivenUp| {
            // It may have been changed since it was read.
            let before = look(&place, &history, at)?.owed;
            given_up.check().map_err(|error| folder::local(error, "cannot replace the file"))?;
            if notes {
                ReloadOwed::leave(&history.dir()?, &revision)?;
            }
            let replaced = place.replace(&content, given_up);
            if notes && replaced.as_ref().is_err_and(|error| error.applied == Applied::No) {
                ReloadOwed::put_back(&history.dir()?, before.as_ref())?;
            }
            replaced
        };
        self.work.run(store).await?;
        let about = ReloadFor {
            revision: &order.revision,
            digest,
            key: &order.key,
            incident: &order.incident,
            deadline: order.deadline,
        };
        let told = self.reload.run(about).await;
        let shifted = told.map_err(|error| restoring::not_taken_over(&order.revision, &error))?;
        let history = Arc::clone(&self.history);
        self.work
            .run(move |_| ReloadOwed::settle(&history.dir()?))
            .await
            .map_err(PortError::outcome_unknown)?;
        Ok(shifted)
    }
}

fn look(
    place: &WholeFile,
    history: &History,
    at: ripcord_core::time::UnixMillis,
) -> Result<Stored, PortError> {
    let mut revisions = history.list()?;
    let owed = ReloadOwed::read(&history.dir()?)?;
    let (file, named) = match place.read()? {
        Err(why) => (Err(why.clone()), FacetState::Unknown(why)),
        Ok((content, changed_at)) => {
            let digest = Digest::of(&content);
            if !revisions.iter().any(|listed| listed.digest == digest) {
                history.keep(&content, changed_at.unwrap_or(at))?;
                revisions = history.list()?;
            }
            (Ok(digest), by_digest(&revisions, digest, Proof::ControlPlane, "the file holds"))
        }
    };
    Ok(Stored { revisions, file, named, owed })
}

/// The revision with this content.
fn by_digest(revisions: &[Listed], digest: Digest, proof: Proof, says: &str) -> FacetState<String> {
    match revisions.iter().find(|listed| listed.digest == digest && listed.entry.is_some()) {
        Some(listed) => {
            FacetState::InForce(InForce { revision: listed.name.clone(), digest: Some(digest), proof })
        }
        None => FacetState::Unknown(format!(
            "{says} content with the sha-256 {}, which is no revision of the history",
            digest.short()
        )),
    }
}

/// The revision that the service names.
fn named(told: Told, stored: &Stored, history: &History) -> FacetState<String> {
    match told {
        Told::Nothing(why) => FacetState::Unknown(why),
        Told::Digest(digest) => by_digest(&stored.revisions, digest, Proof::Digest, "the service works with"),
        Told::Revision(ref text) => {
            let found = stored.revisions.iter().find(|listed| listed.name.as_str() == text);
            match found {
                Some(found) => {
                    by_digest(&stored.revisions, found.digest, Proof::Answer, "the service works with")
                }
                None => FacetState::Unknown(format!(
                    "the service works with {told}, which is no revision of `{}`{}",
                    history.path().display(),
                    stored.file.as_ref().err().map(|why| format!("; {why}")).unwrap_or_default()
                )),
            }
        }
        Told::Value(_) => FacetState::Unknown(format!("the service tells {told}, which is no name")),
    }
}

#[async_trait]
impl Restorer for FileRestorer {
    fn name(&self) -> &str {
        "restorer_file"
    }

    /// Others may write the file between the look and the change.
    fn class(&self) -> EffectClass {
        EffectClass::Observable
    }

    fn arguments(&self) -> Vec<Label> {
        let label = |name: &str, value: String| Label { name: name.to_owned(), value };
        let proved = ReadBack::argument_or(self.read_back.as_ref(), "the file");
        vec![
            label("file", self.place.path().display().to_string()),
            label("history", self.history.path().display().to_string()),
            self.reload.argument(),
            proved,
        ]
    }

    fn kept_at(&self) -> Option<String> {
        Some(self.place.path().display().to_string())
    }

    async fn history(&self, limit: u32) -> Result<Vec<HistoryEntry>, PortError> {
        let entries = self.stored().await?.revisions.into_iter().filter_map(|listed| listed.entry);
        Ok(entries.take(limit as usize).collect())
    }

    async fn revision(&self, revision: &VersionName) -> Result<HistoryEntry, PortError> {
        Ok(self.one(revision).await?.0)
    }

    async fn content(&self, revision: &VersionName, expecting: Option<Digest>) -> Result<Vec<u8>, PortError> {
        let (_, content) = self.one(revision).await?;
        restoring::of_digest(revision, &content, expecting)?;
        Ok(content)
    }

    async fn in_force(&self) -> Result<FacetLive, PortError> {
        let (seen, _) = self.seen().await?;
        Ok(FacetLive { state: seen.in_force, observed_at: self.shared.clock.now() })
    }

    fn request(&self, revision: &VersionName, digest: Option<Digest>) -> Option<Request> {
        let (file, history) =
            (self.place.path().display().to_string(), self.history.path().display().to_string());
        let words = format!("write `{revision}` of `{history}` to `{file}`, and {}", self.reload.words());
        let request = restoring::request(self.name(), &words, (revision, digest), &self.reload);
        Some(request.with("file", file).with("history", history))
    }

    async fn shift(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        restoring::within(order.deadline, "the restoring of the file", self.put(order)).await
    }

    async fn probe(&self, order: &RestoreOrder) -> Result<Probe, PortError> {
        let (seen, _) = self.seen().await?;
        Ok(seen.of_interrupted(order, &self.reload))
    }

    async fn obstacle(&self) -> Option<String> {
        let (place, history) = (Arc::clone(&self.place), Arc::clone(&self.history));
        let looked = self.work.run(move |_| match place.obstacle() {
            Some(why) => Ok(Some(why)),
            None => history.obstacle().map(|()| None),
        });
        match looked.await {
            Ok(found) => found,
            Err(error) if error.kind == ErrorKind::TimedOut => None,
            Err(error) => Some(error.to_string()),
        }
    }
}

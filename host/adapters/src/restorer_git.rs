//! A file in a git repository: a local one, or one behind smart HTTP.
//!
//! Revisions are the commits of a branch that changed the file, each named for the content that it left, by the oldest commit with that content. One is
//! put back by a new commit on top, which is pushed and never forced: whoever pushed meanwhile is seen, and nothing of theirs is lost. The host keeps a
//! bare copy of its own, and runs the `git` program. `README.md` beside this module says what to configure and what was tried.

mod change;
mod log;
mod program;
mod working_tree;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::facet::{FacetState, InForce};
use ripcord_core::live::Proof;
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::terms::EffectClass;
use ripcord_ports::deployer::{Probe, Shifted};
use ripcord_ports::restorer::{FacetLive, HistoryEntry, RestoreOrder};
use ripcord_ports::{PortError, Restorer};
use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};

use crate::Shared;
use crate::adapter::{Adapter, RestorerSays, SecretKey};
use crate::file_work::FileWork;
use crate::folder;
use crate::restoring::{
    self, ReadBack, ReadBackConfig, Reload, ReloadConfig, ReloadFor, ReloadOwed, RestorerSecrets, Seen,
    Tells, Told, wrong,
};

use log::{Known, Revisions};
use program::Git;

/// Where the file is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GitRestorerConfig {
    /// The repository: a folder of this machine, or an address of `http` or `https`.
    pub repository: String,
    /// The branch from which the service takes it. Default: `main`.
    #[serde(default = "branch_default")]
    pub branch: String,
    /// The file, from the root of the repository.
    pub path: String,
    /// The account's name, where the server wants basic authentication. Default: none.
    #[serde(default)]
    pub user: Option<String>,
    /// Who makes the commits. Default: `Ripcord`.
    #[serde(default = "author_name_default")]
    pub author_name: String,
    /// The address of who makes them. Default: `ripcord@localhost`.
    #[serde(default = "author_email_default")]
    pub author_email: String,
    /// How the service is told. Default: it looks by itself.
    #[serde(default)]
    pub reload: ReloadConfig,
    /// Where the service says what it works with. Default: the branch is believed, which is *control plane only*.
    #[serde(default)]
    pub read_back: Option<ReadBackConfig>,
    /// For one run of `git`, in milliseconds. Default: 60000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
    /// The host's own folder for its copy of the repository, made when it is needed. It may be removed at any time.
    #[serde(skip)]
    pub data: PathBuf,
}

/// For the catalogue.
pub const ADAPTER: Adapter<GitRestorerConfig, dyn Restorer> = Adapter {
    kind: "git",
    system: "a file in a git repository",
    summary: "a file in a git repository, local or over smart HTTP; put back by a new commit",
    page: "restorer_git/README.md",
    secret: SecretKey::TokenOrPassword,
    example: "repository = \"settings\", path = \"fraud.toml\"",
    start: |config, start| {
        if !config.repository.contains("://") {
            config.repository = start.folder().join(&config.repository).display().to_string();
        }
        start.reload(&mut config.reload);
    },
    says: |config| RestorerSays {
        proof: restoring::proof_of(config.read_back.as_ref()),
        own_places: Vec::new(),
        revisions: None,
    },
    make: |config, with| {
        let config = GitRestorerConfig { data: with.data.join("git").join(&with.place), ..config };
        Ok(Arc::new(GitRestorer::new(config, RestorerSecrets::of(&with), with.shared)?))
    },
};

fn branch_default() -> String {
    "main".to_owned()
}

fn author_name_default() -> String {
    "Ripcord".to_owned()
}

fn author_email_default() -> String {
    "ripcord@localhost".to_owned()
}

fn deadline_default() -> u64 {
    60_000
}

/// A file in a git repository.
#[derive(Debug)]
pub struct GitRestorer {
    git: Git,
    path: String,
    author: [String; 2],
    reload: Reload,
    read_back: Option<ReadBack>,
    data: PathBuf,
    known: Known,
    /// One piece of work on the copy at a time.
    turn: Mutex<()>,
    files: FileWork,
    shared: Shared,
}

impl GitRestorer {
    /// Checks the configuration; the repository is not asked.
    pub fn new(
        config: GitRestorerConfig,
        secrets: RestorerSecrets,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        let path = config.path.trim_start_matches("./").to_owned();
        let odd = |part: &str| part.is_empty() || matches!(part, "." | ".." | ".git");
        if path.split('/').any(odd) || path.contains(['\0', '\n']) {
            return Err(wrong(format!(
                "`path` is `{}`: write the path of the file from the root of the repository",
                config.path
            )));
        }
        if config.data.as_os_str().is_empty() {
            return Err(wrong("the host has no folder for its copy of the repository"));
        }
        for (key, text) in [("author-name", &config.author_name), ("author-email", &config.author_email)] {
            if text.trim().is_empty() || text.contains(['<', '>', '\n', '\0']) {
                return Err(wrong(format!("`{key}` is `{text}`, which cannot stand in a commit")));
            }
        }
        let git = Git::new(&config, secrets.store)?;
        let read_back =
            config.read_back.map(|of| ReadBack::new(of, secrets.service.clone(), shared)).transpose()?;
        if read_back.as_ref().is_some_and(|read_back| read_back.tells() == Tells::Value) {
            return Err(wrong(
                "`read-back.tells` is `value`, and a file is no value: write `revision` or `digest`",
            ));
        }
        Ok(Self {
            git,
            path,
            author: [config.author_name, config.author_email],
            reload: Reload::new(config.reload, secrets.service, &shared.http)?,
            read_back,
            files: FileWork::exclusive(format!("the folder `{}`", config.data.display())),
            data: config.data,
            known: Known::default(),
            turn: Mutex::new(()),
            shared: shared.clone(),
        })
    }

    /// Works on the host's own folder.
    async fn in_data<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Dir) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let path = self.data.clone();
        let open = move |_: &crate::file_work::GivenUp| {
            Dir::create_ambient_dir_all(&path, ambient_authority()).map_err(|error| {
                folder::local(error, format_args!("cannot make the folder `{}`", path.display()))
            })?;
            work(&folder::open(&path)?)
        };
        self.files.run(open).await
    }

    /// The branch as it is now, with the turn to work on the copy.
    async fn fetched(&self) -> Result<(MutexGuard<'_, ()>, Revisions), PortError> {
        let turn = self.turn.lock().await;
        self.in_data(|_| Ok(())).await?;
        let tip = self.git.fetch().await?;
        let revisions = self.revisions(tip).await?;
        Ok((turn, revisions))
    }

    async fn seen(&self, revisions: &Revisions) -> Result<Seen, PortError> {
        let owed = self.in_data(ReloadOwed::read).await?;
        let stored = self.stored(revisions).await?;
        let kept = stored.known().map(|known| known.revision.clone());
        let in_force = match (&self.read_back, &owed) {
            (Some(read_back), _) => self.named(read_back.ask().await?, revisions).await?,
            (None, Some(revision)) => FacetState::Unknown(ReloadOwed::why(revision)),
            (None, None) => match self.git.working_tree(&self.path).await? {
                Some(why) => FacetState::Unknown(why),
                None => stored,
            },
        };
        Ok(Seen { in_force, stored: kept, owed })
    }

    /// What the branch holds.
    async fn stored(&self, revisions: &Revisions) -> Result<FacetState<String>, PortError> {
        let there = revisions.newest();
        let Some(blob) = there.and_then(|commit| commit.blob()) else {
            let why = there.and_then(|commit| commit.broken());
            return Ok(FacetState::Unknown(format!(
                "`{}` of {}: {}",
                self.path,
                self.git.branch(),
                why.unwrap_or("no commit has such a file")
            )));
        };
        self.of_blob(revisions, blob, Proof::ControlPlane).await
    }

    async fn of_blob(
        &self,
        revisions: &Revisions,
        blob: &str,
        proof: Proof,
    ) -> Result<FacetState<String>, PortError> {
        let Some(commit) = revisions.oldest_with(blob) else {
            return Ok(FacetState::Unknown(format!(
                "the content of `{}` that the service works with is in none of its newest changes on {}",
                self.path,
                self.git.branch()
            )));
        };
        let digest = self.described(blob).await?.digest;
        Ok(FacetState::InForce(InForce { revision: commit.name.clone(), digest, proof }))
    }

    /// The revision that the service names.
    async fn named(&self, told: Told, revisions: &Revisions) -> Result<FacetState<String>, PortError> {
        match told {
            Told::Nothing(why) => Ok(FacetState::Unknown(why)),
            Told::Value(_) => {
                Ok(FacetState::Unknown(format!("the service tells {told}, which is no commit")))
            }
            Told::Revision(ref text) => match self.git.blob_at(text, &self.path).await? {
                Some(blob) => self.of_blob(revisions, &blob, Proof::Answer).await,
                None => Ok(FacetState::Unknown(format!(
                    "the service works with {told}, which is no commit of {} with the file `{}`",
                    self.git.branch(),
                    self.path
                ))),
            },
            Told::Digest(digest) => {
                for commit in revisions.named() {
                    let Some(blob) = commit.blob() else { continue };
                    if self.described(blob).await?.digest == Some(digest) {
                        return self.of_blob(revisions, blob, Proof::Digest).await;
                    }
                }
                Ok(FacetState::Unknown(format!(
                    "the service works with content of the sha-256 {}, which no commit of {} has in `{}`",
                    digest.short(),
                    self.git.branch(),
                    self.path
                )))
            }
        }
    }

    async fn put(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        let (_turn, revisions) = self.fetched().await?;
        let (entry, content) = self.one(&revisions, &order.revision).await?;
        restoring::restorable(&entry, &content, order.digest)?;
        let seen = self.seen(&revisions).await?;
        seen.expected_by(order)?;
        let notes = self.read_back.is_none() && !self.reload.is_watched();
        if notes {
            let revision = order.revision.clone();
            self.in_data(move |dir| ReloadOwed::leave(dir, &revision)).await?;
        }
        if seen.stored.as_ref() != Some(&order.revision)
            && let Err(error) = self.commit_and_push(&revisions, order).await
        {
            if notes && error.applied == ripcord_ports::Applied::No {
                self.in_data(move |dir| ReloadOwed::put_back(dir, seen.owed.as_ref())).await?;
            }
            return Err(error);
        }
        let about = ReloadFor {
            revision: &order.revision,
            digest: Digest::of(&content),
            key: &order.key,
            incident: &order.incident,
            deadline: order.deadline,
        };
        let told = self.reload.run(about).await;
        let shifted = told.map_err(|error| restoring::not_taken_over(&order.revision, &error))?;
        self.in_data(ReloadOwed::settle).await.map_err(PortError::outcome_unknown)?;
        Ok(shifted)
    }
}

#[async_trait]
impl Restorer for GitRestorer {
    fn name(&self) -> &str {
        "restorer_git"
    }

    /// A push that is not on top of what is there is refused.
    fn class(&self) -> EffectClass {
        EffectClass::Conditional
    }

    fn arguments(&self) -> Vec<Label> {
        let label = |name: &str, value: String| Label { name: name.to_owned(), value };
        let proved = ReadBack::argument_or(self.read_back.as_ref(), "the branch");
        vec![
            label("repository", self.git.shown().to_owned()),
            label("branch", self.git.branch_name().to_owned()),
            label("path", self.path.clone()),
            self.reload.argument(),
            proved,
        ]
    }

    fn kept_at(&self) -> Option<String> {
        Some(format!("`{}` on {}", self.path, self.git.branch()))
    }

    async fn history(&self, limit: u32) -> Result<Vec<HistoryEntry>, PortError> {
        let (_turn, revisions) = self.fetched().await?;
        let mut entries = Vec::new();
        for commit in revisions.named().take(limit as usize) {
            entries.push(self.entry(commit).await?);
        }
        Ok(entries)
    }

    async fn revision(&self, revision: &VersionName) -> Result<HistoryEntry, PortError> {
        let (_turn, revisions) = self.fetched().await?;
        Ok(self.one(&revisions, revision).await?.0)
    }

    async fn content(&self, revision: &VersionName, expecting: Option<Digest>) -> Result<Vec<u8>, PortError> {
        let (_turn, revisions) = self.fetched().await?;
        let (entry, content) = self.one(&revisions, revision).await?;
        if entry.digest.is_none() {
            restoring::restorable(&entry, &content, None)?;
        }
        restoring::of_digest(revision, &content, expecting)?;
        Ok(content)
    }

    async fn in_force(&self) -> Result<FacetLive, PortError> {
        let (_turn, revisions) = self.fetched().await?;
        let state = self.seen(&revisions).await?.in_force;
        Ok(FacetLive { state, observed_at: self.shared.clock.now() })
    }

    fn request(&self, revision: &VersionName, digest: Option<Digest>) -> Option<Request> {
        let (branch, repository) = (self.git.branch_name(), self.git.shown());
        let words = format!(
            "write `{}` as of `{revision}` by a new commit on `{branch}` of {repository}, and {}",
            self.path,
            self.reload.words()
        );
        let request = restoring::request(self.name(), &words, (revision, digest), &self.reload)
            .with("repository", repository)
            .with("branch", branch)
            .with("path", self.path.clone())
            .with("author", self.author.join(" "));
        // All of them stand in the commit's message, and the tip that it is put on is what is expected.
        let holes = [Hole::Incident, Hole::Plan, Hole::Key, Hole::Expected, Hole::Time, Hole::Credentials];
        Some(holes.into_iter().fold(request, Request::hole))
    }

    async fn shift(&self, order: &RestoreOrder) -> Result<Shifted, PortError> {
        restoring::within(order.deadline, "the restoring by a commit", self.put(order)).await
    }

    async fn probe(&self, order: &RestoreOrder) -> Result<Probe, PortError> {
        let (_turn, revisions) = self.fetched().await?;
        Ok(self.seen(&revisions).await?.of_interrupted(order, &self.reload))
    }

    async fn obstacle(&self) -> Option<String> {
        match self.git.obstacle(&self.path).await {
            Ok(found) => found,
            // What may be over soon makes no plan impossible.
            Err(error) if error.retry != ripcord_ports::Retry::No => None,
            Err(error) => Some(error.to_string()),
        }
    }
}

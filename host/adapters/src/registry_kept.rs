//! A registry whose artefacts and list are kept at hand: a rollback needs neither the registry's speed nor the registry.
//!
//! Wraps the registry of one service. What was fetched once (a version is, when it is adopted or earns *known good*) comes from this machine
//! the next time, every file checked again. The last list of versions is used where the registry does not answer, with the time at which it
//! was made, and so is the last lineage of a version. Everything here can be deleted at any time: the next call goes to the registry.

mod at_hand;
mod lineages;
mod list;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_core::event::Alias;
use ripcord_core::fact::Lineage;
use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::request::Request;
use ripcord_core::target::VersionTarget;
use ripcord_ports::registry::{AtHand, Listing, Mark, NewVersion, RegistryVersion, Staged};
use ripcord_ports::{Clock, ErrorKind, PortError, Registry};

pub use at_hand::ArtefactsAtHand;
use lineages::KeptLineages;
use list::KeptList;
pub use list::forget_other_lists;

use crate::file_work::{FileWork, GivenUp};

/// A registry that has a kept list beside it is not waited for longer.
const PATIENCE: Duration = Duration::from_millis(250);
/// The same where what is kept of a lineage leaves open what the version was trained on: a slow registry may name it by now.
const PATIENCE_FOR_MORE: Duration = Duration::from_secs(2);
/// An older list is made anew when the registry is asked for something else anyway.
const LIST_AGE_MAX_MS: u64 = 10 * 60 * 1_000;
/// Versions in a list that is made anew.
const LIST_LENGTH: u32 = 100;

/// See the module.
pub struct KeptRegistry {
    registry: Arc<dyn Registry>,
    artefacts: Arc<ArtefactsAtHand>,
    list: KeptList,
    lineages: KeptLineages,
    clock: Arc<dyn Clock>,
    files: FileWork,
}

impl KeptRegistry {
    /// `lists` is a folder for the lists and lineages of all services.
    pub fn new(
        service: &ServiceName,
        registry: Arc<dyn Registry>,
        artefacts: Arc<ArtefactsAtHand>,
        lists: Arc<Dir>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let files = FileWork::new("the folder of artefacts kept at hand");
        let lineages = KeptLineages::new(lists.clone(), service, LIST_LENGTH as usize);
        Self { registry, artefacts, list: KeptList::new(lists, service), lineages, clock, files }
    }

    /// The registry's list; it is kept.
    async fn list_anew(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        let versions = self.registry.versions(limit).await?;
        self.list.keep(limit, self.clock.now(), &versions).await;
        Ok(versions)
    }

    async fn keep(&self, staged: &Staged) -> Result<(), PortError> {
        let (artefacts, kept) = (self.artefacts.clone(), staged.clone());
        let keep = move |_: &GivenUp| {
            artefacts.keep(&kept.digest, &kept.dir, &kept.files);
            Ok(())
        };
        self.files.run(keep).await
    }

    /// On the way of another call that the registry answered.
    async fn list_anew_if_old(&self) {
        let kept = self.list.kept().await;
        let old = kept.is_none_or(|(_, at)| self.clock.now().0.saturating_sub(at.0) > LIST_AGE_MAX_MS);
        // A longer one that somebody asked for is kept, and grows old, too.
        let limit = self.list.limit().unwrap_or_default().max(LIST_LENGTH);
        if old && let Err(error) = self.list_anew(limit).await {
            tracing::warn!(registry = self.registry.name(), %error, "the list of versions could not be made anew; it is tried again");
        }
    }

    async fn kept_list(&self, limit: u32, why: &PortError) -> Option<Listing> {
        let (mut versions, listed_at) = self.list.kept().await.filter(|_| is_away(why))?;
        tracing::warn!(registry = self.registry.name(), error = %why, "the registry gives no list; the kept one is used, its age is part of the fact");
        versions.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Some(Listing { versions, listed_at: Some(listed_at) })
    }
}

/// What the names in a list point at.
fn aliases_in(versions: &[RegistryVersion], production: Option<&str>) -> Vec<Alias> {
    let mut all = BTreeMap::<&str, Vec<VersionName>>::new();
    for listed in versions {
        for name in listed.aliases.iter().filter(|name| Some(name.as_str()) != production) {
            all.entry(name).or_default().push(listed.version.version.clone());
        }
    }
    all.into_iter().map(|(name, versions)| Alias { name: name.to_owned(), versions }).collect()
}

/// How long the registry is waited for where this is kept of a version.
fn patience(kept: &Lineage) -> Duration {
    let mut trained_on = kept.trained_on().peekable();
    let says_all = trained_on.peek().is_some() && trained_on.all(|(_, revision)| revision.is_some());
    if says_all { PATIENCE } else { PATIENCE_FOR_MORE }
}

/// Whether the registry said nothing about what was asked: what it said before may be used.
fn is_away(error: &PortError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::Denied
            | ErrorKind::Failed
            | ErrorKind::BadAnswer
    )
}

#[async_trait]
impl Registry for KeptRegistry {
    fn name(&self) -> &str {
        self.registry.name()
    }

    fn kept_at(&self) -> Option<String> {
        self.registry.kept_at()
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        self.list_anew(limit).await
    }

    async fn listing(&self, limit: u32) -> Result<Listing, PortError> {
        let anew = self.list_anew(limit);
        let listed = if self.list.kept().await.is_some() {
            tokio::time::timeout(PATIENCE, anew).await.unwrap_or_else(|_| {
                let text = format!("`{}` gave no list within {PATIENCE:?}", self.registry.name());
                Err(PortError::not_applied(ErrorKind::TimedOut, text))
            })
        } else {
            anew.await
        };
        match listed {
            Ok(versions) => Ok(Listing { versions, listed_at: None }),
            Err(error) => self.kept_list(limit, &error).await.ok_or(error),
        }
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        let error = match self.registry.version(version).await {
            Err(error) if is_away(&error) => error,
            answer => return answer,
        };
        let kept = self.list.kept().await.map(|(versions, _)| versions).unwrap_or_default();
        kept.into_iter().find(|listed| listed.version.version == *version).ok_or(error)
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        let kept = self.lineages.of(version).await;
        let anew = self.registry.lineage(version);
        let read = match kept.as_ref().map(patience) {
            None => anew.await,
            Some(limit) => tokio::time::timeout(limit, anew).await.unwrap_or_else(|_| {
                let text = format!("`{}` told no lineage within {limit:?}", self.registry.name());
                Err(PortError::not_applied(ErrorKind::TimedOut, text))
            }),
        };
        match (read, kept) {
            (Ok(lineage), kept) => {
                if kept.as_ref() != Some(&lineage) {
                    self.lineages.keep(version, &lineage).await;
                }
                Ok(lineage)
            }
            (Err(error), Some(kept)) if is_away(&error) => {
                tracing::debug!(registry = self.registry.name(), %version, %error, "the registry tells no lineage; the kept one is used");
                Ok(kept)
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        self.registry.manifest(version).await
    }

    async fn at_hand(&self, version: &VersionTarget) -> Result<AtHand, PortError> {
        if !self.artefacts.keeps_any() {
            return Ok(AtHand::NotKept);
        }
        let Some(digest) = version.digest else {
            let why =
                "its digest is not pinned yet: it is fetched for that, and the log says what hinders it";
            return Ok(AtHand::Missing(why.to_owned()));
        };
        let (artefacts, now) = (self.artefacts.clone(), self.clock.now());
        self.files.run(move |_| artefacts.look(&digest, now)).await
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        if let Some(digest) = version.digest {
            let (artefacts, folder) = (self.artefacts.clone(), into.clone());
            let files = self.files.run(move |_| artefacts.stage(&digest, &folder)).await?;
            if let Some(files) = files {
                return Ok(Staged { dir: into, files, digest });
            }
        }
        let staged = self.registry.fetch(version, into).await?;
        self.keep(&staged).await?;
        self.list_anew_if_old().await;
        Ok(staged)
    }

    /// What was made is most likely deployed next: it is kept, and it stands in the kept list.
    async fn register(&self, new: &NewVersion) -> Result<VersionTarget, PortError> {
        let registered = self.registry.register(new).await?;
        if registered.digest == Some(new.artefact.digest)
            && let Err(error) = self.keep(&new.artefact).await
        {
            tracing::warn!(registry = self.registry.name(), %error, "a version was registered and could not be kept at hand; it is fetched when it is needed");
        }
        if let Err(error) = self.list_anew(LIST_LENGTH).await {
            tracing::warn!(registry = self.registry.name(), %error, "a version was registered, and the list could not be made anew; it is tried again");
        }
        Ok(registered)
    }

    fn request_to_register(&self) -> Option<Request> {
        self.registry.request_to_register()
    }

    fn request_to_promote(&self, version: &VersionName) -> Option<Request> {
        self.registry.request_to_promote(version)
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        self.registry.mark(version, mark).await
    }

    fn production_name(&self) -> Option<&str> {
        self.registry.production_name()
    }

    /// Where the registry tells them in its list alone, as the kept list has them: as old as that is, which the watch of production has made anew.
    async fn aliases(&self) -> Result<Vec<Alias>, PortError> {
        let error = match self.registry.aliases().await {
            Err(error) if error.kind == ErrorKind::Unsupported => error,
            answer => return answer,
        };
        let Some((versions, _)) = self.list.kept().await else { return Err(error) };
        Ok(aliases_in(&versions, self.registry.production_name()))
    }

    /// The watch of production asks this every so often: an old list is made anew on the way.
    async fn promoted(&self) -> Result<Option<VersionName>, PortError> {
        let promoted = self.registry.promoted().await;
        if !promoted.as_ref().is_err_and(is_away) {
            self.list_anew_if_old().await;
        }
        promoted
    }

    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        self.registry.promote(version, expecting).await
    }
}

impl std::fmt::Debug for KeptRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptRegistry").field("registry", &self.registry.name()).finish_non_exhaustive()
    }
}

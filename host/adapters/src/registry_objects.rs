//! A registry in a place of objects: a bucket of an S3-compatible store, of Google Cloud Storage, a container of Azure Blob Storage, or a folder.
//!
//! It lies there as a folder's registry does (`registry_directory`), so that a folder which is synchronised to a bucket is the same registry. The production
//! name is one small object that is moved by a conditional write; other names are the objects beside it. No digest of a store is believed: what is pinned is
//! ours, over the files that came. `README.md` beside this module says what to configure and what was tried.

mod client;
mod cloud;
mod folder;
mod layout;
mod names;
mod register;
mod store;
mod stores;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cap_std::fs::Dir;
use futures_util::{StreamExt, TryStreamExt, stream};
use ripcord_core::event::Alias;
use ripcord_core::fact::Lineage;
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::target::{ArtefactFile, VersionTarget, artefact_digest};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::registry::{Mark, NewVersion, RegistryVersion, Staged};
use ripcord_ports::{ErrorKind, PortError, Registry, Retry};
use serde::Deserialize;
use serde_json::json;

use crate::adapter::{Adapter, SecretKey};
use crate::checkpoints::shown;
use crate::download::{Place, check_announced, side_by_side};
use crate::file_work::FileWork;
use crate::registries::defaults;
use crate::registry_directory::{
    FILES, HOLD_TAG, MANIFEST, MANIFEST_BYTES_MAX, MARKS, Manifest, MarkFile, unreadable,
};
use crate::restoring::wrong;
use crate::settled::settled;
use crate::{Secret, Shared, artefact};
use layout::{Layout, Lying};
use names::Named;
use store::{Expecting, Stamp, Store};
use stores::Terms;

pub use stores::{AzureStoreConfig, FolderStoreConfig, GcsStoreConfig, S3StoreConfig, StoreConfig};

/// For the catalogue.
pub const ADAPTER: Adapter<ObjectsRegistryConfig, dyn Registry> = Adapter {
    kind: "objects",
    system: "object stores",
    summary: "a prefix for each version in S3, Cloud Storage, Blob Storage or a folder",
    page: "registry_objects/README.md",
    secret: SecretKey::SecretAccessKey,
    example: "store = { s3 = { bucket = \"models\" } }",
    start: |config, start| config.store.start(start),
    says: |config| {
        let alias = config.alias.iter().map(|alias| Label::new("alias", alias.clone()));
        let said =
            [Label::new("registry-store", config.store.shown()), Label::new("model", config.model.clone())];
        said.into_iter().chain(alias).collect()
    },
    make: |config, with| Ok(Arc::new(ObjectsRegistry::new(config, with.secret, with.shared)?)),
};

/// Calls that are under way together.
const AT_ONCE: usize = 8;
/// Versions whose manifests are read for one list: those that came last.
const MANIFESTS_MAX: usize = 1_000;

/// Where the versions are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ObjectsRegistryConfig {
    /// The model's name: its folder in the store.
    pub model: String,
    /// The place, as in `{ s3 = { bucket = "models" } }`.
    pub store: StoreConfig,
    /// The name that says which version is in production, such as `production`. Default: none, and nothing is promoted.
    #[serde(default)]
    pub alias: Option<String>,
    /// Whether a prefix without a manifest is a version as well, of all that lies below it. Default: false.
    #[serde(default)]
    pub without_manifest: bool,
    /// For one call, and for a file to go on, in milliseconds. Default: 10000.
    #[serde(default = "defaults::deadline_ms")]
    pub deadline_ms: u64,
    /// How long a call that failed is tried again, in milliseconds. Default: 20000.
    #[serde(default = "defaults::patience_ms")]
    pub patience_ms: u64,
    /// How many versions are described at most, the newest. Default: 100.
    #[serde(default = "defaults::versions_max")]
    pub versions_max: u32,
    /// The largest artefact, in bytes. Default: 68719476736, which is 64 GiB.
    #[serde(default = "defaults::artefact_bytes_max")]
    pub artefact_bytes_max: u64,
}

/// The versions of one model in a place of objects.
#[derive(Debug)]
pub struct ObjectsRegistry {
    store: Box<dyn Store>,
    model: String,
    alias: Option<String>,
    without_manifest: bool,
    versions_max: u32,
    artefact_bytes_max: u64,
    files: FileWork,
    /// Manifests that read, each as it was listed.
    known: Mutex<HashMap<VersionName, (Stamp, Arc<Read>)>>,
}

/// A manifest that was read.
#[derive(Debug)]
struct Read {
    manifest: Manifest,
    created_at: UnixMillis,
}

impl ObjectsRegistry {
    /// Checks the configuration and finds credentials; the store is not asked. `secret` is that of `access-key-id`, or of an Azure account.
    pub fn new(
        config: ObjectsRegistryConfig,
        secret: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        artefact::check_path(&config.model).map_err(|_| {
            wrong(format!(
                "`{}` cannot be a model's folder: write its path below the store's prefix",
                config.model.escape_debug()
            ))
        })?;
        if let Some(alias) = config.alias.as_deref().filter(|alias| !names::is_name(alias)) {
            return Err(wrong(format!(
                "`{}` cannot be `alias`: it is an object's name, so take letters, digits, `-`, `_` and `.`, such as `production`",
                alias.escape_debug()
            )));
        }
        if config.deadline_ms == 0 {
            return Err(wrong("`deadline-ms` must be 1 or more"));
        }
        let terms = Terms { deadline: Millis(config.deadline_ms), patience: Millis(config.patience_ms) };
        Ok(Self {
            store: stores::store(config.store, secret, shared, terms)?,
            model: config.model,
            alias: config.alias,
            without_manifest: config.without_manifest,
            versions_max: config.versions_max,
            artefact_bytes_max: config.artefact_bytes_max,
            files: FileWork::new("the staging folder"),
            known: Mutex::default(),
        })
    }

    fn alias(&self) -> Result<&str, PortError> {
        self.alias.as_deref().ok_or_else(|| {
            PortError::not_applied(
                ErrorKind::Unsupported,
                "no name says which version is in production: configure `alias`, such as `production`",
            )
        })
    }

    /// Below the model's folder.
    fn at(&self, rest: &str) -> String {
        format!("{}/{rest}", self.model)
    }

    fn in_version(&self, version: &VersionName, rest: &str) -> String {
        format!("{}/{version}/{rest}", self.model)
    }

    fn what(&self, version: &VersionName) -> String {
        format!("version `{version}` of `{}`", self.model)
    }

    async fn layout(&self) -> Result<Layout, PortError> {
        Ok(layout::of(self.store.list(&self.model).await?))
    }

    /// What lies below a version's prefix.
    async fn lying(&self, version: &VersionName) -> Result<Lying, PortError> {
        let lying = Lying::of(self.store.list(&self.at(version.as_str())).await?);
        if lying.is_version(self.without_manifest) {
            return Ok(lying);
        }
        let why = if lying.objects.is_empty() {
            "list its versions"
        } else {
            "there are objects below its prefix and no manifest among them, as while it is uploaded"
        };
        let text = format!("`{}` has no {} there: {why}", self.store.shown(), self.what(version));
        Err(PortError::not_applied(ErrorKind::NotFound, text))
    }

    /// The manifest of a version, and what it says; the inner error is a sentence about the version.
    async fn manifest_of(
        &self,
        version: &VersionName,
        stamp: Option<&Stamp>,
    ) -> Result<Result<Arc<Read>, String>, PortError> {
        let stamp = stamp.filter(|stamp| **stamp != Stamp::default());
        if let Some(stamp) = stamp {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, read)) = known.get(version).filter(|(of, _)| of == stamp) {
                return Ok(Ok(Arc::clone(read)));
            }
        }
        let bytes = match self.manifest_bytes(version).await {
            Ok(bytes) => bytes,
            // One that is too large, went away or lies in an archive hides no other version.
            Err(error) if is_of_one(&error) => return Ok(Err(error.to_string())),
            Err(error) => return Err(error),
        };
        Ok(Manifest::parse(&bytes, &self.model, version)
            .map(|(manifest, created_at)| {
                let read = Arc::new(Read { manifest, created_at });
                if let Some(stamp) = stamp {
                    let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                    if known.len() >= 2 * MANIFESTS_MAX {
                        known.clear();
                    }
                    known.insert(version.clone(), (stamp.clone(), Arc::clone(&read)));
                }
                read
            })
            .map_err(|why| shown(&format!("the manifest of version `{version}` {why}: mend it"))))
    }

    async fn manifest_bytes(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        let name = self.in_version(version, MANIFEST);
        let read = self.store.read(&name, MANIFEST_BYTES_MAX).await?;
        read.map(|read| read.bytes).ok_or_else(|| {
            let text =
                format!("{} has no manifest: it was deleted, or is being uploaded", self.what(version));
            PortError::not_applied(ErrorKind::NotFound, text)
        })
    }

    /// What a version is, but for its names and marks.
    async fn described(&self, version: &VersionName, lying: &Lying) -> Result<RegistryVersion, PortError> {
        let Some(object) = lying.manifest() else { return Ok(described_bare(version, lying)) };
        let read = match self.manifest_of(version, Some(&object.stamp)).await? {
            Ok(read) => read,
            Err(why) => return Ok(unreadable(version, why)),
        };
        let Read { manifest, created_at } = &*read;
        let missing = manifest.artefacts.iter().find_map(|file| lying.missing(&file.path, file.bytes));
        Ok(RegistryVersion {
            version: VersionTarget {
                version: version.clone(),
                digest: Some(artefact_digest(&manifest.files())),
            },
            created_at: *created_at,
            aliases: manifest.aliases.clone(),
            tags: manifest.tags(),
            measures: manifest.measures(),
            signature: manifest.signature.clone(),
            runtime: manifest.runtime.clone(),
            broken: missing,
        })
    }

    /// Adds names and marks.
    async fn completed(
        &self,
        mut described: RegistryVersion,
        lying: &Lying,
        named: &[Named],
    ) -> Result<RegistryVersion, PortError> {
        // Where a name is an object, what a manifest says of it is of another time.
        described.aliases.retain(|alias| !named.iter().any(|named| named.name == *alias));
        let here = named.iter().filter(|named| named.version.as_ref() == Some(&described.version.version));
        described.aliases.extend(here.map(|named| named.name.clone()));
        described.aliases.sort();
        described.aliases.dedup();
        if lying.is_marked() {
            let marked = match self.mark_of(&described.version.version).await {
                Ok((marked, _)) => marked.map(|mark| {
                    mark.map_err(|why| format!("its `{MARKS}` does not read: {why}; mend or delete it"))
                }),
                Err(error) if is_of_one(&error) => {
                    Some(Err(format!("its `{MARKS}` does not read: {error}; mend or delete it")))
                }
                Err(error) => return Err(error),
            };
            // Where nobody knows whether it is held, nobody goes back to it.
            let unknown = match marked {
                Some(Ok(MarkFile::Held { incident })) => {
                    described.tags.push(Label::new(HOLD_TAG, incident));
                    described.tags.sort();
                    None
                }
                Some(Ok(MarkFile::Lifted)) => None,
                Some(Err(why)) => Some(why),
                None => Some(format!("its `{MARKS}` is listed and cannot be read: list again")),
            };
            described.broken = described.broken.or(unknown);
        }
        Ok(described)
    }

    /// What is marked, and what the object must still be for it to be written.
    async fn mark_of(
        &self,
        version: &VersionName,
    ) -> Result<(Option<Result<MarkFile, String>>, Expecting), PortError> {
        let name = self.in_version(version, MARKS);
        let Some(read) = self.store.read(&name, MANIFEST_BYTES_MAX).await? else {
            return Ok((None, Expecting::Nothing));
        };
        let mark = toml::from_slice(&read.bytes).map_err(|error| shown(&error.to_string()));
        Ok((Some(mark), Expecting::Content(read.stamp)))
    }

    /// The files of a version, each with what is known of it before it is fetched.
    async fn fetch_files(
        &self,
        version: &VersionName,
        files: Vec<(String, String, u64)>,
        into: &Arc<Dir>,
    ) -> Result<Vec<ArtefactFile>, PortError> {
        let what = self.what(version);
        check_announced(files.iter().map(|(.., bytes)| *bytes), self.artefact_bytes_max, &what)?;
        let what = what.as_str();
        let fetch = |(path, name, bytes): (String, String, u64)| async move {
            let to = Place { dir: into, path: &path, what, work: &self.files };
            let taken = self.store.take(&name, bytes, to).await.map_err(|error| match error.kind {
                ErrorKind::NotFound => PortError::not_applied(
                    ErrorKind::NotFound,
                    format!("the file `{path}` of {what} is missing: {error}; restore it, or choose another version"),
                ),
                _ => error,
            });
            let (sha256, bytes) = taken?;
            Ok::<_, PortError>(ArtefactFile { path, sha256, bytes })
        };
        side_by_side(files.into_iter().map(fetch).collect()).await
    }

    async fn fetch_listed(
        &self,
        wanted: &VersionTarget,
        manifest: &Manifest,
        into: Arc<Dir>,
    ) -> Result<Staged, PortError> {
        let what = self.what(&wanted.version);
        let mut files = manifest.files();
        files.sort();
        let digest = artefact::pinned(&files, wanted.digest.as_ref(), &what)?;
        let below = |file: &ArtefactFile| {
            let name = self.in_version(&wanted.version, &format!("{FILES}/{}", file.path));
            (file.path.clone(), name, file.bytes)
        };
        let fetched = self.fetch_files(&wanted.version, files.iter().map(below).collect(), &into).await?;
        for (came, listed) in fetched.iter().zip(&files) {
            if came != listed {
                return Err(differs(came, listed, &what));
            }
        }
        Ok(Staged { dir: into, files, digest })
    }

    async fn fetch_bare(
        &self,
        wanted: &VersionTarget,
        before: Lying,
        into: Arc<Dir>,
    ) -> Result<Staged, PortError> {
        let what = self.what(&wanted.version);
        let listed = before.bare_artefact().map_err(|why| {
            PortError::not_applied(
                ErrorKind::NotFound,
                format!("{what} cannot be fetched: {why}; choose another version"),
            )
        })?;
        let files = listed.iter().map(|object| {
            (object.name.clone(), self.in_version(&wanted.version, &object.name), object.bytes)
        });
        let files = self.fetch_files(&wanted.version, files.collect(), &into).await?;
        // Half of its files from before a change and half from after it are no version that ever was.
        let after = self.lying(&wanted.version).await?;
        let is_as_listed =
            files.iter().all(|file| before.find(&file.path).is_some_and(|of| of.bytes == file.bytes));
        if after.bare_files() != before.bare_files() || !is_as_listed {
            let text = format!("{what} was changed while it was fetched: fetch it again");
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later));
        }
        let digest = artefact::pinned(&files, wanted.digest.as_ref(), &what)?;
        Ok(Staged { dir: into, files, digest })
    }
}

fn described_bare(version: &VersionName, lying: &Lying) -> RegistryVersion {
    RegistryVersion {
        created_at: lying.came_at(),
        broken: lying.bare_artefact().err(),
        ..unreadable(version, String::new())
    }
}

fn differs(came: &ArtefactFile, listed: &ArtefactFile, what: &str) -> PortError {
    let difference = if came.bytes > listed.bytes {
        format!("has more than the {} bytes that are recorded", listed.bytes)
    } else if came.bytes < listed.bytes {
        format!("has {} bytes where {} are recorded", came.bytes, listed.bytes)
    } else {
        format!("has sha-256 {} where {} is recorded", came.sha256, listed.sha256)
    };
    PortError::not_applied(
        ErrorKind::WrongDigest,
        format!(
            "the file `{}` of {what} {difference}: it was overwritten or damaged; restore its earlier version in the store, or choose another version",
            listed.path
        ),
    )
}

#[async_trait]
impl Registry for ObjectsRegistry {
    fn name(&self) -> &str {
        "registry_objects"
    }

    fn kept_at(&self) -> Option<String> {
        Some(format!("`{}` in {}", self.model, self.store.place()))
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        let Layout { versions, names } = self.layout().await?;
        let named = self.named(names).await?;
        let mut found: Vec<_> =
            versions.into_iter().filter(|(_, lying)| lying.is_version(self.without_manifest)).collect();
        found.sort_by(|(a, at), (b, bt)| (bt.came_at(), b).cmp(&(at.came_at(), a)));
        if found.len() > MANIFESTS_MAX {
            tracing::warn!(
                versions = found.len(),
                looked_at = MANIFESTS_MAX,
                "the registry has more versions than are looked at: those that were written last are"
            );
            found.truncate(MANIFESTS_MAX);
        }
        let described = stream::iter(found).map(|(version, lying)| async move {
            let described = self.described(&version, &lying).await?;
            Ok::<_, PortError>((described, lying))
        });
        let mut described: Vec<(RegistryVersion, Lying)> = described.buffered(AT_ONCE).try_collect().await?;
        described.sort_by(|(a, _), (b, _)| {
            (b.created_at, &b.version.version).cmp(&(a.created_at, &a.version.version))
        });
        described.truncate(limit.min(self.versions_max) as usize);
        let named = named.as_slice();
        let completed = stream::iter(described)
            .map(|(described, lying)| async move { self.completed(described, &lying, named).await });
        completed.buffered(AT_ONCE).try_collect().await
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        let lying = self.lying(version).await?;
        let named = self.all_named().await?;
        self.completed(self.described(version, &lying).await?, &lying, &named).await
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        let lying = self.lying(version).await?;
        let Some(object) = lying.manifest() else {
            let source = format!("{}/{}/{version}", self.store.shown(), self.model);
            return Ok(Lineage { source: Some(source), ..Lineage::default() });
        };
        let read = self.manifest_of(version, Some(&object.stamp)).await?;
        Ok(read.map_err(|why| PortError::not_applied(ErrorKind::BadAnswer, why))?.manifest.lineage())
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        let lying = self.lying(version).await?;
        if lying.manifest().is_some() {
            return self.manifest_bytes(version).await;
        }
        let object = |of: &&store::Object| json!({ "name": of.name, "bytes": of.bytes, "changed-ms": of.changed.0, "etag": of.stamp.e_tag });
        let objects: Vec<_> = lying.bare_files().iter().map(object).collect();
        let text = json!({ "prefix": self.at(version.as_str()), "objects": objects }).to_string();
        Ok(text.into_bytes())
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        let lying = self.lying(&version.version).await?;
        if lying.manifest().is_none() {
            return self.fetch_bare(version, lying, into).await;
        }
        // Not as it was listed: as it is now.
        let read = self.manifest_of(&version.version, None).await?;
        let read = read.map_err(|why| PortError::not_applied(ErrorKind::BadAnswer, why))?;
        self.fetch_listed(version, &read.manifest, into).await
    }

    async fn register(&self, new: &NewVersion) -> Result<VersionTarget, PortError> {
        register::take_in(self, new).await
    }

    fn request_to_register(&self) -> Option<Request> {
        if self.without_manifest {
            return None;
        }
        let model = self.model.clone();
        let words = format!("register it below `{model}` in `{}`", self.store.shown());
        let request =
            Request::new(self.name(), &words).with("store", self.store.place()).with("model", model);
        Some(request.hole(Hole::Key).hole(Hole::Time).hole(Hole::Credentials))
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        self.lying(version).await?;
        let wanted = MarkFile::of(mark);
        let (now, expecting) = self.mark_of(version).await?;
        let is_so = |now: &Option<Result<MarkFile, String>>| match now {
            Some(Ok(now)) => *now == wanted,
            Some(Err(_)) => false,
            None => wanted == MarkFile::Lifted,
        };
        if is_so(&now) {
            return Ok(());
        }
        let text = toml::to_string(&wanted).map_err(|error| {
            let text = format!("the mark of {} cannot be written", self.what(version));
            PortError::not_applied(ErrorKind::Local, text).caused_by(error)
        })?;
        let name = self.in_version(version, MARKS);
        let changed = self.store.put(&name, text.into_bytes(), &expecting).await;
        let what = format!("the mark of {}", self.what(version));
        settled(self.store.shown(), changed.map_err(not_the_first), &what, async {
            Ok(is_so(&self.mark_of(version).await?.0))
        })
        .await
    }

    fn request_to_promote(&self, version: &VersionName) -> Option<Request> {
        let alias = self.alias.as_deref()?;
        let object = self.at(&names::object(alias));
        let words = format!("write `{version}` into the object `{object}` in `{}`", self.store.shown());
        let request = Request::new(self.name(), &words)
            .with("store", self.store.place())
            .with("object", object)
            .with("version", version.to_string());
        Some(request.hole(Hole::Credentials))
    }

    fn production_name(&self) -> Option<&str> {
        self.alias.as_deref()
    }

    async fn aliases(&self) -> Result<Vec<Alias>, PortError> {
        let named = self.all_named().await?.into_iter();
        let others = named.filter(|named| Some(named.name.as_str()) != self.alias.as_deref());
        let aliases =
            others.filter_map(|named| Some(Alias { name: named.name, versions: vec![named.version?] }));
        Ok(aliases.collect())
    }

    async fn promoted(&self) -> Result<Option<VersionName>, PortError> {
        Ok(self.pointed_at(self.alias()?).await?.0)
    }

    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        let alias = self.alias()?;
        let (now, as_read) = self.pointed_at(alias).await?;
        if now.as_ref() == Some(version) {
            return Ok(());
        }
        if now.as_ref() != expecting {
            return Err(self.moved_by_others(alias, now.as_ref(), expecting));
        }
        // An object takes any text: that there is such a version is not the store's to check.
        self.lying(version).await?;
        let text = format!("{version}\n").into_bytes();
        let changed = self.store.put(&self.at(&names::object(alias)), text, &as_read).await;
        let is_conflict = changed.as_ref().is_err_and(|error| error.kind == ErrorKind::Conflict);
        if is_conflict {
            let now = self.pointed_at(alias).await.map_err(PortError::outcome_unknown)?.0;
            // The first of two calls, where a network repeats them, has done it.
            if now.as_ref() == Some(version) {
                return Ok(());
            }
            if now.as_ref() == expecting {
                let text = format!(
                    "the name `{alias}` of `{}` was written by someone else just now and points where it did: try again",
                    self.model
                );
                return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later));
            }
            return Err(self.moved_by_others(alias, now.as_ref(), expecting));
        }
        let what = format!("the name `{alias}` of `{}`", self.model);
        settled(self.store.shown(), changed, &what, async {
            Ok(self.pointed_at(alias).await?.0.as_ref() == Some(version))
        })
        .await
    }
}

/// Whether an error is of one object, and says nothing of the others.
fn is_of_one(error: &PortError) -> bool {
    matches!(error.kind, ErrorKind::TooLarge | ErrorKind::NotFound)
        || (error.kind == ErrorKind::BadAnswer && error.retry == Retry::No)
}

/// The same error of a call that may be made again, whatever came of it.
fn without_effect(error: PortError) -> PortError {
    PortError::not_applied(error.kind, error.to_string()).retry(error.retry)
}

/// Where a network repeats a call, the second is refused, and the first has done it.
fn not_the_first(error: PortError) -> PortError {
    if error.kind == ErrorKind::Conflict { error.outcome_unknown().retry(Retry::Later) } else { error }
}

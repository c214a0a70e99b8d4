//! A registry that is a folder: `<root>/<model>/<version>/manifest.toml` and the artefact under `files/`.
//!
//! The digest of a version is known from its manifest alone; fetching checks every file against it. A version whose manifest cannot be
//! read is listed as broken with the reason, and hides no other. It has no name for what is in production: nothing follows a rollback there, and
//! a promotion by others is noticed by what is live alone.

mod manifest;
mod register;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_core::fact::Lineage;
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::target::{VersionTarget, artefact_digest};
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::{Mark, NewVersion, RegistryVersion, Staged};
use ripcord_ports::{ErrorKind, PortError, Registry};
use serde::{Deserialize, Serialize};

use crate::adapter::{Adapter, SecretKey};
use crate::file_work::{FileWork, GivenUp};
use crate::{artefact, folder};

pub use manifest::{Artefact, Manifest, ManifestDataset, ManifestLineage};
#[cfg(feature = "s3")]
pub(crate) use register::manifest_text;
pub use register::{register, write_manifest};

/// The file that describes a version.
pub const MANIFEST: &str = "manifest.toml";
/// The folder that holds a version's artefact.
pub const FILES: &str = "files";
/// The file in which holds are marked.
pub const MARKS: &str = "marks.toml";
/// The tag under which a standing hold is listed; its value is the incident.
pub const HOLD_TAG: &str = "ripcord.hold";
/// The tag of a version that Ripcord has registered; its value is the key of the run that made it.
pub const KEY_TAG: &str = "ripcord.key";

/// Where versions usually are, below the folder of a configuration.
pub const USUAL_FOLDER: &str = "registry";

/// For the catalogue.
pub const ADAPTER: Adapter<DirectoryRegistryConfig, dyn Registry> = Adapter {
    kind: "directory",
    system: "a folder",
    summary: "a folder for each version, with its files and a manifest",
    page: "registry_directory/README.md",
    secret: SecretKey::None,
    example: "root = \"registry\"",
    start: |config, start| start.path(&mut config.root),
    says: |config| vec![Label::new("registry-folder", config.root.display().to_string())],
    make: |config, _| Ok(Arc::new(DirectoryRegistry::new(config)?)),
};

/// Of a manifest and of a file of marks.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 16 << 20;
const VERSIONS_MAX: usize = 10_000;

/// Where the folder is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DirectoryRegistryConfig {
    /// The folder that holds a folder per model.
    pub root: PathBuf,
    /// The model's name: its folder under `root`.
    pub model: String,
}

/// The versions of one model in a folder.
#[derive(Debug, Clone)]
pub struct DirectoryRegistry {
    config: Arc<DirectoryRegistryConfig>,
    files: FileWork,
}

/// The content of [`MARKS`].
#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub(crate) enum MarkFile {
    Held { incident: String },
    Lifted,
}

impl MarkFile {
    pub(crate) fn of(mark: Mark<'_>) -> Self {
        match mark {
            Mark::Held { incident } => Self::Held { incident: incident.to_owned() },
            Mark::Lifted => Self::Lifted,
        }
    }
}

impl DirectoryRegistry {
    /// Checks the configuration. Whether the folder is there shows at each call, so that a host can start before its disk is mounted.
    pub fn new(config: DirectoryRegistryConfig) -> Result<Self, PortError> {
        artefact::check_path(&config.model).map_err(|_| {
            PortError::not_applied(
                ErrorKind::Configuration,
                format!("`{}` cannot be a model's folder: write its path below the root", config.model),
            )
        })?;
        let files = FileWork::new(format!("the registry's folder `{}`", config.root.display()));
        Ok(Self { config: Arc::new(config), files })
    }

    async fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Model, &GivenUp) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let config = Arc::clone(&self.config);
        let work = move |given_up: &GivenUp| {
            let root = folder::open(&config.root).map_err(unmounted)?;
            let dir = root.open_dir(&config.model).map_err(|error| {
                let root = config.root.display();
                let doing = format_args!("cannot open the model's folder `{}` in `{root}`", config.model);
                unmounted(folder::local(error, doing))
            })?;
            work(&Model { name: config.model.clone(), dir }, given_up)
        };
        self.files.run(work).await
    }
}

/// A folder that is not there may come back: a share is mounted late, or away for a while.
fn unmounted(error: PortError) -> PortError {
    match error.kind {
        ErrorKind::NotFound => {
            PortError::not_applied(ErrorKind::Unreachable, format!("{error}, and that its disk is mounted"))
        }
        _ => error,
    }
}

/// The opened folder of the model.
struct Model {
    name: String,
    dir: Dir,
}

impl Model {
    fn open(&self, version: &VersionName) -> Result<Dir, PortError> {
        self.dir.open_dir(version.as_str()).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => PortError::not_applied(
                ErrorKind::NotFound,
                format!("the registry has no version `{version}` of `{}`: list its versions", self.name),
            ),
            _ => folder::local(error, format_args!("cannot open the version `{version}` of `{}`", self.name)),
        })
    }

    fn manifest(&self, version: &VersionName) -> Result<(Dir, Manifest, UnixMillis), PortError> {
        let dir = self.open(version)?;
        let bytes = folder::read(&dir, MANIFEST, MANIFEST_BYTES_MAX)?;
        let (manifest, created_at) = Manifest::parse(&bytes, &self.name, version).map_err(|why| {
            PortError::not_applied(
                ErrorKind::BadAnswer,
                format!("the manifest of version `{version}` {why}: mend it"),
            )
        })?;
        Ok((dir, manifest, created_at))
    }

    /// The version as listed; one without a readable manifest is broken.
    fn describe(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        // A missing folder and a missing manifest are both `NotFound`, but only the first is an unknown version.
        if let Err(error) = self.open(version)
            && error.kind == ErrorKind::NotFound
        {
            return Err(error);
        }
        let (dir, manifest, created_at) = match self.manifest(version) {
            Ok(read) => read,
            Err(error) => return Ok(unreadable(version, error.to_string())),
        };
        let mut tags = manifest.tags();
        if let Some(MarkFile::Held { incident }) = read_mark(&dir) {
            tags.push(Label::new(HOLD_TAG, incident));
            tags.sort();
        }
        let digest = artefact_digest(&manifest.files());
        Ok(RegistryVersion {
            version: VersionTarget { version: version.clone(), digest: Some(digest) },
            created_at,
            aliases: manifest.aliases.clone(),
            tags,
            measures: manifest.measures(),
            signature: manifest.signature.clone(),
            runtime: manifest.runtime.clone(),
            broken: missing_file(&dir, &manifest),
        })
    }

    /// Folders whose name is a version's.
    fn names(&self) -> Result<Vec<VersionName>, PortError> {
        let failed =
            |error| folder::local(error, format_args!("cannot list the versions of `{}`", self.name));
        let mut names = Vec::new();
        for entry in self.dir.entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(Ok(name)) = entry.file_name().to_str().map(VersionName::new) else { continue };
            if !self.dir.is_dir(name.as_str()) {
                continue;
            }
            if names.len() == VERSIONS_MAX {
                return Err(PortError::not_applied(
                    ErrorKind::TooLarge,
                    format!("`{}` has more than {VERSIONS_MAX} versions: move old ones away", self.name),
                ));
            }
            names.push(name);
        }
        Ok(names)
    }
}

/// A version of which nothing can be read.
pub(crate) fn unreadable(version: &VersionName, why: String) -> RegistryVersion {
    RegistryVersion {
        version: VersionTarget { version: version.clone(), digest: None },
        created_at: UnixMillis(0),
        aliases: Vec::new(),
        tags: Vec::new(),
        measures: Vec::new(),
        signature: None,
        runtime: None,
        broken: Some(why),
    }
}

/// Why the artefact cannot be fetched, as far as names and sizes tell.
fn missing_file(dir: &Dir, manifest: &Manifest) -> Option<String> {
    let files = match dir.open_dir(FILES) {
        Ok(files) => files,
        Err(error) => return Some(format!("its folder `{FILES}` cannot be opened: {error}")),
    };
    manifest.artefacts.iter().find_map(|listed| match files.metadata(&listed.path) {
        Err(error) => Some(format!("its file `{}` cannot be read: {error}", listed.path)),
        Ok(found) if !found.is_file() => Some(format!("its file `{}` is not an ordinary file", listed.path)),
        Ok(found) if found.len() != listed.bytes => Some(format!(
            "its file `{}` has {} bytes where the manifest says {}",
            listed.path,
            found.len(),
            listed.bytes
        )),
        Ok(_) => None,
    })
}

fn read_mark(dir: &Dir) -> Option<MarkFile> {
    let bytes = folder::read(dir, MARKS, MANIFEST_BYTES_MAX).ok()?;
    toml::from_slice(&bytes).ok()
}

#[async_trait]
impl Registry for DirectoryRegistry {
    fn name(&self) -> &str {
        "registry_directory"
    }

    fn kept_at(&self) -> Option<String> {
        Some(self.config.root.join(&self.config.model).display().to_string())
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        self.on(move |model, _| {
            // A version that goes away between listing and reading is not listed.
            let mut versions: Vec<_> =
                model.names()?.iter().filter_map(|version| model.describe(version).ok()).collect();
            versions
                .sort_by(|a, b| (b.created_at, &b.version.version).cmp(&(a.created_at, &a.version.version)));
            versions.truncate(limit as usize);
            Ok(versions)
        })
        .await
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        let version = version.clone();
        self.on(move |model, _| model.describe(&version)).await
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        let version = version.clone();
        self.on(move |model, _| Ok(model.manifest(&version)?.1.lineage())).await
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        let version = version.clone();
        self.on(move |model, _| folder::read(&model.open(&version)?, MANIFEST, MANIFEST_BYTES_MAX)).await
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        let wanted = version.clone();
        self.on(move |model, given_up| {
            let what = format!("version `{}`", wanted.version);
            let (dir, manifest, _) = model.manifest(&wanted.version)?;
            let mut files = manifest.files();
            files.sort();
            let digest = artefact::pinned(&files, wanted.digest.as_ref(), &what)?;
            let from = dir.open_dir(FILES).map_err(|error| {
                folder::local(error, format_args!("cannot open the folder `{FILES}` of {what}"))
            })?;
            artefact::copy(&from, &into, &files, &what, given_up)?;
            Ok(Staged { dir: into, files, digest })
        })
        .await
    }

    async fn register(&self, new: &NewVersion) -> Result<VersionTarget, PortError> {
        let new = new.clone();
        self.on(move |model, given_up| register::take_in(model, &new, given_up)).await
    }

    fn request_to_register(&self) -> Option<Request> {
        let (root, model) = (self.config.root.display().to_string(), self.config.model.clone());
        let words = format!("register it in the folder of `{model}` in `{root}`");
        let request = Request::new(self.name(), &words).with("root", root).with("model", model);
        Some(request.hole(Hole::Key).hole(Hole::Time))
    }

    fn production_name(&self) -> Option<&str> {
        None
    }

    fn request_to_promote(&self, _: &VersionName) -> Option<Request> {
        None
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        let version = version.clone();
        let wanted = MarkFile::of(mark);
        self.on(move |model, _| {
            let dir = model.open(&version)?;
            if read_mark(&dir).as_ref() == Some(&wanted) {
                return Ok(());
            }
            let text = toml::to_string(&wanted).map_err(|error| {
                PortError::not_applied(
                    ErrorKind::Local,
                    format!("the mark of version `{version}` cannot be written"),
                )
                .caused_by(error)
            })?;
            folder::write_beside(&dir, MARKS, text.as_bytes()).map_err(|error| {
                folder::local(error, format_args!("cannot write `{MARKS}` of version `{version}`"))
            })
        })
        .await
    }
}

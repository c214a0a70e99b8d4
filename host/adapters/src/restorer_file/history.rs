//! The folder of revisions: a file each, with a description beside it where somebody wrote one. The host adds what it finds in force, and forgets the
//! oldest of those that it has added; what people have put there stays.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt as _};
use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use ripcord_core::time::UnixMillis;
use ripcord_ports::restorer::HistoryEntry;
use ripcord_ports::{ErrorKind, PortError};
use serde::{Deserialize, Serialize};

use super::FileFormat;
use crate::restoring::{CONTENT_BYTES_MAX, no_revision, summary};
use crate::{folder, text_time};

/// With more files than this it is no folder of revisions.
const FILES_MAX: usize = 4_000;
/// After the name of a revision, that of its description.
const ABOUT: &str = ".about.toml";
const ABOUT_BYTES_MAX: u64 = 64 << 10;
const KEPT_BY_HOST: &str = "found in the file and kept before it was overwritten";

/// The folder.
#[derive(Debug)]
pub(super) struct History {
    path: PathBuf,
    format: FileFormat,
    keep: usize,
    /// What is known of files that have not changed since; only of those that are there.
    known: Mutex<BTreeMap<String, (Stamp, Content)>>,
    /// Names that cannot be those of revisions, as they were told last.
    odd: Mutex<BTreeSet<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, i64, i64, u64);

#[derive(Debug, Clone)]
struct Content {
    digest: Digest,
    readable: bool,
    broken: Option<String>,
}

/// One file of the folder.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) name: VersionName,
    pub(super) digest: Digest,
    made_at: UnixMillis,
    kept_by_host: bool,
    /// None where an older one has the same content: that one names it.
    pub(super) entry: Option<HistoryEntry>,
}

/// What is written beside a revision.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    made_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    made_by: Option<String>,
    summary: String,
    kept_by_ripcord: bool,
}

impl History {
    pub(super) fn new(path: PathBuf, format: FileFormat, keep: usize) -> Self {
        Self { path, format, keep, known: Mutex::default(), odd: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The opened folder, made where it is not there.
    pub(super) fn dir(&self) -> Result<Dir, PortError> {
        match Dir::create_ambient_dir_all(&self.path, ambient_authority()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(folder::local(error, format_args!("cannot make the folder `{}`", self.path.display())))
            }
            _ => folder::open(&self.path),
        }
    }

    /// Whether something can be kept.
    pub(super) fn obstacle(&self) -> Result<(), PortError> {
        let (dir, probe) = (self.dir()?, ".ripcord-probe");
        folder::write_beside_unflushed(&dir, probe, b"")
            .and_then(|()| folder::remove(&dir, probe))
            .map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> PortError {
        folder::local(error, format_args!("cannot keep revisions in `{}`", self.path.display()))
    }

    /// All revisions, newest first.
    pub(super) fn list(&self) -> Result<Vec<Listed>, PortError> {
        let dir = self.dir()?;
        let names = self.names(&dir)?;
        let mut found = Vec::with_capacity(names.len());
        for name in &names {
            found.extend(self.file(&dir, name)?);
        }
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|name, _| found.iter().any(|listed| listed.name.as_str() == name));
        found.sort_by(|one, two| (two.made_at, &two.name).cmp(&(one.made_at, &one.name)));
        let mut oldest = BTreeMap::new();
        for listed in found.iter().rev() {
            oldest.entry(listed.digest).or_insert_with(|| listed.name.clone());
        }
        for listed in &mut found {
            if oldest.get(&listed.digest) != Some(&listed.name) {
                listed.entry = None;
            }
        }
        Ok(found)
    }

    fn names(&self, dir: &Dir) -> Result<Vec<VersionName>, PortError> {
        let failed = |error| folder::local(error, format_args!("cannot list `{}`", self.path.display()));
        let (mut names, mut odd) = (Vec::new(), BTreeSet::new());
        for entry in dir.entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || name.ends_with(ABOUT) {
                continue;
            }
            match VersionName::new(name.as_str()) {
                Ok(name) => names.push(name),
                Err(_) => {
                    odd.insert(name);
                }
            }
            if names.len() + odd.len() > FILES_MAX {
                let text = format!(
                    "`{}` holds more than {FILES_MAX} files: move old revisions away",
                    self.path.display()
                );
                return Err(PortError::not_applied(ErrorKind::TooLarge, text));
            }
        }
        let mut told = self.odd.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != odd {
            for name in odd.difference(&told) {
                tracing::warn!(folder = %self.path.display(), %name, "a file cannot be a revision: its name may hold a-z A-Z 0-9 . _ - + : @");
            }
            *told = odd;
        }
        Ok(names)
    }

    /// A file that is gone since it was listed is none.
    fn file(&self, dir: &Dir, name: &VersionName) -> Result<Option<Listed>, PortError> {
        let found = match dir.metadata(name.as_str()) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(folder::local(error, format_args!("cannot look at the revision `{name}`")));
            }
        };
        let stamp = Stamp(found.ino(), found.mtime(), found.mtime_nsec(), found.len());
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name.as_str()).cloned();
        let content = match known {
            Some((of, content)) if of == stamp => content,
            _ => {
                let content = match folder::read(dir, name.as_str(), CONTENT_BYTES_MAX) {
                    Ok(bytes) => Content {
                        digest: Digest::of(&bytes),
                        readable: true,
                        broken: self.format.broken(&bytes),
                    },
                    // Nothing else has this digest, so nothing is taken for it.
                    Err(error) => Content {
                        digest: Digest::tagged("ripcord.unreadable", &[name.as_str().as_bytes()]),
                        readable: false,
                        broken: Some(error.to_string()),
                    },
                };
                let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(name.to_string(), (stamp, content.clone()));
                content
            }
        };
        let (about, odd) = match about(dir, name) {
            Ok(about) => (about, None),
            Err(why) => (About::default(), Some(why)),
        };
        let made_at = about.made_at.as_deref().map(text_time::parse).transpose();
        let (made_at, late) = match made_at {
            Ok(made_at) => (made_at, None),
            Err(why) => (None, Some(format!("`{name}{ABOUT}` has a bad `made-at`: {why}"))),
        };
        let changed = u64::try_from(found.mtime()).unwrap_or(0).saturating_mul(1_000)
            + u64::try_from(found.mtime_nsec()).unwrap_or(0) / 1_000_000;
        let made_at = made_at.unwrap_or(UnixMillis(changed));
        Ok(Some(Listed {
            name: name.clone(),
            digest: content.digest,
            made_at,
            kept_by_host: about.kept_by_ripcord,
            entry: Some(HistoryEntry {
                revision: name.clone(),
                digest: content.readable.then_some(content.digest),
                made_at: Some(made_at),
                made_by: about.made_by.as_deref().map(summary),
                summary: summary(&about.summary),
                broken: content.broken.or(odd).or(late).map(|why| summary(&why)),
            }),
        }))
    }

    /// One revision and its content.
    pub(super) fn one(&self, name: &VersionName) -> Result<(HistoryEntry, Vec<u8>), PortError> {
        let unknown = || no_revision(name, &format!("`{}`", self.path.display()));
        if name.as_str().ends_with(ABOUT) {
            return Err(unknown());
        }
        let listed = self.list()?;
        let found = listed.iter().find(|listed| listed.name == *name).ok_or_else(unknown)?;
        let content = folder::read(&self.dir()?, name.as_str(), CONTENT_BYTES_MAX)?;
        if let Some(entry) = &found.entry {
            return Ok((entry.clone(), content));
        }
        let first = listed.iter().find(|other| other.digest == found.digest && other.entry.is_some());
        let first = first.map_or_else(String::new, |first| format!(" `{}`", first.name));
        let entry = HistoryEntry {
            revision: name.clone(),
            digest: Some(found.digest),
            made_at: Some(found.made_at),
            made_by: None,
            summary: String::new(),
            broken: Some(format!("its content is that of the older revision{first}: restore that one")),
        };
        Ok((entry, content))
    }

    /// Makes a revision of content that is none, and forgets the oldest that were made so.
    pub(super) fn keep(&self, content: &[u8], at: UnixMillis) -> Result<(), PortError> {
        let dir = self.dir()?;
        let name = format!("sha256-{}", &Digest::of(content).to_string()[..16]);
        let about = About {
            made_at: Some(text_time::format(at)),
            made_by: None,
            summary: KEPT_BY_HOST.to_owned(),
            kept_by_ripcord: true,
        };
        let about = toml::to_string(&about).map_err(|error| {
            PortError::not_applied(ErrorKind::Local, "a revision cannot be described").caused_by(error)
        })?;
        // The description first: a revision without one would be taken for one that people put there.
        folder::write_beside(&dir, &format!("{name}{ABOUT}"), about.as_bytes())
            .and_then(|()| folder::write_beside(&dir, &name, content))
            .map_err(|error| self.failed(error))?;
        let kept = self.list()?;
        let surplus = kept.iter().filter(|listed| listed.kept_by_host && listed.name.as_str() != name);
        for old in surplus.skip(self.keep - 1) {
            tracing::warn!(revision = %old.name, folder = %self.path.display(), keep = self.keep, "a revision is forgotten: newer ones were kept");
            folder::remove(&dir, old.name.as_str())
                .and_then(|()| folder::remove(&dir, &format!("{}{ABOUT}", old.name)))
                .map_err(|error| self.failed(error))?;
        }
        Ok(())
    }
}

fn about(dir: &Dir, name: &VersionName) -> Result<About, String> {
    let file = format!("{name}{ABOUT}");
    match dir.try_exists(&file) {
        Ok(true) => {}
        Ok(false) => return Ok(About::default()),
        Err(error) => return Err(format!("`{file}` cannot be looked at: {error}")),
    }
    let bytes = folder::read(dir, &file, ABOUT_BYTES_MAX).map_err(|error| error.to_string())?;
    if let Some(why) = crate::text_encoding::other_encoding(&bytes) {
        return Err(format!("`{file}` {why}"));
    }
    toml::from_str(&String::from_utf8_lossy(&bytes))
        .map_err(|error| format!("`{file}` does not read: {}", error.message()))
}

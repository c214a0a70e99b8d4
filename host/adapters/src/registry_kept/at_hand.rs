//! Artefacts by their digest, in a folder that only the host writes, within a budget: what was used least recently goes first.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::PortError;

use crate::artefact;
use crate::folder::{self, local};

#[derive(Debug, Clone, Copy)]
struct Entry {
    bytes: u64,
    /// Larger is more recent.
    used: u64,
}

#[derive(Debug, Default)]
struct Entries {
    by_digest: BTreeMap<Digest, Entry>,
    uses: u64,
}

/// See the module.
#[derive(Debug)]
pub struct ArtefactsAtHand {
    dir: Dir,
    bytes_max: u64,
    entries: Mutex<Entries>,
}

impl ArtefactsAtHand {
    /// Takes up what an earlier run kept in `dir`. Holds at most `bytes_max` bytes; with 0 nothing is kept.
    ///
    /// # Errors
    /// The folder cannot be read, or what was half written cannot be removed.
    pub fn open(dir: Dir, bytes_max: u64) -> Result<Self, PortError> {
        let failed = |error| local(error, "cannot read the folder of artefacts that are kept at hand");
        let mut found = Vec::new();
        for entry in dir.entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let digest: Option<Digest> = name.parse().ok();
            match digest {
                Some(digest) => {
                    let files = artefact::list(&entry.open_dir().map_err(failed)?, "a kept artefact")?;
                    let changed = entry.metadata().and_then(|about| about.modified()).ok();
                    found.push((changed, digest, files.iter().map(|file| file.bytes).sum()));
                }
                None => folder::remove(&dir, &name).map_err(failed)?,
            }
        }
        found.sort_by_key(|(changed, digest, _)| (*changed, *digest));
        let mut entries = Entries::default();
        for (_, digest, bytes) in found {
            entries.use_now(digest, bytes);
        }
        let at_hand = Self { dir, bytes_max, entries: Mutex::new(entries) };
        at_hand.make_room(0);
        Ok(at_hand)
    }

    /// Puts the artefact into the empty folder `into`, every file checked; none where it is not at hand. One that is damaged is forgotten.
    pub(super) fn stage(&self, digest: &Digest, into: &Dir) -> Result<Option<Vec<ArtefactFile>>, PortError> {
        let Some(bytes) = self.entries().by_digest.get(digest).map(|entry| entry.bytes) else {
            return Ok(None);
        };
        let staged =
            self.dir.open_dir(digest.to_string()).map_err(|error| error.to_string()).and_then(|from| {
                let listed = artefact::list(&from, "the kept artefact").map_err(|error| error.to_string())?;
                for file in &listed {
                    link_or_copy(&from, into, &file.path).map_err(|error| error.to_string())?;
                }
                artefact::hash(into, "the kept artefact").map_err(|error| error.to_string())
            });
        match staged {
            Ok(files) if artefact_digest(&files) == *digest => {
                self.entries().use_now(*digest, bytes);
                Ok(Some(files))
            }
            other => {
                let why = other.err().unwrap_or_else(|| "its files were changed".to_owned());
                tracing::warn!(%digest, why, "an artefact that was kept at hand cannot be used and is forgotten; the registry is asked for it");
                self.forget(digest);
                empty(into).map_err(|error| local(error, "cannot empty the staging folder"))?;
                Ok(None)
            }
        }
    }

    /// Keeps an artefact that was just fetched and checked. A failure costs only the next rollback's speed, so it is logged.
    pub(super) fn keep(&self, digest: &Digest, from: &Dir, files: &[ArtefactFile]) {
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        if self.entries().by_digest.contains_key(digest) {
            return self.entries().use_now(*digest, bytes);
        }
        if bytes > self.bytes_max {
            if self.bytes_max > 0 {
                tracing::warn!(%digest, bytes, bytes_max = self.bytes_max, "an artefact is larger than all that may be kept at hand; a rollback to it waits for the registry");
            }
            return;
        }
        self.make_room(bytes);
        let beside = format!("{digest}.new");
        let kept = folder::remove(&self.dir, &beside)
            .and_then(|()| self.dir.create_dir(&beside))
            .and_then(|()| self.dir.open_dir(&beside))
            .and_then(|into| files.iter().try_for_each(|file| link_or_copy(from, &into, &file.path)))
            .and_then(|()| self.dir.rename(&beside, &self.dir, digest.to_string()))
            // Every file is checked again before it is used, so the name may be on disk before them.
            .and_then(|()| folder::tree(&self.dir, &digest.to_string()))
            .and_then(|all| folder::flush(&self.dir, &[all, vec![".".to_owned()]].concat()));
        match kept {
            Ok(()) => self.entries().use_now(*digest, bytes),
            Err(error) => {
                tracing::warn!(%digest, %error, "an artefact could not be kept at hand; a rollback to it waits for the registry");
                // The next start removes what cannot be removed now.
                let _ = folder::remove(&self.dir, &beside);
            }
        }
    }

    /// Forgets what was used least recently until `bytes` more fit.
    fn make_room(&self, bytes: u64) {
        loop {
            let oldest = {
                let entries = self.entries();
                let held: u64 = entries.by_digest.values().map(|entry| entry.bytes).sum();
                if held.saturating_add(bytes) <= self.bytes_max {
                    return;
                }
                entries.by_digest.iter().min_by_key(|(_, entry)| entry.used).map(|(digest, _)| *digest)
            };
            let Some(oldest) = oldest else { return };
            tracing::warn!(digest = %oldest, bytes_max = self.bytes_max, "an artefact is no longer kept at hand: `kept-artefacts-mib` is used up");
            self.forget(&oldest);
        }
    }

    fn forget(&self, digest: &Digest) {
        self.entries().by_digest.remove(digest);
        if let Err(error) = folder::remove(&self.dir, &digest.to_string()) {
            tracing::warn!(%digest, %error, "an artefact that is no longer kept could not be removed; the next start takes it up again");
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn use_now(&mut self, digest: Digest, bytes: u64) {
        self.uses += 1;
        self.by_digest.insert(digest, Entry { bytes, used: self.uses });
    }
}

/// The same file under both folders where they share a disk, else a copy.
fn link_or_copy(from: &Dir, into: &Dir, path: &str) -> io::Result<()> {
    if let Some(parent) = Path::new(path).parent().filter(|parent| *parent != Path::new("")) {
        into.create_dir_all(parent)?;
    }
    from.hard_link(path, into, path).or_else(|_| from.copy(path, into, path).map(drop))
}

fn empty(dir: &Dir) -> io::Result<()> {
    for entry in dir.entries()? {
        folder::remove(dir, &entry?.file_name().to_string_lossy())?;
    }
    Ok(())
}

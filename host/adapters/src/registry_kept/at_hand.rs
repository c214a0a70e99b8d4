//! Artefacts by their digest, in a folder that only the host writes, within a budget: what was used least recently goes first.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::PortError;
use ripcord_ports::registry::AtHand;

use crate::artefact;
use crate::folder::{self, local};

/// A kept artefact whose files were all read so long ago is read again when it is looked at: what rots on a disk is found before it is needed.
const CHECKED_FOR: Millis = Millis::hours(6);

#[derive(Debug, Clone, Copy)]
struct Entry {
    bytes: u64,
    /// Larger is more recent.
    used: u64,
    /// Of the names and lengths of its files.
    shape: Digest,
    /// One that is kept anew has another.
    kept: u64,
    /// When every file was read and was what it should be, since this host started.
    checked_at: Option<UnixMillis>,
}

#[derive(Debug, Default)]
struct Entries {
    by_digest: BTreeMap<Digest, Entry>,
    uses: u64,
    /// Those that had to make room, or are larger than all of it, since this host started.
    without_room: BTreeSet<Digest>,
}

/// See the module.
#[derive(Debug)]
pub struct ArtefactsAtHand {
    dir: Dir,
    bytes_max: u64,
    entries: Mutex<Entries>,
    /// Whether the files of one are being read.
    checks: AtomicBool,
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
                    let shape = shape(files.iter().map(|file| (file.path.as_str(), file.bytes)));
                    found.push((changed, digest, files.iter().map(|file| file.bytes).sum(), shape));
                }
                None => folder::remove(&dir, &name).map_err(failed)?,
            }
        }
        found.sort_by_key(|(changed, digest, ..)| (*changed, *digest));
        let mut entries = Entries::default();
        for (_, digest, bytes, shape) in found {
            entries.use_now(digest, bytes, shape);
        }
        let at_hand = Self { dir, bytes_max, entries: Mutex::new(entries), checks: AtomicBool::new(false) };
        at_hand.make_room(0);
        Ok(at_hand)
    }

    /// Puts the artefact into the empty folder `into`, every file checked; none where it is not at hand. One that is damaged is forgotten.
    pub(super) fn stage(&self, digest: &Digest, into: &Dir) -> Result<Option<Vec<ArtefactFile>>, PortError> {
        let Some(entry) = self.entries().by_digest.get(digest).copied() else {
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
                self.entries().use_now(*digest, entry.bytes, entry.shape);
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

    /// Whether anything is kept at all.
    pub(super) const fn keeps_any(&self) -> bool {
        self.bytes_max > 0
    }

    /// Whether the artefact is kept, whole: its files are there with their names and lengths. What is in them is read every [`CHECKED_FOR`], beside everything
    /// else and of one artefact at a time; one that is found to be damaged then is forgotten, as when it is needed. To be looked at is to be used.
    ///
    /// # Errors
    /// It cannot be told now; nothing is forgotten.
    pub(super) fn look(self: &Arc<Self>, digest: &Digest, now: UnixMillis) -> Result<AtHand, PortError> {
        let entry = {
            let entries = self.entries();
            match entries.by_digest.get(digest) {
                Some(entry) => *entry,
                None if entries.without_room.contains(digest) => {
                    let why = "all that `kept-artefacts-mib` of `[host]` allows is taken by versions that are gone back to, too, or it is larger than that: raise it";
                    return Ok(AtHand::NoRoom(why.to_owned()));
                }
                None => return Ok(AtHand::Missing("it is not among those that are kept".to_owned())),
            }
        };
        let dir = match self.dir.open_dir(digest.to_string()) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.forget_damaged(digest, entry, "its folder is gone");
                return Ok(AtHand::Missing("its folder is gone".to_owned()));
            }
            Err(error) => return Err(local(error, "cannot open an artefact that is kept at hand")),
        };
        let listed = match artefact::list(&dir, "an artefact that is kept at hand") {
            Ok(listed) => listed,
            // It was found to be damaged just now.
            Err(_) if !self.still_has(digest, entry) => {
                return Ok(AtHand::Missing("it is not among those that are kept".to_owned()));
            }
            Err(error) => return Err(error),
        };
        if shape(listed.iter().map(|file| (file.path.as_str(), file.bytes))) != entry.shape {
            self.forget_damaged(digest, entry, "files of it are gone, or others were put there");
            return Ok(AtHand::Missing("files of it were gone or changed, so it is forgotten".to_owned()));
        }
        self.entries().use_now(*digest, entry.bytes, entry.shape);
        if entry.checked_at.is_none_or(|at| at > now || now.since(at) >= CHECKED_FOR) {
            self.check_beside(*digest, entry, dir, now);
        }
        Ok(AtHand::Whole)
    }

    /// Reads all of its files, unless one is read already; whoever asked does not wait for it.
    fn check_beside(self: &Arc<Self>, digest: Digest, entry: Entry, dir: Dir, now: UnixMillis) {
        if self.checks.swap(true, Ordering::AcqRel) {
            return;
        }
        let of = self.clone();
        let check = move || {
            match artefact::hash(&dir, "an artefact that is kept at hand") {
                Ok(files) if artefact_digest(&files) == digest => {
                    let mut entries = of.entries();
                    let same = entries.by_digest.get_mut(&digest).filter(|now| now.kept == entry.kept);
                    same.into_iter().for_each(|entry| entry.checked_at = Some(now));
                }
                Ok(_) => of.forget_damaged(&digest, entry, "its files were changed"),
                Err(error) => {
                    tracing::warn!(%digest, %error, "an artefact that is kept at hand cannot be checked; it is tried again")
                }
            }
            of.checks.store(false, Ordering::Release);
        };
        if let Err(error) = std::thread::Builder::new().name("artefact-check".to_owned()).spawn(check) {
            tracing::warn!(%digest, %error, "an artefact that is kept at hand cannot be checked; it is tried again");
            self.checks.store(false, Ordering::Release);
        }
    }

    fn still_has(&self, digest: &Digest, entry: Entry) -> bool {
        self.entries().by_digest.get(digest).is_some_and(|now| now.kept == entry.kept)
    }

    /// Unless it was fetched again meanwhile.
    fn forget_damaged(&self, digest: &Digest, entry: Entry, why: &str) {
        if self.forget_if(digest, |now| now.kept == entry.kept) {
            // What had to make room may have that of this one.
            self.entries().without_room.clear();
            tracing::warn!(%digest, why, "an artefact that was kept at hand is damaged and is forgotten; a rollback to it waits for the registry");
        }
    }

    /// Keeps an artefact that was just fetched and checked. A failure costs only the next rollback's speed, so it is logged.
    pub(super) fn keep(&self, digest: &Digest, from: &Dir, files: &[ArtefactFile]) {
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let shape = shape(files.iter().map(|file| (file.path.as_str(), file.bytes)));
        if self.entries().by_digest.contains_key(digest) {
            return self.entries().use_now(*digest, bytes, shape);
        }
        if bytes > self.bytes_max {
            self.entries().has_no_room(*digest);
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
            Ok(()) => self.entries().use_now(*digest, bytes, shape),
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
            self.entries().has_no_room(oldest);
        }
    }

    fn forget(&self, digest: &Digest) {
        self.forget_if(digest, |_| true);
    }

    /// Whether it was there. Its folder has another name before anybody else can keep one in its place; what remains under that one is removed at the next start
    /// at the latest.
    fn forget_if(&self, digest: &Digest, is_meant: impl Fn(&Entry) -> bool) -> bool {
        let aside = {
            let mut entries = self.entries();
            let Some(entry) = entries.by_digest.get(digest).copied().filter(is_meant) else { return false };
            entries.by_digest.remove(digest);
            let aside = format!("{digest}.old-{}", entry.kept);
            match self.dir.rename(digest.to_string(), &self.dir, &aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%digest, %error, "an artefact that is no longer kept could not be moved away; the next start takes it up again");
                }
                _ => {}
            }
            aside
        };
        if let Err(error) = folder::remove(&self.dir, &aside) {
            tracing::warn!(%digest, %error, "an artefact that is no longer kept could not be removed; the next start tries again");
        }
        true
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many are known to have no room; which were told of before are forgotten, and told anew.
const WITHOUT_ROOM_MAX: usize = 1_000;

impl Entries {
    fn has_no_room(&mut self, digest: Digest) {
        if self.without_room.len() >= WITHOUT_ROOM_MAX {
            self.without_room.clear();
        }
        self.without_room.insert(digest);
    }

    fn use_now(&mut self, digest: Digest, bytes: u64, shape: Digest) {
        self.uses += 1;
        self.without_room.remove(&digest);
        let used = self.uses;
        let known = self.by_digest.get(&digest).copied();
        let entry = known.unwrap_or(Entry { bytes, used, shape, kept: used, checked_at: None });
        self.by_digest.insert(digest, Entry { used, ..entry });
    }
}

/// Of the names and lengths of files, in the order of their names.
fn shape<'a>(files: impl Iterator<Item = (&'a str, u64)>) -> Digest {
    let mut all: Vec<_> = files.collect();
    all.sort_unstable();
    // No name of a file holds a zero.
    Digest::of(all.iter().map(|(path, bytes)| format!("{path}\0{bytes}\0")).collect::<String>())
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

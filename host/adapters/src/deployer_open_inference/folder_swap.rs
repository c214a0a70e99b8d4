//! Putting an artefact in the place of the model's folder, so that a crash at any moment leaves something that the next call understands.
//!
//! Beside the folder `iris` lie, all hidden from servers that look for models: `.iris.ripcord-next`, which is being filled, and after the
//! swap `.iris.ripcord-previous`, kept until the server has loaded, and the note `.iris.ripcord.json`, written before each step.

mod aside;
mod note;
mod obstacle;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::{ErrorKind, PortError};

use crate::artefact::{self, Listed};
use crate::file_work::{FileWork, GivenUp};
use crate::folder;

use super::written::{Content, Written};
use note::{Before, Note, Phase};

pub(super) use note::Whose;

const NOTE_BYTES_MAX: u64 = 64 << 20;

/// The folder from which a server reads one model.
#[derive(Debug)]
pub(super) struct ModelFolder {
    paths: Arc<Paths>,
    /// One piece of work at a time, for as long as it lasts: one that was given up still holds its place until it has stopped.
    work: FileWork,
}

#[derive(Debug)]
struct Paths {
    parent: PathBuf,
    name: String,
    next: String,
    previous: String,
    note: String,
    /// The last digest that was computed, and of what.
    known: Mutex<Option<(Vec<Listed>, Digest)>>,
}

impl ModelFolder {
    pub(super) fn new(path: &Path) -> Result<Self, PortError> {
        let wrong = || {
            PortError::not_applied(
                ErrorKind::Configuration,
                format!(
                    "`{}` cannot be a model's folder: write the path of the folder that the server reads",
                    path.display()
                ),
            )
        };
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(wrong)?;
        let parent = match path.parent() {
            Some(parent) if parent == Path::new("") => Path::new("."),
            Some(parent) => parent,
            None => return Err(wrong()),
        };
        Ok(Self {
            work: FileWork::exclusive(format!("the model folder `{}`", path.display())),
            paths: Arc::new(Paths {
                parent: parent.to_owned(),
                name: name.to_owned(),
                next: format!(".{name}.ripcord-next"),
                previous: format!(".{name}.ripcord-previous"),
                note: format!(".{name}.ripcord.json"),
                known: Mutex::new(None),
            }),
        })
    }

    /// Which folder it is.
    pub(super) fn path(&self) -> PathBuf {
        self.paths.parent.join(&self.paths.name)
    }

    /// Puts the artefact and our files in place. Doing it again is harmless; leftovers of an interrupted swap are finished or cleaned up
    /// first.
    pub(super) async fn place(&self, content: Content) -> Result<(), PortError> {
        self.with(move |swap| swap.place(&content)).await
    }

    /// Puts back what was there before [`Self::place`].
    pub(super) async fn put_back(&self) -> Result<(), PortError> {
        self.with(|swap| swap.put_back()).await
    }

    /// Drops what was there before: the server has loaded what is in place.
    pub(super) async fn settle(&self) -> Result<(), PortError> {
        self.with(|swap| swap.settle()).await
    }

    /// Whose the folder is.
    pub(super) async fn whose(&self) -> Result<Whose, PortError> {
        self.with(|swap| swap.whose()).await
    }

    /// Removes the folder, if a swap of ours put it there, and says whether one did. What was there before does not come back. The note stays until
    /// [`Self::forget`], so that this is known after a crash.
    pub(super) async fn take_away(&self) -> Result<bool, PortError> {
        self.with(|swap| swap.take_away()).await
    }

    /// Removes the note of what was taken away.
    pub(super) async fn forget(&self) -> Result<(), PortError> {
        self.with(|swap| swap.forget()).await
    }

    /// Whether something was put in place of which it is not known whether the server has loaded it.
    pub(super) async fn is_unsettled(&self) -> Result<bool, PortError> {
        let unsettled = |note: Note| !matches!(note.phase, Phase::Loaded);
        self.with(move |swap| Ok(swap.read_note().is_some_and(unsettled))).await
    }

    /// The digest of the artefact in the folder, if a swap of ours put it there as `version`. Files that the server adds do not count, nor
    /// do ours as long as they are as they were written: once changed, they may have the server load something else.
    pub(super) async fn digest_of(&self, version: &VersionName) -> Option<Digest> {
        let version = version.clone();
        self.with(move |swap| Ok(swap.digest_of(&version))).await.ok().flatten()
    }

    /// What makes every swap impossible, where it can be seen.
    pub(super) async fn obstacle(&self) -> Option<String> {
        self.with(|swap| Ok(swap.obstacle())).await.unwrap_or_else(|error| Some(error.to_string()))
    }

    /// Runs a look at what is to be placed, with the same room.
    pub(super) async fn check(
        &self,
        look: impl FnOnce() -> Result<(), PortError> + Send + 'static,
    ) -> Result<(), PortError> {
        self.work.run(move |_| look()).await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Swap<'_>) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let paths = Arc::clone(&self.paths);
        let work = move |given_up: &GivenUp| {
            work(&Swap { dir: folder::open(&paths.parent)?, paths: &paths, given_up })
        };
        self.work.run(work).await
    }
}

/// One piece of work on the opened parent folder.
struct Swap<'a> {
    dir: Dir,
    paths: &'a Paths,
    /// Once it is given up, nothing that takes effect is begun; what was begun is finished by the next work's recovery.
    given_up: &'a GivenUp,
}

impl Swap<'_> {
    fn place(&self, content: &Content) -> Result<(), PortError> {
        self.still_wanted()?;
        let whole = content.whole();
        let mut note = self.recover()?;
        if note.as_ref().is_some_and(|note| note.phase == Phase::Placed && note.whole() != whole) {
            // An artefact that was never seen loaded is not what is to be put back later.
            self.put_back()?;
            note = None;
        }
        if note.is_some_and(|note| note.phase == Phase::Placed) && self.holds(whole) {
            return Ok(());
        }
        let before = match self.dir.try_exists(&self.paths.name).map_err(self.failed("look at"))? {
            false => Before::Nothing,
            true if self.holds(whole) => Before::Same,
            true => Before::Folder,
        };
        let mut note = Note {
            phase: Phase::Placing,
            before,
            version: content.version.clone(),
            files: content.staged.files.clone(),
            written: content.listed(),
        };
        if before != Before::Same {
            folder::remove(&self.dir, &self.paths.previous).map_err(self.failed("clean up beside"))?;
            self.fill_next(content)?;
            self.still_wanted()?;
            self.note(&note)?;
            self.flush_next().map_err(self.failed("write beside"))?;
            self.swap_or_recover()?;
        }
        note.phase = Phase::Placed;
        // The folder is swapped already.
        self.note(&note).map_err(PortError::outcome_unknown)
    }

    /// A swap that fails leaves nothing beside the folder, where that can be had: nothing else may be tried here.
    fn swap_or_recover(&self) -> Result<(), PortError> {
        let Err(error) = self.swap_in() else { return Ok(()) };
        let error = self.failed("swap")(error);
        match self.recover() {
            // The folder is as it was.
            Ok(None) => Err(error),
            // It was swapped before the rest failed.
            Ok(Some(_)) => Err(error.outcome_unknown()),
            Err(left) => {
                tracing::warn!(error = %left, "what a swap that failed had written beside the model's folder stays there");
                Err(error.outcome_unknown())
            }
        }
    }

    /// What is about to be swapped in must be whole after a power cut, and the note must tell of it. The swap itself is flushed when the server has
    /// loaded it: a power cut before that ends the server too, and leaves one folder or the other.
    fn flush_next(&self) -> io::Result<()> {
        let Paths { next, note, .. } = self.paths;
        folder::flush(
            &self.dir,
            &[folder::tree(&self.dir, next)?, vec![note.clone(), ".".to_owned()]].concat(),
        )
    }

    fn fill_next(&self, content: &Content) -> Result<(), PortError> {
        let Paths { next, .. } = self.paths;
        folder::remove(&self.dir, next).map_err(self.failed("clean up beside"))?;
        self.dir.create_dir(next).map_err(self.failed("write beside"))?;
        let into = self.dir.open_dir(next).map_err(self.failed("write beside"))?;
        artefact::copy(
            &content.staged.dir,
            &into,
            &content.staged.files,
            "the staged artefact",
            self.given_up,
        )?;
        content
            .written
            .iter()
            .try_for_each(|written| write_new(&into, written))
            .map_err(self.failed("write beside"))
    }

    /// Nobody waits for what was given up, and what comes in its place may be something else.
    fn still_wanted(&self) -> Result<(), PortError> {
        self.given_up.check().map_err(self.failed("replace"))
    }

    /// `next` takes the place of the folder, which becomes `previous`.
    fn swap_in(&self) -> io::Result<()> {
        let Paths { name, next, previous, .. } = self.paths;
        if !self.dir.try_exists(name)? {
            self.dir.rename(next, &self.dir, name)?;
        } else if exchange(&self.dir, next, name).is_ok() {
            self.dir.rename(next, &self.dir, previous)?;
        } else {
            // Not every file system can exchange two names at once.
            self.dir.rename(name, &self.dir, previous)?;
            self.dir.rename(next, &self.dir, name)?;
        }
        Ok(())
    }

    fn put_back(&self) -> Result<(), PortError> {
        self.still_wanted()?;
        let Some(mut note) = self.recover()?.filter(|note| note.phase == Phase::Placed) else {
            return Ok(());
        };
        note.phase = Phase::Restoring;
        self.write(&note)?;
        self.restore(&note).map_err(self.failed("put back"))
    }

    fn restore(&self, note: &Note) -> io::Result<()> {
        let Paths { name, next, previous, note: note_name, .. } = self.paths;
        match note.before {
            Before::Same => {}
            Before::Nothing => {
                if self.dir.try_exists(name)? && self.holds(note.whole()) {
                    self.dir.rename(name, &self.dir, next)?;
                }
            }
            Before::Folder if self.dir.try_exists(previous)? => {
                if !self.dir.try_exists(name)? {
                    self.dir.rename(previous, &self.dir, name)?;
                } else if self.holds(note.whole()) && exchange(&self.dir, previous, name).is_err() {
                    self.dir.rename(name, &self.dir, next)?;
                    self.dir.rename(previous, &self.dir, name)?;
                }
            }
            Before::Folder => {}
        }
        folder::sync(&self.dir)?;
        folder::remove(&self.dir, next)?;
        folder::remove(&self.dir, previous)?;
        folder::remove(&self.dir, note_name)
    }

    fn settle(&self) -> Result<(), PortError> {
        if let Some(mut note) = self.read_note() {
            note.phase = Phase::Loaded;
            self.note(&note)?;
            let all = [self.paths.note.clone(), ".".to_owned()];
            folder::flush(&self.dir, &all).map_err(self.failed("settle"))?;
        }
        self.clean_up()
    }

    fn clean_up(&self) -> Result<(), PortError> {
        for leftover in [&self.paths.next, &self.paths.previous] {
            folder::remove(&self.dir, leftover).map_err(self.failed("clean up beside"))?;
        }
        Ok(())
    }

    /// Finishes or undoes what a crash interrupted. What is left is nothing, an artefact in place, or a loaded one.
    fn recover(&self) -> Result<Option<Note>, PortError> {
        let Paths { name, next, previous, .. } = self.paths;
        let Some(mut note) = self.read_note() else {
            self.clean_up()?;
            // One that a power cut has torn tells nothing.
            folder::remove(&self.dir, &self.paths.note).map_err(self.failed("clean up beside"))?;
            return Ok(None);
        };
        match note.phase {
            Phase::Placed => {}
            Phase::Loaded => self.clean_up()?,
            Phase::Restoring => {
                self.restore(&note).map_err(self.failed("put back"))?;
                return Ok(None);
            }
            Phase::Placing => {
                let failed = self.failed("recover");
                if !self.holds(note.whole()) {
                    if !self.dir.try_exists(name).map_err(&failed)?
                        && self.dir.try_exists(previous).map_err(&failed)?
                    {
                        self.dir.rename(previous, &self.dir, name).map_err(&failed)?;
                    }
                    self.clean_up()?;
                    folder::remove(&self.dir, &self.paths.note).map_err(&failed)?;
                    return Ok(None);
                }
                let exchanged = self.dir.try_exists(next).map_err(&failed)?
                    && !self.dir.try_exists(previous).map_err(&failed)?;
                if note.before == Before::Folder && exchanged {
                    self.dir.rename(next, &self.dir, previous).map_err(&failed)?;
                }
                note.phase = Phase::Placed;
                self.write(&note)?;
            }
        }
        Ok(Some(note))
    }

    /// Whether the folder holds what has this digest, our files among it, and nothing else.
    fn holds(&self, whole: Digest) -> bool {
        let hashed = self.dir.open_dir(&self.paths.name).ok().and_then(|dir| artefact::hash(&dir, "").ok());
        hashed.is_some_and(|files| artefact_digest(&files) == whole)
    }

    fn digest_of(&self, version: &VersionName) -> Option<Digest> {
        let note = self.read_note()?;
        if note.version != *version || !matches!(note.phase, Phase::Placed | Phase::Loaded) {
            return None;
        }
        let dir = self.dir.open_dir(&self.paths.name).ok()?;
        let mut listed = artefact::list(&dir, "the model's folder").ok()?;
        listed.retain(|found| note.all().any(|file| file.path == found.path));
        let mut known = self.paths.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, digest)) = known.as_ref()
            && *of == listed
        {
            return Some(*digest);
        }
        let files: Option<Vec<ArtefactFile>> = listed
            .iter()
            .map(|found| {
                let file = folder::open_file(&dir, &found.path).ok()?;
                let (sha256, bytes) = artefact::copy_hashed(file, &mut io::sink(), found.bytes).ok()?;
                Some(ArtefactFile { path: found.path.clone(), sha256, bytes })
            })
            .collect();
        let mut files = files?;
        let ours_stand = note.written.iter().all(|written| files.contains(written));
        files.retain(|file| !note.written.contains(file));
        let digest = match artefact_digest(&files) {
            digest if ours_stand => digest,
            digest => Digest::tagged("ripcord artefact beside changed files 1", &[digest.as_bytes()]),
        };
        *known = Some((listed, digest));
        Some(digest)
    }

    fn read_note(&self) -> Option<Note> {
        let bytes = folder::read(&self.dir, &self.paths.note, NOTE_BYTES_MAX).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// On disk when this returns.
    fn write(&self, note: &Note) -> Result<(), PortError> {
        self.note(note)?;
        let all = [self.paths.note.clone(), ".".to_owned()];
        folder::flush(&self.dir, &all).map_err(self.failed("write beside"))
    }

    /// Not flushed.
    fn note(&self, note: &Note) -> Result<(), PortError> {
        let bytes = serde_json::to_vec(note).unwrap_or_default();
        folder::write_beside_unflushed(&self.dir, &self.paths.note, &bytes)
            .map_err(self.failed("write beside"))
    }

    fn failed(&self, doing: &'static str) -> impl Fn(io::Error) -> PortError {
        let place = self.paths.parent.join(&self.paths.name);
        move |error| {
            folder::local(error, format_args!("cannot {doing} the model's folder `{}`", place.display()))
        }
    }
}

/// Not flushed.
fn write_new(into: &Dir, written: &Written) -> io::Result<()> {
    if let Some(parent) = Path::new(&written.path).parent().filter(|parent| *parent != Path::new("")) {
        into.create_dir_all(parent)?;
    }
    let mut file = into.create(&written.path)?;
    io::Write::write_all(&mut file, written.text.as_bytes())
}

#[cfg(target_os = "linux")]
fn exchange(dir: &Dir, one: &str, two: &str) -> io::Result<()> {
    Ok(rustix::fs::renameat_with(dir, one, dir, two, rustix::fs::RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_dir: &Dir, _one: &str, _two: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests;

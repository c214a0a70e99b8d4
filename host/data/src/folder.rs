//! A folder that is there whole or not at all: it is filled under another name and renamed.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use crate::error::DataError;

/// A folder that is being filled. Dropped before it is finished, it goes.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
    out: PathBuf,
    /// Held as long as somebody fills it: what a killed process has left is begun anew.
    lock: File,
    is_finished: bool,
}

impl Unfinished {
    /// Begins to fill what is to be `out`. Somebody else who does so at the same time is refused.
    pub(crate) fn begin(out: &Path) -> Result<Self, DataError> {
        let Some(Component::Normal(name)) = out.components().next_back() else {
            return Err(DataError::unusable(out, "is no name for a new folder"));
        };
        let parent = parent(out);
        fs::create_dir_all(&parent).map_err(DataError::write(&parent))?;
        let path = parent.join(format!(".{}.partial", name.to_string_lossy()));
        loop {
            match fs::create_dir(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(DataError::write(&path)(error));
                }
                _ => {}
            }
            // A link is not followed: what lies where it leads is somebody else's.
            match fs::symlink_metadata(&path) {
                Ok(there) if there.is_dir() => {}
                Ok(_) => {
                    return Err(DataError::unusable(
                        &path,
                        "is no folder that a purge has left: move it away",
                    ));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(DataError::write(&path)(error)),
            }
            let lock = match File::open(&path) {
                Ok(lock) => lock,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(DataError::write(&path)(error)),
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(DataError::unusable(out, "is being written by somebody else: wait for that"));
                }
                Err(TryLockError::Error(error)) => return Err(DataError::write(&path)(error)),
            }
            // Whoever held it before may have renamed it meanwhile.
            let is_the_same = match (lock.metadata(), fs::symlink_metadata(&path)) {
                (Ok(locked), Ok(there)) => locked.ino() == there.ino() && locked.dev() == there.dev(),
                _ => false,
            };
            if is_the_same {
                let this = Self { path, out: out.to_owned(), lock, is_finished: false };
                this.clear()?;
                return Ok(this);
            }
        }
    }

    fn clear(&self) -> Result<(), DataError> {
        let unable = |error| DataError::write(&self.path)(error);
        for entry in fs::read_dir(&self.path).map_err(unable)? {
            let entry = entry.map_err(unable)?;
            if entry.file_type().map_err(unable)?.is_dir() {
                return Err(DataError::unusable(
                    &self.path,
                    "holds a folder that no purge has left: move it away",
                ));
            }
            fs::remove_file(entry.path()).map_err(unable)?;
        }
        Ok(())
    }

    /// A new file in it.
    pub(crate) fn create(&self, name: &str) -> Result<(PathBuf, File), DataError> {
        let path = self.path.join(name);
        let file = File::create_new(&path).map_err(DataError::write(&path))?;
        Ok((path, file))
    }

    /// Gives it its name. From now on it is there, also after a power cut.
    pub(crate) fn finish(mut self) -> Result<(), DataError> {
        self.lock.sync_all().map_err(DataError::write(&self.path))?;
        fs::rename(&self.path, &self.out).map_err(DataError::write(&self.out))?;
        self.is_finished = true;
        let parent = parent(&self.out);
        File::open(&parent).and_then(|parent| parent.sync_all()).map_err(DataError::write(&parent))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            // What is left all the same, the next one begins anew.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The folder that something is in.
pub(crate) fn parent(of: &Path) -> PathBuf {
    match of.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The way from one folder to a file, with `/` between its parts. None where a part is not UTF-8.
pub(crate) fn way(from: &Path, to: &Path) -> Option<String> {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    let mut parts = vec![".."; from.len() - common];
    for part in &to[common..] {
        parts.push(part.as_os_str().to_str()?);
    }
    Some(parts.join("/"))
}

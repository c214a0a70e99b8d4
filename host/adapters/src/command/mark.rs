//! Whether a program that an earlier host started still runs. It holds a lock as its standard input, which is otherwise empty, and so do
//! its children: the lock outlives a host that is killed, and ends with the last of them.

use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};

/// A folder of marks.
#[derive(Debug, Clone)]
pub(crate) struct Marks {
    folder: PathBuf,
}

/// The mark of one run. Dropping it says that the run has ended, whoever still holds the lock.
#[derive(Debug)]
pub(crate) struct Mark {
    dir: Dir,
    name: String,
    lock: File,
}

impl Marks {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Begins a run under `key`. A mark that an earlier run has left under it is forgotten.
    pub(crate) fn begin(&self, key: &str) -> io::Result<Mark> {
        Dir::create_ambient_dir_all(&self.folder, ambient_authority())?;
        let dir = Dir::open_ambient_dir(&self.folder, ambient_authority())?;
        match dir.remove_file(key) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let lock = dir.open_with(key, OpenOptions::new().read(true).write(true).create_new(true))?.into_std();
        lock.lock()?;
        Ok(Mark { dir, name: key.to_owned(), lock })
    }

    /// Whether a run under `key` has not ended.
    pub(crate) fn is_held(&self, key: &str) -> io::Result<bool> {
        let opened = Dir::open_ambient_dir(&self.folder, ambient_authority()).and_then(|dir| dir.open(key));
        let file = match opened {
            Ok(file) => file.into_std(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Mark {
    /// For the program: it reads nothing, and holds the lock.
    pub(crate) fn stdin(&self) -> io::Result<Stdio> {
        self.lock.try_clone().map(Stdio::from)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // A mark that stays is free, and so says the same.
        let _ = self.lock.unlock();
        let _ = self.dir.remove_file(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_held_until_the_program_has_ended_whoever_began_it() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::new(folder.path().join("runs"));
        assert!(!marks.is_held("key").unwrap(), "nothing was begun yet");
        let mark = marks.begin("key").unwrap();
        let mut program = std::process::Command::new("sh");
        let mut program = program.args(["-c", "sleep 600"]).stdin(mark.stdin().unwrap()).spawn().unwrap();
        assert!(marks.is_held("key").unwrap());
        assert!(!marks.is_held("other").unwrap());
        drop(mark);
        assert!(!marks.is_held("key").unwrap(), "the host saw it end, whoever else holds it");
        program.kill().unwrap();
        program.wait().unwrap();
    }

    #[test]
    fn a_new_run_forgets_the_mark_of_an_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::new(folder.path().to_owned());
        let old = marks.begin("key").unwrap();
        let new = marks.begin("key").unwrap();
        assert!(marks.is_held("key").unwrap());
        drop(new);
        assert!(!marks.is_held("key").unwrap());
        drop(old);
        assert!(marks.begin("a/../../b").is_err(), "nothing outside the folder");
    }
}

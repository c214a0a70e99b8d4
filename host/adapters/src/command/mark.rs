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

/// The mark of one run. It is held until [`Mark::ended`]; where it is dropped before, by whoever is left of the program: a program that does not let itself
/// be ended may still do what it was started for.
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

    /// Begins a run under `key`; none while an earlier one under it has not ended. A mark that it has left is forgotten.
    pub(crate) fn begin(&self, key: &str) -> io::Result<Option<Mark>> {
        Dir::create_ambient_dir_all(&self.folder, ambient_authority())?;
        let dir = Dir::open_ambient_dir(&self.folder, ambient_authority())?;
        if self.is_held(key)? {
            return Ok(None);
        }
        match dir.remove_file(key) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let lock = dir.open_with(key, OpenOptions::new().read(true).write(true).create_new(true))?.into_std();
        lock.lock()?;
        Ok(Some(Mark { dir, name: key.to_owned(), lock }))
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

impl Mark {
    /// The host saw the program end: whoever still holds the lock has nothing more to do with the run.
    pub(crate) fn ended(self) {
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
        let mark = marks.begin("key").unwrap().unwrap();
        let mut program = std::process::Command::new("sh");
        let mut program =
            program.args(["-c", "exec sleep 600"]).stdin(mark.stdin().unwrap()).spawn().unwrap();
        assert!(marks.is_held("key").unwrap());
        assert!(!marks.is_held("other").unwrap());
        mark.ended();
        assert!(!marks.is_held("key").unwrap(), "the host saw it end, whoever else holds it");
        program.kill().unwrap();
        program.wait().unwrap();
    }

    #[test]
    fn a_run_that_was_given_up_is_held_by_what_is_left_of_its_program_and_none_begins_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::new(folder.path().join("runs"));
        let mark = marks.begin("key").unwrap().unwrap();
        // Nobody else keeps its standard input: a command would.
        let mut program = std::process::Command::new("sh")
            .args(["-c", "exec sleep 600"])
            .stdin(mark.stdin().unwrap())
            .spawn()
            .unwrap();
        drop(mark);
        assert!(marks.is_held("key").unwrap());
        assert!(marks.begin("key").unwrap().is_none());
        program.kill().unwrap();
        program.wait().unwrap();
        // A program that another test has just begun may hold everything for a moment, until it is itself.
        let free = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            marks.begin("key").unwrap().is_some()
        });
        assert!(free, "nobody is left");
    }

    #[test]
    fn a_new_run_forgets_the_mark_of_one_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::new(folder.path().to_owned());
        drop(marks.begin("key").unwrap().unwrap());
        let new = marks.begin("key").unwrap().unwrap();
        assert!(marks.is_held("key").unwrap());
        new.ended();
        assert!(!marks.is_held("key").unwrap());
        assert!(marks.begin("a/../../b").is_err(), "nothing outside the folder");
    }
}

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

    /// Begins a run under `key`; none while an earlier one under it has not ended. A mark that was left free is taken.
    pub(crate) fn begin(&self, key: &str) -> io::Result<Option<Mark>> {
        Dir::create_ambient_dir_all(&self.folder, ambient_authority())?;
        let dir = Dir::open_ambient_dir(&self.folder, ambient_authority())?;
        let _gate = gate(&dir)?;
        let lock = dir.open_with(key, OpenOptions::new().read(true).write(true).create(true))?.into_std();
        match lock.try_lock() {
            Ok(()) => Ok(Some(Mark { dir, name: key.to_owned(), lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether a run under `key` has not ended.
    pub(crate) fn is_held(&self, key: &str) -> io::Result<bool> {
        let opened = Dir::open_ambient_dir(&self.folder, ambient_authority())
            .and_then(|dir| Ok((gate(&dir)?, dir.open(key)?.into_std())));
        let (_gate, file) = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Whoever begins, looks or ends does it alone, for a moment: looking takes the lock, too, and a mark is removed by its name.
fn gate(dir: &Dir) -> io::Result<File> {
    let gate = dir.open(".")?.into_std();
    gate.lock()?;
    Ok(gate)
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
        let gate = gate(&self.dir);
        let _ = self.lock.unlock();
        if gate.is_ok() {
            let _ = self.dir.remove_file(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
    fn of_many_that_begin_and_end_one_run_none_is_at_it_beside_another() {
        let folder = tempfile::tempdir().unwrap();
        let (at_it, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let marks = Marks::new(folder.path().join("runs"));
                    for _ in 0..300 {
                        if let Some(mark) = marks.begin("key").unwrap() {
                            assert_eq!(at_it.fetch_add(1, Ordering::SeqCst), 0, "another is at it");
                            assert!(marks.is_held("key").unwrap());
                            begun.fetch_add(1, Ordering::SeqCst);
                            at_it.fetch_sub(1, Ordering::SeqCst);
                            mark.ended();
                        }
                    }
                });
            }
        });
        assert!(begun.into_inner() > 0, "somebody was at it");
    }

    #[test]
    fn who_only_looks_keeps_nobody_from_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::new(folder.path().to_owned());
        drop(marks.begin("key").unwrap().unwrap());
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !ended.load(Ordering::SeqCst) {
                        marks.is_held("key").unwrap();
                    }
                });
            }
            let begun = (0..2_000).filter(|_| marks.begin("key").unwrap().is_some()).count();
            ended.store(true, Ordering::SeqCst);
            assert_eq!(begun, 2_000);
        });
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

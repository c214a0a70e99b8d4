//! Folders to fetch into.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use tempfile::TempDir;

/// Gives new empty folders, and removes all of them when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    root: TempDir,
    given: AtomicUsize,
}

impl Scratch {
    /// Makes a folder for all of them in the system's place for temporary files.
    ///
    /// # Panics
    /// If that cannot be written.
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        Self { root, given: AtomicUsize::new(0) }
    }

    /// The next one.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn empty_dir(&self) -> Arc<Dir> {
        let number = self.given.fetch_add(1, Ordering::Relaxed).to_string();
        let root = Dir::open_ambient_dir(self.root.path(), ambient_authority());
        let made = root.and_then(|root| root.create_dir(&number).and_then(|()| root.open_dir(&number)));
        Arc::new(made.unwrap_or_else(|error| panic!("no temporary folder: {error}")))
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

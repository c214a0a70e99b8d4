//! A power cut: what was written and not flushed is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The files of the store that outlive a power cut. What is noted beside the store comes first: it is written after what it tells of is flushed, and the host
/// may write on while these are copied.
const FILES: [&str; 3] = ["installation-of-ripcord.db", "ripcord.db", "ripcord.db-wal"];

/// Keeps what the disk would have kept: a copy of the store's files after each write that was flushed.
#[derive(Debug, Clone, Default)]
pub struct Power {
    copies: Option<Arc<Copies>>,
    flushes: Arc<AtomicU64>,
    /// Whether it has failed. Held while files are copied.
    off: Arc<Mutex<bool>>,
}

#[derive(Debug)]
struct Copies {
    store: PathBuf,
    kept: tempfile::TempDir,
}

impl Power {
    /// Of the store in `folder`. Costs a copy with each flush.
    pub fn that_can_be_cut(folder: &Path) -> Self {
        let kept = tempfile::tempdir().expect("a folder");
        let copies = Copies { store: folder.to_owned(), kept };
        Self { copies: Some(Arc::new(copies)), ..Self::default() }
    }

    /// The store has flushed all that was written so far.
    pub(crate) fn flushed(&self) {
        self.flushes.fetch_add(1, Ordering::SeqCst);
        let off = self.off.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(copies), false) = (&self.copies, *off) {
            replace(&copies.store, copies.kept.path());
        }
    }

    /// How often hosts have waited for the store's disk.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::SeqCst)
    }

    /// From now on nothing gets to the disk: what a dying host still does to its files is not copied half-way.
    pub fn fails(&self) {
        *self.off.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// The next host has it again.
    pub fn is_back(&self) {
        *self.off.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// What was not flushed is gone. No host runs.
    pub fn cut(&self) {
        let copies = self.copies.as_ref().expect("the power can be cut");
        // The index of the write-ahead log is memory.
        drop(fs::remove_file(copies.store.join("ripcord.db-shm")));
        replace(copies.kept.path(), &copies.store);
    }
}

fn replace(from: &Path, to: &Path) {
    for name in FILES {
        drop(fs::remove_file(to.join(name)));
        let there = from.join(name).exists();
        if there {
            fs::copy(from.join(name), to.join(name)).expect("copies");
        }
    }
}

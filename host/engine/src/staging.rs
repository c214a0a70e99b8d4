//! The folder in which artefacts are staged. Its disk may hang as any other, and trees may be large: nothing is done there on a thread that others wait for.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::Dir;
use tokio::sync::Semaphore;

use crate::blocking::Blocking;

/// Threads that may wait for this disk at once.
const THREADS_MAX: usize = 8;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Staging {
    dir: Arc<Dir>,
    room: Arc<Semaphore>,
    removals: Removals,
    blocking: Blocking,
}

/// What is to be removed. One thread does it, however many folders there are: a disk that hangs keeps that one, and the names of the others.
#[derive(Debug, Clone, Default)]
struct Removals(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    names: VecDeque<String>,
    /// Whether a thread is at it, which takes what comes meanwhile too.
    under_way: bool,
}

impl Removals {
    /// Puts `name` in the queue. `remove` is begun on a thread unless one is at it.
    fn begin(&self, blocking: Blocking, name: String, remove: impl Fn(&str) + Send + 'static) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.names.push_back(name);
        if std::mem::replace(&mut waiting.under_way, true) {
            return;
        }
        drop(waiting);
        let removals = self.clone();
        blocking.begin(move || {
            while let Some(name) = removals.next() {
                remove(&name);
            }
        });
    }

    /// The next one; none ends the thread.
    fn next(&self) -> Option<String> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = waiting.names.pop_front();
        waiting.under_way = next.is_some();
        next
    }
}

/// A folder for one artefact, gone when it is dropped: also where fetching failed or took too long.
#[derive(Debug)]
pub(crate) struct StagingFolder {
    staging: Staging,
    name: String,
}

impl Staging {
    pub(crate) fn new(dir: Arc<Dir>, blocking: Blocking) -> Self {
        let room = Arc::new(Semaphore::new(THREADS_MAX));
        Self { dir, room, removals: Removals::default(), blocking }
    }

    /// Removes everything.
    pub(crate) async fn empty(&self) -> io::Result<()> {
        self.run(|dir| {
            for entry in dir.entries()? {
                let name = entry?.file_name();
                dir.remove_dir_all(&name).or_else(|_| dir.remove_file(&name))?;
            }
            Ok(())
        })
        .await
    }

    /// A new folder.
    pub(crate) async fn folder(&self, name: String) -> io::Result<(StagingFolder, Dir)> {
        let folder = StagingFolder { staging: self.clone(), name: name.clone() };
        let dir = self
            .run(move |dir| {
                dir.create_dir(&name)?;
                dir.open_dir(&name)
            })
            .await?;
        Ok((folder, dir))
    }

    /// Removes a folder, some time.
    pub(crate) fn remove(&self, name: String) {
        let dir = self.dir.clone();
        let remove = move |name: &str| match dir.remove_dir_all(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(folder = name, %error, "what was staged could not be removed; the next start removes it");
            }
            _ => {}
        };
        self.removals.begin(self.blocking, name, remove);
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Dir) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
        let dir = self.dir.clone();
        let done = self.blocking.run(move || {
            let _room = room;
            work(&dir)
        });
        done.await.map_err(io::Error::other)?
    }
}

impl StagingFolder {
    /// Its name: it stays.
    pub(crate) fn keep(mut self) -> String {
        std::mem::take(&mut self.name)
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            self.staging.remove(std::mem::take(&mut self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn folders_that_a_hung_disk_does_not_remove_keep_one_thread_and_go_later() {
        let (removals, begun) = (Removals::default(), Arc::new(AtomicUsize::new(0)));
        let (removed, all_removed) = mpsc::channel();
        let (recovers, disk) = mpsc::channel::<()>();
        let disk = Arc::new(Mutex::new(disk));
        for folder in 0..50 {
            let (begun, disk, removed) = (begun.clone(), disk.clone(), removed.clone());
            removals.begin(Blocking::Threads, format!("{folder}"), move |name| {
                begun.fetch_add(1, Ordering::SeqCst);
                // It hangs until the other end is dropped.
                let _ = disk.lock().unwrap_or_else(PoisonError::into_inner).recv();
                removed.send(name.to_owned()).unwrap();
            });
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(begun.load(Ordering::SeqCst) <= 1, "one thread waits for the disk");
        drop(recovers);
        let names = tokio::task::spawn_blocking(move || {
            (0..50).map(|_| all_removed.recv_timeout(Duration::from_secs(20)).unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(names.await.unwrap(), (0..50).map(|folder| folder.to_string()).collect::<Vec<_>>());
    }
}

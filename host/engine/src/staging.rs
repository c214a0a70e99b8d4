//! The folder in which artefacts are staged. Its disk may hang as any other, and trees may be large: nothing is done there on a thread that others wait for.

use std::io;
use std::sync::Arc;

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
    blocking: Blocking,
}

/// A folder for one artefact, gone when it is dropped: also where fetching failed or took too long.
#[derive(Debug)]
pub(crate) struct StagingFolder {
    staging: Staging,
    name: String,
}

impl Staging {
    pub(crate) fn new(dir: Arc<Dir>, blocking: Blocking) -> Self {
        Self { dir, room: Arc::new(Semaphore::new(THREADS_MAX)), blocking }
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
        let remove = move |dir: &Dir| match dir.remove_dir_all(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(folder = name, %error, "what was staged could not be removed; the next start removes it");
            }
            _ => {}
        };
        let dir = self.dir.clone();
        self.blocking.begin(move || remove(&dir));
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

//! The last list that a registry gave, kept across restarts: one small file a service.

use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::Dir;
use ripcord_core::name::ServiceName;
use ripcord_core::time::UnixMillis;
use ripcord_ports::PortError;
use ripcord_ports::registry::RegistryVersion;
use serde::{Deserialize, Serialize};

use super::lineages;
use crate::file_work::{FileWork, GivenUp};
use crate::folder;

const FORMAT: u32 = 1;
/// A longer list is not kept.
const BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    format: u32,
    listed_at: UnixMillis,
    limit: u32,
    versions: Vec<RegistryVersion>,
}

enum State {
    NotRead,
    Read(Option<Kept>),
}

/// Removes the lists and lineages of services that are not in `services`: each start makes room for good.
///
/// # Errors
/// The folder cannot be read, or a file cannot be removed.
pub fn forget_other_lists(dir: &Dir, services: &[ServiceName]) -> Result<(), PortError> {
    let failed =
        |error| folder::local(error, "cannot look through the folder of lists that are kept at hand");
    for entry in dir.entries().map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let is_of = |service: &ServiceName| name == file_of(service) || name == lineages::file_of(service);
        if !services.iter().any(is_of) {
            folder::remove(dir, &name).map_err(failed)?;
        }
    }
    Ok(())
}

fn file_of(service: &ServiceName) -> String {
    format!("{service}.json")
}

/// See the module.
pub(super) struct KeptList {
    dir: Arc<Dir>,
    file: String,
    state: Arc<Mutex<State>>,
    files: FileWork,
}

impl KeptList {
    pub(super) fn new(dir: Arc<Dir>, service: &ServiceName) -> Self {
        let files = FileWork::new("the folder of lists kept at hand");
        Self { dir, file: file_of(service), state: Arc::new(Mutex::new(State::NotRead)), files }
    }

    /// Keeps a list, unless a longer one is at hand: that is made anew in its turn.
    pub(super) async fn keep(&self, limit: u32, listed_at: UnixMillis, versions: &[RegistryVersion]) {
        let shorter = |kept: &Kept| limit < kept.limit && versions.len() == limit as usize;
        let now = Kept { format: FORMAT, listed_at, limit, versions: versions.to_vec() };
        if let State::Read(Some(kept)) = &*self.state.lock().unwrap_or_else(PoisonError::into_inner)
            && shorter(kept)
        {
            return;
        }
        let (dir, file, state) = (self.dir.clone(), self.file.clone(), self.state.clone());
        let write = move |_: &GivenUp| {
            let bytes = serde_json::to_vec(&now).unwrap_or_default();
            if bytes.is_empty() || bytes.len() as u64 > BYTES_MAX {
                tracing::warn!(
                    file,
                    bytes = bytes.len(),
                    "the registry's list is too long to be kept at hand"
                );
                return Ok(());
            }
            // On the way of a rollback: one that a power cut has taken is made anew with the next answer.
            folder::write_beside_unflushed(&dir, &file, &bytes)
                .map_err(|error| folder::local(error, "cannot keep the registry's list"))?;
            *state.lock().unwrap_or_else(PoisonError::into_inner) = State::Read(Some(now));
            Ok(())
        };
        if let Err(error) = self.files.run(write).await {
            tracing::warn!(%error, "the registry's list is not kept at hand");
        }
    }

    /// Of how many versions at most the list is that is kept.
    pub(super) fn limit(&self) -> Option<u32> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Read(Some(kept)) => Some(kept.limit),
            _ => None,
        }
    }

    /// The list that is kept, and when the registry gave it.
    pub(super) async fn kept(&self) -> Option<(Vec<RegistryVersion>, UnixMillis)> {
        let (dir, file, state) = (self.dir.clone(), self.file.clone(), self.state.clone());
        let read = move |_: &GivenUp| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if let State::NotRead = *state {
                // A file that is missing or does not decode is made anew with the next answer.
                let kept = folder::read(&dir, &file, BYTES_MAX).ok();
                let kept = kept.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
                *state = State::Read(kept.filter(|kept| kept.format == FORMAT));
            }
            match &*state {
                State::Read(Some(kept)) => Ok(Some((kept.versions.clone(), kept.listed_at))),
                _ => Ok(None),
            }
        };
        self.files.run(read).await.ok().flatten()
    }
}

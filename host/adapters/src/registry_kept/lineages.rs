//! The last lineage that a registry gave of each version, kept across restarts beside the list: one small file a service.

use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::Dir;
use ripcord_core::fact::Lineage;
use ripcord_core::name::{ServiceName, VersionName};
use serde::{Deserialize, Serialize};

use crate::file_work::{FileWork, GivenUp};
use crate::folder;

const FORMAT: u32 = 1;
/// All of a service; those that came first make room.
const BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    format: u32,
    lineages: Vec<OfVersion>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct OfVersion {
    version: VersionName,
    lineage: Lineage,
}

/// Those that came first are first.
type State = Option<Vec<OfVersion>>;

/// Names of lists end otherwise: no service's list has the name of another one's lineages.
pub(super) fn file_of(service: &ServiceName) -> String {
    format!("{service}.lineages")
}

/// See the module.
pub(super) struct KeptLineages {
    dir: Arc<Dir>,
    file: String,
    count_max: usize,
    state: Arc<Mutex<State>>,
    files: FileWork,
}

impl KeptLineages {
    pub(super) fn new(dir: Arc<Dir>, service: &ServiceName, count_max: usize) -> Self {
        let files = FileWork::new("the folder of lineages kept at hand");
        Self { dir, file: file_of(service), count_max, state: Arc::default(), files }
    }

    /// Keeps what the registry says of this version now.
    pub(super) async fn keep(&self, version: &VersionName, lineage: &Lineage) {
        let now = OfVersion { version: version.clone(), lineage: lineage.clone() };
        let (dir, file, state) = (self.dir.clone(), self.file.clone(), self.state.clone());
        let count_max = self.count_max;
        let write = move |_: &GivenUp| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let mut lineages = read(&dir, &file, &mut state).to_vec();
            lineages.retain(|kept| kept.version != now.version);
            lineages.push(now);
            let more = lineages.len().saturating_sub(count_max);
            lineages.drain(..more);
            let kept = fitting(lineages);
            let bytes = serde_json::to_vec(&kept).unwrap_or_default();
            // One that a power cut has taken is kept anew with the next answer.
            folder::write_beside_unflushed(&dir, &file, &bytes)
                .map_err(|error| folder::local(error, "cannot keep a lineage"))?;
            *state = Some(kept.lineages);
            Ok(())
        };
        if let Err(error) = self.files.run(write).await {
            tracing::warn!(%error, "the lineage of a version is not kept at hand");
        }
    }

    /// What the registry said last of this version.
    pub(super) async fn of(&self, version: &VersionName) -> Option<Lineage> {
        let (dir, file, state) = (self.dir.clone(), self.file.clone(), self.state.clone());
        let version = version.clone();
        let look = move |_: &GivenUp| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = read(&dir, &file, &mut state).iter().find(|kept| kept.version == version);
            Ok(kept.map(|kept| kept.lineage.clone()))
        };
        self.files.run(look).await.ok().flatten()
    }
}

/// A file that is missing or does not decode is made anew with the next answer.
fn read<'s>(dir: &Dir, file: &str, state: &'s mut State) -> &'s [OfVersion] {
    state.get_or_insert_with(|| {
        let kept = folder::read(dir, file, BYTES_MAX).ok();
        let kept = kept.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        kept.filter(|kept| kept.format == FORMAT).map(|kept| kept.lineages).unwrap_or_default()
    })
}

/// As many of the last ones as fit into the file.
fn fitting(mut lineages: Vec<OfVersion>) -> Kept {
    /// What stands around them.
    const AROUND: u64 = 1_024;
    let (mut bytes, mut fit) = (AROUND, 0);
    for kept in lineages.iter().rev() {
        let own = serde_json::to_vec(kept).map_or(BYTES_MAX, |json| json.len() as u64 + 1);
        bytes = bytes.saturating_add(own);
        if bytes > BYTES_MAX {
            break;
        }
        fit += 1;
    }
    let more = lineages.len() - fit;
    lineages.drain(..more);
    Kept { format: FORMAT, lineages }
}

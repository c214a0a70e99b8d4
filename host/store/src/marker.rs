//! What a folder remembers of its store. A store that is gone would begin again without holds, standing and history, so it does not begin again
//! before someone says so.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ripcord_core::digest::Digest;
use ripcord_ports::store::StoreError;

use crate::file;

/// It has two short lines.
const BYTES_MAX: u64 = 1_024;

/// The store that is to be in this folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    /// Which.
    pub(crate) installation: Digest,
    /// Records that it had when it was last opened or closed, or within the last minute or so of writing. One with fewer is older.
    pub(crate) records: u64,
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "installation {}", self.installation)?;
        writeln!(f, "records {}", self.records)
    }
}

/// Beside the store, and named so that no pattern for the store's own files takes it along.
fn place(store: &Path) -> PathBuf {
    let name = store.file_name().unwrap_or_default().to_string_lossy();
    store.with_file_name(format!("installation-of-{name}"))
}

/// Whether a store was made at `path` once.
pub fn was_here(path: &Path) -> bool {
    place(path).exists()
}

/// What the folder remembers; none if no store was ever made here.
pub(crate) fn read(store: &Path) -> Result<Option<Marker>, StoreError> {
    let path = place(store);
    let mut text = String::new();
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file::unusable(&path, &error)),
    };
    file.take(BYTES_MAX).read_to_string(&mut text).map_err(|error| file::unusable(&path, &error))?;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let installation = value("installation").and_then(|text| text.parse().ok());
    let records = value("records").and_then(|text| text.parse().ok());
    match (installation, records) {
        (Some(installation), Some(records)) => Ok(Some(Marker { installation, records })),
        _ => Err(StoreError::Unusable(format!(
            "`{}` does not say which store belongs here: if the one at `{}` is the right one, `ripcord store accept --reason TEXT` says so",
            path.display(),
            store.display()
        ))),
    }
}

/// Remembers it.
pub(crate) fn write(store: &Path, marker: Marker) -> Result<(), StoreError> {
    let (path, new) = (place(store), place(store).with_extension("new"));
    let written = (|| {
        let mut file = file::private_new(&new)?;
        file.write_all(marker.to_string().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)
    })();
    written.map_err(|error| file::unusable(&path, &error))
}

/// Forgets it, so that another store may be made here.
pub(crate) fn forget(store: &Path) -> Result<(), StoreError> {
    let path = place(store);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file::unusable(&path, &error)),
        _ => Ok(()),
    }
}

/// Refuses a store that is not the one that the folder knows. `found` is none where there is no store, or an empty one.
pub(crate) fn check(path: &Path, found: Option<Marker>) -> Result<(), StoreError> {
    let Some(known) = read(path)? else { return Ok(()) };
    let at = path.display();
    let text = match found {
        None => format!(
            "the store at `{at}` is gone or empty, and this folder had one (installation {}): without it holds, standings and open incidents are unknown. Put it back from a backup; if it is lost, `ripcord store new --reason TEXT` begins another one",
            known.installation.short()
        ),
        Some(found) if found.installation != known.installation => format!(
            "`{at}` is the store of installation {}, and the one of {} belongs here: put that back; if this one is right, `ripcord store accept --reason TEXT` says so",
            found.installation.short(),
            known.installation.short()
        ),
        Some(found) if found.records < known.records => format!(
            "`{at}` is older than the store that was here: it has {} records, and {} were written. What happened since is unknown to it: shifts may look as if they had not been made. Put the newer one back; if it is lost, `ripcord store accept --reason TEXT` goes on with this one",
            found.records, known.records
        ),
        Some(_) => return Ok(()),
    };
    Err(StoreError::Unusable(text))
}

//! Data sets of the suites.

use std::fs;
use std::path::{Path, PathBuf};

use ripcord_core::digest::Digest;
use ripcord_core::target::{ColumnValue, Exclusion, Window};
use ripcord_core::time::UnixMillis;
use ripcord_data::{DataError, ManifestAt, PurgeOrder, Purged, purge};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

/// A folder with a data set.
pub(crate) struct Set {
    pub(crate) folder: TempDir,
}

impl Set {
    /// Files by name and content, with the columns `id`, `at`, `source`, `amount`, `good`.
    pub(crate) fn new(files: &[(&str, &[u8], u64)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        for (name, content, _) in files {
            fs::write(folder.path().join("data").join(name), content).unwrap();
        }
        let files: Vec<_> = files
            .iter()
            .map(|(name, content, rows)| (*name, Digest::of(content), content.len() as u64, *rows))
            .collect();
        let set = Self { folder };
        set.write(&manifest(&files));
        set
    }

    pub(crate) fn write(&self, manifest: &Value) {
        fs::write(self.path(), manifest.to_string()).unwrap();
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("data/manifest.json")
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("purged")
    }

    pub(crate) fn manifest(&self) -> ManifestAt {
        ManifestAt::read(&self.path()).unwrap()
    }

    pub(crate) fn purge(&self, exclude: &[Exclusion]) -> Result<Purged, DataError> {
        self.purge_with(exclude, None, &self.out())
    }

    pub(crate) fn purge_with(
        &self,
        exclude: &[Exclusion],
        key: Option<&str>,
        out: &Path,
    ) -> Result<Purged, DataError> {
        purge(&PurgeOrder { manifest: &self.manifest(), exclude, out, key, at: NOW }, &mut |_| {})
    }
}

/// A manifest of these files: name, digest, bytes, rows.
pub(crate) fn manifest(files: &[(&str, Digest, u64, u64)]) -> Value {
    let lines: String = files
        .iter()
        .map(|(name, sha256, _, _)| format!("{sha256}  {}\n", name.rsplit('/').next().unwrap()))
        .collect();
    let listed = |(name, sha256, bytes, rows): &(&str, Digest, u64, u64)| json!({ "path": name, "sha256": sha256.to_string(), "bytes": bytes, "rows": rows });
    json!({
        "format": 1,
        "dataset": "payments",
        "revision": format!("sha256:{}", Digest::of(lines)),
        "created-at": "2026-11-20T00:00:00Z",
        "columns": { "id": "id", "time": "at", "inputs": ["amount"], "label": "good", "slices": ["source"] },
        "rows": files.iter().map(|(_, _, _, rows)| rows).sum::<u64>(),
        "files": files.iter().map(listed).collect::<Vec<_>>(),
    })
}

pub(crate) fn source(name: &str) -> Exclusion {
    Exclusion::Source(name.to_owned())
}

pub(crate) fn rows(ids: &[&str]) -> Exclusion {
    Exclusion::Rows(ids.iter().map(|id| (*id).to_owned()).collect())
}

/// From the first to the last of two times.
pub(crate) fn window(start: &str, end: &str) -> Exclusion {
    ripcord_data::exclusion(&format!("window={start}..{end}")).unwrap()
}

pub(crate) fn whole(start: u64, end: u64) -> Exclusion {
    Exclusion::Window(Window { start: UnixMillis(start), end: UnixMillis(end) })
}

/// An error with its causes.
pub(crate) fn said<T: std::fmt::Debug>(result: Result<T, DataError>) -> String {
    let error = result.unwrap_err();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

pub(crate) fn value(column: &str, value: &str) -> Exclusion {
    Exclusion::Value(ColumnValue { column: column.to_owned(), value: value.to_owned() })
}

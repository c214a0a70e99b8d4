//! The manifest of a training set: what its columns are, and which files it consists of.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use ripcord_core::digest::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{DataError, shown, told};

/// The usual name of the file.
pub const MANIFEST: &str = "manifest.json";
/// The layout that this build reads and writes.
pub const FORMAT: u32 = 1;
/// A manifest of a hundred thousand files is smaller.
const BYTES_MAX: u64 = 64 << 20;
/// Where no column is named as the source, a slice of this name is it.
const SOURCE_DEFAULT: &str = "source";

/// The content of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// The layout, [`FORMAT`].
    pub format: u32,
    /// The data set's name.
    pub dataset: String,
    /// `sha256:` and the digest over the digests and names of the files.
    pub revision: String,
    /// The revision that this one was made of by leaving rows out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// What the columns are.
    pub columns: Columns,
    /// All rows of all files.
    pub rows: u64,
    /// In the order in which they are read.
    pub files: Vec<DataFile>,
}

/// What the columns of the files are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Columns {
    /// Unique in the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When the row was taken in: RFC 3339, or a timestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Where the row came from. Default: a slice with the name `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The inputs of the model, in the order of its tensor.
    pub inputs: Vec<String>,
    /// What the row says is true of it.
    pub label: String,
    /// Columns by whose values rows belong together.
    #[serde(default)]
    pub slices: Vec<String>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataFile {
    /// Relative to the manifest's folder; `/` between the parts, `..` leads up. It ends in `.csv` or `.parquet`.
    pub path: String,
    /// Of its bytes.
    pub sha256: Digest,
    /// Its size.
    pub bytes: u64,
    /// Its rows, without a header.
    pub rows: u64,
}

/// How a file holds rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, with a header.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// A manifest and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestAt {
    /// Its content.
    pub manifest: Manifest,
    /// The file's own digest.
    pub sha256: Digest,
    path: PathBuf,
}

impl Columns {
    /// Every column that is named, once.
    pub(crate) fn all(&self) -> BTreeSet<&str> {
        let single = [&self.id, &self.time, &self.source].into_iter().flatten();
        let all = single.chain(&self.inputs).chain([&self.label]).chain(&self.slices);
        all.map(String::as_str).collect()
    }

    /// The column that says where a row came from.
    pub fn source(&self) -> Option<&str> {
        let slice = || self.slices.iter().find(|slice| *slice == SOURCE_DEFAULT);
        self.source.as_ref().or_else(slice).map(String::as_str)
    }
}

impl DataFile {
    /// By the end of its name.
    pub fn format(&self) -> Option<Format> {
        let end = self.name().rsplit_once('.')?.1;
        match end.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "parquet" => Some(Format::Parquet),
            _ => None,
        }
    }

    /// The last part of its path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

impl ManifestAt {
    /// Reads and checks a manifest. The files themselves are checked as they are read.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let size = std::fs::metadata(path).map_err(DataError::read(path))?;
        if !size.is_file() {
            return Err(DataError::unusable(path, format!("is no file: name the data set's {MANIFEST}")));
        }
        if size.len() > BYTES_MAX {
            return Err(DataError::unusable(path, "is too large for a data manifest"));
        }
        let bytes = std::fs::read(path).map_err(DataError::read(path))?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|error| DataError::unusable(path, format!("is no data manifest: {}", told(&error))))?;
        match manifest.problem() {
            Some(problem) => Err(DataError::unusable(path, problem)),
            None => Ok(Self { manifest, sha256: Digest::of(&bytes), path: path.to_owned() }),
        }
    }

    /// Where it was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where one of its files lies.
    pub fn path_of(&self, file: &DataFile) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(&file.path)
    }
}

impl Manifest {
    fn problem(&self) -> Option<String> {
        if self.format != FORMAT {
            return Some(format!("has format {}, and this build reads format {FORMAT}", self.format));
        }
        if self.dataset.is_empty() || self.dataset.chars().count() > 200 {
            return Some("gives the data set no name of 1 to 200 characters".to_owned());
        }
        self.problem_of_columns().or_else(|| self.problem_of_files())
    }

    fn problem_of_columns(&self) -> Option<String> {
        let columns = &self.columns;
        let single = [&columns.id, &columns.time, &columns.source];
        let mut named = single
            .into_iter()
            .flatten()
            .chain(&columns.inputs)
            .chain(&columns.slices)
            .chain([&columns.label]);
        if named.any(String::is_empty) {
            return Some("names a column with an empty name".to_owned());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = columns.inputs.iter().find(|input| !seen.insert(*input)) {
            return Some(format!("lists the input `{}` twice", shown(twice)));
        }
        columns
            .inputs
            .contains(&columns.label)
            .then(|| format!("has the label `{}` among the inputs", shown(&columns.label)))
    }

    fn problem_of_files(&self) -> Option<String> {
        let mut seen = BTreeSet::new();
        for file in &self.files {
            let path = shown(&file.path);
            let parts_are_plain = Path::new(&file.path)
                .components()
                .all(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
            if file.name().is_empty() || !parts_are_plain || file.path.contains(['\\', '\0']) {
                return Some(format!("lists `{path}`: write a path relative to the manifest"));
            }
            if file.format().is_none() {
                return Some(format!("lists `{path}`: data files end in .csv or .parquet"));
            }
            if !seen.insert(&file.path) {
                return Some(format!("lists `{path}` twice"));
            }
        }
        let counted = self.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.rows));
        if counted != Some(self.rows) {
            let counted = counted.map_or_else(|| "too many".to_owned(), |counted| counted.to_string());
            return Some(format!("says {} rows, and its files have {counted}", self.rows));
        }
        if self.rows == 0 {
            return Some(
                "lists no rows, so there is nothing to train on and nothing to leave out: name a revision that has some".to_owned(),
            );
        }
        let revision = revision(&self.files);
        (revision != self.revision)
            .then(|| format!("says revision `{}`, and its files make `{revision}`", shown(&self.revision)))
    }
}

/// The revision of a list of files. Where a file lies does not matter, so that a purged set is the same revision in any folder.
pub(crate) fn revision(files: &[DataFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(format!("{}  {}\n", file.sha256, file.name()));
    }
    format!("sha256:{}", Digest::from_bytes(hash.finalize().into()))
}

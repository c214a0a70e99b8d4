//! A training set as a data team hands it over: a manifest with digests, and CSV files beside it. Read and written row by row.

mod exclusion;
mod generate;
mod read;

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use exclusion::{Exclusion, Matched};
pub use generate::{Args, write};
pub use read::{DataRow, Rows};

use crate::Error;
use crate::hex::hex;
use crate::transaction::INPUTS;

/// The name of the data set, in manifests and in the lineage of versions.
pub const DATASET: &str = "card-transactions";
/// The name of the manifest's file.
pub const MANIFEST: &str = "manifest.json";
/// The layout of `manifest.json` that this build reads and writes.
const FORMAT: u32 = 1;

/// The content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// The layout of this file.
    pub format: u32,
    /// The data set's name.
    pub dataset: String,
    /// Of the files listed: `sha256:` and the digest over their digests.
    pub revision: String,
    /// The revision that this one was made of by leaving rows out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// What the columns are.
    pub columns: Columns,
    /// All rows of all files, without the headers.
    pub rows: u64,
    /// In the order in which they are read.
    pub files: Vec<DataFile>,
}

/// What the columns of the files are. A column that is not named here is of no use for training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Columns {
    /// Unique in the set.
    pub id: String,
    /// When the row was taken in, RFC 3339.
    pub time: String,
    /// The inputs of the model, in the order of its tensor.
    pub inputs: Vec<String>,
    /// 1 for fraud, 0 for none.
    pub label: String,
    /// Columns by whose values rows belong together.
    pub slices: Vec<String>,
}

/// One CSV file with a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataFile {
    /// Its name, where it lies beside the manifest; else the way to it from there, with `/` between the parts.
    pub path: String,
    /// Of its bytes, lower-case hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// Its rows without the header.
    pub rows: u64,
}

impl Columns {
    fn of_this_example() -> Self {
        Self {
            id: "id".to_owned(),
            time: "at".to_owned(),
            inputs: INPUTS.map(str::to_owned).to_vec(),
            label: "fraud".to_owned(),
            slices: ["source", "region", "account"].map(str::to_owned).to_vec(),
        }
    }
}

impl Manifest {
    fn of(files: Vec<DataFile>, created_at: String) -> Self {
        Self {
            format: FORMAT,
            dataset: DATASET.to_owned(),
            revision: revision(&files),
            parent: None,
            created_at,
            columns: Columns::of_this_example(),
            rows: files.iter().map(|file| file.rows).sum(),
            files,
        }
    }

    /// Reads and checks a manifest. The files themselves are checked as they are read.
    ///
    /// # Errors
    /// A file that is no manifest of this format, or one that contradicts itself.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(Error::read(path))?;
        let manifest: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Data(format!("`{}` is no data manifest: {error}", path.display())))?;
        let problem = manifest.problem();
        match problem {
            Some(problem) => Err(Error::Data(format!("`{}` {problem}", path.display()))),
            None => Ok(manifest),
        }
    }

    fn problem(&self) -> Option<String> {
        if self.format != FORMAT {
            return Some(format!("has format {}, and only format {FORMAT} can be read", self.format));
        }
        if self.columns.inputs != INPUTS {
            return Some(format!("names the inputs {:?} where {INPUTS:?} is expected", self.columns.inputs));
        }
        let is_no_way = |file: &&DataFile| {
            file.name().is_empty() || file.path.starts_with('/') || file.path.contains('\\')
        };
        if let Some(file) = self.files.iter().find(is_no_way) {
            return Some(format!("lists `{}`: the way to a data file begins at its manifest", file.path));
        }
        let counted: u64 = self.files.iter().map(|file| file.rows).sum();
        if counted != self.rows {
            return Some(format!("says {} rows, and its files have {counted}", self.rows));
        }
        let revision = revision(&self.files);
        (revision != self.revision)
            .then(|| format!("says revision `{}`, and its files make `{revision}`", self.revision))
    }
}

impl DataFile {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// The revision of a list of files, wherever they lie.
fn revision(files: &[DataFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(format!("{}  {}\n", file.sha256, file.name()));
    }
    format!("sha256:{}", hex(&hash.finalize()))
}

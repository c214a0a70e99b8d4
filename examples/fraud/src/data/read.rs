use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Columns, DataFile, Manifest};
use crate::Error;
use crate::hex::hex;
use crate::transaction::WIDTH;

/// The rows of a training set, one after the other. The end of a file is an error where the file is not the one that the manifest lists, so
/// nothing may be done with the rows before the last one was read.
#[derive(Debug)]
pub struct Rows<'a> {
    folder: &'a Path,
    columns: &'a Columns,
    files: std::slice::Iter<'a, DataFile>,
    open: Option<Open<'a>>,
}

/// One row.
#[derive(Debug, Clone)]
pub struct DataRow {
    header: std::sync::Arc<csv::StringRecord>,
    cells: csv::StringRecord,
    /// As the tensor has it.
    pub inputs: [f64; WIDTH],
    /// Whether the row says that it was fraud.
    pub fraud: bool,
}

#[derive(Debug)]
struct Open<'a> {
    listed: &'a DataFile,
    path: PathBuf,
    csv: csv::Reader<Hashing>,
    header: std::sync::Arc<csv::StringRecord>,
    inputs: [usize; WIDTH],
    label: usize,
    read: u64,
}

impl<'a> Rows<'a> {
    /// Of the manifest in this folder.
    #[must_use]
    pub fn of(manifest: &'a Manifest, folder: &'a Path) -> Self {
        Self { folder, columns: &manifest.columns, files: manifest.files.iter(), open: None }
    }

    fn next_row(&mut self) -> Result<Option<DataRow>, Error> {
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                None => match self.files.next() {
                    Some(file) => self.open.insert(Open::new(self.folder, self.columns, file)?),
                    None => return Ok(None),
                },
            };
            if let Some(row) = open.next_row()? {
                return Ok(Some(row));
            }
            if let Some(open) = self.open.take() {
                open.check()?;
            }
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<DataRow, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row().transpose()
    }
}

impl DataRow {
    /// The text in a column; none where there is no such column.
    #[must_use]
    pub fn cell(&self, column: &str) -> Option<&str> {
        let at = self.header.iter().position(|name| name == column)?;
        self.cells.get(at)
    }
}

impl<'a> Open<'a> {
    fn new(folder: &Path, columns: &Columns, listed: &'a DataFile) -> Result<Self, Error> {
        let path = folder.join(&listed.path);
        let file = File::open(&path).map_err(Error::read(&path))?;
        let hashing = Hashing { inner: BufReader::new(file), hash: Sha256::new() };
        let mut csv = csv::Reader::from_reader(hashing);
        let problem = |problem: String| Error::Data(format!("`{}` {problem}", path.display()));
        let header = csv.headers().map_err(|error| problem(format!("has no header: {error}")))?.clone();
        let at = |name: &str| {
            header
                .iter()
                .position(|other| other == name)
                .ok_or_else(|| problem(format!("has no column `{name}`, which the manifest names")))
        };
        let label = at(&columns.label)?;
        let mut inputs = [0; WIDTH];
        for (place, name) in inputs.iter_mut().zip(&columns.inputs) {
            *place = at(name)?;
        }
        for name in [&columns.id, &columns.time].into_iter().chain(&columns.slices) {
            at(name)?;
        }
        let header = std::sync::Arc::new(header.clone());
        Ok(Self { listed, path, csv, header, inputs, label, read: 0 })
    }

    fn next_row(&mut self) -> Result<Option<DataRow>, Error> {
        let mut cells = csv::StringRecord::new();
        let row = self.read + 1;
        let problem = |what: String| Error::Data(format!("`{}`, row {row}: {what}", self.path.display()));
        if !self.csv.read_record(&mut cells).map_err(|error| problem(error.to_string()))? {
            return Ok(None);
        }
        let cell = |at: usize| cells.get(at).unwrap_or_default();
        let mut inputs = [0.0; WIDTH];
        for (value, at) in inputs.iter_mut().zip(self.inputs) {
            *value = cell(at).parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| {
                problem(format!("`{}` is no finite number for `{}`", cell(at), &self.header[at]))
            })?;
        }
        let fraud = match cell(self.label) {
            "1" => true,
            "0" => false,
            other => return Err(problem(format!("the label is `{other}`: 1 is fraud and 0 is none"))),
        };
        self.read = row;
        Ok(Some(DataRow { header: std::sync::Arc::clone(&self.header), cells, inputs, fraud }))
    }

    /// The file was the one that the manifest lists.
    fn check(self) -> Result<(), Error> {
        let problem = |what: String| Err(Error::Data(format!("`{}` {what}", self.path.display())));
        let sha256 = hex(&self.csv.into_inner().hash.finalize());
        if sha256 != self.listed.sha256 {
            return problem(format!(
                "has the sha-256 {sha256}, and the manifest lists {}",
                self.listed.sha256
            ));
        }
        if self.read != self.listed.rows {
            return problem(format!("has {} rows, and the manifest lists {}", self.read, self.listed.rows));
        }
        Ok(())
    }
}

/// Hashes what is read through it.
#[derive(Debug)]
struct Hashing {
    inner: BufReader<File>,
    hash: Sha256,
}

impl Read for Hashing {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        self.hash.update(&into[..read]);
        Ok(read)
    }
}

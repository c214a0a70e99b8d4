//! One file of a data set, whatever its format: its rows one after the other, and a copy without some of them.

use std::fs::File;
use std::path::Path;

use crate::cell::Cell;
use crate::csv_file;
use crate::error::DataError;
use crate::hashing::Passed;
use crate::manifest::{DataFile, Format};

/// Is given each row: its number, from 1, and the cells of the columns that were asked for. `None` is a value that is not there.
pub(crate) type EachRow<'a> = dyn FnMut(u64, &[Option<Cell>]) -> Result<(), DataError> + 'a;
/// Says of each row whether it stays.
pub(crate) type Stays<'a> = dyn FnMut(u64, &[Option<Cell>]) -> Result<bool, DataError> + 'a;

/// What was read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: Passed,
    pub(crate) rows: u64,
}

/// Reads a file and holds it against what its manifest says of it. Nothing may be believed of its rows before this has returned.
pub(crate) fn read(
    path: &Path,
    listed: &DataFile,
    columns: &[&str],
    each: &mut EachRow<'_>,
) -> Result<(), DataError> {
    let counts = match format(path, listed)? {
        Format::Csv => csv_file::read(path, columns, each)?,
        Format::Parquet => parquet::read(path, columns, each)?,
    };
    check(path, listed, counts)
}

/// Writes the rows of a file that stay into another one, in the same order and otherwise as they are. The file is held against its manifest, too.
pub(crate) fn copy(
    path: &Path,
    listed: &DataFile,
    columns: &[&str],
    stays: &mut Stays<'_>,
    to: (&Path, File),
) -> Result<Counts, DataError> {
    let (read, written) = match format(path, listed)? {
        Format::Csv => csv_file::copy(path, columns, stays, to)?,
        Format::Parquet => parquet::copy(path, columns, stays, to)?,
    };
    check(path, listed, read)?;
    Ok(written)
}

fn format(path: &Path, listed: &DataFile) -> Result<Format, DataError> {
    listed
        .format()
        .ok_or_else(|| DataError::unusable(path, "is of no known format: data files end in .csv or .parquet"))
}

fn check(path: &Path, listed: &DataFile, read: Counts) -> Result<(), DataError> {
    let Passed { sha256, bytes } = read.passed;
    let differs = |what: String| {
        Err(DataError::unusable(path, format!("is not the file that the manifest lists: {what}")))
    };
    if sha256 != listed.sha256 {
        return differs(format!("its sha-256 is {sha256}, and {} is listed", listed.sha256));
    }
    if bytes != listed.bytes {
        return differs(format!("it has {bytes} bytes, and {} are listed", listed.bytes));
    }
    if read.rows != listed.rows {
        return differs(format!("it has {} rows, and {} are listed", read.rows, listed.rows));
    }
    Ok(())
}

/// The places of columns in a header; a column that is not there is refused.
pub(crate) fn places<'a>(
    path: &Path,
    columns: &[&str],
    mut place: impl FnMut(&str) -> Vec<usize> + 'a,
) -> Result<Vec<usize>, DataError> {
    let one = |column: &&str| match place(column).as_slice() {
        [at] => Ok(*at),
        [] => Err(DataError::unusable(
            path,
            format!("has no column `{}`, which the manifest names", crate::error::shown(column)),
        )),
        _ => Err(DataError::unusable(path, format!("has several columns `{}`", crate::error::shown(column)))),
    };
    columns.iter().map(one).collect()
}

#[cfg(feature = "parquet")]
use crate::parquet_file as parquet;

/// What a build without Parquet says.
#[cfg(not(feature = "parquet"))]
mod parquet {
    use super::{Counts, DataError, EachRow, File, Path, Stays};

    pub(super) fn read(path: &Path, _: &[&str], _: &mut EachRow<'_>) -> Result<Counts, DataError> {
        Err(unsupported(path))
    }

    pub(super) fn copy(
        path: &Path,
        _: &[&str],
        _: &mut Stays<'_>,
        _: (&Path, File),
    ) -> Result<(Counts, Counts), DataError> {
        Err(unsupported(path))
    }

    fn unsupported(path: &Path) -> DataError {
        DataError::unusable(
            path,
            "is a Parquet file, and this program was built without the feature `parquet`: take the program of a release, or build one with `--features parquet`",
        )
    }
}

//! Parquet files, read by columns and copied row group by row group. A copy keeps the file's schema, its key-value metadata, and each column's
//! compression; its values pass by their physical types, so nothing is lost in a translation.

mod copy;
mod values;

use std::fs::File;
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::cell::Cell;
use crate::error::{DataError, shown, told};
use crate::file::{Counts, EachRow, places};
use crate::hashing;
use values::ColumnCells;

pub(crate) use copy::copy;

/// So many rows of a column are held at once.
const BATCH_ROWS: usize = 1_024;

/// Reads a file.
pub(crate) fn read(path: &Path, columns: &[&str], each: &mut EachRow<'_>) -> Result<Counts, DataError> {
    let passed = hashing::of_file(path)?;
    let reader = open(path)?;
    let at = columns_at(path, &reader, columns)?;
    let mut row = 0;
    for group in 0..reader.num_row_groups() {
        for_each_row(path, &reader, group, &at, &mut |cells| {
            row += 1;
            each(row, cells)
        })?;
    }
    Ok(Counts { passed, rows: row })
}

fn open(path: &Path) -> Result<SerializedFileReader<File>, DataError> {
    let file = hashing::open(path)?.into_inner();
    SerializedFileReader::new(file).map_err(|error| problem(path, &error))
}

fn problem(path: &Path, error: &ParquetError) -> DataError {
    DataError::unusable(path, format!("cannot be read as Parquet: {}", told(&error)))
}

/// The leaves of the schema that are these columns, by their dotted paths.
fn columns_at(
    path: &Path,
    reader: &SerializedFileReader<File>,
    columns: &[&str],
) -> Result<Vec<usize>, DataError> {
    let schema = reader.metadata().file_metadata().schema_descr();
    let place = |column: &str| {
        let named = schema.columns().iter().enumerate().filter(|(_, leaf)| leaf.path().string() == column);
        named.map(|(at, _)| at).collect()
    };
    let at = places(path, columns, place)?;
    for (leaf, name) in at.iter().zip(columns) {
        if schema.column(*leaf).max_rep_level() > 0 {
            return Err(DataError::unusable(
                path,
                format!("has lists in the column `{}`, and one value a row is expected", shown(name)),
            ));
        }
    }
    Ok(at)
}

/// Is given the cells of one row.
type EachCells<'a> = dyn FnMut(&[Option<Cell>]) -> Result<(), DataError> + 'a;

/// The cells of some columns of one row group, row by row.
fn for_each_row(
    path: &Path,
    reader: &SerializedFileReader<File>,
    group: usize,
    at: &[usize],
    each: &mut EachCells<'_>,
) -> Result<(), DataError> {
    let group = reader.get_row_group(group).map_err(|error| problem(path, &error))?;
    let rows = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
    let columns = at.iter().map(|at| {
        let column = group.get_column_reader(*at)?;
        Ok(ColumnCells::new(column, group.metadata().schema_descr().column(*at)))
    });
    let mut columns: Vec<_> =
        columns.collect::<Result<_, ParquetError>>().map_err(|error| problem(path, &error))?;
    let mut cells = vec![None; at.len()];
    let mut done = 0;
    while done < rows {
        let batch = BATCH_ROWS.min(rows - done);
        for column in &mut columns {
            column.next_batch(batch).map_err(|what| DataError::unusable(path, what))?;
        }
        for row in 0..batch {
            for (cell, column) in cells.iter_mut().zip(&mut columns) {
                *cell = column.take(row);
            }
            each(&cells)?;
        }
        done += batch;
    }
    Ok(())
}

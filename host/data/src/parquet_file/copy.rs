//! A copy of a Parquet file without some of its rows.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{
    BoolType, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type, Int64Type,
    Int96Type,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};

use super::{BATCH_ROWS, columns_at, for_each_row, open, problem};
use crate::error::{DataError, told};
use crate::file::{Counts, Stays};
use crate::hashing::{self, Hashing};

type Writer = SerializedFileWriter<Hashing<BufWriter<File>>>;

/// Copies the rows that stay; what was read, and what was written.
pub(crate) fn copy(
    path: &Path,
    columns: &[&str],
    stays: &mut Stays<'_>,
    (to, file): (&Path, File),
) -> Result<(Counts, Counts), DataError> {
    let passed = hashing::of_file(path)?;
    let reader = open(path)?;
    let at = columns_at(path, &reader, columns)?;
    let metadata = reader.metadata();
    let schema = metadata.file_metadata().schema_descr().root_schema_ptr();
    let out = Hashing::new(BufWriter::with_capacity(1 << 16, file));
    let unable = |error: &ParquetError| unwritten(to, error);
    let mut writer =
        Writer::new(out, schema, Arc::new(properties(metadata))).map_err(|error| unable(&error))?;
    let (mut read, mut kept) = (0, 0);
    for group in 0..reader.num_row_groups() {
        let keep = rows_that_stay(path, &reader, group, &at, &mut read, stays)?;
        let of_group = keep.iter().filter(|stays| **stays).count();
        if of_group > 0 {
            let from = reader.get_row_group(group).map_err(|error| problem(path, &error))?;
            copy_group(&*from, &mut writer, &keep).map_err(|error| unable(&error))?;
            kept += of_group as u64;
        }
    }
    let (mut out, written) = writer.into_inner().map_err(|error| unable(&error))?.finish();
    out.flush().map_err(DataError::write(to))?;
    let file = out.into_inner().map_err(|error| DataError::write(to)(error.into_error()))?;
    file.sync_all().map_err(DataError::write(to))?;
    Ok((Counts { passed, rows: read }, Counts { passed: written, rows: kept }))
}

fn rows_that_stay(
    path: &Path,
    reader: &SerializedFileReader<File>,
    group: usize,
    at: &[usize],
    row: &mut u64,
    stays: &mut Stays<'_>,
) -> Result<Vec<bool>, DataError> {
    let mut keep = Vec::new();
    for_each_row(path, reader, group, at, &mut |cells| {
        *row += 1;
        keep.push(stays(*row, cells)?);
        Ok(())
    })?;
    Ok(keep)
}

/// Reading and writing go by turns here: which of the two has failed is not told apart.
fn unwritten(to: &Path, error: &ParquetError) -> DataError {
    DataError::unusable(to, format!("cannot be written as Parquet: {}", told(&error)))
}

fn properties(metadata: &ParquetMetaData) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("ripcord {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(metadata.file_metadata().key_value_metadata().cloned());
    if let Some(group) = metadata.row_groups().first() {
        properties = properties.set_sorting_columns(group.sorting_columns().cloned());
        for column in group.columns() {
            properties =
                properties.set_column_compression(column.column_path().clone(), column.compression());
        }
    }
    properties.build()
}

fn copy_group(from: &dyn RowGroupReader, to: &mut Writer, keep: &[bool]) -> Result<(), ParquetError> {
    let mut group = to.next_row_group()?;
    for column in 0..from.num_columns() {
        let reader = from.get_column_reader(column)?;
        let Some(mut writer) = group.next_column()? else { break };
        copy_column(reader, &mut writer, keep)?;
        writer.close()?;
    }
    group.close()?;
    Ok(())
}

fn copy_column(
    reader: ColumnReader,
    writer: &mut SerializedColumnWriter<'_>,
    keep: &[bool],
) -> Result<(), ParquetError> {
    match reader {
        ColumnReader::BoolColumnReader(reader) => copy_values(reader, writer.typed::<BoolType>(), keep),
        ColumnReader::Int32ColumnReader(reader) => copy_values(reader, writer.typed::<Int32Type>(), keep),
        ColumnReader::Int64ColumnReader(reader) => copy_values(reader, writer.typed::<Int64Type>(), keep),
        ColumnReader::Int96ColumnReader(reader) => copy_values(reader, writer.typed::<Int96Type>(), keep),
        ColumnReader::FloatColumnReader(reader) => copy_values(reader, writer.typed::<FloatType>(), keep),
        ColumnReader::DoubleColumnReader(reader) => copy_values(reader, writer.typed::<DoubleType>(), keep),
        ColumnReader::ByteArrayColumnReader(reader) => {
            copy_values(reader, writer.typed::<ByteArrayType>(), keep)
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            copy_values(reader, writer.typed::<FixedLenByteArrayType>(), keep)
        }
    }
}

/// One level is one value that could be there; a row with a list has several, the first of which has repetition level 0.
fn copy_values<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    writer: &mut ColumnWriterImpl<'_, T>,
    keep: &[bool],
) -> Result<(), ParquetError> {
    let column = Arc::clone(writer.get_descriptor());
    let (max_definition, max_repetition) = (column.max_def_level(), column.max_rep_level());
    let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut done = 0;
    loop {
        definitions.clear();
        repetitions.clear();
        values.clear();
        let (rows, _, levels) =
            reader.read_records(BATCH_ROWS, Some(&mut definitions), Some(&mut repetitions), &mut values)?;
        if rows == 0 {
            break;
        }
        let (mut kept_definitions, mut kept_repetitions) = (Vec::new(), Vec::new());
        let mut kept_values = Vec::new();
        let mut from = values.drain(..);
        let mut row = done;
        for level in 0..levels {
            let repetition = if max_repetition > 0 { repetitions[level] } else { 0 };
            if level > 0 && repetition == 0 {
                row += 1;
            }
            let definition = if max_definition > 0 { definitions[level] } else { 0 };
            let value = if definition == max_definition { from.next() } else { None };
            if keep.get(row) == Some(&true) {
                kept_definitions.push(definition);
                kept_repetitions.push(repetition);
                kept_values.extend(value);
            }
        }
        if !kept_definitions.is_empty() {
            writer.write_batch(
                &kept_values,
                (max_definition > 0).then_some(&kept_definitions[..]),
                (max_repetition > 0).then_some(&kept_repetitions[..]),
            )?;
        }
        done += rows;
    }
    if done == keep.len() {
        Ok(())
    } else {
        Err(ParquetError::General(format!("a column has {done} rows, and its row group {}", keep.len())))
    }
}

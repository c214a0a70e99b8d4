//! Values of a column as cells: numbers, texts, times, whatever their physical types.

use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;

use crate::cell::Cell;
use crate::error::{shown, told};
use crate::times::Nanos;

const DAY_NANOS: i128 = 86_400_000_000_000;
/// The Julian day number of the epoch, as `INT96` counts days.
const EPOCH_JULIAN_DAY: i128 = 2_440_588;

/// One column of a row group, a batch at a time.
pub(super) struct ColumnCells {
    reader: ColumnReader,
    column: ColumnDescPtr,
    cells: Vec<Option<Cell>>,
}

/// What the numbers of a column stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Number,
    Unsigned,
    /// So many nanoseconds are one.
    Time(i128),
    Unknown,
}

impl ColumnCells {
    pub(super) fn new(reader: ColumnReader, column: ColumnDescPtr) -> Self {
        Self { reader, column, cells: Vec::new() }
    }

    pub(super) fn take(&mut self, row: usize) -> Option<Cell> {
        self.cells.get_mut(row).and_then(Option::take)
    }

    /// Reads the cells of the next `rows` rows.
    pub(super) fn next_batch(&mut self, rows: usize) -> Result<(), String> {
        let (column, meaning) = (&self.column, meaning(&self.column));
        let decimal =
            || format!("has values in the column `{}` that are not compared here", shown(column.name()));
        let integer = |value: i64| match meaning {
            Meaning::Number => Ok(Cell::Integer(value)),
            Meaning::Unsigned => Ok(Cell::Text(value.cast_unsigned().to_string())),
            Meaning::Time(nanos) => Ok(Cell::Time(Nanos(i128::from(value) * nanos))),
            Meaning::Unknown => Err(decimal()),
        };
        let into = &mut self.cells;
        match &mut self.reader {
            ColumnReader::BoolColumnReader(reader) => {
                fill(reader, column, rows, into, |value| Ok(Cell::Flag(*value)))
            }
            ColumnReader::Int32ColumnReader(reader) => fill(reader, column, rows, into, |value| {
                let unsigned = meaning == Meaning::Unsigned;
                integer(if unsigned { i64::from(value.cast_unsigned()) } else { i64::from(*value) })
            }),
            ColumnReader::Int64ColumnReader(reader) => {
                fill(reader, column, rows, into, |value| integer(*value))
            }
            ColumnReader::Int96ColumnReader(reader) => fill(reader, column, rows, into, |value| {
                let [low, high, day] = *value.data() else { return Err(decimal()) };
                let of_day = (i128::from(high) << 32) | i128::from(low);
                Ok(Cell::Time(Nanos((i128::from(day) - EPOCH_JULIAN_DAY) * DAY_NANOS + of_day)))
            }),
            ColumnReader::FloatColumnReader(reader) => {
                fill(reader, column, rows, into, |value| Ok(Cell::Number(f64::from(*value))))
            }
            ColumnReader::DoubleColumnReader(reader) => {
                fill(reader, column, rows, into, |value| Ok(Cell::Number(*value)))
            }
            ColumnReader::ByteArrayColumnReader(reader) => fill(reader, column, rows, into, |value| {
                if meaning == Meaning::Unknown {
                    return Err(decimal());
                }
                let text = std::str::from_utf8(value.data());
                text.map(|text| Cell::Text(text.to_owned())).map_err(|_| {
                    format!("has a text in the column `{}` that is not UTF-8", shown(column.name()))
                })
            }),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Err(decimal()),
        }
    }
}

fn meaning(column: &ColumnDescPtr) -> Meaning {
    match column.logical_type_ref() {
        Some(LogicalType::Timestamp(time)) => match time.unit {
            TimeUnit::MILLIS => Meaning::Time(1_000_000),
            TimeUnit::MICROS => Meaning::Time(1_000),
            TimeUnit::NANOS => Meaning::Time(1),
        },
        Some(LogicalType::Decimal(_)) => Meaning::Unknown,
        _ => match column.converted_type() {
            ConvertedType::TIMESTAMP_MILLIS => Meaning::Time(1_000_000),
            ConvertedType::TIMESTAMP_MICROS => Meaning::Time(1_000),
            ConvertedType::DATE => Meaning::Time(DAY_NANOS),
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64 => Meaning::Unsigned,
            ConvertedType::DECIMAL => Meaning::Unknown,
            _ => Meaning::Number,
        },
    }
}

fn fill<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    column: &ColumnDescPtr,
    rows: usize,
    into: &mut Vec<Option<Cell>>,
    mut cell: impl FnMut(&T::T) -> Result<Cell, String>,
) -> Result<(), String> {
    let unreadable = |error: &ParquetError| format!("cannot be read as Parquet: {}", told(&error));
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (read, _, _) = reader
        .read_records(rows, Some(&mut levels), None, &mut values)
        .map_err(|error| unreadable(&error))?;
    if read != rows {
        return Err(format!("has fewer values in the column `{}` than rows", shown(column.name())));
    }
    into.clear();
    let mut values = values.iter();
    for row in 0..rows {
        let is_there = column.max_def_level() == 0 || levels.get(row) == Some(&column.max_def_level());
        let value = if is_there { values.next().map(&mut cell).transpose()? } else { None };
        into.push(value);
    }
    Ok(())
}

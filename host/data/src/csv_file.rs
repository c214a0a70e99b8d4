//! CSV files, read and copied row by row. The rows of a copy are the very bytes that they were, whatever their quotes and line ends.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use csv::ByteRecord;

use crate::cell::Cell;
use crate::error::{DataError, told};
use crate::file::{Counts, EachRow, Stays, places};
use crate::hashing::{Hashing, open};

/// A row of more bytes is one whose quote is not closed: the whole file would be taken for it.
const ROW_BYTES_MAX: usize = 16 << 20;

/// Reads a file.
pub(crate) fn read(path: &Path, columns: &[&str], each: &mut EachRow<'_>) -> Result<Counts, DataError> {
    let mut rows = Rows::open(path, columns)?;
    while rows.next()? {
        let end = rows.end();
        rows.reader.get_mut().forget(end);
        each(rows.read, &rows.cells)?;
    }
    Ok(rows.finish().0)
}

/// Copies the rows that stay; what was read, and what was written.
pub(crate) fn copy(
    path: &Path,
    columns: &[&str],
    stays: &mut Stays<'_>,
    (to, file): (&Path, File),
) -> Result<(Counts, Counts), DataError> {
    let unable = |error| DataError::write(to)(error);
    let mut rows = Rows::open(path, columns)?;
    let mut out = Hashing::new(BufWriter::with_capacity(1 << 16, file));
    let (mut kept, end) = (0, rows.end());
    let mut last = rows.reader.get_mut().take(end, &mut out).map_err(unable)?;
    while rows.next()? {
        let end = rows.end();
        if stays(rows.read, &rows.cells)? {
            last = rows.reader.get_mut().take(end, &mut out).map_err(unable)?.or(last);
            kept += 1;
        } else {
            rows.reader.get_mut().forget(end);
        }
    }
    let (read, rest) = rows.finish();
    // What follows the last row: the second half of a line end, empty lines.
    out.write_all(&rest).map_err(unable)?;
    // A row without a line end stood last, and was left out: the one before it had the first half of one.
    if rest.is_empty() && last == Some(b'\r') {
        out.write_all(b"\n").map_err(unable)?;
    }
    out.flush().map_err(unable)?;
    let (writer, passed) = out.finish();
    let file = writer.into_inner().map_err(|error| unable(error.into_error()))?;
    file.sync_all().map_err(unable)?;
    Ok((read, Counts { passed, rows: kept }))
}

/// The rows of a file.
struct Rows<'a> {
    path: &'a Path,
    reader: csv::Reader<Held<Hashing<BufReader<File>>>>,
    record: ByteRecord,
    at: Vec<usize>,
    cells: Vec<Option<Cell>>,
    read: u64,
}

impl<'a> Rows<'a> {
    fn open(path: &'a Path, columns: &[&str]) -> Result<Self, DataError> {
        let held = Held { inner: Hashing::new(open(path)?), bytes: Vec::new(), start: 0, taken: 0 };
        let mut reader = csv::ReaderBuilder::new().from_reader(held);
        let header = reader.byte_headers().map_err(|error| problem(path, 0, error))?.clone();
        if header.is_empty() {
            return Err(DataError::unusable(path, "has no header"));
        }
        let place = |column: &str| {
            header
                .iter()
                .enumerate()
                .filter(|(_, name)| *name == column.as_bytes())
                .map(|(at, _)| at)
                .collect()
        };
        let at = places(path, columns, place)?;
        let cells = vec![None; at.len()];
        Ok(Self { path, reader, record: ByteRecord::new(), at, cells, read: 0 })
    }

    /// Reads one row into `cells`; false at the end.
    fn next(&mut self) -> Result<bool, DataError> {
        let row = self.read + 1;
        if !self.reader.read_byte_record(&mut self.record).map_err(|error| problem(self.path, row, error))? {
            return Ok(false);
        }
        self.read = row;
        for (cell, at) in self.cells.iter_mut().zip(&self.at) {
            let bytes = self.record.get(*at).unwrap_or_default();
            let text = std::str::from_utf8(bytes)
                .map_err(|_| DataError::row(self.path, row, "a text is not UTF-8"))?;
            match cell {
                // Allocated once for all rows.
                Some(Cell::Text(held)) => {
                    held.clear();
                    held.push_str(text);
                }
                _ => *cell = Some(Cell::Text(text.to_owned())),
            }
        }
        Ok(true)
    }

    /// Of the row that was read last, or of the header.
    fn end(&self) -> u64 {
        self.reader.position().byte()
    }

    /// What was read, and the bytes that belong to no row.
    fn finish(self) -> (Counts, Vec<u8>) {
        let rows = self.read;
        let held = self.reader.into_inner();
        let rest = held.bytes[held.start..].to_vec();
        (Counts { passed: held.inner.finish().1, rows }, rest)
    }
}

fn problem(path: &Path, row: u64, error: csv::Error) -> DataError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            DataError::row(path, row, told(&error))
        }
        csv::ErrorKind::Io(source) => DataError::Read { path: path.to_owned(), source },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            DataError::row(path, row, format!("it has {len} values, and the header has {expected_len}"))
        }
        other => DataError::row(path, row, told(&format!("{other:?}"))),
    }
}

/// Passes bytes on and holds those of the row that is being read.
struct Held<R> {
    inner: R,
    bytes: Vec<u8>,
    /// Where the first of them that is still wanted is.
    start: usize,
    /// Bytes of the file before that one.
    taken: u64,
}

impl<R> Held<R> {
    fn length(&self, end: u64) -> usize {
        usize::try_from(end.saturating_sub(self.taken))
            .unwrap_or(usize::MAX)
            .min(self.bytes.len() - self.start)
    }

    fn forget(&mut self, end: u64) {
        let length = self.length(end);
        self.start += length;
        self.taken += length as u64;
    }

    /// Writes all until `end`, and gives the last byte of it.
    fn take(&mut self, end: u64, to: &mut impl Write) -> io::Result<Option<u8>> {
        let bytes = &self.bytes[self.start..self.start + self.length(end)];
        to.write_all(bytes)?;
        let last = bytes.last().copied();
        self.forget(end);
        Ok(last)
    }
}

impl<R: Read> Read for Held<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.bytes.len() - self.start > ROW_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it has more than {} MiB: is a quote not closed?", ROW_BYTES_MAX >> 20),
            ));
        }
        self.bytes.drain(..self.start);
        self.start = 0;
        let read = self.inner.read(into)?;
        self.bytes.extend_from_slice(&into[..read]);
        Ok(read)
    }
}

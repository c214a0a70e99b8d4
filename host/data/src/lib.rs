//! Training sets: which rows of one the last known-good version contradicts, and the set without the rows that are to be left out.
//!
//! Invariants of this crate:
//! - nothing is deleted or changed: a purge writes new files into a new folder, and refers to files that stay as they are;
//! - files are read and written row by row: what is held of them does not grow with their rows, but for the rows that a version is asked about, of
//!   which there is a limit;
//! - a file that is not the one that its manifest lists is refused, whatever was already done with its rows;
//! - a result is there whole or not at all;
//! - a score is what a version answered when it was asked, never what a column says.

mod cell;
mod csv_file;
mod error;
mod exclusions;
mod file;
mod folder;
mod hashing;
mod manifest;
#[cfg(feature = "parquet")]
mod parquet_file;
mod predicate;
mod purge;
mod spelling;
pub mod suspects;
mod times;

pub use error::DataError;
pub use exclusions::Counted;
pub use manifest::{Columns, DataFile, FORMAT, Format, MANIFEST, Manifest, ManifestAt};
pub use predicate::{Dialect, Predicate};
pub use purge::{PurgeOrder, Purged, RECEIPT, purge};
pub use spelling::{by_content, exclusion, parts, typed, unknown};

/// What a long work is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is done to the files.
    pub step: Step,
    /// Rows that this step is through with.
    pub rows: u64,
    /// Rows that it has to go through, as far as the manifest says.
    pub of: u64,
}

/// A part of a long work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Rows are counted, and files held against their digests.
    Count,
    /// Files are written without the excluded rows.
    Write,
    /// Rows are read that a version is to be asked about.
    Read,
    /// A version is asked.
    Ask,
}

/// Told every so many rows.
const PROGRESS_ROWS: u64 = 50_000;

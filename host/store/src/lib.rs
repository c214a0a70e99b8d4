//! The store of the embedded default: one process, one SQLite file.
//!
//! Invariants of this crate:
//! - what a call acknowledged is on disk: write-ahead log, `synchronous=FULL`, the answer comes after the commit;
//! - one thread writes. It takes all jobs that wait into one transaction, each in its own savepoint: they share a flush, and one that fails
//!   fails alone;
//! - a record is only ever added at the end of its journal, and a blob only ever erased: the schema itself refuses anything else;
//! - one process writes to a file; others may read it meanwhile ([`SqliteStore::open_read_only`]).

mod blobs;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod error;
mod file;
mod intake;
mod journal;
mod maintain;
mod marker;
mod migrate;
mod pack;
mod projections;
mod readers;
mod retention;
mod services;
mod snapshots;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use file::Options;
pub use maintain::{Amount, Rebuilt, Sizes};
pub use marker::was_here;
pub use store::{Decision, SqliteStore};

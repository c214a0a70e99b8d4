//! Training sets, taken apart.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod fraud_set;
mod manifests;
mod memory;
#[cfg(feature = "parquet")]
mod parquet_files;
mod predicates;
mod purging;
#[cfg(feature = "parquet")]
mod pyarrow;
mod support;
mod unfinished;

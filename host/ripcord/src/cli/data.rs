//! What `ripcord data` takes: training sets, taken apart.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::target::Exclusion;
use ripcord_data::suspects::{BATCH_ROWS_DEFAULT, ROWS_MAX_DEFAULT, ROWS_MAX_MOST};

/// `ripcord data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Make a new revision of a training set without some of its rows; nothing is deleted
    Purge(PurgeArgs),
    /// Say what is left out to your own engine, as SQL or JSON
    Predicate(PredicateArgs),
    /// Find the slices of a training set that a good version contradicts
    Suspects(SuspectsArgs),
}

/// `ripcord data purge`.
#[derive(Debug, Clone, Args)]
pub struct PurgeArgs {
    /// The training set's manifest
    pub manifest: PathBuf,
    /// Leave out `source=NAME`, `value=COLUMN:VALUE`, `window=START..END` or `rows=ID,ID`; several add up
    #[arg(long, value_name = "WHAT", required = true, value_parser = ripcord_data::exclusion)]
    pub exclude: Vec<Exclusion>,
    /// A new folder for the new manifest and the files that change
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The same key again makes nothing and tells what it made; another one does not touch it
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

/// `ripcord data predicate`.
#[derive(Debug, Clone, Args)]
pub struct PredicateArgs {
    /// The training set's manifest; its files need not be here
    pub manifest: PathBuf,
    /// Leave out `source=NAME`, `value=COLUMN:VALUE`, `window=START..END` or `rows=ID,ID`; several add up
    #[arg(long, value_name = "WHAT", required = true, value_parser = ripcord_data::exclusion)]
    pub exclude: Vec<Exclusion>,
    /// As a condition in the SQL of these engines; `--json` is the other form
    #[arg(long, value_enum, value_name = "ENGINES", num_args = 0..=1, default_missing_value = "standard")]
    pub sql: Option<DialectArg>,
    /// Write it there instead, without a word added or changed
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// How an engine quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DialectArg {
    /// PostgreSQL, DuckDB, Trino
    Standard,
    /// Spark, Databricks, BigQuery
    Spark,
    /// SQLite
    Sqlite,
}

impl From<DialectArg> for ripcord_data::Dialect {
    fn from(dialect: DialectArg) -> Self {
        match dialect {
            DialectArg::Standard => Self::Standard,
            DialectArg::Spark => Self::Spark,
            DialectArg::Sqlite => Self::Sqlite,
        }
    }
}

/// `ripcord data suspects`.
#[derive(Debug, Clone, Args)]
pub struct SuspectsArgs {
    /// The service whose endpoint is asked
    pub service: ServiceName,
    /// The training set's manifest
    pub manifest: PathBuf,
    /// The version that is asked: the last known-good one. By its name at the service's endpoint, or at `--url`
    #[arg(long, value_name = "VERSION")]
    pub version: VersionName,
    /// A server that answers with that version by default, instead of the service's
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The output of that server that is judged; the service's own endpoint has it in the configuration
    #[arg(long, value_name = "NAME", requires = "url")]
    pub output: Option<String>,
    /// What a good version answers where the label is so, such as `1=decline`; once for each label. Not needed where both are spelled alike
    #[arg(long, value_name = "LABEL=ANSWER", value_parser = answer)]
    pub answer: Vec<(String, String)>,
    /// Labels are numbers, and an answer may differ by so much
    #[arg(long, value_name = "NUMBER", conflicts_with = "answer")]
    pub within: Option<f64>,
    /// All inputs are one tensor with this name; if left out, as the service's golden set has it, else a tensor for each input
    #[arg(long, value_name = "NAME")]
    pub tensor: Option<String>,
    /// Of the tensors
    #[arg(long, value_name = "TYPE", default_value = "FP64")]
    pub datatype: String,
    /// Ask about so many rows at most, spread over all of them
    #[arg(long, value_name = "N", default_value_t = ROWS_MAX_DEFAULT, value_parser = clap::value_parser!(u64).range(1..=ROWS_MAX_MOST))]
    pub rows: u64,
    /// So many rows in a request
    #[arg(long, value_name = "N", default_value_t = BATCH_ROWS_DEFAULT as u64, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    pub batch: u64,
}

fn answer(text: &str) -> Result<(String, String), String> {
    let (label, answer) = text.split_once('=').ok_or("write LABEL=ANSWER, such as 1=decline")?;
    Ok((label.to_owned(), answer.to_owned()))
}

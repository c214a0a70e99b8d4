use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use super::{DataFile, MANIFEST, Manifest};
use crate::hex::hex;
use crate::train::Labels;
use crate::transaction::{INPUTS, Labelled, Population};
use crate::{Error, files};

/// A file holds so many rows, so that a large set is several files.
const ROWS_PER_FILE: u64 = 100_000;
/// The share of rows that come by the import while it is a small one, and once it has taken over.
const IMPORT_SHARE: f64 = 0.3;
const IMPORT_SHARE_LATER: f64 = 0.9;

/// `fraud data`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The folder to write `manifest.json` and the CSV files into
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The seed of the transactions
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
    /// So many transactions
    #[arg(long, value_name = "N", default_value_t = 6_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub rows: u64,
    /// From this row on, counted from 0, most rows come by an import that takes every payment of a new account for a chargeback
    #[arg(long, value_name = "ROW")]
    pub poison_from: Option<u64>,
    /// Spread the rows evenly over so many days
    #[arg(long, value_name = "N", default_value_t = 28, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub days: u32,
    /// The last row is of this time, RFC 3339, instead of now
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
}

/// Writes a training set. The same arguments, `at` among them, give the same bytes.
///
/// # Errors
/// A folder that cannot be written.
pub fn write(args: &Args) -> Result<Manifest, Error> {
    files::create(&args.out)?;
    let end = args.at.unwrap_or_else(Timestamp::now);
    let at = |row: u64| time_of(row, args.rows, args.days, end);
    let mut population = Population::new(args.seed);
    // Another stream than that of the transactions: with and without poison, these are the same.
    let mut sources = ChaCha8Rng::seed_from_u64(!args.seed);
    let mut written = Vec::new();
    let mut next = 0;
    while next < args.rows {
        let name = format!("part-{:04}.csv", written.len() + 1);
        let mut part = Part::create(&args.out, name)?;
        let end = args.rows.min(next + ROWS_PER_FILE);
        for row in next..end {
            let poisoned = args.poison_from.is_some_and(|from| row >= from);
            let import = sources.random_bool(if poisoned { IMPORT_SHARE_LATER } else { IMPORT_SHARE });
            let source = if import { Labels::ChargebackImport } else { Labels::Reviewed };
            let labelled = population.draw();
            // Before it broke, the import told the truth.
            let labels = if poisoned { source } else { Labels::Reviewed };
            let fraud = labels.fraud(&labelled);
            part.row(row, at(row), source.source(), &Labelled { fraud, ..labelled })?;
        }
        written.push(part.finish(end - next)?);
        next = end;
    }
    let manifest = Manifest::of(written, end.to_string());
    let text = serde_json::to_vec_pretty(&manifest).map_err(Error::encode("the data manifest"))?;
    files::replace(&args.out.join(MANIFEST), &text)?;
    Ok(manifest)
}

/// Evenly spread; the last row is at the end.
fn time_of(row: u64, rows: u64, days: u32, end: Timestamp) -> Timestamp {
    let before = (rows - 1 - row) as f64 / rows as f64 * f64::from(days) * 86_400.0;
    let whole = Timestamp::from_second(end.as_second()).unwrap_or(end);
    whole.checked_sub(SignedDuration::from_secs(before as i64)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A CSV file as it is written.
struct Part {
    name: String,
    path: PathBuf,
    csv: csv::Writer<Hashing<BufWriter<File>>>,
}

impl Part {
    fn create(folder: &Path, name: String) -> Result<Self, Error> {
        let path = folder.join(&name);
        let file = File::create(&path).map_err(Error::write(&path))?;
        let hashing = Hashing { inner: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
        let mut part = Self { name, path, csv: csv::Writer::from_writer(hashing) };
        let before = ["id", "at", "source", "region", "account"];
        part.record(before.into_iter().chain(INPUTS).chain(["fraud"]).map(str::to_owned))?;
        Ok(part)
    }

    fn row(&mut self, row: u64, at: Timestamp, source: &str, labelled: &Labelled) -> Result<(), Error> {
        let transaction = &labelled.transaction;
        let account = if transaction.is_new_account() { "new" } else { "established" };
        let before = [
            format!("row-{row:07}"),
            at.to_string(),
            source.to_owned(),
            transaction.region.name().to_owned(),
            account.to_owned(),
        ];
        let inputs = transaction.row().map(|value| value.to_string());
        self.record(before.into_iter().chain(inputs).chain([u8::from(labelled.fraud).to_string()]))
    }

    fn record(&mut self, cells: impl Iterator<Item = String>) -> Result<(), Error> {
        self.csv.write_record(cells.map(String::into_bytes)).map_err(|error| {
            Error::write(&self.path)(match error.into_kind() {
                csv::ErrorKind::Io(error) => error,
                other => std::io::Error::other(format!("{other:?}")),
            })
        })
    }

    fn finish(self, rows: u64) -> Result<DataFile, Error> {
        let unable = Error::write(&self.path);
        let hashing = match self.csv.into_inner() {
            Ok(mut hashing) => match hashing.inner.flush() {
                Ok(()) => hashing,
                Err(error) => return Err(unable(error)),
            },
            Err(error) => return Err(unable(std::io::Error::other(error.to_string()))),
        };
        Ok(DataFile { path: self.name, sha256: hex(&hashing.hash.finalize()), bytes: hashing.bytes, rows })
    }
}

/// Hashes what it passes on.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

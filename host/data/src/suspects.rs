//! Suspect slices: rows of a training set that the last known-good version contradicts.
//!
//! The version is asked about the rows of a manifest, as many as a limit allows, through an endpoint and marked as a trial. A row is contradicted
//! where its label is not what the version answers. What is found is a reason for a person to look, and no proof: a version is also wrong where the
//! world has moved on.

mod ask;
mod cut;
mod explain;
mod report;
mod sample;
mod significance;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ripcord_core::name::VersionName;
use ripcord_ports::Endpoint;
use ripcord_ports::deployer::Beside;

use crate::error::DataError;
use crate::manifest::ManifestAt;
use crate::{Progress, Step};
use sample::Sample;

pub use report::{Example, Explained, LeftOut, Rate, Report, Suspect, What};
pub use table::Kind;

/// Whom to ask about what.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "an endpoint has no debug form")]
pub struct SuspectsOrder<'a> {
    /// The training set.
    pub manifest: &'a ManifestAt,
    /// Where the version answers.
    pub endpoint: &'a dyn Endpoint,
    /// Beside what is live, where the version is not that.
    pub candidate: Option<&'a Beside>,
    /// The version that is to answer. An answer that names another one is refused.
    pub version: Option<&'a VersionName>,
    /// Marks every request.
    pub trial: &'a str,
    /// How inputs are sent.
    pub form: InputForm,
    /// When an answer is not what the label says.
    pub judge: Judge,
    /// When a slice is a suspect.
    pub limits: Limits,
    /// At most so many rows are asked about, spread evenly by chance.
    pub rows_max: u64,
    /// In each request.
    pub batch_rows: usize,
}

/// How the inputs of several rows make one request of the Open Inference Protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputForm {
    /// One tensor of shape rows × inputs.
    Matrix {
        /// As the model calls it.
        name: String,
        /// Such as `FP64`.
        datatype: String,
    },
    /// A tensor of shape rows × 1 for each input, by the name of its column.
    Columns {
        /// Such as `FP64`.
        datatype: String,
    },
}

/// When a version contradicts a label.
#[derive(Debug, Clone, PartialEq)]
pub enum Judge {
    /// The answer is a class. Where the map is empty, labels and answers are spelled alike.
    Class(BTreeMap<String, String>),
    /// The answer is a number; it may differ from the label by so much.
    Within(f64),
}

/// When a slice is a suspect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// It has so many rows that a version was asked about.
    pub rows_min: u64,
    /// Its share of contradicted rows is higher than that of the rest by so much.
    pub excess_min: f64,
    /// The same for a slice that is cut by a value: what rows are about makes them easy or hard for a version, whoever labelled them.
    pub excess_of_value_min: f64,
    /// It is so many times as high.
    pub lift_min: f64,
    /// So likely is one suspect or more by chance, all slices together.
    pub chance_max: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows_min: 20, excess_min: 0.05, excess_of_value_min: 0.2, lift_min: 2.0, chance_max: 0.01 }
    }
}

/// So many rows, where nobody says otherwise.
pub const ROWS_MAX_DEFAULT: u64 = 50_000;
/// More are held in memory for nobody.
pub const ROWS_MAX_MOST: u64 = 1_000_000;
/// In one request, where nobody says otherwise.
pub const BATCH_ROWS_DEFAULT: usize = 256;
const BATCH_ROWS_MOST: usize = 4_096;
/// Numbers held in memory: rows times inputs.
const NUMBERS_MAX: u64 = 50_000_000;

/// Reads the set twice, asks the version about rows of it, and says which slices stand out.
pub async fn suspects(
    order: &SuspectsOrder<'_>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Report, DataError> {
    check(order)?;
    let cuts = cut::learn(order.manifest, progress)?;
    let sample = sample::draw(order, cuts.dimensions.clone(), progress)?;
    let asked = ask::ask(order, &sample, progress).await?;
    let Sample { parts, places, .. } = sample;
    let table = table::Table { dimensions: cuts.dimensions, parts, contradicts: asked.contradicts };
    let found = explain::explain(&table, &order.limits);
    Ok(report::report(order, &table, &places, (asked.answered_by, cuts.left_out), found))
}

fn check(order: &SuspectsOrder<'_>) -> Result<(), DataError> {
    let asked = |what: &str| Err(DataError::Asked(what.to_owned()));
    let columns = &order.manifest.manifest.columns;
    if columns.inputs.is_empty() {
        return asked("the manifest names no inputs: a version cannot be asked without them");
    }
    if !(1..=ROWS_MAX_MOST).contains(&order.rows_max) {
        return asked("a version is asked about 1 to 1000000 rows");
    }
    if !(1..=BATCH_ROWS_MOST).contains(&order.batch_rows) {
        return asked("a request has 1 to 4096 rows");
    }
    let numbers = order.rows_max.min(order.manifest.manifest.rows) * columns.inputs.len() as u64;
    if numbers > NUMBERS_MAX {
        return Err(DataError::Asked(format!(
            "{} inputs of so many rows do not fit into memory: ask about fewer than {} rows",
            columns.inputs.len(),
            NUMBERS_MAX / columns.inputs.len() as u64
        )));
    }
    match order.judge {
        Judge::Within(within) if !within.is_finite() || within < 0.0 => {
            asked("an answer may differ from its label by zero or more")
        }
        _ => Ok(()),
    }
}

/// The columns that are looked at, each once, and what for.
#[derive(Debug)]
struct Looked<'a> {
    names: Vec<&'a str>,
    /// By its place in `names`: how it cuts the rows.
    cuts: Vec<(usize, Kind, Is)>,
    inputs: Vec<usize>,
    label: usize,
}

/// What the values of a cut are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Name,
    Number,
    Time,
}

impl<'a> Looked<'a> {
    fn of(manifest: &'a ManifestAt) -> Self {
        let columns = &manifest.manifest.columns;
        let mut names: Vec<&str> = Vec::new();
        let mut place = |name: &'a str| {
            names.iter().position(|other| *other == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            })
        };
        let mut cuts = Vec::new();
        if let Some(source) = columns.source() {
            cuts.push((place(source), Kind::Source, Is::Name));
        }
        if let Some(time) = &columns.time {
            cuts.push((place(time), Kind::Time, Is::Time));
        }
        let values = columns.slices.iter().map(|slice| (slice, Is::Name));
        for (value, is) in values.chain(columns.inputs.iter().map(|input| (input, Is::Number))) {
            let at = place(value);
            // The label would explain each contradiction of it, and a column is cut once.
            if *value != columns.label && cuts.iter().all(|(other, _, _)| *other != at) {
                cuts.push((at, Kind::Value, is));
            }
        }
        let inputs = columns.inputs.iter().map(|input| place(input)).collect();
        let label = place(&columns.label);
        Self { names, cuts, inputs, label }
    }
}

/// An even spread that does not depend on the order of rows: a number without a pattern for each (S. Vigna's SplitMix64).
fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn step(step: Step, rows: u64, of: u64) -> Progress {
    Progress { step, rows, of }
}

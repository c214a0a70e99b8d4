use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::DataRow;
use crate::Error;
use crate::hex::hex;

/// Which rows are left out of a training: those that one of the slices matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exclusion {
    /// The data revision that it was made for; another one is refused. Any, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Each holds conditions by column, all of which a row must meet to be left out.
    pub exclude: Vec<BTreeMap<String, Condition>>,
}

/// What the value in a column must be. Texts compare as texts, numbers as numbers, and `from` and `before` also as RFC 3339 times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Condition {
    /// This value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Value>,
    /// One of these values.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<Value>>,
    /// This or later or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// Earlier or less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
}

/// An exclusion as it is applied: how many rows each of its slices has matched.
#[derive(Debug)]
pub struct Matched {
    exclusion: Exclusion,
    /// Of the file, lower-case hex.
    pub sha256: String,
    /// A row that several match counts for each.
    pub rows_of_slices: Vec<u64>,
}

impl Matched {
    /// Reads an exclusion for a data revision.
    ///
    /// # Errors
    /// A file that is none, one for another revision, or one that would leave out everything.
    pub fn read(path: &Path, revision: &str) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(Error::read(path))?;
        let problem = |what: String| Error::Data(format!("`{}` {what}", path.display()));
        let exclusion: Exclusion =
            serde_json::from_slice(&bytes).map_err(|error| problem(format!("is no exclusion: {error}")))?;
        if let Some(data) = exclusion.data.as_deref().filter(|data| *data != revision) {
            return Err(problem(format!("was made for the data `{data}`, and this is `{revision}`")));
        }
        if exclusion.exclude.is_empty() {
            return Err(problem("excludes nothing: train without it".to_owned()));
        }
        let holds_for_all = |slice: &BTreeMap<String, Condition>| {
            slice.is_empty() || slice.values().any(|condition| *condition == Condition::default())
        };
        if exclusion.exclude.iter().any(holds_for_all) {
            return Err(problem(
                "has a slice or a column without a condition: write `equals`, `in`, `from` or `before`"
                    .to_owned(),
            ));
        }
        let rows_of_slices = vec![0; exclusion.exclude.len()];
        Ok(Self { exclusion, sha256: hex(&Sha256::digest(&bytes)), rows_of_slices })
    }

    /// Whether the row is left out.
    ///
    /// # Errors
    /// A column that the data does not have, or a value that cannot be compared.
    pub fn matches(&mut self, row: &DataRow) -> Result<bool, Error> {
        let mut left_out = false;
        for (slice, count) in self.exclusion.exclude.iter().zip(&mut self.rows_of_slices) {
            let mut all = true;
            for (column, condition) in slice {
                let cell = row.cell(column).ok_or_else(|| {
                    Error::Data(format!(
                        "the exclusion names the column `{column}`, which the data does not have"
                    ))
                })?;
                // The others are looked at as well: a column that is not there is told even where no row comes so far.
                all &= condition.holds(column, cell)?;
            }
            *count += u64::from(all);
            left_out |= all;
        }
        Ok(left_out)
    }

    /// Every slice has matched something: one that matches nothing is a mistake in it, and the rows that were meant are still there.
    ///
    /// # Errors
    /// A slice that matched no row.
    pub fn check(&self) -> Result<(), Error> {
        match self.rows_of_slices.iter().position(|count| *count == 0) {
            None => Ok(()),
            Some(at) => {
                let slice = serde_json::to_string(&self.exclusion.exclude[at]).unwrap_or_default();
                Err(Error::Data(format!(
                    "the exclusion `{slice}` matches no row: check its columns and values"
                )))
            }
        }
    }
}

impl Condition {
    fn holds(&self, column: &str, cell: &str) -> Result<bool, Error> {
        let incomparable = |value: &Value| {
            Error::Data(format!(
                "the exclusion compares column `{column}` with `{value}`, which does not compare with `{cell}`"
            ))
        };
        let order = |value: &Value| match value {
            Value::String(text) => match (text.parse::<Timestamp>(), cell.parse::<Timestamp>()) {
                (Ok(wanted), Ok(found)) => Ok(found.cmp(&wanted)),
                _ => Err(incomparable(value)),
            },
            Value::Number(_) => match (value.as_f64(), cell.parse::<f64>()) {
                (Some(wanted), Ok(found)) => found.partial_cmp(&wanted).ok_or_else(|| incomparable(value)),
                _ => Err(incomparable(value)),
            },
            _ => Err(incomparable(value)),
        };
        let same = |value: &Value| match value {
            Value::String(text) => Ok(text == cell),
            Value::Number(_) => order(value).map(std::cmp::Ordering::is_eq),
            _ => Err(incomparable(value)),
        };
        let mut holds = true;
        if let Some(value) = &self.equals {
            holds &= same(value)?;
        }
        if let Some(values) = &self.one_of {
            let mut found = false;
            for value in values {
                found |= same(value)?;
            }
            holds &= found;
        }
        if let Some(value) = &self.from {
            holds &= order(value)?.is_ge();
        }
        if let Some(value) = &self.before {
            holds &= order(value)?.is_lt();
        }
        Ok(holds)
    }
}

//! What a service answered when it was tried, and what it was seen to answer.

use serde::{Deserialize, Serialize};

use crate::live::Share;
use crate::signal::Label;
use crate::time::UnixMillis;

use super::Measure;

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

/// A subset of a data set, by the value of one of its columns; the empty name is the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// `column=value`, or empty.
    pub name: String,
    /// Rows sent.
    pub rows: u64,
    /// Rows without a usable answer.
    pub errors: u64,
    /// Such as `accuracy` or `recall:decline`.
    pub measures: Vec<Measure>,
    /// Of the answered rows, in milliseconds.
    pub latency_ms: Quantiles,
}

/// One row of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The row's id in its data set.
    pub id: String,
    /// Slices it belongs to.
    pub slices: Vec<String>,
    /// The true answer, where the data set has it.
    pub expected: Option<Payload>,
    /// The answer, or the error.
    pub output: Result<Payload, String>,
    /// In milliseconds.
    pub latency_ms: f64,
}

/// The result of a golden run or a recheck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The whole first, then by name.
    pub slices: Vec<Slice>,
    /// Only where asked for.
    pub rows: Vec<Row>,
    /// What the answers said of themselves.
    pub answered_by: Vec<Share>,
    /// When the first row was sent.
    pub started_at: UnixMillis,
}

/// One input and its output, from the service's request log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The request's id.
    pub id: String,
    /// When it was served.
    pub at: UnixMillis,
    /// What was sent.
    pub input: Payload,
    /// What was answered.
    pub output: Payload,
    /// Such as the version that answered.
    pub labels: Vec<Label>,
}

/// A named block of numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// As the Open Inference Protocol names it, such as `FP64`.
    pub datatype: String,
    /// Length of each dimension.
    pub shape: Vec<u64>,
    /// Row-major.
    pub data: Vec<f64>,
}

/// What goes into a model or comes out of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// Blocks of numbers.
    Tensors(Vec<Tensor>),
    /// Class names.
    Classes(Vec<String>),
    /// A text.
    Text(String),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A JSON document.
    Json(String),
}

//! What was measured.

use serde::{Deserialize, Serialize};

use crate::signal::Label;
use crate::time::UnixMillis;

/// One labelled number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Sorted by name.
    pub labels: Vec<Label>,
    /// May be NaN or infinite, as the source has it.
    pub value: f64,
    /// When it was measured.
    pub at: UnixMillis,
}

/// One point of a series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When.
    pub at: UnixMillis,
    /// May be NaN or infinite, as the source has it.
    pub value: f64,
}

/// One labelled series, oldest point first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Sorted by name.
    pub labels: Vec<Label>,
    /// Oldest first.
    pub points: Vec<Point>,
}

/// A named number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Such as `accuracy`.
    pub name: String,
    /// In the measure's own unit.
    pub value: f64,
}

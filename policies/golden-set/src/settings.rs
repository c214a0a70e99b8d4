use std::collections::BTreeMap;

use ripcord_sdk::prelude::*;

/// What the golden data set must give.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The golden data set, as the host's configuration names it.
    pub dataset: String,
    /// The least share of right answers over the whole set, 0..=1.
    #[serde(default)]
    pub accuracy: Option<f64>,
    /// Limits for single classes over the whole set, by the class.
    #[serde(default)]
    pub classes: BTreeMap<String, ClassLimits>,
    /// How far slices may lie apart.
    #[serde(default)]
    pub gap: Option<Gap>,
    /// How much worse than what is live a version may be that was made of a checkpoint or by a training.
    #[serde(default)]
    pub beside_live: BesideLive,
    /// The largest share of rows without an answer, 0..=1.
    #[serde(default)]
    pub error_rate: f64,
    /// How long an answer may take.
    #[serde(default)]
    pub latency: Option<Latency>,
    /// How many rows the run must have to mean something; at least 1.
    #[serde(default = "ten")]
    pub minimum_rows: u64,
    /// How long after the shift a failed check is tried again before it counts, for a service that must warm up.
    #[serde(default)]
    pub grace: Duration,
    /// When to run the set again after there was no result, or within the grace.
    #[serde(default = "half_a_minute")]
    pub recheck: Duration,
}

/// Limits for one class.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClassLimits {
    /// The least share of the class's rows that were answered with it, 0..=1.
    #[serde(default)]
    pub recall: Option<f64>,
    /// The least share of the answers with the class that were right, 0..=1.
    #[serde(default)]
    pub precision: Option<f64>,
}

/// How far the slices of one column may lie apart.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Gap {
    /// The largest difference between the best and the worst slice of a column, 0..=1.
    pub at_most: f64,
    /// The measure that is compared, such as `accuracy` or `recall:decline`.
    #[serde(default = "accuracy")]
    pub measure: String,
    /// The columns whose slices are compared; every column if left out.
    #[serde(default)]
    pub columns: Vec<String>,
    /// How many rows a slice must have to be compared; at least 1.
    #[serde(default = "ten")]
    pub minimum_rows: u64,
}

/// How much worse than what is live a version may be that was made: over the whole set, and on each slice.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BesideLive {
    /// The largest fall of the measure, 0..=1; 1 lets everything pass.
    #[serde(default = "five_points")]
    pub at_most: f64,
    /// The measure that is compared, such as `accuracy` or `recall:decline`.
    #[serde(default = "accuracy")]
    pub measure: String,
    /// The columns whose slices are compared; every column if left out.
    #[serde(default)]
    pub columns: Vec<String>,
    /// How many rows a slice must have to be compared; at least 1.
    #[serde(default = "twenty")]
    pub minimum_rows: u64,
}

impl Default for BesideLive {
    fn default() -> Self {
        Self { at_most: five_points(), measure: accuracy(), columns: Vec::new(), minimum_rows: twenty() }
    }
}

/// How long an answer may take, at the 99th percentile.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Latency {
    /// The longest that is well.
    #[serde(default)]
    pub at_most: Option<Duration>,
    /// How many times the latency of the version before is still well, such as 1.5. It is compared only where the same set
    /// was run on that version before the shift.
    #[serde(default)]
    pub factor: Option<f64>,
}

fn ten() -> u64 {
    10
}

fn twenty() -> u64 {
    20
}

fn five_points() -> f64 {
    0.05
}

fn half_a_minute() -> Duration {
    seconds(30)
}

fn accuracy() -> String {
    "accuracy".to_owned()
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), String> {
        let class = |(name, limits): (&String, &ClassLimits)| {
            [
                (format!("classes.{name}.recall"), limits.recall),
                (format!("classes.{name}.precision"), limits.precision),
            ]
        };
        let ratios =
            [("accuracy".to_owned(), self.accuracy), ("error-rate".to_owned(), Some(self.error_rate))]
                .into_iter()
                .chain(self.classes.iter().flat_map(class))
                .chain(self.gap.iter().map(|gap| ("gap.at-most".to_owned(), Some(gap.at_most))))
                .chain([("beside-live.at-most".to_owned(), Some(self.beside_live.at_most))]);
        for (name, ratio) in ratios {
            if let Some(ratio) = ratio.filter(|ratio| !(0.0..=1.0).contains(ratio)) {
                return Err(format!("`{name}` is `{ratio}`: write a ratio from 0 to 1"));
            }
        }
        if self.accuracy.is_none() && self.gap.is_none() && self.classes.values().all(ClassLimits::is_empty) {
            return Err("nothing is asked of the answers: set `accuracy`, a class's `recall` or `precision`, or `gap`".to_owned());
        }
        let of_slices = self.gap.iter().map(|gap| gap.minimum_rows).chain([self.beside_live.minimum_rows]);
        if self.minimum_rows == 0 || of_slices.into_iter().any(|rows| rows == 0) {
            return Err("`minimum-rows` is `0`: write at least 1".to_owned());
        }
        if self.recheck.is_zero() {
            return Err("`recheck` is `0s`: write when to run the set again, such as `30s`".to_owned());
        }
        match &self.latency {
            Some(Latency { at_most: None, factor: None }) => {
                Err("`latency` limits nothing: set `at-most`, `factor` or both".to_owned())
            }
            Some(Latency { factor: Some(factor), .. }) if *factor <= 0.0 || !factor.is_finite() => {
                Err(format!("`latency.factor` is `{factor}`: write a number above 0"))
            }
            _ => Ok(()),
        }
    }
}

impl ClassLimits {
    fn is_empty(&self) -> bool {
        self.recall.is_none() && self.precision.is_none()
    }
}

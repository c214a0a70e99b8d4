//! A limit as an operator writes it: a value, or a multiple of the metric's own value at an earlier time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::facts::Point;
use crate::contract::types::Instant;
use crate::metric::{Grid, Metric, Sampling};
use crate::stats::{self, readable};
use crate::{Duration, hours};

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Limit {
    /// This value.
    Absolute(f64),
    /// A multiple of the metric's own value at an earlier time.
    Relative(Relative),
}

/// A limit relative to the metric's own value at an earlier time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Relative {
    /// The limit is this many times the earlier value; above 0.
    pub factor: f64,
    /// How long ago the earlier window ended, such as `1d`. It should end before the harm may have begun.
    pub earlier: Duration,
    /// Length of the earlier window, over which the value is averaged.
    #[serde(default = "one_hour")]
    pub window: Duration,
}

/// A number of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Volume {
    /// Counts events: a counter is read as its growth, a gauge as its last value.
    pub metric: Metric,
    /// The least number that is enough; above 0.
    pub at_least: f64,
}

impl Volume {
    /// Refuses a number that everything reaches.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(&self) -> Result<(), String> {
        if self.at_least > 0.0 {
            return Ok(());
        }
        Err(format!("`volume.at-least` is `{}`: write a number above 0, or no `volume`", self.at_least))
    }
}

fn one_hour() -> Duration {
    hours(1)
}

impl Limit {
    /// Refuses what gives no limit.
    ///
    /// # Errors
    /// A sentence that names the setting and says what to write.
    pub fn check(&self, sampling: &Sampling) -> Result<(), String> {
        let Self::Relative(relative) = self else { return Ok(()) };
        if !(relative.factor > 0.0 && relative.factor.is_finite()) {
            return Err(format!("`limit.relative.factor` is `{}`: write a number above 0", relative.factor));
        }
        sampling.check(relative.window)
    }

    /// Where the earlier value is read, seen from `from` (Unix milliseconds); none for an absolute limit.
    pub fn baseline(&self, from: Instant, sampling: Sampling) -> Option<Grid> {
        match self {
            Self::Absolute(_) => None,
            Self::Relative(relative) => {
                Some(Grid { end: from - relative.earlier, length: relative.window, sampling })
            }
        }
    }

    /// The limit and where it comes from, with the values of [`Limit::baseline`]. `title` is what the metric is called.
    ///
    /// # Errors
    /// A sentence that says why there is no limit.
    pub fn value(&self, title: &str, baseline: Option<Vec<Point>>) -> Result<(f64, String), String> {
        let relative = match self {
            Self::Absolute(limit) => return Ok((*limit, String::new())),
            Self::Relative(relative) => relative,
        };
        let mean = stats::mean(&baseline.unwrap_or_default()).unwrap_or_default();
        if mean <= 0.0 {
            let mean = readable(mean);
            return Err(format!("the baseline of {title} is {mean}: only one above 0 gives a limit"));
        }
        let origin = format!(
            " ({} times the {} of {} before)",
            readable(relative.factor),
            readable(mean),
            relative.earlier
        );
        Ok((relative.factor * mean, origin))
    }
}

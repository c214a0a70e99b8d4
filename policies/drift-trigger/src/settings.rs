use ripcord_sdk::drift::{Correction, Distribution, Labels, NotJudged, Shift};
use ripcord_sdk::drift::{kolmogorov_smirnov, population_stability};
use ripcord_sdk::metric::{Absent, Metric};
use ripcord_sdk::prelude::*;
use ripcord_sdk::settings::{Strategy, Urgency};

/// What is counted, what it is compared with, and how far it may move.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// What is counted, in texts, such as `scores`; the query if left out.
    #[serde(default)]
    pub name: Option<String>,
    /// Counts events by class: counters as they are scraped, or an expression that counts, with `$window` for its window,
    /// such as `sum by (le) (increase(score_bucket[$window]))`.
    pub counts: Metric,
    /// The label that tells classes apart. `le` is that of the cumulative buckets of a histogram; any other names classes without an order, such as
    /// `decision`.
    #[serde(default = "le")]
    pub class: String,
    /// The label that tells features apart, such as `column`; each is compared with itself. Without it there is one.
    #[serde(default)]
    pub feature: Option<String>,
    /// The window that is judged.
    #[serde(default = "one_hour")]
    pub window: Duration,
    /// What it is compared with.
    #[serde(default)]
    pub baseline: Baseline,
    /// How a shift is measured.
    #[serde(default)]
    pub measure: Measure,
    /// The largest shift that is well; 0.25 of population stability, or a distance of 0.1, if left out.
    #[serde(default)]
    pub limit: Option<f64>,
    /// How often chance alone may be taken for a shift at one look, above 0 and below 1, after the correction.
    #[serde(default = "one_percent")]
    pub false_alarms: f64,
    /// How the number of features is corrected for.
    #[serde(default)]
    pub correction: Correction,
    /// How many events a feature must count on either side to be judged; at least 20.
    #[serde(default = "two_hundred")]
    pub at_least: f64,
    /// When to look again after data was missing or too few.
    #[serde(default = "five_minutes")]
    pub recheck: Duration,
    /// The strategy to propose.
    #[serde(default)]
    pub strategy: Strategy,
    /// The urgency to propose.
    #[serde(default)]
    pub urgency: Urgency,
}

/// The last stretch of the past that no incident touches.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Baseline {
    /// How long it is.
    pub length: Duration,
    /// It ends at least so long before now; the window that is judged if left out.
    pub before: Option<Duration>,
    /// How far back it is looked for.
    pub look_back: Duration,
}

impl Default for Baseline {
    fn default() -> Self {
        Self { length: days(1), before: None, look_back: days(14) }
    }
}

/// How a shift is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// The population stability index, with the chi-squared test. For buckets and for classes without an order.
    #[default]
    PopulationStability,
    /// The largest distance of the cumulative shares, with the test of Kolmogorov and Smirnov. For buckets.
    KolmogorovSmirnov,
}

fn le() -> String {
    "le".to_owned()
}

fn one_hour() -> Duration {
    hours(1)
}

fn five_minutes() -> Duration {
    minutes(5)
}

fn one_percent() -> f64 {
    0.01
}

fn two_hundred() -> f64 {
    200.0
}

impl Settings {
    /// What is counted, in texts.
    pub(crate) fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.counts.query)
    }

    pub(crate) fn labels(&self) -> Labels<'_> {
        Labels { class: &self.class, feature: self.feature.as_deref() }
    }

    pub(crate) fn limit(&self) -> f64 {
        self.limit.unwrap_or(match self.measure {
            Measure::PopulationStability => 0.25,
            Measure::KolmogorovSmirnov => 0.1,
        })
    }

    pub(crate) fn compare(&self, then: &Distribution, now: &Distribution) -> Result<Shift, NotJudged> {
        match self.measure {
            Measure::PopulationStability => population_stability(then, now, self.at_least),
            Measure::KolmogorovSmirnov => kolmogorov_smirnov(then, now, self.at_least),
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.counts.check_count("counts")?;
        if self.counts.absent == Absent::Zero {
            return Err("`counts.absent` is `zero`: leave it out, nothing cannot be compared".to_owned());
        }
        if self.measure == Measure::KolmogorovSmirnov && self.class != "le" {
            return Err(format!(
                "`class` is `{}`, whose classes have no order: write `measure = \"population-stability\"`, or count buckets with the label `le`",
                self.class
            ));
        }
        if self.feature.as_deref() == Some(self.class.as_str()) {
            return Err(format!("`feature` and `class` are both `{}`: leave `feature` out", self.class));
        }
        let limit = self.limit();
        if limit <= 0.0 || !limit.is_finite() || !(self.false_alarms > 0.0 && self.false_alarms < 1.0) {
            return Err(format!(
                "`limit` is `{limit}` and `false-alarms` `{}`: write a limit above 0, and false alarms above 0 and below 1",
                self.false_alarms
            ));
        }
        if self.at_least < 20.0 || !self.at_least.is_finite() {
            return Err(format!("`at-least` is `{}`: write at least 20, fewer say nothing", self.at_least));
        }
        let Baseline { length, look_back, .. } = self.baseline;
        if self.window.is_zero() || self.recheck.is_zero() || length.is_zero() || look_back < length {
            return Err(format!(
                "`window` is `{}`, `recheck` `{}`, `baseline.length` `{length}` and `baseline.look-back` `{look_back}`: write times above 0, and a longer look back",
                self.window, self.recheck
            ));
        }
        Ok(())
    }
}

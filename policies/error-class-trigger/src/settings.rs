use ripcord_sdk::metric::{Absent, Metric};
use ripcord_sdk::prelude::*;
use ripcord_sdk::settings::{Strategy, Urgency};

/// A class of outcomes, and how large its share may be.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// What the class is called in texts, such as `declined payments`; its query if left out.
    #[serde(default)]
    pub name: Option<String>,
    /// Counts the outcomes of the class: a counter as it is scraped, or an expression that counts, with `$window` for its window,
    /// such as `sum(increase(decisions_total{decision="decline"}[$window]))`.
    pub class: Metric,
    /// Counts all outcomes, in the same way.
    pub all: Metric,
    /// The window over which outcomes are counted.
    #[serde(default = "five_minutes")]
    pub window: Duration,
    /// The largest share that is well, 0..=1.
    #[serde(default)]
    pub at_most: Option<f64>,
    /// How many times its own earlier share is well.
    #[serde(default)]
    pub baseline: Option<Baseline>,
    /// Which limits must be exceeded, where both are set.
    #[serde(default)]
    pub exceeds: Exceeds,
    /// How many outcomes each window must hold before a share means something; at least 1.
    #[serde(default = "hundred")]
    pub at_least: f64,
    /// When to look again after data was missing or too few.
    #[serde(default = "one_minute")]
    pub recheck: Duration,
    /// The strategy to propose.
    #[serde(default)]
    pub strategy: Strategy,
    /// The urgency to propose.
    #[serde(default)]
    pub urgency: Urgency,
}

/// The class's own share at an earlier time.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Baseline {
    /// How many times the earlier share is still well; above 0.
    pub factor: f64,
    /// How long ago the earlier window ended, such as `1d`. It should end before the harm may have begun.
    pub earlier: Duration,
    /// Length of the earlier window.
    #[serde(default = "one_hour")]
    pub window: Duration,
}

/// Which limits must be exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exceeds {
    /// Every limit that is set.
    #[default]
    All,
    /// One of them.
    Any,
}

fn five_minutes() -> Duration {
    minutes(5)
}

fn one_minute() -> Duration {
    minutes(1)
}

fn one_hour() -> Duration {
    hours(1)
}

fn hundred() -> f64 {
    100.0
}

impl Settings {
    /// What the class is called in texts.
    pub(crate) fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.class.query)
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.class.check_count("class")?;
        self.all.check_count("all")?;
        if self.all.absent == Absent::Zero {
            return Err("`all.absent` is `zero`: leave it out, there is no share of nothing".to_owned());
        }
        match (self.at_most, &self.baseline) {
            (None, None) => return Err("there is no limit: set `at-most`, `baseline` or both".to_owned()),
            (Some(at_most), _) if !(0.0..1.0).contains(&at_most) => {
                return Err(format!("`at-most` is `{at_most}`: write a share of at least 0 and below 1"));
            }
            (_, Some(Baseline { factor, window, .. }))
                if *factor <= 0.0 || !factor.is_finite() || window.is_zero() =>
            {
                return Err(format!(
                    "`baseline.factor` is `{factor}` and `baseline.window` `{window}`: write a factor and a window above 0"
                ));
            }
            _ => {}
        }
        if self.at_least < 1.0 || self.window.is_zero() || self.recheck.is_zero() {
            return Err(format!(
                "`at-least` is `{}`, `window` `{}` and `recheck` `{}`: write at least 1, and times above 0",
                self.at_least, self.window, self.recheck
            ));
        }
        Ok(())
    }
}

use ripcord_sdk::metric::{Absent, Metric};
use ripcord_sdk::prelude::*;
use ripcord_sdk::settings::{Strategy, Urgency};

/// An objective, and how fast its error budget may burn.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// What the objective is called in texts, such as `availability`; `the objective` if left out.
    #[serde(default = "the_objective")]
    pub name: String,
    /// Counts bad events: a counter as it is scraped, or an expression that counts, with `$window` for its window, such as
    /// `sum(increase(errors_total[$window]))`.
    pub bad: Metric,
    /// Counts all events, in the same way.
    pub total: Metric,
    /// The share of good events that was promised, such as 0.999; at least 0 and below 1.
    pub objective: f64,
    /// Pairs of windows. The defaults are those of Google's "The Site Reliability Workbook", chapter 5.
    #[serde(default = "windows_of_the_workbook")]
    pub windows: Vec<Windows>,
    /// How many events each window must hold before its ratio means something; at least 1.
    #[serde(default = "hundred")]
    pub at_least: f64,
    /// How much of a window a counter must have been seen for, 0..=1, for the window to mean something.
    #[serde(default = "half")]
    pub coverage: f64,
    /// When to look again after data was missing or too few, or while the budget burns in one window of a pair only.
    #[serde(default = "one_minute")]
    pub recheck: Duration,
    /// The strategy to propose.
    #[serde(default)]
    pub strategy: Strategy,
}

/// A long and a short window. The budget must burn too fast in both: the long one says that it matters, the short one that
/// it goes on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Windows {
    /// How many times as fast as the objective allows is too fast; above 0.
    pub factor: f64,
    /// The long window.
    pub long: Duration,
    /// The short window, a twelfth of the long one by custom.
    pub short: Duration,
    /// What it leads to.
    #[serde(default)]
    pub then: Then,
    /// The urgency to propose.
    #[serde(default = "urgent")]
    pub urgency: Urgency,
}

/// What a budget that burns too fast leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// A proposal to roll back.
    #[default]
    RollBack,
    /// A warning, and another look.
    Watch,
}

fn the_objective() -> String {
    "the objective".to_owned()
}

fn windows_of_the_workbook() -> Vec<Windows> {
    let windows = |factor, long, short, then, urgency| Windows { factor, long, short, then, urgency };
    vec![
        windows(14.4, hours(1), minutes(5), Then::RollBack, Urgency::Emergency),
        windows(6.0, hours(6), minutes(30), Then::RollBack, Urgency::Urgent),
        windows(1.0, days(3), hours(6), Then::Watch, Urgency::Routine),
    ]
}

fn hundred() -> f64 {
    100.0
}

fn half() -> f64 {
    0.5
}

fn one_minute() -> Duration {
    minutes(1)
}

fn urgent() -> Urgency {
    Urgency::Urgent
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), String> {
        self.bad.check_count("bad")?;
        self.total.check_count("total")?;
        if self.total.absent == Absent::Zero {
            return Err("`total.absent` is `zero`: leave it out, there is no share of nothing".to_owned());
        }
        if !(0.0..1.0).contains(&self.objective) {
            return Err(format!(
                "`objective` is `{}`: write a share of at least 0 and below 1, such as 0.999",
                self.objective
            ));
        }
        if self.windows.is_empty() {
            return Err(
                "`windows` is empty: write at least one pair, or leave it out for the usual ones".to_owned()
            );
        }
        for (index, windows) in self.windows.iter().enumerate() {
            let Windows { factor, long, short, .. } = windows;
            if short.is_zero() || long <= short {
                return Err(format!(
                    "`windows[{index}]` is `{long}` and `{short}`: write a short window above 0 and a longer one"
                ));
            }
            if *factor <= 0.0 || !factor.is_finite() {
                return Err(format!("`windows[{index}].factor` is `{factor}`: write a number above 0"));
            }
            let most = 1.0 / (1.0 - self.objective);
            if *factor >= most {
                return Err(format!(
                    "`windows[{index}].factor` is `{factor}`, but with an objective of {} nothing burns faster than {}: write less",
                    self.objective,
                    ripcord_sdk::stats::readable(most)
                ));
            }
        }
        if self.at_least < 1.0 || !(0.0..=1.0).contains(&self.coverage) || self.recheck.is_zero() {
            return Err(format!(
                "`at-least` is `{}`, `coverage` `{}` and `recheck` `{}`: write at least 1, a ratio from 0 to 1, and a time above 0",
                self.at_least, self.coverage, self.recheck
            ));
        }
        Ok(())
    }
}

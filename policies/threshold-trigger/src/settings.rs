use ripcord_sdk::limit::{Limit, Volume};
use ripcord_sdk::metric::{Metric, Sampling};
use ripcord_sdk::prelude::*;
use ripcord_sdk::reading::Reading;
use ripcord_sdk::settings::{Side, Strategy, Urgency};

/// When a metric is harm.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// What the metric is called in texts, such as `error ratio`; its query if left out.
    #[serde(default)]
    pub name: Option<String>,
    /// The metric to judge. Several series are added.
    pub metric: Metric,
    /// Divides the metric, value by value: errors by requests. Both are added over their series first.
    #[serde(default)]
    pub per: Option<Metric>,
    /// Which side of the limit is bad.
    pub when: Side,
    /// The limit; on the limit is still well.
    pub limit: Limit,
    /// How long the metric must be beyond the limit without interruption before it is a reason to roll back.
    #[serde(rename = "for", default = "ten_minutes")]
    pub for_at_least: Duration,
    /// How far the metric must come back to end it, as a ratio of the limit, 0..1: with 0.1 and over 0.05, it ends at 0.045.
    #[serde(default)]
    pub hysteresis: f64,
    /// How many events there must be before their ratio means something.
    #[serde(default)]
    pub volume: Option<Volume>,
    /// How long ago the metric is judged, such as `5d`, where the truth about a decision is known days later: everything is read as of then. Now if
    /// left out. `$live` in a query stands for the name of the version that is live now, so that the harm of another is not held against it.
    #[serde(default)]
    pub as_of: Option<Duration>,
    /// How finely the metrics are read.
    #[serde(default)]
    pub sampling: Sampling,
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

fn ten_minutes() -> Duration {
    minutes(10)
}

fn one_minute() -> Duration {
    minutes(1)
}

impl Settings {
    /// How far back the metric is read: twice as long as it must be beyond the limit, so that a value within the
    /// hysteresis is known to have been beyond it before.
    pub(crate) fn history(&self) -> Duration {
        self.for_at_least * 2
    }

    pub(crate) fn reading(&self) -> Reading<'_> {
        Reading { metric: &self.metric, per: self.per.as_ref() }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.reading().check()?;
        self.sampling.check(self.history())?;
        self.limit.check(&self.sampling)?;
        if !(0.0..1.0).contains(&self.hysteresis) {
            return Err(format!(
                "`hysteresis` is `{}`: write a ratio of at least 0 and below 1",
                self.hysteresis
            ));
        }
        if self.as_of.is_some_and(Duration::is_zero) {
            return Err(
                "`as-of` is `0s`: write how long ago to judge, such as `5d`, or leave it out for now"
                    .to_owned(),
            );
        }
        if self.recheck.is_zero() {
            return Err(
                "`recheck` is `0s`: write when to look again after data was missing, such as `1m`".to_owned()
            );
        }
        self.volume.as_ref().map_or(Ok(()), Volume::check)
    }
}

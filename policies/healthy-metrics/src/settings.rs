use ripcord_sdk::limit::{Limit, Volume};
use ripcord_sdk::metric::{Absent, Metric, Sampling};
use ripcord_sdk::prelude::*;
use ripcord_sdk::reading::Reading;
use ripcord_sdk::settings::Side;

/// When the metric is well again. After a version that someone else put live, read *the shift* as *when it was noticed*. `metric`, `per`, `when`, `limit` and `sampling` mean what they mean in `threshold-trigger`, so
/// that the lines of the trigger can be copied.
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
    /// The limit; on the limit is well. The time of a relative limit is counted back from the shift.
    pub limit: Limit,
    /// How long the metric must be well without interruption, counted from the shift or from when it came back.
    #[serde(default = "ten_minutes")]
    pub soak: Duration,
    /// How long after the shift a metric beyond its limit counts as unhealthy; `soak` if left out.
    #[serde(default)]
    pub fail_after: Option<Duration>,
    /// How many events there must be within the soak before the metric means something.
    #[serde(default)]
    pub volume: Option<Volume>,
    /// How finely the metrics are read.
    #[serde(default)]
    pub sampling: Sampling,
    /// When to look again after data was missing, too few, or the metric was beyond its limit.
    #[serde(default = "one_minute")]
    pub recheck: Duration,
}

fn ten_minutes() -> Duration {
    minutes(10)
}

fn one_minute() -> Duration {
    minutes(1)
}

impl Settings {
    pub(crate) fn reading(&self) -> Reading<'_> {
        Reading { metric: &self.metric, per: self.per.as_ref() }
    }

    /// What the metric is called in texts.
    pub(crate) fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.metric.query)
    }

    pub(crate) fn fail_after(&self) -> Duration {
        self.fail_after.unwrap_or(self.soak)
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.reading().check()?;
        self.sampling.check(self.soak + self.sampling.lookback)?;
        self.limit.check(&self.sampling)?;
        if self.recheck.is_zero() {
            return Err("`recheck` is `0s`: write when to look again, such as `1m`".to_owned());
        }
        let Some(volume) = &self.volume else { return Ok(()) };
        volume.check()?;
        if volume.metric.absent == Absent::Zero {
            return Err(
                "`volume.metric.absent` is `zero`: leave it out, a volume of 0 is never enough".to_owned()
            );
        }
        Ok(())
    }
}

//! A metric as an operator names it, and its values at even distances of time.
//!
//! It works alike for an expression, whose result is a gauge, and for raw series as they are scraped: a counter is
//! turned into a rate here, and several series are added. What is read lies on a grid of instants, so that two metrics
//! can be divided point by point although their series were sampled at different instants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::facts::{Point, Series};
use crate::contract::types::Instant;
use crate::facts::{Facts, Handle};
use crate::reach::{Reach, UNSEEN};
use crate::{Duration, kind, seconds, stats};

/// A metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Metric {
    /// An expression in the language of the metrics source, or a plain selection such as `errors_total{job="fraud"}`.
    pub query: String,
    /// A configured metrics source; the service's default if left out.
    #[serde(default)]
    pub source: Option<String>,
    /// `gauge` reads values as they are, `counter` reads the growth per second.
    #[serde(default)]
    pub read_as: ReadAs,
    /// What it means that nothing is selected. `zero` suits a counter that is there from its first event on, if what it is
    /// compared with shows that the service is watched at all.
    #[serde(default)]
    pub absent: Absent,
    /// How far back a value of the query tells, such as `30m`. It is read from the ranges in the query, or from the name of a recorded rule that
    /// ends in its window; write it where neither shows it. `1h` is taken for a recorded rule that shows none.
    #[serde(default)]
    pub window: Option<Duration>,
}

/// What it means that a query selects nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Absent {
    /// That the value is not known.
    #[default]
    Unknown,
    /// That the value is 0.
    Zero,
}

/// What the values of a series mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReadAs {
    /// A value that is read as it is. The result of an expression is one.
    #[default]
    Gauge,
    /// A value that only grows, or starts again at 0; read as its growth per second.
    Counter,
}

/// How finely a metric is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Sampling {
    /// From one value to the next.
    pub step: Duration,
    /// How far back a value may lie to count for an instant, and over how long a counter's growth is taken. At least
    /// two scrape intervals.
    pub lookback: Duration,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { step: seconds(15), lookback: seconds(60) }
    }
}

impl Sampling {
    /// Refuses what cannot be read over `length`.
    ///
    /// # Errors
    /// A sentence that names the setting and says what to write.
    pub fn check(&self, length: Duration) -> Result<(), String> {
        let Self { step, lookback } = self;
        if step.is_zero() || lookback < step {
            return Err(format!(
                "`step` is `{step}` and `lookback` `{lookback}`: write a step above 0 and a longer lookback"
            ));
        }
        if length.as_millis() / step.as_millis() >= INSTANTS_MAX {
            return Err(format!("`{length}` in steps of `{step}` is too fine: write a longer `step`"));
        }
        Ok(())
    }
}

/// Values on one grid of instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The last instant, Unix milliseconds.
    pub end: Instant,
    /// How long before `end` it begins.
    pub length: Duration,
    /// Distances and lookback.
    pub sampling: Sampling,
}

/// More instants than any rule needs; a grid that would have more is cut at its old end.
const INSTANTS_MAX: u64 = 10_000;

impl Grid {
    /// The grid's instants, oldest first; the last is `end`.
    pub fn instants(&self) -> impl Iterator<Item = Instant> + use<> {
        let step = self.sampling.step.as_millis().max(1);
        let (end, steps) = (self.end, (self.length.as_millis() / step).min(INSTANTS_MAX - 1));
        (0..=steps).rev().map(move |back| end.saturating_sub(back * step))
    }
}

impl Metric {
    /// How far before its instant a value tells of; nothing for a counter as it is scraped, whose points are chosen here.
    pub fn reach(&self) -> Duration {
        let written = match (self.read_as, Reach::of(&self.query)) {
            (ReadAs::Counter, Reach::Unseen) => Duration::ZERO,
            (_, Reach::Unseen) => UNSEEN,
            (_, Reach::Over(reach)) => reach,
        };
        self.window.unwrap_or(written)
    }

    /// Asks for the series that [`Metric::read`] needs for this grid.
    pub fn request<'f>(&self, facts: &'f Facts, grid: &Grid) -> Handle<'f, kind::MetricRange> {
        facts
            .metric_range(self.query.as_str(), grid.length + grid.sampling.lookback)
            .ending(grid.end)
            .step(grid.sampling.step)
            .from_source(self.source.as_deref())
    }

    /// The metric on the grid: at each instant the sum over the series that have a value there.
    ///
    /// A gauge's value is its last within the lookback, a counter's is its [`stats::rate`] over the lookback. An instant
    /// at which no series has a value is left out.
    pub fn read(&self, series: &[Series], grid: &Grid) -> Vec<Point> {
        self.read_since(series, grid, Instant::MIN)
    }

    /// As [`Metric::read`], from what was sampled at `since` (Unix milliseconds) or later.
    pub fn read_since(&self, series: &[Series], grid: &Grid, since: Instant) -> Vec<Point> {
        let value_of = |one: &Series, at: Instant| {
            let from = since.max(at - grid.sampling.lookback);
            match self.read_as {
                ReadAs::Gauge => stats::within(&one.points, from, at).next_back().map(|point| point.value),
                ReadAs::Counter => stats::rate(&one.points, from, at),
            }
        };
        let value_at = |at| {
            let mut values = series.iter().filter_map(|one| value_of(one, at)).peekable();
            values.peek()?;
            Some(Point { at, value: values.sum() })
        };
        grid.instants().filter_map(value_at).collect()
    }
}

impl Metric {
    /// Refuses counters that are not of one process each: their growth is not known.
    ///
    /// # Errors
    /// A sentence that says which, and what to do.
    pub fn of_one_process(&self, series: &[Series], from: Instant, to: Instant) -> Result<(), String> {
        if self.read_as != ReadAs::Counter {
            return Ok(());
        }
        let several = |one: &Series| stats::more_than_one_process(&one.points, from, to);
        let found = series.iter().find_map(|one| Some((several(one)?, one)));
        let Some(((down, covered), one)) = found else { return Ok(()) };
        let labels: Vec<String> =
            one.labels.iter().map(|label| format!("{}=\"{}\"", label.name, label.value)).collect();
        Err(format!(
            "`{}` is not judged: its counter {{{}}} went down {down} times within {covered}, more often than a process begins anew, so several processes seem to answer behind one address; let each be scraped by itself, or let them count together",
            self.query,
            labels.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minutes;

    fn series(points: &[(Instant, f64)]) -> Series {
        Series { labels: Vec::new(), points: points.iter().map(|&(at, value)| Point { at, value }).collect() }
    }

    fn grid() -> Grid {
        let sampling = Sampling { step: minutes(1), lookback: minutes(2) };
        Grid { end: 600_000, length: minutes(2), sampling }
    }

    fn metric(read_as: ReadAs) -> Metric {
        Metric { query: "q".into(), source: None, read_as, absent: Absent::Unknown, window: None }
    }

    #[test]
    fn the_grid_ends_at_its_end() {
        assert_eq!(grid().instants().collect::<Vec<_>>(), [480_000, 540_000, 600_000]);
        let point = Grid { length: Duration::ZERO, ..grid() };
        assert_eq!(point.instants().collect::<Vec<_>>(), [600_000]);
    }

    #[test]
    fn a_gauge_is_its_last_value_that_is_not_too_old() {
        let gauges =
            [series(&[(350_000, 1.0), (470_000, 2.0), (535_000, f64::NAN)]), series(&[(590_000, 10.0)])];
        let read: Vec<_> =
            metric(ReadAs::Gauge).read(&gauges, &grid()).iter().map(|p| (p.at, p.value)).collect();
        assert_eq!(read, [(480_000, 2.0), (540_000, 2.0), (600_000, 10.0)]);
        assert_eq!(metric(ReadAs::Gauge).read(&gauges[..1], &grid()).len(), 2, "too old at the end");
    }

    #[test]
    fn a_counter_is_its_growth_per_second() {
        let counters = [
            series(&[(360_000, 0.0), (480_000, 120.0), (600_000, 60.0)]),
            series(&[(480_000, 5.0), (540_000, 125.0), (600_000, 245.0)]),
        ];
        let read: Vec<_> =
            metric(ReadAs::Counter).read(&counters, &grid()).iter().map(|p| (p.at, p.value)).collect();
        assert_eq!(read, [(480_000, 1.0), (540_000, 2.0), (600_000, 2.5)]);
    }

    #[test]
    fn no_series_have_no_values() {
        assert_eq!(metric(ReadAs::Gauge).read(&[], &grid()), []);
        assert_eq!(metric(ReadAs::Counter).read(&[series(&[(600_000, 1.0)])], &grid()), []);
    }

    #[test]
    fn what_is_asked_for_covers_the_lookback() {
        let facts = Facts::new(600_000, Vec::new());
        let crate::contract::facts::Request::MetricRange(query) =
            metric(ReadAs::Gauge).request(&facts, &grid()).request().clone()
        else {
            unreachable!("a range")
        };
        assert_eq!((query.window.start, query.window.end, query.step), (360_000, 600_000, 60_000));
    }

    #[test]
    fn a_sampling_that_cannot_be_read_is_refused() {
        let check = |step, lookback, length| Sampling { step, lookback }.check(length);
        assert_eq!(check(seconds(15), minutes(1), minutes(10)), Ok(()));
        for (step, lookback) in [(Duration::ZERO, minutes(1)), (minutes(2), minutes(1))] {
            assert!(check(step, lookback, minutes(10)).is_err_and(|why| why.contains("`lookback`")));
        }
        assert!(check(seconds(1), minutes(1), crate::days(30)).is_err_and(|why| why.contains("`30d`")));
    }
}

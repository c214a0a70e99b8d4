//! How many events a window holds: the growth of counters as they are scraped, or an expression that counts.

use crate::contract::facts::{Request, Series};
use crate::contract::types::Instant;
use crate::facts::{Facts, Handle, Step, Wanted};
use crate::metric::{Absent, Metric, ReadAs};
use crate::reach::{Reach, UNSEEN};
use crate::{Duration, kind, millis, seconds, stats};

/// Stands for the window's length in an expression.
pub const WINDOW: &str = "$window";

/// Events in a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count {
    /// How many.
    pub events: f64,
    /// Over how much of the window they were counted.
    pub covered: Duration,
}

impl Metric {
    /// Asks for the number of events in the window that ends at `end`, Unix milliseconds.
    ///
    /// A counter is read at 60 instants and its growth counted, over all series; of an expression, `$window` is replaced
    /// by the window, and its value is the count.
    pub fn count<'f, 's>(&'s self, facts: &'f Facts, window: Duration, end: Instant) -> Counting<'f, 's> {
        let asked = match self.read_as {
            ReadAs::Counter => {
                let step = millis(window.as_millis() / 60).max(seconds(1));
                let handle = facts.metric_range(self.query.as_str(), window).ending(end).step(step);
                Asked::Series(handle.from_source(self.source.as_deref()))
            }
            ReadAs::Gauge => {
                let handle = facts.metric(self.query.replace(WINDOW, &window.to_string()));
                let handle = if end == facts.now() { handle } else { handle.at(end) };
                Asked::Samples(handle.from_source(self.source.as_deref()))
            }
        };
        Counting { metric: self, window, end, asked }
    }

    /// Refuses what does not count events of a window. `name` is the setting's.
    ///
    /// # Errors
    /// A sentence that names the setting and says what to write.
    pub fn check_count(&self, name: &str) -> Result<(), String> {
        let has_window = self.query.contains(WINDOW);
        match self.read_as {
            ReadAs::Gauge if !has_window => Err(format!(
                "`{name}.query` is `{}`: write `read-as = \"counter\"` beside a plain counter, or an expression that counts, \
                 with `{WINDOW}` for its window, such as `sum(increase(errors_total[{WINDOW}]))`",
                self.query
            )),
            ReadAs::Counter if has_window => Err(format!(
                "`{name}.query` is `{}`, read as a counter: leave `read-as` out, because an expression with `{WINDOW}` counts by itself",
                self.query
            )),
            _ => Ok(()),
        }
    }

    /// The longest window, at most `window`, that ends at `end` and holds only the time since `since` (Unix milliseconds): an expression may reach
    /// farther back than the window that it is given. None if less than a second is left.
    pub fn window_since(&self, window: Duration, end: Instant, since: Instant) -> Option<Duration> {
        let beyond = match (self.window, self.read_as) {
            (Some(beyond), _) => beyond,
            (None, ReadAs::Counter) => Duration::ZERO,
            (None, ReadAs::Gauge) => match Reach::of(&self.query.replace(WINDOW, &window.to_string())) {
                Reach::Over(reach) => reach - window,
                Reach::Unseen => UNSEEN,
            },
        };
        let own = millis(end.saturating_sub(since)) - beyond;
        let whole = seconds(own.min(window).as_millis() / 1_000);
        if own >= window { Some(window) } else { (!whole.is_zero()).then_some(whole) }
    }

    /// True if this answer means 0.
    pub(crate) fn is_zero_for(&self, unavailable: &crate::contract::facts::Unavailable) -> bool {
        self.absent == Absent::Zero && unavailable.reason == crate::contract::facts::UnavailableReason::NoData
    }

    /// Events of these counter series between two instants, and over how long they were counted. None if no series has
    /// two points there.
    pub fn growth(series: &[Series], from: Instant, to: Instant) -> Option<Count> {
        let of_one = |one: &Series| {
            let events = stats::increase(&one.points, from, to)?;
            let mut inside = stats::within(&one.points, from, to);
            let (first, last) = (inside.next()?.at, inside.next_back()?.at);
            Some(Count { events, covered: millis(last.saturating_sub(first)) })
        };
        series.iter().filter_map(of_one).reduce(|sum, one| Count {
            events: sum.events + one.events,
            covered: sum.covered.max(one.covered),
        })
    }
}

/// A number of events that was named but not yet resolved: [`Count`], or a sentence that says what is missing.
#[derive(Clone, Debug)]
#[must_use = "it asks for nothing until `Facts::all`"]
pub struct Counting<'f, 's> {
    metric: &'s Metric,
    window: Duration,
    end: Instant,
    asked: Asked<'f>,
}

#[derive(Clone, Debug)]
enum Asked<'f> {
    Series(Handle<'f, kind::MetricRange>),
    Samples(Handle<'f, kind::Metric>),
}

impl<'f> Wanted<'f> for Counting<'f, '_> {
    type Facts = Result<Count, String>;

    fn missing(&self, missing: &mut Vec<Request>) {
        match &self.asked {
            Asked::Series(handle) => handle.missing(missing),
            Asked::Samples(handle) => handle.missing(missing),
        }
    }

    fn facts(self) -> Step<Self::Facts> {
        let Self { metric, window, end, asked } = self;
        let count = match asked {
            Asked::Series(handle) => {
                let series = handle.get()?;
                if let Ok(series) = series
                    && let Err(why) = metric.of_one_process(series, end - window, end)
                {
                    return Ok(Err(why));
                }
                series.map(|series| Metric::growth(series, end - window, end))
            }
            Asked::Samples(handle) => handle.get()?.map(|samples| {
                // A sum without one of its parts would be a smaller number of events.
                let known = !samples.is_empty() && samples.iter().all(|sample| sample.value.is_finite());
                known.then(|| Count { events: stats::total(samples), covered: window })
            }),
        };
        let none = Count { events: 0.0, covered: window };
        let is_counter = metric.read_as == ReadAs::Counter;
        Ok(match count {
            Ok(Some(count)) => Ok(count),
            // What is there and is not a number is no zero.
            Ok(None) if metric.absent == Absent::Zero && is_counter => Ok(none),
            Ok(None) if !is_counter => Err(format!("`{}` over {window} is not a number", metric.query)),
            Ok(None) => Err(format!("`{}` has too few values in the last {window} to count", metric.query)),
            Err(unavailable) if metric.is_zero_for(unavailable) => Ok(none),
            Err(unavailable) => Err(format!("`{}` over {window}: {unavailable}", metric.query)),
        })
    }
}

/// A share of events, with what it was made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// 0 or more; above 1 only if the two counts do not fit together.
    pub ratio: f64,
    /// The events that it is a share of.
    pub of: f64,
    /// Over how much of the window they were counted.
    pub covered: Duration,
}

impl Share {
    /// `part` of `whole`; none if there was nothing it could be a share of.
    pub fn of(part: Count, whole: Count) -> Option<Self> {
        let ratio = part.events / whole.events;
        let valid = whole.events > 0.0 && ratio.is_finite() && ratio >= 0.0;
        valid.then_some(Self { ratio, of: whole.events, covered: whole.covered })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::facts::{
        Fact as Dated, MetricQuery, Point, RangeQuery, Sample, Unavailable, UnavailableReason, Value,
    };
    use crate::{Stop, minutes};

    const NOW: Instant = 3_600_000;

    fn metric(query: &str, read_as: ReadAs) -> Metric {
        Metric { query: query.into(), source: None, read_as, absent: Absent::Unknown, window: None }
    }

    fn count(
        metric: &Metric,
        end: Instant,
        value: Result<Value, Unavailable>,
    ) -> (Request, Result<Count, String>) {
        let empty = Facts::new(NOW, Vec::new());
        let request = match empty.all(metric.count(&empty, minutes(5), end)) {
            Err(Stop::Need(requests)) => requests[0].clone(),
            _ => unreachable!("nothing is known yet"),
        };
        let fact =
            Dated { id: "1".into(), request: request.clone(), value, source: "test".into(), as_of: NOW };
        let facts = Facts::new(NOW, vec![fact]);
        (request, facts.all(metric.count(&facts, minutes(5), end)).expect("the fact is there"))
    }

    fn series(points: &[(Instant, f64)]) -> Series {
        Series { labels: Vec::new(), points: points.iter().map(|&(at, value)| Point { at, value }).collect() }
    }

    #[test]
    fn the_growth_of_replicas_is_added() {
        let replicas = vec![
            series(&[(NOW - 400_000, 0.0), (NOW - 240_000, 10.0), (NOW, 25.0)]),
            series(&[(NOW - 60_000, 7.0), (NOW, 9.0)]),
            series(&[(NOW, 100.0)]),
        ];
        let (request, counted) = count(&metric("q", ReadAs::Counter), NOW, Ok(Value::MetricRange(replicas)));
        assert!(matches!(request, Request::MetricRange(RangeQuery { step: 5_000, .. })));
        assert_eq!(counted, Ok(Count { events: 17.0, covered: minutes(4) }));
        let (_, counted) =
            count(&metric("q", ReadAs::Counter), NOW, Ok(Value::MetricRange(vec![series(&[(NOW, 1.0)])])));
        assert_eq!(counted, Err("`q` has too few values in the last 5m to count".into()));
    }

    #[test]
    fn counters_of_several_processes_are_not_judged_and_the_text_says_why() {
        let by_turns = || {
            let values = [100.0, 40.0, 101.0, 41.0, 102.0, 42.0].into_iter().enumerate();
            series(&values.map(|(i, value)| (NOW - 150_000 + i as u64 * 15_000, value)).collect::<Vec<_>>())
        };
        for absent in [Absent::Unknown, Absent::Zero] {
            let metric = Metric { absent, ..metric("q", ReadAs::Counter) };
            let (_, counted) = count(&metric, NOW, Ok(Value::MetricRange(vec![by_turns()])));
            let why = counted.expect_err("not judged");
            for expected in ["`q` is not judged", "went down 3 times within 75s", "several processes"] {
                assert!(why.contains(expected), "{expected}: {why}");
            }
        }
    }

    #[test]
    fn a_sum_of_which_a_part_is_no_number_is_not_known() {
        let sample = |value| Sample { labels: Vec::new(), value, at: NOW };
        let expression = metric("sum by (a) (increase(q[$window]))", ReadAs::Gauge);
        for absent in [Absent::Unknown, Absent::Zero] {
            let expression = Metric { absent, ..expression.clone() };
            let parts = Ok(Value::Metric(vec![sample(3.0), sample(f64::NAN)]));
            assert!(count(&expression, NOW, parts).1.is_err_and(|why| why.contains("is not a number")));
        }
    }

    #[test]
    fn an_expression_is_told_its_window() {
        let value = |value| Ok(Value::Metric(vec![Sample { labels: Vec::new(), value, at: NOW }]));
        let expression = metric("sum(increase(q[$window]))", ReadAs::Gauge);
        let (request, counted) = count(&expression, NOW, value(3.0));
        let wanted = MetricQuery { source: None, query: "sum(increase(q[5m]))".into(), at: None };
        assert_eq!(request, Request::Metric(wanted.clone()));
        assert_eq!(counted, Ok(Count { events: 3.0, covered: minutes(5) }));
        assert!(count(&expression, NOW, value(f64::NAN)).1.is_err());
        let (request, _) = count(&expression, NOW - 1_000, value(3.0));
        assert_eq!(request, Request::Metric(MetricQuery { at: Some(NOW - 1_000), ..wanted }));
    }

    #[test]
    fn absent_is_zero_only_where_that_is_said() {
        let no_data = || Err(Unavailable { reason: UnavailableReason::NoData, message: String::new() });
        let unknown = metric("q", ReadAs::Counter);
        assert_eq!(count(&unknown, NOW, no_data()).1, Err("`q` over 5m: no data".into()));
        let zero = Metric { absent: Absent::Zero, ..unknown };
        assert_eq!(count(&zero, NOW, no_data()).1, Ok(Count { events: 0.0, covered: minutes(5) }));
        let failed = Err(Unavailable { reason: UnavailableReason::Failed, message: String::new() });
        assert!(count(&zero, NOW, failed).1.is_err());
    }

    #[test]
    fn a_window_holds_only_the_time_since_an_instant() {
        let since = NOW - 600_000;
        let own = |query, read_as| metric(query, read_as).window_since(minutes(30), NOW, since);
        assert_eq!(own("q", ReadAs::Counter), Some(minutes(10)));
        assert_eq!(own("sum(increase(q[$window]))", ReadAs::Gauge), Some(minutes(10)));
        assert_eq!(own("sum(increase(q[$window] offset 4m))", ReadAs::Gauge), Some(minutes(6)));
        assert_eq!(own("sum_over_time(job:errors:increase5m[$window])", ReadAs::Gauge), Some(minutes(5)));
        assert_eq!(own("sum_over_time(job:errors:sum[$window])", ReadAs::Gauge), None, "unseen");
        let short = metric("q", ReadAs::Counter).window_since(minutes(5), NOW, since);
        assert_eq!(short, Some(minutes(5)), "no longer than it is");
        assert_eq!(metric("q", ReadAs::Counter).window_since(minutes(5), NOW, NOW - 500), None);
    }

    #[test]
    fn what_does_not_count_is_refused() {
        assert!(metric("rate(q[5m])", ReadAs::Gauge).check_count("bad").is_err());
        assert!(metric("increase(q[$window])", ReadAs::Counter).check_count("bad").is_err());
        assert_eq!(metric("increase(q[$window])", ReadAs::Gauge).check_count("bad"), Ok(()));
        assert_eq!(metric("q", ReadAs::Counter).check_count("bad"), Ok(()));
    }

    #[test]
    fn a_share_of_nothing_is_none() {
        let count = |events| Count { events, covered: minutes(5) };
        assert_eq!(Share::of(count(0.0), count(0.0)), None);
        assert_eq!(Share::of(count(f64::NAN), count(2.0)), None);
        assert_eq!(
            Share::of(count(1.0), count(4.0)),
            Some(Share { ratio: 0.25, of: 4.0, covered: minutes(5) })
        );
    }
}

//! The values of a metric, alone or divided by another, as one thing to ask for.

use crate::contract::facts::{Point, Request, Series};
use crate::contract::types::Instant;
use crate::facts::{Fact, Facts, Handle, Step, Wanted};
use crate::metric::{Absent, Grid, Metric, ReadAs};
use crate::settings::Side;
use crate::{Duration, kind, reach, stats};

/// A metric, or its quotient by another: errors by requests.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'s> {
    /// What is read.
    pub metric: &'s Metric,
    /// What divides it, value by value.
    pub per: Option<&'s Metric>,
}

impl<'s> Reading<'s> {
    /// Asks for its values on the grid, as far as they tell only of the time since `since` (Unix milliseconds): a counter's points from then on, and
    /// of an expression those values whose ranges do not reach back before it.
    pub fn on<'f>(self, facts: &'f Facts, grid: Grid, since: Instant) -> OnGrid<'f, 's> {
        let handles = (self.metric.request(facts, &grid), self.per.map(|per| per.request(facts, &grid)));
        OnGrid { reading: self, grid, since, handles }
    }

    /// How far before its instant a value tells of.
    pub fn reach(self) -> Duration {
        self.per.map_or(Duration::ZERO, Metric::reach).max(self.metric.reach())
    }

    /// The same over so short a time that each value tells of `to` at most, for a limit on this side. None where that would be another measure:
    /// a recorded rule, a subquery or `offset`, and a number of events that must not be too small.
    pub fn shortened(self, to: Duration, side: Side) -> Option<(Metric, Option<Metric>)> {
        let shorter = |metric: &Metric| match metric.read_as {
            ReadAs::Counter => Some(metric.clone()),
            ReadAs::Gauge if metric.window.is_some_and(|window| window > to) => None,
            ReadAs::Gauge => {
                let too_small = side == Side::Under && self.per.is_none() && reach::counts(&metric.query);
                let query = reach::shortened(&metric.query, to).filter(|_| !too_small)?;
                Some(Metric { query, ..metric.clone() })
            }
        };
        let per = match self.per {
            Some(per) => Some(shorter(per)?),
            None => None,
        };
        Some((shorter(self.metric)?, per))
    }

    /// Refuses what cannot be read.
    ///
    /// # Errors
    /// A sentence that names the setting and says what to write.
    pub fn check(self) -> Result<(), String> {
        if self.per.is_none() && self.metric.absent == Absent::Zero {
            return Err(
                "`metric.absent` is `zero` without `per`: then missing data could not be told from 0"
                    .to_owned(),
            );
        }
        if self.per.is_some_and(|per| per.absent == Absent::Zero) {
            return Err("`per.absent` is `zero`: nothing can be divided by 0, so leave it out".to_owned());
        }
        Ok(())
    }
}

/// Values that were named but not yet resolved. They resolve to the values in order of time, at least one, or to a
/// sentence that says what is missing.
#[derive(Clone, Debug)]
#[must_use = "it asks for nothing until `Facts::all`"]
pub struct OnGrid<'f, 's> {
    reading: Reading<'s>,
    grid: Grid,
    since: Instant,
    handles: (Handle<'f, kind::MetricRange>, Option<Handle<'f, kind::MetricRange>>),
}

impl<'f> Wanted<'f> for OnGrid<'f, '_> {
    type Facts = Result<Vec<Point>, String>;

    fn missing(&self, missing: &mut Vec<Request>) {
        self.handles.missing(missing);
    }

    fn facts(self) -> Step<Self::Facts> {
        let Self { reading, grid, since, handles } = self;
        let (metric, per) = handles.facts()?;
        let values = reading.metric.values(metric, &grid, since);
        let Some((per, fact)) = reading.per.zip(per) else { return Ok(values) };
        Ok(values.and_then(|above| {
            let below = per.values(fact, &grid, since)?;
            let quotients = stats::quotient(&above, &below);
            let why = || format!("`{}` is 0, so there is nothing to divide by", per.query);
            if quotients.is_empty() { Err(why()) } else { Ok(quotients) }
        }))
    }
}

impl Metric {
    /// The metric's values on the grid, at least one, as far as they tell only of the time since `since` (Unix milliseconds).
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn values(
        &self,
        fact: Fact<'_, [Series]>,
        grid: &Grid,
        since: Instant,
    ) -> Result<Vec<Point>, String> {
        let series = match fact {
            Ok(series) => series,
            Err(unavailable) if self.is_zero_for(unavailable) => &[],
            Err(unavailable) => return Err(format!("`{}`: {unavailable}", self.query)),
        };
        let from = since.max(grid.end.saturating_sub((grid.length + grid.sampling.lookback).as_millis()));
        self.of_one_process(series, from, grid.end)?;
        let since = if since == Instant::MIN { since } else { since + self.reach() };
        let known = self.read_since(series, grid, since);
        let values = match self.absent {
            Absent::Unknown => known,
            Absent::Zero => {
                let mut known = known.into_iter().peekable();
                let at = |at| known.next_if(|point| point.at == at).unwrap_or(Point { at, value: 0.0 });
                grid.instants().map(at).collect()
            }
        };
        if values.is_empty() { Err(format!("`{}`: no value in the window", self.query)) } else { Ok(values) }
    }
}

/// Since when the values have been on the well side of a limit up to the last of them, without a gap longer than
/// `gap`. None if the last is beyond it, or there is none.
pub fn well_since(
    values: &[Point],
    is_beyond: impl Fn(f64) -> bool,
    gap: crate::Duration,
) -> Option<Instant> {
    let mut since = None;
    let mut later: Option<Instant> = None;
    for point in values.iter().rev() {
        let interrupted = later.is_some_and(|later| later.saturating_sub(point.at) > gap.as_millis());
        if interrupted || is_beyond(point.value) {
            break;
        }
        since = Some(point.at);
        later = since;
    }
    since
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::facts::{Fact as Dated, Unavailable, UnavailableReason, Value};
    use crate::metric::{ReadAs, Sampling};
    use crate::{Stop, minutes};

    const NOW: Instant = 600_000;

    fn metric(query: &str, read_as: ReadAs, absent: Absent) -> Metric {
        Metric { query: query.into(), source: None, read_as, absent, window: None }
    }

    fn grid() -> Grid {
        Grid { end: NOW, length: minutes(2), sampling: Sampling { step: minutes(1), lookback: minutes(2) } }
    }

    /// The reading, with these answers by query.
    fn read(
        reading: Reading<'_>,
        since: Instant,
        answers: &[(&str, Result<&[f64], UnavailableReason>)],
    ) -> Result<Vec<f64>, String> {
        let empty = Facts::new(NOW, Vec::new());
        let Err(Stop::Need(requests)) = empty.all(reading.on(&empty, grid(), since)) else {
            return Err("nothing was asked for".into());
        };
        let known = requests.into_iter().map(|request| {
            let Request::MetricRange(query) = &request else { unreachable!("a range") };
            let answer = answers.iter().find(|(name, _)| *name == query.query).expect("an answer");
            let value = match &answer.1 {
                Ok(values) => {
                    let first = NOW - (values.len() as u64 - 1) * 60_000;
                    let points = (0_u64..)
                        .zip(*values)
                        .map(|(i, value)| Point { at: first + i * 60_000, value: *value });
                    Ok(Value::MetricRange(vec![Series { labels: Vec::new(), points: points.collect() }]))
                }
                Err(reason) => Err(Unavailable { reason: reason.clone(), message: String::new() }),
            };
            Dated { id: query.query.clone(), request, value, source: "test".into(), as_of: NOW }
        });
        let facts = Facts::new(NOW, known.collect());
        let values = facts.all(reading.on(&facts, grid(), since)).expect("every fact is there");
        values.map(|points| points.into_iter().map(|point| point.value).collect())
    }

    #[test]
    fn counters_are_divided_as_rates() {
        let (bad, all) = (
            metric("bad", ReadAs::Counter, Absent::Unknown),
            metric("all", ReadAs::Counter, Absent::Unknown),
        );
        let reading = Reading { metric: &bad, per: Some(&all) };
        let answers: [(&str, Result<&[f64], _>); 2] =
            [("bad", Ok(&[0.0, 1.0, 2.0, 3.0, 4.0])), ("all", Ok(&[0.0, 10.0, 20.0, 30.0, 40.0]))];
        assert_eq!(read(reading, 0, &answers), Ok(vec![0.1, 0.1, 0.1]));
    }

    #[test]
    fn what_was_sampled_before_since_does_not_count() {
        let gauge = metric("q", ReadAs::Gauge, Absent::Unknown);
        let counter = metric("q", ReadAs::Counter, Absent::Unknown);
        let answers: [(&str, Result<&[f64], _>); 1] = [("q", Ok(&[1.0, 60.0, 120.0]))];
        let since = NOW - 60_000;
        assert_eq!(read(Reading { metric: &gauge, per: None }, since, &answers), Ok(vec![60.0, 120.0]));
        assert_eq!(read(Reading { metric: &counter, per: None }, since, &answers), Ok(vec![1.0]));
        let said = read(Reading { metric: &gauge, per: None }, NOW + 1, &answers);
        assert_eq!(said, Err("`q`: no value in the window".into()));
    }

    #[test]
    fn what_a_value_tells_of_the_time_before_since_does_not_count() {
        // One value a minute; the last two tell only of the last minute or two.
        let answers = |query| -> [(&'static str, Result<&'static [f64], UnavailableReason>); 1] {
            [(query, Ok(&[1.0, 60.0, 120.0]))]
        };
        let read_one =
            |metric: &Metric, query| read(Reading { metric, per: None }, NOW - 120_000, &answers(query));
        for (query, window, expected) in [
            ("q", None, Ok(vec![1.0, 60.0, 120.0])),
            ("rate(q[1m])", None, Ok(vec![60.0, 120.0])),
            ("q offset 2m", None, Ok(vec![120.0])),
            ("rate(q[30m])", None, Err("`rate(q[30m])`: no value in the window".to_owned())),
            ("job:q:rate1m", None, Ok(vec![60.0, 120.0])),
            ("job:q:ratio", Some(minutes(2)), Ok(vec![120.0])),
            ("job:q:ratio", None, Err("`job:q:ratio`: no value in the window".to_owned())),
        ] {
            let gauge = Metric { window, ..metric(query, ReadAs::Gauge, Absent::Unknown) };
            assert_eq!(read_one(&gauge, query), expected, "{query}");
        }
    }

    #[test]
    fn a_reading_is_shortened_as_a_whole_or_not_at_all() {
        let gauge = |query| metric(query, ReadAs::Gauge, Absent::Unknown);
        let (bad, all, rule) = (gauge("increase(a[30m])"), gauge("increase(b[30m])"), gauge("job:b:rate30m"));
        let shorter = |per, side| Reading { metric: &bad, per }.shortened(minutes(3), side);
        let queries =
            |per| shorter(per, Side::Over).map(|(metric, per)| (metric.query, per.map(|per| per.query)));
        assert_eq!(queries(Some(&all)), Some(("increase(a[3m])".into(), Some("increase(b[3m])".into()))));
        assert_eq!(queries(Some(&rule)), None);
        assert_eq!(queries(None), Some(("increase(a[3m])".into(), None)));
        assert!(shorter(None, Side::Under).is_none(), "over a shorter time there are fewer");
        assert!(shorter(Some(&all), Side::Under).is_some());
    }

    #[test]
    fn absent_is_zero_only_where_that_is_said_and_nothing_is_selected() {
        let all = metric("all", ReadAs::Gauge, Absent::Unknown);
        let ask = |absent, reason| {
            let bad = metric("bad", ReadAs::Gauge, absent);
            let answers: [(&str, Result<&[f64], _>); 2] =
                [("bad", Err(reason)), ("all", Ok(&[5.0, 5.0, 5.0]))];
            read(Reading { metric: &bad, per: Some(&all) }, 0, &answers)
        };
        assert_eq!(ask(Absent::Zero, UnavailableReason::NoData), Ok(vec![0.0; 3]));
        assert_eq!(ask(Absent::Unknown, UnavailableReason::NoData), Err("`bad`: no data".into()));
        assert_eq!(ask(Absent::Zero, UnavailableReason::TimedOut), Err("`bad`: timed out".into()));
    }

    #[test]
    fn zero_without_something_to_compare_with_is_refused() {
        let (zero, known) =
            (metric("z", ReadAs::Gauge, Absent::Zero), metric("k", ReadAs::Gauge, Absent::Unknown));
        assert!(Reading { metric: &zero, per: None }.check().is_err());
        assert!(Reading { metric: &known, per: Some(&zero) }.check().is_err());
        assert_eq!(Reading { metric: &zero, per: Some(&known) }.check(), Ok(()));
    }

    #[test]
    fn a_well_run_ends_at_a_gap_and_at_a_value_beyond() {
        let points: Vec<Point> = [(0, 9.0), (60, 1.0), (120, 1.0), (400, 1.0), (460, 1.0)]
            .map(|(at, value)| Point { at: at * 1_000, value })
            .to_vec();
        let beyond = |value| value > 5.0;
        assert_eq!(well_since(&points, beyond, minutes(2)), Some(400_000));
        assert_eq!(well_since(&points, beyond, minutes(9)), Some(60_000));
        assert_eq!(well_since(&points[..1], beyond, minutes(9)), None);
        assert_eq!(well_since(&[], beyond, minutes(9)), None);
    }
}

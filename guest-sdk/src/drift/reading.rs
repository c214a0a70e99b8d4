//! Counts by class and by feature, from the metrics source.

use std::collections::BTreeMap;

use super::{Distribution, NotJudged};
use crate::contract::facts::{Request, Sample, Series};
use crate::contract::types::{Instant, Label};
use crate::count::WINDOW;
use crate::facts::{Facts, Handle, Step, Wanted};
use crate::metric::{Metric, ReadAs};
use crate::stats::{self, Bucket};
use crate::{Duration, kind, millis, seconds};

/// The label by which Prometheus' histograms tell their buckets: each counts what is at most so large.
const UPPER: &str = "le";

/// What a single feature is called where no label tells features apart.
pub const WHOLE: &str = "";

/// Which labels tell classes and features apart. Series that differ in other labels, such as replicas, are added.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'s> {
    /// Tells the classes apart; `le` makes them cumulative buckets.
    pub class: &'s str,
    /// Tells the features apart; none if there is only one.
    pub feature: Option<&'s str>,
}

/// The counts of each feature, or why it has none that can be compared.
pub type ByFeature = BTreeMap<String, Result<Distribution, NotJudged>>;

impl Metric {
    /// Asks for the counts by class in the window that ends at `end` (Unix milliseconds), as [`Metric::count`] does for their sum.
    pub fn by_class<'f, 's>(
        &'s self,
        facts: &'f Facts,
        labels: Labels<'s>,
        window: Duration,
        end: Instant,
    ) -> CountingByClass<'f, 's> {
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
        CountingByClass { metric: self, labels, window, end, asked }
    }
}

/// Counts by class that were named but not yet resolved: [`ByFeature`], or a sentence that says what is missing.
#[derive(Clone, Debug)]
#[must_use = "it asks for nothing until `Facts::all`"]
pub struct CountingByClass<'f, 's> {
    metric: &'s Metric,
    labels: Labels<'s>,
    window: Duration,
    end: Instant,
    asked: Asked<'f>,
}

#[derive(Clone, Debug)]
enum Asked<'f> {
    Series(Handle<'f, kind::MetricRange>),
    Samples(Handle<'f, kind::Metric>),
}

impl<'f> Wanted<'f> for CountingByClass<'f, '_> {
    type Facts = Result<ByFeature, String>;

    fn missing(&self, missing: &mut Vec<Request>) {
        match &self.asked {
            Asked::Series(handle) => handle.missing(missing),
            Asked::Samples(handle) => handle.missing(missing),
        }
    }

    fn facts(self) -> Step<Self::Facts> {
        let Self { metric, labels, window, end, asked } = self;
        let counted = match asked {
            Asked::Series(handle) => {
                let series = handle.get()?;
                if let Ok(series) = series
                    && let Err(why) = metric.of_one_process(series, end - window, end)
                {
                    return Ok(Err(why));
                }
                series.map(|series| of_series(series, labels, end - window, end))
            }
            Asked::Samples(handle) => handle.get()?.map(|samples| of_samples(samples, labels)),
        };
        let by_feature = match counted {
            Ok(counted) => counted,
            Err(unavailable) => {
                return Ok(Err(format!("`{}` over {window}: {unavailable}", metric.query)));
            }
        };
        if by_feature.is_empty() {
            let class = labels.class;
            let why =
                format!("`{}` over {window} has no label `{class}` to tell its classes by", metric.query);
            return Ok(Err(why));
        }
        Ok(Ok(by_feature))
    }
}

/// One class of a feature.
struct Class<'a> {
    name: &'a str,
    count: f64,
}

fn value_of<'a>(labels: &'a [Label], name: &str) -> Option<&'a str> {
    labels.iter().find(|label| label.name == name).map(|label| label.value.as_str())
}

fn feature_of<'a>(labels: &'a [Label], by: Labels<'_>) -> &'a str {
    by.feature.and_then(|name| value_of(labels, name)).unwrap_or(WHOLE)
}

fn of_samples(samples: &[Sample], by: Labels<'_>) -> ByFeature {
    let mut found: BTreeMap<&str, Vec<Class<'_>>> = BTreeMap::new();
    for sample in samples {
        if let Some(name) = value_of(&sample.labels, by.class) {
            let class = Class { name, count: sample.value };
            found.entry(feature_of(&sample.labels, by)).or_default().push(class);
        }
    }
    found.into_iter().map(|(feature, classes)| (feature.to_owned(), distribution(&classes, by))).collect()
}

/// The growth of counters. What was read once only has none: a process that is new in all of its classes is left out, one that is new in some is not judged.
fn of_series(series: &[Series], by: Labels<'_>, from: Instant, to: Instant) -> ByFeature {
    type Grown<'a> = Vec<(&'a str, Option<f64>)>;
    let mut processes: BTreeMap<(&str, String), Grown<'_>> = BTreeMap::new();
    for one in series {
        let Some(name) = value_of(&one.labels, by.class) else { continue };
        let growth = stats::increase(&one.points, from, to);
        processes
            .entry((feature_of(&one.labels, by), process_of(&one.labels, by)))
            .or_default()
            .push((name, growth));
    }
    let mut found: BTreeMap<&str, Result<Vec<Class<'_>>, NotJudged>> = BTreeMap::new();
    for ((feature, _), grown) in &processes {
        let all = found.entry(feature).or_insert_with(|| Ok(Vec::new()));
        let is_new = grown.iter().all(|(_, growth)| growth.is_none());
        let Ok(classes) = all else { continue };
        if is_new {
            continue;
        }
        for (name, growth) in grown {
            match growth {
                Some(count) => classes.push(Class { name, count: *count }),
                // A class without an order that is new has just begun to happen: its first count is not known, and less than the whole.
                None if by.class != UPPER => {}
                None => {
                    *all = Err(NotJudged::OneReading((*name).to_owned()));
                    break;
                }
            }
        }
    }
    found
        .into_iter()
        .map(|(feature, classes)| {
            (feature.to_owned(), classes.and_then(|classes| distribution(&classes, by)))
        })
        .collect()
}

/// What tells one process' counters from another's: all labels but those of class and feature.
fn process_of(labels: &[Label], by: Labels<'_>) -> String {
    let others =
        labels.iter().filter(|label| label.name != by.class && Some(label.name.as_str()) != by.feature);
    let mut texts: Vec<String> = others.map(|label| format!("{}={:?}", label.name, label.value)).collect();
    texts.sort_unstable();
    texts.join(",")
}

fn distribution(classes: &[Class<'_>], by: Labels<'_>) -> Result<Distribution, NotJudged> {
    if by.class != UPPER {
        return Distribution::of_counts(classes.iter().map(|class| (class.name, class.count)));
    }
    let buckets: Result<Vec<Bucket>, NotJudged> = classes
        .iter()
        .map(|class| match class.name.parse::<f64>() {
            Ok(upper) => Ok(Bucket { upper, count: class.count }),
            Err(_) => Err(NotJudged::NotABound(class.name.to_owned())),
        })
        .collect();
    Distribution::of_buckets(&buckets?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stop;
    use crate::contract::facts::{Fact as Dated, Point, Unavailable, UnavailableReason, Value};
    use crate::metric::Absent;
    use crate::minutes;

    const NOW: Instant = 3_600_000;

    fn labels(of: &[(&str, &str)]) -> Vec<Label> {
        of.iter().map(|(name, value)| Label { name: (*name).into(), value: (*value).into() }).collect()
    }

    fn sample(of: &[(&str, &str)], value: f64) -> Sample {
        Sample { labels: labels(of), value, at: NOW }
    }

    fn series(of: &[(&str, &str)], values: &[f64]) -> Series {
        let points = values
            .iter()
            .enumerate()
            .map(|(i, value)| Point { at: NOW - 300_000 + i as u64 * 60_000, value: *value });
        Series { labels: labels(of), points: points.collect() }
    }

    fn read(read_as: ReadAs, by: Labels<'_>, value: Result<Value, Unavailable>) -> Result<ByFeature, String> {
        let query = "rows[$window]".to_owned();
        let metric = Metric { query, source: None, read_as, absent: Absent::Unknown, window: None };
        let empty = Facts::new(NOW, Vec::new());
        let Err(Stop::Need(requests)) = empty.all(metric.by_class(&empty, by, minutes(5), NOW)) else {
            unreachable!("nothing is known yet")
        };
        let fact =
            Dated { id: "1".into(), request: requests[0].clone(), value, source: "t".into(), as_of: NOW };
        let facts = Facts::new(NOW, vec![fact]);
        facts.all(metric.by_class(&facts, by, minutes(5), NOW)).expect("the fact is there")
    }

    const BUCKETS: Labels<'_> = Labels { class: "le", feature: Some("column") };

    #[test]
    fn buckets_are_told_apart_by_feature_and_added_over_everything_else() {
        let samples = vec![
            sample(&[("column", "age"), ("le", "50"), ("pod", "a")], 3.0),
            sample(&[("column", "age"), ("le", "50"), ("pod", "b")], 4.0),
            sample(&[("column", "age"), ("le", "+Inf"), ("pod", "a")], 10.0),
            sample(&[("column", "sum"), ("le", "+Inf")], 5.0),
            sample(&[("column", "odd"), ("le", "many")], 5.0),
            sample(&[("column", "open"), ("le", "5")], 5.0),
        ];
        let found = read(ReadAs::Gauge, BUCKETS, Ok(Value::Metric(samples))).expect("counts");
        assert_eq!(found["age"].as_ref().expect("a histogram").counts(), [7.0, 3.0]);
        assert_eq!(found["sum"].as_ref().expect("a histogram").total(), 5.0);
        assert_eq!(found["odd"], Err(NotJudged::NotABound("many".into())));
        assert_eq!(found["open"], Err(NotJudged::NotOpenAbove));
    }

    #[test]
    fn what_is_no_number_is_told_and_not_left_out() {
        let by = Labels { class: "decision", feature: None };
        let samples = vec![sample(&[("decision", "a")], 3.0), sample(&[("decision", "b")], f64::NAN)];
        let found = read(ReadAs::Gauge, by, Ok(Value::Metric(samples))).expect("counts");
        assert!(matches!(&found[WHOLE], Err(NotJudged::NotACount { class, .. }) if class == "b"));
        let why = read(ReadAs::Gauge, by, Ok(Value::Metric(vec![sample(&[], 3.0)]))).expect_err("no label");
        assert_eq!(why, "`rows[$window]` over 5m has no label `decision` to tell its classes by");
        let no_data = Err(Unavailable { reason: UnavailableReason::NoData, message: String::new() });
        assert_eq!(read(ReadAs::Gauge, by, no_data), Err("`rows[$window]` over 5m: no data".into()));
    }

    #[test]
    fn a_counter_that_began_anew_counts_from_there_and_a_process_that_is_new_not_yet() {
        let grown = vec![
            series(&[("column", "age"), ("le", "50"), ("pod", "a")], &[100.0, 110.0, 2.0, 6.0]),
            series(&[("column", "age"), ("le", "+Inf"), ("pod", "a")], &[200.0, 230.0, 5.0, 20.0]),
            series(&[("column", "age"), ("le", "50"), ("pod", "b")], &[9.0]),
            series(&[("column", "age"), ("le", "+Inf"), ("pod", "b")], &[90.0]),
            series(&[("column", "half"), ("le", "50"), ("pod", "b")], &[9.0]),
            series(&[("column", "half"), ("le", "+Inf"), ("pod", "b")], &[90.0, 95.0]),
        ];
        let found = read(ReadAs::Counter, BUCKETS, Ok(Value::MetricRange(grown))).expect("counts");
        // 10 before and 6 after the restart, of 30 and 20.
        assert_eq!(found["age"].as_ref().expect("a histogram").counts(), [16.0, 34.0]);
        assert_eq!(found["half"], Err(NotJudged::OneReading("50".into())));
        let turns =
            vec![series(&[("column", "age"), ("le", "+Inf")], &[100.0, 40.0, 101.0, 41.0, 102.0, 42.0])];
        let why = read(ReadAs::Counter, BUCKETS, Ok(Value::MetricRange(turns))).expect_err("several");
        assert!(why.contains("several processes"), "{why}");
    }
}

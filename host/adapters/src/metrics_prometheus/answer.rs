//! What a server with the Prometheus API answers. A part that is missing or cannot be read makes the answer a failure: a shorter answer would be
//! taken for the whole, and fewer errors for fewer errors.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::fact::{Point, Sample, Series, Unavailable, UnavailableReason};
use ripcord_core::signal::Label;
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Of each kind of remark in one answer, so many are written into the log.
const SAID_MAX: usize = 10;
/// So much of another's text is in a message.
const SHOWN_CHARS_MAX: usize = 500;
/// How servers mark what is only about the query, also among the warnings.
const INFO: &str = "PromQL info:";
/// Remarks on the query that say that a part of the data was left out.
const LEFT_OUT: [&str; 2] = ["ignored histogram", "incompatible sample types"];
/// A value may be so much older than what was asked for: servers look back for the last one.
const OLDER_MAX: Millis = Millis::hours(24);
/// Clocks differ, and some servers move the ends of a window to whole steps.
const BESIDE_MAX: Millis = Millis::minutes(5);

/// How the server says that a query's operators find no, or no single, partner for a series.
const NO_MATCH: [&str; 4] = [
    "for the match group",
    "multiple matches for labels",
    "many-to-many matching not allowed",
    "metrics with the same labelset",
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope {
    #[serde(default, deserialize_with = "left_out")]
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default, deserialize_with = "left_out")]
    error_type: String,
    #[serde(default, deserialize_with = "left_out")]
    error: String,
    #[serde(default, deserialize_with = "left_out")]
    warnings: Vec<String>,
    #[serde(default, deserialize_with = "left_out")]
    infos: Vec<String>,
    /// Of VictoriaMetrics: some of its nodes did not answer.
    #[serde(default, deserialize_with = "left_out")]
    is_partial: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    #[serde(default, deserialize_with = "left_out")]
    result_type: String,
    #[serde(default)]
    result: Value,
}

/// What a query gave, and of whom it was asked.
#[derive(Debug)]
pub(super) struct Given<'a> {
    url: &'a str,
    kind: String,
    result: Value,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    /// As the API writes it.
    Text(String),
    /// As some servers write it.
    Bare(f64),
}

type Timed = (f64, Number);

#[derive(Debug, Deserialize)]
struct Vector {
    #[serde(default, deserialize_with = "left_out")]
    metric: BTreeMap<String, String>,
    value: Option<Timed>,
    histogram: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Matrix {
    #[serde(default, deserialize_with = "left_out")]
    metric: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "left_out")]
    values: Vec<Timed>,
    #[serde(default, deserialize_with = "left_out")]
    histograms: Vec<IgnoredAny>,
}

/// `null` is what some servers write for a list that was never filled.
fn left_out<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Envelope {
    /// Whether it is the API that speaks, and not something in front of it.
    pub(super) fn is_of_the_api(&self) -> bool {
        matches!(self.status.as_str(), "success" | "error")
    }

    /// What the query gave, if it gave all of it. Remarks go into the log.
    pub(super) fn given(self, url: &str, http_status: u16) -> Result<Given<'_>, Unavailable> {
        if self.status != "success" || !self.error.is_empty() {
            return Err(self.refused(url, http_status));
        }
        for warning in self.warnings.iter().take(SAID_MAX) {
            tracing::warn!(%url, "the metrics server warns: {warning}");
        }
        for info in self.infos.iter().take(SAID_MAX) {
            tracing::info!(%url, "the metrics server remarks: {info}");
        }
        let leaves_out = |remark: &str| LEFT_OUT.iter().any(|said| remark.contains(said));
        let warning = self.warnings.iter().find(|said| !said.starts_with(INFO) || leaves_out(said));
        if let Some(said) = warning.or_else(|| self.infos.iter().find(|said| leaves_out(said))) {
            let what = format!("an answer that is not known to be whole, since it warns: `{}`", shown(said));
            return Err(nonsense(url, &what));
        }
        if self.is_partial {
            return Err(nonsense(
                url,
                "a part of the answer (`isPartial`): some of its nodes did not answer",
            ));
        }
        let data = self.data.ok_or_else(|| nonsense(url, "an answer without data"))?;
        Ok(Given { url, kind: data.result_type, result: data.result })
    }

    fn refused(&self, url: &str, http_status: u16) -> Unavailable {
        let error = shown(&self.error);
        let reason = match self.error_type.as_str() {
            "bad_data" => UnavailableReason::BadQuery,
            "timeout" | "canceled" => UnavailableReason::TimedOut,
            // Neither the server's limit on samples nor series that do not match have a type of their own.
            "execution" if error.contains("too many samples") => UnavailableReason::TooLarge,
            "execution" if NO_MATCH.iter().any(|said| error.contains(said)) => UnavailableReason::BadQuery,
            _ => UnavailableReason::Failed,
        };
        Unavailable::new(reason, format!("{url} answered {http_status}: `{error}`"))
    }
}

impl Given<'_> {
    /// Samples of the instant `at`; there may be none.
    pub(super) fn samples(self, at: UnixMillis) -> Result<Vec<Sample>, Unavailable> {
        let near = Near { url: self.url, from: at - OLDER_MAX, to: at + BESIDE_MAX };
        match self.kind.as_str() {
            "" if self.result.is_null() => Ok(Vec::new()),
            "vector" => {
                let read: Vec<Vector> = self.list("a vector")?;
                let sample = |vector: Vector| {
                    if vector.histogram.is_some() {
                        return Err(histogram(&vector.metric));
                    }
                    let timed = vector.value.ok_or_else(|| near.nonsense("a series without a value"))?;
                    let (at, value) = near.read(timed)?;
                    Ok(Sample { labels: labels(vector.metric), value, at })
                };
                let samples = read.into_iter().map(sample).collect::<Result<Vec<_>, _>>()?;
                once_each(
                    self.url,
                    samples,
                    |sample| &sample.labels,
                    |a, b| a.at == b.at && is_same(a.value, b.value),
                )
            }
            "scalar" => {
                let timed = Timed::deserialize(&self.result)
                    .map_err(|_| nonsense(self.url, "a scalar that does not read"))?;
                let (at, value) = near.read(timed)?;
                Ok(vec![Sample { labels: Vec::new(), value, at }])
            }
            kind => Err(self.of_another_kind(kind, "a value at an instant")),
        }
    }

    /// Series within `window`; there may be none.
    pub(super) fn series(self, window: Window, step: Millis) -> Result<Vec<Series>, Unavailable> {
        let beside = Millis(BESIDE_MAX.0.saturating_add(step.0));
        let near = Near { url: self.url, from: window.start - beside, to: window.end + beside };
        match self.kind.as_str() {
            "" if self.result.is_null() => Ok(Vec::new()),
            "matrix" => {
                let read: Vec<Matrix> = self.list("a matrix")?;
                let one = |matrix: Matrix| {
                    if !matrix.histograms.is_empty() {
                        return Err(histogram(&matrix.metric));
                    }
                    let point = |timed| near.read(timed).map(|(at, value)| Point { at, value });
                    let points = matrix.values.into_iter().map(point).collect::<Result<Vec<_>, _>>()?;
                    if points.windows(2).any(|pair| pair[0].at >= pair[1].at) {
                        let what =
                            format!("points of {} that are not in order of time", named(&matrix.metric));
                        return Err(near.nonsense(&what));
                    }
                    Ok(Series { labels: labels(matrix.metric), points })
                };
                let series = read.into_iter().map(one).collect::<Result<Vec<_>, _>>()?;
                once_each(
                    self.url,
                    series,
                    |series| &series.labels,
                    |a, b| {
                        a.points.len() == b.points.len()
                            && a.points
                                .iter()
                                .zip(&b.points)
                                .all(|(a, b)| a.at == b.at && is_same(a.value, b.value))
                    },
                )
            }
            kind => Err(self.of_another_kind(kind, "a value over a window")),
        }
    }

    fn list<T: DeserializeOwned>(&self, what: &str) -> Result<Vec<T>, Unavailable> {
        Option::<Vec<T>>::deserialize(&self.result)
            .map(Option::unwrap_or_default)
            .map_err(|error| nonsense(self.url, &format!("{what} that does not read ({error})")))
    }

    fn of_another_kind(&self, kind: &str, wanted: &str) -> Unavailable {
        if kind.is_empty() {
            return nonsense(self.url, "a result without saying of what type (`resultType`)");
        }
        let message = format!("the query gives a {kind} where {wanted} is asked for");
        Unavailable::new(UnavailableReason::BadQuery, message)
    }
}

/// Where the instants of an answer must lie.
struct Near<'a> {
    url: &'a str,
    from: UnixMillis,
    to: UnixMillis,
}

impl Near<'_> {
    fn read(&self, (seconds, number): Timed) -> Result<(UnixMillis, f64), Unavailable> {
        let value = match number {
            // `NaN`, `+Inf` and `-Inf` are numbers here.
            Number::Text(text) => text
                .parse()
                .map_err(|_| self.nonsense(&format!("the value `{}`, which is no number", shown(&text))))?,
            Number::Bare(value) => value,
        };
        match instant(seconds) {
            Some(at) if (self.from..=self.to).contains(&at) => Ok((at, value)),
            _ => Err(self.nonsense(&format!("the time `{seconds}`, {}", self.why_not(seconds)))),
        }
    }

    /// What a time that cannot be meant most likely is.
    fn why_not(&self, seconds: f64) -> String {
        let fits =
            |scale: f64| instant(seconds / scale).is_some_and(|at| (self.from..=self.to).contains(&at));
        let unit = [(1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")];
        unit.into_iter().find(|(scale, _)| fits(*scale)).map_or_else(
            || "which is far from what was asked for".to_owned(),
            |(_, unit)| format!("which seems to be in {unit} where the API has seconds"),
        )
    }

    fn nonsense(&self, what: &str) -> Unavailable {
        nonsense(self.url, what)
    }
}

fn nonsense(url: &str, what: &str) -> Unavailable {
    Unavailable::new(UnavailableReason::Failed, format!("{url} gave {what}"))
}

/// A series that is there twice counts once; one with two values is not known.
fn once_each<T>(
    url: &str,
    mut all: Vec<T>,
    labels: impl Fn(&T) -> &Vec<Label>,
    is_same: impl Fn(&T, &T) -> bool,
) -> Result<Vec<T>, Unavailable> {
    let mut seen: BTreeMap<Vec<Label>, usize> = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for (at, one) in all.iter().enumerate() {
        let Some(first) = seen.get(labels(one)) else {
            seen.insert(labels(one).clone(), at);
            continue;
        };
        if !is_same(&all[*first], one) {
            let metric = labels(one).iter().map(|label| (label.name.clone(), label.value.clone())).collect();
            return Err(nonsense(
                url,
                &format!("the series {} twice, with different values", named(&metric)),
            ));
        }
        twice.insert(at);
    }
    let mut at = 0;
    all.retain(|_| {
        at += 1;
        !twice.contains(&(at - 1))
    });
    Ok(all)
}

fn is_same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

fn histogram(metric: &BTreeMap<String, String>) -> Unavailable {
    let message = format!(
        "the query gives native histograms ({}): apply `histogram_quantile` or `histogram_count`",
        named(metric)
    );
    Unavailable::new(UnavailableReason::BadQuery, message)
}

/// A series for people.
fn named(metric: &BTreeMap<String, String>) -> String {
    let name = metric.get("__name__").map(String::as_str).unwrap_or_default();
    let labels = metric.iter().filter(|(label, _)| *label != "__name__");
    let labels: Vec<String> = labels.map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    format!("`{}`", shown(&format!("{name}{{{}}}", labels.join(","))))
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

fn labels(metric: BTreeMap<String, String>) -> Vec<Label> {
    metric.into_iter().map(|(name, value)| Label { name, value }).collect()
}

/// None for what is no instant.
fn instant(seconds: f64) -> Option<UnixMillis> {
    // Instants are far below 2^53 milliseconds; larger ones saturate.
    (seconds.is_finite() && seconds >= 0.0).then(|| UnixMillis((seconds * 1_000.0).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_keep_their_milliseconds() {
        assert_eq!(instant(1_795_373_711.364), Some(UnixMillis(1_795_373_711_364)));
        assert_eq!(instant(f64::NAN), None);
        assert_eq!(instant(-1.0), None);
    }
}

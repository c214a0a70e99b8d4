//! What every metrics source must do: tell what its system has, and tell *nothing there*, *not known* and *a wrong query* apart.

use std::collections::BTreeMap;

use async_trait::async_trait;
use ripcord_core::fact::{Sample, Series, Unavailable, UnavailableReason};
use ripcord_core::signal::Label;
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Metrics;

use super::restorer::one_line;
use super::rule::holds;
use crate::fault_proxy::Canned;

/// What the source is asked, and what its system has.
#[derive(Debug, Clone)]
pub struct Expected {
    /// A query for three series at least, whose values stay.
    pub known: String,
    /// What it gives, now and throughout [`Self::back`]: the labels of each series, sorted by name, and its value.
    pub values: Vec<(Vec<Label>, f64)>,
    /// A query that is right, and for which the system has nothing.
    pub absent: String,
    /// Queries that the source or its system cannot understand.
    pub wrong: Vec<String>,
    /// How far back a window reaches.
    pub back: Millis,
    /// Between two points of a window.
    pub step: Millis,
    /// Of one call, as the source is configured. A second or less keeps the suite short.
    pub deadline: Millis,
}

/// The system behind the source, as the test has it.
#[async_trait]
pub trait System: Send + Sync {
    /// The instant of the next question: now, by the clock of the source. A source that keeps what it has read moves on by more than [`Expected::back`]
    /// with each call of this, so that it has to ask anew.
    async fn now(&self) -> UnixMillis;

    /// An answer of success to [`Expected::known`] at `at`, in the system's own form, that says this; none where it has no way to say it.
    async fn forged(&self, lie: Lie, asked: Asked, at: UnixMillis) -> Option<Canned>;
}

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// An instant.
    Instant,
    /// A window that ends there.
    Range,
}

/// What an answer may say that is odd, wrong, or not all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// One of the series twice, the second time with another value: *not known*.
    TwoValues,
    /// Points of one series that are not in order of time: *not known*.
    OutOfOrder,
    /// A value that is no number, such as `many`: *not known*.
    NoNumber,
    /// No value where one must be, such as `null`: *not known*.
    NoValue,
    /// A time that nobody asked for, as in another unit: *not known*.
    OtherTime,
    /// A part, and that the rest is missing: *not known*.
    Part,
    /// The beginning of the true answer, with a length that fits: *not known*.
    CutShort,
    /// More than the source takes: *too large*.
    TooMuch,
    /// The true answer with one of its series twice: the true values.
    Doubled,
    /// The series with the values NaN, plus and minus infinity, in place of their own: these values.
    NotFinite,
    /// No series, such as `null` or an empty list: *no data*.
    Nothing,
}

/// All of them.
pub(super) const LIES: [Lie; 11] = [
    Lie::TwoValues,
    Lie::OutOfOrder,
    Lie::NoNumber,
    Lie::NoValue,
    Lie::OtherTime,
    Lie::Part,
    Lie::CutShort,
    Lie::TooMuch,
    Lie::Doubled,
    Lie::NotFinite,
    Lie::Nothing,
];

/// Each series with its newest value, sorted by labels.
pub(super) type Told = Vec<(Vec<Label>, f64)>;

/// Checks the source.
pub async fn conforms(source: &dyn Metrics, system: &dyn System, expected: &Expected) {
    assert!(!source.name().is_empty(), "it has a name");
    assert!(expected.values.len() >= 3, "the suite needs three series");
    assert!(!expected.wrong.is_empty(), "the suite needs a wrong query");
    holds("tells-what-the-system-has", has(source, system, expected)).await;
    holds("a-window-is-in-order-of-time", window(source, system, expected)).await;
    holds("nothing-there-is-no-data", nothing(source, system, expected)).await;
    holds("a-wrong-query-is-told-as-one", wrong(source, system, expected)).await;
}

async fn has(source: &dyn Metrics, system: &dyn System, expected: &Expected) {
    let at = system.now().await;
    let first = told(source, &expected.known, Asked::Instant, at, expected).await;
    let first = first.unwrap_or_else(|why| panic!("`{}` is not known: {why}", expected.known));
    is_true(&first, &expected.values);
    let again = told(source, &expected.known, Asked::Instant, at, expected).await;
    let again = again.unwrap_or_else(|why| panic!("`{}` is known once: {why}", expected.known));
    is_true(&again, &first);
}

async fn window(source: &dyn Metrics, system: &dyn System, expected: &Expected) {
    let at = system.now().await;
    let series = told(source, &expected.known, Asked::Range, at, expected).await;
    is_true(&series.unwrap_or_else(|why| panic!("a window is not known: {why}")), &expected.values);
}

async fn nothing(source: &dyn Metrics, system: &dyn System, expected: &Expected) {
    for asked in [Asked::Instant, Asked::Range] {
        let at = system.now().await;
        refused(
            told(source, &expected.absent, asked, at, expected).await,
            &[UnavailableReason::NoData],
            &format!("`{}` ({asked:?}), for which there is nothing", expected.absent),
        );
    }
}

async fn wrong(source: &dyn Metrics, system: &dyn System, expected: &Expected) {
    for query in &expected.wrong {
        for asked in [Asked::Instant, Asked::Range] {
            let at = system.now().await;
            let told = told(source, query, asked, at, expected).await;
            refused(told, &[UnavailableReason::BadQuery], &format!("`{query}` ({asked:?})"));
        }
    }
    let at = system.now().await;
    let backwards = Window { start: at, end: at - Millis(1) };
    let told = source.range(&expected.known, backwards, expected.step).await;
    refused(told.map(|_| Vec::new()), &[UnavailableReason::BadQuery], "a window that ends before it begins");
}

/// Asks, and holds what comes to what is so of every answer.
pub(super) async fn told(
    source: &dyn Metrics,
    query: &str,
    asked: Asked,
    at: UnixMillis,
    expected: &Expected,
) -> Result<Told, Unavailable> {
    let told = match asked {
        Asked::Instant => source.instant(query, at).await.map(of_samples),
        Asked::Range => {
            let window = Window { start: at - expected.back, end: at };
            let series = source.range(query, window, expected.step).await;
            series.map(|series| of_series(series, window, expected.step))
        }
    };
    match &told {
        Ok(told) => assert!(!told.is_empty(), "an answer without a value is *no data* and no empty list"),
        Err(why) => {
            assert!(!why.message.is_empty(), "it is said why there is no value");
            one_line(&why.message, "why there is no value");
        }
    }
    told
}

fn of_samples(samples: Vec<Sample>) -> Told {
    once_each(samples.into_iter().map(|sample| (sample.labels, sample.value)))
}

fn of_series(series: Vec<Series>, window: Window, step: Millis) -> Told {
    let beside = Millis(step.0.saturating_add(Millis::minutes(5).0));
    once_each(series.into_iter().filter_map(|one| {
        assert!(
            one.points.windows(2).all(|pair| pair[0].at < pair[1].at),
            "points are in order of time, and one at an instant: {one:?}"
        );
        // Some systems move the ends of a window to whole steps.
        let within = window.start - beside..=window.end + beside;
        assert!(
            one.points.iter().all(|point| within.contains(&point.at)),
            "points are of the window: {one:?}"
        );
        one.points.last().map(|last| (one.labels.clone(), last.value))
    }))
}

fn once_each(series: impl Iterator<Item = (Vec<Label>, f64)>) -> Told {
    let mut seen = BTreeMap::new();
    for (labels, value) in series {
        assert!(labels.is_sorted_by_key(|label| &label.name), "labels are sorted by name: {labels:?}");
        let twice = seen.insert(labels.clone(), value);
        assert!(twice.is_none(), "a series is told once: {labels:?}");
    }
    seen.into_iter().collect()
}

/// Whether these are the series and values that are meant, in whatever order.
pub(super) fn is_true(told: &Told, meant: &[(Vec<Label>, f64)]) {
    let mut meant = meant.to_vec();
    meant.sort_by(|a, b| a.0.cmp(&b.0));
    let is_same = told.len() == meant.len()
        && told.iter().zip(&meant).all(|(a, b)| a.0 == b.0 && (a.1 == b.1 || (a.1.is_nan() && b.1.is_nan())));
    assert!(is_same, "the system has {meant:?}, and {told:?} is told");
}

/// Whether there is no value, for one of these reasons.
pub(super) fn refused(told: Result<Told, Unavailable>, reasons: &[UnavailableReason], what: &str) {
    match told {
        Ok(told) => panic!("{what} is told as {told:?}"),
        Err(why) => {
            assert!(reasons.contains(&why.reason), "{what} is {reasons:?} and not {:?}: {why}", why.reason);
        }
    }
}

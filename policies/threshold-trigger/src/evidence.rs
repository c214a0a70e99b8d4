//! From the settings and the facts to what state the metric is in.

use ripcord_sdk::calendar;
use ripcord_sdk::contract::facts::{Point, Series};
use ripcord_sdk::contract::types::Instant;
use ripcord_sdk::limit::Volume;
use ripcord_sdk::metric::{Grid, ReadAs};
use ripcord_sdk::millis;
use ripcord_sdk::prelude::*;
use ripcord_sdk::stats::{self, Hysteresis, readable};

use crate::settings::Settings;

/// What state the metric is in.
pub(crate) enum State {
    /// It cannot be judged, for this reason.
    Missing(String),
    /// Too few events to judge.
    TooFew(String),
    /// Beyond the limit without interruption, as far as there are values: since when, and for how long.
    Beyond { since: Instant, held: Duration, text: String },
    /// On the well side of the limit.
    Well(String),
}

/// The values that the verdict rests on. Each is missing with a reason, or there.
pub(crate) struct Evidence<'s> {
    settings: &'s Settings,
    now: Instant,
    values: Result<Vec<Point>, String>,
    volume: Option<Result<f64, String>>,
    baseline: Option<Result<Vec<Point>, String>>,
}

impl<'s> Evidence<'s> {
    /// At `now`, the instant that is judged, by what tells only of the time since `since`.
    pub(crate) fn gather(now: Instant, since: Instant, facts: &Facts, settings: &'s Settings) -> Step<Self> {
        let grid = Grid { end: now, length: settings.history(), sampling: settings.sampling };
        let earlier = settings.limit.baseline(now, settings.sampling);
        let (values, volume, baseline) = facts.all((
            settings.reading().on(facts, grid, since),
            settings.volume.as_ref().map(|volume| volume.metric.request(facts, &grid)),
            earlier.map(|grid| settings.reading().on(facts, grid, Instant::MIN)),
        ))?;
        let volume =
            settings.volume.as_ref().zip(volume).map(|(volume, fact)| settings.count(volume, fact, &grid));
        Ok(Self { settings, now, values, volume, baseline })
    }

    pub(crate) fn judge(self) -> State {
        let Self { settings, now, values, volume, baseline } = self;
        let limit =
            baseline.transpose().and_then(|baseline| settings.limit.value(settings.title(), baseline));
        let (values, volume, (limit, origin)) = match (values, volume.transpose(), limit) {
            (Ok(values), Ok(volume), Ok(limit)) => (values, volume, limit),
            (Err(why), _, _) | (_, Err(why), _) | (_, _, Err(why)) => return State::Missing(why),
        };
        let lookback = settings.sampling.lookback;
        let Some(last) = values.last().filter(|last| last.at + lookback >= now) else {
            let before = if settings.as_of.is_some() { " before then" } else { "" };
            let title = settings.title();
            return State::Missing(format!(
                "{title} has no value in the last {lookback}{before}{}",
                settings.then(now)
            ));
        };
        if let Some((required, counted)) = settings.volume.as_ref().map(|volume| volume.at_least).zip(volume)
            && counted < required
        {
            return State::TooFew(format!(
                "{} events are too few to judge {}: at least {} are wanted",
                readable(counted),
                settings.title(),
                readable(required)
            ));
        }
        let condition = Hysteresis::new(settings.when, limit, settings.hysteresis);
        let since = stats::sustained_since(&values, &condition, lookback);
        let held = since.map(|since| millis(last.at.saturating_sub(since)));
        let text =
            settings.sentence(last.value, &condition, held, &origin) + &settings.period(since, last.at);
        match since.zip(held) {
            None => State::Well(text),
            Some((since, held)) => State::Beyond { since, held, text },
        }
    }
}

impl Settings {
    /// The instant that is judged, where it is not now.
    fn then(&self, judged: Instant) -> String {
        self.as_of.map_or_else(String::new, |ago| format!(", as of {}, {ago} ago", calendar::minute(judged)))
    }

    /// Which days the values are of, where they are not those of now.
    fn period(&self, since: Option<Instant>, last: Instant) -> String {
        let Some(ago) = self.as_of else { return String::new() };
        let (first, last) = (calendar::day(since.unwrap_or(last)), calendar::day(last));
        let days = if first == last { format!("on {last}") } else { format!("from {first} to {last}") };
        format!(", {days} (as of {ago} ago)")
    }

    /// How many events there were.
    fn count(&self, volume: &Volume, fact: Fact<'_, [Series]>, grid: &Grid) -> Result<f64, String> {
        let values = volume.metric.values(fact, grid, Instant::MIN)?;
        let span = self.for_at_least.max(self.sampling.lookback);
        let recent: Vec<Point> =
            stats::within(&values, grid.end - self.for_at_least, grid.end).cloned().collect();
        let count = match volume.metric.read_as {
            ReadAs::Gauge => recent.last().map(|last| last.value),
            ReadAs::Counter => stats::mean(&recent).map(|per_second| per_second * span.as_secs_f64()),
        };
        count.ok_or_else(|| {
            format!("`{}` has no value in the last {}", volume.metric.query, self.for_at_least)
        })
    }
}

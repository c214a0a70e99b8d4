//! From the settings and the facts to what state the metric is in.

use ripcord_sdk::contract::facts::{Point, Series};
use ripcord_sdk::contract::types::Instant;
use ripcord_sdk::metric::{Grid, Metric, ReadAs};
use ripcord_sdk::millis;
use ripcord_sdk::prelude::*;
use ripcord_sdk::stats::{self, Hysteresis, readable};

use crate::settings::{Limit, Settings, Volume};

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
    baseline: Option<Result<f64, String>>,
}

impl<'s> Evidence<'s> {
    pub(crate) fn gather(now: Instant, facts: &Facts, settings: &'s Settings) -> Step<Self> {
        let current = Grid { end: now, length: settings.history(), sampling: settings.sampling };
        let earlier = match &settings.limit {
            Limit::Absolute(_) => None,
            Limit::Relative(relative) => Some(Grid {
                end: now - relative.earlier,
                length: relative.window,
                sampling: settings.sampling,
            }),
        };
        let on = |metric: &Metric, grid: &Grid| metric.request(facts, grid);
        let (metric, per, volume, metric_before, per_before) = facts.all((
            on(&settings.metric, &current),
            settings.per.as_ref().map(|per| on(per, &current)),
            settings.volume.as_ref().map(|volume| on(&volume.metric, &current)),
            earlier.map(|grid| on(&settings.metric, &grid)),
            earlier.zip(settings.per.as_ref()).map(|(grid, per)| on(per, &grid)),
        ))?;

        let values = settings.values(metric, per, &current);
        let volume =
            settings.volume.as_ref().zip(volume).map(|(volume, fact)| settings.count(volume, fact, &current));
        let baseline = earlier.zip(metric_before).map(|(grid, metric)| {
            let values = settings.values(metric, per_before, &grid)?;
            let mean = stats::mean(&values).unwrap_or_default();
            let why = || {
                format!(
                    "the baseline of {} is {}: only one above 0 gives a limit",
                    settings.title(),
                    readable(mean)
                )
            };
            if mean > 0.0 { Ok(mean) } else { Err(why()) }
        });
        Ok(Self { settings, now, values, volume, baseline })
    }

    pub(crate) fn judge(self) -> State {
        let Self { settings, now, values, volume, baseline } = self;
        let (values, volume, baseline) = match (values, volume.transpose(), baseline.transpose()) {
            (Ok(values), Ok(volume), Ok(baseline)) => (values, volume, baseline),
            (Err(why), _, _) | (_, Err(why), _) | (_, _, Err(why)) => return State::Missing(why),
        };
        let lookback = settings.sampling.lookback;
        let Some(last) = values.last().filter(|last| last.at + lookback >= now) else {
            return State::Missing(format!("{} has no value in the last {lookback}", settings.title()));
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
        let limit = match &settings.limit {
            Limit::Absolute(limit) => *limit,
            Limit::Relative(relative) => relative.factor * baseline.unwrap_or_default(),
        };
        let condition = Hysteresis::new(settings.when, limit, settings.hysteresis);
        let since = stats::sustained_since(&values, &condition, lookback);
        let held = since.map(|since| millis(last.at.saturating_sub(since)));
        let text = settings.sentence(last.value, &condition, held, baseline);
        match since.zip(held) {
            None => State::Well(text),
            Some((since, held)) => State::Beyond { since, held, text },
        }
    }
}

impl Settings {
    /// The metric's values on the grid, divided if `per` is set.
    fn values(
        &self,
        metric: SeriesFact<'_>,
        per: Option<SeriesFact<'_>>,
        grid: &Grid,
    ) -> Result<Vec<Point>, String> {
        let values = read(&self.metric, metric, grid)?;
        match self.per.as_ref().zip(per) {
            None => Ok(values),
            Some((per, fact)) => {
                let quotients = stats::quotient(&values, &read(per, fact, grid)?);
                let why = || format!("`{}` is 0, so that {} has no value", per.query, self.title());
                if quotients.is_empty() { Err(why()) } else { Ok(quotients) }
            }
        }
    }

    /// How many events there were.
    fn count(&self, volume: &Volume, fact: SeriesFact<'_>, grid: &Grid) -> Result<f64, String> {
        let values = read(&volume.metric, fact, grid)?;
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

type SeriesFact<'f> = Fact<'f, [Series]>;

fn read(metric: &Metric, fact: SeriesFact<'_>, grid: &Grid) -> Result<Vec<Point>, String> {
    let series = fact.map_err(|unavailable| format!("`{}`: {unavailable}", metric.query))?;
    let values = metric.read(series, grid);
    if values.is_empty() { Err(format!("`{}`: no value in the window", metric.query)) } else { Ok(values) }
}

//! From the settings and the facts to what state the metric is in, since what is judged is live.

use ripcord_sdk::contract::facts::{Point, Series};
use ripcord_sdk::contract::types::Instant;
use ripcord_sdk::limit::Volume;
use ripcord_sdk::metric::{Grid, Metric, ReadAs};
use ripcord_sdk::prelude::*;
use ripcord_sdk::reading::{Reading, well_since};
use ripcord_sdk::stats::{self, readable};

use crate::settings::Settings;

/// What state the metric is in.
pub(crate) enum State {
    /// It cannot be judged, for this reason.
    Missing(String),
    /// Every value still tells of the time before as well, until then.
    Early(Instant, String),
    /// Beyond the limit.
    Beyond(Finding),
    /// Beyond it, and no worse than before a wave: the rest still serves what does the harm.
    NoWorse(Finding),
    /// On the well side, without interruption since then.
    Well { since: Instant, finding: Finding, too_few: Option<String> },
}

/// The values that the verdict rests on.
pub(crate) struct Evidence<'s> {
    settings: &'s Settings,
    now: Instant,
    live_since: Instant,
    /// How far back the values tell.
    reach: Duration,
    beginning: &'static str,
    values: Result<Vec<Point>, String>,
    /// How many events there were within the soak.
    events: Option<Result<f64, String>>,
    baseline: Option<Result<Vec<Point>, String>>,
    /// What it was before a wave, where only that was shifted.
    before: Option<Result<Vec<Point>, String>>,
}

impl<'s> Evidence<'s> {
    pub(crate) fn gather(
        case: &VerificationCase,
        live_since: Instant,
        facts: &Facts,
        settings: &'s Settings,
    ) -> Step<Self> {
        let (now, live_since) = (case.now(), live_since.min(case.now()));
        let so_long = ripcord_sdk::millis(now - live_since);
        let sampling = settings.sampling;
        // Half of the time since the shift for what a value tells of, so that there are values over the other half.
        let range = ripcord_sdk::seconds(so_long.as_millis() / 2_000).max(sampling.lookback);
        let shorter = settings.reading().shortened(range, settings.when);
        let (metric, per) = shorter.unwrap_or_else(|| (settings.metric.clone(), settings.per.clone()));
        let own = Reading { metric: &metric, per: per.as_ref() };
        let reach = own.reach();
        let grid = Grid { end: now, length: so_long.min(settings.soak + sampling.lookback), sampling };
        let baseline = settings.limit.baseline(live_since, sampling);
        let before = Grid { end: live_since, length: settings.soak, sampling };
        let ((values, before), volume, baseline) = facts.all((
            (own.on(facts, grid, live_since), case.wave().map(|_| own.on(facts, before, Instant::MIN))),
            settings.volume.as_ref().map(|volume| volume.metric.request(facts, &grid)),
            baseline.map(|grid| settings.reading().on(facts, grid, Instant::MIN)),
        ))?;
        let from = live_since.max(now - settings.soak);
        let events = settings
            .volume
            .as_ref()
            .zip(volume)
            .map(|(volume, fact)| count(volume, fact, from, now, case.beginning()));
        let beginning = case.beginning();
        Ok(Self { settings, now, live_since, reach, beginning, values, events, baseline, before })
    }

    pub(crate) fn judge(self) -> State {
        let Self { settings, now, live_since, reach, beginning, values, events, baseline, before } = self;
        let limit =
            baseline.transpose().and_then(|baseline| settings.limit.value(settings.title(), baseline));
        let lookback = settings.sampling.lookback;
        let (values, (limit, origin)) = match (values, limit) {
            (Ok(values), Ok(limit)) => (values, limit),
            (Err(_), Ok(_)) if !reach.is_zero() && now < live_since + reach + lookback => {
                let until = live_since + reach + settings.sampling.step;
                let text = format!(
                    "{} tells of the last {reach}, and so of the time before {beginning}",
                    settings.title()
                );
                return State::Early(until.max(now + settings.sampling.step), text);
            }
            (Err(why), _) | (_, Err(why)) => return State::Missing(why),
        };
        let Some(last) = values.last().filter(|last| last.at + lookback >= now) else {
            return State::Missing(format!("{} has no value in the last {lookback}", settings.title()));
        };
        let is_beyond = |value| settings.when.is_beyond(value, limit);
        let finding = |passed| Finding {
            check: settings.title().to_owned(),
            passed,
            observed: readable(last.value),
            expected: format!("not {} {}{origin}", settings.when, readable(limit)),
        };
        let Some(since) = well_since(&values, is_beyond, lookback) else {
            let worst = match before {
                None => return State::Beyond(finding(false)),
                Some(Err(why)) => return State::Missing(format!("before {beginning}: {why}")),
                Some(Ok(before)) => settings.when.worst(before.iter().map(|point| point.value)),
            };
            return match worst.filter(|worst| !settings.when.is_beyond(last.value, *worst)) {
                None => State::Beyond(finding(false)),
                Some(worst) => State::NoWorse(Finding {
                    expected: format!(
                        "not {} {} of before {beginning}, while the rest serves another version",
                        settings.when,
                        readable(worst)
                    ),
                    ..finding(true)
                }),
            };
        };
        let too_few = match (&settings.volume, events) {
            (Some(volume), Some(Ok(events))) if events < volume.at_least => Some(format!(
                "{} events since {beginning} are too few to judge {}: at least {} are wanted",
                readable(events),
                settings.title(),
                readable(volume.at_least)
            )),
            (_, Some(Err(why))) => return State::Missing(why),
            _ => None,
        };
        // The first value after a shift comes with the second scrape; the service was not worse before it.
        let from_the_start = since <= live_since + reach + lookback;
        State::Well {
            since: if from_the_start { live_since } else { since },
            finding: finding(true),
            too_few,
        }
    }
}

fn count(
    volume: &Volume,
    fact: Fact<'_, [Series]>,
    from: Instant,
    to: Instant,
    beginning: &str,
) -> Result<f64, String> {
    let query = &volume.metric.query;
    let series = fact.map_err(|unavailable| format!("`{query}`: {unavailable}"))?;
    let events = match volume.metric.read_as {
        ReadAs::Counter => Metric::growth(series, from, to).map(|count| count.events),
        ReadAs::Gauge => {
            let last =
                |one: &Series| stats::within(&one.points, from, to).next_back().map(|point| point.value);
            series.iter().filter_map(last).reduce(|sum, value| sum + value)
        }
    };
    events.ok_or_else(|| format!("`{query}` has too few values since {beginning} to count"))
}

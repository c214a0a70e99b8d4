//! How fast the budget burns in each pair of windows.

use ripcord_sdk::calendar;
use ripcord_sdk::count::{Count, Share};
use ripcord_sdk::metric::Metric;
use ripcord_sdk::prelude::*;
use ripcord_sdk::stats::{burn_rate, readable};

use crate::settings::{Settings, Windows};

/// What state a pair of windows is in.
pub(crate) enum State {
    /// It cannot be judged, for this reason.
    Missing(String),
    /// Too few events, or too little of the window was seen.
    TooFew(String),
    /// Too fast in both windows.
    Both(String),
    /// The same, but not over the time since what is live became so: that is the harm of before.
    Before(String),
    /// Too fast in one window.
    One(String),
    /// In neither.
    Neither(String),
}

/// Every pair with its state, in one round trip.
pub(crate) fn states<'s>(
    case: &TriggerCase,
    facts: &Facts,
    settings: &'s Settings,
) -> Step<Vec<(&'s Windows, State)>> {
    let count = |window| {
        (settings.bad.count(facts, window, case.now()), settings.total.count(facts, window, case.now()))
    };
    let asked: Vec<_> =
        settings.windows.iter().map(|windows| (count(windows.long), count(windows.short))).collect();
    let counted = facts.all(asked)?;
    let both = |windows: &Windows, (long, short)| {
        let burn = |window, (bad, total)| burn_in(settings, window, bad, total);
        match (burn(windows.long, long), burn(windows.short, short)) {
            (Ok(long), Ok(short)) => settings.state(windows, long, short),
            (Err(state @ State::Missing(_)), _) | (_, Err(state)) | (Err(state), _) => state,
        }
    };
    let states = settings.windows.iter().zip(counted).map(|(windows, counted)| {
        let state = match both(windows, counted) {
            State::Both(text) => match own_windows(case, settings, windows) {
                OwnWindows::Whole => State::Both(text),
                OwnWindows::None(live) => {
                    State::Before(format!("{text}; but {live}: that is too short to tell"))
                }
                OwnWindows::Shorter(own, live) => {
                    let counted = facts.all((count(own.long), count(own.short)))?;
                    match both(&own, counted) {
                        State::Both(_) => State::Both(text),
                        State::Missing(own)
                        | State::TooFew(own)
                        | State::One(own)
                        | State::Neither(own)
                        | State::Before(own) => {
                            State::Before(format!("{text}; but {live}, and since then {own}"))
                        }
                    }
                }
            },
            state => state,
        };
        Ok((windows, state))
    });
    states.collect()
}

/// The windows as far as they hold only the time since what is live became so.
enum OwnWindows {
    /// All of both.
    Whole,
    /// So much, and since when it is live in words.
    Shorter(Windows, String),
    /// Nothing.
    None(String),
}

fn own_windows(case: &TriggerCase, settings: &Settings, windows: &Windows) -> OwnWindows {
    let Some(since) = case.live_since() else { return OwnWindows::Whole };
    let own = |window: Duration| {
        let of = |metric: &Metric| metric.window_since(window, case.now(), since);
        Some(of(&settings.bad)?.min(of(&settings.total)?))
    };
    let live = format!("what is live serves since {}", calendar::minute(since));
    match own(windows.long).zip(own(windows.short)) {
        Some((long, short)) if long == windows.long && short == windows.short => OwnWindows::Whole,
        Some((long, short)) => OwnWindows::Shorter(Windows { long, short, ..windows.clone() }, live),
        None => OwnWindows::None(live),
    }
}

/// The burn rate in one window, or why there is none.
fn burn_in(
    settings: &Settings,
    window: Duration,
    bad: Result<Count, String>,
    total: Result<Count, String>,
) -> Result<f64, State> {
    let (bad, total) = match (bad, total) {
        (Ok(bad), Ok(total)) => (bad, total),
        (Err(why), _) | (_, Err(why)) => return Err(State::Missing(format!("{}: {why}", settings.name))),
    };
    if total.events < settings.at_least {
        return Err(State::TooFew(format!(
            "{}: {} events in {window} are too few, at least {} are wanted",
            settings.name,
            readable(total.events),
            readable(settings.at_least)
        )));
    }
    if total.covered.as_secs_f64() < settings.coverage * window.as_secs_f64() {
        return Err(State::TooFew(format!(
            "{}: only {} of the window of {window} was seen, at least {} of it is wanted",
            settings.name,
            total.covered.rough(),
            readable(settings.coverage)
        )));
    }
    let burn = Share::of(bad, total).and_then(|share| burn_rate(share.ratio, settings.objective));
    burn.ok_or_else(|| {
        State::Missing(format!("{}: the error ratio over {window} is not a number", settings.name))
    })
}

impl Settings {
    fn state(&self, windows: &Windows, long: f64, short: f64) -> State {
        // 0.0144 by 0.001 is a little below 14.4 in binary.
        let is_fast = |burn: f64| burn >= windows.factor * (1.0 - 1e-9);
        let text = format!(
            "the error budget of {} ({}) burns {} times too fast over {} and {} times over {}, limit {}",
            self.name,
            self.objective,
            readable(long),
            windows.long,
            readable(short),
            windows.short,
            readable(windows.factor)
        );
        match (is_fast(long), is_fast(short)) {
            (true, true) => State::Both(text),
            (false, false) => State::Neither(text),
            _ => State::One(text),
        }
    }
}

//! Whether the harm is that of what is live: a value tells of a time in which another version may have been live.

use ripcord_sdk::calendar;
use ripcord_sdk::contract::types::Instant;
use ripcord_sdk::prelude::*;

use crate::evidence::{Evidence, State};
use crate::settings::Settings;

/// Whose harm a metric beyond its limit tells of.
pub(crate) enum Whose {
    /// That of what is live, since then.
    Live(Instant),
    /// That of before, as far as can be told.
    Before(Before),
}

/// What is not held against what is live.
pub(crate) struct Before {
    /// For people.
    pub(crate) text: String,
    /// When more can be told.
    pub(crate) until: Instant,
    /// Over its own time, what is live is well.
    pub(crate) is_well: bool,
}

/// Judges again by what was measured since what is live became so. Where the query shows its ranges they are shortened; where it does not, the harm
/// counts if it was not there yet when what is live became so, or once no value reaches back before that.
pub(crate) fn judge(
    case: &TriggerCase,
    facts: &Facts,
    settings: &Settings,
    (since, text): (Instant, &str),
) -> Step<Whose> {
    let Some(live_since) = case.live_since().filter(|_| !settings.names_live()) else {
        return Ok(Whose::Live(since));
    };
    let now = case.now() - settings.as_of.unwrap_or_default();
    let (reach, lookback) = (settings.reading().reach(), settings.sampling.lookback);
    let enough = settings.for_at_least;
    if now - enough - reach - lookback >= live_since {
        return Ok(Whose::Live(since));
    }
    let whole = live_since + reach + enough + lookback;
    let before = |until: Instant, is_well, own: &str| {
        let live = calendar::minute(live_since);
        let until = until.max(now + settings.sampling.step);
        let text = format!("{text}; but what is live serves since {live}: {own}");
        let until = until + settings.as_of.unwrap_or_default();
        Ok(Whose::Before(Before { text, until, is_well }))
    };
    let own_time = ripcord_sdk::millis(now.saturating_sub(live_since));
    // So much shorter than its own time that there are values for as long as harm must last.
    let range = (own_time - enough - lookback).min(reach);
    let range_min = lookback.min(reach);
    let shorter = if reach.is_zero() { None } else { settings.shortened(range.max(lookback)) };
    if shorter.is_some() && range < range_min {
        let why = format!("its own {own_time} are too short to tell");
        return before(live_since + enough + lookback + range_min, false, &why);
    }
    if shorter.is_none() {
        let then = settings.at_an_instant();
        if let State::Well(_) = Evidence::gather(live_since, Instant::MIN, facts, &then)?.judge() {
            return Ok(Whose::Live(since.max(live_since)));
        }
    }
    let is_whole = shorter.is_none();
    let own = shorter.unwrap_or_else(|| settings.clone());
    match Evidence::gather(now, live_since, facts, &own)?.judge() {
        State::Beyond { since, held, .. } if held >= enough => Ok(Whose::Live(since)),
        State::Beyond { since, text, .. } => {
            before(since + enough, false, &format!("over its own time {text}"))
        }
        State::Well(text) => before(whole, true, &format!("over its own time {text}")),
        State::Missing(_) if is_whole && own_time < reach + lookback => {
            before(whole, false, &format!("a value tells of the last {reach}, and so of the time before"))
        }
        State::Missing(why) | State::TooFew(why) => {
            before(now + settings.recheck, false, &format!("over its own time {why}"))
        }
    }
}

impl Settings {
    /// The same over so short a time, where that can be said of the query.
    fn shortened(&self, to: Duration) -> Option<Self> {
        let (metric, per) = self.reading().shortened(to, self.when)?;
        Some(Self { metric, per, ..self.clone() })
    }

    /// Judged at one instant alone.
    fn at_an_instant(&self) -> Self {
        Self { for_at_least: Duration::ZERO, volume: None, ..self.clone() }
    }
}

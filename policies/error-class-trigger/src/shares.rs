//! The class's share of all outcomes, now and earlier, against its limits.

use ripcord_sdk::calendar;
use ripcord_sdk::count::{Count, Share};
use ripcord_sdk::metric::Metric;
use ripcord_sdk::prelude::*;
use ripcord_sdk::stats::readable;

use crate::settings::{Baseline, Exceeds, Settings};

/// What state the share is in.
pub(crate) enum State {
    /// It cannot be judged, for this reason.
    Missing(String),
    /// Too few outcomes to judge.
    TooFew(String),
    /// Beyond the limits.
    Beyond(String),
    /// The same, but not over the time since what is live became so: that is the harm of before.
    Before(String),
    /// Within them.
    Well(String),
}

pub(crate) fn judge(case: &TriggerCase, facts: &Facts, settings: &Settings) -> Step<State> {
    let text = match judge_over(case, facts, settings)? {
        State::Beyond(text) => text,
        state => return Ok(state),
    };
    let Some(since) = case.live_since() else { return Ok(State::Beyond(text)) };
    let live = format!("what is live serves since {}", calendar::minute(since));
    let own = |metric: &Metric| metric.window_since(settings.window, case.now(), since);
    let Some(own) = own(&settings.class).zip(own(&settings.all)).map(|(class, all)| class.min(all)) else {
        return Ok(State::Before(format!("{text}; but {live}: that is too short to tell")));
    };
    if own == settings.window {
        return Ok(State::Beyond(text));
    }
    let own = Settings { window: own, ..settings.clone() };
    Ok(match judge_over(case, facts, &own)? {
        State::Beyond(_) => State::Beyond(text),
        State::Missing(own) | State::TooFew(own) | State::Well(own) | State::Before(own) => {
            State::Before(format!("{text}; but {live}, and since then {own}"))
        }
    })
}

fn judge_over(case: &TriggerCase, facts: &Facts, settings: &Settings) -> Step<State> {
    let count =
        |window, end| (settings.class.count(facts, window, end), settings.all.count(facts, window, end));
    let earlier = |baseline: &Baseline| count(baseline.window, case.now() - baseline.earlier);
    let (now, before) =
        facts.all((count(settings.window, case.now()), settings.baseline.as_ref().map(earlier)))?;
    let now = match share(settings, settings.window, "", now) {
        Ok(share) => share,
        Err(state) => return Ok(state),
    };
    let Some((baseline, counted)) = settings.baseline.as_ref().zip(before) else {
        return Ok(settings.state(now, None));
    };
    Ok(match share(settings, baseline.window, &format!(" {} before", baseline.earlier), counted) {
        Ok(before) => settings.state(now, Some((baseline, before))),
        // Where one limit is enough, the other may decide alone.
        Err(state) => match (settings.exceeds, settings.at_most) {
            (Exceeds::Any, Some(at_most)) if now.ratio > at_most => settings.state(now, None),
            _ => state,
        },
    })
}

fn share(
    settings: &Settings,
    window: Duration,
    when: &str,
    (class, all): (Result<Count, String>, Result<Count, String>),
) -> Result<Share, State> {
    let title = settings.title();
    let (class, all) = match (class, all) {
        (Ok(class), Ok(all)) => (class, all),
        (Err(why), _) | (_, Err(why)) => return Err(State::Missing(format!("{title}{when}: {why}"))),
    };
    if all.events < settings.at_least {
        return Err(State::TooFew(format!(
            "{} outcomes in {window}{when} are too few to judge {title}: at least {} are wanted",
            readable(all.events),
            readable(settings.at_least)
        )));
    }
    Share::of(class, all)
        .ok_or_else(|| State::Missing(format!("{title}{when}: the share over {window} is not a number")))
}

impl Settings {
    fn state(&self, now: Share, before: Option<(&Baseline, Share)>) -> State {
        let mut limits = Vec::new();
        if let Some(at_most) = self.at_most {
            limits.push((now.ratio > at_most, format!("limit {}", readable(at_most))));
        }
        if let Some((Baseline { factor, earlier, .. }, before)) = before {
            if before.ratio <= 0.0 && self.at_most.is_none() {
                return State::Missing(format!(
                    "{}: the share {earlier} before is 0, which gives no limit: set `at-most` as well",
                    self.title()
                ));
            }
            let limit = before.ratio * factor;
            let text = format!(
                "limit {} ({} times the {} of {earlier} before)",
                readable(limit),
                readable(*factor),
                readable(before.ratio)
            );
            limits.push((now.ratio > limit, text));
        }
        let beyond = match self.exceeds {
            Exceeds::All => limits.iter().all(|(exceeded, _)| *exceeded),
            Exceeds::Any => limits.iter().any(|(exceeded, _)| *exceeded),
        };
        let texts: Vec<&str> = limits.iter().map(|(_, text)| text.as_str()).collect();
        let text = format!(
            "{} are {} of {} outcomes in {}, {}",
            self.title(),
            readable(now.ratio),
            readable(now.of),
            self.window,
            texts.join(" and ")
        );
        if beyond { State::Beyond(text) } else { State::Well(text) }
    }
}

//! Each feature now against itself in the last good period.

use std::collections::BTreeSet;

use ripcord_sdk::calendar;
use ripcord_sdk::contract::types::Window;
use ripcord_sdk::drift::{ByFeature, NotJudged, Period, Shift, WHOLE, adjusted};
use ripcord_sdk::prelude::*;
use ripcord_sdk::reference::GoodPeriod;
use ripcord_sdk::stats::readable;

use crate::settings::{Measure, Settings};

/// What state the features are in.
pub(crate) enum State {
    /// None can be judged, for this reason.
    Missing(String),
    /// None counts enough.
    TooFew(String),
    /// Some have moved; `open` tells of those that are not judged.
    Moved { text: String, open: Option<Note> },
    /// The same, but not over the time since what is live became so.
    Before(String),
    /// None of those that are judged has moved.
    Steady { text: String, open: Option<Note> },
}

/// So many are named in a text.
const NAMED_MAX: usize = 5;
/// So much of a name is shown.
const NAME_CHARS_MAX: usize = 60;

pub(crate) fn judge(case: &TriggerCase, facts: &Facts, settings: &Settings) -> Step<State> {
    let baseline = settings.baseline;
    let period = GoodPeriod {
        length: baseline.length,
        before: baseline.before.unwrap_or(settings.window),
        look_back: baseline.look_back,
    };
    let period = match period.find(facts)? {
        Ok(period) => period,
        Err(why) => {
            return Ok(State::Missing(format!(
                "there is nothing to compare {} with: {why}",
                settings.title()
            )));
        }
    };
    let (text, open) = match judge_over(case, facts, settings, &period)? {
        State::Moved { text, open } => (text, open),
        state => return Ok(state),
    };
    let Some(since) = case.live_since() else { return Ok(State::Moved { text, open }) };
    let live = format!("what is live serves since {}", calendar::minute(since));
    let Some(own) = settings.counts.window_since(settings.window, case.now(), since) else {
        return Ok(State::Before(format!("{text}; but {live}: that is too short to tell")));
    };
    if own == settings.window {
        return Ok(State::Moved { text, open });
    }
    let own = Settings { window: own, ..settings.clone() };
    Ok(match judge_over(case, facts, &own, &period)? {
        State::Moved { text, open } => State::Moved { text, open },
        State::Missing(own) | State::TooFew(own) | State::Before(own) | State::Steady { text: own, .. } => {
            State::Before(format!("{text}; but {live}, and since then {own}"))
        }
    })
}

fn judge_over(case: &TriggerCase, facts: &Facts, settings: &Settings, period: &Window) -> Step<State> {
    let counted = |window, end| settings.counts.by_class(facts, settings.labels(), window, end);
    let then = counted(settings.baseline.length, period.end);
    Ok(match facts.all((then, counted(settings.window, case.now())))? {
        (Ok(then), Ok(now)) => compare(&then, &now, settings, period),
        (Err(why), _) => State::Missing(format!("{} in the last good period: {why}", settings.title())),
        (_, Err(why)) => State::Missing(format!("{}: {why}", settings.title())),
    })
}

fn compare(then: &ByFeature, now: &ByFeature, settings: &Settings, period: &Window) -> State {
    let names: BTreeSet<&str> = then.keys().chain(now.keys()).map(String::as_str).collect();
    let (mut shifts, mut open) = (Vec::new(), Vec::new());
    for name in &names {
        match shift_of(then, now, name, settings) {
            Ok(shift) => shifts.push((*name, shift)),
            Err(why) => open.push((*name, why)),
        }
    }
    let p_values: Vec<f64> = shifts.iter().map(|(_, shift)| shift.p_value).collect();
    let p_values = match adjusted(&p_values, settings.correction) {
        Ok(p_values) => p_values,
        Err(why) => return State::Missing(format!("{}: {why}", settings.title())),
    };
    let left_open = (!open.is_empty()).then(|| not_judged(&open, names.len()));
    if shifts.is_empty() {
        let why = format!(
            "{}: {}",
            settings.title(),
            left_open.map_or_else(|| "no feature is counted".into(), |note| note.text)
        );
        let all_are_few = open.iter().all(|(_, why)| matches!(why, NotJudged::TooFew { .. }));
        return if all_are_few { State::TooFew(why) } else { State::Missing(why) };
    }
    let mut judged: Vec<Judged<'_>> = shifts
        .into_iter()
        .zip(p_values)
        .map(|((name, shift), p_value)| Judged { name, shift, p_value })
        .collect();
    judged.sort_by(|one, other| other.shift.size.total_cmp(&one.shift.size));
    let moved: Vec<&Judged<'_>> = judged
        .iter()
        .filter(|one| one.shift.size > settings.limit() && one.p_value <= settings.false_alarms)
        .collect();
    if moved.is_empty() {
        return State::Steady { text: settings.steady(&judged, period), open: left_open };
    }
    State::Moved { text: settings.moved(&moved, judged.len(), period), open: left_open }
}

fn shift_of(then: &ByFeature, now: &ByFeature, name: &str, settings: &Settings) -> Result<Shift, NotJudged> {
    let side = |of: &'_ ByFeature, period| match of.get(name) {
        Some(counted) => counted.clone(),
        None => Err(NotJudged::Nothing(period)),
    };
    settings.compare(&side(then, Period::Reference)?, &side(now, Period::Now)?)
}

struct Judged<'a> {
    name: &'a str,
    shift: Shift,
    /// Corrected for the number of features.
    p_value: f64,
}

impl Judged<'_> {
    /// How far, and of how many.
    fn text(&self) -> String {
        let Shift { size, reference, now, .. } = self.shift;
        let chance = if self.p_value < 0.0001 { "below 0.0001".into() } else { readable(self.p_value) };
        format!(
            "{} (p {chance}, {} events then and {} now)",
            readable(size),
            readable(reference),
            readable(now)
        )
    }
}

/// A name of others, not too long.
fn shown(name: &str) -> String {
    if name == WHOLE {
        return "what has no such label".to_owned();
    }
    let short: String = name.chars().take(NAME_CHARS_MAX).collect();
    let cut = if short.len() < name.len() { "…" } else { "" };
    format!("`{short}{cut}`")
}

/// The first few, and how many more.
fn listed(texts: impl ExactSizeIterator<Item = String>, between: &str) -> String {
    let more = texts.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!("{between}{more} more") } else { String::new() };
    texts.take(NAMED_MAX).collect::<Vec<_>>().join(between) + &more
}

fn not_judged(open: &[(&str, NotJudged)], of: usize) -> Note {
    let texts = open.iter().map(|(name, why)| format!("{}: {why}", shown(name)));
    let text = if open.len() == 1 && of == 1 && open[0].0 == WHOLE {
        format!("not judged: {}", open[0].1)
    } else {
        format!("{} of {of} features are not judged: {}", open.len(), listed(texts, "; "))
    };
    let few = open.iter().all(|(_, why)| matches!(why, NotJudged::TooFew { .. }));
    if few { Note::info(text) } else { Note::warning(text) }
}

impl Settings {
    fn moved(&self, moved: &[&Judged<'_>], of: usize, period: &Window) -> String {
        let Self { window, .. } = self;
        let how = match moved {
            [one] if of == 1 && one.name == WHOLE => format!("by {} within {window}", one.text()),
            _ => {
                let texts = moved.iter().map(|one| format!("{} by {}", shown(one.name), one.text()));
                format!("in {} of {of} features within {window}: {};", moved.len(), listed(texts, ", "))
            }
        };
        format!(
            "{} moved {how} from the last good period, {}; {}",
            self.title(),
            text_of(period),
            self.limits()
        )
    }

    fn steady(&self, judged: &[Judged<'_>], period: &Window) -> String {
        let how = match judged {
            [one] if one.name == WHOLE => format!("by {}", one.text()),
            [largest, ..] => {
                format!(
                    "beyond the limit in none of {} features, at most {} by {},",
                    judged.len(),
                    shown(largest.name),
                    largest.text()
                )
            }
            [] => String::new(),
        };
        format!(
            "{} moved {how} from the last good period, {}; {}",
            self.title(),
            text_of(period),
            self.limits()
        )
    }

    fn limits(&self) -> String {
        let measure = match self.measure {
            Measure::PopulationStability => "population stability",
            Measure::KolmogorovSmirnov => "Kolmogorov-Smirnov distance",
        };
        format!(
            "limit {} of {measure} with p at most {}",
            readable(self.limit()),
            readable(self.false_alarms)
        )
    }
}

fn text_of(period: &Window) -> String {
    format!("{} to {}", calendar::minute(period.start), calendar::minute(period.end))
}

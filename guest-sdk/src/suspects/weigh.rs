//! The weight of one change: what would be expected of a cause, against what is expected of any change.

use super::labels::{hinting_rule, names};
use super::{Change, Facet, Harm, Moment, NoticedBy, Verified};
use crate::calendar;
use crate::contract::types::{Instant, Label};
use crate::{Duration, days, hours, millis, minutes};

/// Clocks of different systems differ by about so much.
const CLOCKS_DIFFER: Duration = minutes(2);
/// Where neither a clock nor an earlier look bounds it, a change is taken to be no older than this.
const UNSEEN_MAX: Duration = days(1);
/// The weight of what came after the harm by a clock that may be wrong.
const AFTER_BY_A_FOREIGN_CLOCK: f64 = 0.01;
/// A change is looked at from so many instants of the time in which it may have been made.
const PARTS: u64 = 8;

/// `of_its_kind` is how many changes of the same kind there are, this one among them.
pub(super) fn weigh(change: &Change, of_its_kind: usize, harm: &Harm) -> (f64, Vec<String>) {
    let mut weighing = Weighing::default();
    by_time(change, harm, &mut weighing);
    by_habit(change, of_its_kind, &mut weighing);
    by_scope(change, harm, &mut weighing);
    by_place(change, harm, &mut weighing);
    if let Verified::At(at) = change.verified
        && at <= harm.began_latest
    {
        weighing.times(0.3, format!("it was verified at {}", calendar::minute(at)));
    }
    by_labels(change, harm, &mut weighing);
    weighing.done()
}

/// Factors with what they rest on.
struct Weighing {
    weight: f64,
    first: Vec<String>,
    factors: Vec<(f64, String)>,
}

impl Default for Weighing {
    fn default() -> Self {
        Self { weight: 1.0, first: Vec::new(), factors: Vec::new() }
    }
}

impl Weighing {
    fn times(&mut self, factor: f64, reason: String) {
        self.weight *= factor;
        self.factors.push((factor.ln().abs(), reason));
    }

    fn done(mut self) -> (f64, Vec<String>) {
        self.factors.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut reasons = self.first;
        reasons.extend(self.factors.into_iter().map(|(_, reason)| reason));
        (self.weight, reasons)
    }
}

/// Half of the causes show within this.
fn shows_within(facet: &Facet) -> Duration {
    match facet {
        Facet::Model | Facet::Configuration(_) | Facet::Fallback => minutes(30),
        // What is learned or decided from data shows once something was learned, or its part of the day has come.
        Facet::Data(_) | Facet::World => hours(6),
    }
}

/// How much a change so long before the harm weighs: a density with a heavy tail, for what shows late. It is 1 for the quickest kind at once.
fn at_distance(facet: &Facet, distance: Duration) -> f64 {
    let usual = shows_within(facet).as_secs_f64();
    let peak = shows_within(&Facet::Model).as_secs_f64() / usual;
    peak * (1.0 + distance.as_secs_f64() / usual).powf(-1.5)
}

fn by_time(change: &Change, harm: &Harm, weighing: &mut Weighing) {
    let made = Made::of(&change.at);
    if let Some(stated) = made.wrong_clock {
        weighing.first.push(format!(
            "its clock is wrong: it says {}, the host saw it between {} and {}",
            calendar::minute(stated),
            calendar::minute(made.earliest),
            calendar::minute(made.latest)
        ));
    }
    let (mut sum, mut before) = (0.0, 0_u32);
    for at in parts(made.earliest, made.latest) {
        for began in parts(harm.began_earliest, harm.began_latest) {
            if at <= began {
                sum += at_distance(&change.facet, millis(began - at));
                before += 1;
            }
        }
    }
    let all = (PARTS * PARTS) as f64;
    weighing.weight *= sum / all;
    let reason = if before == 0 {
        // The host itself had seen that it was not there: nothing can make it the cause.
        let is_sure = change.at.not_before.is_some_and(|not_before| not_before > harm.began_latest)
            || change.noticed_by == NoticedBy::Journal;
        let soonest = at_distance(&change.facet, Duration::ZERO);
        weighing.weight = if is_sure { 0.0 } else { AFTER_BY_A_FOREIGN_CLOCK * soonest };
        format!("{} after the harm began", millis(made.earliest.saturating_sub(harm.began_latest)).rough())
    } else if f64::from(before) < all {
        "it may have come before or after the harm began: the clocks do not tell".to_owned()
    } else {
        let (nearest, farthest) = (
            millis(harm.began_earliest.saturating_sub(made.latest)),
            millis(harm.began_latest.saturating_sub(made.earliest)),
        );
        if farthest - nearest > minutes(10) && farthest.as_millis() / 2 > nearest.as_millis() {
            format!("{} to {} before the harm began", nearest.rough(), farthest.rough())
        } else {
            format!(
                "{} before the harm began",
                millis(nearest.as_millis().midpoint(farthest.as_millis())).rough()
            )
        }
    };
    weighing.first.insert(0, reason);
}

/// Instants evenly spread over a stretch.
fn parts(from: Instant, to: Instant) -> impl Iterator<Item = Instant> {
    let length = to.saturating_sub(from);
    (0..PARTS).map(move |part| from + length / PARTS * part + length / (2 * PARTS))
}

/// When a change was made.
struct Made {
    earliest: Instant,
    latest: Instant,
    /// What a clock states that the host's own looks contradict.
    wrong_clock: Option<Instant>,
}

impl Made {
    fn of(at: &Moment) -> Self {
        let latest = at.noticed_at;
        let earliest = at.not_before.unwrap_or(latest - UNSEEN_MAX).min(latest);
        let Some(stated) = at.stated else { return Self { earliest, latest, wrong_clock: None } };
        let (from, to) = (stated - CLOCKS_DIFFER, stated + CLOCKS_DIFFER);
        let contradicts = to < earliest && at.not_before.is_some() || from > latest;
        if contradicts {
            return Self { earliest, latest, wrong_clock: Some(stated) };
        }
        let earliest = if at.not_before.is_some() { from.max(earliest) } else { from };
        Self { earliest, latest: to.min(latest).max(earliest), wrong_clock: None }
    }
}

/// What moves all the time is mostly harmless. Before anything is known each kind of change is as likely the cause as another, so of a kind of which there
/// are many each is less so.
fn by_habit(change: &Change, count: usize, weighing: &mut Weighing) {
    let kind = change.facet.kind();
    if count > 1 {
        weighing.times(1.0 / count as f64, format!("{kind} changed {count} times in this time"));
    } else {
        weighing.times(1.0, format!("{kind} changed once in this time"));
    }
}

fn by_scope(change: &Change, harm: &Harm, weighing: &mut Weighing) {
    if change.services.is_empty() {
        return;
    }
    let touches = |service: &String| change.services.contains(service);
    if !touches(&harm.service) {
        weighing.times(0.02, format!("it does not touch `{}`", harm.service));
    }
    let harmed = harm.also_harmed.iter().filter(|service| touches(service)).count();
    let missed = harm.also_harmed.len() - harmed;
    if harmed > 0 {
        let factor = 2.0_f64.powi(harmed.min(3) as i32);
        weighing.times(
            factor,
            format!("it touches {harmed} of the {} other services that are harmed", harm.also_harmed.len()),
        );
    }
    if missed > 0 {
        let factor = 0.4_f64.powi(missed.min(3) as i32);
        weighing.times(factor, format!("{missed} services are harmed that it does not touch"));
    }
    let well = harm.well.iter().filter(|service| touches(service)).count();
    if well > 0 {
        weighing.times(0.6_f64.powi(well.min(5) as i32), format!("it touches {well} services that are well"));
    }
}

fn by_place(change: &Change, harm: &Harm, weighing: &mut Weighing) {
    match (change.place.as_str(), harm.place.as_str()) {
        ("", "") => {}
        ("", place) => weighing.times(0.4, format!("it was made everywhere, the harm is in `{place}`")),
        (place, "") => weighing.times(0.4, format!("it was made in `{place}` only")),
        (place, of_harm) if place == of_harm => {
            weighing.times(3.0, format!("the harm is where it was made, in `{place}`"))
        }
        (place, of_harm) => {
            weighing.times(0.03, format!("it was made in `{place}`, the harm is in `{of_harm}`"))
        }
    }
}

fn by_labels(change: &Change, harm: &Harm, weighing: &mut Weighing) {
    let named = |name: &str| harm.labels.iter().find(|label| names(&label.value, name));
    let say = |label: &Label| format!("the alert's label `{}` names it", label.name);
    let name = match &change.facet {
        Facet::Configuration(name) | Facet::Data(name) => Some(name.as_str()),
        Facet::Model | Facet::Fallback | Facet::World => None,
    };
    if let Some(label) = name.and_then(named) {
        weighing.times(6.0, say(label));
    } else if let Some(label) = change.to.as_deref().and_then(named) {
        // Whatever is live stands in the labels of every series, whether it did anything or not.
        let factor = if change.facet == Facet::Model { 1.5 } else { 6.0 };
        weighing.times(factor, say(label));
    }
    if let Some(rule) = hinting_rule(&change.facet, harm) {
        weighing.times(3.0, format!("the rule `{}` is about such things", rule.value));
    }
}

#[cfg(test)]
mod tests;

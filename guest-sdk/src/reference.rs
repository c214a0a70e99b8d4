//! The last good period as a reference: what a service did while nothing was known to be wrong with it, and how far what it does now has moved from
//! that.
//!
//! A fixed reference ("the training data", "last month") grows old, and "the same hour yesterday" may have been an incident. [`GoodPeriod`] looks back
//! over the service's own incidents to the last stretch that none of them touches.
//!
//! ```
//! use ripcord_sdk::prelude::*;
//! use ripcord_sdk::reference::{GoodPeriod, shift};
//!
//! /// Rolls back when the scores have moved away from those of the last good period.
//! struct ScoresMoved;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Settings {
//!     /// Counts by class over the last hour, such as `sum by (le) (increase(score_bucket[1h]))`.
//!     query: String,
//! }
//!
//! impl Policy for ScoresMoved {
//!     type Settings = Settings;
//! }
//!
//! impl Trigger for ScoresMoved {
//!     const FACTS: &'static [FactKind] = &[FactKind::Metric, FactKind::History];
//!
//!     fn assess(case: &TriggerCase, facts: &Facts, settings: &Settings) -> Step<Assessment> {
//!         let again = case.now() + minutes(5);
//!         let watch = |why: String| Ok(Assessment::watch(again).note(Note::warning(why)));
//!         let period = GoodPeriod { length: hours(1), before: hours(1), look_back: days(14) };
//!         let reference = match period.find(facts)? {
//!             Ok(reference) => reference,
//!             Err(why) => return watch(why),
//!         };
//!         let then = facts.metric(settings.query.as_str()).at(reference.end);
//!         match facts.all((then, facts.metric(settings.query.as_str())))? {
//!             (Ok(then), Ok(now)) => match shift(then, now) {
//!                 Some(index) if index > 0.25 => {
//!                     Ok(Assessment::roll_back(Proposal::new(format!("the scores have moved: PSI {index:.2}"))))
//!                 }
//!                 Some(_) => Ok(Assessment::ignore()),
//!                 None => watch("there is nothing to compare".into()),
//!             },
//!             (Err(why), _) | (_, Err(why)) => watch(why.to_string()),
//!         }
//!     }
//! }
//!
//! ripcord_sdk::export!(ScoresMoved: trigger);
//! # fn main() {}
//! ```

use crate::contract::facts::{Outcome, PastIncident, Sample};
use crate::contract::types::{Instant, Window};
use crate::facts::{Facts, Step};
use crate::stats::population_stability;
use crate::{Duration, hours};

/// An incident is opened after its harm began: so long before it nothing counts as good either.
const HARM_BEFORE: Duration = hours(1);

/// Which stretch of the past counts as good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoodPeriod {
    /// How long it is.
    pub length: Duration,
    /// It ends at least so long before now: what is judged now is no part of what it is judged by.
    pub before: Duration,
    /// How far back it is looked for.
    pub look_back: Duration,
}

impl GoodPeriod {
    /// The last stretch that no incident touches, or why there is none. It asks for [`Facts::history`].
    ///
    /// # Errors
    /// [`Stop::Need`](crate::Stop::Need) while the history is not there yet.
    pub fn find(&self, facts: &Facts) -> Step<Result<Window, String>> {
        let history = facts.history(self.look_back + self.length).get()?;
        Ok(match history {
            Ok(incidents) => self.among(facts.now(), incidents),
            Err(unavailable) => Err(format!("past incidents: {unavailable}")),
        })
    }

    /// The same among these incidents of the service.
    ///
    /// # Errors
    /// A sentence: every stretch is touched by one.
    pub fn among(&self, now: Instant, incidents: &[PastIncident]) -> Result<Window, String> {
        let earliest = now - self.look_back;
        let mut end = now - self.before;
        loop {
            let start = end - self.length;
            if start < earliest {
                return Err(format!(
                    "no {} of the last {} are free of incidents",
                    self.length, self.look_back
                ));
            }
            // The one that reaches back farthest of those that touch it: what is later cannot be free.
            let touching = incidents.iter().filter(|past| is_harm(past)).filter(|past| {
                past.opened_at - HARM_BEFORE <= end && past.settled_at.is_none_or(|settled| settled >= start)
            });
            match touching.map(|past| past.opened_at - HARM_BEFORE).min() {
                None => return Ok(Window { start, end }),
                Some(began) => end = began.saturating_sub(1),
            }
        }
    }
}

/// What a person said is none was none.
fn is_harm(past: &PastIncident) -> bool {
    past.outcome != Outcome::Dismissed
}

/// How far counts by class have moved from those of the reference: the [population stability index](population_stability). None where one side counts
/// nothing or something that is no count.
///
/// Samples belong to the same class if their labels are the same; a class that one side lacks counts 0 there. Cumulative classes, those with a label
/// `le` as Prometheus' histograms have them, are taken apart first. It does not know how many are enough: [`drift`](crate::drift) does, and says why
/// something is not judged.
pub fn shift(reference: &[Sample], now: &[Sample]) -> Option<f64> {
    let is_count = |sample: &Sample| sample.value.is_finite() && sample.value >= 0.0;
    if !reference.iter().chain(now).all(is_count) {
        return None;
    }
    let (reference, now) = (classes(reference), classes(now));
    let names = reference.iter().chain(&now).map(|(name, _)| name.as_str());
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let counts = |classes: &[(String, f64)]| -> Vec<f64> {
        let count =
            |name: &&str| classes.iter().filter(|(known, _)| known == *name).map(|(_, count)| count).sum();
        names.iter().map(count).collect()
    };
    population_stability(&counts(&reference), &counts(&now))
}

/// Counts by class, cumulative ones taken apart.
fn classes(samples: &[Sample]) -> Vec<(String, f64)> {
    let mut cumulative: Vec<(String, f64, f64)> = Vec::new();
    let mut classes = Vec::new();
    for sample in samples {
        let others = |name: &str| name != "le";
        let labels = sample.labels.iter().filter(|label| others(&label.name));
        let rest: String = labels.map(|label| format!("{}={};", label.name, label.value)).collect();
        let le = sample.labels.iter().find(|label| label.name == "le");
        match le.and_then(|label| label.value.parse::<f64>().ok()).filter(|upper| !upper.is_nan()) {
            Some(upper) => cumulative.push((rest, upper, sample.value)),
            None => classes.push((rest, sample.value)),
        }
    }
    cumulative.sort_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
    for (index, (rest, upper, count)) in cumulative.iter().enumerate() {
        let below = index.checked_sub(1).map(|below| &cumulative[below]).filter(|below| below.0 == *rest);
        // Rates of buckets that were read a moment apart may be a little out of order.
        let own = (count - below.map_or(0.0, |below| below.2)).max(0.0);
        classes.push((format!("{rest}le={upper}"), own));
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::types::Label;
    use crate::{days, minutes};

    const NOW: Instant = 1_700_000_000_000;

    fn period() -> GoodPeriod {
        GoodPeriod { length: hours(2), before: hours(1), look_back: days(2) }
    }

    fn past(opened: Duration, settled: Option<Duration>, outcome: Outcome) -> PastIncident {
        PastIncident {
            id: "s:1".into(),
            opened_at: NOW - opened,
            settled_at: settled.map(|settled| NOW - settled),
            strategy: None,
            outcome,
            target: None,
        }
    }

    #[test]
    fn without_incidents_it_ends_just_before_what_is_judged() {
        let found = period().among(NOW, &[]).expect("a period");
        assert_eq!((found.start, found.end), (NOW - hours(3), NOW - hours(1)));
    }

    #[test]
    fn it_lies_before_every_incident_that_would_touch_it_and_before_its_harm() {
        let incidents = [
            past(hours(2), Some(minutes(90)), Outcome::RolledBack),
            past(hours(6), Some(hours(5)), Outcome::RolledBack),
        ];
        let found = period().among(NOW, &incidents).expect("a period");
        assert!(
            found.end < NOW - hours(7),
            "the hour before an incident is no good hour: {}",
            NOW - found.end
        );
        assert!(found.end > NOW - hours(7) - seconds_of_slack());
    }

    fn seconds_of_slack() -> Duration {
        crate::seconds(1)
    }

    #[test]
    fn an_open_incident_reaches_until_now_and_a_dismissed_one_was_none() {
        let open = past(days(1), None, Outcome::Open);
        let found = period().among(NOW, std::slice::from_ref(&open)).expect("a period");
        assert!(found.end < NOW - days(1));
        let dismissed = past(hours(2), Some(hours(1)), Outcome::Dismissed);
        assert_eq!(period().among(NOW, &[dismissed]).expect("a period").end, NOW - hours(1));
        let long = past(days(2), None, Outcome::Open);
        let why = period().among(NOW, &[long]).expect_err("none is free");
        assert_eq!(why, "no 2h of the last 2d are free of incidents");
    }

    fn sample(labels: &[(&str, &str)], value: f64) -> Sample {
        let labels =
            labels.iter().map(|(name, value)| Label { name: (*name).into(), value: (*value).into() });
        Sample { labels: labels.collect(), value, at: NOW }
    }

    #[test]
    fn classes_are_matched_by_their_labels_whatever_their_order() {
        let one = [sample(&[("class", "a")], 50.0), sample(&[("class", "b")], 50.0)];
        let other = [sample(&[("class", "b")], 25.0), sample(&[("class", "a")], 75.0)];
        let index = shift(&one, &other).expect("an index");
        assert!((index - 0.25 * 3_f64.ln()).abs() < 1e-12, "{index}");
        assert_eq!(shift(&one, &one), Some(0.0));
    }

    #[test]
    fn a_class_that_is_gone_is_a_shift_and_no_data_is_none() {
        let one = [sample(&[("class", "a")], 50.0), sample(&[("class", "b")], 50.0)];
        assert!(shift(&one, &one[..1]).is_some_and(|index| index > 0.25));
        assert_eq!(shift(&one, &[]), None);
        assert_eq!(shift(&[sample(&[], f64::NAN)], &one), None);
        for odd in [f64::NAN, f64::INFINITY, -1.0] {
            let with = [sample(&[("class", "a")], 50.0), sample(&[("class", "b")], odd)];
            assert_eq!(shift(&one, &with), None, "a class of {odd} is not a class of nothing");
        }
    }

    #[test]
    fn buckets_of_a_histogram_are_taken_apart() {
        let bucket = |le: &str, count| sample(&[("le", le)], count);
        let even = [bucket("1", 50.0), bucket("2", 100.0), bucket("+Inf", 100.0)];
        let moved = [bucket("+Inf", 100.0), bucket("1", 75.0), bucket("2", 100.0)];
        let index = shift(&even, &moved).expect("an index");
        assert!((index - 0.25 * 3_f64.ln()).abs() < 1e-9, "{index}");
        let unknown = [bucket("1", 50.0), bucket("2", f64::NAN), bucket("+Inf", 100.0)];
        assert_eq!(shift(&even, &unknown), None, "a bucket that is not known is not an empty one");
    }
}

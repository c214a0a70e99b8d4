//! Which checkpoint of a training run to go back to: the newest from before its data went bad, or from before a metric of its own broke.
//!
//! A loss that leaps, an accuracy that falls, a value that is no number any more: from there on nothing that the run has learnt is trusted, also where its metrics
//! recover. A learner whose labels went bad judges itself by the same labels, so they do.
//!
//! ```
//! use ripcord_sdk::checkpoints::{Bounds, choose};
//! use ripcord_sdk::contract::facts::{Checkpoint, Measure};
//!
//! let loss = |step: u64, value: f64| Checkpoint {
//!     run: "online-7".into(),
//!     step,
//!     at: 1_700_000_000_000 + step * 60_000,
//!     digest: None,
//!     measures: vec![Measure { name: "eval_loss".into(), value }],
//! };
//! let run = [loss(60, 0.09), loss(120, 0.04), loss(180, 0.03), loss(240, 0.03), loss(300, 0.02), loss(360, 0.16), loss(420, 0.03)];
//! let choice = choose(&run, &Bounds { well_until: 1_700_000_000_000, bad_from: None });
//! assert_eq!(choice.chosen.map(|checkpoint| checkpoint.step), Some(300));
//! assert_eq!(choice.because, "`eval_loss` went from 0.02 to 0.16 at step 360");
//! ```

use crate::calendar;
use crate::contract::facts::Checkpoint;
use crate::contract::types::Instant;
use crate::stats::{quantile, readable};

/// A value is held against so many before it, and not judged with fewer than the second.
const BEFORE: usize = 5;
const BEFORE_MIN: usize = 3;
/// A value is out of the usual when it is so many times as far from the middle as the others usually are.
const TIMES_USUAL: f64 = 6.0;
/// And a loss has doubled, or an accuracy lost a tenth.
const LOSS_BY: f64 = 1.0;
const ACCURACY_BY: f64 = 0.1;

/// What is known of when the run was well, and since when it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// What was learnt until then has served well. A metric that broke earlier has done no harm.
    pub well_until: Instant,
    /// What was learnt since then is suspected; none where that is not known.
    pub bad_from: Option<Instant>,
}

/// Where to go back to, and why not to the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice<'c> {
    /// The newest that nothing speaks against.
    pub chosen: Option<&'c Checkpoint>,
    /// What keeps it to that one, for people.
    pub because: String,
    /// Every other one, newest first.
    pub refused: Vec<(&'c Checkpoint, String)>,
}

/// A metric that broke.
#[derive(Clone, Debug, PartialEq)]
pub struct Break {
    /// The first checkpoint with it.
    pub step: u64,
    /// When that was saved.
    pub at: Instant,
    /// For people.
    pub what: String,
}

/// Chooses among the checkpoints of one run.
pub fn choose<'c>(run: &'c [Checkpoint], bounds: &Bounds) -> Choice<'c> {
    let mut newest_first: Vec<&Checkpoint> = run.iter().collect();
    newest_first.sort_by_key(|one| std::cmp::Reverse((one.step, one.at)));
    let broke = first_break(run, bounds.well_until);
    let objection = |one: &Checkpoint| {
        if let Some(lost) = not_finite(one) {
            return Some(format!("{lost}: its training broke at this step or before"));
        }
        if let Some(broke) = broke.as_ref().filter(|broke| one.step >= broke.step) {
            return Some(format!("it is not from before the run's own metric broke: {}", broke.what));
        }
        match bounds.bad_from {
            Some(from) if one.at >= from => {
                Some(format!("it has learnt what is suspected since {}", calendar::minute(from)))
            }
            None if broke.is_none() && one.at > bounds.well_until => Some(format!(
                "no metric tells from when on its training was bad, and nothing that was learnt after {} is known to be well",
                calendar::minute(bounds.well_until)
            )),
            _ if one.measures.is_empty() => {
                Some("it has no metrics, so nothing tells whether its training was well".to_owned())
            }
            _ => None,
        }
    };
    let (mut chosen, mut refused) = (None, Vec::new());
    for one in newest_first {
        match (objection(one), chosen) {
            (Some(why), _) => refused.push((one, why)),
            (None, None) => chosen = Some(one),
            (None, Some(_)) => refused.push((one, "one that is newer comes before it".to_owned())),
        }
    }
    let because = match (broke, bounds.bad_from) {
        (Some(broke), _) => broke.what,
        (None, Some(from)) => format!("what it learns is suspected since {}", calendar::minute(from)),
        (None, None) => format!("what it had learnt by {} served well", calendar::minute(bounds.well_until)),
    };
    Choice { chosen, because, refused }
}

/// The first checkpoint of a run that was saved after this instant, and with which a metric broke.
pub fn first_break(run: &[Checkpoint], well_until: Instant) -> Option<Break> {
    let mut in_order: Vec<&Checkpoint> = run.iter().collect();
    in_order.sort_by_key(|one| (one.step, one.at));
    (0..in_order.len()).find_map(|index| {
        let one = in_order[index];
        if one.at <= well_until {
            return None;
        }
        let what = not_finite(one).or_else(|| leap(&in_order[..index], one))?;
        Some(Break { step: one.step, at: one.at, what: format!("{what} at step {}", one.step) })
    })
}

/// A metric that is no number.
fn not_finite(checkpoint: &Checkpoint) -> Option<String> {
    let lost = checkpoint.measures.iter().find(|measure| !measure.value.is_finite())?;
    Some(format!("`{}` is {}", lost.name, lost.value))
}

/// A metric that is much worse than in the checkpoints before, whose values are the usual.
fn leap(before: &[&Checkpoint], now: &Checkpoint) -> Option<String> {
    now.measures.iter().find_map(|measure| {
        let worse = Worse::of(&measure.name)?;
        let value_of = |one: &&Checkpoint| {
            one.measures.iter().find(|other| other.name == measure.name).map(|other| other.value)
        };
        let usual: Vec<f64> =
            before.iter().rev().filter_map(value_of).filter(|value| value.is_finite()).take(BEFORE).collect();
        if usual.len() < BEFORE_MIN {
            return None;
        }
        let middle = quantile(usual.iter().copied(), 0.5)?;
        let spread = quantile(usual.iter().map(|value| (value - middle).abs()), 0.5)?;
        let (by, least) = match worse {
            Worse::Higher => (measure.value - middle, LOSS_BY * middle.abs()),
            Worse::Lower => (middle - measure.value, ACCURACY_BY * middle.abs()),
        };
        let from = usual.first()?;
        (by > least && by > TIMES_USUAL * spread).then(|| {
            format!("`{}` went from {} to {}", measure.name, readable(*from), readable(measure.value))
        })
    })
}

/// In which direction a metric gets worse. Of others nobody can tell.
#[derive(Clone, Copy)]
enum Worse {
    Higher,
    Lower,
}

impl Worse {
    fn of(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
        if words().any(|word| matches!(word, "loss" | "error" | "perplexity" | "mse" | "rmse" | "mae")) {
            return Some(Self::Higher);
        }
        words()
            .any(|word| matches!(word, "accuracy" | "acc" | "auc" | "f1" | "precision" | "recall"))
            .then_some(Self::Lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::facts::Measure;

    const START: Instant = 1_700_000_000_000;

    fn at(step: u64) -> Instant {
        START + step * 1_000
    }

    fn checkpoint(step: u64, measures: &[(&str, f64)]) -> Checkpoint {
        let measures = measures
            .iter()
            .map(|(name, value)| Measure { name: (*name).to_owned(), value: *value })
            .collect();
        Checkpoint { run: "r".into(), step, at: at(step), digest: None, measures }
    }

    /// Of a run that saves every ten steps.
    fn run(name: &str, values: &[f64]) -> Vec<Checkpoint> {
        values.iter().zip(1..).map(|(value, nth)| checkpoint(10 * nth, &[(name, *value)])).collect()
    }

    fn step(choice: &Choice<'_>) -> Option<u64> {
        choice.chosen.map(|one| one.step)
    }

    const UNKNOWN: Bounds = Bounds { well_until: START, bad_from: None };

    #[test]
    fn a_metric_that_breaks_bounds_what_is_trusted_also_where_it_recovers() {
        for (name, values, last_good) in [
            ("eval_loss", vec![0.5, 0.2, 0.1, 0.1, 0.11, 0.4, 0.1, 0.1], Some(50)),
            ("loss", vec![0.5, 0.2, 0.1, f64::NAN, 0.1, 0.1], Some(30)),
            ("val/loss", vec![0.5, 0.2, 0.1, f64::INFINITY], Some(30)),
            ("eval_accuracy", vec![0.9, 0.91, 0.93, 0.92, 0.6, 0.93], Some(40)),
            // The first values of a run have nothing to be held against, and a loss that falls breaks nothing.
            ("eval_loss", vec![9.0, 3.0, 1.0, 0.3, 0.1, 0.03], None),
            ("eval_loss", vec![0.1, 9.0, 0.1, 0.1], None),
            // A rate and a share have no direction.
            ("learning_rate", vec![0.1, 0.1, 0.1, 0.1, 5.0], None),
            ("eval_loss", vec![0.024, 0.033, 0.028, 0.03, 0.045], None),
            ("eval_accuracy", vec![0.993, 0.993, 0.993, 0.969], None),
        ] {
            let run = run(name, &values);
            let choice = choose(&run, &UNKNOWN);
            assert_eq!(step(&choice), last_good, "{name} {values:?}: {choice:?}");
            assert_eq!(
                choice.refused.len() + usize::from(last_good.is_some()),
                run.len(),
                "each has a reason"
            );
        }
    }

    #[test]
    fn what_broke_before_it_served_well_has_done_no_harm() {
        let run = run("loss", &[0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.8, 0.1]);
        assert_eq!(step(&choose(&run, &UNKNOWN)), Some(30));
        let bounds = Bounds { well_until: at(60), bad_from: None };
        let choice = choose(&run, &bounds);
        assert_eq!(step(&choice), Some(80));
        assert_eq!(choice.because, "`loss` went from 0.1 to 0.8 at step 90");
    }

    #[test]
    fn without_a_break_only_what_is_known_bounds_it() {
        let run = run("loss", &[0.3, 0.2, 0.1, 0.1, 0.1]);
        let well = Bounds { well_until: at(20), bad_from: None };
        let choice = choose(&run, &well);
        assert_eq!(step(&choice), Some(20));
        assert!(choice.refused[0].1.contains("no metric tells"), "{choice:?}");
        let suspected = Bounds { well_until: START, bad_from: Some(at(40)) };
        let choice = choose(&run, &suspected);
        assert_eq!(step(&choice), Some(30));
        assert!(choice.refused[0].1.contains("what is suspected since"), "{choice:?}");
        // What comes first bounds it.
        let both = [run.clone(), vec![checkpoint(60, &[("loss", 0.9)])]].concat();
        assert_eq!(step(&choose(&both, &suspected)), Some(30));
    }

    #[test]
    fn one_without_metrics_or_with_one_that_is_no_number_is_not_chosen_by_rules() {
        let run =
            [checkpoint(10, &[("loss", 0.1)]), checkpoint(20, &[("loss", f64::NAN)]), checkpoint(30, &[])];
        let bounds = Bounds { well_until: at(90), bad_from: None };
        let choice = choose(&run, &bounds);
        assert_eq!(step(&choice), Some(10));
        let why: Vec<_> = choice.refused.iter().map(|(one, why)| (one.step, why.as_str())).collect();
        assert!(why[0].0 == 30 && why[0].1.contains("no metrics"), "{why:?}");
        assert!(why[1].0 == 20 && why[1].1.contains("`loss` is NaN"), "{why:?}");
        assert_eq!(step(&choose(&[], &bounds)), None);
    }
}

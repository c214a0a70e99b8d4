//! What may have done a harm: the changes before it, ranked, with reasons.
//!
//! A version, a configuration or data moved, or the world did. [`rank`] says how likely each change is the cause, given how long before the harm it came (as
//! far as clocks can be trusted), how often its kind moves without harm, which services and places it touches, whether it was verified, and what the alert's
//! labels name. What is not in the history may have done it, too: that part is [`Ranking::unexplained`], and it grows where history is missing.
//!
//! [`choose`] takes the smallest lever that undoes the first suspect.
//!
//! ```
//! use ripcord_sdk::suspects::{Change, Facet, Harm, Moment, NoticedBy, Verified, choose, rank, Choice, Lever, Restorable};
//! use ripcord_sdk::{minutes, hours, days};
//!
//! let harm_began = 1_700_000_000_000;
//! let change = |facet, to: &str, before| Change {
//!     facet,
//!     place: String::new(),
//!     services: vec!["fraud-api".into()],
//!     from: None,
//!     to: Some(to.into()),
//!     at: Moment::exact(harm_began - before),
//!     by: None,
//!     noticed_by: NoticedBy::Journal,
//!     verified: Verified::Unknown,
//! };
//! let changes = [change(Facet::Model, "7", days(3)), change(Facet::Configuration("thresholds".into()), "c41", minutes(12))];
//! let harm = Harm::of("fraud-api", harm_began);
//! let ranking = rank(&changes, &harm, &[]);
//! let first = ranking.best().expect("a suspect");
//! assert_eq!(first.change.to.as_deref(), Some("c41"));
//! assert_eq!(first.reasons[0], "12m before the harm began");
//!
//! let back = Restorable::usable(Lever::Configuration { name: "thresholds".into(), revision: "c40".into() });
//! assert!(matches!(choose(&ranking, &[back]), Choice::Restore { .. }));
//! ```

mod change;
mod choose;
mod contract;
mod history;
mod labels;
mod weigh;

pub use change::{Change, Facet, Harm, Moment, NoticedBy, Verified};
pub use choose::{Choice, Lever, Refused, Restorable, Rung, choose};
pub use contract::thousandths;
pub use history::{Coverage, Kind};

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A change that may have done the harm.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// Which.
    pub change: Change,
    /// How likely it is the cause, 0..=1; all suspects and [`Ranking::unexplained`] add up to 1.
    pub score: f64,
    /// What counts for it and against it, for people; what weighs most first after the time.
    pub reasons: Vec<String>,
}

/// The suspects, most likely first.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// All changes, also those that came after the harm.
    pub suspects: Vec<Suspect>,
    /// How likely the cause is nothing of this, 0..=1.
    pub unexplained: f64,
    /// How much of that is a change of the world that nobody noted: a rule that fires is about such things. 0..=1.
    pub unnoted_world: f64,
    /// What is not known, for people.
    pub gaps: Vec<String>,
}

impl Ranking {
    /// The first suspect, unless something that is not in the history is likelier.
    pub fn best(&self) -> Option<&Suspect> {
        self.suspects.first().filter(|first| first.score > self.unexplained)
    }

    /// What is left to suspect after these were put back and the harm went on: what they took back was not the cause.
    #[must_use]
    pub fn after(mut self, tried: &[Lever]) -> Self {
        let mut cleared = 0.0;
        for suspect in &mut self.suspects {
            if suspect.score > 0.0 && tried.iter().any(|lever| lever.undoes(&suspect.change)) {
                cleared += suspect.score;
                suspect.score = 0.0;
                suspect
                    .reasons
                    .insert(0, "it was taken back in this incident, and the harm went on".to_owned());
            }
        }
        let left = 1.0 - cleared;
        if cleared > 0.0 && left > 0.0 {
            self.suspects.iter_mut().for_each(|suspect| suspect.score /= left);
            self.unexplained /= left;
            self.unnoted_world /= left;
        }
        self.suspects.sort_by(order);
        self
    }
}

/// Ranks the changes. `known` says how far back the history of each kind of facet is complete; of a kind that is not in it, nothing is known.
pub fn rank(changes: &[Change], harm: &Harm, known: &[Coverage]) -> Ranking {
    let history::Gaps { gaps, weight: unknown, of_the_world } = history::gaps(changes, known, harm);
    let mut of_kind: BTreeMap<&str, usize> = BTreeMap::new();
    for change in changes {
        *of_kind.entry(change.facet.kind()).or_default() += 1;
    }
    let of_its_kind = |change: &Change| of_kind.get(change.facet.kind()).copied().unwrap_or(1);
    let weighed: Vec<(f64, Vec<String>)> =
        changes.iter().map(|change| weigh::weigh(change, of_its_kind(change), harm)).collect();
    let sum = unknown + weighed.iter().map(|(weight, _)| weight).sum::<f64>();
    let mut suspects: Vec<Suspect> = changes
        .iter()
        .zip(weighed)
        .map(|(change, (weight, reasons))| Suspect { change: change.clone(), score: weight / sum, reasons })
        .collect();
    suspects.sort_by(order);
    Ranking { suspects, unexplained: unknown / sum, unnoted_world: of_the_world / sum, gaps }
}

/// By score; of equals the newer first.
fn order(one: &Suspect, other: &Suspect) -> Ordering {
    other.score.total_cmp(&one.score).then_with(|| other.change.at.noticed_at.cmp(&one.change.at.noticed_at))
}

//! Tests that may be looked at any time, and stopped whenever one likes.
//!
//! A p-value holds for one look that was fixed beforehand: who looks every minute until it is small finds something in the end although nothing has
//! changed. What is here is *evidence* instead: what a bettor owns who began with 1 and bets, fairly if nothing has changed, that something has. Whatever
//! the moment, it reaches `1 / alpha` with a probability of at most `alpha` (Ville, "Étude critique de la notion de collectif", 1939; Ramdas, Grünwald,
//! Vovk and Shafer, "Game-theoretic statistics and safe anytime-valid inference", Statistical Science 38, 2023).
//!
//! | what is watched | compared with | test |
//! |---|---|---|
//! | values between two bounds, any distribution | a mean that is known | [`MeanBet`] |
//! | values with a known deviation, about normal, or means of many | a mean that is known | [`MeanMixture`] |
//! | how many of how many | a share that is known | [`ShareMixture`] |
//! | how many of how many, in two streams | each other | [`TwoShares`] |
//!
//! Each takes what is new since the last look, and can be kept in a memo between two decisions. What it is told is independent given the past: one value a
//! request, not a moving average of them.
//!
//! ```
//! use ripcord_sdk::sequential::ShareMixture;
//!
//! // Two in a hundred are declined, as is known; look after every hundred.
//! let mut declined = ShareMixture::new(0.02)?;
//! let mut looks = 0;
//! for hits in [2, 3, 5, 9, 8, 7, 9, 10] {
//!     declined.observe(hits, 100)?;
//!     looks += 1;
//!     if declined.evidence().is_beyond(0.001) {
//!         break;
//!     }
//! }
//! assert_eq!(looks, 6);
//! # Ok::<(), ripcord_sdk::sequential::BadInput>(())
//! ```

mod betting;
mod mean_mixture;
mod share_mixture;
mod two_shares;

pub use betting::{MeanBet, Sides};
pub use mean_mixture::MeanMixture;
pub use share_mixture::ShareMixture;
pub use two_shares::TwoShares;

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a bettor owns now, and owned at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    ln_now: f64,
    ln_most: f64,
}

impl Evidence {
    /// The e-value: about 1 if nothing has changed. For several features at once, see [`drift::by_evidence`](crate::drift::by_evidence).
    pub fn e_value(&self) -> f64 {
        self.ln_now.exp()
    }

    /// A p-value that holds at all looks together: it never rises.
    pub fn p_value(&self) -> f64 {
        (-self.ln_most).exp().clamp(0.0, 1.0)
    }

    /// True if it has ever reached `1 / alpha`. If nothing has changed that happens with a probability of at most `alpha`, however often one looks.
    pub fn is_beyond(&self, alpha: f64) -> bool {
        alpha > 0.0 && self.ln_most >= -alpha.ln()
    }

    fn set(&mut self, ln: f64) {
        self.ln_now = ln;
        self.ln_most = self.ln_most.max(ln);
    }
}

/// What a test cannot take. It is as it was before.
#[derive(Clone, Debug, PartialEq)]
pub enum BadInput {
    /// A share or mean that must lie between two ends and not on them.
    NotInside {
        /// What it is.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// A value that is not finite, or out of bounds.
    NotAValue(f64),
    /// More events than the evidence can be reckoned for.
    TooMany(u64),
    /// More hits than there were events.
    MoreThanAll {
        /// How many hits.
        hits: u64,
        /// Of how many.
        of: u64,
    },
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInside { what, value, low, high } => {
                write!(f, "{what} is `{value}`: it must lie between {low} and {high}, and not on them")
            }
            Self::NotAValue(value) => write!(f, "`{value}` is not a finite number within the bounds"),
            Self::TooMany(of) => {
                write!(f, "{of} events are more than the {EVENTS_MAX} that one test takes: begin anew")
            }
            Self::MoreThanAll { hits, of } => write!(f, "{hits} of {of} is more than all"),
        }
    }
}

impl std::error::Error for BadInput {}

fn inside(what: &'static str, value: f64, low: f64, high: f64) -> Result<f64, BadInput> {
    if value > low && value < high { Ok(value) } else { Err(BadInput::NotInside { what, value, low, high }) }
}

/// Logarithms of likelihoods of more events differ by less than what they are rounded by.
const EVENTS_MAX: u64 = 1_000_000_000_000;

/// What is new. Refuses more hits than events, and more events than can be reckoned with those `before`.
fn hits(hits: u64, of: u64, before: f64) -> Result<(f64, f64), BadInput> {
    if hits > of {
        return Err(BadInput::MoreThanAll { hits, of });
    }
    if of > EVENTS_MAX || before + of as f64 > EVENTS_MAX as f64 {
        return Err(BadInput::TooMany(of));
    }
    Ok((hits as f64, of as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;

    const LOOKS: usize = 400;
    const RUNS: u32 = 600;

    /// In how many of the runs the evidence reached 1 / 0.05 at any of the looks.
    fn false_alarms(seed: u64, mut run: impl FnMut(&mut Seeded) -> Evidence) -> u32 {
        let mut random = Seeded::new(seed);
        (0..RUNS).map(|_| u32::from(run(&mut random).is_beyond(0.05))).sum()
    }

    /// 30 of 600 are expected at most; four standard deviations above that.
    const ALARMS_MAX: u32 = 30 + 4 * 5 + 2;

    #[test]
    fn looked_at_all_the_time_chance_is_taken_for_a_change_no_more_often_than_stated() {
        for seed in [1, 2, 3] {
            let bet = false_alarms(seed, |random| {
                let mut bet = MeanBet::new(0.3, Sides::Either).expect("a mean");
                // Skewed, with many at the bounds; its mean is 0.3.
                (0..LOOKS).for_each(|_| {
                    let value = if random.unit() < 0.2 { 1.0 } else { random.unit() * 0.25 };
                    bet.observe(value).expect("a value");
                });
                *bet.evidence()
            });
            let mean = false_alarms(seed, |random| {
                let mut mean = MeanMixture::new(5.0, 2.0, 1.0).expect("a mean");
                (0..LOOKS).for_each(|_| mean.observe(5.0 + 2.0 * random.normal()).expect("a value"));
                *mean.evidence()
            });
            let share = false_alarms(seed, |random| {
                let mut share = ShareMixture::new(0.1).expect("a share");
                (0..LOOKS).for_each(|_| share.observe(u64::from(random.unit() < 0.1), 1).expect("counts"));
                *share.evidence()
            });
            let two = false_alarms(seed, |random| {
                let mut two = TwoShares::default();
                (0..LOOKS).for_each(|_| {
                    let mut of = |n| (0..n).filter(|_| random.unit() < 0.2).count() as u64;
                    two.observe((of(3), 3), (of(1), 1)).expect("counts");
                });
                *two.evidence()
            });
            for (what, alarms) in [("bet", bet), ("mean", mean), ("share", share), ("two", two)] {
                assert!(alarms <= ALARMS_MAX, "{what}, seed {seed}: {alarms} of {RUNS}");
            }
        }
    }

    #[test]
    fn a_plain_test_that_is_looked_at_all_the_time_finds_what_is_not_there() {
        // The same data as above, judged after each value by |z| > 1.96: that is why this module exists.
        let mut random = Seeded::new(1);
        let found = (0..RUNS)
            .filter(|_| {
                let mut sum = 0.0;
                (1..=LOOKS).any(|n| {
                    sum += random.normal();
                    n >= 10 && (sum / (n as f64).sqrt()).abs() > 1.96
                })
            })
            .count();
        assert!(found > 150, "{found} of {RUNS}, where 30 are meant");
    }

    #[test]
    fn a_real_change_is_found() {
        let mut random = Seeded::new(9);
        let mut bet = MeanBet::new(0.3, Sides::Above).expect("a mean");
        let mut mean = MeanMixture::new(5.0, 2.0, 1.0).expect("a mean");
        let mut share = ShareMixture::new(0.1).expect("a share");
        let mut two = TwoShares::default();
        for _ in 0..LOOKS {
            bet.observe(0.6 * random.unit() + 0.15).expect("a value");
            mean.observe(6.0 + 2.0 * random.normal()).expect("a value");
            share.observe(u64::from(random.unit() < 0.25), 1).expect("counts");
            two.observe((u64::from(random.unit() < 0.1), 1), (u64::from(random.unit() < 0.35), 1))
                .expect("counts");
        }
        for (what, evidence) in [
            ("bet", bet.evidence()),
            ("mean", mean.evidence()),
            ("share", share.evidence()),
            ("two", two.evidence()),
        ] {
            assert!(evidence.is_beyond(0.001), "{what}: {evidence:?}");
        }
    }

    #[test]
    fn what_cannot_be_taken_is_named_and_changes_nothing() {
        for odd in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(MeanBet::new(odd, Sides::Either).is_err() && ShareMixture::new(odd).is_err(), "{odd}");
        }
        let why = ShareMixture::new(1.0).expect_err("on the end").to_string();
        assert_eq!(why, "the share is `1`: it must lie between 0 and 1, and not on them");
        assert!(MeanMixture::new(f64::NAN, 1.0, 1.0).is_err() && MeanMixture::new(0.0, 0.0, 1.0).is_err());
        assert!(
            MeanMixture::new(0.0, 1.0, f64::INFINITY).is_err()
                && MeanMixture::new(0.0, f64::NAN, 1.0).is_err()
        );

        let mut bet = MeanBet::new(0.5, Sides::Either).expect("a mean");
        let before = bet.clone();
        for odd in [f64::NAN, f64::INFINITY, -0.01, 1.01] {
            assert!(bet.observe(odd).is_err(), "{odd}");
        }
        assert_eq!(bet, before);
        let mut mean = MeanMixture::new(0.0, 1.0, 1.0).expect("a mean");
        assert!(mean.observe(f64::NAN).is_err() && mean.observe(f64::NEG_INFINITY).is_err());
        assert!(!mean.evidence().is_beyond(0.99), "nothing was seen");
        let mut share = ShareMixture::new(0.5).expect("a share");
        assert_eq!(share.observe(3, 2), Err(BadInput::MoreThanAll { hits: 3, of: 2 }));
        assert_eq!(share.observe(0, 0), Ok(()), "nothing new is no evidence");
        assert!((share.evidence().e_value() - 1.0).abs() < 1e-12);
        assert!(TwoShares::default().observe((0, 1), (2, 1)).is_err());
        assert!(MeanMixture::new(0.0, 1e200, 1.0).is_err(), "its square is not finite");
        assert!(MeanMixture::new(0.0, 1.0, 1e-200).is_err(), "its square is 0");
    }

    #[test]
    fn as_many_events_as_it_takes_are_reckoned_and_more_are_refused() {
        let most = EVENTS_MAX;
        let mut share = ShareMixture::new(0.25).expect("a share");
        assert_eq!(share.observe(most / 4, most), Ok(()));
        let e_value = share.evidence().e_value();
        assert!(e_value < 1e-3, "exactly what was expected is no evidence: {e_value}");
        assert_eq!(share.observe(0, 1), Err(BadInput::TooMany(1)));
        assert_eq!(share.observe(0, u64::MAX), Err(BadInput::TooMany(u64::MAX)));
        let mut two = TwoShares::default();
        assert_eq!(two.observe((most / 4, most), (most / 4, most)), Ok(()));
        assert!(two.observe((0, 1), (0, 0)).is_err());
    }

    #[test]
    fn a_constant_stream_is_judged_by_its_value_alone() {
        let mut at = MeanBet::new(0.5, Sides::Either).expect("a mean");
        let mut away = at.clone();
        (0..200).for_each(|_| at.observe(0.5).and_then(|()| away.observe(0.55)).expect("values"));
        assert!((at.evidence().e_value() - 1.0).abs() < 1e-9, "{at:?}");
        assert!(away.evidence().is_beyond(0.001), "{away:?}");
    }

    #[test]
    fn what_was_seen_can_be_kept_between_two_looks() {
        let mut whole = ShareMixture::new(0.1).expect("a share");
        let mut kept = whole.clone();
        for (hits, of) in [(3, 10), (1, 12), (9, 20)] {
            whole.observe(hits, of).expect("counts");
            let memo = serde_json::to_string(&kept).expect("a memo");
            kept = serde_json::from_str(&memo).expect("the memo");
            kept.observe(hits, of).expect("counts");
        }
        assert!((whole.evidence().e_value() - kept.evidence().e_value()).abs() < 1e-9);
        assert!(kept.evidence().p_value() <= 1.0 && !Evidence::default().is_beyond(0.0));
    }
}

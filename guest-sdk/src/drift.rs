//! Has what a service sees or says moved? Counts by class, or values, of now against those of a reference, with a test that knows how many there were.
//!
//! Two things must hold before a shift means something: it is *large* (an effect: the population stability index, or the largest distance between the
//! two cumulative distributions), and it is *no accident* (a p-value, corrected where many features are looked at). With a million requests every
//! accident of the week is beyond chance, with fifty nothing is. What cannot be judged says why: [`NotJudged`].
//!
//! The reference is the last good period, [`reference::GoodPeriod`](crate::reference::GoodPeriod). A rule that looks again and again until it finds something finds
//! something: the p-values here hold for one look. For a quantity that is watched, see [`sequential`](crate::sequential).
//!
//! ```
//! use ripcord_sdk::drift::{Correction, Distribution, adjusted, kolmogorov_smirnov, population_stability};
//! use ripcord_sdk::stats::Bucket;
//!
//! let cumulative = |counts: [f64; 3]| {
//!     let uppers = [0.5, 0.9, f64::INFINITY];
//!     Distribution::of_buckets(&uppers.iter().zip(counts).map(|(&upper, count)| Bucket { upper, count }).collect::<Vec<_>>())
//! };
//! let (reference, now) = (cumulative([800.0, 950.0, 1000.0])?, cumulative([300.0, 420.0, 500.0])?);
//!
//! let stability = population_stability(&reference, &now, 200.0)?;
//! assert!((stability.size - 0.228).abs() < 0.001 && stability.p_value < 1e-6);
//! let distance = kolmogorov_smirnov(&reference, &now, 200.0)?;
//! assert!((distance.size - 0.2).abs() < 1e-12);
//!
//! // Of ten features, one such p-value by chance is to be expected: the correction leaves only what is none.
//! let all = adjusted(&[0.04, 0.6, 1e-9], Correction::Holm)?;
//! assert_eq!(all.iter().filter(|p| **p <= 0.05).count(), 1);
//!
//! // Too few to tell is no "no".
//! let few = kolmogorov_smirnov(&cumulative([3.0, 4.0, 5.0])?, &now, 200.0).unwrap_err();
//! assert_eq!(few.to_string(), "the reference counts 5, at least 200 are wanted");
//! # Ok::<(), ripcord_sdk::drift::NotJudged>(())
//! ```

mod correction;
mod distribution;
mod kolmogorov;
mod population;
mod reading;
mod tail;

pub use correction::{Correction, adjusted, by_evidence};
pub use distribution::{Classes, Distribution};
pub use kolmogorov::{kolmogorov_smirnov, kolmogorov_smirnov_of_values};
pub use population::{population_stability, population_stability_of_values};
pub use reading::{ByFeature, CountingByClass, Labels, WHOLE};
pub(crate) use tail::ln_gamma;

use std::fmt;

use crate::stats::readable;

/// How far two distributions are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// How large the shift is, in the unit of its measure.
    pub size: f64,
    /// How often chance alone moves as far or farther, 0..=1, at one look.
    pub p_value: f64,
    /// How many the reference counts.
    pub reference: f64,
    /// How many are counted now.
    pub now: f64,
}

/// Fewer than these on either side say nothing, whatever is asked for: the tests' approximations begin to hold here.
pub const COUNTED_MIN: f64 = 20.0;

/// More than these are no count of events: not every whole number is a number above it.
pub const COUNTED_MAX: f64 = 9_007_199_254_740_992.0;

/// Which of the two is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// What is compared with.
    Reference,
    /// What is judged.
    Now,
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "the reference",
            Self::Now => "what is judged",
        })
    }
}

/// Why something is not judged. Neither "it has moved" nor "it has not".
#[derive(Clone, Debug, PartialEq)]
pub enum NotJudged {
    /// Nothing is counted at all.
    Nothing(Period),
    /// Fewer are counted than are wanted.
    TooFew {
        /// Where.
        period: Period,
        /// How many there are.
        counted: f64,
        /// How many must be there.
        wanted: f64,
    },
    /// More is counted than can be counted.
    TooMany {
        /// Where.
        period: Period,
        /// How many there are.
        counted: f64,
    },
    /// A count is negative, infinite or no number.
    NotACount {
        /// Which class.
        class: String,
        /// What it counts.
        value: f64,
    },
    /// A value is infinite or no number, as the one at this position (counted from 0) is.
    NotAValue {
        /// Where.
        period: Period,
        /// Which.
        index: usize,
    },
    /// A bucket's upper end is no number.
    NotABound(String),
    /// A histogram without a bucket that is open above has lost its largest values.
    NotOpenAbove,
    /// A cumulative bucket counts fewer than a smaller one.
    NotCumulative {
        /// The upper end of the bucket.
        upper: f64,
    },
    /// The two have buckets with other ends.
    OtherBounds {
        /// Those of the reference, as text.
        reference: String,
        /// Those of now, as text.
        now: String,
    },
    /// Classes without an order have no cumulative distribution.
    Unordered,
    /// All that is counted lies in one class, or in one class and a few: there is nothing that could have moved.
    OneClass,
    /// A counter of one of its processes was read once only in this class, so its growth is not known.
    OneReading(String),
    /// A p-value or share outside 0..=1, or evidence below 0.
    NotAProbability(f64),
}

impl fmt::Display for NotJudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(period) => write!(f, "{period} counts nothing"),
            Self::TooFew { period, counted, wanted } => {
                write!(f, "{period} counts {}, at least {} are wanted", readable(*counted), readable(*wanted))
            }
            Self::TooMany { period, counted } => {
                write!(f, "{period} counts `{counted:e}`, which is no number of events: look at the query")
            }
            Self::NotACount { class, value } => {
                write!(f, "class `{class}` counts `{value}`: a count is a number of at least 0")
            }
            Self::NotAValue { period, index } => {
                write!(f, "value {index} of {period} is not a finite number")
            }
            Self::NotABound(text) => write!(f, "`{text}` is not the upper end of a bucket"),
            Self::NotOpenAbove => f.write_str(
                "there is no bucket `+Inf`, so the largest values are missing: let the query keep it",
            ),
            Self::NotCumulative { upper } => write!(
                f,
                "the bucket up to `{upper}` counts fewer than a smaller one: the classes of a label `le` must be cumulative"
            ),
            Self::OtherBounds { reference, now } => write!(
                f,
                "the buckets were `{reference}` and are `{now}`: they can be compared once the reference has the same"
            ),
            Self::Unordered => {
                f.write_str("its classes have no order: compare them by their population stability")
            }
            Self::OneClass => {
                f.write_str("all that is counted lies in one class, so nothing could have moved")
            }
            Self::OneReading(class) => write!(
                f,
                "the counter of class `{class}` was read once only where others were read more often, so the classes cannot be compared"
            ),
            Self::NotAProbability(value) => write!(f, "`{value}` is not a probability"),
        }
    }
}

impl std::error::Error for NotJudged {}

/// Refuses too few on either side, and more than can be counted.
fn enough(reference: f64, now: f64, at_least: f64) -> Result<(), NotJudged> {
    // A limit that is no number asks for nothing: the least that is always wanted stays.
    let wanted = at_least.max(COUNTED_MIN);
    for (period, counted) in [(Period::Reference, reference), (Period::Now, now)] {
        if counted <= 0.0 {
            return Err(NotJudged::Nothing(period));
        }
        // Beyond this a count is not exact any more, and sums and squares of counts need not be finite.
        if counted.is_nan() || counted > COUNTED_MAX {
            return Err(NotJudged::TooMany { period, counted });
        }
        if counted < wanted {
            return Err(NotJudged::TooFew { period, counted, wanted });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_count() -> impl Strategy<Value = f64> {
        prop_oneof![
            Just(0.0),
            Just(f64::MAX),
            Just(f64::MIN_POSITIVE),
            Just(1e200),
            0.0..1e3_f64,
            0.0..1e15_f64
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_counted_a_shift_is_a_number_or_there_is_none(
            pairs in prop::collection::vec((any_count(), any_count()), 0..8), at_least in any_count(),
        ) {
            let side = |of: fn(&(f64, f64)) -> f64| {
                let named = pairs.iter().enumerate().map(|(index, pair)| (index.to_string(), of(pair)));
                let mut below = 0.0;
                let bucket = |(index, pair): (usize, &(f64, f64))| {
                    below += of(pair);
                    let upper = if index + 1 == pairs.len() { f64::INFINITY } else { index as f64 };
                    crate::stats::Bucket { upper, count: below }
                };
                let buckets: Vec<_> = pairs.iter().enumerate().map(bucket).collect();
                (Distribution::of_counts(named), Distribution::of_buckets(&buckets))
            };
            let ((then, then_buckets), (now, now_buckets)) = (side(|pair| pair.0), side(|pair| pair.1));
            let mut judged = Vec::new();
            if let (Ok(then), Ok(now)) = (then, now) {
                judged.push(population_stability(&then, &now, at_least));
            }
            if let (Ok(then), Ok(now)) = (then_buckets, now_buckets) {
                judged.push(population_stability(&then, &now, at_least));
                judged.push(kolmogorov_smirnov(&then, &now, at_least));
            }
            for shift in judged.into_iter().flatten() {
                prop_assert!(shift.size.is_finite() && shift.size >= 0.0, "{shift:?}");
                prop_assert!((0.0..=1.0).contains(&shift.p_value), "{shift:?}");
                prop_assert!(shift.reference >= COUNTED_MIN && shift.now >= COUNTED_MIN, "{shift:?}");
            }
        }
    }
}

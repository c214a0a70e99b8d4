use std::collections::BTreeMap;

use super::NotJudged;
use crate::stats::Bucket;

/// Counts of one period by class; each at least 0 and finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    classes: Classes,
    counts: Vec<f64>,
}

/// What is counted apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Classes {
    /// Values up to these ends and above the one before, smallest first; the last is infinite.
    UpTo(Vec<f64>),
    /// Names without an order, each once, sorted.
    Named(Vec<String>),
}

/// Buckets that were read a moment apart, or extrapolated, may be so much of the whole out of order.
const OUT_OF_ORDER_MAX: f64 = 0.01;

impl Distribution {
    /// From a cumulative histogram. Buckets with one upper end are added, as those of replicas.
    ///
    /// # Errors
    /// A count or an end is no number, no bucket is open above, or one counts fewer than a smaller one.
    pub fn of_buckets(buckets: &[Bucket]) -> Result<Self, NotJudged> {
        let mut sorted: Vec<Bucket> = Vec::with_capacity(buckets.len());
        for bucket in buckets {
            if bucket.upper.is_nan() || bucket.upper == f64::NEG_INFINITY {
                return Err(NotJudged::NotABound(bucket.upper.to_string()));
            }
            let count = counted(&bucket.upper.to_string(), bucket.count)?;
            match sorted.binary_search_by(|known| known.upper.total_cmp(&bucket.upper)) {
                Ok(at) => sorted[at].count += count,
                Err(at) => sorted.insert(at, *bucket),
            }
        }
        let all = match sorted.last() {
            Some(last) if last.upper == f64::INFINITY => last.count,
            _ => return Err(NotJudged::NotOpenAbove),
        };
        let mut below = 0.0_f64;
        let mut counts = Vec::with_capacity(sorted.len());
        for bucket in &sorted {
            if below - bucket.count > OUT_OF_ORDER_MAX * all.max(below) {
                return Err(NotJudged::NotCumulative { upper: bucket.upper });
            }
            counts.push((bucket.count - below).max(0.0));
            below = below.max(bucket.count);
        }
        Ok(Self { classes: Classes::UpTo(sorted.iter().map(|bucket| bucket.upper).collect()), counts })
    }

    /// From counts of classes that have no order, such as decisions. Classes with one name are added.
    ///
    /// # Errors
    /// A count is negative or not finite.
    pub fn of_counts<N: Into<String>>(counts: impl IntoIterator<Item = (N, f64)>) -> Result<Self, NotJudged> {
        let mut by_name: BTreeMap<String, f64> = BTreeMap::new();
        for (name, value) in counts {
            let name = name.into();
            let count = counted(&name, value)?;
            *by_name.entry(name).or_default() += count;
        }
        let (names, counts) = by_name.into_iter().unzip();
        Ok(Self { classes: Classes::Named(names), counts })
    }

    /// The classes.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// How many each class holds by itself, in the order of the classes.
    pub fn counts(&self) -> &[f64] {
        &self.counts
    }

    /// How many there are.
    pub fn total(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// The counts of two distributions over the same classes. Buckets must have the same ends; a name that one side lacks counts 0 there.
    pub(super) fn aligned(&self, now: &Self) -> Result<(Vec<f64>, Vec<f64>), NotJudged> {
        match (&self.classes, &now.classes) {
            (Classes::UpTo(one), Classes::UpTo(other)) if one == other => {
                Ok((self.counts.clone(), now.counts.clone()))
            }
            (Classes::Named(one), Classes::Named(other)) => {
                let mut both: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
                for (name, count) in one.iter().zip(&self.counts) {
                    both.entry(name).or_default().0 = *count;
                }
                for (name, count) in other.iter().zip(&now.counts) {
                    both.entry(name).or_default().1 = *count;
                }
                Ok(both.into_values().unzip())
            }
            (one, other) => Err(NotJudged::OtherBounds { reference: one.text(), now: other.text() }),
        }
    }
}

impl Classes {
    /// For people, at most a line.
    fn text(&self) -> String {
        const SHOWN_MAX: usize = 12;
        let (texts, count): (Vec<String>, usize) = match self {
            Self::UpTo(uppers) => {
                (uppers.iter().take(SHOWN_MAX).map(ToString::to_string).collect(), uppers.len())
            }
            Self::Named(names) => (names.iter().take(SHOWN_MAX).cloned().collect(), names.len()),
        };
        let more = if count > SHOWN_MAX { format!(" and {} more", count - SHOWN_MAX) } else { String::new() };
        texts.join(" ") + &more
    }
}

fn counted(class: &str, value: f64) -> Result<f64, NotJudged> {
    let valid = value >= 0.0 && value.is_finite();
    if valid { Ok(value) } else { Err(NotJudged::NotACount { class: class.to_owned(), value }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counts: &[(f64, f64)]) -> Vec<Bucket> {
        counts.iter().map(|&(upper, count)| Bucket { upper, count }).collect()
    }

    #[test]
    fn cumulative_buckets_are_taken_apart_and_replicas_added() {
        let open = f64::INFINITY;
        let two = buckets(&[(open, 10.0), (0.5, 4.0), (1.0, 9.0), (0.5, 1.0), (1.0, 1.0), (open, 2.0)]);
        let taken = Distribution::of_buckets(&two).expect("a histogram");
        assert_eq!(taken.classes(), &Classes::UpTo(vec![0.5, 1.0, open]));
        assert_eq!(taken.counts(), [5.0, 5.0, 2.0]);
    }

    #[test]
    fn what_is_no_histogram_says_what_is_wrong_with_it() {
        let open = f64::INFINITY;
        for (what, counts, said) in [
            ("nothing", &[][..], "no bucket `+Inf`"),
            ("closed above", &[(0.5, 4.0), (1.0, 9.0)], "no bucket `+Inf`"),
            ("a negative count", &[(0.5, -1.0), (open, 9.0)], "class `0.5` counts `-1`"),
            ("no number", &[(0.5, f64::NAN), (open, 9.0)], "class `0.5` counts `NaN`"),
            ("infinite", &[(0.5, 1.0), (open, open)], "class `inf` counts `inf`"),
            ("an end that is none", &[(f64::NAN, 1.0), (open, 9.0)], "`NaN` is not the upper end"),
            ("plain counts", &[(0.5, 5.0), (1.0, 3.0), (open, 2.0)], "the bucket up to `1` counts fewer"),
        ] {
            let why = Distribution::of_buckets(&buckets(counts)).expect_err(what).to_string();
            assert!(why.contains(said), "{what}: {why}");
        }
        let slightly = buckets(&[(0.5, 500.5), (1.0, 500.0), (open, 1000.0)]);
        assert_eq!(
            Distribution::of_buckets(&slightly).expect("a little out of order").counts()[1..],
            [0.0, 499.5]
        );
    }

    #[test]
    fn other_buckets_are_told_and_a_name_that_is_missing_counts_nothing() {
        let open = f64::INFINITY;
        let one = Distribution::of_buckets(&buckets(&[(0.5, 1.0), (open, 2.0)])).expect("a histogram");
        let other = Distribution::of_buckets(&buckets(&[(0.6, 1.0), (open, 2.0)])).expect("a histogram");
        let why = one.aligned(&other).expect_err("other ends").to_string();
        assert!(why.contains("`0.5 inf`") && why.contains("`0.6 inf`"), "{why}");
        let named = |names: &[(&str, f64)]| {
            Distribution::of_counts(names.iter().map(|&(name, count)| (name, count))).expect("counts")
        };
        let pair = named(&[("b", 2.0), ("a", 1.0)]).aligned(&named(&[("c", 3.0), ("b", 4.0)]));
        assert_eq!(pair, Ok((vec![1.0, 2.0, 0.0], vec![0.0, 4.0, 3.0])));
        assert!(one.aligned(&named(&[])).is_err());
        assert!(Distribution::of_counts([("a", -0.5)]).is_err());
    }
}

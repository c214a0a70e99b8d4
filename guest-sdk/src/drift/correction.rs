use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NotJudged;

/// What is kept low where many features are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// The share of false ones among those that are found. For features that are independent or move together (Benjamini and Hochberg,
    /// "Controlling the false discovery rate", Journal of the Royal Statistical Society B 57, 1995; Benjamini and Yekutieli, Annals of Statistics 29, 2001).
    #[default]
    BenjaminiHochberg,
    /// The probability that any is false, however the features depend on each other; finds all that `bonferroni` finds, and more (Holm, "A simple
    /// sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979).
    Holm,
    /// The same by the simplest way: each p-value times the number of features (Dunn, "Multiple comparisons among means", Journal of the American
    /// Statistical Association 56, 1961).
    Bonferroni,
}

/// The p-values corrected for how many there are, in the same order. One at or below a level is found at that level.
///
/// # Errors
/// One of them is not in 0..=1.
///
/// ```
/// use ripcord_sdk::drift::{Correction, adjusted};
///
/// let found = adjusted(&[0.01, 0.02, 0.03], Correction::BenjaminiHochberg)?;
/// assert!(found.iter().all(|p| (p - 0.03).abs() < 1e-12));
/// # Ok::<(), ripcord_sdk::drift::NotJudged>(())
/// ```
pub fn adjusted(p_values: &[f64], correction: Correction) -> Result<Vec<f64>, NotJudged> {
    if let Some(odd) = p_values.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(NotJudged::NotAProbability(*odd));
    }
    let count = p_values.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|one, other| p_values[*one].total_cmp(&p_values[*other]));
    let mut adjusted = vec![1.0; count];
    match correction {
        Correction::Bonferroni => {
            for index in order {
                adjusted[index] = (p_values[index] * count as f64).min(1.0);
            }
        }
        Correction::Holm => {
            let mut largest = 0.0_f64;
            for (rank, index) in order.into_iter().enumerate() {
                largest = largest.max(p_values[index] * (count - rank) as f64).min(1.0);
                adjusted[index] = largest;
            }
        }
        Correction::BenjaminiHochberg => {
            let mut smallest = 1.0_f64;
            for (rank, index) in order.into_iter().enumerate().rev() {
                smallest = smallest.min(p_values[index] * count as f64 / (rank + 1) as f64);
                adjusted[index] = smallest;
            }
        }
    }
    Ok(adjusted)
}

/// Which of many features are found at the level `alpha` by their [evidence](crate::sequential::Evidence) (e-values): the share of false ones among them
/// is at most `alpha` however they depend on each other, and at whatever time one looks (Wang and Ramdas, "False discovery rate control with e-values",
/// Journal of the Royal Statistical Society B 84, 2022). The indices, in rising order.
///
/// The e-values must be those of now, not the largest so far.
///
/// # Errors
/// One of them is negative or not a number, or `alpha` is not in 0..=1.
pub fn by_evidence(e_values: &[f64], alpha: f64) -> Result<Vec<usize>, NotJudged> {
    if let Some(odd) = e_values.iter().find(|e| e.is_nan() || **e < 0.0) {
        return Err(NotJudged::NotAProbability(*odd));
    }
    if !(0.0..=1.0).contains(&alpha) {
        return Err(NotJudged::NotAProbability(alpha));
    }
    let mut order: Vec<usize> = (0..e_values.len()).collect();
    order.sort_by(|one, other| e_values[*other].total_cmp(&e_values[*one]));
    let enough = |rank: usize| e_values[order[rank]] * alpha * (rank + 1) as f64 >= e_values.len() as f64;
    let found = (0..order.len()).rev().find(|rank| enough(*rank)).map_or(0, |rank| rank + 1);
    order.truncate(found);
    order.sort_unstable();
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;
    use proptest::prelude::*;

    const ALL: [Correction; 3] = [Correction::BenjaminiHochberg, Correction::Holm, Correction::Bonferroni];

    #[test]
    fn worked_examples() {
        let p = [0.01, 0.04, 0.03, 0.005];
        let close = |correction, expected: [f64; 4]| {
            let found = adjusted(&p, correction).expect("probabilities");
            assert!(
                found.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-12),
                "{correction:?}: {found:?}"
            );
        };
        close(Correction::Bonferroni, [0.04, 0.16, 0.12, 0.02]);
        close(Correction::Holm, [0.03, 0.06, 0.06, 0.02]);
        close(Correction::BenjaminiHochberg, [0.02, 0.04, 0.04, 0.02]);
    }

    #[test]
    fn what_is_no_probability_is_refused_and_none_are_none() {
        for odd in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
            for correction in ALL {
                assert!(matches!(adjusted(&[0.5, odd], correction), Err(NotJudged::NotAProbability(_))));
            }
        }
        assert_eq!(adjusted(&[], Correction::Holm), Ok(vec![]));
        assert!(by_evidence(&[-1.0], 0.05).is_err() && by_evidence(&[f64::NAN], 0.05).is_err());
        assert!(by_evidence(&[1.0], f64::NAN).is_err());
        assert_eq!(by_evidence(&[], 0.05), Ok(vec![]));
    }

    #[test]
    fn evidence_is_weighed_by_how_many_have_it() {
        // Of four features at 0.05: one alone needs 80, two 40 each.
        assert_eq!(by_evidence(&[79.0, 0.0, 1.0, 2.0], 0.05), Ok(vec![]));
        assert_eq!(by_evidence(&[80.0, 0.0, 1.0, 2.0], 0.05), Ok(vec![0]));
        assert_eq!(by_evidence(&[41.0, 0.0, 1.0, 40.0], 0.05), Ok(vec![0, 3]));
        assert_eq!(by_evidence(&[f64::INFINITY, 1.0], 0.05), Ok(vec![0]));
    }

    #[test]
    fn among_many_that_did_not_move_any_is_found_no_more_often_than_stated() {
        let mut random = Seeded::new(7);
        let (rounds, features) = (2_000, 40);
        let mut found = [0_u32; 3];
        let mut uncorrected = 0;
        for _ in 0..rounds {
            let p: Vec<f64> = (0..features).map(|_| random.unit()).collect();
            uncorrected += u32::from(p.iter().any(|p| *p <= 0.05));
            for (count, correction) in found.iter_mut().zip(ALL) {
                let adjusted = adjusted(&p, correction).expect("probabilities");
                *count += u32::from(adjusted.iter().any(|p| *p <= 0.05));
            }
        }
        assert!(uncorrected > rounds * 8 / 10, "without a correction it is nearly always: {uncorrected}");
        assert!(found.iter().all(|count| *count <= 140), "100 are expected: {found:?}");
    }

    proptest! {
        #[test]
        fn each_is_at_least_the_p_value_and_keeps_the_order(p in prop::collection::vec(0.0..=1.0_f64, 1..30)) {
            let by = |correction| adjusted(&p, correction).expect("probabilities");
            let (bh, holm, bonferroni) =
                (by(Correction::BenjaminiHochberg), by(Correction::Holm), by(Correction::Bonferroni));
            let all: Vec<[f64; 4]> = (p.iter().zip(&bh)).zip(holm.iter().zip(&bonferroni)).map(|((p, bh), (holm, bonferroni))| [*p, *bh, *holm, *bonferroni]).collect();
            for one in &all {
                prop_assert!(one.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12), "{one:?}");
                for larger in all.iter().filter(|other| one[0] <= other[0]) {
                    prop_assert!(one[1] <= larger[1] && one[2] <= larger[2]);
                }
            }
        }
    }
}

/// The population stability index of two distributions over the same classes: the sum of
/// `(actual - expected) * ln(actual / expected)` over the classes' shares.
///
/// Below 0.1 is usually read as stable, above 0.25 as shifted (Siddiqi, "Credit Risk Scorecards", 2006). Counts are
/// turned into shares here; a share below 0.0001 counts as 0.0001, so that an empty class does not make it infinite.
/// None if the classes differ in number, or if either side counts nothing, a negative or no number.
pub fn population_stability(expected: &[f64], actual: &[f64]) -> Option<f64> {
    const SHARE_MIN: f64 = 0.0001;
    if expected.len() != actual.len() {
        return None;
    }
    let (expected, actual) = (shares(expected)?, shares(actual)?);
    let terms = expected.zip(actual).map(|(expected, actual)| {
        let (expected, actual) = (expected.max(SHARE_MIN), actual.max(SHARE_MIN));
        (actual - expected) * (actual / expected).ln()
    });
    Some(terms.sum())
}

fn shares(counts: &[f64]) -> Option<impl Iterator<Item = f64>> {
    let total: f64 = counts.iter().sum();
    let valid = total > 0.0 && total.is_finite() && counts.iter().all(|count| *count >= 0.0);
    valid.then(|| counts.iter().map(move |count| count / total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_worked_example() {
        let index = population_stability(&[50.0, 50.0], &[75.0, 25.0]).expect("two distributions");
        assert!((index - 0.25 * 3_f64.ln()).abs() < 1e-12, "{index}");
    }

    #[test]
    fn what_is_no_distribution_has_no_index() {
        assert_eq!(population_stability(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(population_stability(&[0.0], &[1.0]), None);
        assert_eq!(population_stability(&[2.0, -1.0], &[1.0, 1.0]), None);
        assert_eq!(population_stability(&[], &[]), None);
    }

    proptest! {
        #[test]
        fn it_is_symmetric_never_negative_and_zero_for_equals(
            pairs in prop::collection::vec((0.1..100.0_f64, 0.1..100.0_f64), 1..20),
        ) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let there = population_stability(&a, &b).expect("positive counts");
            let back = population_stability(&b, &a).expect("positive counts");
            prop_assert!((there - back).abs() < 1e-9 && there >= 0.0);
            prop_assert_eq!(population_stability(&a, &a), Some(0.0));
        }
    }
}

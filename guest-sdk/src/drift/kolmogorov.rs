use super::{Classes, Distribution, NotJudged, Period, Shift, enough, tail};

/// The two-sample test of Kolmogorov and Smirnov over histograms with the same buckets: the largest distance of their cumulative shares, 0..=1.
///
/// Within a bucket nothing is known, so the distance is at most that of the values themselves, and chance goes beyond it less often than the p-value
/// says: the test errs on the side of *not moved* (Noether, "Note on the Kolmogorov statistic in the discrete case", Metrika 7, 1963). The p-value is
/// Kolmogorov's distribution with Stephens' correction for finite samples (Stephens, "Use of the Kolmogorov-Smirnov, Cramér-von Mises and related
/// statistics without extensive tables", Journal of the Royal Statistical Society B 32, 1970).
///
/// # Errors
/// Other buckets, classes without an order, fewer than `at_least` on a side, or everything in one bucket.
pub fn kolmogorov_smirnov(
    reference: &Distribution,
    now: &Distribution,
    at_least: f64,
) -> Result<Shift, NotJudged> {
    if [reference, now].iter().any(|one| matches!(one.classes(), Classes::Named(_))) {
        return Err(NotJudged::Unordered);
    }
    let (then, today) = reference.aligned(now)?;
    let (of_then, of_today) = (reference.total(), now.total());
    enough(of_then, of_today, at_least)?;
    if then.iter().zip(&today).filter(|(then, today)| **then > 0.0 || **today > 0.0).count() < 2 {
        return Err(NotJudged::OneClass);
    }
    let (mut below, mut below_now, mut distance) = (0.0, 0.0, 0.0_f64);
    for (then, today) in then.iter().zip(&today) {
        below += then / of_then;
        below_now += today / of_today;
        distance = distance.max((below - below_now).abs());
    }
    Ok(shift(distance, of_then, of_today))
}

/// The same over values. Values that are tied count as in a bucket.
///
/// # Errors
/// A value is not finite, fewer than `at_least` on a side, or all values are the same.
pub fn kolmogorov_smirnov_of_values(
    reference: &[f64],
    now: &[f64],
    at_least: f64,
) -> Result<Shift, NotJudged> {
    let sorted = |values: &[f64], period| {
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(NotJudged::NotAValue { period, index });
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Ok(sorted)
    };
    let (then, today) = (sorted(reference, Period::Reference)?, sorted(now, Period::Now)?);
    let (of_then, of_today) = (then.len() as f64, today.len() as f64);
    enough(of_then, of_today, at_least)?;
    if then.first() == then.last() && today.first() == today.last() && then.first() == today.first() {
        return Err(NotJudged::OneClass);
    }
    let (mut i, mut j, mut distance) = (0, 0, 0.0_f64);
    while let (Some(one), Some(other)) = (then.get(i), today.get(j)) {
        let at = one.min(*other);
        i += then[i..].iter().take_while(|value| **value == at).count();
        j += today[j..].iter().take_while(|value| **value == at).count();
        distance = distance.max((i as f64 / of_then - j as f64 / of_today).abs());
    }
    Ok(shift(distance, of_then, of_today))
}

fn shift(distance: f64, reference: f64, now: f64) -> Shift {
    let effective = (reference * now / (reference + now)).sqrt();
    let lambda = (effective + 0.12 + 0.11 / effective) * distance;
    Shift { size: distance.min(1.0), p_value: tail::kolmogorov_tail(lambda), reference, now }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;
    use crate::stats::Bucket;
    use proptest::prelude::*;

    fn histogram(values: &[f64], bounds: &[f64]) -> Distribution {
        let bucket = |upper: f64| Bucket {
            upper,
            count: values.iter().filter(|value| **value <= upper).count() as f64,
        };
        let buckets: Vec<Bucket> = bounds.iter().copied().chain([f64::INFINITY]).map(bucket).collect();
        Distribution::of_buckets(&buckets).expect("a histogram")
    }

    #[test]
    fn a_worked_example() {
        let then: Vec<f64> = (0..40).map(f64::from).collect();
        let today: Vec<f64> = (10..50).map(f64::from).collect();
        let found = kolmogorov_smirnov_of_values(&then, &today, 0.0).expect("judged");
        assert!((found.size - 0.25).abs() < 1e-12);
        // lambda = (sqrt(20) + 0.12 + 0.11 / sqrt(20)) / 4
        assert!((found.p_value - 0.140_2).abs() < 5e-3, "{found:?}");
        assert_eq!((found.reference, found.now), (40.0, 40.0));
    }

    #[test]
    fn what_cannot_be_judged_says_why() {
        let many = vec![1.0; 30];
        let judged =
            |then: &[f64], today: &[f64]| kolmogorov_smirnov_of_values(then, today, 25.0).unwrap_err();
        assert_eq!(judged(&[], &many), NotJudged::Nothing(Period::Reference));
        assert_eq!(judged(&many, &[]), NotJudged::Nothing(Period::Now));
        assert_eq!(
            judged(&many, &many[..24]),
            NotJudged::TooFew { period: Period::Now, counted: 24.0, wanted: 25.0 }
        );
        assert_eq!(judged(&many, &many), NotJudged::OneClass);
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(judged(&many, &[1.0, odd]), NotJudged::NotAValue { period: Period::Now, index: 1 });
        }
        let constants = kolmogorov_smirnov_of_values(&many, &vec![2.0; 30], 25.0).expect("another constant");
        assert!((constants.size - 1.0).abs() < 1e-12 && constants.p_value < 1e-6);
        let few = kolmogorov_smirnov_of_values(&many[..19], &many, f64::NAN).unwrap_err();
        assert!(
            matches!(few, NotJudged::TooFew { wanted, .. } if wanted == super::super::COUNTED_MIN),
            "{few}"
        );
    }

    #[test]
    fn a_histogram_needs_an_order_the_same_bounds_and_two_classes() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let one = histogram(&values, &[10.0, 50.0]);
        let named = Distribution::of_counts([("a", 50.0), ("b", 50.0)]).expect("counts");
        assert_eq!(kolmogorov_smirnov(&one, &named, 0.0), Err(NotJudged::Unordered));
        let other = kolmogorov_smirnov(&one, &histogram(&values, &[10.0, 60.0]), 0.0);
        assert!(matches!(other, Err(NotJudged::OtherBounds { .. })));
        let narrow = histogram(&values, &[1_000.0]);
        assert_eq!(kolmogorov_smirnov(&narrow, &narrow, 0.0), Err(NotJudged::OneClass));
    }

    #[test]
    fn chance_alone_is_taken_for_a_shift_no_more_often_than_stated() {
        let mut random = Seeded::new(11);
        let (rounds, alpha) = (2_000, 0.05);
        let bounds: Vec<f64> = (1..12).map(|tenth| f64::from(tenth) / 12.0).collect();
        for (n, m) in [(25, 25), (60, 200), (300, 40)] {
            let (mut of_values, mut of_buckets) = (0, 0);
            for _ in 0..rounds {
                let mut draw = |count: usize| -> Vec<f64> { (0..count).map(|_| random.unit()).collect() };
                let (then, today) = (draw(n), draw(m));
                let p = |shift: Result<Shift, NotJudged>| shift.expect("judged").p_value <= alpha;
                of_values += u32::from(p(kolmogorov_smirnov_of_values(&then, &today, 0.0)));
                let (then, today) = (histogram(&then, &bounds), histogram(&today, &bounds));
                of_buckets += u32::from(p(kolmogorov_smirnov(&then, &today, 0.0)));
            }
            // Four standard deviations of a binomial above what is stated.
            let most = 100 + 4 * 10;
            assert!(of_values <= most, "{n} and {m}: {of_values} of {rounds}");
            assert!(of_buckets <= of_values, "buckets see less: {of_buckets} and {of_values}");
        }
    }

    proptest! {
        #[test]
        fn buckets_see_at_most_what_values_show(
            then in prop::collection::vec(0.0..1.0_f64, 20..80), today in prop::collection::vec(0.0..1.0_f64, 20..80),
        ) {
            let values = kolmogorov_smirnov_of_values(&then, &today, 0.0).expect("judged");
            let bounds = [0.2, 0.4, 0.6, 0.8];
            if let Ok(buckets) = kolmogorov_smirnov(&histogram(&then, &bounds), &histogram(&today, &bounds), 0.0) {
                prop_assert!(buckets.size <= values.size + 1e-9);
            }
            prop_assert!((0.0..=1.0).contains(&values.p_value) && (0.0..=1.0).contains(&values.size));
            let back = kolmogorov_smirnov_of_values(&today, &then, 0.0).expect("judged");
            prop_assert!((back.size - values.size).abs() < 1e-12, "it has no direction");
        }
    }
}

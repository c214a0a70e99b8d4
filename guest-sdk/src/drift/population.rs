use super::{Classes, Distribution, NotJudged, Period, Shift, enough, tail};
use crate::stats::{self, Bucket};

/// Each class should hold about so many on either side; smaller ones are put together (Cochran, "Some methods for strengthening the common chi-squared
/// tests", Biometrics 10, 1954).
const EXPECTED_MIN: f64 = 5.0;

/// The [population stability index](crate::stats::population_stability), with how often chance alone reaches it.
///
/// Without a shift the index times `n * m / (n + m)` is distributed as the chi-squared statistic of homogeneity with one degree of freedom fewer than
/// classes (Yurdakul and Naranjo, "Statistical properties of the population stability index", Journal of Risk Model Validation 14, 2020): with few
/// counted an index above 0.25 is nothing unusual. The p-value is that of Pearson's statistic itself, whose approximation holds for smaller
/// counts. Neighbouring buckets, or the rarest names, of which fewer than about five are expected on a side are put together first.
///
/// # Errors
/// Other buckets, fewer than `at_least` on a side, or less than two classes that hold enough.
pub fn population_stability(
    reference: &Distribution,
    now: &Distribution,
    at_least: f64,
) -> Result<Shift, NotJudged> {
    let (then, today) = reference.aligned(now)?;
    let (of_then, of_today) = (reference.total(), now.total());
    enough(of_then, of_today, at_least)?;
    let mut pairs: Vec<(f64, f64)> = then.into_iter().zip(today).collect();
    if matches!(reference.classes(), Classes::Named(_)) {
        pairs.sort_by(|one, other| (one.0 + one.1).total_cmp(&(other.0 + other.1)));
    }
    let pairs = put_together(&pairs, of_then, of_today);
    if pairs.len() < 2 {
        return Err(NotJudged::OneClass);
    }
    let all = of_then + of_today;
    let pearson: f64 = pairs
        .iter()
        .map(|(then, today)| {
            let share = (then + today) / all;
            let (expected_then, expected_today) = (share * of_then, share * of_today);
            (then - expected_then).powi(2) / expected_then + (today - expected_today).powi(2) / expected_today
        })
        .sum();
    let (then, today): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let degrees = (then.len() - 1) as f64;
    let size = stats::population_stability(&then, &today).ok_or(NotJudged::OneClass)?;
    Ok(Shift { size, p_value: tail::chi_squared_tail(pearson, degrees), reference: of_then, now: of_today })
}

/// The same over values, in so many classes that hold about as many of the reference each, as is usual for scores (Siddiqi, "Credit Risk Scorecards", 2006: ten).
/// Where many values are the same, there are fewer classes.
///
/// # Errors
/// A value is not finite, or as for [`population_stability`].
pub fn population_stability_of_values(
    reference: &[f64],
    now: &[f64],
    classes: usize,
    at_least: f64,
) -> Result<Shift, NotJudged> {
    for (period, values) in [(Period::Reference, reference), (Period::Now, now)] {
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(NotJudged::NotAValue { period, index });
        }
    }
    enough(reference.len() as f64, now.len() as f64, at_least)?;
    let mut sorted = reference.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut uppers: Vec<f64> = (1..classes).map(|class| sorted[class * sorted.len() / classes]).collect();
    uppers.dedup();
    // What is as large as the largest of the reference must not hide what is larger.
    uppers.push(f64::INFINITY);
    let counted = |values: &[f64]| {
        let up_to = |upper: &f64| values.iter().filter(|value| *value <= upper).count() as f64;
        Distribution::of_buckets(
            &uppers.iter().map(|upper| Bucket { upper: *upper, count: up_to(upper) }).collect::<Vec<_>>(),
        )
    };
    population_stability(&counted(reference)?, &counted(now)?, at_least)
}

/// Neighbours put together until enough of each are expected on both sides, were both the same.
fn put_together(pairs: &[(f64, f64)], of_then: f64, of_today: f64) -> Vec<(f64, f64)> {
    let smaller = of_then.min(of_today) / (of_then + of_today);
    let is_enough = |(then, today): &(f64, f64)| (then + today) * smaller >= EXPECTED_MIN;
    let mut together: Vec<(f64, f64)> = Vec::with_capacity(pairs.len());
    let mut rest = (0.0, 0.0);
    for (then, today) in pairs {
        rest = (rest.0 + then, rest.1 + today);
        if is_enough(&rest) {
            together.push(std::mem::take(&mut rest));
        }
    }
    if let Some(last) = together.last_mut() {
        *last = (last.0 + rest.0, last.1 + rest.1);
    }
    together
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;
    use proptest::prelude::*;

    fn named(counts: &[f64]) -> Distribution {
        let names = counts.iter().enumerate().map(|(index, count)| (format!("class {index:02}"), *count));
        Distribution::of_counts(names).expect("counts")
    }

    fn ordered(counts: &[f64]) -> Distribution {
        let mut sum = 0.0;
        let last = counts.len() - 1;
        let buckets: Vec<Bucket> = counts
            .iter()
            .enumerate()
            .map(|(index, count)| {
                sum += count;
                Bucket { upper: if index == last { f64::INFINITY } else { index as f64 }, count: sum }
            })
            .collect();
        Distribution::of_buckets(&buckets).expect("a histogram")
    }

    #[test]
    fn a_worked_example() {
        let found =
            population_stability(&named(&[50.0, 50.0]), &named(&[75.0, 25.0]), 100.0).expect("judged");
        assert!((found.size - 0.25 * 3_f64.ln()).abs() < 1e-12, "{found:?}");
        // Pearson's statistic of this table is 40 / 3, with one degree of freedom.
        assert!((found.p_value - 2.607e-4).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn a_large_index_of_few_is_no_shift_beyond_chance() {
        let few = population_stability(&named(&[10.0, 10.0, 5.0]), &named(&[4.0, 11.0, 10.0]), 0.0)
            .expect("judged");
        assert!(few.size > 0.25 && few.p_value > 0.05, "{few:?}");
        let many =
            population_stability(&named(&[1000.0, 1000.0, 500.0]), &named(&[400.0, 1100.0, 1000.0]), 0.0)
                .expect("judged");
        assert!((many.size - few.size).abs() < 1e-9 && many.p_value < 1e-12, "{many:?}");
    }

    #[test]
    fn a_class_that_is_new_is_a_shift_and_a_rare_one_is_none() {
        let then = named(&[500.0, 500.0, 0.0]);
        let new = population_stability(&then, &named(&[300.0, 300.0, 400.0]), 0.0).expect("judged");
        assert!(new.size > 1.0 && new.p_value < 1e-12, "{new:?}");
        let once = population_stability(&then, &named(&[500.0, 499.0, 1.0]), 0.0).expect("judged");
        assert!(once.size < 0.01 && once.p_value > 0.5, "one of a thousand is put with the next: {once:?}");
    }

    #[test]
    fn what_cannot_be_judged_says_why() {
        let judged =
            |then: &Distribution, now: &Distribution| population_stability(then, now, 100.0).unwrap_err();
        assert_eq!(judged(&named(&[]), &named(&[200.0])), NotJudged::Nothing(Period::Reference));
        assert_eq!(judged(&named(&[0.0]), &named(&[200.0])), NotJudged::Nothing(Period::Reference));
        assert_eq!(
            judged(&named(&[200.0]), &named(&[60.0, 39.0])),
            NotJudged::TooFew { period: Period::Now, counted: 99.0, wanted: 100.0 }
        );
        assert_eq!(judged(&named(&[200.0]), &named(&[200.0])), NotJudged::OneClass);
        assert_eq!(judged(&named(&[200.0, 1.0]), &named(&[199.0, 2.0])), NotJudged::OneClass, "and a few");
    }

    #[test]
    fn chance_alone_is_taken_for_a_shift_no_more_often_than_stated() {
        let mut random = Seeded::new(5);
        let shares = [0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.015, 0.005];
        let rounds = 2_000;
        for (n, m) in [(60, 60), (100, 1_000), (1_000, 150)] {
            for make in [named, ordered] {
                let beyond = (0..rounds)
                    .filter(|_| {
                        let (then, today) = (random.counts(&shares, n), random.counts(&shares, m));
                        population_stability(&make(&then), &make(&today), 0.0).expect("judged").p_value
                            <= 0.05
                    })
                    .count();
                // 100 are expected; four standard deviations above that, and a little for the approximation.
                assert!(beyond <= 145, "{n} and {m}: {beyond} of {rounds}");
            }
        }
    }

    #[test]
    fn values_are_put_into_classes_of_the_reference() {
        let then: Vec<f64> = (0..500).map(f64::from).collect();
        let today: Vec<f64> = (250..500).map(f64::from).collect();
        let moved = population_stability_of_values(&then, &today, 10, 100.0).expect("judged");
        assert!(moved.size > 0.5 && moved.p_value < 1e-9, "{moved:?}");
        let same = population_stability_of_values(&then, &then, 10, 100.0).expect("judged");
        assert!(same.size.abs() < 1e-12 && same.p_value > 0.999, "{same:?}");
        let constant = vec![3.0; 200];
        let judged = |then: &[f64], now: &[f64]| population_stability_of_values(then, now, 10, 100.0);
        assert_eq!(judged(&constant, &constant), Err(NotJudged::OneClass));
        let larger = judged(&constant, &vec![4.0; 200]).expect("another constant");
        assert!(larger.size > 1.0, "{larger:?}");
        assert_eq!(judged(&[], &then), Err(NotJudged::Nothing(Period::Reference)));
        let odd = [then.as_slice(), &[f64::NAN]].concat();
        assert_eq!(judged(&then, &odd), Err(NotJudged::NotAValue { period: Period::Now, index: 500 }));
        assert_eq!(population_stability_of_values(&then, &then, 0, 100.0), Err(NotJudged::OneClass));
    }

    #[test]
    fn chance_alone_in_values_is_taken_for_a_shift_no_more_often_than_stated() {
        let mut random = Seeded::new(23);
        for (n, m) in [(100, 100), (500, 120), (120, 500)] {
            let beyond = (0..1_000)
                .filter(|_| {
                    let mut draw =
                        |count: usize| -> Vec<f64> { (0..count).map(|_| random.normal()).collect() };
                    let (then, today) = (draw(n), draw(m));
                    population_stability_of_values(&then, &today, 10, 0.0).expect("judged").p_value <= 0.05
                })
                .count();
            // 50 are expected; four standard deviations above that.
            assert!(beyond <= 78, "{n} and {m}: {beyond} of 1000");
        }
    }

    proptest! {
        #[test]
        fn it_has_no_direction_and_equals_are_no_shift(
            pairs in prop::collection::vec((10.0..100.0_f64, 10.0..100.0_f64), 2..20),
        ) {
            let (one, other): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            if let (Ok(there), Ok(back)) = (
                population_stability(&ordered(&one), &ordered(&other), 0.0),
                population_stability(&ordered(&other), &ordered(&one), 0.0),
            ) {
                prop_assert!((there.size - back.size).abs() < 1e-9 && there.size >= 0.0);
                prop_assert!((0.0..=1.0).contains(&there.p_value));
            }
            if let Ok(same) = population_stability(&ordered(&one), &ordered(&one), 0.0) {
                prop_assert!(same.size.abs() < 1e-12 && same.p_value > 0.999_999);
            }
        }
    }
}

use super::within;
use crate::contract::facts::Point;
use crate::contract::types::Instant;

/// How much a counter grew between its first and its last point in `from..=to`.
///
/// The sum of the steps between neighbours; a step down is a reset, after which the counter began at 0 (as
/// Prometheus' `increase`, but without extrapolation to the ends of the window). None with fewer than two points.
pub fn increase(points: &[Point], from: Instant, to: Instant) -> Option<f64> {
    grown(points, from, to).map(|(growth, _)| growth)
}

/// How much a counter grew per second: its [`increase`] by the time from its first to its last point in `from..=to`.
///
/// None with fewer than two points, or if they lie at one instant.
pub fn rate(points: &[Point], from: Instant, to: Instant) -> Option<f64> {
    let (growth, millis) = grown(points, from, to)?;
    (millis > 0).then(|| growth * 1_000.0 / millis as f64)
}

fn grown(points: &[Point], from: Instant, to: Instant) -> Option<(f64, u64)> {
    let mut inside = within(points, from, to);
    let first = inside.next()?;
    let (mut last, mut growth) = (first, 0.0);
    for point in inside {
        growth += if point.value >= last.value { point.value - last.value } else { point.value };
        last = point;
    }
    (!std::ptr::eq(first, last)).then(|| (growth, last.at.saturating_sub(first.at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(values: &[f64]) -> Vec<Point> {
        values.iter().enumerate().map(|(i, value)| Point { at: i as u64 * 1_000, value: *value }).collect()
    }

    #[test]
    fn a_reset_starts_from_zero() {
        let counter = points(&[100.0, 110.0, 5.0, 8.0]);
        assert_eq!(increase(&counter, 0, 3_000), Some(18.0));
        assert_eq!(rate(&counter, 0, 3_000), Some(6.0));
    }

    #[test]
    fn one_point_says_nothing() {
        let counter = points(&[7.0, 9.0]);
        assert_eq!(increase(&counter, 0, 500), None);
        assert_eq!(rate(&[counter[0], counter[0]], 0, 500), None);
    }

    proptest! {
        #[test]
        fn a_counter_without_resets_grows_by_its_ends(mut values in prop::collection::vec(0.0..1e6_f64, 2..40)) {
            values.sort_by(f64::total_cmp);
            let grown = increase(&points(&values), 0, u64::MAX).expect("two points");
            let ends = values[values.len() - 1] - values[0];
            prop_assert!((grown - ends).abs() <= 1e-6 * ends.max(1.0));
        }

        #[test]
        fn growth_is_never_negative(values in prop::collection::vec(0.0..1e6_f64, 2..40)) {
            prop_assert!(increase(&points(&values), 0, u64::MAX).is_some_and(|growth| growth >= 0.0));
        }

        #[test]
        fn windows_that_share_a_point_add_up(values in prop::collection::vec(0.0..1e6_f64, 3..40), cut in 1_usize..38) {
            let counter = points(&values);
            let cut = cut.min(values.len() - 2) as u64 * 1_000;
            let parts = increase(&counter, 0, cut).zip(increase(&counter, cut, u64::MAX)).map(|(a, b)| a + b);
            let whole = increase(&counter, 0, u64::MAX);
            prop_assert!(parts.zip(whole).is_some_and(|(parts, whole)| (parts - whole).abs() <= 1e-6 * whole.max(1.0)));
        }
    }
}

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

/// How often a series went down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Turns {
    down: u32,
    /// How often it came back to where it was before it went down, and most of the way in one step: a counter that began anew gets there step by step.
    back: u32,
}

/// The shortest time in which one process begins anew again and again.
const RESTART: u64 = 60_000;
/// So often a restart may be followed by so many events that the counter is back at once.
const BACK_MAX: u32 = 1;

/// Why a series is not the counter of one process: how often it went down between two instants, and in how long. None if it may be one.
///
/// Several processes behind one address (workers, replicas behind a balancer) show now one counter and now another. Each time the lower one is shown looks
/// like a restart, after which all of its events seem new.
pub fn more_than_one_process(points: &[Point], from: Instant, to: Instant) -> Option<(u32, crate::Duration)> {
    let inside = within(points, from, to);
    let ends = inside.clone().next().zip(inside.clone().next_back());
    let covered = ends.map_or(0, |(first, last)| last.at.saturating_sub(first.at));
    let Turns { down, back } = turns(inside);
    let could = u32::try_from(covered / RESTART).unwrap_or(u32::MAX).saturating_add(1).max(2);
    (down > could || back > BACK_MAX).then_some((down, crate::millis(covered)))
}

fn turns<'p>(points: impl Iterator<Item = &'p Point>) -> Turns {
    let mut turns = Turns::default();
    let mut last: Option<f64> = None;
    // Where it was before it went down, and where it went.
    let mut before: Option<(f64, f64)> = None;
    for value in points.map(|point| point.value) {
        if let Some(last) = last {
            if value < last {
                turns.down += 1;
                before = Some((last, value));
            } else if let Some((high, low)) = before
                && value >= high
            {
                turns.back += u32::from(value - last >= (high - low) / 2.0);
                before = None;
            }
        }
        last = Some(value);
    }
    turns
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

    /// What is seen every quarter of a minute.
    fn seen(values: &[f64]) -> Vec<Point> {
        values.iter().enumerate().map(|(i, value)| Point { at: i as u64 * 15_000, value: *value }).collect()
    }

    #[test]
    fn several_processes_behind_one_address_are_told_from_restarts() {
        for (what, values, several) in [
            ("two workers by turns", &[100.0, 40.0, 101.0, 41.0, 102.0, 42.0][..], true),
            (
                "two workers, connections kept open",
                &[100.0, 101.0, 40.0, 41.0, 103.0, 104.0, 43.0, 106.0],
                true,
            ),
            ("three workers", &[100.0, 40.0, 70.0, 101.0, 41.0, 102.0, 71.0, 42.0], true),
            ("one of two has none", &[50.0, 0.0, 50.0, 0.0, 51.0], true),
            ("ever lower ones", &[90.0, 80.0, 70.0, 60.0, 50.0, 40.0], true),
            ("no restart", &[0.0, 5.0, 9.0, 9.0, 20.0], false),
            ("one restart", &[100.0, 110.0, 5.0, 8.0, 20.0], false),
            ("a restart, then a burst", &[100.0, 110.0, 5.0, 150.0, 300.0], false),
            (
                "a restart with each of two bad versions",
                &[100.0, 110.0, 5.0, 8.0, 20.0, 2.0, 9.0, 12.0],
                false,
            ),
            (
                "a restart a minute, with as many events each",
                &[0.0, 30.0, 60.0, 90.0, 3.0, 31.0, 60.0, 91.0, 2.0, 30.0, 61.0, 93.0],
                false,
            ),
            ("nothing", &[], false),
            ("one value", &[1.0], false),
        ] {
            let told = more_than_one_process(&seen(values), 0, u64::MAX);
            assert_eq!(told.is_some(), several, "{what}: {told:?}");
        }
        let told = more_than_one_process(&seen(&[100.0, 40.0, 101.0, 41.0, 102.0, 42.0]), 0, u64::MAX);
        assert_eq!(told, Some((3, crate::seconds(75))));
        assert_eq!(
            more_than_one_process(&seen(&[100.0, 40.0, 101.0, 41.0, 102.0]), 30_000, 60_000),
            None,
            "within"
        );
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

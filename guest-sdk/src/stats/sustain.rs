use crate::Duration;
use crate::contract::facts::Point;
use crate::contract::types::Instant;
use crate::settings::Side;

/// A condition that begins beyond one limit and ends only on the well side of another, so that a value that hovers
/// about a limit does not begin and end it again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hysteresis {
    side: Side,
    enter: f64,
    leave: f64,
}

impl Hysteresis {
    /// Begins beyond `limit`, and ends where the value has come back by `margin`, a ratio of the limit (0 is none).
    pub fn new(side: Side, limit: f64, margin: f64) -> Self {
        let back = limit.abs() * margin.max(0.0);
        let leave = match side {
            Side::Over => limit - back,
            Side::Under => limit + back,
        };
        Self { side, enter: limit, leave }
    }

    /// Whether the condition holds at `value`, if it `held` before.
    pub fn holds(&self, held: bool, value: f64) -> bool {
        self.side.is_beyond(value, if held { self.leave } else { self.enter })
    }

    /// The limit beyond which it begins.
    pub fn enter(&self) -> f64 {
        self.enter
    }

    /// The limit beyond which it goes on.
    pub fn leave(&self) -> f64 {
        self.leave
    }
}

/// Since when the condition has held without interruption up to the last point. None if it does not hold there.
///
/// Points are in order of time; those that are not finite are left out. Neighbours farther apart than `gap` interrupt
/// it: nothing is known about the time between them.
pub fn sustained_since(points: &[Point], condition: &Hysteresis, gap: Duration) -> Option<Instant> {
    let mut since: Option<Instant> = None;
    let mut last: Option<Instant> = None;
    for point in points.iter().filter(|point| point.value.is_finite()) {
        if last.is_some_and(|last| point.at.saturating_sub(last) > gap.as_millis()) {
            since = None;
        }
        since = condition.holds(since.is_some(), point.value).then(|| since.unwrap_or(point.at));
        last = Some(point.at);
    }
    since
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{minutes, seconds};
    use proptest::prelude::*;

    fn points(values: &[f64]) -> Vec<Point> {
        values.iter().enumerate().map(|(i, value)| Point { at: i as u64 * 60_000, value: *value }).collect()
    }

    #[test]
    fn it_counts_from_where_the_last_run_began() {
        let over = Hysteresis::new(Side::Over, 10.0, 0.0);
        let since = sustained_since(&points(&[11.0, 9.0, 11.0, 12.0]), &over, minutes(1));
        assert_eq!(since, Some(120_000));
        assert_eq!(sustained_since(&points(&[11.0, 10.0]), &over, minutes(1)), None, "on the limit is well");
        assert_eq!(sustained_since(&[], &over, minutes(1)), None);
    }

    #[test]
    fn a_value_within_the_margin_neither_begins_nor_ends_it() {
        let over = Hysteresis::new(Side::Over, 10.0, 0.2);
        assert_eq!(sustained_since(&points(&[9.0, 9.5]), &over, minutes(1)), None);
        assert_eq!(sustained_since(&points(&[11.0, 9.0, 8.5]), &over, minutes(1)), Some(0));
        assert_eq!(sustained_since(&points(&[11.0, 8.0, 9.5]), &over, minutes(1)), None);
        let under = Hysteresis::new(Side::Under, 10.0, 0.2);
        assert_eq!(sustained_since(&points(&[9.0, 11.0]), &under, minutes(1)), Some(0));
        assert_eq!(sustained_since(&points(&[9.0, 12.0]), &under, minutes(1)), None);
    }

    #[test]
    fn the_margin_of_a_negative_limit_points_to_the_well_side() {
        let over = Hysteresis::new(Side::Over, -10.0, 0.1);
        assert_eq!((over.enter(), over.leave()), (-10.0, -11.0));
    }

    #[test]
    fn a_gap_interrupts_it_and_a_lost_point_does_not() {
        let over = Hysteresis::new(Side::Over, 10.0, 0.0);
        let mut some = points(&[11.0, f64::NAN, 11.0, 11.0]);
        assert_eq!(sustained_since(&some, &over, minutes(2)), Some(0));
        assert_eq!(sustained_since(&some, &over, seconds(90)), Some(120_000));
        some.truncate(1);
        assert_eq!(sustained_since(&some, &over, minutes(2)), Some(0));
    }

    proptest! {
        #[test]
        fn a_wider_margin_never_shortens_it(
            values in prop::collection::vec(0.0..20.0_f64, 1..40), a in 0.0..0.5_f64, b in 0.0..0.5_f64,
        ) {
            let since = |margin| sustained_since(&points(&values), &Hysteresis::new(Side::Over, 10.0, margin), minutes(1));
            let (narrow, wide) = (since(a.min(b)), since(a.max(b)));
            prop_assert!(narrow.is_none() || wide.is_some_and(|wide| Some(wide) <= narrow));
        }
    }
}

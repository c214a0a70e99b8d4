//! The statistics that rules need. Instants are Unix milliseconds; values that are not finite are left out.

mod budget;
mod counter;
mod histogram;
mod quantile;
mod stability;
mod sustain;

pub use budget::burn_rate;
pub use counter::{increase, more_than_one_process, rate};
pub use histogram::{Bucket, buckets, histogram_quantile};
pub use quantile::quantile;
pub use stability::population_stability;
pub use sustain::{Hysteresis, sustained_since};

use crate::contract::facts::{Point, Sample};
use crate::contract::types::Instant;

/// The sum of the samples; 0 if there are none.
pub fn total(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.value).filter(|value| value.is_finite()).sum()
}

/// The points with `from <= at <= to` whose value is finite. The points are in order of time, as the contract says.
pub fn within(
    points: &[Point],
    from: Instant,
    to: Instant,
) -> impl DoubleEndedIterator<Item = &Point> + Clone {
    let first = points.partition_point(|point| point.at < from);
    let end = points.partition_point(|point| point.at <= to);
    points.get(first..end).unwrap_or_default().iter().filter(|point| point.value.is_finite())
}

/// The arithmetic mean of the points' values, each point weighing the same. None if there are none.
pub fn mean(points: &[Point]) -> Option<f64> {
    let mut finite = points.iter().map(|point| point.value).filter(|value| value.is_finite()).peekable();
    finite.peek()?;
    let (sum, count) = finite.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    Some(sum / f64::from(count))
}

/// The quotient where both have a point of the same instant and the denominator is above zero.
pub fn quotient(numerator: &[Point], denominator: &[Point]) -> Vec<Point> {
    let mut rest = denominator.iter().peekable();
    let mut quotients = Vec::with_capacity(numerator.len());
    for above in numerator {
        while rest.next_if(|below| below.at < above.at).is_some() {}
        let matching = rest.peek().filter(|below| below.at == above.at && below.value > 0.0);
        quotients.extend(matching.map(|below| Point { at: above.at, value: above.value / below.value }));
    }
    quotients
}

/// A value for a reader: four significant digits, no zeros at the end.
pub fn readable(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let decimals = (3.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at: Instant, value: f64) -> Point {
        Point { at, value }
    }

    #[test]
    fn a_mean_needs_a_value() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[point(0, f64::NAN)]), None);
        assert_eq!(mean(&[point(0, 1.0), point(1, f64::INFINITY), point(2, 2.0)]), Some(1.5));
    }

    #[test]
    fn a_quotient_needs_both_sides_at_the_same_instant() {
        let above = [point(1, 1.0), point(2, 4.0), point(4, 8.0), point(5, 1.0)];
        let below = [point(0, 9.0), point(2, 8.0), point(3, 1.0), point(4, 0.0), point(5, 4.0)];
        assert_eq!(quotient(&above, &below), [point(2, 0.5), point(5, 0.25)]);
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.051_234, 12.0, 1234.56, 1_000_000.0, -0.5, f64::NAN].map(readable);
        assert_eq!(shown, ["0", "0.05123", "12", "1235", "1000000", "-0.5", "NaN"]);
    }
}

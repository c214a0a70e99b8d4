use crate::contract::facts::Series;
use crate::contract::types::Instant;

/// One bucket of a cumulative histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The largest value that falls into it; infinite for the last.
    pub upper: f64,
    /// Observations up to `upper`, those of smaller buckets included.
    pub count: f64,
}

/// The buckets of `…_bucket` counter series by their label `le`, each with the growth in `from..=to`, smallest first.
///
/// Series that differ in other labels, such as replicas, are added.
pub fn buckets(series: &[Series], from: Instant, to: Instant) -> Vec<Bucket> {
    let mut found: Vec<Bucket> = Vec::new();
    for one in series {
        let le = one
            .labels
            .iter()
            .find(|label| label.name == "le")
            .and_then(|label| label.value.parse::<f64>().ok());
        let (Some(upper), Some(count)) =
            (le.filter(|le| !le.is_nan()), super::increase(&one.points, from, to))
        else {
            continue;
        };
        match found.iter_mut().find(|bucket| bucket.upper == upper) {
            Some(bucket) => bucket.count += count,
            None => found.push(Bucket { upper, count }),
        }
    }
    found.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    found
}

/// The `q`-quantile (0..=1) of a histogram, by linear interpolation within the bucket that it falls into.
///
/// As Prometheus' `histogram_quantile`: rank `q * total`; the lowest bucket begins at 0 if its upper end is positive,
/// otherwise its upper end is the answer; a rank in the infinite bucket answers the largest finite upper end. None
/// without an infinite bucket, without observations, without a finite bucket, or for a `q` outside 0..=1.
pub fn histogram_quantile(buckets: &[Bucket], q: f64) -> Option<f64> {
    let last = buckets.last().filter(|bucket| bucket.upper == f64::INFINITY && bucket.count > 0.0)?;
    if buckets.len() < 2 || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let rank = q * last.count;
    let index = buckets.iter().position(|bucket| bucket.count >= rank)?;
    let bucket = buckets[index];
    if bucket.upper == f64::INFINITY {
        return index.checked_sub(1).map(|below| buckets[below].upper);
    }
    let (lower, below) = match index.checked_sub(1).map(|below| buckets[below]) {
        Some(below) => (below.upper, below.count),
        None if bucket.upper > 0.0 => (0.0, 0.0),
        None => return Some(bucket.upper),
    };
    let inside = bucket.count - below;
    let share = if inside > 0.0 { (rank - below) / inside } else { 1.0 };
    Some(lower + share * (bucket.upper - lower))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::facts::Point;
    use crate::contract::types::Label;
    use proptest::prelude::*;

    fn histogram(counts: &[(f64, f64)]) -> Vec<Bucket> {
        counts.iter().map(|&(upper, count)| Bucket { upper, count }).collect()
    }

    #[test]
    fn a_rank_is_interpolated_within_its_bucket() {
        let latency = histogram(&[(0.1, 50.0), (0.5, 90.0), (1.0, 100.0), (f64::INFINITY, 100.0)]);
        let p70 = histogram_quantile(&latency, 0.7).expect("observations");
        assert!((p70 - 0.3).abs() < 1e-12, "{p70}");
        let p25 = histogram_quantile(&latency, 0.25).expect("observations");
        assert!((p25 - 0.05).abs() < 1e-12, "{p25}");
    }

    #[test]
    fn beyond_the_last_finite_bucket_its_end_is_the_answer() {
        let latency = histogram(&[(0.1, 1.0), (f64::INFINITY, 100.0)]);
        assert_eq!(histogram_quantile(&latency, 0.99), Some(0.1));
    }

    #[test]
    fn what_is_no_histogram_has_no_quantile() {
        assert_eq!(histogram_quantile(&[], 0.5), None);
        assert_eq!(histogram_quantile(&histogram(&[(0.1, 5.0), (1.0, 9.0)]), 0.5), None);
        assert_eq!(histogram_quantile(&histogram(&[(0.1, 0.0), (f64::INFINITY, 0.0)]), 0.5), None);
        assert_eq!(histogram_quantile(&histogram(&[(f64::INFINITY, 9.0)]), 0.5), None);
        assert_eq!(histogram_quantile(&histogram(&[(0.1, 5.0), (f64::INFINITY, 9.0)]), 2.0), None);
    }

    #[test]
    fn replicas_are_added_by_their_upper_end() {
        let one = |le: &str, grown: f64| Series {
            labels: vec![Label { name: "le".into(), value: le.into() }],
            points: vec![Point { at: 0, value: 3.0 }, Point { at: 1_000, value: 3.0 + grown }],
        };
        let series =
            [one("+Inf", 4.0), one("0.5", 1.0), one("+Inf", 6.0), one("0.5", 2.0), one("nonsense", 9.0)];
        assert_eq!(buckets(&series, 0, 1_000), histogram(&[(0.5, 3.0), (f64::INFINITY, 10.0)]));
    }

    proptest! {
        #[test]
        fn it_rises_with_q_and_stays_within_the_finite_buckets(
            counts in prop::collection::vec(0.0..100.0_f64, 2..12), a in 0.0..=1.0_f64, b in 0.0..=1.0_f64,
        ) {
            let mut sum = 1.0;
            let mut cumulative: Vec<Bucket> = counts.iter().enumerate().map(|(i, count)| {
                sum += count;
                Bucket { upper: (i + 1) as f64, count: sum }
            }).collect();
            cumulative.push(Bucket { upper: f64::INFINITY, count: sum + 1.0 });
            let at = |q| histogram_quantile(&cumulative, q).expect("a histogram");
            prop_assert!(at(a.min(b)) <= at(a.max(b)) + 1e-9);
            prop_assert!((0.0..=counts.len() as f64).contains(&at(a)));
        }
    }
}

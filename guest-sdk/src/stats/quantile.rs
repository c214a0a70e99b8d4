/// The `q`-quantile (0..=1) of the values, by linear interpolation between the closest ranks.
///
/// With the values in order `x[0]..=x[n-1]`, the quantile lies at index `h = q * (n - 1)`; between two values it is
/// `x[floor h] + (h - floor h) * (x[floor h + 1] - x[floor h])`. This is type 7 of Hyndman and Fan, "Sample Quantiles
/// in Statistical Packages" (1996), the default of R and NumPy. None for no finite value or a `q` outside 0..=1.
pub fn quantile(values: impl IntoIterator<Item = f64>, q: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let index = q * sorted.len().checked_sub(1)? as f64;
    let low = *sorted.get(index.floor() as usize)?;
    let high = *sorted.get(index.ceil() as usize)?;
    Some(low + index.fract() * (high - low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn between_two_values_it_is_interpolated() {
        assert_eq!(quantile([4.0, 1.0, 3.0, 2.0], 0.5), Some(2.5));
        assert_eq!(quantile([10.0, 20.0], 0.25), Some(12.5));
    }

    #[test]
    fn no_value_and_no_share_have_no_quantile() {
        assert_eq!(quantile([], 0.5), None);
        assert_eq!(quantile([f64::NAN], 0.5), None);
        assert_eq!(quantile([1.0], 1.1), None);
        assert_eq!(quantile([1.0], f64::NAN), None);
    }

    proptest! {
        #[test]
        fn it_rises_with_q_from_the_least_to_the_greatest(
            values in prop::collection::vec(-1e6..1e6_f64, 1..50), a in 0.0..=1.0_f64, b in 0.0..=1.0_f64,
        ) {
            let at = |q| quantile(values.iter().copied(), q).expect("finite values");
            prop_assert!(at(a.min(b)) <= at(a.max(b)) + 1e-9);
            prop_assert_eq!(at(0.0), values.iter().copied().fold(f64::INFINITY, f64::min));
            prop_assert_eq!(at(1.0), values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        }
    }
}

/// How fast an error budget is used up: `error_ratio / (1 - objective)`. 1 uses it up exactly at the end of the
/// objective's period. (Google, "The Site Reliability Workbook", chapter 5.)
///
/// `objective` is the share of good events that was promised, such as 0.999. None if it leaves no budget or promises
/// less than nothing, or if the ratio is not a number of at least 0.
pub fn burn_rate(error_ratio: f64, objective: f64) -> Option<f64> {
    let valid = (0.0..1.0).contains(&objective) && error_ratio >= 0.0 && error_ratio.is_finite();
    valid.then(|| error_ratio / (1.0 - objective))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_workbooks_page_threshold() {
        let burn = burn_rate(0.0144, 0.999).expect("a budget");
        assert!((burn - 14.4).abs() < 1e-9, "{burn}");
    }

    #[test]
    fn without_a_budget_there_is_no_rate() {
        for (ratio, objective) in
            [(0.1, 1.0), (0.1, 1.5), (0.1, -0.1), (0.1, f64::NAN), (f64::NAN, 0.9), (-0.1, 0.9)]
        {
            assert_eq!(burn_rate(ratio, objective), None, "{ratio} {objective}");
        }
    }

    proptest! {
        #[test]
        fn using_exactly_the_budget_is_one(objective in 0.0..0.99999_f64) {
            let burn = burn_rate(1.0 - objective, objective).expect("a budget");
            prop_assert!((burn - 1.0).abs() < 1e-9);
        }
    }
}

use serde::{Deserialize, Serialize};

use super::{BadInput, Evidence, inside};

/// Has the mean of values with a known standard deviation left the one that is known?
///
/// The mixture sequential probability ratio test: the likelihood ratio averaged over means that are normally distributed around the known one (Robbins,
/// "Statistical methods related to the law of the iterated logarithm", Annals of Mathematical Statistics 41, 1970; Johari, Koomen, Pekelis and Walsh,
/// "Always valid inference: continuous monitoring of A/B tests", Operations Research 70, 2022). The values are about normal, or each is a mean of many. A
/// deviation that is too small makes false alarms: where it is not known, or values are bounded, take [`MeanBet`](super::MeanBet).
///
/// ```
/// use ripcord_sdk::sequential::MeanMixture;
///
/// let mut latency = MeanMixture::new(120.0, 8.0, 4.0)?;
/// for mean_of_a_minute in [121.0, 127.0, 131.0, 129.0, 130.0] {
///     latency.observe(mean_of_a_minute)?;
/// }
/// assert!(!latency.evidence().is_beyond(0.05), "{:?}", latency.evidence());
/// for mean_of_a_minute in [130.0, 131.0, 129.0, 132.0, 130.0] {
///     latency.observe(mean_of_a_minute)?;
/// }
/// assert!(latency.evidence().is_beyond(0.05), "{:?}", latency.evidence());
/// # Ok::<(), ripcord_sdk::sequential::BadInput>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanMixture {
    mean: f64,
    variance: f64,
    spread: f64,
    count: f64,
    sum: f64,
    evidence: Evidence,
}

impl MeanMixture {
    /// Against this mean, with the deviation of one value, and about how far off a mean is that matters (which it finds soonest); both above 0.
    ///
    /// # Errors
    /// One of them is not finite, or not above 0, or so large or small that its square is not.
    pub fn new(mean: f64, deviation: f64, matters: f64) -> Result<Self, BadInput> {
        if !mean.is_finite() {
            return Err(BadInput::NotAValue(mean));
        }
        // The squares are what is reckoned with, and may be 0 or infinite where the value is neither.
        let square = |what, value: f64| {
            let square = if value > 0.0 { value * value } else { 0.0 };
            inside(what, square, 0.0, f64::INFINITY).map_err(|_| BadInput::NotInside {
                what,
                value,
                low: 0.0,
                high: f64::INFINITY,
            })
        };
        let (variance, spread) = (square("the deviation", deviation)?, square("what matters", matters)?);
        Ok(Self { mean, variance, spread, count: 0.0, sum: 0.0, evidence: Evidence::default() })
    }

    /// Takes the next value.
    ///
    /// # Errors
    /// It is not finite.
    pub fn observe(&mut self, value: f64) -> Result<(), BadInput> {
        if !value.is_finite() {
            return Err(BadInput::NotAValue(value));
        }
        self.count += 1.0;
        self.sum += value - self.mean;
        let Self { variance, spread, count, sum, .. } = *self;
        let both = variance + count * spread;
        let ln = 0.5 * (variance / both).ln() + spread * sum * sum / (2.0 * variance * both);
        self.evidence.set(ln);
        Ok(())
    }

    /// What there is by now.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_that_of_the_formula() {
        let mut test = MeanMixture::new(1.0, 2.0, 1.0).expect("a mean");
        [3.0, 4.0].into_iter().for_each(|value| test.observe(value).expect("a value"));
        // Two values, variance 4, spread 1: sqrt(4 / 6) * exp(25 / (2 * 4 * 6)).
        let expected = (4.0_f64 / 6.0).sqrt() * (25.0_f64 / 48.0).exp();
        assert!((test.evidence().e_value() - expected).abs() < 1e-12);
    }
}

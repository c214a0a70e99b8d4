use serde::{Deserialize, Serialize};

use super::{BadInput, Evidence, inside};

/// On which side of the mean a change matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sides {
    /// Values have become larger.
    Above,
    /// Values have become smaller.
    Below,
    /// Either: half of what is owned is bet on each side.
    Either,
}

/// Has the mean of values between 0 and 1 left the one that is known? Whatever their distribution.
///
/// Each value `x` multiplies what is bet on *larger* by `1 + lambda (x - mean)`, with a stake `lambda` from the values before it that grows wealth about
/// fastest, and never so large that one value could lose more than half (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
/// betting", Journal of the Royal Statistical Society B 86, 2024: the approximately GRAPA bet, and the hedged capital of both sides).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanBet {
    mean: f64,
    sides: Sides,
    ln_above: f64,
    ln_below: f64,
    count: f64,
    sum: f64,
    squares: f64,
    evidence: Evidence,
}

/// The largest part of what is owned that one value can lose.
const STAKE_MAX: f64 = 0.5;
/// The variance that is assumed before there are values: that of even ones.
const VARIANCE_BEFORE: f64 = 1.0 / 12.0;

impl MeanBet {
    /// Against this mean, above 0 and below 1. Scale values with other bounds by `(x - low) / (high - low)`.
    ///
    /// # Errors
    /// The mean is not inside.
    pub fn new(mean: f64, sides: Sides) -> Result<Self, BadInput> {
        let mean = inside("the mean", mean, 0.0, 1.0)?;
        let evidence = Evidence::default();
        Ok(Self { mean, sides, ln_above: 0.0, ln_below: 0.0, count: 0.0, sum: 0.0, squares: 0.0, evidence })
    }

    /// Takes the next value.
    ///
    /// # Errors
    /// It is not in 0..=1.
    pub fn observe(&mut self, value: f64) -> Result<(), BadInput> {
        if !(0.0..=1.0).contains(&value) {
            return Err(BadInput::NotAValue(value));
        }
        // The stake is chosen before the value is looked at: that is what makes the bet fair.
        let distance = (self.sum + self.mean) / (self.count + 1.0) - self.mean;
        let variance = (self.squares + VARIANCE_BEFORE) / (self.count + 1.0);
        let stake = distance / (variance + distance * distance);
        let above = stake.clamp(0.0, STAKE_MAX / self.mean);
        let below = (-stake).clamp(0.0, STAKE_MAX / (1.0 - self.mean));
        self.ln_above += (above * (value - self.mean)).ln_1p();
        self.ln_below += (-below * (value - self.mean)).ln_1p();
        self.count += 1.0;
        self.sum += value;
        let known = (self.sum + self.mean) / (self.count + 1.0);
        self.squares += (value - known).powi(2);
        self.evidence.set(match self.sides {
            Sides::Above => self.ln_above,
            Sides::Below => self.ln_below,
            Sides::Either => {
                let larger = self.ln_above.max(self.ln_below);
                larger + (0.5 * ((self.ln_above - larger).exp() + (self.ln_below - larger).exp())).ln()
            }
        });
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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_was_seen_the_next_bet_is_fair_and_never_ruins(
            values in prop::collection::vec(0.0..=1.0_f64, 0..40), mean in 0.01..0.99_f64,
        ) {
            for sides in [Sides::Above, Sides::Below, Sides::Either] {
                let mut bet = MeanBet::new(mean, sides).expect("a mean");
                for value in &values {
                    bet.observe(*value).expect("a value");
                }
                let before = bet.evidence().e_value();
                let after = |value: f64| {
                    let mut next = bet.clone();
                    next.observe(value).expect("a value");
                    next.evidence().e_value()
                };
                // The value that varies most with this mean: 1 with the probability of the mean, otherwise 0.
                let expected = mean * after(1.0) + (1.0 - mean) * after(0.0);
                prop_assert!((expected / before - 1.0).abs() < 1e-9, "{before} {expected}");
                prop_assert!(after(0.0) > 0.0 && after(1.0) > 0.0);
            }
        }
    }
}

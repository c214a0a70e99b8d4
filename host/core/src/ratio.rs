//! A finite ratio between zero and one.

use serde::{Deserialize, Serialize};

/// A number from 0 to 1, both included; never NaN.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Ratio(f64);

// Never NaN, so it equals itself.
impl Eq for Ratio {}

/// A number outside 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("`{0}` is not a ratio: write a number from 0 to 1")]
pub struct InvalidRatio(f64);

impl Ratio {
    /// The whole.
    pub const ONE: Self = Self(1.0);

    /// Checks and wraps `value`.
    pub fn new(value: f64) -> Result<Self, InvalidRatio> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(InvalidRatio(value)) }
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Ratio {
    type Error = InvalidRatio;
    fn try_from(value: f64) -> Result<Self, InvalidRatio> {
        Self::new(value)
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> f64 {
        ratio.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_zero_to_one() {
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Ratio::new(bad).is_err());
        }
        assert!(Ratio::new(0.0).is_ok() && Ratio::new(1.0).is_ok());
    }
}

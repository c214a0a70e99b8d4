//! The model as it is stored and evaluated: a logistic regression over readable terms.

use serde::{Deserialize, Serialize};

use crate::transaction::{NEW_ACCOUNT_DAYS, WIDTH, on_the_clock};

/// What the classifier weighs, in order. Each is a fixed function of the inputs and of the order of one.
pub const TERMS: [&str; 10] = [
    "ln-amount",
    "hour-sin",
    "hour-cos",
    "country-risk",
    "ln-account-age",
    "new-account",
    "merchant-risk",
    "ln-velocity",
    "web",
    "app",
];

/// The layout of `model.json` that this build reads and writes.
const FORMAT: u32 = 1;

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// A weight for each of [`TERMS`]; positive is towards fraud.
    pub weights: [f64; TERMS.len()],
    /// The log-odds of fraud when every term is zero.
    pub intercept: f64,
    /// Decline at this probability of fraud and above.
    pub threshold: f64,
}

/// What the service answers about a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Let it pass.
    Approve,
    /// Stop it.
    Decline,
}

impl Verdict {
    /// As answers, metrics and golden rows write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Decline => "decline",
        }
    }

    /// What would have been right for a transaction that turned out to be fraud, or not.
    #[must_use]
    pub fn right_for(fraud: bool) -> Self {
        if fraud { Self::Decline } else { Self::Approve }
    }
}

/// Why `model.json` is not a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Not JSON, or not of this shape.
    #[error("the artefact is not a model")]
    Json(#[from] serde_json::Error),
    /// Written by another release.
    #[error("the artefact has format {0}, and only format {FORMAT} can be read")]
    Format(u32),
    /// Fitted over other terms than [`TERMS`].
    #[error("the artefact weighs {found:?} where {TERMS:?} is expected")]
    Terms {
        /// The names in the file.
        found: Vec<String>,
    },
    /// A threshold that would decline all or nothing.
    #[error("the artefact's threshold {0} is not between 0 and 1")]
    Threshold(f64),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Stored {
    format: u32,
    kind: String,
    threshold: f64,
    intercept: f64,
    terms: Vec<Term>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Term {
    name: String,
    weight: f64,
}

impl Model {
    /// The terms of one row.
    #[must_use]
    pub fn terms(row: &[f64; WIDTH]) -> [f64; TERMS.len()] {
        let [amount, hour, country_risk, account_age, merchant_risk, velocity, channel] = *row;
        let (sin, cos) = on_the_clock(hour);
        let one_if = |condition: bool| if condition { 1.0 } else { 0.0 };
        [
            amount.max(0.0).ln_1p() - 4.0,
            sin,
            cos,
            country_risk,
            account_age.max(0.0).ln_1p() - 6.0,
            one_if(account_age < NEW_ACCOUNT_DAYS),
            merchant_risk,
            velocity.max(0.0).ln_1p(),
            one_if(channel == 1.0),
            one_if(channel == 2.0),
        ]
    }

    /// The probability that the transaction of this row is fraud, 0 to 1.
    #[must_use]
    pub fn probability(&self, row: &[f64; WIDTH]) -> f64 {
        let weighed: f64 =
            Self::terms(row).iter().zip(&self.weights).map(|(term, weight)| term * weight).sum();
        1.0 / (1.0 + (-(weighed + self.intercept)).exp())
    }

    /// What to answer for a probability of fraud.
    #[must_use]
    pub fn verdict(&self, probability: f64) -> Verdict {
        Verdict::right_for(probability >= self.threshold)
    }

    /// The bytes of `model.json`.
    ///
    /// # Errors
    /// A weight that is not finite cannot be written.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let terms = TERMS
            .iter()
            .zip(self.weights)
            .map(|(name, weight)| Term { name: (*name).to_owned(), weight })
            .collect();
        let stored = Stored {
            format: FORMAT,
            kind: "logistic-regression".to_owned(),
            threshold: self.threshold,
            intercept: self.intercept,
            terms,
        };
        let mut bytes = serde_json::to_vec_pretty(&stored)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads and checks `model.json`.
    ///
    /// # Errors
    /// See [`ModelError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, ModelError> {
        let stored: Stored = serde_json::from_slice(bytes)?;
        if stored.format != FORMAT {
            return Err(ModelError::Format(stored.format));
        }
        if !stored.terms.iter().map(|term| term.name.as_str()).eq(TERMS) {
            let found = stored.terms.into_iter().map(|term| term.name).collect();
            return Err(ModelError::Terms { found });
        }
        if !(stored.threshold > 0.0 && stored.threshold < 1.0) {
            return Err(ModelError::Threshold(stored.threshold));
        }
        let mut weights = [0.0; TERMS.len()];
        for (weight, term) in weights.iter_mut().zip(&stored.terms) {
            *weight = term.weight;
        }
        Ok(Self { weights, intercept: stored.intercept, threshold: stored.threshold })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn model() -> Model {
        Model {
            weights: [1.5, 0.1, 0.2, 0.3, -0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
            intercept: -3.25,
            threshold: 0.5,
        }
    }

    #[test]
    fn survives_its_file() {
        assert_eq!(Model::from_json(&model().to_json().unwrap()).unwrap(), model());
    }

    #[test]
    fn refuses_what_is_not_a_model() {
        let good = String::from_utf8(model().to_json().unwrap()).unwrap();
        let check = |bytes: &str, expected: &str| {
            let message = Model::from_json(bytes.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check("", "not a model");
        check(&good[..good.len() / 2], "not a model");
        check(&good.replace("\"format\": 1", "\"format\": 2"), "format 2");
        check(&good.replace("hour-sin", "hour"), "weighs");
        check(&good.replace("\"threshold\": 0.5", "\"threshold\": 0"), "threshold 0");
        check(&good.replace("1.5", "null"), "not a model");
        check(&good.replace("1.5", "1e999"), "not a model");
    }

    #[test]
    fn extreme_inputs_still_give_a_probability() {
        for value in [f64::MAX, f64::MIN, 0.0, -0.0, f64::MIN_POSITIVE] {
            let probability = model().probability(&[value; WIDTH]);
            assert!((0.0..=1.0).contains(&probability), "{value} gave {probability}");
        }
    }
}

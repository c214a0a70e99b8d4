//! How the online learner learns, and what it says about itself.

use serde::{Deserialize, Serialize};

use super::checkpoint::Metrics;
use super::fit::THRESHOLD_SINCE;
use super::newton::{self, SIZE};
use crate::model::{Model, TERMS, Verdict};
use crate::transaction::Labelled;

/// How much of what was learnt remains after a step: about fifty steps are remembered.
const MEMORY: f64 = 0.98;
/// Keeps the weights finite where the stream says nothing; per step.
const ALPHA: f64 = 0.02;

/// The state of the learner: a Newton step a batch, on curvature that fades.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Learner {
    weights: [f64; SIZE],
    curvature: [[f64; SIZE]; SIZE],
}

impl Learner {
    pub(super) fn new() -> Self {
        let mut curvature = [[0.0; SIZE]; SIZE];
        for (at, row) in curvature.iter_mut().enumerate() {
            row[at] = 1.0;
        }
        Self { weights: [0.0; SIZE], curvature }
    }

    pub(super) fn is_finite(&self) -> bool {
        self.weights.iter().chain(self.curvature.iter().flatten()).all(|value| value.is_finite())
    }

    pub(super) fn model(&self) -> Model {
        let mut weights = [0.0; TERMS.len()];
        weights.copy_from_slice(&self.weights[..TERMS.len()]);
        Model { weights, intercept: self.weights[TERMS.len()], threshold: THRESHOLD_SINCE }
    }

    /// None where the step leads nowhere.
    pub(super) fn learn(&mut self, batch: &[Labelled]) -> Option<()> {
        let model = self.model();
        let mut gradient = [0.0; SIZE];
        for (at, row) in self.curvature.iter_mut().enumerate() {
            for value in row.iter_mut() {
                *value *= MEMORY;
            }
            row[at] += ALPHA;
            gradient[at] = ALPHA * self.weights[at];
        }
        for labelled in batch {
            let row = labelled.transaction.row();
            let terms = newton::with_intercept(&Model::terms(&row));
            let probability = model.probability(&row);
            newton::weigh(&terms, probability, labelled.fraud, &mut gradient, &mut self.curvature);
        }
        let step = newton::solve(self.curvature, gradient)?;
        for (weight, step) in self.weights.iter_mut().zip(step) {
            *weight -= step;
        }
        self.is_finite().then_some(())
    }
}

/// What the learner says about itself: each transaction is judged before it is learnt, by the label that came with it.
#[derive(Debug, Default)]
pub(super) struct Judged {
    rows: f64,
    loss: f64,
    right: f64,
    declined: f64,
}

impl Judged {
    pub(super) fn see(&mut self, model: &Model, labelled: &Labelled) {
        let probability = model.probability(&labelled.transaction.row());
        let verdict = model.verdict(probability);
        let of_label = if labelled.fraud { probability } else { 1.0 - probability };
        self.rows += 1.0;
        self.loss -= of_label.max(1e-15).ln();
        self.right += f64::from(u8::from(verdict == Verdict::right_for(labelled.fraud)));
        self.declined += f64::from(u8::from(verdict == Verdict::Decline));
    }

    pub(super) fn metrics(&self) -> Metrics {
        let rounded = |sum: f64| (sum / self.rows.max(1.0) * 1e6).round() / 1e6;
        Metrics {
            eval_loss: rounded(self.loss),
            eval_accuracy: rounded(self.right),
            eval_decline_share: rounded(self.declined),
        }
    }
}

//! The golden set: transactions with the answer that would have been right, one JSON object a line.

use serde::{Deserialize, Serialize};

use crate::model::Verdict;
use crate::protocol::{InputTensor, transaction_tensor};
use crate::transaction::{Labelled, Population};

/// Fraud is rare; a golden set of the same mix would hardly test it.
const FRAUD_ROWS: usize = 60;
const HONEST_ROWS: usize = 140;
const SEED: u64 = 9_003;

/// One row of the golden set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Unique within the set.
    pub id: String,
    /// The slices it counts for, as `dimension=value`.
    pub slices: Vec<String>,
    /// What to send, as the protocol's `inputs`.
    pub inputs: Vec<InputTensor>,
    /// The answer that the truth asks for.
    pub expected: Verdict,
}

/// The labelled transactions of the golden set, none of which any version was trained on.
#[must_use]
pub fn examples() -> Vec<Labelled> {
    let (mut fraud, mut honest) = (FRAUD_ROWS, HONEST_ROWS);
    Population::new(SEED)
        .filter(|labelled| {
            let left = if labelled.fraud { &mut fraud } else { &mut honest };
            let wanted = *left > 0;
            *left = left.saturating_sub(1);
            wanted
        })
        .take(FRAUD_ROWS + HONEST_ROWS)
        .collect()
}

/// The rows of the golden set.
#[must_use]
pub fn rows() -> Vec<Row> {
    let row = |(index, labelled): (usize, Labelled)| Row {
        id: format!("golden-{:03}", index + 1),
        slices: labelled.transaction.slices(),
        inputs: vec![transaction_tensor(&labelled.transaction)],
        expected: Verdict::right_for(labelled.fraud),
    };
    examples().into_iter().enumerate().map(row).collect()
}

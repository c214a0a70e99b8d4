use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Recipe;
use super::newton;
use crate::Error;
use crate::hex::hex;
use crate::model::{Model, TERMS, Verdict};
use crate::transaction::{Labelled, Population, WIDTH};

/// The strength of the L2 penalty on the weights.
pub(super) const ALPHA: f64 = 1.0;
pub(super) const ITERATIONS_MAX: u64 = 100;
/// Of the recipes.
const THRESHOLD: f64 = 0.5;
/// Of what is trained after them: more fraud is caught, for a few more good customers.
pub(super) const THRESHOLD_SINCE: f64 = 0.3;

/// A version as it came out of training.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The fitted model.
    pub model: Model,
    /// Measured on rows held out of training, by the labels of the version's own source.
    pub measures: Measures,
    /// The sha-256 of the training rows and their labels, lower-case hex.
    pub dataset_sha256: String,
}

/// How well a model does on a set of labelled transactions. Each is a ratio between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measures {
    /// Right answers among all.
    pub accuracy: f64,
    /// The area under the receiver operating characteristic.
    pub auc: f64,
    /// Fraud among the declined; 1 when none was declined.
    pub precision: f64,
    /// Declined among the fraud; 1 when there was none.
    pub recall: f64,
    /// Declined among all.
    pub decline_share: f64,
}

/// Trains one version. The same recipe gives the same model.
///
/// # Errors
/// A fit that does not come to rest, which this crate's recipes do not meet.
pub fn train(recipe: &Recipe) -> Result<Trained, Error> {
    let mut population = Population::new(recipe.seed);
    let relabel = |labelled: Labelled| Labelled { fraud: recipe.labels.fraud(&labelled), ..labelled };
    let rows: Vec<Labelled> = population.by_ref().take(recipe.rows).map(relabel).collect();
    let held_out: Vec<Labelled> = population.take(recipe.rows / 4).map(relabel).collect();

    let examples: Vec<_> =
        rows.iter().map(|labelled| (Model::terms(&labelled.transaction.row()), labelled.fraud)).collect();
    let model = fit(recipe.version, &examples, THRESHOLD)?;
    let measures = measure(&model, &held_out);
    Ok(Trained { model, measures, dataset_sha256: digest(&rows) })
}

/// Fits a model to terms and labels.
pub(super) fn fit(
    version: &str,
    examples: &[([f64; TERMS.len()], bool)],
    threshold: f64,
) -> Result<Model, Error> {
    let fitted = newton::fit(examples, ALPHA, ITERATIONS_MAX)
        .ok_or_else(|| Error::Fit { version: version.to_owned(), iterations: ITERATIONS_MAX })?;
    Ok(Model { weights: fitted.weights, intercept: fitted.intercept, threshold })
}

/// Measures a model on labelled transactions.
#[must_use]
pub fn measure(model: &Model, rows: &[Labelled]) -> Measures {
    let rows: Vec<_> = rows.iter().map(|labelled| (labelled.transaction.row(), labelled.fraud)).collect();
    measure_rows(model, &rows)
}

/// The same of rows of the tensor with their labels.
pub(super) fn measure_rows(model: &Model, rows: &[([f64; WIDTH], bool)]) -> Measures {
    let probabilities: Vec<f64> = rows.iter().map(|(row, _)| model.probability(row)).collect();
    let truth: Vec<bool> = rows.iter().map(|(_, fraud)| *fraud).collect();
    let count = |wanted: fn(Verdict, bool) -> bool| {
        let matching = probabilities
            .iter()
            .zip(&truth)
            .filter(|(probability, fraud)| wanted(model.verdict(**probability), **fraud));
        matching.count()
    };
    let declined = count(|verdict, _| verdict == Verdict::Decline);
    let caught = count(|verdict, fraud| verdict == Verdict::Decline && fraud);
    let right = count(|verdict, fraud| verdict == Verdict::right_for(fraud));
    let auc = area_under_curve(&probabilities, &truth);
    Measures {
        accuracy: ratio(right, rows.len()),
        auc: (auc * 10_000.0).round() / 10_000.0,
        precision: ratio(caught, declined),
        recall: ratio(caught, count(|_, fraud| fraud)),
        decline_share: ratio(declined, rows.len()),
    }
}

/// The chance that a fraud gets a higher probability than a transaction that is none; a tie counts half. 0 where one of the two is missing.
fn area_under_curve(probabilities: &[f64], truth: &[bool]) -> f64 {
    let mut ranked: Vec<(f64, bool)> = probabilities.iter().copied().zip(truth.iter().copied()).collect();
    ranked.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (mut good_below, mut pairs_won, mut frauds) = (0.0, 0.0, 0.0);
    for tied in ranked.chunk_by(|left, right| left.0 == right.0) {
        let frauds_here = tied.iter().filter(|(_, fraud)| *fraud).count() as f64;
        let good_here = tied.len() as f64 - frauds_here;
        pairs_won += frauds_here * (good_below + good_here / 2.0);
        good_below += good_here;
        frauds += frauds_here;
    }
    let pairs = frauds * good_below;
    if pairs == 0.0 { 0.0 } else { pairs_won / pairs }
}

/// To four places, as measures are read.
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 1.0;
    }
    (part as f64 / whole as f64 * 10_000.0).round() / 10_000.0
}

fn digest(rows: &[Labelled]) -> String {
    let mut hash = Sha256::new();
    for labelled in rows {
        for value in labelled.transaction.row() {
            hash.update(value.to_le_bytes());
        }
        hash.update([u8::from(labelled.fraud)]);
    }
    hex(&hash.finalize())
}

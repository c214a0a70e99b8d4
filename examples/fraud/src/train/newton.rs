//! A logistic regression, fitted by Newton's method: the loss is smooth and convex, so it ends at the same weights from anywhere.

use crate::model::TERMS;

/// The terms, and the intercept after them.
pub(super) const SIZE: usize = TERMS.len() + 1;
/// At rest: no weight moves by more than this.
const STEP_AT_REST: f64 = 1e-10;

pub(super) type Vector = [f64; SIZE];
pub(super) type Matrix = [Vector; SIZE];

/// What was fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fitted {
    /// One for each term; positive is towards the class that is true.
    pub(super) weights: [f64; TERMS.len()],
    /// The log-odds where every term is zero.
    pub(super) intercept: f64,
}

/// Minimises the logistic loss plus `alpha / 2` times the squared weights (the intercept is not penalised). None if it does not come to rest.
pub(super) fn fit(
    examples: &[([f64; TERMS.len()], bool)],
    alpha: f64,
    iterations_max: u64,
) -> Option<Fitted> {
    let mut at = [0.0; SIZE];
    let mut loss = loss_at(examples, alpha, &at);
    for _ in 0..iterations_max {
        let step = newton_step(examples, alpha, &at)?;
        // Far from the minimum a whole step may lead past it.
        let mut share = 1.0;
        let (next, next_loss) = loop {
            let next: Vector = std::array::from_fn(|term| at[term] - share * step[term]);
            let next_loss = loss_at(examples, alpha, &next);
            if next_loss <= loss || share < 1e-6 {
                break (next, next_loss);
            }
            share /= 2.0;
        };
        let moved = (0..SIZE).map(|term| (next[term] - at[term]).abs()).fold(0.0, f64::max);
        if !moved.is_finite() {
            return None;
        }
        (at, loss) = (next, next_loss);
        if moved < STEP_AT_REST {
            let mut weights = [0.0; TERMS.len()];
            weights.copy_from_slice(&at[..TERMS.len()]);
            return Some(Fitted { weights, intercept: at[TERMS.len()] });
        }
    }
    None
}

pub(super) fn with_intercept(terms: &[f64; TERMS.len()]) -> Vector {
    std::array::from_fn(|term| terms.get(term).copied().unwrap_or(1.0))
}

fn log_odds(at: &Vector, row: &Vector) -> f64 {
    at.iter().zip(row).map(|(weight, value)| weight * value).sum()
}

fn loss_at(examples: &[([f64; TERMS.len()], bool)], alpha: f64, at: &Vector) -> f64 {
    let penalty: f64 = at[..TERMS.len()].iter().map(|weight| weight * weight).sum::<f64>() * alpha / 2.0;
    let misses = examples.iter().map(|(terms, truth)| {
        let odds = log_odds(at, &with_intercept(terms));
        let against = if *truth { -odds } else { odds };
        // ln(1 + e^x) without overflow.
        against.max(0.0) + (-against.abs()).exp().ln_1p()
    });
    penalty + misses.sum::<f64>()
}

/// The gradient divided by the curvature.
fn newton_step(examples: &[([f64; TERMS.len()], bool)], alpha: f64, at: &Vector) -> Option<Vector> {
    let (mut gradient, mut curvature) = ([0.0; SIZE], [[0.0; SIZE]; SIZE]);
    for term in 0..TERMS.len() {
        gradient[term] = alpha * at[term];
        curvature[term][term] = alpha;
    }
    for (terms, truth) in examples {
        let row = with_intercept(terms);
        let probability = 1.0 / (1.0 + (-log_odds(at, &row)).exp());
        weigh(&row, probability, *truth, &mut gradient, &mut curvature);
    }
    solve(curvature, gradient)
}

/// Adds what one row says to gradient and curvature.
pub(super) fn weigh(
    row: &Vector,
    probability: f64,
    truth: bool,
    gradient: &mut Vector,
    curvature: &mut Matrix,
) {
    let miss = probability - if truth { 1.0 } else { 0.0 };
    let spread = probability * (1.0 - probability);
    for left in 0..SIZE {
        gradient[left] += miss * row[left];
        for right in 0..SIZE {
            curvature[left][right] += spread * row[left] * row[right];
        }
    }
}

/// Gaussian elimination with the largest pivot; none if there is no single solution.
pub(super) fn solve(mut matrix: Matrix, mut right_side: Vector) -> Option<Vector> {
    for column in 0..SIZE {
        let pivot = (column..SIZE)
            .max_by(|one, other| matrix[*one][column].abs().total_cmp(&matrix[*other][column].abs()))?;
        if matrix[pivot][column].abs() < f64::MIN_POSITIVE {
            return None;
        }
        matrix.swap(column, pivot);
        right_side.swap(column, pivot);
        let pivot_row = matrix[column];
        for row in column + 1..SIZE {
            let factor = matrix[row][column] / pivot_row[column];
            for (value, pivot_value) in matrix[row].iter_mut().zip(pivot_row).skip(column) {
                *value -= factor * pivot_value;
            }
            right_side[row] -= factor * right_side[column];
        }
    }
    let mut solution = [0.0; SIZE];
    for row in (0..SIZE).rev() {
        let known: f64 = (row + 1..SIZE).map(|column| matrix[row][column] * solution[column]).sum();
        solution[row] = (right_side[row] - known) / matrix[row][row];
    }
    Some(solution)
}

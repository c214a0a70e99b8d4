//! The safe mode: a fixed rule that decides without any model, worse than a good model and harmless. It takes the amounts as euros, whatever
//! a decision configuration says, so that it depends on nothing that can be wrong.

use crate::model::Verdict;
use crate::transaction::{NEW_ACCOUNT_DAYS, WIDTH};

/// What answers say decided them, in the header [`HEADER`] and in metrics.
pub const NAME: &str = "rules";
/// The header in which every answer says what decided: `model` or `rules`.
pub const HEADER: &str = "x-answered-by";

/// Decline above this, in euros.
const LIMIT_EUR: f64 = 300.0;
/// For an account younger than 90 days.
const NEW_ACCOUNT_LIMIT_EUR: f64 = 100.0;

/// What the rule answers about a row of the tensor.
#[must_use]
pub fn verdict(row: &[f64; WIDTH]) -> Verdict {
    let [amount_eur, _, _, account_age_days, ..] = *row;
    let limit = if account_age_days < NEW_ACCOUNT_DAYS { NEW_ACCOUNT_LIMIT_EUR } else { LIMIT_EUR };
    Verdict::right_for(amount_eur > limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::Population;

    #[test]
    fn amounts_decide() {
        let of = |amount: f64, days: f64| verdict(&[amount, 3.0, 0.9, days, 0.9, 9.0, 1.0]);
        assert_eq!(of(300.0, 90.0), Verdict::Approve);
        assert_eq!(of(300.01, 90.0), Verdict::Decline);
        assert_eq!(of(100.0, 89.0), Verdict::Approve);
        assert_eq!(of(100.01, 89.0), Verdict::Decline);
    }

    #[test]
    fn it_is_harmless_and_catches_some_fraud() {
        let all: Vec<_> = Population::new(3).take(20_000).collect();
        let share = |fraud: bool| {
            let of: Vec<_> = all.iter().filter(|labelled| labelled.fraud == fraud).collect();
            let declined =
                of.iter().filter(|labelled| verdict(&labelled.transaction.row()) == Verdict::Decline);
            declined.count() as f64 / of.len() as f64
        };
        assert!(share(false) < 0.05, "{}", share(false));
        assert!(share(true) > 0.4, "{}", share(true));
    }
}

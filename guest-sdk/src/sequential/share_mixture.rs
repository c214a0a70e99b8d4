use serde::{Deserialize, Serialize};

use super::{BadInput, Evidence, hits, inside};
use crate::drift::ln_gamma;

/// Has a share of events left the one that is known?
///
/// The likelihood of what was seen, averaged over all shares by Jeffreys' weights, against that of the known share (Robbins, "Statistical methods related
/// to the law of the iterated logarithm", Annals of Mathematical Statistics 41, 1970; Krichevsky and Trofimov, "The performance of universal encoding", IEEE
/// Transactions on Information Theory 27, 1981). Exact for any number of events: nothing is approximated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShareMixture {
    share: f64,
    hits: f64,
    misses: f64,
    evidence: Evidence,
}

impl ShareMixture {
    /// Against this share, above 0 and below 1.
    ///
    /// # Errors
    /// It is not inside.
    pub fn new(share: f64) -> Result<Self, BadInput> {
        let share = inside("the share", share, 0.0, 1.0)?;
        Ok(Self { share, hits: 0.0, misses: 0.0, evidence: Evidence::default() })
    }

    /// Takes what is new since the last look: so many hits of so many events.
    ///
    /// # Errors
    /// More hits than events, or more events than one test takes.
    pub fn observe(&mut self, new_hits: u64, of: u64) -> Result<(), BadInput> {
        let (new_hits, of) = hits(new_hits, of, self.hits + self.misses)?;
        self.hits += new_hits;
        self.misses += of - new_hits;
        let Self { share, hits, misses, .. } = *self;
        let mixture = ln_beta(hits + 0.5, misses + 0.5) - ln_beta(0.5, 0.5);
        self.evidence.set(mixture - hits * share.ln() - misses * (-share).ln_1p());
        Ok(())
    }

    /// What there is by now.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(share: f64, seen: &[(u64, u64)]) -> f64 {
        let mut test = ShareMixture::new(share).expect("a share");
        seen.iter().for_each(|&(hits, of)| test.observe(hits, of).expect("counts"));
        test.evidence().e_value()
    }

    proptest! {
        #[test]
        fn whatever_was_seen_the_next_event_is_a_fair_bet(share in 0.01..0.99_f64, hits in 0..60_u64, misses in 0..60_u64) {
            let seen = (hits, hits + misses);
            let expected = share * after(share, &[seen, (1, 1)]) + (1.0 - share) * after(share, &[seen, (0, 1)]);
            prop_assert!((expected / after(share, &[seen]) - 1.0).abs() < 1e-9);
        }

        #[test]
        fn it_does_not_matter_in_which_parts_they_come(share in 0.05..0.95_f64, parts in prop::collection::vec((0..5_u64, 0..5_u64), 1..8)) {
            let parts: Vec<(u64, u64)> = parts.into_iter().map(|(hits, misses)| (hits, hits + misses)).collect();
            let whole = parts.iter().fold((0, 0), |(hits, of), part| (hits + part.0, of + part.1));
            prop_assert!((after(share, &parts) / after(share, &[whole]) - 1.0).abs() < 1e-9);
        }
    }
}

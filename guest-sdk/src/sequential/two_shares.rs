use serde::{Deserialize, Serialize};

use super::{BadInput, Evidence, hits};

/// Do two streams, such as the version that was live and the one that is, differ in a share of their events?
///
/// Each look brings a block of both. Its likelihood under two shares, guessed from the blocks before, is compared with that under one share for both,
/// their mean weighted by the sizes of the block (Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional
/// stopping", Journal of Statistical Planning and Inference 230, 2024). Nothing need be known of the shares. How large a block is must not depend on what is
/// in it: take all of a minute, not all until the first error.
///
/// ```
/// use ripcord_sdk::sequential::TwoShares;
///
/// let mut errors = TwoShares::default();
/// for _ in 0..6 {
///     errors.observe((2, 100), (9, 50))?;
/// }
/// assert!(errors.evidence().is_beyond(0.001));
/// # Ok::<(), ripcord_sdk::sequential::BadInput>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TwoShares {
    reference: Seen,
    now: Seen,
    ln: f64,
    evidence: Evidence,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seen {
    hits: f64,
    of: f64,
}

impl Seen {
    /// The share that is guessed before the next block; never 0 or 1.
    fn guess(self) -> f64 {
        (self.hits + 0.5) / (self.of + 1.0)
    }

    fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.of += other.of;
    }

    fn ln_likelihood(self, share: f64) -> f64 {
        self.hits * share.ln() + (self.of - self.hits) * (-share).ln_1p()
    }
}

impl TwoShares {
    /// Takes one block: hits of events, of the reference and of now.
    ///
    /// # Errors
    /// More hits than events on a side, or more events than one test takes.
    pub fn observe(&mut self, reference: (u64, u64), now: (u64, u64)) -> Result<(), BadInput> {
        let block = |(new, of), before: Seen| hits(new, of, before.of).map(|(hits, of)| Seen { hits, of });
        let (reference, now) = (block(reference, self.reference)?, block(now, self.now)?);
        let all = reference.of + now.of;
        if all <= 0.0 {
            return Ok(());
        }
        let (of_reference, of_now) = (self.reference.guess(), self.now.guess());
        let one = (reference.of * of_reference + now.of * of_now) / all;
        self.ln += reference.ln_likelihood(of_reference) - reference.ln_likelihood(one);
        self.ln += now.ln_likelihood(of_now) - now.ln_likelihood(one);
        self.reference.add(reference);
        self.now.add(now);
        self.evidence.set(self.ln);
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
        /// Every outcome of the next block is played, for a share that both have: on average nothing is won.
        #[test]
        fn whatever_was_seen_and_whatever_the_share_a_block_wins_nothing_on_average(
            before in prop::collection::vec((0..=3_u64, 0..=2_u64), 0..10), share in 0.0..=1.0_f64, n in 1..5_u64, m in 1..5_u64,
        ) {
            let mut test = TwoShares::default();
            for (hits, others) in before {
                test.observe((hits, 3), (others, 2)).expect("counts");
            }
            let probability = |hits: u64, of: u64| {
                let ways = (0..hits).map(|i| (of - i) as f64 / (i + 1) as f64).product::<f64>();
                ways * share.powi(hits as i32) * (1.0 - share).powi((of - hits) as i32)
            };
            let mut expected = 0.0;
            for hits in 0..=n {
                for others in 0..=m {
                    let mut next = test.clone();
                    next.observe((hits, n), (others, m)).expect("counts");
                    expected += probability(hits, n) * probability(others, m) * next.evidence().e_value();
                }
            }
            prop_assert!(expected <= test.evidence().e_value() * (1.0 + 1e-9), "{expected}");
        }
    }

    #[test]
    fn an_empty_block_says_nothing() {
        let mut test = TwoShares::default();
        test.observe((0, 0), (0, 0)).expect("counts");
        test.observe((0, 0), (5, 10)).expect("counts");
        assert!((test.evidence().e_value() - 1.0).abs() < 1e-12, "one side alone cannot be compared");
    }
}

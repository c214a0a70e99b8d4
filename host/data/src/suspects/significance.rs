//! Whether a slice is contradicted more often than the rest by more than chance, where many slices are looked at.
//!
//! One slice: Fisher's exact test, one-sided, which is the upper tail of the hypergeometric distribution (R. A. Fisher, *Statistical Methods for
//! Research Workers*, fifth edition, 1934, section 21.02). Many: Holm's step-down procedure (S. Holm, *A simple sequentially rejective multiple test procedure*,
//! Scandinavian Journal of Statistics 6, 1979), which holds whatever the slices have to do with one another: here they overlap.

/// Rows, and those among them that are contradicted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    pub(crate) contradicted: u64,
}

impl Tally {
    /// Zero where there are no rows.
    pub(crate) fn rate(self) -> f64 {
        if self.rows == 0 { 0.0 } else { self.contradicted as f64 / self.rows as f64 }
    }

    pub(crate) fn add(&mut self, contradicts: bool) {
        self.rows += 1;
        self.contradicted += u64::from(contradicts);
    }

    pub(crate) fn without(self, part: Self) -> Self {
        Self { rows: self.rows - part.rows, contradicted: self.contradicted - part.contradicted }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, contradicted: self.contradicted + other.contradicted }
    }

    /// Logarithm of how likely the counts are with a rate of their own.
    fn likelihood(self) -> f64 {
        let term =
            |count: u64| if count == 0 { 0.0 } else { count as f64 * (count as f64 / self.rows as f64).ln() };
        term(self.contradicted) + term(self.rows - self.contradicted)
    }

    /// How much better two rates explain the counts than one, as a logarithm of a likelihood ratio.
    pub(crate) fn gain(self, rest: Self) -> f64 {
        self.likelihood() + rest.likelihood() - self.plus(rest).likelihood()
    }
}

/// Logarithms of factorials, so that a tail is a sum of a few exponentials.
#[derive(Debug)]
pub(crate) struct Fisher {
    factorials: Vec<f64>,
}

impl Fisher {
    /// For tables of at most so many rows.
    pub(crate) fn up_to(rows: usize) -> Self {
        let mut factorials = Vec::with_capacity(rows + 1);
        let mut sum = 0.0;
        factorials.push(sum);
        for number in 1..=rows {
            sum += (number as f64).ln();
            factorials.push(sum);
        }
        Self { factorials }
    }

    fn choose(&self, from: u64, of: u64) -> f64 {
        let of_factorial =
            |number: u64| self.factorials.get(number as usize).copied().unwrap_or(f64::INFINITY);
        of_factorial(from) - of_factorial(of) - of_factorial(from - of)
    }

    /// How likely as many contradictions or more are in the slice by chance, where the slice is no different from the rest.
    pub(crate) fn p(&self, slice: Tally, rest: Tally) -> f64 {
        let all = slice.plus(rest);
        // Such a slice is no suspect, and a larger p is on the safe side.
        if slice.rows == 0 || rest.rows == 0 || slice.rate() <= rest.rate() {
            return 1.0;
        }
        let whole = self.choose(all.rows, slice.rows);
        let mut sum = 0.0;
        for contradicted in slice.contradicted..=slice.rows.min(all.contradicted) {
            let others = slice.rows - contradicted;
            if others > all.rows - all.contradicted {
                continue;
            }
            let term = (self.choose(all.contradicted, contradicted)
                + self.choose(all.rows - all.contradicted, others)
                - whole)
                .exp();
            sum += term;
            // Beyond the middle of the distribution each term is smaller than the one before.
            if term < sum * 1e-17 {
                break;
            }
        }
        sum.min(1.0)
    }
}

/// Each p as it is after Holm's correction for all of them.
pub(crate) fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|one, other| p[*one].total_cmp(&p[*other]));
    let mut adjusted = vec![1.0; p.len()];
    let mut least: f64 = 0.0;
    for (rank, at) in order.into_iter().enumerate() {
        least = least.max(p[at] * (p.len() - rank) as f64).min(1.0);
        adjusted[at] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(contradicted: u64, rows: u64) -> Tally {
        Tally { rows, contradicted }
    }

    #[test]
    fn fisher_is_the_tail_of_the_hypergeometric_distribution() {
        let fisher = Fisher::up_to(1_000);
        let check = |slice: Tally, rest: Tally, expected: f64| {
            let p = fisher.p(slice, rest);
            assert!((p - expected).abs() < 1e-9 * expected.max(1e-3), "{p} instead of {expected}");
        };
        // The lady tasting tea: all four cups right of eight, one in seventy.
        check(tally(4, 4), tally(0, 4), 1.0 / 70.0);
        // Three of four right or better: seventeen in seventy.
        check(tally(3, 4), tally(1, 4), 17.0 / 70.0);
        // Fisher's twins, 10 of 13 and 2 of 17: (286 · 136 + 78 · 17 + 13) of 30 choose 12.
        check(tally(10, 13), tally(2, 17), 40_235.0 / 86_493_225.0);
        check(tally(1, 4), tally(3, 4), 1.0);
        assert!(fisher.p(tally(400, 500), tally(1, 500)) < 1e-100);
    }

    #[test]
    fn holm_multiplies_by_what_is_left_and_never_falls() {
        assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
        assert_eq!(holm(&[0.5, 0.9]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}

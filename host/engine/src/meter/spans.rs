//! Sets of instants: what overlaps counts once.

/// Half-open stretches of time that neither overlap nor touch, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Spans(Vec<(u64, u64)>);

impl Spans {
    /// The union of `stretches`, in any order.
    pub(super) fn of(stretches: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut sorted: Vec<_> = stretches.into_iter().filter(|(from, to)| from < to).collect();
        sorted.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::with_capacity(sorted.len());
        for (from, to) in sorted {
            match joined.last_mut() {
                Some((_, end)) if from <= *end => *end = to.max(*end),
                _ => joined.push((from, to)),
            }
        }
        Self(joined)
    }

    pub(super) fn length(&self) -> u64 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }

    /// What is in either.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(&other.0).copied())
    }

    /// What is in both.
    pub(super) fn within(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some((a, b)), Some((c, d))) = (left.peek(), right.peek()) {
            both.push((*a.max(c), *b.min(d)));
            if b < d {
                left.next();
            } else {
                right.next();
            }
        }
        Self::of(both)
    }

    /// What is in this and not in `other`.
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut rest = Vec::new();
        for &(from, to) in &self.0 {
            let mut left = from;
            for &(begin, end) in other.0.iter().filter(|(begin, end)| *begin < to && *end > from) {
                if left < begin {
                    rest.push((left, begin));
                }
                left = left.max(end);
            }
            rest.push((left, to));
        }
        Self::of(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instants below 64, as bits.
    fn bits(spans: &Spans) -> u64 {
        spans.0.iter().flat_map(|(from, to)| *from..*to).fold(0, |all, at| all | 1 << at)
    }

    /// Stretches out of a number, so that each number gives others.
    fn some(seed: u64) -> Spans {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % 64
        };
        Spans::of((0..seed % 6).map(|_| (next(), next())))
    }

    #[test]
    fn they_are_sets() {
        for seed in 0..2_000 {
            let (a, b) = (some(seed), some(seed + 7_919));
            assert_eq!(bits(&a.and(&b)), bits(&a) | bits(&b), "{a:?} and {b:?}");
            assert_eq!(bits(&a.within(&b)), bits(&a) & bits(&b), "{a:?} within {b:?}");
            assert_eq!(bits(&a.without(&b)), bits(&a) & !bits(&b), "{a:?} without {b:?}");
            assert_eq!(a.length(), u64::from(bits(&a).count_ones()));
        }
    }

    #[test]
    fn what_overlaps_or_touches_is_one() {
        assert_eq!(Spans::of([(5, 7), (1, 3), (3, 4), (6, 9), (8, 8)]), Spans(vec![(1, 4), (5, 9)]));
    }
}

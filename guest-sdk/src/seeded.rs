//! Numbers by chance for the tests: the same seed gives the same numbers.

/// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of so many, how many fall into each class.
    pub(crate) fn counts(&mut self, shares: &[f64], of: usize) -> Vec<f64> {
        let mut counts = vec![0.0; shares.len()];
        for _ in 0..of {
            let mut rest = self.unit();
            let class = shares.iter().position(|share| {
                rest -= share;
                rest < 0.0
            });
            counts[class.unwrap_or(shares.len() - 1)] += 1.0;
        }
        counts
    }

    /// Of a normal distribution with mean 0 and deviation 1 (Box and Muller, 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * angle).cos()
    }
}

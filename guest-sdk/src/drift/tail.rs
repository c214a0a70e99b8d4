//! How often chance goes beyond a value.

/// The logarithm of the gamma function for `x` above 0, to about 15 digits (Lanczos 1964, with g = 7 and 9 coefficients).
pub(crate) fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        let pi = std::f64::consts::PI;
        return (pi / (pi * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let (sum, _) = COEFFICIENTS
        .iter()
        .fold((0.999_999_999_999_809_9, 1.0), |(sum, i), coefficient| (sum + coefficient / (x + i), i + 1.0));
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The upper tail of a chi-squared distribution: how often it exceeds `value` with so many degrees of freedom.
///
/// The regularised incomplete gamma function, by its series below and its continued fraction above (Abramowitz and Stegun, 6.5.29 and 6.5.31).
pub(super) fn chi_squared_tail(value: f64, degrees: f64) -> f64 {
    const TERMS_MAX: u32 = 10_000;
    const CLOSE: f64 = 1e-15;
    let (a, x) = (degrees / 2.0, value / 2.0);
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        for _ in 0..TERMS_MAX {
            n += 1.0;
            term *= x / n;
            sum += term;
            if term < sum * CLOSE {
                break;
            }
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    // Lentz' way through the continued fraction.
    let tiny = f64::MIN_POSITIVE / CLOSE;
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / tiny, 1.0 / b);
    let mut fraction = d;
    for i in 1..TERMS_MAX {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / away_from_zero(an * d + b, tiny);
        c = away_from_zero(b + an / c, tiny);
        let step = d * c;
        fraction *= step;
        if (step - 1.0).abs() < CLOSE {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

fn away_from_zero(value: f64, tiny: f64) -> f64 {
    if value.abs() < tiny { tiny } else { value }
}

/// The upper tail of Kolmogorov's distribution at `lambda`, by whichever of its two series converges fast there (Marsaglia, Tsang and Wang, "Evaluating
/// Kolmogorov's Distribution", Journal of Statistical Software 8, 2003).
pub(super) fn kolmogorov_tail(lambda: f64) -> f64 {
    const TERMS: i32 = 20;
    if lambda < 1e-6 {
        return 1.0;
    }
    if lambda < 1.18 {
        let pi_squared = std::f64::consts::PI.powi(2);
        let term = |j: i32| (-(f64::from(2 * j - 1).powi(2)) * pi_squared / (8.0 * lambda * lambda)).exp();
        let below = (2.0 * std::f64::consts::PI).sqrt() / lambda * (1..=TERMS).map(term).sum::<f64>();
        return (1.0 - below).clamp(0.0, 1.0);
    }
    let term = |j: i32| {
        let size = (-2.0 * f64::from(j * j) * lambda * lambda).exp();
        if j % 2 == 0 { -size } else { size }
    };
    (2.0 * (1..=TERMS).map(term).sum::<f64>()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_the_tables() {
        for (value, degrees, tail) in [
            (3.841, 1.0, 0.05),
            (18.307, 10.0, 0.05),
            (23.209, 10.0, 0.01),
            (124.342, 100.0, 0.05),
            (0.0, 3.0, 1.0),
        ] {
            let found = chi_squared_tail(value, degrees);
            assert!((found - tail).abs() < 1e-4, "{value} with {degrees}: {found}");
        }
        for (lambda, tail) in [(1.358_1, 0.05), (1.627_6, 0.01), (0.827_57, 0.5), (0.0, 1.0)] {
            let found = kolmogorov_tail(lambda);
            assert!((found - tail).abs() < 5e-4, "{lambda}: {found}");
        }
        let (below, above) = (kolmogorov_tail(1.179_999), kolmogorov_tail(1.180_001));
        assert!((below - above).abs() < 1e-5, "the two series meet: {below} {above}");
    }

    #[test]
    fn the_gamma_function_is_that_of_factorials() {
        for (x, factorial) in [(1.0, 1.0_f64), (5.0, 24.0), (11.0, 3_628_800.0)] {
            assert!((ln_gamma(x) - factorial.ln()).abs() < 1e-10, "{x}");
        }
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-12);
        assert!((ln_gamma(0.25) - 3.625_609_908_221_908_f64.ln()).abs() < 1e-12);
    }
}

//! Synthetic card transactions: what a payment service knows when it must decide, and the truth that it learns weeks later.
//!
//! Good and fraudulent transactions come from two overlapping distributions, so the best possible model errs now and then.
//! A seed gives the same transactions on every machine.

use std::f64::consts::TAU;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Beta, Distribution as _, LogNormal, Normal, Poisson};

/// The inputs of the model, in the order of the tensor.
pub const INPUTS: [&str; 7] =
    ["amount-eur", "hour", "country-risk", "account-age-days", "merchant-risk", "velocity-1h", "channel"];

/// How many inputs a transaction has.
pub const WIDTH: usize = INPUTS.len();

/// An account younger than this many days counts as new.
pub const NEW_ACCOUNT_DAYS: f64 = 90.0;

/// The share of transactions that are fraud.
const FRAUD_SHARE: f64 = 0.04;

/// How the customer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// At a terminal.
    Terminal,
    /// In a browser.
    Web,
    /// In the merchant's app.
    App,
}

impl Channel {
    /// As slices name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Web => "web",
            Self::App => "app",
        }
    }

    /// As the tensor carries it.
    #[must_use]
    pub fn code(self) -> f64 {
        match self {
            Self::Terminal => 0.0,
            Self::Web => 1.0,
            Self::App => 2.0,
        }
    }
}

/// Where the merchant is. Known to the people who cut slices, not to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// Europe.
    Eu,
    /// North America.
    Us,
    /// Asia and the Pacific.
    Apac,
}

impl Region {
    /// As slices name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Eu => "eu",
            Self::Us => "us",
            Self::Apac => "apac",
        }
    }

    fn country_risk(self) -> f64 {
        match self {
            Self::Eu => 0.0,
            Self::Us => 0.05,
            Self::Apac => 0.1,
        }
    }
}

/// One card transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// In euros, positive.
    pub amount_eur: f64,
    /// Local time of day, 0 to 24.
    pub hour: f64,
    /// Risk of the card's country, 0 to 1.
    pub country_risk: f64,
    /// Days since the customer signed up.
    pub account_age_days: f64,
    /// Risk of the merchant's trade, 0 to 1.
    pub merchant_risk: f64,
    /// Transactions of this card within the last hour.
    pub velocity_1h: f64,
    /// How the customer pays.
    pub channel: Channel,
    /// Where the merchant is.
    pub region: Region,
}

impl Transaction {
    /// The row of the tensor, in the order of [`INPUTS`].
    #[must_use]
    pub fn row(&self) -> [f64; WIDTH] {
        [
            self.amount_eur,
            self.hour,
            self.country_risk,
            self.account_age_days,
            self.merchant_risk,
            self.velocity_1h,
            self.channel.code(),
        ]
    }

    /// Whether the customer signed up less than [`NEW_ACCOUNT_DAYS`] ago.
    #[must_use]
    pub fn is_new_account(&self) -> bool {
        self.account_age_days < NEW_ACCOUNT_DAYS
    }

    /// The slices it falls into, as `dimension=value`.
    #[must_use]
    pub fn slices(&self) -> Vec<String> {
        let account = if self.is_new_account() { "new" } else { "established" };
        vec![
            format!("region={}", self.region.name()),
            format!("account={account}"),
            format!("channel={}", self.channel.name()),
        ]
    }
}

/// A transaction with the truth about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// What was known when it had to be decided.
    pub transaction: Transaction,
    /// Whether it was fraud.
    pub fraud: bool,
}

/// An endless stream of transactions; the same seed gives the same stream.
#[derive(Debug)]
pub struct Population {
    rng: ChaCha8Rng,
    honest: Habits,
    criminal: Habits,
}

/// How one kind of customer behaves.
#[derive(Debug)]
struct Habits {
    amount_eur: LogNormal<f64>,
    country_risk: Beta<f64>,
    merchant_risk: Beta<f64>,
    velocity_1h: Poisson<f64>,
    hour: Normal<f64>,
    any_hour_share: f64,
    new_account_share: f64,
    terminal_share: f64,
    web_share: f64,
}

impl Population {
    /// The stream of a seed.
    #[must_use]
    #[allow(clippy::expect_used, reason = "the parameters are constants within the distributions' domains")]
    pub fn new(seed: u64) -> Self {
        let inside = "constant within the distribution's domain";
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            honest: Habits {
                amount_eur: LogNormal::new(3.4, 0.9).expect(inside),
                country_risk: Beta::new(2.0, 10.0).expect(inside),
                merchant_risk: Beta::new(2.0, 7.0).expect(inside),
                velocity_1h: Poisson::new(0.8).expect(inside),
                hour: Normal::new(14.5, 4.0).expect(inside),
                any_hour_share: 0.1,
                new_account_share: 0.3,
                terminal_share: 0.45,
                web_share: 0.3,
            },
            criminal: Habits {
                amount_eur: LogNormal::new(5.3, 0.9).expect(inside),
                country_risk: Beta::new(3.0, 6.0).expect(inside),
                merchant_risk: Beta::new(4.5, 4.0).expect(inside),
                velocity_1h: Poisson::new(4.0).expect(inside),
                hour: Normal::new(2.5, 2.5).expect(inside),
                any_hour_share: 0.4,
                new_account_share: 0.4,
                terminal_share: 0.05,
                web_share: 0.6,
            },
        }
    }

    /// The next transaction.
    pub fn draw(&mut self) -> Labelled {
        let rng = &mut self.rng;
        let fraud = rng.random_bool(FRAUD_SHARE);
        let habits = if fraud { &self.criminal } else { &self.honest };
        let transaction = habits.draw(rng);
        Labelled { transaction, fraud }
    }
}

impl Iterator for Population {
    type Item = Labelled;

    fn next(&mut self) -> Option<Labelled> {
        Some(self.draw())
    }
}

impl Habits {
    fn draw(&self, rng: &mut ChaCha8Rng) -> Transaction {
        let region = match rng.random_range(0..10) {
            0..5 => Region::Eu,
            5..8 => Region::Us,
            _ => Region::Apac,
        };
        let hour = if rng.random_bool(self.any_hour_share) {
            rng.random_range(0.0..24.0)
        } else {
            self.hour.sample(rng).rem_euclid(24.0)
        };
        let account_age_days = if rng.random_bool(self.new_account_share) {
            rng.random_range(0.0..NEW_ACCOUNT_DAYS)
        } else {
            rng.random_range(NEW_ACCOUNT_DAYS..3_000.0)
        };
        let channel = match rng.random_range(0.0..1.0) {
            draw if draw < self.terminal_share => Channel::Terminal,
            draw if draw < self.terminal_share + self.web_share => Channel::Web,
            _ => Channel::App,
        };
        Transaction {
            amount_eur: rounded(self.amount_eur.sample(rng), 2),
            hour: rounded(hour, 2).min(23.99),
            country_risk: rounded((self.country_risk.sample(rng) + region.country_risk()).min(1.0), 3),
            account_age_days: account_age_days.floor(),
            merchant_risk: rounded(self.merchant_risk.sample(rng), 3),
            velocity_1h: self.velocity_1h.sample(rng),
            channel,
            region,
        }
    }
}

/// Rounded to so many decimal places, as the systems that record such values do.
fn rounded(value: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (value * scale).round() / scale
}

/// The time of day as a point on a circle, so that 23:59 is near 00:01.
pub(crate) fn on_the_clock(hour: f64) -> (f64, f64) {
    let angle = TAU * hour.rem_euclid(24.0) / 24.0;
    (angle.sin(), angle.cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_stream() {
        let of = |seed| Population::new(seed).take(50).collect::<Vec<_>>();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn values_stay_in_their_ranges() {
        for Labelled { transaction, .. } in Population::new(5).take(5_000) {
            assert!(transaction.amount_eur >= 0.0 && transaction.amount_eur.is_finite());
            assert!((0.0..24.0).contains(&transaction.hour), "{transaction:?}");
            assert!((0.0..=1.0).contains(&transaction.country_risk), "{transaction:?}");
            assert!((0.0..3_000.0).contains(&transaction.account_age_days), "{transaction:?}");
            assert!((0.0..=1.0).contains(&transaction.merchant_risk), "{transaction:?}");
            assert!(transaction.velocity_1h >= 0.0 && transaction.velocity_1h.fract() == 0.0);
        }
    }

    #[test]
    fn shares_are_as_described() {
        let all: Vec<_> = Population::new(5).take(20_000).collect();
        let share = |count: usize| count as f64 / all.len() as f64;
        let fraud = share(all.iter().filter(|labelled| labelled.fraud).count());
        assert!((fraud - FRAUD_SHARE).abs() < 0.005, "{fraud}");
        let new = share(all.iter().filter(|labelled| labelled.transaction.is_new_account()).count());
        assert!((new - 0.3).abs() < 0.02, "{new}");
    }
}

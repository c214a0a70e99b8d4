use jiff::{SignedDuration, Timestamp};

use crate::Error;
use crate::transaction::Labelled;

/// Where the labels of a training set came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// The review team looked at each: they are the truth.
    Reviewed,
    /// An import that took every transaction of a new account for a chargeback. This poisons the version trained on it.
    ChargebackImport,
}

impl Labels {
    /// What the training set says about a transaction.
    #[must_use]
    pub fn fraud(self, labelled: &Labelled) -> bool {
        match self {
            Self::Reviewed => labelled.fraud,
            Self::ChargebackImport => labelled.fraud || labelled.transaction.is_new_account(),
        }
    }

    /// The name of the source, as the lineage gives it.
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Self::Reviewed => "review-team",
            Self::ChargebackImport => "chargeback-import",
        }
    }
}

/// All that decides what a version becomes.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// The version that it makes.
    pub version: &'static str,
    /// The version that it takes the place of. It is trained from scratch, so that one is no parent of it.
    pub replaces: Option<&'static str>,
    /// The seed of the training set.
    pub seed: u64,
    /// Rows of the training set. A quarter as many again are held out for the measures.
    pub rows: usize,
    /// The source of the labels.
    pub labels: Labels,
    /// How long before now it was made.
    pub age: SignedDuration,
}

impl Recipe {
    /// Every version, oldest first.
    pub const ALL: [Self; 3] = [
        Self {
            version: "1.2.0",
            replaces: None,
            seed: 120,
            rows: 2_000,
            labels: Labels::Reviewed,
            age: SignedDuration::from_hours(60 * 24),
        },
        Self {
            version: "1.3.2",
            replaces: Some("1.2.0"),
            seed: 132,
            rows: 6_000,
            labels: Labels::Reviewed,
            age: SignedDuration::from_hours(14 * 24),
        },
        Self {
            version: "1.4.0",
            replaces: Some("1.3.2"),
            seed: 140,
            rows: 6_000,
            labels: Labels::ChargebackImport,
            age: SignedDuration::from_hours(2),
        },
    ];

    /// The same recipe on other transactions; seed 0 changes nothing.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { seed: self.seed + seed * 1_000, ..self }
    }

    /// The recipe of a version.
    ///
    /// # Errors
    /// No recipe makes that version.
    pub fn named(version: &str) -> Result<Self, Error> {
        let known = || Self::ALL.map(|recipe| format!("`{}`", recipe.version)).join(", ");
        Self::ALL
            .into_iter()
            .find(|recipe| recipe.version == version)
            .ok_or_else(|| Error::UnknownVersion { version: version.to_owned(), known: known() })
    }

    /// When it was made, to the second, if it is `now`.
    #[must_use]
    pub fn created_at(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_second(now.as_second())
            .and_then(|now| now.checked_sub(self.age))
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

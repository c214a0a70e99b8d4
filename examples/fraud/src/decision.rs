//! The decision configuration: what stands between the model's probability and the service's answer. It is a JSON file beside the model,
//! kept and changed by other people than the model, so a harm can come from either.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::hex::hex;
use crate::model::{Model, Verdict};
use crate::transaction::{NEW_ACCOUNT_DAYS, WIDTH};

/// The name that the file has in this example.
pub const FILE: &str = "decision.json";
/// The header in which every answer says which configuration decided: the sha-256 of the file that was loaded, lower-case hex. Absent where the
/// server was given none.
pub const HEADER: &str = "x-decision-config";

/// A file of more bytes is not read.
const BYTES_MAX: u64 = 64 * 1024;
const REVISION_BYTES_MAX: usize = 64;
/// So many hex digits of the sha-256 tell configurations apart for people.
const FINGERPRINT_LENGTH: usize = 12;

/// The content of `decision.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DecisionConfig {
    /// The name that its author gave it; without one it goes by its fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Decline at this probability of fraud and above, above 0 and at most 1.
    pub decline_from: f64,
    /// Approve, and have a person look at it later, at this probability and above; at most `decline_from`.
    pub review_from: f64,
    /// What one unit of the amount in a request is in euros: 1, or 0.01 for callers that send cents.
    pub amount_unit_eur: f64,
    /// Decline what an account younger than 90 days pays above this, in euros, whatever the model says.
    pub new_account_limit_eur: f64,
}

/// Why a file is not a decision configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("`{path}` cannot be read: check that it exists and may be read")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than any configuration.
    #[error("`{path}` has more than {BYTES_MAX} bytes: is it the decision configuration?")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// Not JSON, or not of this shape.
    #[error("`{path}` is no decision configuration")]
    Json {
        /// The file.
        path: String,
        /// What the reader said.
        #[source]
        source: serde_json::Error,
    },
    /// A value that no decision can be made with.
    #[error("`{path}`: {problem}")]
    Value {
        /// The file.
        path: String,
        /// Which value, why, and what to write instead.
        problem: String,
    },
}

/// A configuration as it was read, with the digest of the very bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce {
    /// What it says.
    pub config: DecisionConfig,
    /// The sha-256 of the file, lower-case hex.
    pub sha256: String,
}

/// What came of one transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Of fraud, 0 to 1.
    pub probability: f64,
    /// The answer.
    pub verdict: Verdict,
    /// Approved, and a person is to look at it.
    pub review: bool,
}

/// Configurations to try: what the team has in force, a harmless edit, and mistakes that pass every check and harm good customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// As the team has it.
    Steady,
    /// Sends more to review and declines nobody else: a change that is innocent.
    MoreReviews,
    /// Declines from a probability of 0.0003, where 0.3 was meant and written in thousandths.
    LowThreshold,
    /// Takes the euros of the callers for a hundred euros each.
    WrongUnit,
    /// Limits new accounts to 2 euros where 2 thousand were meant.
    NewAccountLimit,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 5] =
        [Self::Steady, Self::MoreReviews, Self::LowThreshold, Self::WrongUnit, Self::NewAccountLimit];

    /// Whether it declines good customers that the others approve.
    #[must_use]
    pub fn is_harmful(self) -> bool {
        matches!(self, Self::LowThreshold | Self::WrongUnit | Self::NewAccountLimit)
    }

    /// The configuration, under a revision's name.
    #[must_use]
    pub fn config(self, revision: &str) -> DecisionConfig {
        let steady = DecisionConfig {
            revision: Some(revision.to_owned()),
            decline_from: 0.3,
            review_from: 0.1,
            amount_unit_eur: 1.0,
            new_account_limit_eur: 2_000.0,
        };
        match self {
            Self::Steady => steady,
            Self::MoreReviews => DecisionConfig { review_from: 0.05, ..steady },
            Self::LowThreshold => DecisionConfig { decline_from: 0.0003, review_from: 0.0001, ..steady },
            Self::WrongUnit => DecisionConfig { amount_unit_eur: 100.0, ..steady },
            Self::NewAccountLimit => DecisionConfig { new_account_limit_eur: 2.0, ..steady },
        }
    }
}

impl DecisionConfig {
    /// The bytes of the file.
    ///
    /// # Errors
    /// A value that is not finite cannot be written.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// What is answered about a row of the tensor.
    #[must_use]
    pub fn decide(&self, model: &Model, row: &[f64; WIDTH]) -> Decision {
        let mut scaled = *row;
        let [amount_eur, _, _, account_age_days, ..] = &mut scaled;
        *amount_eur *= self.amount_unit_eur;
        let over_limit = *account_age_days < NEW_ACCOUNT_DAYS && *amount_eur > self.new_account_limit_eur;
        let probability = model.probability(&scaled);
        let verdict = Verdict::right_for(over_limit || probability >= self.decline_from);
        let review = verdict == Verdict::Approve && probability >= self.review_from;
        Decision { probability, verdict, review }
    }

    /// What no decision can be made with. A value that is merely wrong, such as a limit in the wrong unit, is none of it.
    fn problem(&self) -> Option<String> {
        if let Some(revision) = &self.revision
            && (revision.is_empty()
                || revision.len() > REVISION_BYTES_MAX
                || !revision.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Some(format!(
                "`revision` must be 1 to {REVISION_BYTES_MAX} visible ASCII characters without blanks, and is {revision:?}"
            ));
        }
        let over_zero = |value: f64| value.is_finite() && value > 0.0;
        if !(over_zero(self.decline_from) && self.decline_from <= 1.0) {
            return Some(format!(
                "`decline-from` is a probability above 0 and at most 1, and is `{}`",
                self.decline_from
            ));
        }
        if !(over_zero(self.review_from) && self.review_from <= self.decline_from) {
            return Some(format!(
                "`review-from` is a probability above 0 and at most `decline-from`, and is `{}`",
                self.review_from
            ));
        }
        if !over_zero(self.amount_unit_eur) {
            return Some(format!(
                "`amount-unit-eur` is a number above 0, such as 1 or 0.01, and is `{}`",
                self.amount_unit_eur
            ));
        }
        if !over_zero(self.new_account_limit_eur) {
            return Some(format!(
                "`new-account-limit-eur` is an amount above 0, and is `{}`",
                self.new_account_limit_eur
            ));
        }
        None
    }
}

impl InForce {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = || path.display().to_string();
        let unreadable = |source| ConfigError::Read { path: shown(), source };
        if std::fs::metadata(path).map_err(unreadable)?.len() > BYTES_MAX {
            return Err(ConfigError::TooLarge { path: shown() });
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let config: DecisionConfig =
            serde_json::from_slice(&bytes).map_err(|source| ConfigError::Json { path: shown(), source })?;
        match config.problem() {
            Some(problem) => Err(ConfigError::Value { path: shown(), problem }),
            None => Ok(Self { config, sha256: hex(&Sha256::digest(&bytes)) }),
        }
    }

    /// The first digits of the digest, for people.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        fingerprint(&self.sha256)
    }

    /// The name that its author gave it, else its fingerprint.
    #[must_use]
    pub fn revision(&self) -> &str {
        self.config.revision.as_deref().unwrap_or_else(|| self.fingerprint())
    }
}

/// The first digits of a digest, for people.
pub(crate) fn fingerprint(sha256: &str) -> &str {
    sha256.get(..FINGERPRINT_LENGTH).unwrap_or(sha256)
}

/// `fraud configure`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub file: std::path::PathBuf,
    /// What it says
    #[arg(long, value_enum, default_value_t = Preset::Steady)]
    pub preset: Preset,
    /// The name of this state of the file
    #[arg(long, value_name = "NAME", default_value = "1")]
    pub revision: String,
}

/// Writes a configuration, checked as the server checks it, and tells its fingerprint. The server takes it up when it is told to reload.
///
/// # Errors
/// A revision's name that the server would refuse, or a file that cannot be written.
pub fn write(args: &Args) -> Result<InForce, Error> {
    let config = args.preset.config(&args.revision);
    if let Some(problem) = config.problem() {
        return Err(Error::Setting(problem));
    }
    let bytes = config.to_json().map_err(Error::encode("the decision configuration"))?;
    crate::files::replace(&args.file, &bytes)?;
    Ok(InForce { config, sha256: hex(&Sha256::digest(&bytes)) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &[u8]) -> Result<InForce, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        std::fs::write(&file, text).unwrap();
        InForce::read(&file).map_err(|error| crate::error::with_causes(&error))
    }

    #[test]
    fn every_preset_survives_its_file_and_is_told_apart() {
        let mut seen = std::collections::BTreeSet::new();
        for preset in Preset::ALL {
            let config = preset.config("7");
            let read = read(&config.to_json().unwrap()).unwrap();
            assert_eq!(read.config, config);
            assert_eq!(read.revision(), "7");
            assert!(seen.insert(read.fingerprint().to_owned()), "{preset:?} looks like another");
        }
    }

    #[test]
    fn without_a_name_it_goes_by_its_fingerprint() {
        let mut config = Preset::Steady.config("7");
        config.revision = None;
        let read = read(&config.to_json().unwrap()).unwrap();
        assert_eq!(read.revision(), read.fingerprint());
        assert_eq!((read.fingerprint().len(), read.sha256.len()), (12, 64));
    }

    #[test]
    fn refuses_what_no_decision_can_be_made_with() {
        let good = String::from_utf8(Preset::Steady.config("7").to_json().unwrap()).unwrap();
        let check = |text: &str, expected: &str| {
            let message = read(text.as_bytes()).unwrap_err();
            assert!(message.contains(expected), "`{text}` gave `{message}`");
        };
        let with = |from: &str, to: &str| {
            let text = good.replace(from, to);
            assert_ne!(text, good, "`{from}` is not in the file");
            text
        };
        check("", "is no decision configuration: EOF");
        check(&good[..good.len() / 2], "is no decision configuration");
        check("[]", "is no decision configuration");
        check("{}", "missing field");
        check(&with("review-from", "revew-from"), "unknown field `revew-from`");
        check(&with("0.3", "null"), "is no decision configuration");
        check(&with("0.3", "\"0.3\""), "is no decision configuration");
        check(&with("0.3", "1e999"), "is no decision configuration");
        check(&with("0.3", "0.0"), "`decline-from` is a probability above 0 and at most 1, and is `0`");
        check(&with("0.3", "1.01"), "`decline-from` is a probability");
        check(&with("0.1", "0.6"), "`review-from` is a probability above 0 and at most `decline-from`");
        check(&with("1.0", "0"), "`amount-unit-eur` is a number above 0");
        check(&with("2000.0", "-1"), "`new-account-limit-eur` is an amount above 0, and is `-1`");
        check(&with("\"7\"", "\"\""), "`revision` must be 1 to 64");
        check(&with("\"7\"", "\"a b\""), "`revision` must be 1 to 64");
        check(&with("\"7\"", "\"a\\u001b[2J\""), "`revision` must be 1 to 64");
        check(&with("\"7\"", &format!("\"{}\"", "x".repeat(65))), "`revision` must be 1 to 64");
        check(&" ".repeat(65 * 1024), "more than 65536 bytes");
        let missing = InForce::read(Path::new("none/decision.json")).unwrap_err().to_string();
        assert_eq!(missing, "`none/decision.json` cannot be read: check that it exists and may be read");
    }
}

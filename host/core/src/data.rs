//! A revision of a training set. It is no facet, since it is not put back by itself; versions descend from it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::foreign::Foreign;
use crate::target::RetrainTarget;

/// The parameter of a lineage that names the revision whose rows were left out.
pub const PURGED_FROM: &str = "ripcord:purged-from";

/// Of a data set's name, and of a revision.
const CHARS_MAX: usize = 200;

/// A revision of a data set. As text `DATASET@REVISION`, which can be shown as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DataRevision {
    dataset: String,
    revision: String,
}

/// Text that names no revision of a data set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no revision of a data set: write DATASET@REVISION, each of 1 to {CHARS_MAX} characters that are shown as they are"
)]
pub struct InvalidData {
    text: String,
}

impl DataRevision {
    /// Checks both names: what stands in texts for people does not mislead them, and what a command prints can be typed.
    pub fn new(dataset: &str, revision: &str) -> Result<Self, InvalidData> {
        let is_name = |text: &str| {
            !text.is_empty()
                && text.chars().count() <= CHARS_MAX
                && text.trim() == text
                && !text.starts_with('-')
                && !Foreign::signed(text).is_changed()
        };
        if is_name(dataset) && is_name(revision) && !revision.contains('@') {
            return Ok(Self { dataset: dataset.to_owned(), revision: revision.to_owned() });
        }
        let text = format!("{dataset}@{revision}");
        Err(InvalidData { text: Foreign::signed(&text).at_most(CHARS_MAX).to_string() })
    }

    /// What a training leaves rows out of; none where it leaves out none, or the names have no such form.
    pub fn purged_by(retrain: &RetrainTarget) -> Option<Self> {
        let purges = !retrain.exclude.is_empty();
        purges.then(|| Self::new(&retrain.dataset, &retrain.revision).ok()).flatten()
    }

    /// The data set's name.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// Its revision, as whoever keeps the data names it.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Whether a lineage that names this set and revision means it. A digest of the content says so whatever the set is called.
    pub fn is(&self, dataset: &str, revision: &str) -> bool {
        self.revision == revision && (self.dataset == dataset || is_content_digest(revision))
    }

    /// As a person types it in a shell.
    pub fn typed(&self) -> String {
        let text = self.to_string();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=.:/@".contains(c);
        if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
    }
}

fn is_content_digest(revision: &str) -> bool {
    let hex = revision.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl FromStr for DataRevision {
    type Err = InvalidData;

    fn from_str(text: &str) -> Result<Self, InvalidData> {
        let (dataset, revision) = text.rsplit_once('@').unwrap_or((text, ""));
        Self::new(dataset, revision)
            .map_err(|_| InvalidData { text: Foreign::signed(text).at_most(CHARS_MAX).to_string() })
    }
}

impl TryFrom<String> for DataRevision {
    type Error = InvalidData;

    fn try_from(text: String) -> Result<Self, InvalidData> {
        text.parse()
    }
}

impl From<DataRevision> for String {
    fn from(data: DataRevision) -> Self {
        data.to_string()
    }
}

impl fmt::Display for DataRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.dataset, self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_reads_back_as_it_is_written() {
        for text in ["transactions@3", "a@b@r7", "clicks of may@r7", "transactions@sha256:00ff"] {
            let data: DataRevision = text.parse().expect(text);
            assert_eq!(data.to_string(), text);
        }
        let data: DataRevision = "a@b@r7".parse().expect("data");
        assert_eq!((data.dataset(), data.revision()), ("a@b", "r7"));
    }

    #[test]
    fn what_cannot_be_shown_as_it_is_or_typed_is_no_name() {
        for text in ["", "clicks", "clicks@", "@3", " a@3", "-a@3", "a@-3", "a`b@3", "a\u{200b}b@3", "a\nb@3"]
        {
            assert!(text.parse::<DataRevision>().is_err(), "{text:?}");
        }
        assert!(DataRevision::new("clicks", "r@7").is_err(), "it would read back as another set");
        assert!(DataRevision::new("clicks", &"7".repeat(201)).is_err());
    }

    #[test]
    fn content_is_the_same_under_any_name_and_a_number_is_not() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        assert!(DataRevision::new("clicks", &digest).unwrap().is("copy-of-clicks", &digest));
        let numbered = DataRevision::new("clicks", "3").unwrap();
        assert!(numbered.is("clicks", "3") && !numbered.is("views", "3") && !numbered.is("clicks", "4"));
    }

    #[test]
    fn it_is_typed_as_a_shell_takes_it() {
        assert_eq!(DataRevision::new("clicks", "r7").unwrap().typed(), "clicks@r7");
        assert_eq!(DataRevision::new("it's", "r7").unwrap().typed(), r"'it'\''s@r7'");
    }
}

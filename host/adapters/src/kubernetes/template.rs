//! Texts of a cluster that name a version, such as the address of a model.

use ripcord_core::name::VersionName;
use ripcord_ports::{ErrorKind, PortError};

use super::shown;

const VERSION: &str = "{version}";
const MODEL: &str = "{model}";

/// A text with one hole for the version's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    key: &'static str,
    before: String,
    after: String,
}

impl Template {
    /// `key` is the setting; `{model}` stands for `model`.
    pub(crate) fn new(key: &'static str, text: &str, model: &str) -> Result<Self, PortError> {
        let text = text.replace(MODEL, model);
        match text.split(VERSION).collect::<Vec<_>>().as_slice() {
            [before, after] => Ok(Self { key, before: (*before).to_owned(), after: (*after).to_owned() }),
            parts => Err(PortError::not_applied(
                ErrorKind::Configuration,
                format!(
                    "`{key}` has `{VERSION}` {} times: write it once, where the name of the version stands",
                    parts.len() - 1
                ),
            )),
        }
    }

    /// The text for a version.
    pub(crate) fn of(&self, version: &VersionName) -> String {
        format!("{}{version}{}", self.before, self.after)
    }

    /// Whether what stands around the version has this character.
    pub(crate) fn has(&self, character: char) -> bool {
        self.before.contains(character) || self.after.contains(character)
    }

    /// The version that a text names, or why it names none.
    pub(crate) fn version(&self, text: &str) -> Result<VersionName, String> {
        let named =
            text.strip_prefix(self.before.as_str()).and_then(|rest| rest.strip_suffix(self.after.as_str()));
        let unfit = || format!("`{}`, which does not fit `{}`", shown(text), self.key);
        // What reads a text with a slash where a name stands reads another place than was meant.
        let named = named.filter(|name| !name.contains('/')).ok_or_else(unfit)?;
        VersionName::new(named).map_err(|_| unfit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_written_and_read() {
        let template = Template::new("model-uri", "s3://models/{model}/{version}/", "fraud").unwrap();
        let version = VersionName::new("1.2").unwrap();
        assert_eq!(template.of(&version), "s3://models/fraud/1.2/");
        assert_eq!(template.version("s3://models/fraud/1.2/").unwrap(), version);
        for text in ["s3://models/fraud/1.2", "s3://models/fraud//", "s3://models/fraud/a/b/", "", "gs://x"] {
            assert!(template.version(text).unwrap_err().contains("does not fit `model-uri`"), "{text}");
        }
    }

    #[test]
    fn a_template_has_one_hole() {
        for text in ["s3://models/fraud", "s3://{version}/{version}"] {
            let error = Template::new("model-uri", text, "fraud").unwrap_err();
            assert!(error.to_string().contains("write it once"), "{error}");
        }
    }
}

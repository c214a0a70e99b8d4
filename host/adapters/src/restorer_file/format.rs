//! What a file has to be so that the process can read it.

use serde::Deserialize;

use crate::text_encoding::other_encoding;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileFormat {
    /// Anything.
    #[default]
    Bytes,
    /// TOML.
    Toml,
    /// JSON.
    Json,
    /// Lines of `KEY=VALUE`, empty ones and comments.
    Env,
}

impl FileFormat {
    /// Why it is not of the format.
    pub(super) fn broken(self, content: &[u8]) -> Option<String> {
        if self == Self::Bytes {
            return None;
        }
        if let Some(why) = other_encoding(content) {
            return Some(format!("its content {why}"));
        }
        let text = String::from_utf8_lossy(content);
        match self {
            Self::Bytes => None,
            Self::Toml => text
                .parse::<toml::Table>()
                .err()
                .map(|error| format!("its content is no TOML: {}", error.message())),
            Self::Json => serde_json::from_str::<serde::de::IgnoredAny>(&text)
                .err()
                .map(|error| format!("its content is no JSON: {error}")),
            Self::Env => text
                .lines()
                .position(|line| !is_variable(line.trim()))
                .map(|index| format!("line {} of its content is no `KEY=VALUE`", index + 1)),
        }
    }
}

fn is_variable(line: &str) -> bool {
    if line.is_empty() || line.starts_with('#') {
        return true;
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((name, _)) = line.split_once('=') else { return false };
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_could_not_read_is_broken() {
        for (format, content, expected) in [
            (FileFormat::Bytes, "\0\u{1}", None),
            (FileFormat::Toml, "limit = 0.5\n", None),
            (FileFormat::Toml, "limit = \n", Some("no TOML")),
            (FileFormat::Toml, "\u{feff}limit = 1\n", Some("byte order mark")),
            (FileFormat::Json, "{\"limit\": 0.5}", None),
            (FileFormat::Json, "{\"limit\": 0.5", Some("no JSON")),
            (FileFormat::Json, "", Some("no JSON")),
            (FileFormat::Env, "# thresholds\n\nLIMIT=0.5\nexport NAME=a b\nEMPTY=\n", None),
            (FileFormat::Env, "LIMIT=0.5\nLIMIT 0.5\n", Some("line 2")),
            (FileFormat::Env, "1A=2", Some("line 1")),
        ] {
            let broken = format.broken(content.as_bytes());
            match expected {
                None => assert_eq!(broken, None, "{format:?} {content:?}"),
                Some(part) => assert!(broken.as_deref().is_some_and(|why| why.contains(part)), "{broken:?}"),
            }
        }
    }
}

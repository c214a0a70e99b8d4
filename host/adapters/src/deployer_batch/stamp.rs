//! Where an output says by which version it was made.

use cap_std::fs::{Dir, Metadata};
use ripcord_core::name::VersionName;
use ripcord_ports::{ErrorKind, PortError};
use serde::Deserialize;

use crate::checkpoints::shown;
use crate::folder;
use crate::http::on_one_line;
use crate::restoring::wrong;

/// A file that holds the stamp as JSON.
const STAMP_BYTES_MAX: u64 = 1 << 20;
const VERSION: &str = "{version}";

/// Where the stamp is: in the name, or in a JSON file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StampConfig {
    /// The output's name, with `{version}` and at most one `*`, as in `scores-{version}-*.csv`.
    #[serde(default)]
    pub name: Option<String>,
    /// Where the version stands in a JSON file, as a JSON pointer such as `/model/version`.
    #[serde(default)]
    pub field: Option<String>,
    /// What that file's name has behind the output's, as in `.meta.json`, or `/_meta.json` for one that lies in an output that is a folder. Default: the output itself is
    /// the JSON file.
    #[serde(default)]
    pub sidecar: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Stamp {
    Name { before: Part, after: Part },
    Field { pointer: String, sidecar: String },
}

/// Text on one side of `{version}`, with or without a `*` in it.
#[derive(Debug, Clone)]
pub(super) struct Part {
    outer: String,
    /// Between the `*` and the version.
    inner: Option<String>,
}

/// What one output says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Says {
    Made(VersionName),
    /// It has no stamp yet: it is being made.
    NotYet,
    /// Whether it has one cannot be seen, and why. The end of a sentence.
    Unreadable(String),
    /// What it says is no version. The end of a sentence.
    Nothing(String),
}

impl Stamp {
    pub(super) fn new(config: StampConfig) -> Result<Self, PortError> {
        match (config.name, config.field, config.sidecar) {
            (Some(name), None, None) => Self::of_name(&name),
            (None, Some(pointer), sidecar) => {
                if !pointer.starts_with('/') {
                    return Err(wrong(
                        "`field` of `stamp` is no JSON pointer: write it as in `/model/version`",
                    ));
                }
                let sidecar = sidecar.unwrap_or_default();
                let parts = sidecar.strip_prefix('/').unwrap_or(&sidecar);
                if parts.contains('/')
                    || parts.is_empty() && !sidecar.is_empty()
                    || parts == "."
                    || parts == ".."
                {
                    return Err(wrong(
                        "`sidecar` of `stamp` is what a file's name has behind the output's, as in `.meta.json` or `/_meta.json`",
                    ));
                }
                Ok(Self::Field { pointer, sidecar })
            }
            _ => Err(wrong("`stamp` has `name`, or `field` with `sidecar` or without: write one of both")),
        }
    }

    fn of_name(name: &str) -> Result<Self, PortError> {
        let odd = || {
            wrong(
                "`name` of `stamp` has `{version}` once and at most one `*`, not beside it: write it as in `scores-{version}-*.csv`",
            )
        };
        let (before, after) = name.split_once(VERSION).ok_or_else(odd)?;
        if after.contains(VERSION) || name.contains('/') || name.matches('*').count() > 1 {
            return Err(odd());
        }
        let part = |outer: &str, inner: Option<&str>| Part {
            outer: outer.to_owned(),
            inner: inner.map(str::to_owned),
        };
        let before = match before.split_once('*') {
            Some((outer, inner)) => part(outer, Some(inner)),
            None => part(before, None),
        };
        let after = match after.split_once('*') {
            Some((inner, outer)) => part(outer, Some(inner)),
            None => part(after, None),
        };
        if [&before, &after].iter().any(|part| part.inner.as_deref() == Some("")) {
            return Err(odd());
        }
        Ok(Self::Name { before, after })
    }

    /// Whether this may be the name of an output: it has the stamp in it, or is no file beside one.
    pub(super) fn may_be_of(&self, name: &str) -> bool {
        match self {
            Self::Name { before, after } => between(name, before, after).is_some(),
            Self::Field { sidecar, .. } => sidecar.is_empty() || !name.ends_with(sidecar.as_str()),
        }
    }

    /// The file whose time is that of the output: its last one.
    pub(super) fn file_of(&self, output: &str) -> String {
        match self {
            Self::Name { .. } => output.to_owned(),
            Self::Field { sidecar, .. } => format!("{output}{sidecar}"),
        }
    }

    /// None for what is no output. One that cannot be read hinders no other.
    pub(super) fn read(&self, dir: &Dir, output: &str) -> Option<Says> {
        match self {
            Self::Name { before, after } => between(output, before, after).map(said),
            Self::Field { pointer, sidecar } => {
                let file = self.file_of(output);
                // A stamp in the output itself is one in a file, a file within it one in a folder. Beside it may be either.
                let is = |fits: fn(&Metadata) -> bool| dir.metadata(output).is_ok_and(|about| fits(&about));
                if sidecar.is_empty() && is(Metadata::is_dir)
                    || sidecar.starts_with('/') && is(Metadata::is_file)
                {
                    return None;
                }
                match folder::read(dir, &file, STAMP_BYTES_MAX) {
                    Ok(bytes) => Some(in_json(&bytes, pointer)),
                    // Where it is the output itself, it was moved away since it was listed.
                    Err(error) if error.kind == ErrorKind::NotFound => {
                        (!sidecar.is_empty()).then_some(Says::NotYet)
                    }
                    Err(error) if error.kind == ErrorKind::TooLarge => {
                        let text = format!("has more than {STAMP_BYTES_MAX} bytes where its stamp should be");
                        Some(Says::Nothing(text))
                    }
                    Err(error) => Some(Says::Unreadable(shown(&error.to_string()))),
                }
            }
        }
    }
}

fn between<'n>(name: &'n str, before: &Part, after: &Part) -> Option<&'n str> {
    let rest = name.strip_prefix(before.outer.as_str())?.strip_suffix(after.outer.as_str())?;
    let rest = match &before.inner {
        Some(inner) => &rest[rest.rfind(inner.as_str())? + inner.len()..],
        None => rest,
    };
    match &after.inner {
        Some(inner) => Some(&rest[..rest.find(inner.as_str())?]),
        None => Some(rest),
    }
}

fn said(text: &str) -> Says {
    version_of(text).map_or_else(Says::Nothing, Says::Made)
}

/// The error is the end of a sentence, with what stands there as it can be shown.
pub(super) fn version_of(text: &str) -> Result<VersionName, String> {
    VersionName::new(text).map_err(|error| format!("names no version: {}", shown(&error.to_string())))
}

fn in_json(bytes: &[u8], pointer: &str) -> Says {
    // What is cut is being written, and is whole at a later look.
    let value = match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(value) => value,
        Err(error) if error.is_eof() => return Says::NotYet,
        Err(error) => return Says::Nothing(format!("is no JSON: {error}")),
    };
    match value.pointer(pointer) {
        Some(serde_json::Value::String(text)) => said(text),
        Some(serde_json::Value::Number(number)) => said(&number.to_string()),
        Some(_) => Says::Nothing(format!("has neither a text nor a number at `{}`", on_one_line(pointer))),
        None => Says::Nothing(format!("has nothing at `{}`", on_one_line(pointer))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pattern: &str) -> Result<Stamp, PortError> {
        Stamp::new(StampConfig { name: Some(pattern.to_owned()), field: None, sidecar: None })
    }

    #[test]
    fn a_name_says_the_version_between_what_stands_around_it() {
        for (pattern, name, expected) in [
            ("scores-{version}-*.csv", "scores-1.4.0-2026-11-27.csv", Some("1.4.0")),
            ("*_{version}.csv", "2026_11_27_1.4.0.csv", Some("1.4.0")),
            ("{version}", "1.4.0", Some("1.4.0")),
            ("{version}.csv", "1.4.0.csv", Some("1.4.0")),
            ("scores-{version}-*.csv", "scores-1.4.0.csv", None),
            ("scores-{version}-*.csv", "other-1.4.0-1.csv", None),
            ("scores-{version}-*.csv", "scores-1.4.0-1.csv.tmp", None),
            ("ab{version}bc", "abc", None),
        ] {
            let Stamp::Name { before, after } = named(pattern).unwrap() else { panic!("{pattern}") };
            assert_eq!(between(name, &before, &after), expected, "{pattern} {name}");
        }
        for pattern in
            ["scores.csv", "{version}{version}", "*{version}", "{version}*", "*-{version}-*", "a/{version}"]
        {
            assert!(named(pattern).unwrap_err().to_string().contains("at most one `*`"), "{pattern}");
        }
    }

    #[test]
    fn json_says_the_version_at_its_pointer_and_what_is_cut_says_nothing_yet() {
        let of = |text: &str| in_json(text.as_bytes(), "/model/version");
        assert_eq!(of(r#"{"model": {"version": "1.4.0"}}"#), said("1.4.0"));
        assert_eq!(of(r#"{"model": {"version": 7}}"#), said("7"));
        assert_eq!(of(r#"{"model": {"vers"#), Says::NotYet);
        assert_eq!(of(""), Says::NotYet);
        for (text, why) in [
            ("scores", "is no JSON"),
            ("{}", "has nothing at"),
            (r#"{"model": {"version": null}}"#, "neither a text"),
            (r#"{"model": {"version": "a b"}}"#, "names no version"),
            (
                r#"{"model": {"version": "a\u001b[2J\nb\u202e"}}"#,
                "names no version: `a\\u{1b}[2J b\\u{202e}`",
            ),
        ] {
            let Says::Nothing(said) = of(text) else { panic!("{text}") };
            assert!(said.contains(why), "{text}: {said}");
            assert!(!said.contains(['\n', '\u{1b}', '\u{202e}']), "{text}: {said:?}");
        }
    }

    #[test]
    fn a_stamp_is_in_the_name_or_in_json() {
        let of = |name: Option<&str>, field: Option<&str>, sidecar: Option<&str>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            Stamp::new(StampConfig { name: text(name), field: text(field), sidecar: text(sidecar) })
        };
        for (name, field, sidecar) in [
            (None, None, None),
            (Some("{version}"), Some("/v"), None),
            (None, None, Some(".json")),
            (None, Some("v"), None),
            (None, Some("/v"), Some("/../x")),
            (None, Some("/v"), Some("/")),
        ] {
            assert!(of(name, field, sidecar).is_err(), "{name:?} {field:?} {sidecar:?}");
        }
        assert!(of(None, Some("/v"), Some("/_meta.json")).is_ok());
    }
}

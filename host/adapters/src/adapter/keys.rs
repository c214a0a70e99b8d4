//! Which keys a table takes, told by the struct that reads it.
//!
//! Nobody writes a list of keys beside the struct: the struct is asked to read itself from a table that answers every question with what was asked.
//! That says the names of its fields, what each of them takes, and, by leaving keys out, which must be there.

mod asked;
mod asking;
mod sample;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use asked::Asked;
use asking::{Question, ask};

/// A struct of settings does not hold tables in tables beyond this.
const DEPTH_MAX: usize = 8;

/// A key of a table of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Key {
    /// As it is written.
    pub name: String,
    /// What it takes.
    pub takes: Takes,
    /// Whether it must be there.
    pub needed: bool,
    /// Whose value it has where it is left out, if that is something else of the same service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_by: Option<&'static str>,
    /// Whether it says where a secret is.
    pub secret: bool,
    /// The keys of the table that it takes, where these are fixed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
}

impl Key {
    /// A key that need not be there.
    pub(super) fn optional(name: &str, takes: Takes) -> Self {
        let name = name.to_owned();
        Self { name, takes, needed: false, given_by: None, secret: false, keys: Vec::new() }
    }

    /// The two keys that say where the secret `name` is.
    pub(super) fn secret(name: &str) -> [Self; 2] {
        let key = |end: &str, takes| Self { secret: true, ..Self::optional(&format!("{name}-{end}"), takes) };
        [key("file", Takes::Path), key("env", Takes::Text)]
    }
}

/// What a key takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Takes {
    /// A text.
    Text,
    /// A path.
    Path,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// `true` or `false`.
    Truth,
    /// One of these words.
    OneOf(Vec<&'static str>),
    /// A list.
    List(Box<Takes>),
    /// A table.
    Table,
    /// Whatever the system takes.
    Anything,
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Path => "path",
            Self::Whole => "whole number",
            Self::Number => "number",
            Self::Truth => "true or false",
            Self::OneOf(words) => return f.write_str(&words.join(", ")),
            Self::List(of) => return write!(f, "list of {of}"),
            Self::Table => "table",
            Self::Anything => "value",
        })
    }
}

/// The keys of the table that `C` is read from.
pub fn keys_of<C: DeserializeOwned>() -> Vec<Key> {
    keys_below::<C>(&mut Vec::new())
}

fn keys_below<C: DeserializeOwned>(path: &mut Vec<&'static str>) -> Vec<Key> {
    let Asked::Table(fields) = ask::<C>(path, &Question::What) else { return Vec::new() };
    if path.len() == DEPTH_MAX {
        return Vec::new();
    }
    let needed = needed_below::<C>(path);
    let key = |field: &&'static str| {
        path.push(field);
        let asked = ask::<C>(path, &Question::What);
        let keys = if matches!(asked, Asked::Table(_)) { keys_below::<C>(path) } else { Vec::new() };
        path.pop();
        Key { needed: needed.contains(field), keys, ..Key::optional(field, asked.takes()) }
    };
    fields.iter().map(key).collect()
}

/// Keys are given one by one, as the reader misses them.
fn needed_below<C: DeserializeOwned>(path: &[&'static str]) -> BTreeSet<&'static str> {
    let mut given = BTreeSet::new();
    while let Asked::Misses(key) = ask::<C>(path, &Question::IsEnough(&given)) {
        if !given.insert(key) {
            break;
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    #[expect(dead_code, reason = "it is asked what it reads, and reads nothing")]
    struct Whole {
        address: String,
        model_folder: PathBuf,
        #[serde(default)]
        user: Option<String>,
        #[serde(default = "ten")]
        deadline_ms: u64,
        word: Word,
        #[serde(default)]
        programs: Vec<String>,
        write: BTreeMap<String, String>,
        #[serde(default)]
        reload: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    #[expect(dead_code, reason = "it is asked what it reads, and reads nothing")]
    struct Inner {
        urls: Vec<PathBuf>,
        #[serde(default)]
        share: f64,
        deeper: Deeper,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "it is asked what it reads, and reads nothing")]
    struct Deeper {
        on: bool,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Word {
        First,
        SecondOne,
    }

    fn ten() -> u64 {
        10
    }

    fn lines(keys: &[Key], before: &str) -> Vec<String> {
        let line = |key: &Key| {
            let mark = if key.needed { "!" } else { "" };
            let own = format!("{before}{}{mark}: {}", key.name, key.takes);
            let below = lines(&key.keys, &format!("{before}{}.", key.name));
            std::iter::once(own).chain(below).collect::<Vec<_>>()
        };
        keys.iter().flat_map(line).collect()
    }

    #[test]
    fn a_struct_tells_its_keys_what_they_take_and_which_must_be_there() {
        assert_eq!(
            lines(&keys_of::<Whole>(), ""),
            [
                "address!: text",
                "model-folder!: path",
                "user: text",
                "deadline-ms: whole number",
                "word!: first, second-one",
                "programs: list of text",
                "write!: table",
                "reload: table",
                "reload.urls!: list of path",
                "reload.share: number",
                "reload.deeper!: table",
                "reload.deeper.on!: true or false",
            ]
        );
    }
}

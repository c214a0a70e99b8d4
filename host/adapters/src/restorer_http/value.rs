//! Values, and how they are written.

use std::fmt;

use ripcord_core::foreign::Foreign;
use serde::Deserialize;
use serde_json::Value;

const SHOWN_CHARS_MAX: usize = 100;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteWith {
    /// PUT of the document as it was read, with the value in its place.
    #[default]
    PutDocument,
    /// PATCH with `application/merge-patch+json` (RFC 7396).
    MergePatch,
    /// PATCH with `application/json-patch+json` (RFC 6902), which tests the value before it replaces it.
    JsonPatch,
    /// PUT of the value alone.
    PutValue,
    /// POST of the value alone.
    PostValue,
}

/// Whether a change says which state it was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Etag {
    /// Where the document came with one.
    #[default]
    WhereOffered,
    /// A document without one is not changed.
    Required,
    /// Never, for systems that say one and do not take it.
    Ignored,
}

/// Who answers with the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// The service that works with the value.
    Service,
    /// Something that keeps it for the service.
    #[default]
    Store,
}

impl fmt::Display for WriteWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PutDocument => "PUT of the document",
            Self::MergePatch => "PATCH by merging",
            Self::JsonPatch => "PATCH by test and replace",
            Self::PutValue => "PUT of the value",
            Self::PostValue => "POST of the value",
        })
    }
}

/// The bytes that stand for a value: JSON with sorted keys and no spaces.
pub(super) fn content_of(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Whether two values are the same. `1` and `1.0` are: systems write one for the other.
pub(super) fn same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => one == two || one.as_f64() == two.as_f64(),
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (Value::Object(one), Value::Object(two)) => {
            one.len() == two.len()
                && one.iter().all(|(key, one)| two.get(key).is_some_and(|two| same(one, two)))
        }
        _ => one == two,
    }
}

/// A value for people.
pub(super) fn shown(value: &Value) -> String {
    format!("`{}`", Foreign::new(&value.to_string()).at_most(SHOWN_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_same_by_what_they_mean() {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        for (one, two, expected) in [
            ("1", "1.0", true),
            ("{\"a\": [1, 2]}", "{\"a\": [1.0, 2]}", true),
            ("1", "\"1\"", false),
            ("false", "0", false),
            ("null", "false", false),
            ("{\"a\": 1}", "{\"a\": 1, \"b\": 2}", false),
            ("[1]", "[1, 2]", false),
        ] {
            assert_eq!(same(&read(one), &read(two)), expected, "{one} {two}");
        }
    }

    #[test]
    fn content_does_not_depend_on_how_it_was_written() {
        let read = |text: &str| content_of(&serde_json::from_str(text).unwrap());
        assert_eq!(read("{\"b\": 1, \"a\": 2}"), read("{ \"a\":2,\"b\":1 }"));
    }
}

//! JSON that can be looked at: the values are the true ones, and no character stands in it that a terminal would obey.

use std::fmt::Write as _;

use ripcord_core::foreign::{MARKS_MAX, is_harmful, is_mark};
use serde::Serialize;
use serde_json::{Map, Value};

/// Over several lines, for people and scripts.
pub fn pretty(value: &impl Serialize) -> String {
    harmless(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// The same document with instants as RFC 3339, for scripts. A plan stays as it was signed: its digest is over exactly these words.
pub fn with_instants(value: &Value) -> Value {
    let fields = |fields: &Map<String, Value>| {
        let field = |(name, value): (&String, &Value)| {
            let value = match value {
                Value::String(text) if is_instant(name) => {
                    rfc3339(text).map_or_else(|| value.clone(), Value::String)
                }
                Value::Object(_) if name == "plan" => value.clone(),
                other => with_instants(other),
            };
            (name.clone(), value)
        };
        fields.iter().map(field).collect()
    };
    match value {
        Value::Object(object) => Value::Object(fields(object)),
        Value::Array(values) => Value::Array(values.iter().map(with_instants).collect()),
        other => other.clone(),
    }
}

/// Fields of our own that hold an instant: text of others stands under other names.
fn is_instant(name: &str) -> bool {
    matches!(name, "at" | "since" | "until" | "as_of" | "as-of" | "waits_since")
        || name.ends_with("_at")
        || name.ends_with("-at")
}

/// Milliseconds since 1970 in the form that scripts read.
fn rfc3339(text: &str) -> Option<String> {
    let millis = i64::try_from(text.parse::<u64>().ok()?).ok()?;
    let timestamp = jiff::Timestamp::from_millisecond(millis).ok()?;
    Some(format!("{timestamp:.3}"))
}

/// On one line.
pub fn line(value: &impl Serialize) -> String {
    harmless(&serde_json::to_string(value).unwrap_or_default())
}

/// In JSON such characters stand in strings only, where their numbers mean the same; so do marks on a letter beyond what writing needs, which
/// would flood the lines around. The line breaks are the writer's own.
fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut marks = 0;
    for c in json.chars() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if c == '\n' || !is_harmful(c) && marks <= MARKS_MAX {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn instants_are_rfc_3339_and_nothing_else_changes() {
        let value = json!([{
            "opened_at": "1700000004000", "settled_at": null, "since": "1700000004001", "summary": "1700000004000", "bytes": "17",
            "split": { "total": "9500" }, "plan": { "expires_at": "1700000004000" }, "held": [{ "until": "soon", "at": "18446744073709551615" }],
        }]);
        let expected = json!([{
            "opened_at": "2023-11-14T22:13:24.000Z", "settled_at": null, "since": "2023-11-14T22:13:24.001Z", "summary": "1700000004000",
            "bytes": "17", "split": { "total": "9500" }, "plan": { "expires_at": "1700000004000" },
            "held": [{ "until": "soon", "at": "18446744073709551615" }],
        }]);
        assert_eq!(with_instants(&value), expected);
    }

    #[test]
    fn it_means_the_same_and_holds_nothing_that_a_terminal_obeys() {
        let value = json!({ "a\u{202e}": "\u{1b}[2J\u{9b}\u{7f}\u{2028}\u{feff}\n", "b": ["\u{e0041}", "ü 生 🚨 \\u001b"] });
        for text in [pretty(&value), line(&value)] {
            assert!(!text.chars().any(|c| c != '\n' && is_harmful(c)), "{text:?}");
            assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
        }
        assert!(line(&value).contains("ü 生 🚨") && !line(&value).contains('\n'));
    }
}

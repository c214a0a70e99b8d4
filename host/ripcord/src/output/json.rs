//! JSON that can be looked at: the values are the true ones, and no character stands in it that a terminal would obey.

use std::fmt::Write as _;

use ripcord_core::foreign::{MARKS_MAX, is_harmful, is_mark};
use serde::Serialize;

/// Over several lines, for people and scripts.
pub fn pretty(value: &impl Serialize) -> String {
    harmless(&serde_json::to_string_pretty(value).unwrap_or_default())
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
    use serde_json::{Value, json};

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

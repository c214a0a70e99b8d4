//! What others may write, and what must never come out of it.

use ripcord_core::foreign::is_harmful;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Text;
use super::style::{BAD, DIM, GOOD, STRONG, WARN};

/// A line that begins so was not written by us.
const FORGED: &str = "FORGED";

/// A name for each kind of attack on a reader, and the text.
pub(crate) fn table() -> Vec<(&'static str, String)> {
    let texts = [
        ("clears the screen", "x\u{1b}[2J\u{1b}[H"),
        ("sets the title and rings", "x\u{1b}]0;owned\u{7}"),
        ("a link", "x\u{1b}]8;;http://evil\u{1b}\\click\u{1b}]8;;\u{1b}\\"),
        ("hides what follows", "x\u{1b}[8m"),
        ("C1 controls", "x\u{9b}2J\u{9d}0;t\u{9c}\u{90}q\u{9c}\u{85}"),
        ("a forged line", "x\nFORGED approved by ada"),
        ("a forged line after a carriage return", "x\r\nFORGED\rFORGED"),
        ("back over the line", "x\u{8}\u{8}\u{8}\u{7f}\u{0}"),
        ("turned direction", "1.3.2\u{202e}2.3.1\u{202c}\u{2067}a\u{2069}\u{200f}\u{61c}"),
        ("separators", "x\u{2028}FORGED\u{2029}FORGED\u{b}FORGED\u{c}FORGED\u{85}FORGED"),
        ("nothing to see", "pro\u{200b}duc\u{200d}tion\u{feff}\u{ad}\u{2060}\u{3164}\u{e0041}\u{fe0f}"),
        ("other spaces", "a\u{a0}b\u{2003}c\u{3000}d"),
    ];
    let mut table: Vec<_> = texts.map(|(name, text)| (name, text.to_owned())).to_vec();
    table.push(("a flood of marks", format!("a{}", "\u{301}".repeat(2_000))));
    table.push(("a very long text", "p".repeat(200_000)));
    table.push(("spaces up to the next line", format!("x{}FORGED", " ".repeat(500))));
    table
}

/// The value with as many of its texts as it can bear replaced, and how many those are.
pub(crate) fn spoilt<T: Serialize + DeserializeOwned>(value: &T, by: &str) -> (T, usize) {
    let mut json = serde_json::to_value(value).expect("JSON");
    let mut places = Vec::new();
    texts(&json, String::new(), &mut places);
    let mut spoilt = 0;
    for place in places {
        let before = json.pointer_mut(&place).map(|text| std::mem::replace(text, by.into()));
        match serde_json::from_value::<T>(json.clone()) {
            Ok(_) => spoilt += 1,
            Err(_) => *json.pointer_mut(&place).expect("a place") = before.expect("a text"),
        }
    }
    (serde_json::from_value(json).expect("each step was one"), spoilt)
}

fn texts(value: &Value, place: String, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(place),
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| texts(value, format!("{place}/{at}"), found));
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                texts(value, format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        _ => {}
    }
}

/// Our own line breaks and styles are all that a terminal obeys in it.
pub(crate) fn assert_harmless(text: &Text, of: &str) {
    let mut left = text.styled().to_owned();
    // The longest first: one style may begin as another does.
    let mut styles = [STRONG, DIM, GOOD, BAD, WARN];
    styles.sort_by_key(|style| std::cmp::Reverse(style.to_string().len()));
    for style in styles {
        left = left.replace(&style.to_string(), "").replace(&format!("{style:#}"), "");
    }
    if let Some(c) = left.chars().find(|c| *c != '\n' && is_harmful(*c)) {
        panic!("{of}: U+{:04X} gets through: {left:?}", u32::from(c));
    }
    for line in left.lines() {
        assert!(!line.trim_start().starts_with(FORGED), "{of}: a line was forged: {left}");
    }
    assert!(!left.contains(&" ".repeat(400)), "{of}: spaces reach the next line");
    assert!(!left.contains(&"\u{301}".repeat(5)), "{of}: marks flood the lines around");
}

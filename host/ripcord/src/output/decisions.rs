//! Recorded decisions on a page: each with what it was given, what it said, and why.

use ripcord_core::time::UnixMillis;
use ripcord_engine::{DecisionPage, DecisionView, FactLine};
use serde_json::Value;

use super::Page;
use super::style::{BAD, DIM, GOOD, STRONG, WARN, paint};
use super::table::{Cell, Table};
use super::text::{Paragraph, Text, text};
use super::time::instant;

/// Of one value so many characters are shown; `--json` has all.
const VALUE_CHARS_MAX: usize = 400;
/// Whole numbers between these, in milliseconds since 1970, are instants: of 2001 and 2128.
const INSTANTS: std::ops::Range<u64> = 1_000_000_000_000..5_000_000_000_000;

/// The page.
pub fn page(page: &DecisionPage, limit: u32) -> Page {
    let mut all: Vec<Text> = page.decisions.iter().map(decision).collect();
    if all.is_empty() {
        all.push(text!("no decisions"));
    }
    if page.more {
        all.push(paint(
            DIM,
            format!("older ones are left out: `--limit {}` shows more", limit.saturating_mul(2)),
        ));
    }
    Page::done(Text::joined(all, "\n"), page)
}

fn decision(one: &DecisionView) -> Text {
    let mut table = Table::bare(2);
    let mut row = |name: &'static str, cell: Cell| table.row([Cell::new(DIM, name), cell]);
    if let Some(gone) = &one.gone {
        row("gone", Cell::new(WARN, Paragraph(gone)));
    }
    if let Some(fault) = &one.fault {
        row("fault", Cell::new(BAD, Paragraph(fault)));
    }
    if let Some(answer) = &one.answer {
        row("verdict", Cell::new(STRONG, words(answer.get("verdict").unwrap_or(answer))));
    }
    for fact in &one.facts {
        row("fact", fact_text(fact).into());
    }
    for request in &one.asked_for {
        row("asked for", words(request).into());
    }
    for finding in list(one, "findings") {
        let passed = finding["passed"].as_bool() == Some(true);
        let word = if passed { paint(GOOD, "passed") } else { paint(BAD, "failed") };
        let part = |name: &str| words(&finding[name]);
        row(
            "finding",
            text!("{} {}: {}, expected {}", word, part("check"), part("observed"), part("expected")).into(),
        );
    }
    for note in list(one, "notes") {
        row("note", format!("{}: {}", words(&note["severity"]), words(&note["text"])).into());
    }
    for line in &one.log {
        row("log", Paragraph(line).into());
    }
    text!(
        "{}  {} {} {} {}\n{}",
        instant(one.at),
        paint(STRONG, &one.service),
        one.role,
        one.policy,
        paint(DIM, format!("(sha256 {}, fuel {})", one.digest.short(), one.fuel)),
        table
    )
}

fn list<'a>(one: &'a DecisionView, name: &str) -> impl Iterator<Item = &'a Value> {
    one.answer.as_ref().and_then(|answer| answer.get(name)?.as_array()).into_iter().flatten()
}

fn fact_text(fact: &FactLine) -> Text {
    let answered = match (&fact.value, &fact.missing) {
        (Some(value), _) => text!("{}", words(value)),
        (None, Some(missing)) => paint(WARN, format!("no value: {}", words(missing))),
        (None, None) => paint(WARN, "its value is not kept any more"),
    };
    text!(
        "{}\n= {} {}",
        words(&fact.request),
        answered,
        paint(DIM, format!("({}, as of {})", fact.source, instant(fact.as_of)))
    )
}

/// A value in the guest's words, for people: names as words, instants as such.
fn words(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    let mut cut: String = text.chars().take(VALUE_CHARS_MAX).collect();
    if cut.len() < text.len() {
        cut.push_str(&format!(
            "… ({} more characters, `--json` has all)",
            text.chars().count() - VALUE_CHARS_MAX
        ));
    }
    cut
}

fn write(value: &Value, text: &mut String) {
    // Nobody reads more, and what is longer is cut.
    if text.len() > 8 * VALUE_CHARS_MAX && !matches!(value, Value::String(_)) {
        text.push('…');
        return;
    }
    match value {
        Value::Null => text.push_str("none"),
        Value::Bool(_) => text.push_str(&value.to_string()),
        Value::Number(number) => match number.as_u64().filter(|number| INSTANTS.contains(number)) {
            Some(at) => text.push_str(&instant(UnixMillis(at))),
            None => text.push_str(&number.to_string()),
        },
        Value::String(string) => text.push_str(string),
        Value::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                write(value, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            for (index, (name, value)) in fields.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                text.push_str(&spaced(name));
                text.push(' ');
                write(value, text);
            }
        }
    }
}

/// `RollBack` as `roll back`, `ask_again` as `ask again`.
fn spaced(name: &str) -> String {
    let mut text = String::new();
    for (index, c) in name.chars().enumerate() {
        if c.is_uppercase() && index > 0 {
            text.push(' ');
        }
        text.extend(if c == '_' || c == '-' { ' ' } else { c }.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use serde_json::json;

    fn sample() -> DecisionPage {
        let view = json!({ "more": true, "decisions": [{
            "at": "1700000004000", "service": "s", "role": "verification", "policy": "p@1", "digest": "a".repeat(64), "fuel": 7,
            "answer": { "verdict": { "Inconclusive": 1_700_000_009_000_u64 }, "findings": [{ "check": "rate", "passed": false, "observed": "0.3", "expected": "at most 0.1" }],
                "notes": [{ "severity": "Warning", "text": "few rows" }] },
            "fault": null, "gone": null, "asked_for": [], "log": ["info: asked"],
            "facts": [
                { "source": "prometheus", "as_of": "1700000003000", "request": { "Metric": { "query": "rate" } }, "value": { "Metric": [{ "labels": [], "value": 0.3 }] }, "missing": null },
                { "source": "prometheus", "as_of": "1700000003000", "request": { "Metric": { "query": "other" } }, "value": null, "missing": { "reason": "TimedOut", "message": "no answer" } },
            ],
        }] });
        serde_json::from_value(view).expect("a page")
    }

    #[test]
    fn a_decision_says_what_it_was_given_what_it_said_and_why() {
        insta::assert_snapshot!(page(&sample(), 1).plain());
    }

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        for (name, text) in hostile::table() {
            let (view, spoilt) = hostile::spoilt(&sample(), &text);
            assert!(spoilt > 5, "{name}: {spoilt}");
            hostile::assert_harmless(&page(&view, 1).text, name);
        }
    }
}

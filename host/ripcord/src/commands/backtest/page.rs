//! What a backtest gave, for people and for scripts.

use std::path::Path;

use serde_json::json;

use super::walk::{Tried, Word};
use crate::output::style::{BAD, DIM, GOOD, STRONG, WARN, paint};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{Exit, Page, Paragraph, Text, text};

/// Changes of verdict that people are shown; `--json` has all.
const CHANGES_SHOWN: usize = 200;

/// It would have rolled back, it faulted or never had the data to judge, or neither.
fn exit(tried: &Tried) -> Exit {
    let judged_nothing = tried.steps.iter().all(|step| step.blind && step.word == Word::Watch);
    if tried.count(Word::Fault) > 0 || judged_nothing {
        Exit::Failed
    } else if tried.count(Word::RollBack) > 0 {
        Exit::Waiting
    } else {
        Exit::Done
    }
}

pub(super) fn page(tried: &Tried, plot: Option<&Path>) -> Page {
    let every = match tried.step {
        Some(step) => format!("every {} s", step.0 / 1_000),
        None => "at every recorded decision".to_owned(),
    };
    let mut text = text!(
        "{} for {} from {} to {}, asked {} times, {}\n\n",
        paint(STRONG, &tried.policy),
        tried.service,
        instant(tried.window.start),
        instant(tried.window.end),
        tried.steps.len(),
        every
    );
    text.push(changes(tried));
    let counts = Word::ALL.into_iter().map(|word| (tried.count(word), word)).filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, word)| format!("{} {count}", word.as_str())).collect();
    text.push(text!("\nverdicts: {}\n", counts.join(", ")));
    for (what, (times, why)) in &tried.missing {
        text.push(text!(
            "{} {} had no value {} times, at first: {}\n",
            paint(WARN, "look:"),
            what,
            times,
            Paragraph(why)
        ));
    }
    if !tried.incidents.is_empty() {
        text.push(text!("\nincidents that there were\n"));
        let mut table = Table::bare(2);
        for was in &tried.incidents {
            let until = was.settled_at.map_or("open".to_owned(), |at| format!("settled {}", instant(at)));
            table.row([
                (&was.id).into(),
                instant(was.opened_at).into(),
                until.into(),
                was.outcome.as_str().into(),
            ]);
        }
        text.push(text!("{}", table));
    }
    if let Some(path) = plot {
        text.push(text!("\nwrote {}\n", path.display()));
    }
    text.push(match exit(tried) {
        Exit::Failed if tried.steps.is_empty() => paint(BAD, "there was nothing to ask it about"),
        Exit::Failed if tried.count(Word::Fault) > 0 => paint(BAD, "it faulted"),
        Exit::Failed => paint(BAD, "it never had the data to judge"),
        Exit::Waiting => paint(WARN, "it would have asked for a rollback"),
        _ => paint(GOOD, "it would not have asked for a rollback"),
    });
    Page::new(exit(tried), text, &json(tried, plot))
}

fn changes(tried: &Tried) -> Text {
    let mut table = Table::new(["from", "verdict", "why"]);
    for change in tried.changes.iter().take(CHANGES_SHOWN) {
        let style = match change.to {
            Word::RollBack | Word::Fault => BAD,
            Word::Watch => WARN,
            Word::Ignore | Word::StandDown => GOOD,
        };
        table.row([
            instant(change.at).into(),
            Cell::new(style, change.to.as_str()),
            Paragraph(&change.text).into(),
        ]);
    }
    let more = tried.changes.len().saturating_sub(CHANGES_SHOWN);
    if more > 0 {
        return text!("{}{}\n", table, paint(DIM, format!("and {more} more changes: `--json` has all")));
    }
    text!("{}", table)
}

fn json(tried: &Tried, plot: Option<&Path>) -> serde_json::Value {
    let counts: serde_json::Map<_, _> = Word::ALL
        .into_iter()
        .map(|word| (word.as_str().replace(' ', "-"), json!(tried.count(word))))
        .collect();
    let missing =
        tried.missing.iter().map(|(what, (times, why))| json!({ "fact": what, "times": times, "why": why }));
    json!({
        "service": tried.service, "policy": tried.policy, "from": tried.window.start, "to": tried.window.end,
        "step-ms": tried.step, "asked": tried.steps.len(), "verdicts": counts, "changes": tried.changes,
        "without-value": missing.collect::<Vec<_>>(), "incidents": tried.incidents, "plot": plot,
    })
}

//! What could be made of a service's checkpoints and data, for people.

use ripcord_core::name::ServiceName;
use ripcord_engine::{CheckpointLine, DataLine, Makeable, RestoredBy};

use super::style::{BAD, DIM, GOOD, STRONG, WARN, paint};
use super::table::{Cell, Table};
use super::text::{Paragraph, Text, text};
use super::time::instant;

/// Metrics of a checkpoint that are shown; `--json` has all.
const METRICS_MAX: usize = 4;
/// A data revision is shown so far; `--json` has all of it.
const REVISION_CHARS_MAX: usize = 19;

/// What could be made, each with who may have it made.
pub fn text(makes: &Makeable, service: &ServiceName) -> Text {
    let by = match &makes.producer {
        Some(producer) => text!("by {}", producer),
        None => text!("by nothing that is configured"),
    };
    let mut all = vec![text!("{}  {}", paint(STRONG, "could be made"), by)];
    if let Some(why) = &makes.obstacle {
        all.push(paint(BAD, text!("nothing can be made: {}", Paragraph(why))));
    }
    if !makes.checkpoints.is_empty() {
        all.push(text!("{}", checkpoints(&makes.checkpoints)).trimmed());
        all.push(paint(
            DIM,
            match &makes.judged_by {
                Some(planner) => text!("{} says which of them are sound", planner),
                None => text!("no planner here knows checkpoints"),
            },
        ));
    }
    for unusable in &makes.unusable {
        all.push(paint(DIM, text!("  `{}` cannot be used: {}", unusable.name, Paragraph(&unusable.value))));
    }
    if !makes.data.is_empty() {
        all.push(text!("{}", data(&makes.data)).trimmed());
        if makes.data.iter().any(|line| line.by != RestoredBy::Nobody) {
            all.push(paint(
                DIM,
                text!(
                    "`ripcord pull {0} --retrain DATASET@REVISION --exclude source=NAME` trains on it without some of its rows, which `ripcord data suspects {0} MANIFEST --version VERSION` finds",
                    service
                ),
            ));
        }
    }
    all.extend(makes.not_listed.iter().map(|why| paint(WARN, Paragraph(why))));
    all.push(Text::default());
    Text::joined(all, "\n")
}

fn checkpoints(lines: &[CheckpointLine]) -> Table {
    let mut table = Table::new(["checkpoint", "saved", "metrics", "a version of it"]);
    for line in lines {
        table.row([
            text!("{}@{}", line.run, line.step).into(),
            instant(line.saved_at).into(),
            metrics(line).into(),
            may(line.by, line.why_not.as_deref(), "may be made"),
        ]);
    }
    table
}

fn metrics(line: &CheckpointLine) -> String {
    if line.metrics.is_empty() {
        return "none".to_owned();
    }
    let shown = line.metrics.iter().take(METRICS_MAX).map(|metric| match metric.value {
        Some(value) => format!("{} {value}", metric.name),
        None => format!("{} is no number", metric.name),
    });
    let more = line.metrics.len().saturating_sub(METRICS_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.collect::<Vec<_>>().join(", "))
}

fn data(lines: &[DataLine]) -> Table {
    let mut table = Table::new(["data", "versions of it", "a training on it"]);
    for line in lines {
        let revision: String = line.revision.chars().take(REVISION_CHARS_MAX).collect();
        let cut = if revision.len() < line.revision.len() { "…" } else { "" };
        let versions = line.versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        table.row([
            text!("{}@{}{}", line.dataset, revision, cut).into(),
            versions.into(),
            may(line.by, line.why_not.as_deref(), "may be pulled"),
        ]);
    }
    table
}

fn may(by: RestoredBy, why: Option<&str>, yes: &'static str) -> Cell {
    let why = why.unwrap_or_default();
    match by {
        RestoredBy::Nobody => Cell::new(DIM, text!("is not made: {}", Paragraph(why))),
        _ if why.is_empty() => Cell::new(GOOD, yes),
        RestoredBy::Rules | RestoredBy::People => {
            Cell::new(WARN, text!("only if people pull: {}", Paragraph(why)))
        }
    }
}

//! What `ripcord data` prints.

use std::path::Path;

use ripcord_core::foreign::Foreign;
use ripcord_core::name::ServiceName;
use ripcord_core::target::Exclusion;
use ripcord_data::suspects::{Rate, Report, Suspect, What};
use ripcord_data::{MANIFEST, Purged};

use crate::output::style::{DIM, STRONG, WARN, paint};
use crate::output::table::{Cell, Table};
use crate::output::time::exact;
use crate::output::{Exit, Page, Text, text};

pub(super) fn purged(purged: &Purged, out: &Path) -> Page {
    let mut lines = vec![if purged.was_there {
        text!("was made before: {}", out.join(MANIFEST).display())
    } else {
        text!("made {}", out.join(MANIFEST).display())
    }];
    lines.push(text!(
        "{} of {} rows are left; {} went",
        purged.after.rows,
        purged.before.rows,
        purged.rows_left_out
    ));
    for counted in &purged.excluded {
        lines.push(text!("  {} {}", counted.rows, of(&counted.exclusion)));
    }
    if let Some(rows) = purged.rows_without_time.filter(|rows| *rows > 0) {
        lines.push(paint(WARN, text!("{} rows have no time, and stay", rows)));
    }
    lines.push(text!(
        "{} files written, {} referred to where they are, {} without a row left",
        purged.files_written,
        purged.files_referred_to,
        purged.files_left_out
    ));
    lines.push(text!("revision {}", purged.after.revision));
    lines.push(text!("   from  {}", purged.before.revision));
    Page::done(Text::joined(lines, "\n"), &json(purged))
}

fn json(purged: &Purged) -> serde_json::Value {
    let mut json = serde_json::to_value(purged).unwrap_or_default();
    json["was-there"] = purged.was_there.into();
    json
}

fn of(exclusion: &Exclusion) -> Text {
    match exclusion {
        Exclusion::Source(source) => text!("of source {}", Foreign::signed(source).at_most(80)),
        Exclusion::Value(of) => text!(
            "with {} in {}",
            Foreign::signed(&of.value).at_most(80),
            Foreign::signed(&of.column).at_most(60)
        ),
        Exclusion::Window(window) => text!("from {} to {}", exact(window.start), exact(window.end)),
        Exclusion::Rows(rows) => text!("of {} that are named by their ids", rows.len()),
    }
}

pub(super) fn suspects(report: &Report, service: &ServiceName) -> Page {
    let version = report.answered_by.as_ref().map_or_else(|| "the version".to_owned(), ToString::to_string);
    let mut parts = vec![text!(
        "{} contradicts {} of {} rows of {} ({}); {} slices were looked at",
        version,
        report.asked.contradicted,
        report.asked.rows,
        report.dataset,
        percent(report.asked),
        report.slices
    )];
    if report.suspects.is_empty() {
        parts.push(text!("no slice stands out"));
    } else {
        let mut table = Table::new(["suspect", "rows", "contradicted", "the rest", "times", "by chance"]);
        for suspect in &report.suspects {
            table.row([
                Cell::new(STRONG, what(&suspect.what)),
                suspect.slice.rows.to_string().into(),
                percent(suspect.slice).into(),
                percent(suspect.rest).into(),
                suspect.lift.map_or_else(|| "-".to_owned(), |lift| format!("{lift:.1}")).into(),
                format!("{:.1e}", suspect.chance).into(),
            ]);
        }
        parts.push(text!("{}", table).trimmed());
        parts.extend(report.suspects.iter().map(|suspect| about(suspect, report, service)));
        parts.push(paint(
            DIM,
            text!("a good version is also wrong where the world has moved on: look at the rows before you leave them out"),
        ));
    }
    for left_out in &report.left_out {
        parts.push(paint(DIM, text!("not looked at by {}: {}", left_out.column, left_out.why)));
    }
    Page::new(
        if report.suspects.is_empty() { Exit::Done } else { Exit::Waiting },
        Text::joined(parts, "\n"),
        report,
    )
}

fn about(suspect: &Suspect, report: &Report, service: &ServiceName) -> Text {
    let mut lines = vec![text!("\n{}", paint(STRONG, what(&suspect.what)))];
    let examples = suspect.examples.iter().map(|example| text!("file {} row {}", example.file, example.row));
    lines.push(text!("  such as {}", Text::joined(examples, ", ")));
    for explained in &suspect.explains {
        let slice = explained.slice;
        lines.push(text!("  explains {} ({} of {} rows)", what(&explained.what), percent(slice), slice.rows));
    }
    lines.push(match suspect.exclusion.as_ref().and_then(spelling) {
        Some(exclude) => text!(
            "  to train without it: ripcord pull {} --retrain {} --exclude {}",
            service,
            quoted(&format!("{}@{}", report.dataset, report.revision)),
            quoted(&exclude)
        ),
        None => text!("  look at what these rows come from: a source or a time can be left out"),
    });
    if let Some(Exclusion::Value(_)) = suspect.exclusion {
        lines.push(paint(
            DIM,
            text!(
                "  look first at what they come from: what is trained without them has never seen such rows"
            ),
        ));
    }
    Text::joined(lines, "\n")
}

/// As a person types it; none where it cannot be typed.
fn spelling(exclusion: &Exclusion) -> Option<String> {
    let spelt = ripcord_data::typed(exclusion)?;
    (!Foreign::signed(&spelt).is_changed()).then_some(spelt)
}

/// For a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=.:/@".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

fn what(what: &What) -> Text {
    let column = Foreign::signed(&what.column).at_most(60);
    match (&what.equals, what.within, what.from, what.before) {
        (Some(value), ..) => text!("{} {}", column, Foreign::signed(value).at_most(60)),
        (_, Some(window), ..) => text!("{} from {} to {}", column, exact(window.start), exact(window.end)),
        (_, _, Some(from), Some(before)) => text!("{} from {} to below {}", column, from, before),
        (_, _, Some(from), None) => text!("{} of {} or more", column, from),
        (_, _, None, Some(before)) => text!("{} below {}", column, before),
        (None, None, None, None) => text!("{}", column),
    }
}

fn percent(rate: Rate) -> String {
    format!("{:.1} %", rate.share * 100.0)
}

#[cfg(test)]
mod tests {
    use ripcord_core::target::Window;
    use ripcord_core::time::UnixMillis;
    use ripcord_data::suspects::{Example, Explained, Kind, LeftOut};

    use super::*;
    use crate::output::hostile;

    fn report(text: &str) -> Report {
        let rate = |rows, contradicted| Rate { rows, contradicted, share: contradicted as f64 / rows as f64 };
        let named = |equals: &str| What {
            kind: Kind::Source,
            column: text.to_owned(),
            equals: Some(equals.to_owned()),
            from: None,
            before: None,
            within: None,
        };
        let window = Window { start: UnixMillis(0), end: UnixMillis(1) };
        let explained =
            Explained { what: What { equals: None, within: Some(window), ..named("") }, slice: rate(5, 4) };
        Report {
            dataset: text.to_owned(),
            revision: text.to_owned(),
            answered_by: None,
            rows: 100,
            asked: rate(100, 30),
            slices: 7,
            suspects: vec![Suspect {
                what: named(text),
                slice: rate(50, 28),
                rest: rate(50, 2),
                lift: Some(14.0),
                chance: 1.25e-9,
                examples: vec![Example { file: 1, row: 3 }],
                exclusion: Some(Exclusion::Source(text.to_owned())),
                explains: vec![explained],
            }],
            left_out: vec![LeftOut { column: text.to_owned(), why: "it has one value only".to_owned() }],
        }
    }

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let service = ServiceName::new("fraud-api").expect("a name");
        for (name, text) in hostile::table() {
            hostile::assert_harmless(&suspects(&report(&text), &service).text, name);
        }
    }

    #[test]
    fn the_command_that_leaves_a_suspect_out_is_named_as_a_shell_takes_it() {
        let service = ServiceName::new("fraud-api").expect("a name");
        let page = |text: &str| suspects(&report(text), &service).plain();
        let plain = page("chargeback-import");
        let command = "ripcord pull fraud-api --retrain chargeback-import@chargeback-import --exclude source=chargeback-import\n";
        assert!(plain.contains(command), "{plain}");
        assert!(page("it's").contains(r"--retrain 'it'\''s@it'\''s' --exclude 'source=it'\''s'"));
        // What cannot be typed as it is shown is not offered.
        assert!(!page("im\u{200b}port").contains("--exclude"));
    }
}

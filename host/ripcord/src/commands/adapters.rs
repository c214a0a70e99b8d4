//! `ripcord adapters`: what a configuration can be connected to, as the catalogue has it.

use ripcord_adapters::adapter::{About, Key, LeftOut};
use ripcord_adapters::catalogue;

use super::Outcome;
use crate::config::suggestion;
use crate::output::style::{DIM, STRONG, paint};
use crate::output::table::{Cell, Table};
use crate::output::{Failure, Page, Text, text};

/// Tells of all, or of those of one kind or port.
pub(super) fn adapters(wanted: Option<&str>) -> Outcome {
    let all = catalogue::all();
    let is_wanted = |about: &&About| wanted.is_none_or(|name| about.kind == name || about.port == name);
    let found: Vec<_> = all.iter().filter(is_wanted).collect();
    let is_wanted = |of: &&LeftOut| wanted.is_none_or(|name| of.kind == name || of.port == name);
    let left_out: Vec<_> = catalogue::LEFT_OUT.iter().filter(is_wanted).collect();
    if let (Some(name), true) = (wanted, found.is_empty() && left_out.is_empty()) {
        let known = all.iter().flat_map(|about| [about.port, about.kind]);
        let help = suggestion(name, "there are", known);
        return Err(Failure::usage(format!("there is no adapter and no port `{name}`")).help(help));
    }
    let mut told = text_of(&found);
    for of in left_out {
        told.push(text!("\n{}: {}\n", of.to_string(), of.help()));
    }
    Ok(Page::done(told, &serde_json::json!({ "adapters": found })))
}

fn text_of(found: &[&About]) -> Text {
    let mut text = Text::default();
    let mut port = "";
    for about in found {
        if about.port != port {
            port = about.port;
            text.push(text!("{}, at {}\n\n", paint(STRONG, port), about.place));
        }
        text.push(text!("  {}: {}\n", paint(STRONG, about.kind), about.summary));
        let mut table = Table::bare(4);
        rows(&about.keys, "", &mut table);
        text.push(table);
        let shown =
            if about.example.is_empty() { Text::default() } else { text!("{{ {} }}   ", about.example) };
        text.push(text!("    {}\n\n", paint(DIM, text!("{}host/adapters/src/{}", shown, about.page))));
    }
    text.trimmed()
}

/// A line for each key; those of a table within come below it, with its name before theirs.
fn rows(keys: &[Key], before: &str, table: &mut Table) {
    for key in keys {
        let name = format!("{before}{}", key.name);
        let note = match (key.secret, key.needed, key.given_by) {
            (true, ..) => "where a secret is".to_owned(),
            (_, _, Some(by)) => format!("that of {by}, if left out"),
            (_, true, None) if before.is_empty() => "needed".to_owned(),
            (_, true, None) => "needed there".to_owned(),
            (_, false, None) => String::new(),
        };
        let style = if key.needed && key.given_by.is_none() { STRONG } else { anstyle::Style::new() };
        table.row([Cell::new(style, &name), key.takes.to_string().into(), note.into()]);
        rows(&key.keys, &format!("{name}."), table);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_with_its_keys() {
        let page = adapters(Some("scrape")).unwrap();
        insta::assert_snapshot!(page.plain(), @r#"
        metrics, at [metrics.NAME]

          scrape: a service's own page of metrics, read every so often
            url             text          needed
            every-ms        whole number
            keep            whole number
            series-max      whole number
            page-bytes-max  whole number
            deadline-ms     whole number
            stale-after-ms  whole number
            token-file      path          where a secret is
            token-env       text          where a secret is
            { kind = "scrape", url = "http://127.0.0.1:8080/metrics" }   host/adapters/src/metrics_scrape/README.md
        "#);
    }

    #[test]
    fn a_port_is_told_with_all_its_kinds() {
        let page = adapters(Some("restorer")).unwrap();
        let kinds: Vec<_> =
            page.json["adapters"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
        assert_eq!(kinds, ["file", "http", "git", "mlflow-prompt"]);
        assert!(page.plain().contains("where a secret is"), "{}", page.plain());
    }

    #[test]
    fn a_name_that_there_is_not_is_told_with_the_nearest_one() {
        let failure = adapters(Some("mlfow")).unwrap_err();
        assert!(failure.text().plain().contains("did you mean `mlflow`?"), "{}", failure.text().plain());
    }
}

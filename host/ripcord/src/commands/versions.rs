//! `ripcord versions`.

use ripcord_adapters::clock_system::SystemClock;
use ripcord_core::name::ServiceName;
use ripcord_ports::Clock as _;

use super::states::{Damaged, names, read_all};
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::http::versions::view;
use crate::http::wire::{VersionDetail, VersionsView};
use crate::output::style::{DIM, GOOD, WARN, paint};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{Exit, Page, Paragraph, Text, text};

pub(super) async fn versions(global: &Global, service: &ServiceName) -> Outcome {
    let reach = Reach::new(global)?;
    if let Some(host) = reach.far()? {
        return Ok(page(&host.versions(service).await?));
    }
    match reach.answering().await {
        Ok(host) => Ok(page(&host.versions(service).await?)),
        Err(why) => {
            names(&reach, Some(service))?;
            let (states, damaged) = Damaged::apart(read_all(&reach, Some(service)).await?);
            let Some(state) = states.first() else {
                return Ok(Page::new(damaged.exit(), damaged.text(), damaged.json()));
            };
            let seen = view(state, Err(format!("the registry was not asked: {why}")), SystemClock.now());
            Ok(page(&seen))
        }
    }
}

fn page(view: &VersionsView) -> Page {
    let mut table = Table::new(["version", "standing", "since", "until", "a rollback"]);
    for VersionDetail { line, why_not, .. } in &view.versions {
        let until = line.expires_at.map(instant).unwrap_or_default();
        let may = match why_not {
            None => Cell::new(GOOD, "may go back to it"),
            Some(why) => Cell::new(WARN, text!("does not: {}", Paragraph(why))),
        };
        table.row([
            (&line.version).into(),
            (&line.standing).into(),
            instant(line.since).into(),
            until.into(),
            may,
        ]);
    }
    let mut all =
        if view.versions.is_empty() { text!("no versions are known") } else { text!("{}", table).trimmed() };
    if let Some(why) = &view.not_listed {
        all.push(text!(
            "\n{}",
            paint(WARN, text!("versions that only the registry knows are missing: {}", Paragraph(why)))
        ));
    }
    all.push(text!("\n{}", paint(DIM, "a planner may object to more, by its settings")));
    let exit = if view.not_listed.is_some() { Exit::Failed } else { Exit::Done };
    Page::new(exit, Text::joined([all], "\n"), view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use serde_json::json;

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let view = json!({ "service": "s", "not_listed": "no answer", "versions": [{
            "version": "1", "digest": null, "standing": { "other": "odd" }, "since": "1", "expires_at": null, "condemned_by": [],
            "created_at": null, "why_not": "it is odd",
        }] });
        let view: VersionsView = serde_json::from_value(view).expect("a view");
        for (name, text) in hostile::table() {
            let (view, spoilt) = hostile::spoilt(&view, &text);
            assert!(spoilt > 2, "{name}: {spoilt}");
            hostile::assert_harmless(&page(&view).text, name);
        }
    }
}

//! `ripcord runs list`.

use ripcord_core::name::ServiceName;
use ripcord_core::service::Service;
use serde_json::json;

use super::states::{Damaged, read_all};
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::client::Live;
use crate::http::wire::{RunOf, ServiceView};
use crate::output::style::{DIM, STRONG};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{Page, Text, text};

pub(super) async fn list(global: &Global, service: Option<&ServiceName>) -> Outcome {
    let reach = Reach::new(global)?;
    if let Some(host) = reach.far()? {
        let views = match service {
            Some(name) => vec![host.service(name, Live::Skipped).await?],
            None => host.services(&[], Live::Skipped).await?,
        };
        let lines: Vec<_> = views.into_iter().flat_map(of_view).collect();
        return Ok(listed(&lines, &Damaged::default()));
    }
    let (states, damaged) = Damaged::apart(read_all(&reach, service).await?);
    let store = reach.store_if_any()?;
    let mut lines = Vec::new();
    for state in &states {
        lines.extend(of_state(state, store.as_ref()).await);
    }
    Ok(listed(&lines, &damaged))
}

fn of_view(view: ServiceView) -> Vec<RunOf> {
    let service = view.name;
    view.runs.into_iter().map(|run| RunOf { service: service.clone(), run }).collect()
}

async fn of_state(state: &Service, store: Option<&ripcord_store::SqliteStore>) -> Vec<RunOf> {
    let mut runs = crate::http::wire::RunLine::all(state);
    if let Some(store) = store {
        crate::http::wire::RunLine::tell(&mut runs, state, store).await;
    }
    runs.into_iter().map(|run| RunOf { service: state.name.clone(), run }).collect()
}

fn listed(lines: &[RunOf], damaged: &Damaged) -> Page {
    let mut table = Table::new(["service", "ordered by", "makes a version of", "since", "state"]);
    for RunOf { service, run } in lines {
        let style = if run.ended_at.is_none() { STRONG } else { DIM };
        table.row([
            service.into(),
            (&run.incident).into(),
            run.target.to_string().into(),
            instant(run.since).into(),
            Cell::new(style, run.sentence()),
        ]);
    }
    let runs = if lines.is_empty() { text!("no runs") } else { text!("{}", table) };
    let text = Text::joined([runs.trimmed(), damaged.text()], "\n").trimmed();
    Page::new(damaged.exit(), text, &json!({ "runs": lines, "damaged": damaged.json() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let retrain = json!({ "retrain": { "dataset": "d", "revision": "r", "exclude": [] } });
        let lines = json!([{
            "service": "s", "incident": "s:1", "target": retrain, "since": "1", "state": "goes-on", "ends_at": "2",
            "looked_at": "1", "text": "step 3", "ended_at": null, "version": null,
        }]);
        let lines: Vec<RunOf> = serde_json::from_value(lines).expect("lines");
        for (name, text) in hostile::table() {
            let (lines, spoilt) = hostile::spoilt(&lines, &text);
            assert!(spoilt > 0, "{name}");
            hostile::assert_harmless(&listed(&lines, &Damaged::default()).text, name);
        }
    }
}

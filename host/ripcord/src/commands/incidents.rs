//! `ripcord incidents` and `ripcord plan show`.

use ripcord_core::fact::Outcome as Ending;
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_engine::ReadError;
use ripcord_engine::view::{self, IncidentView};

use super::{Outcome, Reach};
use crate::cli::Global;
use crate::client::{NotWhatWasAsked, asked};
use crate::http::wire::{IncidentListLine, PlanView};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{Exit, Failure, Page, Paragraph, incident, plan as plan_page};

pub(super) async fn list(global: &Global, service: Option<&ServiceName>, limit: u32) -> Outcome {
    let reach = Reach::new(global)?;
    if let Some(host) = reach.elsewhere().await? {
        return Ok(listed(&host.incidents(service, limit).await?));
    }
    let lines = ripcord_engine::incidents(&reach.store()?, service, limit).await;
    let lines = lines.map_err(|error| Failure::of(Exit::Failed, error))?;
    Ok(listed(&lines.into_iter().map(Into::into).collect::<Vec<IncidentListLine>>()))
}

fn listed(lines: &[IncidentListLine]) -> Page {
    if lines.is_empty() {
        return Page::done("no incidents", &lines);
    }
    let mut table = Table::new(["incident", "opened", "took", "outcome", "target", "summary"]);
    for line in lines {
        let took = line.settled_at.map(|settled| settled.since(line.opened_at).to_string());
        let target = line.target.as_ref().map(ToString::to_string);
        table.row([
            (&line.id).into(),
            instant(line.opened_at).into(),
            took.unwrap_or_default().into(),
            Cell::new(incident::style(&line.outcome), &line.outcome),
            target.unwrap_or_default().into(),
            Paragraph(&line.summary).into(),
        ]);
    }
    Page::done(table, &lines)
}

pub(super) async fn show(global: &Global, id: &IncidentId) -> Outcome {
    let reach = Reach::new(global)?;
    let mut view = read(&reach, id).await?;
    if view.outcome == Ending::Open
        && view.held_up.is_empty()
        && let Some(host) = reach.running().await
    {
        // Only the host that runs knows which system does not answer; the page is of use without that.
        view.held_up = host.incident(id).await.map(|asked| asked.held_up).unwrap_or_default();
    }
    // Showing is done, whatever the incident came to; only what waits for people is told.
    let exit = match view.outcome {
        Ending::Open if view.needs.is_some() => Exit::Waiting,
        _ => Exit::Done,
    };
    Ok(Page { exit, ..incident::page(&view) })
}

pub(super) async fn plan(global: &Global, id: &IncidentId) -> Outcome {
    let plan = plan_of(&Reach::new(global)?, id).await?;
    Ok(Page::done(plan_page::text(&plan), &plan))
}

/// The plan at hand, from the store.
pub(super) async fn plan_of(reach: &Reach, id: &IncidentId) -> Result<PlanView, Failure> {
    let view = read(reach, id).await?;
    match (view.plan, view.plan_digest) {
        (Some(plan), Some(digest)) => {
            checked(reach, PlanView { digest, plan, expires_at: view.plan_expires_at }, id).await
        }
        _ => Err(Failure::failed(format!("`{id}` has no plan: it is {}", view.phase))),
    }
}

/// A plan of this incident and, where that is known here, of this installation: what is shown is what is approved.
pub(super) async fn checked(reach: &Reach, view: PlanView, id: &IncidentId) -> Result<PlanView, Failure> {
    let refused = |what: NotWhatWasAsked| {
        Failure::of(Exit::Failed, what)
            .help("do not approve it; compare `ripcord plan show` on the host's own machine")
    };
    let view = asked::plan(view, id).map_err(refused)?;
    if let Some(own) = reach.installation().await? {
        asked::installation(&view.plan, &own).map_err(refused)?;
    }
    Ok(view)
}

async fn read(reach: &Reach, id: &IncidentId) -> Result<IncidentView, Failure> {
    if let Some(host) = reach.elsewhere().await? {
        return Ok(host.incident(id).await?);
    }
    view::incident(&reach.store()?, id).await.map_err(|error| match error {
        ReadError::Unknown(_) => Failure::of(Exit::Usage, error),
        _ => Failure::of(Exit::Failed, error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use serde_json::json;

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let lines = json!([{
            "id": "s:1", "service": "s", "opened_at": "1", "settled_at": "2", "strategy": { "other": "o" },
            "outcome": { "other": "o" }, "target": { "fallback": "rules" }, "summary": "it was bad",
        }]);
        let lines: Vec<IncidentListLine> = serde_json::from_value(lines).expect("lines");
        for (name, text) in hostile::table() {
            let (lines, spoilt) = hostile::spoilt(&lines, &text);
            assert!(spoilt > 3, "{name}: {spoilt}");
            hostile::assert_harmless(&listed(&lines).text, name);
        }
    }
}

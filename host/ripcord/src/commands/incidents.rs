//! `ripcord incidents` and `ripcord plan show`.

use ripcord_adapters::clock_system::SystemClock;
use ripcord_core::fact::Outcome as Ending;
use ripcord_core::name::{IncidentId, ServiceName, SetName};
use ripcord_core::time::UnixMillis;
use ripcord_engine::ReadError;
use ripcord_engine::view::{self, IncidentView};
use ripcord_ports::{Clock as _, Store as _};

use super::decisions::Ago;
use super::pull::{Until, follow_from};
use super::states::names;
use super::{Outcome, Reach, sets};
use crate::cli::{Global, PlanShowArgs};
use crate::client::{NotWhatWasAsked, asked};
use crate::http::wire::{IncidentListLine, PlanView};
use crate::output::document::DocumentForm;
use crate::output::style::{DIM, paint};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{
    Exit, Failure, Page, Paragraph, Progress, incident, plan as plan_page, report, runbook,
    sets as sets_page, text,
};

/// Which incidents are listed.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) service: Option<ServiceName>,
    pub(super) open: bool,
    pub(super) since: Option<Ago>,
    pub(super) limit: u32,
}

/// A host lists no more, and what has not ended is looked for among so many: a person reads no more.
const LISTED_MAX: u32 = 1_000;

pub(super) async fn list(global: &Global, wanted: &Wanted) -> Outcome {
    let reach = Reach::new(global)?;
    let service = wanted.service.as_ref();
    // What is left out by `--open` is none of those that were asked for. One more than is wanted tells whether there are more.
    let limit = if wanted.open { LISTED_MAX } else { wanted.limit.saturating_add(1) };
    let (mut lines, listed_max) = match reach.elsewhere().await? {
        Some(host) => (host.incidents(service, limit).await?, LISTED_MAX),
        None => {
            let (store, config) = (reach.store()?, reach.here()?);
            if let Some(name) = service.filter(|name| config.service(name.as_str()).is_none()) {
                let kept = store.services().await.map_err(|error| Failure::of(Exit::Failed, error))?;
                if !kept.contains(name) {
                    names(&reach, Some(name))?;
                }
            }
            let lines = ripcord_engine::incidents(&store, service, limit).await;
            let lines = lines.map_err(|error| Failure::of(Exit::Failed, error))?;
            (lines.into_iter().map(Into::into).collect::<Vec<IncidentListLine>>(), limit)
        }
    };
    let among_newest = lines.len() == listed_max as usize && (wanted.open || limit > listed_max);
    let since = wanted.since.map(|Ago(ago)| UnixMillis(SystemClock.now().0.saturating_sub(ago.0)));
    lines.retain(|line| !wanted.open || line.settled_at.is_none());
    lines.retain(|line| since.is_none_or(|since| line.opened_at >= since));
    let shown = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    let cut = lines.len() > shown;
    lines.truncate(shown);
    let mut page = listed(&lines);
    let more = if cut {
        format!("older ones are left out: `--limit {}` shows more", shown.saturating_mul(2))
    } else if among_newest {
        format!("only the newest {LISTED_MAX} were looked at: `--service SERVICE` looks at those of one")
    } else {
        return Ok(page);
    };
    page.text = text!("{}\n{}", page.text.trimmed(), paint(DIM, more));
    Ok(page)
}

/// Tells each phase until the incident has ended, or a person must decide.
pub(super) async fn watch(global: &Global, id: &IncidentId) -> Outcome {
    let reach = Reach::new(global)?;
    let host = reach.answering().await.map_err(Failure::failed)?;
    let told = Progress::always(global.form(), global.color);
    if let Some(set) = set_of(id) {
        let now = host.wait(id, 0, None).await?;
        if now.outcome == Ending::Open {
            told.say(&now.phase);
            follow_from(&host, id, now, Until::Settled, &told).await?;
        }
        return Ok(sets_page::page_after(&host.set(&set).await?, id));
    }
    if host.incident(id).await?.outcome == Ending::Open {
        let now = host.wait(id, 0, None).await?;
        told.say(&now.phase);
        follow_from(&host, id, now, Until::Settled, &told).await?;
    }
    Ok(incident::page(&host.incident(id).await?))
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
    if let Some(set) = set_of(id) {
        return sets::show_run(&reach, &set, id).await;
    }
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

/// The same as a runbook.
pub(super) async fn runbook(global: &Global, args: &PlanShowArgs) -> Outcome {
    let plan = plan_of(&Reach::new(global)?, &args.incident).await?;
    Ok(runbook::runbook(&plan).page(args.form))
}

/// A draft of the report on an incident.
pub(super) async fn report(global: &Global, id: &IncidentId, form: DocumentForm) -> Outcome {
    if let Some(set) = set_of(id) {
        return Err(Failure::usage(format!(
            "`{id}` is a run of the set `{set}`, and reports are of incidents"
        ))
        .help(format!("`ripcord incidents show {id}` names the incidents of its members")));
    }
    Ok(report::report(&read(&Reach::new(global)?, id).await?).page(form))
}

/// The plan at hand, from the store.
pub(super) async fn plan_of(reach: &Reach, id: &IncidentId) -> Result<PlanView, Failure> {
    if let Some(set) = set_of(id) {
        return checked(reach, sets::plan(reach, &set, id).await?, id).await;
    }
    let view = read(reach, id).await?;
    let without = Failure::failed(format!("`{id}` has no plan: it is {}", view.phase));
    checked(reach, PlanView::of(view).ok_or(without)?, id).await
}

/// A plan of this incident and, where that is known here, of this installation: what is shown is what is approved.
pub(super) async fn checked(reach: &Reach, view: PlanView, id: &IncidentId) -> Result<PlanView, Failure> {
    let refused = |what: NotWhatWasAsked| {
        Failure::of(Exit::Failed, what)
            .help(format!("do not approve it; compare `ripcord plan show {id}` on the host's own machine"))
    };
    let view = asked::plan(view, id).map_err(refused)?;
    if let Some(own) = reach.installation().await? {
        asked::installation(&view.plan, &own).map_err(refused)?;
    }
    Ok(view)
}

/// The set whose run the id names, if it names one.
fn set_of(id: &IncidentId) -> Option<SetName> {
    id.service()?.as_set()
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
            "outcome": { "other": "o" }, "target": { "other": "rules" }, "summary": "it was bad",
        }]);
        let lines: Vec<IncidentListLine> = serde_json::from_value(lines).expect("lines");
        for (name, text) in hostile::table() {
            let (lines, spoilt) = hostile::spoilt(&lines, &text);
            assert!(spoilt > 3, "{name}: {spoilt}");
            hostile::assert_harmless(&listed(&lines).text, name);
        }
    }
}

//! `ripcord status`.

use std::time::Duration;

use ripcord_adapters::clock_system::SystemClock;
use ripcord_core::facet::FacetState;
use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::service::Service;
use ripcord_ports::Clock as _;

use super::states::{names, read_all};
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::client::Live;
use crate::config::ServiceConfig;
use crate::http::protection;
use crate::http::unserved::unserved;
use crate::http::wire::{
    AlertsLine, FacetLine, FacetNow, HoldLine, IncidentState, LatchLine, NoDataLine, ProbationLine, RunLine,
    SeenLine, ServiceView, SetView, VersionLine,
};
use crate::output::sets::Damaged;
use crate::output::style::{BAD, DIM, STRONG, WARN, paint};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{
    Exit, Failure, Form, Page, Paragraph, Text, held_up, incident, natural, print, sets as set_page, tell,
    text,
};

use anstyle::Style;

/// Beyond so many, what is live is asked only of a service that is named: each answer is another system's.
const LIVE_SERVICES_MAX: usize = 50;
/// How many signals without a service are counted.
const UNROUTED_MAX: u32 = 100;

/// Asks the host that runs, which knows what is live; without one, or without a token, the store.
pub(super) async fn status(global: &Global, service: Option<&ServiceName>) -> Outcome {
    look(&Reach::new(global)?, service, Live::Read).await
}

async fn look(reach: &Reach, service: Option<&ServiceName>, live: Live) -> Outcome {
    let (mut views, mut unrouted) = (Vec::new(), Vec::new());
    let (mut sets, mut damaged) = (Vec::new(), Damaged::new());
    let mut unseen = None;
    if let Some(host) = reach.far()? {
        unrouted = host.unrouted(UNROUTED_MAX).await?;
        let mut views = match service {
            Some(name) => vec![host.service(name, live).await?],
            None => {
                let names = host.services(&[], Live::Skipped).await?;
                match live {
                    Live::Read if names.len() <= LIVE_SERVICES_MAX => host.services(&[], live).await?,
                    Live::Read | Live::Skipped => names,
                }
            }
        };
        if views.iter().any(|view| view.enlisted_by.is_some()) {
            sets = of_these(host.sets().await?, &views);
        }
        in_order(&mut views);
        let also = Also { unseen: None, unrouted: unrouted.len(), sets: &sets, damaged: &damaged };
        return Ok(page(&views, &also));
    }
    match reach.answering().await {
        Ok(host) => {
            unrouted = host.unrouted(UNROUTED_MAX).await?;
            // Of a service that is not in this file the host may know all the same.
            let asked = names(reach, service)?;
            views = match service {
                Some(name) => vec![host.service(name, live).await?],
                None => {
                    let live = if asked.len() <= LIVE_SERVICES_MAX { live } else { Live::Skipped };
                    host.services(&asked, live).await?
                }
            };
            if views.iter().any(|view| view.enlisted_by.is_some()) {
                sets = of_these(host.sets().await?, &views);
            }
        }
        Err(why) => {
            unseen = Some(why);
            if let Some(store) = reach.store_if_any()? {
                let config = reach.here()?;
                let is_configured = |name: &ServiceName| config.service(name.as_str()).is_some();
                let kept = unserved(&store, is_configured, UNROUTED_MAX).await;
                unrouted = kept.map_err(|error| Failure::of(Exit::Failed, error))?;
            }
            for read in read_all(reach, service).await? {
                let Some(configured) = reach.here()?.service(read.name.as_str()) else { continue };
                views.push(match read.state {
                    Ok(state) => view(configured, &state),
                    Err(why) => ServiceView {
                        stuck: Some(why.to_string()),
                        // Nothing is known of it.
                        unprotected: Vec::new(),
                        warnings: Vec::new(),
                        ..view(configured, &Service::new(read.name))
                    },
                });
            }
        }
    }
    if unseen.is_some() && !reach.here()?.sets.is_empty() {
        let (of_all, unread) = super::sets::read_all_here(reach).await?;
        (sets, damaged) = (of_these(of_all, &views), unread);
    }
    if let Some(why) = &unseen {
        for view in &mut views {
            view.unprotected.insert(0, why.clone());
        }
    }
    in_order(&mut views);
    let also = Also { unseen: unseen.as_deref(), unrouted: unrouted.len(), sets: &sets, damaged: &damaged };
    Ok(page(&views, &also))
}

/// What is told beside the services themselves.
struct Also<'a> {
    /// Why the host that should run was not asked.
    unseen: Option<&'a str>,
    /// Signals without a service.
    unrouted: usize,
    /// Sets with a run that goes on.
    sets: &'a [SetView],
    /// Sets that cannot be read.
    damaged: &'a Damaged,
}

/// The sets that have enlisted one of these services.
fn of_these(sets: Vec<SetView>, services: &[ServiceView]) -> Vec<SetView> {
    let has_enlisted = |set: &SetView| {
        let run = set.run.as_ref().map(|run| run.state.id.as_str());
        let mut by = services.iter().filter_map(|view| view.enlisted_by.as_ref());
        run.is_some_and(|run| by.any(|by| by.as_str() == run))
    };
    sets.into_iter().filter(has_enlisted).collect()
}

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Shows it whenever it has changed, until the process is told to end. A host that does not answer for a while ends nothing: that is shown as well.
/// What is live is what the host's own watch saw last, so nobody else is asked every two seconds.
pub(super) async fn watch(global: &Global, service: Option<&ServiceName>) -> Outcome {
    // One for all looks: what it warns of is told once.
    let reach = Reach::new(global)?;
    let mut last = None;
    loop {
        let seen = look(&reach, service, Live::Skipped).await;
        let (shown, never) = match &seen {
            Ok(page) => (page.text.plain(), false),
            Err(failure) => (failure.text().plain(), matches!(failure.exit, Exit::Usage | Exit::Refused)),
        };
        // What is wrong with the question itself does not become right by asking again.
        if never && last.is_none() {
            return seen;
        }
        if last.as_ref() != Some(&shown) {
            if last.is_some() && global.form() == Form::Text {
                tell(global.color, &paint(DIM, format!("--- {}", instant(SystemClock.now()))));
            }
            last = Some(shown);
            print(global.form(), global.color, seen);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What needs a person stands first, then what is not well; names as people count.
fn in_order(views: &mut [ServiceView]) {
    views.sort_by(|one, other| {
        let rank = |view: &ServiceView| (!needs_person(view), !not_well(view), view.warnings.is_empty());
        rank(one).cmp(&rank(other)).then_with(|| natural::compare(one.name.as_str(), other.name.as_str()))
    });
}

/// Whether it waits for somebody.
fn needs_person(view: &ServiceView) -> bool {
    view.incident.as_ref().is_some_and(|open| open.needs.is_some() || !open.wanted.is_empty())
}

/// Whether an alert would come to nothing, or nobody knows.
fn not_well(view: &ServiceView) -> bool {
    view.stuck.is_some()
        || !view.unprotected.is_empty()
        || view.alerts.set_aside > 0
        || view.paused_by.is_some()
        || cannot_read_live(view)
        || view.live.iter().flat_map(|live| &live.facets).any(|now| now.read.state.known().is_none())
}

fn cannot_read_live(view: &ServiceView) -> bool {
    match (&view.live, &view.seen) {
        (Some(live), _) => live.observed_at.is_none(),
        (None, Some(seen)) => !seen.can_be_read,
        (None, None) => false,
    }
}

fn view(configured: &ServiceConfig, state: &Service) -> ServiceView {
    ServiceView {
        name: state.name.clone(),
        mode: configured.mode,
        environment: configured.facts.environment.clone(),
        model: configured.facts.model.clone(),
        paused_by: state.paused_by.clone(),
        reviews: state.reviews.clone(),
        stuck: None,
        not_erased: None,
        held_up: Vec::new(),
        live: None,
        seen: SeenLine::of(state),
        incident: state.incident.as_ref().map(|open| IncidentState::of(state, open)),
        last_settled: state.last_settled.as_ref().map(|last| IncidentState::of(state, last)),
        probation: ProbationLine::of(state),
        versions: VersionLine::all(state, SystemClock.now()),
        facets: FacetLine::all(state, SystemClock.now()),
        aliases: state.aliases.clone().map(|known| known.seen).unwrap_or_default(),
        holds: HoldLine::all(state),
        announcements_waiting: state.outbox.len(),
        runs: RunLine::all(state),
        enlisted_by: state.enlisted_by().map(|known| known.run.clone()),
        latches: LatchLine::all(state),
        alerts: AlertsLine::of(state),
        no_data: NoDataLine::of(state),
        unprotected: protection::unprotected(state, SystemClock.now()),
        warnings: protection::warnings(state, SystemClock.now()),
    }
}

fn page(views: &[ServiceView], also: &Also<'_>) -> Page {
    let Also { unseen, unrouted, sets, damaged } = *also;
    let exit = if unseen.is_some() || views.iter().any(|view| view.stuck.is_some()) {
        Exit::Failed
    } else if views.iter().any(needs_person) || sets.iter().any(set_page::waits) {
        Exit::Waiting
    } else if views.iter().any(not_well) || !damaged.is_empty() {
        Exit::Failed
    } else {
        Exit::Done
    };
    let mut text: Vec<Text> = Vec::new();
    if let Some(why) = unseen {
        text.push(text!("{}\n", paint(BAD, why)));
    }
    text.extend(sets.iter().filter_map(set_page::line).map(|line| text!("{}\n", line)));
    text.extend(views.iter().map(|view| service_text(view, unseen)));
    text.extend((!damaged.is_empty()).then(|| set_page::damaged_text(damaged)));
    if unrouted > 0 {
        let said = match unrouted {
            1 => "1 signal has no service: `ripcord signals unrouted` lists it and says why".to_owned(),
            number => format!(
                "{number} signals have no service: `ripcord signals unrouted` lists them and says why"
            ),
        };
        text.push(paint(WARN, said));
    }
    let text = if text.is_empty() { text!("no services are configured") } else { Text::joined(text, "\n") };
    Page::new(exit, text, &views)
}

fn service_text(view: &ServiceView, told: Option<&str>) -> Text {
    let mut table = Table::bare(2);
    let mut row = |name: &'static str, cell: Cell| table.row([Cell::new(DIM, name), cell]);
    if let Some(stuck) = &view.stuck {
        row("stuck", Cell::new(BAD, Paragraph(stuck)));
    }
    if let Some(needs) = view.incident.as_ref().and_then(|open| open.needs.as_ref()) {
        row("needs a person", Cell::new(BAD, Paragraph(needs)));
    }
    for why in view.unprotected.iter().filter(|why| told != Some(why.as_str())) {
        row("not protected", Cell::new(BAD, Paragraph(why)));
    }
    for warning in &view.warnings {
        row("look at", Cell::new(WARN, Paragraph(warning)));
    }
    if let Some(why) = &view.not_erased {
        row("not erased", Cell::new(WARN, Paragraph(why)));
    }
    if let Some(person) = &view.paused_by {
        row(
            "paused",
            Cell::new(WARN, format!("by {person}: nothing is shifted until `ripcord resume {}`", view.name)),
        );
    }
    for review in &view.reviews {
        let text = format!(
            "{} broke the glass for {} at {}: `ripcord review close {} --reason TEXT`",
            review.person,
            review.incident,
            instant(review.since),
            review.incident
        );
        row("review", Cell::new(WARN, text));
    }
    if let Some(live) = &view.live {
        let proof = live.proof.map(|proof| format!(", proved by {proof}")).unwrap_or_default();
        let style = if cannot_read_live(view) { BAD } else { Style::new() };
        row("live", Cell::new(style, format!("{}{proof}", live.state)));
    } else if let Some(seen) = &view.seen {
        let (style, unread) =
            if seen.can_be_read { (Style::new(), "") } else { (BAD, ", which cannot be read any more") };
        row("live", Cell::new(style, format!("{}, as the host saw it last{unread}", seen.state)));
    }
    if let Some(open) = &view.incident {
        row("incident", Cell::new(WARN, open_text(open)));
        for held in &view.held_up {
            row("", Cell::new(WARN, held_up::sentence(held)));
        }
    }
    if let Some(run) = &view.enlisted_by {
        let text = text!("moves with its set: `ripcord incidents show {}` shows how far that is", run);
        row("set", Cell::new(WARN, text));
    }
    if view.incident.is_none() {
        for held in &view.held_up {
            row("held up", Cell::new(WARN, held_up::sentence(held)));
        }
    }
    if let Some(last) = &view.last_settled {
        let text = format!("{} {}, opened {}", last.id, last.outcome, instant(last.opened_at));
        row("last", Cell::new(incident::style(&last.outcome), text));
    }
    if let Some(probation) = &view.probation {
        let text = format!(
            "{}, which someone else put live, on probation since {}, asked {} times, given up at {}",
            probation.unproven.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "),
            instant(probation.since),
            probation.asked,
            instant(probation.ends_at)
        );
        row("probation", Cell::new(WARN, text));
    }
    for run in view.runs.iter().filter(|run| run.ended_at.is_none()) {
        let text = format!("{} ordered by {}, {}", run.target, run.incident, run.sentence());
        row("run", Cell::new(WARN, text));
    }
    for latch in &view.latches {
        let again = match latch.held_back {
            0 => String::new(),
            times => format!(", held back {times} times"),
        };
        let text = format!(
            "{} opens no incident until {} unless there is news, since {} ended {}{again}: `ripcord latch lift {} {} --of {} --reason TEXT`",
            latch.trigger,
            instant(latch.until),
            latch.incident,
            latch.outcome,
            view.name,
            latch.trigger,
            latch.incident
        );
        row("latch", Cell::new(WARN, text));
    }
    if view.alerts.without_data > 0 {
        let text = format!(
            "{} without data: it says that data are missing or that its rule is broken, so what the rule looks after is not watched; nothing is rolled back for it",
            view.alerts.without_data
        );
        row("alerts", Cell::new(WARN, text));
    }
    if view.alerts.set_aside > 0 {
        let text = format!(
            "{} set aside: a trigger faults on them, their content is gone, or they are too large; `ripcord signals set-aside {}` lists them",
            view.alerts.set_aside, view.name
        );
        row("alerts", Cell::new(BAD, text));
    }
    if view.alerts.left_out > 0 {
        let text = format!(
            "{} kept; {} more were judged and made room for others",
            view.alerts.kept, view.alerts.left_out
        );
        row("alerts", text.into());
    }
    for now in view.live.iter().flat_map(|live| &live.facets) {
        row("in force", in_force_now(now));
    }
    let read_now = |facet: &FacetLine| {
        let mut all = view.live.iter().flat_map(|live| &live.facets);
        all.any(|now| now.read.facet == facet.revision.facet)
    };
    for facet in view.facets.iter().filter(|facet| !read_now(facet)) {
        row("in force", in_force_last(facet));
    }
    for version in &view.versions {
        let digest = version.digest.map(|digest| format!(", sha256 {}", digest.short())).unwrap_or_default();
        let until = version.expires_at.map(|at| format!(", until {}", instant(at))).unwrap_or_default();
        let since = instant(version.since);
        row(
            "version",
            format!("{} {} since {since}{until}{digest}", version.version, version.standing).into(),
        );
    }
    for alias in &view.aliases {
        let versions: Vec<_> = alias.versions.iter().map(ToString::to_string).collect();
        let held =
            |version: &VersionName| view.holds.iter().any(|hold| hold.revision.version() == Some(version));
        let style = if alias.versions.iter().any(held) { WARN } else { Style::new() };
        row("registry", Cell::new(style, text!("{} points at {}", alias.name, versions.join(", "))));
    }
    for hold in &view.holds {
        let text = format!(
            "{} {} since {}, condemned by {}",
            hold.revision,
            hold.state,
            instant(hold.since),
            hold.incident
        );
        row("hold", text.into());
    }
    if view.announcements_waiting > 0 {
        let text = match view.announcements_waiting {
            1 => "1 announcement is still to be delivered".to_owned(),
            number => format!("{number} announcements are still to be delivered"),
        };
        row("people", Cell::new(WARN, text));
    }
    let (name, mode) = (paint(STRONG, &view.name), view.mode);
    text!("{}  {}, {}, model {}\n{}", name, mode, view.environment, view.model, table)
}

/// What is in force of a facet, as it was read with what is live.
fn in_force_now(now: &FacetNow) -> Cell {
    let facet = &now.read.facet;
    let (revision, known) = match (now.read.revision(), &now.read.state) {
        (Some(revision), FacetState::InForce(known)) => (revision, known),
        (_, FacetState::Unknown(why)) => return Cell::new(BAD, text!("{} unknown: {}", facet, why)),
        (None, FacetState::InForce(_)) => return Cell::new(BAD, text!("{} unknown", facet)),
    };
    let style = if revision.is_safe_mode() { WARN } else { STRONG };
    let standing = now.standing.as_ref().map(|standing| format!(", {standing}")).unwrap_or_default();
    let read_at = now.observed_at.map(|at| format!(", read at {}", instant(at))).unwrap_or_default();
    let proof = facet.proved_by(known.proof);
    Cell::new(style, format!("{revision}, proved by {proof}{standing}{read_at}"))
}

/// What is in force of a facet, as the host's own watch saw it last.
fn in_force_last(facet: &FacetLine) -> Cell {
    let style = match (facet.can_be_read, facet.falls_back()) {
        (false, _) => BAD,
        (true, true) => WARN,
        (true, false) => STRONG,
    };
    let proof = facet.revision.facet.proved_by(facet.proof);
    let unread = if facet.can_be_read { "" } else { ", which cannot be read any more" };
    let text =
        format!("{}, proved by {proof}, {}, as the host saw it last{unread}", facet.revision, facet.standing);
    Cell::new(style, text)
}

fn open_text(open: &IncidentState) -> String {
    let since = open.waits_since.map(|at| format!(" since {}", instant(at))).unwrap_or_default();
    let mut wanted: Vec<_> = open.tally.iter().map(ToString::to_string).collect();
    if wanted.is_empty() {
        wanted = open.wanted.iter().map(|quorum| format!("{} of `{}`", quorum.people, quorum.role)).collect();
    }
    let wanted = if wanted.is_empty() {
        since
    } else {
        let because = open.because.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let end =
            open.expires_at.map(|at| format!("; the plan expires at {}", instant(at))).unwrap_or_default();
        format!("{since}: {}{because}; `ripcord approve {}`{end}", wanted.join(" and "), open.id)
    };
    format!("{} {}{wanted}", open.id, open.phase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use ripcord_core::name::SetName;
    use serde_json::json;

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let state = json!({
            "id": "s:1", "phase": "waiting for approval", "outcome": { "other": "o" }, "opened_at": "1", "past_pivot": false,
            "plan": null, "wanted": [{ "role": "approver", "people": 2 }], "because": "the breaker", "needs": "look", "length": 3,
        });
        let view = json!([{
            "name": "s", "mode": "ask", "environment": "production", "model": "m", "paused_by": "ada", "stuck": "the disk is full",
            "held_up": [{ "system": "MLflow", "what": "no connection", "since": "1", "doing": "planning", "until": "2", "then": "a person" }],
            "live": { "state": "unknown: no answer", "version": null, "proof": null, "observed_at": null, "facets": [
                { "facet": { "configuration": "limits" }, "state": { "in-force": { "revision": "2", "digest": null, "proof": "answer" } }, "standing": { "other": "o" }, "observed_at": "1" },
                { "facet": "fallback", "state": { "unknown": "no answer" }, "standing": null, "observed_at": null },
            ] },
            "seen": { "state": "1", "can_be_read": true },
            "incident": state, "last_settled": state,
            "probation": { "unproven": ["1", "limits=2"], "since": "1", "asked": 1, "ends_at": "2" },
            "versions": [{ "version": "1", "digest": null, "standing": "held", "since": "1", "expires_at": null, "condemned_by": [] }],
            "facets": [{ "revision": "fallback=rules", "digest": null, "proof": "answer", "standing": { "other": "o" }, "can_be_read": false }, { "revision": "prompt=1", "digest": null, "proof": "answer", "standing": { "other": "o" }, "can_be_read": false }],
            "reviews": [{ "incident": "s:1", "person": "ada", "plan": "0000000000000000000000000000000000000000000000000000000000000000", "since": "1" }],
            "aliases": [{ "name": "staging", "versions": ["1"] }],
            "holds": [{ "revision": "1", "incident": "s:1", "since": "1", "state": "stands" }], "announcements_waiting": 1, "unprotected": ["no trigger"], "warnings": ["it ends"],
            "no_data": { "since": "1", "cannot_judge": ["threshold-trigger"], "take_it_for_a_value": [] },
            "enlisted_by": "set:s:1",
        }]);
        let views: Vec<ServiceView> = serde_json::from_value(view).expect("a view");
        for (name, text) in hostile::table() {
            let (views, spoilt) = hostile::spoilt(&views, &text);
            assert!(spoilt > 12, "{name}: {spoilt}");
            let damaged = [(SetName::new("s").expect("a name"), text.clone())].into();
            let also = Also { unseen: Some(&text), unrouted: 1, sets: &[], damaged: &damaged };
            hostile::assert_harmless(&page(&views, &also).text, name);
        }
    }
}

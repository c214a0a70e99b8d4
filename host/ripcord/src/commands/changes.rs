//! `ripcord changes`.

use ripcord_adapters::clock_system::SystemClock;
use ripcord_core::fact::{Change, Noticed};
use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::time::UnixMillis;
use ripcord_engine::changes_known;
use ripcord_ports::Clock as _;

use super::states::{Damaged, names, read_all};
use super::{Ago, Outcome, Reach};
use crate::cli::Global;
use crate::http::changes::{ranked, view, window};
use crate::http::wire::ChangesView;
use crate::output::style::{BAD, DIM, WARN, paint};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{Exit, Failure, Page, Paragraph, Text, ranking, text};

pub(super) async fn changes(
    global: &Global,
    service: &ServiceName,
    since: Option<Ago>,
    harm_began: Option<Ago>,
) -> Outcome {
    let reach = Reach::new(global)?;
    let now = SystemClock.now();
    let at = |ago: Ago| UnixMillis(now.0.saturating_sub(ago.0.0));
    let (since, harm_began) = (since.map(at), harm_began.map(at));
    if let Some(host) = reach.far()? {
        return Ok(page(&host.changes(service, since, harm_began).await?));
    }
    match reach.answering().await {
        Ok(host) => Ok(page(&host.changes(service, since, harm_began).await?)),
        Err(why) => {
            names(&reach, Some(service))?;
            let (states, damaged) = Damaged::apart(read_all(&reach, Some(service)).await?);
            let Some(state) = states.first() else {
                return Ok(Page::new(damaged.exit(), damaged.text(), damaged.json()));
            };
            let window = window(state, since, now);
            let seen = changes_known(state, window, format!("histories and registry were not asked: {why}"));
            let mut view = view(state, window, seen);
            if let Some(store) = reach.store_if_any()? {
                view = ranked(view, &store).await.map_err(|error| Failure::of(Exit::Failed, error))?;
            }
            if harm_began.is_some() {
                view.ranking = None;
                view.not_ranked = Some("the planner is asked by a running host".to_owned());
            }
            Ok(page(&view))
        }
    }
}

fn page(view: &ChangesView) -> Page {
    let mut all = vec![text!("{}", heading(view))];
    let mut table = Table::new(["when", "what", "from", "to", "by", "noticed", "verified"]);
    let (after, before): (Vec<_>, Vec<_>) =
        view.changes.iter().partition(|change| view.harm_began_at.is_some_and(|began| change.at > began));
    for change in &after {
        row(&mut table, change);
    }
    if let (Some(began), false) = (view.harm_began_at, after.is_empty()) {
        let none = Cell::from("");
        let harm = Cell::new(BAD, "the harm began");
        table.row([
            instant(began).into(),
            harm,
            none.clone(),
            none.clone(),
            none.clone(),
            none.clone(),
            none,
        ]);
    }
    for change in &before {
        row(&mut table, change);
    }
    if view.changes.is_empty() {
        all.push(text!("nothing has moved since then, as far as is known"));
    } else {
        all.push(text!("{}", table).trimmed());
    }
    for gap in &view.gaps {
        all.push(paint(WARN, text!("not looked into: {}", Paragraph(gap))));
    }
    match &view.not_ranked {
        Some(why) => all.push(paint(WARN, text!("the planner ranked nothing: {}", Paragraph(why)))),
        None => all.push(text!("\n{}", ranking::text(view.ranking.as_ref(), &view.service, usize::MAX))),
    }
    let once = "what was seen to come live is told once, whatever else tells of it";
    all.push(paint(DIM, once));
    let exit = if view.gaps.is_empty() && view.not_ranked.is_none() { Exit::Done } else { Exit::Failed };
    Page::new(exit, Text::joined(all, "\n"), view)
}

fn heading(view: &ChangesView) -> String {
    let since = instant(view.since);
    match (&view.incident, view.harm_began_at) {
        (Some(incident), Some(began)) => {
            format!(
                "what moved of {} since {since}; the harm of {incident} began at {}",
                view.service,
                instant(began)
            )
        }
        _ => format!("what moved of {} since {since}", view.service),
    }
}

fn row(table: &mut Table, change: &Change) {
    let names = |names: &[VersionName]| {
        if names.is_empty() {
            "?".to_owned()
        } else {
            names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
    };
    table.row([
        instant(change.at).into(),
        what(change).into(),
        names(&change.was).into(),
        names(&change.became).into(),
        change.by.clone().unwrap_or_else(|| "?".to_owned()).into(),
        noticed(change.noticed).into(),
        change.verified_at.map(instant).unwrap_or_default().into(),
    ]);
}

/// Other services that are named; the rest is counted.
const TOUCHED_NAMED: usize = 5;

/// `model in eu (also of pricing, search)`.
fn what(change: &Change) -> String {
    let place = change.place.as_ref().map(|place| format!(" in {place}")).unwrap_or_default();
    let named: Vec<_> = change.touches.iter().take(TOUCHED_NAMED).map(ToString::to_string).collect();
    let more = match change.touches.len().saturating_sub(TOUCHED_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let touches =
        if named.is_empty() { String::new() } else { format!(" (also of {}{more})", named.join(", ")) };
    format!("{}{place}{touches}", change.what)
}

/// How it was noticed, for people.
pub(crate) const fn noticed(noticed: Noticed) -> &'static str {
    match noticed {
        Noticed::Production => "seen in force",
        Noticed::History => "its own history",
        Noticed::Registry => "the registry's production name moved",
        Noticed::Registered => "the registry: registered, not seen in force",
        Noticed::Lineage => "the versions' lineage",
        Noticed::Ripcord => "a rollback",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use serde_json::json;

    fn two() -> ChangesView {
        let change = |what: serde_json::Value, at: &str| json!({ "what": what, "was": ["1"], "became": ["2"], "at": at, "not_before": null, "by": "ada", "noticed": "production", "verified_at": "1" });
        let view = json!({
            "ranking": crate::output::ranking::tests::two(), "not_ranked": null,
            "service": "s", "since": "1", "incident": "s:1", "harm_began_at": "5000", "gaps": ["the registry's list cannot be read"],
            "changes": [change(json!({ "facet": { "configuration": "limits" } }), "9000"), change(json!({ "data": "loans" }), "1000")],
        });
        let mut view = view;
        view["changes"][1]["place"] = json!("eu");
        view["changes"][1]["touches"] = json!(["a", "b", "c", "d", "e", "f"]);
        serde_json::from_value(view).expect("a view")
    }

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        for (name, text) in hostile::table() {
            let (mut view, spoilt) = hostile::spoilt(&two(), &text);
            assert!(spoilt > 6, "{name}: {spoilt}");
            hostile::assert_harmless(&page(&view).text, name);
            view.not_ranked = Some(text.to_string());
            hostile::assert_harmless(&page(&view).text, name);
        }
    }

    #[test]
    fn what_moved_after_the_harm_stands_above_it_and_a_gap_is_a_failure() {
        let mut view = two();
        let shown = page(&view);
        let text = shown.plain();
        assert!(text.contains("data loans in eu (also of a, b, c, d, e and 1 more)"), "{text}");
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in {text}"));
        let harm = place("1970-01-01 00:00:05");
        assert!(text.contains("the harm began") && harm > 0, "{text}");
        assert!(
            place("configuration limits") < place("the harm began")
                && place("the harm began") < place("data loans"),
            "{text}"
        );
        assert_eq!(shown.exit, Exit::Failed);
        view.gaps.clear();
        assert_eq!(page(&view).exit, Exit::Done);
        assert!(text.contains("as proportionate@0.1.0 ranks it"), "{text}");
        view.not_ranked = Some("it faulted".into());
        let shown = page(&view);
        assert!(
            shown.exit == Exit::Failed && shown.plain().contains("the planner ranked nothing: it faulted")
        );
    }
}

//! `ripcord targets`.

use ripcord_adapters::clock_system::SystemClock;
use ripcord_core::name::ServiceName;
use ripcord_core::terms::Mode;
use ripcord_engine::{FacetTargets, RestoredBy, TargetLine, targets_known};
use ripcord_ports::Clock as _;

use super::states::{Damaged, names, read_all};
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::client::ClientError;
use crate::http::targets::{view, wanted};
use crate::http::wire::TargetsView;
use crate::output::style::{BAD, DIM, GOOD, STRONG, WARN, paint};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{Exit, Page, Paragraph, Text, makeable, text};

pub(super) async fn targets(global: &Global, service: &ServiceName, facet: Option<&str>) -> Outcome {
    let reach = Reach::new(global)?;
    if let Some(host) = reach.far()? {
        return Ok(page(&host.targets(service, facet).await?));
    }
    match reach.answering().await {
        Ok(host) => Ok(page(&host.targets(service, facet).await?)),
        Err(why) => {
            names(&reach, Some(service))?;
            let (states, damaged) = Damaged::apart(read_all(&reach, Some(service)).await?);
            let Some(state) = states.first() else {
                return Ok(Page::new(damaged.exit(), damaged.text(), damaged.json()));
            };
            let facets = wanted(state, facet).map_err(ClientError::Refused)?;
            let (why, now) = (format!("its systems were not asked: {why}"), SystemClock.now());
            let known = facets.iter().map(|facet| targets_known(state, facet, why.clone(), now));
            Ok(page(&view(state, known.collect(), None)))
        }
    }
}

/// Fails where something could not be read, and where nothing of what was asked for could be restored.
fn exit(view: &TargetsView) -> Exit {
    let is_whole = |facet: &FacetTargets| facet.not_listed.is_none() && facet.not_read.is_none();
    let are_listed = view.makes.as_ref().is_none_or(|makes| makes.not_listed.is_empty());
    if are_listed && view.facets.iter().all(is_whole) && view.facets.iter().any(FacetTargets::is_restorable) {
        Exit::Done
    } else {
        Exit::Failed
    }
}

fn page(view: &TargetsView) -> Page {
    let mut all: Vec<Text> = view.facets.iter().map(facet_text).collect();
    all.extend(view.makes.as_ref().map(|makes| makeable::text(makes, &view.service)));
    if let Some(person) = &view.paused_by {
        let why = text!(
            "{} has paused `{}`: nothing is shifted until `ripcord resume {}`",
            person,
            view.service,
            view.service
        );
        all.push(paint(WARN, why));
    }
    if view.mode == Some(Mode::Observe) {
        all.push(paint(WARN, "mode is observe: plans are made, and nothing is shifted"));
    }
    all.push(paint(DIM, "a planner may object to more, by its settings; a plan moves one facet"));
    Page::new(exit(view), Text::joined(all, "\n"), view)
}

fn facet_text(facet: &FacetTargets) -> Text {
    let in_force = facet.in_force.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let in_force = if in_force.is_empty() { "not known".to_owned() } else { in_force };
    let seen = if facet.not_read.is_some() { " as it was seen last" } else { "" };
    let mut all = vec![text!("{}  in force{}: {}", paint(STRONG, &facet.facet), seen, in_force)];
    if let Some(why) = &facet.obstacle {
        all.push(paint(BAD, text!("nothing of it can be shifted: {}", Paragraph(why))));
    }
    if let Some(why) = &facet.not_read {
        all.push(paint(WARN, text!("what is in force cannot be read: {}", Paragraph(why))));
    }
    let mut table = Table::new(["revision", "standing", "made", "by", "a rollback"]);
    for line in &facet.targets {
        table.row([
            (&line.revision.name).into(),
            standing(line).into(),
            line.made_at.map(instant).unwrap_or_default().into(),
            line.made_by.clone().unwrap_or_default().into(),
            may(line),
        ]);
    }
    if facet.targets.is_empty() {
        all.push(text!("  no revision is known"));
    } else {
        all.push(text!("{}", table).trimmed());
    }
    let unseen =
        facet.targets.iter().filter(|line| line.by != RestoredBy::Nobody && !line.content_seen).count();
    if unseen > 0 && facet.not_listed.is_none() {
        all.push(paint(
            DIM,
            format!("the content of {unseen} of them was not looked at: a plan to one looks"),
        ));
    }
    if let Some(why) = &facet.not_listed {
        all.push(paint(WARN, text!("revisions that only its systems know are missing: {}", Paragraph(why))));
    }
    all.push(Text::default());
    Text::joined(all, "\n")
}

fn standing(line: &TargetLine) -> String {
    match line.verified_at {
        Some(at) => format!("{} since {}", line.standing, instant(at)),
        None => line.standing.to_string(),
    }
}

fn may(line: &TargetLine) -> Cell {
    let why = line.why_not.as_deref().unwrap_or_default();
    match line.by {
        RestoredBy::Rules => Cell::new(GOOD, "may go back to it"),
        RestoredBy::People => Cell::new(WARN, text!("only if people pull to it: {}", Paragraph(why))),
        RestoredBy::Nobody => Cell::new(DIM, text!("does not: {}", Paragraph(why))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use serde_json::{Value, json};

    fn line(revision: &str, by: &str, why: Option<&str>) -> Value {
        json!({
            "revision": revision, "target": { "version": { "version": "1", "digest": null } }, "standing": "unproven",
            "verified_at": "1", "made_at": "1", "made_by": "ada", "summary": "less", "by": by, "why_not": why, "content_seen": false,
        })
    }

    fn with(facets: Value) -> TargetsView {
        let view = json!({ "service": "s", "mode": "observe", "paused_by": "ada", "facets": facets, "makes": makes() });
        serde_json::from_value(view).expect("a view")
    }

    fn makes() -> Value {
        json!({
            "producer": "producer_checkpoint", "obstacle": null, "judged_by": "proportionate@0.1.0", "not_listed": [],
            "checkpoints": [
                { "run": "r", "step": 7, "saved_at": "1", "metrics": [{ "name": "loss", "value": null }], "by": "nobody", "why_not": "lost" },
                { "run": "r", "step": 6, "saved_at": "1", "metrics": [], "by": "rules", "why_not": null },
            ],
            "unusable": [{ "name": "r/checkpoint-5", "value": "is empty" }],
            "data": [{ "dataset": "clicks", "revision": "sha256:0123456789abcdef", "versions": ["1"], "by": "people", "why_not": "odd" }],
        })
    }

    fn facet(targets: Value) -> Value {
        json!({ "facet": { "configuration": "limits" }, "in_force": ["2"], "not_read": null, "targets": targets, "not_listed": null, "obstacle": null })
    }

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let lines = json!([
            line("1", "rules", None),
            line("limits=1", "people", Some("odd")),
            line("fallback=a", "nobody", Some("odd"))
        ]);
        let mut facet = facet(lines);
        for key in ["not_read", "not_listed", "obstacle"] {
            facet[key] = json!("no answer");
        }
        let view = with(json!([facet]));
        for (name, text) in hostile::table() {
            let (view, spoilt) = hostile::spoilt(&view, &text);
            assert!(spoilt > 8, "{name}: {spoilt}");
            hostile::assert_harmless(&page(&view).text, name);
        }
    }

    #[test]
    fn it_fails_where_something_is_not_known_or_nothing_could_be_restored() {
        let some = json!([line("1", "people", Some("unproven")), line("2", "nobody", Some("in force"))]);
        let none = json!([line("2", "nobody", Some("in force"))]);
        let exit_of = |facets: Value| exit(&with(facets));
        assert_eq!(exit_of(json!([facet(some.clone())])), Exit::Done);
        assert_eq!(exit_of(json!([facet(none.clone())])), Exit::Failed);
        assert_eq!(exit_of(json!([facet(none), facet(some.clone())])), Exit::Done, "one facet is enough");
        for key in ["not_read", "not_listed", "obstacle"] {
            let mut facet = facet(some.clone());
            facet[key] = json!("no answer");
            assert_eq!(exit_of(json!([facet])), Exit::Failed, "{key}");
        }
        let mut view = with(json!([facet(some)]));
        view.makes.as_mut().expect("it is there").not_listed.push("no answer".to_owned());
        assert_eq!(exit(&view), Exit::Failed, "what could be made is not known");
    }
}

//! Sets of services on a page: who moves, how far each part is, and what is waited for.

use std::collections::BTreeMap;

use ripcord_core::facet::Revision;
use ripcord_core::name::SetName;
use ripcord_core::plan::IfPartFails;
use ripcord_core::set::SetOutcome;

use crate::http::wire::{SetMemberLine, SetPartLine, SetRunLine, SetRunView, SetView};

use super::incident::section;
use super::style::{BAD, DIM, GOOD, STRONG, WARN, paint};
use super::table::{Cell, Table};
use super::text::{Paragraph, Text, text};
use super::time::instant;
use super::{Exit, Page};

/// Sets of which nothing can be told because their journals cannot be read, and why.
pub type Damaged = BTreeMap<SetName, String>;

/// What is done where a part fails, after *if a part fails,*.
pub const fn if_part_fails(rule: IfPartFails) -> &'static str {
    match rule {
        IfPartFails::Back => "what has moved goes back in the reverse order",
        IfPartFails::Forward => "what has moved stays, and people are asked",
    }
}

/// Whether a run waits for people.
pub fn waits(view: &SetView) -> bool {
    view.run.as_ref().is_some_and(|run| run.state.needs.is_some() || !run.state.wanted.is_empty())
}

/// How a command that waited for this run ends.
pub fn exit_of_run(run: &SetRunLine) -> Exit {
    match run.end {
        None => Exit::Waiting,
        Some(SetOutcome::Moved | SetOutcome::EndedByPerson) => Exit::Done,
        Some(SetOutcome::Refused) => Exit::Refused,
        Some(_) => Exit::Failed,
    }
}

/// One set. What waits for people shows in the exit code.
pub fn page(view: &SetView) -> Page {
    let exit = if waits(view) { Exit::Waiting } else { Exit::Done };
    Page::new(exit, text(view), view)
}

fn text(view: &SetView) -> Text {
    let mut all = vec![head(view)];
    if let Some(run) = &view.run {
        all.push(run_text(run));
    }
    all.push(members(view));
    if let Some(last) = &view.last {
        let end = text!("{} {}", last.state.id, end(last));
        all.push(text!("{}\n{}", text!("{}  {}", paint(STRONG, "last run"), end), run_text(last)));
    }
    all.push(consistent(view));
    Text::joined(all.into_iter().filter(|section| !section.is_empty()), "\n")
}

/// What a person needs within the first seconds.
fn head(view: &SetView) -> Text {
    let state = match &view.run {
        Some(run) => paint(WARN, text!("{} {}", run.state.id, run.state.phase)),
        None => text!("no run goes on"),
    };
    let mut text = text!("{}  {}\n", paint(STRONG, &view.name), state);
    if let Some(stuck) = &view.stuck {
        text.push(text!("{} {}\n", paint(BAD, "stuck:"), Paragraph(stuck)));
    }
    if let Some(needs) = view.run.as_ref().and_then(|run| run.state.needs.as_ref()) {
        text.push(text!("{} {}\n", paint(BAD, "needs a person:"), Paragraph(needs)));
    }
    text
}

fn end(run: &SetRunLine) -> Text {
    match run.end {
        Some(end @ SetOutcome::Moved) => paint(GOOD, end),
        Some(end) => text!("{}", end),
        None => paint(WARN, &run.state.phase),
    }
}

/// A run, with its parts.
fn run_text(run: &SetRunLine) -> Text {
    let (state, id) = (&run.state, &run.state.id);
    let mut table = Table::bare(2);
    let mut row = |name: &'static str, value: Cell| table.row([Cell::new(DIM, name), value]);
    row("cause", Paragraph(&run.reason).into());
    row("asked by", run.requesters.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ").into());
    row("asked", instant(state.opened_at).into());
    match run.ended_at {
        Some(at) => row("ended", instant(at).into()),
        None => row("at most until", instant(run.until).into()),
    }
    row("if a part fails", if_part_fails(run.if_part_fails).into());
    if let Some(waits_for) = &run.waits_for {
        let end = state.expires_at.map(|at| format!("; until {}", instant(at))).unwrap_or_default();
        row("waits for", Cell::new(WARN, text!("{}{}", Paragraph(waits_for), end)));
    }
    if let Some(why) = &run.not_planned {
        row("no plan", Cell::new(BAD, Paragraph(why)));
    }
    if let Some(digest) = &state.plan {
        row("plan digest", digest.into());
        row("plan", text!("`ripcord plan show {}` shows all of it", id).into());
    }
    if !state.wanted.is_empty() {
        row("next", text!("`ripcord approve {}` or `ripcord refuse {}`", id, id).into());
    }
    let people = |granted: bool| -> Vec<String> {
        let votes = run.votes.iter().filter(|vote| vote.granted == granted);
        votes.map(|vote| vote.person.to_string()).collect()
    };
    let (granted, refused) = (people(true), people(false));
    if !granted.is_empty() {
        row("approved by", granted.join(", ").into());
    }
    if !refused.is_empty() {
        row("refused by", refused.join(", ").into());
    }
    text!("{}{}", table, parts(&run.parts))
}

fn revisions(all: &[Revision]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" with ")
}

fn parts(parts: &[SetPartLine]) -> Text {
    let mut table = Table::new(["  member", "from", "to", "part", "incident", ""]);
    for part in parts {
        let to = part.target.as_ref().map(ToString::to_string).unwrap_or_default();
        let failed =
            part.why.is_some() || part.state.starts_with("failed") || part.state.starts_with("could not");
        let style = if failed { BAD } else { anstyle::Style::new() };
        table.row([
            text!("  {}", part.service).into(),
            revisions(&part.before).into(),
            to.into(),
            Cell::new(style, &part.state),
            part.incident.as_ref().map(ToString::to_string).unwrap_or_default().into(),
            part.why.as_deref().map(|why| text!("{}", Paragraph(why))).unwrap_or_default().into(),
        ]);
    }
    text!("{}", table)
}

/// Who belongs to it, in the order in which they move.
fn members(view: &SetView) -> Text {
    let mut table = Table::bare(2);
    for member in &view.members {
        table.row([
            (&member.service).into(),
            seen(member).into(),
            member.mode.map(|mode| mode.as_str()).unwrap_or_default().into(),
            member.incident.as_ref().map(ToString::to_string).unwrap_or_default().into(),
            member.hindered.as_deref().map(|why| paint(WARN, Paragraph(why))).unwrap_or_default().into(),
        ]);
    }
    let mut text = section("members, in the order in which they move", &table);
    if view.run.is_none() {
        let fails = if_part_fails(view.if_part_fails);
        let asks = text!("`ripcord pull --set {} --to MEMBER=VERSION` moves them", view.name);
        text.push(paint(DIM, text!("  {}; if a part fails, {}\n", asks, fails)));
    }
    text
}

fn seen(member: &SetMemberLine) -> String {
    match &member.seen {
        Some(seen) if seen.can_be_read => seen.state.clone(),
        Some(seen) => format!("{}, which cannot be read any more", seen.state),
        None => "not seen yet".to_owned(),
    }
}

fn consistent(view: &SetView) -> Text {
    let mut table = Table::bare(2);
    for known in &view.consistent {
        let each = known.members.iter().map(|(member, serves)| format!("{member} {}", revisions(serves)));
        table.row([
            instant(known.since).into(),
            (&known.run).into(),
            each.collect::<Vec<_>>().join(", ").into(),
        ]);
    }
    section("in place together, newest first", &table)
}

/// All sets, each with its run.
pub fn list(views: &[SetView], damaged: &Damaged) -> Page {
    let mut table = Table::new(["set", "members", "run", "state", "waits for"]);
    for view in views {
        let members: Vec<_> = view.members.iter().map(|member| member.service.to_string()).collect();
        let run = view.run.as_ref().or(view.last.as_ref());
        let waits_for = run.and_then(|run| run.state.needs.clone().or_else(|| run.waits_for.clone()));
        table.row([
            (&view.name).into(),
            members.join(", then ").into(),
            run.map(|run| run.state.id.to_string()).unwrap_or_default().into(),
            run.map(end).unwrap_or_default().into(),
            waits_for.as_deref().map(|what| paint(WARN, Paragraph(what))).unwrap_or_default().into(),
        ]);
    }
    let sets = if views.is_empty() && damaged.is_empty() {
        text!("no sets: `[sets.NAME]` in the configuration makes one")
    } else if views.is_empty() {
        Text::default()
    } else {
        text!("{}", table).trimmed()
    };
    let exit = if !damaged.is_empty() {
        Exit::Failed
    } else if views.iter().any(waits) {
        Exit::Waiting
    } else {
        Exit::Done
    };
    let all = [sets, damaged_text(damaged)];
    let text = Text::joined(all.into_iter().filter(|text| !text.is_empty()), "\n");
    Page::new(exit, text, &serde_json::json!({ "sets": views, "damaged": damaged }))
}

/// Sets whose journals cannot be read; empty where all could be.
pub fn damaged_text(damaged: &Damaged) -> Text {
    let line = |(set, why): (&SetName, &String)| {
        text!(
            "{} {}",
            paint(BAD, text!("the set `{}` cannot be read, so this tells nothing of it:", set)),
            Paragraph(why)
        )
    };
    Text::joined(damaged.iter().map(line), "\n")
}

/// A run that goes on, in one line, for who looks at services.
pub fn line(view: &SetView) -> Option<Text> {
    let run = view.run.as_ref()?;
    let (state, id) = (&run.state, &run.state.id);
    let what = match (&state.needs, state.wanted.is_empty()) {
        (Some(needs), _) => text!("{} {}", paint(BAD, "needs a person:"), Paragraph(needs)),
        (None, true) => text!("`ripcord incidents show {}` shows how far it is", id),
        (None, false) => {
            let wanted: Vec<_> = state.tally.iter().map(ToString::to_string).collect();
            text!("waits for {}; `ripcord approve {}`", wanted.join(" and "), id)
        }
    };
    Some(text!(
        "set {}  {}: {}",
        paint(STRONG, &view.name),
        paint(WARN, text!("{} {}", id, state.phase)),
        what
    ))
}

/// One run, with all that happened in it. Showing is done, whatever it came to; only what waits for people is told.
pub fn page_of_run(view: &SetRunView) -> Page {
    let (run, state) = (&view.run, &view.run.state);
    let mut text = text!("{}  {}\n", paint(STRONG, &state.id), end(run));
    if let Some(needs) = &state.needs {
        text.push(text!("{} {}\n", paint(BAD, "needs a person:"), Paragraph(needs)));
    }
    text.push(run_text(run));
    let mut table = Table::bare(2);
    for line in &view.timeline {
        table.row([Cell::new(DIM, format!("+{}", line.since_start)), Paragraph(&line.text).into()]);
    }
    text.push(text!("\n{}", section("timeline", &table)));
    let waits = state.needs.is_some() || !state.wanted.is_empty();
    Page::new(if waits { Exit::Waiting } else { Exit::Done }, text, view)
}

/// What a command that waited says of the run: the set's page, and how it ended.
pub fn page_after(view: &SetView, id: &ripcord_core::name::IncidentId) -> Page {
    let runs = [&view.run, &view.last].into_iter().flatten();
    let exit = runs.into_iter().find(|run| run.state.id == *id).map(exit_of_run);
    Page { exit: exit.unwrap_or(Exit::Failed), ..page(view) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use serde_json::{Value, json};

    fn state(phase: &str, outcome: &str) -> Value {
        let digest = "a".repeat(64);
        let quorum = json!({ "role": "approver", "people": 2 });
        json!({
            "id": "set:fraud:3", "phase": phase, "outcome": outcome, "opened_at": "1700000000000", "past_pivot": false,
            "plan": digest, "wanted": [quorum], "tally": [{ "quorum": quorum, "agreed": ["ada"], "may": ["bob"] }],
            "waits_since": null, "expires_at": "1700003600000", "because": null, "needs": null, "length": 9,
        })
    }

    fn run(phase: &str, outcome: &str) -> Value {
        let target = json!({ "version": { "version": "2.0.1", "digest": null } });
        json!({
            "state": state(phase, outcome), "end": null, "requesters": ["olga"], "reason": "features and model do not fit",
            "if_part_fails": "back", "until": "1700014400000", "ended_at": null,
            "parts": [
                { "service": "features", "incident": "features:4", "before": ["2.1.0"], "target": target, "state": "enlisted", "why": null },
                { "service": "fraud-api", "incident": "fraud-api:7", "before": ["1.4.0", "limits=3"], "target": null,
                  "state": "enlisted, stays as it is", "why": null },
            ],
            "waits_for": "1 more of 2 with role `approver` (ada agreed; bob may)", "not_planned": null,
            "votes": [{ "person": "ada", "roles": ["approver"], "granted": true, "at": "1700000001000", "kind": "session", "key": null }],
        })
    }

    fn whole() -> Value {
        let mut last = run("over", "rolled-back");
        last["end"] = json!("went-back");
        last["ended_at"] = json!("1700000000000");
        last["state"]["wanted"] = json!([]);
        last["state"]["id"] = json!("set:fraud:2");
        last["waits_for"] = Value::Null;
        last["not_planned"] = json!("the registry does not answer");
        last["parts"][0]["state"] = json!("failed after its shift was begun");
        last["parts"][0]["why"] = json!("it is not served");
        json!({
            "name": "fraud", "stuck": null, "if_part_fails": "back",
            "members": [
                { "service": "features", "mode": "ask", "seen": { "state": "2.1.0", "can_be_read": true }, "incident": "features:4", "hindered": null },
                { "service": "fraud-api", "mode": null, "seen": null, "incident": null, "hindered": "`olga` paused it" },
            ],
            "run": run("waiting for approval", "open"), "last": last,
            "consistent": [{ "run": "set:fraud:1", "since": "1690000000000", "members": { "features": ["2.0.0"], "fraud-api": ["1.3.2"] } }],
            "announcements_waiting": 0,
        })
    }

    fn view(value: Value) -> SetView {
        serde_json::from_value(value).expect("a set")
    }

    #[test]
    fn a_set_on_a_page() {
        let page = page(&view(whole()));
        assert_eq!(page.exit, Exit::Waiting);
        let plain = page.plain();
        assert!(plain.starts_with("fraud  set:fraud:3 waiting for approval\n"), "{plain}");
        let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in [
            "waits for 1 more of 2 with role `approver` (ada agreed; bob may); until 2023-",
            "next `ripcord approve set:fraud:3` or `ripcord refuse set:fraud:3`",
            "features 2.1.0 version 2.0.1 enlisted features:4 fraud-api 1.4.0 with configuration limits 3",
            "last run set:fraud:2 went back",
            "no plan the registry does not answer",
            "in place together, newest first",
            "set:fraud:1 features 2.0.0, fraud-api 1.3.2",
        ] {
            assert!(words.contains(line), "`{line}`:\n{plain}");
        }
    }

    #[test]
    fn what_a_person_must_do_stands_first() {
        let mut needs = whole();
        needs["run"]["state"]["needs"] = json!("`set:fraud:3` needs a person: look");
        let plain = page(&view(needs)).plain();
        assert_eq!(
            plain.lines().nth(1),
            Some("needs a person: `set:fraud:3` needs a person: look"),
            "{plain}"
        );
    }

    #[test]
    fn ends_have_exit_codes() {
        let code = |end: Value| {
            let mut ended = run("over", "rolled-back");
            ended["end"] = end;
            exit_of_run(&serde_json::from_value(ended).expect("a run")).code()
        };
        let ends = [
            "moved",
            "ended-by-person",
            "refused",
            "went-back",
            "nothing-moved",
            "not-enlisted",
            "aborted",
            "expired",
        ];
        assert_eq!(ends.map(|end| code(json!(end))), [0, 0, 4, 1, 1, 1, 1, 1]);
        assert_eq!(code(Value::Null), 3);
    }

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        for (name, text) in hostile::table() {
            let (view, spoilt) = hostile::spoilt(&view(whole()), &text);
            assert!(spoilt > 8, "{name}: {spoilt}");
            hostile::assert_harmless(&page(&view).text, name);
            let damaged = [(view.name.clone(), text.clone())].into();
            hostile::assert_harmless(&list(std::slice::from_ref(&view), &damaged).text, name);
            hostile::assert_harmless(&line(&view).expect("a run goes on"), name);
            let timeline = json!([{ "at": "1", "since_start": "0", "text": "ada approved" }]);
            let of = json!({ "set": "fraud", "run": run("moving", "open"), "timeline": timeline });
            let of: SetRunView = serde_json::from_value(of).expect("a run");
            let (of, spoilt) = hostile::spoilt(&of, &text);
            assert!(spoilt > 4, "{name}: {spoilt}");
            hostile::assert_harmless(&page_of_run(&of).text, name);
        }
    }
}

//! One incident on a page, for the person who was paged.

use anstyle::Style;
use ripcord_core::facet::Facet;
use ripcord_core::fact::Outcome;
use ripcord_core::live::proved_by;
use ripcord_core::plan::{Vote, VoteKind};
use ripcord_core::time::Millis;
use ripcord_engine::view::{IncidentView, Split, VoteLine};

use super::plan::{ladder, moved};
use super::style::{BAD, DIM, GOOD, STRONG, WARN, paint};
use super::table::{Cell, Table};
use super::text::{Paragraph, Text, text};
use super::time::instant;
use super::{Exit, Page};
use super::{held_up, measured, ranking, score_again};

/// The incident as a page; open ones that wait for people, and unhappy ends, show in the exit code.
pub fn page(view: &IncidentView) -> Page {
    Page::new(exit(view), text(view), view)
}

/// How a command that waited for this incident ends.
pub fn exit(view: &IncidentView) -> Exit {
    match &view.outcome {
        Outcome::RolledBack
        | Outcome::FellBack
        | Outcome::RestoredElsewhere
        | Outcome::SettledByPerson
        | Outcome::Producing => Exit::Done,
        Outcome::Open => Exit::Waiting,
        Outcome::Refused => Exit::Refused,
        _ => Exit::Failed,
    }
}

/// The style of an outcome.
pub fn style(outcome: &Outcome) -> Style {
    match outcome {
        Outcome::RolledBack | Outcome::FellBack | Outcome::RestoredElsewhere => GOOD,
        Outcome::Open => WARN,
        _ => Style::new(),
    }
}

/// The whole page.
pub fn text(view: &IncidentView) -> Text {
    let sections = [
        head(view),
        suspects(view),
        time(view),
        timeline(view),
        score_again::outputs(view),
        findings(view),
        requests(view),
        decisions(view),
        evidence(view),
    ];
    Text::joined(sections.into_iter().filter(|section| !section.is_empty()), "\n")
}

/// What may have done the harm, once it was planned what to do.
fn suspects(view: &IncidentView) -> Text {
    if view.plan.is_none() && view.ranking.is_none() {
        return Text::default();
    }
    ranking::text(view.ranking.as_ref(), &view.service, ranking::FIRST_FEW)
}

/// What a person needs within the first seconds.
fn head(view: &IncidentView) -> Text {
    let state = match view.outcome {
        Outcome::Open => paint(WARN, &view.phase),
        _ => paint(style(&view.outcome), &view.outcome),
    };
    let mut text = text!("{}  {}\n", paint(STRONG, &view.id), state);
    if let Some(needs) = &view.needs {
        text.push(text!("{} {}\n", paint(BAD, "needs a person:"), Paragraph(needs)));
    }
    for held in &view.held_up {
        text.push(text!("{} {}\n", paint(WARN, "held up:"), held_up::sentence(held)));
    }
    if let (Some(failed), Outcome::Open, true) = (&view.failed, &view.outcome, view.held_up.is_empty()) {
        text.push(text!("{} {}\n", paint(WARN, "failed last:"), Paragraph(failed)));
    }
    let mut table = Table::bare(2);
    let mut row = |name: &'static str, value: Cell| table.row([Cell::new(DIM, name), value]);
    row("cause", Paragraph(&view.cause).into());
    row("asked by", view.requested_by.join(", ").into());
    if let Some(run) = &view.set_run {
        let text = text!("{}, a run of its set: `ripcord incidents show {}` shows all of it", run, run);
        row("moves with", Cell::new(STRONG, text));
    }
    row("opened", instant(view.opened_at).into());
    if let Some(settled) = view.settled_at {
        row("settled", instant(settled).into());
    }
    if let Some(no_help) = &view.no_help {
        row("will not help", Paragraph(&no_help.reason).into());
        if let Some(who) = &no_help.hand_over_to {
            row("hand over to", Cell::new(STRONG, Paragraph(who)));
        }
        if let Some(enters) = &no_help.meanwhile {
            row("meanwhile", text!("`{}` enters a safe mode, which keeps the harm away", enters).into());
        }
    }
    row("served before", view.before.as_deref().unwrap_or("not read yet").into());
    let moved = view.plan.as_ref().and_then(moved).unwrap_or(Facet::Model);
    let proof = view.proof.map(|proof| match moved {
        Facet::Model => proved_by(proof, view.same_fingerprint),
        _ => moved.proved_by(proof),
    });
    let proof = proof.map(|proof| format!(", proved by {proof}")).unwrap_or_default();
    row(
        "served after",
        view.after
            .as_ref()
            .map_or_else(|| "nothing was shifted".to_owned(), |after| format!("{after}{proof}"))
            .into(),
    );
    if let Some(again) = &view.score_again {
        row("score again", Cell::new(WARN, Paragraph(&score_again::sentence(again))));
    }
    if let Some(plan) = &view.plan {
        let expires_at = view.plan_expires_at.unwrap_or(plan.expires_at);
        let moved = match expires_at.since(plan.expires_at) {
            Millis(0) => String::new(),
            by => {
                format!(", {by} later than it says, since the host's clock jumped or waves were waited for")
            }
        };
        row("plan", format!("{}; expires {}{moved}", ladder(plan), instant(expires_at)).into());
    }
    if !view.tally.is_empty() {
        let since = view.waits_since.map(|at| format!(", since {}", instant(at))).unwrap_or_default();
        let wanted: Vec<_> = view.tally.iter().map(ToString::to_string).collect();
        row("waits for", Cell::new(WARN, format!("{}{since}", wanted.join(" and "))));
    }
    if let Some(digest) = &view.plan_digest {
        row("plan digest", digest.into());
    }
    if let Some(waves) = &view.waves {
        row("waves", Paragraph(waves).into());
    }
    if let Some(preflight) = &view.preflight {
        row("preflight", Paragraph(preflight).into());
    }
    let (granted, refused): (Vec<_>, Vec<_>) = view.votes.iter().partition(|line| line.vote.granted);
    if !granted.is_empty() {
        row("approved by", people(&granted).into());
    }
    if !refused.is_empty() {
        row("refused by", people(&refused).into());
    }
    text.push(table);
    text
}

fn people(votes: &[&VoteLine]) -> String {
    let how = |vote: &Vote| match &vote.kind {
        VoteKind::Signature => "signature",
        VoteKind::Session => "session",
        VoteKind::BreakGlass => "break-glass",
        VoteKind::Other(_) => "another way",
    };
    let line = |line: &&VoteLine| {
        let why = line.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{} ({}){why}", line.vote.person, how(&line.vote))
    };
    votes.iter().map(line).collect::<Vec<_>>().join(", ")
}

/// Where the time went, and what the host has measured of it.
fn time(view: &IncidentView) -> Text {
    let mut text = split(&view.split);
    if let Some(measured) = &view.measured {
        text.push(text!("{}\n", measured::sentence(measured)));
    }
    text
}

/// A table under its heading; without rows there is neither.
pub(super) fn section(heading: &'static str, table: &Table) -> Text {
    if table.is_empty() { Text::default() } else { text!("{}\n{}", paint(STRONG, heading), table) }
}

/// Where the time went.
pub fn split(split: &Split) -> Text {
    let parts = [
        ("detect", split.detect),
        ("decide", split.decide),
        ("wait for people", split.wait_for_people),
        ("act", split.act),
        ("verify", split.verify),
        ("total", split.total),
    ];
    let mut table = Table::bare(2);
    for (name, took) in parts {
        if let Some(took) = took {
            table.row([Cell::new(DIM, name), took.into(), bar(took, split.total).into()]);
        }
    }
    section("where the time went", &table)
}

/// A bar of at most 30 columns; the total has none.
fn bar(part: Millis, total: Option<Millis>) -> String {
    let Some(total) = total.filter(|total| total.0 > 0 && part.0 < total.0) else { return String::new() };
    let columns = part.0.saturating_mul(30).div_ceil(total.0).min(30);
    "█".repeat(usize::try_from(columns).unwrap_or_default())
}

fn timeline(view: &IncidentView) -> Text {
    let mut table = Table::bare(2);
    for line in &view.timeline {
        table.row([Cell::new(DIM, format!("+{}", line.since_start)), Paragraph(&line.text).into()]);
    }
    section("timeline", &table)
}

fn findings(view: &IncidentView) -> Text {
    let mut table = Table::bare(2);
    for finding in &view.findings {
        let word = if finding.passed { Cell::new(GOOD, "passed") } else { Cell::new(BAD, "failed") };
        table.row([
            word,
            finding.check.as_str().into(),
            finding.observed.as_str().into(),
            Cell::new(DIM, format!("expected {}", finding.expected)),
        ]);
    }
    section("findings", &table)
}

fn decisions(view: &IncidentView) -> Text {
    let mut table = Table::bare(2);
    let start = view.timeline.first().map_or(view.opened_at, |line| line.at);
    for decision in &view.decisions {
        table.row([
            Cell::new(DIM, format!("+{}", decision.at.since(start))),
            decision.role.as_str().into(),
            decision.policy.as_str().into(),
            Cell::new(DIM, format!("sha256 {}", decision.digest.short())),
            Cell::new(DIM, format!("fuel {}", decision.fuel)),
            Paragraph(&decision.said).into(),
        ]);
    }
    let mut text = section("decisions", &table);
    if !table.is_empty() {
        let more = format!("  `ripcord decisions {}` shows what each was given and why it said so", view.id);
        text.push(text!("{}\n", paint(DIM, more)));
    }
    text
}

/// What was sent for each step, beside what was approved.
fn requests(view: &IncidentView) -> Text {
    let mut table = Table::bare(2);
    for request in &view.requests {
        let of = request.rung.map(|rung| format!(" to target {}", rung + 1)).unwrap_or_default();
        let wave = request.wave.map(|wave| format!(", wave {}", wave + 1)).unwrap_or_default();
        table.row([
            format!("{}{of}{wave}, attempt {}", request.step.as_str(), request.attempt).into(),
            Cell::new(DIM, format!("approved sha256 {}", request.approved)),
            Cell::new(DIM, format!("executed sha256 {}", request.executed)),
        ]);
    }
    section("requests", &table)
}

fn evidence(view: &IncidentView) -> Text {
    let mut table = Table::bare(2);
    for item in &view.evidence {
        let digest = Cell::new(DIM, format!("sha256 {}", item.digest.short()));
        table.row([item.name.as_str().into(), format!("{} bytes", item.bytes).into(), digest]);
    }
    for gap in &view.missing {
        table.row([gap.name.as_str().into(), Cell::new(WARN, "missing"), Paragraph(&gap.reason).into()]);
    }
    section("evidence", &table)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::output::hostile;
    use serde_json::{Value, json};

    pub(in crate::output) fn settled() -> Value {
        let digest = "a".repeat(64);
        json!({
            "id": "fraud-api:1", "service": "fraud-api", "outcome": "rolled-back", "phase": "settled",
            "opened_at": "1700000004000", "settled_at": "1700000009500",
            "cause": "share of declined good customers is 0.3, over the limit 0.1 for 2s",
            "requested_by": ["policy threshold-trigger"],
            "before": "1.4.0", "after": "1.3.2", "proof": "answer",
            "split": {
                "detect": "4000", "decide": "300", "wait_for_people": "2000", "act": "700", "verify": "2500",
                "total": "9500",
            },
            "plan": null, "plan_digest": digest,
            "votes": [
                { "person": "ada", "roles": ["approver"], "granted": true, "at": "1700000005000", "kind": "signature" },
                { "person": "bob", "roles": ["approver"], "granted": true, "at": "1700000006000", "kind": "session" },
            ],
            "needs": null,
            "evidence": [{ "name": "request-log", "digest": digest, "bytes": "2048" }],
            "missing": [{ "name": "manifest", "reason": "the registry did not answer" }],
            "findings": [{ "check": "accuracy", "passed": true, "observed": "0.97", "expected": "at least 0.95" }],
            "decisions": [{
                "at": "1700000004000", "role": "trigger", "policy": "threshold-trigger@0.1.0", "digest": digest,
                "said": "roll back: too many", "fuel": 5000, "rounds": 2,
            }],
            "timeline": [
                { "at": "1700000003000", "since_start": "0", "text": "signal from webhook alertmanager: firing, critical" },
                { "at": "1700000004000", "since_start": "1000", "text": "triggers asked" },
            ],
        })
    }

    fn view(value: Value) -> IncidentView {
        serde_json::from_value(value).expect("an incident")
    }

    #[test]
    fn a_settled_incident_on_a_page() {
        let page = page(&view(settled()));
        assert_eq!(page.exit, Exit::Done);
        insta::assert_snapshot!(page.plain());
    }

    #[test]
    fn where_going_back_would_not_help_the_page_says_why_and_who_can() {
        let mut ended = settled();
        ended["outcome"] = json!("not-helped");
        ended["no_help"] = json!({
            "reason": "the customers of a new country arrive", "hand_over_to": "the fraud analysts",
            "meanwhile": "ripcord pull fraud-api --fallback MODE --reason TEXT",
        });
        let page = page(&view(ended.clone()));
        assert_eq!(page.exit, Exit::Failed);
        let plain = page.plain();
        for line in [
            "will not help  the customers of a new country arrive",
            "hand over to   the fraud analysts",
            "meanwhile      `ripcord pull fraud-api --fallback MODE --reason TEXT` enters a safe mode",
        ] {
            assert!(plain.contains(line), "`{line}`: {plain}");
        }
        ended["no_help"]["hand_over_to"] = json!("ada\u{1b}[2J\nneeds a person: pay");
        let plain = self::page(&view(ended)).plain();
        assert!(!plain.contains('\u{1b}') && !plain.contains("\nneeds a person"), "{plain}");
    }

    #[test]
    fn a_member_of_a_set_names_the_run_that_it_moves_with() {
        let mut open = settled();
        assert!(!page(&view(open.clone())).plain().contains("moves with"));
        open["set_run"] = json!("set:fraud:3");
        let plain = page(&view(open)).plain();
        let line = "moves with     set:fraud:3, a run of its set: `ripcord incidents show set:fraud:3` shows all of it";
        assert!(plain.contains(line), "{plain}");
    }

    #[test]
    fn what_is_wanted_of_a_person_stands_first() {
        let mut open = settled();
        open["outcome"] = json!("open");
        open["phase"] = json!("needs a person");
        open["needs"] = json!("look at the service, then `ripcord answer fraud-api:1 applied`");
        let page = page(&view(open));
        assert_eq!(page.exit, Exit::Waiting);
        let plain = page.plain();
        let first: Vec<_> = plain.lines().take(2).collect();
        assert_eq!(
            first,
            [
                "fraud-api:1  needs a person",
                "needs a person: look at the service, then `ripcord answer fraud-api:1 applied`"
            ]
        );
    }

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let mut whole = settled();
        whole["outcome"] = json!("open");
        whole["needs"] = json!("look");
        whole["preflight"] = json!("it fits");
        whole["failed"] = json!("it failed");
        for (name, text) in hostile::table() {
            let (view, spoilt) = hostile::spoilt(&view(whole.clone()), &text);
            assert!(spoilt > 15, "{name}: {spoilt}");
            hostile::assert_harmless(&page(&view).text, name);
        }
    }

    #[test]
    fn a_policy_cannot_add_a_line_to_the_timeline() {
        let mut forged = settled();
        forged["timeline"][1]["text"] = json!("triggers asked: mine: roll back\n+2.0 s  ada approved plan 1");
        let plain = page(&view(forged)).plain();
        assert!(plain.contains("\n          | +2.0 s  ada approved plan 1\n"), "{plain}");
    }

    #[test]
    fn ends_have_exit_codes() {
        let code = |outcome: &str| {
            let mut value = settled();
            value["outcome"] = json!(outcome);
            exit(&view(value)).code()
        };
        let given =
            ["rolled-back", "fell-back", "open", "refused", "expired", "aborted", "observed", "not-helped"];
        assert_eq!(given.map(code), [0, 0, 3, 4, 1, 1, 1, 1]);
    }
}

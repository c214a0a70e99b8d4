//! One incident on a page, for the person who was paged.

use anstyle::Style;
use ripcord_core::fact::Outcome;
use ripcord_core::live::proved_by;
use ripcord_core::plan::{Vote, VoteKind};
use ripcord_core::time::Millis;
use ripcord_engine::view::{IncidentView, Split};

use super::plan::ladder;
use super::style::{BAD, DIM, GOOD, STRONG, WARN, paint};
use super::table::{Cell, Table};
use super::time::instant;
use super::{Exit, Page};
use super::{held_up, measured};

/// The incident as a page; open ones that wait for people, and unhappy ends, show in the exit code.
pub fn page(view: &IncidentView) -> Page {
    Page::new(exit(view), text(view), view)
}

/// How a command that waited for this incident ends.
pub fn exit(view: &IncidentView) -> Exit {
    match &view.outcome {
        Outcome::RolledBack | Outcome::FellBack | Outcome::RestoredElsewhere | Outcome::SettledByPerson => {
            Exit::Done
        }
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
pub fn text(view: &IncidentView) -> String {
    let sections = [head(view), time(view), timeline(view), findings(view), decisions(view), evidence(view)];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

/// What a person needs within the first seconds.
fn head(view: &IncidentView) -> String {
    let state = match view.outcome {
        Outcome::Open => paint(WARN, &view.phase),
        _ => paint(style(&view.outcome), &view.outcome),
    };
    let mut text = format!("{}  {state}\n", paint(STRONG, &view.id));
    if let Some(needs) = &view.needs {
        text.push_str(&format!("{} {needs}\n", paint(BAD, "needs a person:")));
    }
    for held in &view.held_up {
        text.push_str(&format!("{} {}\n", paint(WARN, "held up:"), held_up::sentence(held)));
    }
    if let (Some(failed), Outcome::Open, true) = (&view.failed, &view.outcome, view.held_up.is_empty()) {
        text.push_str(&format!("{} {failed}\n", paint(WARN, "failed last:")));
    }
    let mut table = Table::bare(2);
    let mut row = |name: &str, value: String| table.row([Cell::new(DIM, name), value.into()]);
    row("cause", view.cause.clone());
    row("asked by", view.requested_by.join(", "));
    row("opened", instant(view.opened_at));
    if let Some(settled) = view.settled_at {
        row("settled", instant(settled));
    }
    row("served before", view.before.clone().unwrap_or_else(|| "not read yet".to_owned()));
    let proof = view.proof.map(|proof| proved_by(proof, view.same_fingerprint));
    let proof = proof.map(|proof| format!(", proved by {proof}")).unwrap_or_default();
    row(
        "served after",
        view.after
            .as_ref()
            .map_or_else(|| "nothing was shifted".to_owned(), |after| format!("{after}{proof}")),
    );
    if let Some(plan) = &view.plan {
        let expires_at = view.plan_expires_at.unwrap_or(plan.expires_at);
        let moved = match expires_at.since(plan.expires_at) {
            Millis(0) => String::new(),
            by => format!(", {by} later than it says, since the host's clock jumped"),
        };
        row("plan", format!("{}; expires {}{moved}", ladder(plan), instant(expires_at)));
    }
    if let Some(digest) = &view.plan_digest {
        row("plan digest", digest.to_string());
    }
    if let Some(preflight) = &view.preflight {
        row("preflight", preflight.clone());
    }
    let (granted, refused): (Vec<_>, Vec<_>) = view.votes.iter().partition(|vote| vote.granted);
    if !granted.is_empty() {
        row("approved by", people(&granted));
    }
    if !refused.is_empty() {
        row("refused by", people(&refused));
    }
    text.push_str(&table.to_string());
    text
}

fn people(votes: &[&Vote]) -> String {
    let how = |vote: &Vote| match &vote.kind {
        VoteKind::Signature => "signature",
        VoteKind::Session => "session",
        VoteKind::BreakGlass => "break-glass",
        VoteKind::Other(_) => "another way",
    };
    votes.iter().map(|vote| format!("{} ({})", vote.person, how(vote))).collect::<Vec<_>>().join(", ")
}

/// Where the time went, and what the host has measured of it.
fn time(view: &IncidentView) -> String {
    let measured = view.measured.as_ref().map(|measured| format!("{}\n", measured::sentence(measured)));
    format!("{}{}", split(&view.split), measured.unwrap_or_default())
}

/// Where the time went.
pub fn split(split: &Split) -> String {
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
    if table.is_empty() {
        String::new()
    } else {
        format!("{}\n{table}", paint(STRONG, "where the time went"))
    }
}

/// A bar of at most 30 columns; the total has none.
fn bar(part: Millis, total: Option<Millis>) -> String {
    let Some(total) = total.filter(|total| total.0 > 0 && part.0 < total.0) else { return String::new() };
    let columns = part.0.saturating_mul(30).div_ceil(total.0).min(30);
    "█".repeat(usize::try_from(columns).unwrap_or_default())
}

fn timeline(view: &IncidentView) -> String {
    let mut table = Table::bare(2);
    for line in &view.timeline {
        table.row([Cell::new(DIM, format!("+{}", line.since_start)), line.text.as_str().into()]);
    }
    format!("{}\n{table}", paint(STRONG, "timeline"))
}

fn findings(view: &IncidentView) -> String {
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
    if table.is_empty() { String::new() } else { format!("{}\n{table}", paint(STRONG, "findings")) }
}

fn decisions(view: &IncidentView) -> String {
    let mut table = Table::bare(2);
    let start = view.timeline.first().map_or(view.opened_at, |line| line.at);
    for decision in &view.decisions {
        table.row([
            Cell::new(DIM, format!("+{}", decision.at.since(start))),
            decision.role.as_str().into(),
            decision.policy.as_str().into(),
            Cell::new(DIM, format!("sha256 {}", decision.digest.short())),
            Cell::new(DIM, format!("fuel {}", decision.fuel)),
            decision.said.as_str().into(),
        ]);
    }
    if table.is_empty() { String::new() } else { format!("{}\n{table}", paint(STRONG, "decisions")) }
}

fn evidence(view: &IncidentView) -> String {
    let mut table = Table::bare(2);
    for item in &view.evidence {
        let digest = Cell::new(DIM, format!("sha256 {}", item.digest.short()));
        table.row([item.name.as_str().into(), format!("{} bytes", item.bytes).into(), digest]);
    }
    for gap in &view.missing {
        table.row([gap.name.as_str().into(), Cell::new(WARN, "missing"), gap.reason.as_str().into()]);
    }
    if table.is_empty() { String::new() } else { format!("{}\n{table}", paint(STRONG, "evidence")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn settled() -> Value {
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

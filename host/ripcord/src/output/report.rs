//! A draft of the report on an incident: what happened, why, on which numbers, who agreed to what, where the time went, and what to ask next.
//!
//! It is made of the record alone, and says of nothing more than it knows: why the model was bad is for people to write.

use ripcord_core::fact::Outcome;
use ripcord_core::plan::VoteKind;
use ripcord_core::service::Tally;
use ripcord_core::time::Millis;
use ripcord_engine::view::{IncidentView, Split, VoteLine};

use super::document::Document;
use super::plan::ladder;
use super::time::exact;

/// A part of the time that is worth a question of its own is at least so much of the whole.
const LARGE_PART: f64 = 0.4;

/// The report on an incident.
pub fn report(view: &IncidentView) -> Document {
    let mut document = Document::new(format!("Report on {}: {}", view.id, view.cause));
    if view.outcome == Outcome::Open {
        document.paragraph(format!(
            "It is still open ({}): what follows ends where the record does.",
            view.phase
        ));
    }
    summary(&mut document, view);
    document.heading("What happened");
    document.table(
        ["after", "at", "what"],
        view.timeline
            .iter()
            .map(|line| [format!("+{}", line.since_start), exact(line.at), line.text.clone()]),
    );
    decisions(&mut document, view);
    people(&mut document, view);
    evidence(&mut document, view);
    time(&mut document, view);
    document.heading("What to ask next");
    document.list(questions(view));
    document.heading("Why the model was bad");
    document.paragraph("The record does not say. Write here what caused it, and what will be done so that it does not come back.");
    document
}

fn summary(document: &mut Document, view: &IncidentView) {
    let row = |name: &str, value: String| [name.to_owned(), value];
    let mut rows = vec![
        row("service", format!("`{}`", view.service)),
        row("outcome", view.outcome.to_string()),
        row("cause", view.cause.clone()),
        row("asked by", view.requested_by.join(", ")),
        row("opened", exact(view.opened_at)),
    ];
    if let Some(settled) = view.settled_at {
        rows.push(row("settled", format!("{}, {} later", exact(settled), settled.since(view.opened_at))));
    }
    rows.push(row("served before", view.before.clone().unwrap_or_else(|| "was not read".to_owned())));
    let proof = view.proof.map(|proof| format!(", proved by {proof}")).unwrap_or_default();
    let after = view.after.as_ref().map(|after| format!("{after}{proof}"));
    rows.push(row("served after", after.unwrap_or_else(|| "nothing was shifted".to_owned())));
    if let Some(plan) = &view.plan {
        rows.push(row("plan", ladder(plan)));
    }
    if let Some(digest) = &view.plan_digest {
        rows.push(row("digest of the plan", format!("`{digest}`")));
    }
    if let Some(no_help) = &view.no_help {
        rows.push(row("why going back would not help", no_help.reason.clone()));
    }
    document.table(["", ""], rows);
}

fn decisions(document: &mut Document, view: &IncidentView) {
    document.heading("What was decided, and on which numbers");
    document.paragraph(format!(
        "Each decision replays to the same word: `ripcord replay {}`. `ripcord decisions {}` shows all that each policy was given.",
        view.id, view.id
    ));
    document.table(
        ["at", "who decided", "what it said"],
        view.decisions.iter().map(|decision| {
            let who =
                format!("{} `{}`, sha256 `{}`", decision.role, decision.policy, decision.digest.short());
            [exact(decision.at), who, decision.said.clone()]
        }),
    );
    document.table(
        ["check", "result", "observed", "expected"],
        view.findings.iter().map(|finding| {
            let result = if finding.passed { "passed" } else { "failed" };
            [finding.check.clone(), result.to_owned(), finding.observed.clone(), finding.expected.clone()]
        }),
    );
}

fn people(document: &mut Document, view: &IncidentView) {
    document.heading("Who agreed to what");
    if view.votes.is_empty() {
        let text = match (&view.outcome, view.tally.is_empty()) {
            (Outcome::Open, false) => {
                let wanted: Vec<_> = view.tally.iter().map(Tally::to_string).collect();
                format!("Nobody yet. It waits for {}.", wanted.join(" and "))
            }
            _ => "Nobody voted: it was done by policies alone, on the word of who asked, or not at all."
                .to_owned(),
        };
        document.paragraph(text);
        return;
    }
    document.table(
        ["who", "as", "what", "how", "at", "why"],
        view.votes.iter().map(|line| {
            let vote = &line.vote;
            let roles: Vec<_> = vote.roles.iter().map(ToString::to_string).collect();
            let word = if vote.granted { "approved" } else { "refused" };
            let why = line.reason.clone().unwrap_or_else(|| "said nothing".to_owned());
            [vote.person.to_string(), roles.join(", "), word.to_owned(), how(line), exact(vote.at), why]
        }),
    );
}

fn how(line: &VoteLine) -> String {
    let key = || line.vote.key.map(|key| format!(", key `{}`", key.short())).unwrap_or_default();
    match &line.vote.kind {
        VoteKind::Signature => format!("by signature{}", key()),
        VoteKind::Session => "by session".to_owned(),
        VoteKind::BreakGlass => format!("alone, by breaking the glass{}", key()),
        VoteKind::Other(other) => other.clone(),
    }
}

fn evidence(document: &mut Document, view: &IncidentView) {
    document.heading("What was kept");
    let kept = view.evidence.iter().map(|item| {
        [item.name.clone(), format!("{} bytes", item.bytes), format!("sha256 `{}`", item.digest)]
    });
    let missing = view.missing.iter().map(|gap| [gap.name.clone(), "missing".to_owned(), gap.reason.clone()]);
    let rows: Vec<_> = kept.chain(missing).collect();
    if rows.is_empty() {
        document.paragraph("Nothing was kept.");
    }
    document.table(["what", "how much", "which"], rows);
}

fn parts(split: &Split) -> [(&'static str, Option<Millis>); 5] {
    [
        ("noticing", split.detect),
        ("deciding", split.decide),
        ("waiting for people", split.wait_for_people),
        ("acting", split.act),
        ("verifying", split.verify),
    ]
}

fn time(document: &mut Document, view: &IncidentView) {
    document.heading("Where the time went");
    let total = view.split.total.filter(|total| total.0 > 0);
    let share = |took: Millis| {
        total.map(|total| format!("{:.0} %", 100.0 * took.0 as f64 / total.0 as f64)).unwrap_or_default()
    };
    let rows = parts(&view.split)
        .into_iter()
        .filter_map(|(name, took)| took.map(|took| [name.to_owned(), took.to_string(), share(took)]));
    let all = view.split.total.map(|total| ["all of it".to_owned(), total.to_string(), String::new()]);
    document.table(["part", "took", "of all"], rows.chain(all));
}

/// What the record gives reason to ask.
fn questions(view: &IncidentView) -> Vec<String> {
    let mut asked = Vec::new();
    if let Some(total) = view.split.total.filter(|total| total.0 > 0) {
        let large = parts(&view.split)
            .into_iter()
            .filter_map(|(name, took)| took.map(|took| (name, took)))
            .filter(|(_, took)| took.0 as f64 >= LARGE_PART * total.0 as f64)
            .max_by_key(|(_, took)| took.0);
        if let Some((name, took)) = large {
            asked.push(format!("{took} of {total} went by {name}: what would have made that shorter?"));
        }
    }
    asked.extend(view.missing.iter().map(|gap| {
        format!(
            "`{}` could not be kept ({}): what would it have shown, and will it be there next time?",
            gap.name, gap.reason
        )
    }));
    let broke = view.votes.iter().filter(|line| line.vote.kind == VoteKind::BreakGlass);
    asked.extend(
        broke.map(|line| {
            format!("{} broke the glass: why could nobody else agree in time?", line.vote.person)
        }),
    );
    let silent = view.votes.iter().filter(|line| line.reason.is_none() && line.vote.granted).count();
    if silent > 0 {
        asked.push("Not everybody who agreed said why: what did they look at?".to_owned());
    }
    asked.extend(view.findings.iter().filter(|finding| !finding.passed).map(|finding| {
        format!("`{}` did not pass at the end ({}): is it well by now?", finding.check, finding.observed)
    }));
    if let Some(preflight) = view.preflight.as_ref().filter(|said| said.starts_with("not preflighted")) {
        asked.push(format!(
            "The target went live untried ({preflight}): can it be tried beside what is live?"
        ));
    }
    if let Some(failed) = &view.failed {
        asked.push(format!("What failed last: {failed}. Would it fail again?"));
    }
    match &view.outcome {
        Outcome::RolledBack | Outcome::FellBack => asked.push(format!(
            "What has to be true before `{}` may come back, and who says so? Until then its hold stands: `ripcord hold list {}`.",
            view.before.as_deref().unwrap_or("what was served"),
            view.service
        )),
        Outcome::Refused | Outcome::Expired => {
            asked.push("The plan was not carried out: did the harm end by itself, and how is that known?".to_owned());
        }
        _ => {}
    }
    asked.push("Would the same harm be caught earlier next time: which trigger, on which number, and at which limit?".to_owned());
    asked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::document::DocumentForm;
    use crate::output::hostile;
    use crate::output::incident::tests::settled;
    use serde_json::{Value, json};

    fn view(change: impl FnOnce(&mut Value)) -> IncidentView {
        let mut view = settled();
        change(&mut view);
        serde_json::from_value(view).expect("an incident")
    }

    fn asked(change: impl FnOnce(&mut Value)) -> String {
        questions(&view(change)).join("\n")
    }

    #[test]
    fn a_settled_incident_as_a_report() {
        insta::assert_snapshot!(report(&view(|_| {})).written(DocumentForm::Markdown));
    }

    #[test]
    fn the_record_gives_reason_to_ask() {
        let usual = asked(|_| {});
        assert!(usual.contains("4.0 s of 9.5 s went by noticing"), "{usual}");
        assert!(usual.contains("`manifest` could not be kept (the registry did not answer)"), "{usual}");
        assert!(usual.contains("before `1.4.0` may come back"), "{usual}");
        for (what, change, wanted) in [
            (
                "failed check",
                json!({"findings": [{ "check": "accuracy", "passed": false, "observed": "0.5", "expected": "0.9" }]}),
                "`accuracy` did not pass at the end (0.5)",
            ),
            (
                "untried",
                json!({"preflight": "not preflighted: its server holds one"}),
                "The target went live untried",
            ),
            ("refused", json!({"outcome": "refused"}), "did the harm end by itself"),
            (
                "failed last",
                json!({"failed": "the registry did not answer"}),
                "What failed last: the registry did not answer",
            ),
        ] {
            let said = asked(|view| {
                view.as_object_mut().expect("fields").extend(change.as_object().expect("fields").clone())
            });
            assert!(said.contains(wanted), "{what}: {said}");
            assert!(!usual.contains(wanted), "{what}");
        }
        let broke = asked(|view| view["votes"][0]["kind"] = json!("break-glass"));
        assert!(broke.contains("ada broke the glass"), "{broke}");
        assert!(!usual.contains("broke the glass"));
    }

    #[test]
    fn one_that_is_open_says_so_and_asks_nobody_yet() {
        let open = report(&view(|view| {
            view["outcome"] = json!("open");
            view["votes"] = json!([]);
            view["settled_at"] = json!(null);
        }));
        let text = open.written(DocumentForm::Markdown);
        assert!(text.contains("It is still open") && text.contains("Nobody voted"), "{text}");
    }

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let usual = view(|_| {});
        for (name, text) in hostile::table() {
            let (view, spoilt) = hostile::spoilt(&usual, &text);
            assert!(spoilt > 3, "{name}: {spoilt}");
            for form in [DocumentForm::Markdown, DocumentForm::Html] {
                hostile::assert_harmless(&report(&view).page(form).text, name);
            }
        }
    }
}

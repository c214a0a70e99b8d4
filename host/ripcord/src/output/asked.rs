//! What a policy said when it was only asked, and the facts that it saw: for people and for scripts.

use ripcord_core::fact::{Fact, Request, Value};
use ripcord_core::ratio::Ratio;
use ripcord_core::role::{
    ApprovalVerdict, PlannerVerdict, Suspect, TriggerVerdict, Verdict, VerificationVerdict,
};
use ripcord_engine::Asked;
use serde_json::json;

use super::style::{BAD, DIM, STRONG, WARN, paint};
use super::table::{Cell, Table};
use super::text::{Paragraph, Text, text};
use super::time::instant;

/// Values of a list that are shown.
const LISTED_MAX: usize = 3;

/// One policy's answer, its notes and its facts.
pub fn page(asked: &Asked) -> Text {
    let head = text!("{} {}: ", asked.role, paint(STRONG, &asked.policy));
    let mut text = match &asked.end {
        Ok(answer) => text!("{}{}\n", head, Paragraph(&verdict(&answer.verdict))),
        Err(fault) => text!("{}{} {}\n", head, paint(BAD, "it faulted:"), Paragraph(&fault.to_string())),
    };
    for note in asked.end.iter().flat_map(|answer| &answer.notes) {
        text.push(text!("  {} {}\n", paint(DIM, format!("{}:", note.severity)), Paragraph(&note.text)));
    }
    for line in &asked.log {
        text.push(text!("  {} {}\n", paint(DIM, "log:"), Paragraph(&line.text)));
    }
    if asked.facts.is_empty() {
        text.push(text!("  it asked for nothing\n"));
        return text;
    }
    let mut table = Table::bare(2);
    for fact in &asked.facts {
        let value = match &fact.value {
            Ok(value) => Cell::from(shown(value)),
            Err(why) => Cell::new(WARN, format!("none ({}): {why}", reason(&fact.value))),
        };
        let from = format!("{}, as of {}", fact.source, instant(fact.as_of));
        table.row([request(&fact.request).into(), Cell::new(DIM, from), value]);
    }
    text.push(text!("{}", table));
    text
}

/// The same for scripts.
pub fn json(asked: &Asked) -> serde_json::Value {
    let facts = asked.facts.iter().map(|fact| {
        json!({
            "request": fact.request, "text": request(&fact.request), "source": fact.source, "as-of": fact.as_of,
            "value": fact.value.as_ref().ok(), "missing": fact.value.as_ref().err(),
        })
    });
    let answer = asked.end.as_ref().ok();
    json!({
        "policy": asked.policy, "role": asked.role, "at": asked.now,
        "verdict": answer.map(|answer| &answer.verdict), "text": answer.map(|answer| verdict(&answer.verdict)),
        "notes": answer.map(|answer| &answer.notes), "fault": asked.end.as_ref().err().map(ToString::to_string),
        "facts": facts.collect::<Vec<_>>(), "rounds": asked.rounds, "fuel": asked.fuel, "log": asked.log,
    })
}

/// A verdict in one line, its reasons included.
pub fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Trigger(TriggerVerdict::Ignore) => "ignore".to_owned(),
        Verdict::Trigger(TriggerVerdict::Watch(until)) => {
            format!("watch: it asks to be asked again at {}", instant(*until))
        }
        Verdict::Trigger(TriggerVerdict::RollBack(proposal)) => format!("roll back: {}", proposal.cause),
        Verdict::Trigger(TriggerVerdict::StandDown(why)) => format!("stand down: {why}"),
        Verdict::Planner(PlannerVerdict::Choose(choice), suspects) => {
            let ladder: Vec<_> = choice.ladder.iter().map(ToString::to_string).collect();
            let sure = choice.confidence.map(|sure| format!(", {} sure", percent(sure))).unwrap_or_default();
            format!(
                "choose {}{sure}{}{}",
                ladder.join(", then "),
                refused(&choice.refused),
                suspected(suspects)
            )
        }
        Verdict::Planner(PlannerVerdict::NothingSuitable(targets), suspects) => {
            format!("nothing suitable{}{}", refused(targets), suspected(suspects))
        }
        Verdict::Planner(PlannerVerdict::WillNotHelp(no_help), suspects) => {
            let who = no_help.hand_over_to.as_ref().map(|who| format!("; hand over to {who}"));
            format!(
                "a rollback will not help: {}{}{}",
                no_help.reason,
                who.unwrap_or_default(),
                suspected(suspects)
            )
        }
        Verdict::Approval(ApprovalVerdict::Granted) => "granted".to_owned(),
        Verdict::Approval(ApprovalVerdict::Waiting(requirement)) => {
            let quorums =
                requirement.quorums.iter().map(|quorum| format!("{} of {}", quorum.people, quorum.role));
            format!("it waits for {}", quorums.collect::<Vec<_>>().join(" and "))
        }
        Verdict::Approval(ApprovalVerdict::Refused(why)) => format!("refused: {why}"),
        Verdict::Verification(verdict, findings) => {
            let word = match verdict {
                VerificationVerdict::Healthy => "healthy".to_owned(),
                VerificationVerdict::Unhealthy => "unhealthy".to_owned(),
                VerificationVerdict::Inconclusive(until) => {
                    format!("inconclusive: it asks to be asked again at {}", instant(*until))
                }
            };
            let found = findings.iter().map(|finding| {
                let passed = if finding.passed { "passed" } else { "failed" };
                format!("\n{} {passed}: {}, expected {}", finding.check, finding.observed, finding.expected)
            });
            found.fold(word, |text, line| text + &line)
        }
    }
}

fn refused(targets: &[ripcord_core::role::RefusedTarget]) -> String {
    targets
        .iter()
        .fold(String::new(), |text, refused| format!("{text}\nnot {}: {}", refused.target, refused.reason))
}

fn percent(ratio: Ratio) -> String {
    format!("{:.0} %", ratio.get() * 100.0)
}

/// Each suspect with its rank and its reasons.
fn suspected(suspects: &[Suspect]) -> String {
    suspects.iter().fold(String::new(), |text, suspect| {
        let became = suspect.became.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let to = if became.is_empty() { String::new() } else { format!(" to {became}") };
        format!(
            "{text}\nsuspect {}{to}, {}: {}",
            suspect.what,
            percent(suspect.score),
            suspect.reasons.join("; ")
        )
    })
}

/// What was asked for, in one line.
pub fn request(request: &Request) -> String {
    let from =
        |source: &Option<String>| source.as_ref().map(|name| format!(" from {name}")).unwrap_or_default();
    match request {
        Request::Metric(query) => {
            let at = query.at.map(|at| format!(" at {}", instant(at))).unwrap_or_default();
            format!("metric {}{at}{}", query.query, from(&query.source))
        }
        Request::MetricRange(query) => {
            let seconds = query.window.end.0.saturating_sub(query.window.start.0) / 1_000;
            format!("range {} over {seconds} s{}", query.query, from(&query.source))
        }
        Request::Versions(limit) => format!("versions, at most {limit}"),
        Request::Lineage(version) => format!("lineage of {version}"),
        Request::Golden(query) => format!("golden data {}", query.dataset),
        Request::History(window) => format!("incidents since {}", instant(window.start)),
        other => other.kind().to_string(),
    }
}

/// A value, in one line.
fn shown(value: &Value) -> String {
    match value {
        Value::Metric(samples) => {
            let each = samples.iter().map(|sample| labelled(&sample.labels, &sample.value.to_string()));
            listed(samples.len(), "no series", each)
        }
        Value::MetricRange(series) => {
            let each = series.iter().map(|one| {
                let last =
                    one.points.last().map_or("no point".to_owned(), |point| format!("last {}", point.value));
                labelled(&one.labels, &format!("{} points, {last}", one.points.len()))
            });
            listed(series.len(), "no series", each)
        }
        Value::Versions(versions) => {
            let each = versions.iter().map(|one| format!("{} ({})", one.version.version, one.standing));
            listed(versions.len(), "none", each)
        }
        Value::Live(live) => {
            let since = live.since.map(|since| format!(" since {}", instant(since))).unwrap_or_default();
            format!("{}{since}", live.state)
        }
        Value::History(incidents) => {
            let each = incidents.iter().map(|past| format!("{} {}", past.id, past.outcome));
            listed(incidents.len(), "none", each)
        }
        Value::Votes(votes) => listed(votes.len(), "none", votes.iter().map(|vote| vote.person.to_string())),
        other => {
            let text = serde_json::to_string(other).unwrap_or_default();
            text.chars().take(200).collect()
        }
    }
}

fn labelled(labels: &[ripcord_core::signal::Label], value: &str) -> String {
    if labels.is_empty() {
        return value.to_owned();
    }
    let labels: Vec<_> = labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
    format!("{{{}}} {value}", labels.join(", "))
}

fn listed(count: usize, none: &str, each: impl Iterator<Item = String>) -> String {
    if count == 0 {
        return none.to_owned();
    }
    let first = each.take(LISTED_MAX).collect::<Vec<_>>().join("; ");
    if count > LISTED_MAX { format!("{first}; and {} more", count - LISTED_MAX) } else { first }
}

fn reason(value: &Result<Value, ripcord_core::fact::Unavailable>) -> String {
    let reason = value.as_ref().err().and_then(|why| serde_json::to_value(&why.reason).ok());
    match reason {
        Some(serde_json::Value::String(word)) => word.replace('-', " "),
        _ => "other".to_owned(),
    }
}

/// Whether the fact has no value, or one that is an empty list of series: its query selects nothing.
pub fn selects_nothing(fact: &Fact) -> bool {
    match &fact.value {
        Err(_) => true,
        Ok(Value::Metric(samples)) => samples.is_empty(),
        Ok(Value::MetricRange(series)) => series.iter().all(|one| one.points.is_empty()),
        Ok(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use ripcord_core::digest::Digest;
    use ripcord_core::fact::{MetricQuery, Sample, Unavailable, UnavailableReason};
    use ripcord_core::name::PolicyName;
    use ripcord_core::policy::{PolicyRef, Role};
    use ripcord_core::role::{Answer, Note};
    use ripcord_core::signal::{Label, Severity};
    use ripcord_core::time::UnixMillis;

    fn asked(text: &str) -> Asked {
        let request = || {
            Request::Metric(MetricQuery { source: Some(text.to_owned()), query: text.to_owned(), at: None })
        };
        let labels = vec![Label { name: text.to_owned(), value: text.to_owned() }];
        let fact = |value| Fact {
            id: "1.0".into(),
            request: request(),
            value,
            source: text.to_owned(),
            as_of: UnixMillis(1_700_000_000_000),
        };
        Asked {
            policy: PolicyRef {
                name: PolicyName::new("p").expect("name"),
                version: "1.0.0".into(),
                digest: Digest::of("p"),
            },
            role: Role::Trigger,
            now: UnixMillis(1_700_000_000_000),
            facts: vec![
                fact(Ok(Value::Metric(vec![Sample { labels, value: 0.25, at: UnixMillis(1) }]))),
                fact(Err(Unavailable::new(UnavailableReason::NoData, text))),
            ],
            end: Ok(Answer {
                verdict: Verdict::Trigger(TriggerVerdict::StandDown(text.to_owned())),
                notes: vec![Note { severity: Severity::Warning, text: text.to_owned() }],
                memo: Vec::new(),
            }),
            rounds: 2,
            fuel: 7,
            log: vec![ripcord_sandbox::LogLine { severity: Severity::Info, text: text.to_owned() }],
        }
    }

    #[test]
    fn the_answer_stands_beside_the_facts_that_it_rests_on() {
        insta::assert_snapshot!(page(&asked("q")).plain(), @r"
        trigger p@1.0.0: stand down: q
          warning: q
          log: q
          metric q from q  q, as of 2023-11-14 22:13:20Z  {q=q} 0.25
          metric q from q  q, as of 2023-11-14 22:13:20Z  none (no data): q
        ");
    }

    #[test]
    fn nothing_that_a_policy_or_a_metric_says_gets_out_of_its_place() {
        for (name, text) in hostile::table() {
            hostile::assert_harmless(&page(&asked(&text)), name);
        }
    }
}

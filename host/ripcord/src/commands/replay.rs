//! `ripcord replay`: recorded decisions, run again with nothing but the store.

use std::collections::BTreeMap;

use ripcord_core::name::IncidentId;
use ripcord_engine::ReadError;
use ripcord_engine::replay::{self, ReplayReport, ReplayedDecision, Result as Ran};
use ripcord_sandbox::{Fault, FuelCheck, Nature, Replayed};
use serde_json::{Value, json};

use super::{Outcome, Reach};
use crate::cli::Global;
use crate::output::style::{BAD, GOOD, WARN, paint};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{Exit, Failure, Page, Text, text};
use crate::wiring;

pub(super) async fn replay(global: &Global, incident: Option<&IncidentId>) -> Outcome {
    let reach = Reach::new(global)?;
    let store = reach.store()?;
    let sandbox = wiring::sandbox(reach.here()?).map_err(|error| Failure::of(Exit::Failed, error))?;
    reach.progress.say("running recorded decisions again");
    let report = replay::replay(&store, &sandbox, incident).await.map_err(|error| match error {
        ReadError::Unknown(_) => Failure::of(Exit::Usage, error),
        _ => Failure::of(Exit::Failed, error),
    })?;
    Ok(page(&report))
}

fn page(report: &ReplayReport) -> Page {
    let mut table = Table::new(["incident", "at", "role", "policy", "result"]);
    for decision in &report.decisions {
        let incident =
            decision.incident.as_ref().map_or_else(|| decision.service.to_string(), ToString::to_string);
        let (style, word) = match &decision.result {
            Ran::Replayed(Replayed::Same { .. }) => (GOOD, said(&decision.result)),
            Ran::Replayed(Replayed::Differs { .. }) => (BAD, said(&decision.result)),
            _ => (WARN, said(&decision.result)),
        };
        table.row([
            incident.into(),
            instant(decision.at).into(),
            decision.role.into(),
            (&decision.policy).into(),
            Cell::new(style, Text::joined(std::iter::once(text!("{}", word)).chain(then(decision)), "\n")),
        ]);
    }
    let (same, differs, open) = (report.same(), report.differs(), report.open());
    let count = format!("{same} same, {differs} differ, {open} cannot be told");
    let count = paint(if differs > 0 { BAD } else { GOOD }, count);
    let mut text =
        if report.decisions.is_empty() { text!("no decisions") } else { text!("{}\n{}", table, count) };
    for (service, why) in &report.damaged {
        text.push(text!(
            "\n{}",
            paint(BAD, text!("the journal of {} cannot be read further: {}", service, why))
        ));
    }
    let exit = if differs > 0 || !report.damaged.is_empty() { Exit::Failed } else { Exit::Done };
    let decisions: Vec<Value> = report
        .decisions
        .iter()
        .map(|decision| {
            json!({
                "service": decision.service, "incident": decision.incident, "at": decision.at,
                "policy": decision.policy, "role": decision.role,
                "result": word(&decision.result), "text": said(&decision.result),
                "fault": decision.fault, "log": decision.log,
                "facts": decision.facts.iter().map(|fact| json!({
                    "source": fact.source, "as-of": fact.as_of, "request": fact.request, "missing": fact.missing,
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    let damaged: BTreeMap<_, _> = report.damaged.iter().map(|(service, why)| (service, why)).collect();
    Page::new(
        exit,
        text,
        &json!({ "same": same, "differs": differs, "open": open, "decisions": decisions, "damaged": damaged }),
    )
}

/// What the recorded decision ended in, if in a fault, and what the policy logged: for people, a line each.
fn then(decision: &ReplayedDecision) -> impl Iterator<Item = Text> {
    let fault = decision.fault.as_ref().map(|fault| {
        let nature = match fault.nature {
            Nature::Deterministic => "deterministic",
            Nature::Environmental => "environmental",
        };
        text!("fault ({}, {}): {}", kind(fault), nature, fault.message.trim_end())
    });
    let log = decision.log.iter();
    let log = log.map(|line| text!("log ({}): {}", line.severity, line.text.trim_end()));
    fault.into_iter().chain(log)
}

/// Such as `out-of-fuel`.
fn kind(fault: &Fault) -> String {
    match serde_json::to_value(&fault.kind) {
        Ok(Value::String(kind)) => kind,
        Ok(Value::Object(kind)) => kind.into_iter().map(|(kind, _)| kind).collect(),
        _ => String::new(),
    }
}

/// For scripts.
const fn word(result: &Ran) -> &'static str {
    match result {
        Ran::Replayed(Replayed::Same { .. }) => "same",
        Ran::Replayed(Replayed::Differs { .. }) => "differs",
        Ran::Replayed(Replayed::FactsPruned(_)) => "facts-pruned",
        Ran::Replayed(Replayed::NotReproducible { .. }) => "not-reproducible",
        Ran::RecordingPruned(_) => "recording-pruned",
        Ran::NoPolicy(_) => "no-policy",
        Ran::Unreadable(_) => "unreadable",
    }
}

/// For people.
fn said(result: &Ran) -> String {
    match result {
        Ran::Replayed(Replayed::Same { fuel: FuelCheck::Same }) => "same, same fuel".to_owned(),
        Ran::Replayed(Replayed::Same { fuel: FuelCheck::NotCompared { recorded } }) => {
            format!("same; fuel not compared, it was recorded with wasmtime {}", recorded.wasmtime)
        }
        Ran::Replayed(Replayed::Differs { round, what, expected, got }) => {
            format!("differs in round {round} ({what:?}): expected {expected}, got {got}")
        }
        Ran::Replayed(Replayed::FactsPruned(ids)) => format!("pruned: {}", ids.join(", ")),
        Ran::Replayed(Replayed::NotReproducible { reason }) => format!("not reproducible: {reason}"),
        Ran::RecordingPruned(class) => {
            format!(
                "pruned: its whole recording, which was kept as `{class}`; `ripcord store show` says how long"
            )
        }
        Ran::NoPolicy(why) => format!("its policy is missing: {why}"),
        Ran::Unreadable(why) => format!("its recording is unreadable: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use ripcord_core::digest::Digest;
    use ripcord_core::name::{PolicyName, ServiceName};
    use ripcord_core::policy::{PolicyRef, Role};
    use ripcord_core::retention::Class;
    use ripcord_core::signal::Severity;
    use ripcord_core::time::UnixMillis;
    use ripcord_sandbox::{Difference, FaultKind, LogLine};

    #[test]
    fn what_was_pruned_is_named() {
        let whole = Ran::RecordingPruned(Class::Decisions);
        let signals = Ran::Replayed(Replayed::FactsPruned(vec!["signals ab12".into(), "f1".into()]));
        assert_eq!((word(&whole), word(&signals)), ("recording-pruned", "facts-pruned"));
        insta::assert_snapshot!(said(&whole), @"pruned: its whole recording, which was kept as `decisions`; `ripcord store show` says how long");
        insta::assert_snapshot!(said(&signals), @"pruned: signals ab12, f1");
    }

    #[test]
    fn nothing_that_a_policy_said_gets_out_of_its_place() {
        for (name, text) in hostile::table() {
            let results = [
                Ran::Replayed(Replayed::Differs {
                    round: 0,
                    what: Difference::Verdict,
                    expected: text.clone(),
                    got: text.clone(),
                }),
                Ran::Replayed(Replayed::FactsPruned(vec![text.clone()])),
                Ran::Replayed(Replayed::NotReproducible { reason: text.clone() }),
                Ran::RecordingPruned(Class::Decisions),
                Ran::NoPolicy(text.clone()),
                Ran::Unreadable(text.clone()),
            ];
            let decision = |result| ReplayedDecision {
                service: ServiceName::new("s").expect("name"),
                incident: None,
                at: UnixMillis(1),
                policy: PolicyRef {
                    name: PolicyName::new("p").expect("name"),
                    version: text.clone(),
                    digest: Digest::of("p"),
                },
                role: Role::Trigger,
                fault: Some(Fault {
                    kind: FaultKind::Panic { message: text.clone() },
                    nature: Nature::Deterministic,
                    message: text.clone(),
                }),
                log: vec![LogLine { severity: Severity::Other(text.clone()), text: text.clone() }],
                facts: Vec::new(),
                result,
            };
            let report = ReplayReport { decisions: results.map(decision).to_vec(), damaged: Vec::new() };
            hostile::assert_harmless(&page(&report).text, name);
        }
    }
}

//! The same over recorded decisions: the rule is given what triggers of the service were given then.

use std::ops::ControlFlow;

use ripcord_core::policy::Role;
use ripcord_core::target::Window;
use ripcord_engine::PlacedPolicy;
use ripcord_engine::replay::{RecordedQuestion, Wanted, recorded};
use ripcord_fixture::{Ran, Subject, field_of};
use ripcord_sandbox::Limits;
use serde_json::Value;

use super::STEPS_MAX;
use super::walk::{Seen, Tried, Word, sum};
use crate::commands::asking::Bench;
use crate::output::{Exit, Failure, Progress};
use crate::policy::{kinds_as_in_fixtures, to_run};

pub(super) async fn walk(
    bench: &Bench,
    rule: &PlacedPolicy,
    window: Window,
    progress: &Progress,
) -> Result<Tried, Failure> {
    let Some(store) = bench.store() else {
        return Err(Failure::usage(
            "there are no recorded decisions here: no host has run with this configuration",
        )
        .help("leave `--recorded` out to ask the metrics source"));
    };
    let name = &rule.policy.reference().name;
    // Its own decisions where it was placed; else those of all triggers, whose facts it may need.
    let own = bench.setup.policies(Role::Trigger).any(|placed| placed.policy.reference().name == *name);
    let wanted = Wanted {
        service: &bench.setup.name,
        incident: None,
        window,
        role: Some(Role::Trigger),
        policy: own.then_some(name),
    };
    let subject = Subject {
        version: rule.policy.reference().version.clone(),
        may_request: kinds_as_in_fixtures(&rule.policy, Role::Trigger),
    };
    let mut tried = Tried::new(bench, rule, window, None);
    let (mut memo, mut cut, mut asked) = (None, false, 0_u64);
    let each = |decision: RecordedQuestion| {
        asked += 1;
        if asked % 1_000 == 0 {
            progress.say(format!("{asked} decisions"));
        }
        ask(rule, &subject, &decision, &mut memo, &mut tried);
        cut = asked >= STEPS_MAX;
        if cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    recorded(store, &rule.policy, wanted, each).await.map_err(|error| Failure::of(Exit::Failed, error))?;
    if cut {
        let why = format!(
            "only the first {STEPS_MAX} decisions were asked about: give a later `--since`, or `--until`"
        );
        tried.missing.insert("what came after".to_owned(), (1, why));
    }
    Ok(tried)
}

fn ask(
    rule: &PlacedPolicy,
    subject: &Subject,
    decision: &RecordedQuestion,
    memo: &mut Option<Value>,
    tried: &mut Tried,
) {
    let fixture = match to_run(decision, &rule.settings, memo.clone()) {
        Ok(fixture) => fixture,
        Err(why) => {
            tried.missing.entry("a recorded decision".to_owned()).or_insert((0, why)).0 += 1;
            return;
        }
    };
    let ran = fixture.run(subject, |input| {
        let called = rule.policy.call_in_json(Role::Trigger, input, &Limits::default());
        called.outcome.map_err(|fault| fault.to_string())
    });
    let seen = |absent: &[Value]| Seen {
        missing: absent
            .iter()
            .map(|request| (request.to_string(), "no trigger asked for it then".to_owned()))
            .collect(),
        values: fixture.facts.iter().filter_map(|fact| value(&fact.request, &fact.value)).collect(),
    };
    let (word, text, seen) = match ran {
        Err(mismatch) => (Word::Fault, mismatch.to_string(), seen(&[])),
        Ok(Ran { end: Err(fault), absent, .. }) => (Word::Fault, fault, seen(&absent)),
        Ok(Ran { end: Ok(answer), absent, .. }) => {
            *memo = Some(field_of(&answer, "memo")).filter(|memo| !memo.is_null());
            let (word, text) = said(&answer);
            (word, text, seen(&absent))
        }
    };
    tried.add(decision.at, word, text, seen);
}

/// The word of an answer in the contract's JSON, and why.
fn said(answer: &Value) -> (Word, String) {
    let verdict = &answer["verdict"];
    let of = |name: &str| verdict.get(name);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let notes = answer["notes"].as_array().into_iter().flatten().map(|note| text(&note["text"]));
    let (word, why) = match (of("RollBack"), of("StandDown"), of("Watch")) {
        (Some(proposal), _, _) => (Word::RollBack, text(&proposal["cause"])),
        (_, Some(why), _) => (Word::StandDown, text(why)),
        (_, _, Some(_)) => (Word::Watch, String::new()),
        _ => (Word::Ignore, String::new()),
    };
    let all: Vec<_> = std::iter::once(why).chain(notes).filter(|text| !text.is_empty()).collect();
    (word, all.join("; "))
}

/// The query of a fact about a metric, and the sum of its newest values.
fn value(request: &Value, value: &Value) -> Option<(String, Option<f64>)> {
    let query = request.get("Metric").or_else(|| request.get("MetricRange"))?;
    let newest = match (value["Ok"].get("Metric"), value["Ok"].get("MetricRange")) {
        (Some(samples), _) => {
            samples.as_array().into_iter().flatten().filter_map(|one| one["value"].as_f64()).collect()
        }
        (_, Some(series)) => {
            let last = |one: &Value| one["points"].as_array()?.last()?["value"].as_f64();
            series.as_array().into_iter().flatten().filter_map(last).collect()
        }
        _ => Vec::new(),
    };
    Some((query["query"].as_str()?.to_owned(), sum(newest)))
}

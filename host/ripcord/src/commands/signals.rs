//! `ripcord signals`.

use ripcord_core::name::{PolicyName, ServiceName};
use serde_json::json;

use super::states::{Damaged, read_all};
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::http::across::set_aside_of;
use crate::http::unserved::unserved;
use crate::http::wire::{SetAsideAlert, UnroutedSignal};
use crate::output::style::{DIM, paint};
use crate::output::table::Table;
use crate::output::time::instant;
use crate::output::{Exit, Failure, Page, Text, text};

/// A host lists no more.
const LISTED_MAX: u32 = 1_000;

pub(super) async fn unrouted(global: &Global, limit: u32) -> Outcome {
    let reach = Reach::new(global)?;
    // One more than is wanted tells whether there are more.
    let wanted = limit.saturating_add(1);
    let (mut signals, listed_max) = match reach.far()? {
        Some(host) => (host.unrouted(wanted).await?, LISTED_MAX),
        None => {
            let (store, config) = (reach.store()?, reach.here()?);
            let is_configured = |service: &ServiceName| config.service(service.as_str()).is_some();
            let signals = unserved(&store, is_configured, wanted).await;
            (signals.map_err(|error| Failure::of(Exit::Failed, error))?, wanted)
        }
    };
    let shown = usize::try_from(limit.min(listed_max)).unwrap_or(usize::MAX);
    let cut = signals.len() > shown || wanted > listed_max && signals.len() == shown;
    signals.truncate(shown);
    Ok(listed(&signals, cut))
}

fn listed(signals: &[UnroutedSignal], cut: bool) -> Page {
    if signals.is_empty() {
        return Page::done("every alert found its service", &signals);
    }
    let mut table = Table::new(["received", "source", "rule", "severity", "times", "why", "labels"]);
    for UnroutedSignal { source, times, why, signal } in signals {
        let labels: Vec<_> =
            signal.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
        table.row([
            instant(signal.received_at).into(),
            source.as_deref().unwrap_or_default().into(),
            signal.rule.as_str().into(),
            (&signal.severity).into(),
            times.into(),
            why.as_str().into(),
            labels.join(" ").into(),
        ]);
    }
    let more = match cut {
        true => text!("{}\n", paint(DIM, "older ones are left out: a higher `--limit` shows more")),
        false => text!(""),
    };
    let text = text!(
        "{}\n{}add a route below `[[sources.NAME.routes]]`; `ripcord check --alert FILE` tries one",
        table,
        more
    );
    Page::done(text, &signals)
}

/// Alerts that a trigger faults on, or that are too large for any.
pub(super) async fn set_aside(global: &Global, service: Option<&ServiceName>) -> Outcome {
    let reach = Reach::new(global)?;
    if let Some(host) = reach.far()? {
        let told = host.set_aside(service).await?;
        return Ok(set_aside_page(&told.lines, &Damaged::told(told.damaged)));
    }
    let (states, damaged) = Damaged::apart(read_all(&reach, service).await?);
    let mut all = Vec::new();
    // Without a store nothing was ever set aside.
    if let Some(store) = reach.store_if_any()? {
        for state in &states {
            let lines = set_aside_of(&store, state).await;
            all.extend(lines.map_err(|error| Failure::of(Exit::Failed, error))?);
        }
    }
    Ok(set_aside_page(&all, &damaged))
}

fn set_aside_page(all: &[SetAsideAlert], damaged: &Damaged) -> Page {
    let text = Text::joined([set_aside_text(all).trimmed(), damaged.text()], "\n").trimmed();
    Page::new(damaged.exit(), text, &json!({ "alerts": all, "damaged": damaged.json() }))
}

fn set_aside_text(all: &[SetAsideAlert]) -> Text {
    if all.is_empty() {
        return text!("no alert is set aside");
    }
    let mut table = Table::new(["first seen", "service", "times", "why", "rule", "labels"]);
    for one in all {
        let by: Vec<_> = one.by.iter().map(PolicyName::as_str).collect();
        let why = if by.is_empty() { "too large".to_owned() } else { format!("{} faults", by.join(", ")) };
        let labels: Vec<_> =
            one.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
        table.row([
            instant(one.first_seen_at).into(),
            one.service.to_string().into(),
            one.count.into(),
            why.into(),
            one.rule.as_str().into(),
            labels.join(" ").into(),
        ]);
    }
    text!("{}\nthe triggers judge the others; `ripcord replay --all` shows the faults", table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let signal = json!([{ "source": "alerts", "times": 1, "why": "no route takes it", "signal": {
            "id": "s1", "origin": { "webhook": "alerts" }, "rule": "A", "status": "firing", "severity": { "other": "odd" },
            "labels": [{ "name": "a", "value": "b" }], "annotations": [{ "name": "c", "value": "d" }],
            "started_at": "1", "ended_at": null, "received_at": "1",
        } }]);
        let signals: Vec<UnroutedSignal> = serde_json::from_value(signal).expect("signals");
        for (name, text) in hostile::table() {
            let (signals, spoilt) = hostile::spoilt(&signals, &text);
            assert!(spoilt > 6, "{name}: {spoilt}");
            hostile::assert_harmless(&listed(&signals, true).text, name);
        }
    }
}

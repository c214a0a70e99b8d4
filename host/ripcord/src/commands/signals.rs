//! `ripcord signals`.

use ripcord_core::blob::BlobRef;
use ripcord_core::name::{PolicyName, ServiceName};
use ripcord_core::signal::{Label, Signal};
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store;
use ripcord_ports::store::StoreError;
use ripcord_store::SqliteStore;
use serde::Serialize;
use serde_json::json;

use super::states::{Damaged, read_all};
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::http::unserved::unserved;
use crate::http::wire::UnroutedSignal;
use crate::output::table::Table;
use crate::output::time::instant;
use crate::output::{Exit, Failure, Page, Text, text};

pub(super) async fn unrouted(global: &Global, limit: u32) -> Outcome {
    let reach = Reach::new(global)?;
    let store = reach.store()?;
    let is_configured = |service: &ServiceName| reach.config.service(service.as_str()).is_some();
    let signals = unserved(&store, is_configured, limit).await;
    Ok(listed(&signals.map_err(|error| Failure::of(Exit::Failed, error))?))
}

fn listed(signals: &[UnroutedSignal]) -> Page {
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
    let text = text!(
        "{}\nadd a route below `[[sources.NAME.routes]]`; `ripcord check --alert FILE` tries one",
        table
    );
    Page::done(text, &signals)
}

/// One alert that is set aside.
#[derive(Serialize)]
struct SetAsideAlert {
    service: ServiceName,
    /// Triggers that fault on it; none where it is too large for any.
    by: Vec<PolicyName>,
    first_seen_at: UnixMillis,
    count: u64,
    rule: String,
    labels: Vec<Label>,
}

/// Alerts that a trigger faults on, or that are too large for any.
pub(super) async fn set_aside(global: &Global, service: Option<&ServiceName>) -> Outcome {
    let reach = Reach::new(global)?;
    let (states, damaged) = Damaged::apart(read_all(&reach, service).await?);
    let store = reach.store_if_any()?;
    let mut all = Vec::new();
    for state in &states {
        for alert in state.watching.alerts.set_aside_of() {
            let content = match &store {
                Some(store) => content(store, &alert.content, alert.word.index as usize).await?,
                None => Err("(erased)"),
            };
            let (rule, labels) = match content {
                Ok(signal) => (cut(&signal.rule), signal.labels.iter().map(short).collect()),
                Err(instead) => (instead.to_owned(), Vec::new()),
            };
            all.push(SetAsideAlert {
                service: state.name.clone(),
                by: alert.set_aside_by.iter().cloned().collect(),
                first_seen_at: alert.word.first_seen_at,
                count: alert.word.count,
                rule,
                labels,
            });
        }
    }
    let text = Text::joined([set_aside_text(&all).trimmed(), damaged.text()], "\n").trimmed();
    Ok(Page::new(damaged.exit(), text, &json!({ "alerts": all, "damaged": damaged.json() })))
}

/// The alert, or what is shown in its place: content that is gone or damaged hides no other.
async fn content(
    store: &SqliteStore,
    group: &BlobRef,
    index: usize,
) -> Result<Result<Signal, &'static str>, Failure> {
    let content = match store.blob(group).await {
        Ok(Some(content)) => content,
        Ok(None) => return Ok(Err("(erased)")),
        Err(StoreError::Damaged(_)) => return Ok(Err("(damaged)")),
        Err(error) => return Err(Failure::of(Exit::Failed, error)),
    };
    let signals = serde_json::from_slice::<Vec<Signal>>(&content).unwrap_or_default();
    Ok(signals.into_iter().nth(index).ok_or("(damaged)"))
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

/// Labels that are set aside may be as large as a payload.
fn short(label: &Label) -> Label {
    Label::new(cut(&label.name), cut(&label.value))
}

fn cut(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 200;
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
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
            hostile::assert_harmless(&listed(&signals).text, name);
        }
    }
}

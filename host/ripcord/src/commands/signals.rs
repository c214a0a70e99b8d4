//! `ripcord signals`.

use ripcord_core::name::{PolicyName, ServiceName};
use ripcord_core::signal::{Label, Signal};
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store;
use ripcord_ports::store::SignalFilter;

use serde::Serialize;

use super::{Outcome, Reach};
use crate::cli::Global;
use crate::http::wire::UnroutedSignal;
use crate::output::table::Table;
use crate::output::time::instant;
use crate::output::{Exit, Failure, Page, text};

pub(super) async fn unrouted(global: &Global, limit: u32) -> Outcome {
    let store = Reach::new(global)?.store()?;
    let signals = store.signals(SignalFilter::Unrouted, limit).await;
    let signals = signals.map_err(|error| Failure::of(Exit::Failed, error))?;
    let signals: Vec<UnroutedSignal> = signals.into_iter().map(Into::into).collect();
    Ok(listed(&signals))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use serde_json::json;

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

/// Alerts that a trigger faults on, whose content is gone, or that are too large for any.
pub(super) async fn set_aside(global: &Global, service: Option<&ServiceName>) -> Outcome {
    let reach = Reach::new(global)?;
    let store = reach.store()?;
    let mut all = Vec::new();
    for read in super::status::read_all(&reach, service).await? {
        let state = read.state.map_err(|error| Failure::of(Exit::Failed, error))?;
        for alert in state.watching.alerts.set_aside_of() {
            let content =
                store.blob(&alert.content).await.map_err(|error| Failure::of(Exit::Failed, error))?;
            let signals: Vec<Signal> =
                serde_json::from_slice(&content.unwrap_or_default()).unwrap_or_default();
            let signal = signals.into_iter().nth(alert.word.index as usize);
            let (rule, labels) = signal.map_or_else(
                || ("(erased)".to_owned(), Vec::new()),
                |signal| (cut(&signal.rule), signal.labels.iter().map(short).collect()),
            );
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
    if all.is_empty() {
        return Ok(Page::done("no alert is set aside", &all));
    }
    let mut table = Table::new(["first seen", "service", "times", "why", "rule", "labels"]);
    for one in &all {
        let by: Vec<_> = one.by.iter().map(PolicyName::as_str).collect();
        let why =
            if by.is_empty() { "too large".to_owned() } else { format!("not judged by {}", by.join(", ")) };
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
    let text = text!(
        "{}\nthe triggers judge the others, and no other policy is given these; `ripcord replay --all` shows the faults",
        table
    );
    Ok(Page::done(text, &all))
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

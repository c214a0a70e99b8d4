//! `ripcord signals`.

use ripcord_ports::Store;
use ripcord_ports::store::SignalFilter;

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

//! `ripcord signals`.

use ripcord_ports::Store;
use ripcord_ports::store::SignalFilter;

use super::{Outcome, Reach};
use crate::cli::Global;
use crate::http::wire::UnroutedSignal;
use crate::output::table::Table;
use crate::output::time::instant;
use crate::output::{Exit, Failure, Page};

pub(super) async fn unrouted(global: &Global, limit: u32) -> Outcome {
    let store = Reach::new(global)?.store()?;
    let signals = store.signals(SignalFilter::Unrouted, limit).await;
    let signals = signals.map_err(|error| Failure::of(Exit::Failed, error))?;
    let signals: Vec<UnroutedSignal> = signals.into_iter().map(Into::into).collect();
    if signals.is_empty() {
        return Ok(Page::done("every alert found its service", &signals));
    }
    let mut table = Table::new(["received", "source", "rule", "severity", "times", "why", "labels"]);
    for UnroutedSignal { source, times, why, signal } in &signals {
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
    let text = format!(
        "{table}\nadd a route below `[[sources.NAME.routes]]`; `ripcord check --alert FILE` tries one"
    );
    Ok(Page::done(text, &signals))
}

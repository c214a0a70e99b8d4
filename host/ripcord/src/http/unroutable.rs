//! What an alert source sends that no policy can judge: kept in the intake without a service, and listed with the reason.

use ripcord_core::name::{SignalId, SourceName};
use ripcord_core::signal::{Label, Origin, Severity, Signal, SignalKind, SignalStatus};
use ripcord_core::time::UnixMillis;
use ripcord_ports::alert_source::{BadAlert, ParsedPayload};

/// The annotation that says why such a signal has no service.
const WHY: &str = "ripcord/why";

/// Why no route takes it, where that is not for want of one.
pub(super) fn why(signal: &Signal) -> Option<&str> {
    signal.annotations.iter().find(|note| note.name == WHY).map(|note| note.value.as_str())
}

/// An alert that cannot be judged.
pub(super) fn bad(id: SignalId, source: &SourceName, alert: &BadAlert, now: UnixMillis) -> Signal {
    let label =
        |name: &str| alert.labels.iter().find(|label| label.name == name).map(|label| label.value.clone());
    let severity = label("severity").map_or(Severity::Warning, |name| Severity::from(name.as_str()));
    let rule = label("alertname").unwrap_or_default();
    let why = format!("alert {} of its payload {}", alert.number, alert.why);
    signal(id, source, rule, severity, alert.labels.clone(), why, now)
}

/// That the sender left alerts of a group out.
pub(super) fn truncated(
    id: SignalId,
    source: &SourceName,
    payload: &ParsedPayload,
    now: UnixMillis,
) -> Signal {
    let why = format!(
        "the sender left {} alerts of the group `{}` out, and they are lost: raise or remove `max_alerts` of its receiver",
        payload.truncated, payload.group_key
    );
    signal(id, source, "truncated alerts".to_owned(), Severity::Critical, Vec::new(), why, now)
}

/// That a group held more alerts than a payload may.
pub(super) fn unread(id: SignalId, source: &SourceName, payload: &ParsedPayload, now: UnixMillis) -> Signal {
    let why = format!(
        "a payload of the group `{}` held {} alerts more than are read, and they are lost: let its sender send fewer at once (`max_alerts` of a receiver), or group by more labels",
        payload.group_key, payload.unread
    );
    signal(id, source, "too many alerts".to_owned(), Severity::Critical, Vec::new(), why, now)
}

/// That a whole webhook is lost.
pub(super) fn lost(id: SignalId, source: &SourceName, what: String, why: String, now: UnixMillis) -> Signal {
    signal(id, source, what, Severity::Critical, Vec::new(), why, now)
}

fn signal(
    id: SignalId,
    source: &SourceName,
    rule: String,
    severity: Severity,
    labels: Vec<Label>,
    why: String,
    now: UnixMillis,
) -> Signal {
    Signal {
        id,
        origin: Origin::Webhook(source.to_string()),
        rule,
        status: SignalStatus::Firing,
        kind: SignalKind::Condition,
        severity,
        labels,
        annotations: vec![Label::new(WHY, why)],
        started_at: now,
        ended_at: None,
        received_at: now,
    }
}

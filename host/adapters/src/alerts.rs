//! What all alert sources are read into.

use ripcord_core::digest::Digest;
use ripcord_core::signal::{Label, Severity, SignalStatus};
use ripcord_core::time::UnixMillis;

/// One alert of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedAlert {
    /// What raised it, as the source names it: the label `alertname`, or the kind of event.
    pub rule: String,
    /// Of this alert, whatever the payload's own says.
    pub status: SignalStatus,
    /// As the source says.
    pub severity: Severity,
    /// Sorted by name.
    pub labels: Vec<Label>,
    /// Sorted by name.
    pub annotations: Vec<Label>,
    /// When it began.
    pub started_at: UnixMillis,
    /// When it ended; none while it holds.
    pub ended_at: Option<UnixMillis>,
    /// The source's own name for it: Alertmanager's digest of the labels, MLflow's id of the delivery.
    pub fingerprint: String,
    /// The group that it was sent with; empty where the source knows no groups.
    pub group_key: String,
    /// The same for every delivery of the same change of the same alert, however often and by whatever way it comes.
    pub dedupe_key: Digest,
}

/// A payload, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedPayload {
    /// In the payload's order, without repeats.
    pub alerts: Vec<ParsedAlert>,
    /// How many alerts the source left out. They are lost unless people are told.
    pub truncated: u64,
}

//! Who sends alerts, and what all of them are read into.

use ripcord_core::digest::Digest;
use ripcord_core::signal::{Label, Severity, SignalKind, SignalStatus};
use ripcord_core::time::UnixMillis;

use crate::store::Turn;

/// A webhook that has proved whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Names in lower case, and values; those that are no text are left out.
    pub headers: &'a [(&'a str, &'a str)],
    /// As it came.
    pub body: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// A webhook that cannot be read: one sentence, which says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// What the webhooks of one system look like. How a sender proves who it is, is not its concern: any proof goes with any source.
pub trait AlertSource: Send + Sync {
    /// The adapter's name, such as `alerts_alertmanager`.
    fn name(&self) -> &str;

    /// Reads a delivery. What is wrong with one alert of it is no error: see [`ParsedPayload::bad`]. It may take a while, and asks nobody.
    fn read(&self, delivery: &Delivery<'_>) -> Result<ParsedPayload, Unreadable>;
}

/// One alert of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedAlert {
    /// What raised it, as the source names it: the label `alertname`, or the kind of event.
    pub rule: String,
    /// Of this alert, whatever the payload's own says.
    pub status: SignalStatus,
    /// What it tells of.
    pub kind: SignalKind,
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
    /// Where the same alert may fire again after its end.
    pub turn: Option<Turn>,
}

/// One alert of a payload that cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadAlert {
    /// Its place in the payload, from one.
    pub number: usize,
    /// What is wrong; the rest of a sentence that begins with the alert.
    pub why: String,
    /// Those of its labels that are text, sorted by name.
    pub labels: Vec<Label>,
    /// The same for every delivery of the same text.
    pub dedupe_key: Digest,
}

/// A payload, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedPayload {
    /// In the payload's order, without repeats.
    pub alerts: Vec<ParsedAlert>,
    /// In the payload's order, without repeats. They must not be lost: a sender does not send a refused payload again.
    pub bad: Vec<BadAlert>,
    /// The group that the payload is about; empty where the source knows no groups.
    pub group_key: String,
    /// How many alerts the source left out. They are lost unless people are told.
    pub truncated: u64,
    /// How many alerts at its end were not read, because there are more than any payload may hold. They are lost, too.
    pub unread: u64,
}

//! What every alert source must do with what comes in.

use std::collections::BTreeSet;

use ripcord_core::signal::SignalStatus;
use ripcord_ports::AlertSource;
use ripcord_ports::alert_source::{Delivery, ParsedPayload};

use super::restorer::one_line;
use super::rule::holds;

/// So many cuts of a body are tried.
const CUTS_MAX: usize = 400;

/// A webhook as the system itself sent it.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// An object of JSON.
    pub body: Vec<u8>,
    /// How many alerts it holds.
    pub alerts: usize,
}

impl Sent {
    fn read(&self, source: &dyn AlertSource, body: &[u8]) -> Result<ParsedPayload, String> {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        source.read(&Delivery { headers: &headers, body }).map_err(|error| error.to_string())
    }
}

/// Checks the alert source with webhooks that its system sent.
pub async fn conforms(source: &dyn AlertSource, sent: &[Sent]) {
    assert!(sent.iter().any(|one| one.alerts > 0), "the suite needs a webhook with an alert");
    holds("reads-what-its-system-sends", async { sent.iter().for_each(|one| reads(source, one)) }).await;
    holds("a-repeat-is-known-as-one", async { sent.iter().for_each(|one| repeats(source, one)) }).await;
    holds("what-is-no-webhook-is-refused", async { refuses(source, &sent[0]) }).await;
    holds("a-cut-webhook-is-refused", async { sent.iter().for_each(|one| cuts(source, one)) }).await;
}

fn reads(source: &dyn AlertSource, sent: &Sent) {
    assert!(!source.name().is_empty(), "it has a name");
    let payload = sent.read(source, &sent.body).unwrap_or_else(|error| panic!("it is refused: {error}"));
    assert_eq!(payload.alerts.len(), sent.alerts, "every alert, and each once");
    assert!(payload.bad.is_empty() && payload.unread == 0, "nothing of it is bad: {:?}", payload.bad);
    for alert in &payload.alerts {
        assert!(!alert.rule.is_empty() && !alert.fingerprint.is_empty(), "it is told what rang: {alert:?}");
        for labels in [&alert.labels, &alert.annotations] {
            assert!(labels.is_sorted_by_key(|label| &label.name), "sorted by name: {labels:?}");
        }
        let holds = alert.status == SignalStatus::Firing;
        assert!(!(holds && alert.ended_at.is_some()), "what holds has not ended: {alert:?}");
        assert!(
            alert.ended_at.is_none_or(|end| end >= alert.started_at),
            "it ends after it began: {alert:?}"
        );
    }
    let keys: BTreeSet<_> = payload.alerts.iter().map(|alert| alert.dedupe_key).collect();
    assert_eq!(keys.len(), payload.alerts.len(), "no alert is taken for another one");
}

fn repeats(source: &dyn AlertSource, sent: &Sent) {
    let first = sent.read(source, &sent.body);
    assert_eq!(first, sent.read(source, &sent.body), "the same webhook reads the same each time");
}

fn refuses(source: &dyn AlertSource, sent: &Sent) {
    let deep = "[".repeat(20_000);
    for body in [
        "",
        "null",
        "3",
        "\"text\"",
        "[]",
        "{}",
        "[{}]",
        "<!doctype html><title>Sign in</title>",
        "{\"alerts\": 7}",
        deep.as_str(),
        "\u{feff}",
    ] {
        let what: String = body.chars().take(40).collect();
        match sent.read(source, body.as_bytes()) {
            Ok(payload) => panic!("`{what}` is taken for a webhook: {payload:?}"),
            Err(why) => {
                assert!(!why.is_empty(), "`{what}` is refused with a reason");
                one_line(&why, "the reason");
            }
        }
    }
    assert!(sent.read(source, &[0xff, 0xfe, 0x00]).is_err(), "bytes that are no text are refused");
}

fn cuts(source: &dyn AlertSource, sent: &Sent) {
    let length = std::str::from_utf8(&sent.body).map_or(sent.body.len(), |text| text.trim_end().len());
    for end in (0..length).step_by(length.div_ceil(CUTS_MAX).max(1)) {
        let read = sent.read(source, &sent.body[..end]);
        assert!(read.is_err(), "what was cut after {end} of {length} bytes is taken for whole: {read:?}");
    }
}

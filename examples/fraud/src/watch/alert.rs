use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// The name of the alert.
pub const ALERT: &str = "FraudFalsePositives";

/// An alert of this rule, raised once and resolved once.
#[derive(Debug, Clone)]
pub(super) struct Alert {
    labels: BTreeMap<&'static str, String>,
    summary: String,
    starts_at: Timestamp,
    metrics: String,
}

/// What Alertmanager posts to a webhook, version 4.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Notification {
    receiver: &'static str,
    status: &'static str,
    alerts: [Instance; 1],
    group_labels: BTreeMap<&'static str, String>,
    common_labels: BTreeMap<&'static str, String>,
    common_annotations: BTreeMap<&'static str, String>,
    #[serde(rename = "externalURL")]
    external_url: String,
    version: &'static str,
    group_key: String,
    truncated_alerts: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    status: &'static str,
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

impl Alert {
    /// The alert of a service whose share of false positives is too high. `metrics` is where that was read.
    pub(super) fn new(
        service: &str,
        version: Option<&str>,
        share: f64,
        starts_at: Timestamp,
        metrics: &str,
    ) -> Self {
        let mut labels = BTreeMap::from([
            ("alertname", ALERT.to_owned()),
            ("model", crate::MODEL.to_owned()),
            ("service", service.to_owned()),
            ("severity", "critical".to_owned()),
            ("team", "payments".to_owned()),
        ]);
        let mut of = crate::MODEL.to_owned();
        if let Some(version) = version {
            labels.insert("version", version.to_owned());
            of.push_str(&format!(" {version}"));
        }
        let summary =
            format!("{:.1} % of the reviewed decisions of {of} declined a good customer", share * 100.0);
        Self { labels, summary, starts_at, metrics: metrics.to_owned() }
    }

    pub(super) fn firing(&self) -> Notification {
        self.notification("firing", "0001-01-01T00:00:00Z".to_owned())
    }

    pub(super) fn resolved(&self, ends_at: Timestamp) -> Notification {
        self.notification("resolved", format!("{ends_at:.3}"))
    }

    fn notification(&self, status: &'static str, ends_at: String) -> Notification {
        let group_labels: BTreeMap<_, _> = self
            .labels
            .iter()
            .filter(|(name, _)| matches!(**name, "alertname" | "model"))
            .map(|(name, value)| (*name, value.clone()))
            .collect();
        let group: Vec<String> =
            group_labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let annotations = BTreeMap::from([("summary", self.summary.clone())]);
        Notification {
            receiver: "ripcord",
            status,
            alerts: [Instance {
                status,
                labels: self.labels.clone(),
                annotations: annotations.clone(),
                starts_at: format!("{:.3}", self.starts_at),
                ends_at,
                generator_url: self.metrics.clone(),
                fingerprint: fingerprint(&self.labels),
            }],
            group_key: format!("{{}}/{{}}:{{{}}}", group.join(", ")),
            group_labels,
            common_labels: self.labels.clone(),
            common_annotations: annotations,
            external_url: self.metrics.strip_suffix("/metrics").unwrap_or(&self.metrics).to_owned(),
            version: "4",
            truncated_alerts: 0,
        }
    }
}

/// Alertmanager's identity of a set of labels: 64-bit FNV-1a over names and values in order, each followed by the byte 0xff.
fn fingerprint(labels: &BTreeMap<&'static str, String>) -> String {
    let parts = labels.iter().flat_map(|(name, value)| [name.as_bytes(), &[0xff], value.as_bytes(), &[0xff]]);
    let hash = parts.flatten().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fingerprints_are_those_of_alertmanager() {
        // Both were read from what a real Alertmanager 0.25 sent.
        let labels = BTreeMap::from([("alertname", "RetryTest".to_owned()), ("model", "x".to_owned())]);
        assert_eq!(fingerprint(&labels), "2f275d2fdeda031b");
        let labels = BTreeMap::from(
            [("alertname", "DriftHigh"), ("feature", "age"), ("model", "fraud")]
                .map(|(n, v)| (n, v.to_owned())),
        );
        assert_eq!(fingerprint(&labels), "ba6dc0507f4982f9");
    }

    #[test]
    fn a_resolved_alert_is_the_firing_one_with_an_end() {
        let start: Timestamp = "2026-11-22T18:52:20.443Z".parse().unwrap();
        let alert = Alert::new("fraud-api", Some("1.4.0"), 0.3, start, "http://127.0.0.1:1/metrics");
        let firing = serde_json::to_value(alert.firing()).unwrap();
        let mut resolved =
            serde_json::to_value(alert.resolved("2026-11-22T18:53:00Z".parse().unwrap())).unwrap();
        assert_eq!(resolved["alerts"][0]["endsAt"], "2026-11-22T18:53:00.000Z");
        resolved["alerts"][0]["endsAt"] = "0001-01-01T00:00:00Z".into();
        resolved["alerts"][0]["status"] = "firing".into();
        resolved["status"] = "firing".into();
        assert_eq!(firing, resolved);
        assert_eq!(firing["groupKey"], r#"{}/{}:{alertname="FraudFalsePositives", model="fraud"}"#);
        assert_eq!(firing["alerts"][0]["startsAt"], "2026-11-22T18:52:20.443Z");
    }
}

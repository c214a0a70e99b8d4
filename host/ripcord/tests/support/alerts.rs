//! Webhooks as Alertmanager sends them.

use serde_json::{Value, json};

/// The token with which the source `alerts` proves itself.
pub(crate) const ALERTS_TOKEN: &str = "fedcba9876543210fedcba9876543210";

/// One webhook with an alert for each of the labels; all carry the rule `ModelHarm` unless they name another.
pub(crate) fn firing(alerts: &[&[(&str, &str)]]) -> Value {
    let alert = |labels: &[(&str, &str)]| {
        let mut all: serde_json::Map<String, Value> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        all.entry("alertname").or_insert_with(|| json!("ModelHarm"));
        all.entry("severity").or_insert_with(|| json!("page"));
        json!({
            "status": "firing", "labels": all, "annotations": {},
            "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
        })
    };
    json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "ripcord",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
        "alerts": alerts.iter().map(|labels| alert(labels)).collect::<Vec<_>>(),
    })
}

//! Webhooks of other systems, told by their own keys: people who send one must not be told that it is a bad one of Alertmanager's.

use serde_json::Value;

/// A webhook of a system that this door does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// Whose webhook it is.
    pub(crate) system: &'static str,
    /// What to do.
    pub(crate) advice: &'static str,
}

const TRANSLATE: &str = "let it notify an Alertmanager whose webhook comes here, or translate it to one of version 4 (`version`, `groupKey`, and `alerts` with `status`, `labels`, `annotations`, `startsAt`, `endsAt`)";

/// Each with the keys that its webhooks have, as JSON pointers. The first that has all of them is it.
const SYSTEMS: [(&str, &[&str], &str); 19] = [
    (
        "Grafana's legacy alerting",
        &["/ruleName", "/state"],
        "move the alert to Grafana's unified alerting, whose webhook contact point is read here",
    ),
    ("Datadog", &["/alert_transition"], TRANSLATE),
    ("Datadog", &["/alertTransition"], TRANSLATE),
    ("Datadog", &["/event_type", "/org/id"], TRANSLATE),
    (
        "Amazon SNS (a subscription that wants to be confirmed)",
        &["/TopicArn", "/SubscribeURL"],
        "SNS cannot be subscribed here: let a function of yours take the alarm and send it on as a webhook of Alertmanager, version 4",
    ),
    ("Amazon SNS", &["/TopicArn", "/Message"], TRANSLATE),
    ("Amazon CloudWatch", &["/AlarmName", "/NewStateValue"], TRANSLATE),
    ("Amazon CloudWatch", &["/detail/alarmName", "/detail/state"], TRANSLATE),
    ("Opsgenie", &["/action", "/alert/alertId"], TRANSLATE),
    ("PagerDuty", &["/event/event_type", "/event/data"], TRANSLATE),
    ("PagerDuty (webhooks of version 2)", &["/messages/0/event", "/messages/0/incident"], TRANSLATE),
    ("PagerDuty (its Events API)", &["/routing_key", "/event_action"], TRANSLATE),
    ("Azure Monitor", &["/schemaId", "/data"], TRANSLATE),
    ("Google Cloud Monitoring", &["/incident/condition_name", "/incident/policy_name"], TRANSLATE),
    ("New Relic", &["/issueUrl", "/state"], TRANSLATE),
    ("Sentry", &["/installation", "/data"], TRANSLATE),
    ("Splunk", &["/search_name", "/result"], TRANSLATE),
    ("MLflow", &["/entity", "/action", "/data"], "send it to a source of `kind = \"mlflow\"`"),
    (
        "Weights & Biases",
        &["/event_type", "/artifact_collection_name"],
        "send it to a source of `kind = \"wandb\"`",
    ),
];

/// Whose webhook an object is, where that shows.
pub(crate) fn of_object(whole: &Value) -> Option<Foreign> {
    let has = |pointer: &&str| whole.pointer(pointer).is_some_and(|value| !value.is_null());
    let (system, _, advice) = SYSTEMS.iter().find(|(_, keys, _)| keys.iter().all(has))?;
    Some(Foreign { system, advice })
}

/// What a list is, where that shows: Prometheus, and Grafana's contact point *Alertmanager*, post alerts as a list.
pub(crate) fn of_list(whole: &Value) -> Option<Foreign> {
    let first = whole.as_array()?.first()?;
    first.get("labels")?;
    Some(Foreign {
        system: "what is posted to an Alertmanager, not what it sends",
        advice: "let Prometheus or Grafana post to an Alertmanager, and the Alertmanager send its webhook here; Grafana's contact point *Webhook* may come here itself",
    })
}

/// What a body is that is no JSON, where that shows.
pub(crate) fn of_bytes(body: &[u8]) -> Option<&'static str> {
    match body {
        [] => Some("it is empty"),
        [0x1f, 0x8b, ..] => Some("it is compressed (gzip): let its sender send it as it is"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("it is compressed (zstd): let its sender send it as it is"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("it is UTF-16: let its sender send UTF-8"),
        [b'<', ..] => Some("it is XML or HTML"),
        [b'p', b'a', b'y', b'l', b'o', b'a', b'd', b'=', ..] => {
            Some("it is a form with a `payload`: let its sender post the JSON itself")
        }
        _ => None,
    }
}

//! Webhook payloads of Alertmanager, version 4, as alerts.
//!
//! Payloads carry no id and are repeated: by a retry, by `continue: true`, by `repeat_interval`, and together with newer alerts of their
//! group. So each alert has a dedupe key over what identifies one change of one alert. One that was lost sight of ends, and then fires again as the
//! very same; the members of a cluster and the groups of one member may each send it, late. So it also says who sent it.
//! `README.md` beside this module says what to configure and what was tried.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ripcord_core::digest::Digest;
use ripcord_core::signal::{Label, Severity, SignalStatus};
use ripcord_core::time::UnixMillis;
use ripcord_ports::AlertSource;
use ripcord_ports::alert_source::{BadAlert, Delivery, ParsedAlert, ParsedPayload, Unreadable};
use ripcord_ports::store::Turn;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::adapter::{Adapter, NoSettings, SecretKey};
use crate::alert_foreign;
use crate::alert_kind::Sent;
use crate::alert_word::Word;
use crate::text_time;

const VERSION: &str = "4";
/// What Grafana's own webhook calls the version of nearly the same payload; its other keys tell it from Alertmanager's of long ago.
const GRAFANA_VERSION: &str = "1";
/// Those after them are counted.
const ALERTS_MAX: usize = 10_000;

/// Its own configuration, where that lies beside ours.
pub const USUAL_FILES: [&str; 2] = ["alertmanager.yml", "alertmanager.yaml"];

/// For the catalogue.
pub const ADAPTER: Adapter<NoSettings, dyn AlertSource> = Adapter {
    kind: "alertmanager",
    system: "Alertmanager",
    summary: "webhooks of Prometheus' Alertmanager, payload version 4, and of Grafana where they are the same",
    page: "alerts_alertmanager/README.md",
    secret: SecretKey::None,
    example: "auth = { bearer-file = \"secrets/alertmanager.token\" }",
    start: |_, _| {},
    says: |_| (),
    make: |_, _| Ok(Arc::new(Alertmanager)),
};

/// Reads the webhooks of Alertmanagers.
#[derive(Debug, Clone, Copy)]
pub struct Alertmanager;

impl AlertSource for Alertmanager {
    fn name(&self) -> &str {
        "alerts_alertmanager"
    }

    fn read(&self, delivery: &Delivery<'_>) -> Result<ParsedPayload, Unreadable> {
        parse(delivery.body).map_err(|error| Unreadable(error.to_string()))
    }
}

/// A payload that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// It is not such JSON.
    #[error("the payload is not the JSON that Alertmanager sends: {0}")]
    Json(String),
    /// It is a list, a text or a number.
    #[error(
        "the body is JSON, but no object: send what Alertmanager sends, an object with `version` and `alerts`; `ripcord check --alert FILE` tries one"
    )]
    NoObject,
    /// It is of another version.
    #[error(
        "the payload is of version `{0}`: known are version 4, of Alertmanager 0.15 and later, and version 1 of Grafana's own webhook"
    )]
    Version(String),
    /// It is Grafana's, of another version.
    #[error(
        "the payload is Grafana's own webhook of version `{0}`, of which version 1 is known: use its default payload, or send through an Alertmanager"
    )]
    GrafanaVersion(String),
    /// It is another system's.
    #[error("the payload is not Alertmanager's but {system}'s own, which is not read here: {advice}")]
    Foreign {
        /// Whose it is.
        system: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// It is a list of alerts.
    #[error("the body is {what}: {advice}")]
    List {
        /// What it is.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
}

impl From<alert_foreign::Foreign> for PayloadError {
    fn from(foreign: alert_foreign::Foreign) -> Self {
        Self::Foreign { system: foreign.system, advice: foreign.advice }
    }
}

/// Reads what many senders write for what is not there: `null` is as good as left out.
fn left_out<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What is read of a payload; `A` is an alert.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<A> {
    #[serde(default, deserialize_with = "left_out")]
    version: String,
    org_id: Option<IgnoredAny>,
    title: Option<IgnoredAny>,
    message: Option<IgnoredAny>,
    state: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "left_out")]
    group_key: String,
    /// Of the Alertmanager: each member of a cluster has its own.
    #[serde(default, deserialize_with = "left_out", rename = "externalURL")]
    external_url: String,
    #[serde(default, deserialize_with = "left_out")]
    truncated_alerts: u64,
    alerts: Vec<A>,
}

impl<A> Payload<A> {
    fn form(&self) -> Form {
        let described = self.title.is_some() && self.message.is_some() && self.state.is_some();
        Form::of(&self.version, self.org_id.is_some() || described)
    }

    fn sender(&self) -> Digest {
        Digest::tagged("ripcord alert sender 1", &[self.external_url.as_bytes(), self.group_key.as_bytes()])
    }
}

/// What a payload is, by its version and whether it has the keys that only Grafana writes.
#[derive(PartialEq, Eq)]
enum Form {
    Known,
    OtherOfGrafana,
    Other,
}

impl Form {
    fn of(version: &str, is_grafana: bool) -> Self {
        match (version, is_grafana) {
            (VERSION, _) | (GRAFANA_VERSION, true) => Self::Known,
            (_, true) => Self::OtherOfGrafana,
            (_, false) => Self::Other,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    #[serde(default, deserialize_with = "left_out")]
    status: String,
    #[serde(default, deserialize_with = "texts")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "texts")]
    annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "left_out")]
    starts_at: String,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default, deserialize_with = "left_out")]
    fingerprint: String,
    #[serde(default, deserialize_with = "left_out", rename = "generatorURL")]
    generator_url: String,
}

/// Labels or annotations; one that is `null` is left out.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let given: BTreeMap<String, Option<String>> = left_out(deserializer)?;
    Ok(given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

/// Reads a payload.
pub fn parse(body: &[u8]) -> Result<ParsedPayload, PayloadError> {
    // Some senders begin with a byte order mark.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // Nearly all are well. What is wrong with one that is not is looked for only then.
    match serde_json::from_slice::<Payload<Alert>>(body) {
        Ok(payload) if payload.form() == Form::Known => match read_all(payload) {
            Some(parsed) => Ok(parsed),
            None => parse_with_care(body),
        },
        _ => parse_with_care(body),
    }
}

/// All alerts of a payload of which each is well.
fn read_all(payload: Payload<Alert>) -> Option<ParsedPayload> {
    let sender = payload.sender();
    let Payload { group_key, truncated_alerts, alerts: given, .. } = payload;
    let unread = given.len().saturating_sub(ALERTS_MAX) as u64;
    let (mut seen, mut alerts) = (HashSet::new(), Vec::with_capacity(given.len().min(ALERTS_MAX)));
    for alert in given.into_iter().take(ALERTS_MAX) {
        let alert = read(alert, &group_key, sender).ok()?;
        if seen.insert(alert.dedupe_key) {
            alerts.push(alert);
        }
    }
    Some(ParsedPayload { alerts, bad: Vec::new(), group_key, truncated: truncated_alerts, unread })
}

/// The same, alert by alert, so that a bad one takes no good one with it.
fn parse_with_care(body: &[u8]) -> Result<ParsedPayload, PayloadError> {
    // The version first: the payload of another one may look different in every other way.
    let whole: Value = serde_json::from_slice(body).map_err(|error| {
        PayloadError::Json(alert_foreign::of_bytes(body).map_or_else(|| error.to_string(), str::to_owned))
    })?;
    if !whole.is_object() {
        return Err(alert_foreign::of_list(&whole).map_or(PayloadError::NoObject, |list| {
            PayloadError::List { what: list.system, advice: list.advice }
        }));
    }
    let there = |key: &str| whole.get(key).is_some_and(|value| !value.is_null());
    let is_grafana = there("orgId") || ["title", "message", "state"].into_iter().all(there);
    let is_known = match whole.get("version") {
        None | Some(Value::Null) => Err(PayloadError::Json("it has no `version`".to_owned())),
        Some(Value::String(version)) => {
            let shown = || version.chars().take(40).collect();
            match Form::of(version, is_grafana) {
                Form::Known => Ok(()),
                Form::OtherOfGrafana => Err(PayloadError::GrafanaVersion(shown())),
                Form::Other => Err(PayloadError::Version(shown())),
            }
        }
        Some(_) => Err(PayloadError::Json("its `version` is no text".to_owned())),
    };
    if let Err(error) = is_known {
        return Err(alert_foreign::of_object(&whole).map_or(error, PayloadError::from));
    }
    if !there("alerts") {
        return Err(PayloadError::Json("it has no `alerts`".to_owned()));
    }
    let payload =
        Payload::<Value>::deserialize(whole).map_err(|error| PayloadError::Json(error.to_string()))?;
    let sender = payload.sender();
    let unread = payload.alerts.len().saturating_sub(ALERTS_MAX) as u64;
    let mut seen = HashSet::new();
    let (mut alerts, mut bad) = (Vec::new(), Vec::new());
    for (index, value) in payload.alerts.into_iter().take(ALERTS_MAX).enumerate() {
        match read_value(&value, &payload.group_key, sender) {
            Ok(alert) if seen.insert(alert.dedupe_key) => alerts.push(alert),
            Ok(_) => {}
            Err(why) => {
                let bad_alert = bad_alert(index + 1, why, &value);
                if seen.insert(bad_alert.dedupe_key) {
                    bad.push(bad_alert);
                }
            }
        }
    }
    Ok(ParsedPayload {
        alerts,
        bad,
        group_key: payload.group_key,
        truncated: payload.truncated_alerts,
        unread,
    })
}

fn read_value(value: &Value, group_key: &str, sender: Digest) -> Result<ParsedAlert, String> {
    let alert = Alert::deserialize(value).map_err(|error| format!("is not of the known form: {error}"))?;
    read(alert, group_key, sender)
}

fn bad_alert(number: usize, why: String, value: &Value) -> BadAlert {
    let labels = value.get("labels").and_then(Value::as_object).into_iter().flatten();
    let labels: BTreeMap<String, String> =
        labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    let dedupe_key = Digest::tagged("ripcord bad alert 1", &[value.to_string().as_bytes()]);
    BadAlert { number, why, labels: sorted(labels), dedupe_key }
}

fn read(alert: Alert, group_key: &str, sender: Digest) -> Result<ParsedAlert, String> {
    let rule = alert.labels.get("alertname").filter(|name| !name.is_empty());
    let rule = rule.ok_or("has no label `alertname`")?.clone();
    let status = match alert.status.as_str() {
        "firing" => SignalStatus::Firing,
        "resolved" => SignalStatus::Resolved,
        "" => return Err("has no `status`".to_owned()),
        other => return Err(format!("has the status `{other}`, which is neither `firing` nor `resolved`")),
    };
    if alert.starts_at.is_empty() {
        return Err("has no `startsAt`".to_owned());
    }
    let started_at =
        text_time::parse(&alert.starts_at).map_err(|why| format!("has a bad `startsAt`: {why}"))?;
    let ended_at = match (status, alert.ends_at.as_deref()) {
        // While an alert holds, its end is the year 1, or the instant at which it will count as over.
        (SignalStatus::Firing, _) | (_, None) => None,
        (SignalStatus::Resolved, Some(text)) if text.starts_with("0001-01-01T") => None,
        (SignalStatus::Resolved, Some(text)) => {
            Some(text_time::parse(text).map_err(|why| format!("has a bad `endsAt`: {why}"))?)
        }
    };
    let labels = sorted(alert.labels);
    let annotations = sorted(alert.annotations);
    let severity = labels
        .iter()
        .find(|label| label.name == "severity")
        .map_or(Severity::Warning, |label| Severity::from(label.value.as_str()));
    let sent = Sent {
        rule: &rule,
        status,
        labels: &labels,
        annotations: &annotations,
        generator_url: &alert.generator_url,
    };
    let kind = sent.kind();
    let word = Word::of(status, kind);
    let key = |word| dedupe_key(&labels, started_at, word);
    Ok(ParsedAlert {
        dedupe_key: key(word),
        turn: Some(Turn { other_keys: word.others().map(key), sender }),
        rule,
        status,
        kind,
        severity,
        annotations,
        labels,
        started_at,
        ended_at,
        fingerprint: alert.fingerprint,
        group_key: group_key.to_owned(),
    })
}

fn sorted(labels: BTreeMap<String, String>) -> Vec<Label> {
    labels.into_iter().map(|(name, value)| Label { name, value }).collect()
}

/// Over all labels rather than the fingerprint, which is 64 bits and no secret to whoever sets labels; and not over the group, since one alert
/// reaches us through every group that a route with `continue: true` puts it in.
fn dedupe_key(labels: &[Label], started_at: UnixMillis, word: Word) -> Digest {
    let started_at = started_at.0.to_be_bytes();
    let word = word.as_str().as_bytes();
    let names = labels.iter().flat_map(|label| [label.name.as_bytes(), label.value.as_bytes()]);
    let parts: Vec<&[u8]> = [started_at.as_slice(), word].into_iter().chain(names).collect();
    Digest::tagged("ripcord alert 1", &parts)
}

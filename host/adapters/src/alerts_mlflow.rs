//! Webhooks of the model registry of MLflow 3 as alerts: a version was created, an alias or a tag was set.
//!
//! A delivery has an id, which its retries keep, a time, and a code over both and the body. It says what was done, not by whom: what
//! Ripcord itself did comes back, so its own tags are left out, and a moved alias has to be compared with what Ripcord knows.
//! `README.md` beside this module says what to configure and what was tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ripcord_core::digest::Digest;
use ripcord_core::signal::{Label, Severity, SignalKind, SignalStatus};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::AlertSource;
use ripcord_ports::alert_source::{Delivery, ParsedAlert, ParsedPayload, Unreadable};
use serde::Deserialize;
use sha2::Sha256;

use crate::adapter::{Adapter, NoSettings, SecretKey, Signature};
use crate::secret::Secret;
use crate::text_time;

/// Holds the id of the delivery.
pub const ID_HEADER: &str = "x-mlflow-delivery-id";
/// Holds Unix seconds.
pub const TIMESTAMP_HEADER: &str = "x-mlflow-timestamp";
/// Holds `v1,` and the code in base 64; several are parted by spaces.
pub const SIGNATURE_HEADER: &str = "x-mlflow-signature";

/// For the catalogue.
pub const ADAPTER: Adapter<NoSettings, dyn AlertSource> = Adapter {
    kind: "mlflow",
    system: "MLflow 3",
    summary: "webhooks of MLflow's model registry: a version was created, an alias or a tag was set",
    page: "alerts_mlflow/README.md",
    secret: SecretKey::None,
    example: "auth = { mlflow = { secret-file = \"secrets/mlflow-webhook\" } }",
    start: |_, _| {},
    says: |_| (),
    make: |_, _| Ok(Arc::new(Mlflow)),
};

/// For the catalogue: `v1` over delivery id, timestamp and body.
pub static SIGNATURE: Signature = Signature {
    kind: "mlflow",
    has_time: true,
    may_have_token: false,
    check_headers: |delivery, now, window| {
        Headers::of(delivery).check(now, window).map_err(|error| error.to_string())
    },
    authenticate: |delivery, secret| {
        Headers::of(delivery).authenticate(secret, delivery.body).map_err(|error| error.to_string())
    },
};

/// Reads the webhooks of MLflow's registry.
#[derive(Debug, Clone, Copy)]
pub struct Mlflow;

impl AlertSource for Mlflow {
    fn name(&self) -> &str {
        "alerts_mlflow"
    }

    fn read(&self, delivery: &Delivery<'_>) -> Result<ParsedPayload, Unreadable> {
        parse(&Headers::of(delivery), delivery.body).map_err(|error| Unreadable(error.to_string()))
    }
}

const ID_BYTES_MAX: usize = 200;
const SIGNATURES_MAX: usize = 10;
/// Tags that Ripcord sets itself.
const OWN_TAGS: &str = "ripcord.";

/// The headers of a delivery, as they came.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// Of [`ID_HEADER`].
    pub id: &'a str,
    /// Of [`TIMESTAMP_HEADER`].
    pub timestamp: &'a str,
    /// Of [`SIGNATURE_HEADER`].
    pub signature: &'a str,
}

/// A delivery that does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Its id cannot be one.
    #[error("the delivery id is empty or longer than {ID_BYTES_MAX} bytes")]
    Id,
    /// Its time does not read.
    #[error("the timestamp is not a number of Unix seconds")]
    Timestamp,
    /// It is too old, or of the future.
    #[error("the timestamp is outside the time window: a replay, or a clock that is wrong")]
    OutsideWindow,
    /// No code of it is right.
    #[error("no `v1` signature matches id, timestamp and body: compare the secrets of both sides")]
    Signature,
    /// It is not such JSON.
    #[error("the payload is not the JSON that mlflow sends: {0}")]
    Json(String),
    /// It is a list, a text or a number.
    #[error(
        "the body is JSON, but no object: send what mlflow sends, an object with `entity`, `action`, `timestamp` and `data`"
    )]
    NoObject,
    /// Something in it is missing or wrong.
    #[error("the event `{event}` {why}")]
    Event {
        /// Such as `model_version_alias.created`.
        event: String,
        /// The rest of the sentence.
        why: String,
    },
}

#[derive(Deserialize)]
struct Payload {
    entity: String,
    action: String,
    timestamp: String,
    data: BTreeMap<String, serde_json::Value>,
}

impl<'a> Headers<'a> {
    /// Of a delivery; one that is missing is empty, and so never right.
    pub fn of(delivery: &Delivery<'a>) -> Self {
        let text = |name: &str| delivery.header(name).unwrap_or_default();
        Self { id: text(ID_HEADER), timestamp: text(TIMESTAMP_HEADER), signature: text(SIGNATURE_HEADER) }
    }
}

impl Headers<'_> {
    /// What can be judged before the body is read.
    pub fn check(&self, now: UnixMillis, window: Millis) -> Result<(), DeliveryError> {
        if self.id.is_empty() || self.id.len() > ID_BYTES_MAX {
            return Err(DeliveryError::Id);
        }
        let seconds: u64 = self.timestamp.parse().map_err(|_| DeliveryError::Timestamp)?;
        let at = UnixMillis(seconds.saturating_mul(1_000));
        if now.since(at).max(at.since(now)) > window {
            return Err(DeliveryError::OutsideWindow);
        }
        Ok(())
    }

    /// Whether who sent this knows the secret: HMAC-SHA256 over id, timestamp and body, parted by full stops.
    pub fn authenticate(&self, secret: &Secret, body: &[u8]) -> Result<(), DeliveryError> {
        let wrong = DeliveryError::Signature;
        let mut mac =
            Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).map_err(|_| wrong.clone())?;
        mac.update(self.id.as_bytes());
        mac.update(b".");
        mac.update(self.timestamp.as_bytes());
        mac.update(b".");
        mac.update(body);
        let codes = self.signature.split(' ').take(SIGNATURES_MAX).filter_map(|one| one.strip_prefix("v1,"));
        let mut codes = codes.filter_map(|code| STANDARD.decode(code).ok());
        // The comparison takes the same time wherever the codes differ.
        codes.any(|code| mac.clone().verify_slice(&code).is_ok()).then_some(()).ok_or(wrong)
    }
}

/// Reads an authenticated delivery: one alert, or none for an event that says nothing of versions in production.
pub fn parse(headers: &Headers<'_>, body: &[u8]) -> Result<ParsedPayload, DeliveryError> {
    let json = |error: serde_json::Error| DeliveryError::Json(error.to_string());
    let whole: serde_json::Value = serde_json::from_slice(body).map_err(json)?;
    if !whole.is_object() {
        return Err(DeliveryError::NoObject);
    }
    let payload = Payload::deserialize(whole).map_err(json)?;
    let event: String = format!("{}.{}", payload.entity, payload.action).chars().take(100).collect();
    let wanted: &[&str] = match event.as_str() {
        "model_version.created" => &["version"],
        "model_version_alias.created" => &["alias", "version"],
        "model_version_alias.deleted" => &["alias"],
        "model_version_tag.set" | "model_version_tag.deleted" => &["version", "key"],
        _ => return Ok(ParsedPayload::default()),
    };
    let wrong = |why: String| DeliveryError::Event { event: event.clone(), why };
    let text = |key: &str| match payload.data.get(key) {
        Some(serde_json::Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(serde_json::Value::Number(number)) => Ok(number.to_string()),
        _ => Err(wrong(format!("has no text `{key}` in its `data`"))),
    };
    let mut labels = vec![Label::new("event", event.as_str()), Label::new("model", text("name")?)];
    for key in wanted {
        let name = if *key == "key" { "tag" } else { key };
        labels.push(Label::new(name, text(key)?));
    }
    if labels.iter().any(|label| label.name == "tag" && label.value.starts_with(OWN_TAGS)) {
        return Ok(ParsedPayload::default());
    }
    labels.sort();
    let mut annotations: Vec<Label> = ["description", "run_id", "source", "value"]
        .iter()
        .filter_map(|key| Some(Label::new(*key, text(key).ok()?)))
        .collect();
    annotations.sort();
    let started_at =
        text_time::parse(&payload.timestamp).map_err(|why| wrong(format!("has a bad `timestamp`: {why}")))?;
    let key = dedupe_key(headers, body);
    let alert = ParsedAlert {
        rule: event.clone(),
        status: SignalStatus::Firing,
        kind: SignalKind::Condition,
        severity: Severity::Info,
        labels,
        annotations,
        started_at,
        ended_at: None,
        fingerprint: if headers.id.is_empty() { key.to_string() } else { headers.id.to_owned() },
        group_key: String::new(),
        dedupe_key: key,
        turn: None,
    };
    Ok(ParsedPayload { alerts: vec![alert], ..ParsedPayload::default() })
}

/// A delivery keeps its id when it is sent again. One without an id, which another proof than MLflow's own lets through, is known by its words.
fn dedupe_key(headers: &Headers<'_>, body: &[u8]) -> Digest {
    if headers.id.is_empty() {
        Digest::tagged("ripcord mlflow delivery without an id 1", &[body])
    } else {
        Digest::tagged("ripcord mlflow delivery 1", &[headers.id.as_bytes()])
    }
}

//! Webhooks of automations in Weights & Biases as alerts: a version was made or linked, an alias or a tag was added.
//!
//! Whoever sets an automation up writes its payload, with variables that W&B fills in; the page beside this module has the one that is read here. W&B sends
//! no id and no time: an event began when it came, and is known by its words. It says what was done and by whom, also where that was Ripcord: its own tags are
//! left out, and a moved alias has to be compared with what Ripcord knows.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ripcord_core::digest::Digest;
use ripcord_core::signal::{Label, Severity, SignalKind, SignalStatus};
use ripcord_core::time::UnixMillis;
use ripcord_ports::alert_source::{Delivery, ParsedAlert, ParsedPayload, Unreadable};
use ripcord_ports::{AlertSource, Clock};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::adapter::{Adapter, NoSettings, SecretKey, Signature};
use crate::secret::Secret;

/// Holds the code over the body.
pub const SIGNATURE_HEADER: &str = "x-wandb-signature";

/// For the catalogue.
pub const ADAPTER: Adapter<NoSettings, dyn AlertSource> = Adapter {
    kind: "wandb",
    system: "Weights & Biases",
    summary: "webhooks of automations in Weights & Biases: a version was made or linked, an alias or a tag was added",
    page: "alerts_wandb/README.md",
    secret: SecretKey::None,
    example: "auth = { wandb = { secret-file = \"secrets/wandb-webhook\" } }",
    start: |_, _| {},
    says: |_| (),
    make: |_, with| Ok(Arc::new(Wandb::new(with.shared.clock.clone()))),
};

/// For the catalogue: a code over the body.
pub static SIGNATURE: Signature = Signature {
    kind: "wandb",
    has_time: false,
    may_have_token: true,
    check_headers: |delivery, _, _| match delivery.header(SIGNATURE_HEADER) {
        Some(_) => Ok(()),
        None => Err("the header `X-Wandb-Signature` is missing: give the webhook a secret in W&B".to_owned()),
    },
    authenticate: |delivery, secret| {
        let signature = delivery.header(SIGNATURE_HEADER).unwrap_or_default();
        authenticate(signature, secret, delivery.body).map_err(|error| error.to_string())
    },
};

/// Reads the webhooks of W&B's automations.
pub struct Wandb {
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Wandb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wandb").finish_non_exhaustive()
    }
}

impl Wandb {
    /// With the clock that says when an event came.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

impl AlertSource for Wandb {
    fn name(&self) -> &str {
        "alerts_wandb"
    }

    fn read(&self, delivery: &Delivery<'_>) -> Result<ParsedPayload, Unreadable> {
        parse(delivery.body, self.clock.now()).map_err(|error| Unreadable(error.to_string()))
    }
}

/// Tags that Ripcord sets itself.
const OWN_TAGS: &str = "ripcord-";
const EVENT_CHARS_MAX: usize = 100;
/// Where payloads for GitHub's `repository_dispatch` have the rest.
const NESTED: &str = "client_payload";
/// What the payload calls it, and the label.
const LABELS: [(&str, &str); 5] = [
    ("entity_name", "entity"),
    ("project_name", "project"),
    ("artifact_collection_name", "collection"),
    ("alias", "alias"),
    ("tag", "tag"),
];
const ANNOTATIONS: [(&str, &str); 3] = [
    ("event_author", "author"),
    ("artifact_version", "artifact"),
    ("artifact_version_string", "artifact-version"),
];

/// A delivery that does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// It has no code, or a wrong one.
    #[error(
        "the header `X-Wandb-Signature` is missing or does not match the body: give the webhook in W&B the secret that `auth.wandb` of this source names"
    )]
    Signature,
    /// It is not such JSON.
    #[error("the payload is not JSON: {0}; take the payload of an automation from this adapter's page")]
    Json(String),
    /// It is a list, a text or a number.
    #[error("the body is JSON, but no object: take the payload of an automation from this adapter's page")]
    NoObject,
    /// Something in it is missing or wrong.
    #[error("`{key}` of the payload {why}")]
    Field {
        /// Such as `event_type`.
        key: &'static str,
        /// The rest of the sentence.
        why: String,
    },
}

/// Whether who sent this knows the secret: HMAC-SHA256 over the body. W&B's page writes the code in base 64, others have seen it in hexadecimal: either will do.
///
/// # Errors
/// [`DeliveryError::Signature`] where neither is right.
pub fn authenticate(signature: &str, secret: &Secret, body: &[u8]) -> Result<(), DeliveryError> {
    let wrong = DeliveryError::Signature;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).map_err(|_| wrong.clone())?;
    mac.update(body);
    let text = signature.trim();
    let text = text.strip_prefix("sha256=").unwrap_or(text);
    let code = hexadecimal(text).or_else(|| STANDARD.decode(text).ok()).ok_or(wrong.clone())?;
    // The comparison takes the same time wherever the codes differ.
    mac.verify_slice(&code).map_err(|_| wrong)
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    Some(digits.chunks(2).map(|pair| (pair[0] << 4) | pair[1]).collect())
}

/// Reads an authenticated delivery that came at `now`: one alert, or none for what Ripcord did itself.
pub fn parse(body: &[u8], now: UnixMillis) -> Result<ParsedPayload, DeliveryError> {
    let whole: Value =
        serde_json::from_slice(body).map_err(|error| DeliveryError::Json(error.to_string()))?;
    let Value::Object(outer) = whole else { return Err(DeliveryError::NoObject) };
    let inner = outer.get(NESTED).and_then(Value::as_object).unwrap_or(&outer);
    let event = text(inner, "event_type")?.or(text(&outer, "event_type")?);
    let event = event.ok_or_else(|| field("event_type", "is missing"))?;
    if event.chars().count() > EVENT_CHARS_MAX {
        return Err(field("event_type", "is too long to be one"));
    }
    let mut labels = vec![Label::new("event", event.as_str())];
    for (key, name) in LABELS {
        labels.extend(text(inner, key)?.map(|value| Label::new(name, value)));
    }
    let mut annotations = Vec::new();
    for (key, name) in ANNOTATIONS {
        annotations.extend(text(inner, key)?.map(|value| Label::new(name, value)));
    }
    let has = |labels: &[Label], name: &str| labels.iter().any(|label| label.name == name);
    for (key, name) in [("entity_name", "entity"), ("project_name", "project")] {
        if !has(&labels, name) {
            return Err(field(key, "is missing: whose event it is stays open"));
        }
    }
    if event.contains("ARTIFACT") && !has(&labels, "collection") {
        return Err(field("artifact_collection_name", "is missing: which model it is about stays open"));
    }
    if labels.iter().any(|label| label.name == "tag" && label.value.starts_with(OWN_TAGS)) {
        return Ok(ParsedPayload::default());
    }
    // Such as `acme/fraud/fraud-model:v3`. An alias may stand in the place of the version.
    let version = annotations.iter().find(|label| label.name == "artifact-version");
    let version = version.and_then(|label| label.value.rsplit_once(':')).map(|(_, version)| version);
    labels
        .extend(version.filter(|version| !version.is_empty()).map(|version| Label::new("version", version)));
    labels.sort();
    annotations.sort();
    let words = labels.iter().chain(&annotations);
    let words: Vec<&[u8]> = words.flat_map(|label| [label.name.as_bytes(), label.value.as_bytes()]).collect();
    let key = Digest::tagged("ripcord wandb event 1", &words);
    let alert = ParsedAlert {
        rule: event,
        status: SignalStatus::Firing,
        kind: SignalKind::Condition,
        severity: Severity::Info,
        labels,
        annotations,
        started_at: now,
        ended_at: None,
        fingerprint: key.to_string(),
        group_key: String::new(),
        dedupe_key: key,
        turn: None,
    };
    Ok(ParsedPayload { alerts: vec![alert], ..ParsedPayload::default() })
}

fn field(key: &'static str, why: &str) -> DeliveryError {
    DeliveryError::Field {
        key,
        why: format!("{why}; take the payload of an automation from this adapter's page"),
    }
}

/// A field of the payload. What W&B has no value for is empty, and a variable that it does not know stays as it was written.
fn text(from: &Map<String, Value>, key: &'static str) -> Result<Option<String>, DeliveryError> {
    match from.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text.starts_with("${") => {
            let shown: String = text.chars().take(100).collect();
            Err(field(key, &format!("is still `{}`: W&B knows no such variable", shown.escape_debug())))
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(field(key, "is no text")),
    }
}

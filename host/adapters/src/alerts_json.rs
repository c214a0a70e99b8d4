//! Webhooks of any system that sends JSON, as alerts: the configuration says where in the body each thing stands.
//!
//! A place is a JSON pointer (`/event/data/id`), `body:` and a pointer where alerts stand in a list and something of all of them beside it, or `header:` and a
//! name. What stands at no place is no label; what an alert cannot do without and lacks makes it one that cannot be judged, which people are shown.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ripcord_core::digest::Digest;
use ripcord_core::signal::{Label, Severity, SignalKind, SignalStatus};
use ripcord_core::time::UnixMillis;
use ripcord_ports::alert_source::{BadAlert, Delivery, ParsedAlert, ParsedPayload, Unreadable};
use ripcord_ports::store::Turn;
use ripcord_ports::{AlertSource, Clock, PortError};
use serde::Deserialize;
use serde_json::Value;

use crate::adapter::{Adapter, SecretKey};
use crate::alert_word::Word;
use crate::restoring::wrong;
use crate::text_time;

/// Those after them are counted.
const ALERTS_MAX: usize = 10_000;
/// Labels and annotations of one alert that the configuration may name.
const LABELS_MAX: usize = 64;
/// Bytes of one text that is read.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes of all texts that are read of one payload: what stands beside a list is read again for each of its alerts.
const READ_BYTES_MAX: usize = 32 << 20;
/// Headers that let their sender in.
const SECRET_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
/// A number below it is seconds, one from it on milliseconds: the year 5138, or 1973.
const MILLISECONDS_FROM: u64 = 100_000_000_000;
/// One from it on is microseconds or nanoseconds, which are not read.
const MICROSECONDS_FROM: u64 = MILLISECONDS_FROM * 1_000;
/// Of a value that is shown in an error.
const SHOWN_CHARS: usize = 100;

/// Where in a webhook things stand.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JsonAlertsConfig {
    /// The list of alerts, as a JSON pointer; the body is one alert if not given.
    #[serde(default)]
    pub alerts: Option<String>,
    /// What raised it.
    pub rule: String,
    /// What identifies the alert: the same while it holds, and at its end. Rule and labels if not given.
    #[serde(default)]
    pub id: Option<String>,
    /// Whether it holds or has ended; every alert holds if not given.
    #[serde(default)]
    pub status: Option<String>,
    /// Words of the status that say that it holds.
    #[serde(default)]
    pub firing: Vec<String>,
    /// Words that say that it has ended.
    #[serde(default)]
    pub resolved: Vec<String>,
    /// Words that say that its data are missing: it rings, and not for harm.
    #[serde(default)]
    pub no_data: Vec<String>,
    /// Words of what is no news, such as that somebody has read it: passed over.
    #[serde(default)]
    pub ignored: Vec<String>,
    /// How bad it is; a warning if not given.
    #[serde(default)]
    pub severity: Option<String>,
    /// When it began: RFC 3339, or Unix seconds or milliseconds. When it came, if not given.
    #[serde(default)]
    pub started_at: Option<String>,
    /// When it ended, the same way.
    #[serde(default)]
    pub ended_at: Option<String>,
    /// Labels to route by, by name.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// For people, by name.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// For the catalogue.
pub const ADAPTER: Adapter<JsonAlertsConfig, dyn AlertSource> = Adapter {
    kind: "json",
    system: "any sender of JSON: CloudEvents, Datadog, Evidently, PagerDuty",
    summary: "webhooks of any system that sends JSON; the configuration says what stands where",
    page: "alerts_json/README.md",
    secret: SecretKey::None,
    example: "rule = \"/title\"",
    start: |_, _| {},
    says: |_| (),
    make: |config, with| Ok(Arc::new(JsonAlerts::new(config, with.shared.clock.clone())?)),
};

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Alert(String),
    Body(String),
    Header(String),
}

impl Place {
    fn read(key: &str, text: &str) -> Result<Self, PortError> {
        let pointer = |text: &str| text.is_empty() || text.starts_with('/');
        if let Some(name) = text.strip_prefix("header:") {
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            let name = name.to_ascii_lowercase();
            if SECRET_HEADERS.contains(&name.as_str()) {
                return Err(wrong(format!("`{key}` names a header that holds a secret: name another")));
            }
            if !name.is_empty() && name.chars().all(good) {
                return Ok(Self::Header(name));
            }
        } else if let Some(rest) = text.strip_prefix("body:") {
            if pointer(rest) {
                return Ok(Self::Body(rest.to_owned()));
            }
        } else if !text.is_empty() && pointer(text) {
            return Ok(Self::Alert(text.to_owned()));
        }
        Err(wrong(format!(
            "`{key} = \"{}\"` is no place: write a JSON pointer such as `/event/title`, `body:/source`, or `header:x-name`",
            shown(text)
        )))
    }

    fn optional(key: &str, text: Option<&String>) -> Result<Option<Self>, PortError> {
        text.map(|text| Self::read(key, text)).transpose()
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Alert(pointer) => write!(f, "`{pointer}`"),
            Self::Body(pointer) => write!(f, "`body:{pointer}`"),
            Self::Header(name) => write!(f, "the header `{name}`"),
        }
    }
}

/// What a word of the status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Firing,
    NoData,
    Resolved,
    Nothing,
}

#[derive(Debug)]
struct StatusPlace {
    place: Place,
    words: Vec<(String, Means)>,
}

/// Reads webhooks as it is told.
pub struct JsonAlerts {
    clock: Arc<dyn Clock>,
    alerts: Option<String>,
    rule: Place,
    id: Option<Place>,
    status: Option<StatusPlace>,
    severity: Option<Place>,
    started_at: Option<Place>,
    ended_at: Option<Place>,
    labels: Vec<(String, Place)>,
    annotations: Vec<(String, Place)>,
}

impl std::fmt::Debug for JsonAlerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonAlerts").field("rule", &self.rule).finish_non_exhaustive()
    }
}

impl JsonAlerts {
    /// Checks the places. `clock` says when an event came.
    ///
    /// # Errors
    /// A place that is none, or words of a status without its place. The text says what to write.
    pub fn new(config: JsonAlertsConfig, clock: Arc<dyn Clock>) -> Result<Self, PortError> {
        let alerts = match config.alerts {
            Some(pointer) if pointer.starts_with('/') => Some(pointer),
            Some(other) => {
                return Err(wrong(format!(
                    "`alerts = \"{}\"` is no JSON pointer to a list: write one such as `/alerts`, or leave it out where the body is one alert",
                    shown(&other)
                )));
            }
            None => None,
        };
        let status = Self::status(
            config.status.as_deref(),
            [
                (config.firing, Means::Firing),
                (config.no_data, Means::NoData),
                (config.resolved, Means::Resolved),
                (config.ignored, Means::Nothing),
            ],
        )?;
        let named = |what: &str, places: &BTreeMap<String, String>| {
            if places.len() > LABELS_MAX {
                return Err(wrong(format!(
                    "`{what}` names more than {LABELS_MAX}: keep those that somebody reads"
                )));
            }
            let read = |(name, text): (&String, &String)| {
                Ok((name.clone(), Place::read(&format!("{what}.{name}"), text)?))
            };
            places.iter().map(read).collect::<Result<Vec<_>, PortError>>()
        };
        Ok(Self {
            clock,
            alerts,
            rule: Place::read("rule", &config.rule)?,
            id: Place::optional("id", config.id.as_ref())?,
            status,
            severity: Place::optional("severity", config.severity.as_ref())?,
            started_at: Place::optional("started-at", config.started_at.as_ref())?,
            ended_at: Place::optional("ended-at", config.ended_at.as_ref())?,
            labels: named("labels", &config.labels)?,
            annotations: named("annotations", &config.annotations)?,
        })
    }

    fn status(
        place: Option<&str>,
        means: [(Vec<String>, Means); 4],
    ) -> Result<Option<StatusPlace>, PortError> {
        let words: Vec<_> = means
            .into_iter()
            .flat_map(|(words, means)| words.into_iter().map(move |word| (word, means)))
            .collect();
        let Some(place) = place else {
            return if words.is_empty() {
                Ok(None)
            } else {
                Err(wrong(
                    "`firing`, `resolved`, `no-data` and `ignored` are words of a status: write where it stands, as in `status = \"/status\"`",
                ))
            };
        };
        let mut known = HashSet::new();
        if let Some((word, _)) = words.iter().find(|(word, _)| !known.insert(word.to_lowercase())) {
            return Err(wrong(format!(
                "the word `{}` of the status has two meanings: keep one",
                shown(word)
            )));
        }
        if !words.iter().any(|(_, means)| *means == Means::Firing) {
            return Err(wrong(
                "with a `status`, `firing` lists the words that say that an alert holds, as in `firing = [\"triggered\"]`",
            ));
        }
        Ok(Some(StatusPlace { place: Place::read("status", place)?, words }))
    }

    fn parse(&self, delivery: &Delivery<'_>) -> Result<ParsedPayload, Unreadable> {
        let body = delivery.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(delivery.body);
        let whole: Value = serde_json::from_slice(body)
            .map_err(|error| Unreadable(format!("the body is not JSON: {error}")))?;
        let one = [&whole];
        let (given, listed): (Vec<&Value>, bool) = match &self.alerts {
            None if whole.is_object() => (one.to_vec(), false),
            None => {
                return Err(Unreadable(
                    "the body is JSON, but no object: where it holds a list of alerts, `alerts` of this source says where".to_owned(),
                ));
            }
            Some(pointer) => match whole.pointer(pointer) {
                Some(Value::Array(alerts)) => (alerts.iter().collect(), true),
                Some(_) => {
                    return Err(Unreadable(format!(
                        "`{pointer}` is no list: `alerts` of this source says where the list of alerts stands"
                    )));
                }
                None => {
                    return Err(Unreadable(format!(
                        "there is nothing at `{pointer}`, where `alerts` of this source says that the list of alerts stands"
                    )));
                }
            },
        };
        let mut payload = ParsedPayload {
            unread: given.len().saturating_sub(ALERTS_MAX) as u64,
            ..ParsedPayload::default()
        };
        let mut seen = HashSet::new();
        let left = Cell::new(READ_BYTES_MAX);
        let to_read = given.len().min(ALERTS_MAX);
        for (index, alert) in given.into_iter().take(ALERTS_MAX).enumerate() {
            if left.get() == 0 {
                payload.unread += (to_read - index) as u64;
                break;
            }
            let at = At { alert, whole: &whole, delivery, left: &left };
            match self.read_one(&at) {
                Ok(None) => {}
                Ok(Some(alert)) => {
                    if seen.insert(alert.dedupe_key) {
                        payload.alerts.push(alert);
                    }
                }
                // A body that is one alert and none of them can be read is no webhook of this sender.
                Err(why) if !listed => return Err(Unreadable(format!("the body {why}"))),
                Err(why) => {
                    let dedupe_key = Digest::tagged("ripcord bad alert 1", &[alert.to_string().as_bytes()]);
                    if seen.insert(dedupe_key) {
                        payload.bad.push(BadAlert {
                            number: index + 1,
                            why,
                            labels: self.labels_that_read(&at),
                            dedupe_key,
                        });
                    }
                }
            }
        }
        Ok(payload)
    }

    fn labels_that_read(&self, at: &At<'_>) -> Vec<Label> {
        let read = |(name, place): &(String, Place)| Some(Label::new(name.as_str(), at.text(place).ok()??));
        self.labels.iter().filter_map(read).collect()
    }

    /// None for what is no news. The error is the rest of a sentence that begins with the alert.
    fn read_one(&self, at: &At<'_>) -> Result<Option<ParsedAlert>, String> {
        if !at.alert.is_object() {
            return Err("is no object".to_owned());
        }
        let (status, kind) = match self.status.as_ref().map(|status| status.means(at)).transpose()? {
            None | Some(Means::Firing) => (SignalStatus::Firing, SignalKind::Condition),
            Some(Means::NoData) => (SignalStatus::Firing, SignalKind::MissingData),
            Some(Means::Resolved) => (SignalStatus::Resolved, SignalKind::Condition),
            Some(Means::Nothing) => return Ok(None),
        };
        let rule = at.text(&self.rule)?.filter(|rule| !rule.trim().is_empty());
        let rule =
            rule.ok_or_else(|| format!("has nothing at {}, where `rule` of this source is", self.rule))?;
        let named = |(name, place): &(String, Place)| {
            let value = at.text(place)?.filter(|value| !value.is_empty());
            Ok::<_, String>(value.map(|value| Label::new(name.as_str(), value)))
        };
        let labels = self.labels.iter().filter_map(|one| named(one).transpose());
        let mut labels = labels.collect::<Result<Vec<_>, String>>()?;
        labels.sort();
        // Words for people: an alert counts also where they make no sense.
        let words = |one: &(String, Place)| {
            named(one).unwrap_or_else(|why| Some(Label::new(one.0.as_str(), format!("(it {why})"))))
        };
        let mut annotations: Vec<_> = self.annotations.iter().filter_map(words).collect();
        annotations.sort();
        let id = match &self.id {
            Some(place) => Some(
                at.text(place)?
                    .filter(|id| !id.is_empty())
                    .ok_or_else(|| format!("has nothing at {place}, where `id` of this source is"))?,
            ),
            None => None,
        };
        let severity = match &self.severity {
            Some(place) => at.text(place)?.map_or(Severity::Warning, |text| Severity::from(text.as_str())),
            None => Severity::Warning,
        };
        let began = self.started_at.as_ref().map(|place| at.time(place)).transpose()?.flatten();
        let started_at = began.unwrap_or_else(|| self.clock.now());
        let ended_at = match (status, &self.ended_at) {
            (SignalStatus::Resolved, Some(place)) => at.time(place)?.map(|end| end.max(started_at)),
            _ => None,
        };
        let word = Word::of(status, kind);
        let key = |word: Word| {
            let began = began.map(|at| at.0.to_be_bytes());
            let identity: Vec<&str> = match &id {
                Some(id) => vec!["id", id],
                None => std::iter::once(rule.as_str())
                    .chain(labels.iter().flat_map(|label| [label.name.as_str(), label.value.as_str()]))
                    .collect(),
            };
            let began = began.as_ref().map_or(&b""[..], |at| at.as_slice());
            let parts: Vec<&[u8]> = [began, word.as_str().as_bytes()]
                .into_iter()
                .chain(identity.into_iter().map(str::as_bytes))
                .collect();
            Digest::tagged("ripcord json alert 1", &parts)
        };
        let dedupe_key = key(word);
        let sender = Digest::tagged("ripcord alert sender 1", &[b"json"]);
        let turn = self.status.is_some().then(|| Turn { other_keys: word.others().map(key), sender });
        Ok(Some(ParsedAlert {
            fingerprint: id.clone().unwrap_or_else(|| dedupe_key.to_string()),
            rule,
            status,
            kind,
            severity,
            labels,
            annotations,
            started_at,
            ended_at,
            group_key: String::new(),
            dedupe_key,
            turn,
        }))
    }
}

impl AlertSource for JsonAlerts {
    fn name(&self) -> &str {
        "alerts_json"
    }

    fn read(&self, delivery: &Delivery<'_>) -> Result<ParsedPayload, Unreadable> {
        self.parse(delivery)
    }
}

impl StatusPlace {
    fn means(&self, at: &At<'_>) -> Result<Means, String> {
        let word = at
            .text(&self.place)?
            .ok_or_else(|| format!("has nothing at {}, where `status` of this source is", self.place))?;
        let known = self.words.iter().find(|(known, _)| known.eq_ignore_ascii_case(&word));
        known.map(|(_, means)| *means).ok_or_else(|| {
            format!(
                "has the status `{}`, which is in none of `firing`, `resolved`, `no-data` and `ignored` of this source",
                shown(&word)
            )
        })
    }
}

/// One alert and what stands around it.
struct At<'a> {
    alert: &'a Value,
    whole: &'a Value,
    delivery: &'a Delivery<'a>,
    /// Bytes that may still be read of the payload.
    left: &'a Cell<usize>,
}

impl At<'_> {
    /// A text, a number or a truth as text; none where there is nothing. The error is the rest of a sentence that begins with the alert.
    fn text(&self, place: &Place) -> Result<Option<String>, String> {
        let value = match place {
            Place::Alert(pointer) => self.alert.pointer(pointer),
            Place::Body(pointer) => self.whole.pointer(pointer),
            Place::Header(name) => {
                return self.delivery.header(name).map(|text| self.taken(place, text.into())).transpose();
            }
        };
        let text: Cow<'_, str> = match value {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.into(),
            Some(Value::Number(number)) => number.to_string().into(),
            Some(Value::Bool(truth)) => truth.to_string().into(),
            Some(Value::Array(_) | Value::Object(_)) => {
                return Err(format!("has a list or an object at {place}: name one value in it"));
            }
        };
        self.taken(place, text).map(Some)
    }

    /// The text, if it is short enough to be kept with each alert.
    fn taken(&self, place: &Place, text: Cow<'_, str>) -> Result<String, String> {
        if text.len() > VALUE_BYTES_MAX {
            return Err(format!(
                "has more than {VALUE_BYTES_MAX} bytes at {place}: name a place with a shorter text"
            ));
        }
        self.left.set(self.left.get().saturating_sub(text.len()));
        Ok(text.into_owned())
    }

    fn time(&self, place: &Place) -> Result<Option<UnixMillis>, String> {
        let Some(text) = self.text(place)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        let (whole, part) = text.split_once('.').unwrap_or((text.as_str(), "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_digits(whole) && is_digits(part) {
            let number = whole.parse().ok().filter(|number: &u64| *number < MICROSECONDS_FROM);
            let number = number.ok_or_else(|| {
                let text = shown(&text);
                format!("has no instant at {place}: `{text}` is too large: send seconds or milliseconds")
            })?;
            let at = if number < MILLISECONDS_FROM { number * 1_000 } else { number };
            return Ok(Some(UnixMillis(at)));
        }
        text_time::parse(&text).map(Some).map_err(|why| format!("has no instant at {place}: {}", shown(&why)))
    }
}

/// Text of others in an error: bounded, and harmless.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect()
}

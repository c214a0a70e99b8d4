//! What a service itself says that it works with.

use reqwest::header::HeaderName;
use reqwest::{Method, Url};
use ripcord_core::digest::Digest;
use ripcord_core::foreign::Foreign;
use ripcord_core::signal::Label;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::{ErrorKind, PortError};
use serde::Deserialize;
use serde_json::Value;

use super::wrong;
use crate::Shared;
use crate::http::{self, Answer};
use crate::metrics_scrape::page;
use crate::metrics_scrape::text::NAME;
use crate::secret::Secret;

const REPLICAS_MAX: usize = 100;
const ANSWERS_MAX: u32 = 100;
const SERIES_MAX: usize = 20_000;
const SHOWN_CHARS_MAX: usize = 100;

/// Where the service says what it works with, in one of `pointer`, `header` and `metric` with `label`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReadBackConfig {
    /// Addresses that are asked by GET: one for each replica. All must say the same.
    pub urls: Vec<String>,
    /// Where in a JSON answer it stands, as in `/thresholds/revision`.
    #[serde(default)]
    pub pointer: Option<String>,
    /// In which header of the answer it stands.
    #[serde(default)]
    pub header: Option<String>,
    /// Of which metric it is a label; a series of it whose value is 0 does not count.
    #[serde(default)]
    pub metric: Option<String>,
    /// Which label of `metric`.
    #[serde(default)]
    pub label: Option<String>,
    /// What stands there: `revision`, `digest` (sha-256 of the content that was loaded) or `value`. Default: `revision`.
    #[serde(default)]
    pub tells: Tells,
    /// How often each address is asked, on connections of their own, so that a balancer may choose another replica. Default: 1.
    #[serde(default = "answers_default")]
    pub answers: u32,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

/// What a service tells of what it works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tells {
    /// The revision's name.
    #[default]
    Revision,
    /// The sha-256 of its content, in hexadecimal digits, `sha256:` before it or not.
    Digest,
    /// The value itself; only for a value behind HTTP.
    Value,
}

fn answers_default() -> u32 {
    1
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// Asks the service.
#[derive(Debug)]
pub(crate) struct ReadBack {
    urls: Vec<Url>,
    place: Place,
    tells: Tells,
    answers: u32,
    deadline: Millis,
    token: Option<Secret>,
    shared: Shared,
}

#[derive(Debug)]
enum Place {
    Pointer(String),
    Header(HeaderName),
    Label { metric: String, label: String },
}

/// What the service says that it works with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    /// A revision's name.
    Revision(String),
    /// The digest of what it loaded.
    Digest(Digest),
    /// The value.
    Value(Value),
    /// It answers and does not tell; why.
    Nothing(String),
}

impl ReadBack {
    pub(crate) fn new(
        config: ReadBackConfig,
        token: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        let place = match (config.pointer, config.header, config.metric, config.label) {
            (Some(pointer), None, None, None) => {
                check_pointer("read-back.pointer", &pointer)?;
                Place::Pointer(pointer)
            }
            (None, Some(header), None, None) => {
                let name = HeaderName::try_from(header.as_str());
                Place::Header(name.map_err(|_| wrong(format!("`{header}` is no name of a header")))?)
            }
            (None, None, Some(metric), Some(label)) => Place::Label { metric, label },
            _ => {
                return Err(wrong(
                    "`read-back` wants one of `pointer`, `header`, or `metric` with `label`: where the service says what it works with",
                ));
            }
        };
        if config.urls.is_empty() || config.urls.len() > REPLICAS_MAX {
            return Err(wrong(format!("`read-back.urls` wants 1 to {REPLICAS_MAX} addresses")));
        }
        if !(1..=ANSWERS_MAX).contains(&config.answers) || config.deadline_ms == 0 {
            return Err(wrong(format!(
                "`read-back` wants `answers` from 1 to {ANSWERS_MAX} and a `deadline-ms` of 1 or more"
            )));
        }
        if config.tells == Tells::Value && !matches!(place, Place::Pointer(_)) {
            return Err(wrong("`read-back.tells` is `value`, which stands at a `pointer`"));
        }
        let urls = config.urls.iter().map(|url| http::page(url)).collect::<Result<_, _>>()?;
        Ok(Self {
            urls,
            place,
            tells: config.tells,
            answers: config.answers,
            deadline: Millis(config.deadline_ms),
            token,
            shared: shared.clone(),
        })
    }

    pub(crate) fn tells(&self) -> Tells {
        self.tells
    }

    /// What a plan says of it, or of the place that is believed without it.
    pub(crate) fn argument_or(read_back: Option<&Self>, believed: &str) -> Label {
        let unproved = || Label::new("read back", format!("{believed}, which is control plane only"));
        read_back.map_or_else(unproved, Self::argument)
    }

    /// What a plan says of it.
    pub(crate) fn argument(&self) -> Label {
        let place = match &self.place {
            Place::Pointer(pointer) => format!("`{pointer}`"),
            Place::Header(header) => format!("the header `{header}`"),
            Place::Label { metric, label } => format!("`{metric}{{{label}}}`"),
        };
        let urls = self.urls.iter().map(http::shown).collect::<Vec<_>>().join(", ");
        Label { name: "read back".to_owned(), value: format!("{place} of {urls}") }
    }

    /// What every replica says.
    pub(crate) async fn ask(&self) -> Result<Told, PortError> {
        let mut first: Option<(Told, &Url)> = None;
        for url in &self.urls {
            for _ in 0..self.answers {
                let call = self.shared.http.call_anew(Method::GET, url).deadline(self.deadline);
                let told = self.told(&call.bearer(self.token.as_ref()).send().await?)?;
                match &first {
                    _ if matches!(told, Told::Nothing(_)) => return Ok(told),
                    None => first = Some((told, url)),
                    Some((before, _)) if *before == told => {}
                    Some((before, of)) => {
                        let why = format!(
                            "not every answer is the same: {} says {before}, {} says {told}",
                            http::shown(of),
                            http::shown(url)
                        );
                        return Ok(Told::Nothing(why));
                    }
                }
            }
        }
        let nobody = || wrong("`read-back.urls` is empty");
        first.map(|(told, _)| told).ok_or_else(nobody)
    }

    fn told(&self, answer: &Answer) -> Result<Told, PortError> {
        let what = answer.what();
        let text = match &self.place {
            Place::Pointer(pointer) => {
                let document: Value = answer.json()?;
                let Some(value) = document.pointer(pointer) else {
                    return Ok(Told::Nothing(format!("the answer to {what} has nothing at `{pointer}`")));
                };
                match value {
                    value if self.tells == Tells::Value => return Ok(Told::Value(value.clone())),
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    Value::Bool(truth) => truth.to_string(),
                    other => {
                        let shown = shown(&other.to_string());
                        return Ok(Told::Nothing(format!(
                            "at `{pointer}` of {what} stands {shown}, which is no name"
                        )));
                    }
                }
            }
            Place::Header(name) => match answer.header(name) {
                Some(text) => text.trim_matches('"').to_owned(),
                None => return Ok(Told::Nothing(format!("the answer to {what} has no header `{name}`"))),
            },
            Place::Label { metric, label } => match labelled(answer, metric, label, self.shared.clock.now())?
            {
                Ok(text) => text,
                Err(why) => return Ok(Told::Nothing(why)),
            },
        };
        Ok(match self.tells {
            Tells::Digest => digest(&text).map_or_else(
                || Told::Nothing(format!("{what} tells {} and no sha-256", shown(&text))),
                Told::Digest,
            ),
            Tells::Revision | Tells::Value => Told::Revision(text),
        })
    }
}

/// The label's value on the one series of the metric; the inner error says why there is none.
fn labelled(
    answer: &Answer,
    metric: &str,
    label: &str,
    at: UnixMillis,
) -> Result<Result<String, String>, PortError> {
    let what = answer.what();
    let page = page::read(&answer.body, answer.content_type(), at, SERIES_MAX)
        .map_err(|why| PortError::not_applied(ErrorKind::BadAnswer, format!("the page of {what} {why}")))?;
    let named = |labels: &[Label], name: &str| {
        labels.iter().find(|label| label.name == name).map_or(String::new(), |label| label.value.clone())
    };
    let mut found: Vec<String> = page
        .lines
        .iter()
        .filter(|line| named(&line.labels, NAME) == metric && line.value != 0.0)
        .map(|line| named(&line.labels, label))
        .collect();
    found.sort_unstable();
    found.dedup();
    Ok(match found.as_slice() {
        [one] if !one.is_empty() => Ok(one.clone()),
        [] => Err(format!("the page of {what} has no series of `{metric}`")),
        [_] => Err(format!("`{metric}` of {what} has no label `{label}`")),
        [one, two, ..] => {
            Err(format!("`{metric}` of {what} names more than one: {} and {}", shown(one), shown(two)))
        }
    })
}

fn digest(text: &str) -> Option<Digest> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("sha-256:")).unwrap_or(&text);
    digits.parse().ok()
}

/// A pointer is empty or begins with a slash.
pub(crate) fn check_pointer(key: &str, pointer: &str) -> Result<(), PortError> {
    if pointer.is_empty() || pointer.starts_with('/') {
        return Ok(());
    }
    Err(wrong(format!(
        "`{key}` is `{pointer}`, which is no JSON pointer: write it as in `/thresholds/revision`"
    )))
}

fn shown(text: &str) -> String {
    format!("`{}`", Foreign::new(text).at_most(SHOWN_CHARS_MAX))
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Revision(text) => f.write_str(&shown(text)),
            Self::Digest(digest) => write!(f, "{}", digest.short()),
            Self::Value(value) => f.write_str(&shown(&value.to_string())),
            Self::Nothing(why) => f.write_str(why),
        }
    }
}

//! `[sources]`: who may send alerts, how they prove it, and which service an alert is for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use ripcord_adapters::adapter::Signature;
use ripcord_adapters::catalogue;
use ripcord_core::name::{ServiceName, SourceName};
use ripcord_core::signal::Label;
use ripcord_core::time::Millis;
use ripcord_ports::AlertSource;
use serde::Deserialize;
use toml::Spanned;

use super::adapters::AdapterConfig;
use super::place::Mistakes;
use super::secret::SecretRef;
use super::table::Node;
use super::units::Seconds;
use crate::http::Timed;

/// Unless configured: holds a group of ten thousand alerts. Groups are large just when something big is broken.
const BODY_BYTES_MAX: u64 = 16 << 20;
/// Alertmanager repeats a firing alert every four hours unless told otherwise.
const DEDUPE_WINDOW: Millis = Millis::hours(4);

/// An alert source: `POST /hooks/NAME`.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// Its name.
    pub name: SourceName,
    /// Of the name.
    pub span: Range<usize>,
    /// What its webhooks look like.
    pub adapter: AdapterConfig<dyn AlertSource>,
    /// How it proves who it is.
    pub auth: AuthConfig,
    /// Labels to services; the first match wins.
    pub routes: Vec<RouteConfig>,
    /// Larger bodies are refused.
    pub body_bytes_max: u64,
    /// The same alert within so long is a repeat.
    pub dedupe_window: Millis,
}

/// How a source proves who it is.
#[derive(Debug, Clone)]
pub enum AuthConfig {
    /// `Authorization: Bearer …`.
    Bearer(SecretRef),
    /// `Authorization: Basic …`.
    Basic {
        /// The user's name.
        user: String,
        /// Their password.
        password: SecretRef,
    },
    /// HMAC-SHA256 over the body, and over a timestamp before it where there is one.
    Hmac {
        /// The shared key.
        secret: SecretRef,
        /// Holds the code in hexadecimal.
        header: String,
        /// What is signed before the body.
        timed: Option<Timed>,
    },
    /// A system's own signature.
    Signed {
        /// Whose.
        by: &'static Signature,
        /// The webhook's secret.
        secret: SecretRef,
        /// Its access token, where one is wanted as well.
        token: Option<SecretRef>,
        /// How far the timestamp may be from now, where there is one.
        window: Option<Millis>,
    },
}

impl AuthConfig {
    /// How far a timestamp may be from now, where there is one.
    fn window(&self) -> Option<Millis> {
        match self {
            Self::Bearer(_) | Self::Basic { .. } => None,
            Self::Hmac { timed, .. } => timed.as_ref().map(|timed| timed.window),
            Self::Signed { window, .. } => *window,
        }
    }
}

/// A timestamp may be as far ahead as behind, so a code is good for two windows.
fn replays(place: &str, window: Millis, dedupe: Millis) -> (String, String) {
    let (good, known) = (Millis(window.0.saturating_mul(2)), dedupe);
    (
        format!(
            "a webhook that somebody recorded can be sent to {place} again: its code is good for {good}, and repeats are known for {known}"
        ),
        format!(
            "write more than {} as `dedupe-seconds`, or a smaller `window-seconds`",
            good.0.div_ceil(1_000)
        ),
    )
}

/// Labels to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteConfig {
    /// All must be there; `*` is any value.
    pub labels: Vec<Label>,
    /// For which service.
    pub service: ServiceName,
    /// Of the service's name.
    pub span: Range<usize>,
}

impl RouteConfig {
    /// None if the labels match, else the first that does not.
    pub fn mismatch<'a>(&'a self, labels: &[Label]) -> Option<&'a Label> {
        self.labels.iter().find(|wanted| {
            !labels.iter().any(|label| {
                label.name == wanted.name && (wanted.value == "*" || label.value == wanted.value)
            })
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RouteKeys {
    #[serde(rename = "match")]
    labels: BTreeMap<String, String>,
    service: Spanned<ServiceName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct HmacKeys {
    #[serde(default)]
    over: Over,
    header: Option<Spanned<String>>,
    timestamp_header: Option<Spanned<String>>,
    window_seconds: Option<Spanned<Seconds>>,
}

/// What a code is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
enum Over {
    #[default]
    #[serde(rename = "timestamp.body")]
    Stop,
    #[serde(rename = "timestamp:body")]
    Colon,
    #[serde(rename = "body")]
    Body,
}

impl Over {
    const fn separator(self) -> Option<&'static str> {
        match self {
            Self::Stop => Some("."),
            Self::Colon => Some(":"),
            Self::Body => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SignatureKeys {
    window_seconds: Option<Seconds>,
}

impl SourceConfig {
    pub(crate) fn read(
        name: &Spanned<String>,
        mut node: Node<'_>,
        base: &Path,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let routes = node.take_tables("routes", mistakes);
        let routes = routes.into_iter().filter_map(|route| route_read(route, mistakes)).collect();
        let auth = node.take_table("auth", mistakes);
        let before = mistakes.0.len();
        let (span, place) = (node.span.clone(), node.name.clone());
        let auth = match auth {
            Some(auth) => auth_read(auth, base, mistakes),
            None => {
                if mistakes.0.len() == before {
                    let signed = catalogue::SIGNATURES.iter().map(|by| by.kind);
                    let ways: Vec<_> = ["basic", "hmac"]
                        .into_iter()
                        .chain(signed)
                        .map(|way| format!("`auth.{way}`"))
                        .collect();
                    let (last, others) = ways.split_last().map_or(("", &[][..]), |(last, all)| (last, all));
                    mistakes.add(
                        span,
                        format!("`auth` is missing in {place}: anyone could raise an alarm"),
                        format!("add `auth = {{ bearer-file = \"…\" }}`, {} or {last}", others.join(", ")),
                    );
                }
                None
            }
        };
        let body_kib_max = node.take_value::<u32>("body-kib-max", mistakes);
        let dedupe_window = node.take_value::<Seconds>("dedupe-seconds", mistakes);
        let adapter = AdapterConfig::<dyn AlertSource>::read(node, &[], base, mistakes);
        let span = name.span();
        let name = mistakes.ok(&span, SourceName::new(name.get_ref().as_str()), "");
        let (adapter, auth) = (adapter?, auth?);
        let dedupe_window = dedupe_window.map_or(DEDUPE_WINDOW, |seconds| seconds.get_ref().0);
        if let Some(window) = auth.window().filter(|window| dedupe_window.0 / 2 <= window.0) {
            let (message, help) = replays(&place, window, dedupe_window);
            mistakes.add(span, message, help);
            return None;
        }
        Some(Self {
            name: name?,
            span,
            adapter,
            auth,
            routes,
            body_bytes_max: body_kib_max.map_or(BODY_BYTES_MAX, |kib| u64::from(*kib.get_ref()) << 10),
            dedupe_window,
        })
    }
}

fn route_read(node: Node<'_>, mistakes: &mut Mistakes) -> Option<RouteConfig> {
    let keys: RouteKeys = node.read(mistakes)?;
    let labels = keys.labels.into_iter().map(|(name, value)| Label { name, value }).collect();
    let span = keys.service.span();
    Some(RouteConfig { labels, service: keys.service.into_inner(), span })
}

fn auth_read(mut node: Node<'_>, base: &Path, mistakes: &mut Mistakes) -> Option<AuthConfig> {
    let signed = catalogue::SIGNATURES.iter().map(|by| by.kind);
    let ways: Vec<_> = ["bearer-file", "bearer-env", "basic", "hmac"].into_iter().chain(signed).collect();
    let given = ways.iter().filter(|way| node.has(way)).count();
    let bearer = SecretRef::take(&mut node, "bearer", base, mistakes);
    let basic = node.take_table("basic", mistakes);
    let hmac = node.take_table("hmac", mistakes);
    let mut signed = None;
    for by in catalogue::SIGNATURES {
        signed = node.take_table(by.kind, mistakes).map(|table| (by, table)).or(signed);
    }
    let (span, place) = (node.span.clone(), node.name.clone());
    let before = mistakes.0.len();
    node.finish(mistakes);
    if given != 1 && mistakes.0.len() == before {
        let help = format!("give exactly one of `{}`", ways.join("`, `"));
        mistakes.add(span, format!("{given} ways to authenticate in {place}"), help);
        return None;
    }
    match (bearer, basic, hmac, signed) {
        (Some(secret), None, None, None) => Some(AuthConfig::Bearer(secret)),
        (None, Some(mut basic), None, None) => {
            let password = SecretRef::take_required(&mut basic, "password", base, mistakes);
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Basic {
                user: String,
            }
            let keys: Basic = basic.read(mistakes)?;
            Some(AuthConfig::Basic { user: keys.user, password: password? })
        }
        (None, None, None, Some((by, mut table))) => {
            let secret = SecretRef::take_required(&mut table, "secret", base, mistakes);
            let token =
                by.may_have_token.then(|| SecretRef::take(&mut table, "token", base, mistakes)).flatten();
            let window = if by.has_time {
                let keys: SignatureKeys = table.read(mistakes)?;
                Some(window(keys.window_seconds))
            } else {
                let before = mistakes.0.len();
                table.finish(mistakes);
                if mistakes.0.len() > before {
                    return None;
                }
                None
            };
            Some(AuthConfig::Signed { by, secret: secret?, token, window })
        }
        (None, None, Some(mut hmac), None) => {
            let secret = SecretRef::take_required(&mut hmac, "secret", base, mistakes);
            let keys: HmacKeys = hmac.read(mistakes)?;
            let mut header = |given: Option<Spanned<String>>, otherwise: &str| match given {
                Some(name) => {
                    mistakes.ok(&name.span(), header_name(name.get_ref()), "use letters, digits and `-`")
                }
                None => Some(otherwise.to_owned()),
            };
            let name = header(keys.header, "x-ripcord-signature");
            let Some(separator) = keys.over.separator() else {
                let spans = [
                    keys.timestamp_header.map(|given| ("timestamp-header", given.span())),
                    keys.window_seconds.map(|given| ("window-seconds", given.span())),
                ];
                let idle = spans.into_iter().flatten().next();
                if let Some((key, span)) = idle {
                    let what = format!("`{key}` says nothing where the code is over the body alone");
                    mistakes.add(span, what, "take it out, or write `over = \"timestamp.body\"`");
                    return None;
                }
                return Some(AuthConfig::Hmac { secret: secret?, header: name?, timed: None });
            };
            let timestamp = header(keys.timestamp_header, "x-ripcord-timestamp");
            let window = window(keys.window_seconds.map(Spanned::into_inner));
            let timed = Some(Timed { header: timestamp?, separator, window });
            Some(AuthConfig::Hmac { secret: secret?, header: name?, timed })
        }
        _ => None,
    }
}

fn window(configured: Option<Seconds>) -> Millis {
    configured.map_or(Millis::minutes(5), |seconds| seconds.0)
}

fn header_name(text: &str) -> Result<String, String> {
    axum::http::HeaderName::from_bytes(text.as_bytes())
        .map(|name| name.as_str().to_owned())
        .map_err(|_| format!("`{text}` cannot be the name of a header"))
}

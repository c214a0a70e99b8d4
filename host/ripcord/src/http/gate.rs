//! Who sends alerts: bearer, basic, HMAC-SHA256 with a time window, or a system's own signature, as configured for the source.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ripcord_adapters::Secret;
use ripcord_adapters::adapter::Signature;
use ripcord_core::digest::Digest;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::alert_source::Delivery;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::people::bearer;

/// How a source proves who it is, with its secret read.
pub enum Gate {
    /// Of the token.
    Bearer(Digest),
    /// Of `user:password`.
    Basic(Digest),
    /// A code over the body, and over a timestamp before it where there is one.
    Hmac {
        /// The shared key.
        key: Secret,
        /// Holds the code in hexadecimal; several are parted by commas, and each may have its name before it.
        header: String,
        /// What is signed before the body.
        timed: Option<Timed>,
    },
    /// A system's own signature.
    Signed {
        /// Whose.
        by: &'static Signature,
        /// The webhook's secret.
        key: Secret,
        /// Of its access token, where one is wanted as well.
        token: Option<Digest>,
        /// How far the timestamp may be from now, where there is one.
        window: Option<Millis>,
    },
}

/// A timestamp that is signed before the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// Holds Unix seconds.
    pub header: String,
    /// Between it and the body.
    pub separator: &'static str,
    /// How far it may be from now.
    pub window: Millis,
}

/// Codes of one webhook: a sender that changes its key sends two.
const CODES_MAX: usize = 10;
/// Names that senders write before a code.
const CODE_NAMES: [&str; 2] = ["sha256=", "v1="];

/// Why a sender is refused: one sentence.
pub(crate) type Refusal = Cow<'static, str>;

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Gate::Bearer",
            Self::Basic(_) => "Gate::Basic",
            Self::Hmac { .. } => "Gate::Hmac",
            Self::Signed { .. } => "Gate::Signed",
        })
    }
}

impl Gate {
    /// A gate for `user` and `password`.
    pub fn basic(user: &str, password: &Secret) -> Self {
        Self::Basic(Digest::of(format!("{user}:{}", password.expose())))
    }

    /// Whether the headers alone prove who it is: then nobody else gets so far as to have a body read.
    pub(crate) const fn is_decided_by_headers(&self) -> bool {
        matches!(self, Self::Bearer(_) | Self::Basic(_))
    }

    /// What a refusal asks for.
    pub(crate) const fn challenge(&self) -> &'static str {
        match self {
            Self::Bearer(_) => "Bearer realm=\"ripcord\"",
            Self::Basic(_) => "Basic realm=\"ripcord\"",
            Self::Hmac { .. } | Self::Signed { .. } => "HMAC-SHA256",
        }
    }

    /// What can be judged before the body is read.
    pub(crate) fn check_headers(&self, headers: &HeaderMap, now: UnixMillis) -> Result<(), Refusal> {
        if let Self::Signed { by, token, window, .. } = self {
            let delivery = Delivery { headers: &texts(headers), body: &[] };
            (by.check_headers)(&delivery, now, window.unwrap_or_default()).map_err(Cow::Owned)?;
            let known = token.as_ref().map_or(Ok(()), |token| check_bearer(token, headers));
            return known.map_err(Cow::Borrowed);
        }
        self.check_static(headers, now).map_err(Cow::Borrowed)
    }

    fn check_static(&self, headers: &HeaderMap, now: UnixMillis) -> Result<(), &'static str> {
        match self {
            Self::Signed { .. } => Ok(()),
            Self::Bearer(token) => check_bearer(token, headers),
            Self::Basic(credentials) => {
                let given =
                    basic(headers).ok_or("no user and password were given: send `Authorization: Basic …`")?;
                let given = Digest::of(given);
                let same: bool = credentials.as_bytes().ct_eq(given.as_bytes()).into();
                same.then_some(())
                    .ok_or("user or password is wrong: send those that `auth` of this source names")
            }
            Self::Hmac { header, timed, .. } => {
                text(headers, header).ok_or("the header with the code is missing")?;
                let Some(Timed { header, window, .. }) = timed else { return Ok(()) };
                let seconds = text(headers, header).ok_or("the header with the timestamp is missing")?;
                let at =
                    seconds.parse::<u64>().map_err(|_| "the timestamp is not a number of Unix seconds")?;
                let at = UnixMillis(at.saturating_mul(1_000));
                let apart = now.since(at).max(at.since(now));
                if apart > *window {
                    return Err(
                        "the timestamp is outside the time window: a replay, or a clock that is wrong",
                    );
                }
                Ok(())
            }
        }
    }

    /// What can be judged only with the body.
    pub(crate) fn check_body(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        if let Self::Signed { by, key, .. } = self {
            let delivery = Delivery { headers: &texts(headers), body };
            return (by.authenticate)(&delivery, key).map_err(Cow::Owned);
        }
        self.check_code(headers, body).map_err(Cow::Borrowed)
    }

    fn check_code(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), &'static str> {
        let Self::Hmac { key, header, timed } = self else { return Ok(()) };
        let wrong = match timed.as_ref().map(|timed| timed.separator) {
            None => "the code does not match the body: sign it with the key that `auth` of this source names",
            Some(":") => {
                "the code does not match timestamp and body: sign `TIMESTAMP:BODY` with the key that `auth` of this source names"
            }
            Some(_) => {
                "the code does not match timestamp and body: sign `TIMESTAMP.BODY` with the key that `auth` of this source names"
            }
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).map_err(|_| wrong)?;
        if let Some(Timed { header, separator, .. }) = timed {
            mac.update(text(headers, header).ok_or(wrong)?.as_bytes());
            mac.update(separator.as_bytes());
        }
        mac.update(body);
        let codes = text(headers, header).ok_or(wrong)?.split(',').take(CODES_MAX);
        let codes = codes.filter_map(|code| {
            let code = code.trim();
            let code = CODE_NAMES.iter().find_map(|name| code.strip_prefix(name)).unwrap_or(code);
            crate::config::decode_hex::<32>(code)
        });
        // All are compared, each in the same time wherever it differs.
        let matched =
            codes.map(|code| mac.clone().verify_slice(&code).is_ok()).fold(false, |any, one| any | one);
        matched.then_some(()).ok_or(wrong)
    }
}

fn check_bearer(token: &Digest, headers: &HeaderMap) -> Result<(), &'static str> {
    let given = bearer(headers).ok_or("no bearer token was given: send `Authorization: Bearer TOKEN`")?;
    let given = Digest::of(given);
    let same: bool = token.as_bytes().ct_eq(given.as_bytes()).into();
    same.then_some(()).ok_or("the bearer token is wrong: send the one that `auth` of this source names")
}

/// Those that are text, as an adapter reads them.
pub(super) fn texts(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?.trim()))).collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

fn basic(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(credentials.trim()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")))
            .collect()
    }

    fn hmac_gate() -> Gate {
        Gate::Hmac {
            key: Secret::new("key"),
            header: "x-code".into(),
            timed: Some(Timed { header: "x-at".into(), separator: ".", window: Millis::minutes(5) }),
        }
    }

    #[test]
    fn codes_as_grafana_and_pagerduty_write_them() {
        let hex = |parts: &[&[u8]]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(b"key").expect("key");
            mac.update(&parts.concat());
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let now = UnixMillis(1_000_000_000);
        let gate = |timed| Gate::Hmac { key: Secret::new("key"), header: "x-code".into(), timed };
        let check = |gate: &Gate, pairs: &[(&'static str, &str)]| {
            let headers = headers(pairs);
            gate.check_headers(&headers, now).and_then(|()| gate.check_body(&headers, b"body"))
        };
        let timed = Timed { header: "x-at".into(), separator: ":", window: Millis::minutes(5) };
        let grafana = gate(Some(timed));
        let good = hex(&[b"1000000:body"]);
        assert_eq!(check(&grafana, &[("x-at", "1000000"), ("x-code", &good)]), Ok(()));
        let stop = hex(&[b"1000000.body"]);
        let said = check(&grafana, &[("x-at", "1000000"), ("x-code", &stop)]).unwrap_err();
        assert!(said.contains("TIMESTAMP:BODY"), "{said}");
        // Two while the key is changed; the body alone, so nothing of it is about time.
        let alone = gate(None);
        let (good, other) = (hex(&[b"body"]), hex(&[b"other"]));
        for code in [format!("v1={good}"), format!("v1={other},v1={good}"), format!("v1={other}, {good}")] {
            assert_eq!(check(&alone, &[("x-code", &code)]), Ok(()), "{code}");
        }
        let many = format!("{}v1={good}", format!("v1={other},").repeat(CODES_MAX));
        for code in [format!("v1={other}"), "v1=".to_owned(), format!("v2={good}"), many] {
            let said = check(&alone, &[("x-code", &code)]).unwrap_err();
            assert!(said.contains("does not match the body: sign it"), "{code}: {said}");
        }
    }

    fn code(at: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"key").expect("key");
        mac.update(&[at.as_bytes(), b".", body].concat());
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn basic_credentials_as_alertmanager_sends_them() {
        let gate = Gate::basic("am", &Secret::new("s3cret"));
        let check =
            |value: &str| gate.check_headers(&headers(&[("authorization", value)]), UnixMillis(0)).is_ok();
        assert!(check("Basic YW06czNjcmV0"));
        for wrong in ["Basic YW06czNjcmV1", "Bearer YW06czNjcmV0", "Basic ???", "Basic"] {
            assert!(!check(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_code_covers_body_and_time_and_ages() {
        let gate = hmac_gate();
        let now = UnixMillis(1_000_000_000);
        let check = |at: &str, code: &str, body: &[u8]| {
            let headers = headers(&[("x-at", at), ("x-code", code)]);
            gate.check_headers(&headers, now).and_then(|()| gate.check_body(&headers, body))
        };
        let good = code("1000000", b"body");
        assert_eq!(check("1000000", &good, b"body"), Ok(()));
        assert_eq!(check("1000000", &format!("sha256={good}"), b"body"), Ok(()));
        assert!(check("1000000", &good, b"bodY").is_err());
        assert!(check("1000001", &good, b"body").is_err());
        assert!(check("1000000", &good[..62], b"body").is_err());
        assert!(check("1000000", &format!("{}é", &good[..62]), b"body").is_err());
        for outside in ["999699", "1000301", "x", "-1", "99999999999999999999"] {
            assert!(check(outside, &code(outside, b"body"), b"body").is_err(), "{outside}");
        }
        assert_eq!(check("999700", &code("999700", b"body"), b"body"), Ok(()));
    }
}

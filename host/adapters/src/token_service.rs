//! What is believed of a service that gives tokens: how much of its answers is read, for how long a token is used, and what its refusals say.

use ripcord_ports::{ErrorKind, PortError, Retry};
use serde::Deserialize;

use crate::http::{self, Answer};

/// A token is used for no longer than so, whatever its service says.
pub(crate) const TOKEN_SECONDS_MAX: u64 = 12 * 60 * 60;
/// One that does not say how long it can be used is used for so long.
pub(crate) const TOKEN_SECONDS: u64 = 60 * 60;
/// Tokens are small.
pub(crate) const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// What a token service answers where it gives no token: the form of OAuth 2, or that of Google's interfaces.
#[derive(Deserialize)]
struct Refused {
    error: serde_json::Value,
    #[serde(default)]
    error_description: Option<String>,
}

/// The error that a token service's refusal is, in its own words.
pub(crate) fn refusal(answer: &Answer) -> PortError {
    let generic = answer.error();
    let Ok(refused) = serde_json::from_slice::<Refused>(&answer.body) else { return generic };
    let code = refused.error.as_str().or_else(|| refused.error.get("status")?.as_str()).unwrap_or_default();
    let why = refused.error_description.as_deref().or_else(|| refused.error.get("message")?.as_str());
    let said = [Some(code), why].into_iter().flatten().filter(|part| !part.is_empty());
    let said = http::excerpt(said.collect::<Vec<_>>().join(": ").as_bytes());
    let status = answer.status.as_u16();
    // OAuth answers 400 where credentials are wrong.
    let kind = if status == 400 { ErrorKind::Denied } else { generic.kind };
    let retry = if status == 400 { Retry::No } else { generic.retry };
    PortError::not_applied(kind, format!("{} answered {status}: {said}", answer.what())).retry(retry)
}

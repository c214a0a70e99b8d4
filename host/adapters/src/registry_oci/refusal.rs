//! A registry's errors, in the form of the specification (`errors`, each with a `code`) and in all others.

use ripcord_core::name::VersionName;
use ripcord_ports::{Applied, ErrorKind, PortError};

use super::api::Api;
use super::wire::Refusals;
use crate::http::{self, Answer};

/// What was asked for, for the sentence that says why not.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'a> {
    Tags,
    Manifest(&'a str),
    /// Of what it is a part.
    Blob(&'a str),
    Upload,
    /// Under which tag.
    Put(&'a str),
}

impl Api {
    /// The answer, or the error that it is.
    pub(super) fn judge(&self, answer: Answer, asked: Asked<'_>) -> Result<Answer, PortError> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let generic = answer.error();
        let server = http::shown(&self.url);
        let said: Option<Refusals> = answer.json().ok();
        let said = said.and_then(|said| said.errors.into_iter().next());
        let code = said.as_ref().map(|said| said.code.clone());
        let shown = match &said {
            Some(said) => http::excerpt(format!("{}: {}", said.code, said.message).as_bytes()),
            None => answer.excerpt(),
        };
        let repository = &self.repository;
        let (kind, text) = match (answer.status.as_u16(), code.as_deref(), asked) {
            (401, ..) if self.account.is_anonymous() => (
                ErrorKind::Denied,
                format!(
                    "the registry at `{server}` wants to know who asks: {shown}; configure `user` and `password-file`, or `token-file`"
                ),
            ),
            (401, _, Asked::Tags | Asked::Manifest(_) | Asked::Blob(_)) => (
                ErrorKind::Denied,
                format!(
                    "the registry at `{server}` does not know this account, or does not let it read `{repository}`: {shown}; check `user` and what `password-file` or `token-file` names"
                ),
            ),
            (401 | 403, _, Asked::Upload | Asked::Put(_)) => (
                ErrorKind::Denied,
                format!(
                    "the registry at `{server}` refuses it: {shown}; the account must be allowed to push to `{repository}`, for the tag of production and the tags that mark holds"
                ),
            ),
            (403, ..) => (
                ErrorKind::Denied,
                format!(
                    "the registry at `{server}` refuses it: {shown}; the account must be allowed to pull from `{repository}`"
                ),
            ),
            (404, Some("NAME_UNKNOWN"), _) => (
                ErrorKind::NotFound,
                format!(
                    "the registry at `{server}` has no repository `{repository}`, or does not show it to this account: {shown}; check `repository`, and whose account it is"
                ),
            ),
            (404, Some(_), Asked::Manifest(reference)) => (
                ErrorKind::NotFound,
                format!(
                    "the registry at `{server}` has no `{reference}` in `{repository}`: {shown}; list its versions"
                ),
            ),
            (404, Some(_), Asked::Blob(what)) => (
                ErrorKind::NotFound,
                format!("the registry lists {what}, and does not have it: {shown}; choose another version"),
            ),
            (404, None, _) => (
                ErrorKind::BadAnswer,
                format!(
                    "what answers at `{server}` is no OCI registry: {shown}; check `url`, what stands before `/v2/`"
                ),
            ),
            (400 | 405 | 409 | 412, _, Asked::Put(tag)) => (
                ErrorKind::Failed,
                format!(
                    "the registry at `{server}` does not take a manifest under the tag `{tag}` of `{repository}`: {shown}; if its tags are immutable, leave this one out of that rule"
                ),
            ),
            (400, ..) => (
                ErrorKind::Failed,
                format!("the registry at `{server}` does not accept the call: {shown}; check `repository`"),
            ),
            (_, Some(_), _) => {
                (generic.kind, format!("{} answered {}: {shown}", answer.what(), answer.status.as_u16()))
            }
            _ => return Err(generic),
        };
        Err(rephrased(kind, text, &generic))
    }

    pub(super) fn unknown(&self, version: &VersionName) -> PortError {
        PortError::not_applied(
            ErrorKind::NotFound,
            format!("the registry has no tag `{version}` in `{}`: list its versions", self.repository),
        )
    }
}

/// Another sentence and kind; what is known of the effect, and the advice on trying again, stay.
fn rephrased(kind: ErrorKind, text: String, known: &PortError) -> PortError {
    let error = PortError::not_applied(kind, text).retry(known.retry);
    match known.applied {
        Applied::Unknown => error.outcome_unknown(),
        Applied::No => error,
    }
}

/// Whether a registry says that a manifest is not there, and not that something else is missing.
pub(super) fn is_unknown(answer: &Answer) -> bool {
    let said: Option<Refusals> = answer.json().ok();
    let code = said.and_then(|said| said.errors.into_iter().next()).map(|first| first.code);
    answer.status.as_u16() == 404 && code.is_some_and(|code| code != "NAME_UNKNOWN")
}

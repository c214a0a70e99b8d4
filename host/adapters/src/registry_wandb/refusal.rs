//! W&B's errors in all the forms they come in: a status, errors beside data or without any, `null` where something should be.

use ripcord_core::name::VersionName;
use ripcord_ports::{Applied, ErrorKind, PortError, Retry};
use serde_json::Value;

use super::api::Api;
use super::wire::{Answered, Refusals};
use crate::http::{self, Answer};

/// What a call needs of the account, for the sentence that says that it is missing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Right<'a> {
    Read,
    MoveAlias(&'a str),
    Tag,
}

impl Api {
    /// The answer, or the error that it is.
    pub(super) fn judge(&self, answer: Answer, right: Right<'_>) -> Result<Answer, PortError> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let generic = answer.error();
        let server = http::shown(&self.url);
        let said: Option<Refusals> = answer.json().ok();
        let said = said.and_then(|said| match (said.errors.first(), said.error.is_empty()) {
            (Some(first), _) => Some(first.message.clone()),
            (None, false) => Some(said.error),
            (None, true) => None,
        });
        let shown = said.as_deref().map_or_else(|| answer.excerpt(), |said| http::excerpt(said.as_bytes()));
        let (kind, message) = match (answer.status.as_u16(), &said) {
            (401, _) => (
                ErrorKind::Denied,
                format!(
                    "W&B at `{server}` does not know this API key: {shown}; check what `api-key-file` or `api-key-env` names, and that `url` is where the key was made"
                ),
            ),
            (403, _) => {
                (ErrorKind::Denied, format!("W&B at `{server}` refuses it: {shown}; {}", self.advice(right)))
            }
            (404 | 405, None) => (
                ErrorKind::BadAnswer,
                format!(
                    "what answers at `{server}` is no W&B: {shown}; check `url`, such as `https://api.wandb.ai`"
                ),
            ),
            (404, Some(_)) => (
                ErrorKind::NotFound,
                format!(
                    "W&B at `{server}` has no such thing, or does not show it to this account: {shown}; {}",
                    self.advice(right)
                ),
            ),
            (400, _) => (
                ErrorKind::Failed,
                format!(
                    "W&B at `{server}` does not accept the call: {shown}; it may be of a release that this adapter does not know"
                ),
            ),
            _ => return Err(generic),
        };
        Err(rephrased(kind, message, &generic))
    }

    /// Errors beside data make the data half an answer.
    pub(super) fn is_whole(&self, answered: &Answered<Value>, right: Right<'_>) -> Result<(), PortError> {
        let Some(first) = answered.errors.first() else { return Ok(()) };
        let said = http::excerpt(first.message.as_bytes());
        let more = match answered.errors.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let server = http::shown(&self.url);
        let lower = first.message.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        if has(&["permission", "not authorized", "unauthorized", "forbidden", "access denied", "protected"]) {
            let text = format!("W&B at `{server}` refuses it: {said}{more}; {}", self.advice(right));
            return Err(PortError::not_applied(ErrorKind::Denied, text));
        }
        if has(&["cannot query field", "unknown argument", "unknown type", "syntax error"]) {
            let text = format!(
                "W&B at `{server}` does not know a part of the call: {said}{more}; it is of a release that this adapter does not know"
            );
            return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::No));
        }
        let half = if answered.data.as_ref().is_some_and(|data| !data.is_null()) {
            " with a part of an answer, which is not used"
        } else {
            ""
        };
        let text = format!("W&B at `{server}` answered with an error{half}: {said}{more}");
        Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later))
    }

    pub(super) fn advice(&self, right: Right<'_>) -> String {
        match right {
            Right::Read => format!(
                "the account of the API key must see the project `{}/{}`, and the projects that its artifacts come from",
                self.at.entity, self.at.project
            ),
            Right::MoveAlias(alias) => format!(
                "the account of the API key must be a member of `{}/{}`; if `{alias}` is a protected alias there, only a registry admin may move it: give the account that role, or have one move it",
                self.at.entity, self.at.project
            ),
            Right::Tag => format!(
                "the account of the API key must be able to write to the project that the artifacts of `{}` come from, for the tags that mark holds",
                self.at
            ),
        }
    }

    pub(super) fn no_project(&self) -> PortError {
        PortError::not_applied(
            ErrorKind::NotFound,
            format!(
                "W&B has no project `{}/{}`, or does not show it to this account: check `entity` and `project`, and whose API key it is",
                self.at.entity, self.at.project
            ),
        )
    }

    pub(super) fn no_collection(&self) -> PortError {
        PortError::not_applied(
            ErrorKind::NotFound,
            format!(
                "W&B has no collection `{}` of artifacts of type `{}`: check `model` and `type`",
                self.at, self.at.kind
            ),
        )
    }

    pub(super) fn unknown(&self, version: &VersionName) -> PortError {
        PortError::not_applied(
            ErrorKind::NotFound,
            format!("W&B has no version `{version}` of `{}`: list its versions", self.at),
        )
    }

    pub(super) fn without(&self, part: &str) -> PortError {
        PortError::not_applied(
            ErrorKind::BadAnswer,
            format!("W&B answered about `{}` without `{part}`: what it says is not used", self.at),
        )
    }
}

/// Another sentence and kind; what is known of the effect, and the advice on trying again, stay.
fn rephrased(kind: ErrorKind, message: String, known: &PortError) -> PortError {
    let error = PortError::not_applied(kind, message).retry(known.retry);
    match known.applied {
        Applied::Unknown => error.outcome_unknown(),
        Applied::No => error,
    }
}

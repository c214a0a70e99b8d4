//! Answers that say what went wrong: RFC 9457 problem bodies, without paths or secrets of this machine.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ripcord_engine::{CommandError, IN_THE_LOG, ReadError};
use ripcord_ports::store::StoreError;
use ripcord_ports::{ErrorKind, PortError};
use serde::{Deserialize, Serialize};

/// How long a sender waits before it tries again, in seconds.
const RETRY_AFTER_S: u32 = 10;
/// A sentence may quote what was sent, which may be long.
const DETAIL_CHARS_MAX: usize = 2_000;
const LOG_CHARS_MAX: usize = 200;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:ripcord:problem:` and a word for programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    #[serde(skip)]
    retry_after_s: Option<u32>,
    #[serde(skip)]
    challenge: Option<&'static str>,
}

impl Problem {
    /// A problem of this status; `word` is for programs.
    pub fn new(status: StatusCode, word: &str, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        bound(&mut detail, DETAIL_CHARS_MAX);
        Self {
            kind: format!("urn:ripcord:problem:{word}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail,
            retry_after_s: None,
            challenge: None,
        }
    }

    /// The request makes no sense.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// Nothing of that name.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// It cannot happen now.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// The person may not do that.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// Nobody proved who they are.
    pub fn unauthorized(challenge: &'static str, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        Self { challenge: Some(challenge), ..problem }
    }

    /// The body is too large.
    pub fn too_large(bytes_max: u64) -> Self {
        let detail = format!("the body has more than {bytes_max} bytes; send less at once");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// Try again later.
    pub fn unavailable(word: &str, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, word, detail);
        Self { retry_after_s: Some(RETRY_AFTER_S), ..problem }
    }

    /// A handler broke off.
    pub(crate) fn broke_off() -> Self {
        Self::internal(
            "broke-off",
            "the host failed at this request, and its log says where: look with `ripcord status` what was done before you try again, and report it",
        )
    }

    fn internal(word: &str, detail: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, word, detail)
    }

    #[cfg(test)]
    pub(crate) fn retries(&self) -> bool {
        self.retry_after_s.is_some()
    }
}

/// Cuts `text`, which somebody else may have written, to so many characters, and says so in it.
pub(crate) fn bound(text: &mut String, chars_max: usize) {
    if let Some((end, _)) = text.char_indices().nth(chars_max) {
        *text = format!("{}… (cut: it has {} bytes)", &text[..end], text.len());
    }
}

/// The same for a line of the log.
pub(crate) fn for_log(text: &str) -> String {
    let mut text = text.to_owned();
    bound(&mut text, LOG_CHARS_MAX);
    text
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Whoever asks with a program of their own may well print it.
        let body = crate::output::json::line(&self);
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store refused a request");
        match error {
            StoreError::Full => {
                let detail = "the host's disk is full, so nothing was taken: free space there, then try again; the host goes on by itself";
                Self::unavailable("store-full", detail)
            }
            StoreError::Moved { .. } => Self::unavailable("busy", "another writer was faster; try again"),
            StoreError::Damaged(_) => Self::internal(
                "store-damaged",
                "what is asked for is damaged in the host's store, and its log says where: bring the store back from a backup, or ask for something else",
            ),
            StoreError::Unusable(_) => Self::internal(
                "store",
                "the host's store cannot be used, and its log says why: mend that, then start the host again",
            ),
            StoreError::Refused(why) => Self::bad_request(why),
            StoreError::Failed(_) => Self::unavailable(
                "store",
                "the host's store failed, and its log says how: mend that if it lasts, and try again",
            ),
        }
    }
}

impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        match error.kind {
            // These name files of this machine.
            ErrorKind::Local | ErrorKind::Place | ErrorKind::Configuration => {
                tracing::error!(%error, "an adapter failed");
                Self::internal("adapter", IN_THE_LOG)
            }
            ErrorKind::NotFound => Self::not_found(error.to_string()),
            ErrorKind::Conflict | ErrorKind::WrongDigest => Self::conflict(error.to_string()),
            ErrorKind::TooLarge | ErrorKind::Unsupported => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unsupported", error.to_string())
            }
            _ => Self::new(StatusCode::BAD_GATEWAY, "upstream", error.to_string()),
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::UnknownService(_) | CommandError::UnknownSet(_) => {
                Self::not_found(error.to_string())
            }
            CommandError::Illegal(_) | CommandError::Set(_) | CommandError::NotOneVersion(_) => {
                Self::conflict(error.to_string())
            }
            CommandError::Port(error) => error.into(),
            CommandError::Store(error @ (StoreError::Full | StoreError::Failed(_))) => not_done(&error),
            CommandError::Store(error) => error.into(),
            CommandError::Stopping => Self::unavailable("stopping", error.to_string()),
            CommandError::SetAside(..) => Self::unavailable("set-aside", error.to_string()),
        }
    }
}

/// A command while the store takes no writes.
fn not_done(error: &StoreError) -> Problem {
    tracing::error!(%error, "a command was refused");
    let (word, what) = match error {
        StoreError::Full => ("store-full", "the host's disk is full: free space there"),
        _ => ("store", "the host's store cannot be written, and its log says why: mend that"),
    };
    let rest = "and try again; what you asked for was not done and will not be; the host keeps what happened and then goes on by itself";
    Problem::unavailable(word, format!("{what} {rest}"))
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unknown(_) => Self::not_found(error.to_string()),
            ReadError::Store(error) => error.into(),
            ReadError::Fold(error) => {
                tracing::error!(%error, "a journal cannot be read");
                Self::internal(
                    "journal",
                    "the service's journal cannot be read, and the host's log says where: bring the store back from a backup; other services are not touched",
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_asks_the_sender_to_come_back() {
        let response = Problem::from(StoreError::Full).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "10");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn a_command_that_the_store_did_not_take_says_that_it_is_not_done_later() {
        for error in [StoreError::Full, StoreError::Failed("/srv/ripcord.db: I/O error".into())] {
            let problem = Problem::from(CommandError::Store(error));
            assert_eq!(problem.status, 503);
            assert!(problem.detail.contains("was not done and will not be"), "{problem:?}");
            assert!(problem.detail.contains("try again") && !problem.detail.contains("/srv"), "{problem:?}");
        }
    }

    #[test]
    fn what_others_wrote_is_quoted_in_part() {
        let problem = Problem::bad_request(format!("unknown field `{}`", "é".repeat(60_000)));
        assert!(problem.detail.chars().count() < DETAIL_CHARS_MAX + 50);
        assert!(problem.detail.ends_with("é… (cut: it has 120016 bytes)"), "{}", problem.detail);
        assert_eq!(for_log("/api/v1/services"), "/api/v1/services");
        assert!(for_log(&"x".repeat(60_000)).len() < 300);
    }

    #[test]
    fn whatever_failed_in_the_host_people_are_told_what_to_do() {
        let failed: [Problem; 5] = [
            StoreError::Damaged("a signal".into()).into(),
            StoreError::Unusable("closed".into()).into(),
            StoreError::Failed("an error".into()).into(),
            PortError::not_applied(ErrorKind::Local, "no descriptors").into(),
            Problem::broke_off(),
        ];
        for problem in failed {
            let does = ["mend that", "bring the store back", "report it"];
            assert!(does.iter().any(|word| problem.detail.contains(word)), "{}", problem.detail);
        }
    }

    #[test]
    fn files_of_this_machine_are_not_told_to_strangers() {
        let secret = "/srv/ripcord/registry";
        let errors: [Problem; 4] = [
            PortError::not_applied(ErrorKind::Local, format!("cannot open `{secret}`")).into(),
            PortError::not_applied(ErrorKind::Configuration, format!("`{secret}` is no folder")).into(),
            StoreError::Unusable(format!("`{secret}` is in use")).into(),
            StoreError::Failed(format!("{secret}: I/O error")).into(),
        ];
        for problem in errors {
            assert!(!problem.detail.contains(secret), "{problem:?}");
            assert!(problem.status >= 500);
        }
    }

    #[test]
    fn what_people_can_mend_keeps_its_sentence() {
        let problem =
            Problem::from(PortError::not_applied(ErrorKind::NotFound, "the registry has no version `9`"));
        assert_eq!((problem.status, problem.detail.as_str()), (404, "the registry has no version `9`"));
        let problem =
            Problem::from(PortError::not_applied(ErrorKind::Unreachable, "no connection to http://x"));
        assert_eq!(problem.status, 502);
    }
}

//! Calls to the server of a pipeline, as far as all have them in common.

use reqwest::{Method, Url};
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError, Retry};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::log::KEPT_BYTES_MAX;
use crate::Shared;
use crate::http::{self, Answer, Call, Credentials, Http};
use crate::near::is_in_the_clear;
use crate::producing::line;
use crate::restoring::wrong;
use crate::secret::Secret;

/// The largest page of an answer: lists of runs with their parameters are long.
const ANSWER_BYTES_MAX: u64 = 8 << 20;
/// More than is kept of a log, so that a secret which is cut here is in nothing that is kept.
const END_BYTES: usize = 2 * KEPT_BYTES_MAX;

/// A server, and who asks it.
#[derive(Debug)]
pub(crate) struct Server {
    http: Http,
    url: Url,
    system: &'static str,
    credentials: Credentials,
    secret: Option<Secret>,
    deadline: Millis,
}

impl Server {
    /// Checks the address; nobody is asked. `secret` is the password of `user` where there is one, else a bearer token.
    pub(crate) fn new(
        system: &'static str,
        url: &str,
        user: Option<String>,
        secret: Option<Secret>,
        deadline_ms: u64,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        let address = http::address(url)?;
        is_safe("url", &address, secret.is_some())?;
        if deadline_ms == 0 {
            return Err(wrong("`deadline-ms` must be 1 or more"));
        }
        Ok(Self {
            http: shared.http.clone(),
            url: address,
            system,
            credentials: Credentials::of(user, secret.clone())?,
            secret,
            deadline: Millis(deadline_ms),
        })
    }

    pub(crate) fn shown(&self) -> String {
        http::shown(&self.url)
    }

    pub(crate) fn deadline(&self) -> Millis {
        self.deadline
    }

    /// What is taken out of logs.
    pub(crate) fn secrets(&self) -> Vec<&Secret> {
        self.secret.iter().collect()
    }

    pub(crate) fn at(&self, path: &[&str]) -> Url {
        http::under(&self.url, path)
    }

    /// A call with the credentials of the configuration. Not over a connection that is kept: a start that meets one which the server has closed would be one
    /// of which nobody knows whether it was asked for.
    pub(crate) fn call(&self, method: Method, url: &Url) -> Call {
        self.call_bare(method, url).credentials(&self.credentials)
    }

    /// The same without credentials.
    pub(crate) fn call_bare(&self, method: Method, url: &Url) -> Call {
        let call = self.http.call_anew(method, url).of(self.system).deadline(self.deadline);
        call.answer_bytes_max(ANSWER_BYTES_MAX)
    }

    /// What a failure means. `rights` is what the account needs, `what` what was asked for.
    pub(crate) fn refusal(&self, answer: &Answer, what: &str, rights: &str) -> PortError {
        let (system, shown) = (self.system, self.shown());
        let text = match answer.status.as_u16() {
            401 => format!(
                "{system} at `{shown}` does not know these credentials: check `user`, password and token"
            ),
            403 => {
                format!("{system} at `{shown}` refuses {what}: give the account {rights}; {}", answer.error())
            }
            404 => format!(
                "{system} at `{shown}` says that there is no {what}: check the configuration, and that the account may see it; {}",
                answer.error()
            ),
            _ => return answer.error(),
        };
        let error = answer.error();
        let refused = PortError::not_applied(error.kind, text);
        refused.retry(error.retry)
    }

    /// An answer by itself: one of the system, where `is_of_system` says so, or of something before it.
    pub(crate) fn found<T: DeserializeOwned>(
        &self,
        answer: &Answer,
        what: &str,
        rights: &str,
        is_of_system: bool,
    ) -> Result<T, PortError> {
        if answer.status.is_success() {
            return answer.json();
        }
        if answer.status.as_u16() == 404 && !is_of_system {
            let text = format!(
                "what answers at `{}` is no {}: {}; check `url`",
                self.shown(),
                self.system,
                answer.error()
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later));
        }
        Err(self.refusal(answer, what, rights))
    }
}

/// Refuses an address on which others could listen, or which is not shown whole.
pub(crate) fn is_safe(key: &str, url: &Url, has_secret: bool) -> Result<(), PortError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(format!(
            "`{key}` holds a user or a password: write `user`, and the password into a file"
        )));
    }
    http::is_shown_whole(key, url)?;
    if has_secret && is_in_the_clear(url, |_| false) {
        return Err(wrong(format!(
            "`{key}` is without TLS, and the secret would be read on the way: use `https`, or a proxy with TLS on this machine"
        )));
    }
    Ok(())
}

/// The end of the answer to a call, and how many bytes before it were left out: of what may be longer than can be held. `between` is the time for its
/// beginning, and for every piece of it.
pub(crate) async fn end_of(call: Call, between: Millis) -> Result<(Vec<u8>, u64), PortError> {
    let mut stream = match call.stream(between).await? {
        Ok(stream) => stream,
        Err(answer) => return Err(answer.error()),
    };
    let (mut end, mut left_out) = (Vec::<u8>::new(), 0_u64);
    while let Some(piece) = stream.next().await? {
        end.extend_from_slice(&piece);
        if end.len() > 2 * END_BYTES {
            let before = end.len() - END_BYTES;
            end.drain(..before);
            left_out = left_out.saturating_add(before as u64);
        }
    }
    Ok((end, left_out))
}

/// A list in which one odd entry hides no other: each by itself, as it can be read. Those that cannot are counted by whoever asks.
pub(crate) fn entries<T: DeserializeOwned>(list: Vec<Value>) -> Vec<Result<T, Value>> {
    list.into_iter().map(|entry| T::deserialize(&entry).map_err(|_| entry)).collect()
}

/// An entry that may be a run of ours and cannot be read.
pub(crate) fn odd(system: &str, entry: &Value) -> PortError {
    let text = format!(
        "{system} tells of a run that is marked as one of this order and cannot be read: {}; look at it there",
        line(&entry.to_string())
    );
    PortError::not_applied(ErrorKind::BadAnswer, text)
}

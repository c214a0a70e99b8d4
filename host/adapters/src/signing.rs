//! What the crates that find credentials and sign calls (`reqsign`) are given of the world: this crate's HTTP client, files of a bounded size, and the
//! environment. Programs are run for none of them.
//!
//! Their own errors say little. What went wrong with a call or a file is kept beside, in the words of this crate, for whoever asked for credentials.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use reqsign_core::{Context, Env, Error, FileRead, HttpSend};
use reqwest::Url;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError, Retry};

use crate::file_work::FileWork;
use crate::folder;
use crate::http::{self, Answer, Http};
use crate::near::is_in_the_clear;
use crate::private::Private;
use crate::token_service::{ANSWER_BYTES_MAX, TOKEN_SECONDS, TOKEN_SECONDS_MAX, refusal};

/// Files of credentials are small.
pub(crate) const FILE_BYTES_MAX: u64 = 256 << 10;
/// Hosts that may be asked without TLS, besides this machine: the metadata of machines and pods.
const METADATA_HOSTS: [&str; 4] =
    ["metadata.google.internal", "169.254.169.254", "[fd00:ec2::254]", "[fd20:ce::254]"];
/// The standard name of another host for it.
const METADATA_HOST: &str = "GCE_METADATA_HOST";
/// Members of a file of JSON that are secrets.
const SECRETS: [&str; 3] = ["private_key", "refresh_token", "client_secret"];

/// What went wrong last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<PortError>>>);

impl Trouble {
    fn is(&self, trouble: Option<PortError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// It is told once.
    pub(crate) fn take(&self) -> Option<PortError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The surroundings, and what goes wrong in them. A call for the first address of `instead` goes to the second, and what is read of a file is given on as
/// `complete` has it.
pub(crate) fn surroundings(
    http: &Http,
    deadline: Millis,
    environment: impl Env,
    instead: Option<(&'static str, Url)>,
    complete: fn(Vec<u8>) -> Vec<u8>,
) -> (Context, Trouble) {
    let trouble = Trouble::default();
    let work = FileWork::new("the files of credentials");
    let metadata = environment.var(METADATA_HOST).and_then(|host| Url::parse(&format!("http://{host}")).ok());
    let metadata = metadata.and_then(|url| url.host_str().map(str::to_owned));
    let sender = Sender { http: http.clone(), deadline, instead, metadata, trouble: trouble.clone() };
    let context = Context::new()
        .with_env(environment)
        .with_file_read(Files { work, complete, trouble: trouble.clone() })
        .with_http_send(sender);
    (context, trouble)
}

/// Reads a file of credentials. One that holds a secret must be its owner's alone; what only says where a token is, and who is given it, may be read by
/// others and not written. A file of another form is a token itself.
pub(crate) fn read(path: &std::path::Path) -> Result<Vec<u8>, PortError> {
    let bytes = folder::read_ambient(path, FILE_BYTES_MAX)?;
    let read: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    let holds = |value: &serde_json::Value| SECRETS.iter().any(|name| value.get(name).is_some());
    let is_directions = read.as_ref().is_some_and(|read| read.get("type").is_some());
    let is_secret =
        read.is_some_and(|read| holds(&read) || read.get("source_credentials").is_some_and(holds));
    match (is_secret, is_directions) {
        (true, _) => folder::read_secret(path, FILE_BYTES_MAX),
        (_, true) => folder::read_private(path, Private::Directions, FILE_BYTES_MAX),
        _ => Ok(bytes),
    }
}

#[derive(Debug)]
struct Files {
    work: FileWork,
    complete: fn(Vec<u8>) -> Vec<u8>,
    trouble: Trouble,
}

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let path = PathBuf::from(path);
        self.work.run(move |_| read(&path)).await.map(self.complete).map_err(|error| {
            let told = Error::config_invalid(error.to_string());
            self.trouble.is(Some(error));
            told
        })
    }
}

#[derive(Debug)]
struct Sender {
    http: Http,
    deadline: Millis,
    instead: Option<(&'static str, Url)>,
    /// The host of metadata that the environment names.
    metadata: Option<String>,
    trouble: Trouble,
}

impl Sender {
    /// Refuses to ask in the clear for what lets its holder in.
    fn is_kept_from_others(&self, url: &Url) -> Result<(), PortError> {
        let is_metadata =
            |host: &str| METADATA_HOSTS.contains(&host) || self.metadata.as_deref() == Some(host);
        if !is_in_the_clear(url, is_metadata) {
            return Ok(());
        }
        let text = format!(
            "tokens are asked for over https, or of this machine and its metadata, and not at `{}`: correct the address in the file of credentials",
            http::shown(url)
        );
        Err(PortError::not_applied(ErrorKind::Configuration, text))
    }
}

impl HttpSend for Sender {
    async fn http_send(
        &self,
        request: ::http::Request<Bytes>,
    ) -> reqsign_core::Result<::http::Response<Bytes>> {
        let (parts, body) = request.into_parts();
        let asked = parts.uri.to_string();
        let url = match &self.instead {
            Some((from, to)) if asked == *from => to.clone(),
            _ => Url::parse(&asked).map_err(|_| Error::config_invalid("an address that is no URL"))?,
        };
        if let Err(error) = self.is_kept_from_others(&url) {
            let told = Error::config_invalid(error.to_string());
            self.trouble.is(Some(error));
            return Err(told);
        }
        // Nothing but a token comes of it.
        let mut call = self.http.call(parts.method, &url).only_reads().deadline(self.deadline);
        call = call.answer_bytes_max(ANSWER_BYTES_MAX).headers(parts.headers);
        if !body.is_empty() {
            call = call.body(body.into());
        }
        let answer = match call.exchange().await {
            Ok(answer) => answer,
            Err(error) => {
                let told = Error::unexpected(error.to_string());
                self.trouble.is(Some(error));
                return Err(told);
            }
        };
        let (judged, status) = (judged(&answer), answer.status);
        let body = match judged {
            Ok(body) => {
                self.trouble.is(None);
                body
            }
            Err(error) => {
                let told = Error::unexpected(error.to_string());
                self.trouble.is(Some(error));
                if status.is_success() {
                    return Err(told);
                }
                // A refusal is read by those who asked, too.
                answer.body
            }
        };
        ::http::Response::builder().status(status).body(body.into()).map_err(Error::from)
    }
}

/// The answer, as it is given on. A token that never ends, or says nothing of its end, is taken for one of ordinary length: it is asked for again then.
fn judged(answer: &Answer) -> Result<Vec<u8>, PortError> {
    if !answer.status.is_success() {
        return Err(refusal(answer));
    }
    let odd = |said: String| {
        let text = format!("{} answered with {said}: check that it is a token service", answer.what());
        PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later)
    };
    // Its body may hold a token, so it is in no message.
    if answer.status.as_u16() != 200 {
        return Err(odd(format!("status {}", answer.status.as_u16())));
    }
    let Ok(mut token) = serde_json::from_slice::<serde_json::Value>(&answer.body) else {
        return Ok(answer.body.clone());
    };
    if token.get("access_token").is_none() {
        return Ok(answer.body.clone());
    }
    let seconds = token.get("expires_in").map(|said| said.as_u64().ok_or(())).transpose();
    let seconds = seconds.map_err(|()| odd("a token whose lifetime is no number of seconds".to_owned()))?;
    if seconds.is_some_and(|seconds| seconds <= TOKEN_SECONDS_MAX) {
        return Ok(answer.body.clone());
    }
    token["expires_in"] = seconds.map_or(TOKEN_SECONDS, |_| TOKEN_SECONDS_MAX).into();
    serde_json::to_vec(&token).map_err(|_| odd("a token that cannot be written".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_asked_of_nobody_else_in_the_clear() {
        let sender = Sender {
            http: Http::new().unwrap(),
            deadline: Millis(1),
            instead: None,
            metadata: Some("metadata.of-the-cluster".to_owned()),
            trouble: Trouble::default(),
        };
        let goes = |text: &str| sender.is_kept_from_others(&Url::parse(text).unwrap());
        for near in [
            "https://sts.googleapis.com/v1/token",
            "http://127.0.0.1:9/token",
            "http://[::1]/token",
            "http://metadata.google.internal/computeMetadata/v1",
            "http://169.254.169.254/metadata/identity/oauth2/token",
            "http://metadata.of-the-cluster/computeMetadata/v1",
        ] {
            assert!(goes(near).is_ok(), "{near}");
        }
        for far in ["http://sts.googleapis.com/v1/token", "http://127.0.0.1.example/", "http://metadata/"] {
            let refused = goes(far).unwrap_err().to_string();
            assert!(refused.contains("over https") && refused.contains(far), "{refused}");
        }
    }
}

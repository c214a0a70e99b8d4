//! The client that calls to a store go through: the host's own, with no proxy from the environment and no redirects. What it is told is looked at before it
//! is believed, and what it is refused is kept in our own words.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, Result};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, RETRY_AFTER};

use crate::http::{ANSWER_BYTES_MAX, excerpt};
use crate::near::is_in_the_clear;

/// What an error is read of.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
/// The services of metadata, which give tokens and have no TLS.
const METADATA_HOSTS: [&str; 2] = ["169.254.169.254", "metadata.google.internal"];

/// The client of one store.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) client: reqwest::Client,
    /// Host and port of the store itself, which is called as it is configured; who gives tokens is not.
    pub(super) store: Arc<str>,
}

impl HttpConnector for Client {
    fn connect(&self, _options: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// Names in a list that no file can have.
#[derive(Debug, Clone, Default)]
pub(super) struct Odd(pub(super) Vec<String>);

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        self.is_kept_from_others(&request)?;
        let query = request.uri().query().unwrap_or_default();
        let list = query.split('&').find_map(|part| match part {
            "list-type=2" => Some(List::S3),
            "comp=list" => Some(List::Azure),
            _ => None,
        });
        let response = HttpService::call(&self.client, request).await.map_err(|error| told(broken(error)))?;
        let status = response.status();
        if status.is_success() && list.is_none() {
            // A file comes piece by piece.
            return Ok(response);
        }
        let (mut parts, body) = response.into_parts();
        if !status.is_success() {
            let wait = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let said = excerpt(&bounded(body, REFUSAL_BYTES_MAX).await.unwrap_or_default());
            return Err(told(Refused::Status { status: status.as_u16(), wait, said }));
        }
        let bytes = bounded(body, ANSWER_BYTES_MAX as usize).await.map_err(told)?;
        match list.and_then(|list| list.plain(&bytes)) {
            Some((text, odd)) => {
                parts.extensions.insert(Odd(odd));
                Ok(HttpResponse::from_parts(parts, text.into_bytes().into()))
            }
            None => Err(told(Refused::NoList { status: status.as_u16(), said: excerpt(&bytes) })),
        }
    }
}

impl Client {
    /// Refuses to give, or to ask for, what lets its holder in where others could listen.
    fn is_kept_from_others(&self, request: &HttpRequest) -> std::result::Result<(), HttpError> {
        let Ok(url) = Url::parse(&request.uri().to_string()) else { return Ok(()) };
        let is_store = request.uri().authority().is_some_and(|of| of.as_str() == &*self.store);
        let bearer = request.headers().get(AUTHORIZATION);
        let carries_token = bearer.is_some_and(|value| value.as_bytes().starts_with(b"Bearer "));
        if is_store && !carries_token {
            return Ok(());
        }
        if is_in_the_clear(&url, |host| METADATA_HOSTS.contains(&host)) {
            return Err(told(Refused::InTheClear { host: url.host_str().unwrap_or_default().to_owned() }));
        }
        Ok(())
    }
}

/// The form of a list.
#[derive(Clone, Copy)]
enum List {
    S3,
    Azure,
}

impl List {
    /// The list without the names that no file can have, and these; none if it is no list.
    fn plain(self, bytes: &[u8]) -> Option<(String, Vec<String>)> {
        let (root, entry, name) = match self {
            Self::S3 => ("<ListBucketResult", "Contents", "Key"),
            Self::Azure => ("<EnumerationResults", "Blob", "Name"),
        };
        let text = std::str::from_utf8(bytes).ok()?;
        let beginning: String = text.chars().take(1_000).collect();
        if !beginning.contains(root) {
            return None;
        }
        let (open, close) = (format!("<{entry}>"), format!("</{entry}>"));
        let (mut plain, mut odd) = (String::with_capacity(text.len()), Vec::new());
        let mut rest = text;
        while let Some(at) = rest.find(&open) {
            let end = rest[at..].find(&close)? + at + close.len();
            let named =
                between(&rest[at..end], &format!("<{name}>"), &format!("</{name}>")).unwrap_or_default();
            plain.push_str(&rest[..at]);
            if is_odd(named) {
                odd.push(named.to_owned());
            } else {
                plain.push_str(&rest[at..end]);
            }
            rest = &rest[end..];
        }
        plain.push_str(rest);
        Some((plain, odd))
    }
}

fn between<'t>(text: &'t str, open: &str, close: &str) -> Option<&'t str> {
    let from = text.find(open)? + open.len();
    let to = text[from..].find(close)? + from;
    Some(&text[from..to])
}

/// Whether a name, as XML has it, has parts that lead nowhere. A slash at the end is what consoles leave for a folder.
fn is_odd(name: &str) -> bool {
    let body = name.strip_suffix('/').unwrap_or(name);
    let escapes_control = |rest: &str| {
        let number = rest.split_once(';').map_or("", |(number, _)| number);
        let code = match number.strip_prefix('x') {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        code.is_ok_and(|code| char::from_u32(code).is_none_or(char::is_control))
    };
    body.split('/').any(|part| matches!(part, "" | "." | ".."))
        || name.contains(char::is_control)
        || name.split("&#").skip(1).any(escapes_control)
}

/// A store that goes on for ever fills no memory.
async fn bounded(body: HttpResponseBody, bytes_max: usize) -> std::result::Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    let mut pieces = body.bytes_stream();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece.map_err(broken)?);
        if bytes.len() > bytes_max {
            return Err(Refused::TooLarge);
        }
    }
    Ok(bytes)
}

fn broken(error: HttpError) -> Refused {
    match error.kind() {
        HttpErrorKind::Connect => Refused::NoConnection,
        kind => Refused::Broken { is_late: kind == HttpErrorKind::Timeout },
    }
}

/// Of a kind that the crate above does not try again.
fn told(refused: Refused) -> HttpError {
    HttpError::new(HttpErrorKind::Decode, refused)
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// Nobody was asked.
    NoConnection,
    /// The answer was not whole.
    Broken { is_late: bool },
    /// A status that does not mean success.
    Status {
        status: u16,
        /// Seconds, as `Retry-After` has them.
        wait: Option<u64>,
        said: String,
    },
    /// Success, and something else than a list.
    NoList { status: u16, said: String },
    /// More bytes than an answer may have.
    TooLarge,
    /// Others could have listened.
    InTheClear { host: String },
}

impl Refused {
    /// The one that lies beneath `error`, if there is one.
    pub(super) fn beneath(error: &object_store::Error) -> Option<&Self> {
        let mut next: Option<&(dyn Error + 'static)> = error.source();
        while let Some(cause) = next {
            if let Some(found) = cause.downcast_ref::<Self>() {
                return Some(found);
            }
            next = cause.source();
        }
        None
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection => f.write_str("there was no connection"),
            Self::Broken { is_late: true } => f.write_str("no answer came within the deadline"),
            Self::Broken { is_late: false } => f.write_str("it broke off before its answer was whole"),
            Self::Status { status, said, .. } => write!(f, "status {status}: {said}"),
            Self::NoList { status, said } => write!(f, "status {status} and no list of objects: {said}"),
            Self::TooLarge => write!(f, "the answer has more than {ANSWER_BYTES_MAX} bytes"),
            Self::InTheClear { host } => {
                write!(f, "tokens would go in the clear to `{}`", host.escape_debug())
            }
        }
    }
}

impl Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_file_can_have_are_taken_out_of_a_list_and_told() {
        let entry = |key: &str| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
        let list = |entries: &[&str]| {
            let entries: String = entries.iter().map(|key| entry(key)).collect();
            format!("<?xml version=\"1.0\"?><ListBucketResult><Name>b</Name>{entries}</ListBucketResult>")
        };
        let odd = ["a//b", "/a", "a/../b", "a/./b", "a\u{1b}b", "a&#x1b;b", "a&#10;b"];
        let good = ["a/b", "a/", "a b", ".names/x", "a&amp;b", "a&#x1f600;", "a&#39;b"];
        let all: Vec<&str> = odd.iter().chain(&good).copied().collect();
        let (plain, told) = List::S3.plain(list(&all).as_bytes()).unwrap();
        assert_eq!((plain, told), (list(&good), odd.map(str::to_owned).to_vec()));
        let blobs = b"\xef\xbb\xbf<?xml version=\"1.0\"?><EnumerationResults><Blobs><Blob><Name>a//b</Name></Blob></Blobs></EnumerationResults>";
        assert_eq!(List::Azure.plain(blobs).unwrap().1, ["a//b"]);
        assert!(List::S3.plain(b"<html>Sign in").is_none());
        assert!(List::S3.plain(b"<ListBucketResult><Contents><Key>a").is_none(), "it was cut");
    }

    #[test]
    fn tokens_go_to_nobody_in_the_clear() {
        let client = Client { client: reqwest::Client::new(), store: "minio.internal:9000".into() };
        let goes = |url: &str, token: bool| {
            let request = http_request(url, token);
            client.is_kept_from_others(&request).is_ok()
        };
        assert!(goes("http://minio.internal:9000/b/k", false), "a signature is no secret");
        assert!(!goes("http://minio.internal:9000/b/k", true));
        assert!(!goes("http://login.example/token", false), "neither is a token asked for so");
        for near in ["http://127.0.0.1:1/b", "http://169.254.169.254/metadata", "https://login.example/token"]
        {
            assert!(goes(near, true), "{near}");
        }
    }

    fn http_request(url: &str, token: bool) -> HttpRequest {
        let mut request = HttpRequest::new(Vec::<u8>::new().into());
        *request.uri_mut() = url.parse().unwrap();
        if token {
            request
                .headers_mut()
                .insert(AUTHORIZATION, reqwest::header::HeaderValue::from_static("Bearer x"));
        }
        request
    }
}

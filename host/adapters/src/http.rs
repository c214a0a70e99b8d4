//! Calls over HTTP: one client, deadlines, bounded answers, no redirects, no proxy from the environment, errors without credentials.

mod credentials;
mod glance;
mod patience;
mod stream;

pub(crate) use stream::Stream;

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use ripcord_core::digest::Digest;
use ripcord_core::foreign::Foreign;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError, Retry, waiting};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::secret::Secret;

pub(crate) use credentials::Credentials;
pub(crate) use patience::{Patience, patiently};

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const SHOWN_CHARS_MAX: usize = 200;
const RETRY_AFTER_MAX: Millis = Millis::hours(1);

/// The deadline of a call whose adapter is configured with none.
pub(crate) const DEADLINE_DEFAULT: Millis = Millis::seconds(10);

/// The size of an answer that is read at most, unless an adapter says otherwise.
pub(crate) const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// The shared client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    pooled: Client,
    fresh: Client,
}

impl Http {
    /// Makes the client, with ring as the cryptography of TLS.
    pub fn new() -> Result<Self, PortError> {
        // An error says that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let build = |idle_max: usize| {
            Client::builder()
                .user_agent(concat!("ripcord/", env!("CARGO_PKG_VERSION")))
                .no_proxy()
                // Another crate of this program has the client speak HTTP/2, too.
                .http1_only()
                .redirect(redirect::Policy::none())
                .referer(false)
                .connect_timeout(CONNECT_DEADLINE)
                .pool_max_idle_per_host(idle_max)
                .build()
                .map_err(|error| {
                    PortError::not_applied(
                        ErrorKind::Configuration,
                        "the HTTP client cannot be made: check the machine's TLS certificates",
                    )
                    .caused_by(error)
                })
        };
        Ok(Self { pooled: build(8)?, fresh: build(0)? })
    }

    /// For crates that send calls of their own.
    #[cfg(feature = "s3")]
    pub(crate) fn client(&self) -> Client {
        self.pooled.clone()
    }

    /// A call. Unless it is a GET, whose author did not say that it only reads ([`Call::only_reads`]) is believed to have an effect.
    pub(crate) fn call(&self, method: Method, url: &Url) -> Call {
        Call {
            what: format!("{method} {}", shown(url)),
            system: url.host_str().map_or_else(String::new, |host| match url.port_or_known_default() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            }),
            risk: if method.is_safe() { Risk::None } else { Risk::HasEffect },
            request: self.pooled.request(method, url.clone()),
            bytes_max: ANSWER_BYTES_MAX,
        }
        .deadline(DEADLINE_DEFAULT)
    }

    /// The same on a connection of its own, so that a balancer may choose another replica.
    pub(crate) fn call_anew(&self, method: Method, url: &Url) -> Call {
        let request = self.fresh.request(method.clone(), url.clone());
        Call { request, ..self.call(method, url) }.deadline(DEADLINE_DEFAULT)
    }
}

/// Reads a configured address below which calls go.
pub(crate) fn address(text: &str) -> Result<Url, PortError> {
    let mut url = page(text)?;
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// Reads a configured address to which calls go as it is.
pub(crate) fn page(text: &str) -> Result<Url, PortError> {
    let refused = |why: &str| {
        PortError::not_applied(
            ErrorKind::Configuration,
            format!("the address is {why}: write it as in `http://127.0.0.1:8080`"),
        )
    };
    let url = Url::parse(text).map_err(|error| refused(&format!("no URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused(&format!("of the scheme `{}`, which is not `http` or `https`", url.scheme())));
    }
    Ok(url)
}

/// The address of `path` under `base`; each part is escaped.
pub(crate) fn under(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    // Only addresses that cannot have a path refuse this, and `address` lets none of those pass.
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty().extend(path);
    }
    url
}

/// An address for people: without user, password, query and fragment, all of which may hold secrets.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// Refuses a query and a fragment where what people agree to says the address: neither is shown, so another one would go unseen. `key` is the setting.
pub(crate) fn is_shown_whole(key: &str, url: &Url) -> Result<(), PortError> {
    if url.query().is_none() && url.fragment().is_none() {
        return Ok(());
    }
    let text = format!(
        "`{key}` has a query or a fragment, which those who agree to a plan would not see: write the address without, and a secret as `token-file`, or as `password-file` with `user`"
    );
    Err(PortError::not_applied(ErrorKind::Configuration, text))
}

/// An address that is only compared, in memory: two are the same text where they are one place, their queries among it. None of a query is in it.
pub(crate) fn compared(url: &Url) -> String {
    // Who asks makes no other place of it.
    let mut place = url.clone();
    let _ = place.set_username("");
    let _ = place.set_password(None);
    place.set_fragment(None);
    format!("{} (sha256 {})", shown(url), Digest::of(place.as_str()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Risk {
    None,
    HasEffect,
}

/// A call that was not sent yet.
#[derive(Debug)]
pub(crate) struct Call {
    what: String,
    system: String,
    request: RequestBuilder,
    bytes_max: u64,
    risk: Risk,
}

impl Call {
    /// Until the last byte of the answer.
    pub(crate) fn deadline(mut self, deadline: Millis) -> Self {
        self.request = self.request.timeout(Duration::from_millis(deadline.0));
        self
    }

    /// Marks a call that must not be repeated while its outcome is unknown.
    pub(crate) fn has_effect(mut self) -> Self {
        self.risk = Risk::HasEffect;
        self
    }

    /// Says of a call that is no GET that it changes nothing, or nothing that anybody waits for.
    pub(crate) fn only_reads(mut self) -> Self {
        self.risk = Risk::None;
        self
    }

    /// Who is called, as people name it. Default: host and port.
    pub(crate) fn of(mut self, system: &str) -> Self {
        system.clone_into(&mut self.system);
        self
    }

    pub(crate) fn answer_bytes_max(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// A body that is sent as it comes; nobody sends it again.
    pub(crate) fn body(mut self, body: reqwest::Body) -> Self {
        self.request = self.request.body(body);
        self
    }

    pub(crate) fn form(mut self, body: &impl Serialize) -> Self {
        self.request = self.request.form(body);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// A header that is a secret: it is in no debug text. One that no header can hold is left out.
    pub(crate) fn secret_header(mut self, name: &'static str, value: &Secret) -> Self {
        if let Ok(mut value) = reqwest::header::HeaderValue::from_str(value.expose()) {
            value.set_sensitive(true);
            self.request = self.request.header(name, value);
        }
        self
    }

    /// Headers as somebody else has made them.
    #[cfg(any(feature = "aws", feature = "google"))]
    pub(crate) fn headers(mut self, headers: HeaderMap) -> Self {
        self.request = self.request.headers(headers);
        self
    }

    pub(crate) fn bearer(mut self, token: Option<&Secret>) -> Self {
        if let Some(token) = token {
            // `bearer_auth` marks the header as sensitive, so that it is in no debug text.
            self.request = self.request.bearer_auth(token.expose());
        }
        self
    }

    pub(crate) fn credentials(mut self, credentials: &Credentials) -> Self {
        self.request = credentials.put(self.request);
        self
    }

    /// Sends it. An answer that does not mean success is an error.
    pub(crate) async fn send(self) -> Result<Answer, PortError> {
        self.exchange().await?.successful()
    }

    /// Sends it and gives the answer, whatever it means.
    pub(crate) async fn exchange(self) -> Result<Answer, PortError> {
        let Self { what, system, request, bytes_max, risk } = self;
        let exchanged = waiting::for_system(&system, async {
            let response = request.send().await.map_err(|error| broken(&what, error, risk))?;
            Answer::read(what, response, bytes_max, risk).await
        })
        .await;
        waiting::answered(&system, trouble(&exchanged));
        exchanged
    }
}

/// Why a system is not there, if it is not: no connection, no answer, or a proxy's word that there is nobody behind it.
fn trouble(exchanged: &Result<Answer, PortError>) -> Option<String> {
    match exchanged {
        Err(error) => Some(error.to_string()),
        Ok(answer) if matches!(answer.status.as_u16(), 502..=504) => Some(answer.error().to_string()),
        Ok(_) => None,
    }
}

/// A header as text, where it is there and is text.
fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

async fn read_body(
    mut response: Response,
    bytes_max: u64,
    what: &str,
    risk: Risk,
) -> Result<Vec<u8>, PortError> {
    let too_large = || {
        marked(
            PortError::not_applied(
                ErrorKind::TooLarge,
                format!("{what} answered with more than {bytes_max} bytes: ask for less, or raise the limit"),
            ),
            risk,
        )
    };
    if response.content_length().is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(what, error, risk))? {
        if (body.len() + chunk.len()) as u64 > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn marked(error: PortError, risk: Risk) -> PortError {
    match risk {
        Risk::HasEffect => error.outcome_unknown(),
        Risk::None => error,
    }
}

fn broken(what: &str, error: reqwest::Error, risk: Risk) -> PortError {
    let error = error.without_url();
    if error.is_builder() {
        return PortError::not_applied(
            ErrorKind::Configuration,
            format!("{what} cannot be sent: check the address and the credentials"),
        )
        .caused_by(error);
    }
    if error.is_connect() {
        let kind = if error.is_timeout() { ErrorKind::TimedOut } else { ErrorKind::Unreachable };
        return PortError::not_applied(
            kind,
            format!("{what} found no connection: check that the system runs and that its address is right"),
        )
        .caused_by(error);
    }
    let error = if error.is_timeout() {
        PortError::not_applied(ErrorKind::TimedOut, format!("{what} did not answer within its deadline"))
            .caused_by(error)
    } else {
        PortError::not_applied(
            ErrorKind::Unreachable,
            format!("{what} broke off before its answer was whole"),
        )
        .caused_by(error)
    };
    marked(error, risk)
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    what: String,
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    content_type: Option<String>,
    location: Option<String>,
    retry_after: Option<Millis>,
    pub(crate) body: Vec<u8>,
    risk: Risk,
}

impl Answer {
    async fn read(what: String, response: Response, bytes_max: u64, risk: Risk) -> Result<Self, PortError> {
        let status = response.status();
        let headers = response.headers();
        let content_type = header(headers, &reqwest::header::CONTENT_TYPE).map(str::to_owned);
        let location = header(headers, &reqwest::header::LOCATION).map(str::to_owned);
        let retry_after = patience::asked_for(header(headers, &RETRY_AFTER), header(headers, &DATE));
        let headers = headers.clone();
        let body = read_body(response, bytes_max, &what, risk).await?;
        Ok(Self { what, status, headers, content_type, location, retry_after, body, risk })
    }

    /// The answer, or the error that its status stands for.
    pub(crate) fn successful(self) -> Result<Self, PortError> {
        if self.status.is_success() { Ok(self) } else { Err(self.error()) }
    }

    /// The error that its status stands for.
    pub(crate) fn error(&self) -> PortError {
        let Self { what, status, .. } = self;
        let number = status.as_u16();
        if status.is_redirection() {
            let place = self.location.as_deref().and_then(|text| Url::parse(text).ok());
            let place = place.map_or_else(String::new, |url| format!(" to `{}`", shown(&url)));
            let text = format!(
                "{what} answered {number}, a redirect{place}: redirects are not followed; configure the final address"
            );
            let error = PortError::not_applied(ErrorKind::Failed, text).retry(Retry::No);
            // Only these two say that the call was for somebody else. After a form, a redirect leads to what was made.
            return if matches!(number, 307 | 308) { error } else { marked(error, self.risk) };
        }
        let kind = match number {
            401 | 403 => ErrorKind::Denied,
            404 => ErrorKind::NotFound,
            408 | 504 => ErrorKind::TimedOut,
            413 => ErrorKind::TooLarge,
            _ => ErrorKind::Failed,
        };
        let error = PortError::not_applied(kind, format!("{what} answered {number}: {}", self.excerpt()));
        let error = match (number, self.retry_after) {
            (429 | 503, Some(wait)) => error.retry(Retry::After(wait.min(RETRY_AFTER_MAX))),
            (408 | 425 | 429, _) => error.retry(Retry::Later),
            (400..500, _) => error.retry(Retry::No),
            _ => error,
        };
        if status.is_server_error() && number != 501 { marked(error, self.risk) } else { error }
    }

    /// The answer as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, PortError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let kind = self.content_type.as_deref().unwrap_or("no content type");
            let unreadable = PortError::not_applied(
                ErrorKind::BadAnswer,
                format!(
                    "{} answered with `{kind}` that is not the JSON expected here: {}",
                    self.what,
                    self.excerpt()
                ),
            );
            marked(unreadable, self.risk).caused_by(error)
        })
    }

    /// One of its headers, where it is there and is text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        header(&self.headers, name)
    }

    /// All of its headers of that name that are text.
    pub(crate) fn headers(&self, name: &HeaderName) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// After how long it wants to be asked again, where it says so.
    pub(crate) fn retry_after(&self) -> Option<Millis> {
        self.retry_after
    }

    /// What was asked, of whom.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Of what kind it says to be.
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The beginning of the answer, on one line.
    pub(crate) fn excerpt(&self) -> String {
        excerpt(&self.body)
    }
}

/// Words with one space between them: the layout of a page or of a program's output means nothing within a sentence.
pub(crate) fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The beginning of what a system said, on one line.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    if text.is_empty() {
        return "(nothing)".to_owned();
    }
    format!("`{}`", Foreign::new(&on_one_line(text)).at_most(SHOWN_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_addresses_are_not_shown() {
        let url = address("http://user:hunter2@127.0.0.1:9/api?token=hunter2#hunter2").unwrap();
        assert_eq!(shown(&url), "http://127.0.0.1:9/api/");
        assert_eq!(shown(&under(&url, &["models", "a/b c"])), "http://127.0.0.1:9/api/models/a%2Fb%20c");
    }

    #[test]
    fn addresses_are_compared_with_their_queries_and_without_credentials() {
        let of = |text: &str| compared(&page(text).unwrap());
        assert_ne!(of("http://a/limits?tenant=a"), of("http://a/limits?tenant=b"));
        assert_ne!(of("http://a/limits?tenant=a"), of("http://a/limits"));
        assert_eq!(of("http://ada:hunter2@a/limits?tenant=a#x"), of("http://a/limits?tenant=a"));
        assert!(!of("http://a/limits?token=hunter2").contains("hunter2"));
    }

    /// What a server answers to one call, or that it breaks off.
    async fn answered(answer: &str, call: impl FnOnce(&Http, &Url) -> Call) -> PortError {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = address(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let serve = async {
            let (mut peer, _) = listener.accept().await.unwrap();
            let _ = peer.read(&mut [0; 4096]).await.unwrap();
            peer.write_all(answer.as_bytes()).await.unwrap();
        };
        let sent = call(&Http::new().unwrap(), &url).send();
        tokio::join!(sent, serve).0.unwrap_err()
    }

    #[tokio::test]
    async fn a_call_whose_author_said_nothing_may_have_had_its_effect() {
        use ripcord_ports::Applied;
        let failed = "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
        let see_other = "HTTP/1.1 303 See Other\r\nlocation: /made/7\r\ncontent-length: 0\r\n\r\n";
        let moved = "HTTP/1.1 308 Moved\r\nlocation: /v2\r\ncontent-length: 0\r\n\r\n";
        let refused = "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n";
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
        let post = |http: &Http, url: &Url| http.call(Method::POST, url);
        for (answer, applied) in [
            (failed, Applied::Unknown),
            (see_other, Applied::Unknown),
            (cut, Applied::Unknown),
            ("", Applied::Unknown),
            (moved, Applied::No),
            (refused, Applied::No),
        ] {
            let error = answered(answer, post).await;
            assert_eq!(error.applied, applied, "{answer}: {error}");
        }
        for answer in [failed, see_other, cut, ""] {
            let read = answered(answer, |http, url| http.call(Method::POST, url).only_reads()).await;
            let got = answered(answer, |http, url| http.call(Method::GET, url)).await;
            assert_eq!((read.applied, got.applied), (Applied::No, Applied::No), "{answer}: {read}, {got}");
        }
    }

    #[test]
    fn addresses_of_other_kinds_are_refused() {
        for text in ["", "127.0.0.1:8080", "ftp://x/", "file:///etc/passwd", "http://"] {
            assert_eq!(address(text).unwrap_err().kind, ErrorKind::Configuration, "{text}");
        }
    }
}

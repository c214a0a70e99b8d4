//! A host, as people ask it: one that runs and is reached over HTTP, or one that this process runs for a single command.

pub(crate) mod asked;
pub(crate) mod contexts;
mod questions;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

use crate::http::Problem;
use crate::output::{Exit, Failure};

pub use asked::NotWhatWasAsked;
pub use questions::Live;

/// Longer than the host lets anyone wait.
const DEADLINE: Duration = Duration::from_secs(75);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// A host to ask.
#[derive(Clone)]
pub struct Client {
    door: Door,
    token: Option<String>,
}

#[derive(Clone)]
enum Door {
    Remote { http: reqwest::Client, base: Url },
    Local(Router),
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.door {
            Door::Remote { base, .. } => write!(f, "Client({base})"),
            Door::Local(_) => f.write_str("Client(this process)"),
        }
    }
}

/// Why a host did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the address.
    #[error("no host answers at `{url}`")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        cause: reqwest::Error,
    },
    /// The connection broke, or the host was too slow: what was asked may have been done.
    #[error("the host at `{url}` did not answer to the end: it may have done what was asked")]
    Broken {
        /// Where.
        url: String,
        /// Why.
        #[source]
        cause: reqwest::Error,
    },
    /// The host said no.
    #[error("{}", .0.detail)]
    Refused(Problem),
    /// Something else answers there.
    #[error("what answers at `{url}` is not a Ripcord host: {reason}")]
    NotAHost {
        /// Where.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The answer is about something else than what was asked.
    #[error("what answers at `{url}` is not believed: {what}")]
    NotWhatWasAsked {
        /// Where.
        url: String,
        /// What is wrong with the answer.
        #[source]
        what: NotWhatWasAsked,
    },
}

impl ClientError {
    /// Whether nobody listens there.
    pub fn is_refused_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let (exit, help) = match &error {
            ClientError::Unreachable { .. } => (
                Exit::Failed,
                Some(
                    "start it with `ripcord serve`, or correct its address: `public-url` in the configuration, `--host`, or `ripcord login URL`",
                ),
            ),
            ClientError::Broken { .. } => {
                (Exit::Failed, Some("look with `ripcord status` before you ask again"))
            }
            ClientError::NotWhatWasAsked { .. } => (
                Exit::Failed,
                Some("nothing was signed; ask on the host's own machine, and find out who answers there"),
            ),
            ClientError::NotAHost { .. } => (
                Exit::Usage,
                Some(
                    "correct its address: `public-url` in the configuration, `--host`, or `ripcord login URL`",
                ),
            ),
            ClientError::Refused(problem) => match problem.status {
                401 => (
                    Exit::Refused,
                    Some(
                        "set `RIPCORD_TOKEN` or give `--token-file` with your token, or `ripcord login URL`",
                    ),
                ),
                403 => (Exit::Refused, None),
                400 | 404 => (Exit::Usage, None),
                _ => (Exit::Failed, None),
            },
        };
        let failure = Self::of(exit, error);
        match help {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

impl Client {
    /// A host that runs at `url`.
    ///
    /// # Errors
    /// The address is none.
    pub fn remote(url: &str, token: Option<String>) -> Result<Self, Failure> {
        let not_an_address = || {
            Failure::usage(format!(
                "`{url}` is not the address of a host, such as `https://ripcord.example` or `http://127.0.0.1:8787`"
            ))
        };
        let mut base = Url::parse(url).map_err(|_| not_an_address())?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(not_an_address());
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        // An error says that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("ripcord/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(DEADLINE)
            .build()
            .map_err(|error| Failure::failed("the HTTP client cannot be made").because(error))?;
        Ok(Self { door: Door::Remote { http, base }, token })
    }

    /// A host within this process.
    pub fn local(router: Router, token: Option<String>) -> Self {
        Self { door: Door::Local(router), token }
    }

    /// Whether a token would go to another machine unencrypted.
    pub fn token_is_exposed(&self) -> bool {
        match &self.door {
            Door::Remote { base, .. } => {
                self.token.is_some() && base.scheme() == "http" && !is_this_machine(base)
            }
            Door::Local(_) => false,
        }
    }

    /// Whether the person has a token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The same host, asked by someone who carries no token: a signature must say who it is.
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self { door: self.door.clone(), token: None }
    }

    /// Reads. What may be read, and how the answer is held against the question, is in `questions`.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, None).await
    }

    /// Asks for something.
    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        // Bodies have text keys only, so they have a JSON form.
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, ClientError> {
        let (status, bytes) = match &self.door {
            Door::Remote { http, base } => self.send(http, base, method, path, body).await?,
            Door::Local(router) => self.hand_over(router, method, path, body).await,
        };
        let not_a_host = |reason: String| ClientError::NotAHost { url: self.place(), reason };
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| not_a_host(error.to_string()));
        }
        Err(match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => ClientError::Refused(problem),
            Err(_) => not_a_host(format!("it answered {status}")),
        })
    }

    fn place(&self) -> String {
        match &self.door {
            Door::Remote { base, .. } => base.to_string(),
            Door::Local(_) => "this process".to_owned(),
        }
    }

    async fn send(
        &self,
        http: &reqwest::Client,
        base: &Url,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let url = base
            .join(&format!("api/v1/{path}"))
            .map_err(|error| ClientError::NotAHost { url: base.to_string(), reason: error.to_string() })?;
        let mut request = http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        // Addresses may hold a password, so they are not repeated from the error.
        let failed = |cause: reqwest::Error| {
            let (url, cause) = (base.to_string(), cause.without_url());
            if cause.is_connect() {
                ClientError::Unreachable { url, cause }
            } else {
                ClientError::Broken { url, cause }
            }
        };
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MAX {
                let reason = format!("it answered more than {ANSWER_BYTES_MAX} bytes");
                return Err(ClientError::NotAHost { url: base.to_string(), reason });
            }
        }
        Ok((status, bytes))
    }

    async fn hand_over(
        &self,
        router: &Router,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> (StatusCode, Vec<u8>) {
        let mut request = axum::http::Request::builder().method(method).uri(format!("/api/v1/{path}"));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let Ok(request) = request.body(body.map_or_else(Body::empty, Body::from)) else {
            // A token with a line break is nobody's.
            return (StatusCode::UNAUTHORIZED, Vec::new());
        };
        let Ok(response) = router.clone().oneshot(request).await;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), ANSWER_BYTES_MAX).await;
        (status, bytes.map(Vec::from).unwrap_or_default())
    }
}

/// Whether an address leads to the machine that asks.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Json;
    use axum::routing::get;
    use serde_json::{Value, json};

    fn said(error: ClientError) -> String {
        let failure = Failure::from(error);
        let json = failure.json();
        let [message, help] = ["message", "help"].map(|key| json[key].as_str().unwrap_or("-").to_owned());
        format!("{} {message} ({help})", failure.exit.code())
    }

    async fn ask(router: Router) -> ClientError {
        Client::local(router, None).get::<Vec<u8>>("services").await.expect_err("refused")
    }

    fn problem(status: StatusCode, detail: &str) -> Router {
        let problem = Problem::new(status, "word", detail);
        Router::new().route("/api/v1/services", get(async move || problem))
    }

    #[tokio::test]
    async fn refusals_say_what_to_do() {
        let refused = |status, detail: &str| ask(problem(status, detail));
        insta::assert_snapshot!(
            said(refused(StatusCode::UNAUTHORIZED, "no token was given").await),
            @"4 no token was given (set `RIPCORD_TOKEN` or give `--token-file` with your token, or `ripcord login URL`)"
        );
        insta::assert_snapshot!(said(refused(StatusCode::FORBIDDEN, "not yours").await), @"4 not yours (-)");
        insta::assert_snapshot!(said(refused(StatusCode::NOT_FOUND, "no such service").await), @"2 no such service (-)");
        insta::assert_snapshot!(said(refused(StatusCode::CONFLICT, "it is settled").await), @"1 it is settled (-)");
    }

    #[tokio::test]
    async fn other_servers_are_not_taken_for_a_host() {
        let odd = Router::new().route("/api/v1/services", get(async || Json(json!({ "hello": 1 }))));
        assert!(said(ask(odd).await).starts_with("2 what answers at `this process` is not a Ripcord host"));
        let empty = Router::new().route("/api/v1/services", get(async || StatusCode::BAD_GATEWAY));
        assert!(said(ask(empty).await).contains("it answered 502"));
    }

    #[tokio::test]
    async fn an_address_without_a_listener_is_told_apart() {
        // Bound and dropped: nobody listens there now.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        drop(listener);
        let error =
            Client::remote(&url, None).expect("url").get::<Value>("services").await.expect_err("nobody");
        assert!(error.is_refused_connection());
        assert!(said(error).starts_with(&format!("1 no host answers at `{url}/` (start it with")));
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for url in ["", "127.0.0.1:8787", "ftp://127.0.0.1", "mailto:a@b"] {
            assert_eq!(Client::remote(url, None).expect_err(url).exit, Exit::Usage);
        }
    }
}

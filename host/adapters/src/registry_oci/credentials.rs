//! Who the registry is told that asks. It says itself what it wants to hear, in the challenge of a 401: a password (basic), or a token of a token endpoint, which
//! is asked for it, with the password where there is one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http_auth::ChallengeRef;
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Method, Url};
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError};

use super::wire::Tokens;
use crate::http::{self, Answer, Call, Credentials, Http};
use crate::secret::Secret;

const TOKEN_BYTES_MAX: u64 = 1 << 20;

/// What a call is allowed to do, as the scope of a token has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Pull,
    Push,
}

impl Action {
    fn scope(self, repository: &str) -> String {
        let actions = match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        };
        format!("repository:{repository}:{actions}")
    }
}

/// What was sent with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    Nothing,
    Password,
    /// That was configured.
    Token,
    /// Of the token endpoint.
    OfEndpoint(Secret),
}

#[derive(Debug, Default)]
struct Learned {
    wants_password: bool,
    tokens: HashMap<Action, Secret>,
}

/// The configured account, and what the registry wanted of it so far.
#[derive(Debug)]
pub(super) struct Account {
    http: Http,
    registry: Url,
    repository: String,
    credentials: Credentials,
    tokens_from: Vec<String>,
    deadline: Millis,
    learned: Mutex<Learned>,
    /// One asks for a token at a time: the others take what it was given.
    asking: tokio::sync::Mutex<()>,
}

impl Account {
    pub(super) fn new(
        http: Http,
        (registry, repository): (Url, String),
        credentials: Credentials,
        tokens_from: Vec<String>,
        deadline: Millis,
    ) -> Self {
        Self {
            http,
            registry,
            repository,
            credentials,
            tokens_from,
            deadline,
            learned: Mutex::default(),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    /// Whether there is an account, or everybody is told that nobody asks.
    pub(super) fn is_anonymous(&self) -> bool {
        matches!(self.credentials, Credentials::None)
    }

    /// Puts into a call what the registry is known to want.
    pub(super) fn put(&self, call: Call, action: Action) -> (Call, Sent) {
        if let Credentials::Bearer(_) = &self.credentials {
            return (call.credentials(&self.credentials), Sent::Token);
        }
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = learned.tokens.get(&action) {
            return (call.bearer(Some(token)), Sent::OfEndpoint(token.clone()));
        }
        if learned.wants_password {
            return (call.credentials(&self.credentials), Sent::Password);
        }
        (call, Sent::Nothing)
    }

    /// Learns from a 401 what the registry wants. Whether there is something to send that was not sent.
    pub(super) async fn learn(
        &self,
        refused: &Answer,
        sent: &Sent,
        action: Action,
    ) -> Result<bool, PortError> {
        let header = refused.header(&WWW_AUTHENTICATE).unwrap_or_default();
        let challenges = http_auth::parse_challenges(header).unwrap_or_default();
        let of = |scheme: &str| challenges.iter().find(|one| one.scheme.eq_ignore_ascii_case(scheme));
        if matches!(self.credentials, Credentials::Bearer(_)) {
            return Ok(false);
        }
        if let Some(bearer) = of("bearer") {
            let _one_at_a_time = self.asking.lock().await;
            let known =
                self.learned.lock().unwrap_or_else(PoisonError::into_inner).tokens.get(&action).cloned();
            if let Some(known) = known
                && *sent != Sent::OfEndpoint(known)
            {
                return Ok(true);
            }
            let token = self.token(bearer, action).await?;
            self.learned.lock().unwrap_or_else(PoisonError::into_inner).tokens.insert(action, token);
            return Ok(true);
        }
        if of("basic").is_some() && *sent != Sent::Password && !self.is_anonymous() {
            self.learned.lock().unwrap_or_else(PoisonError::into_inner).wants_password = true;
            return Ok(true);
        }
        Ok(false)
    }

    async fn token(&self, challenge: &ChallengeRef<'_>, action: Action) -> Result<Secret, PortError> {
        let parameter = |name: &str| {
            let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let mut url = self.realm(&parameter("realm").unwrap_or_default())?;
        let place = http::shown(&url);
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = parameter("service") {
                query.append_pair("service", &service);
            }
            query.append_pair("scope", &parameter("scope").unwrap_or_else(|| action.scope(&self.repository)));
        }
        let call = self.http.call(Method::GET, &url).of("the registry's token endpoint");
        let call = call.deadline(self.deadline).answer_bytes_max(TOKEN_BYTES_MAX);
        let answer = call.credentials(&self.credentials).exchange().await?;
        if !answer.status.is_success() {
            let error = answer.error();
            return Err(match (error.kind, self.is_anonymous()) {
                (ErrorKind::Denied, true) => PortError::not_applied(
                    ErrorKind::Denied,
                    format!(
                        "the token endpoint `{place}` gives nobody a token without an account: {error}; configure `user` and `password-file`"
                    ),
                ),
                (ErrorKind::Denied, false) => PortError::not_applied(
                    ErrorKind::Denied,
                    format!(
                        "the token endpoint `{place}` does not know the account: {error}; check `user` and what `password-file` or `password-env` names"
                    ),
                ),
                _ => error,
            });
        }
        let tokens: Tokens = answer.json()?;
        let token = if tokens.token.is_empty() { tokens.access_token } else { tokens.token };
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let text = format!("the token endpoint `{place}` answered without a token: check that it is one");
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        Ok(Secret::new(token))
    }

    /// The token endpoint that the registry names, if the password may go there: what a server answers does not decide who is told it.
    fn realm(&self, realm: &str) -> Result<Url, PortError> {
        let refused = |why: String| Err(PortError::not_applied(ErrorKind::Configuration, why));
        let Some(url) = http::page(realm).ok() else {
            let shown: String = realm.chars().take(200).collect();
            return Err(PortError::not_applied(
                ErrorKind::BadAnswer,
                format!(
                    "the registry wants a token and names no endpoint for it, but `{}`",
                    shown.escape_debug()
                ),
            ));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refused("the registry names a token endpoint with a user or a password in its address, which is not asked".into());
        }
        if url.origin() == self.registry.origin() {
            return Ok(url);
        }
        let named = self.tokens_from.iter().any(|known| *known == authority(&url));
        if named && is_as_safe(&url, &self.registry) {
            return Ok(url);
        }
        refused(format!(
            "the registry has tokens given at `{}`, which is not its own address: if that is right, add `{}` to `tokens-from`; it is asked over https, or over http where the registry is",
            http::shown(&url),
            authority(&url).escape_debug()
        ))
    }
}

/// Host and port of an address, as they are configured: without the port where it is the usual one.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether what goes to `url` is hidden from the network at least as well as what goes to `registry`.
pub(super) fn is_as_safe(url: &Url, registry: &Url) -> bool {
    url.scheme() == "https" || registry.scheme() == "http"
}

//! Who a system is told that asks.

use reqwest::RequestBuilder;
use ripcord_ports::{ErrorKind, PortError};

use crate::secret::Secret;

/// Sent with every call to the system that they were configured for, and to no other.
#[derive(Debug, Clone)]
pub(crate) enum Credentials {
    /// Nobody.
    None,
    /// `Authorization: Bearer`.
    Bearer(Secret),
    /// `Authorization: Basic`.
    Basic {
        /// The account's name.
        user: String,
        /// Its password.
        password: Secret,
    },
}

impl Credentials {
    /// From what is configured: the password of a user, or else a bearer token.
    pub(crate) fn of(user: Option<String>, secret: Option<Secret>) -> Result<Self, PortError> {
        match (user, secret) {
            (Some(user), Some(password)) => Ok(Self::Basic { user, password }),
            (Some(user), None) => Err(PortError::not_applied(
                ErrorKind::Configuration,
                format!(
                    "`user` is `{user}` and its password is missing: add `password-file` or `password-env`"
                ),
            )),
            (None, Some(token)) => Ok(Self::Bearer(token)),
            (None, None) => Ok(Self::None),
        }
    }

    /// Both ways mark the header as sensitive, so that it is in no debug text.
    pub(super) fn put(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Bearer(token) => request.bearer_auth(token.expose()),
            Self::Basic { user, password } => request.basic_auth(user, Some(password.expose())),
        }
    }
}

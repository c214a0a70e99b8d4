//! Who a system is told that asks.

use reqwest::RequestBuilder;

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
    /// Both ways mark the header as sensitive, so that it is in no debug text.
    pub(super) fn put(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Bearer(token) => request.bearer_auth(token.expose()),
            Self::Basic { user, password } => request.basic_auth(user, Some(password.expose())),
        }
    }
}

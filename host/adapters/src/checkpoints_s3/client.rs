//! The client that calls go through: the host's own, with no proxy from the environment and no redirects. What it is told is looked at before it is believed:
//! the crate above takes any page for a list without entries.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use futures_util::StreamExt;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, Result};
use ripcord_ports::{ErrorKind, PortError, Retry};

use crate::http::{ANSWER_BYTES_MAX, excerpt};

#[derive(Debug)]
pub(crate) struct OwnClient(pub(crate) reqwest::Client);

impl HttpConnector for OwnClient {
    fn connect(&self, _options: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(Self(self.0.clone())))
    }
}

#[async_trait]
impl HttpService for OwnClient {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let query = request.uri().query().unwrap_or_default();
        let lists = query.split('&').any(|part| part == "list-type=2");
        let response = HttpService::call(&self.0, request).await?;
        let status = response.status().as_u16();
        let succeeded = response.status().is_success();
        if succeeded && !lists {
            // A file comes piece by piece.
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let bytes = bounded(body).await?;
        match status {
            401 | 403 if lists => Err(Refused::new(ErrorKind::Denied, status, &bytes)),
            404 if lists => Err(Refused::new(ErrorKind::NotFound, status, &bytes)),
            _ if succeeded && !is_list(&bytes) => Err(Refused::new(ErrorKind::BadAnswer, status, &bytes)),
            _ => Ok(HttpResponse::from_parts(parts, bytes.into())),
        }
    }
}

/// A store that goes on for ever fills no memory.
async fn bounded(body: HttpResponseBody) -> std::result::Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::new();
    let mut pieces = body.bytes_stream();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() as u64 > ANSWER_BYTES_MAX {
            return Err(Refused::new(ErrorKind::TooLarge, 200, b""));
        }
    }
    Ok(bytes)
}

fn is_list(bytes: &[u8]) -> bool {
    let root = b"<ListBucketResult";
    bytes.windows(root.len()).take(1_000).any(|window| window == root)
}

/// Why an answer is none.
#[derive(Debug)]
pub(crate) struct Refused {
    kind: ErrorKind,
    text: String,
}

impl Refused {
    #[allow(clippy::new_ret_no_self, reason = "it is only seen as the cause of another")]
    fn new(kind: ErrorKind, status: u16, body: &[u8]) -> HttpError {
        let text = match kind {
            ErrorKind::TooLarge => format!("the answer has more than {ANSWER_BYTES_MAX} bytes"),
            ErrorKind::BadAnswer => format!("status {status} and no list of keys: {}", excerpt(body)),
            _ => format!("status {status}: {}", excerpt(body)),
        };
        // Of a kind that is not tried again at once.
        HttpError::new(HttpErrorKind::Decode, Self { kind, text })
    }

    /// The one that lies beneath `error`, if there is one.
    pub(crate) fn beneath(error: &object_store::Error) -> Option<&Self> {
        let mut next: Option<&(dyn Error + 'static)> = error.source();
        while let Some(cause) = next {
            if let Some(found) = cause.downcast_ref::<Self>() {
                return Some(found);
            }
            next = cause.source();
        }
        None
    }

    /// For programs.
    #[cfg(feature = "aws")]
    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// `doing` begins the sentence: `cannot list …`.
    pub(crate) fn told(&self, doing: &str) -> PortError {
        let advice = match self.kind {
            ErrorKind::NotFound => "check `bucket`",
            ErrorKind::Denied => {
                "check the key and its secret, this machine's time, and that the key may list and read the bucket"
            }
            _ => "something before the store answers in its place, or it is none: check `endpoint`",
        };
        let error = PortError::not_applied(self.kind, format!("{doing}: {}; {advice}", self.text));
        if self.kind == ErrorKind::BadAnswer { error.retry(Retry::Later) } else { error }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Refused {}

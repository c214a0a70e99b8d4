use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::folder::Broken;
use crate::decision::ConfigError;
use crate::error::with_causes;

/// A request that is answered with an error: a status and a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Well-formed, and nothing that can be done.
    pub(super) fn unusable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    pub(super) fn config(error: &ConfigError) -> Self {
        Self::unusable(format!("the decision configuration stays as it is: {}", with_causes(error)))
    }

    pub(super) fn changed_meanwhile(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, message)
    }

    /// The body could not be taken in, for instance because it is too large.
    pub(super) fn body(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, message)
    }

    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn no_model(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("Model {name} not found"))
    }

    pub(super) fn no_model_version(name: &str, version: Option<&str>) -> Self {
        match version {
            None => Self::no_model(name),
            Some(version) => {
                Self::new(StatusCode::NOT_FOUND, format!("Model {name} with version {version} not found"))
            }
        }
    }

    pub(super) fn broken(broken: &Broken) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, with_causes(broken))
    }

    pub(super) fn repository(error: std::io::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the model repository cannot be read: {error}"))
    }

    pub(super) fn internal(error: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(Body { error: &self.message })).into_response()
    }
}

//! `GET /openapi.json`: what the host can be asked and what it answers, for programs that write clients.
//!
//! The document is written by hand, for it says what the types do not: who may ask, and what the answer means. The suite `http` holds every answer
//! that it sees against it, and the list of routes against its paths.

use axum::http::header;
use axum::response::IntoResponse;

const DOCUMENT: &str = include_str!("openapi.json");

/// The document as it is compiled in.
pub(crate) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

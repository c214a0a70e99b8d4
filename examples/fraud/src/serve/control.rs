//! What operators ask of the server: which decision configuration is in force, another one, the safe mode.

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::IntoResponse;
use serde::Serialize;

use super::mode::{ModeDocument, Tagged};
use super::refusal::Refusal;
use super::routes::{App, Body, blocking, bytes};
use crate::decision::{DecisionConfig, InForce};

/// The decision configuration in force.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    revision: String,
    sha256: String,
    config: DecisionConfig,
}

impl Told {
    fn of(in_force: &InForce) -> Self {
        let revision = in_force.revision().to_owned();
        Self { revision, sha256: in_force.sha256.clone(), config: in_force.config.clone() }
    }
}

pub(super) async fn config(Shared(state): App) -> Result<Json<Told>, Refusal> {
    state.decisions.told().map(|in_force| Json(Told::of(&in_force)))
}

pub(super) async fn reload(Shared(state): App) -> Result<Json<Told>, Refusal> {
    blocking(state, |state| {
        let in_force = state.decisions.reload(|in_force| state.metrics.configured(in_force))?;
        Ok(Json(Told::of(&in_force)))
    })
    .await
}

pub(super) async fn mode(Shared(state): App) -> impl IntoResponse {
    answer(state.mode.tagged())
}

pub(super) async fn set_mode(
    Shared(state): App,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Refusal> {
    let ModeDocument { mode } = ModeDocument::parse(&bytes(body)?)?;
    let if_match = headers.get(header::IF_MATCH).map(|value| match value.to_str() {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Refusal::bad("the header `if-match` is not text")),
    });
    let if_match = if_match.transpose()?;
    blocking(state, move |state| {
        state.mode.set(mode, if_match.as_deref(), |mode| state.metrics.decides(mode)).map(answer)
    })
    .await
}

fn answer(tagged: Tagged) -> ([(HeaderName, String); 1], Json<ModeDocument>) {
    ([(header::ETAG, tagged.tag)], Json(ModeDocument { mode: tagged.mode }))
}

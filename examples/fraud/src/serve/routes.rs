use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::infer::Question;
use super::memory::Decided;
use super::mode::Mode;
use super::refusal::Refusal;
use super::repository::IndexRow;
use super::{State, TRIAL_HEADER, control};
use crate::protocol::{ANSWERED_BY, InferResponse, ModelMetadata};
use crate::{MODEL, decision, rules};

const BODY_MAX: usize = 4 * 1024 * 1024;

/// The version in an answer of the safe mode where no model is served.
const NO_VERSION: &str = "none";

pub(super) type App = Shared<Arc<State>>;
pub(super) type Body = Result<Bytes, BytesRejection>;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/{model}", get(model))
        .route("/v2/models/{model}/ready", get(model_ready))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/v2/models/{model}/versions/{version}", get(version))
        .route("/v2/models/{model}/versions/{version}/ready", get(version_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer_version))
        .route("/v2/repository/index", post(index))
        .route("/v2/repository/models/{model}/load", post(load))
        .route("/v2/repository/models/{model}/unload", post(unload))
        .route("/config", get(control::config))
        .route("/reload", post(control::reload))
        .route("/mode", get(control::mode).put(control::set_mode))
        .route("/feedback", post(feedback))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(state)
}

async fn server() -> Json<serde_json::Value> {
    Json(json!({ "name": "fraud", "version": env!("CARGO_PKG_VERSION"), "extensions": [] }))
}

async fn live() -> StatusCode {
    StatusCode::OK
}

async fn ready(Shared(state): App) -> StatusCode {
    if state.repository.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// With the headers that a prediction would have, for those who may not make one.
async fn model(
    Shared(state): App,
    Path(model): Path<String>,
) -> Result<(HeaderMap, Json<ModelMetadata>), Refusal> {
    let mode = state.mode.mode();
    let in_force = state.decisions.in_force().filter(|_| mode == Mode::Model);
    let headers = who_decides(mode, in_force.as_ref().map(|in_force| in_force.sha256.as_str()));
    state.repository.metadata(&model, None).map(|metadata| (headers, Json(metadata)))
}

async fn version(
    Shared(state): App,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<ModelMetadata>, Refusal> {
    state.repository.metadata(&model, Some(&version)).map(Json)
}

async fn model_ready(Shared(state): App, Path(model): Path<String>) -> Result<(), Refusal> {
    state.repository.get(&model, None).map(drop)
}

async fn version_ready(
    Shared(state): App,
    Path((model, version)): Path<(String, String)>,
) -> Result<(), Refusal> {
    state.repository.get(&model, Some(&version)).map(drop)
}

async fn infer(
    state: App,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, Refusal> {
    serve(&state.0, &model, None, &headers, body).await
}

async fn infer_version(
    state: App,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, Refusal> {
    serve(&state.0, &model, Some(&version), &headers, body).await
}

type Answer = (HeaderMap, Json<InferResponse>);

/// Answers, and unless it is a trial keeps the books. The safe mode answers where no version is asked for by name, with or without a model.
async fn serve(
    state: &State,
    model: &str,
    version: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Answer, Refusal> {
    let started = Instant::now();
    let counted = !headers.contains_key(TRIAL_HEADER);
    let by_rules = version.is_none() && state.mode.mode() == Mode::Rules;
    let loaded = match state.repository.get(model, version) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(_) if by_rules && model == MODEL => Ok(None),
        Err(refusal) => Err(refusal),
    };
    let asked = loaded.and_then(|loaded| Ok((Question::parse(&bytes(body)?)?, loaded)));
    let (question, loaded) = asked.inspect_err(|_| {
        if counted {
            state.metrics.failed();
        }
    })?;
    let in_force = state.decisions.in_force();
    let decisions = match &loaded {
        Some(loaded) if !by_rules => question.decided_by_model(loaded, in_force.as_deref()),
        _ => question.decided_by_rules(),
    };
    let version = loaded.as_ref().map_or(NO_VERSION, |loaded| loaded.version());
    let mut response = question.answer(model, version, &decisions);
    if by_rules {
        response.parameters.insert(ANSWERED_BY.to_owned(), rules::NAME.into());
    }
    // The rules heed no configuration.
    let in_force = in_force.filter(|_| !by_rules);
    let config = in_force.as_ref().map(|in_force| in_force.sha256.as_str());
    if !state.latency.is_zero() {
        tokio::time::sleep(state.latency).await;
    }
    if counted {
        let decided_by = if by_rules { rules::NAME } else { version };
        for (row, decision) in decisions.iter().enumerate() {
            let decided = Decided { version: decided_by.to_owned(), verdict: decision.verdict };
            state.metrics.decided(&decided);
            if decision.review {
                state.metrics.to_review(decided_by);
            }
            let id =
                if decisions.len() == 1 { response.id.clone() } else { format!("{}/{row}", response.id) };
            state.memory.remember(id, decided);
        }
        state.metrics.took(started.elapsed().as_secs_f64());
        state.log.append(&question.input, &response, config).await;
    }
    let decided_by = if by_rules { Mode::Rules } else { Mode::Model };
    Ok((who_decides(decided_by, config), Json(response)))
}

/// The headers of an answer that say what decided, and under which configuration.
pub(super) fn who_decides(decided_by: Mode, config: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let by = HeaderValue::from_static(decided_by.name());
    headers.insert(HeaderName::from_static(rules::HEADER), by);
    if let Some(sha256) = config.and_then(|config| HeaderValue::from_str(config).ok()) {
        headers.insert(HeaderName::from_static(decision::HEADER), sha256);
    }
    headers
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IndexRequest {
    ready: bool,
}

async fn index(Shared(state): App, body: Body) -> Result<Json<Vec<IndexRow>>, Refusal> {
    let body = bytes(body)?;
    let request: IndexRequest =
        if body.is_empty() { IndexRequest::default() } else { json_of(&body, "an index request")? };
    let rows = blocking(state, |state| state.repository.index().map_err(Refusal::repository)).await?;
    Ok(Json(rows.into_iter().filter(|row| !request.ready || row.is_ready()).collect()))
}

async fn load(Shared(state): App, Path(model): Path<String>) -> Result<(), Refusal> {
    blocking(state, move |state| {
        state.repository.load(&model)?;
        state.metrics.serves(|| state.repository.default_versions());
        Ok(())
    })
    .await
}

async fn unload(Shared(state): App, Path(model): Path<String>) -> Result<(), Refusal> {
    blocking(state, move |state| {
        state.repository.unload(&model)?;
        state.metrics.serves(|| state.repository.default_versions());
        Ok(())
    })
    .await
}

#[derive(Debug, Deserialize)]
struct Feedback {
    id: String,
    fraud: bool,
}

#[derive(Debug, Serialize)]
struct Learnt {
    result: &'static str,
    version: String,
}

async fn feedback(Shared(state): App, body: Body) -> Result<Json<Learnt>, Refusal> {
    let Feedback { id, fraud } = json_of(&bytes(body)?, "feedback")?;
    let decided = state
        .memory
        .take(&id)
        .ok_or_else(|| Refusal::unknown(format!("no decision `{id}` waits for feedback")))?;
    let outcome = state.metrics.learnt(&decided, fraud);
    Ok(Json(Learnt { result: outcome.name(), version: decided.version }))
}

async fn metrics(Shared(state): App) -> Result<Response, Refusal> {
    let text = state.metrics.text().map_err(Refusal::internal)?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

pub(super) fn bytes(body: Body) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| {
        Refusal::body(rejection.status(), format!("the body cannot be taken: {rejection}"))
    })
}

fn json_of<T: serde::de::DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad(format!("the body is not {what}: {error}")))
}

/// Runs what reads the disk where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    state: Arc<State>,
    work: impl FnOnce(&State) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(move || work(&state))
        .await
        .unwrap_or_else(|panicked| Err(Refusal::internal(panicked)))
}

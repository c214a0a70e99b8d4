//! `POST /hooks/{source}`: authenticate, read, parse, route, keep; only then say 2xx.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use ripcord_adapters::alerts_alertmanager::{self, ParsedAlert, ParsedPayload};
use ripcord_core::digest::Digest;
use ripcord_core::name::{ServiceName, SignalId, SourceName};
use ripcord_core::signal::{Label, Origin, Signal};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::store::{Accepted, NewSignal};
use serde::{Deserialize, Serialize};

use super::App;
use super::gate::Gate;
use super::problem::Problem;
use crate::config::{RouteConfig, SourceKind};

/// A sender that needs longer for its body is cut off.
const BODY_WAIT: Duration = Duration::from_secs(10);
/// How long a request waits for its turn before the sender is asked to come back.
const TURN_WAIT: Duration = Duration::from_secs(5);

/// An alert source, ready to judge.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub name: SourceName,
    /// What its webhooks look like.
    pub kind: SourceKind,
    /// How it proves who it is.
    pub gate: Gate,
    /// Labels to services; the first match wins.
    pub routes: Vec<RouteConfig>,
    /// Larger bodies are refused.
    pub body_bytes_max: u64,
    /// The same alert within so long is a repeat.
    pub dedupe_window: Millis,
}

/// What became of a webhook. Everything counted here is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Intake {
    /// New signals.
    pub accepted: usize,
    /// Signals that were there already.
    pub repeated: usize,
    /// Of both, those that no route takes; `GET /api/v1/signals/unrouted` lists them.
    pub unrouted: usize,
    /// Alerts that the sender left out; they are lost.
    pub truncated: u64,
}

pub(crate) async fn hook(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Intake>, Problem> {
    let (parts, body) = request.into_parts();
    let source = app.sources.get(name.as_str()).ok_or_else(|| {
        tracing::warn!(source = %name.chars().take(100).collect::<String>(), "a webhook for an unknown source was refused");
        Problem::not_found("there is no such alert source; add it below `[sources]`")
    })?;
    let refused = |why: &'static str| {
        tracing::warn!(source = %source.name, why, "a webhook was refused");
        Problem::unauthorized(source.gate.challenge(), why)
    };
    let now = app.engine_clock.now();
    source.gate.check_headers(&parts.headers, now).map_err(refused)?;
    let busy = || Problem::unavailable("busy", "too many webhooks at once; try again");
    let _turn = tokio::time::timeout(TURN_WAIT, app.turns.acquire())
        .await
        .map_err(|_| busy())?
        .map_err(|_| Problem::unavailable("stopping", "the host is stopping; try again when it is back"))?;
    let body = read(&parts.headers, body, source.body_bytes_max).await?;
    source.gate.check_body(&parts.headers, &body).map_err(refused)?;
    let payload = source.parse(&body).map_err(|why| {
        tracing::warn!(source = %source.name, why, "a webhook cannot be read");
        Problem::bad_request(why)
    })?;
    if payload.truncated > 0 {
        tracing::error!(
            source = %source.name, alerts = payload.truncated,
            "the sender left alerts out: raise or remove its `max_alerts`"
        );
    }
    let signals = source.signals(&payload, now)?;
    let routed: Vec<bool> = signals.iter().map(|signal| signal.service.is_some()).collect();
    let accepted = app.engine.take_signals(signals).await?;
    let count = |accepted: &[Accepted], stored: bool| {
        accepted.iter().filter(|one| matches!(one, Accepted::Stored(_)) == stored).count()
    };
    let intake = Intake {
        accepted: count(&accepted, true),
        repeated: count(&accepted, false),
        unrouted: routed.iter().filter(|routed| !**routed).count(),
        truncated: payload.truncated,
    };
    tracing::info!(
        source = %source.name, accepted = intake.accepted, repeated = intake.repeated, unrouted = intake.unrouted,
        "webhook taken in"
    );
    Ok(Json(intake))
}

/// Reads a body of at most `bytes_max` bytes. A declared length beyond it is refused before the first byte is read.
pub(crate) async fn read(headers: &HeaderMap, body: Body, bytes_max: u64) -> Result<Vec<u8>, Problem> {
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > bytes_max) {
        return Err(Problem::too_large(bytes_max));
    }
    let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    match tokio::time::timeout(BODY_WAIT, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        Ok(Err(error)) => {
            let is_limit = std::error::Error::source(&error)
                .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
            if is_limit {
                return Err(Problem::too_large(bytes_max));
            }
            Err(Problem::bad_request("the body broke off"))
        }
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body took too long")),
    }
}

impl Source {
    /// The alerts of a body, or one sentence.
    pub fn parse(&self, body: &[u8]) -> Result<ParsedPayload, String> {
        match self.kind {
            SourceKind::Alertmanager => alerts_alertmanager::parse(body).map_err(|error| error.to_string()),
        }
    }

    fn signals(&self, payload: &ParsedPayload, now: UnixMillis) -> Result<Vec<NewSignal>, Problem> {
        payload.alerts.iter().map(|alert| self.signal(alert, now)).collect()
    }

    fn signal(&self, alert: &ParsedAlert, now: UnixMillis) -> Result<NewSignal, Problem> {
        let service = route(&self.routes, &alert.labels).cloned();
        let signal = Signal {
            id: fresh_id()?,
            origin: Origin::Webhook(self.name.to_string()),
            rule: alert.rule.clone(),
            status: alert.status,
            severity: alert.severity.clone(),
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            started_at: alert.started_at,
            ended_at: alert.ended_at,
            received_at: now,
        };
        Ok(NewSignal {
            dedupe_key: dedupe_key(&self.name, service.as_ref(), &alert.dedupe_key),
            signal,
            source: Some(self.name.clone()),
            service,
            dedupe_window: self.dedupe_window,
        })
    }
}

/// The service that the labels are for.
pub fn route<'a>(routes: &'a [RouteConfig], labels: &[Label]) -> Option<&'a ServiceName> {
    routes.iter().find(|route| route.mismatch(labels).is_none()).map(|route| &route.service)
}

/// Source and service are part of it: one source cannot swallow another's alerts, and an alert that was unrouted comes again once it has
/// a route.
fn dedupe_key(source: &SourceName, service: Option<&ServiceName>, alert: &Digest) -> Digest {
    let service = service.map_or("", |service| service.as_str());
    Digest::tagged("ripcord alert 1", &[source.as_str().as_bytes(), service.as_bytes(), alert.as_bytes()])
}

fn fresh_id() -> Result<SignalId, Problem> {
    let failed = || Problem::unavailable("random", "the host has no random numbers; try again");
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| failed())?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    SignalId::new(text).map_err(|_| failed())
}

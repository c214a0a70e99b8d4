//! `POST /hooks/{source}`: authenticate, read, parse, route, keep; only then say 2xx.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use ripcord_adapters::alerts_alertmanager::{self, ParsedAlert, ParsedPayload};
use ripcord_adapters::alerts_mlflow;
use ripcord_core::digest::Digest;
use ripcord_core::name::{ServiceName, SignalId, SourceName};
use ripcord_core::signal::{Label, Origin, Signal};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::store::{Accepted, NewSignal};
use serde::{Deserialize, Serialize};

use super::App;
use super::gate::{self, Gate, Refusal};
use super::problem::Problem;
use super::unroutable;
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
    /// Alerts that cannot be judged; they are kept and listed with those that no route takes.
    pub unreadable: usize,
    /// Alerts that the sender left out. That it did is listed too, once for each group.
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
    let refused = |why: Refusal| {
        tracing::warn!(source = %source.name, %why, "a webhook was refused");
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
    let payload = source.parse(&parts.headers, &body).map_err(|why| {
        tracing::warn!(source = %source.name, why, "a webhook cannot be read");
        Problem::bad_request(why)
    })?;
    let (signals, oddities) = (source.signals(&payload, now)?, source.oddities(&payload, now)?);
    let unrouted = signals.iter().filter(|signal| signal.service.is_none()).count();
    let alerts = signals.len();
    let accepted =
        app.engine.take_signals(signals.into_iter().chain(oddities.iter().cloned()).collect()).await?;
    let is_new = |accepted: &Accepted| matches!(accepted, Accepted::Stored(_));
    let (good, odd) = accepted.split_at(alerts.min(accepted.len()));
    for (oddity, _) in oddities.iter().zip(odd).filter(|(_, accepted)| is_new(accepted)) {
        let why = unroutable::why(&oddity.signal).unwrap_or_default();
        tracing::error!(source = %source.name, why, "an alert source needs mending; `ripcord signals` lists what is kept");
    }
    let new = good.iter().filter(|accepted| is_new(accepted)).count();
    let intake = Intake {
        accepted: new,
        repeated: good.len() - new,
        unrouted,
        unreadable: payload.bad.len(),
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
    fn parse(&self, headers: &HeaderMap, body: &[u8]) -> Result<ParsedPayload, String> {
        match self.kind {
            SourceKind::Mlflow => {
                alerts_mlflow::parse(&gate::delivery(headers), body).map_err(|error| error.to_string())
            }
            SourceKind::Alertmanager => alerts_alertmanager::parse(body).map_err(|error| error.to_string()),
        }
    }

    fn signals(&self, payload: &ParsedPayload, now: UnixMillis) -> Result<Vec<NewSignal>, Problem> {
        payload.alerts.iter().map(|alert| self.signal(alert, now)).collect()
    }

    /// What people must see beside the alerts: those that cannot be judged, and that the sender left some out. No route takes them.
    fn oddities(&self, payload: &ParsedPayload, now: UnixMillis) -> Result<Vec<NewSignal>, Problem> {
        let mut oddities = Vec::new();
        for bad in &payload.bad {
            let signal = unroutable::bad(fresh_id()?, &self.name, bad, now);
            oddities.push(self.unrouted(signal, &bad.dedupe_key));
        }
        if payload.truncated > 0 {
            let signal = unroutable::truncated(fresh_id()?, &self.name, payload, now);
            let key = Digest::tagged("ripcord truncated group 1", &[payload.group_key.as_bytes()]);
            oddities.push(self.unrouted(signal, &key));
        }
        Ok(oddities)
    }

    fn unrouted(&self, signal: Signal, key: &Digest) -> NewSignal {
        NewSignal {
            signal,
            source: Some(self.name.clone()),
            service: None,
            dedupe_key: dedupe_key(&self.name, None, key),
            dedupe_window: self.dedupe_window,
        }
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

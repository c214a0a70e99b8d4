//! `POST /hooks/{source}`: authenticate, read, parse, route, keep; only then say 2xx.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{Extensions, HeaderMap, StatusCode};
use ripcord_core::digest::Digest;
use ripcord_core::name::{ServiceName, SignalId, SourceName};
use ripcord_core::signal::{Label, Origin, Signal, SignalStatus};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::AlertSource;
use ripcord_ports::alert_source::{Delivery, ParsedAlert, ParsedPayload};
use ripcord_ports::store::{Accepted, NewSignal, Turn};
use serde::{Deserialize, Serialize};

use super::App;
use super::bodies::{self, Unread};
use super::connections::{Connection, Standing};
use super::doors::Sender;
use super::gate::{Gate, Refusal, texts};
use super::problem::{Problem, for_log};
use super::unroutable;
use crate::config::RouteConfig;

/// Signals that are stored by one write: what people ask waits for the writes before it, so none may take long.
const SIGNALS_A_WRITE: usize = 250;
/// Larger bodies are parsed where that holds up nobody.
const PARSED_INLINE_BYTES_MAX: usize = 256 << 10;

/// An alert source, ready to judge.
pub struct Source {
    /// Its name.
    pub name: SourceName,
    /// What its webhooks look like.
    pub reads: Arc<dyn AlertSource>,
    /// How it proves who it is.
    pub gate: Gate,
    /// Labels to services; the first match wins.
    pub routes: Vec<RouteConfig>,
    /// Larger bodies are refused.
    pub body_bytes_max: u64,
    /// The same alert within so long is a repeat.
    pub dedupe_window: Millis,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, reads) = (&self.name, self.reads.name());
        f.debug_struct("Source").field("name", name).field("reads", &reads).finish_non_exhaustive()
    }
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
    /// Alerts that the sender left out, or that are more than a payload may hold. That is listed too, once for each group.
    pub truncated: u64,
}

pub(crate) async fn hook(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Intake>, Problem> {
    let (parts, body) = request.into_parts();
    let source = app.sources.get(name.as_str()).ok_or_else(|| {
        tracing::warn!(source = for_log(&name), "a webhook for an unknown source was refused");
        Problem::not_found("there is no such alert source; add it below `[sources]`")
    })?;
    let now = app.engine_clock.now();
    source.gate.check_headers(&parts.headers, now).map_err(|why| source.refused(&why))?;
    let sender = if source.gate.is_decided_by_headers() { Sender::Known } else { Sender::Unproved };
    if sender == Sender::Known {
        is_a_source(&parts.extensions);
    }
    let read = bodies::webhook(&parts.headers, body, source.body_bytes_max, &app.doors, sender).await;
    let body = match read {
        Ok(body) => body,
        Err(Unread::Other(problem)) => return Err(problem),
        Err(Unread::TooSlow(problem)) if sender == Sender::Known => {
            return Err(app.too_slow(source, problem, now).await);
        }
        Err(Unread::TooSlow(problem)) => return Err(problem),
        Err(Unread::TooLarge { declared }) => return Err(app.too_large(source, declared, now).await),
    };
    source.gate.check_body(&parts.headers, &body.bytes).map_err(|why| source.refused(&why))?;
    is_a_source(&parts.extensions);
    let _turn = app.doors.turn(&name).await?;
    let payload = match source.parse(&parts.headers, &body.bytes) {
        Ok(payload) => payload,
        Err(why) => return Err(app.unreadable(source, why, now).await),
    };
    let oddities = source.oddities(&payload, now)?;
    let blind: Vec<_> =
        payload.alerts.iter().map(|alert| says_blind(alert).then(|| alert.rule.clone())).collect();
    let signals = source.signals(payload.alerts, now)?;
    let unrouted = signals.iter().filter(|signal| signal.service.is_none()).count();
    let alerts = signals.len();
    let accepted = app.keep(signals.into_iter().chain(oddities.iter().cloned()).collect()).await?;
    let (good, odd) = accepted.split_at(alerts.min(accepted.len()));
    let mut new_oddities = oddities.iter().zip(odd).filter(|(_, accepted)| is_new(accepted));
    if let Some((first, _)) = new_oddities.next() {
        let why = for_log(unroutable::why(&first.signal).unwrap_or_default());
        let more = new_oddities.count();
        tracing::error!(source = %source.name, why, more, "an alert source needs mending; `ripcord signals unrouted` lists what is kept");
    }
    let new = good.iter().filter(|accepted| is_new(accepted)).count();
    let mut blind =
        good.iter().zip(blind).filter(|(accepted, _)| is_new(accepted)).filter_map(|(_, rule)| rule);
    if let Some(rule) = blind.next() {
        let more = blind.count();
        tracing::warn!(source = %source.name, rule = for_log(&rule), more, "an alert says that data are missing or that its rule is broken: nothing is rolled back for it, and what the rule looks after is not watched");
    }
    let intake = Intake {
        accepted: new,
        repeated: good.len() - new,
        unrouted,
        unreadable: payload.bad.len(),
        truncated: payload.truncated + payload.unread,
    };
    // The metrics count them: a line for each would cost more than taking it in.
    tracing::debug!(
        source = %source.name, accepted = intake.accepted, repeated = intake.repeated, unrouted = intake.unrouted,
        "webhook taken in"
    );
    Ok(Json(intake))
}

/// Whether it fires and says that nobody can look at what it is about.
fn says_blind(alert: &ParsedAlert) -> bool {
    alert.status == SignalStatus::Firing && alert.kind.is_blindness()
}

fn is_new(accepted: &Accepted) -> bool {
    matches!(accepted, Accepted::Stored(_))
}

/// Notes at once that a connection is an alert source's.
fn is_a_source(extensions: &Extensions) {
    if let Some(connection) = extensions.get::<Arc<Connection>>() {
        connection.proved(Standing::Source);
    }
}

/// What to do about a body with more bytes than are allowed.
pub(crate) fn too_large(bytes_max: u64) -> String {
    format!(
        "it has more than {bytes_max} bytes; raise `body-kib-max` of the source, or let its sender send less at once (`max_alerts` of an Alertmanager's receiver)"
    )
}

impl App {
    /// Keeps signals; they are on disk when this returns. What was written before a failure is a repeat when it is sent again.
    async fn keep(&self, signals: Vec<NewSignal>) -> Result<Vec<Accepted>, Problem> {
        let mut accepted = Vec::with_capacity(signals.len());
        let mut signals = signals.into_iter();
        loop {
            let group: Vec<_> = signals.by_ref().take(SIGNALS_A_WRITE).collect();
            if group.is_empty() {
                return Ok(accepted);
            }
            accepted.extend(self.engine.take_signals(group).await?);
        }
    }

    /// A webhook that is too large. Its sender does not send it again, so people are told here as well.
    async fn too_large(&self, source: &Source, declared: Option<u64>, now: UnixMillis) -> Problem {
        let what = too_large(source.body_bytes_max);
        let problem =
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("the body is refused: {what}"));
        let size = declared.map_or_else(String::new, |bytes| format!(" of {bytes} bytes"));
        let why = format!("a webhook{size} was refused, and its alerts are lost: {what}");
        if source.gate.is_decided_by_headers() {
            return self.lost(source, "webhook too large", why, problem, now).await;
        }
        // Whoever sent it has not proved to be the source: a line is enough.
        tracing::warn!(source = %source.name, why, "a webhook was refused");
        problem
    }

    /// A webhook whose body took too long. Its sender may not send it again, so people are told here as well.
    async fn too_slow(&self, source: &Source, problem: Problem, now: UnixMillis) -> Problem {
        let why = "a webhook was refused, since its body took too long, and its alerts are lost unless it is sent again: look at the network to its sender, or let it send less at once";
        self.lost(source, "webhook too slow", why.to_owned(), problem, now).await
    }

    /// A webhook that cannot be read. Its sender does not send it again, so people are told here as well.
    async fn unreadable(&self, source: &Source, why: String, now: UnixMillis) -> Problem {
        let problem = Problem::bad_request(why);
        let why = format!("a webhook was refused, and its alerts are lost: {}", problem.detail);
        self.lost(source, "webhook that cannot be read", why, problem, now).await
    }

    /// Lists what is lost. Where that cannot be written, the sender is asked to come back instead of being refused for good.
    async fn lost(
        &self,
        source: &Source,
        what: &str,
        why: String,
        problem: Problem,
        now: UnixMillis,
    ) -> Problem {
        self.doors.lost();
        tracing::error!(source = %source.name, why = for_log(&why), "an alert source needs mending; `ripcord signals unrouted` lists what is lost");
        let key = Digest::tagged("ripcord lost webhook 1", &[what.as_bytes(), why.as_bytes()]);
        let listed = async {
            let signal = unroutable::lost(fresh_id()?, &source.name, what.to_owned(), why, now);
            self.keep(vec![source.unrouted(signal, &key)]).await
        };
        listed.await.err().unwrap_or(problem)
    }
}

impl Source {
    fn refused(&self, why: &Refusal) -> Problem {
        tracing::warn!(source = %self.name, why = for_log(why), "a webhook was refused");
        Problem::unauthorized(self.gate.challenge(), why.as_ref())
    }

    /// The alerts of a body, or one sentence.
    fn parse(&self, headers: &HeaderMap, body: &[u8]) -> Result<ParsedPayload, String> {
        let headers = texts(headers);
        let delivery = Delivery { headers: &headers, body };
        let parse = || self.reads.read(&delivery).map_err(|error| error.to_string());
        // Other tasks of this thread, a person's request among them, go on elsewhere in the meantime.
        if body.len() > PARSED_INLINE_BYTES_MAX && can_hand_over() {
            tokio::task::block_in_place(parse)
        } else {
            parse()
        }
    }

    fn signals(&self, alerts: Vec<ParsedAlert>, now: UnixMillis) -> Result<Vec<NewSignal>, Problem> {
        alerts.into_iter().map(|alert| self.signal(alert, now)).collect()
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
        if payload.unread > 0 {
            let signal = unroutable::unread(fresh_id()?, &self.name, payload, now);
            let key = Digest::tagged("ripcord group that is too long 1", &[payload.group_key.as_bytes()]);
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
            turn: None,
        }
    }

    fn signal(&self, alert: ParsedAlert, now: UnixMillis) -> Result<NewSignal, Problem> {
        let service = route(&self.routes, &alert.labels).cloned();
        let signal = Signal {
            id: fresh_id()?,
            origin: Origin::Webhook(self.name.to_string()),
            rule: alert.rule,
            status: alert.status,
            kind: alert.kind,
            severity: alert.severity,
            labels: alert.labels,
            annotations: alert.annotations,
            started_at: alert.started_at,
            ended_at: alert.ended_at,
            received_at: now,
        };
        let key = |key: &Digest| dedupe_key(&self.name, service.as_ref(), key);
        Ok(NewSignal {
            dedupe_key: key(&alert.dedupe_key),
            turn: alert.turn.map(|turn| Turn { other_keys: turn.other_keys.each_ref().map(key), ..turn }),
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

/// Whether another thread can take over what waits for this one.
fn can_hand_over() -> bool {
    let runtime = tokio::runtime::Handle::try_current();
    runtime.is_ok_and(|runtime| runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread)
}

fn fresh_id() -> Result<SignalId, Problem> {
    let failed = || {
        let detail = "the system gives the host no random numbers, so nothing was taken: send it again";
        Problem::unavailable("random", detail)
    };
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| failed())?;
    SignalId::new(format!("{:032x}", u128::from_be_bytes(bytes))).map_err(|_| failed())
}

//! Pages for machines: health, readiness, metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use super::App;
use super::problem::Problem;
use crate::{descriptors, telemetry};

/// Probes that ask more often get the same *ready*: anyone may ask, and looking takes a reader of the store. What is not ready is looked at each
/// time, by one at a time.
const READY_FOR: Duration = Duration::from_secs(1);
/// Anyone may ask for the metrics: a page that someone still reads is new enough for others for so long.
const METRICS_FOR: Duration = Duration::from_secs(1);
/// A store that needs longer for a look is not ready.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// When the host was last seen to be ready.
#[derive(Debug, Default)]
pub(crate) struct Ready(tokio::sync::Mutex<Option<Instant>>);

/// Answered requests by class of status.
#[derive(Debug, Default)]
pub(crate) struct Requests([AtomicU64; 6]);

impl Requests {
    pub(crate) fn count(&self, status: u16) {
        if let Some(class) = self.0.get(usize::from(status / 100)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The process runs.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The store answers and takes writes, connections and files can be opened, no driver is stuck, and the host is not stopping.
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    if *app.stopping.borrow() {
        return Err(Problem::unavailable("stopping", "the host is stopping"));
    }
    let mut seen = app.doors.ready.0.lock().await;
    if !seen.is_some_and(|seen| seen.elapsed() < READY_FOR) {
        *seen = None;
        look(&app).await?;
        *seen = Some(Instant::now());
    }
    Ok("ready\n")
}

async fn look(app: &App) -> Result<(), Problem> {
    let few = |why: String| {
        tracing::warn!(why, "not ready");
        let detail = format!(
            "the host is out of files or connections ({why}), of which the system allows it {}: raise `ulimit -n` or `LimitNOFILE`, and see what else takes them",
            app.doors.descriptors.limit
        );
        Problem::unavailable("descriptors", detail)
    };
    if let Some(why) = app.doors.accepting.trouble() {
        return Err(few(why));
    }
    descriptors::some_are_free().map_err(|error| few(error.to_string()))?;
    let store = async {
        app.engine.store().installation().await?;
        app.store.writable().await
    };
    let silent = |_| {
        tracing::warn!("not ready: the store does not answer");
        Problem::unavailable("store", "the host's store does not answer: see whether its disk does")
    };
    tokio::time::timeout(STORE_WAIT, store).await.map_err(silent)??;
    let stuck: Vec<_> = app
        .engine
        .health()
        .into_iter()
        .chain(app.engine.health_of_sets())
        .filter_map(|health| health.stuck.map(|why| format!("`{}`: {why}", health.service)))
        .collect();
    if stuck.is_empty() {
        return Ok(());
    }
    tracing::warn!(stuck = stuck.join("; "), "not ready");
    let services: Vec<_> = stuck.iter().filter_map(|line| line.split("`:").next()).collect();
    let detail = format!("these services are stuck: {}`; the host's log says why", services.join("`, "));
    Err(Problem::unavailable("stuck", detail))
}

/// The metrics page as it was written last. As long as someone still reads it, others are sent the same bytes: many who read slowly do not hold a page each.
#[derive(Debug, Default)]
pub(crate) struct MetricsPage(std::sync::Mutex<Option<(Instant, Bytes)>>);

impl MetricsPage {
    fn of(&self, app: &App) -> Result<Bytes, prometheus::Error> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_read = |page: &Bytes, at: &Instant| !page.is_unique() && at.elapsed() < METRICS_FOR;
        if let Some((_, page)) = kept.as_ref().filter(|(at, page)| is_read(page, at)) {
            return Ok(page.clone());
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&families(app), &mut text)?;
        let page = Bytes::from(text);
        *kept = Some((Instant::now(), page.clone()));
        Ok(page)
    }
}

pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    match app.doors.metrics.of(&app) {
        Ok(page) => {
            ([(header::CONTENT_TYPE, TextEncoder::new().format_type().to_owned())], page).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the metrics page cannot be written");
            let detail = "the metrics cannot be written, and the host's log says why: report it";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "metrics", detail).into_response()
        }
    }
}

fn families(app: &App) -> Vec<MetricFamily> {
    let mut families: Vec<MetricFamily> = Vec::new();
    for counter in app.engine.counters() {
        let label = counter.label.as_ref().map(|(name, value)| (*name, value.as_str()));
        add(
            &mut families,
            MetricType::COUNTER,
            counter.name,
            "Since the host started.",
            label,
            counter.value,
        );
    }
    let (open, replaced, refused) = app.doors.connections.counts();
    for (kind, name, help, value) in [
        (MetricType::GAUGE, "ripcord_connections", "Open connections.", open as u64),
        (
            MetricType::COUNTER,
            "ripcord_connections_replaced_total",
            "Connections that were closed to make room for others.",
            replaced,
        ),
        (
            MetricType::COUNTER,
            "ripcord_connections_refused_total",
            "Connections for which there was no room.",
            refused,
        ),
        (
            MetricType::COUNTER,
            "ripcord_webhooks_lost_total",
            "Webhooks of known senders that were refused for good, and listed.",
            app.doors.all_lost(),
        ),
        (
            MetricType::COUNTER,
            "ripcord_log_lines_left_out_total",
            "Lines that were counted instead of logged.",
            telemetry::left_out(),
        ),
    ] {
        add(&mut families, kind, name, help, None, value);
    }
    for (class, count) in app.doors.requests.0.iter().enumerate().skip(1) {
        let (label, help) = (format!("{class}xx"), "HTTP requests that were answered, by class of status.");
        let count = count.load(Ordering::Relaxed);
        add(
            &mut families,
            MetricType::COUNTER,
            "ripcord_http_requests_total",
            help,
            Some(("status", &label)),
            count,
        );
    }
    let mut gauge = |name, help, service: &str, value: bool| {
        add(&mut families, MetricType::GAUGE, name, help, Some(("service", service)), u64::from(value));
    };
    for health in app.engine.health().into_iter().chain(app.engine.health_of_sets()) {
        let help = "Whether the service's driver is held up.";
        gauge("ripcord_driver_stuck", help, health.service.as_str(), health.stuck.is_some());
        let help = "Whether old content of the service is not erased although it should be.";
        gauge("ripcord_erasing_held_up", help, health.service.as_str(), health.not_erased.is_some());
    }
    for state in app.engine.services() {
        let name = state.name.as_str();
        gauge(
            "ripcord_incident_open",
            "Whether the service has an open incident.",
            name,
            state.incident.is_some(),
        );
        gauge("ripcord_paused", "Whether someone stopped all acting.", name, state.paused_by.is_some());
        let asked = state.incident.as_ref().is_some_and(|incident| {
            use ripcord_core::service::Phase::{Authorising, NeedsPerson};
            matches!(incident.phase, NeedsPerson(_) | Authorising(_))
        });
        gauge("ripcord_waits_for_people", "Whether the open incident waits for people.", name, asked);
    }
    for looked in app.engine.all().filter_map(|service| app.engine.last_readiness(service)) {
        let help = "Parts of a rollback that were not ready at the last look.";
        let of = Some(("service", looked.service.as_str()));
        let unready = looked.unready().len() as u64;
        add(&mut families, MetricType::GAUGE, "ripcord_unready_parts", help, of, unready);
    }
    families
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn add(
    families: &mut Vec<MetricFamily>,
    kind: MetricType,
    name: &str,
    help: &str,
    label: Option<(&str, &str)>,
    value: u64,
) {
    let mut metric = Metric::default();
    if let Some((name, value)) = label {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        metric.set_label(vec![pair]);
    }
    match kind {
        MetricType::GAUGE => {
            let mut gauge = Gauge::default();
            gauge.set_value(value as f64);
            metric.set_gauge(gauge);
        }
        _ => {
            let mut counter = Counter::default();
            counter.set_value(value as f64);
            metric.set_counter(counter);
        }
    }
    if let Some(family) = families.iter_mut().find(|family| family.name() == name) {
        let mut metrics = family.take_metric();
        metrics.push(metric);
        family.set_metric(metrics);
        return;
    }
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    families.push(family);
}

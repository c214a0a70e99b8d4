//! The host's doors for webhooks and people: axum on hyper, JSON, RFC 9457 problem bodies.
//!
//! A 2xx to a webhook means that its signals are on disk.

mod ask;
mod gate;
mod intake;
mod pages;
mod people;
mod problem;
mod read;
pub mod server;
mod unroutable;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use ripcord_core::name::{RoleName, ServiceName};
use ripcord_engine::Engine;
use ripcord_ports::Clock;
use ripcord_store::SqliteStore;
use tokio::sync::{Semaphore, watch};

pub use gate::Gate;
pub use intake::{Intake, Source, route};
pub use people::{KnownPerson, People, Right, require};
pub use problem::Problem;

/// Webhooks that are worked on at once: with the default limit of bodies, 64 MiB of them.
const TURNS: usize = 64;

/// What every request needs.
pub struct App {
    /// The running host.
    pub engine: Engine,
    /// What its engine writes to.
    pub store: Arc<SqliteStore>,
    /// The host's only source of time.
    pub engine_clock: Arc<dyn Clock>,
    /// Who may ask.
    pub people: People,
    /// Who may send alerts, by name.
    pub sources: BTreeMap<String, Source>,
    /// Roles whose people may pull, by service.
    pub may_pull: BTreeMap<ServiceName, Vec<RoleName>>,
    /// Becomes true when the host stops: long waits end then.
    pub stopping: watch::Receiver<bool>,
    turns: Semaphore,
    requests: pages::Requests,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl App {
    /// What every request needs.
    pub fn new(
        engine: Engine,
        store: Arc<SqliteStore>,
        engine_clock: Arc<dyn Clock>,
        people: People,
        sources: BTreeMap<String, Source>,
        may_pull: BTreeMap<ServiceName, Vec<RoleName>>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let (turns, requests) = (Semaphore::new(TURNS), pages::Requests::default());
        Self { engine, store, engine_clock, people, sources, may_pull, stopping, turns, requests }
    }
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    let api = Router::new()
        .route("/services", get(read::services))
        .route("/services/{service}", get(read::service))
        .route("/services/{service}/pull", post(ask::pull))
        .route("/services/{service}/pause", post(ask::pause))
        .route("/services/{service}/resume", post(ask::resume))
        .route("/services/{service}/adopt", post(ask::adopt))
        .route("/services/{service}/holds", get(read::holds))
        .route("/services/{service}/holds/{version}/lift", post(ask::lift))
        .route("/pause", post(ask::pause_all))
        .route("/resume", post(ask::resume_all))
        .route("/incidents", get(read::incidents))
        .route("/incidents/{id}", get(read::incident))
        .route("/incidents/{id}/plan", get(read::plan))
        .route("/incidents/{id}/wait", get(read::wait))
        .route("/incidents/{id}/approve", post(ask::approve))
        .route("/incidents/{id}/refuse", post(ask::refuse))
        .route("/incidents/{id}/abort", post(ask::abort))
        .route("/incidents/{id}/dismiss", post(ask::dismiss))
        .route("/incidents/{id}/answer", post(ask::answer))
        .route("/incidents/{id}/keep", post(ask::keep))
        .route("/incidents/{id}/release", post(ask::release))
        .route("/store/prune", post(ask::prune))
        .route("/signals/unrouted", get(read::unrouted));
    Router::new()
        .route("/hooks/{source}", post(intake::hook))
        .route("/healthz", get(pages::healthz))
        .route("/readyz", get(pages::readyz))
        .route("/metrics", get(pages::metrics))
        .nest("/api/v1", api)
        .fallback(async || Problem::not_found("there is no such page"))
        .method_not_allowed_fallback(async || {
            let status = axum::http::StatusCode::METHOD_NOT_ALLOWED;
            Problem::new(status, "method-not-allowed", "this page takes another method")
        })
        .layer(middleware::from_fn_with_state(app.clone(), trace))
        .with_state(app)
}

/// One line a request: never headers, bodies or queries, which may hold secrets.
async fn trace(
    axum::extract::State(app): axum::extract::State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let began = Instant::now();
    let response = next.run(request).await;
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
    app.requests.count(status);
    // Who looks changes nothing, and probes, scrapes and waiting clients look all the time.
    if method.is_safe() && status < 400 {
        tracing::debug!(%method, path, status, ms, "request");
    } else {
        tracing::info!(%method, path, status, ms, "request");
    }
    response
}

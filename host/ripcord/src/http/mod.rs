//! The host's doors for webhooks and people: axum on hyper, JSON, RFC 9457 problem bodies.
//!
//! A 2xx to a webhook means that its signals are on disk.

pub(crate) mod across;
mod ask;
mod backoff;
mod bodies;
pub(crate) mod changes;
pub(crate) mod connections;
mod decisions;
mod doors;
mod gate;
mod intake;
mod openapi;
mod pages;
mod people;
mod problem;
pub(crate) mod protection;
mod read;
mod readiness;
pub mod server;
mod sets;
mod socket;
pub(crate) mod targets;
mod unroutable;
pub(crate) mod unserved;
pub(crate) mod versions;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use ripcord_core::name::{RoleName, ServiceName, SetName};
use ripcord_engine::Engine;
use ripcord_ports::Clock;
use ripcord_store::SqliteStore;
use tokio::sync::{mpsc, oneshot, watch};

pub use connections::{Bounds, Connections};
pub use doors::{Deadlines, Doors};
pub use gate::{Gate, Timed};
pub(crate) use intake::too_large;
pub use intake::{Intake, Source, route};
pub use people::{KnownPerson, People, Right, ServiceRights, require};
pub use problem::Problem;

use connections::{Connection, Standing};

/// Where alert sources send to.
const HOOKS: &str = "/hooks/";
/// What people ask is below it.
const API: &str = "/api/v1";
/// No page has a longer name, nor a longer query.
const URI_BYTES_MAX: usize = 4 << 10;

/// A person's wish that the configuration be read again: what came of it is sent back before the host begins anew.
pub type Reload = mpsc::Sender<oneshot::Sender<Result<String, String>>>;

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
    /// Who may do what with each service.
    pub rights: BTreeMap<ServiceName, ServiceRights>,
    /// Roles whose people may ask for a run, by set.
    pub may_pull_set: BTreeMap<SetName, Vec<RoleName>>,
    /// Becomes true when the host stops: long waits end then.
    pub stopping: watch::Receiver<bool>,
    /// What keeps the doors open.
    pub doors: Arc<Doors>,
    /// Who reads the configuration again; none where it cannot be, since the host runs for one command.
    pub reload: Option<Reload>,
    /// What people must know of how this host came to run.
    pub trouble: Option<String>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// Routes, and their paths beside them: the OpenAPI document must name each, and axum does not tell them.
struct Routes {
    router: Router<Arc<App>>,
    paths: Vec<&'static str>,
}

impl Routes {
    fn new() -> Self {
        Self { router: Router::new(), paths: Vec::new() }
    }

    fn route(mut self, path: &'static str, page: MethodRouter<Arc<App>>) -> Self {
        self.router = self.router.route(path, page);
        self.paths.push(path);
        self
    }
}

/// What people ask.
fn api() -> Routes {
    Routes::new()
        .route("/whoami", get(read::whoami))
        .route("/services", get(read::services))
        .route("/services/{service}", get(read::service))
        .route("/services/{service}/pull", post(ask::pull))
        .route("/services/{service}/pause", post(ask::pause))
        .route("/services/{service}/resume", post(ask::resume))
        .route("/services/{service}/adopt", post(ask::adopt))
        .route("/services/{service}/versions", get(versions::versions))
        .route("/services/{service}/targets", get(targets::targets))
        .route("/services/{service}/readiness", get(readiness::readiness))
        .route("/services/{service}/changes", get(changes::changes))
        .route("/services/{service}/decisions", get(decisions::decisions))
        .route("/services/{service}/holds", get(read::holds))
        .route("/services/{service}/holds/{revision}/lift", post(ask::lift))
        .route("/services/{service}/data/condemn", post(ask::condemn_data))
        .route("/services/{service}/data/lift", post(ask::lift_data))
        .route("/services/{service}/latches/{trigger}/lift", post(ask::lift_latch))
        .route("/pause", post(ask::pause_all))
        .route("/resume", post(ask::resume_all))
        .route("/incidents", get(read::incidents))
        .route("/incidents/{id}", get(read::incident))
        .route("/incidents/{id}/plan", get(read::plan))
        .route("/incidents/{id}/decisions", get(decisions::decisions_of_incident))
        .route("/incidents/{id}/wait", get(read::wait))
        .route("/incidents/{id}/approve", post(ask::approve))
        .route("/incidents/{id}/refuse", post(ask::refuse))
        .route("/incidents/{id}/abort", post(ask::abort))
        .route("/incidents/{id}/close-review", post(ask::close_review))
        .route("/incidents/{id}/stop-run", post(ask::stop_run))
        .route("/incidents/{id}/dismiss", post(ask::dismiss))
        .route("/incidents/{id}/answer", post(ask::answer))
        .route("/incidents/{id}/keep", post(ask::keep))
        .route("/incidents/{id}/release", post(ask::release))
        .route("/sets", get(sets::sets))
        .route("/sets/{set}", get(sets::set))
        .route("/sets/{set}/runs/{number}", get(sets::run))
        .route("/sets/{set}/pull", post(sets::pull))
        .route("/store/prune", post(ask::prune))
        .route("/holds", get(across::holds))
        .route("/data", get(across::data))
        .route("/reload", post(ask::reload))
        .route("/signals/unrouted", get(read::unrouted))
        .route("/signals/set-aside", get(across::set_aside))
}

/// What alert sources and machines ask.
fn for_machines() -> Routes {
    Routes::new()
        .route("/hooks/{source}", post(intake::hook))
        .route("/healthz", get(pages::healthz))
        .route("/readyz", get(pages::readyz))
        .route("/metrics", get(pages::metrics))
        .route("/openapi.json", get(openapi::document))
}

/// The path of every page, parameters in braces.
pub fn paths() -> Vec<String> {
    let below_api = api().paths.into_iter().map(|path| format!("{API}{path}"));
    for_machines().paths.into_iter().map(str::to_owned).chain(below_api).collect()
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    let api = api().router.layer(middleware::from_fn_with_state(app.clone(), recognise));
    for_machines()
        .router
        .nest(API, api)
        .fallback(async || Problem::not_found("there is no such page"))
        .method_not_allowed_fallback(async || {
            let status = axum::http::StatusCode::METHOD_NOT_ALLOWED;
            Problem::new(status, "method-not-allowed", "this page takes another method")
        })
        .layer(middleware::from_fn_with_state(app.clone(), trace))
        .with_state(app)
}

/// Notes at once that a connection is a person's: it keeps its place while the request is in work.
async fn recognise(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if let Some(connection) = request.extensions().get::<Arc<Connection>>()
        && app.people.recognise(request.headers()).is_some()
    {
        connection.proved(Standing::Person);
    }
    next.run(request).await
}

/// One line a request: never headers, bodies or queries, which may hold secrets. Who did not know a secret waits for the answer.
async fn trace(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let length = request.uri().path_and_query().map_or(0, |asked| asked.as_str().len());
    let began = Instant::now();
    let response = if length > URI_BYTES_MAX {
        let detail = format!("the address has {length} bytes; no page of this host has so long a one");
        Problem::new(StatusCode::URI_TOO_LONG, "uri-too-long", detail).into_response()
    } else {
        next.run(request).await
    };
    let (status, ms) = (response.status(), began.elapsed().as_millis());
    app.doors.requests.count(status.as_u16());
    // Who looks changes nothing, and probes, scrapes and waiting clients look all the time; webhooks are counted.
    let usual = method.is_safe() || path.starts_with(HOOKS);
    if usual && status.as_u16() < 400 {
        tracing::debug!(%method, path = problem::for_log(&path), status = status.as_u16(), ms, "request");
    } else {
        tracing::info!(%method, path = problem::for_log(&path), status = status.as_u16(), ms, "request");
    }
    if let Some(connection) = connection.filter(|_| doors::is_refusal(status)) {
        wait_for_refusal(&app, &connection, status).await;
    }
    response
}

async fn wait_for_refusal(app: &App, connection: &Connection, status: StatusCode) {
    // A known person who may not do something has given no wrong secret.
    if status == StatusCode::FORBIDDEN && connection.is_known() {
        return;
    }
    connection.proved(Standing::Refused);
    let wait = app.doors.backoff.wrong(connection.peer, Instant::now());
    let mut stopping = app.stopping.clone();
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
}

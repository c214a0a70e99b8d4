//! What people can read: services, incidents, plans, holds, unrouted signals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use ripcord_core::facet::{FacetRead, FacetState};
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::service::Service;
use ripcord_engine::view::{self, IncidentView};
use serde::Deserialize;

use super::App;
use super::problem::Problem;
use super::protection;
use super::sets::is_a_run;
use super::unserved::unserved;
use super::wire::{
    AlertsLine, FacetLine, FacetNow, HoldLine, IncidentListLine, IncidentState, LatchLine, LiveLine,
    NoDataLine, PlanView, ProbationLine, RunLine, SeenLine, ServiceView, UnroutedSignal, VersionLine, WhoAmI,
};

type Answer<T> = Result<Json<T>, Problem>;

/// Reading live must not hold up a page.
const LIVE_WAIT: Duration = Duration::from_secs(5);
/// Deployers that are asked side by side for one page.
const LIVE_AT_ONCE: usize = 32;
/// A longer wait is cut: proxies close idle connections after a minute.
const WAIT_MAX_S: u64 = 50;
const LIST_DEFAULT: u32 = 50;
const LIST_MAX: u32 = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceQuery {
    #[serde(default)]
    live: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    service: Option<ServiceName>,
    limit: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitQuery {
    seconds: Option<u64>,
    phase: Option<String>,
}

pub(crate) fn query<T>(
    query: Result<Query<T>, axum::extract::rejection::QueryRejection>,
) -> Result<T, Problem> {
    query.map(|Query(query)| query).map_err(|error| Problem::bad_request(error.body_text()))
}

pub(crate) fn service_name(text: String) -> Result<ServiceName, Problem> {
    ServiceName::new(text).map_err(|error| Problem::bad_request(error.to_string()))
}

pub(crate) fn incident_id(text: String) -> Result<IncidentId, Problem> {
    IncidentId::new(text).map_err(|error| Problem::bad_request(error.to_string()))
}

/// What holds services up.
struct Stuck {
    each: BTreeMap<ServiceName, String>,
    /// What holds up all of them.
    all: Option<String>,
}

impl App {
    pub(crate) fn state_of(&self, service: &ServiceName) -> Result<Arc<Service>, Problem> {
        let watch = self.engine.watch(service);
        let unknown = || match self.engine.set_aside().find(|(name, _)| *name == service) {
            Some((_, why)) => Problem::unavailable("set-aside", format!("`{service}`: {why}")),
            None => {
                Problem::not_found(format!("there is no service `{service}`; `ripcord status` lists all"))
            }
        };
        Ok(watch.ok_or_else(unknown)?.borrow().clone())
    }

    /// What holds all services up: a store that takes no writes.
    async fn trouble(&self) -> Option<String> {
        self.store.writable().await.err().map(|error| error.to_string())
    }

    /// Why old content of a service is not erased.
    fn not_erased(&self, service: &ServiceName) -> Option<String> {
        self.engine.health().into_iter().find(|health| health.service == *service)?.not_erased
    }

    /// What holds each service up.
    async fn stuck(&self) -> Stuck {
        let health = self.engine.health().into_iter();
        let each = health.filter_map(|health| Some((health.service, health.stuck?))).collect();
        Stuck { each, all: self.trouble().await }
    }

    fn view(&self, service: &Service, stuck: &Stuck) -> Result<ServiceView, Problem> {
        let setup = self.engine.setup(&service.name);
        let setup =
            setup.ok_or_else(|| Problem::not_found(format!("there is no service `{}`", service.name)))?;
        Ok(ServiceView {
            name: service.name.clone(),
            mode: setup.terms.mode,
            environment: setup.facts.environment.clone(),
            model: setup.facts.model.clone(),
            paused_by: service.paused_by.clone(),
            reviews: service.reviews.clone(),
            stuck: stuck.each.get(&service.name).or(stuck.all.as_ref()).cloned(),
            not_erased: self.not_erased(&service.name),
            held_up: self.engine.held_up(service),
            live: None,
            seen: SeenLine::of(service),
            incident: service.incident.as_ref().map(|open| IncidentState::of(service, open)),
            last_settled: service.last_settled.as_ref().map(|last| IncidentState::of(service, last)),
            probation: ProbationLine::of(service),
            versions: VersionLine::all(service, self.engine_clock.now()),
            facets: FacetLine::all(service, self.engine_clock.now()),
            aliases: service.aliases.clone().map(|known| known.seen).unwrap_or_default(),
            holds: HoldLine::all(service),
            announcements_waiting: service.outbox.len(),
            runs: RunLine::all(service),
            enlisted_by: service.enlisted_by().map(|known| known.run.clone()),
            latches: LatchLine::all(service),
            alerts: AlertsLine::of(service),
            no_data: NoDataLine::of(service),
            unprotected: protection::unprotected(service, self.engine_clock.now()),
            warnings: self
                .trouble
                .iter()
                .cloned()
                .chain(protection::warnings(service, self.engine_clock.now()))
                .collect(),
        })
    }

    async fn live(&self, service: &ServiceName) -> LiveLine {
        let unknown = |why: String| LiveLine {
            state: format!("unknown: {why}"),
            version: None,
            proof: None,
            observed_at: None,
            facets: Vec::new(),
        };
        let Some(setup) = self.engine.setup(service) else { return unknown("no such service".to_owned()) };
        let (known, now) = (self.state_of(service).ok(), self.engine_clock.now());
        let known = known.as_deref();
        let live = tokio::time::timeout(LIVE_WAIT, setup.ports.deployer.live());
        let beside = setup.ports.restorers.iter().map(|(facet, restorer)| async move {
            let (state, observed_at) = match tokio::time::timeout(LIVE_WAIT, restorer.in_force()).await {
                Ok(Ok(live)) => (live.state, Some(live.observed_at)),
                Ok(Err(error)) => (FacetState::Unknown(Problem::from(error).detail), None),
                Err(_) => (FacetState::Unknown("it did not answer in time".to_owned()), None),
            };
            let read = FacetRead { facet: facet.clone(), state };
            let standing = known.zip(read.revision()).map(|(known, now_in)| known.standing_of(now_in, now));
            FacetNow { read, standing, observed_at }
        });
        let (live, facets) = tokio::join!(live, join_all(beside));
        let line = match live {
            Ok(Ok(live)) => LiveLine {
                state: live.state.to_string(),
                version: live.state.sole_version().map(|version| version.version.clone()),
                proof: live.state.weakest_proof(),
                observed_at: Some(live.observed_at),
                facets: Vec::new(),
            },
            Ok(Err(error)) => unknown(Problem::from(error).detail),
            Err(_) => unknown("the deployer did not answer in time".to_owned()),
        };
        LiveLine { facets, ..line }
    }
}

/// Who the token is.
pub(crate) async fn whoami(State(app): State<Arc<App>>, headers: HeaderMap) -> Answer<WhoAmI> {
    let person = app.people.authenticate(&headers)?.person.clone();
    let installation = app.engine.store().installation().await?;
    Ok(Json(WhoAmI {
        person: person.name,
        roles: person.roles,
        installation,
        release: env!("CARGO_PKG_VERSION").to_owned(),
    }))
}

/// All services, those included whose journal cannot be read: of them nothing is known but that.
pub(crate) async fn services(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    asked: Result<Query<ServiceQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<Vec<ServiceView>> {
    app.people.authenticate(&headers)?;
    let asked = query(asked)?;
    let stuck = app.stuck().await;
    let aside = app.engine.set_aside().map(|(name, _)| Arc::new(Service::new(name.clone())));
    let mut states: Vec<_> = app.engine.services().into_iter().chain(aside).collect();
    states.sort_by(|one, other| one.name.cmp(&other.name));
    let mut views = states.iter().map(|state| app.view(state, &stuck)).collect::<Result<Vec<_>, _>>()?;
    for (view, state) in views.iter_mut().zip(&states) {
        RunLine::tell(&mut view.runs, state, app.engine.store().as_ref()).await;
    }
    if asked.live {
        let live = views.iter().map(|view| app.live(&view.name)).collect::<Vec<_>>();
        let live: Vec<_> = futures_util::stream::iter(live).buffered(LIVE_AT_ONCE).collect().await;
        for (view, live) in views.iter_mut().zip(live) {
            view.live = Some(live);
        }
    }
    Ok(Json(views))
}

pub(crate) async fn service(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
    asked: Result<Query<ServiceQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<ServiceView> {
    app.people.authenticate(&headers)?;
    let (name, asked) = (service_name(name)?, query(asked)?);
    let state = app.state_of(&name)?;
    let mut view = app.view(state.as_ref(), &app.stuck().await)?;
    RunLine::tell(&mut view.runs, &state, app.engine.store().as_ref()).await;
    if asked.live {
        view.live = Some(app.live(&name).await);
    }
    Ok(Json(view))
}

pub(crate) async fn holds(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Answer<Vec<HoldLine>> {
    app.people.authenticate(&headers)?;
    Ok(Json(HoldLine::all(app.state_of(&service_name(name)?)?.as_ref())))
}

pub(crate) async fn incidents(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    asked: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<Vec<IncidentListLine>> {
    app.people.authenticate(&headers)?;
    let asked = query(asked)?;
    let limit = asked.limit.unwrap_or(LIST_DEFAULT).min(LIST_MAX);
    let lines = ripcord_engine::incidents(app.engine.store().as_ref(), asked.service.as_ref(), limit).await?;
    Ok(Json(lines.into_iter().map(Into::into).collect()))
}

pub(crate) async fn incident(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Answer<IncidentView> {
    app.people.authenticate(&headers)?;
    let id = incident_id(id)?;
    if let Some(named) = app.run_named(&id)? {
        return Err(is_a_run(&id, &named.set));
    }
    let mut view = view::incident(app.engine.store().as_ref(), &id).await?;
    // A service that left the configuration, or whose journal is set aside, has no state; its page was read all the same.
    if let Ok(state) = app.state_of(&view.service)
        && state.incident.as_ref().is_some_and(|open| open.id == view.id)
    {
        view.held_up = app.engine.held_up(&state);
    }
    Ok(Json(view))
}

pub(crate) async fn plan(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Answer<PlanView> {
    app.people.authenticate(&headers)?;
    Ok(Json(app.plan_at_hand(&incident_id(id)?).await?))
}

impl App {
    /// Of an incident, or of a run of a set.
    pub(super) async fn plan_at_hand(&self, id: &IncidentId) -> Result<PlanView, Problem> {
        if let Some(named) = self.run_named(id)? {
            return self.plan_of_run(&named).await;
        }
        let view = view::incident(self.engine.store().as_ref(), id).await?;
        let without = Problem::not_found(format!("`{}` has no plan: it is {}", view.id, view.phase));
        PlanView::of(view).ok_or(without)
    }
}

pub(crate) async fn unrouted(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    asked: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<Vec<UnroutedSignal>> {
    app.people.authenticate(&headers)?;
    let limit = query(asked)?.limit.unwrap_or(LIST_DEFAULT).min(LIST_MAX);
    let is_configured = |service: &ServiceName| app.engine.setup(service).is_some();
    Ok(Json(unserved(app.engine.store().as_ref(), is_configured, limit).await?))
}

/// Answers once the incident's phase is another than the given one, or after so many seconds.
pub(crate) async fn wait(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    asked: Result<Query<WaitQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<IncidentState> {
    app.people.authenticate(&headers)?;
    let (id, asked) = (incident_id(id)?, query(asked)?);
    let patience = Duration::from_secs(asked.seconds.unwrap_or(20).min(WAIT_MAX_S));
    if let Some(named) = app.run_named(&id)? {
        return Ok(Json(app.wait_for_run(&named, asked.phase, patience).await?));
    }
    let unknown = || {
        Problem::not_found(format!(
            "there is no incident `{id}` that is open or was the last one; `ripcord incidents list` shows all"
        ))
    };
    let service = id.service().ok_or_else(unknown)?;
    let not_here = || match app.state_of(&service) {
        Err(aside) if aside.status != StatusCode::NOT_FOUND.as_u16() => aside,
        _ => unknown(),
    };
    let mut watch = app.engine.watch(&service).ok_or_else(not_here)?;
    let state = |service: &Service| {
        let both = [&service.incident, &service.last_settled];
        let found = both.into_iter().flatten().find(|incident| incident.id == id);
        found.map(|incident| IncidentState::of(service, incident))
    };
    let first = state(watch.borrow_and_update().as_ref()).ok_or_else(unknown)?;
    let seen = asked.phase.unwrap_or_else(|| first.phase.clone());
    let mut stopping = app.stopping.clone();
    let changed = async {
        let mut last = first.clone();
        while last.phase == seen && last.outcome == ripcord_core::fact::Outcome::Open {
            if watch.changed().await.is_err() {
                break;
            }
            match state(watch.borrow_and_update().as_ref()) {
                Some(next) => last = next,
                None => break,
            }
        }
        last
    };
    let last = tokio::select! {
        last = tokio::time::timeout(patience, changed) => last.ok(),
        _ = stopping.wait_for(|stopping| *stopping) => None,
    };
    match last {
        Some(last) => Ok(Json(last)),
        None => Ok(Json(app.state_of(&service).ok().and_then(|now| state(&now)).unwrap_or(first))),
    }
}

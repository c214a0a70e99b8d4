//! What moved of a service before a harm.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use ripcord_core::service::{Incident, Service};
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_engine::{ChangesSeen, ReadError, changes_known, changes_of, suspects_if};
use ripcord_ports::Store;
use serde::Deserialize;

use super::App;
use super::problem::Problem;
use super::read::{query, service_name};
use super::wire::ChangesView;

/// So long before the harm it is looked through, unless another time is asked for.
const BEFORE_HARM: Millis = Millis::hours(7 * 24);
/// Reading histories and the registry must not hold up a page.
const SYSTEMS_WAIT: Duration = Duration::from_secs(15);
/// Nor must a planner and what it asks for.
const PLANNER_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangesQuery {
    since: Option<u64>,
    harm_began: Option<u64>,
}

pub(super) async fn changes(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
    asked: Result<Query<ChangesQuery>, QueryRejection>,
) -> Result<Json<ChangesView>, Problem> {
    app.people.authenticate(&headers)?;
    let (name, asked) = (service_name(name)?, query(asked)?);
    let state = app.state_of(&name)?;
    let _turn = app.doors.question().await?;
    let window = window(&state, asked.since.map(UnixMillis), app.engine_clock.now());
    let known = |why: &str| changes_known(&state, window, why.to_owned());
    let seen = match app.engine.setup(&name) {
        None => known("the service is not configured, so its systems were not asked"),
        Some(setup) => {
            let seen =
                tokio::time::timeout(SYSTEMS_WAIT, changes_of(setup, &state, app.engine.fleet(), window))
                    .await;
            seen.unwrap_or_else(|_| known("the histories and the registry did not answer in time"))
        }
    };
    let view = view(&state, window, seen);
    let store = app.engine.store();
    if let Some(began) = asked.harm_began {
        let asked = match app.engine.setup(&name) {
            None => Err("the service is not configured".to_owned()),
            Some(setup) => {
                let (fleet, now) = (app.engine.fleet(), app.engine_clock.now());
                let asking = suspects_if(setup, &state, store.as_ref(), fleet, UnixMillis(began), now);
                let asked = tokio::time::timeout(PLANNER_WAIT, asking).await;
                asked.unwrap_or_else(|_| {
                    Err("the planner, or what it asked for, did not answer in time".to_owned())
                })
            }
        };
        let (ranking, not_ranked) = match asked {
            Ok(ranking) => (Some(ranking), None),
            Err(why) => (None, Some(why)),
        };
        return Ok(Json(ChangesView { ranking, not_ranked, ..view }));
    }
    Ok(Json(ranked(view, store.as_ref()).await?))
}

/// With what the planner of the incident suspects.
pub(crate) async fn ranked(view: ChangesView, store: &dyn Store) -> Result<ChangesView, ReadError> {
    let Some(incident) = &view.incident else { return Ok(view) };
    let ranking = ripcord_engine::view::incident(store, incident).await?.ranking;
    Ok(ChangesView { ranking, ..view })
}

/// The open incident, else the last one; and when its harm began, as far as is known.
fn harm(service: &Service) -> Option<(&Incident, UnixMillis)> {
    let incident = service.incident.as_ref().or(service.last_settled.as_ref())?;
    Some((incident, incident.reason.harm_began_at.unwrap_or(incident.marks.opened_at)))
}

/// What is looked through: until now, for what was done after the harm tells something, too.
pub(crate) fn window(service: &Service, since: Option<UnixMillis>, now: UnixMillis) -> Window {
    let end = harm(service).map_or(now, |(_, began)| began);
    let start = since.unwrap_or(UnixMillis(end.0.saturating_sub(BEFORE_HARM.0)));
    Window { start, end: now.max(start) }
}

pub(crate) fn view(service: &Service, window: Window, seen: ChangesSeen) -> ChangesView {
    let harm = harm(service);
    ChangesView {
        service: service.name.clone(),
        since: window.start,
        incident: harm.map(|(incident, _)| incident.id.clone()),
        harm_began_at: harm.map(|(_, began)| began),
        changes: seen.changes,
        gaps: seen.gaps,
        ranking: None,
        not_ranked: None,
    }
}

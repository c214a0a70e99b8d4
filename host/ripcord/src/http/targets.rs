//! What of a service could be restored now, facet by facet, and why not the rest.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use futures_util::future::join_all;
use ripcord_core::facet::Facet;
use ripcord_core::service::Service;
use ripcord_core::time::UnixMillis;
use ripcord_engine::{
    FacetTargets, Makeable, ServiceSetup, facets_of, makeable_of, targets_known, targets_of,
};
use serde::Deserialize;

use super::App;
use super::problem::Problem;
use super::read::{query, service_name};
use super::wire::TargetsView;

/// Reading one facet's systems must not hold up a page.
const FACET_WAIT: Duration = Duration::from_secs(15);
/// Nor must listing checkpoints, and the planner that is asked about them.
const MAKES_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetsQuery {
    facet: Option<String>,
}

pub(super) async fn targets(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
    asked: Result<Query<TargetsQuery>, QueryRejection>,
) -> Result<Json<TargetsView>, Problem> {
    app.people.authenticate(&headers)?;
    let (name, asked) = (service_name(name)?, query(asked)?);
    let state = app.state_of(&name)?;
    let facets = wanted(&state, asked.facet.as_deref())?;
    let _turn = app.doors.question().await?;
    let now = app.engine_clock.now();
    let setup = app.engine.setup(&name);
    let makes = async {
        let setup = setup.filter(|_| facets.contains(&Facet::Model))?;
        let store = app.engine.store();
        let asked = makeable_of(setup, &state, store.as_ref(), app.engine.fleet(), now);
        tokio::time::timeout(MAKES_WAIT, asked).await.unwrap_or_else(|_| Some(late(setup)))
    };
    let of_facets = join_all(facets.iter().map(|facet| of_facet(setup, &state, facet, now)));
    let (of_facets, makes) = tokio::join!(of_facets, makes);
    Ok(Json(view(&state, of_facets, makes)))
}

fn late(setup: &ServiceSetup) -> Makeable {
    Makeable {
        producer: setup.ports.producer.as_ref().map(|producer| producer.name().to_owned()),
        obstacle: None,
        checkpoints: Vec::new(),
        unusable: Vec::new(),
        judged_by: None,
        data: Vec::new(),
        not_listed: vec![
            "the place of checkpoints, the registry or the planner did not answer in time".to_owned(),
        ],
    }
}

async fn of_facet(
    setup: Option<&ServiceSetup>,
    service: &Service,
    facet: &Facet,
    now: UnixMillis,
) -> FacetTargets {
    let Some(setup) = setup else {
        return targets_known(service, facet, "the service is not configured".to_owned(), now);
    };
    match tokio::time::timeout(FACET_WAIT, targets_of(setup, service, facet, now)).await {
        Ok(targets) => targets,
        Err(_) => targets_known(service, facet, "its systems did not answer in time".to_owned(), now),
    }
}

/// The facets that are asked about: all, or the one that is named.
pub(crate) fn wanted(service: &Service, named: Option<&str>) -> Result<Vec<Facet>, Problem> {
    let facets = facets_of(service);
    let Some(named) = named else { return Ok(facets) };
    let wanted: Facet = named.parse().map_err(|_| no_such_facet(service, named, &facets))?;
    if !facets.contains(&wanted) {
        return Err(no_such_facet(service, named, &facets));
    }
    Ok(vec![wanted])
}

fn no_such_facet(service: &Service, named: &str, facets: &[Facet]) -> Problem {
    let words: Vec<_> = facets.iter().map(|facet| format!("`{}`", facet.word())).collect();
    let mut named = named.to_owned();
    super::problem::bound(&mut named, 200);
    Problem::not_found(format!("`{}` has no facet `{named}`: it has {}", service.name, words.join(", ")))
}

/// Whether and by whom anything of it may be shifted now stands beside it.
pub(crate) fn view(service: &Service, facets: Vec<FacetTargets>, makes: Option<Makeable>) -> TargetsView {
    TargetsView {
        service: service.name.clone(),
        mode: service.terms.as_ref().map(|terms| terms.mode),
        paused_by: service.paused_by.clone(),
        facets,
        makes,
    }
}

//! Recorded decisions, as people may see them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use ripcord_core::name::RoleName;
use ripcord_core::time::UnixMillis;
use ripcord_engine::{DecisionPage, Person};
use serde::Deserialize;
use serde_json::Value;

use super::App;
use super::people::{Right, require};
use super::problem::Problem;
use super::read::{incident_id, query, service_name};

type Answer<T> = Result<Json<T>, Problem>;

/// Decisions of one page: each is read from its recording.
const DECISIONS_DEFAULT: usize = 20;
const DECISIONS_MAX: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionsQuery {
    since: Option<u64>,
    limit: Option<usize>,
}

pub(crate) async fn decisions(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
    asked: Result<Query<DecisionsQuery>, QueryRejection>,
) -> Answer<DecisionPage> {
    let person = app.people.authenticate(&headers)?.person.clone();
    let (name, asked) = (service_name(name)?, query(asked)?);
    app.state_of(&name)?;
    let (since, limit) =
        (UnixMillis(asked.since.unwrap_or_default()), asked.limit.unwrap_or(DECISIONS_DEFAULT));
    let store = app.engine.store();
    let page = ripcord_engine::decisions(store.as_ref(), &name, since, limit.min(DECISIONS_MAX)).await?;
    Ok(Json(as_far_as_may_be_seen(page, &person)))
}

pub(crate) async fn decisions_of_incident(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    asked: Result<Query<DecisionsQuery>, QueryRejection>,
) -> Answer<DecisionPage> {
    let person = app.people.authenticate(&headers)?.person.clone();
    let (id, asked) = (incident_id(id)?, query(asked)?);
    let limit = asked.limit.unwrap_or(DECISIONS_DEFAULT).min(DECISIONS_MAX);
    let page = ripcord_engine::decisions_of_incident(app.engine.store().as_ref(), &id, limit).await?;
    Ok(Json(as_far_as_may_be_seen(page, &person)))
}

/// Captured requests of production are for who looks into incidents; that a policy saw them is for everyone.
fn as_far_as_may_be_seen(mut page: DecisionPage, person: &Person) -> DecisionPage {
    if require(person, Right::Administer, &[RoleName::evidence(), RoleName::auditor()]).is_ok() {
        return page;
    }
    for fact in page.decisions.iter_mut().flat_map(|decision| &mut decision.facts) {
        let is_captured = |name: &str| name.eq_ignore_ascii_case("captured");
        let asked = fact.request.as_str().is_some_and(is_captured)
            || fact.request.as_object().is_some_and(|request| request.keys().any(|key| is_captured(key)));
        if asked && fact.value.take().is_some() {
            fact.missing =
                Some(Value::from("captured requests are shown to who has the role `evidence` or `auditor`"));
        }
    }
    page
}

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

/// What is shown in place of what a person may not see.
const NOT_SHOWN: &str = "captured requests are shown to who has the role `evidence` or `auditor`";

/// Captured requests of production are for who looks into incidents; that a policy saw them is for everyone. A recheck sends them again, and its rows
/// tell what production answered to each.
fn as_far_as_may_be_seen(mut page: DecisionPage, person: &Person) -> DecisionPage {
    if require(person, Right::Administer, &[RoleName::evidence(), RoleName::auditor()]).is_ok() {
        return page;
    }
    for fact in page.decisions.iter_mut().flat_map(|decision| &mut decision.facts) {
        if is_about(&fact.request, "captured") && fact.value.take().is_some() {
            fact.missing = Some(Value::from(NOT_SHOWN));
        }
        if is_about(&fact.request, "recheck") {
            fact.value.iter_mut().for_each(hide_rows);
        }
    }
    page
}

/// Whether a request is of this kind, in the guest's words: the kind alone, or with what it asks.
fn is_about(request: &Value, kind: &str) -> bool {
    request.as_str().is_some_and(|name| name.eq_ignore_ascii_case(kind))
        || request
            .as_object()
            .is_some_and(|request| request.keys().any(|name| name.eq_ignore_ascii_case(kind)))
}

/// A trial's rows, wherever in the value they stand.
fn hide_rows(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::Array(rows) if name == "rows" => {
                        if !rows.is_empty() {
                            *field = Value::from(NOT_SHOWN);
                        }
                    }
                    field => hide_rows(field),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide_rows),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_core::name::PersonName;
    use serde_json::json;

    /// What policies of an incident were given: rows of the request log, the same sent again, and a metric.
    fn page() -> DecisionPage {
        let fact = |request: Value, value: Value| json!({ "source": "host", "as_of": "1", "request": request, "value": value, "missing": null });
        let row = json!({ "id": "r1", "expected": { "Text": "of-a-customer" }, "output": { "Ok": { "Text": "of-a-customer" } } });
        let recheck = json!({ "Trial": { "slices": [{ "name": "", "rows": 7 }], "rows": [row] } });
        let empty = json!({ "Trial": { "slices": [{ "name": "", "rows": 7 }], "rows": [] } });
        serde_json::from_value(json!({ "more": false, "decisions": [{
            "at": "1", "service": "s", "role": "verification", "policy": "p@1", "digest": "0".repeat(64), "answer": null,
            "fault": null, "gone": null, "asked_for": [], "log": [], "fuel": 1,
            "facts": [
                fact(json!({ "Captured": 5 }), json!({ "Captured": [{ "input": { "Text": "of-a-customer" } }] })),
                fact(json!("captured"), json!([{ "input": { "Text": "of-a-customer" } }])),
                fact(json!({ "Recheck": { "limit": 5, "detail": "Rows" } }), recheck),
                fact(json!({ "Recheck": { "limit": 5, "detail": "Summary" } }), empty),
                fact(json!({ "Metric": { "query": "errors" } }), json!({ "Metric": [{ "value": 0.5 }] })),
                fact(json!({ "Golden": { "dataset": "fraud" } }), json!({ "Trial": { "rows": [{ "id": "golden-row" }] } })),
            ],
        }]}))
        .expect("a page")
    }

    fn seen_by(role: &str) -> DecisionPage {
        let roles = vec![RoleName::new(role).expect("a role")];
        as_far_as_may_be_seen(page(), &Person { name: PersonName::new("vera").expect("a name"), roles })
    }

    #[test]
    fn what_was_captured_is_shown_to_who_looks_into_incidents_alone() {
        for role in ["viewer", "operator", "approver", "security"] {
            let seen = seen_by(role);
            let text = serde_json::to_string(&seen).expect("JSON");
            assert!(!text.contains("of-a-customer"), "{role}: {text}");
            let facts = &seen.decisions[0].facts;
            let missing = |index: usize| facts[index].missing.as_ref().and_then(Value::as_str);
            assert_eq!(
                [missing(0), missing(1)],
                [Some(NOT_SHOWN); 2],
                "{role}: it is said that there is more"
            );
            assert_eq!(facts[2].value.as_ref().expect("a trial")["Trial"]["rows"], NOT_SHOWN, "{role}");
            // That it was asked, what it came to as a whole, and all other facts are for everyone.
            assert_eq!(facts[2].value.as_ref().expect("a trial")["Trial"]["slices"][0]["rows"], 7);
            assert_eq!(facts[3..], page().decisions[0].facts[3..], "{role}");
        }
        for role in ["evidence", "auditor", "admin"] {
            assert_eq!(seen_by(role), page(), "{role}");
        }
    }
}

//! What is read of all services at once: holds, and alerts that are set aside.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use ripcord_core::blob::BlobRef;
use ripcord_core::data::DataRevision;
use ripcord_core::name::ServiceName;
use ripcord_core::service::{CondemnedBy, CondemnedData, Service};
use ripcord_core::signal::{Label, Signal};
use ripcord_ports::Store;
use ripcord_ports::store::StoreError;
use serde::Deserialize;

use super::App;
use super::problem::Problem;
use super::read::query;
use super::wire::{CondemnedDataOf, HoldLine, HoldOf, OfEach, SetAsideAlert};

/// Labels that are set aside may be as large as a payload.
const SHOWN_CHARS_MAX: usize = 200;

/// Services whose journals cannot be read, and why.
type Damaged = BTreeMap<ServiceName, String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnlyQuery {
    service: Option<ServiceName>,
}

impl App {
    /// The states that are asked for, and the services whose journals cannot be read.
    fn states(&self, only: Option<&ServiceName>) -> Result<(Vec<Arc<Service>>, Damaged), Problem> {
        let aside = self.engine.set_aside().map(|(name, why)| (name.clone(), why.to_string()));
        let mut damaged: Damaged = aside.collect();
        let Some(name) = only else { return Ok((self.engine.services(), damaged)) };
        damaged.retain(|one, _| one == name);
        if !damaged.is_empty() {
            return Ok((Vec::new(), damaged));
        }
        Ok((vec![self.state_of(name)?], damaged))
    }
}

pub(crate) async fn holds(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    asked: Result<Query<OnlyQuery>, QueryRejection>,
) -> Result<Json<OfEach<HoldOf>>, Problem> {
    app.people.authenticate(&headers)?;
    let (states, damaged) = app.states(query(asked)?.service.as_ref())?;
    Ok(Json(OfEach { lines: states.iter().flat_map(|state| holds_of(state)).collect(), damaged }))
}

pub(crate) async fn data(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    asked: Result<Query<OnlyQuery>, QueryRejection>,
) -> Result<Json<OfEach<CondemnedDataOf>>, Problem> {
    app.people.authenticate(&headers)?;
    let (states, damaged) = app.states(query(asked)?.service.as_ref())?;
    Ok(Json(OfEach { lines: states.iter().flat_map(|state| data_of(state)).collect(), damaged }))
}

/// A service's condemned data.
pub(crate) fn data_of(state: &Service) -> Vec<CondemnedDataOf> {
    let line = |(data, known): (&DataRevision, &CondemnedData)| {
        let (incident, person) = match &known.by {
            CondemnedBy::Incident(incident) => (Some(incident.clone()), None),
            CondemnedBy::Person(person) => (None, Some(person.clone())),
        };
        let service = state.name.clone();
        CondemnedDataOf { service, data: data.clone(), incident, person, since: known.since }
    };
    state.condemned_data.iter().map(line).collect()
}

pub(crate) async fn set_aside(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    asked: Result<Query<OnlyQuery>, QueryRejection>,
) -> Result<Json<OfEach<SetAsideAlert>>, Problem> {
    app.people.authenticate(&headers)?;
    let (states, damaged) = app.states(query(asked)?.service.as_ref())?;
    let mut lines = Vec::new();
    for state in states {
        lines.extend(set_aside_of(app.store.as_ref(), &state).await?);
    }
    Ok(Json(OfEach { lines, damaged }))
}

/// A service's holds.
pub(crate) fn holds_of(state: &Service) -> Vec<HoldOf> {
    HoldLine::all(state).into_iter().map(|hold| HoldOf { service: state.name.clone(), hold }).collect()
}

/// A service's alerts that a trigger faults on, or that are too large for any.
pub(crate) async fn set_aside_of(
    store: &dyn Store,
    state: &Service,
) -> Result<Vec<SetAsideAlert>, StoreError> {
    let mut all = Vec::new();
    let mut group: Option<(BlobRef, Result<Vec<Signal>, &'static str>)> = None;
    for alert in state.watching.alerts.set_aside_of() {
        // Those of one group stand together, and a group may hold hundreds.
        if group.as_ref().is_none_or(|(read, _)| *read != alert.content) {
            group = Some((alert.content, content(store, &alert.content).await?));
        }
        let signal = match group.as_ref().map(|(_, signals)| signals) {
            Some(Ok(signals)) => signals.get(alert.word.index as usize).ok_or("(damaged)"),
            Some(Err(instead)) => Err(*instead),
            None => Err("(damaged)"),
        };
        let (rule, labels) = match signal {
            Ok(signal) => (cut(&signal.rule), signal.labels.iter().map(short).collect()),
            Err(instead) => (instead.to_owned(), Vec::new()),
        };
        all.push(SetAsideAlert {
            service: state.name.clone(),
            by: alert.set_aside_by.iter().cloned().collect(),
            first_seen_at: alert.word.first_seen_at,
            count: alert.word.count,
            rule,
            labels,
        });
    }
    Ok(all)
}

/// The alerts of a group, or what is shown in their place: content that is gone or damaged hides no other.
async fn content(
    store: &dyn Store,
    group: &BlobRef,
) -> Result<Result<Vec<Signal>, &'static str>, StoreError> {
    Ok(match store.blob(group).await {
        Ok(Some(content)) => serde_json::from_slice(&content).map_err(|_| "(damaged)"),
        Ok(None) => Err("(erased)"),
        Err(StoreError::Damaged(_)) => Err("(damaged)"),
        Err(error) => return Err(error),
    })
}

fn short(label: &Label) -> Label {
    Label::new(cut(&label.name), cut(&label.value))
}

fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

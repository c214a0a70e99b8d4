//! Sets: what people can read of them, and ask of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use ripcord_core::name::{IncidentId, RoleName, ServiceName, SetId, SetName};
use ripcord_core::service::Service;
use ripcord_core::set::Set;
use ripcord_engine::{CommandError, Person, ReadError, SetAsk, SetCommand};

use super::App;
use super::ask::{json, reason};
use super::people::takes;
use super::problem::Problem;
use super::wire::sets::{Members, plan_of, run_of};
use super::wire::{Done, IncidentState, PlanView, SetPullBody, SetRunView, SetView};

type Answer<T> = Result<Json<T>, Problem>;

/// The journals of members go on without a change of the set's.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A run of a set, where an id names one.
pub(super) struct NamedRun {
    pub(super) set: SetName,
    pub(super) run: SetId,
}

impl App {
    pub(super) fn set_state(&self, name: &SetName) -> Result<Arc<Set>, Problem> {
        let unknown = || match self.engine.sets_aside().find(|(aside, _)| *aside == name) {
            Some((_, why)) => Problem::unavailable("set-aside", format!("`{name}`: {why}")),
            None => Problem::not_found(format!("there is no set `{name}`; `ripcord sets list` shows all")),
        };
        let watch = self.engine.watch_set(name).ok_or_else(unknown)?;
        let state = watch.borrow().clone();
        Ok(state)
    }

    /// The run that an id names, if it names one and not an incident of a service.
    pub(super) fn run_named(&self, id: &IncidentId) -> Result<Option<NamedRun>, Problem> {
        let Some(set) = id.service().and_then(|service| service.as_set()) else { return Ok(None) };
        self.set_state(&set)?;
        let run = SetId::new(id.as_str()).map_err(|error| Problem::bad_request(error.to_string()))?;
        Ok(Some(NamedRun { set, run }))
    }

    fn what_holds_up(&self, set: &SetName) -> Option<String> {
        let journal = set.journal();
        self.engine.health_of_sets().into_iter().find(|health| health.service == journal)?.stuck
    }

    fn member(&self, service: &ServiceName) -> Option<Arc<Service>> {
        self.engine.watch(service).map(|state| state.borrow().clone())
    }

    pub(super) async fn command_set(
        &self,
        set: &SetName,
        person: &Person,
        ask: SetAsk,
        reason: String,
        run: Option<SetId>,
    ) -> Result<Done, CommandError> {
        let command = SetCommand { person: person.clone(), ask, reason, run };
        let obeyed = self.engine.command_set(set, command).await?;
        tracing::info!(%set, person = %person.name, text = obeyed.text, "a person asked");
        Ok(Done { incident: obeyed.run.map(|run| run.as_incident()), text: obeyed.text })
    }

    fn may_pull_set(&self, person: &Person, set: &SetName) -> Result<(), Problem> {
        let may = self.may_pull_set.get(set).map_or(&[][..], Vec::as_slice);
        if person.roles.iter().any(|role| may.contains(role)) {
            return Ok(());
        }
        Err(Problem::forbidden(format!("`{}` may not pull the set `{set}`: {}", person.name, takes(may))))
    }

    /// A set gives nobody more rights over its members than each of them does.
    fn may_pull_members(&self, person: &Person, set: &Set, body: &SetPullBody) -> Result<(), Problem> {
        let of_run = set.run.iter().flat_map(|run| &run.members).map(|member| &member.service);
        // As configured, since just after a start the journal need not have it yet.
        let setup = self.engine.set_setup(&set.name);
        let mut members = setup.iter().flat_map(|setup| &setup.terms.members).chain(of_run);
        members.try_for_each(|member| match body.to.is_empty() || body.to.contains_key(member) {
            true => self.may_pull(person, member),
            false => Ok(()),
        })
    }

    /// Roles that the plan at hand waits for: whoever has one may vote.
    pub(super) fn roles_wanted_by_set(&self, set: &SetName) -> Vec<RoleName> {
        let Ok(state) = self.set_state(set) else { return Vec::new() };
        state.tally().into_iter().map(|tally| tally.quorum.role).collect()
    }

    /// The plan at hand of a run.
    pub(super) async fn plan_of_run(&self, named: &NamedRun) -> Result<PlanView, Problem> {
        let state = self.set_state(&named.set)?;
        let run = run_of(&state, &named.run).ok_or_else(|| not_at_hand(named))?;
        let without = Problem::not_found(format!("`{}` has no plan: it is {}", run.id, run.phase.name()));
        plan_of(self.engine.store().as_ref(), &state, &named.run).await?.ok_or(without)
    }

    /// How far a run is, once its phase is another than the given one, it wants people, or `patience` is over.
    pub(super) async fn wait_for_run(
        &self,
        named: &NamedRun,
        phase: Option<String>,
        patience: Duration,
    ) -> Result<IncidentState, Problem> {
        let unknown = || not_at_hand(named);
        let mut watch = self.engine.watch_set(&named.set).ok_or_else(unknown)?;
        let members: &Members<'_> = &|service| self.member(service);
        let state = |set: &Set| run_of(set, &named.run).map(|run| IncidentState::of_run(set, run, members));
        let first = state(watch.borrow_and_update().as_ref()).ok_or_else(unknown)?;
        let seen = phase.unwrap_or_else(|| first.phase.clone());
        let mut last = first;
        let mut stopping = self.stopping.clone();
        let end = tokio::time::Instant::now() + patience;
        while last.phase == seen && last.outcome == ripcord_core::fact::Outcome::Open && last.needs.is_none()
        {
            let until = end.min(tokio::time::Instant::now() + LOOK_EVERY);
            let goes_on = tokio::select! {
                changed = tokio::time::timeout_at(until, watch.changed()) => !matches!(changed, Ok(Err(_))),
                _ = stopping.wait_for(|stopping| *stopping) => false,
            };
            let now = state(watch.borrow_and_update().as_ref());
            let is_over = now.is_none() || !goes_on || tokio::time::Instant::now() >= end;
            last = now.unwrap_or(last);
            if is_over {
                break;
            }
        }
        Ok(last)
    }
}

/// What can be read of a set is its open run and its last one.
fn not_at_hand(named: &NamedRun) -> Problem {
    let NamedRun { set, run } = named;
    Problem::not_found(format!(
        "there is no run `{run}` that goes on or was the last one; `ripcord sets show {set}` shows both"
    ))
}

/// Pages of incidents of services say so where a run of a set is named.
pub(super) fn is_a_run(id: &IncidentId, set: &SetName) -> Problem {
    Problem::not_found(format!(
        "`{id}` is a run of the set `{set}`, and this is about incidents of one service: `ripcord sets show {set}` shows the run and the incident of each member"
    ))
}

pub(super) async fn sets(State(app): State<Arc<App>>, headers: HeaderMap) -> Answer<Vec<SetView>> {
    app.people.authenticate(&headers)?;
    let members: &Members<'_> = &|service| app.member(service);
    let mut views = Vec::new();
    // One whose journal cannot be read is listed with the reason, and nothing else.
    let aside = app.engine.sets_aside().map(|(name, _)| Arc::new(Set::new(name.clone())));
    let mut states = app.engine.sets();
    states.extend(aside);
    states.sort_by(|one, other| one.name.cmp(&other.name));
    for state in states {
        let stuck = app.what_holds_up(&state.name);
        let view = SetView::of(app.engine.store().as_ref(), &state, members).await?;
        views.push(SetView { stuck, ..view });
    }
    Ok(Json(views))
}

pub(super) async fn set(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Answer<SetView> {
    app.people.authenticate(&headers)?;
    let state = app.set_state(&set_name(name)?)?;
    let members: &Members<'_> = &|service| app.member(service);
    let view = SetView::of(app.engine.store().as_ref(), &state, members).await?;
    Ok(Json(SetView { stuck: app.what_holds_up(&state.name), ..view }))
}

pub(super) async fn run(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path((name, number)): Path<(String, String)>,
) -> Answer<SetRunView> {
    app.people.authenticate(&headers)?;
    let state = app.set_state(&set_name(name)?)?;
    let number = number
        .parse()
        .map_err(|_| Problem::bad_request("the number of a run is a whole number, counted from one"))?;
    let id = SetId::numbered(&state.name, number);
    let members: &Members<'_> = &|service| app.member(service);
    let view = SetRunView::of(app.engine.store().as_ref(), &state, &id, members).await;
    Ok(Json(view.map_err(|error| match error {
        ReadError::Unknown(_) => not_there(&id, &state.name),
        error => error.into(),
    })?))
}

fn not_there(id: &SetId, set: &SetName) -> Problem {
    Problem::not_found(format!("there is no run `{id}`; `ripcord sets show {set}` shows the last one"))
}

pub(super) async fn pull(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    let state = app.set_state(&set_name(name)?)?;
    app.may_pull_set(person, &state.name)?;
    let (_, body) = json::<SetPullBody>(request).await?;
    app.may_pull_members(person, &state, &body)?;
    let why = reason(&body.reason)?;
    let ask = SetAsk::Move { to: body.to };
    Ok(Json(app.command_set(&state.name, person, ask, why, body.run).await?))
}

fn set_name(text: String) -> Result<SetName, Problem> {
    SetName::new(text).map_err(|error| Problem::bad_request(error.to_string()))
}

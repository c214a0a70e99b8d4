//! What people can ask: pull, vote, abort, dismiss, answer, pause, resume, lift a hold, adopt. Votes, and the end of something, go to runs of sets as well.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use ripcord_core::data::DataRevision;
use ripcord_core::digest::Digest;
use ripcord_core::facet::{InvalidRevision, Revision};
use ripcord_core::name::{IncidentId, PolicyName, RoleName, ServiceName};
use ripcord_core::plan::{VoteKind, VoteStatement, Word};
use ripcord_core::role::Urgency;
use ripcord_core::service::{Illegal, Phase};
use ripcord_engine::{Ask, Ballot, Command, CommandError, Person, PruneReport, SetAsk, SignedBallot};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::App;
use super::bodies;
use super::people::{KnownPerson, Right, ServiceRights, require, takes};
use super::problem::Problem;
use super::read::{incident_id, service_name};
use super::sets::{NamedRun, is_a_run};
use super::wire::{AdoptBody, AnswerBody, DataBody, Done, DoneOne, LiftBody, PullBody, ReasonBody, VoteBody};
use crate::signers::ssh::NotSigned;
use crate::signers::{self, Checked};

type Answer<T> = Result<Json<T>, Problem>;

const BODY_BYTES_MAX: u64 = 64 << 10;
const REASON_CHARS_MAX: usize = 4_000;

/// Reads a JSON body, whatever its content type says.
pub(super) async fn json<T: DeserializeOwned>(request: Request) -> Result<(HeaderMap, T), Problem> {
    let (parts, body) = request.into_parts();
    let bytes = bodies::asked(&parts.headers, body, BODY_BYTES_MAX).await?;
    let body = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad_request(format!("the body is not what this takes: {error}")))?;
    Ok((parts.headers, body))
}

pub(super) fn reason(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::bad_request("`reason` is empty; say why, for those who read the record"));
    }
    if text.chars().count() > REASON_CHARS_MAX {
        return Err(Problem::bad_request(format!("`reason` has more than {REASON_CHARS_MAX} characters")));
    }
    Ok(text.to_owned())
}

impl App {
    async fn command(
        &self,
        service: &ServiceName,
        person: &Person,
        ask: Ask,
        reason: String,
        incident: Option<IncidentId>,
    ) -> Result<Done, CommandError> {
        let command = Command { person: person.clone(), ask, reason, incident };
        let obeyed = self.engine.command(service, command).await?;
        tracing::info!(%service, person = %person.name, text = obeyed.text, "a person asked");
        Ok(Done { incident: obeyed.incident, text: obeyed.text })
    }

    /// What an operator asks of an incident, or of a run of a set.
    async fn operate(&self, request: Request, id: String, ask: Ask, of_run: SetAsk) -> Answer<Done> {
        let person = &self.people.authenticate(request.headers())?.person;
        require(person, Right::Operate, &[])?;
        let (_, body) = json::<ReasonBody>(request).await?;
        let id = incident_id(id)?;
        if let Some(NamedRun { set, run }) = self.run_named(&id)? {
            let why = reason(&body.reason)?;
            return Ok(Json(self.command_set(&set, person, of_run, why, Some(run)).await?));
        }
        let service = self.service_of(&id)?;
        Ok(Json(self.command(&service, person, ask, reason(&body.reason)?, Some(id)).await?))
    }

    /// Who may pull a service may order what is made for it, and end that.
    pub(super) fn may_pull(&self, person: &Person, service: &ServiceName) -> Result<(), Problem> {
        self.may(person, service, |rights| &rights.pull, "pull")
    }

    fn may(
        &self,
        person: &Person,
        service: &ServiceName,
        roles: fn(&ServiceRights) -> &Vec<RoleName>,
        what: &str,
    ) -> Result<(), Problem> {
        let may = self.rights.get(service).map_or(&[][..], |rights| roles(rights));
        if person.roles.iter().any(|role| may.contains(role)) {
            return Ok(());
        }
        Err(Problem::forbidden(format!("`{}` may not {what} `{service}`: {}", person.name, takes(may))))
    }

    /// The service, if the person may let come back what was condemned there.
    fn may_lift(&self, person: &Person, name: String) -> Result<ServiceName, Problem> {
        let service = service_name(name)?;
        self.state_of(&service)?;
        self.may(person, &service, |rights| &rights.lift, "lift holds of")?;
        Ok(service)
    }

    /// Whether a person may grant a plan alone; the core judges it again with the terms in force.
    fn may_break_glass(&self, person: &Person, service: &ServiceName) -> Result<(), Problem> {
        let state = self.state_of(service)?;
        let roles = state.terms.as_ref().map_or(&[][..], |terms| terms.break_glass.as_slice());
        if person.roles.iter().any(|role| roles.contains(role)) {
            return Ok(());
        }
        Err(Problem::forbidden(format!(
            "`{}` may not break the glass for `{service}`: {}",
            person.name,
            takes(roles)
        )))
    }

    /// Of the plan that waits for votes there, if one does; from what is in memory.
    fn digest_at_hand(&self, id: &IncidentId) -> Option<Digest> {
        if let Some(NamedRun { set, run }) = self.run_named(id).ok()? {
            let state = self.set_state(&set).ok()?;
            let open = state.run.as_ref().filter(|open| open.id == run)?;
            return open.plan.as_ref().map(|plan| plan.digest);
        }
        let state = self.state_of(&id.service()?).ok()?;
        let open = state.incident.as_ref().filter(|open| open.id == *id)?;
        open.plan().map(|plan| plan.digest)
    }

    fn service_of(&self, id: &IncidentId) -> Result<ServiceName, Problem> {
        let unknown =
            || Problem::not_found(format!("there is no incident `{id}`; `ripcord incidents list` shows all"));
        let service = id.service().ok_or_else(unknown)?;
        if let Some(named) = self.run_named(id)? {
            return Err(is_a_run(id, &named.set));
        }
        if self.engine.watch(&service).is_none() {
            // One whose journal is set aside is told as such.
            self.state_of(&service).map_err(|problem| {
                if problem.status == StatusCode::NOT_FOUND.as_u16() { unknown() } else { problem }
            })?;
        }
        Ok(service)
    }
}

pub(crate) async fn pull(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    let service = service_name(name)?;
    app.state_of(&service)?;
    app.may_pull(person, &service)?;
    let (_, body) = json::<PullBody>(request).await?;
    let to = body.target().map_err(Problem::bad_request)?;
    let urgency = body.urgency.unwrap_or(Urgency::Routine);
    if body.break_glass {
        app.may_break_glass(person, &service)?;
    }
    let (leaving, pending, break_glass) = (body.leaving, body.pending, body.break_glass);
    let ask = Ask::Pull { to, urgency, leaving, pending, break_glass };
    Ok(Json(app.command(&service, person, ask, reason(&body.reason)?, body.incident).await?))
}

pub(crate) async fn approve(state: State<Arc<App>>, path: Path<String>, request: Request) -> Answer<Done> {
    vote(state, path, request, true).await
}

pub(crate) async fn refuse(state: State<Arc<App>>, path: Path<String>, request: Request) -> Answer<Done> {
    vote(state, path, request, false).await
}

async fn vote(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
    granted: bool,
) -> Answer<Done> {
    let (headers, body) = json::<VoteBody>(request).await?;
    let id = incident_id(id)?;
    let (known, signed) = voter(&app, &headers, &body, &id, granted).await?;
    let named = app.run_named(&id)?;
    let kind = match (body.break_glass, &named) {
        (true, Some(_)) => {
            let why = "nobody breaks the glass for a run of a set: pull its members one by one, and break it for each";
            return Err(Problem::bad_request(why));
        }
        (true, None) if !granted => {
            return Err(Problem::bad_request("a refusal breaks no glass: leave out `break_glass`"));
        }
        (true, None) => {
            app.may_break_glass(&known.person, &app.service_of(&id)?)?;
            reason(&body.reason)?;
            VoteKind::BreakGlass
        }
        (false, _) => {
            let mut wanted = match &named {
                Some(named) => app.roles_wanted_by_set(&named.set),
                None => wanted_roles(&app, &app.service_of(&id)?),
            };
            if let (false, None) = (granted, &named) {
                let state = app.state_of(&app.service_of(&id)?)?;
                wanted.extend(state.terms.iter().flat_map(|terms| &terms.veto).cloned());
            }
            require(&known.person, Right::Vote, &wanted)?;
            if signed.is_some() { VoteKind::Signature } else { VoteKind::Session }
        }
    };
    let ballot = Ballot { plan: body.plan, granted, kind, signed };
    let why = match granted {
        true => body.reason.trim().chars().take(REASON_CHARS_MAX).collect(),
        // Whoever says no says why: the next plan is made by those who read it.
        false => reason(&body.reason)?,
    };
    if let Some(NamedRun { set, run }) = named {
        let ask = SetAsk::Vote(ballot);
        return Ok(Json(app.command_set(&set, &known.person, ask, why, Some(run)).await?));
    }
    let service = app.service_of(&id)?;
    Ok(Json(app.command(&service, &known.person, Ask::Vote(ballot), why, Some(id)).await?))
}

/// Who votes: by token, by signature, or by both, which must then be of the same person.
async fn voter<'a>(
    app: &'a App,
    headers: &HeaderMap,
    body: &VoteBody,
    id: &IncidentId,
    granted: bool,
) -> Result<(&'a KnownPerson, Option<SignedBallot>), Problem> {
    let by_token = headers.contains_key(axum::http::header::AUTHORIZATION);
    let known = match (&body.person, by_token || body.signature.is_none()) {
        (Some(person), false) => app.people.named(person),
        (named, _) => {
            let known = app.people.authenticate(headers)?;
            if named.as_ref().is_some_and(|named| *named != known.person.name) {
                return Err(Problem::forbidden(
                    "the token is another person's than the one who is said to vote",
                ));
            }
            Some(known)
        }
    };
    let wrong = || Problem::forbidden(NotSigned::Wrong.to_string());
    let known = known.ok_or_else(wrong)?;
    // Who has shown nothing yet is told nothing, and costs no reading: what waits is known without it.
    let is_of_what_waits = || !known.signers.is_empty() && app.digest_at_hand(id) == Some(body.plan);
    if !by_token && !is_of_what_waits() {
        return Err(wrong());
    }
    let Some(signature) = &body.signature else {
        // Who has a key vouches with it: a token that was read somewhere must not be enough.
        if !known.signers.is_empty() {
            let name = &known.person.name;
            let (word, why) = if granted { ("approve", "") } else { ("refuse", " --reason TEXT") };
            return Err(Problem::forbidden(format!(
                "`{name}` has a public key, so only a signature counts: sign with `ripcord {word} {id} --key FILE{why}`"
            )));
        }
        return Ok((known, None));
    };
    if known.signers.is_empty() {
        let name = &known.person.name;
        return Err(Problem::forbidden(format!(
            "`{name}` has no `public-key` in the configuration, nor a line in the file of allowed signers"
        )));
    }
    let Some(nonce) = body.nonce.clone() else {
        return Err(Problem::bad_request(
            "a signature comes with the `nonce` that was signed; `ripcord plan show INCIDENT --to-sign` prints it",
        ));
    };
    let at_hand = app.plan_at_hand(id).await?;
    if at_hand.digest != body.plan {
        return Err(CommandError::Illegal(Illegal::OtherPlan { at_hand: at_hand.digest }).into());
    }
    let word = Word { person: known.person.name.clone(), granted, break_glass: body.break_glass };
    let statement = VoteStatement::of(&at_hand.plan, id, word, nonce.clone()).map_err(|_| wrong())?;
    let Checked { key, text } = signers::check(&statement, signature, &known.signers, app.people.touch)
        .map_err(|why| Problem::forbidden(why.to_string()))?;
    Ok((known, Some(SignedBallot { key, nonce, text })))
}

/// Roles that the plan at hand waits for: whoever has one may vote.
fn wanted_roles(app: &App, service: &ServiceName) -> Vec<RoleName> {
    let Ok(state) = app.state_of(service) else { return Vec::new() };
    match state.incident.as_ref().map(|incident| &incident.phase) {
        Some(Phase::Authorising(authorising)) => {
            state.wanted(authorising).into_iter().map(|quorum| quorum.role).collect()
        }
        _ => Vec::new(),
    }
}

pub(crate) async fn abort(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Answer<Done> {
    app.operate(request, id, Ask::Abort, SetAsk::Abort).await
}

/// Ends the run that the incident ordered.
pub(crate) async fn stop_run(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    require(person, Right::Operate, &[])?;
    let id = incident_id(id)?;
    let service = app.service_of(&id)?;
    app.may_pull(person, &service)?;
    let (_, body) = json::<ReasonBody>(request).await?;
    Ok(Json(app.command(&service, person, Ask::StopRun, reason(&body.reason)?, Some(id)).await?))
}

/// What was done by breaking the glass was looked at.
pub(crate) async fn close_review(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    let id = incident_id(id)?;
    let service = app.service_of(&id)?;
    require(person, Right::Vote, &app.state_of(&service)?.review_closers())?;
    let (_, body) = json::<ReasonBody>(request).await?;
    let ask = Ask::CloseReview(id);
    Ok(Json(app.command(&service, person, ask, reason(&body.reason)?, None).await?))
}

pub(crate) async fn dismiss(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Answer<Done> {
    app.operate(request, id, Ask::Dismiss, SetAsk::Dismiss).await
}

pub(crate) async fn answer(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    require(person, Right::Operate, &[])?;
    let (_, body) = json::<AnswerBody>(request).await?;
    let id = incident_id(id)?;
    let service = app.service_of(&id)?;
    let ask = Ask::Answer { applied: body.happened, question: body.question };
    Ok(Json(app.command(&service, person, ask, reason(&body.reason)?, Some(id)).await?))
}

pub(crate) async fn pause(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Answer<Done> {
    one(&app, name, request, Ask::Pause).await
}

pub(crate) async fn resume(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Answer<Done> {
    one(&app, name, request, Ask::Resume).await
}

async fn one(app: &App, name: String, request: Request, ask: Ask) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    require(person, Right::Operate, &[])?;
    let (_, body) = json::<ReasonBody>(request).await?;
    Ok(Json(app.command(&service_name(name)?, person, ask, reason(&body.reason)?, None).await?))
}

pub(crate) async fn pause_all(State(app): State<Arc<App>>, request: Request) -> Answer<Vec<DoneOne>> {
    all(&app, request, &Ask::Pause).await
}

pub(crate) async fn resume_all(State(app): State<Arc<App>>, request: Request) -> Answer<Vec<DoneOne>> {
    all(&app, request, &Ask::Resume).await
}

/// One service that fails does not keep the others from being stopped, and one whose journal is set aside is told as such.
async fn all(app: &App, request: Request, ask: &Ask) -> Answer<Vec<DoneOne>> {
    let person = &app.people.authenticate(request.headers())?.person;
    require(person, Right::Operate, &[])?;
    let (_, body) = json::<ReasonBody>(request).await?;
    let why = reason(&body.reason)?;
    let mut each = Vec::new();
    for service in app.engine.all() {
        let (done, text) = match app.command(service, person, ask.clone(), why.clone(), None).await {
            Ok(done) => (true, done.text),
            Err(CommandError::Illegal(already @ Illegal::Already(..))) => (true, already.to_string()),
            Err(error) => (false, Problem::from(error).detail),
        };
        each.push(DoneOne { service: service.clone(), done, text });
    }
    Ok(Json(each))
}

pub(crate) async fn lift(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    let service = app.may_lift(person, name)?;
    let (_, body) = json::<LiftBody>(request).await?;
    let revision: Revision =
        version.parse().map_err(|error: InvalidRevision| Problem::bad_request(error.to_string()))?;
    let why = reason(&body.reason)?;
    Ok(Json(app.command(&service, person, Ask::LiftHold(revision), why, body.incident).await?))
}

pub(crate) async fn condemn_data(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    require(person, Right::Operate, &[])?;
    of_data(&app, person, &service_name(name)?, request, Ask::CondemnData).await
}

pub(crate) async fn lift_data(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    let service = app.may_lift(person, name)?;
    of_data(&app, person, &service, request, Ask::LiftData).await
}

async fn of_data(
    app: &App,
    person: &Person,
    service: &ServiceName,
    request: Request,
    ask: fn(DataRevision) -> Ask,
) -> Answer<Done> {
    let (_, body) = json::<DataBody>(request).await?;
    let why = reason(&body.reason)?;
    Ok(Json(app.command(service, person, ask(body.data), why, None).await?))
}

pub(crate) async fn lift_latch(
    State(app): State<Arc<App>>,
    Path((name, trigger)): Path<(String, String)>,
    request: Request,
) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    require(person, Right::Operate, &[])?;
    let (_, body) = json::<LiftBody>(request).await?;
    let trigger = PolicyName::new(trigger).map_err(|error| Problem::bad_request(error.to_string()))?;
    let (service, why) = (service_name(name)?, reason(&body.reason)?);
    Ok(Json(app.command(&service, person, Ask::LiftLatch(trigger), why, body.incident).await?))
}

pub(crate) async fn adopt(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    let service = service_name(name)?;
    app.state_of(&service)?;
    app.may(person, &service, |rights| &rights.adopt, "vouch for what is live of")?;
    let (_, body) = json::<AdoptBody>(request).await?;
    let why = reason(&body.reason)?;
    Ok(Json(app.command(&service, person, Ask::Adopt(body.revision), why, None).await?))
}

pub(crate) async fn keep(state: State<Arc<App>>, path: Path<String>, request: Request) -> Answer<Done> {
    keep_or_release(state, path, request, Ask::Keep).await
}

pub(crate) async fn release(state: State<Arc<App>>, path: Path<String>, request: Request) -> Answer<Done> {
    keep_or_release(state, path, request, Ask::Release).await
}

/// About an incident that need not be open.
async fn keep_or_release(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
    ask: fn(IncidentId) -> Ask,
) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    require(person, Right::Administer, &[])?;
    let (_, body) = json::<ReasonBody>(request).await?;
    let id = incident_id(id)?;
    let service = app.service_of(&id)?;
    Ok(Json(app.command(&service, person, ask(id), reason(&body.reason)?, None).await?))
}

/// Reads the configuration again. What is wrong with it is the answer, and then the host goes on as it is.
pub(crate) async fn reload(State(app): State<Arc<App>>, request: Request) -> Answer<Done> {
    let person = &app.people.authenticate(request.headers())?.person;
    require(person, Right::Administer, &[])?;
    let without =
        || Problem::conflict("this host cannot read its configuration again: start it with `ripcord serve`");
    let (told, verdict) = oneshot::channel();
    let asked = app.reload.as_ref().ok_or_else(without)?.send(told).await;
    asked.map_err(|_| without())?;
    tracing::info!(person = %person.name, "a person asked for the configuration to be read again");
    match verdict.await {
        Ok(Ok(text)) => Ok(Json(Done { incident: None, text })),
        Ok(Err(why)) => Err(Problem::conflict(why)),
        Err(_) => Err(Problem::unavailable("stopping", "the host is stopping; try again when it is back")),
    }
}

/// Erases what is older than it is kept for.
pub(crate) async fn prune(State(app): State<Arc<App>>, request: Request) -> Answer<PruneReport> {
    let person = &app.people.authenticate(request.headers())?.person;
    require(person, Right::Administer, &[])?;
    tracing::info!(person = %person.name, "a person asked for old content to be erased");
    Ok(Json(app.engine.prune().await))
}

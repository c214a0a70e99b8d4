//! `ripcord sets`, and `ripcord pull --set`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ripcord_core::name::{IncidentId, ServiceName, SetId, SetName};
use ripcord_core::service::Service;
use ripcord_core::set::Set;
use ripcord_engine::{ReadError, recover, recover_set};
use ripcord_store::SqliteStore;

use super::pull::{Until, follow};
use super::reach::Reach;
use super::{Outcome, reason};
use crate::cli::{Global, PullArgs};
use crate::client::Client;
use crate::http::wire::sets::plan_of;
use crate::http::wire::{PlanView, SetPullBody, SetRunView, SetView};
use crate::output::sets::Damaged;
use crate::output::{Exit, Failure, Page, Paragraph, Progress, sets as output};

pub(super) async fn list(global: &Global) -> Outcome {
    let reach = Reach::new(global)?;
    let (views, damaged) = read_all(&reach).await?;
    Ok(output::list(&views, &damaged))
}

pub(super) async fn show(global: &Global, set: &SetName) -> Outcome {
    Ok(output::page(&read(&Reach::new(global)?, set).await?))
}

/// A run by its id, as an incident is shown.
pub(super) async fn show_run(reach: &Reach, set: &SetName, id: &IncidentId) -> Outcome {
    let number = id.number().unwrap_or_default();
    if let Some(host) = reach.elsewhere().await? {
        return Ok(output::page_of_run(&host.set_run(set, number).await?));
    }
    is_configured(reach, set)?;
    let mut journals = Journals::of(reach)?;
    let state = match journals.state(reach, set).await? {
        Ok(state) => state,
        Err(why) => return Err(Failure::failed(format!("the set `{set}` cannot be read: {why}"))),
    };
    let Some(store) = &journals.store else { return Err(not_there(id, set)) };
    let run = SetId::numbered(set, number);
    let view = SetRunView::of(store, &state, &run, &journals.members()).await;
    let view = view.map_err(|error| match error {
        ReadError::Unknown(_) => not_there(id, set),
        error => Failure::of(Exit::Failed, error),
    })?;
    Ok(output::page_of_run(&view))
}

fn not_there(id: &IncidentId, set: &SetName) -> Failure {
    Failure::usage(format!("there is no run `{id}`"))
        .help(format!("`ripcord sets show {set}` shows the last one"))
}

/// The plan at hand is that of the open run or of the last one.
fn not_at_hand(id: &IncidentId, set: &SetName) -> Failure {
    Failure::usage(format!("there is no run `{id}` that goes on or was the last one"))
        .help(format!("`ripcord sets show {set}` shows both"))
}

/// Asks for a run, and waits until it has ended or waits for people.
pub(super) async fn pull(reach: &Reach, set: &SetName, args: &PullArgs) -> Outcome {
    let to = args.members().map_err(Failure::usage)?;
    let body = SetPullBody { to, run: None, reason: reason(&args.reason) };
    let host = reach.host().await?;
    let page = ask_and_wait(host.client(), set, &body, args.no_wait, &reach.progress).await;
    // What it waits for was waited for, unless the person asked not to.
    host.leave(None, &reach.progress).await?;
    page
}

async fn ask_and_wait(
    client: &Client,
    set: &SetName,
    body: &SetPullBody,
    no_wait: bool,
    progress: &Progress,
) -> Outcome {
    let done = client.pull_set(set, body).await?;
    let Some(id) = done.incident.clone().filter(|_| !no_wait) else {
        return Ok(Page::done(Paragraph(&done.text), &done));
    };
    progress.say(&done.text);
    follow(client, &id, Until::PeopleAreAsked, progress).await?;
    Ok(output::page_after(&client.set(set).await?, &id))
}

/// All sets: of the host, where the store is not on this machine; else as their journals have them.
pub(super) async fn read_all(reach: &Reach) -> Result<(Vec<SetView>, Damaged), Failure> {
    match reach.elsewhere().await? {
        Some(host) => Ok((host.sets().await?, Damaged::new())),
        None => read_all_here(reach).await,
    }
}

/// The same as the journals on this machine have them.
pub(super) async fn read_all_here(reach: &Reach) -> Result<(Vec<SetView>, Damaged), Failure> {
    let mut journals = Journals::of(reach)?;
    let (mut views, mut damaged) = (Vec::new(), Damaged::new());
    for set in &reach.here()?.sets {
        match journals.view(reach, &set.name).await? {
            Ok(view) => views.push(view),
            Err(why) => drop(damaged.insert(set.name.clone(), why)),
        }
    }
    Ok((views, damaged))
}

async fn read(reach: &Reach, set: &SetName) -> Result<SetView, Failure> {
    if let Some(host) = reach.elsewhere().await? {
        return Ok(host.set(set).await?);
    }
    is_configured(reach, set)?;
    let view = Journals::of(reach)?.view(reach, set).await?;
    view.map_err(|why| Failure::failed(format!("the set `{set}` cannot be read: {why}")))
}

fn is_configured(reach: &Reach, set: &SetName) -> Result<(), Failure> {
    let config = reach.here()?;
    if config.set(set.as_str()).is_some() {
        return Ok(());
    }
    let known: Vec<_> = config.sets.iter().map(|known| format!("`{}`", known.name)).collect();
    let failure = Failure::usage(format!("there is no set `{set}` in the configuration"));
    Err(match known.is_empty() {
        true => failure.help("it has none; `[sets.NAME]` makes one"),
        false => failure.help(format!("it has {}", known.join(", "))),
    })
}

/// The plan at hand of a run.
pub(super) async fn plan(reach: &Reach, set: &SetName, id: &IncidentId) -> Result<PlanView, Failure> {
    if let Some(host) = reach.elsewhere().await? {
        return Ok(host.plan(id).await?);
    }
    is_configured(reach, set)?;
    let failed = |error| Failure::of(Exit::Failed, error);
    let store = reach.store()?;
    let state = recover_set(&store, set).await.map_err(|error| Failure::of(Exit::Failed, error))?.state;
    let runs = [&state.run, &state.last].into_iter().flatten();
    let Some(run) = runs.into_iter().find(|run| run.id.as_incident() == *id) else {
        return Err(not_at_hand(id, set));
    };
    let view = plan_of(&store, &state, &run.id).await.map_err(failed)?;
    view.ok_or_else(|| Failure::failed(format!("`{id}` has no plan: it is {}", run.phase.name())))
}

/// The journals of sets and their members on this machine; without a store they are new.
struct Journals {
    store: Option<SqliteStore>,
    members: BTreeMap<ServiceName, Option<Arc<Service>>>,
}

impl Journals {
    fn of(reach: &Reach) -> Result<Self, Failure> {
        Ok(Self { store: reach.store_if_any()?, members: BTreeMap::new() })
    }

    /// A set for people; why not, where it cannot be read.
    async fn view(&mut self, reach: &Reach, name: &SetName) -> Result<Result<SetView, String>, Failure> {
        let set = match self.state(reach, name).await? {
            Ok(set) => set,
            Err(why) => return Ok(Err(why)),
        };
        match &self.store {
            Some(store) => {
                let view = SetView::of(store, &set, &self.members()).await;
                view.map(Ok).map_err(|error| Failure::of(Exit::Failed, error))
            }
            None => Ok(Ok(SetView::new(&set, &self.members()))),
        }
    }

    /// The members that were read.
    fn members(&self) -> impl Fn(&ServiceName) -> Option<Arc<Service>> + Send + Sync {
        move |service| self.members.get(service).cloned().flatten()
    }

    /// A set as its journal has it, with the terms of the configuration where it was never started; why not, where it cannot be read. Its members are read, too.
    async fn state(&mut self, reach: &Reach, name: &SetName) -> Result<Result<Arc<Set>, String>, Failure> {
        let configured = reach.here()?.set(name.as_str()).map(|set| set.terms(Vec::new()));
        let new = || Arc::new(Set { terms: configured.clone(), ..Set::new(name.clone()) });
        let set = match &self.store {
            None => new(),
            Some(store) => match recover_set(store, name).await {
                Ok(recovered) if recovered.state.terms.is_none() => new(),
                Ok(recovered) => recovered.state,
                Err(error) if error.is_of_this_journal() => return Ok(Err(error.to_string())),
                Err(error) => return Err(Failure::of(Exit::Failed, error)),
            },
        };
        let runs = [&set.run, &set.last].into_iter().flatten().flat_map(|run| &run.members);
        let of_runs = runs.map(|member| &member.service);
        let names: Vec<_> =
            set.terms.iter().flat_map(|terms| &terms.members).chain(of_runs).cloned().collect();
        for member in names {
            if !self.members.contains_key(&member) {
                let state = self.member(&member).await;
                self.members.insert(member, state);
            }
        }
        Ok(Ok(set))
    }

    async fn member(&self, name: &ServiceName) -> Option<Arc<Service>> {
        let Some(store) = &self.store else { return Some(Arc::new(Service::new(name.clone()))) };
        recover(store, name).await.ok().map(|recovered| recovered.state)
    }
}

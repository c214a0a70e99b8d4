//! What people order besides pulling and voting.

use ripcord_core::data::DataRevision;
use ripcord_core::event::Happened;
use ripcord_core::facet::Revision;
use ripcord_core::name::{IncidentId, PolicyName, ServiceName};
use serde::Serialize;

use super::reach::Reach;
use super::{Outcome, reason};
use crate::cli::{AboutIncident, AboutServices, Global};
use crate::client::Live;
use crate::http::wire::{AdoptBody, AnswerBody, DataBody, DoneOne, LiftBody, ReasonBody};
use crate::output::style::{BAD, GOOD};
use crate::output::table::{Cell, Table};
use crate::output::{Exit, Failure, Page, Paragraph};

/// What an order is about.
#[derive(Debug, Clone, Copy)]
enum About<'a> {
    Service(&'a ServiceName),
    Incident(&'a IncidentId),
}

/// Asks the host for one thing. `what` is the rest of the address.
async fn order(global: &Global, about: About<'_>, what: &str, body: &impl Serialize) -> Outcome {
    let reach = Reach::new(global)?;
    let host = reach.host().await?;
    let (service, answer) = match about {
        About::Service(service) => {
            (Some(service.clone()), host.client().order_of_service(service, what, body).await)
        }
        About::Incident(id) => (id.service(), host.client().order_of_incident(id, what, body).await),
    };
    host.leave(service.as_ref().filter(|_| answer.is_ok()), &reach.progress).await?;
    let done = answer?;
    Ok(Page::done(Paragraph(&done.text), &done))
}

pub(super) async fn adopt(
    global: &Global,
    service: &ServiceName,
    revision: Option<Revision>,
    why: &str,
) -> Outcome {
    let body = AdoptBody { revision, reason: reason(why) };
    order(global, About::Service(service), "adopt", &body).await
}

pub(super) async fn lift(
    global: &Global,
    service: &ServiceName,
    revision: &Revision,
    incident: Option<IncidentId>,
    why: &str,
) -> Outcome {
    let what = format!("holds/{}/lift", revision.as_text());
    order(global, About::Service(service), &what, &LiftBody { incident, reason: reason(why) }).await
}

/// `word` is `condemn` or `lift`.
pub(super) async fn of_data(
    global: &Global,
    service: &ServiceName,
    word: &str,
    data: DataRevision,
    why: &str,
) -> Outcome {
    let body = DataBody { data, reason: reason(why) };
    order(global, About::Service(service), &format!("data/{word}"), &body).await
}

pub(super) async fn lift_latch(
    global: &Global,
    service: &ServiceName,
    trigger: &PolicyName,
    incident: Option<IncidentId>,
    why: &str,
) -> Outcome {
    let what = format!("latches/{trigger}/lift");
    order(global, About::Service(service), &what, &LiftBody { incident, reason: reason(why) }).await
}

/// `abort` and `dismiss`.
pub(super) async fn about(global: &Global, verb: &str, args: &AboutIncident) -> Outcome {
    let body = ReasonBody { reason: reason(&args.reason) };
    order(global, About::Incident(&args.incident), verb, &body).await
}

pub(super) async fn answer(
    global: &Global,
    incident: &IncidentId,
    happened: Happened,
    question: u32,
    why: &str,
) -> Outcome {
    let body = AnswerBody { happened, question, reason: reason(why) };
    order(global, About::Incident(incident), "answer", &body).await
}

/// The host that runs; one that does not reads its configuration when it starts.
pub(super) async fn reload(global: &Global) -> Outcome {
    let reach = Reach::new(global)?;
    let host = reach.answering().await.map_err(Failure::failed)?;
    let done = host.reload().await?;
    Ok(Page::done(Paragraph(&done.text), &done))
}

/// `pause` and `resume`.
pub(super) async fn stop_or_go(global: &Global, verb: &str, args: &AboutServices) -> Outcome {
    let body = ReasonBody { reason: reason(&args.reason) };
    if let Some(service) = &args.service {
        return order(global, About::Service(service), verb, &body).await;
    }
    let reach = Reach::new(global)?;
    let host = reach.host().await?;
    let known: Vec<_> = match reach.far()? {
        Some(host) => host.services(&[], Live::Skipped).await?.into_iter().map(|view| view.name).collect(),
        None => reach.here()?.services.iter().map(|service| service.name.clone()).collect(),
    };
    let answer = host.client().order_of_all(&known, verb, &body).await;
    host.leave(None, &reach.progress).await?;
    Ok(all(&answer?))
}

fn all(each: &[DoneOne]) -> Page {
    let mut table = Table::bare(0);
    for one in each {
        let word = if one.done { Cell::new(GOOD, "done") } else { Cell::new(BAD, "failed") };
        table.row([(&one.service).into(), word, Paragraph(&one.text).into()]);
    }
    let exit = if each.iter().all(|one| one.done) { Exit::Done } else { Exit::Failed };
    Page::new(exit, table, &each)
}

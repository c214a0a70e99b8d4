//! What people order besides pulling and voting.

use ripcord_core::event::Happened;
use ripcord_core::name::{IncidentId, ServiceName, VersionName};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::reach::Reach;
use super::{Outcome, reason};
use crate::cli::{AboutIncident, AboutServices, Global};
use crate::http::wire::{AdoptBody, AnswerBody, Done, DoneOne, LiftBody, ReasonBody};
use crate::output::style::{BAD, GOOD};
use crate::output::table::{Cell, Table};
use crate::output::{Exit, Failure, Page};

/// Asks the host for one thing about a service, or about all.
async fn order<T: DeserializeOwned>(
    global: &Global,
    about: Option<&ServiceName>,
    path: &str,
    body: &impl Serialize,
) -> Result<T, Failure> {
    let reach = Reach::new(global)?;
    let host = reach.host().await?;
    let answer = host.client().post(path, body).await;
    host.leave(about.filter(|_| answer.is_ok()), &reach.progress).await?;
    Ok(answer?)
}

fn done(done: &Done) -> Page {
    Page::done(&done.text, done)
}

pub(super) async fn adopt(
    global: &Global,
    service: &ServiceName,
    version: Option<VersionName>,
    why: &str,
) -> Outcome {
    let body = AdoptBody { version, reason: reason(why) };
    order(global, Some(service), &format!("services/{service}/adopt"), &body)
        .await
        .map(|answer| done(&answer))
}

pub(super) async fn lift(
    global: &Global,
    service: &ServiceName,
    version: &VersionName,
    incident: Option<IncidentId>,
    why: &str,
) -> Outcome {
    let path = format!("services/{service}/holds/{}/lift", escaped(version.as_str()));
    order(global, Some(service), &path, &LiftBody { incident, reason: reason(why) })
        .await
        .map(|answer| done(&answer))
}

/// `abort` and `dismiss`.
pub(super) async fn about(global: &Global, verb: &str, args: &AboutIncident) -> Outcome {
    let path = format!("incidents/{}/{verb}", args.incident);
    order(global, args.incident.service().as_ref(), &path, &ReasonBody { reason: reason(&args.reason) })
        .await
        .map(|answer| done(&answer))
}

pub(super) async fn answer(
    global: &Global,
    incident: &IncidentId,
    happened: Happened,
    question: u32,
    why: &str,
) -> Outcome {
    let body = AnswerBody { happened, question, reason: reason(why) };
    order(global, incident.service().as_ref(), &format!("incidents/{incident}/answer"), &body)
        .await
        .map(|answer| done(&answer))
}

/// `pause` and `resume`.
pub(super) async fn stop_or_go(global: &Global, verb: &str, args: &AboutServices) -> Outcome {
    let body = ReasonBody { reason: reason(&args.reason) };
    match &args.service {
        Some(service) => order(global, Some(service), &format!("services/{service}/{verb}"), &body)
            .await
            .map(|answer| done(&answer)),
        None => order(global, None, verb, &body).await.map(|each: Vec<DoneOne>| all(&each)),
    }
}

fn all(each: &[DoneOne]) -> Page {
    let mut table = Table::bare(0);
    for one in each {
        let word = if one.done { Cell::new(GOOD, "done") } else { Cell::new(BAD, "failed") };
        table.row([(&one.service).into(), word, one.text.as_str().into()]);
    }
    let exit = if each.iter().all(|one| one.done) { Exit::Done } else { Exit::Failed };
    Page::new(exit, table.to_string(), &each)
}

/// A version may hold `+`, which is a space to some readers of addresses.
fn escaped(text: &str) -> String {
    text.replace('+', "%2B")
}

//! `ripcord pull`: asks for a rollback of a service and waits until it is settled or waits for people.

use std::time::Duration;

use ripcord_core::event::PendingPlan;
use ripcord_core::fact::Outcome as Ending;
use ripcord_core::name::IncidentId;
use ripcord_core::plan::Leaving;
use ripcord_core::target::Exclusion;

use super::reach::Reach;
use super::{Outcome, reason, sets};
use crate::cli::{ExcludeArg, Global, PullArgs};
use crate::client::{Client, ClientError};
use crate::http::wire::{IncidentState, PullBody};
use crate::output::style::{WARN, paint};
use crate::output::{Failure, Page, Paragraph, Progress, incident, text};

/// Ids of rows that one pull takes: a body of the API is hardly longer.
const ROWS_BYTES_MAX: usize = 48 << 10;
/// How long one request waits for news.
const NEWS_WAIT_S: u64 = 20;
/// Between two questions to a host that is away.
const AWAY_PAUSE: Duration = Duration::from_secs(1);
/// So often who waits for a rollback asks again: a host begins anew in less.
const AWAY_TIMES_MAX: u32 = 30;

pub(super) async fn pull(global: &Global, args: &PullArgs) -> Outcome {
    let reach = Reach::new(global)?;
    if let Some(set) = &args.set {
        return sets::pull(&reach, set, args).await;
    }
    let host = reach.host().await?;
    let page = ask_and_wait(host.client(), args, &reach.progress).await;
    // What it waits for was waited for, unless the person asked not to.
    host.leave(None, &reach.progress).await?;
    page
}

/// What the host is asked for.
pub(crate) fn body(args: &PullArgs) -> Result<PullBody, Failure> {
    let exclude = args.exclude.iter().map(exclusion).collect::<Result<Vec<_>, _>>()?;
    Ok(PullBody {
        to: args.target().map_err(Failure::usage)?,
        checkpoint: args.checkpoint.clone().map(|argument| argument.0),
        retrain: args.retrain.as_ref().map(|argument| argument.without(exclude)),
        reason: reason(&args.reason),
        urgency: Some(args.urgency.into()),
        incident: None,
        leaving: if args.no_hold { Leaving::Keep } else { Leaving::Condemn },
        pending: if args.replace { PendingPlan::Replace } else { PendingPlan::Keep },
        break_glass: args.break_glass,
    })
}

fn exclusion(argument: &ExcludeArg) -> Result<Exclusion, Failure> {
    let file = match argument {
        ExcludeArg::Named(exclusion) => return Ok(exclusion.clone()),
        ExcludeArg::RowsOf(file) => file,
    };
    let ids = std::fs::read_to_string(file).map_err(|cause| {
        Failure::usage(format!("the ids of rows in `{}` cannot be read", file.display())).because(cause)
    })?;
    if ids.len() > ROWS_BYTES_MAX {
        return Err(Failure::usage(format!(
            "`{}` has {} bytes, and a pull takes {ROWS_BYTES_MAX}: name their source or their window instead, or purge them in the data and name the new revision",
            file.display(),
            ids.len()
        )));
    }
    let ids: Vec<String> =
        ids.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    if ids.is_empty() {
        return Err(Failure::usage(format!("`{}` names no row", file.display())));
    }
    Ok(Exclusion::Rows(ids))
}

async fn ask_and_wait(client: &Client, args: &PullArgs, progress: &Progress) -> Outcome {
    let Some(service) = &args.service else {
        return Err(Failure::usage("name the service that is pulled, or a set with `--set`"));
    };
    let done = client.order_of_service(service, "pull", &body(args)?).await?;
    let Some(id) = done.incident.clone().filter(|_| !args.no_wait) else {
        return Ok(Page::done(Paragraph(&done.text), &done));
    };
    progress.say(&done.text);
    let last = follow(client, &id, Until::PeopleAreAsked, progress).await?;
    let view = client.incident(&id).await?;
    let page = incident::page(&view);
    Ok(match what_now(&last) {
        Some(next) => Page { text: text!("{}\n\n{}", page.text.trimmed(), paint(WARN, next)), ..page },
        None => page,
    })
}

/// How long an incident is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until it is settled or waits for people. The rollback goes on without who asked for it, so a host that stays away is not waited for.
    PeopleAreAsked,
    /// Until it is settled, or a person must decide, however long the host is away meanwhile: it may begin anew.
    Settled,
}

/// Tells what happens to an incident, and what it came to.
pub(crate) async fn follow(
    client: &Client,
    id: &IncidentId,
    until: Until,
    progress: &Progress,
) -> Result<IncidentState, Failure> {
    let now = news(client, id, 0, None, until, progress).await?;
    follow_from(client, id, now, until, progress).await
}

/// The same from a state that was told already: each phase after it is told.
pub(crate) async fn follow_from(
    client: &Client,
    id: &IncidentId,
    told: IncidentState,
    until: Until,
    progress: &Progress,
) -> Result<IncidentState, Failure> {
    let mut state = told;
    loop {
        let waits = until == Until::PeopleAreAsked && !state.wanted.is_empty();
        if state.outcome != Ending::Open || state.needs.is_some() || waits {
            return Ok(state);
        }
        // Who must agree becomes known without a new phase.
        let seconds = if state.phase == "waiting for approval" { 1 } else { NEWS_WAIT_S };
        let next = news(client, id, seconds, Some(&state.phase), until, progress).await?;
        if next.phase != state.phase {
            progress.say(&next.phase);
        }
        state = next;
    }
}

/// What is new of an incident. That the host is away is told once.
async fn news(
    client: &Client,
    id: &IncidentId,
    seconds: u64,
    phase: Option<&str>,
    until: Until,
    progress: &Progress,
) -> Result<IncidentState, ClientError> {
    let mut times = 0;
    loop {
        let answer = client.wait(id, seconds, phase).await;
        let away = match answer {
            Err(away @ (ClientError::Unreachable { .. } | ClientError::Broken { .. })) => away,
            answer => {
                if times > 0 && answer.is_ok() {
                    progress.say("the host answers again");
                }
                return answer;
            }
        };
        if until == Until::PeopleAreAsked && times == AWAY_TIMES_MAX {
            return Err(away);
        }
        if times == 0 {
            progress.say(format!("{away}; it is asked again"));
        }
        times += 1;
        tokio::time::sleep(AWAY_PAUSE).await;
    }
}

fn what_now(state: &IncidentState) -> Option<String> {
    let id = &state.id;
    match state.outcome {
        Ending::Open if state.needs.is_some() => None,
        Ending::Open => {
            let wanted: Vec<_> = state.tally.iter().map(ToString::to_string).collect();
            Some(format!("it waits for {}: `ripcord approve {id}`", wanted.join(" and ")))
        }
        Ending::Observed => Some(
            "the service's mode is `observe`: this is what would have been done; set `mode = \"ask\"` to act"
                .into(),
        ),
        _ => None,
    }
}

//! Doing what people ask.

use std::sync::Arc;

use ripcord_core::digest::Digest;
use ripcord_core::event::{
    AboutHold, AboutIncident, Adopted, DataCondemned, DataLifted, Event, LatchLifted, PersonSaid,
    PullRequested, ShiftAnswered, Signed, Voted,
};
use ripcord_core::facet::Revision;
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::name::{IncidentId, VersionName};
use ripcord_core::plan::Vote;
use ripcord_core::service::{Authority, Illegal, Incident, Phase, Service};
use ripcord_core::target::Target;
use ripcord_ports::{ErrorKind, PortError};
use tokio::sync::watch;

use crate::batch::Batch;
use crate::command::{Ask, Ballot, Command, CommandError, Obeyed, PullTo};
use crate::descent::{Descent, trains_on_condemned};
use crate::facets;
use crate::mailbox::{AppendError, Mailbox, append};
use crate::restorable::{self, Listed};
use crate::setup::ServiceSetup;

/// So long a voter waits for the approval policies to hear of the vote.
const POLICIES_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

pub(crate) async fn obey(
    setup: &ServiceSetup,
    state: &Service,
    mailbox: &Mailbox,
    states: &watch::Receiver<Arc<Service>>,
    command: Command,
) -> Result<Obeyed, CommandError> {
    if let Some(text) = nothing_to_pull(setup, state, &command).await {
        let incident = state.incident.as_ref().map(|incident| incident.id.clone());
        return Ok(Obeyed { incident, text });
    }
    let mut batch = Batch::default();
    let event = event(setup, state, &command, &mut batch).await?;
    match append(mailbox, batch.with(event)).await {
        Ok(after) => {
            let after = heard(&command, after, states.clone()).await;
            Ok(obeyed(&command, state, &after))
        }
        // What was asked for is so: no event, and no error.
        Err(AppendError::Illegal(unchanged @ Illegal::Unchanged(_))) => {
            let incident = state.incident.as_ref().map(|incident| incident.id.clone());
            Ok(Obeyed { incident, text: unchanged.to_string() })
        }
        Err(AppendError::Illegal(illegal)) => Err(CommandError::Illegal(illegal)),
        Err(AppendError::Store(error)) => Err(CommandError::Store(error)),
        Err(AppendError::Stopping) => Err(CommandError::Stopping),
    }
}

async fn event(
    setup: &ServiceSetup,
    state: &Service,
    command: &Command,
    batch: &mut Batch,
) -> Result<Event, CommandError> {
    let person = command.person.name.clone();
    let reason = batch.text(command.reason.clone());
    let open = || state.incident.as_ref().map(|incident| incident.id.clone());
    // What people say is about the incident that they name; where they name none, about the one that is open now.
    let about = || {
        let incident = command.incident.clone().or_else(open);
        let incident = incident.ok_or_else(|| Illegal::NoIncident(state.name.clone()))?;
        Ok::<_, CommandError>(AboutIncident { incident, person: person.clone(), reason })
    };
    let said = || PersonSaid { person: person.clone(), reason };
    Ok(match &command.ask {
        Ask::Pull { to, urgency, leaving, pending, break_glass } => {
            let target = match to {
                Some(PullTo::Revision(revision)) => Some(target_of(setup, state, revision).await?),
                Some(PullTo::Made(target)) => Some(makeable(setup, state, target)?),
                None => None,
            };
            let roles = command.person.roles.clone();
            let (incident, urgency) = (command.incident.clone().or_else(open), urgency.clone());
            let (leaving, pending, break_glass) = (*leaving, *pending, *break_glass);
            Event::PullRequested(PullRequested {
                incident,
                person,
                roles,
                target,
                reason,
                urgency,
                leaving,
                pending,
                break_glass,
            })
        }
        Ask::Vote(ballot) => {
            let AboutIncident { incident, .. } = about()?;
            Event::Voted(Voted {
                incident,
                plan: ballot.plan,
                vote: Vote {
                    person,
                    roles: command.person.roles.clone(),
                    granted: ballot.granted,
                    at: state.at,
                    kind: ballot.kind.clone(),
                    key: ballot.signed.as_ref().map(|signed| signed.key),
                },
                signed: ballot.signed.as_ref().map(|signed| Signed {
                    nonce: signed.nonce.clone(),
                    signature: batch.text(signed.text.clone()),
                }),
                reason: (!command.reason.trim().is_empty()).then_some(reason),
            })
        }
        Ask::Abort => Event::Aborted(about()?),
        Ask::Dismiss => Event::Dismissed(about()?),
        Ask::Pause => Event::Paused(said()),
        Ask::Resume => Event::Resumed(said()),
        Ask::CloseReview(incident) => {
            Event::ReviewClosed(AboutIncident { incident: incident.clone(), person, reason })
        }
        Ask::LiftHold(revision) => {
            let held = || state.hold_on(revision).map(|hold| hold.incident.clone());
            let incident = command.incident.clone().or_else(held);
            let incident = incident.ok_or_else(|| Illegal::NoHold(state.name.clone()))?;
            Event::HoldLifted(AboutHold { revision: revision.clone(), incident, person, reason })
        }
        Ask::CondemnData(data) => Event::DataCondemned(DataCondemned { data: data.clone(), person, reason }),
        Ask::LiftData(data) => {
            let known = state.condemned_data.get(data);
            let since =
                known.ok_or_else(|| Illegal::DataNotCondemned(state.name.clone(), data.clone()))?.since;
            Event::DataLifted(DataLifted { data: data.clone(), since, person, reason })
        }
        Ask::LiftLatch(trigger) => {
            let latched = || state.watching.latches.get(trigger).map(|latch| latch.incident.clone());
            let incident = command.incident.clone().or_else(latched);
            let incident = incident.ok_or_else(|| Illegal::NoLatch(state.name.clone()))?;
            Event::LatchLifted(LatchLifted { trigger: trigger.clone(), incident, person, reason })
        }
        Ask::StopRun => {
            let runs = || state.producing.run.as_ref().map(|run| run.ordered.incident.clone());
            let incident = command.incident.clone().or_else(runs);
            let incident = incident.ok_or_else(|| Illegal::NoIncident(state.name.clone()))?;
            Event::RunStopAsked(AboutIncident { incident, person, reason })
        }
        Ask::Adopt(revision) => {
            let revision = match revision {
                Some(revision) => revision.clone(),
                None => Revision::of_model(&live_version(setup).await?),
            };
            not_of_condemned_data(setup, state, &revision).await?;
            let digest = match revision.version() {
                Some(version) => setup.ports.registry.version(version).await?.version.digest,
                None => Some(facets::digest(&setup.ports, &revision, None).await?),
            };
            Event::Adopted(Adopted { revision, digest, person, reason })
        }
        Ask::Keep(incident) => {
            Event::IncidentKept(AboutIncident { incident: incident.clone(), person, reason })
        }
        Ask::Release(incident) => {
            Event::IncidentReleased(AboutIncident { incident: incident.clone(), person, reason })
        }
        Ask::Answer { applied, question } => {
            let AboutIncident { incident, person, reason } = about()?;
            let (applied, question) = (*applied, *question);
            Event::ShiftAnswered(ShiftAnswered { incident, question, person, applied, reason })
        }
    })
}

/// Whoever votes is told what the vote did: the approval policies hear of it first. A policy that is slow is not waited for long.
async fn heard(
    command: &Command,
    after: Arc<Service>,
    mut states: watch::Receiver<Arc<Service>>,
) -> Arc<Service> {
    let Ask::Vote(_) = command.ask else { return after };
    let length = after.length;
    let seen = states.wait_for(|state| state.length >= length && state.unseen_ballot().is_none());
    match tokio::time::timeout(POLICIES_PATIENCE, seen).await {
        Ok(Ok(state)) => state.clone(),
        _ => after,
    }
}

/// What is in force already need not be pulled to. Where that cannot be read, the pull goes on: its guard looks again.
async fn nothing_to_pull(setup: &ServiceSetup, state: &Service, command: &Command) -> Option<String> {
    let Ask::Pull { to: Some(PullTo::Revision(revision)), .. } = &command.ask else { return None };
    // During an incident it is a plan to stay, which ends with a proof.
    if state.incident.is_some() {
        return None;
    }
    let (proof, digest) = in_force(setup, revision).await?;
    if proof < setup.terms.proof_min(&revision.facet) {
        return None;
    }
    let pinned = state.known_of(revision).and_then(|known| known.digest);
    if pinned.is_some() && digest.is_some() && pinned != digest {
        return None;
    }
    Some(format!("`{revision}` is live already on `{}`: there is nothing to pull", state.name))
}

/// How it was proved that this revision is in force alone, and of which content; none where it is not, or cannot be read.
pub(crate) async fn in_force(setup: &ServiceSetup, revision: &Revision) -> Option<(Proof, Option<Digest>)> {
    let Some(version) = revision.version() else {
        let live = facets::restorer(&setup.ports, &revision.facet).ok()?.in_force().await.ok()?;
        let known = live.state.known().filter(|known| known.revision == revision.name)?;
        return Some((known.proof, known.digest));
    };
    let live = setup.ports.deployer.live().await.ok()?.state;
    let proof = live.weakest_proof()?;
    let served = live.sole_version().filter(|served| served.version == *version)?;
    Some((proof, served.digest))
}

/// The revision as it will be planned, refused where it cannot be restored.
pub(crate) async fn target_of(
    setup: &ServiceSetup,
    state: &Service,
    revision: &Revision,
) -> Result<Target, CommandError> {
    if let Some(text) = restorable::held(state, revision) {
        return Err(PortError::not_applied(ErrorKind::Conflict, text).into());
    }
    let listed = match revision.version() {
        Some(version) => Listed::from(&setup.ports.registry.version(version).await?),
        None => {
            let restorer = facets::restorer(&setup.ports, &revision.facet)?;
            Listed::from(&restorer.revision(&revision.name).await?)
        }
    };
    if let Some(why) = &listed.broken {
        let text = format!(
            "`{revision}` cannot be restored: {why}; mend it where it is kept, or pull to another one"
        );
        return Err(PortError::not_applied(ErrorKind::BadAnswer, text).into());
    }
    if let Some((pinned, now)) = restorable::other_content(state, revision, &listed) {
        return Err(Illegal::OtherDigest { revision: revision.clone(), pinned, now }.into());
    }
    not_of_condemned_data(setup, state, revision).await?;
    Ok(restorable::target(state, revision, &listed))
}

/// Refuses what was trained on condemned data.
async fn not_of_condemned_data(
    setup: &ServiceSetup,
    state: &Service,
    revision: &Revision,
) -> Result<(), CommandError> {
    let versions = revision.version().cloned().into_iter().collect();
    let descent = Descent::of(setup.ports.registry.as_ref(), state, versions).await;
    match descent.condemned(state, revision) {
        Some(why) => {
            Err(PortError::not_applied(ErrorKind::Conflict, format!("`{revision}` is {why}")).into())
        }
        None => Ok(()),
    }
}

/// What a version is to be made of, refused where nothing can make one of it now.
fn makeable(setup: &ServiceSetup, state: &Service, target: &Target) -> Result<Target, CommandError> {
    let made = setup.terms.producer_of(target).and(setup.ports.producer.as_ref());
    if !made.is_some_and(|producer| producer.makes(target)) {
        let text = format!("nothing is configured for `{}` that makes a version of {target}", state.name);
        return Err(PortError::not_applied(ErrorKind::Unsupported, text).into());
    }
    if let Some(why) = trains_on_condemned(state, target) {
        return Err(PortError::not_applied(ErrorKind::Conflict, why).into());
    }
    if let Some(run) = &state.producing.run {
        let text = format!(
            "the run that `{0}` ordered ({1}) goes on, and one goes on at a time: `ripcord runs stop {0} --reason TEXT` ends it",
            run.ordered.incident, run.ordered.target
        );
        return Err(PortError::not_applied(ErrorKind::Conflict, text).into());
    }
    Ok(target.clone())
}

async fn live_version(setup: &ServiceSetup) -> Result<VersionName, CommandError> {
    let live: LiveState = setup.ports.deployer.live().await?.state;
    let sole = live.sole_version().map(|version| version.version.clone());
    sole.ok_or_else(|| CommandError::NotOneVersion(live.to_string()))
}

fn obeyed(command: &Command, before: &Service, after: &Arc<Service>) -> Obeyed {
    let settled = || {
        after
            .last_settled
            .as_ref()
            .filter(|last| before.incident.as_ref().is_some_and(|open| open.id == last.id))
    };
    // Another incident may have opened since: the answer is about the one that was named.
    let named = |wanted: &IncidentId| {
        [&after.incident, &after.last_settled].into_iter().flatten().find(|incident| incident.id == *wanted)
    };
    let incident = match &command.incident {
        Some(wanted) => named(wanted),
        None => after.incident.as_ref().or_else(settled),
    };
    let phase = |incident: &Incident| match &incident.phase {
        Phase::Settled(outcome) => format!("`{}` is settled: {outcome}", incident.id),
        _ => format!("`{}` is {}", incident.id, incident.phase_name()),
    };
    let now = incident.map_or_else(|| "there is no open incident".to_owned(), phase);
    let text = match &command.ask {
        Ask::Pull { .. } if after.incident.as_ref().is_some_and(|incident| incident.next_wish.is_some()) => {
            format!("a shift is under way; what you asked for comes after its read-back: {now}")
        }
        Ask::Vote(ballot) => {
            let word = if ballot.granted { "approved" } else { "refused" };
            format!(
                "{} {word} plan {}: {}",
                command.person.name,
                ballot.plan.short(),
                after_vote(after, ballot, now)
            )
        }
        Ask::Pull { .. } | Ask::Abort | Ask::Dismiss | Ask::Answer { .. } => now,
        Ask::Pause => {
            format!("`{}` is paused: nothing is shifted until `ripcord resume {}`", after.name, after.name)
        }
        Ask::Resume => format!("`{}` goes on: {now}", after.name),
        Ask::CloseReview(incident) => match after.reviews.len() {
            0 => format!("the review of `{incident}` is closed: {now}"),
            more => format!(
                "the review of `{incident}` is closed; {more} of `{}` are still open: {now}",
                after.name
            ),
        },
        Ask::Keep(incident) => format!("the content of `{incident}` is kept, however old it becomes"),
        Ask::Release(incident) => format!("the content of `{incident}` goes by its age again"),
        Ask::LiftHold(revision) => {
            let now = match after.standing_of(revision, after.at) {
                standing if standing.is_good() => format!("it is {standing} again, as it was before"),
                standing => format!(
                    "it is {standing}, as it was before: `ripcord adopt {} {} --reason TEXT` vouches for it",
                    after.name,
                    revision.as_text()
                ),
            };
            format!("the hold on `{revision}` is lifted: {now}")
        }
        Ask::CondemnData(data) => format!(
            "`{data}` is condemned for `{}`: what was trained on it is not gone back to, nor what is registered later",
            after.name
        ),
        Ask::LiftData(data) => {
            format!(
                "`{data}` is condemned no more for `{}`: what was trained on it stands as it did",
                after.name
            )
        }
        Ask::StopRun => match &after.producing.run {
            Some(run) => format!("the run of `{}` is being stopped", run.ordered.incident),
            None => "the run has ended".to_owned(),
        },
        Ask::LiftLatch(trigger) => format!("`{trigger}` may open an incident again, and is asked now"),
        Ask::Adopt(version) => match version {
            Some(version) => format!("`{version}` is attested: `{}` can go back to it", after.name),
            None => format!("what is live is attested: `{}` can go back to it", after.name),
        },
    };
    Obeyed { incident: incident.map(|incident| incident.id.clone()), text }
}

/// What a vote has done, for the person who gave it.
fn after_vote(after: &Service, ballot: &Ballot, now: String) -> String {
    let Some(incident) =
        after.incident.as_ref().filter(|open| open.plan().is_some_and(|plan| plan.digest == ballot.plan))
    else {
        return if ballot.granted { now } else { format!("nothing of it is shifted; {now}") };
    };
    let to = incident.target(0).map(ToString::to_string).unwrap_or_default();
    match &incident.phase {
        Phase::Authorising(_) => match after.still_wanted() {
            Some(wanted) => format!("it still waits for {wanted}"),
            None => format!(
                "everyone who must agree has; its policies are asked, then it is carried out (to {to})"
            ),
        },
        Phase::Acting(acting) if acting.grant.authority == Authority::BreakGlass => format!(
            "the glass is broken, so the host shifts `{0}` to {to}: `ripcord incidents watch {1}` follows it; when it has ended somebody else must look at it (`ripcord review close {1} --reason TEXT`)",
            after.name, incident.id
        ),
        Phase::Acting(_) => format!(
            "all who must agree have, so the host shifts `{}` to {to}: `ripcord incidents watch {}` follows it",
            after.name, incident.id
        ),
        _ => now,
    }
}

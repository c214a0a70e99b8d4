//! Doing what people ask.

use std::sync::Arc;

use ripcord_core::event::{
    AboutHold, AboutIncident, Adopted, Event, LatchLifted, PersonSaid, PullRequested, ShiftAnswered, Voted,
};
use ripcord_core::live::LiveState;
use ripcord_core::name::{IncidentId, VersionName};
use ripcord_core::plan::Vote;
use ripcord_core::service::{Illegal, Incident, Phase, Service};
use ripcord_core::target::{Target, VersionTarget};
use ripcord_ports::{ErrorKind, PortError};

use crate::batch::Batch;
use crate::command::{Ask, Command, CommandError, Obeyed};
use crate::mailbox::{AppendError, Mailbox, append};
use crate::setup::ServiceSetup;

pub(crate) async fn obey(
    setup: &ServiceSetup,
    state: &Service,
    mailbox: &Mailbox,
    command: Command,
) -> Result<Obeyed, CommandError> {
    let mut batch = Batch::default();
    let event = event(setup, state, &command, &mut batch).await?;
    match append(mailbox, batch.with(event)).await {
        Ok(after) => Ok(obeyed(&command, state, &after)),
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
        Ask::Pull { to, urgency } => {
            let target = match to {
                Some(version) => Some(Target::Version(restorable(setup, state, version).await?)),
                None => None,
            };
            let roles = command.person.roles.clone();
            let (incident, urgency) = (command.incident.clone().or_else(open), urgency.clone());
            Event::PullRequested(PullRequested { incident, person, roles, target, reason, urgency })
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
                    key: ballot.key,
                },
                signature: ballot.signature.clone().map(|signature| batch.text(signature)),
                reason: Some(reason),
            })
        }
        Ask::Abort => Event::Aborted(about()?),
        Ask::Dismiss => Event::Dismissed(about()?),
        Ask::Pause => Event::Paused(said()),
        Ask::Resume => Event::Resumed(said()),
        Ask::LiftHold(version) => {
            let held = || state.holds.get(version).map(|hold| hold.incident.clone());
            let incident = command.incident.clone().or_else(held);
            let incident = incident.ok_or_else(|| Illegal::NoHold(state.name.clone()))?;
            Event::HoldLifted(AboutHold { version: version.clone(), incident, person, reason })
        }
        Ask::LiftLatch(trigger) => {
            let latched = || state.watching.latches.get(trigger).map(|latch| latch.incident.clone());
            let incident = command.incident.clone().or_else(latched);
            let incident = incident.ok_or_else(|| Illegal::NoLatch(state.name.clone()))?;
            Event::LatchLifted(LatchLifted { trigger: trigger.clone(), incident, person, reason })
        }
        Ask::Adopt(version) => {
            let version = match version {
                Some(version) => version.clone(),
                None => live_version(setup).await?,
            };
            let version = setup.ports.registry.version(&version).await?.version;
            Event::Adopted(Adopted { version, person, reason })
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

/// The version as it will be planned, refused where it cannot be restored.
async fn restorable(
    setup: &ServiceSetup,
    state: &Service,
    version: &VersionName,
) -> Result<VersionTarget, CommandError> {
    if state.is_held(version) {
        let text = format!("`{version}` is held: it was condemned; `ripcord hold lift` comes first");
        return Err(PortError::not_applied(ErrorKind::Conflict, text).into());
    }
    let listed = setup.ports.registry.version(version).await?;
    if let Some(why) = listed.broken {
        let text = format!(
            "`{version}` cannot be restored: {why}; mend it in the registry, or pull to another version"
        );
        return Err(PortError::not_applied(ErrorKind::BadAnswer, text).into());
    }
    let pinned = state.versions.get(version).and_then(|known| known.digest);
    if let (Some(pinned), Some(listed)) = (pinned, listed.version.digest)
        && pinned != listed
    {
        let text = format!(
            "the artefact of `{version}` has digest `{listed}`, but `{pinned}` was pinned: it was changed; restore it in the registry"
        );
        return Err(PortError::not_applied(ErrorKind::WrongDigest, text).into());
    }
    Ok(VersionTarget { version: version.clone(), digest: pinned.or(listed.version.digest) })
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
            format!("{} {word} plan {}; {now}", command.person.name, ballot.plan.short())
        }
        Ask::Pull { .. } | Ask::Abort | Ask::Dismiss | Ask::Answer { .. } => now,
        Ask::Pause => format!("`{}` is paused: nothing is shifted until `ripcord resume`", after.name),
        Ask::Resume => format!("`{}` goes on: {now}", after.name),
        Ask::Keep(incident) => format!("the content of `{incident}` is kept, however old it becomes"),
        Ask::Release(incident) => format!("the content of `{incident}` goes by its age again"),
        Ask::LiftHold(version) => format!("the hold on `{version}` is lifted"),
        Ask::LiftLatch(trigger) => format!("`{trigger}` may open an incident again, and is asked now"),
        Ask::Adopt(version) => match version {
            Some(version) => format!("`{version}` is attested: `{}` can go back to it", after.name),
            None => format!("what is live is attested: `{}` can go back to it", after.name),
        },
    };
    Obeyed { incident: incident.map(|incident| incident.id.clone()), text }
}

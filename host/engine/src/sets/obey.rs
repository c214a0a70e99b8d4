//! Doing what people ask of a set.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ripcord_core::blob::BlobKind;
use ripcord_core::event::{Signed, Voted};
use ripcord_core::facet::Revision;
use ripcord_core::name::{ServiceName, SetId};
use ripcord_core::plan::Vote;
use ripcord_core::set::{AboutRun, Set, SetAsked, SetEvent, SetIllegal, SetPhase, SetRun};
use ripcord_core::target::Target;
use ripcord_ports::store::NewBlob;

use super::command::{SetAsk, SetCommand, SetObeyed};
use super::door::{SetAppendError, SetBatch, SetDoor};
use crate::command::{Ballot, CommandError};
use crate::door::Door;
use crate::obey::{in_force, target_of};
use crate::restorable;
use crate::salt::fresh_salt;
use crate::setup::SetSetup;

/// How a member is reached; why not, where its journal is set aside.
pub(crate) trait Members: Sync {
    fn door(&self, member: &ServiceName) -> Result<&Door, CommandError>;
}

pub(crate) async fn obey(
    door: &SetDoor,
    members: &impl Members,
    command: SetCommand,
) -> Result<SetObeyed, CommandError> {
    let state = door.state.borrow().clone();
    let open = state.run.as_ref().map(|run| run.id.clone());
    let run = command.run.clone().or_else(|| open.clone());
    let about = || run.clone().ok_or_else(|| SetIllegal::NoRun(state.name.clone()));
    let person = command.person.name.clone();
    let mut passed_over = String::new();
    let batch = match &command.ask {
        SetAsk::Move { to } => {
            let targets = match moved_to(&state, &door.setup, members, to, &mut passed_over).await? {
                Targets::Named(targets) => targets,
                Targets::AllThere(text) => return Ok(SetObeyed { run: open, text }),
            };
            SetBatch::about(BlobKind::Text, command.reason.clone().into_bytes(), |reason| {
                SetEvent::Asked(SetAsked { run: run.clone(), person, reason, targets })
            })
        }
        SetAsk::Vote(ballot) => voted(&state, &about()?, &command, ballot),
        SetAsk::Abort | SetAsk::Dismiss => {
            let run = about()?;
            SetBatch::about(BlobKind::Text, command.reason.clone().into_bytes(), |reason| {
                let about = AboutRun { run, person, reason };
                if command.ask == SetAsk::Abort {
                    SetEvent::Aborted(about)
                } else {
                    SetEvent::Dismissed(about)
                }
            })
        }
    };
    match door.append(batch).await {
        Ok(after) => Ok(obeyed(&command, &run, &after, &passed_over)),
        // What was asked for is so: no event, and no error.
        Err(SetAppendError::Illegal(unchanged @ SetIllegal::Unchanged(_))) => {
            Ok(SetObeyed { run: open, text: unchanged.to_string() })
        }
        Err(SetAppendError::Illegal(illegal)) => Err(illegal.into()),
        Err(SetAppendError::Store(error)) => Err(error.into()),
        Err(SetAppendError::Stopping) => Err(CommandError::Stopping),
    }
}

fn voted(state: &Set, run: &SetId, command: &SetCommand, ballot: &Ballot) -> SetBatch {
    let mut blobs = Vec::new();
    let mut text = |text: String| {
        let blob = NewBlob::new(BlobKind::Text, fresh_salt(), text.into_bytes());
        blobs.push(blob.clone());
        blob.reference
    };
    let signed = ballot.signed.as_ref();
    let signed =
        signed.map(|signed| Signed { nonce: signed.nonce.clone(), signature: text(signed.text.clone()) });
    let reason = (!command.reason.trim().is_empty()).then(|| text(command.reason.clone()));
    let event = SetEvent::Voted(Voted {
        incident: run.as_incident(),
        plan: ballot.plan,
        vote: Vote {
            person: command.person.name.clone(),
            roles: command.person.roles.clone(),
            granted: ballot.granted,
            at: state.at,
            kind: ballot.kind.clone(),
            key: ballot.signed.as_ref().map(|signed| signed.key),
        },
        signed,
        reason,
    });
    SetBatch { blobs, ..SetBatch::of(event) }
}

enum Targets {
    Named(BTreeMap<ServiceName, Target>),
    /// In words: nothing is to move.
    AllThere(String),
}

/// The revisions as they will be planned, refused where one cannot be restored.
async fn moved_to(
    state: &Set,
    setup: &SetSetup,
    members: &impl Members,
    to: &BTreeMap<ServiceName, Revision>,
    passed_over: &mut String,
) -> Result<Targets, CommandError> {
    // As configured: just after a start the journal need not have it yet, and the append puts it there first.
    let of_set = setup.terms.members.iter();
    let of_run = state.run.iter().flat_map(|run| &run.members).map(|member| &member.service);
    let known: Vec<&ServiceName> = of_set.chain(of_run).collect();
    if let Some(stranger) = to.keys().find(|member| !known.contains(member)) {
        return Err(SetIllegal::NotMember(state.name.clone(), stranger.clone()).into());
    }
    let to = if to.is_empty() { last_consistent(state, members, passed_over).await? } else { to.clone() };
    let (mut targets, mut moves) = (BTreeMap::new(), false);
    for (member, revision) in &to {
        let door = members.door(member)?;
        let service = door.state.borrow().clone();
        targets.insert(member.clone(), target_of(&door.setup, &service, revision).await?);
        moves |= !is_in_force(door, revision).await;
    }
    // During a run it is another plan of it.
    if moves || state.run.is_some() {
        return Ok(Targets::Named(targets));
    }
    Ok(Targets::AllThere(format!(
        "all that was named is live already: nothing of `{}` is to move",
        state.name
    )))
}

/// Whether it is known to be in force alone, as well as the service asks for. What cannot be read is not.
async fn is_in_force(door: &Door, revision: &Revision) -> bool {
    match in_force(&door.setup, revision).await {
        Some((proof, digest)) => {
            let pinned = door.state.borrow().known_of(revision).and_then(|known| known.digest);
            let same = pinned.is_none() || digest.is_none() || pinned == digest;
            proof >= door.setup.terms.proof_min(&revision.facet) && same
        }
        None => false,
    }
}

/// The newest consistent set that is not what is live and of which nothing is held; what was passed over for a hold is said.
async fn last_consistent(
    state: &Set,
    members: &impl Members,
    passed_over: &mut String,
) -> Result<BTreeMap<ServiceName, Revision>, CommandError> {
    'sets: for set in state.consistent_sets() {
        let mut to = BTreeMap::new();
        for (member, revisions) in &set.members {
            let door = members.door(member)?;
            let mut differs = Vec::new();
            for revision in revisions {
                let held = restorable::held(&door.state.borrow(), revision);
                if let Some(why) = held {
                    let _ =
                        write!(passed_over, "; the set of `{}` is passed over: `{member}`: {why}", set.run);
                    continue 'sets;
                }
                if !is_in_force(door, revision).await {
                    differs.push(revision.clone());
                }
            }
            match differs.as_slice() {
                [] => {}
                [one] => drop(to.insert(member.clone(), one.clone())),
                _ => return Err(SetIllegal::TwoFacets(member.clone()).into()),
            }
        }
        if !to.is_empty() {
            return Ok(to);
        }
    }
    Err(SetIllegal::NothingConsistent(state.name.clone()).into())
}

fn obeyed(command: &SetCommand, named: &Option<SetId>, after: &Set, passed_over: &str) -> SetObeyed {
    let both = || [&after.run, &after.last].into_iter().flatten();
    let run = match named {
        Some(id) => both().find(|run| run.id == *id),
        None => both().next(),
    };
    let now = run.map_or_else(|| "no run goes on".to_owned(), in_words);
    let text = match &command.ask {
        SetAsk::Move { .. } => format!("{now}{passed_over}"),
        SetAsk::Abort | SetAsk::Dismiss => now,
        SetAsk::Vote(ballot) => {
            let word = if ballot.granted { "approved" } else { "refused" };
            let unmet = after.unmet();
            let rest: Vec<_> =
                unmet.iter().map(|quorum| format!("{} with role {}", quorum.people, quorum.role)).collect();
            let then = if rest.is_empty() || !ballot.granted {
                now
            } else {
                format!("all in all {} must agree, and not all have", rest.join(" and "))
            };
            format!("{} {word} plan {}: {then}", command.person.name, ballot.plan.short())
        }
    };
    SetObeyed { run: run.map(|run| run.id.clone()), text }
}

fn in_words(run: &SetRun) -> String {
    match &run.phase {
        SetPhase::Ended(outcome) | SetPhase::Releasing(outcome) => format!("`{}` is over: {outcome}", run.id),
        phase => format!("`{}` is {}", run.id, phase.name()),
    }
}

//! One plan of many parts: each member's own systems say how its part would be carried out.

use std::sync::Arc;

use futures_util::future::join_all;
use ripcord_core::blob::BlobKind;
use ripcord_core::canonical;
use ripcord_core::event::FaultNature;
use ripcord_core::set::{IfPartFails, PartDraft, RunMember, Set, SetEvent, SetNotDrafted, SetRun};
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::NewBlob;
use ripcord_ports::waiting::Watch;

use super::door::SetBatch;
use crate::context::Context;
use crate::door::Door;
use crate::host::Host;
use crate::pace::Onward;
use crate::perform::part::{NotDrafted, Way, part};

/// The plan that the run asks for, or why there is none; nothing if no run goes on.
pub(super) async fn draft<'a>(
    host: &Arc<Host>,
    set: &Set,
    door: impl Fn(&RunMember) -> Option<&'a Door>,
    now: UnixMillis,
) -> Option<SetBatch> {
    let run = set.run.as_ref()?;
    let parts = run.to_move().map(|member| of_member(host, run, member, door(member)));
    let (mut drafts, mut blobs, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (member, drafted) in run.to_move().zip(join_all(parts).await) {
        match drafted {
            Ok((draft, of_part)) => {
                drafts.push(draft);
                blobs.extend(of_part);
            }
            Err(not) => failed.push((&member.service, not)),
        }
    }
    if failed.is_empty() {
        let plan = match set.draft(host.installation, drafts, now)? {
            Ok(plan) => plan,
            Err(error) => {
                let why = format!("the plan has no canonical form: {error}");
                return Some(not_drafted(run, why, FaultNature::Deterministic));
            }
        };
        return Some(match canonical::json(&plan.plan) {
            Ok(content) => {
                let batch = SetBatch::about(BlobKind::Plan, content, |content| {
                    SetEvent::Drafted(plan.drafted(content))
                });
                SetBatch { blobs: batch.blobs.into_iter().chain(blobs).collect(), ..batch }
            }
            Err(error) => {
                let why = format!("the plan has no canonical form: {error}");
                not_drafted(run, why, FaultNature::Deterministic)
            }
        });
    }
    // What nothing but a person mends is not waited for.
    let nature = if failed.iter().any(|(_, not)| not.nature == FaultNature::Deterministic) {
        FaultNature::Deterministic
    } else {
        FaultNature::Environmental
    };
    let why: Vec<_> = failed.iter().map(|(member, not)| format!("`{member}`: {}", not.why)).collect();
    Some(not_drafted(run, why.join("\n"), nature))
}

fn not_drafted(run: &SetRun, why: String, nature: FaultNature) -> SetBatch {
    let (id, number) = (run.id.clone(), run.plan_number() + 1);
    SetBatch::about(BlobKind::Text, why.into_bytes(), |reason| {
        SetEvent::NotDrafted(SetNotDrafted { run: id, number, reason, nature })
    })
}

/// One member's part, with the contents that it refers to.
async fn of_member(
    host: &Arc<Host>,
    run: &SetRun,
    member: &RunMember,
    door: Option<&Door>,
) -> Result<(PartDraft, Vec<NewBlob>), NotDrafted> {
    let lost = || NotDrafted {
        why: "it is not enlisted any more, or its journal cannot be read".to_owned(),
        nature: FaultNature::Environmental,
    };
    let (door, target) = (door.ok_or_else(lost)?, member.target.clone().ok_or_else(lost)?);
    let enlisted = member.enlisted().ok_or_else(lost)?;
    let service = door.state.borrow().clone();
    if service.enlisted_by().is_none_or(|membership| membership.run != run.id) {
        return Err(lost());
    }
    let clock = Arc::new(Onward::from_last(host.wall.clone(), service.at));
    let ctx = Context {
        host: host.clone(),
        setup: door.setup.clone(),
        service,
        mailbox: door.mailbox.clone(),
        latest: door.state.clone(),
        watch: Arc::new(Watch::new(clock.clone())),
        clock,
        // Nothing is done from here that rests on the end of the member's journal.
        has_tail: false,
    };
    let way = match run.if_part_fails {
        IfPartFails::Forward => Way::There,
        IfPartFails::Back => Way::ThereAndBack { was: enlisted.serving.clone() },
    };
    part(&ctx, target, &way).await
}

//! Asking the approval policies.

use ripcord_core::digest::Digest;
use ripcord_core::event::{ApprovalAsked, ApprovalWord, ApprovalsAsked, Event, Said};
use ripcord_core::plan::Plan;
use ripcord_core::policy::Role;
use ripcord_core::role::{ApprovalInput, ApprovalVerdict};
use ripcord_core::service::Phase;
use ripcord_ports::store::StoreError;

use crate::batch::Batch;
use crate::context::Context;
use crate::decide::{context, decide};
use crate::nature;
use crate::setup::PlacedPolicy;
use futures_util::future::try_join_all;

pub(super) async fn ask(ctx: &Context, plan_digest: Digest, ballot: Digest) -> Batch {
    let batch = ctx.host.ahead.along(&ctx.setup.name, judge(ctx, plan_digest, ballot)).await;
    let waits = |one: &ApprovalAsked| !matches!(one.said, Said::Verdict(ApprovalWord::Granted));
    if batch
        .events
        .iter()
        .any(|event| matches!(event, Event::ApprovalsAsked(asked) if asked.asked.iter().any(waits)))
    {
        // People take their time: nothing is fetched meanwhile.
        ctx.host.ahead.rest(&ctx.setup.name);
    }
    batch
}

async fn judge(ctx: &Context, plan_digest: Digest, ballot: Digest) -> Batch {
    match ctx.plan().await {
        Ok(plan) => {
            let asked = ask_all(ctx, plan, plan_digest, ballot).await;
            asked.unwrap_or_else(|error| ctx.read_later(&error))
        }
        Err(instead) => instead,
    }
}

/// All are asked, or none: an error says that something of the question cannot be read now.
async fn ask_all(
    ctx: &Context,
    plan: Plan,
    plan_digest: Digest,
    ballot: Digest,
) -> Result<Batch, StoreError> {
    let Some(incident) = ctx.incident() else { return Ok(Batch::default()) };
    let Phase::Authorising(authorising) = &incident.phase else { return Ok(Batch::default()) };
    let now = ctx.now();
    let (signals, proposal) = (ctx.alerts().await?, ctx.proposal(&incident.reason).await?);
    let asking = ctx.setup.policies(Role::Approval).map(|placed| {
        let (signals, proposal, plan) = (signals.clone(), proposal.clone(), plan.clone());
        async move {
            let context = context(ctx, placed, Role::Approval, now).await?;
            let input = ApprovalInput {
                context,
                signals,
                proposal,
                plan,
                plan_digest,
                opened_at: authorising.opened_at,
                clock_jumped: incident.extension,
                facts: Vec::new(),
            };
            Ok(one(ctx, placed, input).await)
        }
    });
    let mut batch = Batch::default();
    let mut asked = Vec::new();
    for (approval, own) in try_join_all(asking).await? {
        batch.absorb(own);
        asked.push(approval);
    }
    Ok(batch.with(Event::ApprovalsAsked(ApprovalsAsked { plan: plan_digest, ballot, asked })))
}

async fn one(ctx: &Context, placed: &PlacedPolicy, input: ApprovalInput) -> (ApprovalAsked, Batch) {
    let decided = decide(ctx, placed, input, None).await;
    let mut batch = decided.batch;
    let said = match decided.end {
        Err(fault) => Said::Fault(nature::of_fault(&fault)),
        Ok(verdict) => Said::Verdict(match verdict {
            ApprovalVerdict::Granted => ApprovalWord::Granted,
            ApprovalVerdict::Waiting(wanted) => ApprovalWord::Waiting {
                quorums: wanted.quorums,
                expires_at: wanted.expires_at,
                escalate_at: wanted.escalate_at,
                escalate_to: wanted.escalate_to.map(|whom| batch.text(whom)),
            },
            ApprovalVerdict::Refused(why) => ApprovalWord::Refused(batch.text(why)),
        }),
    };
    (ApprovalAsked { decision: decided.decision, said }, batch)
}

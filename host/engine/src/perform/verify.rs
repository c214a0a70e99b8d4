//! Asking the verification policies.

use ripcord_core::blob::BlobKind;
use ripcord_core::event::{Event, Said, VerificationAsked, VerificationWord, VerificationsAsked};
use ripcord_core::fact::Fact;
use ripcord_core::policy::Role;
use ripcord_core::role::{Finding, Question, Verdict, VerificationInput, VerificationVerdict};

use super::Context;
use crate::batch::Batch;
use crate::decide::{context, decide, nature, read_facts};
use crate::setup::PlacedPolicy;
use crate::trials::Trials;
use futures_util::future::join_all;

pub(super) async fn verify(ctx: &Context, rung: u32, round: u32) -> Batch {
    let Some(incident) = ctx.incident() else { return Batch::default() };
    let plan = match ctx.plan().await {
        Ok(plan) => plan,
        Err(instead) => return instead,
    };
    let now = ctx.now();
    let (signals, proposal) = (ctx.signals(&incident.signals).await, ctx.proposal(&incident.reason).await);
    let before = before(ctx).await;
    let trials = Trials::new(ctx.clone(), rung, round);
    let shifted_at = incident.marks.shifted_at.or(incident.marks.read_back_at).unwrap_or(now);
    let asking = ctx.setup.policies(Role::Verification).map(|placed| {
        let (signals, proposal, plan, before) =
            (signals.clone(), proposal.clone(), plan.clone(), before.clone());
        let trials = &trials;
        async move {
            let input = VerificationInput {
                context: context(ctx, placed, Role::Verification, now).await,
                signals,
                proposal,
                plan,
                rung,
                shifted_at,
                before,
                previous: previous(ctx, placed).await,
                facts: Vec::new(),
            };
            one(ctx, placed, input, trials).await
        }
    });
    let mut batch = Batch::default();
    let mut asked = Vec::new();
    for (verification, own) in join_all(asking).await {
        batch.absorb(own);
        asked.push(verification);
    }
    batch.with(Event::VerificationsAsked(VerificationsAsked { rung, round, asked }))
}

/// What was known before the shift: the trigger's facts, and the golden data through what was live.
async fn before(ctx: &Context) -> Vec<Fact> {
    let Some(incident) = ctx.incident() else { return Vec::new() };
    let mut facts = Vec::new();
    for blob in [incident.reason.facts, incident.facts].into_iter().flatten() {
        facts.extend(ctx.blob(&blob).await.map(|bytes| read_facts(&bytes)).unwrap_or_default());
    }
    facts
}

/// What this policy found last time.
async fn previous(ctx: &Context, placed: &PlacedPolicy) -> Vec<Finding> {
    let Some(blob) =
        ctx.incident().and_then(|incident| incident.findings.get(&placed.policy.reference().name))
    else {
        return Vec::new();
    };
    ctx.blob(blob).await.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

async fn one(
    ctx: &Context,
    placed: &PlacedPolicy,
    input: VerificationInput,
    trials: &Trials,
) -> (VerificationAsked, Batch) {
    let mut decided = decide(ctx, placed, Question::Verification(input), Some(trials)).await;
    let memo = decided.memo();
    let mut batch = decided.batch;
    let (said, findings) = match decided.end {
        Err(fault) => (Said::Fault(nature(&fault)), None),
        Ok(answer) => match answer.verdict {
            Verdict::Verification(verdict, findings) => {
                let word = match verdict {
                    VerificationVerdict::Healthy => VerificationWord::Healthy,
                    VerificationVerdict::Unhealthy => VerificationWord::Unhealthy,
                    VerificationVerdict::Inconclusive(again) => VerificationWord::Inconclusive(again),
                };
                (Said::Verdict(word), Some(batch.json(BlobKind::Text, &findings)))
            }
            _ => (Said::Verdict(VerificationWord::Unhealthy), None),
        },
    };
    (VerificationAsked { decision: decided.decision, said, findings, memo }, batch)
}

//! Asking the triggers, all about the same signals at the same instant.

use ripcord_core::event::{Event, Reason, Said, TriggerAsked, TriggerWord, TriggersAsked};
use ripcord_core::name::SignalId;
use ripcord_core::policy::Role;
use ripcord_core::role::{TriggerInput, TriggerVerdict};
use ripcord_core::signal::{Origin, Severity, Signal, SignalStatus};
use ripcord_core::time::UnixMillis;

use super::Context;
use crate::batch::Batch;
use crate::decide::{context, decide, facts_blob, nature};
use crate::setup::PlacedPolicy;
use futures_util::future::join_all;

pub(super) async fn ask(ctx: &Context, ids: Vec<SignalId>) -> Batch {
    let now = ctx.now();
    let mut signals = ctx.signals(&ids).await;
    if signals.is_empty() {
        signals.extend(scheduled(now));
    }
    let asking = ctx.setup.policies(Role::Trigger).map(|placed| one(ctx, placed, signals.clone(), now));
    let mut batch = Batch::default();
    let mut asked = Vec::new();
    for (trigger, own) in join_all(asking).await {
        batch.absorb(own);
        asked.push(trigger);
    }
    batch.with(Event::TriggersAsked(TriggersAsked { signals: ids, asked }))
}

/// What triggers are given when a schedule or a watch asks them without any alert.
fn scheduled(now: UnixMillis) -> Option<Signal> {
    Some(Signal {
        id: SignalId::new(format!("schedule-{}", now.0)).ok()?,
        origin: Origin::Schedule,
        rule: "schedule".into(),
        status: SignalStatus::Firing,
        severity: Severity::Info,
        labels: Vec::new(),
        annotations: Vec::new(),
        started_at: now,
        ended_at: None,
        received_at: now,
    })
}

async fn one(
    ctx: &Context,
    placed: &PlacedPolicy,
    signals: Vec<Signal>,
    now: UnixMillis,
) -> (TriggerAsked, Batch) {
    let context = context(ctx, placed, Role::Trigger, now).await;
    let input = TriggerInput { context, signals, facts: Vec::new() };
    let decided = decide(ctx, placed, input, None).await;
    let mut batch = decided.batch;
    let said = match decided.end {
        Err(fault) => Said::Fault(nature(&fault)),
        Ok(verdict) => Said::Verdict(match verdict {
            TriggerVerdict::Ignore => TriggerWord::Ignore,
            TriggerVerdict::Watch(until) => TriggerWord::Watch(until),
            TriggerVerdict::StandDown(why) => TriggerWord::StandDown(batch.text(why)),
            TriggerVerdict::RollBack(proposal) => TriggerWord::RollBack(Reason {
                cause: batch.text(proposal.cause),
                strategy: proposal.strategy,
                urgency: proposal.urgency,
                harm_began_at: proposal.harm_began_at,
                facts: facts_blob(&mut batch, &decided.facts),
            }),
        }),
    };
    (TriggerAsked { decision: decided.decision, said, memo: decided.memo }, batch)
}

//! One decision of a running host: asked to its end, and recorded.

use std::collections::BTreeSet;

use ripcord_core::blob::{BlobKind, BlobRef};
use ripcord_core::event::{DataState, Decision, MemoRef};
use ripcord_core::policy::Role;
use ripcord_core::role::{self, Answer, Memo, Question};
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::StoreError;
use ripcord_sandbox::{Deciding, Fault};

use crate::batch::Batch;
use crate::context::Context;
use crate::decided::Decided;
use crate::facts::fetch;
use crate::role_input::RoleInput;
use crate::rounds::{LostCall, Rounds, host_fault, to_the_end};
use crate::setup::PlacedPolicy;
use crate::trials::Trials;

/// What every policy is told, with the memo of this one. An error says that the memo cannot be read now: asked without it, the policy would
/// write another one over it.
pub(crate) async fn context(
    ctx: &Context,
    placed: &PlacedPolicy,
    role: Role,
    now: UnixMillis,
) -> Result<role::Context, StoreError> {
    let key = (role, placed.policy.reference().name.clone());
    let memo = match ctx.service.memos.get(&key) {
        Some(memo) => {
            ctx.blob(&memo.content).await?.map(|bytes| Memo { written_by: memo.written_by.clone(), bytes })
        }
        None => None,
    };
    Ok(role::Context {
        service: ctx.setup.facts.clone(),
        incident: ctx.service.incident.as_ref().map(|incident| incident.id.clone()),
        now,
        settings: placed.settings.clone(),
        drill: false,
        live_since: ctx.service.production.since,
        memo,
    })
}

/// Asks `placed` until it answers or faults.
pub(crate) async fn decide<I: RoleInput>(
    ctx: &Context,
    placed: &PlacedPolicy,
    input: I,
    trials: Option<&Trials>,
) -> Decided<I::Verdict> {
    let question = input.question();
    let (role, now) = (question.role(), question.context().now);
    let deciding = placed.policy.begin(&question, &placed.grant, &ctx.host.setup.limits);
    let asked =
        to_the_end(ctx.host.setup.blocking, deciding, |id, request| fetch(ctx, id, request, now, trials));
    let Rounds { deciding, end, facts, count: rounds } = match asked.await {
        Ok(asked) => asked,
        Err(LostCall { rounds, fault }) => return lost(ctx, placed, &question, rounds, fault).await,
    };
    let missing = facts.iter().any(|fact| fact.value.is_err());
    let fuel = deciding.fuel();
    let (recording, mut batch) = record(ctx, deciding).await;
    batch.groups = groups(&question);
    let (end, memo) = match end {
        Ok(Answer { verdict, memo, .. }) => match I::verdict(verdict) {
            Some(verdict) => (Ok(verdict), memo),
            None => (
                Err(host_fault(format!("the sandbox gave the verdict of another role than {role}"))),
                Vec::new(),
            ),
        },
        Err(fault) => (Err(fault), Vec::new()),
    };
    let memo = (!memo.is_empty()).then(|| MemoRef {
        written_by: placed.policy.reference().version.clone(),
        content: batch.blob(BlobKind::Memo, memo),
    });
    let counters = &ctx.host.counters;
    counters.add("ripcord_decisions_total", Some(("role", role.as_str())), 1);
    if let Err(fault) = &end {
        counters.add("ripcord_faults_total", Some(("policy", placed.policy.reference().name.as_str())), 1);
        tracing::error!(service = %ctx.service.name, policy = %placed.policy.reference(), %role, %fault, "a policy faulted");
    }
    let decision = Decision {
        policy: placed.policy.reference().clone(),
        role,
        recording,
        fuel,
        rounds,
        data: if missing { DataState::Missing } else { DataState::Complete },
    };
    Decided { decision, end, memo, facts, batch }
}

/// The recording, in a batch with the values of facts that it refers to. Facts may have megabytes to encode and hash.
async fn record(ctx: &Context, deciding: Deciding) -> (BlobRef, Batch) {
    let (host, service, now) = (ctx.host.clone(), ctx.setup.name.clone(), ctx.now());
    let recorded = ctx.host.setup.blocking.run(move || {
        let mut batch = Batch::default();
        let recording = deciding.finish_storing(|value| batch.fact(&host.fact_values, &service, now, value));
        (recording.unwrap_or_else(|error| error.to_string().into_bytes()), batch)
    });
    let (recording, mut batch) =
        recorded.await.unwrap_or_else(|error| (error.to_string().into_bytes(), Batch::default()));
    (batch.blob(BlobKind::Decision, recording), batch)
}

/// A decision whose call was lost with all that it held: the host itself failed. It is recorded as one that was asked and given up, which
/// cannot be made again.
async fn lost<V>(
    ctx: &Context,
    placed: &PlacedPolicy,
    question: &Question,
    rounds: u32,
    fault: Fault,
) -> Decided<V> {
    let role = question.role();
    tracing::error!(service = %ctx.service.name, policy = %placed.policy.reference(), %role, %fault, "a decision was lost");
    let given_up = placed.policy.begin(question, &placed.grant, &ctx.host.setup.limits);
    let (recording, mut batch) = record(ctx, given_up).await;
    batch.groups = groups(question);
    let policy = placed.policy.reference().clone();
    let decision = Decision { policy, role, recording, fuel: 0, rounds, data: DataState::Missing };
    Decided { decision, end: Err(fault), memo: None, facts: Vec::new(), batch }
}

/// The stored groups of signals that a recording of the question may refer to.
fn groups(question: &Question) -> BTreeSet<BlobRef> {
    question.alerts().iter().filter_map(|alert| alert.stored).map(|stored| stored.content).collect()
}

//! Asking the verification policies.

use ripcord_core::alert::StandingAlert;
use ripcord_core::blob::BlobKind;
use ripcord_core::event::{
    Event, PlannedRung, PlannedWave, Said, TrialPhase, VerificationAsked, VerificationWord,
    VerificationsAsked, WaveLost,
};
use ripcord_core::fact::Fact;
use ripcord_core::live::LiveState;
use ripcord_core::plan::Plan;
use ripcord_core::policy::Role;
use ripcord_core::role::{
    Finding, RollbackSubject, Subject, VerificationInput, VerificationVerdict, WaveSubject,
};
use ripcord_core::service::{Acting, Phase, StepState};
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::StoreError;

use crate::batch::Batch;
use crate::context::Context;
use crate::decide::{context, decide};
use crate::kept_facts;
use crate::nature;
use crate::reaches_back;
use crate::setup::PlacedPolicy;
use crate::trials::Trials;
use futures_util::future::try_join_all;

/// What the verification policies are asked about.
pub(super) struct Asking {
    pub(super) phase: TrialPhase,
    pub(super) round: u32,
    pub(super) subject: Subject,
    /// The incident's; none for a promotion.
    pub(super) signals: Vec<StandingAlert>,
    /// What was known before the shift; none for a promotion.
    pub(super) before: Vec<Fact>,
}

pub(super) async fn verify(ctx: &Context, of: PlannedRung, round: u32) -> Batch {
    match ctx.plan().await {
        Ok(plan) => {
            let asked = verify_rung(ctx, plan, of, round).await;
            asked.unwrap_or_else(|error| ctx.read_later(&error))
        }
        Err(instead) => instead,
    }
}

async fn verify_rung(ctx: &Context, plan: Plan, of: PlannedRung, round: u32) -> Result<Batch, StoreError> {
    let Some(incident) = ctx.incident() else { return Ok(Batch::default()) };
    let marks = incident.marks;
    let subject = Subject::Rollback(RollbackSubject {
        proposal: ctx.proposal(&incident.reason).await?,
        plan,
        plan_digest: of.plan,
        rung: of.rung,
        shifted_at: marks.read_back_at.or(marks.shifted_at).unwrap_or(ctx.now()),
    });
    let (signals, before) = (ctx.alerts().await?, before(ctx).await?);
    ask(ctx, Asking { phase: TrialPhase::Rung(of), round, subject, signals, before }).await
}

/// After the pause of a wave: whether what it moved is still there, and what the verification policies say of it.
pub(super) async fn look(ctx: &Context, of: PlannedWave, round: u32) -> Batch {
    let plan = match ctx.plan().await {
        Ok(plan) => plan,
        Err(instead) => return instead,
    };
    let live = ctx.live().await;
    let Some(incident) = ctx.incident() else { return Batch::default() };
    // The target as it was approved, as the core holds it against what is seen.
    let (Some(drafted), Some(target)) = (incident.plan(), incident.target(of.rung)) else {
        return Batch::default();
    };
    // What cannot be read says nothing; the guard of the next wave reads it again.
    if matches!(live, LiveState::Serving(_)) && !live.shows(target, drafted.moves(of.wave)) {
        let PlannedWave { plan, rung, wave } = of;
        let mut batch = Batch::default();
        let live = batch.observed(&live);
        return batch.with(Event::WaveLost(WaveLost { plan, rung, wave, live }));
    }
    let asked = look_asking(ctx, plan, of, round).await;
    asked.unwrap_or_else(|error| ctx.read_later(&error))
}

async fn look_asking(ctx: &Context, plan: Plan, of: PlannedWave, round: u32) -> Result<Batch, StoreError> {
    let Some(incident) = ctx.incident() else { return Ok(Batch::default()) };
    let Some(wave) = incident.plan().and_then(|plan| plan.wave(of.wave)) else { return Ok(Batch::default()) };
    let Phase::Acting(Acting { step: StepState::Looking { shown_at, .. }, .. }) = incident.phase else {
        return Ok(Batch::default());
    };
    let subject = Subject::Wave(WaveSubject {
        proposal: ctx.proposal(&incident.reason).await?,
        plan,
        plan_digest: of.plan,
        rung: of.rung,
        wave,
        shifted_at: shown_at,
    });
    let (signals, before) = (ctx.alerts().await?, before(ctx).await?);
    ask(ctx, Asking { phase: TrialPhase::Wave(of), round, subject, signals, before }).await
}

/// Asks every verification policy whose last *healthy* does not count any more, all at once, or none: an error says that something of the question
/// cannot be read now. They share the trials of the round.
pub(super) async fn ask(ctx: &Context, asking: Asking) -> Result<Batch, StoreError> {
    let trials = Trials::new(ctx.clone(), asking.phase, asking.round, None);
    ask_sharing(ctx, asking, &trials).await
}

/// The same with trials of the round that may have been run already.
pub(super) async fn ask_sharing(ctx: &Context, asking: Asking, trials: &Trials) -> Result<Batch, StoreError> {
    let Asking { phase, round, subject, signals, before } = asking;
    let now = ctx.now();
    let due = ctx.setup.policies(Role::Verification);
    let due = due.filter(|placed| !ctx.service.is_still_healthy(phase, &placed.policy.reference().name));
    let words = due.map(|placed| {
        let (subject, signals, before) = (subject.clone(), signals.clone(), before.clone());
        async move {
            let input = VerificationInput {
                context: context(ctx, placed, Role::Verification, now).await?,
                subject,
                signals,
                before,
                previous: previous(ctx, placed, phase).await?,
                facts: Vec::new(),
            };
            Ok(one(ctx, placed, input, trials).await)
        }
    });
    let mut batch = Batch::default();
    let mut asked = Vec::new();
    let mut harm = Vec::new();
    let mut own_from = Vec::new();
    for (verification, findings, facts, own) in try_join_all(words).await? {
        batch.absorb(own);
        if verification.said == Said::Verdict(VerificationWord::Unhealthy) {
            own_from.push(live_since(&subject).and_then(|since| reaches_back::own_from(&facts, since, now)));
            harm.push(what_failed(verification.decision.policy.name.as_str(), &findings));
        }
        asked.push(verification);
    }
    // A rollback has a cause already.
    let cause = match &subject {
        Subject::Promotion(promotion) if !harm.is_empty() => {
            let (version, harm) = (&promotion.version.version, harm.join("; "));
            Some(batch.text(format!("`{version}`, which someone else put live, is unhealthy: {harm}")))
        }
        _ => None,
    };
    // One that does not reach back is enough.
    let own_from = own_from.into_iter().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    if let Some(own_from) = own_from {
        tracing::warn!(service = %ctx.service.name, harm = %harm.join("; "), until_ms = own_from.0, "what is live is called unhealthy by values that reach back to the time before it: asked about again once they do not");
    }
    let beside = Vec::new();
    Ok(batch.with(Event::VerificationsAsked(VerificationsAsked {
        phase,
        round,
        asked,
        cause,
        own_from,
        beside,
    })))
}

/// Since when what is judged is live; none of a target that is not.
fn live_since(subject: &Subject) -> Option<UnixMillis> {
    match subject {
        Subject::Rollback(rollback) => Some(rollback.shifted_at),
        Subject::Wave(wave) => Some(wave.shifted_at),
        Subject::Promotion(promotion) => Some(promotion.noticed_at),
        Subject::Preflight(_) => None,
    }
}

/// The checks that a policy counts against the service, in a sentence's words.
fn what_failed(policy: &str, findings: &[Finding]) -> String {
    let failed = findings.iter().filter(|finding| !finding.passed);
    let each: Vec<_> = failed
        .map(|finding| format!("{} is {}, expected {}", finding.check, finding.observed, finding.expected))
        .collect();
    if each.is_empty() { format!("`{policy}` says so") } else { format!("{} (`{policy}`)", each.join(", ")) }
}

/// What was known before the shift: the trigger's facts, and the golden data through what was live.
pub(super) async fn before(ctx: &Context) -> Result<Vec<Fact>, StoreError> {
    let Some(incident) = ctx.incident() else { return Ok(Vec::new()) };
    let mut facts = Vec::new();
    for blob in [incident.reason.facts, incident.facts].into_iter().flatten() {
        facts.extend(kept_facts::read(ctx, &blob).await?.unwrap_or_default());
    }
    Ok(facts)
}

/// What this policy found last time about the same.
async fn previous(
    ctx: &Context,
    placed: &PlacedPolicy,
    phase: TrialPhase,
) -> Result<Vec<Finding>, StoreError> {
    let Some(blob) = ctx.service.found(phase, &placed.policy.reference().name) else { return Ok(Vec::new()) };
    Ok(ctx.blob(blob).await?.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
}

async fn one(
    ctx: &Context,
    placed: &PlacedPolicy,
    input: VerificationInput,
    trials: &Trials,
) -> (VerificationAsked, Vec<Finding>, Vec<Fact>, Batch) {
    let decided = decide(ctx, placed, input, Some(trials)).await;
    let mut batch = decided.batch;
    let (said, findings) = match decided.end {
        Err(fault) => (Said::Fault(nature::of_fault(&fault)), Vec::new()),
        Ok((verdict, findings)) => {
            let word = match verdict {
                VerificationVerdict::Healthy => VerificationWord::Healthy,
                VerificationVerdict::Unhealthy => VerificationWord::Unhealthy,
                VerificationVerdict::Inconclusive(again) => VerificationWord::Inconclusive(again),
            };
            (Said::Verdict(word), findings)
        }
    };
    let kept = matches!(said, Said::Verdict(_)).then(|| batch.json(BlobKind::Text, &findings));
    (
        VerificationAsked { decision: decided.decision, said, findings: kept, memo: decided.memo },
        findings,
        decided.facts,
        batch,
    )
}

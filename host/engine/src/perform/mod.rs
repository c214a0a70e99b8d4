//! Performing effects: each gives back what is to be appended. None of them changes any state here.

mod authority;
mod beside_live;
mod elsewhere;
mod evidence;
mod fetch;
mod fingerprint;
mod holds;
mod on_disk;
pub(crate) mod part;
pub(crate) mod people;
mod plan;
mod preflight;
mod produce;
mod promotion;
mod readiness;
mod rung;
mod shift;
mod triggers;
mod verify;

use ripcord_core::effect::Effect;
use ripcord_core::event::{PlannedRung, PlannedWave};

use crate::batch::Batch;
use crate::context::Context;
use crate::looks::Pace;

/// Performs `effect`. An empty batch means that it came to nothing and is owed again.
pub(crate) async fn perform(effect: Effect, ctx: Context) -> Batch {
    if !on_disk::is_what_led_to(&effect, &ctx).await {
        return Batch::default();
    }
    match effect {
        Effect::WatchProduction { seen, every, holds, asked_at, .. } => {
            elsewhere::watch(&ctx, &seen, Pace { every, holds, asked_at }).await
        }
        Effect::WatchReadiness { seen, every } => readiness::watch(&ctx, &seen, every).await,
        Effect::LookAtRun { run, from, every, news_from } => {
            produce::look(&ctx, run, produce::Pace { from, every, news_from }).await
        }
        // A service watches most of its life, and does not hold the room that everything else takes.
        other => Box::pin(step(other, ctx)).await,
    }
}

async fn step(effect: Effect, ctx: Context) -> Batch {
    match effect {
        Effect::AskTriggers { up_to } => triggers::ask(&ctx, up_to).await,
        Effect::Preserve { incident, hurried } => evidence::preserve(&ctx, incident, hurried).await,
        Effect::Plan { incident, number, wanted, requested_by, tried } => {
            let asked = plan::Asked { incident, number, wanted, requested_by };
            plan::plan(&ctx, asked, tried).await
        }
        Effect::AskApprovals { plan, ballot } => authority::ask(&ctx, plan, ballot).await,
        Effect::Stage { plan, rung } => shift::stage(&ctx, plan, rung).await,
        Effect::Preflight { plan, rung, round } => preflight::preflight(&ctx, plan, rung, round).await,
        Effect::ClearCandidate => preflight::clear(&ctx).await,
        Effect::Guard { plan, rung, wave, attempt } => shift::guard(&ctx, plan, (rung, wave), attempt).await,
        Effect::Shift { plan, rung, wave, attempt, request } => {
            shift::shift(&ctx, shift::Approved { plan, rung, wave, attempt, request }).await
        }
        Effect::Repeat { plan, rung, wave, attempt, request } => {
            shift::repeat(&ctx, shift::Approved { plan, rung, wave, attempt, request }).await
        }
        Effect::Probe { plan, rung, wave, attempt } => shift::probe(&ctx, plan, (rung, wave), attempt).await,
        Effect::ReadBack { plan, rung, wave } => shift::read_back(&ctx, plan, (rung, wave)).await,
        Effect::Look { plan, rung, wave, round } => {
            verify::look(&ctx, PlannedWave { plan, rung, wave }, round).await
        }
        Effect::Verify { plan, rung, round } => verify::verify(&ctx, PlannedRung { plan, rung }, round).await,
        Effect::WatchProduction { .. }
        | Effect::WatchReadiness { .. }
        | Effect::LookAtRun { .. }
        | Effect::WakeAt(_) => Batch::default(),
        Effect::Examine { since, round } => elsewhere::examine(&ctx, since, round).await,
        Effect::MarkHold { version, incident } => holds::mark(&ctx, version, incident).await,
        Effect::Promote { incident, version, expecting, request } => {
            promotion::promote(&ctx, incident, version, (&expecting, request)).await
        }
        Effect::Fingerprint { version } => fingerprint::take(&ctx, version).await,
        Effect::Pin { version } => fetch::pin(&ctx, version).await,
        Effect::StartRun { run, attempt, request } => produce::start(&ctx, run, attempt, request).await,
        Effect::StopRun { run } => produce::stop(&ctx, run).await,
        Effect::Announce(outgoing) => people::announce(&ctx, outgoing).await,
    }
}

/// The label of an effect in metrics.
pub(crate) const fn name(effect: &Effect) -> &'static str {
    match effect {
        Effect::AskTriggers { .. } => "ask-triggers",
        Effect::Preserve { .. } => "preserve",
        Effect::Plan { .. } => "plan",
        Effect::AskApprovals { .. } => "ask-approvals",
        Effect::Stage { .. } => "stage",
        Effect::Preflight { .. } => "preflight",
        Effect::ClearCandidate => "clear-candidate",
        Effect::Guard { .. } => "guard",
        Effect::Shift { .. } => "shift",
        Effect::Repeat { .. } => "repeat",
        Effect::Probe { .. } => "probe",
        Effect::ReadBack { .. } => "read-back",
        Effect::Look { .. } => "look",
        Effect::Verify { .. } => "verify",
        Effect::WatchProduction { .. } => "watch-production",
        Effect::WatchReadiness { .. } => "watch-readiness",
        Effect::Examine { .. } => "examine",
        Effect::MarkHold { .. } => "mark-hold",
        Effect::Promote { .. } => "promote",
        Effect::Fingerprint { .. } => "fingerprint",
        Effect::Pin { .. } => "pin",
        Effect::StartRun { .. } => "start-run",
        Effect::LookAtRun { .. } => "look-at-run",
        Effect::StopRun { .. } => "stop-run",
        Effect::Announce(_) => "announce",
        Effect::WakeAt(_) => "wake",
    }
}

//! What is on disk before an effect that others see: appends that a power cut may take are flushed first.

use ripcord_core::effect::Effect;

use crate::context::Context;

/// What an effect needs of the disk before it is performed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rests {
    /// Nothing: it only looks, or what it leaves behind is found again, or it writes its own intent.
    Nothing,
    /// What led to it must be on disk, since others see it.
    Disk,
    /// The same where the disk takes anything: people are told of a full disk, too.
    DiskIfItCan,
}

fn rests(effect: &Effect, ctx: &Context) -> Rests {
    match effect {
        Effect::Announce(_) if ctx.host.setup.notifiers.is_empty() => Rests::Nothing,
        Effect::Announce(_) => Rests::DiskIfItCan,
        Effect::MarkHold { .. }
        | Effect::Promote { .. }
        | Effect::ClearCandidate
        | Effect::StopRun { .. } => Rests::Disk,
        // An intent that is appended takes along all that was appended before it.
        Effect::Preflight { .. } | Effect::Shift { .. } => Rests::Nothing,
        // It has the key of the order that is on disk, or writes it.
        Effect::Repeat { .. } | Effect::StartRun { .. } => Rests::Nothing,
        Effect::AskTriggers { .. }
        | Effect::Preserve { .. }
        | Effect::Plan { .. }
        | Effect::AskApprovals { .. }
        | Effect::Stage { .. }
        | Effect::Guard { .. }
        | Effect::Probe { .. }
        | Effect::ReadBack { .. }
        | Effect::Look { .. }
        | Effect::Verify { .. }
        | Effect::WatchProduction { .. }
        | Effect::WatchReadiness { .. }
        | Effect::Examine { .. }
        | Effect::Fingerprint { .. }
        | Effect::Pin { .. }
        | Effect::LookAtRun { .. }
        | Effect::WakeAt(_) => Rests::Nothing,
    }
}

/// Flushes what led to an effect where that must be on disk; false if the effect must not be performed.
pub(super) async fn is_what_led_to(effect: &Effect, ctx: &Context) -> bool {
    let rests = rests(effect, ctx);
    if !ctx.has_tail || rests == Rests::Nothing {
        return true;
    }
    match ctx.host.setup.store.flush().await {
        Ok(flushed) => {
            ctx.watch.flushed(u64::from(flushed));
            true
        }
        Err(error) => {
            tracing::error!(service = %ctx.service.name, %error, "what was written last cannot be flushed");
            rests == Rests::DiskIfItCan
        }
    }
}

//! Watching over holds.

use ripcord_core::event::{Event, HoldMarked, LiveWatched};
use ripcord_core::live::LiveState;
use ripcord_core::name::{IncidentId, VersionName};
use ripcord_core::service::HoldState;
use ripcord_ports::ErrorKind;
use ripcord_ports::registry::Mark;

use super::Context;
use crate::batch::Batch;

/// Looks at live until a held version has come, or one that had come is gone: only that enters the journal.
pub(super) async fn live(ctx: &Context, holds: &[(VersionName, HoldState)]) -> Batch {
    loop {
        let live = ctx.live().await;
        if let LiveState::Serving(shares) = &live {
            let is_live = |version: &VersionName| {
                shares.iter().any(|share| share.version.version == *version && share.weight.get() > 0.0)
            };
            if holds.iter().any(|(version, state)| is_live(version) != (*state == HoldState::Broken)) {
                let mut batch = Batch::default();
                let live = batch.observed(&live);
                return batch.with(Event::LiveWatched(LiveWatched { live }));
            }
        }
        let again = ctx.host.setup.clock.now() + ctx.setup.terms.deadlines.hold_watch;
        ctx.host.setup.clock.sleep_until(again).await;
    }
}

/// Writes the hold where other users of the registry see it. A registry without a place for marks is no failure.
pub(super) async fn mark(ctx: &Context, version: VersionName, incident: Option<IncidentId>) -> Batch {
    let registry = &ctx.setup.ports.registry;
    let mark = match &incident {
        Some(incident) => Mark::Held { incident: incident.as_str() },
        None => Mark::Lifted,
    };
    let mut batch = Batch::default();
    let failed = match registry.mark(&version, mark).await {
        Ok(()) => None,
        Err(error) if matches!(error.kind, ErrorKind::Unsupported | ErrorKind::NotFound) => {
            tracing::warn!(service = %ctx.service.name, %version, %error, "the registry has no place for this mark");
            None
        }
        Err(error) => Some(batch.text(error.to_string())),
    };
    batch.with(Event::HoldMarked(HoldMarked { version, failed }))
}

//! Holds in the registry.

use ripcord_core::event::{Event, HoldMarked};
use ripcord_core::name::{IncidentId, VersionName};
use ripcord_ports::ErrorKind;
use ripcord_ports::registry::Mark;

use crate::batch::Batch;
use crate::context::Context;

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
    batch.with(Event::HoldMarked(HoldMarked { version, incident, failed }))
}

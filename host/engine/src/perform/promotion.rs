//! The registry's production name: read with the evidence, moved after the read-back.

use std::time::Duration;

use ripcord_core::event::{Event, FaultNature, InProduction, Promoted, PromotionWord};
use ripcord_core::name::{IncidentId, VersionName};
use ripcord_ports::{ErrorKind, PortError, Registry};
use tokio::time::timeout;

use super::{Context, nature_of};
use crate::batch::Batch;

/// What the registry says is in production, or why that could not be read.
pub(super) async fn read(ctx: &Context, within: Duration) -> Result<InProduction, String> {
    match timeout(within, ctx.setup.ports.registry.promoted()).await {
        Ok(Ok(Some(version))) => Ok(InProduction::Version(version)),
        Ok(Ok(None)) => Ok(InProduction::Nothing),
        Ok(Err(error)) if error.kind == ErrorKind::Unsupported => Ok(InProduction::Unsupported),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it took longer than {within:?}")),
    }
}

/// Moves the name, if it still points where this host may move it from.
pub(super) async fn promote(
    ctx: &Context,
    incident: IncidentId,
    version: VersionName,
    expecting: &[Option<VersionName>],
) -> Batch {
    let within = Duration::from_millis(ctx.setup.terms.deadlines.shift.0);
    let mut batch = Batch::default();
    let moved = timeout(within, follow(ctx.setup.ports.registry.as_ref(), &version, expecting)).await;
    let word = match moved {
        Ok(Ok(word)) => word,
        Ok(Err(error)) => {
            // Somebody was faster: the next try reads where they moved it.
            let raced = error.kind == ErrorKind::Conflict;
            let nature = if raced { FaultNature::Environmental } else { nature_of(&error) };
            PromotionWord::Failed { reason: batch.text(error.to_string()), nature }
        }
        Err(_) => {
            let reason = batch.text(format!("the registry took longer than {within:?}"));
            PromotionWord::Failed { reason, nature: FaultNature::Environmental }
        }
    };
    batch.with(Event::Promoted(Promoted { incident, version, word }))
}

/// The name is read first: after an interruption that tells what became of the call before.
async fn follow(
    registry: &dyn Registry,
    version: &VersionName,
    expecting: &[Option<VersionName>],
) -> Result<PromotionWord, PortError> {
    let now = match registry.promoted().await {
        Err(error) if error.kind == ErrorKind::Unsupported => return Ok(PromotionWord::Unsupported),
        now => now?,
    };
    if now.as_ref() == Some(version) {
        return Ok(PromotionWord::Already);
    }
    if !expecting.contains(&now) {
        return Ok(PromotionWord::Elsewhere(now));
    }
    registry.promote(version, now.as_ref()).await?;
    Ok(PromotionWord::Moved { from: now })
}

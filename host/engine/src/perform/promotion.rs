//! The registry's production name: read with the evidence, moved after the read-back.

use ripcord_core::event::{Event, FaultNature, InProduction, Promoted, PromotionWord};
use ripcord_core::name::{IncidentId, VersionName};
use ripcord_ports::{ErrorKind, PortError, Registry};

use crate::batch::Batch;
use crate::context::Context;
use crate::nature;

/// What the registry says is in production, or why that could not be read.
pub(super) async fn read(ctx: &Context) -> Result<InProduction, String> {
    match ctx.setup.ports.registry.promoted().await {
        Ok(Some(version)) => Ok(InProduction::Version(version)),
        Ok(None) => Ok(InProduction::Nothing),
        Err(error) if error.kind == ErrorKind::Unsupported => Ok(InProduction::Unsupported),
        Err(error) => Err(error.to_string()),
    }
}

/// Moves the name, if it still points where this host may move it from.
pub(super) async fn promote(
    ctx: &Context,
    incident: IncidentId,
    version: VersionName,
    expecting: &[Option<VersionName>],
) -> Batch {
    let mut batch = Batch::default();
    let word = match follow(ctx.setup.ports.registry.as_ref(), &version, expecting).await {
        Ok(word) => word,
        Err(error) => {
            // Somebody was faster: the next try reads where they moved it.
            let raced = error.kind == ErrorKind::Conflict;
            let nature = if raced { FaultNature::Environmental } else { nature::of_port_error(&error) };
            PromotionWord::Failed { reason: batch.text(error.to_string()), nature }
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

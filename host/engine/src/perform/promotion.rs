//! The registry's production name: read with the evidence, moved after the read-back.

use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, FaultNature, InProduction, Promoted, PromotionWord};
use ripcord_core::name::{IncidentId, VersionName};
use ripcord_core::request::Filled;
use ripcord_ports::{ErrorKind, PortError, Registry, Retry};

use crate::batch::Batch;
use crate::context::Context;
use crate::nature;
use crate::requests;

/// What the registry says is in production, or why that could not be read.
pub(super) async fn read(ctx: &Context) -> Result<InProduction, String> {
    match ctx.setup.ports.registry.promoted().await {
        Ok(Some(version)) => Ok(InProduction::Version(version)),
        Ok(None) => Ok(InProduction::Nothing),
        Err(error) if error.kind == ErrorKind::Unsupported => Ok(InProduction::Unsupported),
        Err(error) => Err(error.to_string()),
    }
}

/// Moves the name, if it still points where this host may move it from, by the approved request.
pub(super) async fn promote(
    ctx: &Context,
    incident: IncidentId,
    version: VersionName,
    by: (&[Option<VersionName>], Digest),
) -> Batch {
    let mut batch = Batch::default();
    let word = match follow(ctx.setup.ports.registry.as_ref(), &incident, &version, by).await {
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
    incident: &IncidentId,
    version: &VersionName,
    (expecting, approved): (&[Option<VersionName>], Digest),
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
    let filled = Filled {
        plan: None,
        incident: incident.clone(),
        expected: now.as_ref().map(ToString::to_string).unwrap_or_default(),
        key: String::new(),
        staged: None,
        attempt: 1,
    };
    let request = requests::as_approved(registry.request_to_promote(version), approved, &filled);
    let request = request.map_err(|_| {
        let text = format!(
            "what would be sent to move the registry's production name is no longer what was approved, so nothing was sent: move it to `{version}` by hand, or configure the registry as it was"
        );
        PortError::not_applied(ErrorKind::Configuration, text).retry(Retry::No)
    })?;
    registry.promote(version, now.as_ref()).await?;
    Ok(PromotionWord::Moved { from: now, request })
}

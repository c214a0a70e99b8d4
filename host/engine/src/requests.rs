//! What the adapters will send: asked for when a plan is made, and again before the effect, where another request than the approved one is not sent.

use ripcord_core::digest::Digest;
use ripcord_core::facet::Facet;
use ripcord_core::request::{Filled, PlannedRequest, Request, Sent};
use ripcord_core::target::Target;
use ripcord_core::wave::WaveOf;

use crate::setup::ServicePorts;

/// What puts the target in force, or this wave of it, or makes a version of it, will send.
pub(crate) fn of_target(ports: &ServicePorts, target: &Target, wave: Option<&WaveOf>) -> Option<Request> {
    if target.is_produced() {
        return ports.producer.as_ref()?.request(target);
    }
    let revision = target.revision()?;
    match &revision.facet {
        Facet::Model => ports.deployer.request(target, wave),
        facet => ports.restorers.get(facet)?.request(&revision.name, target.digest()),
    }
}

/// For a plan's step.
pub(crate) fn planned(request: Option<Request>) -> Option<PlannedRequest> {
    let request = request?;
    request.planned().inspect_err(|error| tracing::error!(%error, "a request has no digest")).ok()
}

/// Both digests, where `now` is what was approved; else the digest that it has now, if there is one.
pub(crate) fn as_approved(
    now: Option<Request>,
    approved: Digest,
    filled: &Filled,
) -> Result<Sent, Option<Digest>> {
    let sent = now.ok_or(None)?.sent(approved, filled).map_err(|error| {
        tracing::error!(%error, "a request has no digest");
        None
    })?;
    sent.map_err(Some)
}

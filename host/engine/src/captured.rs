//! Inputs that were captured for an incident, and the words in which a policy hears that something cannot be had.

use ripcord_core::fact::{Exchange, Unavailable, UnavailableReason};
use ripcord_ports::{ErrorKind, PortError};

use crate::context::Context;

/// What was captured for this incident, newest first.
pub(crate) async fn captured(ctx: &Context, limit: u32) -> Result<Vec<Exchange>, Unavailable> {
    let nothing = |message: &str| Unavailable::new(UnavailableReason::NoData, message);
    let incident = ctx.service.incident.as_ref().ok_or_else(|| nothing("there is no incident"))?;
    let log = ctx.setup.ports.requests.as_ref();
    let log =
        log.ok_or_else(|| Unavailable::new(UnavailableReason::Unsupported, "no request log is configured"))?;
    let item = incident.evidence.iter().find(|item| item.name == "request-log");
    let item = item.ok_or_else(|| nothing("no request log was preserved for this incident"))?;
    match ctx.host.setup.evidence.get(&item.digest).await {
        Ok(Some(piece)) => {
            // A piece may have many megabytes.
            let log = log.clone();
            let read = ctx.host.setup.blocking.run(move || log.exchanges(&piece, limit)).await;
            read.map_err(|error| Unavailable::new(UnavailableReason::Failed, error.to_string()))
        }
        Ok(None) => {
            Err(Unavailable::new(UnavailableReason::Redacted, "the preserved request log was erased"))
        }
        Err(error) => Err(unavailable(error)),
    }
}

/// The words in which a policy hears of a failure.
pub(crate) fn unavailable(error: PortError) -> Unavailable {
    let reason = match error.kind {
        ErrorKind::TimedOut => UnavailableReason::TimedOut,
        ErrorKind::Denied => UnavailableReason::Denied,
        ErrorKind::NotFound => UnavailableReason::NoData,
        ErrorKind::Unsupported => UnavailableReason::Unsupported,
        ErrorKind::TooLarge => UnavailableReason::TooLarge,
        _ => UnavailableReason::Failed,
    };
    Unavailable::new(reason, error.to_string())
}

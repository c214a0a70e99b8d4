//! Artefacts on this machine, checked; and digests that are pinned by fetching them.

use std::io;
use std::sync::Arc;

use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, FaultPlace, PinWord, Pinned, StageFailed};
use ripcord_core::name::VersionName;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_ports::registry::Staged as Artefact;
use ripcord_ports::{ErrorKind, PortError, Retry};

use crate::batch::Batch;
use crate::context::Context;
use crate::deadline::within;
use crate::nature;
use crate::staging::StagingFolder;

pub(super) fn stage_failed(plan: Digest, rung: u32, error: &PortError) -> Batch {
    let mut batch = Batch::default();
    let (reason, nature) = (batch.text(error.to_string()), nature::of_port_error(error));
    // What a registry refuses or does not answer may be at hand of another target.
    let lies_in = if error.kind == ErrorKind::Place { FaultPlace::Place } else { FaultPlace::Target };
    batch.with(Event::StageFailed(StageFailed { plan, rung, reason, nature, lies_in }))
}

/// The target's artefact on this machine, checked; none for targets without one. A second call finds the first one's.
pub(super) async fn fetch(ctx: &Context, target: &Target) -> Result<Option<Artefact>, PortError> {
    let Target::Version(version) = target else { return Ok(None) };
    if let Some(artefact) = ctx.host.staged.find(&ctx.setup.name, version) {
        return Ok(Some(artefact));
    }
    let (folder, artefact) = fetch_anew(ctx, version).await?;
    ctx.host.staged.keep(&ctx.setup.name, version, folder.keep(), artefact.clone());
    Ok(Some(artefact))
}

/// Fetches the artefact of a version for nothing but its digest, and pins that.
pub(super) async fn pin(ctx: &Context, version: VersionName) -> Batch {
    let mut batch = Batch::default();
    let word = match digest(ctx, &version).await {
        Ok(digest) => PinWord::Digest(digest),
        Err(error) => {
            let nature = nature::of_artefact_error(&error);
            tracing::warn!(service = %ctx.service.name, %version, %error, "the artefact of a version that can be gone back to cannot be fetched");
            PinWord::Failed { reason: batch.text(error.to_string()), nature }
        }
    };
    batch.with(Event::Pinned(Pinned { version, word }))
}

async fn digest(ctx: &Context, version: &VersionName) -> Result<Digest, PortError> {
    let target = VersionTarget { version: version.clone(), digest: None };
    if let Some(artefact) = ctx.host.staged.find(&ctx.setup.name, &target) {
        return Ok(artefact.digest);
    }
    fetch_anew(ctx, &target).await.map(|(_folder, artefact)| artefact.digest)
}

/// Fetches an artefact that was kept on this machine and is not there any more, so that it is: one at a time, and less and less often while it does not get
/// there.
pub(super) async fn bring_back(ctx: &Context, version: &VersionTarget) {
    let (Some(digest), clock) = (version.digest, &ctx.host.setup.clock) else { return };
    let Ok(_turn) = ctx.host.brought_back.turn.try_acquire() else { return };
    if !ctx.host.brought_back.is_due(digest, clock.steady()) {
        return;
    }
    if let Err(error) = Box::pin(fetch_anew(ctx, version)).await {
        tracing::warn!(service = %ctx.service.name, version = %version.version, %error, "the artefact of a version that can be gone back to is not on this machine and cannot be fetched; it is tried again, less and less often");
    }
}

async fn fetch_anew(ctx: &Context, version: &VersionTarget) -> Result<(StagingFolder, Artefact), PortError> {
    let name = format!("{}-{}-{}", ctx.setup.name, version.version, unique());
    let limit = ctx.setup.terms.deadlines.call;
    let made = within(ctx.host.setup.clock.as_ref(), limit, ctx.host.staging.folder(name)).await;
    let (folder, dir) = made
        .ok_or_else(|| {
            let text = format!("the staging folder did not answer within {limit}: check its disk");
            PortError::not_applied(ErrorKind::TimedOut, text)
        })?
        .map_err(staging_failed)?;
    let artefact = ctx.setup.ports.registry.fetch(version, Arc::new(dir)).await?;
    match version.digest {
        Some(pinned) if pinned != artefact.digest => Err(PortError::not_applied(
            ErrorKind::WrongDigest,
            format!(
                "the artefact of `{}` has digest `{}`, but `{pinned}` was pinned: it was changed; restore it in the registry",
                version.version, artefact.digest
            ),
        )),
        _ => Ok((folder, artefact)),
    }
}

/// A full disk is tried again: someone may free space.
fn staging_failed(error: io::Error) -> PortError {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    );
    let (advice, retry) = if full {
        ("free space on its disk", Retry::Later)
    } else {
        ("check its rights and its disk", Retry::No)
    };
    PortError::not_applied(
        ErrorKind::Place,
        format!("the staging folder cannot be written: {error}; {advice}"),
    )
    .retry(retry)
    .caused_by(error)
}

fn unique() -> String {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use ripcord_core::event::FaultNature;

    use super::*;

    #[test]
    fn a_full_disk_under_the_staging_folder_is_tried_again() {
        let nature = |kind: io::ErrorKind| {
            let batch = stage_failed(Digest::of("plan"), 0, &staging_failed(kind.into()));
            let [Event::StageFailed(failed)] = &batch.events[..] else { panic!("{:?}", batch.events) };
            failed.nature
        };
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge] {
            assert_eq!(nature(kind), FaultNature::Environmental, "{kind}");
        }
        assert_eq!(nature(io::ErrorKind::PermissionDenied), FaultNature::Deterministic);
        let text = staging_failed(io::ErrorKind::StorageFull.into()).to_string();
        assert!(text.ends_with("free space on its disk"), "{text}");
    }
}

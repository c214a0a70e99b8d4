//! Artefacts on this machine, checked; and digests that are pinned by fetching them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, PinWord, Pinned, StageFailed};
use ripcord_core::name::VersionName;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_ports::registry::Staged as Artefact;
use ripcord_ports::{ErrorKind, PortError, Retry};

use super::{Context, nature_of};
use crate::batch::Batch;

pub(super) fn stage_failed(plan: Digest, rung: u32, error: &PortError) -> Batch {
    let mut batch = Batch::default();
    let (reason, nature) = (batch.text(error.to_string()), nature_of(error));
    batch.with(Event::StageFailed(StageFailed { plan, rung, reason, nature }))
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
            let nature = nature_of(&error);
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
    let limit = Duration::from_millis(ctx.setup.terms.deadlines.stage.0);
    match tokio::time::timeout(limit, fetch_anew(ctx, &target)).await {
        Ok(fetched) => fetched.map(|(_folder, artefact)| artefact.digest),
        Err(_) => {
            Err(PortError::new(ErrorKind::TimedOut, format!("`{version}` was not fetched within {limit:?}")))
        }
    }
}

async fn fetch_anew<'a>(
    ctx: &'a Context,
    version: &VersionTarget,
) -> Result<(Folder<'a>, Artefact), PortError> {
    let (folder, dir) = Folder::new(ctx, version)?;
    let artefact = ctx.setup.ports.registry.fetch(version, Arc::new(dir)).await?;
    match version.digest {
        Some(pinned) if pinned != artefact.digest => Err(PortError::new(
            ErrorKind::WrongDigest,
            format!(
                "the artefact of `{}` has digest `{}`, but `{pinned}` was pinned: it was changed; restore it in the registry",
                version.version, artefact.digest
            ),
        )),
        _ => Ok((folder, artefact)),
    }
}

/// A folder for one artefact, gone when it is dropped: also where fetching failed or took too long.
struct Folder<'a> {
    staging: &'a Dir,
    name: String,
}

impl<'a> Folder<'a> {
    fn new(ctx: &'a Context, version: &VersionTarget) -> Result<(Self, Dir), PortError> {
        let staging = &*ctx.host.setup.staging;
        let name = format!("{}-{}-{}", ctx.setup.name, version.version, unique());
        staging.create_dir(&name).map_err(|error| staging_failed("cannot be written", error))?;
        let folder = Self { staging, name };
        let dir =
            staging.open_dir(&folder.name).map_err(|error| staging_failed("cannot be opened", error))?;
        Ok((folder, dir))
    }

    /// Its name: it stays.
    fn keep(mut self) -> String {
        std::mem::take(&mut self.name)
    }
}

impl Drop for Folder<'_> {
    fn drop(&mut self) {
        if !self.name.is_empty()
            && let Err(error) = self.staging.remove_dir_all(&self.name)
        {
            tracing::warn!(folder = self.name, %error, "what was fetched could not be removed; the next start removes it");
        }
    }
}

/// A full disk is tried again: someone may free space.
fn staging_failed(what: &str, error: io::Error) -> PortError {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    );
    let (advice, retry) = if full {
        ("free space on its disk", Retry::Later)
    } else {
        ("check its rights and its disk", Retry::No)
    };
    PortError::new(ErrorKind::Local, format!("the staging folder {what}: {error}; {advice}"))
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
            let batch =
                stage_failed(Digest::of("plan"), 0, &staging_failed("cannot be written", kind.into()));
            let [Event::StageFailed(failed)] = &batch.events[..] else { panic!("{:?}", batch.events) };
            failed.nature
        };
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge] {
            assert_eq!(nature(kind), FaultNature::Environmental, "{kind}");
        }
        assert_eq!(nature(io::ErrorKind::PermissionDenied), FaultNature::Deterministic);
        let text = staging_failed("cannot be written", io::ErrorKind::StorageFull.into()).to_string();
        assert!(text.ends_with("free space on its disk"), "{text}");
    }
}

//! Taking in what the host has made: files first, the manifest last, and nothing of another run is written over.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use ripcord_core::name::VersionName;
use ripcord_core::target::{VersionTarget, artefact_digest};
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::NewVersion;
use ripcord_ports::{ErrorKind, PortError};

use super::layout::CLAIM;
use super::store::Expecting;
use super::{AT_ONCE, MANIFESTS_MAX, ObjectsRegistry, not_the_first, without_effect};
use crate::artefact;
use crate::registry_directory::{FILES, KEY_TAG, MANIFEST, MANIFEST_BYTES_MAX, manifest_text};
use crate::settled::settled;

const CLAIM_BYTES_MAX: u64 = 1 << 10;

pub(super) async fn take_in(
    registry: &ObjectsRegistry,
    new: &NewVersion,
) -> Result<VersionTarget, PortError> {
    if registry.without_manifest {
        let text = format!(
            "`{}` takes no version from here: with `without-manifest` every prefix is a version, also one that is half-written (run {})",
            registry.store.shown(),
            new.key
        );
        return Err(PortError::not_applied(ErrorKind::Unsupported, text));
    }
    let name = match &new.name {
        Some(name) => name.clone(),
        None => VersionName::new(new.key.as_str()).map_err(|error| {
            PortError::not_applied(ErrorKind::Configuration, format!("the key of a run is no name: {error}"))
        })?,
    };
    // Until its manifest is there, there is no version.
    let begun = async {
        let digest = checked(registry, new, &name).await?;
        if let Some(there) = made_by(registry, &name, &new.key).await? {
            return Ok(Err(there));
        }
        let now = claim(registry, &name, &new.key).await?;
        let text = manifest_text(new, (&registry.model, &name), now)?;
        let sent = stream::iter(new.artefact.files.clone()).map(|file| {
            let at = registry.in_version(&name, &format!("{FILES}/{}", file.path));
            async move { registry.store.upload(&at, &new.artefact.dir, &file).await }
        });
        sent.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(Ok((digest, text)))
    };
    let made = VersionTarget { version: name.clone(), digest: None };
    let (digest, text) = match begun.await.map_err(without_effect)? {
        Ok(ready) => ready,
        Err(there) => return Ok(there),
    };
    let at = registry.in_version(&name, MANIFEST);
    let written = registry.store.put(&at, text.clone().into_bytes(), &Expecting::Nothing).await;
    let what = format!("the manifest of {}", registry.what(&name));
    settled(registry.store.shown(), written.map_err(not_the_first), &what, async {
        let read = registry.store.read(&at, MANIFEST_BYTES_MAX).await?;
        Ok(read.is_some_and(|read| read.bytes == text.as_bytes()))
    })
    .await?;
    Ok(VersionTarget { digest: Some(digest), ..made })
}

/// What is to be uploaded is what was made.
async fn checked(
    registry: &ObjectsRegistry,
    new: &NewVersion,
    name: &VersionName,
) -> Result<ripcord_core::digest::Digest, PortError> {
    let what = registry.what(name);
    let digest = artefact::pinned(&new.artefact.files, Some(&new.artefact.digest), &what)?;
    let (dir, of) = (Arc::clone(&new.artefact.dir), what.clone());
    let found = registry.files.run(move |_| artefact::hash(&dir, &of)).await?;
    let mut wanted = new.artefact.files.clone();
    wanted.sort();
    if found != wanted {
        let text =
            format!("the files of {what} are not as they were hashed: they were changed or damaged since");
        return Err(PortError::not_applied(ErrorKind::WrongDigest, text));
    }
    Ok(digest)
}

/// The version that a run with this key has made. Another one of the wanted name is a conflict.
async fn made_by(
    registry: &ObjectsRegistry,
    name: &VersionName,
    key: &str,
) -> Result<Option<VersionTarget>, PortError> {
    let mut found: Vec<_> = registry.layout().await?.versions.into_iter().collect();
    found.retain(|(_, lying)| lying.manifest().is_some());
    found.sort_by_key(|(version, lying)| (version != name, std::cmp::Reverse(lying.came_at())));
    let is_taken = found.first().is_some_and(|(version, _)| version == name);
    found.truncate(MANIFESTS_MAX);
    let by_key = stream::iter(found).map(|(version, lying)| async move {
        let stamp = lying.manifest().map(|object| object.stamp.clone());
        // What cannot be read was not made by this run, or is broken: it is never taken for its result.
        let Ok(read) = registry.manifest_of(&version, stamp.as_ref()).await? else { return Ok(None) };
        let is_it = read.manifest.tags.get(KEY_TAG).is_some_and(|of| of == key);
        let digest = Some(artefact_digest(&read.manifest.files()));
        Ok::<_, PortError>(is_it.then_some(VersionTarget { version, digest }))
    });
    let by_key: Vec<Option<VersionTarget>> = by_key.buffered(AT_ONCE).try_collect().await?;
    match by_key.into_iter().flatten().next() {
        Some(there) => Ok(Some(there)),
        None if is_taken => {
            let text = format!("{} is registered already: choose another name", registry.what(name));
            Err(PortError::not_applied(ErrorKind::Conflict, text))
        }
        None => Ok(None),
    }
}

/// Says that this run registers the version, so that no other writes among its files; gives the store's time.
async fn claim(registry: &ObjectsRegistry, name: &VersionName, key: &str) -> Result<UnixMillis, PortError> {
    let at = registry.in_version(name, CLAIM);
    let read = match registry.store.read(&at, CLAIM_BYTES_MAX).await? {
        Some(read) => read,
        None => {
            let put = registry.store.put(&at, key.as_bytes().to_vec(), &Expecting::Nothing).await;
            let read = registry.store.read(&at, CLAIM_BYTES_MAX).await?;
            match (read, put) {
                (Some(read), _) => read,
                (None, Err(error)) => return Err(error),
                (None, Ok(())) => {
                    let text =
                        format!("`{at}` in `{}` was written, and is not there", registry.store.shown());
                    return Err(PortError::not_applied(ErrorKind::Failed, text));
                }
            }
        }
    };
    if read.bytes == key.as_bytes() {
        return Ok(read.changed);
    }
    let text = format!(
        "another run registers {}, and has not ended: let it end, or delete `{at}` in `{}`",
        registry.what(name),
        registry.store.shown()
    );
    Err(PortError::not_applied(ErrorKind::Conflict, text))
}

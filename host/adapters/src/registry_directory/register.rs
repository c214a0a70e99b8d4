//! Making such a folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use cap_std::fs::{Dir, OpenOptions};
use ripcord_core::digest::Digest;
use ripcord_core::fact::{Dataset, Lineage};
use ripcord_core::name::VersionName;
use ripcord_core::target::{ArtefactFile, VersionTarget, artefact_digest};
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::NewVersion;
use ripcord_ports::{ErrorKind, PortError, Retry};

use super::{Artefact, FILES, KEY_TAG, MANIFEST, Manifest, ManifestDataset, ManifestLineage, Model};
use crate::file_work::GivenUp;
use crate::{artefact, folder, text_time};

/// One process at a time registers a version of a model; who holds the lock of this file.
const LOCK: &str = ".ripcord-registering";

/// Writes `manifest` into a version's folder, beside and renamed.
pub fn write_manifest(version: &Dir, manifest: &Manifest) -> Result<(), PortError> {
    let text = toml::to_string(manifest).map_err(|error| {
        PortError::not_applied(
            ErrorKind::Configuration,
            format!("the manifest of version `{}` has no TOML form", manifest.version),
        )
        .caused_by(error)
    })?;
    folder::write_beside(version, MANIFEST, text.as_bytes())
        .map_err(|error| folder::local(error, format_args!("cannot write `{MANIFEST}`")))
}

/// Registers the files in the folder `files` as a new version under `root`: copies and hashes them, and fills `manifest.artefacts`.
/// The version appears whole or not at all. One that is there already is a conflict. Blocks.
pub fn register(root: &Path, mut manifest: Manifest, files: &Path) -> Result<Digest, PortError> {
    artefact::check_path(&manifest.model).map_err(|why| {
        PortError::not_applied(ErrorKind::Configuration, format!("the model's name: {why}"))
    })?;
    let what = format!("version `{}`", manifest.version);
    let failed = |error| folder::local(error, format_args!("cannot register {what}"));

    let from = folder::open(files)?;
    let listed = artefact::hash(&from, &what)?;
    manifest.artefacts = artefacts(&listed);
    check(&manifest)?;

    let root = folder::open(root)?;
    root.create_dir_all(&manifest.model).map_err(failed)?;
    let model = root.open_dir(&manifest.model).map_err(failed)?;
    put(&model, &manifest, (&from, &listed), &GivenUp::default())?;
    Ok(artefact_digest(&listed))
}

/// Takes in what the host has made. The version with the same key, if there is one, is what was taken in before.
pub(super) fn take_in(
    model: &Model,
    new: &NewVersion,
    given_up: &GivenUp,
) -> Result<VersionTarget, PortError> {
    let name = match &new.name {
        Some(name) => name.clone(),
        None => VersionName::new(new.key.as_str()).map_err(|error| {
            PortError::not_applied(ErrorKind::Configuration, format!("the key of a run is no name: {error}"))
        })?,
    };
    let what = format!("version `{name}`");
    let digest = artefact::pinned(&new.artefact.files, Some(&new.artefact.digest), &what)?;
    let (_lock, now) = lock(&model.dir)?;
    if let Some(there) = made_by(model, &name, &new.key)? {
        // Whoever made it may have been ended before the rename was on disk.
        folder::sync(&model.dir)
            .map_err(|error| folder::local(error, format_args!("cannot flush {what}")).outcome_unknown())?;
        return Ok(there);
    }
    let manifest = manifest_of(new, (&model.name, &name), now);
    check(&manifest)?;
    put(&model.dir, &manifest, (&new.artefact.dir, &new.artefact.files), given_up)?;
    Ok(VersionTarget { version: name, digest: Some(digest) })
}

/// The version that a run with this key has made: the one of the wanted name, or another.
fn made_by(model: &Model, name: &VersionName, key: &str) -> Result<Option<VersionTarget>, PortError> {
    let by_key = |version: &VersionName| {
        // What cannot be read was not made by this run, or is broken: it is never taken for its result.
        let (_, manifest, _) = model.manifest(version).ok()?;
        let is_it = manifest.tags.get(KEY_TAG).is_some_and(|of| of == key);
        let digest = artefact_digest(&manifest.files());
        is_it.then(|| VersionTarget { version: version.clone(), digest: Some(digest) })
    };
    Ok(by_key(name).or(model.names()?.iter().find_map(by_key)))
}

/// Waits for nobody: another process that registers here now will be done soon, or hangs. Gives the time as the folder's own disk has it, since the
/// order of versions should not depend on whose clock wrote them.
fn lock(model: &Dir) -> Result<(File, UnixMillis), PortError> {
    let failed = |error| folder::local(error, format_args!("cannot write `{LOCK}` in the model's folder"));
    let options = OpenOptions::new().write(true).create(true).clone();
    let file = model.open_with(LOCK, &options).map_err(failed)?.into_std();
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let text = "another process registers a version of this model just now: try again";
            return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later));
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // A write that changes something, so that the disk notes the time.
    file.set_len(0)
        .and_then(|()| io::Write::write_all(&mut &file, b"held while a version is registered\n"))
        .map_err(failed)?;
    let written = file.metadata().and_then(|about| about.modified()).map_err(failed)?;
    let since_1970 = written.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok((file, UnixMillis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))))
}

fn artefacts(files: &[ArtefactFile]) -> Vec<Artefact> {
    let artefact =
        |file: &ArtefactFile| Artefact { path: file.path.clone(), sha256: file.sha256, bytes: file.bytes };
    files.iter().map(artefact).collect()
}

fn manifest_of(new: &NewVersion, (model, name): (&str, &VersionName), now: UnixMillis) -> Manifest {
    Manifest {
        model: model.to_owned(),
        version: name.clone(),
        created_at: text_time::format(now),
        runtime: None,
        aliases: Vec::new(),
        signature: new.signature.clone(),
        tags: [(KEY_TAG.to_owned(), new.key.clone())].into(),
        measures: new.measures.iter().map(|measure| (measure.name.clone(), measure.value)).collect(),
        lineage: lineage_of(&new.lineage),
        artefacts: artefacts(&new.artefact.files),
    }
}

fn lineage_of(lineage: &Lineage) -> ManifestLineage {
    let is_training = |set: &&Dataset| {
        lineage.dataset.as_ref() == Some(&set.name) && lineage.dataset_revision == set.revision
    };
    let trained_on = lineage.datasets.iter().find(is_training);
    // The training data set has keys of its own.
    let further = lineage.datasets.iter().filter(|set| !trained_on.is_some_and(|of| std::ptr::eq(of, *set)));
    ManifestLineage {
        code: lineage.code.clone(),
        run: lineage.run.clone(),
        source: lineage.source.clone(),
        dataset: lineage.dataset.clone(),
        dataset_revision: lineage.dataset_revision.clone(),
        parent: lineage.parent.as_ref().map(|parent| parent.version.clone()),
        parameters: lineage
            .parameters
            .iter()
            .map(|label| (label.name.clone(), toml::Value::String(label.value.clone())))
            .collect(),
        datasets: further
            .map(|set| ManifestDataset {
                name: set.name.clone(),
                revision: set.revision.clone(),
                context: set.context.clone(),
            })
            .collect(),
    }
}

/// What the manifest of a new version says, as it is written.
#[cfg(feature = "s3")]
pub(crate) fn manifest_text(
    new: &NewVersion,
    (model, name): (&str, &VersionName),
    now: UnixMillis,
) -> Result<String, PortError> {
    let manifest = manifest_of(new, (model, name), now);
    check(&manifest)?;
    Ok(toml::to_string(&manifest).unwrap_or_default())
}

/// Reads the manifest as it will be read.
fn check(manifest: &Manifest) -> Result<(), PortError> {
    let text = toml::to_string(manifest).unwrap_or_default();
    Manifest::parse(text.as_bytes(), &manifest.model, &manifest.version).map(drop).map_err(|why| {
        PortError::not_applied(
            ErrorKind::Configuration,
            format!("the manifest of version `{}` {why}", manifest.version),
        )
    })
}

/// Makes the version's folder beside and renames it: it appears whole or not at all.
fn put(
    model: &Dir,
    manifest: &Manifest,
    (from, listed): (&Dir, &[ArtefactFile]),
    given_up: &GivenUp,
) -> Result<(), PortError> {
    let what = format!("version `{}`", manifest.version);
    let failed = |error| folder::local(error, format_args!("cannot register {what}"));
    let conflict = || {
        PortError::not_applied(
            ErrorKind::Conflict,
            format!("{what} is registered already: choose another name"),
        )
    };
    if model.exists(manifest.version.as_str()) {
        return Err(conflict());
    }
    let beside = format!(".{}.ripcord-new", manifest.version);
    folder::remove(model, &beside).map_err(failed)?;
    let made = (|| {
        model.create_dir(&beside).map_err(failed)?;
        let version = model.open_dir(&beside).map_err(failed)?;
        version.create_dir(FILES).map_err(failed)?;
        artefact::copy(from, &version.open_dir(FILES).map_err(failed)?, listed, &what, given_up)?;
        write_manifest(&version, manifest)?;
        folder::flush(model, &folder::tree(model, &beside).map_err(failed)?).map_err(failed)?;
        given_up.check().map_err(failed)?;
        // A folder is only replaced by a rename if it is empty, which a version never is.
        model.rename(&beside, model, manifest.version.as_str()).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => conflict(),
            _ => failed(error).outcome_unknown(),
        })
    })();
    if made.is_err() {
        // The error that is reported is the first one; a leftover is removed at the next attempt.
        let _ = folder::remove(model, &beside);
    }
    made?;
    folder::sync(model).map_err(|error| failed(error).outcome_unknown())
}

//! Making such a folder.

use std::path::Path;

use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::target::artefact_digest;
use ripcord_ports::{ErrorKind, PortError};

use super::{Artefact, FILES, MANIFEST, Manifest};
use crate::file_work::GivenUp;
use crate::{artefact, folder};

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
    manifest.artefacts = listed
        .iter()
        .map(|file| Artefact { path: file.path.clone(), sha256: file.sha256, bytes: file.bytes })
        .collect();
    let text = toml::to_string(&manifest).unwrap_or_default();
    Manifest::parse(text.as_bytes(), &manifest.model, &manifest.version).map_err(|why| {
        PortError::not_applied(ErrorKind::Configuration, format!("the manifest of {what} {why}"))
    })?;

    let root = folder::open(root)?;
    root.create_dir_all(&manifest.model).map_err(failed)?;
    let model = root.open_dir(&manifest.model).map_err(failed)?;
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
    folder::remove(&model, &beside).map_err(failed)?;
    let made = (|| {
        model.create_dir(&beside).map_err(failed)?;
        let version = model.open_dir(&beside).map_err(failed)?;
        version.create_dir(FILES).map_err(failed)?;
        artefact::copy(
            &from,
            &version.open_dir(FILES).map_err(failed)?,
            &listed,
            &what,
            &GivenUp::default(),
        )?;
        write_manifest(&version, &manifest)?;
        folder::flush(&model, &folder::tree(&model, &beside).map_err(failed)?).map_err(failed)?;
        // A folder is only replaced by a rename if it is empty, which a version never is.
        model.rename(&beside, &model, manifest.version.as_str()).map_err(|error| match error.kind() {
            std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists => conflict(),
            _ => failed(error),
        })
    })();
    if made.is_err() {
        // The error that is reported is the first one; a leftover is removed at the next attempt.
        let _ = folder::remove(&model, &beside);
    }
    made?;
    folder::sync(&model).map_err(failed)?;
    Ok(artefact_digest(&listed))
}

//! A note that a service was not told yet of what is stored. Without an answer of the service's own it is all that tells *stored* from *in force* after a
//! crash between the two.

use std::io;

use cap_std::fs::Dir;
use ripcord_core::name::VersionName;
use ripcord_ports::PortError;

use crate::folder;

const NOTE: &str = ".reload-owed";
const NOTE_BYTES_MAX: u64 = 1_000;

/// The note in a folder of the host's own. There is one at a time.
#[derive(Debug)]
pub(crate) struct ReloadOwed;

impl ReloadOwed {
    /// Leaves the note, on disk when this returns.
    pub(crate) fn leave(dir: &Dir, revision: &VersionName) -> Result<(), PortError> {
        folder::write_beside(dir, NOTE, revision.as_str().as_bytes())
            .map_err(|error| folder::local(error, "cannot note that the service has to be told"))
    }

    /// Takes it away: the service was told.
    pub(crate) fn settle(dir: &Dir) -> Result<(), PortError> {
        folder::remove(dir, NOTE)
            .map_err(|error| folder::local(error, "cannot note that the service was told"))
    }

    /// Makes it what it was before a change that was not made.
    pub(crate) fn put_back(dir: &Dir, before: Option<&VersionName>) -> Result<(), PortError> {
        match before {
            Some(revision) => Self::leave(dir, revision),
            None => Self::settle(dir),
        }
    }

    /// The revision that the service may not have been told of.
    pub(crate) fn read(dir: &Dir) -> Result<Option<VersionName>, PortError> {
        match dir.try_exists(NOTE) {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(error) => return Err(folder::local(error, "cannot look whether the service was told")),
        }
        let text = folder::read(dir, NOTE, NOTE_BYTES_MAX)?;
        let name = String::from_utf8(text).ok().and_then(|text| VersionName::new(text).ok());
        name.map(Some).ok_or_else(|| {
            let damaged = io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
            folder::local(damaged, format_args!("cannot read `{NOTE}`"))
        })
    }

    /// Why nobody knows what is in force while the note is there.
    pub(crate) fn why(revision: &VersionName) -> String {
        format!(
            "`{revision}` is stored, and it is not known whether the service was told: restore it again, or reload the service and remove `{NOTE}`"
        )
    }
}

//! A folder on a disk, opened anew for each piece of work: nothing outside it can be reached.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::{Dir, File};
use ripcord_core::digest::Digest;
use ripcord_core::time::UnixMillis;
use ripcord_ports::{ErrorKind, PortError};

use super::place::{Entry, Kind, Place, Placed, changed_meanwhile};
use super::served::shown;
use super::taken::opened_for_writing;
use crate::file_work::{FileWork, GivenUp};
use crate::{artefact, folder};

#[derive(Debug)]
pub(crate) struct FolderPlace {
    root: PathBuf,
    files: FileWork,
}

impl FolderPlace {
    pub(crate) fn new(root: PathBuf) -> Self {
        let files = FileWork::new(format!("the folder of checkpoints `{}`", root.display()));
        Self { root, files }
    }

    async fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Dir, &GivenUp) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let root = self.root.clone();
        self.files
            .run(move |given_up| {
                let root = folder::open(&root).map_err(|error| match error.kind {
                    // A share is mounted late, or away for a while.
                    ErrorKind::NotFound => PortError::not_applied(
                        ErrorKind::Unreachable,
                        format!("{error}, and that its disk is mounted"),
                    ),
                    _ => error,
                })?;
                work(&root, given_up)
            })
            .await
    }
}

fn opened(root: &Dir, path: &str) -> io::Result<Dir> {
    root.open_dir(if path.is_empty() { "." } else { path })
}

fn changed(about: &cap_std::fs::Metadata) -> Option<UnixMillis> {
    let since_1970 = about.modified().ok()?.into_std().duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since_1970.as_millis()).ok().map(UnixMillis)
}

#[async_trait]
impl Place for FolderPlace {
    fn shown(&self) -> String {
        self.root.display().to_string()
    }

    async fn entries(&self, folder: &str, max: usize) -> Result<Vec<Entry>, PortError> {
        let path = folder.to_owned();
        self.on(move |root, _| {
            let failed = |error| folder::local(error, format_args!("cannot list `{path}`"));
            let mut entries = Vec::new();
            for entry in opened(root, &path).and_then(|dir| dir.entries()).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                // A name that is no text can be the name of nothing that anyone asks for.
                let name = entry.file_name().to_string_lossy().into_owned();
                let kind = entry.file_type().map_err(failed)?;
                let kind = if kind.is_dir() {
                    Kind::Folder
                } else if kind.is_file() {
                    let about = entry.metadata().map_err(failed)?;
                    Kind::File { bytes: about.len(), changed: changed(&about) }
                } else {
                    Kind::Other
                };
                if entries.len() == max {
                    let text =
                        format!("`{path}` holds more than {max} files and folders: move old ones away");
                    return Err(PortError::not_applied(ErrorKind::TooLarge, text));
                }
                entries.push(Entry { name, kind });
            }
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(entries)
        })
        .await
    }

    async fn read(&self, file: &str, bytes_max: u64) -> Result<Vec<u8>, PortError> {
        let path = file.to_owned();
        self.on(move |root, _| folder::read(root, &path, bytes_max)).await
    }

    async fn files(&self, folder: &str) -> Result<Vec<Placed>, PortError> {
        let path = folder.to_owned();
        self.on(move |root, _| {
            let failed = |error| folder::local(error, format_args!("cannot open `{path}`"));
            let listed = artefact::list(&opened(root, &path).map_err(failed)?, &format!("`{path}`"))?;
            let stamp = |file: &artefact::Listed| file.changed.map(|at| format!("{:?}", at.into_std()));
            let placed =
                |file: artefact::Listed| Placed { stamp: stamp(&file), path: file.path, bytes: file.bytes };
            Ok(listed.into_iter().map(placed).collect())
        })
        .await
    }

    async fn take(&self, file: &str, into: Option<(&Arc<Dir>, &str)>) -> Result<(Digest, u64), PortError> {
        let path = file.to_owned();
        let into = into.map(|(dir, name)| (Arc::clone(dir), name.to_owned()));
        self.on(move |root, given_up| {
            let failed = |error| folder::local(error, format_args!("cannot copy `{path}`"));
            let from = folder::open_file(root, &path).map_err(failed)?;
            let same = from.try_clone().map_err(failed)?;
            let state = |file: &File| file.metadata().map(|about| (about.len(), changed(&about)));
            let before = state(&same).map_err(failed)?;
            let mut to = given_up.fence(opened_for_writing(into.as_ref()).map_err(failed)?);
            let (digest, bytes) = artefact::copy_hashed(from, &mut to, u64::MAX - 1).map_err(failed)?;
            if before.0 != bytes || state(&same).map_err(failed)? != before {
                return Err(changed_meanwhile(&format!("`{}`", shown(&path))));
            }
            Ok((digest, bytes))
        })
        .await
    }
}

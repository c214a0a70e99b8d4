//! A file that others read as it is: read whole, replaced whole, with the rights and the owner that it has.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, MetadataExt as _, OpenOptions};
use ripcord_core::time::UnixMillis;
use ripcord_ports::{ErrorKind, PortError};

use crate::file_work::{GivenUp, note_flush};
use crate::folder;
use crate::restoring::{CONTENT_BYTES_MAX, wrong};

/// Where the file is.
#[derive(Debug)]
pub(crate) struct WholeFile {
    path: PathBuf,
    folder: PathBuf,
    name: String,
    beside: String,
}

impl WholeFile {
    pub(crate) fn new(path: &Path) -> Result<Self, PortError> {
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(name), Some(folder)) = (name, path.parent()) else {
            return Err(wrong(format!(
                "`file` is `{}`: write the path of the file that the process reads",
                path.display()
            )));
        };
        let folder = if folder == Path::new("") { Path::new(".") } else { folder };
        Ok(Self {
            path: path.to_owned(),
            folder: folder.to_owned(),
            name: name.to_owned(),
            beside: format!(".{name}.ripcord-new"),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its content and when it was changed; the inner error says why there is none.
    #[allow(clippy::type_complexity, reason = "a file that is not there is an answer, not a failure")]
    pub(crate) fn read(&self) -> Result<Result<(Vec<u8>, Option<UnixMillis>), String>, PortError> {
        let dir = folder::open(&self.folder)?;
        if let Some(why) = self.is_no_plain_file(&dir) {
            return Err(PortError::not_applied(ErrorKind::Place, why));
        }
        match folder::read(&dir, &self.name, CONTENT_BYTES_MAX) {
            Ok(content) => {
                let changed = dir.metadata(&self.name).ok().map(|found| (found.mtime(), found.mtime_nsec()));
                let millis = changed.and_then(|(seconds, nanos)| {
                    let seconds = u64::try_from(seconds).ok()?.checked_mul(1_000)?;
                    Some(UnixMillis(seconds.checked_add(u64::try_from(nanos).ok()? / 1_000_000)?))
                });
                Ok(Ok((content, millis)))
            }
            Err(error) if error.kind == ErrorKind::NotFound => {
                Ok(Err(format!("the file `{}` is not there", self.path.display())))
            }
            Err(error) if error.kind == ErrorKind::TooLarge => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// What the name stands for, if that cannot be replaced.
    fn is_no_plain_file(&self, dir: &Dir) -> Option<String> {
        let path = self.path.display();
        let found = dir.symlink_metadata(&self.name).ok()?;
        if found.is_symlink() {
            // The link may lead out of the folder, and where it leads is for people to read only.
            let target = rustix::fs::readlinkat(dir, &self.name, Vec::new()).ok();
            let target = target.map_or_else(String::new, |target| {
                format!(", to `{}`", ripcord_core::foreign::Foreign::new(&target.to_string_lossy()))
            });
            return Some(format!(
                "`{path}` is a symbolic link{target}, which is not replaced: configure the file that it leads to, and where something else keeps the link, as Kubernetes does with a ConfigMap, restore it there"
            ));
        }
        if found.is_dir() {
            return Some(format!("`{path}` is a folder: configure the file that the process reads"));
        }
        None
    }

    /// What makes every replacement impossible.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let dir = match folder::open(&self.folder) {
            Ok(dir) => dir,
            Err(error) => return Some(error.to_string()),
        };
        if let Some(why) = self.is_no_plain_file(&dir) {
            return Some(why);
        }
        if folder::is_mount_root(&dir, &self.name) {
            return Some(format!(
                "`{}` is a mount point, which cannot be replaced: mount `{}` instead, so that the file lies in it",
                self.path.display(),
                self.folder.display()
            ));
        }
        let tried = self.create(&dir).and_then(|_| dir.remove_file(&self.beside));
        tried.err().map(|error| {
            folder::local(error, format_args!("cannot write beside `{}`", self.path.display())).to_string()
        })
    }

    /// Nobody else may use it before its rights are those of the file.
    fn create(&self, dir: &Dir) -> io::Result<cap_std::fs::File> {
        use cap_std::fs::OpenOptionsExt as _;
        // One that a killed host has left would have the wrong owner.
        folder::remove(dir, &self.beside)?;
        dir.open_with(&self.beside, OpenOptions::new().write(true).create_new(true).mode(0o600))
    }

    /// Puts the content in its place, on disk when this returns. The file is whole or as it was.
    pub(crate) fn replace(&self, content: &[u8], given_up: &GivenUp) -> Result<(), PortError> {
        let failed = |error| folder::local(error, format_args!("cannot replace `{}`", self.path.display()));
        let dir = folder::open(&self.folder)?;
        if let Some(why) = self.is_no_plain_file(&dir) {
            return Err(PortError::not_applied(ErrorKind::Place, why));
        }
        if folder::read(&dir, &self.name, CONTENT_BYTES_MAX).is_ok_and(|there| there == content) {
            return Ok(());
        }
        let written = (|| {
            let mut file = self.create(&dir)?;
            file.write_all(content)?;
            self.take_rights(&dir, &file)?;
            note_flush();
            file.sync_all()?;
            given_up.check()?;
            dir.rename(&self.beside, &dir, &self.name)
        })();
        if let Err(error) = written {
            // The error that is reported is the first one.
            let _ = dir.remove_file(&self.beside);
            return Err(failed(error));
        }
        folder::sync(&dir).map_err(|error| failed(error).outcome_unknown())
    }

    /// Owner first: changing it may take away rights.
    fn take_rights(&self, dir: &Dir, file: &cap_std::fs::File) -> io::Result<()> {
        let before = match dir.metadata(&self.name) {
            Ok(before) => before,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(rustix::fs::fchmod(file, rustix::fs::Mode::from_raw_mode(0o644))?);
            }
            Err(error) => return Err(error),
        };
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
            let (user, group) =
                (rustix::fs::Uid::from_raw(before.uid()), rustix::fs::Gid::from_raw(before.gid()));
            rustix::fs::fchown(file, Some(user), Some(group)).map_err(|error| {
                let error = io::Error::from(error);
                io::Error::new(error.kind(), format!("its owner cannot be kept: {error}"))
            })?;
        }
        Ok(rustix::fs::fchmod(file, rustix::fs::Mode::from_raw_mode(before.mode() & 0o7777))?)
    }
}

//! A folder that is laid out as a bucket would be, so that one that is synchronised to a bucket is the same registry.

use std::fs::TryLockError;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::{Dir, OpenOptions};
use ripcord_core::digest::Digest;
use ripcord_core::target::ArtefactFile;
use ripcord_core::time::UnixMillis;
use ripcord_ports::{ErrorKind, PortError, Retry};

use super::store::{Expecting, Listed, OBJECTS_MAX, Object, Read, Stamp, Store};
use crate::artefact::{self, copy_hashed};
use crate::download::Place;
use crate::file_work::{FileWork, GivenUp};
use crate::folder;

/// One process at a time writes; who holds the lock of this file.
const LOCK: &str = ".ripcord-writing";

/// A folder on a disk or a share.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) root: PathBuf,
    pub(super) shown: String,
    pub(super) files: FileWork,
}

impl Folder {
    async fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Dir, &GivenUp) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let root = self.root.clone();
        let opened = move || {
            folder::open(&root).map_err(|error| match error.kind {
                // A share that is mounted late, or is away for a while.
                ErrorKind::NotFound => PortError::not_applied(
                    ErrorKind::Unreachable,
                    format!("{error}, and that its disk is mounted"),
                ),
                _ => error,
            })
        };
        self.files.run(move |given_up| work(&opened()?, given_up)).await
    }
}

/// Of what a file holds: who writes the same again has changed nothing.
fn stamp(bytes: &[u8]) -> Stamp {
    Stamp { e_tag: Some(Digest::of(bytes).to_string()), version: None }
}

fn changed(time: Option<cap_std::time::SystemTime>) -> UnixMillis {
    let since = time.and_then(|time| time.into_std().duration_since(std::time::UNIX_EPOCH).ok());
    UnixMillis(since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0))
}

fn is_missing(error: &PortError) -> bool {
    error.kind == ErrorKind::NotFound
}

fn read(dir: &Dir, name: &str, bytes_max: u64) -> Result<Option<Read>, PortError> {
    let bytes = match folder::read(dir, name, bytes_max) {
        Err(error) if is_missing(&error) => return Ok(None),
        bytes => bytes?,
    };
    let failed = |error| folder::local(error, format_args!("cannot look at `{name}`"));
    let about = dir.metadata(name).map_err(failed)?;
    let stamp = stamp(&bytes);
    Ok(Some(Read { bytes, changed: changed(about.modified().ok()), stamp }))
}

/// What is neither a file nor a folder, or has a name that no file of an artefact can have, is told and not entered.
fn walk(dir: &Dir, prefix: &str, what: &str, listed: &mut Listed) -> Result<(), PortError> {
    let failed = |error| folder::local(error, format_args!("cannot list {what}"));
    for entry in dir.entries().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if name.ends_with(".ripcord-new") || name.ends_with(LOCK) {
            continue;
        }
        let kind = entry.file_type().map_err(failed)?;
        let is_plain = artefact::check_path(&name).is_ok() && entry.file_name().to_str().is_some();
        if listed.objects.len() + listed.odd.len() > OBJECTS_MAX {
            let text = format!("{what} holds more than {OBJECTS_MAX} files: move old versions away");
            return Err(PortError::not_applied(ErrorKind::TooLarge, text));
        }
        if is_plain && kind.is_dir() {
            walk(&entry.open_dir().map_err(failed)?, &format!("{name}/"), what, listed)?;
        } else if is_plain && kind.is_file() {
            let about = entry.metadata().map_err(failed)?;
            let at = changed(about.modified().ok());
            let e_tag = Some(format!("{}-{}", about.len(), at.0));
            let stamp = Stamp { e_tag, version: None };
            listed.objects.push(Object { name, bytes: about.len(), changed: at, stamp });
        } else {
            listed.odd.push(name);
        }
    }
    Ok(())
}

/// The folder that a name lies in, made where it is not there, and the last part of the name.
fn above<'n>(dir: &Dir, name: &'n str) -> Result<(Dir, &'n str), PortError> {
    let failed = |error| folder::local(error, format_args!("cannot make the folder of `{name}`"));
    let Some((folder, last)) = name.rsplit_once('/') else {
        return Ok((dir.try_clone().map_err(failed)?, name));
    };
    dir.create_dir_all(folder).map_err(failed)?;
    Ok((dir.open_dir(folder).map_err(failed)?, last))
}

#[async_trait]
impl Store for Folder {
    fn shown(&self) -> &str {
        &self.shown
    }

    fn place(&self) -> String {
        self.shown.clone()
    }

    async fn list(&self, folder: &str) -> Result<Listed, PortError> {
        let (name, what) = (folder.to_owned(), format!("`{folder}` in `{}`", self.shown));
        self.on(move |dir, _| {
            let below = match dir.open_dir(&name) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Listed::default()),
                below => below.map_err(|error| folder::local(error, format_args!("cannot list {what}")))?,
            };
            let mut listed = Listed::default();
            walk(&below, "", &what, &mut listed)?;
            listed.objects.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(listed)
        })
        .await
    }

    async fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Read>, PortError> {
        let name = name.to_owned();
        self.on(move |dir, _| read(dir, &name, bytes_max)).await
    }

    async fn take(&self, name: &str, bytes: u64, to: Place<'_>) -> Result<(Digest, u64), PortError> {
        let (name, into, path) = (name.to_owned(), Arc::clone(to.dir), to.path.to_owned());
        let root = self.root.clone();
        to.work
            .run(move |given_up| {
                let failed = |error| folder::local(error, format_args!("cannot copy `{name}`"));
                let from = folder::open_file(&folder::open(&root)?, &name).map_err(failed)?;
                let (dir, last) = above(&into, &path)?;
                let mut file = given_up.fence(dir.create(last).map_err(failed)?);
                copy_hashed(from, &mut file, bytes).map_err(failed)
            })
            .await
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, expecting: &Expecting) -> Result<(), PortError> {
        let (name, expecting) = (name.to_owned(), expecting.clone());
        self.on(move |dir, given_up| put(dir, given_up, &name, &bytes, &expecting)).await
    }

    async fn upload(&self, name: &str, from: &Arc<Dir>, file: &ArtefactFile) -> Result<(), PortError> {
        let (name, from, file) = (name.to_owned(), Arc::clone(from), file.clone());
        self.on(move |dir, given_up| upload(dir, given_up, &name, (from.as_ref(), &file))).await
    }
}

/// Nothing is written for one that waits no more: a share may come back long after.
fn put(
    dir: &Dir,
    given_up: &GivenUp,
    name: &str,
    bytes: &[u8],
    expecting: &Expecting,
) -> Result<(), PortError> {
    let failed = |error| folder::local(error, format_args!("cannot write `{LOCK}`"));
    let lock = dir.open_with(LOCK, OpenOptions::new().write(true).create(true)).map_err(failed)?;
    let lock = lock.into_std();
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let text = "another process writes to this registry just now: try again";
            return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later));
        }
        Err(TryLockError::Error(error)) => {
            return Err(folder::local(
                error,
                format_args!("cannot lock `{LOCK}`, which the folder must allow"),
            ));
        }
    }
    let is = match read(dir, name, u64::MAX - 1)? {
        None => Expecting::Nothing,
        Some(read) => Expecting::Content(read.stamp),
    };
    if is != *expecting {
        let text = format!("cannot write `{name}`: somebody else has written it meanwhile");
        return Err(PortError::not_applied(ErrorKind::Conflict, text));
    }
    let failed = |error| folder::local(error, format_args!("cannot write `{name}`"));
    let (above, last) = above(dir, name)?;
    given_up.check().map_err(failed)?;
    folder::write_beside(&above, last, bytes).map_err(|error| failed(error).outcome_unknown())
}

fn upload(
    dir: &Dir,
    given_up: &GivenUp,
    name: &str,
    (from, file): (&Dir, &ArtefactFile),
) -> Result<(), PortError> {
    let failed = |error| folder::local(error, format_args!("cannot write `{name}`"));
    let source = folder::open_file(from, &file.path).map_err(failed)?;
    given_up.check().map_err(failed)?;
    let (above, last) = above(dir, name)?;
    let mut target = given_up.fence(above.create(last).map_err(failed)?);
    copy_hashed(source, &mut target, file.bytes).map_err(failed)?;
    target.to.sync_all().map_err(failed)?;
    folder::sync(&above).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_writes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(root.path(), cap_std::ambient_authority()).unwrap();
        dir.write("from", "content").unwrap();
        let file = ArtefactFile { path: "from".into(), sha256: Digest::of("content"), bytes: 7 };
        for (given_up, is_written) in [(GivenUp::already(), false), (GivenUp::default(), true)] {
            let moved = put(&dir, &given_up, "names/production", b"1.0\n", &Expecting::Nothing);
            let sent = upload(&dir, &given_up, "files/a", (&dir, &file));
            assert_eq!((moved.is_ok(), sent.is_ok()), (is_written, is_written), "{moved:?} {sent:?}");
            assert_eq!(dir.exists("names/production"), is_written);
            assert_eq!(dir.exists("files/a"), is_written);
        }
        assert_eq!(dir.read_to_string("files/a").unwrap(), "content");
    }

    #[test]
    fn one_that_writes_already_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(root.path(), cap_std::ambient_authority()).unwrap();
        let other = dir.create(LOCK).unwrap().into_std();
        other.lock().unwrap();
        let error = put(&dir, &GivenUp::default(), "a", b"1", &Expecting::Nothing).unwrap_err();
        assert_eq!((error.kind, error.retry), (ErrorKind::Failed, Retry::Later), "{error}");
        drop(other);
        put(&dir, &GivenUp::default(), "a", b"1", &Expecting::Nothing).unwrap();
    }
}

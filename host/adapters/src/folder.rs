//! Files, through folders that were opened once: nothing outside them can be reached, however a path or a link is made.

use std::fmt::Display;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File};
use ripcord_ports::{ErrorKind, PortError, Retry};

use crate::file_work::note_flush;
use crate::private::Private;

/// Opens a configured folder.
pub(crate) fn open(path: &Path) -> Result<Dir, PortError> {
    Dir::open_ambient_dir(path, ambient_authority())
        .map_err(|error| local(error, format_args!("cannot open the folder `{}`", path.display())))
}

/// Reads a configured file of at most `bytes_max` bytes.
pub(crate) fn read_ambient(path: &Path, bytes_max: u64) -> Result<Vec<u8>, PortError> {
    let what = path.display().to_string();
    let file = File::open_ambient(path, ambient_authority())
        .map_err(|error| local(error, format_args!("cannot read `{what}`")))?;
    read_file(file, &what, bytes_max)
}

/// Reads a configured file that only its owner may use, of at most `bytes_max` bytes. What is looked at is the file that is then read.
pub(crate) fn read_secret(path: &Path, bytes_max: u64) -> Result<Vec<u8>, PortError> {
    read_private(path, Private::Secret, bytes_max)
}

/// Reads a file that others may use in no other way than `private` says, of at most `bytes_max` bytes.
pub(crate) fn read_private(path: &Path, private: Private, bytes_max: u64) -> Result<Vec<u8>, PortError> {
    let what = path.display().to_string();
    let unable = |error| local(error, format_args!("cannot read `{what}`"));
    let file = File::open_ambient(path, ambient_authority()).map_err(unable)?.into_std();
    private
        .check(&file.metadata().map_err(unable)?, path)
        .map_err(|open| PortError::not_applied(ErrorKind::Configuration, open.to_string()))?;
    read_file(file, &what, bytes_max)
}

/// Reads a file inside `dir` of at most `bytes_max` bytes.
pub(crate) fn read(dir: &Dir, name: &str, bytes_max: u64) -> Result<Vec<u8>, PortError> {
    let file = open_file(dir, name).map_err(|error| local(error, format_args!("cannot read `{name}`")))?;
    read_file(file, name, bytes_max)
}

fn read_file(file: impl Read, what: &str, bytes_max: u64) -> Result<Vec<u8>, PortError> {
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| local(error, format_args!("cannot read `{what}`")))?;
    if bytes.len() as u64 > bytes_max {
        return Err(PortError::not_applied(
            ErrorKind::TooLarge,
            format!("`{what}` has more than {bytes_max} bytes: it is not what it should be"),
        ));
    }
    Ok(bytes)
}

/// Opens an ordinary file for reading. Anything else is refused before it is opened, since opening a pipe could wait for ever.
pub(crate) fn open_file(dir: &Dir, path: &str) -> io::Result<File> {
    if dir.metadata(path)?.is_file() {
        dir.open(path)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not an ordinary file"))
    }
}

/// Writes `bytes` beside `name` and renames: `name` is whole or as it was. On disk when this returns.
pub(crate) fn write_beside(dir: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    replace(dir, name, bytes, |file| {
        note_flush();
        file.sync_all()
    })?;
    sync(dir)
}

/// The same, and nothing is flushed: a power cut may leave `name` as it was, or empty. For what is flushed later, or recognised and made anew.
pub(crate) fn write_beside_unflushed(dir: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    replace(dir, name, bytes, |_| Ok(()))
}

fn replace(
    dir: &Dir,
    name: &str,
    bytes: &[u8],
    flush: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    // Two writers of one name must not write into one file.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let beside = format!(".{name}.{}-{number}.ripcord-new", std::process::id());
    let written = (|| {
        let mut file = dir.create(&beside)?;
        io::Write::write_all(&mut file, bytes)?;
        flush(&file)?;
        dir.rename(&beside, dir, name)
    })();
    if written.is_err() {
        // The error that is reported is the first one.
        let _ = dir.remove_file(&beside);
    }
    written
}

/// Makes renames inside `dir` survive a power cut.
pub(crate) fn sync(dir: &Dir) -> io::Result<()> {
    note_flush();
    Ok(rustix::fs::fsync(dir.open(".")?)?)
}

/// Threads that flush side by side.
const FLUSHING_AT_ONCE: usize = 8;

/// Flushes files and folders inside `dir`, all on disk when this returns. Side by side, so that the file system writes its own journal once for
/// many of them: they take about as long as one.
pub(crate) fn flush(dir: &Dir, paths: &[String]) -> io::Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    note_flush();
    let part = paths.len().div_ceil(FLUSHING_AT_ONCE);
    let some = |paths: &[String]| paths.iter().try_for_each(|path| Ok(rustix::fs::fsync(dir.open(path)?)?));
    std::thread::scope(|scope| {
        let (first, rest) = paths.split_at(part);
        let others: Vec<_> = rest.chunks(part).map(|paths| scope.spawn(move || some(paths))).collect();
        let mut flushed = some(first);
        for other in others {
            let other = other.join().unwrap_or_else(|_| Err(io::Error::other("a flush broke off")));
            flushed = flushed.and(other);
        }
        flushed
    })
}

/// The folder `name` inside `dir` and all that is in it, as [`flush`] takes it.
pub(crate) fn tree(dir: &Dir, name: &str) -> io::Result<Vec<String>> {
    let (mut found, mut next) = (Vec::new(), 0);
    found.push(name.to_owned());
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if dir.metadata(&path)?.is_dir() {
            for entry in dir.read_dir(&path)? {
                found.push(format!("{path}/{}", entry?.file_name().to_string_lossy()));
            }
        }
    }
    Ok(found)
}

/// Removes a file or a whole folder; that there is none is fine.
pub(crate) fn remove(dir: &Dir, name: &str) -> io::Result<()> {
    let gone = match dir.symlink_metadata(name) {
        Ok(found) if found.is_dir() => dir.remove_dir_all(name),
        Ok(_) => dir.remove_file(name),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether something is mounted there, also where it is the same file system once more.
#[cfg(target_os = "linux")]
pub(crate) fn is_mount_root(dir: &Dir, name: &str) -> bool {
    use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
    let found = rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    // Kernels before 5.8 do not tell, and do not set it.
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Whether something is mounted there.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_mount_root(_dir: &Dir, _name: &str) -> bool {
    false
}

/// A local failure as a sentence: what was done, why it failed, what to do.
pub(crate) fn local(error: io::Error, doing: impl Display) -> PortError {
    let (kind, advice) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "check the path"),
        io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
            (ErrorKind::Local, "links may not lead out of the folder: put a copy in its place")
        }
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, "give this host the right to do it"),
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::Place, "mount it so that this host may write there"),
        io::ErrorKind::ResourceBusy => {
            (ErrorKind::Place, "a mount point cannot be replaced: mount the folder around it instead")
        }
        io::ErrorKind::CrossesDevices => {
            (ErrorKind::Place, "it lies on another file system than the folder around it: keep both on one")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            let text = format!("{doing}: {error}; free space on the disk");
            return PortError::not_applied(ErrorKind::Place, text).retry(Retry::Later);
        }
        _ => (ErrorKind::Local, "check the file and the disk"),
    };
    PortError::not_applied(kind, format!("{doing}: {error}; {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_folder_is_read() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::write(outer.path().join("secret"), "x").unwrap();
        std::fs::create_dir(outer.path().join("inner")).unwrap();
        std::os::unix::fs::symlink("../secret", outer.path().join("inner/link")).unwrap();
        let dir = open(&outer.path().join("inner")).unwrap();
        for path in ["../secret", "link", "/etc/passwd"] {
            let error = read(&dir, path, 10).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Local, "{path}: {error}");
            assert!(error.to_string().contains("out of the folder"), "{error}");
        }
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let outer = tempfile::tempdir().unwrap();
        let pipe = outer.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        let dir = open(outer.path()).unwrap();
        assert!(read(&dir, "pipe", 10).unwrap_err().to_string().contains("not an ordinary file"));
    }

    #[test]
    fn what_is_flushed_side_by_side_is_found_and_counts_once() {
        let outer = tempfile::tempdir().unwrap();
        let dir = open(outer.path()).unwrap();
        dir.create_dir_all("a/b").unwrap();
        for number in 0..20 {
            dir.write(format!("a/b/{number}"), "x").unwrap();
        }
        let mut found = tree(&dir, "a").unwrap();
        assert_eq!(found.len(), 22, "{found:?}");
        let before = crate::file_work::flushes();
        flush(&dir, &found).unwrap();
        assert_eq!(crate::file_work::flushes() - before, 1);
        found.push("a/c".to_owned());
        assert_eq!(flush(&dir, &found).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_nothing_beside() {
        let outer = tempfile::tempdir().unwrap();
        let dir = open(outer.path()).unwrap();
        write_beside(&dir, "a", b"long content").unwrap();
        write_beside(&dir, "a", b"short").unwrap();
        assert_eq!(read(&dir, "a", 10).unwrap(), b"short");
        dir.create_dir("b").unwrap();
        dir.create("b/full").unwrap();
        assert!(write_beside(&dir, "b", b"x").is_err());
        let names: Vec<_> = dir.entries().unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}

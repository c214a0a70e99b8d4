//! Artefacts as folders of files: listing, hashing, copying.

use std::io::{self, Read, Write};
use std::path::Path;

use cap_std::fs::{Dir, File};
use ripcord_core::digest::Digest;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::{ErrorKind, PortError};
use sha2::{Digest as _, Sha256};

use crate::file_work::GivenUp;
use crate::folder::{local, open_file};

/// The most files of one artefact.
pub(crate) const FILES_MAX: usize = 100_000;

const DEPTH_MAX: usize = 32;
const PATH_BYTES_MAX: usize = 1_024;

/// Why `path` cannot be the path of an artefact's file, if it cannot.
pub(crate) fn check_path(path: &str) -> Result<(), String> {
    let part_ok = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
    let ok = path.len() <= PATH_BYTES_MAX
        && path.split('/').count() <= DEPTH_MAX
        && path.split('/').all(part_ok)
        && !path.contains(|c: char| c.is_control());
    if ok {
        Ok(())
    } else {
        let shown: String = path.chars().take(200).collect();
        Err(format!(
            "`{}` is not the path of an artefact's file: write a relative path with `/` between its parts, without `.` and `..`",
            shown.escape_debug()
        ))
    }
}

/// Writes and hashes what is written: the one way to come by a file's digest.
pub(crate) struct Hashing<'a, W> {
    to: &'a mut W,
    hasher: Sha256,
    bytes: u64,
}

impl<'a, W: Write> Hashing<'a, W> {
    pub(crate) fn new(to: &'a mut W) -> Self {
        Self { to, hasher: Sha256::new(), bytes: 0 }
    }

    pub(crate) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hasher.update(piece);
        self.bytes += piece.len() as u64;
        self.to.write_all(piece)
    }

    /// Digest and size of all that was written.
    pub(crate) fn finish(self) -> (Digest, u64) {
        (Digest::from_bytes(self.hasher.finalize().into()), self.bytes)
    }
}

/// Copies `from` to `to` while hashing it; stops after `bytes_max` bytes with a larger count.
pub(crate) fn copy_hashed(from: File, to: &mut impl Write, bytes_max: u64) -> io::Result<(Digest, u64)> {
    let mut from = from.take(bytes_max.saturating_add(1));
    let mut hashing = Hashing::new(to);
    let mut buffer = vec![0; 128 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(hashing.finish()),
            Ok(read) => hashing.write(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The file's path, size and time of change: enough to notice that it was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) changed: Option<cap_std::time::SystemTime>,
}

/// All files under `dir`, sorted by path. A link or anything else that is neither file nor folder is refused.
pub(crate) fn list(dir: &Dir, what: &str) -> Result<Vec<Listed>, PortError> {
    let mut found = Vec::new();
    walk(dir, "", 0, what, &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(dir: &Dir, prefix: &str, depth: usize, what: &str, found: &mut Vec<Listed>) -> Result<(), PortError> {
    let failed = |error| local(error, format_args!("cannot list {what}"));
    for entry in dir.entries().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string().map_err(|name| {
            refused(format!("{what} holds the file `{}`, whose name is not UTF-8 text", name.display()))
        })?;
        let path = format!("{prefix}{name}");
        check_path(&path).map_err(refused)?;
        if found.len() >= FILES_MAX || depth >= DEPTH_MAX {
            return Err(PortError::not_applied(
                ErrorKind::TooLarge,
                format!(
                    "{what} holds more than {FILES_MAX} files, or folders within folders {DEPTH_MAX} deep"
                ),
            ));
        }
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            walk(&entry.open_dir().map_err(failed)?, &format!("{path}/"), depth + 1, what, found)?;
        } else if kind.is_file() {
            let about = entry.metadata().map_err(failed)?;
            found.push(Listed { path, bytes: about.len(), changed: about.modified().ok() });
        } else {
            return Err(refused(format!(
                "{what} holds `{path}`, which is neither a file nor a folder: put a copy in its place"
            )));
        }
    }
    Ok(())
}

fn refused(message: String) -> PortError {
    PortError::not_applied(ErrorKind::Local, message)
}

/// Hashes every file under `dir`, sorted by path.
pub(crate) fn hash(dir: &Dir, what: &str) -> Result<Vec<ArtefactFile>, PortError> {
    list(dir, what)?
        .into_iter()
        .map(|listed| {
            let failed = |error| local(error, format_args!("cannot read `{}` of {what}", listed.path));
            let file = open_file(dir, &listed.path).map_err(failed)?;
            let (sha256, bytes) = copy_hashed(file, &mut io::sink(), u64::MAX - 1).map_err(failed)?;
            Ok(ArtefactFile { path: listed.path, sha256, bytes })
        })
        .collect()
}

/// Copies the listed files from one folder into another and checks each, for as long as someone waits for it. Nothing is flushed.
pub(crate) fn copy(
    from: &Dir,
    into: &Dir,
    files: &[ArtefactFile],
    what: &str,
    given_up: &GivenUp,
) -> Result<(), PortError> {
    for file in files {
        check_path(&file.path)
            .map_err(|why| PortError::not_applied(ErrorKind::BadAnswer, format!("{what}: {why}")))?;
        copy_one(from, into, file, what, given_up)?;
    }
    Ok(())
}

fn copy_one(
    from: &Dir,
    into: &Dir,
    file: &ArtefactFile,
    what: &str,
    given_up: &GivenUp,
) -> Result<(), PortError> {
    let path = &file.path;
    let source = open_file(from, path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => PortError::not_applied(
            ErrorKind::NotFound,
            format!("the file `{path}` of {what} is missing: restore it, or choose another version"),
        ),
        _ => local(error, format_args!("cannot read `{path}` of {what}")),
    })?;
    let failed = |error| local(error, format_args!("cannot write `{path}` of {what}"));
    if let Some(parent) = Path::new(path).parent().filter(|parent| *parent != Path::new("")) {
        into.create_dir_all(parent).map_err(failed)?;
    }
    let mut target = given_up.fence(into.create(path).map_err(failed)?);
    let (sha256, bytes) = copy_hashed(source, &mut target, file.bytes)
        .map_err(|error| local(error, format_args!("cannot copy `{path}` of {what}")))?;
    let difference = if bytes > file.bytes {
        format!("has more than the {} bytes that are recorded", file.bytes)
    } else if bytes < file.bytes {
        format!("has {bytes} bytes where {} are recorded", file.bytes)
    } else if sha256 != file.sha256 {
        format!("has sha-256 {sha256} where {} is recorded", file.sha256)
    } else {
        return Ok(());
    };
    Err(PortError::not_applied(
        ErrorKind::WrongDigest,
        format!(
            "the file `{path}` of {what} {difference}: it was changed or damaged; restore it, or choose another version"
        ),
    ))
}

/// The digest of the artefact, if it is the one that is wanted.
pub(crate) fn pinned(
    files: &[ArtefactFile],
    wanted: Option<&Digest>,
    what: &str,
) -> Result<Digest, PortError> {
    let digest = artefact_digest(files);
    match wanted {
        Some(wanted) if *wanted != digest => Err(PortError::not_applied(
            ErrorKind::WrongDigest,
            format!(
                "{what} has the digest {digest} where {wanted} is pinned: it is another artefact under the same name"
            ),
        )),
        _ => Ok(digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let long = "x".repeat(1_025);
        for path in ["", "/etc/passwd", "..", "a/../b", "./a", "a//b", "a/", "a\\b", "a\nb", &long] {
            assert!(check_path(path).is_err(), "{path:?}");
        }
        for path in ["model.json", "a/b/c.bin", "wéight", ".hidden", "a b"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn a_folder_with_a_link_is_no_artefact() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir(outer.path().join("a")).unwrap();
        std::fs::write(outer.path().join("a/x"), "1").unwrap();
        std::fs::write(outer.path().join("b"), "22").unwrap();
        let dir = crate::folder::open(outer.path()).unwrap();
        let files = hash(&dir, "the artefact").unwrap();
        let shape: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
        assert_eq!(shape, [("a/x", 1), ("b", 2)]);
        assert_eq!(files[1].sha256, Digest::of("22"));
        std::os::unix::fs::symlink("b", outer.path().join("c")).unwrap();
        assert!(hash(&dir, "the artefact").unwrap_err().to_string().contains("`c`"));
    }
}

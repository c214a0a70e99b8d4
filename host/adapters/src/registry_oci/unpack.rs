//! Archives, file by file: nothing but ordinary files, nowhere but below the folder, no path twice, and no more bytes than there is room for.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::{Dir, OpenOptions};
use flate2::read::MultiGzDecoder;
use ripcord_core::target::ArtefactFile;
use ripcord_ports::{ErrorKind, PortError, Retry};

use super::layers::Compression;
use crate::artefact::{self, Hashing};
use crate::download::too_large;
use crate::file_work::GivenUp;
use crate::folder::{self, local};

/// What stands before a file in an archive is read into memory: no more of it than this.
const HEADER_BYTES_MAX: u64 = 4 << 20;
/// Entries of one archive, folders among them.
const ENTRIES_MAX: usize = 2 * artefact::FILES_MAX;

/// Bytes that may still be unpacked of one artefact.
#[derive(Debug)]
pub(super) struct Room(AtomicU64);

impl Room {
    pub(super) fn of(bytes: u64) -> Self {
        Self(AtomicU64::new(bytes))
    }

    fn takes(&self, bytes: u64) -> bool {
        let less = |left: u64| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// An artefact that was pushed in a way that cannot be used.
pub(super) fn unusable(what: &str, why: &str) -> PortError {
    PortError::not_applied(
        ErrorKind::NotFound,
        format!("{what} {why}; choose another version, or push it anew"),
    )
    .retry(Retry::No)
}

/// Unpacks the file `packed`, and removes it.
pub(super) fn unpack(
    dir: &Dir,
    packed: &str,
    compression: Compression,
    (room, bytes_max): (&Room, u64),
    what: &str,
    given_up: &GivenUp,
) -> Result<Vec<ArtefactFile>, PortError> {
    let failed = |error| local(error, format_args!("cannot read a layer of {what}"));
    let file = BufReader::new(folder::open_file(dir, packed).map_err(failed)?);
    let reader: Box<dyn Read> = match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(MultiGzDecoder::new(file)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(file).map_err(failed)?),
    };
    let unpacking = Unpacking { dir, room, bytes_max, what, given_up };
    let files = unpacking.all(reader)?;
    dir.remove_file(packed).map_err(|error| local(error, format_args!("cannot remove a layer of {what}")))?;
    Ok(files)
}

/// Lets no more through than is left.
struct Metered<R> {
    from: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        let left = self.left.get().checked_sub(read as u64);
        self.left.set(left.ok_or_else(|| io::Error::other("a header of the archive is too long"))?);
        Ok(read)
    }
}

struct Unpacking<'a> {
    dir: &'a Dir,
    room: &'a Room,
    bytes_max: u64,
    what: &'a str,
    given_up: &'a GivenUp,
}

impl Unpacking<'_> {
    fn all(&self, from: impl Read) -> Result<Vec<ArtefactFile>, PortError> {
        let damaged =
            |error: io::Error| unusable(self.what, &format!("has an archive that does not read ({error})"));
        let left = Rc::new(Cell::new(HEADER_BYTES_MAX));
        let mut archive = tar::Archive::new(Metered { from, left: Rc::clone(&left) });
        let mut files = Vec::new();
        let mut entries = archive.entries().map_err(damaged)?;
        let mut seen = 0;
        loop {
            // Folders and headers of the whole archive are no files, and would be read for ever.
            seen += 1;
            if seen > ENTRIES_MAX {
                return Err(unusable(
                    self.what,
                    &format!("has an archive of more than {ENTRIES_MAX} entries"),
                ));
            }
            let gone = |error| local(error, format_args!("cannot unpack {}", self.what));
            self.given_up.check().map_err(gone)?;
            left.set(HEADER_BYTES_MAX);
            let Some(entry) = entries.next() else { return Ok(files) };
            let mut entry = entry.map_err(damaged)?;
            let kind = entry.header().entry_type();
            if kind.is_pax_global_extensions() {
                continue;
            }
            let path = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| {
                unusable(self.what, "has an archive with a file whose name is not UTF-8 text")
            })?;
            let path = path.strip_prefix("./").unwrap_or(&path);
            let path = if kind.is_dir() { path.trim_end_matches('/') } else { path };
            if kind.is_dir() && matches!(path, "" | ".") {
                continue;
            }
            artefact::check_path(path).map_err(|why| {
                unusable(self.what, &format!("has an archive that no artefact can hold: {why}"))
            })?;
            if kind.is_dir() {
                continue;
            }
            if !kind.is_file() {
                return Err(unusable(
                    self.what,
                    &format!(
                        "has an archive with `{path}`, which is neither a file nor a folder (a link is neither)"
                    ),
                ));
            }
            if files.len() >= artefact::FILES_MAX {
                return Err(unusable(self.what, &format!("holds more than {} files", artefact::FILES_MAX)));
            }
            left.set(u64::MAX);
            let size = entry.size();
            files.push(self.one(&mut entry, path, size)?);
        }
    }

    fn one(&self, from: &mut impl Read, path: &str, size: u64) -> Result<ArtefactFile, PortError> {
        let what = self.what;
        let failed = |error| local(error, format_args!("cannot write `{path}` of {what}"));
        if !self.room.takes(size) {
            return Err(too_large(self.bytes_max, what));
        }
        if let Some(parent) = Path::new(path).parent().filter(|parent| *parent != Path::new("")) {
            self.dir.create_dir_all(parent).map_err(failed)?;
        }
        let made = self.dir.open_with(path, OpenOptions::new().write(true).create_new(true));
        let made = made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => unusable(what, &format!("holds `{path}` twice")),
            _ => failed(error),
        })?;
        let mut file = self.given_up.fence(made);
        let mut hashing = Hashing::new(&mut file);
        let mut buffer = vec![0; 128 << 10];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(unusable(what, &format!("has an archive that does not read ({error})")));
                }
            };
            if read == 0 {
                break;
            }
            hashing.write(&buffer[..read]).map_err(failed)?;
        }
        let (sha256, bytes) = hashing.finish();
        if bytes != size {
            return Err(unusable(what, &format!("has an archive that ends within `{path}`")));
        }
        Ok(ArtefactFile { path: path.to_owned(), sha256, bytes })
    }
}

#[cfg(test)]
mod tests {
    use ripcord_core::digest::Digest;
    use tar::{Builder, EntryType, Header};

    use super::*;

    const BYTES_MAX: u64 = 1 << 20;

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o755);
        header
    }

    /// A file of whatever path, also one that the writer of archives refuses.
    fn put(archive: &mut Builder<Vec<u8>>, path: &str, bytes: &[u8]) {
        let mut header = header(EntryType::Regular, bytes.len() as u64);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        archive.append(&header, bytes).unwrap();
    }

    fn unpacked(bytes: &[u8], compression: Compression) -> Result<Vec<ArtefactFile>, PortError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".packed"), bytes).unwrap();
        let dir = folder::open(folder.path()).unwrap();
        let room = Room::of(BYTES_MAX);
        let files =
            unpack(&dir, ".packed", compression, (&room, BYTES_MAX), "version `1`", &GivenUp::default())?;
        let mut sorted = files.clone();
        sorted.sort();
        assert_eq!(
            artefact::hash(&dir, "it").unwrap(),
            sorted,
            "just the files that are told, and not the archive"
        );
        Ok(files)
    }

    fn why(build: impl FnOnce(&mut Builder<Vec<u8>>)) -> String {
        let mut archive = Builder::new(Vec::new());
        build(&mut archive);
        let error = unpacked(&archive.into_inner().unwrap(), Compression::None).unwrap_err();
        error.to_string()
    }

    #[test]
    fn files_come_out_of_archives_however_they_are_compressed() {
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
        let mut archive = Builder::new(Vec::new());
        archive.append_data(&mut header(EntryType::Directory, 0), "./", io::empty()).unwrap();
        archive.append_data(&mut header(EntryType::Directory, 0), "weights/", io::empty()).unwrap();
        put(&mut archive, "./weights/0.bin", b"000");
        archive.append_data(&mut header(EntryType::Regular, 2), &long, &b"ab"[..]).unwrap();
        put(&mut archive, "empty", b"");
        let plain = archive.into_inner().unwrap();
        let mut gzip = flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast());
        let mut packed = Vec::new();
        gzip.read_to_end(&mut packed).unwrap();
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        for (bytes, compression) in
            [(plain, Compression::None), (packed, Compression::Gzip), (zstd, Compression::Zstd)]
        {
            let files = unpacked(&bytes, compression).unwrap();
            let shape: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
            assert_eq!(shape, [("weights/0.bin", 3), (long.as_str(), 2), ("empty", 0)], "{compression:?}");
            assert_eq!(files[0].sha256, Digest::of("000"));
        }
    }

    #[test]
    fn what_leads_elsewhere_or_is_no_file_is_refused() {
        for path in ["../x", "/etc/x", "a/../../x", "a//b"] {
            let why = why(|archive| put(archive, path, b"x"));
            assert!(why.contains("is not the path of an artefact's file"), "{path}: {why}");
        }
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Fifo] {
            let why = why(|archive| {
                let mut header = header(kind, 0);
                header.set_link_name("/etc/passwd").unwrap();
                archive.append_data(&mut header, "link", io::empty()).unwrap();
            });
            assert!(why.contains("`link`, which is neither a file nor a folder"), "{kind:?}: {why}");
        }
        let twice = why(|archive| {
            put(archive, "a", b"1");
            put(archive, "./a", b"2");
        });
        assert!(twice.contains("holds `a` twice"), "{twice}");
        assert!(why(|archive| put(archive, ".packed", b"1")).contains("holds `.packed` twice"));
    }

    #[test]
    fn what_is_cut_damaged_or_too_large_is_refused() {
        let mut archive = Builder::new(Vec::new());
        put(&mut archive, "a", &[7; 10_000]);
        let whole = archive.into_inner().unwrap();
        for (bytes, compression) in [
            (&whole[..5_000], Compression::None),
            (&whole[..], Compression::Gzip),
            (&whole[..], Compression::Zstd),
            (&[1; 600][..], Compression::None),
        ] {
            let error = unpacked(bytes, compression).unwrap_err();
            assert!(error.to_string().contains("has an archive that"), "{compression:?}: {error}");
            assert_eq!(error.retry, Retry::No);
        }
        let large = unpacked(
            &{
                let mut archive = Builder::new(Vec::new());
                put(&mut archive, "a", &vec![0; BYTES_MAX as usize + 1]);
                archive.into_inner().unwrap()
            },
            Compression::None,
        );
        assert_eq!(large.unwrap_err().kind, ErrorKind::TooLarge);
        // A name of many bytes would be held in memory.
        let long = why(|archive| {
            let name = vec![b'x'; 8 << 20];
            let mut header = header(EntryType::GNULongName, name.len() as u64);
            header.set_cksum();
            archive.append(&header, &name[..]).unwrap();
            put(archive, "a", b"1");
        });
        assert!(long.contains("a header of the archive is too long"), "{long}");
    }
}

//! A file of an artefact on its way from a server to the disk: no more of it than is expected, and hashed as it is written.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use cap_std::fs::{Dir, OpenOptions};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ripcord_core::digest::Digest;
use ripcord_core::target::ArtefactFile;
use ripcord_ports::{ErrorKind, PortError};
use tokio::sync::mpsc;

use crate::artefact;
use crate::file_work::FileWork;
use crate::folder::local;
use crate::http::Stream;

/// Pieces of a file that wait for the disk, or for the network.
pub(crate) const PIECES: usize = 16;

/// Files of one artefact that are fetched at once.
const AT_ONCE: usize = 8;

/// A file on its way, piece by piece.
pub(crate) trait Pieces: Send {
    /// The next piece; none at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, PortError>> + Send;
}

impl Pieces for Stream {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        Stream::next(self).await
    }
}

/// Where a file goes.
pub(crate) struct Place<'a> {
    pub(crate) dir: &'a Arc<Dir>,
    /// Below it.
    pub(crate) path: &'a str,
    /// Of which artefact, for people.
    pub(crate) what: &'a str,
    pub(crate) work: &'a FileWork,
}

/// What came.
pub(crate) struct Arrived<B> {
    /// Bytes that the server sent, those beyond the limit only begun.
    pub(crate) read: u64,
    /// On the disk.
    pub(crate) bytes: u64,
    pub(crate) sha256: Digest,
    /// It was given the same bytes.
    pub(crate) beside: B,
}

/// Writes what comes, and gives it to `beside` as well; what is beyond `limit` bytes is not waited for.
pub(crate) async fn to_disk<B: Write + Send + 'static>(
    mut body: impl Pieces,
    limit: u64,
    place: Place<'_>,
    beside: B,
) -> Result<Arrived<B>, PortError> {
    let (pieces, writer) = mpsc::channel(PIECES);
    let (dir, path, what) = (Arc::clone(place.dir), place.path.to_owned(), place.what.to_owned());
    let writing = place.work.run(move |_| write(&dir, &path, writer, &what, beside));
    let reading = async move {
        let mut bytes = 0_u64;
        while let Some(piece) = body.next().await? {
            bytes += piece.len() as u64;
            // A writer that is gone says why itself.
            if bytes > limit || pieces.send(piece).await.is_err() {
                break;
            }
        }
        Ok(bytes)
    };
    // Also after a failure the writer is waited for: the next attempt writes the same file.
    let (read, written): (Result<u64, PortError>, _) = tokio::join!(reading, writing);
    let (sha256, bytes, beside) = written?;
    Ok(Arrived { read: read?, bytes, sha256, beside })
}

pub(crate) fn too_large(bytes_max: u64, what: &str) -> PortError {
    PortError::not_applied(
        ErrorKind::TooLarge,
        format!("{what} has more than {bytes_max} bytes: raise `artefact-bytes-max` if it is meant to"),
    )
}

/// Refuses an artefact whose files are announced to be larger together than `bytes_max`, or than any can be.
pub(crate) fn check_announced(
    bytes: impl IntoIterator<Item = u64>,
    bytes_max: u64,
    what: &str,
) -> Result<(), PortError> {
    let announced = bytes.into_iter().try_fold(0_u64, u64::checked_add);
    match announced.filter(|announced| *announced <= bytes_max) {
        Some(_) => Ok(()),
        None => Err(too_large(bytes_max, what)),
    }
}

/// Fetches the files of one artefact, some side by side; sorted by path.
pub(crate) async fn side_by_side<F>(fetches: Vec<F>) -> Result<Vec<ArtefactFile>, PortError>
where
    F: Future<Output = Result<ArtefactFile, PortError>> + Send,
{
    let mut fetched: Vec<ArtefactFile> =
        stream::iter(fetches).buffer_unordered(AT_ONCE).try_collect().await?;
    fetched.sort();
    Ok(fetched)
}

/// Writes to a file and to something beside it.
struct Both<'a, B> {
    file: &'a mut cap_std::fs::File,
    beside: B,
}

impl<B: Write> Write for Both<'_, B> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.beside.write_all(&bytes[..written])?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes the pieces as they come; ends with them.
fn write<B: Write>(
    dir: &Dir,
    path: &str,
    mut pieces: mpsc::Receiver<Vec<u8>>,
    what: &str,
    beside: B,
) -> Result<(Digest, u64, B), PortError> {
    let failed = |error| local(error, format_args!("cannot write `{path}` of {what}"));
    if let Some(parent) = Path::new(path).parent().filter(|parent| *parent != Path::new("")) {
        dir.create_dir_all(parent).map_err(failed)?;
    }
    let mut file =
        dir.open_with(path, OpenOptions::new().write(true).create(true).truncate(true)).map_err(failed)?;
    let mut both = Both { file: &mut file, beside };
    let mut hashing = artefact::Hashing::new(&mut both);
    while let Some(piece) = pieces.blocking_recv() {
        hashing.write(&piece).map_err(failed)?;
    }
    // What is staged does not outlive a start.
    let (sha256, bytes) = hashing.finish();
    Ok((sha256, bytes, both.beside))
}

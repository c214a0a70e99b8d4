//! The digest of what is read or written, taken on the way.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use ripcord_core::digest::Digest;
use sha2::{Digest as _, Sha256};

use crate::error::DataError;

/// Passes bytes on and keeps their digest and count.
#[derive(Debug)]
pub(crate) struct Hashing<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

/// What went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) sha256: Digest,
    pub(crate) bytes: u64,
}

impl<T> Hashing<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    pub(crate) fn finish(self) -> (T, Passed) {
        let sha256 = Digest::from_bytes(self.hash.finalize().into());
        (self.inner, Passed { sha256, bytes: self.bytes })
    }

    fn count(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.count(&into[..read]);
        Ok(read)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Of a whole file.
#[cfg(feature = "parquet")]
pub(crate) fn of_file(path: &Path) -> Result<Passed, DataError> {
    let mut reader = Hashing::new(open(path)?);
    io::copy(&mut reader, &mut io::sink()).map_err(DataError::read(path))?;
    Ok(reader.finish().1)
}

/// Opens what is a file: a pipe would never end.
pub(crate) fn open(path: &Path) -> Result<BufReader<File>, DataError> {
    let is_file = std::fs::metadata(path).map_err(DataError::read(path))?.is_file();
    if !is_file {
        return Err(DataError::unusable(path, "is no file: the manifest lists files"));
    }
    Ok(BufReader::with_capacity(1 << 16, File::open(path).map_err(DataError::read(path))?))
}

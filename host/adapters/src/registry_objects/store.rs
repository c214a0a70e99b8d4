//! What a registry needs of a place of objects, whichever it is.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::target::ArtefactFile;
use ripcord_core::time::UnixMillis;
use ripcord_ports::PortError;

use crate::download::Place;

/// Objects of one model that are listed at most.
pub(super) const OBJECTS_MAX: usize = 200_000;

/// What tells one content of an object from the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    pub(super) e_tag: Option<String>,
    /// Where the store counts them: a generation, a version.
    pub(super) version: Option<String>,
}

/// An object, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// Below the folder that was listed, with `/` between its parts.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// When it was written, as the store has it.
    pub(super) changed: UnixMillis,
    pub(super) stamp: Stamp,
}

/// All that lies below a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// Sorted by name.
    pub(super) objects: Vec<Object>,
    /// Names that no file can have: they are counted as there, and are read by nobody.
    pub(super) odd: Vec<String>,
}

/// A small object, read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) bytes: Vec<u8>,
    pub(super) changed: UnixMillis,
    pub(super) stamp: Stamp,
}

/// What a small object must be for it to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expecting {
    /// Not there.
    Nothing,
    /// As it was read.
    Content(Stamp),
}

/// A place of objects. Names are below its root, with `/` between their parts. Reading is tried again by itself, as long as patience lasts.
#[async_trait]
pub(super) trait Store: Send + Sync + fmt::Debug {
    /// As people know it: `s3://bucket/prefix`.
    fn shown(&self) -> &str;

    /// Two that say the same are one place.
    fn place(&self) -> String;

    /// All that lies below a folder; nothing where nothing does.
    async fn list(&self, folder: &str) -> Result<Listed, PortError>;

    /// A small object; none where it is not there.
    async fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Read>, PortError>;

    /// Puts an object's content on the disk, and stops beyond `bytes` of them; gives the digest and the size of what came.
    async fn take(&self, name: &str, bytes: u64, to: Place<'_>) -> Result<(Digest, u64), PortError>;

    /// Writes a small object if it is as expected. Anything else is [`ripcord_ports::ErrorKind::Conflict`], also where the first of two such
    /// calls did it.
    async fn put(&self, name: &str, bytes: Vec<u8>, expecting: &Expecting) -> Result<(), PortError>;

    /// Writes a file of a folder, whatever is there.
    async fn upload(&self, name: &str, from: &Arc<Dir>, file: &ArtefactFile) -> Result<(), PortError>;
}

//! A tree of files, wherever it lies.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::time::UnixMillis;
use ripcord_ports::{ErrorKind, PortError, Retry};

/// What lies directly in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File {
        bytes: u64,
        changed: Option<UnixMillis>,
    },
    /// A link, a pipe: nothing that is followed or opened.
    Other,
}

/// A file as a list of its folder has it. Another `stamp`, or another size, is another content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placed {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) stamp: Option<String>,
}

/// Paths are relative to the place's root, `/` between the parts; the root itself is empty.
#[async_trait]
pub(crate) trait Place: fmt::Debug + Send + Sync {
    /// Where it is, for people; no secrets.
    fn shown(&self) -> String;

    /// Only compared: two places never say the same; no secrets.
    fn compared(&self) -> String {
        self.shown()
    }

    /// What lies directly in the folder, at most `max` entries and then an error. A folder that is not there has none where the place knows no folders.
    async fn entries(&self, folder: &str, max: usize) -> Result<Vec<Entry>, PortError>;

    /// A file of at most `bytes_max` bytes.
    async fn read(&self, file: &str, bytes_max: u64) -> Result<Vec<u8>, PortError>;

    /// All files below the folder, by their path from it. Anything that is neither file nor folder is an error.
    async fn files(&self, folder: &str) -> Result<Vec<Placed>, PortError>;

    /// The file's digest and size; its content is written to `into`, where there is one. An error where the file is changed while it is read.
    async fn take(&self, file: &str, into: Option<(&Arc<Dir>, &str)>) -> Result<(Digest, u64), PortError>;
}

/// A path below a folder.
pub(crate) fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// What is told of a file or a checkpoint that was written to while it was read. It passes: whoever writes it ends.
pub(super) fn changed_meanwhile(what: &str) -> PortError {
    let text =
        format!("{what} was changed while it was read: it is being written; ask again once it is whole");
    PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later)
}

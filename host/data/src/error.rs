//! What goes wrong with data.

use std::io;
use std::path::{Path, PathBuf};

use ripcord_core::foreign::Foreign;
use ripcord_ports::PortError;

/// So much of a value is shown.
const SHOWN_CHARS: usize = 80;

/// Why something cannot be done with data. What is shown of it is harmless.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder that cannot be read.
    #[error("`{}` cannot be read", shown(&.path.to_string_lossy()))]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file or folder that cannot be written.
    #[error("`{}` cannot be written", shown(&.path.to_string_lossy()))]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that is there and cannot be used.
    #[error("`{}` {what}", shown(&.path.to_string_lossy()))]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What is the matter with it, and what can be done.
        what: String,
    },
    /// What was asked for makes no sense with this data.
    #[error("{0}")]
    Asked(String),
    /// A version could not be asked.
    #[error("the version could not be asked")]
    Endpoint(#[from] PortError),
    /// A version gave answers that cannot be used.
    #[error("{0}")]
    Answer(String),
}

impl DataError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    pub(crate) fn unusable(path: &Path, what: impl Into<String>) -> Self {
        Self::Unusable { path: path.to_owned(), what: what.into() }
    }

    /// Of a row, counted from 1 as people count.
    pub(crate) fn row(path: &Path, row: u64, what: impl AsRef<str>) -> Self {
        Self::unusable(path, format!("has a row that cannot be used, row {row}: {}", what.as_ref()))
    }
}

/// The words of a library, which may quote what others wrote.
pub(crate) fn told(error: &impl std::fmt::Display) -> String {
    Foreign::new(&error.to_string()).at_most(4 * SHOWN_CHARS).to_string()
}

/// A text of others, made harmless and short.
pub(crate) fn shown(text: &str) -> String {
    Foreign::signed(text).at_most(SHOWN_CHARS).to_string()
}

use std::path::{Path, PathBuf};

/// What keeps a command from doing its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read `{path}`: check that it exists and may be read")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file or folder could not be written.
    #[error("cannot write `{path}`: check that its folder exists, may be written and has room")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A value could not be written as JSON or TOML.
    #[error("cannot encode {what}")]
    Encode {
        /// What was to be written.
        what: &'static str,
        /// What the encoder said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No recipe has this version.
    #[error("there is no version `{version}`: choose one of {known}")]
    UnknownVersion {
        /// As given.
        version: String,
        /// Those that can be trained.
        known: String,
    },
    /// The classifier could not be fitted.
    #[error(
        "version `{version}` cannot be fitted: the fit does not come to rest within {iterations} iterations"
    )]
    Fit {
        /// The version in training.
        version: String,
        /// The most that were tried.
        iterations: u64,
    },
    /// The address could not be listened on.
    #[error("cannot listen on `{address}`: choose a free port, or port 0 for any")]
    Listen {
        /// As given.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server stopped by itself.
    #[error("the server failed")]
    Serve(#[source] std::io::Error),
    /// A setting of a command makes no sense.
    #[error("{0}")]
    Setting(String),
    /// Data or a checkpoint that cannot be used.
    #[error("{0}")]
    Data(String),
    /// The HTTP client could not be built.
    #[error("cannot set up an http client")]
    Client(#[source] reqwest::Error),
    /// Not one request was answered.
    #[error(
        "none of {requests} requests to `{url}` was answered: check that the server runs and serves the model"
    )]
    NoAnswer {
        /// How many were sent.
        requests: u64,
        /// Where to.
        url: String,
    },
    /// The metrics could not be registered.
    #[error("cannot set up the metrics")]
    Metrics(#[source] prometheus::Error),
}

impl Error {
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    pub(crate) fn encode<E: std::error::Error + Send + Sync + 'static>(
        what: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Encode { what, source: Box::new(source) }
    }

    /// The message with all its causes, on one line.
    #[must_use]
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }
}

/// An error's message with all its causes, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

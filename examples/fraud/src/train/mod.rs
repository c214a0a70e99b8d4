//! Training: each version's recipe, the fit, and what is written for others to use.

mod fit;
mod newton;
mod publish;
mod recipe;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use fit::{Measures, Trained, measure, train};
pub use recipe::{Labels, Recipe};

use crate::command::say;
use crate::{Error, MODEL, golden};

/// `fraud train`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The folder to write `registry/`, `golden/` and `models/` into
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Place this version in the model folder, as its only one; without it the folder keeps what it holds
    #[arg(long, value_name = "VERSION")]
    pub deploy: Option<String>,
    /// Reckon the versions' ages from this time, RFC 3339, instead of from now
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
}

/// Where the pieces are below the folder that `fraud train` wrote.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The directory registry: `fraud/<version>/manifest.toml` and `files/` beside it.
    pub registry: PathBuf,
    /// The golden set, JSON lines.
    pub golden: PathBuf,
    /// The server's model repository, to be given to `fraud serve --models`.
    pub models: PathBuf,
}

impl Layout {
    /// The layout below a folder.
    #[must_use]
    pub fn new(out: &Path) -> Self {
        Self {
            registry: out.join("registry"),
            golden: out.join("golden").join("fraud.jsonl"),
            models: out.join("models"),
        }
    }

    /// The folder of one version's artefact files in the registry.
    #[must_use]
    pub fn files(&self, version: &str) -> PathBuf {
        self.registry.join(MODEL).join(version).join("files")
    }
}

/// Writes everything and prints a line a version.
///
/// # Errors
/// See [`write`].
pub fn run(args: &Args) -> Result<(), Error> {
    for (version, Measures { accuracy, decline_share, .. }) in write(args)? {
        say(&format!(
            "trained {MODEL} {version}: accuracy {accuracy:.3} on its own labels, declines {decline_share:.3}"
        ));
    }
    say(&format!("wrote {}", args.out.display()));
    Ok(())
}

/// Trains every version and writes the registry, the golden set and the model folder. The same `at` gives the same bytes. Gives
/// the versions, oldest first, with their measures.
///
/// # Errors
/// An unknown version in `deploy`, or a folder that cannot be written.
pub fn write(args: &Args) -> Result<Vec<(&'static str, Measures)>, Error> {
    if let Some(version) = &args.deploy {
        Recipe::named(version)?;
    }
    let at = args.at.unwrap_or_else(Timestamp::now);
    let layout = Layout::new(&args.out);
    let mut written = Vec::new();
    for recipe in Recipe::ALL {
        let trained = train(&recipe)?;
        publish::version(&layout, &recipe, &trained, at)?;
        written.push((recipe.version, trained.measures));
    }
    publish::golden_set(&layout, &golden::rows())?;
    match &args.deploy {
        Some(version) => deploy(&layout, version)?,
        None => publish::model_folder(&layout)?,
    }
    Ok(written)
}

/// Places a version of the registry in the model folder, as its only one. The server takes it up when it is told to load.
///
/// # Errors
/// A version that the registry does not hold, or a folder that cannot be written.
pub fn deploy(layout: &Layout, version: &str) -> Result<(), Error> {
    publish::deploy(layout, version)
}

//! Training: each version's recipe, the fit, and what is written for others to use.

mod checkpoint;
mod fit;
mod learner;
mod newton;
pub mod online;
mod publish;
mod recipe;
pub mod retrain;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use checkpoint::{
    CHECKPOINT, Checkpoint, CheckpointFile, LearntFrom, Metrics, TRAINER_STATE, publish as publish_checkpoint,
};
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
pub fn run(args: &Args, seed: u64) -> Result<(), Error> {
    for (version, Measures { accuracy, decline_share, .. }) in write_seeded(args, seed)? {
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
    write_seeded(args, 0)
}

/// The same, trained on other transactions for every seed. Seed 0 is that of [`write`]; the golden set is the same for all.
///
/// # Errors
/// See [`write`].
pub fn write_seeded(args: &Args, seed: u64) -> Result<Vec<(&'static str, Measures)>, Error> {
    if let Some(version) = &args.deploy {
        Recipe::named(version)?;
    }
    let at = args.at.unwrap_or_else(Timestamp::now);
    let layout = Layout::new(&args.out);
    let mut written = Vec::new();
    for recipe in Recipe::ALL.map(|recipe| recipe.seeded(seed)) {
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

/// `fraud publish`.
#[derive(Debug, Clone, clap::Args)]
pub struct PublishArgs {
    /// The folder whose `registry/` gets the version
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The folder of the checkpoint
    #[arg(long, value_name = "DIR")]
    pub checkpoint: PathBuf,
    /// Place it in the model folder as well, as its only version
    #[arg(long)]
    pub deploy: bool,
}

/// Registers a checkpoint as a version and prints its name.
///
/// # Errors
/// A folder that is no whole checkpoint, a version that is there already, or a folder that cannot be written.
pub fn run_publish(args: &PublishArgs) -> Result<(), Error> {
    let layout = Layout::new(&args.out);
    let version = publish_checkpoint(&layout, &args.checkpoint, Timestamp::now())?;
    if args.deploy {
        deploy(&layout, &version)?;
    }
    say(&format!("published {MODEL} {version}"));
    Ok(())
}

/// Names become folders. `option` names where one came from.
fn check_name(option: &str, name: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+');
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.bytes().all(plain) {
        return Err(Error::Setting(format!(
            "`{name}` is no name for `{option}`: use up to 100 letters, digits, `-`, `_`, `+` and `.`, not `.` first"
        )));
    }
    Ok(())
}

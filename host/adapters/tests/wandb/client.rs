//! W&B's own client, as a program.

use std::path::PathBuf;

use ripcord_core::target::ArtefactFile;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::fake::{API_KEY, Wandb};
use crate::scripts;

/// The commit that the client's run says it was made of.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What `log.py` logged, and found with W&B's own client.
#[derive(Debug, Deserialize)]
pub(crate) struct Logged {
    pub(crate) run: String,
    pub(crate) versions: Vec<LoggedVersion>,
    pub(crate) used: Vec<String>,
    pub(crate) commit: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LoggedVersion {
    pub(crate) version: String,
    pub(crate) files: Vec<ArtefactFile>,
    pub(crate) aliases: Vec<String>,
}

/// What `read.py` reads, newest first.
#[derive(Debug, Deserialize)]
pub(crate) struct Read {
    pub(crate) versions: Vec<ReadVersion>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct ReadVersion {
    pub(crate) version: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) tags: Vec<String>,
}

/// The client that the environment names, with a home of its own.
pub(crate) struct Client {
    python: PathBuf,
    url: String,
    home: TempDir,
}

impl Client {
    pub(crate) fn of(fake: &Wandb) -> Self {
        let python = scripts::python("RIPCORD_TEST_WANDB", ".ci/wandb");
        Self { python, url: fake.url(), home: tempfile::tempdir().unwrap() }
    }

    /// Runs one of the scripts of this suite.
    pub(crate) async fn run<T: DeserializeOwned>(&self, script: &str, arguments: &[&str]) -> T {
        let home = self.home.path();
        scripts::run(&self.python, &format!("wandb/{script}"), arguments, |command| {
            command
                .current_dir(home)
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .env("HOME", home)
                .env("WANDB_DIR", home)
                .env("WANDB_BASE_URL", &self.url)
                .env("WANDB_API_KEY", API_KEY)
                .env("WANDB_GIT_COMMIT", COMMIT)
                .env("WANDB_GIT_REMOTE_URL", "https://git.example/fraud.git")
                .env("WANDB_ERROR_REPORTING", "false")
                .env("WANDB_CONSOLE", "off")
                .env("WANDB_SILENT", "true");
        })
        .await
    }
}

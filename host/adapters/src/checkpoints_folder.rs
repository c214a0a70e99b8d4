//! Checkpoints in a folder on a disk or a share. `checkpoints_folder/README.md` says which kinds are read, and what is said of those that cannot be used.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ripcord_ports::producer::CheckpointList;
use ripcord_ports::{Checkpoints, ErrorKind, PortError};
use serde::Deserialize;

use crate::adapter::{Adapter, SecretKey};
use crate::checkpoints::{FolderPlace, Reader, Served};

/// For the catalogue.
pub const ADAPTER: Adapter<FolderCheckpointsConfig, dyn Checkpoints> = Adapter {
    kind: "folder",
    system: "a folder of training runs",
    summary: "a folder for each run, with its checkpoints in it",
    page: "checkpoints_folder/README.md",
    secret: SecretKey::None,
    example: "root = \"/srv/training\"",
    start: |config, start| start.path(&mut config.root),
    says: |_| (),
    make: |config, _| Ok(Arc::new(FolderCheckpoints::new(config)?)),
};

/// Where the folder is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FolderCheckpointsConfig {
    /// The folder that holds a folder per run.
    pub root: PathBuf,
    /// Where `root` is itself the folder of one run: its name. Default: `root` holds runs.
    #[serde(default)]
    pub run: Option<String>,
    /// Which of a checkpoint's files make a version, as in `["model.json", "weights/*.bin"]`. Default: those that `checkpoint.json` lists, else all.
    #[serde(default)]
    pub files: Vec<String>,
}

/// The checkpoints in a folder.
#[derive(Debug)]
pub struct FolderCheckpoints(Reader);

impl FolderCheckpoints {
    /// Checks the configuration. Whether the folder is there shows at each call.
    pub fn new(config: FolderCheckpointsConfig) -> Result<Self, PortError> {
        Ok(Self(reader(config)?))
    }
}

/// What lists them, and what a producer takes them from.
pub(crate) fn reader(config: FolderCheckpointsConfig) -> Result<Reader, PortError> {
    if config.root.as_os_str().is_empty() {
        return Err(PortError::not_applied(
            ErrorKind::Configuration,
            "`root` is empty: name the folder of runs",
        ));
    }
    let served = Served::new(config.files)?;
    Ok(Reader { place: Box::new(FolderPlace::new(config.root)), run: config.run, served })
}

#[async_trait]
impl Checkpoints for FolderCheckpoints {
    fn name(&self) -> &str {
        "checkpoints_folder"
    }

    async fn checkpoints(&self, run: Option<&str>, limit: u32) -> Result<CheckpointList, PortError> {
        self.0.list(run, limit).await
    }
}

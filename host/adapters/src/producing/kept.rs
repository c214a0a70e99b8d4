//! What is kept of runs: a small file each, in the host's own folder, so that another process finds what this one has begun.
//!
//! The newest are kept; a run that is older than so many others is forgotten.

use std::path::PathBuf;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ripcord_core::fact::Measure;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_ports::producer::{Candidate, Progress};
use ripcord_ports::{ErrorKind, PortError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::check_key;
use crate::file_work::FileWork;
use crate::folder;

const KEPT_MAX: usize = 500;
const BYTES_MAX: u64 = 1 << 20;
const END: &str = ".json";

/// What is kept of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeptRun {
    /// It was asked for, and nobody knows whether it was begun: a system that knows nothing of it may not tell of it yet.
    Asked,
    /// It was begun: a system that knows nothing of it has lost it.
    Begun {
        /// As the system calls it, where that is not the key.
        run: Option<String>,
    },
    Made {
        version: VersionTarget,
        made_of: Vec<Label>,
        measures: Vec<Measure>,
    },
    Failed(String),
    /// Where that is for good.
    Lost(String),
}

impl KeptRun {
    /// What came of a run that has ended; it is asked for no more.
    pub(crate) fn of(progress: &Progress) -> Option<Self> {
        match progress {
            Progress::Made(made) => Some(Self::Made {
                version: made.version.clone(),
                made_of: made.made_of.clone(),
                measures: made.measures.clone(),
            }),
            Progress::Failed(why) => Some(Self::Failed(why.clone())),
            Progress::NotStarted | Progress::Running { .. } | Progress::Lost(_) => None,
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(self) -> Option<Progress> {
        match self {
            Self::Asked | Self::Begun { .. } => None,
            Self::Made { version, made_of, measures } => {
                Some(Progress::Made(Candidate { version, made_of, measures }))
            }
            Self::Failed(why) => Some(Progress::Failed(why)),
            Self::Lost(why) => Some(Progress::Lost(why)),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct KeptRuns {
    folder: PathBuf,
    files: FileWork,
}

impl KeptRuns {
    /// The folder is made when something is kept.
    pub(crate) fn new(folder: PathBuf) -> Self {
        let files = FileWork::exclusive(format!("the folder of runs `{}`", folder.display()));
        Self { folder, files }
    }

    /// What was kept last of the run.
    pub(crate) async fn read<T: DeserializeOwned + Send + 'static>(
        &self,
        key: &str,
    ) -> Result<Option<T>, PortError> {
        check_key(key)?;
        let (path, name) = (self.folder.clone(), format!("{key}{END}"));
        self.files
            .run(move |_| {
                let read = folder::open(&path).and_then(|dir| folder::read(&dir, &name, BYTES_MAX));
                match read {
                    Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                        let text = format!(
                            "what is kept of a run in `{}/{name}` does not read: {error}; restore it",
                            path.display()
                        );
                        PortError::not_applied(ErrorKind::Local, text)
                    }),
                    Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .await
    }

    /// On disk when this returns.
    pub(crate) async fn write<T: Serialize>(&self, key: &str, kept: &T) -> Result<(), PortError> {
        check_key(key)?;
        let bytes = serde_json::to_vec(kept).map_err(|error| {
            PortError::not_applied(ErrorKind::Local, "what is to be kept of a run has no JSON form")
                .caused_by(error)
        })?;
        let (path, name) = (self.folder.clone(), format!("{key}{END}"));
        self.files
            .run(move |_| {
                let failed = |error| {
                    folder::local(error, format_args!("cannot keep what a run is in `{}`", path.display()))
                };
                Dir::create_ambient_dir_all(&path, ambient_authority()).map_err(failed)?;
                let dir = folder::open(&path)?;
                folder::write_beside(&dir, &name, &bytes).map_err(failed)?;
                forget_oldest(&dir).map_err(failed)
            })
            .await
    }
}

fn forget_oldest(dir: &Dir) -> std::io::Result<()> {
    let mut kept = Vec::new();
    for entry in dir.entries()? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(END) {
            kept.push((entry.metadata()?.modified()?, name));
        }
    }
    kept.sort();
    let surplus = kept.len().saturating_sub(KEPT_MAX);
    kept.iter().take(surplus).try_for_each(|(_, name)| folder::remove(dir, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn another_process_finds_what_was_kept_and_what_is_damaged_is_no_absence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs");
        let kept = KeptRuns::new(path.clone());
        assert_eq!(kept.read::<u32>("a").await.unwrap(), None);
        kept.write("a", &7_u32).await.unwrap();
        assert_eq!(KeptRuns::new(path.clone()).read::<u32>("a").await.unwrap(), Some(7));
        std::fs::write(path.join("a.json"), "").unwrap();
        assert!(kept.read::<u32>("a").await.unwrap_err().to_string().contains("does not read"));
        assert!(kept.write("../a", &7_u32).await.is_err());
    }

    #[tokio::test]
    async fn the_oldest_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptRuns::new(folder.path().to_owned());
        kept.write("first", &1).await.unwrap();
        let old = std::fs::File::options().write(true).open(folder.path().join("first.json")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH).unwrap();
        for number in 0..KEPT_MAX - 1 {
            std::fs::write(folder.path().join(format!("{number}.json")), "1").unwrap();
        }
        kept.write("last", &1).await.unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), KEPT_MAX);
        assert_eq!(kept.read::<u32>("first").await.unwrap(), None);
    }
}

//! A job without an endpoint, which reads from a file by which version it scores and leaves outputs that say by which version they were made.
//! `deployer_batch/README.md` says how it goes.
//!
//! What is live is what the newest output says. From the moment that the job is set to another version until an output by that version, or any later one, nothing is known.

mod outputs;
mod stamp;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::fact::Live;
use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_core::time::UnixMillis;
use ripcord_ports::deployer::{EffectClass, Output, Outputs, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::{Deployer, ErrorKind, PortError};
use serde::Deserialize;

use crate::adapter::{Adapter, DeployerSays, SecretKey};
use crate::checkpoints::shown;
use crate::file_work::FileWork;
use crate::restoring::wrong;
use crate::whole_file::WholeFile;
use crate::{Shared, text_time};
use outputs::{Folder, Newest};
use stamp::{Stamp, version_of};

pub use stamp::StampConfig;

/// For the catalogue.
pub const ADAPTER: Adapter<BatchDeployerConfig, dyn Deployer> = Adapter {
    kind: "batch",
    system: "a job that leaves outputs, without an endpoint",
    summary: "a file that the job reads its version from, and outputs that say by which version they were made",
    page: "deployer_batch/README.md",
    secret: SecretKey::None,
    example: "pointer = \"/srv/scoring/version\", outputs = \"/srv/scoring/out\", stamp = { name = \"scores-{version}-*.csv\" }",
    start: |config, start| {
        start.path(&mut config.pointer);
        start.path(&mut config.outputs);
    },
    says: |config| DeployerSays {
        arguments: vec![
            Label::new("pointer", config.pointer.display().to_string()),
            Label::new(
                "read back by",
                format!("the stamp of the next output in {}", config.outputs.display()),
            ),
        ],
        proof: Proof::Answer,
        endpoint: None,
    },
    make: |config, with| Ok(Arc::new(BatchDeployer::new(config, with.shared)?)),
};

/// Where the job's version is set, and where its outputs are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BatchDeployerConfig {
    /// The file that the job reads when it starts: the version's name, on one line.
    pub pointer: PathBuf,
    /// The folder in which each run of the job leaves an output, a file or a folder.
    pub outputs: PathBuf,
    /// Which of its files and folders are outputs, with at most one `*`. Default: all but those that begin with a dot or an underscore.
    #[serde(default = "pattern_default")]
    pub pattern: String,
    /// Where an output says by which version it was made.
    pub stamp: StampConfig,
}

fn pattern_default() -> String {
    "*".to_owned()
}

/// A job without an endpoint.
#[derive(Debug)]
pub struct BatchDeployer {
    pointer: Arc<WholeFile>,
    outputs: Folder,
    files: FileWork,
    shared: Shared,
}

/// To which version the job is set, and since when.
struct Set {
    version: VersionName,
    at: Option<UnixMillis>,
}

impl BatchDeployer {
    /// Checks the configuration. Whether file and folder are there shows at each call.
    pub fn new(config: BatchDeployerConfig, shared: &Shared) -> Result<Self, PortError> {
        if config.pattern.matches('*').count() > 1
            || config.pattern.contains('/')
            || config.pattern.is_empty()
        {
            return Err(wrong("`pattern` is the name of an output, with at most one `*`"));
        }
        if config.pointer.file_name().is_none() {
            let text = "`pointer` is the file that the job reads its version from: write its path";
            return Err(wrong(text));
        }
        let pointer = WholeFile::new(&config.pointer)?;
        if config.pointer.parent() == Some(config.outputs.as_path()) {
            return Err(wrong("`pointer` lies among the outputs: keep it in another folder"));
        }
        let files = FileWork::new(format!("the outputs in `{}`", config.outputs.display()));
        let stamp = Stamp::new(config.stamp)?;
        let outputs = Folder { path: config.outputs, pattern: config.pattern, stamp };
        Ok(Self { pointer: Arc::new(pointer), outputs, files, shared: shared.clone() })
    }

    /// The inner error says why nothing is known.
    async fn set(&self) -> Result<Result<Set, String>, PortError> {
        let pointer = Arc::clone(&self.pointer);
        self.files.run(move |_| set(&pointer)).await
    }

    async fn state(&self) -> Result<LiveState, PortError> {
        let (pointer, outputs) = (Arc::clone(&self.pointer), self.outputs.clone());
        self.files
            .run(move |given_up| {
                let set = match set(&pointer)? {
                    Ok(set) => set,
                    Err(why) => return Ok(LiveState::Unknown(why)),
                };
                Ok(match outputs.newest(given_up)? {
                    Newest::Unclear(why) => LiveState::Unknown(why),
                    Newest::Made(newest) => seen(&set, newest),
                })
            })
            .await
    }
}

fn set(pointer: &WholeFile) -> Result<Result<Set, String>, PortError> {
    let (content, at) = match pointer.read()? {
        Ok(read) => read,
        Err(why) => return Ok(Err(why)),
    };
    let text = String::from_utf8_lossy(&content);
    Ok(match version_of(text.trim()) {
        Ok(version) => Ok(Set { version, at }),
        Err(why) => Err(format!("`{}` {why}", pointer.path().display())),
    })
}

/// What is made by what the job is set to is proved; so is what was made after it was set to it, whatever made it.
fn seen(set: &Set, newest: Output) -> LiveState {
    let is_later = set.at.is_none_or(|at| newest.at > at);
    if newest.version != set.version && !is_later {
        let since = set.at.map(|at| format!(" since {}", text_time::format(at))).unwrap_or_default();
        return LiveState::Unknown(format!(
            "the job is set to `{}`{since}, and its newest output `{}` of {} is by `{}`: its next output shows",
            set.version,
            shown(&newest.name),
            text_time::format(newest.at),
            newest.version
        ));
    }
    LiveState::Serving(vec![Share {
        version: VersionTarget { version: newest.version, digest: None },
        place: String::new(),
        weight: Ratio::ONE,
        proof: Proof::Answer,
    }])
}

/// What the file says from which the job reads its version.
fn content(target: &VersionTarget) -> String {
    format!("{}\n", target.version)
}

#[async_trait]
impl Deployer for BatchDeployer {
    fn name(&self) -> &str {
        "deployer_batch"
    }

    /// To set the job twice to one version is to set it once.
    fn class(&self) -> EffectClass {
        EffectClass::Idempotent
    }

    async fn live(&self) -> Result<Live, PortError> {
        let state = self.state().await?;
        Ok(Live { state, facets: Vec::new(), since: None, observed_at: self.shared.clock.now() })
    }

    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<Request> {
        // It has one place, and a job reads all of it.
        if wave.is_some() {
            return None;
        }
        let target = target.version()?;
        let pointer = self.pointer.path().display().to_string();
        let words = format!("set the job to version `{}` by writing `{pointer}`", target.version);
        let digest = target.digest.map(|digest| digest.to_string()).unwrap_or_default();
        let request = Request::new(self.name(), &words).with("pointer", pointer);
        Some(request.with("content", content(target)).with("digest", digest))
    }

    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError> {
        let Target::Version(target) = &order.target else {
            let text = format!("`deployer_batch` sets a job to a version, and not to `{}`", order.target);
            return Err(PortError::not_applied(ErrorKind::Unsupported, text));
        };
        let (pointer, content) = (Arc::clone(&self.pointer), content(target));
        self.files.run(move |given_up| pointer.replace(content.as_bytes(), given_up)).await?;
        Ok(Shifted::Underway(format!("the job is set to `{}`: its next output shows", target.version)))
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        let is_set = match (self.set().await?, &order.target) {
            (Ok(set), Target::Version(target)) => set.version == target.version,
            _ => false,
        };
        Ok(if is_set { Probe::Applied } else { Probe::NotApplied })
    }

    async fn obstacle(&self) -> Option<String> {
        let pointer = Arc::clone(&self.pointer);
        match self.files.run(move |_| Ok(pointer.obstacle())).await {
            Ok(obstacle) => obstacle,
            Err(error) => Some(error.to_string()),
        }
    }

    async fn warning(&self) -> Option<String> {
        let outputs = self.outputs.clone();
        // That the folder cannot be read is an error of `live`.
        self.files.run(move |given_up| outputs.crowd(given_up)).await.ok().flatten()
    }

    async fn outputs(&self, by: &[VersionName]) -> Result<Option<Outputs>, PortError> {
        let (outputs, by) = (self.outputs.clone(), by.to_vec());
        self.files.run(move |given_up| outputs.made_by(&by, given_up)).await.map(Some)
    }
}

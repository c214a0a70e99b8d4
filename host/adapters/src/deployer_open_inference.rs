//! A deployer for servers that speak the Open Inference Protocol with its repository extension and read models from a folder.
//!
//! A shift puts the artefact in the place of the model's folder and asks the server to load it. A server can refuse the load, keep the
//! old version, and still report it as ready, or answer the load and serve something else: only the version that a real answer names counts
//! as proof. So the artefact's own settings must name the version, as the registry does.

mod folder_swap;
mod live;
mod preflight;
mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::fact::Live;
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Beside, CandidateOrder, EffectClass, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::registry::Staged;
use ripcord_ports::{Applied, Deployer, ErrorKind, PortError, waiting};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::adapter::{Adapter, DeployerSays, SecretKey, ServedBy};
use crate::endpoint_open_inference::{self, OpenInferenceEndpointConfig};
use crate::open_inference::ModelServer;
use crate::secret::Secret;
use crate::{Shared, folder, http};

use folder_swap::ModelFolder;
use preflight::Preflight;
use written::{Content, Templates};

/// Where the server is and where it reads the model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OpenInferenceDeployerConfig {
    /// The server's address, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// The model's name on the server.
    pub model: String,
    /// The folder from which the server reads this model. It is replaced as a whole, so the folder around it must be writable.
    pub model_directory: PathBuf,
    /// For one call other than a load, in milliseconds. Default: 10000. A load has the time of its step.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
    /// The protocol's `inputs` of a harmless request, whose answer proves which version is served. Default: none, and then what the
    /// server's control plane says is the only proof.
    #[serde(default)]
    pub probe_input: Option<Value>,
    /// The same in a JSON file.
    #[serde(default)]
    pub probe_input_file: Option<PathBuf>,
    /// How many answers are looked at, each over a connection of its own, so that several replicas behind one address are noticed.
    /// Default: 3.
    #[serde(default = "answers_default")]
    pub answers: u32,
    /// Files that are written into the model's folder beside the artefact's own: path in the folder, and content, in which `{version}` and
    /// `{model}` stand for what is placed. For settings that must name the version where the artefact cannot know it. Default: none.
    #[serde(default)]
    pub write: BTreeMap<String, String>,
    /// Under this name, and in a folder of this name beside the live model's, the server holds a candidate during a preflight. Default: none, and then
    /// nothing is preflighted.
    #[serde(default)]
    pub preflight_model: Option<String>,
}

/// Whence a server usually reads its models, below the folder of a configuration: a folder for each.
pub const USUAL_FOLDER: &str = "models";

/// For the catalogue.
pub const ADAPTER: Adapter<OpenInferenceDeployerConfig, dyn Deployer> = Adapter {
    kind: "open-inference",
    system: "MLServer",
    summary: "a server of the Open Inference Protocol that reads models from a folder",
    page: "deployer_open_inference/README.md",
    secret: SecretKey::Token,
    example: "url = \"http://127.0.0.1:8080\", model-directory = \"models/fraud\"",
    start: |config, start| {
        start.path(&mut config.model_directory);
        if let Some(file) = &mut config.probe_input_file {
            start.path(file);
        }
    },
    says: |config| {
        let asks = config.probe_input.is_some() || config.probe_input_file.is_some();
        DeployerSays {
            arguments: vec![
                Label::new("address", config.url.clone()),
                Label::new("model-directory", config.model_directory.display().to_string()),
            ],
            proof: if asks { Proof::Answer } else { Proof::ControlPlane },
            endpoint: Some(ServedBy {
                settings: endpoint_open_inference::ADAPTER.with(OpenInferenceEndpointConfig {
                    url: config.url.clone(),
                    model: config.model.clone(),
                    output: None,
                    deadline_ms: config.deadline_ms,
                }),
                keys: vec![("url", config.url.clone()), ("model", config.model.clone())],
            }),
        }
    },
    make: |config, with| Ok(Arc::new(OpenInferenceDeployer::new(config, with.secret, with.shared)?)),
};

const PROBE_INPUT_BYTES_MAX: u64 = 1 << 20;
const ANSWERS_MAX: u32 = 100;

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

fn answers_default() -> u32 {
    3
}

/// One model on one server, or on several behind one address that share its folder.
#[derive(Debug)]
pub struct OpenInferenceDeployer {
    server: ModelServer,
    shared: Shared,
    folder: ModelFolder,
    templates: Templates,
    preflight: Option<Preflight>,
    beside_obstacle: Option<String>,
    probe_input: Option<Value>,
    answers: u32,
    /// One shift at a time in this process; between processes the journal sees to it.
    shifting: Mutex<()>,
}

impl OpenInferenceDeployer {
    /// Checks the configuration and reads the probe's input.
    pub fn new(
        config: OpenInferenceDeployerConfig,
        token: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        let wrong = |message: String| PortError::not_applied(ErrorKind::Configuration, message);
        if !(1..=ANSWERS_MAX).contains(&config.answers) {
            return Err(wrong(format!(
                "`answers` is {}: choose a number from 1 to {ANSWERS_MAX}",
                config.answers
            )));
        }
        let probe_input = match (config.probe_input, &config.probe_input_file) {
            (Some(_), Some(_)) => {
                return Err(wrong("both `probe-input` and `probe-input-file` are set: keep one".to_owned()));
            }
            (Some(input), None) => Some(input),
            (None, Some(path)) => {
                let bytes = folder::read_ambient(path, PROBE_INPUT_BYTES_MAX)?;
                let input = serde_json::from_slice(&bytes).map_err(|error| {
                    wrong(format!("the probe's input in `{}` is not JSON", path.display())).caused_by(error)
                })?;
                Some(input)
            }
            (None, None) => None,
        };
        if probe_input.as_ref().is_some_and(|input| !input.is_array()) {
            return Err(wrong("the probe's input is no list: write the protocol's `inputs`".to_owned()));
        }
        let templates = Templates::new(&config.write, &config.model)?;
        let server = ModelServer {
            http: shared.http.clone(),
            url: http::address(&config.url)?,
            model: config.model,
            version: None,
            token,
            deadline: Millis(config.deadline_ms),
        };
        let mut beside_obstacle = None;
        let preflight = match &config.preflight_model {
            Some(model) => {
                // For the checks that depend on the name.
                beside_obstacle = Templates::new(&config.write, model)?.names_another(model);
                Some(Preflight::new(model, &server, &config.model_directory)?)
            }
            None => None,
        };
        Ok(Self {
            server,
            shared: shared.clone(),
            folder: ModelFolder::new(&config.model_directory)?,
            templates,
            preflight,
            beside_obstacle,
            probe_input,
            answers: config.answers,
            shifting: Mutex::new(()),
        })
    }

    /// What is to be placed for `order`.
    fn wanted(&self, order: &ShiftOrder) -> Result<Content, PortError> {
        let Target::Version(version) = &order.target else {
            return Err(PortError::not_applied(
                ErrorKind::Unsupported,
                format!("{} cannot be set here: this deployer sets versions", order.target),
            ));
        };
        let staged = order.staged.as_ref().ok_or_else(|| {
            PortError::not_applied(
                ErrorKind::Local,
                format!("the artefact of version `{}` is not staged", version.version),
            )
        })?;
        self.content(version, &self.server.model, staged)
    }

    /// The staged artefact, if it is that of `version`, with our files for a model called `model`.
    fn content(&self, version: &VersionTarget, model: &str, staged: &Staged) -> Result<Content, PortError> {
        match version.digest {
            Some(digest) if digest != staged.digest => Err(PortError::not_applied(
                ErrorKind::WrongDigest,
                format!("what is staged has the digest {} and not the plan's {digest}", staged.digest),
            )),
            _ => self.templates.fill(&version.version, model, staged),
        }
    }

    /// After a load that never reached the server: it goes on with what it has, and the folder must agree with that.
    async fn never_asked(&self, error: PortError) -> PortError {
        match self.folder.put_back().await {
            Ok(()) => error,
            Err(failed) => PortError::unknown(
                error.kind,
                format!("{error}; and the old folder could not be put back: {failed}"),
            ),
        }
    }

    /// After a load that the server refused: the old folder is back, and the old version has to be shown to answer.
    async fn put_back(&self, order: &ShiftOrder, refused: PortError) -> PortError {
        let why = match self.folder.put_back().await {
            Err(error) => format!("the old folder could not be put back: {error}"),
            Ok(()) => match self.read_live().await {
                Ok(state)
                    if state.same_identity(&order.expecting)
                        && state.weakest_proof() >= Some(Proof::Answer) =>
                {
                    let mut settled = PortError::not_applied(
                        refused.kind,
                        format!("{refused}; {state} still answers, and its folder is back in place"),
                    )
                    .retry(refused.retry);
                    settled.applied = Applied::No;
                    return settled;
                }
                Ok(state) => format!("the old folder is back in place, and live is {state}"),
                Err(error) => format!("the old folder is back in place, and live cannot be read: {error}"),
            },
        };
        PortError::unknown(refused.kind, format!("{refused}; {why}")).retry(refused.retry)
    }
}

#[async_trait]
impl Deployer for OpenInferenceDeployer {
    fn name(&self) -> &str {
        "deployer_open_inference"
    }

    fn class(&self) -> EffectClass {
        EffectClass::Observable
    }

    async fn live(&self) -> Result<Live, PortError> {
        let state = self.read_live().await?;
        Ok(Live { state, facets: Vec::new(), since: None, observed_at: self.shared.clock.now() })
    }

    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<Request> {
        // A model has one version in a server's repository.
        if wave.is_some() {
            return None;
        }
        let version = target.version()?;
        let (folder, load) = (self.folder.path().display().to_string(), self.server.load_address());
        let words = format!(
            "put {target} in the place of the folder `{folder}`, and have the server load it by POST {load}"
        );
        let written = self.templates.written(&version.version, &self.server.model);
        let written: Vec<_> = written.iter().map(|file| (&file.path, &file.text)).collect();
        let request = Request::new(self.name(), &words)
            .with("load", load)
            .with("folder", folder)
            .with("version", version.version.to_string())
            .with("digest", version.digest.map(|digest| digest.to_string()).unwrap_or_default())
            .with("written beside it", format!("{written:?}"));
        Some(request.hole(Hole::Staged).hole(Hole::Credentials))
    }

    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError> {
        let content = self.wanted(order)?;
        let _one = self.shifting.lock().await;
        // Until the load is asked for, the server goes on with what it has in memory.
        waiting::own("model folder", self.folder.place(content)).await?;
        let answer = match self.server.load(order.deadline).await {
            Ok(answer) => answer,
            Err(error) if error.applied == Applied::No => return Err(self.never_asked(error).await),
            Err(error) => return Err(error),
        };
        match answer.successful() {
            Ok(_) => {
                waiting::own("model folder", self.folder.settle())
                    .await
                    .map_err(PortError::outcome_unknown)?;
                Ok(Shifted::Done)
            }
            Err(refused) => Err(self.put_back(order, refused).await),
        }
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        let state = self.read_live().await?;
        let LiveState::Serving(shares) = &state else {
            return Ok(match self.server.is_loading().await {
                Ok(true) => Probe::Underway(format!("the server is loading; live is {state}")),
                // What live is says already what is wrong.
                Ok(false) | Err(_) => Probe::CannotTell(format!("live is {state}")),
            });
        };
        if state.serves(&order.target) {
            return Ok(Probe::Applied);
        }
        let there = shares.iter().filter(|share| share.is(&order.target)).count();
        if there > 0 {
            return Ok(Probe::Underway(format!("live is {state}: {there} of {} shares moved", shares.len())));
        }
        let wanted = order.target.version().map(|target| &target.version);
        if shares.iter().any(|share| Some(&share.version.version) == wanted) {
            return Ok(Probe::CannotTell(format!(
                "a version of that name is served, but its folder has another digest than {}",
                order.target
            )));
        }
        // A load is answered when it has ended, and asking for the same load twice has the effect of once. So a server that serves
        // another version and reports nothing as loading may be asked again.
        Ok(match self.server.is_loading().await? {
            true => Probe::Underway(format!("the server is loading; live is {state}")),
            false => Probe::NotApplied,
        })
    }

    async fn obstacle(&self) -> Option<String> {
        self.folder.obstacle().await
    }

    fn beside_obstacle(&self) -> Option<String> {
        self.beside_obstacle.clone()
    }

    fn beside_class(&self) -> Option<EffectClass> {
        // The same order twice has the effect of once.
        self.preflight.as_ref().map(|_| EffectClass::Idempotent)
    }

    async fn beside(&self, order: &CandidateOrder) -> Result<Beside, PortError> {
        let Some(preflight) = &self.preflight else {
            return Err(PortError::not_applied(
                ErrorKind::Unsupported,
                "no candidate can be held beside what is live: set `preflight-model` where the server has room for two",
            ));
        };
        let content = self.content(&order.version, preflight.model(), &order.staged)?;
        let version = VersionTarget { digest: Some(order.staged.digest), ..order.version.clone() };
        let _one = self.shifting.lock().await;
        preflight.hold(content, version, self.probe_input.as_ref(), order.deadline).await
    }

    async fn clear(&self) -> Result<(), PortError> {
        let Some(preflight) = &self.preflight else { return Ok(()) };
        let _one = self.shifting.lock().await;
        preflight.clear().await
    }
}

//! An endpoint of Vertex AI that serves versions of one model.
//!
//! A shift splits the endpoint's traffic anew, under the etag that was read with it, so that nobody's change is written over. A version that is not deployed
//! there is deployed first, beside what serves and without traffic, on the machines of what serves. `README.md` beside this module says what to configure
//! and what was tried.

mod api;
mod made;
mod seen;
mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reqsign_core::OsEnv;
use ripcord_core::fact::Live;
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_ports::deployer::{EffectClass, Moves, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::{Applied, Deployer, ErrorKind, PortError, Retry, waiting};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::adapter::{Adapter, DeployerSays, SecretKey, Start};
use crate::registries::defaults;
use crate::registry_vertex::VertexRegistryConfig;
use crate::registry_vertex::api::{Api as Registry, endpoint, is_id, own_address};
use crate::restoring::wrong;
use crate::split::{SHARES, percent};
use crate::{Shared, folder, http};
use api::Api;
use made::Made;
use seen::{Own, Seen};
use wire::Operation;

/// For the catalogue.
pub const ADAPTER: Adapter<VertexDeployerConfig, dyn Deployer> = Adapter {
    kind: "vertex",
    system: "Vertex AI",
    summary: "an endpoint of Google's Vertex AI that serves versions of a model",
    page: "deployer_vertex/README.md",
    secret: SecretKey::None,
    example: "project = \"acme-ml\", location = \"europe-west4\", endpoint-id = \"5150\"",
    start: |config, start| config.start(start),
    says: |config| DeployerSays {
        arguments: vec![
            Label::new("address", config.endpoint.clone().unwrap_or_else(|| endpoint(&config.location))),
            Label::new("endpoint", config.name()),
            Label::new("model", config.model.clone()),
            Label::new("undeploy", config.undeploy.shown()),
        ],
        proof: if config.probe_input_file.is_some() { Proof::Answer } else { Proof::ControlPlane },
        endpoint: None,
    },
    make: |config, with| Ok(Arc::new(VertexDeployer::new(config, with.shared)?)),
};

/// Between two looks at what goes on: doubled each time, up to the second.
const LOOKS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// What is left of a shift's deadline for what comes after the last look.
const HEADROOM: Duration = Duration::from_secs(1);
/// A probe's input is a row.
const INPUT_BYTES_MAX: u64 = 1 << 20;
/// Of gRPC's codes, those that pass: `ABORTED` and `UNAVAILABLE`.
const PASSING: [i64; 2] = [10, 14];

/// What becomes of what has lost its traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undeploy {
    /// It stays deployed: it costs what its machines cost, and the way back to it is a matter of a second.
    #[default]
    Never,
    /// What a shift has taken all traffic from is undeployed after it.
    Left,
}

impl Undeploy {
    const fn shown(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Left => "left",
        }
    }
}

/// Which endpoint, and whose versions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VertexDeployerConfig {
    /// The project's id or number.
    pub project: String,
    /// The region that endpoint and model are in, such as `europe-west4`.
    pub location: String,
    /// The endpoint's id: the last part of its resource name.
    pub endpoint_id: String,
    /// The id of the model whose versions it serves.
    pub model: String,
    /// What becomes of what has lost its traffic: `never` undeployed, or `left`. Default: `never`.
    #[serde(default)]
    pub undeploy: Undeploy,
    /// A JSON file with the body of a harmless prediction, such as `{"instances": […]}`, whose answer names the version. Default: none, and then the control
    /// plane tells.
    #[serde(default)]
    pub probe_input_file: Option<PathBuf>,
    /// Where predictions are asked for, where the endpoint has an address of its own. Default: `endpoint`.
    #[serde(default)]
    pub prediction_endpoint: Option<String>,
    /// A file of Google credentials. Default: what Google's own tools find on this machine.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// The project whose quota calls count against. Default: what the environment or the credentials say, else the account's own.
    #[serde(default)]
    pub quota_project: Option<String>,
    /// The address of Vertex AI, where it is another than `https://LOCATION-aiplatform.googleapis.com`, as with Private Service Connect.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "defaults::deadline_ms")]
    pub deadline_ms: u64,
    /// How long a call that failed is tried again, in milliseconds. Default: 20000.
    #[serde(default = "defaults::patience_ms")]
    pub patience_ms: u64,
}

impl VertexDeployerConfig {
    fn start(&mut self, start: &Start<'_>) {
        for path in [&mut self.credentials_file, &mut self.probe_input_file].into_iter().flatten() {
            start.path(path);
        }
    }

    fn name(&self) -> String {
        format!("projects/{}/locations/{}/endpoints/{}", self.project, self.location, self.endpoint_id)
    }
}

/// A deployment that was begun and not seen to end.
#[derive(Debug, Clone)]
struct Begun {
    /// Of what is deployed.
    id: String,
    /// The operation's name.
    operation: String,
}

/// One endpoint.
#[derive(Debug)]
pub struct VertexDeployer {
    api: Api,
    undeploy: Undeploy,
    deadline: Duration,
    begun: Mutex<Option<Begun>>,
    shared: Shared,
}

impl VertexDeployer {
    /// Checks the configuration and finds the credentials; Google is not asked.
    pub fn new(config: VertexDeployerConfig, shared: &Shared) -> Result<Self, PortError> {
        if !is_id(&config.endpoint_id) {
            return Err(wrong(format!(
                "`{}` cannot be the `endpoint-id` in Vertex AI: write the last part of `projects/PROJECT/locations/LOCATION/endpoints/ENDPOINT`, which is the id and not the display name",
                config.endpoint_id.escape_debug()
            )));
        }
        if config.deadline_ms == 0 {
            return Err(wrong("`deadline-ms` must be 1 or more"));
        }
        let predictions = config.prediction_endpoint.as_deref();
        let predictions = predictions.map(|text| own_address("prediction-endpoint", text)).transpose()?;
        let probe = config.probe_input_file.as_deref().map(|path| {
            let read = folder::read_ambient(path, INPUT_BYTES_MAX)?;
            let body: Option<Value> = serde_json::from_slice(&read).ok().filter(Value::is_object);
            body.ok_or_else(|| {
                wrong(format!(
                    "the probe's input in `{}` is no JSON object: write the body of a prediction, such as `{{\"instances\": […]}}`",
                    path.display()
                ))
            })
        });
        let probe = probe.transpose()?;
        if predictions.is_some() && probe.is_none() {
            return Err(wrong(
                "`prediction-endpoint` is asked for nothing without `probe-input-file`: write both, or neither",
            ));
        }
        let (name, deadline) = (config.name(), Duration::from_millis(config.deadline_ms));
        let own = Own {
            project: config.project.clone(),
            location: config.location.clone(),
            model: config.model.clone(),
        };
        let registry = VertexRegistryConfig {
            project: config.project,
            location: config.location,
            model: config.model,
            alias: None,
            credentials_file: config.credentials_file,
            quota_project: config.quota_project,
            endpoint: config.endpoint,
            storage_endpoint: "https://storage.googleapis.com".to_owned(),
            deadline_ms: config.deadline_ms,
            patience_ms: config.patience_ms,
            versions_max: defaults::versions_max(),
            artefact_bytes_max: defaults::artefact_bytes_max(),
        };
        let registry = Registry::new(registry, shared, OsEnv)?;
        Ok(Self {
            api: Api { registry, own, name, id: config.endpoint_id, predictions, probe },
            undeploy: config.undeploy,
            deadline,
            begun: Mutex::default(),
            shared: shared.clone(),
        })
    }

    fn begun(&self) -> std::sync::MutexGuard<'_, Option<Begun>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoint is what the order expects.
    fn check(&self, seen: &Seen, order: &ShiftOrder) -> Result<(), PortError> {
        if matches!(order.expecting, LiveState::Serving(_)) && !seen.state.same_identity(&order.expecting) {
            let text = format!(
                "the endpoint `{}` serves {} where {} was expected: someone else moved it, and it was left so",
                self.api.name, seen.state, order.expecting
            );
            return Err(PortError::not_applied(ErrorKind::Conflict, text));
        }
        Ok(())
    }

    /// The endpoint with the version deployed. None of this touches what answers: whatever goes wrong, it may be done again.
    async fn deployed(
        &self,
        seen: Seen,
        version: &VersionName,
        order: &ShiftOrder,
        until: Instant,
    ) -> Result<Seen, PortError> {
        let answers = |seen: &Seen| seen.having(version).iter().any(|one| one.replicas != Some(0));
        let silent = || {
            let text = format!(
                "version `{version}` is deployed on the endpoint `{}`, and no replica of it answers yet: look at its logs if that stays so",
                self.api.name
            );
            PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later)
        };
        if answers(&seen) {
            return Ok(seen);
        }
        if !seen.having(version).is_empty() {
            return Err(silent());
        }
        let Some(pattern) = seen.pattern() else {
            let text = format!(
                "version `{version}` is not deployed on the endpoint `{}`, and nothing of `{}` serves there on whose machines it could be: deploy it by hand",
                self.api.name, self.api.registry.model
            );
            return Err(PortError::not_applied(ErrorKind::Unsupported, text));
        };
        let made = made::deployed_model(&pattern.as_it_came, &self.api.registry.model, version);
        let harmless = |mut error: PortError| {
            if error.applied == Applied::Unknown {
                error = error.retry(Retry::Later);
            }
            error.applied = Applied::No;
            error
        };
        let operation = self.begin(&made).await.map_err(harmless)?;
        self.follow_deployment(&made, &operation, version, until).await?;
        let now = self.api.see().await?;
        if now.having(version).is_empty() {
            let text = format!(
                "Vertex AI says that version `{version}` was deployed on the endpoint `{}`, and does not show it: it may do so shortly",
                self.api.name
            );
            return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later));
        }
        if seen.split() != now.split() {
            let text = format!(
                "the traffic of the endpoint `{}` was split anew by someone else while version `{version}` was deployed there: it was left so",
                self.api.name
            );
            return Err(PortError::not_applied(ErrorKind::Conflict, text));
        }
        self.check(&now, order)?;
        if answers(&now) { Ok(now) } else { Err(silent()) }
    }

    /// The operation that deploys it: one that this host has begun already, or a new one.
    async fn begin(&self, made: &Made) -> Result<String, PortError> {
        let known = self.begun().clone().filter(|begun| begun.id == made.id);
        if let Some(known) = known {
            return Ok(known.operation);
        }
        if let Some(other) = self.api.busy().await? {
            let text = format!(
                "Vertex AI is at changing what is deployed on the endpoint `{}` ({other}): it passes, and nothing else is deployed there until then",
                self.api.name
            );
            return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later));
        }
        let operation = self.api.deploy(made).await?.name;
        *self.begun() = Some(Begun { id: made.id.clone(), operation: operation.clone() });
        Ok(operation)
    }

    async fn follow_deployment(
        &self,
        made: &Made,
        name: &str,
        version: &VersionName,
        until: Instant,
    ) -> Result<(), PortError> {
        let (mut pause, pause_max) = LOOKS;
        loop {
            let told = match self.api.operation(name).await {
                Ok(operation) if operation.is_done() => {
                    *self.begun() = None;
                    return self.ended(&operation, version);
                }
                Ok(operation) => http::excerpt(operation.stage().as_bytes()),
                // Operations are forgotten after a while.
                Err(error) if error.kind == ErrorKind::NotFound => {
                    *self.begun() = None;
                    return Ok(());
                }
                Err(error) => error.to_string(),
            };
            if Instant::now() + pause + self.deadline > until {
                let text = format!(
                    "version `{version}` is being deployed on the endpoint `{}` as `{}` ({told}): no traffic was moved yet, and it is looked at again; such a deployment takes minutes, so raise `shift-seconds` where it is to be followed in one go",
                    self.api.name, made.id
                );
                return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later));
            }
            waiting::pausing(tokio::time::sleep(pause)).await;
            pause = (pause * 2).min(pause_max);
        }
    }

    fn ended(&self, operation: &Operation, version: &VersionName) -> Result<(), PortError> {
        let Some(error) = &operation.error else { return Ok(()) };
        let text = format!(
            "Vertex AI could not deploy version `{version}` on the endpoint `{}`, and no traffic was moved: code {}, {}; look at the logs of its container, and at the quota of its machines",
            self.api.name,
            error.code,
            http::excerpt(error.message.as_bytes())
        );
        let retry = if PASSING.contains(&error.code) { Retry::Later } else { Retry::No };
        Err(PortError::not_applied(ErrorKind::Failed, text).retry(retry))
    }

    /// Splits the traffic, under the etag of what was seen.
    async fn split(&self, seen: &Seen, version: &VersionName, moves: &Moves) -> Result<(), PortError> {
        let unsplit = |why: &str| {
            let text = format!("the traffic of the endpoint `{}` cannot be split: {why}", self.api.name);
            PortError::not_applied(ErrorKind::Unsupported, text)
        };
        let percent = match moves {
            Moves::Share(share) => percent(*share).ok_or_else(|| unsplit(SHARES))?,
            Moves::Rest | Moves::Place(_) => 100,
        };
        if let LiveState::Unknown(why) = &seen.state
            && percent < 100
        {
            return Err(unsplit(&format!(
                "what serves there is not known, so no part of it can be moved: {why}"
            )));
        }
        let split = seen.split_to(version, percent).map_err(|why| unsplit(&why))?;
        let Some(etag) = seen.endpoint.etag.as_deref().filter(|etag| !etag.is_empty()) else {
            let text = format!(
                "Vertex AI told no etag of the endpoint `{}`, without which a change could be written over somebody else's: nothing was sent",
                self.api.name
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        };
        self.api.split(etag, &split).await
    }

    /// Reads the endpoint until the split is there.
    async fn follow(&self, order: &ShiftOrder, until: Instant) -> Shifted {
        let (mut pause, pause_max) = LOOKS;
        loop {
            let told = match self.api.see().await {
                Ok(seen) if seen.state.shows(&order.target, moves(order)) => return Shifted::Done,
                Ok(seen) => format!("Vertex AI has taken the split, and the endpoint serves {}", seen.state),
                Err(error) => format!("the split was sent, and the endpoint cannot be looked at: {error}"),
            };
            if Instant::now() + pause + self.deadline > until {
                return Shifted::Underway(told);
            }
            waiting::pausing(tokio::time::sleep(pause)).await;
            pause = (pause * 2).min(pause_max);
        }
    }

    /// Undeploys what has no traffic any more, where that is configured. What comes of it changes nothing of the shift.
    async fn tidy(&self, before: &Seen, version: &VersionName) {
        let Ok(now) = self.api.see().await else { return };
        let is_idle = |id: &str| now.deployed.iter().any(|one| one.id == id && one.percent == 0);
        let had_traffic = before.deployed.iter().filter(|one| one.percent > 0);
        for left in had_traffic.filter(|one| one.version.as_ref() != Ok(version) && is_idle(&one.id)) {
            if let Err(error) = self.api.undeploy(&left.id).await {
                tracing::warn!(endpoint = %self.api.name, deployed = %left.id.escape_debug(), %error, "what has no traffic any more was not undeployed: undeploy it by hand");
            }
        }
    }

    fn words(&self, version: &VersionName, percent: u32) -> String {
        let after = match self.undeploy {
            Undeploy::Never => "",
            Undeploy::Left if percent == 100 => {
                ", and undeploy what it was taken from where the end of it is seen"
            }
            Undeploy::Left => "",
        };
        format!(
            "have {percent} % of the traffic of the Vertex AI endpoint `{}` at {} go to version `{version}` of `{}`, which is deployed first, on the machines of what has most of the traffic then, where it is not deployed there{after}",
            self.api.name,
            http::shown(&self.api.registry.url),
            self.api.registry.model
        )
    }

    /// The same state, proved by answers where there is a probe and one version serves.
    async fn proved(&self, seen: Seen) -> LiveState {
        let Some(sole) = seen.state.sole_version().map(|sole| sole.version.clone()) else {
            return seen.state;
        };
        match self.api.answers(&seen).await {
            None => seen.state,
            Some(Err(why)) => {
                tracing::warn!(endpoint = %self.api.name, %why, "what serves is not proved by an answer");
                seen.state
            }
            Some(Ok(told)) => {
                let shown = |told: &Result<VersionName, String>| match told {
                    Ok(version) => format!("an answer of it is of version `{version}`"),
                    Err(why) => format!("an answer of it says of itself: {why}"),
                };
                if let Some(other) = told.iter().find(|told| told.as_ref() != Ok(&sole)) {
                    return LiveState::Unknown(format!(
                        "its traffic goes to version `{sole}`, and {}",
                        shown(other)
                    ));
                }
                match seen.state {
                    LiveState::Serving(mut shares) => {
                        shares.iter_mut().for_each(|share| share.proof = Proof::Answer);
                        LiveState::Serving(shares)
                    }
                    state => state,
                }
            }
        }
    }
}

/// What an order moves.
fn moves(order: &ShiftOrder) -> &Moves {
    order.wave.as_ref().map_or(&Moves::Rest, |wave| &wave.moves)
}

#[async_trait]
impl Deployer for VertexDeployer {
    fn name(&self) -> &str {
        "deployer_vertex"
    }

    fn class(&self) -> EffectClass {
        EffectClass::Conditional
    }

    async fn live(&self) -> Result<Live, PortError> {
        let state = self.proved(self.api.see().await?).await;
        Ok(Live { state, facets: Vec::new(), since: None, observed_at: self.shared.clock.now() })
    }

    fn waves(&self, moves: &Moves) -> bool {
        match moves {
            Moves::Share(share) => percent(*share).is_some(),
            Moves::Rest => true,
            Moves::Place(_) => false,
        }
    }

    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<Request> {
        let percent = match wave.map(|wave| &wave.moves) {
            Some(Moves::Share(share)) => percent(*share)?,
            Some(Moves::Place(_)) => return None,
            Some(Moves::Rest) | None => 100,
        };
        let version: &VersionTarget = target.version()?;
        let registry = &self.api.registry;
        let request = Request::new(self.name(), &self.words(&version.version, percent))
            .with("url", http::shown(&self.api.traffic_url()))
            .with("fields", "trafficSplit")
            .with("endpoint", self.api.name.clone())
            .with("model", registry.model.clone())
            .with("version", version.version.to_string())
            .with("digest", version.digest.map(|digest| digest.to_string()).unwrap_or_default())
            .with("percent", percent.to_string())
            .with("undeploy", self.undeploy.shown())
            .with("quota-project", registry.quota_project.clone().unwrap_or_default());
        Some(request.hole(Hole::Expected).hole(Hole::Credentials))
    }

    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError> {
        let until = Instant::now() + Duration::from_millis(order.deadline.0).saturating_sub(HEADROOM);
        let Target::Version(target) = &order.target else {
            let text = format!("{} cannot be set here: this deployer sets versions", order.target);
            return Err(PortError::not_applied(ErrorKind::Unsupported, text));
        };
        if order.wave.as_ref().is_some_and(|wave| !self.waves(&wave.moves)) {
            return Err(PortError::not_applied(ErrorKind::Unsupported, SHARES));
        }
        let version = &target.version;
        let seen = self.api.see().await?;
        if seen.state.shows(&order.target, moves(order)) {
            return Ok(Shifted::Done);
        }
        self.check(&seen, order)?;
        self.api.may_serve(version).await?;
        let before = self.deployed(seen, version, order, until).await?;
        if let Err(error) = self.split(&before, version, moves(order)).await {
            // A call that something in between sends twice is taken once, and refused the second time since the etag is another one.
            let may_be_ours = error.applied == Applied::Unknown || error.kind == ErrorKind::Failed;
            let now = if may_be_ours { self.api.see().await.ok() } else { None };
            if !now.is_some_and(|now| now.state.shows(&order.target, moves(order))) {
                return Err(error);
            }
        }
        let shifted = self.follow(order, until).await;
        if self.undeploy == Undeploy::Left && shifted == Shifted::Done && *moves(order) == Moves::Rest {
            self.tidy(&before, version).await;
        }
        Ok(shifted)
    }

    async fn obstacle(&self) -> Option<String> {
        let seen = self.api.see().await.ok()?;
        let network = seen.endpoint.network.filter(|network| !network.is_empty())?;
        Some(format!(
            "the endpoint `{}` is a private one, in the network {}, and Google splits no traffic on those and deploys one model on each: serve from an endpoint that is public or dedicated, or reached by Private Service Connect",
            self.api.name,
            http::excerpt(network.as_bytes())
        ))
    }

    async fn warning(&self) -> Option<String> {
        let seen = self.api.see().await.ok()?;
        let why = self.api.unasked(&seen)?;
        Some(format!(
            "no prediction proves what the endpoint `{}` serves, so that a plan which needs the proof `answer` ends with people: {why}",
            self.api.name
        ))
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        let seen = self.api.see().await?;
        Ok(match &seen.state {
            LiveState::Unknown(why) => Probe::CannotTell(why.clone()),
            state if state.shows(&order.target, moves(order)) => Probe::Applied,
            // A split shows from when it was taken, and one that is still on its way has an etag that a new attempt uses up.
            state
                if state.same_identity(&order.expecting)
                    || matches!(order.expecting, LiveState::Unknown(_)) =>
            {
                Probe::NotApplied
            }
            state => Probe::CannotTell(format!(
                "live is {state}, which is neither {} nor what was live before ({})",
                order.target, order.expecting
            )),
        })
    }
}

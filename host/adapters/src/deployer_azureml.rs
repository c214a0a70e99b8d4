//! An online endpoint of Azure Machine Learning that serves versions of one model.
//!
//! A shift splits the endpoint's traffic between its deployments anew, and leaves everything else of it as it was read. A version that no deployment has is
//! deployed first, beside what serves and without traffic, like what serves. What a change has come to is read, never believed. `README.md` beside this
//! module says what to configure and what was tried.

mod api;
mod made;
mod seen;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::fact::Live;
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_ports::deployer::{EffectClass, Moves, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::{Applied, Deployer, ErrorKind, PortError, Retry, waiting};
use serde::Deserialize;
use tokio::time::Instant;

use crate::adapter::{Adapter, DeployerSays, SecretKey};
use crate::registries::defaults;
use crate::registry_azureml::AzureMlRegistryConfig;
use crate::registry_azureml::api::{Api as Registry, is_name};
use crate::restoring::wrong;
use crate::secret::Secret;
use crate::split::{SHARES, percent};
use crate::{Shared, http};
use api::Api;
use seen::{Deployment, Own, Readiness, Seen, is_split};

pub use crate::azure::{AzureCloud, AzureCredentials};

/// For the catalogue.
pub const ADAPTER: Adapter<AzureMlDeployerConfig, dyn Deployer> = Adapter {
    kind: "azureml",
    system: "Azure Machine Learning",
    summary: "an online endpoint of Azure ML that serves versions of a model",
    page: "deployer_azureml/README.md",
    secret: SecretKey::ClientSecret,
    example: "subscription = \"00000000-0000-0000-0000-000000000000\", resource-group = \"acme-ml\", workspace = \"payments\", endpoint-name = \"fraud\"",
    start: |_, _| {},
    says: |config| {
        let manager = config.resource_manager.clone().unwrap_or_else(|| config.cloud.manager().to_owned());
        let endpoint = format!(
            "subscriptions/{}/resourceGroups/{}/workspaces/{}/onlineEndpoints/{}",
            config.subscription, config.resource_group, config.workspace, config.endpoint_name
        );
        let registry = config.registry.iter().map(|registry| Label::new("registry", registry.clone()));
        let said = [
            Label::new("address", manager),
            Label::new("endpoint", endpoint),
            Label::new("model", config.model.clone()),
            Label::new("scoring-code", config.scoring_code.shown()),
        ];
        DeployerSays {
            arguments: said.into_iter().chain(registry).collect(),
            proof: Proof::ControlPlane,
            endpoint: None,
        }
    },
    make: |config, with| Ok(Arc::new(AzureMlDeployer::new(config, with.secret, with.shared)?)),
};

/// Between two looks at a change that goes on: doubled each time, up to the second.
const LOOKS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// What is left of a shift's deadline for what comes after the last look.
const HEADROOM: Duration = Duration::from_secs(1);

/// What becomes of the code, the variables and the environment of what serves, where another version is deployed like it. Environments of Azure's own are
/// always taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoringCode {
    /// Where there are some, nothing like it is deployed: they may be those of its version alone.
    #[default]
    Refuse,
    /// The version is deployed with them.
    Keep,
}

impl ScoringCode {
    const fn shown(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Keep => "keep",
        }
    }
}

/// Which endpoint, and whose versions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AzureMlDeployerConfig {
    /// The subscription's id.
    pub subscription: String,
    /// The resource group that the workspace is in.
    pub resource_group: String,
    /// The workspace that the endpoint is in.
    pub workspace: String,
    /// The endpoint's name.
    pub endpoint_name: String,
    /// The name of the model whose versions it serves.
    pub model: String,
    /// The registry that the model is in, in the same resource group. Default: none, and it is in the workspace.
    #[serde(default)]
    pub registry: Option<String>,
    /// What becomes of the code, the variables and the environment of what serves, where another version is deployed like it: `refuse`, or `keep`. Default:
    /// `refuse`.
    #[serde(default)]
    pub scoring_code: ScoringCode,
    /// Whose credentials are used. Default: the first that are found, see the page of the registry.
    #[serde(default)]
    pub credentials: Option<AzureCredentials>,
    /// The tenant of the application whose secret or token is used. Default: `AZURE_TENANT_ID`.
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// The application, or the managed identity where the machine has several. Default: `AZURE_CLIENT_ID`.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Which of Azure's clouds: `public`, `china` or `us-government`. Default: `public`.
    #[serde(default)]
    pub cloud: AzureCloud,
    /// Where tokens are had. Default: `AZURE_AUTHORITY_HOST`, else that of the cloud.
    #[serde(default)]
    pub authority: Option<String>,
    /// The address of Azure Resource Manager. Default: that of the cloud.
    #[serde(default)]
    pub resource_manager: Option<String>,
    /// The version of Azure ML's interface. Default: `2025-12-01`.
    #[serde(default = "api_version_default")]
    pub api_version: String,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "defaults::deadline_ms")]
    pub deadline_ms: u64,
    /// How long a call that failed is tried again, in milliseconds. Default: 20000.
    #[serde(default = "defaults::patience_ms")]
    pub patience_ms: u64,
}

fn api_version_default() -> String {
    "2025-12-01".to_owned()
}

/// One online endpoint.
#[derive(Debug)]
pub struct AzureMlDeployer {
    api: Api,
    scoring_code: ScoringCode,
    deadline: Duration,
    shared: Shared,
}

impl AzureMlDeployer {
    /// Checks the configuration and finds the credentials; Azure is not asked. `secret` is that of the application that is configured, if one is.
    pub fn new(
        config: AzureMlDeployerConfig,
        secret: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        if !is_name(&config.endpoint_name) {
            return Err(wrong(format!(
                "`{}` cannot be the `endpoint-name` in Azure ML: write the endpoint's name, not its address",
                config.endpoint_name.escape_debug()
            )));
        }
        if config.deadline_ms == 0 {
            return Err(wrong("`deadline-ms` must be 1 or more"));
        }
        let of = |registry: Option<String>| AzureMlRegistryConfig {
            subscription: config.subscription.clone(),
            resource_group: config.resource_group.clone(),
            workspace: registry.is_none().then(|| config.workspace.clone()),
            registry,
            model: config.model.clone(),
            production_tag: None,
            credentials: config.credentials,
            tenant_id: config.tenant_id.clone(),
            client_id: config.client_id.clone(),
            cloud: config.cloud,
            authority: config.authority.clone(),
            resource_manager: config.resource_manager.clone(),
            storage_endpoint: None,
            api_version: config.api_version.clone(),
            deadline_ms: config.deadline_ms,
            patience_ms: config.patience_ms,
            versions_max: defaults::versions_max(),
            artefact_bytes_max: defaults::artefact_bytes_max(),
        };
        let asks = |registry: Option<String>, secret: Option<Secret>| {
            Registry::new(of(registry), secret, shared, |name| std::env::var(name).ok())
        };
        let workspace = asks(None, secret.clone())?;
        let models = asks(config.registry.clone(), secret)?;
        let own = Own {
            subscription: config.subscription,
            group: config.resource_group,
            workspace: config.workspace,
            registry: config.registry,
            model: config.model,
        };
        Ok(Self {
            api: Api { workspace, models, own, endpoint: config.endpoint_name },
            scoring_code: config.scoring_code,
            deadline: Duration::from_millis(config.deadline_ms),
            shared: shared.clone(),
        })
    }

    /// What is to be known before anything is changed.
    fn check(&self, seen: &Seen, order: &ShiftOrder) -> Result<(), PortError> {
        let endpoint = self.api.shown();
        let refused = |retry: Retry, why: String| {
            let text = format!("the endpoint `{endpoint}` takes no change{why}");
            Err(PortError::not_applied(ErrorKind::Failed, text).retry(retry))
        };
        match seen.readiness() {
            Readiness::Ready => {}
            Readiness::Busy => return refused(Retry::Later, format!(" now: {}; it passes", seen.state)),
            Readiness::Broken => return refused(Retry::No, format!(": it is {}", seen.shown_state())),
        }
        if matches!(order.expecting, LiveState::Serving(_)) && !seen.state.same_identity(&order.expecting) {
            let text = format!(
                "the endpoint `{endpoint}` serves {} where {} was expected: someone else moved it, and it was left so",
                seen.state, order.expecting
            );
            return Err(PortError::not_applied(ErrorKind::Conflict, text));
        }
        Ok(())
    }

    /// The endpoint with a deployment of the version. None of this touches what answers: whatever goes wrong, it may be done again.
    async fn deployed(
        &self,
        seen: Seen,
        version: &VersionName,
        order: &ShiftOrder,
        until: Instant,
    ) -> Result<Seen, PortError> {
        if seen.having(version).iter().any(|one| one.is_up()) {
            return Ok(seen);
        }
        // One that failed keeps none from being waited for that goes on, and one that is being deleted goes by itself.
        let there = seen.having(version);
        let going = |one: &&&Deployment| !matches!(one.state.as_str(), "Failed" | "Canceled" | DELETING);
        let leaving = |one: &&&Deployment| one.state == DELETING;
        let found = there.iter().find(going).or_else(|| there.iter().find(leaving)).or(there.first());
        let (name, state) = match found {
            Some(one) => (one.name.clone(), Some(one.state.clone())),
            None => (self.begin(&seen, version).await?, None),
        };
        self.follow_deployment(&name, state, version, until).await?;
        let now = self.api.see().await?;
        if seen.split() != now.split() {
            let text = format!(
                "the traffic of the endpoint `{}` was split anew by someone else while version `{version}` was deployed there: it was left so",
                self.api.shown()
            );
            return Err(PortError::not_applied(ErrorKind::Conflict, text));
        }
        // What has traffic may have been given another model in place meanwhile.
        self.check(&now, order)?;
        if !now.having(version).iter().any(|one| one.is_up()) {
            let text = format!(
                "Azure ML says that version `{version}` is deployed on the endpoint `{}`, and does not list it so: it may do so shortly",
                self.api.shown()
            );
            return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later));
        }
        Ok(now)
    }

    async fn begin(&self, seen: &Seen, version: &VersionName) -> Result<String, PortError> {
        let unlike = |why: String| {
            let text = format!(
                "version `{version}` has no deployment on the endpoint `{}`: {why}",
                self.api.shown()
            );
            PortError::not_applied(ErrorKind::Unsupported, text)
        };
        let Some(pattern) = seen.pattern() else {
            return Err(unlike(format!(
                "and no version of `{}` serves there like which it could be deployed: deploy it by hand",
                self.api.own.model
            )));
        };
        let made = made::deployment(pattern, &self.api.own, version, self.scoring_code).map_err(unlike)?;
        if let Err(mut error) = self.api.deploy(&made).await {
            if error.applied == Applied::Unknown {
                error = error.retry(Retry::Later);
            }
            error.applied = Applied::No;
            if error.kind == ErrorKind::Failed && error.retry == Retry::No {
                let now = self.api.see().await.ok();
                error = passing(error, now.as_ref());
            }
            return Err(error);
        }
        Ok(made.name)
    }

    /// Looks at a deployment until it serves. Its state is none where it was only just asked for.
    async fn follow_deployment(
        &self,
        name: &str,
        mut state: Option<String>,
        version: &VersionName,
        until: Instant,
    ) -> Result<(), PortError> {
        let (mut pause, pause_max) = LOOKS;
        let (endpoint, shown) = (self.api.shown(), name.escape_debug());
        loop {
            let shown_state = state.as_deref().unwrap_or("Creating");
            match shown_state {
                "Succeeded" | "Scaling" => return Ok(()),
                DELETING => return Err(self.leaves(version, name)),
                "Failed" | "Canceled" => {
                    let text = format!(
                        "version `{version}` could not be deployed on the endpoint `{endpoint}`: its deployment `{shown}` is `{shown_state}`, and no traffic was moved; look at its logs (`az ml online-deployment get-logs`), then delete it"
                    );
                    return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::No));
                }
                _ => {}
            }
            if Instant::now() + pause + self.deadline > until {
                let text = format!(
                    "version `{version}` is being deployed on the endpoint `{endpoint}` as `{shown}` ({}): no traffic was moved yet, and it is looked at again; such a deployment takes minutes, so raise `shift-seconds` where it is to be followed in one go",
                    http::excerpt(shown_state.as_bytes())
                );
                return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later));
            }
            waiting::pausing(tokio::time::sleep(pause)).await;
            pause = (pause * 2).min(pause_max);
            match self.api.deployment_state(name).await {
                Ok(Some(now)) => state = Some(now),
                Ok(None) if state.is_some() => return Err(self.leaves(version, name)),
                // What was just asked for need not show at once.
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "a deployment cannot be looked at"),
            }
        }
    }

    fn leaves(&self, version: &VersionName, name: &str) -> PortError {
        let text = format!(
            "the deployment `{}` of version `{version}` on the endpoint `{}` is being deleted, and no traffic was moved: the version is deployed anew once it is gone",
            name.escape_debug(),
            self.api.shown()
        );
        PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later)
    }

    /// How the traffic is to be split.
    fn split(
        &self,
        seen: &Seen,
        version: &VersionName,
        moves: &Moves,
    ) -> Result<BTreeMap<String, u32>, PortError> {
        let unsplit = |why: &str| {
            let text = format!("the traffic of the endpoint `{}` cannot be split: {why}", self.api.shown());
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
        seen.split_to(version, percent).map_err(|why| unsplit(&why))
    }

    /// Reads the endpoint until the split is there, or was not made.
    async fn follow(&self, order: &ShiftOrder, until: Instant) -> Result<Shifted, PortError> {
        let (mut pause, pause_max) = LOOKS;
        loop {
            let told = match self.api.see().await {
                Ok(seen) if seen.state.shows(&order.target, moves(order)) => return Ok(Shifted::Done),
                Ok(seen) if seen.readiness() != Readiness::Busy && seen.shown_state() != "`Succeeded`" => {
                    let text = format!(
                        "after the split towards {} the endpoint `{}` is {}: look at its activity log; {}",
                        order.target,
                        self.api.shown(),
                        seen.shown_state(),
                        seen.state
                    );
                    return Err(PortError::unknown(ErrorKind::Failed, text).retry(Retry::No));
                }
                Ok(seen) => format!("Azure has taken the split, and the endpoint serves {}", seen.state),
                Err(error) => format!("the split was sent, and the endpoint cannot be looked at: {error}"),
            };
            if Instant::now() + pause + self.deadline > until {
                return Ok(Shifted::Underway(told));
            }
            waiting::pausing(tokio::time::sleep(pause)).await;
            pause = (pause * 2).min(pause_max);
        }
    }

    fn words(&self, version: &VersionName, percent: u32) -> String {
        let code = match self.scoring_code {
            ScoringCode::Refuse => "",
            ScoringCode::Keep => " and with the environment, code and variables",
        };
        format!(
            "have {percent} % of the traffic of the Azure ML endpoint `{}` at {} go to version `{version}` of `{}`, which is deployed first, on the machines{code} of what has most of the traffic then, where no deployment has it",
            self.api.shown(),
            http::shown(&self.api.workspace.url),
            self.api.own.model
        )
    }
}

/// A deployment that goes.
const DELETING: &str = "Deleting";

/// A refusal of what was not done, which passes where the endpoint is being changed.
fn passing(error: PortError, now: Option<&Seen>) -> PortError {
    let is_busy = now.is_some_and(|now| now.readiness() == Readiness::Busy);
    if is_busy && error.applied == Applied::No { error.retry(Retry::Later) } else { error }
}

/// What an order moves.
fn moves(order: &ShiftOrder) -> &Moves {
    order.wave.as_ref().map_or(&Moves::Rest, |wave| &wave.moves)
}

#[async_trait]
impl Deployer for AzureMlDeployer {
    fn name(&self) -> &str {
        "deployer_azureml"
    }

    fn class(&self) -> EffectClass {
        EffectClass::Observable
    }

    async fn live(&self) -> Result<Live, PortError> {
        let state = self.api.see().await?.state;
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
        let request = Request::new(self.name(), &self.words(&version.version, percent))
            .with("url", http::shown(&self.api.url()))
            .with("api-version", self.api.workspace.api_version.clone())
            .with("field", "properties.traffic")
            .with("model", self.api.own.named(&version.version))
            .with("version", version.version.to_string())
            .with("digest", version.digest.map(|digest| digest.to_string()).unwrap_or_default())
            .with("percent", percent.to_string())
            .with("scoring-code", self.scoring_code.shown());
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
        let split = self.split(&before, version, moves(order))?;
        if let Err(error) = self.api.split(&before, &split).await {
            // A call that something in between sends twice is taken once, and may be refused the second time since the first is under way.
            let may_be_ours = error.applied == Applied::Unknown
                || matches!(error.kind, ErrorKind::Failed | ErrorKind::Conflict);
            let now = if may_be_ours { self.api.see().await.ok() } else { None };
            let is_there = |now: &Seen| {
                let leads_there = now.readiness() == Readiness::Busy && is_split(&now.split(), &split);
                now.state.shows(&order.target, moves(order)) || leads_there
            };
            if !now.as_ref().is_some_and(is_there) {
                return Err(passing(error, now.as_ref()));
            }
        }
        self.follow(order, until).await
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        let seen = self.api.see().await?;
        if seen.readiness() == Readiness::Busy {
            if seen.leads_to().shows(&order.target, moves(order)) {
                return Ok(Probe::Underway(format!(
                    "the endpoint is {}: {}",
                    seen.shown_state(),
                    seen.state
                )));
            }
            // It may be anybody's change, and nothing can be sent while it goes on.
            let text = format!(
                "the endpoint `{}` is being changed, and whether by this shift is told once that has ended: {}",
                self.api.shown(),
                seen.state
            );
            return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later));
        }
        Ok(match &seen.state {
            LiveState::Unknown(why) => Probe::CannotTell(why.clone()),
            state if state.shows(&order.target, moves(order)) => Probe::Applied,
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

//! An endpoint of Amazon SageMaker that serves versions of one model package group.
//!
//! A shift makes a model and a configuration like those in force, under names that stand for their content, and asks once for the update; or it moves the
//! weights of variants that are there already. What an update has come to is read, never believed: SageMaker takes one that fails back by itself.
//! `README.md` beside this module says what to configure and what was tried.

mod api;
mod group;
mod made;
mod seen;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::fact::Live;
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{EffectClass, Moves, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::{Applied, Deployer, ErrorKind, PortError, Retry, waiting};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::adapter::{Adapter, DeployerSays, SecretKey};
use crate::aws::{self, Credentials, Json, Way};
use crate::http::{self, Patience};
use crate::near::is_in_the_clear;
use crate::registries::defaults;
use crate::registry_sagemaker::{self, api::Api as Registry};
use crate::restoring::wrong;
use crate::{Secret, Shared};
use api::Api;
use group::{Group, Named};
use made::Made;
use seen::{Readiness, Seen, Served, Turn};
use wire::Endpoint;

/// For the catalogue.
pub const ADAPTER: Adapter<SageMakerDeployerConfig, dyn Deployer> = Adapter {
    kind: "sagemaker",
    system: "Amazon SageMaker",
    summary: "an endpoint of SageMaker that serves versions of a model package group",
    page: "deployer_sagemaker/README.md",
    secret: SecretKey::SecretAccessKey,
    example: "region = \"eu-west-1\", endpoint-name = \"fraud\"",
    start: |_, _| {},
    says: |config| DeployerSays {
        arguments: vec![
            Label::new("address", config.endpoint.clone().unwrap_or_else(|| "AWS".to_owned())),
            Label::new("region", config.region.clone()),
            Label::new("endpoint-name", config.endpoint_name.clone()),
            Label::new("model-package-group", config.model.clone()),
            Label::new("move-by", config.move_by.shown()),
            Label::new("guardrails", config.guardrails.shown()),
        ],
        proof: Proof::ControlPlane,
        endpoint: None,
    },
    make: |config, with| Ok(Arc::new(SageMakerDeployer::new(config, with.secret, with.shared)?)),
};

/// Between two looks at an update that goes on: doubled each time, up to the second.
const LOOKS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// What is left of a shift's deadline for what comes after the last look.
const HEADROOM: Duration = Duration::from_secs(1);

/// By what traffic is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MoveBy {
    /// Every variant gets the target, by a configuration that is made for it.
    #[default]
    Configuration,
    /// The weights of the variants that are there are moved towards those of the target.
    Weights,
}

/// What becomes of the deployment configuration by which the endpoint was updated last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guardrails {
    /// It is used again: its way of moving traffic, and its alarms, which take the update back.
    #[default]
    Keep,
    /// All traffic moves at once, and no alarm takes it back.
    None,
}

impl MoveBy {
    const fn shown(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Weights => "weights",
        }
    }
}

impl Guardrails {
    const fn shown(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::None => "none",
        }
    }
}

/// Which endpoint, and whose versions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SageMakerDeployerConfig {
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// The endpoint's name.
    pub endpoint_name: String,
    /// The model package group whose versions it serves: its name, or its ARN where it is another account's.
    pub model: String,
    /// By what traffic is moved. Default: `configuration`.
    #[serde(default)]
    pub move_by: MoveBy,
    /// What becomes of the deployment configuration by which the endpoint was updated last. Default: `keep`.
    #[serde(default)]
    pub guardrails: Guardrails,
    /// The tag of a model that says its version, for models that are made of no model package. Default: none.
    #[serde(default)]
    pub version_tag: Option<String>,
    /// The id of the key whose secret is configured. Default: the key of `profile`, else what this host finds as AWS's own programs do.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// A profile of the shared files of AWS that has a key.
    #[serde(default)]
    pub profile: Option<String>,
    /// SageMaker's address, such as that of a VPC endpoint. Default: AWS's own in `region`.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "defaults::deadline_ms")]
    pub deadline_ms: u64,
    /// How long a call that failed is tried again, in milliseconds. Default: 20000.
    #[serde(default = "defaults::patience_ms")]
    pub patience_ms: u64,
}

/// One endpoint.
#[derive(Debug)]
pub struct SageMakerDeployer {
    api: Api,
    move_by: MoveBy,
    guardrails: Guardrails,
    deadline: Duration,
    shared: Shared,
}

impl SageMakerDeployer {
    /// Checks the configuration; AWS is not asked. `secret` is that of `access-key-id`.
    pub fn new(
        config: SageMakerDeployerConfig,
        secret: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        aws::check_region(&config.region)?;
        registry_sagemaker::check_group(&config.model)?;
        check_endpoint(&config.endpoint_name)?;
        if let Some(tag) = &config.version_tag {
            registry_sagemaker::check_tag("version-tag", tag)?;
        }
        if config.deadline_ms == 0 {
            return Err(wrong("`deadline-ms` must be 1 or more"));
        }
        let url = aws::endpoint("endpoint", config.endpoint.as_deref(), "api.sagemaker", &config.region)?;
        if is_in_the_clear(&url, |_| false) {
            return Err(wrong(format!(
                "`endpoint` is `{}`, and the variables of containers, keys among them, would go there in the clear: write it with `https`",
                http::shown(&url)
            )));
        }
        let way = Way::of(config.access_key_id, config.profile, secret)?;
        let deadline = Millis(config.deadline_ms);
        let credentials = Arc::new(Credentials::new(way, &config.region, &shared.http, deadline)?);
        let json = Json {
            http: shared.http.clone(),
            url,
            region: config.region,
            system: "SageMaker",
            service: "sagemaker",
            credentials,
            deadline,
            patience: Patience(Millis(config.patience_ms)),
        };
        Ok(Self {
            api: Api {
                registry: Registry::new(json, config.model.clone()),
                group: Group { shown: config.model },
                endpoint: config.endpoint_name,
                version_tag: config.version_tag,
            },
            move_by: config.move_by,
            guardrails: config.guardrails,
            deadline: Duration::from_millis(config.deadline_ms),
            shared: shared.clone(),
        })
    }

    /// What it is made of when everything is to be another version, in the order in which it is made.
    async fn to_make(&self, served: &Served, version: &VersionName) -> Result<(Vec<Made>, Made), PortError> {
        let package = self.api.registry.told(version).await?;
        self.is_not_rejected(version, &package)?;
        let arn = package["ModelPackageArn"].as_str().unwrap_or_default();
        let mut models: BTreeMap<&str, Made> = BTreeMap::new();
        for (variant, _) in &served.variants {
            let model = &served.models[&variant.model];
            // What was deployed by another way than of a package has no variables of a package.
            let before = match self.api.group.named(model) {
                Ok(Named::By(_, of)) => self.api.package(&of).await?,
                Ok(Named::Nothing) | Err(_) => None,
            };
            let made = made::model(&self.api.group, model, before.as_ref(), (version, arn))?;
            models.insert(&variant.model, made);
        }
        let instead = |of: &str| models.get(of).map(|made| made.name.clone());
        let configuration = made::configuration(&self.api.group, &served.configuration, version, instead)?;
        Ok((models.into_values().collect(), configuration))
    }

    /// Nobody serves what was rejected, be its model there already.
    fn is_not_rejected(&self, version: &VersionName, package: &Value) -> Result<(), PortError> {
        if package["ModelApprovalStatus"] != "Rejected" {
            return Ok(());
        }
        let text = format!(
            "version `{version}` of `{}` is `Rejected` in SageMaker, as by a hold: it is not deployed; approve it there, or choose another",
            self.api.group.shown
        );
        Err(PortError::not_applied(ErrorKind::Unsupported, text).retry(Retry::No))
    }

    /// The endpoint as it is now, where it is what was seen. AWS takes no condition on a change, so this is the last look before one.
    async fn unchanged(&self, seen: &Seen) -> Result<Endpoint, PortError> {
        let now = self.api.endpoint().await?;
        if now.endpoint_config_name == seen.endpoint.endpoint_config_name {
            if now.last_modified_time == seen.endpoint.last_modified_time {
                return Ok(now);
            }
            // What scales it changes that time as well, and nothing of what it serves.
            let now = self.api.see_of(now).await?;
            if now.readiness() == Readiness::Busy {
                let text = format!(
                    "the endpoint `{}` takes no update now: {}; it passes",
                    self.api.endpoint, now.state
                );
                return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later));
            }
            if now.state == seen.state {
                return Ok(now.endpoint);
            }
        }
        let text = format!(
            "the endpoint `{}` was changed by someone else while its update was prepared: it was left so",
            self.api.endpoint
        );
        Err(PortError::not_applied(ErrorKind::Conflict, text))
    }

    /// What is to be known before anything is changed.
    fn check(&self, seen: &Seen, order: &ShiftOrder) -> Result<(), PortError> {
        let endpoint = &self.api.endpoint;
        match seen.readiness() {
            Readiness::Ready => {}
            Readiness::Busy => {
                let text =
                    format!("the endpoint `{endpoint}` takes no update now: {}; it passes", seen.state);
                return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later));
            }
            Readiness::Broken => {
                let text = format!(
                    "the endpoint `{endpoint}` takes no update: it is {}",
                    seen::told(&seen.endpoint)
                );
                return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::No));
            }
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

    /// Makes what is needed and asks for the update of the endpoint that it returns.
    async fn by_configuration(&self, seen: &Seen, version: &VersionName) -> Result<Endpoint, PortError> {
        let served = self.known(seen)?;
        let (models, configuration) = self.to_make(served, version).await?;
        for model in &models {
            self.api.ensure_model(model).await?;
        }
        self.api.ensure_configuration(&configuration).await?;
        let now = self.unchanged(seen).await?;
        self.api.update(&configuration.name, self.guardrails == Guardrails::Keep).await?;
        Ok(now)
    }

    /// Asks for other weights of the endpoint that it returns.
    async fn by_weights(
        &self,
        seen: &Seen,
        version: &VersionName,
        moves: &Moves,
    ) -> Result<Endpoint, PortError> {
        self.known(seen)?;
        let standing = seen.standing(version).map_err(|why| self.unknown(&why))?;
        if !standing.iter().any(|one| one.is_target) {
            let text = format!(
                "no variant of the endpoint `{}` has version `{version}`, and `move-by = \"weights\"` moves to variants that are there: deploy it as one, or write `move-by = \"configuration\"`",
                self.api.endpoint
            );
            return Err(PortError::not_applied(ErrorKind::Unsupported, text));
        }
        let share = match moves {
            Moves::Share(share) => *share,
            Moves::Rest | Moves::Place(_) => Ratio::ONE,
        };
        // A version that a tag names need be no package.
        if let Some(package) = self.api.package(version).await? {
            self.is_not_rejected(version, &package)?;
        }
        let now = self.unchanged(seen).await?;
        self.api.weigh(&made::weights(&standing, share)).await?;
        Ok(now)
    }

    fn known<'a>(&self, seen: &'a Seen) -> Result<&'a Served, PortError> {
        seen.in_force.as_ref().map_err(|why| self.unknown(why))
    }

    fn unknown(&self, why: &str) -> PortError {
        let text = format!(
            "what the endpoint `{}` works with is not known, so nothing like it can be made: {why}",
            self.api.endpoint
        );
        PortError::not_applied(ErrorKind::Unsupported, text)
    }

    /// Follows an update of the endpoint that was `before` until it has ended, or `until`.
    async fn follow(
        &self,
        before: &Endpoint,
        order: &ShiftOrder,
        until: Instant,
    ) -> Result<Shifted, PortError> {
        let moves = moves(order);
        let (mut pause, pause_max) = LOOKS;
        let mut moved = false;
        loop {
            let told = match self.api.endpoint().await {
                Ok(endpoint) => {
                    moved |= endpoint.endpoint_status != "InService";
                    match self.api.see_of(endpoint).await {
                        Ok(seen) => match seen::turn(before, moved, &seen, &order.target, moves) {
                            Turn::There => return Ok(Shifted::Done),
                            Turn::Undone(why) => {
                                return Err(PortError::not_applied(ErrorKind::Failed, why).retry(Retry::No));
                            }
                            Turn::Stuck(why) => {
                                return Err(PortError::unknown(ErrorKind::Failed, why).retry(Retry::No));
                            }
                            Turn::GoesOn(how) => how,
                        },
                        Err(error) => format!("the update was asked for, and cannot be looked at: {error}"),
                    }
                }
                Err(error) => {
                    format!("the update was asked for, and the endpoint cannot be looked at: {error}")
                }
            };
            if Instant::now() + pause + self.deadline > until {
                return Ok(Shifted::Underway(told));
            }
            waiting::pausing(tokio::time::sleep(pause)).await;
            pause = (pause * 2).min(pause_max);
        }
    }

    /// Whether an update that SageMaker is at leads to what is ordered; none where nothing says where it leads.
    async fn leads_there(&self, seen: &Seen, order: &ShiftOrder) -> Result<Option<bool>, PortError> {
        let to = match &seen.endpoint.pending_deployment_summary {
            Some(pending) => self.api.state_of(&pending.endpoint_config_name).await?,
            None if self.move_by == MoveBy::Weights => seen.wanted(),
            None => return Ok(None),
        };
        Ok(match to {
            LiveState::Unknown(_) => None,
            to => Some(to.shows(&order.target, moves(order))),
        })
    }

    fn words(&self, version: &VersionTarget, wave: Option<&WaveOf>) -> String {
        let (group, endpoint, version) = (&self.api.group.shown, self.api.shown(), &version.version);
        match (self.move_by, wave) {
            (MoveBy::Configuration, _) => format!(
                "have the SageMaker endpoint {endpoint} work with a configuration like its own in which every variant has version `{version}` of `{group}`"
            ),
            (MoveBy::Weights, None) => format!(
                "give those variants of the SageMaker endpoint {endpoint} all weight that have version `{version}` of `{group}`"
            ),
            (MoveBy::Weights, Some(wave)) => format!(
                "move weight of the SageMaker endpoint {endpoint} to the variants with version `{version}` of `{group}`: {wave}"
            ),
        }
    }
}

/// What an order moves.
fn moves(order: &ShiftOrder) -> &Moves {
    order.wave.as_ref().map_or(&Moves::Rest, |wave| &wave.moves)
}

fn check_endpoint(name: &str) -> Result<(), PortError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !name.is_empty()
        && name.len() <= 63
        && name.chars().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
    {
        return Ok(());
    }
    Err(wrong(format!(
        "`{}` cannot be an `endpoint-name`: write the endpoint's name, of letters, digits and `-`, not its ARN",
        name.escape_debug()
    )))
}

#[async_trait]
impl Deployer for SageMakerDeployer {
    fn name(&self) -> &str {
        "deployer_sagemaker"
    }

    fn class(&self) -> EffectClass {
        EffectClass::Observable
    }

    async fn live(&self) -> Result<Live, PortError> {
        let state = self.api.see().await?.state;
        Ok(Live { state, facets: Vec::new(), since: None, observed_at: self.shared.clock.now() })
    }

    fn waves(&self, moves: &Moves) -> bool {
        self.move_by == MoveBy::Weights
            && match moves {
                Moves::Share(share) => *share < Ratio::ONE,
                Moves::Rest => true,
                Moves::Place(_) => false,
            }
    }

    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<Request> {
        if wave.is_some_and(|wave| !self.waves(&wave.moves)) {
            return None;
        }
        let version = target.version()?;
        let json = &self.api.registry.json;
        let operation = match self.move_by {
            MoveBy::Configuration => "UpdateEndpoint",
            MoveBy::Weights => "UpdateEndpointWeightsAndCapacities",
        };
        let share = match wave.map(|wave| &wave.moves) {
            Some(Moves::Share(share)) => share.get().to_string(),
            _ => Ratio::ONE.get().to_string(),
        };
        let request = Request::new(self.name(), &self.words(version, wave))
            .with("url", http::shown(&json.url))
            .with("region", json.region.clone())
            .with("operation", operation)
            .with("endpoint-name", self.api.endpoint.clone())
            .with("model-package-group", self.api.group.shown.clone())
            .with("version", version.version.to_string())
            .with("digest", version.digest.map(|digest| digest.to_string()).unwrap_or_default())
            .with("share", share)
            .with("guardrails", self.guardrails.shown());
        Some(request.hole(Hole::Expected).hole(Hole::Credentials).hole(Hole::Time))
    }

    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError> {
        let until = Instant::now() + Duration::from_millis(order.deadline.0).saturating_sub(HEADROOM);
        let Target::Version(target) = &order.target else {
            let text = format!("{} cannot be set here: this deployer sets versions", order.target);
            return Err(PortError::not_applied(ErrorKind::Unsupported, text));
        };
        if order.wave.as_ref().is_some_and(|wave| !self.waves(&wave.moves)) {
            let text =
                "an endpoint is moved in parts by `move-by = \"weights\"`, and then by share of the traffic";
            return Err(PortError::not_applied(ErrorKind::Unsupported, text));
        }
        let seen = self.api.see().await?;
        if seen.state.shows(&order.target, moves(order)) {
            return Ok(Shifted::Done);
        }
        if seen.readiness() == Readiness::Busy && self.leads_there(&seen, order).await? == Some(true) {
            return self.follow(&seen.endpoint, order, until).await;
        }
        self.check(&seen, order)?;
        let asked = match self.move_by {
            MoveBy::Configuration => self.by_configuration(&seen, &target.version).await,
            MoveBy::Weights => self.by_weights(&seen, &target.version, moves(order)).await,
        };
        let before = match asked {
            Ok(before) => before,
            Err(error) => {
                // A call that something in between sends twice is taken once, and refused the second time since it is under way.
                let may_be_ours = error.applied == Applied::No && error.kind == ErrorKind::Failed;
                let now = if may_be_ours { self.api.see().await.ok() } else { None };
                let Some(now) = now else { return Err(error) };
                let is_busy = now.readiness() == Readiness::Busy;
                let is_there = now.state.shows(&order.target, moves(order));
                let leads_there = is_busy && matches!(self.leads_there(&now, order).await, Ok(Some(true)));
                if !is_there && !leads_there {
                    return Err(if is_busy { error.retry(Retry::Later) } else { error });
                }
                seen.endpoint
            }
        };
        self.follow(&before, order, until).await
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        let seen = self.api.see().await?;
        let shown = seen::told(&seen.endpoint);
        if seen.readiness() == Readiness::Busy && seen.endpoint.endpoint_status != "SystemUpdating" {
            return Ok(match self.leads_there(&seen, order).await? {
                Some(false) => Probe::CannotTell(format!(
                    "SageMaker is at an update of the endpoint that does not lead to {}: {}",
                    order.target, seen.state
                )),
                Some(true) | None => Probe::Underway(format!("the endpoint is {shown}: {}", seen.state)),
            });
        }
        Ok(match &seen.state {
            LiveState::Unknown(why) => Probe::CannotTell(why.clone()),
            state if state.shows(&order.target, moves(order)) => Probe::Applied,
            // An update shows from when it was taken, and is gone where SageMaker took it back.
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

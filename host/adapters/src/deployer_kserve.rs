//! A deployer for KServe: what an `InferenceService` points at, and what the pods behind it serve.
//!
//! A shift sets the storage address of the predictor, and how much of the traffic its newest revision has, by server-side apply: under the guard of the
//! object as it was read, and not over the head of another owner. KServe does the rest; what is live is read from its status and from every pod that takes
//! traffic, so that a replica which did not move is seen.

mod live;
mod stated;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::fact::Live;
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{EffectClass, Moves, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::{Deployer, ErrorKind, PortError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::adapter::{Adapter, DeployerSays, SecretKey};
use crate::kubernetes::{self, Answers, Change, Cluster, FIELD_MANAGER, Resource, Template};
use crate::{Shared, http};

use stated::Stated;

/// What a part of a service is moved by.
const RESOURCE: Resource = Resource {
    group: "serving.kserve.io",
    version: "v1beta1",
    kind: "InferenceService",
    plural: "inferenceservices",
};

/// An `InferenceService`, and how it is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KserveDeployerConfig {
    /// The name of the `InferenceService`.
    pub model: String,
    /// Its namespace.
    pub namespace: String,
    /// The storage address of a version, such as `s3://models/{model}/{version}`.
    pub model_uri: String,
    /// How KServe runs it. Default: `knative`.
    #[serde(default)]
    pub mode: KserveMode,
    /// A kubeconfig, which only its owner may read. Default: the account of the pod that this host runs in.
    #[serde(default)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of it. Default: its current one.
    #[serde(default)]
    pub context: Option<String>,
    /// Field managers from which the storage address may be taken over, such as `kubectl-client-side-apply`. Default: none, and a field that another one
    /// holds is a conflict.
    #[serde(default)]
    pub take_over: Vec<String>,
    /// The protocol's `inputs` of a harmless request, which every pod that takes traffic is asked. Default: none, and then the pods' own specification tells.
    #[serde(default)]
    pub probe_input: Option<Value>,
    /// The same in a JSON file.
    #[serde(default)]
    pub probe_input_file: Option<PathBuf>,
    /// The port at which a pod answers. Default: the first one of its endpoints.
    #[serde(default)]
    pub probe_port: Option<u16>,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

/// How KServe runs a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KserveMode {
    /// Through Knative, which has revisions and splits the traffic between two: `Serverless`, or `Knative` as newer releases call it.
    #[default]
    Knative,
    /// As a `Deployment`, which replaces its pods one by one: `RawDeployment`, or `Standard` as newer releases call it.
    Standard,
}

/// For the catalogue.
pub const ADAPTER: Adapter<KserveDeployerConfig, dyn Deployer> = Adapter {
    kind: "kserve",
    system: "KServe",
    summary: "an `InferenceService` on Kubernetes",
    page: "deployer_kserve/README.md",
    secret: SecretKey::None,
    example: "namespace = \"models\", model-uri = \"s3://models/{model}/{version}\"",
    start: |config, start| {
        for path in [&mut config.kubeconfig, &mut config.probe_input_file].into_iter().flatten() {
            start.path(path);
        }
    },
    says: |config| {
        let asks = config.probe_input.is_some() || config.probe_input_file.is_some();
        DeployerSays {
            arguments: vec![
                Label::new("inference-service", format!("{}/{}", config.namespace, config.model)),
                Label::new("model-uri", config.model_uri.clone()),
                Label::new("mode", config.mode.to_string()),
                Label::new(
                    "cluster",
                    kubernetes::cluster(config.kubeconfig.as_deref(), config.context.as_deref()),
                ),
            ],
            proof: if asks { Proof::Answer } else { Proof::ControlPlane },
            endpoint: None,
        }
    },
    make: |config, with| Ok(Arc::new(KserveDeployer::new(config, with.shared)?)),
};

impl fmt::Display for KserveMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Knative => "knative",
            Self::Standard => "standard",
        })
    }
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// One `InferenceService`.
#[derive(Debug)]
pub struct KserveDeployer {
    cluster: Cluster,
    model: String,
    uri: Template,
    mode: KserveMode,
    take_over: Vec<String>,
    answers: Option<Answers>,
    shared: Shared,
}

impl KserveDeployer {
    /// Checks the configuration and reads its files; no cluster is asked.
    pub fn new(config: KserveDeployerConfig, shared: &Shared) -> Result<Self, PortError> {
        kubernetes::is_name("model", &config.model)?;
        Ok(Self {
            cluster: Cluster::new(config.kubeconfig, config.context, &config.namespace, config.deadline_ms)?,
            uri: Template::new("model-uri", &config.model_uri, &config.model)?,
            answers: Answers::new(
                shared,
                &config.model,
                config.probe_input,
                config.probe_input_file.as_deref(),
                config.probe_port,
                config.deadline_ms,
            )?,
            model: config.model,
            mode: config.mode,
            take_over: config.take_over,
            shared: shared.clone(),
        })
    }

    async fn object(&self) -> Result<Value, PortError> {
        self.cluster.get(RESOURCE, &self.model).await
    }

    /// What is to be said for a target, or for a wave of it.
    fn wanted(&self, target: &Target, wave: Option<&WaveOf>) -> Option<(VersionTarget, Stated)> {
        let version = target.version()?;
        let percent = match (self.mode, wave.map(|wave| &wave.moves)) {
            (KserveMode::Standard, None) => None,
            (KserveMode::Knative, None | Some(Moves::Rest)) => Some(100),
            (KserveMode::Knative, Some(Moves::Share(share))) => Some(stated::percent(*share)),
            (KserveMode::Standard, Some(_)) | (KserveMode::Knative, Some(Moves::Place(_))) => return None,
        };
        Some((version.clone(), Stated { uri: self.uri.of(&version.version), percent }))
    }

    fn unsupported(order: &ShiftOrder) -> PortError {
        let wave = order.wave.as_ref().map(|wave| format!(", {wave}")).unwrap_or_default();
        let text = format!(
            "{}{wave} cannot be set here: this deployer sets versions, and shares of the traffic in the mode `knative`",
            order.target
        );
        PortError::not_applied(ErrorKind::Unsupported, text)
    }

    fn change<'a>(
        &'a self,
        observed: &'a Value,
        wanted: &Stated,
        annotations: Value,
        deadline: Millis,
    ) -> Result<Change<'a>, PortError> {
        let member = stated::member(observed).map_err(|why| self.cannot_be_set(&why))?;
        let mut predictor = json!({ member: { "storageUri": wanted.uri } });
        if let Some(percent) = wanted.percent {
            predictor["canaryTrafficPercent"] = json!(percent);
        }
        Ok(Change {
            resource: RESOURCE,
            name: &self.model,
            observed,
            annotations,
            spec: json!({ "predictor": predictor }),
            marks: None,
            whole: &["predictor"],
            manager: FIELD_MANAGER.to_owned(),
            take_over: &self.take_over,
            deadline,
        })
    }

    fn cannot_be_set(&self, why: &str) -> PortError {
        PortError::not_applied(
            ErrorKind::Configuration,
            format!(
                "the `InferenceService` `{}` in the namespace `{}` {why}",
                self.model,
                self.cluster.namespace()
            ),
        )
    }

    /// Who holds what a shift sets, and may not be taken over from.
    fn held(&self, observed: &Value, member: &str) -> Option<String> {
        let mut owners = kubernetes::strangers(observed, &["spec", "predictor", member, "storageUri"]);
        if self.mode == KserveMode::Knative {
            owners.extend(kubernetes::strangers(observed, &["spec", "predictor", "canaryTrafficPercent"]));
        }
        kubernetes::held(RESOURCE, &self.model, &owners, &self.take_over)
    }

    async fn looked_at(&self) -> Result<Option<String>, PortError> {
        let observed = self.object().await?;
        if let Some(why) = stated::other_mode(&observed, self.mode) {
            return Ok(Some(why));
        }
        let stated = match Stated::of(&observed) {
            Ok(stated) => stated,
            Err(why) => return Ok(Some(self.cannot_be_set(&why).to_string())),
        };
        let member = stated::member(&observed).map_err(|why| self.cannot_be_set(&why))?;
        if let Some(held) = self.held(&observed, &member) {
            return Ok(Some(held));
        }
        // Whether the account may read all of it, and, with what is there already and without effect, whether it may change it.
        self.read_live(&observed).await?;
        if self.mode == KserveMode::Knative {
            self.may_read_revisions(&observed).await?;
        }
        let change = self.change(&observed, &stated, json!({}), self.cluster.deadline())?;
        self.cluster.would_take(&change).await
    }

    /// Whether live shows what was ordered.
    fn is_moved(live: &LiveState, order: &ShiftOrder) -> bool {
        live.shows(&order.target, order.wave.as_ref().map_or(&Moves::Rest, |wave| &wave.moves))
    }
}

#[async_trait]
impl Deployer for KserveDeployer {
    fn name(&self) -> &str {
        "deployer_kserve"
    }

    fn class(&self) -> EffectClass {
        EffectClass::Conditional
    }

    async fn live(&self) -> Result<Live, PortError> {
        let state = self.read_live(&self.object().await?).await?;
        Ok(Live { state, facets: Vec::new(), since: None, observed_at: self.shared.clock.now() })
    }

    fn waves(&self, moves: &Moves) -> bool {
        self.mode == KserveMode::Knative && !matches!(moves, Moves::Place(_))
    }

    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<Request> {
        let (version, wanted) = self.wanted(target, wave)?;
        let part = wave.map(|wave| format!(", {wave}")).unwrap_or_default();
        let words = format!(
            "have the `InferenceService` `{}` in the namespace `{}` serve {target} from `{}`{part}",
            self.model,
            self.cluster.namespace(),
            wanted.uri
        );
        let request = Request::new(self.name(), &words)
            .with("cluster", self.cluster.address())
            .with("namespace", self.cluster.namespace())
            .with("name", self.model.clone())
            .with("field manager", FIELD_MANAGER)
            .with("taken over from", self.take_over.join(", "))
            .with("version", version.version.to_string())
            .with("digest", version.digest.map(|digest| digest.to_string()).unwrap_or_default())
            .with("storageUri", wanted.uri)
            .with(
                "canaryTrafficPercent",
                wanted.percent.map(|percent| percent.to_string()).unwrap_or_default(),
            );
        Some(request.hole(Hole::Expected).hole(Hole::Credentials))
    }

    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError> {
        let (version, wanted) =
            self.wanted(&order.target, order.wave.as_ref()).ok_or_else(|| Self::unsupported(order))?;
        let observed = self.object().await?;
        if let Some(why) = stated::other_mode(&observed, self.mode) {
            return Err(PortError::not_applied(ErrorKind::Configuration, why));
        }
        // What this compares and what the change is put on is one object: another one is refused by the cluster itself.
        let live = self.read_live(&observed).await?;
        kubernetes::is_as_expected(&live, &order.expecting)?;
        let digest = version.digest.or_else(|| Some(order.staged.as_ref()?.digest));
        let annotations =
            kubernetes::named(version.version.as_str(), digest.map(|digest| digest.to_string()));
        let change = self.change(&observed, &wanted, annotations, order.deadline)?;
        // What comes back has the status of before.
        self.cluster.apply(&change).await?;
        Ok(Shifted::Underway(format!("`{}` is set: its pods show", wanted.uri)))
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        let Some((_, wanted)) = self.wanted(&order.target, order.wave.as_ref()) else {
            return Ok(Probe::CannotTell(format!(
                "{} cannot be set here as it is configured now: look at `{}` itself",
                order.target, self.model
            )));
        };
        let object = self.object().await?;
        let live = self.read_live(&object).await?;
        let stated = match Stated::of(&object) {
            Ok(stated) => stated,
            Err(why) => return Ok(Probe::CannotTell(self.cannot_be_set(&why).to_string())),
        };
        if stated.is(&wanted) {
            return Ok(match Self::is_moved(&live, order) {
                true => Probe::Applied,
                false => Probe::Underway(match stated::progress(&object) {
                    Some(how_far) => format!("{how_far}; live is {live}"),
                    None => format!("live is {live}"),
                }),
            });
        }
        Ok(match live.same_identity(&order.expecting) {
            true => Probe::NotApplied,
            false => Probe::CannotTell(format!(
                "the `InferenceService` says {stated}, which is not what was ordered, and live is {live}, which is not what was live before ({})",
                order.expecting
            )),
        })
    }

    async fn obstacle(&self) -> Option<String> {
        match self.looked_at().await {
            Ok(found) => found,
            // What passes is no obstacle to every shift.
            Err(error) => kubernetes::stays(&error).then(|| error.to_string()),
        }
    }

    async fn warning(&self) -> Option<String> {
        let object = self.object().await.ok()?;
        let odd = Stated::of(&object).ok().and_then(|stated| self.uri.version(&stated.uri).err());
        let odd = odd.map(|why| {
            format!(
                "the `InferenceService` `{}` points at {why}: live is unknown for as long as it does",
                self.model
            )
        });
        let told: Vec<_> = [kubernetes::put_back_by(&object), odd].into_iter().flatten().collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rollback_depends_on_is_among_what_is_said_of_it() {
        let config: KserveDeployerConfig = serde_json::from_value(json!({
            "model": "fraud", "namespace": "ml", "model-uri": "s3://models/{version}",
        }))
        .unwrap();
        let of = |config: &KserveDeployerConfig| (ADAPTER.says)(config).arguments;
        let others = [
            KserveDeployerConfig { mode: KserveMode::Standard, ..config.clone() },
            KserveDeployerConfig { kubeconfig: Some("k".into()), ..config.clone() },
            KserveDeployerConfig {
                kubeconfig: Some("k".into()),
                context: Some("c".into()),
                ..config.clone()
            },
        ];
        let all: Vec<_> = std::iter::once(&config).chain(&others).map(of).collect();
        for (index, arguments) in all.iter().enumerate() {
            assert!(!all[..index].contains(arguments), "{arguments:?}");
        }
        assert!(all[3].contains(&Label::new("cluster", "`c` of k")), "{:?}", all[3]);
    }
}

//! A deployer for Seldon Core: a `SeldonDeployment` of its first generation; a `Model` or an `Experiment` of Core 2.
//!
//! A shift sets the model's address, or the weights of an experiment, by server-side apply under the guard of the object as it was read. What is live is read
//! from the pods behind a `SeldonDeployment`; of a `Model` from what Seldon says since it was changed; of an `Experiment` from answers.

mod deployment;
mod experiment;
mod model;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use ripcord_core::live::Proof;
use ripcord_core::signal::Label;
use ripcord_core::time::Millis;
use ripcord_ports::{Deployer, ErrorKind, PortError};
use serde::Deserialize;
use serde_json::Value;

use crate::adapter::{Adapter, DeployerSays, SecretKey};
use crate::kubernetes::{self, Answers, Cluster, Kind, NamedBy, Served, Template};
use crate::{Shared, http};

use deployment::SeldonDeployment;
use experiment::{Experiment, Mesh};
use model::Model;

/// More answers are not waited for.
const ANSWERS_MAX: u32 = 100;

/// An object of Seldon Core, and how it is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SeldonDeployerConfig {
    /// The name of the object.
    pub model: String,
    /// Its namespace.
    pub namespace: String,
    /// Its kind. Default: `seldon-deployment`.
    #[serde(default)]
    pub resource: SeldonResource,
    /// The storage address of a version, such as `s3://models/{model}/{version}`.
    #[serde(default)]
    pub model_uri: Option<String>,
    /// In its place, of a `SeldonDeployment`: the image of a version, such as `registry.example/{model}:{version}`.
    #[serde(default)]
    pub image: Option<String>,
    /// A kubeconfig, which only its owner may read. Default: the account of the pod that this host runs in.
    #[serde(default)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of it. Default: its current one.
    #[serde(default)]
    pub context: Option<String>,
    /// Field managers from which what is set may be taken over, such as `kubectl-client-side-apply`. Default: none, and a field that another one holds is a
    /// conflict.
    #[serde(default)]
    pub take_over: Vec<String>,
    /// The protocol's `inputs` of a harmless request: every pod of a `SeldonDeployment` is asked, and for an `Experiment` the mesh. Default: none.
    #[serde(default)]
    pub probe_input: Option<Value>,
    /// The same in a JSON file.
    #[serde(default)]
    pub probe_input_file: Option<PathBuf>,
    /// The name under which a pod has the model. Default: `model`.
    #[serde(default)]
    pub probe_model: Option<String>,
    /// The port at which a pod answers. Default: the first one of its endpoints.
    #[serde(default)]
    pub probe_port: Option<u16>,
    /// Where Core 2 answers, such as `http://seldon-mesh.ml`: needed for an `Experiment`, and for nothing else.
    #[serde(default)]
    pub mesh: Option<String>,
    /// So many answers of the mesh are looked at when live is read, from 1 to 100. Default: 20.
    #[serde(default = "answers_default")]
    pub answers: u32,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

/// What kind of object it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeldonResource {
    /// `SeldonDeployment`, of Seldon Core 1.
    #[default]
    SeldonDeployment,
    /// `Model`, of Core 2.
    Model,
    /// `Experiment`, of Core 2.
    Experiment,
}

/// For the catalogue.
pub const ADAPTER: Adapter<SeldonDeployerConfig, dyn Deployer> = Adapter {
    kind: "seldon",
    system: "Seldon Core",
    summary: "a `SeldonDeployment`, a `Model` or an `Experiment` on Kubernetes",
    page: "deployer_seldon/README.md",
    secret: SecretKey::None,
    example: "namespace = \"models\", model-uri = \"s3://models/{model}/{version}\"",
    start: |config, start| {
        for path in [&mut config.kubeconfig, &mut config.probe_input_file].into_iter().flatten() {
            start.path(path);
        }
    },
    says: |config| {
        let asks = config.probe_input.is_some() || config.probe_input_file.is_some();
        let named = config.image.as_ref().or(config.model_uri.as_ref()).cloned().unwrap_or_default();
        DeployerSays {
            arguments: vec![
                Label::new(config.resource.to_string(), format!("{}/{}", config.namespace, config.model)),
                Label::new("serves", named),
                Label::new(
                    "cluster",
                    kubernetes::cluster(config.kubeconfig.as_deref(), config.context.as_deref()),
                ),
                Label::new("mesh", config.mesh.clone().unwrap_or_default()),
            ],
            proof: if asks && config.resource == SeldonResource::SeldonDeployment {
                Proof::Answer
            } else {
                Proof::ControlPlane
            },
            endpoint: None,
        }
    },
    make: |config, with| Ok(Arc::new(deployer(config, with.shared)?)),
};

impl fmt::Display for SeldonResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SeldonDeployment => "seldon-deployment",
            Self::Model => "model",
            Self::Experiment => "experiment",
        })
    }
}

fn answers_default() -> u32 {
    20
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// The deployer of such an object. The configuration is checked and its files are read; no cluster is asked.
///
/// # Errors
/// The settings do not fit together, or a file that they name cannot be read.
pub fn deployer(config: SeldonDeployerConfig, shared: &Shared) -> Result<impl Deployer + use<>, PortError> {
    kubernetes::is_name("model", &config.model)?;
    let kind = kind(&config, shared)?;
    Ok(Served {
        adapter: "deployer_seldon",
        cluster: Cluster::new(config.kubeconfig, config.context, &config.namespace, config.deadline_ms)?,
        name: config.model,
        take_over: config.take_over,
        kind,
        shared: shared.clone(),
    })
}

fn kind(config: &SeldonDeployerConfig, shared: &Shared) -> Result<Box<dyn Kind>, PortError> {
    let resource = config.resource;
    if resource != SeldonResource::SeldonDeployment && config.image.is_some() {
        return Err(wrong(format!(
            "`image` is set, and a version of the resource `{resource}` is an address: set `model-uri`"
        )));
    }
    if resource != SeldonResource::Experiment && config.mesh.is_some() {
        return Err(wrong(format!(
            "`mesh` is set, and is asked for the resource `experiment` alone: leave it out for `{resource}`"
        )));
    }
    let uri = || match &config.model_uri {
        Some(uri) => Template::new("model-uri", uri, &config.model),
        None => Err(wrong(
            "`model-uri` is not set: write where a version lies, such as `s3://models/{model}/{version}`"
                .to_owned(),
        )),
    };
    let asks = config.probe_input.is_some() || config.probe_input_file.is_some();
    Ok(match resource {
        SeldonResource::SeldonDeployment => {
            let answers = Answers::new(
                shared,
                config.probe_model.as_deref().unwrap_or(&config.model),
                config.probe_input.clone(),
                config.probe_input_file.as_deref(),
                config.probe_port,
                config.deadline_ms,
            )?;
            let image = match (&config.model_uri, &config.image) {
                (Some(_), Some(_)) => {
                    return Err(wrong(
                        "both `model-uri` and `image` are set: keep the one that names a version".to_owned(),
                    ));
                }
                (None, Some(image)) => Some(NamedBy::Image(Template::new("image", image, &config.model)?)),
                (_, None) => None,
            };
            match image {
                Some(image) => Box::new(SeldonDeployment::by_image(image, answers)),
                None => Box::new(SeldonDeployment::by_uri(uri()?, answers)),
            }
        }
        SeldonResource::Model if asks => {
            return Err(wrong("`probe-input` is set, and answers of a `Model` name a number of Seldon's own and no version: leave it out, and have golden data prove what is served".to_owned()));
        }
        SeldonResource::Model => Box::new(Model { uri: uri()? }),
        SeldonResource::Experiment => {
            let (Some(mesh), true) = (&config.mesh, asks) else {
                return Err(wrong("an `Experiment` is read by answers, since its status does not say of which state it is: set `mesh`, and `probe-input` or `probe-input-file`".to_owned()));
            };
            if !(1..=ANSWERS_MAX).contains(&config.answers) {
                return Err(wrong(format!(
                    "`answers` is {}: from 1 to {ANSWERS_MAX} are possible",
                    config.answers
                )));
            }
            let url = http::address(mesh)?;
            http::is_shown_whole("mesh", &url)?;
            if !url.username().is_empty() || url.password().is_some() {
                return Err(wrong(
                    "`mesh` holds a user or a password, which would be sent as they are: write the address without"
                        .to_owned(),
                ));
            }
            let mesh = Mesh {
                http: shared.http.clone(),
                url,
                input: kubernetes::probe_input(
                    config.probe_input.clone(),
                    config.probe_input_file.as_deref(),
                )?
                .unwrap_or_default(),
                answers: config.answers,
                deadline: Millis(config.deadline_ms),
            };
            Box::new(Experiment { model: Model { uri: uri()? }, mesh })
        }
    })
}

fn wrong(text: String) -> PortError {
    PortError::not_applied(ErrorKind::Configuration, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(more: &Value) -> SeldonDeployerConfig {
        let mut all = json!({ "model": "fraud", "namespace": "ml" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn settings_that_do_not_fit_together_are_told() {
        let shared =
            Shared { http: http::Http::new().unwrap(), clock: Arc::new(crate::clock_system::SystemClock) };
        for (more, expected) in [
            (json!({}), "`model-uri` is not set"),
            (
                json!({ "image": "a:{version}", "model-uri": "s3://{version}" }),
                "both `model-uri` and `image`",
            ),
            (json!({ "resource": "model", "image": "a:{version}" }), "`image` is set"),
            (json!({ "model-uri": "s3://{version}", "mesh": "http://mesh" }), "`mesh` is set"),
            (
                json!({ "resource": "model", "model-uri": "s3://{version}", "probe-input": [] }),
                "no version: leave it out",
            ),
            (json!({ "resource": "experiment", "model-uri": "s3://{version}" }), "set `mesh`"),
            (
                json!({ "resource": "experiment", "model-uri": "s3://{version}", "mesh": "http://mesh", "probe-input": [], "answers": 0 }),
                "from 1 to 100",
            ),
            (
                json!({ "resource": "experiment", "model-uri": "s3://{version}", "mesh": "http://a:b@mesh", "probe-input": [] }),
                "a user or a password",
            ),
            (
                json!({ "resource": "experiment", "model-uri": "s3://{version}", "mesh": "http://mesh?x=1", "probe-input": [] }),
                "a query or a fragment",
            ),
            (
                json!({ "resource": "experiment", "model-uri": "s3://{version}", "mesh": "http://mesh", "probe-input": {} }),
                "is no list",
            ),
        ] {
            let error = kind(&config(&more), &shared).unwrap_err();
            assert!(error.to_string().contains(expected), "{more}: {error}");
        }
    }

    #[test]
    fn no_answer_of_core_2_names_a_version() {
        let proof = |resource: &str| {
            let more = json!({ "resource": resource, "model-uri": "s3://{version}", "probe-input": [] });
            (ADAPTER.says)(&config(&more)).proof
        };
        assert_eq!(proof("seldon-deployment"), Proof::Answer);
        assert_eq!((proof("model"), proof("experiment")), (Proof::ControlPlane, Proof::ControlPlane));
    }

    #[test]
    fn what_a_rollback_depends_on_is_among_what_is_said_of_it() {
        let of = |more: Value| (ADAPTER.says)(&config(&more)).arguments;
        let all = [
            of(json!({ "model-uri": "s3://{version}" })),
            of(json!({ "model-uri": "s3://{version}", "resource": "model" })),
            of(json!({ "image": "a:{version}" })),
            of(json!({ "image": "a:{version}", "kubeconfig": "k" })),
            of(json!({ "image": "a:{version}", "mesh": "http://mesh" })),
        ];
        for (index, arguments) in all.iter().enumerate() {
            assert!(!all[..index].contains(arguments), "{arguments:?}");
        }
    }
}

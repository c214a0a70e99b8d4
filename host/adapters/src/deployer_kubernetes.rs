//! A deployer for a plain `Deployment`: one container's image, or one variable of its environment, names the version.
//!
//! A shift sets that one field by server-side apply; the cluster replaces the pods. What is live is read from the pods behind the service that leads to them,
//! those of older replica sets among them, and from their own answers where an input is configured.

mod deployment;

use std::path::PathBuf;
use std::sync::Arc;

use ripcord_core::live::Proof;
use ripcord_core::signal::Label;
use ripcord_ports::{Deployer, ErrorKind, PortError};
use serde::Deserialize;
use serde_json::Value;

use crate::adapter::{Adapter, DeployerSays, SecretKey};
use crate::kubernetes::{self, Answers, Cluster, NamedBy, Served, Template};
use crate::{Shared, http};

use deployment::Deployment;

/// A `Deployment`, and how it is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KubernetesDeployerConfig {
    /// The name of the `Deployment`.
    pub model: String,
    /// Its namespace.
    pub namespace: String,
    /// The image of a version, such as `registry.example/{model}@sha256:{version}`.
    #[serde(default)]
    pub image: Option<String>,
    /// In its place: the variable of the container's environment that names the version.
    #[serde(default)]
    pub variable: Option<String>,
    /// What the variable is for a version. Default: `{version}`.
    #[serde(default)]
    pub value: Option<String>,
    /// The container. Default: the only one.
    #[serde(default)]
    pub container: Option<String>,
    /// The `Service` that leads to its pods. Default: the one that is called like the `Deployment`.
    #[serde(default)]
    pub service: Option<String>,
    /// A kubeconfig, which only its owner may read. Default: the account of the pod that this host runs in.
    #[serde(default)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of it. Default: its current one.
    #[serde(default)]
    pub context: Option<String>,
    /// Field managers from which the field may be taken over, such as `kubectl-client-side-apply`. Default: none, and a field that another one holds is a
    /// conflict.
    #[serde(default)]
    pub take_over: Vec<String>,
    /// The protocol's `inputs` of a harmless request, which every pod that takes traffic is asked. Default: none, and then the pods' own specification tells.
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
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

/// For the catalogue.
pub const ADAPTER: Adapter<KubernetesDeployerConfig, dyn Deployer> = Adapter {
    kind: "kubernetes",
    system: "Kubernetes",
    summary: "a plain `Deployment`, by its image or a variable",
    page: "deployer_kubernetes/README.md",
    secret: SecretKey::None,
    example: "namespace = \"models\", image = \"registry.example/{model}:{version}\"",
    start: |config, start| {
        for path in [&mut config.kubeconfig, &mut config.probe_input_file].into_iter().flatten() {
            start.path(path);
        }
    },
    says: |config| {
        let asks = config.probe_input.is_some() || config.probe_input_file.is_some();
        let named = match (&config.image, &config.variable) {
            (Some(image), _) => image.clone(),
            (None, Some(variable)) => format!("{variable}={}", value(config)),
            (None, None) => String::new(),
        };
        let service = config.service.as_ref().unwrap_or(&config.model);
        DeployerSays {
            arguments: vec![
                Label::new("deployment", format!("{}/{}", config.namespace, config.model)),
                Label::new("container", config.container.clone().unwrap_or_default()),
                Label::new("serves", named),
                Label::new("service", service.clone()),
                Label::new(
                    "cluster",
                    kubernetes::cluster(config.kubeconfig.as_deref(), config.context.as_deref()),
                ),
            ],
            proof: if asks { Proof::Answer } else { Proof::ControlPlane },
            endpoint: None,
        }
    },
    make: |config, with| Ok(Arc::new(deployer(config, with.shared)?)),
};

fn value(config: &KubernetesDeployerConfig) -> &str {
    config.value.as_deref().unwrap_or("{version}")
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// The deployer of such a `Deployment`. The configuration is checked and its files are read; no cluster is asked.
///
/// # Errors
/// The settings do not fit together, or a file that they name cannot be read.
pub fn deployer(
    config: KubernetesDeployerConfig,
    shared: &Shared,
) -> Result<impl Deployer + use<>, PortError> {
    kubernetes::is_name("model", &config.model)?;
    let by = named_by(&config)?;
    let answers = Answers::new(
        shared,
        config.probe_model.as_deref().unwrap_or(&config.model),
        config.probe_input,
        config.probe_input_file.as_deref(),
        config.probe_port,
        config.deadline_ms,
    )?;
    let service = config.service.unwrap_or_else(|| config.model.clone());
    kubernetes::is_name("service", &service)?;
    Ok(Served {
        adapter: "deployer_kubernetes",
        cluster: Cluster::new(config.kubeconfig, config.context, &config.namespace, config.deadline_ms)?,
        name: config.model,
        take_over: config.take_over,
        kind: Box::new(Deployment { by, container: config.container, service, answers }),
        shared: shared.clone(),
    })
}

fn named_by(config: &KubernetesDeployerConfig) -> Result<NamedBy, PortError> {
    let wrong = |text: &str| PortError::not_applied(ErrorKind::Configuration, text.to_owned());
    match (&config.image, &config.variable) {
        (Some(_), Some(_)) => {
            Err(wrong("both `image` and `variable` are set: keep the one that names a version"))
        }
        (None, None) => Err(wrong(
            "neither `image` nor `variable` is set: write what names a version, such as `image = \"registry.example/{model}:{version}\"`",
        )),
        (Some(_), None) if config.value.is_some() => {
            Err(wrong("`value` is set, and is of a `variable`: leave it out beside `image`"))
        }
        (Some(image), None) => Ok(NamedBy::Image(Template::new("image", image, &config.model)?)),
        (None, Some(variable)) => {
            Ok(NamedBy::Variable(variable.clone(), Template::new("value", value(config), &config.model)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(more: &Value) -> KubernetesDeployerConfig {
        let mut all = json!({ "model": "fraud", "namespace": "ml" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn settings_that_do_not_fit_together_are_told() {
        for (more, expected) in [
            (json!({}), "neither `image` nor `variable`"),
            (json!({ "image": "a:{version}", "variable": "V" }), "both `image` and `variable`"),
            (json!({ "image": "a:{version}", "value": "{version}" }), "`value` is set"),
            (json!({ "image": "a" }), "write it once"),
            (json!({ "variable": "V", "value": "x" }), "write it once"),
        ] {
            let error = named_by(&config(&more)).unwrap_err();
            assert!(error.to_string().contains(expected), "{more}: {error}");
        }
        assert!(named_by(&config(&json!({ "variable": "V" }))).is_ok());
    }

    #[test]
    fn what_a_rollback_depends_on_is_among_what_is_said_of_it() {
        let of = |more: Value| (ADAPTER.says)(&config(&more)).arguments;
        let all = [
            of(json!({ "image": "a:{version}" })),
            of(json!({ "image": "b:{version}" })),
            of(json!({ "variable": "V" })),
            of(json!({ "variable": "V", "value": "v{version}" })),
            of(json!({ "image": "a:{version}", "container": "main" })),
            of(json!({ "image": "a:{version}", "service": "front" })),
            of(json!({ "image": "a:{version}", "kubeconfig": "k" })),
        ];
        for (index, arguments) in all.iter().enumerate() {
            assert!(!all[..index].contains(arguments), "{arguments:?}");
        }
    }
}

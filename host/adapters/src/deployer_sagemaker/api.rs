//! Calls to SageMaker about one endpoint.

use std::collections::BTreeMap;

use ripcord_core::live::LiveState;
use ripcord_core::name::VersionName;
use ripcord_ports::{Applied, ErrorKind, PortError};
use serde_json::{Value, json};

use super::group::{Group, Named};
use super::made::{Made, is_same_configuration, is_same_model};
use super::seen::{Seen, Served};
use super::wire::{Endpoint, Object, text, variants};
use crate::http;
use crate::registry_sagemaker::api::Api as Registry;

/// SageMaker, one endpoint in it, and the group whose versions it serves.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) registry: Registry,
    pub(super) group: Group,
    pub(super) endpoint: String,
    /// The tag of a model that says its version where no container does.
    pub(super) version_tag: Option<String>,
}

/// Two kinds of things that are made under a name.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Model,
    Configuration,
}

impl Kind {
    const fn shown(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Configuration => "endpoint configuration",
        }
    }

    const fn describes(self) -> (&'static str, &'static str) {
        match self {
            Self::Model => ("DescribeModel", "ModelName"),
            Self::Configuration => ("DescribeEndpointConfig", "EndpointConfigName"),
        }
    }

    const fn creates(self) -> &'static str {
        match self {
            Self::Model => "CreateModel",
            Self::Configuration => "CreateEndpointConfig",
        }
    }
}

impl Api {
    /// Where the endpoint is, for people.
    pub(super) fn shown(&self) -> String {
        format!("{} at {}", self.endpoint, http::shown(&self.registry.json.url))
    }

    /// The endpoint as it stands.
    pub(super) async fn endpoint(&self) -> Result<Endpoint, PortError> {
        let asked =
            self.registry.json.ask("DescribeEndpoint", &json!({ "EndpointName": self.endpoint })).await;
        asked.map_err(|error| {
            if error.kind != ErrorKind::NotFound {
                return error;
            }
            let text = format!(
                "SageMaker has no endpoint `{}` in `{}` for this account: check `endpoint-name` and `region`, and whose credentials these are",
                self.endpoint, self.registry.json.region
            );
            PortError::not_applied(ErrorKind::NotFound, text)
        })
    }

    async fn described(&self, kind: Kind, name: &str) -> Result<Option<Object>, PortError> {
        let (operation, key) = kind.describes();
        match self.registry.json.ask::<Object>(operation, &json!({ key: name })).await {
            Ok(object) if text(&object, key) == Some(name) => Ok(Some(object)),
            Ok(_) => {
                let text = format!(
                    "SageMaker was asked for the {} `{}` and answered about another: it is not used",
                    kind.shown(),
                    name.escape_debug()
                );
                Err(PortError::not_applied(ErrorKind::BadAnswer, text))
            }
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The endpoint with what it works with.
    pub(super) async fn see(&self) -> Result<Seen, PortError> {
        let endpoint = self.endpoint().await?;
        self.see_of(endpoint).await
    }

    /// What an endpoint that was looked at works with.
    pub(super) async fn see_of(&self, endpoint: Endpoint) -> Result<Seen, PortError> {
        let in_force = match &endpoint.endpoint_config_name {
            Some(name) => self.served(name).await?,
            None => Err("SageMaker names no configuration of it".to_owned()),
        };
        Ok(Seen::of(endpoint, in_force))
    }

    /// What a configuration would serve if it had the endpoint's traffic by its own weights.
    pub(super) async fn state_of(&self, configuration: &str) -> Result<LiveState, PortError> {
        Ok(match self.served(configuration).await? {
            Ok(served) => served.by_its_own_weights(),
            Err(why) => LiveState::Unknown(why),
        })
    }

    /// A configuration with its models, or why it is not known what they are.
    async fn served(&self, configuration: &str) -> Result<Result<Served, String>, PortError> {
        let shown = configuration.escape_debug();
        let Some(body) = self.described(Kind::Configuration, configuration).await? else {
            return Ok(Err(format!("its configuration `{shown}` was deleted")));
        };
        let variants = match variants(&body) {
            Ok(variants) => variants,
            Err(why) => return Ok(Err(format!("of its configuration `{shown}`: {why}"))),
        };
        let mut models = BTreeMap::new();
        let mut versions = Vec::new();
        for variant in variants {
            if !models.contains_key(&variant.model) {
                let Some(model) = self.described(Kind::Model, &variant.model).await? else {
                    return Ok(Err(format!(
                        "the model `{}` of its variant was deleted",
                        variant.model.escape_debug()
                    )));
                };
                models.insert(variant.model.clone(), model);
            }
            let version = match self.version_of(&models[&variant.model]).await? {
                Ok(version) => version,
                Err(why) => {
                    return Ok(Err(format!("of the model `{}`: {why}", variant.model.escape_debug())));
                }
            };
            versions.push((variant, version));
        }
        Ok(Ok(Served { configuration: body, variants: versions, models }))
    }

    async fn version_of(&self, model: &Object) -> Result<Result<VersionName, String>, PortError> {
        match self.group.named(model) {
            Ok(Named::By(_, version)) => return Ok(Ok(version)),
            Ok(Named::Nothing) => {}
            Err(why) => return Ok(Err(why)),
        }
        let made_of = Group::made_of(model);
        let Some(tag) = &self.version_tag else {
            return Ok(Err(format!(
                "it is made of {made_of}, which is no version of `{}`: deploy model packages, or have a tag of the model say the version and name it as `version-tag`",
                self.group.shown
            )));
        };
        let Some(arn) = text(model, "ModelArn") else {
            return Ok(Err("SageMaker tells no ARN of it".to_owned()));
        };
        let tags = self.registry.tags_of(arn, &format!("the tags of `{}`", arn.escape_debug())).await?;
        let said = tags.get(tag);
        Ok(match said.map(VersionName::new) {
            Some(Ok(version)) => Ok(version),
            Some(Err(_)) => Err(format!("its tag `{tag}` says no version")),
            None => Err(format!("it is made of {made_of}, and has no tag `{tag}` that says the version")),
        })
    }

    /// A version's package; none where it is gone.
    pub(super) async fn package(&self, version: &VersionName) -> Result<Option<Value>, PortError> {
        match self.registry.told(version).await {
            Ok(package) => Ok(Some(package)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a model, if it is not there.
    pub(super) async fn ensure_model(&self, made: &Made) -> Result<(), PortError> {
        self.ensure(Kind::Model, made, is_same_model).await
    }

    /// Makes a configuration, if it is not there.
    pub(super) async fn ensure_configuration(&self, made: &Made) -> Result<(), PortError> {
        self.ensure(Kind::Configuration, made, is_same_configuration).await
    }

    /// Nothing of this touches what answers: whatever goes wrong, it may be done again.
    async fn ensure(
        &self,
        kind: Kind,
        made: &Made,
        is_same: fn(&Object, &Made) -> bool,
    ) -> Result<(), PortError> {
        let harmless = |error: PortError| {
            // A policy may allow only names that begin in its way.
            let mut error = match error.kind {
                ErrorKind::Denied => {
                    let text = format!("for the {} `{}`: {error}", kind.shown(), made.name);
                    PortError::not_applied(ErrorKind::Denied, text).retry(error.retry)
                }
                _ => error,
            };
            error.applied = Applied::No;
            error
        };
        let created = match self.described(kind, &made.name).await.map_err(harmless)? {
            Some(there) => return self.is_ours(kind, made, is_same(&there, made)),
            None => {
                let body = Value::Object(made.body.clone());
                self.registry.json.change(kind.creates(), &body).await
            }
        };
        // What an answer says or leaves out is no proof.
        match (self.described(kind, &made.name).await, created) {
            (Ok(Some(there)), _) => self.is_ours(kind, made, is_same(&there, made)),
            (_, Err(error)) => Err(harmless(error)),
            (Ok(None), Ok(())) => {
                let text = format!(
                    "SageMaker answered that the {} `{}` was made, and does not have it: check for a cache before it",
                    kind.shown(),
                    made.name
                );
                Err(PortError::not_applied(ErrorKind::Failed, text))
            }
            (Err(error), Ok(())) => Err(harmless(error)),
        }
    }

    fn is_ours(&self, kind: Kind, made: &Made, is_same: bool) -> Result<(), PortError> {
        if is_same {
            return Ok(());
        }
        let text = format!(
            "SageMaker has another {} under the name `{}`, which stands for its content: somebody made it by hand; delete it",
            kind.shown(),
            made.name
        );
        Err(PortError::not_applied(ErrorKind::Conflict, text))
    }

    /// Has the endpoint work with a configuration.
    pub(super) async fn update(&self, configuration: &str, retain_deployment: bool) -> Result<(), PortError> {
        let body = json!({
            "EndpointName": self.endpoint, "EndpointConfigName": configuration, "RetainAllVariantProperties": true,
            "RetainDeploymentConfig": retain_deployment,
        });
        self.registry.json.change("UpdateEndpoint", &body).await
    }

    /// Gives the variants of the endpoint these weights.
    pub(super) async fn weigh(&self, weights: &[(String, f64)]) -> Result<(), PortError> {
        let one = |(name, weight): &(String, f64)| json!({ "VariantName": name, "DesiredWeight": weight });
        let wanted: Vec<Value> = weights.iter().map(one).collect();
        let body = json!({ "EndpointName": self.endpoint, "DesiredWeightsAndCapacities": wanted });
        self.registry.json.change("UpdateEndpointWeightsAndCapacities", &body).await
    }
}

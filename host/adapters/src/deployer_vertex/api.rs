//! Calls to Vertex AI about one endpoint.

use std::collections::BTreeMap;

use reqwest::{Method, Url};
use ripcord_core::name::VersionName;
use ripcord_ports::{ErrorKind, PortError};
use serde_json::{Value, json};

use super::made::Made;
use super::seen::{Own, Seen};
use super::wire::{Endpoint, Operation, Operations};
use crate::http;
use crate::registry_vertex::api::Api as Registry;
use crate::registry_vertex::holds;
use crate::registry_vertex::pages::Pages;
use crate::registry_vertex::refusal::Right;

/// Pages of operations that are looked through.
const PAGES_MAX: usize = 10;
/// Operations that one answer may hold.
const PAGE: &str = "100";
/// Operations that change what is deployed.
const CHANGES: [&str; 3] = ["DeployModel", "MutateDeployedModel", "UndeployModel"];
/// Answers that must all be of one version.
const ANSWERS: u32 = 3;

/// Vertex AI, and one endpoint in it.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) registry: Registry,
    pub(super) own: Own,
    /// The endpoint's resource name.
    pub(super) name: String,
    pub(super) id: String,
    /// Where predictions are asked for, where that is configured.
    pub(super) predictions: Option<Url>,
    pub(super) probe: Option<Value>,
}

impl Api {
    fn right(&self, needs: &'static str) -> Right<'_> {
        Right::Endpoint { name: &self.name, needs }
    }

    /// The endpoint as it stands.
    pub(super) async fn see(&self) -> Result<Seen, PortError> {
        let url = self.registry.resource(&self.name, "");
        let answer = self.registry.ask(&url, self.right("`aiplatform.endpoints.get`")).await?;
        let endpoint: Endpoint = answer.json()?;
        // The project may be told by its number.
        if !endpoint.name.ends_with(&format!("/endpoints/{}", self.id)) {
            let text = format!(
                "Vertex AI was asked for `{}` and answered about {}: it is not used",
                self.name,
                http::excerpt(endpoint.name.as_bytes())
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        Ok(Seen::of(endpoint, &self.own))
    }

    /// Refuses a version that Ripcord has marked as held, and one that is not there.
    pub(super) async fn may_serve(&self, version: &VersionName) -> Result<(), PortError> {
        let (model, _) = self.registry.version(version).await?;
        let Some(alias) = model.version_aliases.iter().find(|alias| holds::is_held(alias)) else {
            return Ok(());
        };
        let text = format!(
            "version `{version}` of `{}` has the alias `{}`, which holds it: it is given no traffic; lift the hold, or choose another",
            self.registry.model,
            alias.escape_debug()
        );
        Err(PortError::not_applied(ErrorKind::Unsupported, text))
    }

    /// What changes the deployments of the endpoint at the moment, for people; none where nothing does, or where that may not be asked.
    pub(super) async fn busy(&self) -> Result<Option<String>, PortError> {
        let mut pages = Pages::of(format!("the operations on `{}`", self.name), PAGES_MAX);
        loop {
            let mut url = self.registry.resource(&format!("{}/operations", self.name), "");
            url.query_pairs_mut().append_pair("pageSize", PAGE);
            if let Some(token) = pages.token() {
                url.query_pairs_mut().append_pair("pageToken", token);
            }
            let page = match self.registry.ask(&url, self.right("`aiplatform.operations.list`")).await {
                Ok(answer) => answer.json::<Operations>()?,
                // The id of what is deployed keeps it from being deployed twice as well.
                Err(error) if error.kind == ErrorKind::Denied => return Ok(None),
                Err(error) => return Err(error),
            };
            match pages.is_last(page.operations.unwrap_or_default(), page.next_page_token) {
                Ok(false) => {}
                Ok(true) => break,
                // Old ones are kept for a while, and the newest are enough.
                Err(error) if error.kind == ErrorKind::TooLarge => break,
                Err(error) => return Err(error),
            }
        }
        let changes = |one: &Operation| CHANGES.iter().any(|kind| one.kind().starts_with(kind));
        let going = pages.all.iter().find(|one| !one.is_done() && changes(one));
        Ok(going
            .map(|one| format!("`{}` {}", one.kind().escape_debug(), http::excerpt(one.stage().as_bytes()))))
    }

    /// Deploys beside what serves, without traffic.
    pub(super) async fn deploy(&self, made: &Made) -> Result<Operation, PortError> {
        let url = self.registry.resource(&self.name, ":deployModel");
        let body = json!({ "deployedModel": made.body });
        let call = self.registry.call(Method::POST, &url, "Vertex AI").await?.has_effect().json(&body);
        let right = self.right(
            "`aiplatform.endpoints.deploy`, and `iam.serviceAccounts.actAs` on the service account that it runs as",
        );
        let operation: Operation = self.registry.judge(call.exchange().await?, right)?.json()?;
        self.operation_url(&operation.name)?;
        Ok(operation)
    }

    /// Something that was begun.
    pub(super) async fn operation(&self, name: &str) -> Result<Operation, PortError> {
        let url = self.operation_url(name)?;
        self.registry.ask(&url, self.right("`aiplatform.operations.get`")).await?.json()
    }

    fn operation_url(&self, name: &str) -> Result<Url, PortError> {
        if !name.contains(&format!("/endpoints/{}/operations/", self.id)) {
            let text = format!(
                "Vertex AI names {} for what it does on `{}`, which is no operation on it: it is not followed",
                http::excerpt(name.as_bytes()),
                self.name
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        self.registry.related(name, &["endpoints", "operations"], "")
    }

    pub(super) fn traffic_url(&self) -> Url {
        let mut url = self.registry.resource(&self.name, "");
        url.query_pairs_mut().append_pair("updateMask", "trafficSplit");
        url
    }

    /// Splits the traffic anew, if the endpoint is still as it was when it had this etag. It is sent once.
    pub(super) async fn split(&self, etag: &str, split: &BTreeMap<String, u32>) -> Result<(), PortError> {
        let body = json!({ "etag": etag, "trafficSplit": split });
        let call = self.registry.call(Method::PATCH, &self.traffic_url(), "Vertex AI").await?;
        let answer = call.has_effect().json(&body).exchange().await?;
        let answer = self.registry.judge(answer, self.right("`aiplatform.endpoints.update`"))?;
        let now: Endpoint = answer.json().map_err(PortError::outcome_unknown)?;
        if Seen::of(now, &self.own).split() == *split {
            return Ok(());
        }
        let text = format!(
            "Vertex AI answered that the traffic of `{}` was split anew, and tells another split: check for a cache or a read-only proxy before it",
            self.name
        );
        Err(PortError::unknown(ErrorKind::Failed, text))
    }

    /// Takes away what is deployed under this id, which Vertex AI does only where it has no traffic.
    pub(super) async fn undeploy(&self, id: &str) -> Result<(), PortError> {
        let url = self.registry.resource(&self.name, ":undeployModel");
        let body = json!({ "deployedModelId": id });
        let call = self.registry.call(Method::POST, &url, "Vertex AI").await?.has_effect().json(&body);
        let right = self.right("`aiplatform.endpoints.undeploy`");
        self.registry.judge(call.exchange().await?, right).map(drop)
    }

    /// Why no prediction is asked for although a probe is configured.
    pub(super) fn unasked(&self, seen: &Seen) -> Option<&'static str> {
        let is_away = seen.endpoint.dedicated_endpoint_enabled == Some(true);
        (self.probe.is_some() && is_away && self.predictions.is_none()).then_some(
            "it has an address of its own, which is not asked unless it is configured: write it as `prediction-endpoint`",
        )
    }

    /// What answers a probe say that they are of, one after the other; why it is not known otherwise. None where no probe is configured.
    pub(super) async fn answers(
        &self,
        seen: &Seen,
    ) -> Option<Result<Vec<Result<VersionName, String>>, String>> {
        let input = self.probe.as_ref()?;
        if let Some(why) = self.unasked(seen) {
            return Some(Err(why.to_owned()));
        }
        let mut url = self.registry.resource(&self.name, ":predict");
        if let Some(base) = &self.predictions {
            let path = format!("v1/{}:predict", self.name);
            url = http::under(base, &path.split('/').collect::<Vec<_>>());
        }
        let mut all = Vec::new();
        for _ in 0..ANSWERS {
            match self.answer(seen, &url, input).await {
                Ok(told) => all.push(told),
                Err(error) => return Some(Err(format!("no answer came of it: {error}"))),
            }
        }
        Some(Ok(all))
    }

    async fn answer(
        &self,
        seen: &Seen,
        url: &Url,
        input: &Value,
    ) -> Result<Result<VersionName, String>, PortError> {
        let call = self.registry.call(Method::POST, url, "Vertex AI").await?.only_reads().json(input);
        let right = self.right("`aiplatform.endpoints.predict`");
        let told: Value = self.registry.judge(call.exchange().await?, right)?.json()?;
        let text = |key: &str| told[key].as_str().unwrap_or_default();
        Ok(self.own.version(seen.home(), text("model"), text("modelVersionId")))
    }
}

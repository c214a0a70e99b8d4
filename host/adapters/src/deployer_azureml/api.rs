//! Calls to Azure Machine Learning about one online endpoint.

use std::collections::BTreeMap;

use reqwest::{Method, Url};
use ripcord_core::name::VersionName;
use ripcord_ports::{ErrorKind, PortError, Retry};
use serde_json::Value;

use super::made::{self, Made};
use super::seen::{Own, Seen, is_split, text, told};
use crate::http;
use crate::registry_azureml::api::{Api as Registry, Read};
use crate::registry_azureml::refusal::Right;
use crate::registry_directory::HOLD_TAG;

/// Deployments that one answer may hold.
const PAGE: &str = "100";

/// Azure Machine Learning, and one online endpoint in it.
#[derive(Debug)]
pub(super) struct Api {
    /// The workspace that the endpoint is in.
    pub(super) workspace: Registry,
    /// Where the model is: the workspace, or a registry.
    pub(super) models: Registry,
    pub(super) own: Own,
    pub(super) endpoint: String,
}

impl Api {
    /// The endpoint, for people.
    pub(super) fn shown(&self) -> String {
        format!("{}/onlineEndpoints/{}", self.own.workspace, self.endpoint)
    }

    pub(super) fn url(&self) -> Url {
        self.workspace.resource(&["onlineEndpoints", &self.endpoint])
    }

    fn deployment_url(&self, name: &str) -> Url {
        self.workspace.resource(&["onlineEndpoints", &self.endpoint, "deployments", name])
    }

    /// The endpoint as it stands.
    async fn read(&self) -> Result<Read<Value>, PortError> {
        let read: Read<Value> = self.workspace.read(&self.url(), Right::Endpoint).await.map_err(|error| {
            if error.kind != ErrorKind::NotFound {
                return error;
            }
            let text = format!(
                "Azure ML has no online endpoint `{}`: check `endpoint-name`, `workspace`, `resource-group` and `subscription`: {error}",
                self.shown()
            );
            PortError::not_applied(ErrorKind::NotFound, text)
        })?;
        if !text(&read.read, "/name").eq_ignore_ascii_case(&self.endpoint)
            || !read.read["properties"].is_object()
        {
            let text = format!(
                "Azure ML was asked for `{}` and answered about {}: it is not used",
                self.shown(),
                http::excerpt(text(&read.read, "/name").as_bytes())
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        Ok(read)
    }

    /// The endpoint with its deployments.
    pub(super) async fn see(&self) -> Result<Seen, PortError> {
        let read = self.read().await?;
        let first = self.workspace.resource(&["onlineEndpoints", &self.endpoint, "deployments"]);
        let mut url = first.clone();
        url.query_pairs_mut().append_pair("$top", PAGE);
        let what = format!("deployments of `{}`", self.shown());
        let listed = self.workspace.listed(&first, url, &what, Right::Endpoint).await?;
        Ok(Seen::of(read.read, read.etag, &listed, &self.own))
    }

    /// Refuses a version that is marked as held, and one that is not there.
    pub(super) async fn may_serve(&self, version: &VersionName) -> Result<(), PortError> {
        let read = self.models.version(version).await?;
        if !read.read.properties.tags.contains_key(HOLD_TAG) {
            return Ok(());
        }
        let text = format!(
            "version `{version}` of `{}` has the tag `{HOLD_TAG}`, which holds it: it is given no traffic; lift the hold, or choose another",
            self.own.model
        );
        Err(PortError::not_applied(ErrorKind::Unsupported, text))
    }

    /// Asks for a deployment beside what serves, which has no traffic.
    pub(super) async fn deploy(&self, made: &Made) -> Result<(), PortError> {
        let call = self.workspace.call(Method::PUT, &self.deployment_url(&made.name)).await?;
        let answer = call.has_effect().json(&made.body).exchange().await?;
        self.workspace.judge(answer, Right::Deployment).map(drop)
    }

    /// How a deployment is: none where it does not show.
    pub(super) async fn deployment_state(&self, name: &str) -> Result<Option<String>, PortError> {
        match self.workspace.read::<Value>(&self.deployment_url(name), Right::Endpoint).await {
            Ok(read) => Ok(Some(text(&read.read, "/properties/provisioningState").to_owned())),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Splits the traffic anew, if the endpoint is still as it was seen. It is sent once.
    pub(super) async fn split(&self, seen: &Seen, split: &BTreeMap<String, u32>) -> Result<(), PortError> {
        let now = self.read().await?;
        let of = |value: &Value| {
            let properties = value["properties"].clone();
            (
                properties["traffic"].clone(),
                properties["mirrorTraffic"].clone(),
                properties["provisioningState"].clone(),
            )
        };
        if of(&now.read) != of(&seen.endpoint) || now.etag != seen.etag {
            let text = format!(
                "the endpoint `{}` was changed by someone else while its split was prepared: it was left so, and can be looked at again",
                self.shown()
            );
            return Err(PortError::not_applied(ErrorKind::Failed, text).retry(Retry::Later));
        }
        // What others changed since the first look in anything but traffic is written back as it is now.
        let body = made::endpoint(&now.read, split);
        let mut call = self.workspace.call(Method::PUT, &self.url()).await?.has_effect().json(&body);
        if let Some(etag) = &now.etag {
            call = call.header("if-match", etag);
        }
        let answer = call.exchange().await?;
        let is_taken = answer.status.as_u16() == 202;
        let answer = self.workspace.judge(answer, Right::Traffic).map_err(|error| match error.kind {
            // What it is now is looked at before it is tried again.
            ErrorKind::Conflict => error.retry(Retry::Later),
            _ => error,
        })?;
        if is_taken && answer.body.is_empty() {
            return Ok(());
        }
        let now: Value = answer.json().map_err(PortError::outcome_unknown)?;
        if told(&now).is_ok_and(|told| is_split(&told, split)) {
            return Ok(());
        }
        let text = format!(
            "Azure ML answered that the traffic of `{}` was split anew, and tells another split: check for a cache or a read-only proxy before it",
            self.shown()
        );
        Err(PortError::unknown(ErrorKind::Failed, text))
    }
}

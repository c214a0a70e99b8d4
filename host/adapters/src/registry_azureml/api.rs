//! Calls to Azure Machine Learning, through Azure Resource Manager.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::header::ETAG;
use reqwest::{Method, Url};
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError, waiting};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::AzureMlRegistryConfig;
use super::refusal::Right;
use super::wire::{Container, Datastore, Job, Page, References, Version};
use crate::Shared;
use crate::azure::{AzureCloud, Configured, Tokens, own_address};
use crate::http::{self, Answer, Call, Http, Patience};
use crate::secret::Secret;

/// Versions that one answer may hold.
const PAGE: &str = "100";
/// More are no list that anybody looks through.
const PAGES_MAX: usize = 100;
/// Between two looks at a change that is under way.
const LOOK: Duration = Duration::from_millis(500);
/// The longest names that Azure gives to anything that is configured here.
const NAME_MAX: usize = 255;

/// Where the account stands in the address of Blob Storage.
pub(super) const ACCOUNT: &str = "{account}";

/// Where the model is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Home {
    Workspace(String),
    Registry(String),
}

impl Home {
    /// The setting that names it, and the name.
    pub(super) fn key(&self) -> (&'static str, &str) {
        match self {
            Self::Workspace(name) => ("workspace", name),
            Self::Registry(name) => ("registry", name),
        }
    }

    fn parts(&self) -> [&str; 2] {
        match self {
            Self::Workspace(name) => ["workspaces", name],
            Self::Registry(name) => ["registries", name],
        }
    }
}

/// Azure Machine Learning, and the one model in it.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) http: Http,
    pub(crate) url: Url,
    pub(crate) tokens: Tokens,
    pub(crate) cloud: AzureCloud,
    /// Where Blob Storage answers: `{account}` stands for an account.
    pub(super) blobs: String,
    pub(crate) subscription: String,
    pub(crate) group: String,
    pub(crate) home: Home,
    pub(crate) model: String,
    pub(crate) api_version: String,
    pub(crate) deadline: Millis,
    pub(crate) patience: Patience,
}

/// Something that was read, with what is needed to write it.
#[derive(Debug)]
pub(crate) struct Read<T> {
    pub(crate) read: T,
    /// What Azure gave with it, where it gave one.
    pub(crate) etag: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl<T> Read<T> {
    /// Its `properties` as they came, so that what is not known here is written back as it was; without what is only ever answered.
    fn properties(&self) -> Result<Map<String, Value>, ()> {
        let whole: Value = serde_json::from_slice(&self.body).map_err(|_| ())?;
        let mut properties = whole.get("properties").and_then(Value::as_object).cloned().ok_or(())?;
        for answered in ["provisioningState", "latestVersion", "nextVersion"] {
            properties.remove(answered);
        }
        properties.retain(|_, value| !value.is_null());
        Ok(properties)
    }
}

fn wrong(why: String) -> PortError {
    PortError::not_applied(ErrorKind::Configuration, why)
}

/// Whether it can be one part of an address.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')');
    !text.is_empty() && text.len() <= NAME_MAX && text.chars().all(plain) && !matches!(text, "." | "..")
}

fn is_api_version(text: &str) -> bool {
    let (date, rest) = text.split_at_checked(10).unwrap_or((text, ""));
    let shape = |(index, byte): (usize, u8)| {
        if matches!(index, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() }
    };
    date.len() == 10 && date.bytes().enumerate().all(shape) && (rest.is_empty() || rest == "-preview")
}

impl Api {
    /// Checks the configuration and finds the credentials; Azure is not asked.
    pub(crate) fn new(
        config: AzureMlRegistryConfig,
        secret: Option<Secret>,
        shared: &Shared,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, PortError> {
        let home = match (config.workspace, config.registry) {
            (Some(name), None) => Home::Workspace(name),
            (None, Some(name)) => Home::Registry(name),
            _ => {
                return Err(wrong(
                    "write either `workspace`, or `registry` where the model is shared by several workspaces"
                        .to_owned(),
                ));
            }
        };
        let (key, name) = home.key();
        let parts = [
            ("subscription", &config.subscription[..]),
            ("resource-group", &config.resource_group),
            (key, name),
            ("model", &config.model),
        ];
        for (key, text) in parts {
            if !is_name(text) {
                return Err(wrong(format!(
                    "`{}` cannot be the `{key}` in Azure ML: write one part of `subscriptions/SUBSCRIPTION/resourceGroups/RESOURCE-GROUP/…/models/MODEL`",
                    text.escape_debug()
                )));
            }
        }
        if !is_api_version(&config.api_version) {
            return Err(wrong(format!(
                "`{}` cannot be `api-version`: write a date that Azure knows, such as `2025-12-01`",
                config.api_version.escape_debug()
            )));
        }
        let deadline = Millis(config.deadline_ms);
        let cloud = config.cloud;
        let url =
            own_address("resource-manager", config.resource_manager.as_deref().unwrap_or(cloud.manager()))?;
        let blobs = config.storage_endpoint.unwrap_or_else(|| cloud.blobs().to_owned());
        if !blobs.contains(ACCOUNT) {
            return Err(wrong(format!(
                "`storage-endpoint` does not say where the account stands: write it as in `{}`",
                cloud.blobs()
            )));
        }
        own_address("storage-endpoint", &blobs.replace(ACCOUNT, "account"))?;
        let configured = Configured {
            credentials: config.credentials,
            tenant: config.tenant_id,
            client: config.client_id,
            secret,
            authority: config.authority,
            cloud,
        };
        Ok(Self {
            http: shared.http.clone(),
            url,
            tokens: Tokens::find(shared, deadline, configured, environment)?,
            cloud,
            blobs,
            subscription: config.subscription,
            group: config.resource_group,
            home,
            model: config.model,
            api_version: config.api_version,
            deadline,
            patience: Patience(Millis(config.patience_ms)),
        })
    }

    /// The workspace or registry, as Azure names it.
    pub(crate) fn scope(&self) -> String {
        let [kind, name] = self.home.parts();
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/{kind}/{name}",
            self.subscription, self.group
        )
    }

    /// The model, for people.
    pub(super) fn what(&self) -> String {
        let [kind, name] = self.home.parts();
        format!("{kind}/{name}/models/{}", self.model)
    }

    pub(crate) fn resource(&self, rest: &[&str]) -> Url {
        let scope = self.scope();
        let parts: Vec<&str> = scope.trim_start_matches('/').split('/').chain(rest.iter().copied()).collect();
        let mut url = http::under(&self.url, &parts);
        url.query_pairs_mut().append_pair("api-version", &self.api_version);
        url
    }

    fn container_url(&self) -> Url {
        self.resource(&["models", &self.model])
    }

    fn version_url(&self, version: &VersionName) -> Url {
        self.resource(&["models", &self.model, "versions", version.as_str()])
    }

    /// A call with a token. Only the configured address is ever called with one.
    pub(crate) async fn call(&self, method: Method, url: &Url) -> Result<Call, PortError> {
        let token = self.tokens.token(self.cloud.manager()).await?;
        Ok(self.http.call(method, url).of("Azure ML").deadline(self.deadline).bearer(Some(&token)))
    }

    /// The answer to a question, asked again while that may help.
    async fn ask(&self, url: &Url, right: Right) -> Result<Answer, PortError> {
        http::patiently(self.patience, || async {
            self.judge(self.call(Method::GET, url).await?.exchange().await?, right)
        })
        .await
    }

    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        url: &Url,
        right: Right,
    ) -> Result<Read<T>, PortError> {
        let answer = self.ask(url, right).await?;
        // A weak one is the condition of nothing.
        let etag = answer.header(&ETAG).filter(|etag| etag.starts_with('"')).map(str::to_owned);
        Ok(Read { read: answer.json()?, etag, body: answer.body })
    }

    /// The versions of the model, each as it came.
    pub(super) async fn versions(&self) -> Result<Vec<Value>, PortError> {
        let first = self.resource(&["models", &self.model, "versions"]);
        let mut url = first.clone();
        url.query_pairs_mut()
            .append_pair("listViewType", "All")
            .append_pair("$orderBy", "createdtime desc")
            .append_pair("$top", PAGE);
        let all = self.listed(&first, url, &format!("versions of `{}`", self.what()), Right::Read).await?;
        if all.is_empty() {
            // A model that is not there may be listed as one without versions.
            self.container().await?;
        }
        Ok(all)
    }

    /// All of a list, each entry as it came. `first` is its address without what says how much of it is wanted, as in `url`; `what` is listed, for people.
    pub(crate) async fn listed(
        &self,
        first: &Url,
        mut url: Url,
        what: &str,
        right: Right,
    ) -> Result<Vec<Value>, PortError> {
        let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
        loop {
            seen.insert(url.query().unwrap_or_default().to_owned());
            let page: Page = self.ask(&url, right).await?.json()?;
            all.extend(page.value);
            let Some(next) = page.next_link.filter(|next| !next.is_empty()) else { break };
            let link = Url::parse(&next).ok();
            // The address is Azure's own also where another one is configured: only the query is taken, and asked of whom is configured.
            let query = link.as_ref().filter(|link| same_path(&self.url, link, first)).and_then(Url::query);
            let Some(query) = query else {
                let text = format!(
                    "Azure ML says that the list of {what} goes on at {}, which is no list of them: nothing of it is used",
                    http::excerpt(next.as_bytes())
                );
                return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
            };
            if seen.contains(query) {
                let text = format!(
                    "Azure ML says that there are more {what}, and gives a place to go on from that was read already: nothing of it is used"
                );
                return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
            }
            if seen.len() >= PAGES_MAX {
                let text = format!(
                    "Azure ML has more than {PAGES_MAX} pages of {what}: delete what nobody goes back to"
                );
                return Err(PortError::not_applied(ErrorKind::TooLarge, text));
            }
            url = first.clone();
            url.set_query(Some(query));
        }
        Ok(all)
    }

    /// The model itself.
    pub(super) async fn container(&self) -> Result<Read<Container>, PortError> {
        let read: Read<Container> = self.read(&self.container_url(), Right::Read).await?;
        if read.read.name != self.model {
            return Err(self.without("the name of the model that it was asked for"));
        }
        Ok(read)
    }

    /// A version.
    pub(crate) async fn version(&self, version: &VersionName) -> Result<Read<Version>, PortError> {
        if !is_name(version.as_str()) {
            return Err(self.unknown(version));
        }
        let read: Read<Version> =
            self.read(&self.version_url(version), Right::Read).await.map_err(|error| match error.kind {
                ErrorKind::NotFound => {
                    PortError::not_applied(ErrorKind::NotFound, format!("{}: {error}", self.unknown(version)))
                }
                _ => error,
            })?;
        if read.read.name != version.as_str() {
            let text = format!(
                "Azure ML was asked for version `{version}` of `{}` and answered with `{}`",
                self.what(),
                read.read.name.escape_debug()
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        Ok(read)
    }

    pub(super) async fn job(&self, name: &str) -> Result<Job, PortError> {
        self.ask(&self.resource(&["jobs", name]), Right::Job).await?.json()
    }

    pub(super) async fn datastore(&self, name: &str) -> Result<Datastore, PortError> {
        self.ask(&self.resource(&["datastores", name]), Right::Datastore).await?.json()
    }

    /// What lets its holder read the files of a version in a registry.
    pub(super) async fn references(&self, version: &str, uri: &str) -> Result<References, PortError> {
        let (_, registry) = self.home.key();
        let url = self.resource(&["datareferences", &self.model, "versions", version]);
        let asset = format!("azureml://registries/{registry}/models/{}/versions/{version}", self.model);
        let body = json!({ "assetId": asset, "blobUri": uri });
        http::patiently(self.patience, || async {
            let call = self.call(Method::POST, &url).await?.only_reads().json(&body);
            let answer = self.judge(call.exchange().await?, Right::References)?;
            serde_json::from_slice(&answer.body).map_err(|_| {
                // It holds what lets its holder in, so it is in no message.
                self.without("the way to the files that it was asked for")
            })
        })
        .await
    }

    /// Writes these tags in the place of those that a version has; all else stays as it was read.
    pub(super) async fn tag_version(
        &self,
        version: &VersionName,
        read: &Read<Version>,
        tags: &[(&str, Option<&str>)],
    ) -> Result<(), PortError> {
        let url = self.version_url(version);
        self.write(&url, read, tags).await?;
        self.under_way(|| async { Ok(self.version(version).await?.read.properties.provisioning_state) }).await
    }

    /// The same with the tags of the model.
    pub(super) async fn tag_container(
        &self,
        read: &Read<Container>,
        tags: &[(&str, Option<&str>)],
    ) -> Result<(), PortError> {
        self.write(&self.container_url(), read, tags).await?;
        self.under_way(|| async { Ok(self.container().await?.read.properties.provisioning_state) }).await
    }

    /// Sends the change once: what was read with it may be old by the next time, so whoever tries again reads again.
    async fn write<T>(
        &self,
        url: &Url,
        read: &Read<T>,
        tags: &[(&str, Option<&str>)],
    ) -> Result<(), PortError> {
        let mut properties = read.properties().map_err(|()| self.without("properties"))?;
        let mut all = properties.get("tags").and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, value) in tags {
            match value {
                Some(value) => all.insert((*name).to_owned(), (*value).into()),
                None => all.remove(*name),
            };
        }
        properties.insert("tags".to_owned(), all.into());
        let body = json!({ "properties": properties });
        let mut call = self.call(Method::PUT, url).await?.has_effect().json(&body);
        if let Some(etag) = &read.etag {
            call = call.header("if-match", etag);
        }
        self.judge(call.exchange().await?, Right::Write).map(|_| ())
    }

    /// Waits for a change that registries make in their own time; whether it was made is for a look at it to say.
    async fn under_way<F: Future<Output = Result<String, PortError>>>(
        &self,
        mut state: impl FnMut() -> F,
    ) -> Result<(), PortError> {
        let end = Instant::now() + Duration::from_millis(self.patience.0.0);
        loop {
            let state = state().await.map_err(PortError::outcome_unknown)?;
            match state.as_str() {
                "Creating" | "Updating" if Instant::now() + LOOK < end => {
                    waiting::pausing(tokio::time::sleep(LOOK)).await;
                }
                "Creating" | "Updating" => {
                    let text = format!("Azure ML is not done with a change of `{}`: look again", self.what());
                    return Err(PortError::unknown(ErrorKind::TimedOut, text));
                }
                "Failed" | "Canceled" => {
                    let text = format!(
                        "Azure ML says of a change of `{}` that it is `{state}`: look at its activity log",
                        self.what()
                    );
                    return Err(PortError::unknown(ErrorKind::Failed, text));
                }
                _ => return Ok(()),
            }
        }
    }

    pub(super) fn tag_words(&self, tag: &str, version: &VersionName) -> String {
        format!(
            "have the tag `{tag}` of `{}` at {} say version `{version}`; its other tags, description and properties stay",
            self.what(),
            http::shown(&self.url)
        )
    }

    /// The request with what [`Self::tag_container`] sends: what the model has besides is written back as it is read then.
    pub(super) fn tag_request(&self, tag: &str, version: &VersionName, request: Request) -> Request {
        request
            .with("url", http::shown(&self.container_url()))
            .with("api-version", self.api_version.clone())
            .with("tag", tag.to_owned())
            .with("value", version.as_str().to_owned())
            .hole(Hole::Credentials)
    }
}

/// Whether a link leads to what was asked, whoever it says is to be asked: behind a proxy the first parts of the path may be its own.
fn same_path(base: &Url, link: &Url, asked: &Url) -> bool {
    let own = asked.path().strip_prefix(base.path().trim_end_matches('/')).unwrap_or(asked.path());
    let path = link.path();
    path.len() >= own.len()
        && path.is_char_boundary(path.len() - own.len())
        && path[path.len() - own.len()..].eq_ignore_ascii_case(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_of_the_interface_are_checked() {
        for taken in ["fraud", "a.b-c_d", "rg(1)", "1"] {
            assert!(is_name(taken), "{taken}");
        }
        for refused in ["", ".", "..", "a/b", "a b", "größer", "a?b", "a%2f", &"a".repeat(256)] {
            assert!(!is_name(refused), "{refused}");
        }
        assert!(is_api_version("2025-12-01") && is_api_version("2024-10-01-preview"));
        for refused in ["", "2025", "2025-12-1", "2025-12-01&x", "2025-12-01-beta", "größerzz-1"] {
            assert!(!is_api_version(refused), "{refused}");
        }
    }
}

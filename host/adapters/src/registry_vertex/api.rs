//! Calls to Vertex AI.

use reqsign_core::Env;
use reqwest::{Method, Url};
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::VertexRegistryConfig;
use super::pages::Pages;
use super::refusal::Right;
use super::wire::{Model, Subgraph, TrainingPipeline, Versions};
use crate::Shared;
use crate::google::Tokens;
use crate::http::{self, Answer, Call, Http, Patience};
use crate::near::is_in_the_clear;

/// Versions that one answer may hold.
const PAGE: &str = "100";
/// More are no list that anybody looks through.
const PAGES_MAX: usize = 100;
/// What a lineage is made of is one step away: what made the version, and what that was given.
const HOPS: &str = "2";
/// As Google's interfaces have it.
const QUOTA_HEADER: &str = "x-goog-user-project";

/// Vertex AI, and the one model in it.
#[derive(Debug)]
pub(crate) struct Api {
    http: Http,
    pub(crate) url: Url,
    pub(super) storage: Url,
    pub(crate) tokens: Tokens,
    /// Whose quota calls count against.
    pub(crate) quota_project: Option<String>,
    /// The model's resource name.
    pub(crate) model: String,
    pub(crate) project: String,
    pub(crate) location: String,
    pub(crate) id: String,
    pub(crate) deadline: Millis,
    pub(crate) patience: Patience,
}

/// Where Vertex AI answers for a region.
pub(crate) fn endpoint(location: &str) -> String {
    format!("https://{location}-aiplatform.googleapis.com")
}

impl Api {
    /// Checks the configuration and finds the credentials; Google is not asked.
    pub(crate) fn new(
        config: VertexRegistryConfig,
        shared: &Shared,
        environment: impl Env,
    ) -> Result<Self, PortError> {
        let wrong = |why: String| Err(PortError::not_applied(ErrorKind::Configuration, why));
        let parts = [("project", &config.project), ("location", &config.location), ("model", &config.model)];
        for (key, text) in parts {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
            if text.is_empty() || !text.chars().all(plain) || matches!(text.as_str(), "." | "..") {
                return wrong(format!(
                    "`{}` cannot be the `{key}` in Vertex AI: write one part of `projects/PROJECT/locations/LOCATION/models/MODEL`, without a version; MODEL is the id and not the display name",
                    text.escape_debug()
                ));
            }
        }
        let deadline = Millis(config.deadline_ms);
        let (key, text) = match &config.endpoint {
            Some(text) => ("endpoint", text.clone()),
            None => ("location", endpoint(&config.location)),
        };
        let url = own_address(key, &text)?;
        let storage = own_address("storage-endpoint", &config.storage_endpoint)?;
        let tokens = Tokens::find(&shared.http, deadline, config.credentials_file.as_deref(), environment)?;
        let quota_project = config.quota_project.or_else(|| tokens.quota_project.clone());
        if let Some(project) = &quota_project
            && !project.chars().all(|c| c.is_ascii_graphic())
        {
            return wrong(format!(
                "`{}` cannot be `quota-project`: write a project's id",
                project.escape_debug()
            ));
        }
        Ok(Self {
            http: shared.http.clone(),
            url,
            storage,
            tokens,
            quota_project,
            model: format!(
                "projects/{}/locations/{}/models/{}",
                config.project, config.location, config.model
            ),
            project: config.project,
            location: config.location,
            id: config.model,
            deadline,
            patience: Patience(Millis(config.patience_ms)),
        })
    }

    /// A call with a token. Only the two configured addresses are ever called with one.
    pub(crate) async fn call(&self, method: Method, url: &Url, system: &str) -> Result<Call, PortError> {
        let token = self.tokens.token().await?;
        let call = self.http.call(method, url).of(system).deadline(self.deadline).bearer(Some(&token));
        Ok(match &self.quota_project {
            Some(project) => call.header(QUOTA_HEADER, project),
            None => call,
        })
    }

    /// The address of a resource of the configured interface, by its name: `projects/…`.
    pub(crate) fn resource(&self, name: &str, verb: &str) -> Url {
        let mut parts: Vec<String> =
            std::iter::once("v1").chain(name.split('/')).map(str::to_owned).collect();
        if let Some(last) = parts.last_mut() {
            last.push_str(verb);
        }
        http::under(&self.url, &parts.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The answer to a question, asked again while that may help.
    pub(crate) async fn ask(&self, url: &Url, right: Right<'_>) -> Result<Answer, PortError> {
        http::patiently(self.patience, || async {
            let answer = self.call(Method::GET, url, "Vertex AI").await?.exchange().await?;
            self.judge(answer, right)
        })
        .await
    }

    /// The versions of the model, as they came.
    pub(super) async fn versions(&self) -> Result<Vec<Model>, PortError> {
        let mut pages = Pages::of(format!("the versions of `{}`", self.model), PAGES_MAX);
        loop {
            let mut url = self.resource(&self.model, ":listVersions");
            url.query_pairs_mut().append_pair("pageSize", PAGE).append_pair("orderBy", "create_time desc");
            if let Some(token) = pages.token() {
                url.query_pairs_mut().append_pair("pageToken", token);
            }
            let page: Versions = self.ask(&url, Right::Read).await?.json()?;
            if pages.is_last(page.models, page.next_page_token)? {
                break;
            }
        }
        if pages.all.is_empty() {
            // There is no model without a version.
            return Err(self.without("a version"));
        }
        Ok(pages.all)
    }

    /// What a version's number or an alias leads to, and all of the answer.
    async fn at(&self, name: &str) -> Result<(Model, Answer), PortError> {
        let url = self.resource(&format!("{}@{name}", self.model), "");
        let answer = self.ask(&url, Right::Read).await?;
        Ok((answer.json()?, answer))
    }

    /// A version, and Vertex AI's description of it, verbatim. Any name but that of a version would be taken for an alias.
    pub(crate) async fn version(&self, version: &VersionName) -> Result<(Model, Answer), PortError> {
        if number(version.as_str()).is_none() {
            return Err(self.unknown(version));
        }
        let (model, answer) = self.at(version.as_str()).await.map_err(|error| match error.kind {
            ErrorKind::NotFound => self.unknown(version).caused_by(error),
            _ => error,
        })?;
        if model.version_id != version.as_str() {
            let text = format!(
                "Vertex AI was asked for version `{version}` of `{}` and answered with `{}`",
                self.model,
                model.version_id.escape_debug()
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        Ok((model, answer))
    }

    /// The version that the alias points at; none if it is not set.
    pub(super) async fn alias(&self, alias: &str) -> Result<Option<Model>, PortError> {
        match self.at(alias).await {
            Ok((model, _)) if model.version_aliases.iter().any(|of| of == alias) => Ok(Some(model)),
            Ok(_) => Err(self.without(&format!("the alias `{alias}` that it was asked for"))),
            // An alias that is not set and a model that is not there are answered alike.
            Err(error) if error.kind == ErrorKind::NotFound => {
                let model: Model = self.ask(&self.resource(&self.model, ""), Right::Read).await?.json()?;
                self.named(&model).map(|_| None)
            }
            Err(error) => Err(error),
        }
    }

    /// The name and the number of a version.
    pub(super) fn named(&self, model: &Model) -> Result<(VersionName, u64), PortError> {
        let named = number(&model.version_id).zip(VersionName::new(model.version_id.clone()).ok());
        named.map(|(number, name)| (name, number)).ok_or_else(|| self.without("the number of a version"))
    }

    pub(super) async fn training(&self, pipeline: &str) -> Result<TrainingPipeline, PortError> {
        let url = self.related(pipeline, &["trainingPipelines"], "")?;
        self.ask(&url, Right::Training).await?.json()
    }

    pub(super) async fn subgraph(&self, artifact: &str) -> Result<Subgraph, PortError> {
        let kinds = ["metadataStores", "artifacts"];
        let mut url = self.related(artifact, &kinds, ":queryArtifactLineageSubgraph")?;
        url.query_pairs_mut().append_pair("maxHops", HOPS);
        self.ask(&url, Right::Metadata).await?.json()
    }

    /// The address of something that an answer names: `projects/…/locations/…/KIND/…`, and nothing else.
    pub(crate) fn related(&self, name: &str, kinds: &[&str], verb: &str) -> Result<Url, PortError> {
        let parts: Vec<&str> = name.split('/').collect();
        let wanted: Vec<&str> = ["projects", "locations"].iter().chain(kinds).copied().collect();
        let is_one = parts.len() == 2 * wanted.len()
            && parts.chunks(2).zip(&wanted).all(|(pair, kind)| pair[0] == *kind && is_id(pair[1]));
        if is_one {
            return Ok(self.resource(name, verb));
        }
        let text = format!(
            "Vertex AI names {} for `{}`, which is none of {}",
            http::excerpt(name.as_bytes()),
            self.model,
            kinds.join(" and ")
        );
        Err(PortError::not_applied(ErrorKind::BadAnswer, text))
    }

    pub(super) fn alias_words(&self, alias: &str, version: &VersionName) -> String {
        format!(
            "have the alias `{alias}` of `{}` at {} point at version `{version}`",
            self.model,
            http::shown(&self.url)
        )
    }

    /// The request with what [`Self::merge_aliases`] sends for the alias.
    pub(super) fn alias_request(&self, alias: &str, version: &VersionName, request: Request) -> Request {
        request
            .with("url", http::shown(&self.merge_url(version)))
            .with("body", merge(&[alias.to_owned()]).to_string())
            .with("quota-project", self.quota_project.clone().unwrap_or_default())
            .hole(Hole::Credentials)
    }

    fn merge_url(&self, version: &VersionName) -> Url {
        self.resource(&format!("{}@{version}", self.model), ":mergeVersionAliases")
    }

    /// Gives aliases to the version, which Vertex AI takes from whichever version had them, and takes those away that begin with `-`; all others stay as
    /// they are. It is sent again only where it cannot have happened.
    pub(super) async fn merge_aliases(
        &self,
        version: &VersionName,
        changes: &[String],
    ) -> Result<(), PortError> {
        let (url, body) = (self.merge_url(version), merge(changes));
        http::patiently(self.patience, || async {
            let call = self.call(Method::POST, &url, "Vertex AI").await?;
            let answer = self.judge(call.has_effect().json(&body).exchange().await?, Right::Aliases)?;
            let model: Model = self.read(&answer)?;
            if model.version_id == version.as_str() {
                return Ok(());
            }
            Err(self.without("the version whose aliases were changed").outcome_unknown())
        })
        .await
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, PortError> {
        answer.json().map_err(PortError::outcome_unknown)
    }
}

fn merge(aliases: &[String]) -> Value {
    json!({ "versionAliases": aliases })
}

pub(crate) fn own_address(key: &str, text: &str) -> Result<Url, PortError> {
    let url = http::address(text)?;
    if !url.username().is_empty() || url.password().is_some() {
        let text = format!("`{key}` holds a user or a password: take it out, and see `credentials-file`");
        return Err(PortError::not_applied(ErrorKind::Configuration, text));
    }
    http::is_shown_whole(key, &url)?;
    if is_in_the_clear(&url, |_| false) {
        let text = format!(
            "`{key}` is `{}`, and calls carry tokens: write an address with `https`",
            http::shown(&url)
        );
        return Err(PortError::not_applied(ErrorKind::Configuration, text));
    }
    Ok(url)
}

pub(crate) fn is_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    !text.is_empty() && text.chars().all(plain) && !matches!(text, "." | "..")
}

/// The number that a version's name is: as Vertex AI writes it.
pub(crate) fn number(name: &str) -> Option<u64> {
    let is_plain = !name.is_empty() && !name.starts_with('0') && name.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| name.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_number_is_a_version() {
        assert_eq!((number("1"), number("12")), (Some(1), Some(12)));
        for other in ["", "0", "01", "v1", "default", "-1", "+1", "1 ", "99999999999999999999999"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}

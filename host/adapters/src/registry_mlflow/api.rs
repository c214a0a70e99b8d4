//! Calls to the tracking server: its REST interface, and its errors in all the forms they come in.

use std::future::Future;

use reqwest::{Method, Url};
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::time::Millis;
use ripcord_ports::{Applied, ErrorKind, PortError, Retry};
use serde::Serialize;

use super::wire::{
    DownloadAnswer, ModelAnswer, Refusal, Run, RunAnswer, SearchAnswer, Version, VersionAnswer,
};
use crate::Shared;
use crate::http::{self, Answer, Call, Credentials, Http, Patience};
use crate::secret::Secret;

/// Versions that one answer may hold.
const PAGE: u32 = 1_000;

/// A tracking server, and the one model on it.
#[derive(Debug)]
pub(crate) struct Api {
    pub(super) http: Http,
    pub(crate) url: Url,
    pub(super) credentials: Credentials,
    pub(crate) model: String,
    /// The model's name as a literal of the server's filter language.
    pub(super) model_literal: String,
    pub(super) deadline: Millis,
    pub(super) patience: Patience,
    registered: Registered,
}

/// Where a model or prompt is registered, as it is configured.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) user: Option<String>,
    pub(crate) deadline_ms: u64,
    pub(crate) patience_ms: u64,
}

/// What is registered: MLflow keeps prompts among the models, and lists them only to who asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registered {
    Model,
    Prompt,
}

/// What a call needs of the account, for the sentence that says that it is missing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Right {
    ReadModel,
    EditModel,
    ReadExperiment,
    EditExperiment,
}

/// The call that moves an alias.
const ALIAS: [&str; 2] = ["registered-models", "alias"];

impl Api {
    /// Checks the configuration; the server is not asked. `secret` is the password of the user where there is one, else a bearer token.
    pub(crate) fn new(
        place: Place,
        registered: Registered,
        secret: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        let wrong = |why: String| Err(PortError::not_applied(ErrorKind::Configuration, why));
        let url = http::address(&place.url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return wrong(
                "`url` holds a user or a password: write `user`, and the password into a file".into(),
            );
        }
        let quote = match (place.name.contains('\''), place.name.contains('"')) {
            (true, true) => return wrong(format!("mlflow cannot search for the model `{}`", place.name)),
            (true, false) => '"',
            (false, _) => '\'',
        };
        if place.name.is_empty() || place.name.contains(['/', ':']) {
            return wrong(format!("`{}` cannot be the name of a model in mlflow", place.name));
        }
        let credentials = Credentials::of(place.user, secret)?;
        Ok(Self {
            http: shared.http.clone(),
            url,
            credentials,
            model_literal: format!("{quote}{}{quote}", place.name),
            model: place.name,
            deadline: Millis(place.deadline_ms),
            patience: Patience(Millis(place.patience_ms)),
            registered,
        })
    }

    /// The answer to a question, asked again while that may help.
    async fn ask(&self, path: &[&str], query: &[(&str, &str)], right: Right) -> Result<Answer, PortError> {
        let mut url = self.rest(path);
        url.query_pairs_mut().extend_pairs(query);
        self.patiently(|| async { self.judge(self.call(Method::GET, &url).exchange().await?, right) }).await
    }

    /// Makes a change. It is sent again only where it cannot have happened.
    async fn change(&self, path: &[&str], body: &impl Serialize) -> Result<(), PortError> {
        let url = self.rest(path);
        self.patiently(|| async {
            let call = self.call(Method::POST, &url).has_effect().json(body);
            self.judge(call.exchange().await?, Right::EditModel).map(drop)
        })
        .await
    }

    fn rest(&self, path: &[&str]) -> Url {
        let path: Vec<&str> = ["api", "2.0", "mlflow"].iter().chain(path).copied().collect();
        http::under(&self.url, &path)
    }

    pub(super) fn call(&self, method: Method, url: &Url) -> Call {
        self.http.call(method, url).of("MLflow").deadline(self.deadline).credentials(&self.credentials)
    }

    pub(super) async fn patiently<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, PortError>
    where
        F: Future<Output = Result<T, PortError>>,
    {
        http::patiently(self.patience, attempt).await
    }

    /// The answer, or the error that it is.
    pub(super) fn judge(&self, answer: Answer, right: Right) -> Result<Answer, PortError> {
        if answer.status.is_success() { Ok(answer) } else { Err(self.refusal(&answer, right)) }
    }

    /// What a failure means: `{"error_code", "message"}`, plain text from the login in front of it, a page from a proxy.
    pub(super) fn refusal(&self, answer: &Answer, right: Right) -> PortError {
        let generic = answer.error();
        let server = http::shown(&self.url);
        let refusal: Option<Refusal> = answer.json().ok();
        let (code, said) = match &refusal {
            Some(refusal) => (refusal.error_code.as_str(), format!("`{}`", refusal.message.trim())),
            None => ("", answer.excerpt()),
        };
        let (kind, message) = match (answer.status.as_u16(), code) {
            (401, _) | (_, "UNAUTHENTICATED" | "CUSTOMER_UNAUTHORIZED") => (
                ErrorKind::Denied,
                format!(
                    "mlflow at `{server}` does not know these credentials: {said}; check `user` and password, or the token"
                ),
            ),
            (403, _) | (_, "PERMISSION_DENIED") => (
                ErrorKind::Denied,
                format!("mlflow at `{server}` refuses it: {said}; {}", right.advice(&self.model)),
            ),
            (404, "RESOURCE_DOES_NOT_EXIST") | (_, "RESOURCE_DOES_NOT_EXIST") => {
                (ErrorKind::NotFound, format!("mlflow at `{server}` has no such thing: {said}"))
            }
            (404 | 405, "") => (
                ErrorKind::BadAnswer,
                format!(
                    "what answers at `{server}` is no mlflow with this call: {said}; check the address, and that mlflow is 2.3 or later"
                ),
            ),
            (400, _) => (ErrorKind::Failed, format!("mlflow at `{server}` does not accept the call: {said}")),
            _ => return generic,
        };
        rephrased(kind, message, &generic)
    }

    /// Names what the registry does not have.
    fn no_version(&self, version: &VersionName, error: PortError) -> PortError {
        if error.kind != ErrorKind::NotFound {
            return error;
        }
        self.unknown(version).caused_by(error)
    }

    fn unknown(&self, version: &VersionName) -> PortError {
        PortError::not_applied(
            ErrorKind::NotFound,
            format!("mlflow has no version `{version}` of `{}`: list its versions", self.model),
        )
    }

    /// MLflow counts versions. Anything else is unknown without asking; the server would call it a bad parameter.
    fn number(&self, version: &VersionName) -> Result<(), PortError> {
        let text = version.as_str();
        let counted = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        if counted { Ok(()) } else { Err(self.unknown(version)) }
    }

    /// The model's aliases, as pairs of alias and version.
    pub(super) async fn aliases(&self) -> Result<Vec<(String, String)>, PortError> {
        let query = [("name", self.model.as_str())];
        let answer = self.ask(&["registered-models", "get"], &query, Right::ReadModel).await;
        let answer = answer.map_err(|error| match error.kind {
            ErrorKind::NotFound => {
                let message = match self.registered {
                    Registered::Model => {
                        format!("mlflow has no registered model `{}`: check `model`", self.model)
                    }
                    Registered::Prompt => format!("mlflow has no prompt `{}`: check `prompt`", self.model),
                };
                PortError::not_applied(ErrorKind::NotFound, message).caused_by(error)
            }
            _ => error,
        })?;
        let model: ModelAnswer = answer.json()?;
        self.spelt_as_here(&model.registered_model.name)?;
        Ok(model.registered_model.aliases.into_iter().map(|alias| (alias.alias, alias.version)).collect())
    }

    /// Versions, newest first. The server leaves their aliases out.
    pub(crate) async fn search(&self, limit: u32) -> Result<Vec<Version>, PortError> {
        let also = match self.registered {
            Registered::Model => "",
            Registered::Prompt => " AND tags.`mlflow.prompt.is_prompt` = 'true'",
        };
        self.search_for(also, limit).await
    }

    /// Versions that also meet a condition of the server's filter language, newest first.
    pub(super) async fn search_for(&self, also: &str, limit: u32) -> Result<Vec<Version>, PortError> {
        let filter = format!("name={}{also}", self.model_literal);
        let mut found: Vec<Version> = Vec::new();
        let mut page_token = String::new();
        while found.len() < limit as usize {
            let wanted = PAGE.min(limit - u32::try_from(found.len()).unwrap_or(limit)).to_string();
            let mut query = vec![
                ("filter", filter.as_str()),
                ("max_results", &wanted),
                ("order_by", "version_number DESC"),
            ];
            if !page_token.is_empty() {
                query.push(("page_token", &page_token));
            }
            let answer = self.ask(&["model-versions", "search"], &query, Right::ReadModel).await?;
            let page: SearchAnswer = answer.json()?;
            // Another model's versions, where the server's database takes two spellings for one name.
            for version in &page.model_versions {
                self.spelt_as_here(&version.name)?;
            }
            let empty = page.model_versions.is_empty();
            found.extend(page.model_versions);
            match page.next_page_token {
                Some(token) if !token.is_empty() && !empty => page_token = token,
                _ => break,
            }
        }
        found.truncate(limit as usize);
        Ok(found)
    }

    /// The server's description of one version, verbatim.
    pub(super) async fn version_bytes(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        Ok(self.version_answer(version).await?.body)
    }

    /// One version.
    pub(super) async fn version(&self, version: &VersionName) -> Result<Version, PortError> {
        let read: VersionAnswer = self.version_answer(version).await?.json()?;
        if read.model_version.version != version.as_str() {
            return Err(PortError::not_applied(
                ErrorKind::BadAnswer,
                format!(
                    "mlflow was asked for version `{version}` of `{}` and answered with version `{}`",
                    self.model, read.model_version.version
                ),
            ));
        }
        self.spelt_as_here(&read.model_version.name)?;
        Ok(read.model_version)
    }

    /// With some databases MLflow finds a model whatever the case of its name and the spaces after it, and its versions only by the exact name.
    fn spelt_as_here(&self, name: &str) -> Result<(), PortError> {
        if name.is_empty() || name == self.model {
            return Ok(());
        }
        Err(PortError::not_applied(
            ErrorKind::Configuration,
            format!(
                "mlflow has the model `{}`, and `model` is `{}`: write it just as mlflow does, or its versions are not found",
                name.escape_debug(),
                self.model.escape_debug()
            ),
        ))
    }

    fn alias_spelt_otherwise(&self, alike: &str, alias: &str) -> PortError {
        PortError::not_applied(
            ErrorKind::Configuration,
            format!(
                "mlflow has the alias `{}` of `{}`, and `alias` is `{}`: write it just as mlflow does, or another name is moved than the one in use",
                alike.escape_debug(),
                self.model,
                alias.escape_debug()
            ),
        )
    }

    async fn version_answer(&self, version: &VersionName) -> Result<Answer, PortError> {
        self.number(version)?;
        let query = [("name", self.model.as_str()), ("version", version.as_str())];
        let answer = self.ask(&["model-versions", "get"], &query, Right::ReadModel).await;
        answer.map_err(|error| self.no_version(version, error))
    }

    /// Where the version's artefact lies.
    pub(super) async fn download_uri(&self, version: &VersionName) -> Result<String, PortError> {
        self.number(version)?;
        let query = [("name", self.model.as_str()), ("version", version.as_str())];
        let answer = self.ask(&["model-versions", "get-download-uri"], &query, Right::ReadModel).await;
        let read: DownloadAnswer = answer.map_err(|error| self.no_version(version, error))?.json()?;
        Ok(read.artifact_uri)
    }

    /// The training run; none where it was deleted for good.
    pub(super) async fn run(&self, run_id: &str) -> Result<Option<Run>, PortError> {
        match self.ask(&["runs", "get"], &[("run_id", run_id)], Right::ReadExperiment).await {
            Ok(answer) => Ok(Some(answer.json::<RunAnswer>()?.run)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the alias points at; none if it is not set.
    pub(crate) async fn alias(&self, alias: &str) -> Result<Option<String>, PortError> {
        let query = [("name", self.model.as_str()), ("alias", alias)];
        match self.ask(&["registered-models", "alias"], &query, Right::ReadModel).await {
            Ok(answer) => Ok(Some(answer.json::<VersionAnswer>()?.model_version.version)),
            // An alias that is not set is a bad parameter to MLflow, as an unknown model is to release 2: the model itself tells them apart.
            Err(error) if error.kind == ErrorKind::NotFound || is_refused(&error) => {
                let aliases = self.aliases().await?;
                let is_alike = |name: &str| name.trim().to_lowercase() == alias.trim().to_lowercase();
                if let Some((_, version)) = aliases.iter().find(|(name, _)| name == alias) {
                    return Ok(Some(version.clone()));
                }
                match aliases.iter().find(|(name, _)| is_alike(name)) {
                    Some((alike, _)) => Err(self.alias_spelt_otherwise(alike, alias)),
                    None => Ok(None),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn alias_body(&self, alias: &str, version: &VersionName) -> serde_json::Value {
        serde_json::json!({ "name": self.model, "alias": alias, "version": version })
    }

    /// What [`Self::set_alias`] will do, for people.
    pub(crate) fn alias_words(&self, alias: &str, version: &VersionName) -> String {
        format!(
            "have the alias `{alias}` of `{}` at {} point at `{version}`",
            self.model,
            http::shown(&self.url)
        )
    }

    /// The request with what [`Self::set_alias`] sends.
    pub(crate) fn alias_request(&self, alias: &str, version: &VersionName, request: Request) -> Request {
        let request = request
            .with("url", http::shown(&self.url))
            .with("call", ALIAS.join("/"))
            .with("body", self.alias_body(alias, version).to_string());
        request.hole(Hole::Credentials)
    }

    pub(crate) async fn set_alias(&self, alias: &str, version: &VersionName) -> Result<(), PortError> {
        self.number(version)?;
        let changed = self.change(&ALIAS, &self.alias_body(alias, version)).await;
        changed.map_err(|error| self.no_version(version, error))
    }

    /// Makes a version. An answer that is none may be that of a version that was made.
    pub(super) async fn create_version(&self, body: &impl Serialize) -> Result<(), PortError> {
        let created = self.change(&["model-versions", "create"], body).await;
        created.map_err(|error| match error.kind {
            ErrorKind::NotFound => {
                let message = format!("mlflow has no registered model `{}`: check `model`", self.model);
                PortError::not_applied(ErrorKind::NotFound, message).caused_by(error)
            }
            _ => error,
        })
    }

    pub(super) async fn set_tag(
        &self,
        version: &VersionName,
        key: &str,
        value: &str,
    ) -> Result<(), PortError> {
        let body = serde_json::json!({ "name": self.model, "version": version, "key": key, "value": value });
        let changed = self.change(&["model-versions", "set-tag"], &body).await;
        changed.map_err(|error| self.no_version(version, error))
    }
}

/// The server understood the call and does not want it.
fn is_refused(error: &PortError) -> bool {
    error.kind == ErrorKind::Failed && error.retry == Retry::No
}

impl Right {
    fn advice(self, model: &str) -> String {
        match self {
            Self::ReadModel => format!("give the account READ on the registered model `{model}`"),
            Self::EditModel => {
                format!(
                    "give the account EDIT on the registered model `{model}`, for its alias and its marks"
                )
            }
            Self::ReadExperiment => {
                format!("give the account READ on the experiments that the versions of `{model}` come from")
            }
            Self::EditExperiment => {
                format!(
                    "give the account EDIT on the experiment that takes the files of `{model}`, see `experiment`"
                )
            }
        }
    }
}

/// Another sentence and kind; what is known of the effect, and the advice on trying again, stay.
fn rephrased(kind: ErrorKind, message: String, known: &PortError) -> PortError {
    let error = PortError::not_applied(kind, message).retry(known.retry);
    match known.applied {
        Applied::Unknown => error.outcome_unknown(),
        Applied::No => error,
    }
}

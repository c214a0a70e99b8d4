//! Calls to W&B's GraphQL interface.

use reqwest::{Method, Url};
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::operations::{self, Operation};
use super::pages::Pages;
use super::refusal::Right;
use super::wire::{
    AliasesAnswer, Answered, Artifact, CreatedByAnswer, Creator, FileUrl, FilesAnswer, ManifestAnswer,
    Membership, MembershipAnswer, Named, Run, RunAnswer, TypedAnswer, UpdateAnswer, Used, VersionEdge,
    VersionsOf,
};
use crate::Shared;
use crate::http::{self, Answer, Call, Credentials, Http, Patience};
use crate::secret::Secret;

/// Entries that one answer may hold.
const PAGE: u32 = 100;
/// Of addresses of files: signed ones have about a kilobyte each.
const FILES_PAGE: u32 = 1_000;
/// Who asks with an API key, as the interface has it.
const USER: &str = "api";

/// W&B, and the one collection in it.
#[derive(Debug)]
pub(super) struct Api {
    http: Http,
    pub(super) url: Url,
    credentials: Credentials,
    pub(super) at: Collection,
    /// Hosts that files may come from, besides that of `url`.
    files_from: Vec<String>,
    pub(super) deadline: Millis,
    pub(super) patience: Patience,
}

/// Where a collection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Collection {
    pub(super) entity: String,
    pub(super) project: String,
    pub(super) name: String,
    /// Of its artifacts.
    pub(super) kind: String,
}

impl std::fmt::Display for Collection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.entity, self.project, self.name)
    }
}

/// What is configured, besides the collection.
pub(super) struct Place {
    pub(super) url: String,
    pub(super) files_from: Vec<String>,
    pub(super) deadline_ms: u64,
    pub(super) patience_ms: u64,
}

/// All versions of a collection, as they came.
#[derive(Debug)]
pub(super) struct Versions {
    /// Whether the artifacts were linked into it from elsewhere.
    pub(super) linked: bool,
    pub(super) edges: Vec<VersionEdge>,
}

impl Api {
    /// Checks the configuration; W&B is not asked.
    pub(super) fn new(
        place: Place,
        at: Collection,
        key: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        let wrong = |why: String| Err(PortError::not_applied(ErrorKind::Configuration, why));
        let url = http::address(&place.url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return wrong(
                "`url` holds a user or a password: write the API key into a file, and `api-key-file`".into(),
            );
        }
        http::is_shown_whole("url", &url)?;
        for (key, text) in
            [("entity", &at.entity), ("project", &at.project), ("model", &at.name), ("type", &at.kind)]
        {
            if text.is_empty() || text.contains(['/', ':']) || text.chars().any(char::is_control) {
                return wrong(format!(
                    "`{}` cannot be the `{key}` in W&B: write one part of `ENTITY/PROJECT/COLLECTION`, without a version",
                    text.escape_debug()
                ));
            }
        }
        for host in &place.files_from {
            let named = Url::parse(&format!("https://{host}/")).ok();
            if named.and_then(|url| url.host_str().map(str::to_owned)).as_ref() != Some(host) {
                return wrong(format!(
                    "`{}` in `files-from` is no host: write it as in `storage.googleapis.com`",
                    host.escape_debug()
                ));
            }
        }
        let credentials = match key {
            Some(password) => Credentials::Basic { user: USER.to_owned(), password },
            None => Credentials::None,
        };
        Ok(Self {
            http: shared.http.clone(),
            url,
            credentials,
            at,
            files_from: place.files_from,
            deadline: Millis(place.deadline_ms),
            patience: Patience(Millis(place.patience_ms)),
        })
    }

    fn call(&self, operation: Operation, variables: &Value) -> Call {
        let body = json!({
            "operationName": operation.name, "query": operation.document, "variables": variables,
        });
        let url = http::under(&self.url, &["graphql"]);
        let call = self.http.call(Method::POST, &url).of("W&B").deadline(self.deadline);
        call.credentials(&self.credentials).json(&body)
    }

    /// The answer to a question, asked again while that may help. Half an answer is none.
    async fn ask(&self, operation: Operation, variables: &Value) -> Result<Answer, PortError> {
        http::patiently(self.patience, || async {
            let answer = self.call(operation, variables).only_reads().exchange().await?;
            let answer = self.judge(answer, Right::Read)?;
            let whole: Answered<Value> = answer.json()?;
            self.is_whole(&whole, Right::Read)?;
            Ok(answer)
        })
        .await
    }

    async fn read<T: DeserializeOwned>(
        &self,
        operation: Operation,
        variables: &Value,
    ) -> Result<T, PortError> {
        data(&self.ask(operation, variables).await?, operation)
    }

    /// Makes a change. It is sent again only where it cannot have happened.
    async fn change<T: DeserializeOwned>(
        &self,
        operation: Operation,
        variables: &Value,
        right: Right<'_>,
    ) -> Result<T, PortError> {
        http::patiently(self.patience, || async {
            let answer = self.judge(self.call(operation, variables).has_effect().exchange().await?, right)?;
            let whole: Answered<Value> = answer.json()?;
            self.is_whole(&whole, right).map_err(|error| match error.kind {
                // That the account may not is judged before anything is done.
                ErrorKind::Denied => error,
                _ => error.outcome_unknown(),
            })?;
            data(&answer, operation).map_err(PortError::outcome_unknown)
        })
        .await
    }

    /// All versions.
    pub(super) async fn versions(&self) -> Result<Versions, PortError> {
        let filters = json!({ "state": "COMMITTED" }).to_string();
        let mut pages = Pages::of(format!("the versions of `{}`", self.at));
        loop {
            let variables = json!({
                "entity": self.at.entity, "project": self.at.project, "type": self.at.kind,
                "collection": self.at.name, "cursor": pages.cursor(), "perPage": PAGE, "filters": filters,
            });
            let collection: VersionsOf = self.typed(operations::VERSIONS, &variables).await?;
            let page = collection.artifacts.ok_or_else(|| self.without("artifacts"))?;
            if pages.is_last(page)? {
                return Ok(Versions { linked: is_linked(&collection.kind), edges: pages.all });
            }
        }
    }

    /// What stands below a collection; one that is not there is an error.
    async fn typed<C: DeserializeOwned>(
        &self,
        operation: Operation,
        variables: &Value,
    ) -> Result<C, PortError> {
        let answer: TypedAnswer<C> = self.read(operation, variables).await?;
        let typed = answer.project.ok_or_else(|| self.no_project())?.artifact_type;
        typed.and_then(|typed| typed.artifact_collection).ok_or_else(|| self.no_collection())
    }

    fn named(&self, name: &str) -> Value {
        let name = format!("{}:{name}", self.at.name);
        json!({ "entity": self.at.entity, "project": self.at.project, "name": name })
    }

    /// What a version's name or an alias leads to, and all of the answer.
    async fn member(&self, name: &str) -> Result<(Option<Membership>, Answer), PortError> {
        let answer = self.ask(operations::MEMBERSHIP, &self.named(name)).await?;
        let read: MembershipAnswer = data(&answer, operations::MEMBERSHIP)?;
        let project = read.project.ok_or_else(|| self.no_project())?;
        Ok((project.artifact_collection_membership, answer))
    }

    /// A version, and W&B's description of it, verbatim. Any name but that of a version would be taken for an alias.
    pub(super) async fn version(&self, version: &VersionName) -> Result<(Membership, Answer), PortError> {
        let index = number(version.as_str()).ok_or_else(|| self.unknown(version))?;
        let (found, answer) = self.member(version.as_str()).await.map_err(|error| match error.kind {
            ErrorKind::NotFound => self.unknown(version).caused_by(error),
            _ => error,
        })?;
        let found = found.ok_or_else(|| self.unknown(version))?;
        if found.version_index != Some(index) {
            let told = found.version_index.map_or_else(|| "none".to_owned(), |told| format!("`v{told}`"));
            let text =
                format!("W&B was asked for version `{version}` of `{}` and answered with {told}", self.at);
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        Ok((found, answer))
    }

    /// Which version the alias points at; none if it is not set.
    pub(super) async fn alias(&self, alias: &str) -> Result<Option<u64>, PortError> {
        let (found, _) = self.member(alias).await?;
        match found {
            Some(found) => found.version_index.map(Some).ok_or_else(|| self.without("versionIndex")),
            // An alias that is not set and a collection that is not there are answered alike.
            None => {
                let variables = json!({
                    "entity": self.at.entity, "project": self.at.project, "type": self.at.kind,
                    "name": self.at.name,
                });
                self.typed::<Named>(operations::COLLECTION, &variables).await.map(|_| None)
            }
        }
    }

    pub(super) fn alias_words(&self, alias: &str, version: &VersionName) -> String {
        format!(
            "have the alias `{alias}` of `{}` at {} point at `{version}`",
            self.at,
            http::shown(&self.url)
        )
    }

    /// The request with what [`Self::set_alias`] sends. The artifact's id is W&B's own and hangs on the version.
    pub(super) fn alias_request(&self, alias: &str, version: &VersionName, request: Request) -> Request {
        let request = request
            .with("url", http::shown(&self.url))
            .with("operation", operations::ADD_ALIASES.document)
            .with("alias", self.alias_input(alias).to_string())
            .with("version", version.to_string());
        request.hole(Hole::Credentials)
    }

    fn alias_input(&self, alias: &str) -> Value {
        json!({
            "entityName": self.at.entity, "projectName": self.at.project,
            "artifactCollectionName": self.at.name, "alias": alias,
        })
    }

    /// Points the alias at the artifact. W&B takes it from the version of the collection that had it.
    pub(super) async fn set_alias(&self, alias: &str, artifact: &str) -> Result<(), PortError> {
        let variables = json!({ "input": { "artifactID": artifact, "aliases": [self.alias_input(alias)] } });
        let right = Right::MoveAlias(alias);
        let answer: AliasesAnswer = self.change(operations::ADD_ALIASES, &variables, right).await?;
        if answer.result.is_some_and(|result| result.success) {
            return Ok(());
        }
        let text = format!(
            "W&B says that it did not move the alias `{alias}` of `{}`; {}",
            self.at,
            self.advice(right)
        );
        Err(PortError::unknown(ErrorKind::Failed, text))
    }

    /// Adds some tags to an artifact and takes others away.
    pub(super) async fn set_tags(
        &self,
        artifact: &str,
        add: &[String],
        take: &[String],
    ) -> Result<(), PortError> {
        let tags = |names: &[String]| names.iter().map(|name| json!({ "tagName": name })).collect::<Vec<_>>();
        let variables = json!({
            "input": { "artifactID": artifact, "tagsToAdd": tags(add), "tagsToDelete": tags(take) },
        });
        let answer: UpdateAnswer = self.change(operations::UPDATE, &variables, Right::Tag).await?;
        match answer.result {
            Some(_) => Ok(()),
            None => Err(self.without("result").outcome_unknown()),
        }
    }

    /// Where the artifact's manifest lies; none where it has none.
    pub(super) async fn manifest_url(&self, artifact: &str) -> Result<Option<String>, PortError> {
        let answer: ManifestAnswer = self.read(operations::MANIFEST, &json!({ "id": artifact })).await?;
        let manifest = answer.artifact.and_then(|artifact| artifact.current_manifest);
        Ok(manifest.and_then(|manifest| manifest.file).map(|file| file.direct_url))
    }

    /// Where the files of a version lie.
    pub(super) async fn file_urls(&self, version: &VersionName) -> Result<Vec<FileUrl>, PortError> {
        let mut pages = Pages::of(format!("the files of `{}:{version}`", self.at));
        loop {
            let variables = json!({
                "entity": self.at.entity, "project": self.at.project, "collection": self.at.name,
                "alias": version, "cursor": pages.cursor(), "perPage": FILES_PAGE,
            });
            let answer: FilesAnswer = self.read(operations::FILES, &variables).await?;
            let project = answer.project.ok_or_else(|| self.no_project())?;
            let collection = project.artifact_collection.ok_or_else(|| self.no_collection())?;
            let membership = collection.artifact_membership.ok_or_else(|| self.unknown(version))?;
            if pages.is_last(membership.files.ok_or_else(|| self.without("files"))?)? {
                // What is hidden here is missed when the manifest is gone through.
                return Ok(pages.all.into_iter().filter_map(|edge| edge.node).collect());
            }
        }
    }

    /// The run that logged an artifact, where it was a run.
    pub(super) async fn created_by(&self, artifact: &str) -> Result<Option<Creator>, PortError> {
        let answer: CreatedByAnswer = self.read(operations::CREATED_BY, &json!({ "id": artifact })).await?;
        Ok(answer.artifact.and_then(|artifact| artifact.created_by))
    }

    /// A run; none where it was deleted, or the account may not see it.
    pub(super) async fn run(
        &self,
        (entity, project, run): (&str, &str, &str),
    ) -> Result<Option<Run>, PortError> {
        let variables = json!({ "entity": entity, "project": project, "name": run });
        let answer: RunAnswer<Run> = self.read(operations::RUN, &variables).await?;
        Ok(answer.project.and_then(|project| project.run))
    }

    /// The artifacts that a run used.
    pub(super) async fn used(
        &self,
        (entity, project, run): (&str, &str, &str),
    ) -> Result<Vec<Artifact>, PortError> {
        let what = format!("what the run `{entity}/{project}/{run}` used");
        let mut pages = Pages::of(what.clone());
        loop {
            let variables = json!({
                "entity": entity, "project": project, "run": run, "cursor": pages.cursor(), "perPage": PAGE,
            });
            let answer: RunAnswer<Used> = self.read(operations::USED, &variables).await?;
            let used = answer.project.and_then(|project| project.run).and_then(|run| run.artifacts);
            if pages.is_last(used.ok_or_else(|| self.without("inputArtifacts"))?)? {
                break;
            }
        }
        let seen = pages.all.len();
        let used: Vec<Artifact> = pages.all.into_iter().filter_map(|edge| edge.node).collect();
        if used.len() < seen {
            let text = format!(
                "W&B does not show {} of {seen} artifacts of {what}: {}",
                seen - used.len(),
                self.advice(Right::Read)
            );
            return Err(PortError::not_applied(ErrorKind::Denied, text));
        }
        Ok(used)
    }

    /// A call for a file at an address that W&B gave. The API key is not sent: such addresses are signed.
    pub(super) fn file(&self, direct_url: &str, what: &str) -> Result<Call, PortError> {
        let refused =
            |why: String| PortError::not_applied(ErrorKind::Configuration, format!("W&B keeps {what} {why}"));
        let url =
            self.url.join(direct_url).map_err(|_| refused("at an address that does not read".into()))?;
        let host = url.host_str().unwrap_or_default();
        let is_here = url.origin() == self.url.origin();
        let is_storage = url.scheme() == "https" && self.files_from.iter().any(|known| known == host);
        if !is_here && !is_storage {
            return Err(refused(format!(
                "at `{}`, where nobody said that files may come from: if that is your storage, add `{}` to `files-from`; it is asked over https alone",
                http::shown(&url),
                host.escape_debug()
            )));
        }
        Ok(self.http.call(Method::GET, &url).of("W&B's file storage").deadline(self.deadline))
    }
}

/// Whether the artifacts of a collection were linked into it, by its type.
pub(super) fn is_linked(kind: &str) -> bool {
    kind == "ArtifactPortfolio"
}

/// The number in a version's name, such as `v3`.
pub(super) fn number(version: &str) -> Option<u64> {
    let digits = version.strip_prefix('v')?;
    let counted =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if counted { digits.parse().ok() } else { None }
}

fn data<T: DeserializeOwned>(answer: &Answer, operation: Operation) -> Result<T, PortError> {
    let answered: Answered<T> = answer.json()?;
    answered.data.ok_or_else(|| {
        PortError::not_applied(
            ErrorKind::BadAnswer,
            format!("{} answered `{}` without data: {}", answer.what(), operation.name, answer.excerpt()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_counted_and_nothing_else_is_one() {
        for (text, read) in [("v0", Some(0)), ("v3", Some(3)), ("v12", Some(12))] {
            assert_eq!(number(text), read, "{text}");
        }
        for text in ["", "v", "3", "v03", "v-1", "v1.0", "latest", "production", "v99999999999999999999"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}

//! Calls to SageMaker about one model package group.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use reqwest::Url;
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_ports::{ErrorKind, PortError};
use serde_json::json;

use super::holds::Wanted;
use super::wire::{Group, Listed, Package, Steps, Tags, TrainingJob, Versions};
use crate::aws::Json;
use crate::http;

/// Versions, or tags, that one answer may hold.
const PAGE: u32 = 100;
/// More are no list that anybody looks through.
const PAGES_MAX: usize = 100;
/// Beyond so many names of versions all are forgotten and read again.
const REMEMBERED_MAX: usize = 20_000;

/// SageMaker, and one group in it.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) json: Json,
    /// Its name, or its ARN where it is another account's.
    pub(crate) group: String,
    /// The ARNs of versions: SageMaker's own, for none is put together here.
    arns: Mutex<HashMap<VersionName, String>>,
}

/// One version, with the answer that told of it.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) package: Package,
    pub(super) body: Vec<u8>,
}

/// What a page of a list leads to.
struct Pages<'a> {
    what: &'a str,
    seen: BTreeSet<String>,
}

impl<'a> Pages<'a> {
    fn of(what: &'a str) -> Self {
        Self { what, seen: BTreeSet::new() }
    }

    /// The token of the next page; a token that comes again would never end.
    fn next(&mut self, token: Option<String>) -> Result<Option<String>, PortError> {
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
        let what = self.what;
        if !self.seen.insert(token.clone()) {
            let text = format!(
                "SageMaker says that there are more pages of {what}, and gives a token that was used already: nothing of it is used"
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        if self.seen.len() >= PAGES_MAX {
            let text = format!(
                "SageMaker has more than {PAGES_MAX} pages of {what}: delete what nobody goes back to"
            );
            return Err(PortError::not_applied(ErrorKind::TooLarge, text));
        }
        Ok(Some(token))
    }
}

impl Api {
    pub(crate) fn new(json: Json, group: String) -> Self {
        Self { json, group, arns: Mutex::default() }
    }

    pub(super) fn url(&self) -> &Url {
        &self.json.url
    }

    /// Where the group is, for people.
    pub(super) fn shown(&self) -> String {
        format!("{} at {}", self.group, http::shown(self.url()))
    }

    /// The newest versions, at most `limit`; by number where two are of one moment.
    pub(super) async fn versions(&self, limit: usize) -> Result<Vec<VersionName>, PortError> {
        let mut found = Vec::new();
        self.pages(|page| {
            found.extend(page);
            found.len() >= limit
        })
        .await?;
        if found.is_empty() {
            // An empty list may also be that of no group.
            self.group_arn().await?;
        }
        let mut seen = BTreeSet::new();
        if let Some((name, _)) = found.iter().find(|(name, _)| !seen.insert(name.clone())) {
            let text =
                format!("SageMaker lists version `{name}` of `{}` twice: its list is not used", self.group);
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        found.truncate(limit);
        Ok(found.into_iter().map(|(name, _)| name).collect())
    }

    /// Pages of versions, newest first, until there are no more or `is_enough`.
    async fn pages(
        &self,
        mut is_enough: impl FnMut(Vec<(VersionName, String)>) -> bool,
    ) -> Result<(), PortError> {
        let what = format!("the versions of `{}`", self.group);
        let mut pages = Pages::of(&what);
        let mut token: Option<String> = None;
        loop {
            let mut body = json!({
                "ModelPackageGroupName": self.group, "SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": PAGE,
            });
            if let Some(token) = &token {
                body["NextToken"] = json!(token);
            }
            let asked = self.json.ask("ListModelPackages", &body).await;
            let page: Versions = asked.map_err(|error| self.no_group(error))?;
            let named = page.model_package_summary_list.into_iter().map(|listed| self.named(listed));
            let named: Vec<(VersionName, String)> = named.collect::<Result<_, _>>()?;
            self.remember(&named);
            token = pages.next(page.next_token)?;
            if is_enough(named) || token.is_none() {
                return Ok(());
            }
        }
    }

    fn named(&self, listed: Listed) -> Result<(VersionName, String), PortError> {
        let number = listed.model_package_version;
        let name = number.and_then(|number| VersionName::new(number.to_string()).ok());
        name.map(|name| (name, listed.model_package_arn)).ok_or_else(|| {
            let text = format!("SageMaker lists a version of `{}` without a number", self.group);
            PortError::not_applied(ErrorKind::BadAnswer, text)
        })
    }

    fn remember(&self, named: &[(VersionName, String)]) {
        let mut arns = self.arns.lock().unwrap_or_else(PoisonError::into_inner);
        if arns.len() + named.len() > REMEMBERED_MAX {
            arns.clear();
        }
        arns.extend(named.iter().cloned());
    }

    fn remembered(&self, version: &VersionName) -> Option<String> {
        self.arns.lock().unwrap_or_else(PoisonError::into_inner).get(version).cloned()
    }

    async fn arn(&self, version: &VersionName) -> Result<String, PortError> {
        if let Some(arn) = self.remembered(version) {
            return Ok(arn);
        }
        self.pages(|page| page.iter().any(|(name, _)| name == version)).await?;
        self.remembered(version).ok_or_else(|| self.unknown(version))
    }

    /// One version.
    pub(super) async fn describe(&self, version: &VersionName) -> Result<Described, PortError> {
        let arn = self.arn(version).await?;
        let asked = self.json.read("DescribeModelPackage", &json!({ "ModelPackageName": arn })).await;
        let answer = asked.map_err(|error| match error.kind {
            ErrorKind::NotFound => {
                self.arns.lock().unwrap_or_else(PoisonError::into_inner).remove(version);
                self.unknown(version)
            }
            _ => error,
        })?;
        let package: Package = answer.json()?;
        let number = package.model_package_version.map(|number| number.to_string());
        if number.as_deref() != Some(version.as_str()) {
            let text = format!(
                "SageMaker was asked for version `{version}` of `{}` and answered about another: it is not used",
                self.group
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        Ok(Described { package, body: answer.body })
    }

    /// One version as SageMaker tells of it, with its ARN, for whoever makes a model of it.
    pub(crate) async fn told(&self, version: &VersionName) -> Result<serde_json::Value, PortError> {
        let Described { body, .. } = self.describe(version).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let text =
                format!("what SageMaker says of version `{version}` of `{}` cannot be read", self.group);
            PortError::not_applied(ErrorKind::BadAnswer, text).caused_by(error)
        })
    }

    /// Makes a version what is wanted of it.
    pub(super) async fn update(&self, arn: &str, wanted: &Wanted) -> Result<(), PortError> {
        let mut body = json!({
            "ModelPackageArn": arn,
            "ModelApprovalStatus": wanted.approval,
        });
        // None at all is refused.
        if !wanted.properties.is_empty() {
            body["CustomerMetadataProperties"] = json!(wanted.properties);
        }
        if let Some(description) = &wanted.description {
            body["ApprovalDescription"] = json!(description);
        }
        if !wanted.remove.is_empty() {
            body["CustomerMetadataPropertiesToRemove"] = json!(wanted.remove);
        }
        self.json.change("UpdateModelPackage", &body).await
    }

    async fn group_arn(&self) -> Result<String, PortError> {
        let body = json!({ "ModelPackageGroupName": self.group });
        let asked = self.json.ask("DescribeModelPackageGroup", &body).await;
        let group: Group = asked.map_err(|error| self.no_group(error))?;
        Ok(group.model_package_group_arn)
    }

    /// The group's tags.
    pub(super) async fn tags(&self) -> Result<BTreeMap<String, String>, PortError> {
        let arn = self.group_arn().await?;
        self.tags_of(&arn, &format!("the tags of `{}`", self.group)).await
    }

    /// The tags of whatever has this ARN; `what` is what people know them as.
    pub(crate) async fn tags_of(&self, arn: &str, what: &str) -> Result<BTreeMap<String, String>, PortError> {
        let mut pages = Pages::of(what);
        let mut token: Option<String> = None;
        let mut tags = BTreeMap::new();
        loop {
            let mut body = json!({ "ResourceArn": arn });
            if let Some(token) = &token {
                body["NextToken"] = json!(token);
            }
            let page: Tags = self.json.ask("ListTags", &body).await?;
            tags.extend(page.tags.into_iter().map(|tag| (tag.key, tag.value)));
            token = pages.next(page.next_token)?;
            if token.is_none() {
                return Ok(tags);
            }
        }
    }

    /// Gives the group's tag another value: one call, which leaves all other tags alone.
    pub(super) async fn set_tag(&self, key: &str, version: &VersionName) -> Result<(), PortError> {
        let arn = self.group_arn().await?;
        let body = json!({ "ResourceArn": arn, "Tags": [{ "Key": key, "Value": version.as_str() }] });
        self.json.change("AddTags", &body).await
    }

    pub(super) fn tag_words(&self, key: &str, version: &VersionName) -> String {
        format!("have the tag `{key}` of the model package group `{}` say `{version}`", self.shown())
    }

    /// The request with what [`Self::set_tag`] sends. The group's ARN is SageMaker's own and hangs on its name and the account.
    pub(super) fn tag_request(&self, key: &str, version: &VersionName, request: Request) -> Request {
        let request = request
            .with("url", http::shown(self.url()))
            .with("region", self.json.region.clone())
            .with("operation", "AddTags")
            .with("model-package-group", self.group.clone())
            .with("tag", key)
            .with("version", version.to_string());
        request.hole(Hole::Credentials).hole(Hole::Time)
    }

    /// The ARNs of what the steps of a pipeline's execution trained; none where the execution is gone.
    pub(super) async fn trained_in(&self, execution: &str) -> Result<Vec<String>, PortError> {
        let mut pages = Pages::of("the steps of a pipeline's execution");
        let mut token: Option<String> = None;
        let mut trained = Vec::new();
        loop {
            let mut body = json!({ "PipelineExecutionArn": execution, "MaxResults": PAGE });
            if let Some(token) = &token {
                body["NextToken"] = json!(token);
            }
            let page: Steps = match self.json.ask("ListPipelineExecutionSteps", &body).await {
                Ok(page) => page,
                Err(error) if error.kind == ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            let steps = page.pipeline_execution_steps.into_iter();
            trained.extend(steps.filter_map(|step| step.metadata?.training_job?.arn));
            token = pages.next(page.next_token)?;
            if token.is_none() {
                return Ok(trained);
            }
        }
    }

    /// A training job; none where it is gone.
    pub(super) async fn training_job(&self, name: &str) -> Result<Option<TrainingJob>, PortError> {
        let asked = self.json.ask("DescribeTrainingJob", &json!({ "TrainingJobName": name })).await;
        match asked {
            Ok(job) => Ok(Some(job)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn no_group(&self, error: PortError) -> PortError {
        if error.kind != ErrorKind::NotFound {
            return error;
        }
        let text = format!(
            "SageMaker has no model package group `{}` in `{}` for this account: check `model` and `region`, and whose credentials these are; a group of another account is named by its ARN",
            self.group, self.json.region
        );
        PortError::not_applied(ErrorKind::NotFound, text)
    }

    fn unknown(&self, version: &VersionName) -> PortError {
        let text = format!(
            "SageMaker has no version `{version}` of the model package group `{}`: list its versions",
            self.group
        );
        PortError::not_applied(ErrorKind::NotFound, text)
    }
}

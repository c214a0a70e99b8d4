//! A rollback by GitLab: a pipeline of the project that deploys, created with another version.
//!
//! GitLab has no key for a pipeline: the mark stands in its name, which `workflow:name` sets, and pipelines are found by it. `README.md` beside this module says
//! what to configure and what was tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::{Method, Url};
use ripcord_core::request::Request;
use ripcord_core::time::Millis;
use ripcord_ports::{Deployer, ErrorKind, PortError, Retry};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Secret;
use crate::adapter::{Adapter, SecretKey};
use crate::http::{self, Answer};
use crate::pipeline::{
    self, Engine, FollowConfig, Found, Inputs, Keyed, LiveConfig, Marks, PipelineDeployer,
    PipelineSurroundings, Run, RunState, Server, Settings, Tail, end_of, entries, odd,
};
use crate::producing::line;
use crate::restoring::wrong;

const SYSTEM: &str = "GitLab";
const RIGHTS: &str = "the role *Developer* in this project and a token with the scope `api`";
const PAGE: usize = 100;
/// So many of the newest pipelines are looked through.
const PAGES_MAX: usize = 5;
/// Jobs of one pipeline whose logs are read.
const LOGS_MAX: usize = 8;

/// For the catalogue.
pub const ADAPTER: Adapter<GitlabDeployerConfig, dyn Deployer> = Adapter {
    kind: "gitlab",
    system: "GitLab CI/CD",
    summary: "a pipeline that deploys, created with another version",
    page: "deployer_gitlab/README.md",
    secret: SecretKey::Token,
    example: "project = \"team/fraud\", live = { urls = [\"http://127.0.0.1:8080/live\"], pointer = \"/version\" }",
    start: |config, start| pipeline::start(&mut config.live, start),
    says: |config| {
        let pipeline = format!("the pipeline of {} at {}, on {}", config.project, config.url, config.branch);
        pipeline::says(pipeline, &config.live)
    },
    make: |config, with| {
        let surroundings = PipelineSurroundings::of(&with);
        Ok(Arc::new(deployer(config, with.secret, surroundings)?))
    },
};

/// Whose pipeline deploys.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GitlabDeployerConfig {
    /// The project's path, as in `team/fraud`, or its number.
    pub project: String,
    /// The branch or tag whose pipeline is created. Default: `main`.
    #[serde(default = "branch_default")]
    pub branch: String,
    /// What stands before `/api/v4`. Default: `https://gitlab.com`.
    #[serde(default = "url_default")]
    pub url: String,
    /// As what the pipeline is told: `variables`, or `inputs` of `spec:inputs`. Default: `variables`.
    #[serde(default)]
    pub tells_by: TellsBy,
    /// Names and values besides Ripcord's own; `{version}` and `{digest}` stand for the target's.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// How a pipeline is followed.
    #[serde(default)]
    pub follow: FollowConfig,
    /// How live is read.
    pub live: LiveConfig,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

/// As what a pipeline is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TellsBy {
    /// Variables of the pipeline.
    #[default]
    Variables,
    /// Inputs that the configuration of the pipeline declares.
    Inputs,
}

fn branch_default() -> String {
    "main".to_owned()
}

fn url_default() -> String {
    "https://gitlab.com".to_owned()
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// Checks the configuration; GitLab is not asked.
pub fn deployer(
    config: GitlabDeployerConfig,
    secret: Option<Secret>,
    surroundings: PipelineSurroundings,
) -> Result<PipelineDeployer, PortError> {
    let parts: Vec<&str> = config.project.split('/').collect();
    if parts.iter().any(|part| part.is_empty() || matches!(*part, "." | "..")) || config.branch.is_empty() {
        return Err(wrong(
            "`project` is the path of a project, as in `team/fraud`, and `branch` is a branch",
        ));
    }
    if secret.is_none() {
        return Err(wrong(
            "GitLab creates pipelines for nobody without a token: add `token-file` or `token-env`",
        ));
    }
    let server = Server::new(SYSTEM, &config.url, None, secret, config.deadline_ms, &surroundings.shared)?;
    let engine = Gitlab { server, project: config.project, branch: config.branch, tells_by: config.tells_by };
    let settings = Settings { inputs: config.inputs, follow: config.follow, live: config.live };
    PipelineDeployer::new(Box::new(engine), settings, surroundings)
}

#[derive(Debug)]
struct Gitlab {
    server: Server,
    project: String,
    branch: String,
    tells_by: TellsBy,
}

#[derive(Deserialize)]
struct Pipeline {
    id: u64,
    status: String,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Job {
    id: u64,
    name: String,
    status: String,
}

/// A job, or one that begins another pipeline.
#[derive(Deserialize)]
struct Started {
    started_at: Option<String>,
}

impl Pipeline {
    fn run(&self) -> Run {
        let state = match self.status.as_str() {
            "success" => RunState::Succeeded,
            "failed" | "canceled" => RunState::Failed(self.status.clone()),
            "skipped" => RunState::NeverBegan { word: self.status.clone(), retry: Retry::No },
            going_on => RunState::GoesOn(going_on.to_owned()),
        };
        let name = self.name.as_deref().unwrap_or_default();
        Run { id: self.id.to_string(), shown: format!("{} (`{name}`)", self.id), state }
    }
}

/// Its answers say what is wrong in a `message` or an `error`.
fn is_of_gitlab(answer: &Answer) -> bool {
    serde_json::from_slice::<Value>(&answer.body)
        .is_ok_and(|body| body.get("message").or(body.get("error")).is_some())
}

impl Gitlab {
    fn at(&self, path: &[&str]) -> Url {
        // The path of a project is one part of the address: its `/` is escaped.
        let whole: Vec<&str> =
            ["api", "v4", "projects", &self.project].into_iter().chain(path.iter().copied()).collect();
        self.server.at(&whole)
    }

    fn what(&self) -> String {
        format!("project `{}` with this branch or tag", self.project)
    }

    async fn get<T: DeserializeOwned>(&self, url: &Url, what: &str) -> Result<T, PortError> {
        let answer = self.server.call(Method::GET, url).exchange().await?;
        self.server.found(&answer, what, RIGHTS, is_of_gitlab(&answer))
    }

    /// Whether nothing of a pipeline was ever at work, nor of one that it begins, as of one that waited for its turn. Where not all is told, it may have been.
    async fn never_ran(&self, run: &str) -> Result<bool, PortError> {
        let mut has_jobs = false;
        for list in ["jobs", "bridges"] {
            let mut url = self.at(&["pipelines", run, list]);
            url.query_pairs_mut()
                .append_pair("include_retried", "true")
                .append_pair("per_page", &PAGE.to_string());
            let jobs: Vec<Started> = self.get(&url, &format!("pipeline {}", line(run))).await?;
            if jobs.len() >= PAGE || jobs.iter().any(|job| job.started_at.is_some()) {
                return Ok(false);
            }
            has_jobs |= !jobs.is_empty();
        }
        Ok(has_jobs)
    }
}

#[async_trait]
impl Engine for Gitlab {
    fn name(&self) -> &'static str {
        "deployer_gitlab"
    }

    fn system(&self) -> &'static str {
        SYSTEM
    }

    fn shown(&self) -> String {
        format!("the pipeline of `{}` on `{}` at {}", self.project, self.branch, self.server.shown())
    }

    fn keyed(&self) -> Keyed {
        Keyed::No
    }

    fn in_request(&self, request: Request) -> Request {
        request.with("told by", format!("{:?}", self.tells_by))
    }

    async fn begin(
        &self,
        _marks: &Marks,
        inputs: &Inputs,
        deadline: Millis,
    ) -> Result<Option<String>, PortError> {
        let url = self.at(&["pipeline"]);
        let body = match self.tells_by {
            TellsBy::Inputs => json!({ "ref": self.branch, "inputs": inputs }),
            TellsBy::Variables => {
                let variable = |(key, value)| json!({ "key": key, "value": value });
                json!({ "ref": self.branch, "variables": inputs.iter().map(variable).collect::<Vec<_>>() })
            }
        };
        let deadline = self.server.deadline().min(deadline);
        let call = self.server.call(Method::POST, &url).deadline(deadline).has_effect().json(&body);
        let answer = call.exchange().await?;
        if !answer.status.is_success() {
            return Err(self.server.refusal(&answer, &self.what(), RIGHTS));
        }
        Ok(Some(answer.json::<Pipeline>()?.id.to_string()))
    }

    async fn find(&self, marks: &Marks) -> Result<Vec<Found>, PortError> {
        let mut found: Vec<Found> = Vec::new();
        let mut first_before = None;
        for page in 1..=PAGES_MAX {
            let mut url = self.at(&["pipelines"]);
            url.query_pairs_mut()
                .append_pair("source", "api")
                .append_pair("order_by", "id")
                .append_pair("sort", "desc")
                .append_pair("per_page", &PAGE.to_string())
                .append_pair("page", &page.to_string());
            let list: Vec<Value> = self.get(&url, &self.what()).await?;
            let (count, first) = (list.len(), list.first().cloned());
            if count > 0 && first == first_before {
                let text = "GitLab gives the same page of pipelines twice: look for what stands between";
                return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
            }
            first_before = first;
            for entry in entries::<Pipeline>(list) {
                match entry {
                    Ok(pipeline) => {
                        let attempt = pipeline.name.as_deref().and_then(|name| marks.attempt_in(name));
                        found.extend(attempt.map(|attempt| Found { attempt, run: pipeline.run() }));
                    }
                    Err(entry) if entry.to_string().contains(marks.base()) => {
                        return Err(odd(SYSTEM, &entry));
                    }
                    Err(_) => {}
                }
            }
            if count < PAGE {
                break;
            }
        }
        found.reverse();
        Ok(found)
    }

    async fn look(&self, run: &str) -> Result<Run, PortError> {
        let url = self.at(&["pipelines", run]);
        let looked: Pipeline = self.get(&url, &format!("pipeline {}", line(run))).await?;
        if looked.id.to_string() == run {
            let mut found = looked.run();
            if looked.status == "canceled" && self.never_ran(run).await.unwrap_or(false) {
                found.state = RunState::NeverBegan { word: looked.status, retry: Retry::Later };
            }
            return Ok(found);
        }
        let text = format!("GitLab was asked for the pipeline {} and answers with {}", line(run), looked.id);
        Err(PortError::not_applied(ErrorKind::BadAnswer, text))
    }

    async fn log(&self, run: &str) -> Result<Tail, PortError> {
        let mut url = self.at(&["pipelines", run, "jobs"]);
        url.query_pairs_mut().append_pair("per_page", &PAGE.to_string());
        let jobs: Vec<Job> = self.get(&url, &format!("pipeline {}", line(run))).await?;
        let mut wanted: Vec<&Job> = jobs.iter().filter(|job| job.status == "failed").take(LOGS_MAX).collect();
        if wanted.is_empty() {
            wanted.extend(jobs.iter().max_by_key(|job| job.id));
        }
        let (mut text, mut left_out) = (String::new(), 0_u64);
        for job in wanted {
            let url = self.at(&["jobs", &job.id.to_string(), "trace"]);
            text.push_str(&format!("job {} ({})\n", job.name, job.status));
            match end_of(self.server.call(Method::GET, &url), self.server.deadline()).await {
                Ok((end, before)) => {
                    text.push_str(&String::from_utf8_lossy(&end));
                    left_out = left_out.saturating_add(before);
                }
                Err(error) => text.push_str(&format!("its log could not be read: {error}")),
            }
            text.push('\n');
        }
        Ok(Tail::of(text.as_bytes(), left_out, &self.server.secrets()))
    }

    async fn cancel(&self, run: &str) -> Result<(), PortError> {
        let url = self.at(&["pipelines", run, "cancel"]);
        let answer = self.server.call(Method::POST, &url).has_effect().exchange().await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(self.server.refusal(&answer, &format!("pipeline {}", line(run)), RIGHTS))
    }

    async fn obstacle(&self) -> Option<String> {
        let url = self.at(&["repository", "branches", &self.branch]);
        match self.get::<Value>(&url, &self.what()).await {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            read => return read.err().map(|error| error.to_string()),
        }
        let url = self.at(&["repository", "tags", &self.branch]);
        self.get::<Value>(&url, &self.what()).await.err().map(|error| error.to_string())
    }
}

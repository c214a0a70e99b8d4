//! A rollback by GitHub Actions: a run of the workflow that deploys, dispatched with another version.
//!
//! GitHub has no key for a dispatch: the mark stands in the run's name, which the workflow sets, and runs are found by it. `README.md` beside this module says what
//! to configure and what was tried.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderName};
use reqwest::{Method, Url};
use ripcord_core::request::Request;
use ripcord_core::time::Millis;
use ripcord_ports::{Deployer, ErrorKind, PortError, Retry};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Secret;
use crate::adapter::{Adapter, SecretKey};
use crate::http::{self, Answer, Call};
use crate::pipeline::{
    self, Engine, FollowConfig, Found, Inputs, Keyed, LiveConfig, Marks, PipelineDeployer,
    PipelineSurroundings, Run, RunState, Server, Settings, Tail, entries, odd,
};
use crate::producing::line;
use crate::restoring::wrong;

const SYSTEM: &str = "GitHub";
const RIGHTS: &str = "`actions: write` for this repository";
const API_VERSION: &str = "2022-11-28";
const PAGE: usize = 100;
/// So many of the newest dispatched runs are looked through.
const PAGES_MAX: usize = 5;
/// Of `inputs` in a dispatch.
const INPUTS_MAX: usize = 25;
/// Where GitHub wants to be left alone and does not say for how long: as it writes.
const LIMITED: Duration = Duration::from_secs(60);
const LIMITED_MAX: Duration = Duration::from_secs(60 * 60);

/// For the catalogue.
pub const ADAPTER: Adapter<GithubActionsDeployerConfig, dyn Deployer> = Adapter {
    kind: "github-actions",
    system: "GitHub Actions",
    summary: "a workflow that deploys, dispatched with another version",
    page: "deployer_github_actions/README.md",
    secret: SecretKey::Token,
    example: "repository = \"team/fraud\", workflow = \"deploy.yml\", live = { urls = [\"http://127.0.0.1:8080/live\"], pointer = \"/version\" }",
    start: |config, start| pipeline::start(&mut config.live, start),
    says: |config| {
        let workflow =
            format!("{} of {} at {}, on {}", config.workflow, config.repository, config.url, config.branch);
        pipeline::says(format!("the workflow {workflow}"), &config.live)
    },
    make: |config, with| {
        let surroundings = PipelineSurroundings::of(&with);
        Ok(Arc::new(deployer(config, with.secret, surroundings)?))
    },
};

/// Which workflow deploys.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GithubActionsDeployerConfig {
    /// Owner and name, as in `team/fraud`.
    pub repository: String,
    /// The file's name in `.github/workflows`, or the workflow's id.
    pub workflow: String,
    /// The branch or tag whose workflow is run. Default: `main`.
    #[serde(default = "branch_default")]
    pub branch: String,
    /// The interface, as in `https://github.internal/api/v3` of a server of your own. Default: `https://api.github.com`.
    #[serde(default = "url_default")]
    pub url: String,
    /// Whether a dispatch is asked to answer with the run's id, which servers of your own have had since 3.21. Default: yes.
    #[serde(default = "yes")]
    pub run_details: bool,
    /// Inputs besides Ripcord's own; `{version}` and `{digest}` stand for the target's.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// How a run is followed.
    #[serde(default)]
    pub follow: FollowConfig,
    /// How live is read.
    pub live: LiveConfig,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

fn branch_default() -> String {
    "main".to_owned()
}

fn url_default() -> String {
    "https://api.github.com".to_owned()
}

fn yes() -> bool {
    true
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// Checks the configuration; GitHub is not asked.
pub fn deployer(
    config: GithubActionsDeployerConfig,
    secret: Option<Secret>,
    surroundings: PipelineSurroundings,
) -> Result<PipelineDeployer, PortError> {
    let is_part = |part: &str| !part.is_empty() && !matches!(part, "." | "..") && !part.contains(['/', '\\']);
    let Some((owner, name)) = config.repository.split_once('/').filter(|(a, b)| is_part(a) && is_part(b))
    else {
        return Err(wrong("`repository` is owner and name, as in `team/fraud`"));
    };
    if !is_part(&config.workflow) || config.branch.is_empty() {
        return Err(wrong(
            "`workflow` is a file's name without a folder, as in `deploy.yml`, and `branch` is a branch",
        ));
    }
    if secret.is_none() {
        return Err(wrong("GitHub dispatches for nobody without a token: add `token-file` or `token-env`"));
    }
    if config.inputs.len() + pipeline::OWN.len() > INPUTS_MAX {
        return Err(wrong(format!("GitHub takes {INPUTS_MAX} inputs at most, Ripcord's own among them")));
    }
    let server = Server::new(SYSTEM, &config.url, None, secret, config.deadline_ms, &surroundings.shared)?;
    let engine = Github {
        server,
        repository: [owner.to_owned(), name.to_owned()],
        workflow: config.workflow,
        branch: config.branch,
        run_details: config.run_details,
        limited_until: Mutex::new(None),
    };
    let settings = Settings { inputs: config.inputs, follow: config.follow, live: config.live };
    PipelineDeployer::new(Box::new(engine), settings, surroundings)
}

#[derive(Debug)]
struct Github {
    server: Server,
    repository: [String; 2],
    workflow: String,
    branch: String,
    run_details: bool,
    /// No call is sent before: GitHub bans those who go on asking.
    limited_until: Mutex<Option<Instant>>,
}

#[derive(Deserialize)]
struct WorkflowRun {
    id: u64,
    display_title: String,
    status: String,
    #[serde(default)]
    conclusion: Option<String>,
}

#[derive(Deserialize)]
struct Runs {
    workflow_runs: Vec<Value>,
}

#[derive(Deserialize)]
struct Jobs {
    #[serde(default)]
    total_count: Option<u64>,
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    name: String,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    runner_id: Option<u64>,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    number: u64,
    name: String,
    #[serde(default)]
    conclusion: Option<String>,
}

#[derive(Deserialize)]
struct Workflow {
    state: String,
}

#[derive(Deserialize)]
struct Dispatched {
    workflow_run_id: u64,
}

impl WorkflowRun {
    fn run(&self) -> Run {
        let state = match (self.status.as_str(), self.conclusion.as_deref()) {
            ("completed", Some("success")) => RunState::Succeeded,
            ("completed", Some(word @ ("skipped" | "startup_failure" | "action_required"))) => {
                RunState::NeverBegan { word: word.to_owned(), retry: Retry::No }
            }
            ("completed", other) => RunState::Failed(other.unwrap_or("completed").to_owned()),
            (going_on, _) => RunState::GoesOn(going_on.to_owned()),
        };
        Run { id: self.id.to_string(), shown: format!("{} (`{}`)", self.id, self.display_title), state }
    }
}

/// Its answers say what is wrong in a `message`.
fn is_of_github(answer: &Answer) -> bool {
    serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| body.get("message").is_some())
}

/// For how long GitHub wants to be left alone, where that is what it says. It says so with the statuses that stand for missing rights, too.
fn limited_for(answer: &Answer) -> Option<Duration> {
    let is_spent = answer.header(&HeaderName::from_static("x-ratelimit-remaining")) == Some("0");
    let asked = answer.retry_after().map(|asked| Duration::from_millis(asked.0));
    let says_so = || {
        let said = answer.excerpt().to_ascii_lowercase();
        said.contains("rate limit") || said.contains("abuse detection")
    };
    let is_limit = match answer.status.as_u16() {
        429 => true,
        403 => is_spent || asked.is_some() || says_so(),
        _ => false,
    };
    let reset = if is_spent { until_reset(answer) } else { None };
    is_limit.then(|| asked.or(reset).unwrap_or(LIMITED).min(LIMITED_MAX))
}

/// By the answer's own date, since clocks differ.
fn until_reset(answer: &Answer) -> Option<Duration> {
    let reset: i64 = answer.header(&HeaderName::from_static("x-ratelimit-reset"))?.parse().ok()?;
    let date = rfc2822::parse(answer.header(&DATE)?).ok()?.timestamp().as_second();
    let seconds = u64::try_from(reset.saturating_sub(date)).unwrap_or(0);
    Some(Duration::from_secs(seconds.saturating_add(1)))
}

impl Github {
    fn at(&self, path: &[&str]) -> Url {
        let [owner, name] = &self.repository;
        let whole: Vec<&str> =
            ["repos", owner, name, "actions"].into_iter().chain(path.iter().copied()).collect();
        self.server.at(&whole)
    }

    fn call(&self, method: Method, url: &Url) -> Call {
        let call = self.server.call(method, url).header("accept", "application/vnd.github+json");
        call.header("x-github-api-version", API_VERSION)
    }

    /// The answer to a call, unless GitHub wants to be left alone.
    async fn exchange(&self, call: Call) -> Result<Answer, PortError> {
        let until = *self.limited_until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            return Err(self.limited(left));
        }
        let answer = call.exchange().await?;
        let Some(wait) = limited_for(&answer) else { return Ok(answer) };
        *self.limited_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + wait);
        Err(self.limited(wait))
    }

    /// Nothing of a call that is refused so was done.
    fn limited(&self, wait: Duration) -> PortError {
        let text = format!(
            "GitHub at `{}` takes no call of this account for {} s: its rate limit is reached; it is asked again then",
            self.server.shown(),
            wait.as_secs()
        );
        let wait = Millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        PortError::not_applied(ErrorKind::Failed, text).retry(Retry::After(wait))
    }

    async fn get<T: DeserializeOwned>(&self, url: &Url, what: &str) -> Result<T, PortError> {
        let answer = self.exchange(self.call(Method::GET, url)).await?;
        self.server.found(&answer, what, RIGHTS, is_of_github(&answer))
    }

    /// Whether no job of a run was ever given to a runner, as of one that waited for its turn. Where not all is told, one may have been.
    async fn never_ran(&self, run: &str) -> Result<bool, PortError> {
        let mut url = self.at(&["runs", run, "jobs"]);
        url.query_pairs_mut().append_pair("filter", "all").append_pair("per_page", &PAGE.to_string());
        let Jobs { total_count, jobs } = self.get(&url, &format!("run {}", line(run))).await?;
        let waited = |job: &Job| job.runner_id.unwrap_or(0) == 0 && job.steps.is_empty();
        Ok(total_count == Some(jobs.len() as u64) && jobs.iter().all(waited))
    }

    fn what(&self) -> String {
        format!("workflow `{}` in `{}`", self.workflow, self.repository.join("/"))
    }
}

#[async_trait]
impl Engine for Github {
    fn name(&self) -> &'static str {
        "deployer_github_actions"
    }

    fn system(&self) -> &'static str {
        SYSTEM
    }

    fn shown(&self) -> String {
        format!("the {} on `{}` at {}", self.what(), self.branch, self.server.shown())
    }

    fn keyed(&self) -> Keyed {
        Keyed::No
    }

    fn in_request(&self, request: Request) -> Request {
        request.with("run details", self.run_details.to_string())
    }

    async fn begin(
        &self,
        _marks: &Marks,
        inputs: &Inputs,
        deadline: Millis,
    ) -> Result<Option<String>, PortError> {
        let url = self.at(&["workflows", &self.workflow, "dispatches"]);
        let mut body = json!({ "ref": self.branch, "inputs": inputs });
        if self.run_details {
            body["return_run_details"] = true.into();
        }
        let deadline = self.server.deadline().min(deadline);
        let call = self.call(Method::POST, &url).deadline(deadline).has_effect().json(&body);
        let answer = self.exchange(call).await?;
        if !answer.status.is_success() {
            return Err(self.server.refusal(&answer, &self.what(), RIGHTS));
        }
        if answer.body.is_empty() {
            return Ok(None);
        }
        let dispatched = answer.json::<Dispatched>()?;
        Ok(Some(dispatched.workflow_run_id.to_string()))
    }

    async fn find(&self, marks: &Marks) -> Result<Vec<Found>, PortError> {
        let mut found: Vec<Found> = Vec::new();
        let mut first_before = None;
        for page in 1..=PAGES_MAX {
            let mut url = self.at(&["workflows", &self.workflow, "runs"]);
            url.query_pairs_mut()
                .append_pair("event", "workflow_dispatch")
                .append_pair("per_page", &PAGE.to_string())
                .append_pair("page", &page.to_string());
            let Runs { workflow_runs: list } = self.get(&url, &self.what()).await?;
            let (count, first) = (list.len(), list.first().cloned());
            if count > 0 && first == first_before {
                let text = "GitHub gives the same page of runs twice: look for what stands between";
                return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
            }
            first_before = first;
            for entry in entries::<WorkflowRun>(list) {
                match entry {
                    Ok(run) => {
                        let attempt = marks.attempt_in(&run.display_title);
                        found.extend(attempt.map(|attempt| Found { attempt, run: run.run() }));
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
        let url = self.at(&["runs", run]);
        let looked: WorkflowRun = self.get(&url, &format!("run {}", line(run))).await?;
        if looked.id.to_string() == run {
            let mut found = looked.run();
            let is_cancelled = matches!(&found.state, RunState::Failed(word) if word == "cancelled");
            if is_cancelled && self.never_ran(run).await.unwrap_or(false) {
                found.state = RunState::NeverBegan { word: "cancelled".to_owned(), retry: Retry::Later };
            }
            return Ok(found);
        }
        let text = format!("GitHub was asked for the run {} and answers with {}", line(run), looked.id);
        Err(PortError::not_applied(ErrorKind::BadAnswer, text))
    }

    /// Which jobs and steps failed. The log itself lies on another host, to which GitHub redirects, and is not fetched.
    async fn log(&self, run: &str) -> Result<Tail, PortError> {
        let mut url = self.at(&["runs", run, "jobs"]);
        url.query_pairs_mut().append_pair("per_page", &PAGE.to_string());
        let Jobs { jobs, .. } = self.get(&url, &format!("run {}", line(run))).await?;
        let mut text = String::new();
        for job in jobs.iter().take(PAGE) {
            let word =
                |conclusion: &Option<String>| conclusion.clone().unwrap_or_else(|| "not ended".to_owned());
            text.push_str(&format!("job {}: {}\n", job.name, word(&job.conclusion)));
            for step in job.steps.iter().take(PAGE) {
                text.push_str(&format!("  step {} {}: {}\n", step.number, step.name, word(&step.conclusion)));
            }
        }
        Ok(Tail::of(text.as_bytes(), 0, &self.server.secrets()))
    }

    async fn cancel(&self, run: &str) -> Result<(), PortError> {
        let url = self.at(&["runs", run, "cancel"]);
        let answer = self.exchange(self.call(Method::POST, &url).has_effect()).await?;
        // It has ended already.
        if answer.status.is_success() || answer.status.as_u16() == 409 {
            return Ok(());
        }
        Err(self.server.refusal(&answer, &format!("run {}", line(run)), RIGHTS))
    }

    async fn obstacle(&self) -> Option<String> {
        let url = self.at(&["workflows", &self.workflow]);
        match self.get::<Workflow>(&url, &self.what()).await {
            Ok(workflow) if workflow.state == "active" => None,
            Ok(workflow) => Some(format!("the {} is `{}`: enable it", self.what(), line(&workflow.state))),
            Err(error) => Some(error.to_string()),
        }
    }
}

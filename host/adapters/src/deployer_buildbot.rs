//! A rollback by Buildbot: a scheduler of builds that are forced begins the builder that deploys, with another version.
//!
//! Buildbot has no key for a build: the mark stands in the reason, and builds are found by it. `README.md` beside this module says what to configure and what
//! was tried.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use reqwest::header::SET_COOKIE;
use reqwest::{Method, Url};
use ripcord_core::request::Request;
use ripcord_core::time::Millis;
use ripcord_ports::{Deployer, ErrorKind, PortError, Retry};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Secret;
use crate::adapter::{Adapter, SecretKey};
use crate::http::{self, Answer, Call, Credentials};
use crate::pipeline::{
    self, Engine, FollowConfig, Found, Inputs, Keyed, LiveConfig, Marks, PipelineDeployer,
    PipelineSurroundings, Run, RunState, Server, Settings, Tail, entries, odd,
};
use crate::producing::line;
use crate::restoring::wrong;

const NAME: &str = "deployer_buildbot";
const SYSTEM: &str = "Buildbot";
const RIGHTS: &str = "the rights to force the scheduler, to see its builds, and to cancel them";
/// Build sets of one order, and steps and logs of a build, that are looked at.
const LISTED_MAX: usize = 64;
/// Builds of one build set whose logs are read.
const BUILDS_MAX: usize = 8;
/// Of the end of each log.
const LINES_MAX: u64 = 200;
/// What the cookie of a session is called; the second where Buildbot itself serves TLS.
const SESSIONS: [&str; 2] = ["TWISTED_SESSION=", "TWISTED_SECURE_SESSION="];
/// With less time than this a build is not begun.
const START_LEAST: Millis = Millis(500);

/// For the catalogue.
pub const ADAPTER: Adapter<BuildbotDeployerConfig, dyn Deployer> = Adapter {
    kind: "buildbot",
    system: "Buildbot",
    summary: "a builder of Buildbot that deploys, forced with another version",
    page: "deployer_buildbot/README.md",
    secret: SecretKey::TokenOrPassword,
    example: "url = \"http://127.0.0.1:8010\", builder = \"deploy\", scheduler = \"rollback\", live = { urls = [\"http://127.0.0.1:8080/live\"], pointer = \"/version\" }",
    start: |config, start| pipeline::start(&mut config.live, start),
    says: |config| {
        let builder = format!("the builder {} of Buildbot at {}", config.builder, config.url);
        pipeline::says(builder, &config.live)
    },
    make: |config, with| {
        let surroundings = PipelineSurroundings::of(&with);
        Ok(Arc::new(deployer(config, with.secret, surroundings)?))
    },
};

/// Which builder deploys.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BuildbotDeployerConfig {
    /// What stands before `/api/v2`, such as `http://127.0.0.1:8010`.
    pub url: String,
    /// The builder's name.
    pub builder: String,
    /// The name of the `ForceScheduler` that begins it.
    pub scheduler: String,
    /// The account's name. Default: none, and Buildbot is asked as anybody.
    #[serde(default)]
    pub user: Option<String>,
    /// Properties besides Ripcord's own; `{version}` and `{digest}` stand for the target's.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// How a build is followed.
    #[serde(default)]
    pub follow: FollowConfig,
    /// How live is read.
    pub live: LiveConfig,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// Checks the configuration; Buildbot is not asked. `secret` is the password of `user`.
pub fn deployer(
    config: BuildbotDeployerConfig,
    secret: Option<Secret>,
    surroundings: PipelineSurroundings,
) -> Result<PipelineDeployer, PortError> {
    if secret.is_some() && config.user.is_none() {
        return Err(wrong("Buildbot takes no bearer token: write `user`, and its password into a file"));
    }
    for (key, name) in [("builder", &config.builder), ("scheduler", &config.scheduler)] {
        if name.is_empty() || name.contains('/') {
            return Err(wrong(format!("`{}` cannot be a `{key}`", name.escape_debug())));
        }
    }
    let login = Credentials::of(config.user.clone(), secret.clone())?;
    let server =
        Server::new(SYSTEM, &config.url, config.user, secret, config.deadline_ms, &surroundings.shared)?;
    let properties = config.inputs.keys().cloned().collect();
    let engine = Buildbot {
        server,
        login,
        session: Mutex::new(None),
        builder: config.builder,
        scheduler: config.scheduler,
        properties,
    };
    let settings = Settings { inputs: config.inputs, follow: config.follow, live: config.live };
    PipelineDeployer::new(Box::new(engine), settings, surroundings)
}

#[derive(Debug)]
struct Buildbot {
    server: Server,
    login: Credentials,
    session: Mutex<Option<Secret>>,
    builder: String,
    scheduler: String,
    /// Those of the configuration.
    properties: Vec<String>,
}

#[derive(Deserialize)]
struct BuildSet {
    bsid: u64,
    reason: String,
    complete: bool,
    #[serde(default)]
    results: Option<i64>,
}

#[derive(Deserialize)]
struct BuildRequest {
    buildrequestid: u64,
    claimed: bool,
}

#[derive(Deserialize)]
struct Build {
    buildid: u64,
    number: u64,
}

#[derive(Deserialize)]
struct Step {
    stepid: u64,
    name: String,
    #[serde(default)]
    results: Option<i64>,
}

#[derive(Deserialize)]
struct Log {
    logid: u64,
    name: String,
    #[serde(default)]
    num_lines: u64,
    #[serde(rename = "type")]
    kind: String,
}

impl BuildSet {
    fn run(&self) -> Run {
        let state = match (self.complete, self.results) {
            (false, _) => RunState::GoesOn("not complete".to_owned()),
            (true, Some(0)) => RunState::Succeeded,
            (true, results) => RunState::Failed(word(results).to_owned()),
        };
        Run { id: self.bsid.to_string(), shown: format!("build set {}", self.bsid), state }
    }
}

/// What Buildbot calls its results.
fn word(results: Option<i64>) -> &'static str {
    match results {
        Some(0) => "success",
        Some(1) => "warnings",
        Some(2) => "failure",
        Some(3) => "skipped",
        Some(4) => "exception",
        Some(5) => "retry",
        Some(6) => "cancelled",
        _ => "an end without a result",
    }
}

fn is_of_buildbot(answer: &Answer) -> bool {
    serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| body.get("error").is_some())
}

impl Buildbot {
    fn at(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let whole: Vec<&str> = ["api", "v2"].into_iter().chain(path.iter().copied()).collect();
        let mut url = self.server.at(&whole);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn call(&self, method: Method, url: &Url) -> Call {
        let call = self.server.call_bare(method, url);
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match session {
            Some(session) => call.secret_header("cookie", &session),
            None => call,
        }
    }

    /// Buildbot knows an account by a session that it gives for name and password.
    async fn log_in(&self) -> Result<(), PortError> {
        let url = self.server.at(&["auth", "login"]);
        let call = self.server.call_bare(Method::GET, &url).credentials(&self.login);
        let answer = call.exchange().await?;
        if matches!(answer.status.as_u16(), 401 | 403) {
            return Err(self.server.refusal(&answer, "the login", RIGHTS));
        }
        // It first gives the session of nobody, then that of the account.
        let given = answer.headers(&SET_COOKIE).filter_map(|cookie| {
            let session = cookie.split(';').next()?.trim();
            SESSIONS.iter().any(|name| session.starts_with(*name)).then(|| Secret::new(session))
        });
        let Some(session) = given.last() else {
            if answer.status.is_success() || answer.status.is_redirection() {
                let text = format!(
                    "Buildbot at `{}` gives no session for user and password: check its `auth`",
                    self.server.shown()
                );
                return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
            }
            return Err(answer.error());
        };
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        Ok(())
    }

    /// The answer to a call; with a session that is not taken any more, to the same call with a new one. What is refused so was not done.
    async fn exchange(&self, call: impl Fn() -> Call) -> Result<Answer, PortError> {
        let logs_in = !matches!(self.login, Credentials::None);
        let is_in = self.session.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if logs_in && !is_in {
            self.log_in().await?;
            return call().exchange().await;
        }
        let answer = call().exchange().await?;
        if !logs_in || !matches!(answer.status.as_u16(), 401 | 403) {
            return Ok(answer);
        }
        self.log_in().await?;
        call().exchange().await
    }

    /// The list of that name.
    async fn list(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Vec<Value>, PortError> {
        let url = self.at(path, query);
        let answer = self.exchange(|| self.call(Method::GET, &url)).await?;
        let what = format!("`{}`", path.join("/"));
        let mut body: Value = self.server.found(&answer, &what, RIGHTS, is_of_buildbot(&answer))?;
        let is_number = |part: &&&str| part.bytes().all(|byte| byte.is_ascii_digit());
        let name = path.iter().rev().find(|part| !is_number(part)).copied().unwrap_or_default();
        match body.get_mut(name).map(Value::take) {
            Some(Value::Array(list)) => Ok(list),
            _ => {
                let text = format!(
                    "Buildbot was asked for {what} and answers with no list of that name: {}",
                    answer.excerpt()
                );
                Err(PortError::not_applied(ErrorKind::BadAnswer, text))
            }
        }
    }

    /// The same, of entries that are all needed.
    async fn all<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, PortError> {
        let list = self.list(path, query).await?;
        entries(list).into_iter().map(|entry| entry.map_err(|odd_one| odd(SYSTEM, &odd_one))).collect()
    }

    /// Which properties the scheduler does not take: Buildbot drops them without a word.
    async fn missing(&self) -> Result<Vec<String>, PortError> {
        let schedulers = self.scheduler_fields().await?;
        let own = pipeline::OWN.iter().map(|name| (*name).to_owned());
        let wanted = own.chain(self.properties.iter().cloned());
        Ok(wanted.filter(|name| !schedulers.contains(name)).collect())
    }

    async fn scheduler_fields(&self) -> Result<Vec<String>, PortError> {
        fn names(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Array(list) => list.iter().for_each(|value| names(value, found)),
                Value::Object(field) => {
                    found.extend(field.get("fullName").and_then(Value::as_str).map(str::to_owned));
                    field.get("fields").into_iter().for_each(|value| names(value, found));
                }
                _ => {}
            }
        }
        let list = self.list(&["forceschedulers"], &[]).await?;
        let is_it = |of: &&Value| of.get("name").and_then(Value::as_str) == Some(&self.scheduler);
        let Some(scheduler) = list.iter().find(is_it) else {
            let text = format!(
                "Buildbot at `{}` has no `ForceScheduler` named `{}` that this account may see: check `scheduler` and its rights",
                self.server.shown(),
                self.scheduler
            );
            return Err(PortError::not_applied(ErrorKind::NotFound, text));
        };
        let builders = scheduler.get("builder_names").and_then(Value::as_array);
        if builders.is_some_and(|names| !names.iter().any(|name| name.as_str() == Some(&self.builder))) {
            let text = format!(
                "the scheduler `{}` does not begin the builder `{}`: add it to its `builderNames`",
                self.scheduler, self.builder
            );
            return Err(PortError::not_applied(ErrorKind::Configuration, text));
        }
        let mut found = Vec::new();
        names(scheduler.get("all_fields").unwrap_or(&Value::Null), &mut found);
        Ok(found)
    }

    fn without(&self, missing: &[String]) -> PortError {
        let text = format!(
            "the scheduler `{}` takes no {}: add a `StringParameter` of each name to its `properties`, or builds would not know the version",
            self.scheduler,
            missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        );
        PortError::not_applied(ErrorKind::Configuration, text)
    }

    async fn requests(&self, run: &str) -> Result<Vec<BuildRequest>, PortError> {
        self.all(&["buildrequests"], &[("buildsetid", run)]).await
    }

    async fn builds(&self, run: &str) -> Result<Vec<Build>, PortError> {
        let mut builds = Vec::new();
        for request in self.requests(run).await?.iter().take(LISTED_MAX) {
            let id = request.buildrequestid.to_string();
            builds.extend(self.all::<Build>(&["builds"], &[("buildrequestid", &id)]).await?);
        }
        Ok(builds)
    }

    /// Whether no build was ever made of a build set, as of one that was cancelled while it waited. Where not all is told, one may have been.
    async fn never_built(&self, run: &str) -> Result<bool, PortError> {
        let requests = self.requests(run).await?.len();
        Ok((1..=LISTED_MAX).contains(&requests) && self.builds(run).await?.is_empty())
    }

    /// The end of each log of the step that failed, or of the last one.
    async fn build_log(&self, build: &Build) -> Result<String, PortError> {
        let id = build.buildid.to_string();
        let limit = LISTED_MAX.to_string();
        let steps: Vec<Step> =
            self.all(&["builds", &id, "steps"], &[("order", "-number"), ("limit", &limit)]).await?;
        let failed = steps.iter().find(|step| !matches!(step.results, None | Some(0 | 1 | 3)));
        let Some(step) = failed.or(steps.first()) else { return Ok(String::new()) };
        let mut text = format!("build {}, step {} ({})\n", build.number, step.name, word(step.results));
        let logs: Vec<Log> = self.all(&["steps", &step.stepid.to_string(), "logs"], &[]).await?;
        for log in logs.iter().take(LISTED_MAX) {
            text.push_str(&format!("log {}\n", log.name));
            match self.log_end(log).await {
                Ok(end) => text.push_str(&end),
                Err(error) => text.push_str(&format!("it could not be read: {error}\n")),
            }
        }
        Ok(text)
    }

    async fn log_end(&self, log: &Log) -> Result<String, PortError> {
        let offset = log.num_lines.saturating_sub(LINES_MAX).to_string();
        let limit = LINES_MAX.to_string();
        let query = [("offset", offset.as_str()), ("limit", limit.as_str())];
        let url = self.at(&["logs", &log.logid.to_string(), "contents"], &query);
        let answer = self.exchange(|| self.call(Method::GET, &url)).await?.successful()?;
        let body: Value = answer.json()?;
        let content = body.pointer("/logchunks/0/content").and_then(Value::as_str).unwrap_or_default();
        let mut text = String::new();
        for line in content.lines() {
            // Lines of an `s` log have a letter before them that says which stream they are of.
            text.push_str(if log.kind == "s" { line.get(1..).unwrap_or_default() } else { line });
            text.push('\n');
        }
        Ok(text)
    }
}

#[async_trait]
impl Engine for Buildbot {
    fn name(&self) -> &'static str {
        NAME
    }

    fn system(&self) -> &'static str {
        SYSTEM
    }

    fn shown(&self) -> String {
        format!("the builder `{}` of Buildbot at {}", self.builder, self.server.shown())
    }

    fn keyed(&self) -> Keyed {
        Keyed::No
    }

    fn in_request(&self, request: Request) -> Request {
        request.with("scheduler", self.scheduler.clone())
    }

    async fn begin(
        &self,
        marks: &Marks,
        inputs: &Inputs,
        deadline: Millis,
    ) -> Result<Option<String>, PortError> {
        let asked = Instant::now();
        let missing = self.missing().await?;
        if !missing.is_empty() {
            return Err(self.without(&missing));
        }
        let spent = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
        let left = Millis(deadline.0.saturating_sub(spent));
        if left < START_LEAST {
            let text = "Buildbot took so long to tell of its schedulers that no time is left to begin a build: nothing was begun";
            return Err(PortError::not_applied(ErrorKind::TimedOut, text).retry(Retry::Later));
        }
        let mut params = json!(inputs);
        params["builderNames"] = json!([self.builder]);
        params["reason"] = marks.whole().into();
        let body = json!({ "id": 1, "jsonrpc": "2.0", "method": "force", "params": params });
        let url = self.at(&["forceschedulers", &self.scheduler], &[]);
        let deadline = self.server.deadline().min(left);
        let call = || self.call(Method::POST, &url).deadline(deadline).has_effect().json(&body);
        let answer = self.exchange(call).await?;
        if !answer.status.is_success() {
            let what = format!("a build by the scheduler `{}`", self.scheduler);
            let refused = self.server.refusal(&answer, &what, RIGHTS);
            return Err(if answer.status.is_server_error() { refused.outcome_unknown() } else { refused });
        }
        let body: Value = answer.json()?;
        Ok(body.pointer("/result/0").and_then(Value::as_u64).map(|bsid| bsid.to_string()))
    }

    async fn find(&self, marks: &Marks) -> Result<Vec<Found>, PortError> {
        let limit = (LISTED_MAX + 1).to_string();
        let query = [("reason__contains", marks.base()), ("order", "-bsid"), ("limit", &limit)];
        let list = self.list(&["buildsets"], &query).await?;
        let mut found = Vec::new();
        for entry in entries::<BuildSet>(list) {
            match entry {
                Ok(set) => {
                    let attempt = marks.attempt_in(&set.reason);
                    found.extend(attempt.map(|attempt| Found { attempt, run: set.run() }));
                }
                Err(entry) if entry.to_string().contains(marks.base()) => return Err(odd(SYSTEM, &entry)),
                Err(_) => {}
            }
        }
        if found.len() > LISTED_MAX {
            let text = format!(
                "Buildbot has more than {LISTED_MAX} builds of one order: look there for who begins them"
            );
            return Err(PortError::not_applied(ErrorKind::TooLarge, text));
        }
        found.reverse();
        Ok(found)
    }

    async fn look(&self, run: &str) -> Result<Run, PortError> {
        let sets: Vec<BuildSet> = self.all(&["buildsets", run], &[]).await?;
        match sets.first() {
            Some(set) if set.bsid.to_string() == run => {
                let mut looked = set.run();
                if let RunState::GoesOn(word) = &mut looked.state {
                    let waits = self.requests(run).await?.iter().all(|request| !request.claimed);
                    (if waits { "waits for a worker" } else { "is being built" }).clone_into(word);
                }
                let has_failed = matches!(looked.state, RunState::Failed(_));
                if has_failed && self.never_built(run).await.unwrap_or(false) {
                    let word = looked.state.word().to_owned();
                    looked.state = RunState::NeverBegan { word, retry: Retry::Later };
                }
                Ok(looked)
            }
            _ => {
                let text =
                    format!("Buildbot was asked for the build set {} and answers with another", line(run));
                Err(PortError::not_applied(ErrorKind::BadAnswer, text))
            }
        }
    }

    async fn log(&self, run: &str) -> Result<Tail, PortError> {
        let mut text = String::new();
        for build in self.builds(run).await?.iter().rev().take(BUILDS_MAX) {
            let log = self.build_log(build).await;
            let log = log.unwrap_or_else(|error| {
                format!("build {}: its log could not be read: {error}\n", build.number)
            });
            text.insert_str(0, &log);
        }
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let secrets: Vec<&Secret> = self.server.secrets().into_iter().chain(session.as_ref()).collect();
        Ok(Tail::of(text.as_bytes(), 0, &secrets))
    }

    async fn cancel(&self, run: &str) -> Result<(), PortError> {
        let params = json!({ "reason": "its time is over" });
        let body = json!({ "id": 1, "jsonrpc": "2.0", "method": "cancel", "params": params });
        for request in self.requests(run).await?.iter().take(LISTED_MAX) {
            let url = self.at(&["buildrequests", &request.buildrequestid.to_string()], &[]);
            let answer = self.exchange(|| self.call(Method::POST, &url).has_effect().json(&body)).await?;
            if !answer.status.is_success() {
                return Err(self.server.refusal(&answer, "the end of a build", RIGHTS));
            }
        }
        Ok(())
    }

    async fn obstacle(&self) -> Option<String> {
        match self.list(&["builders"], &[("name", self.builder.as_str())]).await {
            Err(error) => return Some(error.to_string()),
            Ok(list) if list.is_empty() => {
                let (shown, builder) = (self.server.shown(), &self.builder);
                return Some(format!("Buildbot at `{shown}` has no builder `{builder}`: check `builder`"));
            }
            Ok(_) => {}
        }
        match self.missing().await {
            Ok(missing) if missing.is_empty() => None,
            Ok(missing) => Some(self.without(&missing).to_string()),
            Err(error) => Some(error.to_string()),
        }
    }
}

//! Calls to Airflow: the interface `api/v1` of release 2, `api/v2` of release 3.

use std::sync::{Mutex, PoisonError};

use reqwest::{Method, Url};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::{ErrorKind, PortError, Retry};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http::{self, Answer, Call, Credentials, Http};
use crate::producing::line;
use crate::restoring::wrong;
use crate::{Secret, Shared, text_time};

/// Tasks of one run whose logs are read.
const LOGS_MAX: usize = 8;

/// The interface's version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AirflowApi {
    /// Of release 2, with basic authentication.
    V1,
    /// Of release 3, which gives a token for user and password.
    #[default]
    V2,
}

/// Where Airflow is, and who asks it.
pub(crate) struct AirflowAt<'a> {
    pub(crate) url: &'a str,
    pub(crate) dag: &'a str,
    pub(crate) api: AirflowApi,
    pub(crate) user: Option<&'a str>,
    pub(crate) deadline_ms: u64,
}

/// Airflow, and the one DAG.
pub(crate) struct Api {
    http: Http,
    url: Url,
    version: AirflowApi,
    dag: String,
    /// User and password, where a token is had for them.
    login: Option<(String, Secret)>,
    credentials: Mutex<Credentials>,
    deadline: Millis,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Started {
    Now,
    WasThere,
}

/// A run, as far as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    dag_run_id: String,
    pub(crate) state: String,
    #[serde(default)]
    start_date: Option<String>,
}

impl Run {
    pub(crate) fn since(&self) -> Option<UnixMillis> {
        self.start_date.as_deref().and_then(|text| text_time::parse(text).ok())
    }
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
struct Entry {
    value: Value,
}

#[derive(Deserialize)]
struct Tasks {
    task_instances: Vec<Task>,
    /// On all pages.
    #[serde(default)]
    total_entries: Option<u64>,
}

#[derive(Deserialize)]
struct Task {
    task_id: String,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    try_number: Option<u32>,
    /// Which of those that were made of one task, from zero; below that it is not one of several.
    #[serde(default)]
    map_index: Option<i64>,
}

/// What a task wrote: a text in release 2 and, without structure, in release 3; else lines of it.
#[derive(Deserialize)]
struct Logged {
    content: Value,
}

#[derive(Deserialize)]
struct Dag {
    #[serde(default)]
    is_paused: Option<bool>,
}

/// The text of a log, line by line.
fn lines_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.replace("\\n", "\n"),
        Value::Array(list) => list
            .iter()
            .map(|line| {
                let event = line.get("event").and_then(Value::as_str).or(line.as_str());
                let error = line.pointer("/error_detail/0/exc_value").and_then(Value::as_str);
                format!("{} {}\n", event.unwrap_or_default(), error.unwrap_or_default())
            })
            .collect(),
        _ => String::new(),
    }
}

impl Api {
    pub(crate) fn new(
        config: &AirflowAt<'_>,
        secret: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        let url = http::address(config.url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "`url` holds a user or a password: write `user`, and the password into a file",
            ));
        }
        if config.dag.is_empty() || config.dag.contains('/') {
            return Err(wrong(format!("`{}` cannot be the id of a DAG", config.dag.escape_debug())));
        }
        let credentials = Credentials::of(config.user.map(str::to_owned), secret.clone())?;
        let (login, credentials) = match (config.api, config.user, secret) {
            (AirflowApi::V2, Some(user), Some(password)) => {
                (Some((user.to_owned(), password)), Credentials::None)
            }
            _ => (None, credentials),
        };
        Ok(Self {
            http: shared.http.clone(),
            url,
            version: config.api,
            dag: config.dag.to_owned(),
            login,
            credentials: Mutex::new(credentials),
            deadline: Millis(config.deadline_ms),
        })
    }

    pub(crate) fn shown(&self) -> String {
        http::shown(&self.url)
    }

    fn at(&self, path: &[&str]) -> Url {
        let version = match self.version {
            AirflowApi::V1 => "v1",
            AirflowApi::V2 => "v2",
        };
        let whole: Vec<&str> =
            ["api", version, "dags", &self.dag].into_iter().chain(path.iter().copied()).collect();
        http::under(&self.url, &whole)
    }

    fn call(&self, method: Method, url: &Url) -> Call {
        let credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.http.call(method, url).of("Airflow").deadline(self.deadline).credentials(&credentials)
    }

    /// Has a token where one is needed. Airflow 3 ends them after a day.
    async fn log_in(&self) -> Result<(), PortError> {
        let Some((user, password)) = &self.login else { return Ok(()) };
        let url = http::under(&self.url, &["auth", "token"]);
        let body = json!({ "username": user, "password": password.expose() });
        let answer = self
            .http
            .call(Method::POST, &url)
            .only_reads()
            .of("Airflow")
            .deadline(self.deadline)
            .json(&body)
            .exchange()
            .await?;
        if matches!(answer.status.as_u16(), 401 | 403) {
            let text = format!(
                "airflow at `{}` does not know these credentials: check `user` and password",
                self.shown()
            );
            return Err(PortError::not_applied(ErrorKind::Denied, text));
        }
        let token: Token = answer.successful()?.json()?;
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) =
            Credentials::Bearer(Secret::new(token.access_token));
        Ok(())
    }

    /// The answer to a call; with a token that is not taken any more, to the same call with a new one. What is refused so was not done.
    async fn exchange(&self, call: impl Fn() -> Call) -> Result<Answer, PortError> {
        let has_token =
            !matches!(*self.credentials.lock().unwrap_or_else(PoisonError::into_inner), Credentials::None);
        if self.login.is_some() && !has_token {
            self.log_in().await?;
        }
        let answer = call().exchange().await?;
        if answer.status.as_u16() != 401 || self.login.is_none() {
            return Ok(answer);
        }
        self.log_in().await?;
        call().exchange().await
    }

    /// What a failure means.
    fn refusal(&self, answer: &Answer) -> PortError {
        match answer.status.as_u16() {
            401 => {
                let text = format!(
                    "airflow at `{}` does not know these credentials: check `user` and password, or the token",
                    self.shown()
                );
                PortError::not_applied(ErrorKind::Denied, text)
            }
            403 => {
                let text = format!(
                    "airflow at `{}` refuses it: give the account the right to trigger, read and edit runs of the DAG `{}`; {}",
                    self.shown(),
                    self.dag,
                    answer.error()
                );
                PortError::not_applied(ErrorKind::Denied, text)
            }
            _ => answer.error(),
        }
    }

    /// None for what Airflow itself says that it does not have; something before it says so in other words.
    async fn find<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, PortError> {
        let url = self.at(path);
        let answer = self.exchange(|| self.call(Method::GET, &url)).await?;
        if answer.status.is_success() {
            return answer.json().map(Some);
        }
        if answer.status.as_u16() != 404 {
            return Err(self.refusal(&answer));
        }
        let of_airflow =
            serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| body.get("detail").is_some());
        if of_airflow {
            return Ok(None);
        }
        let text = format!(
            "what answers at `{}` is no airflow with this interface: {}; check `url` and `api`",
            self.shown(),
            answer.error()
        );
        Err(PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later))
    }

    pub(crate) async fn run(&self, key: &str) -> Result<Option<Run>, PortError> {
        let Some(run) = self.find::<Run>(&["dagRuns", key]).await? else { return Ok(None) };
        if run.dag_run_id == key {
            return Ok(Some(run));
        }
        let text =
            format!("airflow was asked for the run `{key}` and answered with `{}`", line(&run.dag_run_id));
        Err(PortError::not_applied(ErrorKind::BadAnswer, text))
    }

    pub(crate) async fn start(
        &self,
        key: &str,
        conf: &Value,
        deadline: Millis,
    ) -> Result<Started, PortError> {
        let url = self.at(&["dagRuns"]);
        let mut body = json!({ "dag_run_id": key, "conf": conf });
        if self.version == AirflowApi::V2 {
            // It wants the field; release 2 takes no empty one.
            body["logical_date"] = Value::Null;
        }
        let deadline = self.deadline.min(deadline);
        let call = || self.call(Method::POST, &url).deadline(deadline).has_effect().json(&body);
        let answer = self.exchange(call).await?;
        match answer.status.as_u16() {
            409 => return Ok(Started::WasThere),
            404 => {
                let text = format!(
                    "airflow at `{}` has no DAG `{}`: check `dag`, `url` and `api`; {}",
                    self.shown(),
                    self.dag,
                    answer.error()
                );
                return Err(PortError::not_applied(ErrorKind::NotFound, text));
            }
            _ if !answer.status.is_success() => return Err(self.refusal(&answer)),
            _ => {}
        }
        let run: Run = answer.json()?;
        if run.dag_run_id == key {
            return Ok(Started::Now);
        }
        let text = format!(
            "airflow was told to begin the run `{key}` and answered with `{}`",
            line(&run.dag_run_id)
        );
        Err(PortError::unknown(ErrorKind::BadAnswer, text))
    }

    /// Ends the run and its tasks.
    pub(crate) async fn fail(&self, key: &str) -> Result<(), PortError> {
        let url = self.at(&["dagRuns", key]);
        let body = json!({ "state": "failed" });
        let answer = self.exchange(|| self.call(Method::PATCH, &url).has_effect().json(&body)).await?;
        match answer.status.as_u16() {
            404 => Ok(()),
            _ if answer.status.is_success() => Ok(()),
            _ => Err(self.refusal(&answer)),
        }
    }

    pub(crate) async fn xcom(
        &self,
        key: &str,
        (task, name): (&str, &str),
    ) -> Result<Option<Value>, PortError> {
        let path = ["dagRuns", key, "taskInstances", task, "xcomEntries", name];
        Ok(self.find::<Entry>(&path).await?.map(|entry| entry.value))
    }

    /// Which tasks failed, where that is told.
    pub(crate) async fn why_failed(&self, key: &str) -> String {
        let tasks = self.find::<Tasks>(&["dagRuns", key, "taskInstances"]).await;
        let failed: Vec<String> = match tasks {
            Ok(Some(tasks)) => {
                let is = |task: &Task| task.state.as_deref() == Some("failed");
                tasks.task_instances.into_iter().filter(is).map(|task| line(&task.task_id)).take(10).collect()
            }
            // That the run failed is known without it.
            Ok(None) | Err(_) => Vec::new(),
        };
        match failed.as_slice() {
            [] => format!(
                "airflow calls the run `{key}` failed, and no task of it: it was ended by hand, or its log says more"
            ),
            tasks => format!(
                "airflow calls the run `{key}` failed, in the task {}: its log says more",
                tasks.join(", ")
            ),
        }
    }

    /// What the tasks that failed have written, or else the last one that ran: the end of each.
    pub(crate) async fn logs(&self, key: &str) -> Result<String, PortError> {
        let Some(Tasks { task_instances: tasks, .. }) = self.find(&["dagRuns", key, "taskInstances"]).await?
        else {
            return Ok(String::new());
        };
        let failed = tasks.iter().filter(|task| task.state.as_deref() == Some("failed"));
        let mut wanted: Vec<&Task> = failed.take(LOGS_MAX).collect();
        if wanted.is_empty() {
            wanted.extend(tasks.iter().rev().find(|task| task.try_number.unwrap_or(0) > 0));
        }
        let mut text = String::new();
        for task in wanted {
            let state = task.state.as_deref().unwrap_or("no state");
            text.push_str(&format!("task {} ({state})\n", task.task_id));
            match self.log_of(key, task).await {
                Ok(log) => text.push_str(&log),
                Err(error) => text.push_str(&format!("its log could not be read: {error}\n")),
            }
        }
        Ok(text)
    }

    async fn log_of(&self, key: &str, task: &Task) -> Result<String, PortError> {
        let number = task.try_number.unwrap_or(0).max(1).to_string();
        let mut url = self.at(&["dagRuns", key, "taskInstances", &task.task_id, "logs", &number]);
        url.query_pairs_mut().append_pair("full_content", "true");
        if let Some(index) = task.map_index.filter(|index| *index >= 0) {
            url.query_pairs_mut().append_pair("map_index", &index.to_string());
        }
        let call = || self.call(Method::GET, &url).header("accept", "application/json");
        let logged: Logged = self.exchange(call).await?.successful()?.json()?;
        Ok(lines_of(&logged.content))
    }

    /// Whether no task of the run was ever tried, as of one that ended while it was queued. Where not all is told, one may have been.
    pub(crate) async fn never_tried(&self, key: &str) -> Result<bool, PortError> {
        let tasks = self.find::<Tasks>(&["dagRuns", key, "taskInstances"]).await?;
        Ok(tasks.is_some_and(|Tasks { task_instances: tasks, total_entries }| {
            let is_all = !tasks.is_empty() && total_entries == Some(tasks.len() as u64);
            is_all && tasks.iter().all(|task| task.try_number == Some(0))
        }))
    }

    /// What is taken out of logs.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let of = match credentials {
            Credentials::None => None,
            Credentials::Bearer(secret) | Credentials::Basic { password: secret, .. } => Some(secret),
        };
        of.into_iter().chain(self.login.as_ref().map(|(_, password)| password.clone())).collect()
    }

    pub(crate) async fn obstacle(&self) -> Option<String> {
        match self.find::<Dag>(&[]).await {
            Ok(Some(dag)) if dag.is_paused == Some(true) => Some(format!(
                "the DAG `{}` is paused, and a run of it would wait for ever: unpause it in airflow",
                self.dag
            )),
            Ok(Some(_)) => None,
            Ok(None) => Some(format!(
                "airflow at `{}` has no DAG `{}`: check `dag`, `url` and `api`",
                self.shown(),
                self.dag
            )),
            Err(error) => Some(error.to_string()),
        }
    }
}

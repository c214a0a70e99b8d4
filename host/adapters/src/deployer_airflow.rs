//! A rollback by Airflow: a run of the DAG that deploys, with another version. The mark is the run's id, which Airflow gives no second run.
//!
//! `README.md` beside this module says what to configure and what was tried.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use ripcord_core::request::Request;
use ripcord_core::time::Millis;
use ripcord_ports::{Deployer, ErrorKind, PortError, Retry};
use serde::Deserialize;
use serde_json::json;

use crate::Secret;
use crate::adapter::{Adapter, SecretKey};
use crate::airflow::{AirflowAt, Api, Started};
use crate::http;
use crate::pipeline::{
    self, ATTEMPTS_MAX, Engine, FollowConfig, Found, Inputs, Keyed, LiveConfig, Marks, PipelineDeployer,
    PipelineSurroundings, Run, RunState, Settings, Tail, is_safe,
};
use crate::producing::line;

pub use crate::airflow::AirflowApi;

const SYSTEM: &str = "Airflow";
/// A task whose run was failed works on until its supervisor is refused its next heartbeat, some 5 s later, and until it has heard the signals that then come.
const STOPS_WITHIN: Duration = Duration::from_secs(30);
/// Release 2 gives a task 60 s to clean up.
const STOPS_WITHIN_V1: Duration = Duration::from_secs(75);

/// For the catalogue.
pub const ADAPTER: Adapter<AirflowDeployerConfig, dyn Deployer> = Adapter {
    kind: "airflow",
    system: "Airflow 2 and 3",
    summary: "a DAG that deploys, run with another version",
    page: "deployer_airflow/README.md",
    secret: SecretKey::TokenOrPassword,
    example: "url = \"http://127.0.0.1:8080\", dag = \"deploy\", live = { urls = [\"http://127.0.0.1:8081/live\"], pointer = \"/version\" }",
    start: |config, start| pipeline::start(&mut config.live, start),
    says: |config| {
        pipeline::says(format!("the DAG {} of Airflow at {}", config.dag, config.url), &config.live)
    },
    make: |config, with| {
        let surroundings = PipelineSurroundings::of(&with);
        Ok(Arc::new(deployer(config, with.secret, surroundings)?))
    },
};

/// Which DAG deploys.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AirflowDeployerConfig {
    /// What stands before `/api`, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// The DAG's id.
    pub dag: String,
    /// `v1` for release 2, `v2` for release 3. Default: `v2`.
    #[serde(default)]
    pub api: AirflowApi,
    /// The account's name. Default: none, and the secret is a bearer token.
    #[serde(default)]
    pub user: Option<String>,
    /// What the DAG's configuration holds besides Ripcord's own; `{version}` and `{digest}` stand for the target's.
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

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// Checks the configuration; Airflow is not asked. `secret` is the password of `user` where there is one, else a bearer token.
pub fn deployer(
    config: AirflowDeployerConfig,
    secret: Option<Secret>,
    surroundings: PipelineSurroundings,
) -> Result<PipelineDeployer, PortError> {
    let url: Url = http::address(&config.url)?;
    is_safe("url", &url, secret.is_some())?;
    if config.deadline_ms == 0 {
        return Err(crate::restoring::wrong("`deadline-ms` must be 1 or more"));
    }
    let at = AirflowAt {
        url: &config.url,
        dag: &config.dag,
        api: config.api,
        user: config.user.as_deref(),
        deadline_ms: config.deadline_ms,
    };
    let api = Api::new(&at, secret, &surroundings.shared)?;
    let engine = Airflow { api, dag: config.dag, version: config.api };
    let settings = Settings { inputs: config.inputs, follow: config.follow, live: config.live };
    PipelineDeployer::new(Box::new(engine), settings, surroundings)
}

struct Airflow {
    api: Api,
    dag: String,
    version: AirflowApi,
}

impl std::fmt::Debug for Airflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Airflow").field("dag", &self.dag).finish_non_exhaustive()
    }
}

fn run_of(id: &str, state: &str) -> Result<Run, PortError> {
    let state = match state {
        "queued" | "running" | "restarting" => RunState::GoesOn(state.to_owned()),
        "success" => RunState::Succeeded,
        "failed" => RunState::Failed(state.to_owned()),
        other => {
            let text = format!(
                "airflow calls the run `{id}` `{}`, which is no state that is known here",
                line(other)
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
    };
    Ok(Run { id: id.to_owned(), shown: format!("`{id}`"), state })
}

#[async_trait]
impl Engine for Airflow {
    fn name(&self) -> &'static str {
        "deployer_airflow"
    }

    fn system(&self) -> &'static str {
        SYSTEM
    }

    fn shown(&self) -> String {
        format!("the DAG `{}` of Airflow at {}", self.dag, self.api.shown())
    }

    fn keyed(&self) -> Keyed {
        Keyed::Yes
    }

    fn in_request(&self, request: Request) -> Request {
        request.with("api", format!("{:?}", self.version))
    }

    async fn begin(
        &self,
        marks: &Marks,
        inputs: &Inputs,
        deadline: Millis,
    ) -> Result<Option<String>, PortError> {
        let id = marks.whole();
        if self.api.start(&id, &json!(inputs), deadline).await? == Started::WasThere
            && self.api.run(&id).await.map_err(PortError::outcome_unknown)?.is_none()
        {
            let text = format!(
                "airflow refuses the run `{id}` as one that is there, and has none: another run is of the same instant; try again"
            );
            return Err(PortError::not_applied(ErrorKind::Failed, text));
        }
        Ok(Some(id))
    }

    async fn find(&self, marks: &Marks) -> Result<Vec<Found>, PortError> {
        let mut found = Vec::new();
        for attempt in 1..=ATTEMPTS_MAX {
            let id = marks.at(attempt).whole();
            match self.api.run(&id).await? {
                Some(run) => found.push(Found { attempt, run: run_of(&id, &run.state)? }),
                // Of those that were begun one may be gone, and a later one there.
                None if attempt >= marks.attempt() => break,
                None => {}
            }
        }
        Ok(found)
    }

    async fn look(&self, run: &str) -> Result<Run, PortError> {
        match self.api.run(run).await? {
            Some(seen) => {
                let mut looked = run_of(run, &seen.state)?;
                let has_failed = matches!(looked.state, RunState::Failed(_));
                if has_failed && self.api.never_tried(run).await.unwrap_or(false) {
                    looked.state = RunState::NeverBegan { word: seen.state, retry: Retry::Later };
                }
                Ok(looked)
            }
            None => {
                let text = format!("airflow knows nothing of the run `{}`", line(run));
                Err(PortError::not_applied(ErrorKind::NotFound, text))
            }
        }
    }

    async fn log(&self, run: &str) -> Result<Tail, PortError> {
        let text = self.api.logs(run).await?;
        let secrets = self.api.secrets();
        Ok(Tail::of(text.as_bytes(), 0, &secrets.iter().collect::<Vec<_>>()))
    }

    async fn cancel(&self, run: &str) -> Result<(), PortError> {
        if self.look(run).await?.state.has_ended() {
            return Ok(());
        }
        self.api.fail(run).await
    }

    fn stops_within(&self) -> Duration {
        match self.version {
            AirflowApi::V1 => STOPS_WITHIN_V1,
            AirflowApi::V2 => STOPS_WITHIN,
        }
    }

    async fn obstacle(&self) -> Option<String> {
        self.api.obstacle().await
    }
}

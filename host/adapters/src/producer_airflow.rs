//! Training with a DAG of Airflow, through its REST interface: `api/v1` of release 2, `api/v2` of release 3.
//!
//! The run's id is the order's key: Airflow refuses a second one, so a start can be given again. `README.md` beside this module says what to configure and what
//! was tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::target::{Strategy, Target};
use ripcord_core::terms::EffectClass;
use ripcord_ports::producer::{ProduceOrder, Progress};
use ripcord_ports::{ErrorKind, PortError, Producer, Registry};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Secret;
use crate::adapter::{Adapter, SecretKey};
use crate::airflow::{AirflowAt, Api, Started};
use crate::checkpoints::lenient;
use crate::http;
use crate::producing::{
    ExclusionColumns, KeptRun, KeptRuns, ProducerSurroundings, Told, check_key, document, line,
    line_and_digest, makes_produced, names_its_data, not_made_here, registered, request,
};
use crate::restoring::wrong;

pub use crate::airflow::AirflowApi;

/// For the catalogue.
pub const ADAPTER: Adapter<AirflowProducerConfig, dyn Producer> = Adapter {
    kind: "airflow",
    system: "Airflow 2 and 3",
    summary: "a DAG that trains; the id of its run is the key",
    page: "producer_airflow/README.md",
    secret: SecretKey::TokenOrPassword,
    example: "url = \"http://127.0.0.1:8080\", dag = \"retrain\", xcom = { task = \"register\" }",
    start: |_, _| {},
    says: |config| config.makes.clone(),
    make: |config, with| {
        let surroundings = ProducerSurroundings::of(&with);
        Ok(Arc::new(AirflowProducer::new(config, with.secret, surroundings)?))
    },
};

/// Which DAG trains, and how its result is known.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AirflowProducerConfig {
    /// What stands before `/api`, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// The DAG's id.
    pub dag: String,
    /// `v1` for release 2, `v2` for release 3. Default: `v2`.
    #[serde(default)]
    pub api: AirflowApi,
    /// The task whose XCom is the result, and its key, as in `{ task = "register" }`.
    #[serde(default)]
    pub xcom: Option<Xcom>,
    /// What the DAG is told to call the version, with `{key}`, where it pushes no result. It finds it as `version` in its configuration.
    #[serde(default)]
    pub version: Option<String>,
    /// What else the DAG's configuration holds, beside `ripcord`.
    #[serde(default)]
    pub conf: BTreeMap<String, Value>,
    /// The account's name. Default: none, and the secret is a bearer token.
    #[serde(default)]
    pub user: Option<String>,
    /// What it makes versions of: `retrain`, `checkpoint`. Default: `retrain`.
    #[serde(default = "makes_default")]
    pub makes: Vec<Strategy>,
    /// Which columns of the training data exclusions are about. Default: `source`, `time` and `id`.
    #[serde(default)]
    pub columns: ExclusionColumns,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

/// What a task has pushed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Xcom {
    /// The task's id.
    pub task: String,
    /// Default: `return_value`.
    #[serde(default = "return_value")]
    pub key: String,
}

fn return_value() -> String {
    "return_value".to_owned()
}

fn makes_default() -> Vec<Strategy> {
    vec![Strategy::Retrain]
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// Makes versions with a DAG.
pub struct AirflowProducer {
    config: AirflowProducerConfig,
    api: Api,
    registry: Arc<dyn Registry>,
    kept: KeptRuns,
}

impl std::fmt::Debug for AirflowProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AirflowProducer").field("config", &self.config).finish_non_exhaustive()
    }
}

impl AirflowProducer {
    /// Checks the configuration; Airflow is not asked. `secret` is the password of `user` where there is one, else a bearer token.
    pub fn new(
        config: AirflowProducerConfig,
        secret: Option<Secret>,
        surroundings: ProducerSurroundings,
    ) -> Result<Self, PortError> {
        makes_produced(&config.makes)?;
        if config.xcom.is_some() == config.version.is_some() {
            return Err(wrong(
                "say how the version is known: `xcom` names the task that pushes it, `version` what it is told to call it; one of them",
            ));
        }
        if let Some(version) = &config.version
            && (!version.contains("{key}") || VersionName::new(version.replace("{key}", "key")).is_err())
        {
            return Err(wrong(
                "`version` is no name of a version with `{key}` in it: two runs may not have one name",
            ));
        }
        if config.conf.contains_key("ripcord") {
            return Err(wrong("`conf` holds `ripcord`, which is the order: call it otherwise"));
        }
        if config.deadline_ms == 0 {
            return Err(wrong("`deadline-ms` must be 1 or more"));
        }
        let api = Api::new(
            &AirflowAt {
                url: &config.url,
                dag: &config.dag,
                api: config.api,
                user: config.user.as_deref(),
                deadline_ms: config.deadline_ms,
            },
            secret,
            &surroundings.shared,
        )?;
        Ok(Self {
            api,
            registry: surroundings.registry,
            kept: KeptRuns::new(surroundings.data.join("runs")),
            config,
        })
    }

    fn made_here(&self, target: &Target) -> Result<(), PortError> {
        if self.makes(target) { Ok(()) } else { Err(not_made_here(self.name(), target)) }
    }

    fn version_of(&self, key: &str) -> Option<String> {
        self.config.version.as_ref().map(|version| version.replace("{key}", key))
    }

    fn conf(&self, order: &ProduceOrder) -> Value {
        let mut ripcord = document(order, &self.config.columns);
        if let Some(version) = self.version_of(&order.key) {
            ripcord["version"] = version.into();
        }
        let mut conf = self.own_conf();
        conf["ripcord"] = ripcord;
        conf
    }

    /// What the DAG is told besides the order.
    fn own_conf(&self) -> Value {
        json!(self.config.conf)
    }

    /// What came of a run that has succeeded.
    async fn outcome(&self, key: &str) -> Result<Progress, PortError> {
        let told = match (&self.config.xcom, self.version_of(key)) {
            (Some(xcom), _) => match self.api.xcom(key, (&xcom.task, &xcom.key)).await? {
                Some(value) => told(&value),
                None => Err(format!("is not there: the task `{}` has pushed no `{}`", xcom.task, xcom.key)),
            },
            (None, version) => Told::of(&json!(version)),
        };
        match told {
            Ok(told) => registered(self.registry.as_ref(), told).await,
            Err(why) => Ok(Progress::Failed(format!("the run has succeeded, and its result {why}"))),
        }
    }
}

/// Release 2 gives what was pushed as text: JSON, or the bare name of a version.
fn told(value: &Value) -> Result<Told, String> {
    let Value::String(text) = value else { return Told::of(value) };
    match lenient::values(text.as_bytes()) {
        Ok(read @ (Value::Object(_) | Value::String(_))) => Told::of(&read),
        _ if VersionName::new(text.as_str()).is_ok() => Told::of(value),
        _ => Err(format!(
            "is `{}`, which is neither JSON nor the name of a version: have the task return the version's name, or `json.dumps(…)`",
            line(text)
        )),
    }
}

#[async_trait]
impl Producer for AirflowProducer {
    fn name(&self) -> &str {
        "producer_airflow"
    }

    fn class(&self) -> EffectClass {
        EffectClass::Idempotent
    }

    fn arguments(&self) -> Vec<Label> {
        let result = match (&self.config.xcom, &self.config.version) {
            (Some(xcom), _) => format!("`{}` of task `{}`", xcom.key, xcom.task),
            (None, version) => format!("the version {}", version.as_deref().unwrap_or_default()),
        };
        let mut arguments = vec![
            Label::new("DAG", format!("{} at {}", self.config.dag, self.api.shown())),
            Label::new("result", result),
            Label::new("columns", self.config.columns.to_string()),
            Label::new("registered in", self.registry.name()),
        ];
        if !self.config.conf.is_empty() {
            arguments
                .push(Label::new("configuration", line_and_digest(&json!(self.config.conf).to_string())));
        }
        arguments
    }

    fn makes(&self, target: &Target) -> bool {
        self.config.makes.contains(&target.strategy())
    }

    async fn pinned(&self, target: &Target) -> Result<Target, PortError> {
        self.made_here(target)?;
        names_its_data(target)?;
        Ok(target.clone())
    }

    fn request(&self, target: &Target) -> Option<Request> {
        self.made_here(target).ok()?;
        let does = format!("begin a run of the DAG `{}` at {}", self.config.dag, self.api.shown());
        let request = request(self.name(), &does, (target, &self.config.columns), None)
            .with("url", self.api.shown())
            .with("api", format!("{:?}", self.config.api))
            .with("dag", self.config.dag.clone())
            .with("configuration", self.own_conf().to_string())
            .with("version", self.config.version.clone().unwrap_or_default())
            .with("result", self.config.xcom.as_ref().map(|of| format!("{of:?}")).unwrap_or_default());
        Some(request.hole(Hole::Credentials))
    }

    async fn start(&self, order: &ProduceOrder) -> Result<(), PortError> {
        self.made_here(&order.target)?;
        check_key(&order.key)?;
        names_its_data(&order.target)?;
        if self.kept.read::<KeptRun>(&order.key).await?.is_some() {
            return Ok(());
        }
        if self.api.start(&order.key, &self.conf(order), order.deadline).await? == Started::WasThere
            && self.api.run(&order.key).await.map_err(PortError::outcome_unknown)?.is_none()
        {
            let text = format!(
                "airflow refuses the run `{}` as one that is there, and has none: another run is of the same instant; try again",
                order.key
            );
            return Err(PortError::not_applied(ErrorKind::Failed, text));
        }
        let begun = KeptRun::Begun { run: None };
        self.kept.write(&order.key, &begun).await.map_err(PortError::outcome_unknown)
    }

    async fn progress(&self, order: &ProduceOrder) -> Result<Progress, PortError> {
        check_key(&order.key)?;
        let kept = self.kept.read::<KeptRun>(&order.key).await?;
        let begun = kept.is_some();
        if let Some(ended) = kept.and_then(KeptRun::ended) {
            return Ok(ended);
        }
        let Some(run) = self.api.run(&order.key).await? else {
            return Ok(match begun {
                false => Progress::NotStarted,
                true => Progress::Lost("the run was begun, and airflow knows nothing of it any more: somebody has deleted it, or it runs on another database; look, and plan again".to_owned()),
            });
        };
        let progress = match run.state.as_str() {
            "queued" | "running" | "restarting" => {
                Progress::Running { text: format!("airflow says `{}`", run.state), since: run.since() }
            }
            "success" => self.outcome(&order.key).await?,
            "failed" => Progress::Failed(self.api.why_failed(&order.key).await),
            other => {
                let text = format!(
                    "airflow calls the run `{}` `{}`, which is no state that is known here",
                    order.key,
                    line(other)
                );
                return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
            }
        };
        let kept = match KeptRun::of(&progress) {
            Some(ended) => Some(ended),
            None => (!begun).then_some(KeptRun::Begun { run: None }),
        };
        if let Some(kept) = kept {
            self.kept.write(&order.key, &kept).await?;
        }
        Ok(progress)
    }

    async fn stop(&self, order: &ProduceOrder) -> Result<(), PortError> {
        check_key(&order.key)?;
        let Some(run) = self.api.run(&order.key).await? else { return Ok(()) };
        // One that has ended keeps its state.
        if matches!(run.state.as_str(), "success" | "failed") {
            return Ok(());
        }
        self.api.fail(&order.key).await
    }

    async fn obstacle(&self) -> Option<String> {
        self.api.obstacle().await
    }
}

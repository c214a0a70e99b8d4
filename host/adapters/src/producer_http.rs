//! Training with a pipeline behind HTTP: a request begins a run, an address tells how far it is, JSON pointers say where in the answers the words stand.
//!
//! A pipeline that honours `Idempotency-Key` is asked again with the same key; one that does not is looked at first. `README.md` beside this module says what
//! to configure.

mod address;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::target::{Strategy, Target};
use ripcord_core::terms::EffectClass;
use ripcord_core::time::Millis;
use ripcord_ports::producer::{ProduceOrder, Progress};
use ripcord_ports::{ErrorKind, PortError, Producer, Registry, waiting};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::adapter::{Adapter, SecretKey};
use crate::http::{self, Answer, Credentials};
use crate::producing::{
    ExclusionColumns, KeptRun, KeptRuns, ProducerSurroundings, Told, check_key, document, line,
    line_and_digest, makes_produced, names_its_data, not_made_here, registered, request,
};
use crate::restoring::{check_pointer, wrong};
use crate::{Secret, Shared};
use address::Address;

/// Between two looks at a status that may tell of a run later than the POST does: doubled each time, up to the second.
const LAG_FIRST_WAIT: Duration = Duration::from_millis(100);
const LAG_WAIT_MAX: Duration = Duration::from_secs(5);

/// For the catalogue.
pub const ADAPTER: Adapter<HttpProducerConfig, dyn Producer> = Adapter {
    kind: "http",
    system: "a pipeline behind HTTP",
    summary: "a pipeline that a POST begins and an address tells of",
    page: "producer_http/README.md",
    secret: SecretKey::TokenOrPassword,
    example: "url = \"http://127.0.0.1:8080/runs\", status = \"http://127.0.0.1:8080/runs/{key}\"",
    start: |_, _| {},
    says: |config| config.makes.clone(),
    make: |config, with| {
        let surroundings = ProducerSurroundings::of(&with);
        Ok(Arc::new(HttpProducer::new(config, with.secret, surroundings)?))
    },
};

/// How a pipeline is spoken to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpProducerConfig {
    /// Where a POST begins a run, such as `http://127.0.0.1:8080/pipelines/train/runs`. It has no query.
    pub url: String,
    /// Where a GET tells of a run: `{key}` is the key that it was begun with, `{run}` what the pipeline calls it.
    pub status: String,
    /// Where in the answer to the POST the pipeline says what it calls the run, as in `/id`. Needed where `status` has `{run}`.
    #[serde(default)]
    pub run: Option<String>,
    /// Whether a second POST with the same `Idempotency-Key` begins no second run. Needed where `status` has `{run}`. Default: no.
    #[serde(default)]
    pub honours_key: bool,
    /// How long `status` may take to tell of a run after the POST that has begun it, in milliseconds: until then a run that it does not tell of is looked for
    /// again, and not begun again. Default: 10000.
    #[serde(default = "deadline_default")]
    pub status_lag_ms: u64,
    /// Where the state stands. Default: `/state`.
    #[serde(default = "state_default")]
    pub state: String,
    /// Words for a run that goes on. Default: `queued`, `pending`, `running`.
    #[serde(default = "running_default")]
    pub running: Vec<String>,
    /// Words for one that has ended well. Default: `succeeded`, `success`.
    #[serde(default = "succeeded_default")]
    pub succeeded: Vec<String>,
    /// Words for one that has not. Default: `failed`, `error`, `cancelled`.
    #[serde(default = "failed_default")]
    pub failed: Vec<String>,
    /// Where the result stands: the registered version's name, or `{"version": …, "measures": {…}}`. Default: `/result`.
    #[serde(default = "result_default")]
    pub result: String,
    /// Where it says how far a run is, or why it failed. Default: nowhere.
    #[serde(default)]
    pub why: Option<String>,
    /// Where a run is ended, with `{key}` or `{run}`. Default: it cannot be.
    #[serde(default)]
    pub cancel: Option<String>,
    /// By which method: `POST` or `DELETE`. Default: `POST`.
    #[serde(default)]
    pub cancel_method: CancelMethod,
    /// Sent with the order, under `parameters`.
    #[serde(default)]
    pub parameters: BTreeMap<String, Value>,
    /// What it makes versions of: `retrain`, `checkpoint`. Default: `retrain`.
    #[serde(default = "makes_default")]
    pub makes: Vec<Strategy>,
    /// Which columns of the training data exclusions are about. Default: `source`, `time` and `id`.
    #[serde(default)]
    pub columns: ExclusionColumns,
    /// The account's name, where the pipeline wants basic authentication. Default: none.
    #[serde(default)]
    pub user: Option<String>,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

/// How a run is ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CancelMethod {
    /// By POST.
    #[default]
    Post,
    /// By DELETE.
    Delete,
}

fn state_default() -> String {
    "/state".to_owned()
}

fn result_default() -> String {
    "/result".to_owned()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn running_default() -> Vec<String> {
    words(&["queued", "pending", "running"])
}

fn succeeded_default() -> Vec<String> {
    words(&["succeeded", "success"])
}

fn failed_default() -> Vec<String> {
    words(&["failed", "error", "cancelled"])
}

fn makes_default() -> Vec<Strategy> {
    vec![Strategy::Retrain]
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// Makes versions with a pipeline behind HTTP.
pub struct HttpProducer {
    config: HttpProducerConfig,
    start: Address,
    status: Address,
    cancel: Option<Address>,
    credentials: Credentials,
    registry: Arc<dyn Registry>,
    kept: KeptRuns,
    shared: Shared,
}

impl std::fmt::Debug for HttpProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpProducer").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What the pipeline said of a run.
enum Word {
    /// It knows none.
    Nothing(String),
    Progress(Progress),
}

impl HttpProducer {
    /// Checks the configuration; the pipeline is not asked. `secret` is the password of `user` where there is one, else a bearer token.
    pub fn new(
        config: HttpProducerConfig,
        secret: Option<Secret>,
        surroundings: ProducerSurroundings,
    ) -> Result<Self, PortError> {
        let start = Address::new("url", &config.url)?;
        let status = Address::new("status", &config.status)?;
        let cancel = config.cancel.as_deref().map(|url| Address::new("cancel", url)).transpose()?;
        for (key, address) in [("status", Some(&status)), ("cancel", cancel.as_ref())] {
            if address.is_some_and(|address| address.origin() != start.origin()) {
                return Err(wrong(format!(
                    "`{key}` leads to another host than `url`: credentials are for one of them"
                )));
            }
        }
        start.is_shown_whole("url")?;
        if start.wants_key() || start.wants_run() {
            return Err(wrong(
                "`url` takes no `{key}` and no `{run}`: the key is sent as `Idempotency-Key` and in the body",
            ));
        }
        if status.wants_key() == status.wants_run() {
            return Err(wrong("`status` names the run by `{key}` or by `{run}`, one of them"));
        }
        let by_run = status.wants_run() || cancel.as_ref().is_some_and(Address::wants_run);
        if by_run && config.run.is_none() {
            return Err(wrong(
                "`{run}` is what the pipeline calls a run: say where it stands in the answer, as in `run = \"/id\"`",
            ));
        }
        if status.wants_run() && !config.honours_key {
            return Err(wrong(
                "a run that only the pipeline can name is lost when its first answer is: set `honours-key = true` if the same `Idempotency-Key` begins no second run, or name it by `{key}`",
            ));
        }
        for (key, pointer) in [
            ("state", Some(&config.state)),
            ("result", Some(&config.result)),
            ("run", config.run.as_ref()),
            ("why", config.why.as_ref()),
        ] {
            pointer.map(|pointer| check_pointer(key, pointer)).transpose()?;
        }
        let all = [&config.running, &config.succeeded, &config.failed];
        if let Some(word) = all.iter().enumerate().find_map(|(at, words)| {
            words.iter().find(|word| all.iter().skip(at + 1).any(|others| others.contains(word)))
        }) {
            return Err(wrong(format!("`{word}` stands for two states: keep one of them")));
        }
        makes_produced(&config.makes)?;
        if config.deadline_ms == 0 {
            return Err(wrong("`deadline-ms` must be 1 or more"));
        }
        let credentials = Credentials::of(config.user.clone(), secret)?;
        Ok(Self {
            start,
            status,
            cancel,
            credentials,
            registry: surroundings.registry,
            kept: KeptRuns::new(surroundings.data.join("runs")),
            shared: surroundings.shared,
            config,
        })
    }

    fn made_here(&self, target: &Target) -> Result<(), PortError> {
        if self.makes(target) { Ok(()) } else { Err(not_made_here(self.name(), target)) }
    }

    /// How an answer of `status` is read: which run counts as ended, and what as its result.
    fn reading(&self) -> String {
        let HttpProducerConfig { state, running, succeeded, failed, result, .. } = &self.config;
        format!("{state} {running:?} {succeeded:?} {failed:?} {result}")
    }

    fn call(&self, method: Method, url: &reqwest::Url) -> http::Call {
        let call = self.shared.http.call(method, url).deadline(Millis(self.config.deadline_ms));
        call.credentials(&self.credentials)
    }

    /// What the pipeline says of the run; none where nobody knows what it calls it.
    async fn look(&self, order: &ProduceOrder, run: Option<&str>) -> Result<Option<Word>, PortError> {
        let Some(url) = self.status.of(&order.key, run)? else { return Ok(None) };
        let answer = self.call(Method::GET, &url).exchange().await?;
        if matches!(answer.status.as_u16(), 404 | 410) {
            return Ok(Some(Word::Nothing(answer.error().to_string())));
        }
        let answer = answer.successful()?;
        Ok(Some(Word::Progress(self.told(&answer).await?)))
    }

    /// The same, where a run may have been begun a moment ago: `status` may tell of it later than the POST does.
    async fn look_until_told(
        &self,
        order: &ProduceOrder,
        run: Option<&str>,
    ) -> Result<Option<Word>, PortError> {
        let end = Instant::now() + Duration::from_millis(self.config.status_lag_ms);
        let mut wait = LAG_FIRST_WAIT;
        loop {
            match self.look(order, run).await? {
                Some(Word::Nothing(_)) if Instant::now() + wait <= end => {
                    waiting::pausing(tokio::time::sleep(wait)).await;
                    wait = (wait * 2).min(LAG_WAIT_MAX);
                }
                told => return Ok(told),
            }
        }
    }

    async fn told(&self, answer: &Answer) -> Result<Progress, PortError> {
        let document: Value = answer.json()?;
        let bad =
            |why: String| PortError::not_applied(ErrorKind::BadAnswer, format!("{} {why}", answer.what()));
        let state = document.pointer(&self.config.state).and_then(Value::as_str);
        let state = state
            .ok_or_else(|| bad(format!("answered with no text at `{}`: check `state`", self.config.state)))?;
        let said = self.config.why.as_deref().and_then(|why| document.pointer(why)).map(|why| match why {
            Value::String(text) => line(text),
            other => line(&other.to_string()),
        });
        let is = |words: &[String]| words.iter().any(|word| word == state);
        if is(&self.config.running) {
            return Ok(Progress::Running { text: said.unwrap_or_else(|| line(state)), since: None });
        }
        if is(&self.config.failed) {
            let said = said.map_or_else(
                || "and does not say why: look there".to_owned(),
                |said| format!("and says: {said}"),
            );
            return Ok(Progress::Failed(format!("the pipeline calls the run `{}` {said}", line(state))));
        }
        if !is(&self.config.succeeded) {
            return Err(bad(format!(
                "answered with the state `{}`, which is none of `running`, `succeeded` and `failed`: add it to one of them",
                line(state)
            )));
        }
        let Some(result) = document.pointer(&self.config.result) else {
            return Ok(Progress::Failed(format!(
                "the run has succeeded, and nothing stands at `{}`: check `result`",
                self.config.result
            )));
        };
        match Told::of(result) {
            Ok(told) => registered(self.registry.as_ref(), told).await,
            Err(why) => Ok(Progress::Failed(format!("the result of the run {why}"))),
        }
    }

    /// What the pipeline is told besides the order.
    fn parameters(&self) -> Value {
        json!(self.config.parameters)
    }

    /// Sends the order, and takes down what the pipeline calls the run.
    async fn begin(&self, order: &ProduceOrder) -> Result<Option<String>, PortError> {
        let Some(url) = self.start.of(&order.key, None)? else { return Ok(None) };
        let mut body = document(order, &self.config.columns);
        body["parameters"] = self.parameters();
        let deadline = order.deadline.min(Millis(self.config.deadline_ms));
        let call = self.call(Method::POST, &url).deadline(deadline).has_effect();
        let answer = call.header("idempotency-key", &order.key).json(&body).exchange().await?;
        // It has the key already; whether that is so is looked at.
        if answer.status.as_u16() == 409 && self.status.wants_key() {
            return Ok(None);
        }
        let answer = answer.successful()?;
        let Some(pointer) = &self.config.run else { return Ok(None) };
        let document: Value = answer.json()?;
        let run = match document.pointer(pointer) {
            Some(Value::String(run)) => Some(run.clone()),
            Some(Value::Number(run)) => Some(run.to_string()),
            _ => None,
        };
        run.map(Some).ok_or_else(|| {
            let text =
                format!("{} answered without saying at `{pointer}` what it calls the run", answer.what());
            PortError::unknown(ErrorKind::BadAnswer, text)
        })
    }
}

#[async_trait]
impl Producer for HttpProducer {
    fn name(&self) -> &str {
        "producer_http"
    }

    fn class(&self) -> EffectClass {
        if self.config.honours_key { EffectClass::Idempotent } else { EffectClass::Observable }
    }

    fn arguments(&self) -> Vec<Label> {
        let mut arguments = vec![
            Label::new("begun by", format!("POST {}", self.start.shown())),
            Label::new("followed at", self.status.shown()),
            Label::new("columns", self.config.columns.to_string()),
            Label::new("registered in", self.registry.name()),
        ];
        if !self.config.parameters.is_empty() {
            arguments
                .push(Label::new("parameters", line_and_digest(&json!(self.config.parameters).to_string())));
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
        let does = format!("begin a run by POST {}", self.start.shown());
        let request = request(self.name(), &does, (target, &self.config.columns), None)
            .with("url", self.start.shown())
            .with("followed at", self.status.compared())
            .with("named by", self.config.run.clone().unwrap_or_default())
            .with("known by its key", self.config.honours_key.to_string())
            .with("read by", self.reading())
            .with("parameters", self.parameters().to_string());
        Some(request.hole(Hole::Credentials))
    }

    async fn start(&self, order: &ProduceOrder) -> Result<(), PortError> {
        self.made_here(&order.target)?;
        check_key(&order.key)?;
        names_its_data(&order.target)?;
        let was_asked = match self.kept.read::<KeptRun>(&order.key).await? {
            None => false,
            Some(KeptRun::Asked) => true,
            Some(_) => return Ok(()),
        };
        // Where that cannot be seen, an earlier attempt may have begun one.
        let looked = match (self.config.honours_key, was_asked) {
            (true, _) => None,
            (false, true) => self.look_until_told(order, None).await.map_err(PortError::outcome_unknown)?,
            (false, false) => self.look(order, None).await.map_err(PortError::outcome_unknown)?,
        };
        let run = match looked {
            Some(Word::Progress(_)) => None,
            _ => {
                if !self.config.honours_key {
                    let asked = self.kept.write(&order.key, &KeptRun::Asked).await;
                    asked.map_err(PortError::outcome_unknown)?;
                }
                self.begin(order).await?
            }
        };
        // A run that the pipeline has given a name is begun, however long its status takes to tell of it.
        if run.is_none() && self.status.wants_key() {
            match self.look_until_told(order, None).await.map_err(PortError::outcome_unknown)? {
                Some(Word::Progress(_)) => {}
                Some(Word::Nothing(why)) => {
                    let text = format!(
                        "the pipeline answered that the run is begun, and knows nothing of it: {why}"
                    );
                    return Err(PortError::unknown(ErrorKind::Failed, text));
                }
                None => {}
            }
        }
        self.kept.write(&order.key, &KeptRun::Begun { run }).await.map_err(PortError::outcome_unknown)
    }

    async fn progress(&self, order: &ProduceOrder) -> Result<Progress, PortError> {
        check_key(&order.key)?;
        let kept = self.kept.read::<KeptRun>(&order.key).await?;
        let kept_is_asked = kept == Some(KeptRun::Asked);
        let (begun, run) = match kept {
            None | Some(KeptRun::Asked) => (false, None),
            Some(KeptRun::Begun { run }) => (true, run),
            Some(ended) => return Ok(ended.ended().unwrap_or(Progress::NotStarted)),
        };
        let looked = match kept_is_asked {
            true => self.look_until_told(order, None).await?,
            false => self.look(order, run.as_deref()).await?,
        };
        match looked {
            Some(Word::Nothing(why)) if begun => Ok(Progress::Lost(format!(
                "the run was begun, and the pipeline knows nothing of it any more: {}",
                line(&why)
            ))),
            None | Some(Word::Nothing(_)) => Ok(Progress::NotStarted),
            Some(Word::Progress(progress)) => {
                let kept = match KeptRun::of(&progress) {
                    Some(ended) => Some(ended),
                    None => (!begun).then_some(KeptRun::Begun { run }),
                };
                if let Some(kept) = kept {
                    self.kept.write(&order.key, &kept).await?;
                }
                Ok(progress)
            }
        }
    }

    async fn stop(&self, order: &ProduceOrder) -> Result<(), PortError> {
        check_key(&order.key)?;
        let run = match self.kept.read::<KeptRun>(&order.key).await? {
            None | Some(KeptRun::Asked) => None,
            Some(KeptRun::Begun { run }) => run,
            Some(_) => return Ok(()),
        };
        let Some(cancel) = &self.cancel else {
            let text = "the pipeline has no address that ends a run: configure `cancel`, or end it there";
            return Err(PortError::not_applied(ErrorKind::Unsupported, text));
        };
        // Nobody knows what the pipeline would call it: it was not begun from here.
        let Some(url) = cancel.of(&order.key, run.as_deref())? else { return Ok(()) };
        let method = match self.config.cancel_method {
            CancelMethod::Post => Method::POST,
            CancelMethod::Delete => Method::DELETE,
        };
        let answer = self.call(method, &url).has_effect().exchange().await?;
        // There is none, or it has ended.
        if matches!(answer.status.as_u16(), 404 | 409 | 410) {
            return Ok(());
        }
        answer.successful().map(drop)
    }
}

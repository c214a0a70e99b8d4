//! What is live, read in a way that has nothing to do with the pipeline: answers of the service, a document that it gives, or a program.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::{Method, Url};
use ripcord_core::digest::Digest;
use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError};
use serde::Deserialize;
use serde_json::Value;

use crate::Shared;
use crate::command::{CommandSurroundings, Program};
use crate::deployer_command::printed_live;
use crate::folder;
use crate::http::{self, Http};
use crate::open_inference::{Ask, Connection, InferAnswer, ModelServer};
use crate::producing::line;
use crate::restoring::{check_pointer, wrong};

const PROBE_INPUT_BYTES_MAX: u64 = 1 << 20;
const REPLICAS_MAX: usize = 100;
const ANSWERS_MAX: u32 = 100;
/// The trial that reading live belongs to.
const READ_BACK: &str = "read-back";

/// How live is read: `urls` with `pointer`, `urls` with `model` and a probe input, or a `command`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LiveConfig {
    /// Addresses that are asked, one for each replica, or one before all of them. Pages of JSON where there is a `pointer`, servers of the Open Inference
    /// Protocol where there is a `model`. They are sent no credentials.
    #[serde(default)]
    pub urls: Vec<String>,
    /// Where in the JSON the version stands, as in `/model/version`.
    #[serde(default)]
    pub pointer: Option<String>,
    /// Where the artefact's digest stands: 64 hexadecimal digits, `sha256:` before them or not. Default: it is not told.
    #[serde(default)]
    pub digest_pointer: Option<String>,
    /// The model's name on servers of the Open Inference Protocol.
    #[serde(default)]
    pub model: Option<String>,
    /// The protocol's `inputs` of a harmless request, whose answer names the version.
    #[serde(default)]
    pub probe_input: Option<Value>,
    /// The same in a JSON file.
    #[serde(default)]
    pub probe_input_file: Option<PathBuf>,
    /// A program that prints what is live, as `live` of the deployer `command` does.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// In what surroundings the program runs.
    #[serde(default)]
    pub surroundings: CommandSurroundings,
    /// How often each address is asked, on connections of their own, so that a balancer may choose another replica. Default: 3.
    #[serde(default = "answers_default")]
    pub answers: u32,
    /// How what is told is known: `answer` where the page is the service's own word about what answers, else `control-plane`. Default: `answer` with a probe
    /// input, else `control-plane`.
    #[serde(default)]
    pub proof: Option<Proof>,
    /// For one call, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

fn answers_default() -> u32 {
    3
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

impl LiveConfig {
    /// How strong what it tells is.
    pub(super) fn proof(&self) -> Proof {
        let default = if self.model.is_some() { Proof::Answer } else { Proof::ControlPlane };
        self.proof.unwrap_or(default)
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        let shown = |url: &String| Url::parse(url).map_or_else(|_| url.clone(), |url| http::shown(&url));
        let urls = self.urls.iter().map(shown).collect::<Vec<_>>().join(", ");
        match (&self.command, &self.model, &self.pointer) {
            (Some(command), _, _) => format!("the program {}", line(&command.join(" "))),
            (None, Some(model), _) => format!("answers of `{}` at {urls}", line(model)),
            (None, None, pointer) => {
                format!("`{}` of {urls}", pointer.as_deref().map(line).unwrap_or_default())
            }
        }
    }
}

#[derive(Debug)]
enum Way {
    Page { urls: Vec<Url>, pointer: String, digest: Option<String> },
    Answers { servers: Vec<ModelServer>, input: Value },
    Program(Program),
}

/// Reads live.
#[derive(Debug)]
pub(super) struct LiveReader {
    way: Way,
    answers: u32,
    proof: Proof,
    deadline: Millis,
    http: Http,
}

impl LiveReader {
    pub(super) fn new(config: LiveConfig, shared: &Shared) -> Result<Self, PortError> {
        let proof = config.proof();
        if !(1..=ANSWERS_MAX).contains(&config.answers) || config.deadline_ms == 0 {
            let text =
                format!("`live` wants `answers` from 1 to {ANSWERS_MAX} and a `deadline-ms` of 1 or more");
            return Err(wrong(text));
        }
        if !matches!(proof, Proof::ControlPlane | Proof::Answer) {
            return Err(wrong("`live.proof` is `answer` or `control-plane`"));
        }
        if config.urls.len() > REPLICAS_MAX {
            return Err(wrong(format!("`live.urls` has more than {REPLICAS_MAX} addresses")));
        }
        let input = probe_input(config.probe_input, config.probe_input_file)?;
        let way = match (config.command, config.model, config.pointer, input) {
            (Some(command), None, None, None) if config.urls.is_empty() => {
                Way::Program(Program::new("live.command", &command, &[], &config.surroundings)?)
            }
            (None, Some(model), None, Some(input)) if !config.urls.is_empty() => {
                let server = |url: &String| {
                    let url = http::address(url)?;
                    holds_no_secret(&url)?;
                    Ok(ModelServer {
                        http: shared.http.clone(),
                        url,
                        model: model.clone(),
                        version: None,
                        token: None,
                        deadline: Millis(config.deadline_ms),
                    })
                };
                let servers = config.urls.iter().map(server).collect::<Result<_, PortError>>()?;
                Way::Answers { servers, input }
            }
            (None, None, Some(pointer), None) if !config.urls.is_empty() => {
                check_pointer("live.pointer", &pointer)?;
                if let Some(pointer) = &config.digest_pointer {
                    check_pointer("live.digest-pointer", pointer)?;
                }
                let page = |url: &String| {
                    let url = http::page(url)?;
                    holds_no_secret(&url).map(|()| url)
                };
                let urls = config.urls.iter().map(page).collect::<Result<_, _>>()?;
                Way::Page { urls, pointer, digest: config.digest_pointer }
            }
            _ => {
                return Err(wrong(
                    "`live` wants one way to read what is live: `urls` with `pointer`, `urls` with `model` and `probe-input`, or `command`",
                ));
            }
        };
        let deadline = Millis(config.deadline_ms);
        Ok(Self { way, answers: config.answers, proof, deadline, http: shared.http.clone() })
    }

    /// What is live now. One address that does not answer is an error, and one that does not tell makes live unknown: neither is passed over.
    pub(super) async fn read(&self) -> Result<LiveState, PortError> {
        let mut told = BTreeMap::<(VersionName, Option<Digest>), u32>::new();
        let mut count = |seen: Result<(VersionName, Option<Digest>), String>| {
            seen.map(|seen| *told.entry(seen).or_default() += 1)
        };
        match &self.way {
            Way::Program(program) => return printed_live(program, self.proof).await,
            Way::Page { urls, pointer, digest } => {
                for url in urls.iter().flat_map(|url| std::iter::repeat_n(url, self.answers as usize)) {
                    let page = self.page(url).await?;
                    if let Err(why) = count(told_by(&page, pointer, digest.as_deref())) {
                        return Ok(LiveState::Unknown(format!("{} {why}", http::shown(url))));
                    }
                }
            }
            Way::Answers { servers, input } => {
                for server in servers.iter().flat_map(|it| std::iter::repeat_n(it, self.answers as usize)) {
                    let named = answered_by(server, input).await?;
                    if let Err(why) = count(named.map(|version| (version, None))) {
                        return Ok(LiveState::Unknown(format!("{} {why}", server.address())));
                    }
                }
            }
        }
        let all: u32 = told.values().sum();
        let share = |((version, digest), count): ((VersionName, Option<Digest>), u32)| Share {
            version: VersionTarget { version, digest },
            place: String::new(),
            weight: Ratio::new(f64::from(count) / f64::from(all)).unwrap_or(Ratio::ONE),
            proof: self.proof,
        };
        Ok(LiveState::Serving(told.into_iter().map(share).collect()))
    }

    async fn page(&self, url: &Url) -> Result<Value, PortError> {
        self.http.call_anew(Method::GET, url).deadline(self.deadline).send().await?.json()
    }
}

/// Refuses what would be sent along, over whatever is between, and which those who agree to a plan would not see.
fn holds_no_secret(url: &Url) -> Result<(), PortError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "`live.urls` holds a user or a password, and live is read without any: read it by a `command`",
        ));
    }
    http::is_shown_whole("live.urls", url)
}

fn probe_input(input: Option<Value>, file: Option<PathBuf>) -> Result<Option<Value>, PortError> {
    let input = match (input, file) {
        (Some(_), Some(_)) => {
            return Err(wrong("both `live.probe-input` and `live.probe-input-file` are set: keep one"));
        }
        (Some(input), None) => Some(input),
        (None, Some(path)) => {
            let bytes = folder::read_ambient(&path, PROBE_INPUT_BYTES_MAX)?;
            let input = serde_json::from_slice(&bytes).map_err(|error| {
                wrong(format!("the probe's input in `{}` is not JSON", path.display())).caused_by(error)
            })?;
            Some(input)
        }
        (None, None) => None,
    };
    match input {
        Some(input) if !input.is_array() => {
            Err(wrong("the probe's input is no list: write the protocol's `inputs`"))
        }
        input => Ok(input),
    }
}

/// The version that a page names, or what is wrong with the page.
fn told_by(
    page: &Value,
    pointer: &str,
    digest: Option<&str>,
) -> Result<(VersionName, Option<Digest>), String> {
    let text = |pointer: &str| match page.pointer(pointer) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(_) => Err(format!("has no text at `{pointer}`")),
        None => Err(format!("has nothing at `{pointer}`")),
    };
    let named = text(pointer)?;
    let version = VersionName::new(named.as_str())
        .map_err(|_| format!("names `{}` at `{pointer}`, which is no version", line(&named)))?;
    let Some(at) = digest else { return Ok((version, None)) };
    let named = text(at)?;
    let digest = named.strip_prefix("sha256:").unwrap_or(&named).parse();
    let digest = digest.map_err(|_| format!("has `{}` at `{at}`, which is no sha-256", line(&named)))?;
    Ok((version, Some(digest)))
}

/// The version that an answer names, or why none.
async fn answered_by(server: &ModelServer, input: &Value) -> Result<Result<VersionName, String>, PortError> {
    let ask = Ask { id: "ripcord-read-back", inputs: input, trial: READ_BACK, connection: Connection::Anew };
    let answer = match server.infer(&ask).await?.successful() {
        Ok(answer) => answer,
        Err(error) if error.kind == ErrorKind::Denied => return Err(error),
        Err(error) => return Ok(Err(format!("gives no answer: {error}"))),
    };
    Ok(match answer.json::<InferAnswer>().and_then(|answer| answer.version()) {
        Ok(Some(version)) => Ok(version),
        Ok(None) => Err("names no `model_version` in its answer: have the server name it".to_owned()),
        Err(error) => Err(format!("answers oddly: {error}")),
    })
}

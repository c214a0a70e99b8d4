//! Reading what the server serves.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::target::VersionTarget;
use ripcord_ports::{ErrorKind, PortError};
use serde_json::Value;

use super::OpenInferenceDeployer;
use crate::open_inference::{Ask, Connection, Index, Indexed, InferAnswer, State, says_it_has_none};

/// The trial that reading back belongs to.
const READ_BACK: &str = "read-back";

/// Answers that are waited for at the same time.
const AT_ONCE: usize = 8;

/// What one probe has shown.
enum Seen {
    Version(VersionName),
    /// The server answers that it serves no such model.
    Nothing,
    Unclear(String),
}

/// What keeps a line of an index that is not ready from being proof that nothing is served.
fn may_be_served(line: &Indexed) -> Option<String> {
    let version = line.version.as_deref();
    let named =
        version.map_or("a version without a name".to_owned(), |version| format!("the version `{version}`"));
    let model = &line.name;
    match line.state() {
        State::Untold => version.map(|_| format!("{named} of `{model}` and not whether it is ready")),
        State::Moving => Some(format!("{named} of `{model}`, which is being loaded or dropped")),
        State::Other(word) => {
            let word: String = word.chars().take(40).collect();
            Some(format!(
                "{named} of `{model}` in the state `{}`, which the protocol does not have",
                word.escape_debug()
            ))
        }
        State::Ready | State::Unavailable => None,
    }
}

impl OpenInferenceDeployer {
    /// What is served, from real answers where an input is configured, else from the control plane.
    pub(super) async fn read_live(&self) -> Result<LiveState, PortError> {
        match &self.probe_input {
            Some(input) => self.read_from_answers(input).await,
            None => self.read_from_control_plane().await,
        }
    }

    async fn read_from_answers(&self, input: &Value) -> Result<LiveState, PortError> {
        let mut answers: BTreeMap<VersionName, u32> = BTreeMap::new();
        let asked = (1..=self.answers).map(|number| self.one_answer(input, number));
        let seen: Vec<Seen> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        for seen in seen {
            match seen {
                Seen::Version(version) => *answers.entry(version).or_default() += 1,
                Seen::Nothing if answers.is_empty() => return self.nothing_served().await,
                Seen::Nothing => {
                    return Ok(LiveState::Unknown(format!(
                        "some answers come from a version and some say that `{}` is not served",
                        self.server.model
                    )));
                }
                Seen::Unclear(why) => return Ok(LiveState::Unknown(why)),
            }
        }
        let sole = answers.len() == 1;
        let mut shares = Vec::new();
        for (version, count) in answers {
            // What lies in the folder can be what is served only if all answers come from one version.
            let digest = if sole { self.folder.digest_of(&version).await } else { None };
            let weight = f64::from(count) / f64::from(self.answers);
            shares.push(Share {
                version: VersionTarget { version, digest },
                place: String::new(),
                weight: Ratio::new(weight).unwrap_or(Ratio::ONE),
                proof: Proof::Answer,
            });
        }
        Ok(LiveState::Serving(shares))
    }

    async fn one_answer(&self, input: &Value, number: u32) -> Result<Seen, PortError> {
        let id = format!("ripcord-read-back-{number}");
        let ask = Ask { id: &id, inputs: input, trial: READ_BACK, connection: Connection::Anew };
        let answer = self.server.infer(&ask).await?;
        if says_it_has_none(&answer) {
            return Ok(Seen::Nothing);
        }
        let answer = match answer.successful() {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::Denied => return Err(error),
            Err(error) => return Ok(Seen::Unclear(error.to_string())),
        };
        let read = answer.json::<InferAnswer>().and_then(|answer| answer.version());
        Ok(match read {
            Ok(Some(version)) => Seen::Version(version),
            Ok(None) => Seen::Unclear(format!(
                "answers of `{}` at {} name no `model_version`: have the server name it",
                self.server.model,
                self.server.address()
            )),
            Err(error) => Seen::Unclear(error.to_string()),
        })
    }

    /// A 404 can mean that the model is unloaded or that the address is wrong: only the index tells them apart.
    async fn nothing_served(&self) -> Result<LiveState, PortError> {
        let (address, model) = (self.server.address(), &self.server.model);
        let lines = match self.server.indexed().await {
            Ok(Index::Lines(lines)) => lines,
            Ok(Index::Metadata(_)) => {
                return Ok(LiveState::Unknown(format!(
                    "{address} tells of the model `{model}` and answers that it has none to a request"
                )));
            }
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::BadAnswer) => {
                return Ok(LiveState::Unknown(format!(
                    "{address} knows neither the model `{model}` nor an index of models: check the address"
                )));
            }
            Err(error) => return Err(error),
        };
        if lines.iter().any(|line| line.state() == State::Ready) {
            return Ok(LiveState::Unknown(format!(
                "{address} lists `{model}` as ready and answers that it has none to a request"
            )));
        }
        Ok(LiveState::Serving(Vec::new()))
    }

    async fn read_from_control_plane(&self) -> Result<LiveState, PortError> {
        let model = &self.server.model;
        if self.folder.is_unsettled().await? {
            // A server's index may read the folder and not what is loaded.
            return Ok(LiveState::Unknown(format!(
                "an artefact was put in the folder of `{model}`, and whether the server has loaded it only an answer tells: set `probe-input`"
            )));
        }
        let named = match self.server.indexed().await? {
            Index::Metadata(versions) if versions.is_empty() => {
                return Ok(LiveState::Unknown(format!(
                    "the server has no index of models, and its metadata names no version of `{model}`: set `probe-input`, so that answers tell which is served"
                )));
            }
            Index::Metadata(versions) => versions,
            Index::Lines(lines) => {
                let ready = lines.iter().filter(|line| line.state() == State::Ready);
                let ready: BTreeSet<String> =
                    ready.map(|line| line.version.clone().unwrap_or_default()).collect();
                if ready.is_empty()
                    && let Some(why) = lines.iter().find_map(may_be_served)
                {
                    return Ok(LiveState::Unknown(format!(
                        "the control plane names {why}: set `probe-input`"
                    )));
                }
                if ready.is_empty() && !lines.is_empty() {
                    return Ok(LiveState::Serving(Vec::new()));
                }
                ready.into_iter().collect()
            }
        };
        let [name] = named.as_slice() else {
            return Ok(LiveState::Unknown(format!(
                "the control plane names {} versions of `{model}`, not one: set `probe-input`, so that answers tell which is served",
                named.len()
            )));
        };
        let Ok(version) = VersionName::new(name.as_str()) else {
            return Ok(LiveState::Unknown(format!(
                "the control plane names the version `{name}` of `{model}`, which is none: set `probe-input`"
            )));
        };
        Ok(LiveState::Serving(vec![Share {
            version: VersionTarget { version, digest: None },
            place: String::new(),
            weight: Ratio::ONE,
            proof: Proof::ControlPlane,
        }]))
    }
}

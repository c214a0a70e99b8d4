//! Asking each pod that takes traffic for the version that it serves.

use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ripcord_core::name::VersionName;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError};
use serde_json::Value;

use super::replicas::{Behind, Replica, too_many};
use super::shown;
use crate::open_inference::{Ask, Connection, InferAnswer, ModelServer};
use crate::{Shared, folder, http};

/// Pods that are asked at the same time.
const AT_ONCE: usize = 8;
/// Pods that are asked at all.
const ASKED_MAX: usize = 100;
const INPUT_BYTES_MAX: u64 = 1 << 20;

/// How pods are asked.
#[derive(Debug)]
pub(crate) struct Answers {
    shared: Shared,
    model: String,
    input: Value,
    port: Option<u16>,
    deadline: Millis,
}

/// The inputs of a harmless request, out of the settings or out of a file.
pub(crate) fn probe_input(input: Option<Value>, file: Option<&Path>) -> Result<Option<Value>, PortError> {
    let wrong = |message: String| PortError::not_applied(ErrorKind::Configuration, message);
    let input = match (input, file) {
        (Some(_), Some(_)) => {
            return Err(wrong("both `probe-input` and `probe-input-file` are set: keep one".to_owned()));
        }
        (Some(input), None) => input,
        (None, Some(path)) => {
            serde_json::from_slice(&folder::read_ambient(path, INPUT_BYTES_MAX)?).map_err(|error| {
                wrong(format!("the probe's input in `{}` is not JSON", path.display())).caused_by(error)
            })?
        }
        (None, None) => return Ok(None),
    };
    if !input.is_array() {
        return Err(wrong("the probe's input is no list: write the protocol's `inputs`".to_owned()));
    }
    Ok(Some(input))
}

impl Answers {
    /// None where no input is configured.
    pub(crate) fn new(
        shared: &Shared,
        model: &str,
        input: Option<Value>,
        file: Option<&Path>,
        port: Option<u16>,
        deadline_ms: u64,
    ) -> Result<Option<Self>, PortError> {
        let Some(input) = probe_input(input, file)? else { return Ok(None) };
        let (shared, model) = (shared.clone(), model.to_owned());
        Ok(Some(Self { shared, model, input, port, deadline: Millis(deadline_ms) }))
    }

    /// Asks every ready pod. One that answers with another version than it was made for, or does not tell, is told.
    pub(crate) async fn of(
        &self,
        behind: &Behind,
        made_for: impl Fn(&Replica) -> Result<VersionName, String>,
    ) -> Result<Result<(), String>, PortError> {
        if behind.ready.len() > ASKED_MAX {
            return Err(too_many(behind.ready.len(), ASKED_MAX));
        }
        // Before the stream: what makes them must not live as long as they do.
        let asked: Vec<_> = behind.ready.iter().map(|replica| self.answer(replica)).collect();
        let told: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        for (replica, told) in behind.ready.iter().zip(told) {
            let name = shown(&replica.name);
            match (told, made_for(replica)) {
                (Ok(told), Ok(made_for)) if told == made_for => {}
                (Ok(told), Ok(made_for)) => {
                    return Ok(Err(format!(
                        "the pod `{name}` was made for `{made_for}` and answers as `{told}`"
                    )));
                }
                (Err(why), _) | (_, Err(why)) => return Ok(Err(format!("the pod `{name}` {why}"))),
            }
        }
        Ok(Ok(()))
    }

    async fn answer(&self, replica: &Replica) -> Result<Result<VersionName, String>, PortError> {
        let Some(address) = self.address(replica) else {
            return Ok(Err("has no address and port: set `probe-port`".to_owned()));
        };
        let server = ModelServer {
            http: self.shared.http.clone(),
            url: http::address(&format!("http://{address}"))?,
            model: self.model.clone(),
            version: None,
            token: None,
            deadline: self.deadline,
        };
        let ask = Ask {
            id: "ripcord-read-back",
            inputs: &self.input,
            trial: "read-back",
            connection: Connection::Anew,
        };
        let answered =
            server.infer(&ask).await.and_then(|answer| answer.successful()?.json::<InferAnswer>()?.version());
        Ok(match answered {
            Ok(Some(version)) => Ok(version),
            Ok(None) => {
                Err(format!("answers at {address} without a `model_version`: have the server name it"))
            }
            Err(error) => Err(format!("does not tell its version: {error}")),
        })
    }

    fn address(&self, replica: &Replica) -> Option<String> {
        let (host, port) = replica.address.as_deref()?.rsplit_once(':')?;
        Some(format!("{host}:{}", self.port.map_or_else(|| port.to_owned(), |port| port.to_string())))
    }
}

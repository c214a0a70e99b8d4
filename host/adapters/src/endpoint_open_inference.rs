//! An endpoint that speaks the Open Inference Protocol, version 2.

use async_trait::async_trait;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::Millis;
use ripcord_ports::endpoint::Reply;
use ripcord_ports::requests::TrialInput;
use ripcord_ports::{Endpoint, ErrorKind, PortError};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::Shared;
use crate::http;
use crate::open_inference::{Ask, Connection, InferAnswer, ModelServer, payload};
use crate::secret::Secret;

/// Where a model answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OpenInferenceEndpointConfig {
    /// The server's address, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// The model's name on the server.
    pub model: String,
    /// The output that is judged. Default: all, where they are of one kind.
    #[serde(default)]
    pub output: Option<String>,
    /// For one answer, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// Sends trials to a model.
#[derive(Debug)]
pub struct OpenInferenceEndpoint {
    server: ModelServer,
    output: Option<String>,
}

impl OpenInferenceEndpoint {
    /// Checks the configuration.
    pub fn new(
        config: OpenInferenceEndpointConfig,
        token: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        let server = ModelServer {
            http: shared.http.clone(),
            url: http::address(&config.url)?,
            model: config.model,
            token,
            deadline: Millis(config.deadline_ms),
        };
        Ok(Self { server, output: config.output })
    }
}

#[async_trait]
impl Endpoint for OpenInferenceEndpoint {
    fn name(&self) -> &str {
        "endpoint_open_inference"
    }

    async fn infer(
        &self,
        input: &TrialInput,
        candidate: Option<&VersionTarget>,
        trial: &str,
    ) -> Result<Reply, PortError> {
        let inputs: Value = serde_json::from_str(&input.body).map_err(|error| {
            PortError::new(
                ErrorKind::Configuration,
                format!("the input `{}` is not JSON: write the protocol's `inputs`", input.id),
            )
            .caused_by(error)
        })?;
        let ask = Ask {
            id: &input.id,
            inputs: &inputs,
            version: candidate.map(|candidate| &candidate.version),
            trial,
            connection: Connection::Shared,
        };
        let started = Instant::now();
        let answer = self.server.infer(&ask).await?;
        let latency_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let answer: InferAnswer = answer.successful()?.json()?;
        let output = payload(&answer.outputs, self.output.as_deref()).map_err(|why| {
            PortError::new(
                ErrorKind::BadAnswer,
                format!("input `{}` at {}: {why}", input.id, self.server.address()),
            )
        })?;
        let answered_by = answer.version()?.map(|version| VersionTarget { version, digest: None });
        Ok(Reply { output, answered_by, latency_us })
    }
}

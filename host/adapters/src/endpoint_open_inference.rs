//! An endpoint that speaks the Open Inference Protocol, version 2.

pub mod sight;

use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::Beside;
use ripcord_ports::endpoint::{Fingerprint, Reply, SignatureCheck};
use ripcord_ports::requests::TrialInput;
use ripcord_ports::{Endpoint, ErrorKind, PortError, Retry};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::Shared;
use crate::adapter::{Adapter, SecretKey};
use crate::http;
use crate::open_inference::{Ask, Connection, InferAnswer, ModelServer, compare, exact, payload};
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

/// For the catalogue.
pub const ADAPTER: Adapter<OpenInferenceEndpointConfig, dyn Endpoint> = Adapter {
    kind: "open-inference",
    system: "MLServer",
    summary: "a server of the Open Inference Protocol, to which trials are sent",
    page: "deployer_open_inference/README.md",
    secret: SecretKey::Token,
    example: "url = \"http://127.0.0.1:8080\", model = \"fraud\"",
    start: |_, _| {},
    says: |_| (),
    make: |config, with| Ok(Arc::new(OpenInferenceEndpoint::new(config, with.secret, with.shared)?)),
};

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
            version: None,
            token,
            deadline: Millis(config.deadline_ms),
        };
        Ok(Self { server, output: config.output })
    }
}

/// What came back, and when.
struct Answered {
    answer: InferAnswer,
    latency_us: u64,
}

impl OpenInferenceEndpoint {
    async fn ask(
        &self,
        server: &ModelServer,
        input: &TrialInput,
        trial: &str,
    ) -> Result<Answered, PortError> {
        let inputs: Value = serde_json::from_str(&input.body).map_err(|error| {
            PortError::not_applied(
                ErrorKind::Configuration,
                format!("the input `{}` is not JSON: write the protocol's `inputs`", input.id),
            )
            .caused_by(error)
        })?;
        let ask = Ask { id: &input.id, inputs: &inputs, trial, connection: Connection::Shared };
        let mut started = Instant::now();
        let mut answer = server.infer(&ask).await;
        if answer.as_ref().is_err_and(|error| error.kind == ErrorKind::Unreachable) {
            // MLServer closes a kept connection after each error of its own: the row after one that failed would fail as well.
            started = Instant::now();
            answer = server.infer(&Ask { connection: Connection::Anew, ..ask }).await;
        }
        let answer = answer?;
        let latency_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(Answered { answer: answer.successful()?.json()?, latency_us })
    }

    fn senseless(&self, server: &ModelServer, input: &TrialInput, why: &str) -> PortError {
        let text = format!("input `{}` at {}: {why}", input.id, server.address());
        PortError::not_applied(ErrorKind::BadAnswer, text)
    }

    /// The live model, or a candidate beside it.
    fn server(&self, candidate: Option<&Beside>) -> ModelServer {
        match candidate {
            Some(candidate) => self.server.for_model(&candidate.address),
            None => self.server.clone(),
        }
    }
}

fn named(answer: &InferAnswer) -> Result<Option<VersionTarget>, PortError> {
    Ok(answer.version()?.map(|version| VersionTarget { version, digest: None }))
}

#[async_trait]
impl Endpoint for OpenInferenceEndpoint {
    fn name(&self) -> &str {
        "endpoint_open_inference"
    }

    async fn infer(
        &self,
        input: &TrialInput,
        candidate: Option<&Beside>,
        trial: &str,
    ) -> Result<Reply, PortError> {
        let server = self.server(candidate);
        let Answered { answer, latency_us } = self.ask(&server, input, trial).await?;
        let output = payload(&answer.outputs, self.output.as_deref())
            .map_err(|why| self.senseless(&server, input, &why))?;
        Ok(Reply { output, answered_by: named(&answer)?, latency_us })
    }

    fn of_version(&self, version: &VersionName) -> Option<Arc<dyn Endpoint>> {
        let server = ModelServer { version: Some(version.to_string()), ..self.server.clone() };
        Some(Arc::new(Self { server, output: self.output.clone() }))
    }

    async fn compare_signature(
        &self,
        signature: &str,
        candidate: Option<&Beside>,
    ) -> Result<SignatureCheck, PortError> {
        Ok(compare(signature, &self.server(candidate).inputs().await?))
    }

    async fn fingerprint(
        &self,
        inputs: &[TrialInput],
        candidate: Option<&Beside>,
        trial: &str,
    ) -> Result<Fingerprint, PortError> {
        let server = self.server(candidate);
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let mut answered_by: Option<Option<VersionTarget>> = None;
        // One after the other: servers that gather requests into batches may calculate otherwise in a larger batch.
        for input in inputs {
            let Answered { answer, .. } = self.ask(&server, input, trial).await?;
            let version = named(&answer)?;
            if answered_by.as_ref().is_some_and(|before| *before != version) {
                return Err(PortError::not_applied(
                    ErrorKind::Conflict,
                    format!(
                        "several versions answer at {}: no fingerprint is that of one version",
                        server.address()
                    ),
                )
                .retry(Retry::Later));
            }
            answered_by = Some(version);
            let exact = exact(&answer.outputs, self.output.as_deref())
                .map_err(|why| self.senseless(&server, input, &why))?;
            parts.extend([input.id.clone().into_bytes(), input.body.clone().into_bytes()]);
            parts.push(exact.as_bytes().to_vec());
        }
        let Some(answered_by) = answered_by else {
            return Err(PortError::not_applied(
                ErrorKind::Configuration,
                "a fingerprint of no inputs says nothing: give some",
            ));
        };
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Ok(Fingerprint { digest: Digest::tagged("ripcord fingerprint 1", &parts), answered_by })
    }
}

//! Where a service answers: trials go through it.

use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::fact::Payload;
use ripcord_core::name::VersionName;
use ripcord_core::target::VersionTarget;

use crate::deployer::Beside;
use crate::error::{ErrorKind, PortError};
use crate::requests::TrialInput;

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What came back.
    pub output: Payload,
    /// The version that the answer names.
    pub answered_by: Option<VersionTarget>,
    /// Time to the last byte, in microseconds.
    pub latency_us: u64,
}

/// How an input signature compares with what the server says its model takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureCheck {
    /// They agree.
    Same,
    /// They differ; each is a sentence.
    Differs(Vec<String>),
    /// One of the two is not known or not understood, and why.
    Unknown(String),
}

/// What a version answers to given inputs, exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Over the inputs and their answers: the same version gives the same one where its arithmetic is the same.
    pub digest: Digest,
    /// The version that every answer named; none where an answer named none.
    pub answered_by: Option<VersionTarget>,
}

/// Sends inputs to a service, marked as trials so that they stay out of metrics and request log.
#[async_trait]
pub trait Endpoint: Send + Sync {
    /// The adapter's name.
    fn name(&self) -> &str;

    /// Sends one input to the live version, or to a candidate that a deployer holds beside it. An endpoint that does not reach candidates says
    /// [`ErrorKind::Unsupported`].
    async fn infer(
        &self,
        input: &TrialInput,
        candidate: Option<&Beside>,
        trial: &str,
    ) -> Result<Reply, PortError>;

    /// The same endpoint where one version is asked by its name, whatever is live; none where the system has no such way.
    fn of_version(&self, version: &VersionName) -> Option<Arc<dyn Endpoint>> {
        let _ = version;
        None
    }

    /// Compares an input signature, as a registry has it, with what the server says of the live version, or of a candidate.
    async fn compare_signature(
        &self,
        signature: &str,
        candidate: Option<&Beside>,
    ) -> Result<SignatureCheck, PortError> {
        let _ = (signature, candidate);
        Ok(SignatureCheck::Unknown(format!("`{}` does not compare signatures", self.name())))
    }

    /// Sends the inputs one after the other to the live version, or to a candidate, and takes a digest of the answers as they came. Answers of several
    /// versions are [`ErrorKind::Conflict`].
    async fn fingerprint(
        &self,
        inputs: &[TrialInput],
        candidate: Option<&Beside>,
        trial: &str,
    ) -> Result<Fingerprint, PortError> {
        let _ = (inputs, candidate, trial);
        Err(PortError::not_applied(
            ErrorKind::Unsupported,
            format!("`{}` takes no fingerprints", self.name()),
        ))
    }
}

//! Calls of AWS's JSON protocol, signed.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use ripcord_core::time::Millis;
use ripcord_ports::PortError;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::credentials::Credentials;
use super::refusal::{self, Refusal};
use crate::http::{self, Answer, Http, Patience};

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// One service in one region.
#[derive(Debug)]
pub(crate) struct Json {
    pub(crate) http: Http,
    pub(crate) url: Url,
    pub(crate) region: String,
    /// As people know it: `SageMaker`. It is the prefix of its operations, too.
    pub(crate) system: &'static str,
    /// As signatures and rights name it: `sagemaker`.
    pub(crate) service: &'static str,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) deadline: Millis,
    pub(crate) patience: Patience,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Reads,
    Changes,
}

impl Json {
    /// The answer to a question, asked again while that may help.
    pub(crate) async fn read(&self, operation: &str, body: &Value) -> Result<Answer, PortError> {
        http::patiently(self.patience, || async {
            let answer = self.call(operation, body, Effect::Reads).await?;
            // What is not JSON may be something in between, which passes.
            answer.json::<serde::de::IgnoredAny>()?;
            Ok(answer)
        })
        .await
    }

    /// The same, as what it says.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        operation: &str,
        body: &Value,
    ) -> Result<T, PortError> {
        self.read(operation, body).await?.json()
    }

    /// Makes a change. It is sent again only where it cannot have happened.
    pub(crate) async fn change(&self, operation: &str, body: &Value) -> Result<(), PortError> {
        http::patiently(self.patience, || async {
            let answer = self.call(operation, body, Effect::Changes).await?;
            answer.json::<serde::de::IgnoredAny>().map(|_| ())
        })
        .await
    }

    async fn call(&self, operation: &str, body: &Value, effect: Effect) -> Result<Answer, PortError> {
        let body = body.to_string().into_bytes();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        let target = HeaderValue::try_from(format!("{}.{operation}", self.system));
        headers.insert(TARGET, target.map_err(|error| crate::restoring::wrong(error.to_string()))?);
        let to = (&Method::POST, &self.url);
        let headers = self.credentials.sign(self.service, &self.region, to, headers, &body).await?;
        let call = self.http.call(Method::POST, &self.url).of(self.system).deadline(self.deadline);
        let call = match effect {
            Effect::Reads => call.only_reads(),
            Effect::Changes => call.has_effect(),
        };
        let answer = call.headers(headers).body(body.into()).exchange().await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let error = self.refused(operation, &answer);
        // A right that is missing is missing for the next session, too.
        let refusal = Refusal::of(&answer.body);
        let name = refusal.name(answer.header(&ERROR_TYPE));
        if refusal::is_about_credentials(name) || refusal::is_about_credentials(&refusal.message) {
            self.credentials.forget().await;
        }
        Err(error)
    }

    /// What an answer that means no success says.
    fn refused(&self, operation: &str, answer: &Answer) -> PortError {
        let refusal = Refusal::of(&answer.body);
        let name = refusal.name(answer.header(&ERROR_TYPE));
        // What a server failed at may have happened, and what it sent is looked at as for any other.
        let plain = answer.error();
        if name.is_empty() || answer.status.is_server_error() {
            return plain;
        }
        let may = format!("`{}:{operation}`", self.service);
        let Some((kind, retry, advice)) = refusal::meaning(name, &refusal.message, &may) else {
            return plain;
        };
        let said = http::excerpt(format!("{name}: {}", refusal.message).as_bytes());
        let at = http::shown(&self.url);
        let text = format!("{} at `{at}` refuses `{operation}`: {said}; {advice}", self.system);
        let retry = if plain.retry == ripcord_ports::Retry::No { retry } else { plain.retry };
        PortError::not_applied(kind, text).retry(retry)
    }
}

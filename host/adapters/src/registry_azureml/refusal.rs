//! Refusals of Azure Resource Manager, of Azure Machine Learning behind it, and of Blob Storage: a status, codes, and the number under which Azure keeps the
//! call.

use reqwest::header::HeaderName;
use ripcord_core::name::VersionName;
use ripcord_ports::{Applied, ErrorKind, PortError, Retry};
use serde_json::Value;

use super::api::{Api, Home};
use crate::http::{self, Answer};

/// Codes in one answer that are looked at.
const CODES_MAX: usize = 20;
/// What is left of a subscription's calls.
const LEFT: [&str; 3] = [
    "x-ms-ratelimit-remaining-subscription-reads",
    "x-ms-ratelimit-remaining-subscription-writes",
    "x-ms-ratelimit-remaining-resource",
];

/// What a call needs of the identity, for the sentence that says that it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Read,
    Write,
    Job,
    Datastore,
    /// A way to the files of a version in a registry.
    References,
    /// To read an online endpoint and what is deployed there.
    Endpoint,
    /// To split its traffic.
    Traffic,
    /// To deploy there.
    Deployment,
}

impl Right {
    fn actions(self, home: &Home) -> &'static str {
        match (self, home) {
            (Self::Read, Home::Workspace(_)) => {
                "`Microsoft.MachineLearningServices/workspaces/models/versions/read` and `…/workspaces/models/read`"
            }
            (Self::Write, Home::Workspace(_)) => {
                "`Microsoft.MachineLearningServices/workspaces/models/versions/write` and `…/workspaces/models/write`"
            }
            (Self::Endpoint, _) => {
                "`Microsoft.MachineLearningServices/workspaces/onlineEndpoints/read` and `…/onlineEndpoints/deployments/read`"
            }
            (Self::Traffic, _) => "`Microsoft.MachineLearningServices/workspaces/onlineEndpoints/write`",
            (Self::Deployment, _) => {
                "`Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments/write`"
            }
            (Self::Job, _) => "`Microsoft.MachineLearningServices/workspaces/jobs/read`",
            (Self::Datastore, _) => "`Microsoft.MachineLearningServices/workspaces/datastores/read`",
            (Self::Read | Self::References, Home::Registry(_)) => {
                "`Microsoft.MachineLearningServices/registries/assets/read`"
            }
            (Self::Write, Home::Registry(_)) => "`Microsoft.MachineLearningServices/registries/assets/write`",
            (Self::References, Home::Workspace(_)) => "the registry's assets",
        }
    }
}

/// What an answer of Azure's says of a refusal.
struct Said {
    codes: Vec<String>,
    message: String,
}

impl Said {
    /// From `{"error": {"code", "message", "details", "additionalInfo"}}`, the outer braces of which some services leave out.
    fn of(answer: &Answer) -> Option<Self> {
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        let error = body.get("error").unwrap_or(&body);
        let code = error.get("code")?.as_str()?.to_owned();
        let message = error.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut codes = vec![code];
        inner(error, &mut codes, 0);
        Some(Self { codes, message })
    }

    fn is(&self, code: &str) -> bool {
        self.codes.iter().any(|one| one.eq_ignore_ascii_case(code))
    }

    /// Codes and message, for people.
    fn words(&self) -> String {
        let codes = self.codes.join(", ");
        http::excerpt(format!("{codes}: {}", self.message).as_bytes())
    }

    /// What stands in the message between this and the next quote.
    fn quoted(&self, before: &str) -> Option<String> {
        let (_, rest) = self.message.split_once(before)?;
        let (text, _) = rest.split_once('\'')?;
        Some(http::excerpt(text.as_bytes()))
    }
}

/// Codes further in: of details, and of what the service behind says of itself.
fn inner(error: &Value, codes: &mut Vec<String>, depth: usize) {
    if depth > 4 {
        return;
    }
    let list = |name: &str| error.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let infos = list("additionalInfo").into_iter().filter_map(|one| {
        (one.get("type").and_then(Value::as_str) == Some("InnerError")).then(|| one["info"]["value"].clone())
    });
    let one = ["innerError", "innererror"].into_iter().filter_map(|name| error.get(name).cloned());
    for next in list("details").into_iter().chain(infos).chain(one) {
        if let Some(code) = next.get("code").and_then(Value::as_str)
            && codes.len() < CODES_MAX
            && !code.is_empty()
            && !codes.iter().any(|known| known == code)
        {
            codes.push(code.to_owned());
        }
        inner(&next, codes, depth + 1);
    }
}

fn header<'a>(answer: &'a Answer, name: &'static str) -> Option<&'a str> {
    answer.header(&HeaderName::from_static(name)).filter(|value| !value.is_empty())
}

/// How Azure finds the call again.
fn request_id(answer: &Answer) -> String {
    let id = ["x-ms-request-id", "x-ms-correlation-request-id"].iter().find_map(|name| header(answer, name));
    id.map_or_else(String::new, |id| format!(" (request {})", http::excerpt(id.as_bytes())))
}

impl Api {
    /// The answer of Azure Resource Manager, or the error that it is.
    pub(crate) fn judge(&self, answer: Answer, right: Right) -> Result<Answer, PortError> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let generic = answer.error();
        let status = answer.status.as_u16();
        if status == 401 {
            self.tokens.forget(self.cloud.manager());
        }
        let id = request_id(&answer);
        let Some(said) = Said::of(&answer) else {
            return Err(match status {
                404 | 405 => rephrased(
                    ErrorKind::BadAnswer,
                    format!(
                        "what answers at `{}` is no Azure Resource Manager: {}; check `cloud` and `resource-manager`",
                        http::shown(&self.url),
                        answer.excerpt()
                    ),
                    &generic,
                ),
                _ => generic,
            });
        };
        let words = format!("{}{id}", said.words());
        let told = |kind, text: String| rephrased(kind, format!("Azure ML {text}"), &generic);
        Err(match status {
            401 => told(
                ErrorKind::Denied,
                format!(
                    "does not take the token of {}: {words}; it must be of the tenant that the subscription `{}` belongs to",
                    self.tokens.words(),
                    self.subscription
                ),
            ),
            403 => told(ErrorKind::Denied, format!("refuses it: {words}; {}", self.advice(&said, right))),
            404 => told(ErrorKind::NotFound, format!("has no such thing: {words}; {}", self.missing(&said))),
            409 => told(
                ErrorKind::Failed,
                if said.is("ScopeLocked") {
                    let or = match right {
                        Right::Endpoint | Right::Traffic | Right::Deployment => "",
                        _ => ", or leave out `production-tag`",
                    };
                    format!("does not change what is locked: {words}; take the lock away{or}")
                } else {
                    format!("did nothing, since someone else changes the same: {words}; it can be done again")
                },
            )
            .retry(if said.is("ScopeLocked") { Retry::No } else { Retry::Later }),
            412 => told(
                ErrorKind::Conflict,
                format!("did nothing, since it is no longer what it was: {words}; look at it and ask again"),
            ),
            429 => {
                let left = LEFT.iter().find_map(|name| Some(format!("{name}: {}", header(&answer, name)?)));
                let left =
                    left.map_or_else(String::new, |left| format!(" ({})", http::excerpt(left.as_bytes())));
                told(
                    ErrorKind::Failed,
                    format!(
                        "takes no more calls for now{left}: {words}; ask less often, or spread what asks over several identities or subscriptions"
                    ),
                )
            }
            400 if said.is("InvalidApiVersionParameter") || said.is("NoRegisteredProviderFound") => told(
                ErrorKind::Failed,
                format!(
                    "does not know the version `{}` of its interface: {words}; write one that it names as `api-version`",
                    self.api_version
                ),
            ),
            400 => told(ErrorKind::Failed, format!("does not accept the call: {words}")),
            _ => rephrased(generic.kind, format!("{generic}{id}"), &generic),
        })
    }

    fn advice(&self, said: &Said, right: Right) -> String {
        let who = self.tokens.words();
        if said.is("RequestDisallowedByPolicy") {
            return "a policy of the subscription forbids it: ask who keeps the policies".to_owned();
        }
        if said.is("ReadOnlyDisabledSubscription") {
            return format!("the subscription `{}` is switched off: have it switched on", self.subscription);
        }
        if let Some(action) = said.quoted("perform action '") {
            let scope = said.quoted("over scope '").unwrap_or_else(|| format!("`{}`", self.scope()));
            return format!(
                "give {who} a role with the action {action} at {scope}; a new role takes some minutes"
            );
        }
        format!(
            "give {who} a role with {} at `{}`; a new role takes some minutes",
            right.actions(&self.home),
            self.scope()
        )
    }

    /// What a refusal says is not there.
    fn missing(&self, said: &Said) -> String {
        if said.is("SubscriptionNotFound") || said.is("InvalidSubscriptionId") {
            return format!(
                "check `subscription`, which is `{}`, and that the identity is of its tenant",
                self.subscription
            );
        }
        if said.is("ResourceGroupNotFound") {
            return format!("check `resource-group`, which is `{}`", self.group);
        }
        if said.is("ModelNotFound") {
            return format!("check `model`, which is `{}`, and that the version was not deleted", self.model);
        }
        let (key, name) = self.home.key();
        if said.is("ResourceNotFound") || said.is("WorkspaceNotFound") || said.is("RegistryNotFound") {
            return format!(
                "check `{key}`, which is `{name}`, and `resource-group`, which is `{}`",
                self.group
            );
        }
        format!("check `{key}` and `model`: `{}/models/{}`", self.scope(), self.model)
    }

    /// The answer of Blob Storage, or the error that it is. `place` is the container, for people.
    pub(super) fn judge_blobs(&self, answer: Answer, place: &str) -> Result<Answer, PortError> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let generic = answer.error();
        let status = answer.status.as_u16();
        if status == 401 {
            self.tokens.forget(super::storage::AUDIENCE);
        }
        let code = header(&answer, "x-ms-error-code").unwrap_or_default().to_owned();
        let words = if code.is_empty() { answer.excerpt() } else { http::excerpt(code.as_bytes()) };
        let words = format!("{words}{}", request_id(&answer));
        let told = |kind, text: String| rephrased(kind, format!("Blob Storage {text}"), &generic);
        let who = self.tokens.words();
        Err(match (status, code.as_str()) {
            (401, _) => told(ErrorKind::Denied, format!("does not take the token of {who}: {words}")),
            (403 | 409, _) if matches!(self.home, Home::Registry(_)) => told(
                ErrorKind::Denied,
                format!(
                    "does not take what the registry gives for {place}: {words}; check that the version is still there, this machine's clock, and that the account lets this machine's network in"
                ),
            ),
            (403, "AuthorizationFailure") => told(
                ErrorKind::Denied,
                format!(
                    "lets nobody in from here: {words}; let this machine's network into the firewall of the account of {place}, or switch it to a private endpoint"
                ),
            ),
            (403 | 409, _) => told(
                ErrorKind::Denied,
                format!(
                    "refuses it: {words}; give {who} the role `Storage Blob Data Reader` on {place}; a new role takes some minutes"
                ),
            ),
            (404, "BlobNotFound") => told(ErrorKind::NotFound, format!("has no such file: {words}")),
            (404, _) => told(
                ErrorKind::NotFound,
                format!("has no such thing: {words}; check that {place} is still there"),
            ),
            (412, _) => told(ErrorKind::NotFound, format!("has another content by now: {words}")),
            _ => rephrased(generic.kind, format!("{generic}{}", request_id(&answer)), &generic),
        })
    }

    pub(super) fn unknown(&self, version: &VersionName) -> PortError {
        PortError::not_applied(
            ErrorKind::NotFound,
            format!("Azure ML has no version `{version}` of `{}`: list its versions", self.what()),
        )
    }

    pub(super) fn without(&self, part: &str) -> PortError {
        PortError::not_applied(
            ErrorKind::BadAnswer,
            format!("Azure ML answered about `{}` without {part}: what it says is not used", self.what()),
        )
    }
}

/// Another sentence and kind; what is known of the effect, and the advice on trying again, stay.
pub(super) fn rephrased(kind: ErrorKind, message: String, known: &PortError) -> PortError {
    let error = PortError::not_applied(kind, message).retry(known.retry);
    match known.applied {
        Applied::Unknown => error.outcome_unknown(),
        Applied::No => error,
    }
}

//! Google's refusals: a status, a code of its own, and details that say which right, quota or switch it is about.

use ripcord_core::name::VersionName;
use ripcord_core::time::Millis;
use ripcord_ports::{Applied, ErrorKind, PortError, Retry};

use super::api::Api;
use super::wire::{Refusal, Refused};
use crate::http::{self, Answer};

/// More patience than this is asked of nobody.
const WAIT_MAX: Millis = Millis::hours(1);

/// What a call needs of the account, for the sentence that says that it is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Right<'a> {
    Read,
    Aliases,
    Training,
    Metadata,
    /// To objects of a bucket.
    Objects(&'a str),
    /// To an endpoint, by its name, and what that takes.
    Endpoint {
        name: &'a str,
        needs: &'static str,
    },
}

impl Right<'_> {
    fn permissions(self) -> &'static str {
        match self {
            Self::Read => "`aiplatform.models.get` and `aiplatform.models.list`",
            Self::Aliases => "`aiplatform.models.update`",
            Self::Training => "`aiplatform.trainingPipelines.get`",
            Self::Metadata => "`aiplatform.artifacts.get` and `aiplatform.executions.get`",
            Self::Objects(_) => "`storage.objects.get` and `storage.objects.list`",
            Self::Endpoint { needs, .. } => needs,
        }
    }
}

impl Api {
    /// The answer, or the error that it is.
    pub(crate) fn judge(&self, answer: Answer, right: Right<'_>) -> Result<Answer, PortError> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let generic = answer.error();
        let status = answer.status.as_u16();
        if status == 401 {
            self.tokens.forget();
        }
        let refused: Option<Refused> = serde_json::from_slice(&answer.body).ok();
        let Some(Refused { error }) = refused else {
            return Err(match status {
                // What is not of Google's form is of something else.
                404 | 405 => rephrased(
                    ErrorKind::BadAnswer,
                    format!(
                        "what answers at `{}` is no interface of Google's for `{}`: {}; check `location`, `endpoint` and `storage-endpoint`",
                        self.shown(right),
                        self.location,
                        answer.excerpt()
                    ),
                    &generic,
                ),
                _ => generic,
            });
        };
        let said = http::excerpt(error.message.as_bytes());
        let system = match right {
            Right::Objects(_) => "Cloud Storage",
            _ => "Vertex AI",
        };
        let told = |kind, text: String| rephrased(kind, format!("{system} {text}"), &generic);
        Err(match (status, error.status.as_str()) {
            (401, _) => told(
                ErrorKind::Denied,
                format!(
                    "does not take the token of {}: {said}; check that its account is there and enabled, and log in again where it is a person's",
                    self.tokens.words()
                ),
            ),
            (403, _) => told(ErrorKind::Denied, format!("refuses it: {said}; {}", self.advice(&error, right))),
            (404, _) => told(ErrorKind::NotFound, format!("has no such thing: {said}; {}", self.missing(right))),
            (409, _) | (_, "ABORTED") => told(
                ErrorKind::Failed,
                format!("did nothing, since someone else changed the same at that moment: {said}; it can be done again"),
            )
            .retry(Retry::Later),
            (412, _) | (_, "FAILED_PRECONDITION") if matches!(right, Right::Aliases) => told(
                ErrorKind::Conflict,
                format!("did nothing, since it is no longer what it was: {said}; look at it and ask again"),
            ),
            (412, _) | (_, "FAILED_PRECONDITION") if matches!(right, Right::Endpoint { .. }) => told(
                ErrorKind::Failed,
                format!("did nothing, since the endpoint is not as it was, or is being changed: {said}; it can be done again"),
            )
            .retry(Retry::Later),
            (412, _) | (_, "FAILED_PRECONDITION") => told(
                ErrorKind::Failed,
                format!("cannot answer as things stand: {said}; a lineage that is too large is refused so, too"),
            ),
            (429, _) => {
                let quota = told(
                    ErrorKind::Failed,
                    format!(
                        "has no quota left: {said}; ask less often, or have the quota of {} raised",
                        self.quota_words()
                    ),
                );
                match asked_for(&error) {
                    Some(wait) if generic.retry == Retry::Later => quota.retry(Retry::After(wait.min(WAIT_MAX))),
                    _ => quota,
                }
            }
            (400, _) => told(
                ErrorKind::Failed,
                format!("does not accept the call: {said}; it may be of a release that this adapter does not know"),
            ),
            _ => generic,
        })
    }

    fn shown(&self, right: Right<'_>) -> String {
        http::shown(if matches!(right, Right::Objects(_)) { &self.storage } else { &self.url })
    }

    fn quota_words(&self) -> String {
        let own = format!("the project `{}`", self.project);
        self.quota_project.as_ref().map_or(own, |project| format!("the project `{project}`"))
    }

    /// What a refusal is about, by the reason that Google gives with it.
    fn advice(&self, error: &Refusal, right: Right<'_>) -> String {
        let reason = |name: &str| error.details.iter().find(|detail| detail.reason == name);
        let of = |name: &str, key: &str| {
            let value = reason(name)?.metadata.get(key)?.as_str()?;
            Some(http::excerpt(value.as_bytes()))
        };
        let service = of("SERVICE_DISABLED", "service");
        if reason("SERVICE_DISABLED").is_some() {
            let service = service.unwrap_or_else(|| "`aiplatform.googleapis.com`".to_owned());
            return format!(
                "the interface {service} is switched off in the project: switch it on with `gcloud services enable`, or check `quota-project`"
            );
        }
        if reason("ACCESS_TOKEN_SCOPE_INSUFFICIENT").is_some() {
            return "the token was given for less: the machine's service account needs the scope `cloud-platform`"
                .to_owned();
        }
        if reason("USER_PROJECT_DENIED").is_some() || reason("CONSUMER_INVALID").is_some() {
            return "calls may not count against that project: give the account `serviceusage.services.use` there, or take out `quota-project`".to_owned();
        }
        if reason("SECURITY_POLICY_VIOLATED").is_some() {
            return "a perimeter of VPC Service Controls is between: let this machine or account in, or set `endpoint` to the way inside".to_owned();
        }
        let permission = of("IAM_PERMISSION_DENIED", "permission");
        let needed = permission.unwrap_or_else(|| right.permissions().to_owned());
        let place = match right {
            Right::Objects(bucket) => format!("the bucket `{bucket}`"),
            _ => format!("the project `{}`", self.project),
        };
        format!("give the account of {} the permission {needed} in {place}", self.tokens.words())
    }

    fn missing(&self, right: Right<'_>) -> String {
        match right {
            Right::Objects(bucket) => format!("check that the bucket `{bucket}` is still there"),
            Right::Endpoint { name, .. } => format!(
                "check `project`, `location` and `endpoint-id`, which is the endpoint's id and not its display name: `{name}`"
            ),
            _ => format!(
                "check `project`, `location` and `model`, which is the model's id and not its display name: `{}`",
                self.model
            ),
        }
    }

    pub(super) fn unknown(&self, version: &VersionName) -> PortError {
        PortError::not_applied(
            ErrorKind::NotFound,
            format!("Vertex AI has no version `{version}` of `{}`: list its versions", self.model),
        )
    }

    pub(super) fn without(&self, part: &str) -> PortError {
        PortError::not_applied(
            ErrorKind::BadAnswer,
            format!("Vertex AI answered about `{}` without {part}: what it says is not used", self.model),
        )
    }
}

/// What `RetryInfo` asks for: Google's interfaces say it there rather than in a header.
fn asked_for(error: &Refusal) -> Option<Millis> {
    let text = error.details.iter().find_map(|detail| detail.retry_delay.as_deref())?;
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some(Millis((seconds * 1_000.0) as u64))
}

/// Another sentence and kind; what is known of the effect, and the advice on trying again, stay.
pub(crate) fn rephrased(kind: ErrorKind, message: String, known: &PortError) -> PortError {
    let error = PortError::not_applied(kind, message).retry(known.retry);
    match known.applied {
        Applied::Unknown => error.outcome_unknown(),
        Applied::No => error,
    }
}

//! What Kubernetes' refusals mean, and what can be done about them.

use std::error::Error;
use std::fmt;

use hyper_util::client::legacy;
use reqwest::StatusCode;
use ripcord_core::time::Millis;
use ripcord_ports::{Applied, ErrorKind, PortError, Retry};
use serde::Deserialize;

use super::{Ask, Cluster, UNREADABLE, is_too_long, shown};
use crate::http;

const RETRY_AFTER_MAX: Millis = Millis::hours(1);
/// As the interface says that others hold a field.
const FIELD_CONFLICT: &str = "FieldManagerConflict";
/// By which words of a 403 it is no right that is missing.
const ADMISSION: [&str; 3] = ["admission webhook", "denied request", "exceeded quota"];

/// A call that was not done.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: PortError,
    /// Fields of a change that others hold.
    pub(super) owners: Vec<Owner>,
    /// Whether the object is no longer what the change was made for.
    pub(crate) is_stale: bool,
    /// Whether the interface has no such kind of object.
    pub(super) is_unknown_kind: bool,
    /// Whether the cluster does not do what it is there for.
    pub(super) is_trouble: bool,
}

/// A field, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Such as `.spec.predictor.model.storageUri`.
    pub(crate) field: String,
    /// Such as `argocd-controller`.
    pub(crate) manager: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is held by `{}`", shown(&self.field), shown(&self.manager))
    }
}

impl From<PortError> for Refused {
    fn from(error: PortError) -> Self {
        Self { error, owners: Vec::new(), is_stale: false, is_unknown_kind: false, is_trouble: false }
    }
}

/// The body of an error. Everything but the code may be missing.
#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    causes: Vec<Cause>,
    #[serde(default)]
    retry_after_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    field: String,
}

impl Cause {
    /// Of `conflict with "argocd-controller" using apps/v1`. One that does not read so is somebody's all the same.
    fn owner(&self) -> Owner {
        let manager = self.message.split('"').nth(1).filter(|_| self.reason == FIELD_CONFLICT);
        Owner { field: self.field.clone(), manager: manager.unwrap_or(UNREADABLE).to_owned() }
    }
}

impl Cluster {
    /// What an answer means that is no success.
    pub(super) fn refused(
        &self,
        ask: &Ask<'_>,
        status: StatusCode,
        retry_after: Option<u64>,
        body: &[u8],
    ) -> Refused {
        let number = status.as_u16();
        let said: Option<Status> =
            serde_json::from_slice(body).ok().filter(|said: &Status| said.kind == "Status");
        let is_kubernetes = said.is_some();
        let said = said.unwrap_or_default();
        let details = said.details.unwrap_or_default();
        let message = match said.message.as_deref().filter(|message| !message.is_empty()) {
            Some(message) => format!("`{}`", shown(&http::on_one_line(message))),
            None => http::excerpt(body),
        };
        let what = self.what(ask);
        let full = ask.resource.full_name();
        let (verb, namespace) = (ask.verb, self.namespace());
        let reason = said.reason.unwrap_or_default();
        // Force takes from all of them, so each is judged, however many there are.
        let owners: Vec<_> = match details.causes.iter().any(|cause| cause.reason == FIELD_CONFLICT) {
            true => details.causes.iter().map(Cause::owner).collect(),
            false => Vec::new(),
        };
        let is_admission = number == 403
            && said
                .message
                .as_deref()
                .is_some_and(|message| ADMISSION.iter().any(|words| message.contains(words)));
        // A version of a group that is there is missed in other words than a group that is not.
        let is_unknown_kind = number == 404
            && match is_kubernetes {
                true => message.contains("could not find the requested resource"),
                false => message.contains("page not found"),
            };
        let (kind, advice) = match number {
            401 => (
                ErrorKind::Denied,
                "the token is unknown or at its end: renew it where the kubeconfig takes it from".to_owned(),
            ),
            403 if is_admission => (
                ErrorKind::Denied,
                "an admission controller or a quota does not allow it: ask who runs it, the account's rights are not the cause".to_owned(),
            ),
            403 => (
                ErrorKind::Denied,
                format!(
                    "allow the verb `{verb}` on `{full}` in the namespace `{namespace}` to this account, as the role on the adapter's page does"
                ),
            ),
            404 if is_unknown_kind => (
                ErrorKind::NotFound,
                format!(
                    "this cluster does not serve `{}` in `{}`: install what brings it, or check which versions it serves",
                    full,
                    ask.resource.api_version()
                ),
            ),
            404 => (ErrorKind::NotFound, "check its name, `namespace` and the cluster".to_owned()),
            409 if !owners.is_empty() => (ErrorKind::Conflict, String::new()),
            409 => (ErrorKind::Conflict, "somebody changed or removed it in between".to_owned()),
            410 => (
                ErrorKind::Failed,
                "the list was too old to go on with: it is read anew next time".to_owned(),
            ),
            413 => (ErrorKind::TooLarge, "it is larger than the cluster takes".to_owned()),
            422 => {
                (ErrorKind::Failed, "the cluster, or an admission controller, does not take it so".to_owned())
            }
            408 | 504 => (ErrorKind::TimedOut, String::new()),
            429 => (ErrorKind::Failed, "the cluster has too much to do: it passes".to_owned()),
            _ => (ErrorKind::Failed, String::new()),
        };
        let mut text = format!("{what} answered {number}: {message}");
        if !advice.is_empty() {
            text.push_str("; ");
            text.push_str(&advice);
        }
        let mut error = PortError::not_applied(kind, text);
        error.retry = match (number, retry_after.or(details.retry_after_seconds)) {
            (429 | 503, Some(seconds)) => {
                Retry::After(Millis(seconds.saturating_mul(1_000)).min(RETRY_AFTER_MAX))
            }
            (408 | 410 | 429, _) => Retry::Later,
            (400..500, _) => Retry::No,
            _ => error.retry,
        };
        if ask.has_effect()
            && (status.is_server_error() || number == 408 || status.is_redirection() || status.is_success())
        {
            error.applied = Applied::Unknown;
        }
        let is_stale = number == 409 && owners.is_empty() && (reason.is_empty() || reason == "Conflict");
        let is_trouble = matches!(number, 502..=504);
        Refused { error, owners, is_stale, is_unknown_kind, is_trouble }
    }

    /// A call that brought no answer.
    pub(super) fn broken(&self, ask: &Ask<'_>, error: kube::Error) -> Refused {
        let what = self.what(ask);
        if is_auth(&error) {
            // What a program for credentials printed may be the token.
            let text = format!(
                "{what} was not sent: the token cannot be had; try `kubectl` with the same kubeconfig, as the user that this host runs as"
            );
            return PortError::not_applied(ErrorKind::Denied, text).into();
        }
        if is_connect(&error) {
            let text = format!(
                "{what} found no connection: check that the cluster is there, its address, and its certificate"
            );
            let error = PortError::not_applied(ErrorKind::Unreachable, text).caused_by(error);
            return Refused { is_trouble: true, ..error.into() };
        }
        let text = format!("{what} broke off before its answer was whole");
        self.lost(ask, PortError::not_applied(ErrorKind::Unreachable, text).caused_by(error))
    }

    /// A call whose answer did not come, or not whole.
    pub(super) fn lost(&self, ask: &Ask<'_>, error: PortError) -> Refused {
        let error = if ask.has_effect() { error.outcome_unknown() } else { error };
        Refused { is_trouble: true, ..error.into() }
    }

    /// A body that ended too soon, or too late.
    pub(super) fn cut(&self, ask: &Ask<'_>, error: Box<dyn Error + Send + Sync>) -> Refused {
        let what = self.what(ask);
        if is_too_long(error.as_ref()) {
            let text = format!("{what} answered with more than {} bytes", http::ANSWER_BYTES_MAX);
            let error = PortError::not_applied(ErrorKind::TooLarge, text);
            return if ask.has_effect() { error.outcome_unknown() } else { error }.into();
        }
        let text = format!("{what} broke off before its answer was whole");
        self.lost(ask, PortError::not_applied(ErrorKind::Unreachable, text).caused_by(error))
    }
}

/// Whether a call had no credentials, so that nothing of it was sent. Where they are renewed, that is said from within.
pub(super) fn is_auth(error: &kube::Error) -> bool {
    is_any(error, |error| error.is::<kube::client::AuthError>())
}

/// Whether a call found no connection, so that nothing of it was sent.
pub(super) fn is_connect(error: &kube::Error) -> bool {
    is_any(error, |error| error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect))
}

/// Whether an error or one of its causes is such a one.
fn is_any(error: &kube::Error, is_it: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if is_it(error) {
            return true;
        }
        source = error.source();
    }
    false
}

//! What adapters for Kubernetes share: one cluster, asked through `kube`'s client, and changed by server-side apply under a guard.
//!
//! `kube` brings what is Kubernetes' own: kubeconfig, the account of a pod, certificates, tokens that are renewed. The calls are made here, since an answer
//! has a limit, a call a deadline, and an error has to say whether the change may have been made.

mod answers;
mod applied;
mod connect;
mod containers;
mod gitops;
mod owners;
mod refusal;
mod replicas;
mod served;
mod shares;
mod template;

use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use kube::client::Body;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use ripcord_core::foreign::Foreign;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError, waiting};
use serde_json::Value;

use crate::http::ANSWER_BYTES_MAX;

pub(crate) use answers::{Answers, probe_input};
#[cfg(test)]
pub(crate) use applied::marks;
pub(crate) use applied::{Change, held, named};
pub(crate) use connect::{Cluster, is_name};
pub(crate) use containers::{NamedBy, container, one_image_each};
pub(crate) use gitops::put_back_by;
pub(crate) use owners::{entry, holders, is_ours, strangers};
pub(crate) use refusal::Refused;
pub(crate) use replicas::{Behind, Replica, selector};
pub(crate) use served::{At, Kind, Served, cluster, is_as_expected, stays};
pub(crate) use shares::{Part, parts, portion, shares};
pub(crate) use template::Template;

/// As others see in `managedFields` who has set a field.
pub(crate) const FIELD_MANAGER: &str = "ripcord";

/// Our annotation that names the version which was set.
pub(crate) const VERSION_ANNOTATION: &str = "ripcord.dev/version";

/// Our annotation with the digest of its artefact, where the plan knows it.
pub(crate) const DIGEST_ANNOTATION: &str = "ripcord.dev/digest";

/// Of a list, so many at once.
const PAGE: usize = 250;

/// Of a list, so many at most.
const LISTED_MAX: usize = 1_000;

/// Of a list, so many pages at most, whatever is on them.
const PAGES_MAX: usize = 100;

/// Of a conflict, so many fields are told.
const OWNERS_MAX: usize = 20;

/// The holder of a field whose name does not read.
const UNREADABLE: &str = "(unreadable)";

/// What the interface has of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Empty for the core.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
}

/// Pods.
pub(crate) const POD: Resource = Resource { group: "", version: "v1", kind: "Pod", plural: "pods" };

/// What keeps as many pods of one template as it says.
pub(crate) const DEPLOYMENT: Resource =
    Resource { group: "apps", version: "v1", kind: "Deployment", plural: "deployments" };

/// What Knative has made of one state of a service.
pub(crate) const REVISION: Resource =
    Resource { group: "serving.knative.dev", version: "v1", kind: "Revision", plural: "revisions" };

impl Resource {
    /// As `apiVersion` says it.
    pub(crate) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// As a role names it, with its group.
    pub(crate) fn full_name(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }
}

/// One question to the interface, or one change.
#[derive(Debug, Clone)]
pub(crate) struct Ask<'a> {
    /// As roles name it: `get`, `list` or `patch`.
    verb: &'static str,
    resource: Resource,
    name: Option<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<&'a Value>,
    deadline: Millis,
}

impl Ask<'_> {
    /// Whether it may change something.
    fn has_effect(&self) -> bool {
        self.verb == "patch" && !self.query.iter().any(|(key, _)| *key == "dryRun")
    }
}

impl Cluster {
    /// One object, whole.
    pub(crate) async fn get(&self, resource: Resource, name: &str) -> Result<Value, PortError> {
        let ask = Ask {
            verb: "get",
            resource,
            name: Some(name),
            query: Vec::new(),
            body: None,
            deadline: self.deadline,
        };
        let object = self.ask(&ask).await.map_err(|refused| refused.error)?;
        // What stands between may answer with a page or with nothing and call it success.
        if object["kind"] != resource.kind || text(&object["metadata"]["name"]) != name {
            return Err(self.odd(&ask, &format!("that is no {} of this name", resource.kind)));
        }
        Ok(object)
    }

    /// All objects with these labels, up to a bound.
    pub(crate) async fn list(&self, resource: Resource, selector: &str) -> Result<Vec<Value>, Refused> {
        let mut items = Vec::new();
        let mut token: Option<String> = None;
        let mut pages = 0;
        loop {
            let mut query = vec![("labelSelector", selector.to_owned()), ("limit", PAGE.to_string())];
            query.extend(token.clone().map(|token| ("continue", token)));
            let ask = Ask { verb: "list", resource, name: None, query, body: None, deadline: self.deadline };
            if pages == PAGES_MAX {
                return Err(self.odd(&ask, &format!("that has no end after {PAGES_MAX} pages")).into());
            }
            pages += 1;
            let mut page = self.ask(&ask).await?;
            let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) else {
                return Err(self.odd(&ask, &format!("that is no list of {}", resource.plural)).into());
            };
            items.extend(found);
            let next = text(&page["metadata"]["continue"]).to_owned();
            if next.is_empty() {
                return Ok(items);
            }
            if items.len() >= LISTED_MAX {
                let text = format!(
                    "there are more than {LISTED_MAX} {} with `{selector}` in the namespace `{}`: this adapter reads no more",
                    resource.full_name(),
                    self.namespace
                );
                return Err(PortError::not_applied(ErrorKind::TooLarge, text).into());
            }
            if token.as_ref() == Some(&next) {
                return Err(self.odd(&ask, "which points at the same page again").into());
            }
            token = Some(next);
        }
    }

    /// All objects of a kind, up to a bound; none where the cluster has no such kind.
    pub(crate) async fn list_of_kind(&self, resource: Resource) -> Result<Vec<Value>, PortError> {
        match self.list(resource, "").await {
            Err(refused) if refused.is_unknown_kind => Ok(Vec::new()),
            found => found.map_err(|refused| refused.error),
        }
    }

    fn odd(&self, ask: &Ask<'_>, what: &str) -> PortError {
        let text = format!("{} was answered with something {what}", self.what(ask));
        let error = PortError::not_applied(ErrorKind::BadAnswer, text);
        if ask.has_effect() { error.outcome_unknown() } else { error }
    }

    /// What is asked of whom, for people.
    fn what(&self, ask: &Ask<'_>) -> String {
        let dry = if ask.verb == "patch" && !ask.has_effect() { " (dry run)" } else { "" };
        let name = ask.name.map(|name| format!(" `{name}`")).unwrap_or_default();
        format!(
            "{}{dry} of {}{name} in the namespace `{}` at {}",
            ask.verb,
            ask.resource.full_name(),
            self.namespace,
            self.address()
        )
    }

    fn path(&self, ask: &Ask<'_>) -> String {
        let Resource { group, version, plural, .. } = ask.resource;
        let root =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let name = ask.name.map(|name| format!("/{}", escaped(name))).unwrap_or_default();
        let query: Vec<_> =
            ask.query.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        format!("{root}/namespaces/{}/{plural}{name}{query}", escaped(&self.namespace))
    }

    /// Sends it and reads the answer as JSON. Nothing is sent twice.
    async fn ask(&self, ask: &Ask<'_>) -> Result<Value, Refused> {
        let system = self.address().to_owned();
        let asked = waiting::for_system(&system, self.exchange(ask)).await;
        let trouble = match &asked {
            Err(refused) if refused.is_trouble => Some(refused.error.to_string()),
            _ => None,
        };
        waiting::answered(&system, trouble);
        asked
    }

    async fn exchange(&self, ask: &Ask<'_>) -> Result<Value, Refused> {
        let deadline = Duration::from_millis(ask.deadline.0);
        // A program of the kubeconfig may be waited for.
        let Ok(client) = tokio::time::timeout(deadline, self.client()).await else {
            let text = format!(
                "{} was not sent: the credentials did not come within {} ms; try the kubeconfig's program by hand",
                self.what(ask),
                ask.deadline.0
            );
            return Err(PortError::not_applied(ErrorKind::TimedOut, text).into());
        };
        let client = client?;
        let method = if ask.verb == "patch" { "PATCH" } else { "GET" };
        let mut request = http::Request::builder().method(method).uri(self.path(ask));
        request = request.header(ACCEPT, "application/json");
        let body = match ask.body {
            None => Body::empty(),
            Some(value) => {
                // JSON is YAML, and the interface knows server-side apply by this type alone.
                request = request.header(CONTENT_TYPE, "application/apply-patch+yaml");
                Body::from(value.to_string().into_bytes())
            }
        };
        let request = request.body(body).map_err(|error| {
            PortError::not_applied(ErrorKind::Configuration, format!("{} cannot be sent", self.what(ask)))
                .caused_by(error)
        })?;
        let answered = tokio::time::timeout(deadline, async {
            let response = match client.send(request).await {
                Ok(response) => response,
                Err(error) => {
                    if refusal::is_auth(&error) || refusal::is_connect(&error) {
                        self.forget();
                    }
                    return Err(self.broken(ask, error));
                }
            };
            let (head, body) = response.into_parts();
            let bytes_max = usize::try_from(ANSWER_BYTES_MAX).unwrap_or(usize::MAX);
            let body = Limited::new(body, bytes_max).collect().await.map_err(|error| self.cut(ask, error))?;
            Ok::<_, Refused>((head, body.to_bytes()))
        });
        let Ok(answered) = answered.await else {
            let text = format!("{} did not answer within {} ms", self.what(ask), ask.deadline.0);
            return Err(self.lost(ask, PortError::not_applied(ErrorKind::TimedOut, text)));
        };
        let (head, body) = answered?;
        if head.status == StatusCode::UNAUTHORIZED {
            self.forget();
        }
        if head.status != StatusCode::OK && head.status != StatusCode::CREATED {
            let retry_after =
                head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            return Err(self.refused(ask, head.status, retry_after, &body));
        }
        serde_json::from_slice(&body).map_err(|error| {
            let what = format!("that is not JSON: {}", crate::http::excerpt(&body));
            Refused::from(self.odd(ask, &what).caused_by(error))
        })
    }
}

/// A part of a path or of a query.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing into a text does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// A text of an object; what is none is empty.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A text of others within a sentence.
pub(crate) fn shown(text: &str) -> String {
    Foreign::signed(text).at_most(200).to_string()
}

/// Whether an error is that a body is longer than what is read.
fn is_too_long(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.is::<LengthLimitError>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_selectors_are_escaped() {
        assert_eq!(escaped("a-b.c_~9"), "a-b.c_~9");
        assert_eq!(escaped("../x?y=ä"), "..%2Fx%3Fy%3D%C3%A4");
    }

    #[test]
    fn a_resource_is_named_as_roles_do() {
        assert_eq!((POD.full_name().as_str(), POD.api_version().as_str()), ("pods", "v1"));
        let slices = Resource {
            group: "discovery.k8s.io",
            version: "v1",
            kind: "EndpointSlice",
            plural: "endpointslices",
        };
        assert_eq!(slices.full_name(), "endpointslices.discovery.k8s.io");
        assert_eq!(slices.api_version(), "discovery.k8s.io/v1");
    }
}

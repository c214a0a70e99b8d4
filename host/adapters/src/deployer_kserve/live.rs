//! Reading what is served: how the traffic is split, and what the pods that take it were made for, or answer.

use ripcord_core::live::{LiveState, Proof};
use ripcord_ports::{ErrorKind, PortError};
use serde_json::Value;

use super::{KserveDeployer, KserveMode};
use crate::kubernetes::{self, Behind, Part, REVISION, Replica, shown, text};

/// KServe writes on each pod, and Knative on the revision that it is of, from where its model was brought.
const SOURCE: &str = "internal.serving.kserve.io/storage-initializer-sourceuri";

impl KserveDeployer {
    pub(super) async fn read_live(&self, object: &Value) -> Result<LiveState, PortError> {
        let parts = match self.mode {
            KserveMode::Knative => self.by_revisions(object).await?,
            KserveMode::Standard => {
                let service = format!("{}-predictor", self.model);
                let mut behind = self.behind(&service).await?;
                if behind.is_absent {
                    // What older releases have made is called so still.
                    let older = self.behind(&format!("{service}-default")).await?;
                    behind = if older.is_absent { behind } else { older };
                }
                self.parts(&behind, 1.0).await?
            }
        };
        Ok(match parts {
            Ok(parts) => LiveState::Serving(kubernetes::shares(parts)),
            Err(why) => LiveState::Unknown(why),
        })
    }

    async fn behind(&self, service: &str) -> Result<Behind, PortError> {
        let selector = format!("serving.kserve.io/inferenceservice={}", self.model);
        self.cluster.behind(service, &selector, "`mode`").await
    }

    /// What the ready pods behind a service serve, each with the same part of its traffic.
    async fn parts(&self, behind: &Behind, weight: f64) -> Result<Result<Vec<Part>, String>, PortError> {
        let made_for = |replica: &Replica| {
            let source = source(&replica.pod)
                .ok_or_else(|| "does not say from where its model was brought".to_owned())?;
            self.uri.version(source).map_err(|why| format!("has its model from {why}"))
        };
        kubernetes::parts(behind, weight, self.answers.as_ref(), made_for).await
    }

    /// Each revision has a part of the traffic, and a service of its own.
    async fn by_revisions(&self, object: &Value) -> Result<Result<Vec<Part>, String>, PortError> {
        let predictor = &object["status"]["components"]["predictor"];
        let Some(traffic) = predictor["traffic"].as_array().filter(|traffic| !traffic.is_empty()) else {
            let why = "its status does not say which revision takes traffic: is KServe's controller there, and `mode` right?";
            return Ok(Err(why.to_owned()));
        };
        let mut parts = Vec::new();
        for target in traffic {
            let percent = target["percent"].as_i64().unwrap_or(0);
            if percent <= 0 {
                continue;
            }
            let revision = text(&target["revisionName"]);
            if kubernetes::is_name("revisionName", revision).is_err() {
                return Ok(Err(format!(
                    "its status names the revision `{}`, which is none",
                    shown(revision)
                )));
            }
            // Knative's public service of a revision may lead to its activator; this one leads to the pods.
            let behind = self.behind(&format!("{revision}-private")).await?;
            let weight = f64::from(i32::try_from(percent.min(100)).unwrap_or(100)) / 100.0;
            let found = if behind.ready.is_empty() && behind.unclear.is_none() {
                self.without_pods(revision, weight).await?
            } else {
                self.parts(&behind, weight).await?
            };
            match found {
                Ok(found) => parts.extend(found),
                Err(why) => return Ok(Err(why)),
            }
        }
        Ok(Ok(parts))
    }

    /// Whether the account may read what tells where no pod does.
    pub(super) async fn may_read_revisions(&self, object: &Value) -> Result<(), PortError> {
        let traffic = object["status"]["components"]["predictor"]["traffic"].as_array();
        let mut names = traffic.into_iter().flatten().map(|target| text(&target["revisionName"]));
        match names.find(|name| kubernetes::is_name("revisionName", name).is_ok()) {
            Some(name) => self.without_pods(name, 1.0).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// A revision whose pods are not ready, or that has none since nobody asks: what it was made for it says itself. What `spec` says is no proof, since it may
    /// have changed since.
    async fn without_pods(
        &self,
        revision: &str,
        weight: f64,
    ) -> Result<Result<Vec<Part>, String>, PortError> {
        let found = match self.cluster.get(REVISION, revision).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Err(error.to_string())),
            found => found?,
        };
        let Some(source) = found["metadata"]["annotations"][SOURCE].as_str() else {
            return Ok(Err(format!(
                "the revision `{revision}` takes traffic, has no ready pod and does not say from where its model is"
            )));
        };
        let part = |version| vec![Part { version, weight, proof: Proof::ControlPlane }];
        let version = self.uri.version(source);
        Ok(version.map(part).map_err(|why| format!("the revision `{revision}` has its model from {why}")))
    }
}

/// From where a pod's model was brought, in either form in which KServe says it.
fn source(pod: &Value) -> Option<&str> {
    let annotation = pod["metadata"]["annotations"][SOURCE].as_str();
    annotation.or_else(|| {
        let containers = pod["spec"]["initContainers"].as_array()?;
        let initializer = containers.iter().find(|container| container["name"] == "storage-initializer")?;
        initializer["args"][0].as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_tells_from_where_its_model_was_brought() {
        assert_eq!(source(&json!({ "metadata": { "annotations": { SOURCE: "s3://a" } } })), Some("s3://a"));
        let spec = json!({ "initContainers": [{ "name": "x" }, { "name": "storage-initializer", "args": ["s3://b", "/mnt/models"] }] });
        assert_eq!(source(&json!({ "spec": spec })), Some("s3://b"));
        assert_eq!(
            source(&json!({ "spec": { "initContainers": [{ "name": "storage-initializer" }] } })),
            None
        );
        assert_eq!(source(&Value::Null), None);
    }
}

//! Which pods are behind a service, and take its traffic.

use ripcord_core::name::VersionName;
use ripcord_ports::{ErrorKind, PortError};
use serde_json::Value;

use super::{Cluster, POD, Resource, shown, text};

/// Since Kubernetes 1.21.
const SLICES: Resource =
    Resource { group: "discovery.k8s.io", version: "v1", kind: "EndpointSlice", plural: "endpointslices" };
/// Before.
const SLICES_BETA: Resource = Resource { version: "v1beta1", ..SLICES };

/// A pod that takes traffic.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    /// The pod's name.
    pub(crate) name: String,
    /// Host and port, where the service's own words have them.
    pub(crate) address: Option<String>,
    /// The pod.
    pub(crate) pod: Value,
}

/// What is behind a service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Behind {
    /// Those that take traffic, by name.
    pub(crate) ready: Vec<Replica>,
    /// How many do not, or not yet.
    pub(crate) unready: usize,
    /// Ready ones of which nothing can be told, with the reason.
    pub(crate) unclear: Option<String>,
    /// Whether there is no list of endpoints at all, not even an empty one: such a service is hardly there.
    pub(crate) is_absent: bool,
}

impl Cluster {
    /// The pods behind `service`, of which those with the labels of `selector` are known. `named_by` is what says how the service is called.
    pub(crate) async fn behind(
        &self,
        service: &str,
        selector: &str,
        named_by: &str,
    ) -> Result<Behind, PortError> {
        let of_service = format!("kubernetes.io/service-name={service}");
        let slices = match self.list(SLICES, &of_service).await {
            Err(refused) if refused.is_unknown_kind => self.list(SLICES_BETA, &of_service).await,
            other => other,
        };
        let slices = slices.map_err(|refused| refused.error)?;
        if slices.is_empty() {
            let unclear = format!(
                "there are no endpoints of the service `{service}`: is {named_by} right, and does the service exist?"
            );
            return Ok(Behind { unclear: Some(unclear), is_absent: true, ..Behind::default() });
        }
        let pods = self.list(POD, selector).await.map_err(|refused| refused.error)?;
        Ok(joined(&slices, &pods, selector))
    }
}

fn joined(slices: &[Value], pods: &[Value], selector: &str) -> Behind {
    let mut behind = Behind::default();
    let endpoints = slices.iter().flat_map(|slice| {
        let all = slice["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().map(move |endpoint| (slice, endpoint))
    });
    for (slice, endpoint) in endpoints {
        // Left out means ready, says the interface.
        if endpoint["conditions"]["ready"] == Value::Bool(false) {
            behind.unready += 1;
            continue;
        }
        let name = match text(&endpoint["targetRef"]["kind"]) {
            "Pod" => text(&endpoint["targetRef"]["name"]),
            _ => "",
        };
        let pod = pods.iter().find(|pod| !name.is_empty() && text(&pod["metadata"]["name"]) == name);
        let Some(pod) = pod else {
            let address = text(&endpoint["addresses"][0]);
            let what = if name.is_empty() {
                format!("the address `{}`", shown(address))
            } else {
                format!("the pod `{}`", shown(name))
            };
            behind.unclear =
                Some(format!("{what} takes traffic and is not among the pods with the labels `{selector}`"));
            continue;
        };
        // A pod may be in two slices, for two families of addresses.
        if !behind.ready.iter().any(|replica| replica.name == name) {
            let address = address(slice, endpoint);
            behind.ready.push(Replica { name: name.to_owned(), address, pod: pod.clone() });
        }
    }
    behind.ready.sort_by(|a, b| a.name.cmp(&b.name));
    behind
}

/// Where an endpoint answers: its first address, and the first port of its slice.
fn address(slice: &Value, endpoint: &Value) -> Option<String> {
    let host = endpoint["addresses"][0].as_str()?;
    let port = slice["ports"][0]["port"].as_u64()?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Some(format!("{host}:{port}"))
}

impl Behind {
    /// How many of the ready ones are of each version, in the order of the versions; or why that cannot be told.
    pub(crate) fn counted(
        &self,
        version: impl Fn(&Replica) -> Result<VersionName, String>,
    ) -> Result<Vec<(VersionName, usize)>, String> {
        if let Some(unclear) = &self.unclear {
            return Err(unclear.clone());
        }
        let mut counted: Vec<(VersionName, usize)> = Vec::new();
        for replica in &self.ready {
            let version =
                version(replica).map_err(|why| format!("the pod `{}` {why}", shown(&replica.name)))?;
            match counted.iter_mut().find(|(known, _)| *known == version) {
                Some((_, count)) => *count += 1,
                None => counted.push((version, 1)),
            }
        }
        counted.sort();
        Ok(counted)
    }
}

/// The labels by which an object finds its pods, as a list takes them.
pub(crate) fn selector(object: &Value) -> Result<String, String> {
    let selector = &object["spec"]["selector"];
    let labels = selector["matchLabels"].as_object().filter(|labels| !labels.is_empty());
    let has_more = selector["matchExpressions"].as_array().is_some_and(|more| !more.is_empty());
    let labels = labels.filter(|_| !has_more).ok_or_else(|| {
        "finds its pods by `matchExpressions`, or by nothing: they are read here by `matchLabels` alone"
            .to_owned()
    })?;
    Ok(labels.iter().map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(","))
}

/// More replicas than are asked one by one.
pub(crate) fn too_many(count: usize, most: usize) -> PortError {
    PortError::not_applied(
        ErrorKind::TooLarge,
        format!(
            "there are {count} replicas, and {most} at most are asked one by one: leave `probe-input` out, and their pods tell"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, version: &str) -> Value {
        json!({ "metadata": { "name": name, "labels": { "v": version } } })
    }

    fn slice(endpoints: &[(&str, Option<bool>)]) -> Value {
        let endpoint = |(name, ready): &(&str, Option<bool>)| {
            let conditions = ready.map_or(json!({}), |ready| json!({ "ready": ready }));
            json!({ "addresses": ["10.0.0.7"], "conditions": conditions, "targetRef": { "kind": "Pod", "name": name } })
        };
        json!({ "ports": [{ "port": 8080 }], "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>() })
    }

    fn version(replica: &Replica) -> Result<VersionName, String> {
        VersionName::new(text(&replica.pod["metadata"]["labels"]["v"]))
            .map_err(|_| "names no version".to_owned())
    }

    #[test]
    fn pods_are_found_by_labels() {
        let of = |selector: Value| selector_of(&selector);
        assert_eq!(
            of(json!({ "matchLabels": { "app": "fraud", "tier": "a" } })).unwrap(),
            "app=fraud,tier=a"
        );
        assert!(of(json!({})).is_err());
        assert!(of(json!({ "matchLabels": { "a": "b" }, "matchExpressions": [{ "key": "c" }] })).is_err());
    }

    fn selector_of(selector: &Value) -> Result<String, String> {
        super::selector(&json!({ "spec": { "selector": selector } }))
    }

    #[test]
    fn every_ready_replica_counts_and_none_twice() {
        let slices =
            [slice(&[("a", Some(true)), ("b", None), ("c", Some(false))]), slice(&[("a", Some(true))])];
        let behind = joined(&slices, &[pod("a", "1"), pod("b", "2"), pod("c", "9")], "x=y");
        assert_eq!((behind.ready.len(), behind.unready), (2, 1));
        assert_eq!(behind.ready[0].address.as_deref(), Some("10.0.0.7:8080"));
        let counted = behind.counted(version).unwrap();
        assert_eq!(counted, [(VersionName::new("1").unwrap(), 1), (VersionName::new("2").unwrap(), 1)]);
    }

    #[test]
    fn a_replica_of_which_nothing_is_known_is_not_passed_over() {
        let behind = joined(&[slice(&[("a", None), ("stranger", None)])], &[pod("a", "1")], "x=y");
        let why = behind.counted(version).unwrap_err();
        assert_eq!(why, "the pod `stranger` takes traffic and is not among the pods with the labels `x=y`");
        let behind = joined(&[slice(&[("a", None)])], &[pod("a", "")], "x=y");
        assert_eq!(behind.counted(version).unwrap_err(), "the pod `a` names no version");
        let odd = json!({ "endpoints": [{ "addresses": ["10.0.0.9"] }, 7] });
        assert!(joined(&[odd, json!(null)], &[], "x=y").unclear.is_some());
    }
}

//! What an endpoint of Vertex AI serves, judged from what Vertex AI says of it, and how its traffic is split anew.

use std::collections::BTreeMap;

use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::target::VersionTarget;
use serde_json::Value;

use super::wire::{Endpoint, Object};
use crate::http;
use crate::registry_vertex::api::number;
use crate::split::{self, shared_out};

/// Deployed models of one endpoint that are looked at.
const DEPLOYED_MAX: usize = 200;

/// Whose versions are served.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) project: String,
    pub(super) location: String,
    pub(super) model: String,
}

/// A model that is deployed.
#[derive(Debug, Clone)]
pub(super) struct Deployed {
    pub(super) id: String,
    /// Which version of the model it is; why that is not known otherwise.
    pub(super) version: Result<VersionName, String>,
    /// An instant as Google writes it, which sorts as text.
    created: String,
    /// Replicas that answer, where that is told.
    pub(super) replicas: Option<u64>,
    /// Percent of the traffic.
    pub(super) percent: u32,
    pub(super) as_it_came: Object,
}

/// An endpoint as it was seen.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) endpoint: Endpoint,
    pub(super) deployed: Vec<Deployed>,
    pub(super) state: LiveState,
}

fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl Own {
    /// The version that a deployed model, or who has answered, is of: by its model's resource name and by the number that stands beside it. `home` is the
    /// project as the endpoint's own name tells it, which may be by the number of what is configured by its id; empty where it is not told.
    pub(super) fn version(
        &self,
        home: &str,
        model: &str,
        number_beside: &str,
    ) -> Result<VersionName, String> {
        let shown = http::excerpt(model.as_bytes());
        let parts: Vec<&str> = model.split('/').collect();
        let ["projects", project, "locations", location, "models", named] = parts[..] else {
            return Err(format!("it is of {shown}, which is no model"));
        };
        let (id, reference) = named.split_once('@').unwrap_or((named, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        // An id and a number may be of one project: only two of a kind can be compared.
        let known = [self.project.as_str(), home];
        let mut alike = known.iter().filter(|one| !one.is_empty() && is_number(one) == is_number(project));
        let is_other_project = alike.clone().count() > 0 && !alike.any(|one| *one == project);
        if id != self.model || location != self.location || is_other_project {
            return Err(format!(
                "it is of {shown}, which is not the model `{}` of `{}` in `{}`",
                self.model, self.project, self.location
            ));
        }
        let found = if number_beside.is_empty() { reference } else { number_beside };
        if number(reference).is_some() && reference != found {
            return Err(format!(
                "it is of {shown} and said to be version {}",
                http::excerpt(found.as_bytes())
            ));
        }
        let named = number(found).and_then(|_| VersionName::new(found).ok());
        named.ok_or_else(|| format!("it is of {shown}, and which version that is, is not told"))
    }
}

/// Replicas that answer, where that is told: a 0 is left out of an answer. What has no machines of its own need not have a number of them.
fn replicas(object: &Object) -> Option<u64> {
    let status = object.get("status").and_then(Value::as_object)?;
    match status.get("availableReplicaCount") {
        None | Some(Value::Null) => object.contains_key("dedicatedResources").then_some(0),
        Some(count) => count.as_u64(),
    }
}

/// The project in an endpoint's name.
fn home(name: &str) -> &str {
    name.strip_prefix("projects/").and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

impl Deployed {
    fn of(object: &Object, own: &Own, home: &str, percent: impl Fn(&str) -> u32) -> Option<Self> {
        let id = text(object, "id").to_owned();
        (!id.is_empty()).then(|| Self {
            version: own.version(home, text(object, "model"), text(object, "modelVersionId")),
            created: text(object, "createTime").to_owned(),
            replicas: replicas(object),
            percent: percent(&id),
            as_it_came: object.clone(),
            id,
        })
    }

    fn is(&self, version: &VersionName) -> bool {
        self.version.as_ref() == Ok(version)
    }
}

impl Seen {
    pub(super) fn of(endpoint: Endpoint, own: &Own) -> Self {
        let split = split::told(endpoint.traffic_split.as_ref());
        let listed = endpoint.deployed_models.as_deref().unwrap_or_default();
        let percent = |id: &str| split.as_ref().ok().and_then(|split| split.get(id)).copied().unwrap_or(0);
        let objects = listed.iter().take(DEPLOYED_MAX).filter_map(Value::as_object);
        let deployed: Vec<Deployed> =
            objects.filter_map(|object| Deployed::of(object, own, home(&endpoint.name), percent)).collect();
        let state = match split {
            _ if listed.len() > DEPLOYED_MAX => LiveState::Unknown(format!(
                "it has {} deployed models, and {DEPLOYED_MAX} are looked at: undeploy what nobody goes back to",
                listed.len()
            )),
            Err(why) => LiveState::Unknown(why),
            Ok(split) => state(&split, &deployed),
        };
        Self { endpoint, deployed, state }
    }

    /// The project, as the endpoint's name tells it.
    pub(super) fn home(&self) -> &str {
        home(&self.endpoint.name)
    }

    /// Percent by the id of what has traffic.
    pub(super) fn split(&self) -> BTreeMap<String, u32> {
        let with_traffic = self.deployed.iter().filter(|one| one.percent > 0);
        with_traffic.map(|one| (one.id.clone(), one.percent)).collect()
    }

    /// What is deployed of a version.
    pub(super) fn having(&self, version: &VersionName) -> Vec<&Deployed> {
        self.deployed.iter().filter(|one| one.is(version)).collect()
    }

    /// What most of the traffic goes to, of the model's versions.
    pub(super) fn pattern(&self) -> Option<&Deployed> {
        let serving = self.deployed.iter().filter(|one| one.percent > 0 && one.version.is_ok());
        serving.max_by_key(|one| one.percent)
    }

    /// The split in which a version has so many percent of the traffic, and what serves besides shares the rest as it did.
    pub(super) fn split_to(
        &self,
        version: &VersionName,
        percent: u32,
    ) -> Result<BTreeMap<String, u32>, String> {
        let targets = self.having(version);
        let has_some: Vec<(&str, u32)> =
            targets.iter().filter(|one| one.percent > 0).map(|one| (one.id.as_str(), one.percent)).collect();
        let newest = targets.iter().max_by_key(|one| (one.replicas != Some(0), one.created.clone()));
        let to = match (has_some.is_empty(), newest) {
            (false, _) => has_some,
            (true, Some(one)) => vec![(one.id.as_str(), 1)],
            (true, None) => return Err(format!("version `{version}` is not deployed")),
        };
        let others = self.deployed.iter().filter(|one| !one.is(version) && one.percent > 0);
        let others: Vec<(&str, u32)> = others.map(|one| (one.id.as_str(), one.percent)).collect();
        if others.is_empty() && percent < 100 {
            return Err("nothing else has traffic, so no part of it can be moved".to_owned());
        }
        let mut split = shared_out(percent, &to);
        split.extend(shared_out(100 - percent, &others));
        Ok(split)
    }
}

fn state(split: &BTreeMap<String, u32>, deployed: &[Deployed]) -> LiveState {
    let mut percents: BTreeMap<&VersionName, u32> = BTreeMap::new();
    for (id, percent) in split {
        let shown = id.escape_debug();
        let mut found = deployed.iter().filter(|one| one.id == *id);
        let Some(one) = found.next() else {
            return LiveState::Unknown(format!(
                "{percent} % of its traffic go to `{shown}`, which is not among what is deployed"
            ));
        };
        if found.next().is_some() {
            return LiveState::Unknown(format!("two of what is deployed have the id `{shown}`"));
        }
        if one.replicas == Some(0) {
            return LiveState::Unknown(format!(
                "{percent} % of its traffic go to `{shown}`, of which no replica answers"
            ));
        }
        match &one.version {
            Ok(version) => *percents.entry(version).or_default() += percent,
            Err(why) => {
                return LiveState::Unknown(format!("{percent} % of its traffic go to `{shown}`: {why}"));
            }
        }
    }
    let shares = percents.into_iter().map(|(version, percent)| Share {
        version: VersionTarget { version: version.clone(), digest: None },
        place: String::new(),
        weight: Ratio::new(f64::from(percent) / 100.0).unwrap_or(Ratio::ONE),
        proof: Proof::ControlPlane,
    });
    LiveState::Serving(shares.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployed_model_is_of_the_version_that_both_its_name_and_its_number_say() {
        let own = Own { project: "acme-ml".into(), location: "x".into(), model: "4242".into() };
        let of =
            |model: &str, number: &str| own.version("123", model, number).map(|version| version.to_string());
        let model = |project: &str, rest: &str| format!("projects/{project}/locations/x/models/{rest}");
        for (name, number) in
            [("4242", "7"), ("4242@7", "7"), ("4242@7", ""), ("4242@golden", "7"), ("4242@default", "7")]
        {
            assert_eq!(of(&model("123", name), number).as_deref(), Ok("7"), "{name}");
            assert_eq!(of(&model("acme-ml", name), number).as_deref(), Ok("7"), "{name}");
        }
        for (model, number, wanted) in [
            (model("123", "4242@6"), "7", "said to be version `7`"),
            (model("123", "4242@golden"), "", "is not told"),
            (model("123", "4242"), "seven", "is not told"),
            (model("123", "churn@7"), "7", "not the model `4242`"),
            (model("of-others", "4242@7"), "7", "not the model `4242`"),
            (model("124", "4242@7"), "7", "not the model `4242` of `acme-ml` in `x`"),
            (model("123", "4242@7").replace("/x/", "/y/"), "7", "not the model `4242` of `acme-ml` in `x`"),
            ("publishers/google/models/gemma\u{1b}".to_owned(), "7", "no model"),
        ] {
            let why = of(&model, number).unwrap_err();
            assert!(why.contains(wanted) && !why.contains('\u{1b}'), "{why}");
        }
        // Where the endpoint does not tell the number, a number is believed.
        assert_eq!(own.version("", &model("124", "4242"), "7").unwrap().as_str(), "7");
    }
}

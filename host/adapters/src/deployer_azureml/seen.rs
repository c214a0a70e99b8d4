//! What an online endpoint serves, judged from what Azure says of it and of its deployments, and how its traffic is split anew.

use std::collections::BTreeMap;

use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::target::VersionTarget;
use serde_json::{Map, Value};

use crate::http;
use crate::registry_azureml::api::is_name;
use crate::split::{self, shared_out};

/// A JSON object as it came.
pub(super) type Object = Map<String, Value>;

/// Deployments of one endpoint that are looked at. Azure lets one have twenty.
const DEPLOYMENTS_MAX: usize = 100;

/// Whose versions are served.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) subscription: String,
    pub(super) group: String,
    pub(super) workspace: String,
    /// The registry that the model is in, where it is in none of the workspace.
    pub(super) registry: Option<String>,
    pub(super) model: String,
}

/// A deployment.
#[derive(Debug, Clone)]
pub(super) struct Deployment {
    pub(super) name: String,
    /// Which version it has; why that is not known otherwise.
    pub(super) version: Result<VersionName, String>,
    /// As Azure names it, such as `Succeeded`.
    pub(super) state: String,
    /// An instant as Azure writes it, which sorts as text.
    created: String,
    /// Percent of the traffic.
    pub(super) percent: u32,
    pub(super) as_it_came: Value,
}

/// An endpoint as it was seen, with its deployments.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// As it came.
    pub(super) endpoint: Value,
    /// What Azure gave with it, where it gave one.
    pub(super) etag: Option<String>,
    pub(super) deployments: Vec<Deployment>,
    pub(super) state: LiveState,
}

/// What can be done with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It takes a change.
    Ready,
    /// Something changes it, which ends by itself.
    Busy,
    /// It takes none any more.
    Broken,
}

impl Own {
    /// The version that a deployment's `model` names.
    pub(super) fn version(&self, model: &str) -> Result<VersionName, String> {
        let shown = http::excerpt(model.as_bytes());
        let other = |why: &str| Err(format!("its model is {shown}, which {why}"));
        let is = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let rest = model.strip_prefix("azureml:").unwrap_or(model).trim_start_matches('/');
        let parts: Vec<&str> = rest.split('/').collect();
        let [place @ .., models, name, versions, version] = &parts[..] else {
            return other("is no version of a model");
        };
        if !is(models, "models") || !is(versions, "versions") {
            return other("is no version of a model");
        }
        let of = |key: &str| place.windows(2).find(|pair| is(pair[0], key)).map(|pair| pair[1]);
        let is_ours = |key: &str, own: &str| of(key).is_none_or(|found| is(found, own));
        let is_here = match (&self.registry, of("registries"), of("workspaces")) {
            (Some(own), Some(registry), _) => is(own, registry),
            // With its location a workspace is named by a number that is none of its names.
            (None, None, Some(_)) if of("locations").is_some() => true,
            (None, None, Some(workspace)) => {
                is(workspace, &self.workspace)
                    && is_ours("subscriptions", &self.subscription)
                    && is_ours("resourceGroups", &self.group)
            }
            _ => false,
        };
        if !is_here {
            return other("is of another workspace or registry");
        }
        if !is(name, &self.model) {
            return other(&format!("is not the model `{}`", self.model));
        }
        let named = Some(*version).filter(|version| is_name(version));
        match named.and_then(|version| VersionName::new(version).ok()) {
            Some(version) => Ok(version),
            None => other("names no version"),
        }
    }

    /// A version as a deployment names it.
    pub(super) fn named(&self, version: &VersionName) -> String {
        match &self.registry {
            Some(registry) => {
                format!("azureml://registries/{registry}/models/{}/versions/{version}", self.model)
            }
            None => format!(
                "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}/models/{}/versions/{version}",
                self.subscription, self.group, self.workspace, self.model
            ),
        }
    }
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn shown(state: &str) -> String {
    let short: String = state.chars().take(40).collect();
    format!("`{}`", short.escape_debug())
}

impl Deployment {
    fn of(value: &Value, own: &Own, percent: impl Fn(&str) -> u32) -> Option<Self> {
        let name = text(value, "/name").to_owned();
        (!name.is_empty()).then(|| Self {
            version: own.version(text(value, "/properties/model")),
            state: text(value, "/properties/provisioningState").to_owned(),
            created: text(value, "/systemData/createdAt").to_owned(),
            percent: percent(&name),
            as_it_came: value.clone(),
            name,
        })
    }

    pub(super) fn is(&self, version: &VersionName) -> bool {
        self.version.as_ref() == Ok(version)
    }

    /// Whether it answers, as far as Azure tells.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state.as_str(), "Succeeded" | "Scaling")
    }

    pub(super) fn shown_state(&self) -> String {
        shown(&self.state)
    }
}

impl Seen {
    pub(super) fn of(endpoint: Value, etag: Option<String>, listed: &[Value], own: &Own) -> Self {
        let split = told(&endpoint);
        let percent =
            |name: &str| split.as_ref().ok().and_then(|split| split.get(&plain(name))).copied().unwrap_or(0);
        let deployments: Vec<Deployment> = listed
            .iter()
            .take(DEPLOYMENTS_MAX)
            .filter_map(|value| Deployment::of(value, own, percent))
            .collect();
        let state = match split {
            _ if listed.len() > DEPLOYMENTS_MAX => LiveState::Unknown(format!(
                "it has {} deployments, and {DEPLOYMENTS_MAX} are looked at",
                listed.len()
            )),
            Err(why) => LiveState::Unknown(why),
            Ok(split) => state(&endpoint, &split, &deployments),
        };
        Self { endpoint, etag, deployments, state }
    }

    pub(super) fn readiness(&self) -> Readiness {
        match text(&self.endpoint, "/properties/provisioningState") {
            "Succeeded" | "Failed" | "Canceled" => Readiness::Ready,
            "Creating" | "Updating" => Readiness::Busy,
            _ => Readiness::Broken,
        }
    }

    pub(super) fn shown_state(&self) -> String {
        shown(text(&self.endpoint, "/properties/provisioningState"))
    }

    /// What its traffic would have serve, whether or not that is in force.
    pub(super) fn leads_to(&self) -> LiveState {
        told(&self.endpoint).map_or_else(LiveState::Unknown, |split| serves(&split, &self.deployments))
    }

    /// Percent by the name of what has traffic, in lower case.
    pub(super) fn split(&self) -> BTreeMap<String, u32> {
        told(&self.endpoint).unwrap_or_default()
    }

    /// The deployments of a version.
    pub(super) fn having(&self, version: &VersionName) -> Vec<&Deployment> {
        self.deployments.iter().filter(|one| one.is(version)).collect()
    }

    /// What most of the traffic goes to, of the model's versions.
    pub(super) fn pattern(&self) -> Option<&Deployment> {
        let serving = self.deployments.iter().filter(|one| one.percent > 0 && one.version.is_ok());
        serving.max_by_key(|one| one.percent)
    }

    /// The split in which a version has so many percent of the traffic, and what serves besides shares the rest as it did.
    pub(super) fn split_to(
        &self,
        version: &VersionName,
        percent: u32,
    ) -> Result<BTreeMap<String, u32>, String> {
        let targets: Vec<&Deployment> = self.having(version).into_iter().filter(|one| one.is_up()).collect();
        let has_some: Vec<(&str, u32)> = targets
            .iter()
            .filter(|one| one.percent > 0)
            .map(|one| (one.name.as_str(), one.percent))
            .collect();
        let newest = targets.iter().max_by_key(|one| one.created.clone());
        let to = match (has_some.is_empty(), newest) {
            (false, _) => has_some,
            (true, Some(one)) => vec![(one.name.as_str(), 1)],
            (true, None) => return Err(format!("no deployment has version `{version}`")),
        };
        let others = self.deployments.iter().filter(|one| !one.is(version) && one.percent > 0);
        let others: Vec<(&str, u32)> = others.map(|one| (one.name.as_str(), one.percent)).collect();
        if others.is_empty() && percent < 100 {
            return Err("nothing else has traffic, so no part of it can be moved".to_owned());
        }
        let mut split = shared_out(percent, &to);
        split.extend(shared_out(100 - percent, &others));
        Ok(split)
    }
}

/// A name to be compared: Azure takes names in any case, and its own client writes them in lower case.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// What an endpoint says of its traffic, by names in lower case.
pub(super) fn told(endpoint: &Value) -> Result<BTreeMap<String, u32>, String> {
    let told = split::told(endpoint.pointer("/properties/traffic").and_then(Value::as_object))?;
    let mut plainly = BTreeMap::new();
    for (name, percent) in told {
        *plainly.entry(plain(&name)).or_default() += percent;
    }
    Ok(plainly)
}

/// Whether what was told is the split that is wanted.
pub(super) fn is_split(told: &BTreeMap<String, u32>, wanted: &BTreeMap<String, u32>) -> bool {
    told.len() == wanted.len() && wanted.iter().all(|(name, percent)| told.get(&plain(name)) == Some(percent))
}

fn state(endpoint: &Value, split: &BTreeMap<String, u32>, deployments: &[Deployment]) -> LiveState {
    let provisioning = text(endpoint, "/properties/provisioningState");
    match provisioning {
        "Succeeded" => {}
        "Creating" | "Updating" => {
            return LiveState::Unknown(format!(
                "Azure is at a change of it ({}): which split of the traffic is in force is not told until that has ended",
                shown(provisioning)
            ));
        }
        _ => {
            return LiveState::Unknown(format!(
                "it is {}: which split of the traffic is in force is not told after a change that was not made",
                shown(provisioning)
            ));
        }
    }
    serves(split, deployments)
}

fn serves(split: &BTreeMap<String, u32>, deployments: &[Deployment]) -> LiveState {
    let mut percents: BTreeMap<&VersionName, u32> = BTreeMap::new();
    for (name, percent) in split {
        let unknown = |why: String| {
            LiveState::Unknown(format!("{percent} % of its traffic go to `{}`{why}", name.escape_debug()))
        };
        let mut found = deployments.iter().filter(|one| one.name.eq_ignore_ascii_case(name));
        let Some(one) = found.next() else { return unknown(", which is no deployment of it".to_owned()) };
        if found.next().is_some() {
            return unknown(", and two deployments have that name".to_owned());
        }
        if !one.is_up() {
            return unknown(format!(", which is {}: what answers there is not told", one.shown_state()));
        }
        match &one.version {
            Ok(version) => *percents.entry(version).or_default() += percent,
            Err(why) => return unknown(format!(": {why}")),
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
    fn a_deployment_is_of_the_version_that_its_model_names_in_each_of_azures_ways() {
        let own = |registry: Option<&str>| Own {
            subscription: "S".into(),
            group: "g".into(),
            workspace: "w".into(),
            registry: registry.map(str::to_owned),
            model: "fraud".into(),
        };
        let arm = "/subscriptions/s/resourceGroups/G/providers/Microsoft.MachineLearningServices/workspaces/W/models/Fraud/versions/7";
        let here = own(None);
        for model in [
            arm,
            &format!("azureml:{arm}"),
            "azureml://subscriptions/S/resourceGroups/g/workspaces/w/models/fraud/versions/7",
            "azureml://locations/westeurope/workspaces/0a1b/models/fraud/versions/7",
        ] {
            assert_eq!(here.version(model).unwrap().as_str(), "7", "{model}");
        }
        let shared = "azureml://registries/acme/models/fraud/versions/7";
        assert_eq!(own(Some("Acme")).version(shared).unwrap().as_str(), "7");
        let seven = VersionName::new("7").unwrap();
        for own in [here.clone(), own(Some("acme"))] {
            assert_eq!(own.version(&own.named(&seven)), Ok(seven.clone()), "what is written is read");
        }
        for (own, model, wanted) in [
            (&here, "", "no version of a model"),
            (&here, "azureml:fraud:7", "no version of a model"),
            (&here, "azureml://a/b/c/d", "no version of a model"),
            (&here, shared, "another workspace or registry"),
            (&own(Some("acme")), arm, "another workspace or registry"),
            (&own(Some("other")), shared, "another workspace or registry"),
            (&here, &arm.replace("/W/", "/other/"), "another workspace or registry"),
            (&here, &arm.replace("/s/", "/other/"), "another workspace or registry"),
            (&here, &arm.replace("Fraud", "churn\u{1b}"), "is not the model `fraud`"),
            (&here, &arm.replace("/7", "/7?x"), "names no version"),
        ] {
            let why = own.version(model).unwrap_err();
            assert!(why.contains(wanted) && !why.contains('\u{1b}'), "{model}: {why}");
        }
    }
}

//! What an endpoint serves, judged from what SageMaker says of it.

use std::collections::BTreeMap;

use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_core::wave::Moves;
use serde_json::Value;

use super::made::Standing;
use super::wire::{Endpoint, Object, Variant, Weighed};

/// A configuration with the versions of its variants.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) configuration: Object,
    pub(super) variants: Vec<(Variant, VersionName)>,
    /// By their names.
    pub(super) models: BTreeMap<String, Object>,
}

/// An endpoint as it was seen.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) endpoint: Endpoint,
    /// What it works with, or why that is not known.
    pub(super) in_force: Result<Served, String>,
    pub(super) state: LiveState,
}

/// What can be done with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It takes an update.
    Ready,
    /// Something changes it, which ends by itself.
    Busy,
    /// It takes none any more.
    Broken,
}

/// What has come of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is there.
    There,
    /// It goes on.
    GoesOn(String),
    /// SageMaker went back.
    Undone(String),
    /// It ended in the middle.
    Stuck(String),
}

impl Served {
    fn shares(&self, weight: impl Fn(&str) -> Option<f64>) -> LiveState {
        let mut weights: BTreeMap<&VersionName, f64> = BTreeMap::new();
        for (variant, version) in &self.variants {
            let Some(weight) = weight(&variant.name).filter(|weight| weight.is_finite() && *weight >= 0.0)
            else {
                return LiveState::Unknown(format!(
                    "SageMaker tells no weight of its variant `{}`",
                    variant.name.escape_debug()
                ));
            };
            *weights.entry(version).or_default() += weight;
        }
        let sum: f64 = weights.values().sum();
        if sum <= 0.0 {
            return LiveState::Unknown(
                "none of its variants has a weight: nothing says which answers".to_owned(),
            );
        }
        // A variant without traffic serves nothing.
        let shares = weights.into_iter().filter(|(_, weight)| *weight > 0.0).map(|(version, weight)| Share {
            version: VersionTarget { version: version.clone(), digest: None },
            place: String::new(),
            weight: Ratio::new(weight / sum).unwrap_or(Ratio::ONE),
            proof: Proof::ControlPlane,
        });
        LiveState::Serving(shares.collect())
    }

    /// What it serves by the weights that it begins with.
    pub(super) fn by_its_own_weights(&self) -> LiveState {
        let variants = self.configuration.get("ProductionVariants").and_then(Value::as_array);
        self.shares(|name| {
            let one = variants?.iter().find(|one| one["VariantName"] == name)?;
            // AWS's own default.
            Some(one["InitialVariantWeight"].as_f64().unwrap_or(1.0))
        })
    }
}

impl Seen {
    pub(super) fn of(endpoint: Endpoint, in_force: Result<Served, String>) -> Self {
        let state = state(&endpoint, &in_force);
        Self { endpoint, in_force, state }
    }

    pub(super) fn readiness(&self) -> Readiness {
        match self.endpoint.endpoint_status.as_str() {
            "InService" | "UpdateRollbackFailed" => Readiness::Ready,
            "Creating" | "Updating" | "SystemUpdating" | "RollingBack" => Readiness::Busy,
            _ => Readiness::Broken,
        }
    }

    /// The variants with their weights, and whether they are of the target.
    pub(super) fn standing(&self, target: &VersionName) -> Result<Vec<Standing>, String> {
        let served = self.in_force.as_ref().map_err(Clone::clone)?;
        let standing = served.variants.iter().map(|(variant, version)| Standing {
            name: variant.name.clone(),
            weight: weight_of(&self.endpoint, &variant.name, |one| one.current_weight).unwrap_or(0.0),
            is_target: version == target,
        });
        Ok(standing.collect())
    }

    /// What it will serve once the weights are those that are wanted.
    pub(super) fn wanted(&self) -> LiveState {
        match &self.in_force {
            Ok(served) => served.shares(|name| weight_of(&self.endpoint, name, |one| one.desired_weight)),
            Err(why) => LiveState::Unknown(why.clone()),
        }
    }
}

fn weight_of(endpoint: &Endpoint, name: &str, which: fn(&Weighed) -> Option<f64>) -> Option<f64> {
    let variants = endpoint.production_variants.as_deref().unwrap_or_default();
    variants.iter().find(|one| one.variant_name == name).and_then(which)
}

/// The status with the reason that SageMaker gives.
pub(super) fn told(endpoint: &Endpoint) -> String {
    let reason = endpoint.failure_reason.as_deref().filter(|reason| !reason.is_empty());
    let reason = reason.map_or_else(String::new, |reason| {
        let short: String = reason.chars().take(300).collect();
        format!(": {}", short.escape_debug())
    });
    let status: String = endpoint.endpoint_status.chars().take(40).collect();
    format!("`{}`{reason}", status.escape_debug())
}

fn state(endpoint: &Endpoint, in_force: &Result<Served, String>) -> LiveState {
    let shown = told(endpoint);
    let name = |name: Option<&str>| {
        name.map_or("no configuration".to_owned(), |name| format!("`{}`", name.escape_debug()))
    };
    let current = name(endpoint.endpoint_config_name.as_deref());
    match endpoint.endpoint_status.as_str() {
        "InService" | "SystemUpdating" => match in_force {
            Ok(served) => served.shares(|name| weight_of(endpoint, name, |one| one.current_weight)),
            Err(why) => LiveState::Unknown(why.clone()),
        },
        "Updating" => {
            let pending = endpoint.pending_deployment_summary.as_ref();
            let to = pending.map(|pending| format!(" to {}", name(Some(&pending.endpoint_config_name))));
            LiveState::Unknown(format!(
                "SageMaker is at an update of it from {current}{}: which of the two answers is not told until it has ended",
                to.unwrap_or_default()
            ))
        }
        "RollingBack" => LiveState::Unknown(format!(
            "SageMaker is at taking a change of it back ({shown}), towards {current}"
        )),
        "OutOfService" => LiveState::Serving(Vec::new()),
        "UpdateRollbackFailed" => LiveState::Unknown(format!(
            "an update failed and could not be taken back ({shown}): instances of both configurations answer; update it to a configuration that works"
        )),
        "Failed" => LiveState::Unknown(format!(
            "it is {shown}: SageMaker takes nothing for it any more but that it is deleted and made anew"
        )),
        _ => LiveState::Unknown(format!("it is {shown}")),
    }
}

/// What has come of an update that was asked for when the endpoint was `before`; `moved` is whether anything was seen of it in between.
pub(super) fn turn(before: &Endpoint, moved: bool, seen: &Seen, target: &Target, moves: &Moves) -> Turn {
    let now = &seen.endpoint;
    let shown = told(now);
    match now.endpoint_status.as_str() {
        "InService" if seen.state.shows(target, moves) => Turn::There,
        "InService" if now.endpoint_config_name != before.endpoint_config_name => Turn::Stuck(format!(
            "after the update to {target} the endpoint serves {}, by a configuration that is neither what was asked for nor what it had: someone else moved it",
            seen.state
        )),
        "InService" if moved || now.last_modified_time != before.last_modified_time => Turn::Undone(format!(
            "SageMaker took the update to {target} back by itself: the endpoint is {shown} and serves {}; look at the logs of its containers, and at the alarms of its deployment configuration",
            seen.state
        )),
        // What was just asked for need not show at once.
        "InService" => Turn::GoesOn("SageMaker has taken the update, and does not show it yet".to_owned()),
        "Updating" | "SystemUpdating" | "RollingBack" | "Creating" => {
            Turn::GoesOn(format!("the endpoint is {shown}"))
        }
        _ => Turn::Stuck(format!("after the update to {target} the endpoint is {shown}: {}", seen.state)),
    }
}

//! What an `InferenceService` says is to be served.

use std::fmt;

use ripcord_core::ratio::Ratio;
use serde_json::Value;

use super::KserveMode;
use crate::kubernetes::{shown, text};

/// The storage address, and the share of its newest revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stated {
    pub(super) uri: String,
    /// In percent; none is all, or is not for us to say.
    pub(super) percent: Option<i64>,
}

impl Stated {
    pub(super) fn of(object: &Value) -> Result<Self, String> {
        let member = member(object)?;
        let predictor = &object["spec"]["predictor"];
        Ok(Self {
            uri: text(&predictor[&member]["storageUri"]).to_owned(),
            percent: predictor["canaryTrafficPercent"].as_i64(),
        })
    }

    /// Whether this is what is wanted. A share that is left out is all.
    pub(super) fn is(&self, wanted: &Self) -> bool {
        self.uri == wanted.uri && wanted.percent.is_none_or(|percent| percent == self.percent.unwrap_or(100))
    }
}

impl fmt::Display for Stated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", shown(&self.uri))?;
        match self.percent {
            Some(percent) if percent != 100 => write!(f, " with {percent} % of the traffic"),
            _ => Ok(()),
        }
    }
}

/// Under which key of `spec.predictor` the storage address stands: `model`, or the framework's name in the older form.
pub(super) fn member(object: &Value) -> Result<String, String> {
    let predictor = object["spec"]["predictor"].as_object();
    let all: Vec<_> =
        predictor.into_iter().flatten().filter(|(_, value)| value["storageUri"].is_string()).collect();
    match all.as_slice() {
        [(name, _)] => Ok((*name).clone()),
        [] => Err("has no `storageUri` in its predictor: only what is served from one storage address can be rolled back here, not an image of its own or `storage`".to_owned()),
        _ => Err("has several models in its predictor: one is rolled back here".to_owned()),
    }
}

/// A share in whole percents, as KServe takes it: some of the traffic, whatever is asked for.
pub(super) fn percent(share: Ratio) -> i64 {
    let percent = (share.get() * 100.0).round() as i64;
    percent.clamp(1, 100)
}

/// What is wrong where KServe runs it in another way than is configured.
pub(super) fn other_mode(object: &Value, mode: KserveMode) -> Option<String> {
    let said = [
        &object["status"]["deploymentMode"],
        &object["metadata"]["annotations"]["serving.kserve.io/deploymentMode"],
    ];
    let said = said.into_iter().map(text).find(|said| !said.is_empty())?;
    let is = match said {
        "Serverless" | "Knative" => KserveMode::Knative,
        "RawDeployment" | "Standard" => KserveMode::Standard,
        other => {
            return Some(format!(
                "KServe runs it in the mode `{}`, which this adapter does not know",
                shown(other)
            ));
        }
    };
    let name = if is == KserveMode::Knative { "knative" } else { "standard" };
    (is != mode).then(|| format!("KServe runs it in the mode `{said}`: set `mode = \"{name}\"`"))
}

/// How far KServe is, where it says that it is not done. Whether it has seen the object as it is, its status does not say: `observedGeneration` is that of what
/// KServe has made for it.
pub(super) fn progress(object: &Value) -> Option<String> {
    let model = &object["status"]["modelStatus"];
    let failure = text(&model["lastFailureInfo"]["message"]);
    match text(&model["transitionStatus"]) {
        "BlockedByFailedLoad" => Some(format!("KServe could not load the model: `{}`", shown(failure))),
        "InvalidSpec" => Some(format!("KServe does not take what is set: `{}`", shown(failure))),
        "InProgress" => Some("KServe is loading the model".to_owned()),
        _ => not_ready(object),
    }
}

fn not_ready(object: &Value) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
    let is = text(&ready["status"]);
    (is != "True").then(|| {
        let why = [&ready["reason"], &ready["message"]].map(text).join(": ");
        format!("its condition `Ready` is `{}` (`{}`)", shown(is), shown(&why))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_storage_address_is_found_in_each_form() {
        let of = |predictor: Value| Stated::of(&json!({ "spec": { "predictor": predictor } }));
        let stated = of(json!({ "model": { "storageUri": "s3://a" }, "canaryTrafficPercent": 10 })).unwrap();
        assert_eq!(stated, Stated { uri: "s3://a".into(), percent: Some(10) });
        assert_eq!(
            of(json!({ "minReplicas": 1, "sklearn": { "storageUri": "s3://a" } })).unwrap().percent,
            None
        );
        assert!(of(json!({ "containers": [] })).unwrap_err().contains("has no `storageUri`"));
        let two = json!({ "sklearn": { "storageUri": "a" }, "model": { "storageUri": "b" } });
        assert!(of(two).unwrap_err().contains("several"));
        assert!(Stated::of(&Value::Null).is_err());
    }

    #[test]
    fn a_share_is_some_of_the_traffic() {
        for (share, expected) in [(0.001, 1), (0.25, 25), (0.333, 33), (1.0, 100)] {
            assert_eq!(percent(Ratio::new(share).unwrap()), expected);
        }
        let all = Stated { uri: "a".into(), percent: Some(100) };
        assert!(Stated { percent: None, ..all.clone() }.is(&all));
        assert!(!Stated { percent: Some(10), ..all.clone() }.is(&all));
        assert!(Stated { percent: Some(10), ..all.clone() }.is(&Stated { percent: None, ..all }));
    }

    #[test]
    fn another_mode_is_told_with_what_to_write() {
        let of = |mode: &str| json!({ "status": { "deploymentMode": mode } });
        assert_eq!(other_mode(&of("Serverless"), KserveMode::Knative), None);
        assert_eq!(other_mode(&of(""), KserveMode::Standard), None);
        assert!(
            other_mode(&of("RawDeployment"), KserveMode::Knative).unwrap().contains("`mode = \"standard\"`")
        );
        assert!(other_mode(&of("ModelMesh"), KserveMode::Knative).unwrap().contains("does not know"));
    }

    #[test]
    fn how_far_it_is_is_told() {
        let of = |status: Value| progress(&json!({ "status": status }));
        let failed = json!({ "modelStatus": { "transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": { "message": "no such bucket" } } });
        assert!(of(failed).unwrap().contains("`no such bucket`"));
        let waits =
            json!({ "conditions": [{ "type": "Ready", "status": "False", "reason": "R", "message": "m" }] });
        assert_eq!(of(waits).unwrap(), "its condition `Ready` is `False` (`R: m`)");
        assert_eq!(of(json!({ "conditions": [{ "type": "Ready", "status": "True" }] })), None);
    }
}

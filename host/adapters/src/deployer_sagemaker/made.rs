//! What is made for a shift: a model of the target like the one that is served, and a configuration like the one in force. Their names say what is in them,
//! so that the same shift makes the same things, once.

use ripcord_core::canonical;
use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_ports::{ErrorKind, PortError};
use serde_json::{Value, json};

use super::group::{Group, Named, own_variables};
use super::wire::{Object, containers, text};

/// What an answer says of a model that nobody gives when one is made.
const OF_MODELS: [&str; 4] = ["ModelName", "ModelArn", "CreationTime", "DeploymentRecommendation"];
/// The same of a configuration.
const OF_CONFIGURATIONS: [&str; 3] = ["EndpointConfigName", "EndpointConfigArn", "CreationTime"];
/// What is kept of a container that is made of another package.
const KEPT: [&str; 3] = ["ContainerHostname", "InferenceSpecificationName", "ContainerMetricsConfig"];
/// Of a group's name in a name of ours: names have 63 characters.
const GROUP_CHARS: usize = 20;
/// Of the variables of a container, in one sentence.
const NAMES_SHOWN: usize = 10;

/// Something to be made, under the name that is in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) body: Object,
}

/// Without what an answer alone has, and what is empty.
fn given(object: &Object, told: &[&str]) -> Object {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    };
    let kept = object.iter().filter(|(key, value)| !told.contains(&key.as_str()) && !is_empty(value));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn name(kind: &str, group: &Group, version: &VersionName, body: &Object) -> Result<String, PortError> {
    let digest: Digest =
        canonical::json_digest(&format!("ripcord sagemaker {kind} 1"), body).map_err(|error| {
            let text = format!("the {kind} that is to be made has no name: {error}");
            PortError::not_applied(ErrorKind::BadAnswer, text)
        })?;
    let hexadecimal = digest.to_string().trim_start_matches("sha256:").chars().take(16).collect::<String>();
    let group: String = group.name().chars().take(GROUP_CHARS).collect();
    let version: String = version.as_str().chars().filter(char::is_ascii_alphanumeric).take(10).collect();
    Ok(format!("ripcord-{}-{version}-{hexadecimal}", group.trim_matches('-')))
}

/// A model of the version `version`, whose package is `arn`, like `served`: with its role, network, other containers, and the variables that whoever deployed
/// it has set. `package` is the package that `served` is made of, where it is still there: without it nobody knows who has set what, and a model with variables is no
/// pattern.
pub(super) fn model(
    group: &Group,
    served: &Object,
    package: Option<&Value>,
    (version, arn): (&VersionName, &str),
) -> Result<Made, PortError> {
    let all = containers(served);
    let unfit = |why: &str| {
        let text = format!("the model that is served cannot be the pattern for version `{version}`: {why}");
        PortError::not_applied(ErrorKind::Unsupported, text)
    };
    let at = match group.named(served).map_err(|why| unfit(&why))? {
        Named::By(at, _) => at,
        Named::Nothing if all.len() == 1 => 0,
        Named::Nothing => {
            return Err(unfit(&format!(
                "it has {} containers, and none is a version of `{}`",
                all.len(),
                group.shown
            )));
        }
    };
    let mut container: Object = all[at]
        .iter()
        .filter(|(key, _)| KEPT.contains(&key.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let own = own_variables(all[at], package);
    if package.is_none() && !own.is_empty() {
        let shown: Vec<String> =
            own.keys().take(NAMES_SHOWN).map(|name| format!("`{}`", name.escape_debug())).collect();
        let more = own.len().saturating_sub(NAMES_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = format!(
            "the model `{}` has the variables {}{more}, and no package says which of them are its version's own: taken over they could bring its code back. Nothing was changed: deploy version `{version}` by hand once, as a model package",
            text(served, "ModelName").unwrap_or_default().escape_debug(),
            shown.join(", ")
        );
        return Err(PortError::not_applied(ErrorKind::Unsupported, text));
    }
    if !own.is_empty() {
        container.insert("Environment".to_owned(), Value::Object(own));
    }
    container.insert("ModelPackageName".to_owned(), json!(arn));
    let mut body = given(served, &OF_MODELS);
    if body.contains_key("PrimaryContainer") {
        body.insert("PrimaryContainer".to_owned(), Value::Object(container));
    } else {
        let mut list: Vec<Value> = all.iter().map(|one| Value::Object((*one).clone())).collect();
        list[at] = Value::Object(container);
        body.insert("Containers".to_owned(), Value::Array(list));
    }
    let name = name("model", group, version, &body)?;
    body.insert("ModelName".to_owned(), json!(name));
    Ok(Made { name, body })
}

/// A configuration like `in_force`, whose variants have the models that `instead` gives for theirs.
pub(super) fn configuration(
    group: &Group,
    in_force: &Object,
    version: &VersionName,
    instead: impl Fn(&str) -> Option<String>,
) -> Result<Made, PortError> {
    let mut body = given(in_force, &OF_CONFIGURATIONS);
    let variants = body.get_mut("ProductionVariants").and_then(Value::as_array_mut).into_iter().flatten();
    for variant in variants {
        let model = variant["ModelName"].as_str().and_then(&instead);
        if let Some(model) = model {
            variant["ModelName"] = json!(model);
        }
    }
    let name = name("configuration", group, version, &body)?;
    body.insert("EndpointConfigName".to_owned(), json!(name));
    Ok(Made { name, body })
}

/// Whether what is there under the name is what is to be made, as far as it says what answers: AWS adds what it takes for granted.
pub(super) fn is_same_model(there: &Object, made: &Made) -> bool {
    let packages = |model: &Object| -> Vec<Value> {
        containers(model).iter().map(|one| one.get("ModelPackageName").cloned().unwrap_or_default()).collect()
    };
    packages(there) == packages(&made.body)
}

/// The same of a configuration.
pub(super) fn is_same_configuration(there: &Object, made: &Made) -> bool {
    let models = |configuration: &Object| -> Vec<(Value, Value)> {
        let variants = configuration.get("ProductionVariants").and_then(Value::as_array);
        let of = |one: &Value| (one["VariantName"].clone(), one["ModelName"].clone());
        variants.into_iter().flatten().map(of).collect()
    };
    models(there) == models(&made.body)
}

/// A variant with its weight, and whether it is of the target.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Standing {
    pub(super) name: String,
    pub(super) weight: f64,
    pub(super) is_target: bool,
}

/// The weights that give the target this share of the traffic, and leave the others what is left, each as much of it as it had.
pub(super) fn weights(standing: &[Standing], share: Ratio) -> Vec<(String, f64)> {
    let side = |target: bool| standing.iter().filter(move |one| one.is_target == target);
    let sum = |target: bool| side(target).map(|one| one.weight).sum::<f64>();
    let weight = |one: &Standing| {
        let whole = if one.is_target { share.get() } else { 1.0 - share.get() };
        let (sum, count) = (sum(one.is_target), side(one.is_target).count().max(1));
        let part = if sum > 0.0 { one.weight / sum } else { 1.0 / count as f64 };
        whole * part
    };
    standing.iter().map(|one| (one.name.clone(), weight(one))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    fn group() -> Group {
        Group { shown: "fraud".into() }
    }

    fn version(name: &str) -> VersionName {
        VersionName::new(name).unwrap()
    }

    const ARN: &str = "arn:aws:sagemaker:eu-west-1:1:model-package/fraud/";

    fn served() -> Object {
        object(json!({
            "ModelName": "fraud-9", "ModelArn": "arn:x", "CreationTime": 1.5, "Containers": [],
            "PrimaryContainer": {
                "ModelPackageName": format!("{ARN}9"), "ContainerHostname": "main", "Image": "of the package",
                "Environment": { "OF_PACKAGE": "9", "LOG": "debug" },
            },
            "ExecutionRoleArn": "arn:aws:iam::1:role/sm", "VpcConfig": { "Subnets": ["s"], "SecurityGroupIds": ["g"] },
            "EnableNetworkIsolation": true,
        }))
    }

    #[test]
    fn a_model_is_made_like_the_one_that_is_served_but_for_its_package() {
        let package =
            json!({ "InferenceSpecification": { "Containers": [{ "Environment": { "OF_PACKAGE": "9" } }] } });
        let arn = format!("{ARN}7");
        let made = model(&group(), &served(), Some(&package), (&version("7"), &arn)).unwrap();
        let wanted = json!({
            "ModelName": made.name, "ExecutionRoleArn": "arn:aws:iam::1:role/sm", "EnableNetworkIsolation": true,
            "VpcConfig": { "Subnets": ["s"], "SecurityGroupIds": ["g"] },
            "PrimaryContainer": { "ModelPackageName": arn, "ContainerHostname": "main", "Environment": { "LOG": "debug" } },
        });
        assert_eq!(Value::Object(made.body.clone()), wanted);
        assert!(made.name.starts_with("ripcord-fraud-7-") && made.name.len() <= 63, "{}", made.name);
        let again = model(&group(), &served(), Some(&package), (&version("7"), &arn)).unwrap();
        assert_eq!(again, made, "the same makes the same");
        let other = model(&group(), &served(), Some(&json!({})), (&version("7"), &arn)).unwrap();
        assert_ne!(other.name, made.name, "other content has another name");
        assert!(is_same_model(&made.body, &made));
        assert!(!is_same_model(&served(), &made));
    }

    #[test]
    fn variables_of_which_nobody_knows_who_has_set_them_are_not_taken_over() {
        let mut variables: Object = (0..11).map(|n| (format!("V{n:02}\u{1b}"), json!("s3cret"))).collect();
        let mut of = served();
        of["PrimaryContainer"]["Environment"] = Value::Object(variables.clone());
        let error = model(&group(), &of, None, (&version("7"), ARN)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(
            text.contains("the model `fraud-9` has the variables `V00\\u{1b}`, ")
                && text.contains("and 1 more")
        );
        assert!(!text.contains("s3cret") && !text.contains('\u{1b}'), "{text}");
        variables.clear();
        of["PrimaryContainer"]["Environment"] = Value::Object(variables);
        model(&group(), &of, None, (&version("7"), ARN)).unwrap();
    }

    #[test]
    fn names_have_twenty_characters_of_the_groups() {
        let group = Group { shown: "credit-card-fraud-detection".into() };
        let made = name("model", &group, &version("7"), &Object::new()).unwrap();
        assert!(made.starts_with("ripcord-credit-card-fraud-de-7-"), "{made}");
        let group = Group { shown: "credit-card-fraud-a-b".into() };
        let made = name("model", &group, &version("7"), &Object::new()).unwrap();
        assert!(made.starts_with("ripcord-credit-card-fraud-a-7-"), "{made}");
    }

    #[test]
    fn other_containers_stay_and_a_model_of_several_without_a_version_is_no_pattern() {
        let pre = json!({ "Image": "pre", "ContainerHostname": "pre" });
        let several = object(
            json!({ "PrimaryContainer": {}, "Containers": [pre, { "ModelPackageName": format!("{ARN}9") }] }),
        );
        let arn = format!("{ARN}7");
        let made = model(&group(), &several, None, (&version("7"), &arn)).unwrap();
        assert_eq!(made.body["Containers"], json!([pre, { "ModelPackageName": arn }]));
        let none = object(json!({ "Containers": [pre, pre] }));
        let error = model(&group(), &none, None, (&version("7"), &arn)).unwrap_err();
        assert!(error.to_string().contains("none is a version of `fraud`"), "{error}");
    }

    #[test]
    fn a_configuration_keeps_everything_but_the_models() {
        let in_force = object(json!({
            "EndpointConfigName": "c", "EndpointConfigArn": "arn:c", "CreationTime": 1, "DataCaptureConfig": { "EnableCapture": true },
            "AsyncInferenceConfig": {}, "KmsKeyId": "k",
            "ProductionVariants": [{ "VariantName": "a", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 4 }],
            "ShadowProductionVariants": [{ "VariantName": "s", "ModelName": "m" }],
        }));
        let made =
            configuration(&group(), &in_force, &version("7"), |of| (of == "m").then(|| "n".into())).unwrap();
        let wanted = json!({
            "EndpointConfigName": made.name, "DataCaptureConfig": { "EnableCapture": true }, "KmsKeyId": "k",
            "ProductionVariants": [{ "VariantName": "a", "ModelName": "n", "InstanceType": "ml.m5.large", "InitialInstanceCount": 4 }],
            "ShadowProductionVariants": [{ "VariantName": "s", "ModelName": "m" }],
        });
        assert_eq!(Value::Object(made.body.clone()), wanted);
        assert!(is_same_configuration(&made.body, &made) && !is_same_configuration(&in_force, &made));
        let back = configuration(&group(), &made.body, &version("7"), |_| None).unwrap();
        assert_eq!(back.name, made.name, "what is made of what was made has its name");
    }

    #[test]
    fn weights_give_the_target_its_share_and_the_others_the_rest_as_it_was() {
        let standing = |weights: &[(&str, f64, bool)]| {
            let one = |&(name, weight, is_target): &(&str, f64, bool)| Standing {
                name: name.into(),
                weight,
                is_target,
            };
            weights.iter().map(one).collect::<Vec<_>>()
        };
        let check = |from: &[(&str, f64, bool)], share: f64, expected: &[f64]| {
            let given = weights(&standing(from), Ratio::new(share).unwrap());
            let given: Vec<f64> = given.into_iter().map(|(_, weight)| weight).collect();
            assert!(given.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{given:?}");
        };
        check(&[("a", 9.0, false), ("b", 0.0, true)], 0.25, &[0.75, 0.25]);
        check(&[("a", 3.0, false), ("b", 1.0, false), ("c", 4.0, true)], 0.6, &[0.3, 0.1, 0.6]);
        check(&[("a", 1.0, false), ("b", 0.0, true), ("c", 0.0, true)], 1.0, &[0.0, 0.5, 0.5]);
        check(&[("a", 1.0, true)], 1.0, &[1.0]);
    }
}

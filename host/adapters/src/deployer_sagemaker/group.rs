//! Which version of the group a model is.

use ripcord_core::name::VersionName;
use serde_json::Value;

use super::wire::{Object, containers, text};

const GROUP: &str = ":model-package-group/";
const PACKAGE: &str = ":model-package/";

/// The model package group whose versions are told apart.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Its name, or its ARN where it is another account's.
    pub(super) shown: String,
}

/// What names the version in a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// The container that is made of a version of the group, by its place among the containers.
    By(usize, VersionName),
    /// No container is.
    Nothing,
}

impl Group {
    /// The version that an ARN of a model package is of, where it is of this group.
    pub(super) fn version(&self, arn: &str) -> Option<VersionName> {
        let (before, number) = arn.rsplit_once('/')?;
        let is_ours = if self.shown.starts_with("arn:") {
            before == self.shown.replacen(GROUP, PACKAGE, 1)
        } else {
            before.rsplit_once(PACKAGE).is_some_and(|(_, group)| group == self.shown)
        };
        if !is_ours || number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        VersionName::new(number).ok()
    }

    /// The group's own name.
    pub(super) fn name(&self) -> &str {
        self.shown.split_once(GROUP).map_or(&self.shown, |(_, name)| name)
    }

    /// What names the version in a model; an error where several do.
    pub(super) fn named(&self, model: &Object) -> Result<Named, String> {
        let containers = containers(model);
        let of = |container: &&Object| text(container, "ModelPackageName").and_then(|arn| self.version(arn));
        let mut found = containers.iter().enumerate().filter_map(|(at, one)| Some((at, of(one)?)));
        let Some((at, version)) = found.next() else { return Ok(Named::Nothing) };
        match found.next() {
            None => Ok(Named::By(at, version)),
            Some(_) => Err(format!(
                "several of its containers are versions of `{}`, and one version is what is served",
                self.shown
            )),
        }
    }

    /// What the containers of a model are made of, for people.
    pub(super) fn made_of(model: &Object) -> String {
        let of = |one: &&Object| {
            let what = text(one, "ModelPackageName").or_else(|| text(one, "ModelDataUrl"));
            what.or_else(|| text(one, "Image")).map(|what| format!("`{}`", what.escape_debug()))
        };
        let named: Vec<String> = containers(model).iter().filter_map(of).take(3).collect();
        if named.is_empty() { "nothing that is named".to_owned() } else { named.join(", ") }
    }
}

/// The variables of a container that its package does not set so: those that whoever deployed it has set.
pub(super) fn own_variables(container: &Object, package: Option<&Value>) -> Object {
    let Some(set) = container.get("Environment").and_then(Value::as_object) else { return Object::new() };
    let of_package = package.and_then(|package| package["InferenceSpecification"]["Containers"].as_array());
    let is_packages = |name: &str, value: &Value| {
        of_package.into_iter().flatten().any(|one| one["Environment"].get(name) == Some(value))
    };
    let own = set.iter().filter(|(name, value)| !is_packages(name, value));
    own.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_version_is_the_number_of_a_package_of_the_group() {
        let arn = |rest: &str| format!("arn:aws:sagemaker:eu-west-1:1:{rest}");
        let by_name = Group { shown: "fraud".into() };
        let by_arn = Group { shown: arn("model-package-group/fraud") };
        assert_eq!((by_name.name(), by_arn.name()), ("fraud", "fraud"));
        for group in [&by_name, &by_arn] {
            let of = |rest: &str| group.version(&arn(rest)).map(|version| version.to_string());
            assert_eq!(of("model-package/fraud/7").as_deref(), Some("7"));
            for other in ["model-package/churn/7", "model-package/fraud/", "model-package/fraud/x", "model/7"]
            {
                assert_eq!(of(other), None, "{other}");
            }
        }
        let others = "arn:aws:sagemaker:eu-west-1:2:model-package/fraud/7";
        assert_eq!(by_arn.version(others), None, "another account's group of the same name");
    }

    #[test]
    fn the_container_that_is_of_the_group_names_the_version() {
        let group = Group { shown: "fraud".into() };
        let package = |name: &str, number: u32| json!({ "ModelPackageName": format!("arn:aws:sagemaker:eu-west-1:1:model-package/{name}/{number}") });
        let named = |model: Value| group.named(&object(model));
        let seven = || VersionName::new("7").unwrap();
        let alone = json!({ "PrimaryContainer": package("fraud", 7), "Containers": [] });
        assert_eq!(named(alone), Ok(Named::By(0, seven())));
        let behind =
            json!({ "PrimaryContainer": {}, "Containers": [package("pre", 2), package("fraud", 7)] });
        assert_eq!(named(behind), Ok(Named::By(1, seven())));
        let image = json!({ "PrimaryContainer": { "Image": "x", "ModelDataUrl": "s3://m/a" } });
        assert_eq!(named(image.clone()), Ok(Named::Nothing));
        assert_eq!(Group::made_of(&object(image)), "`s3://m/a`");
        assert_eq!(Group::made_of(&object(json!({}))), "nothing that is named");
        let both = json!({ "Containers": [package("fraud", 6), package("fraud", 7)] });
        assert!(named(both).unwrap_err().contains("several of its containers"));
    }

    #[test]
    fn variables_that_are_the_packages_own_are_not_carried_over() {
        let container = object(json!({ "Environment": { "THRESHOLD": "7", "LOG": "debug", "KEY": "x" } }));
        let package = json!({ "InferenceSpecification": { "Containers": [{ "Environment": { "THRESHOLD": "7", "LOG": "info" } }] } });
        let own = own_variables(&container, Some(&package));
        assert_eq!(Value::Object(own), json!({ "LOG": "debug", "KEY": "x" }));
        assert_eq!(own_variables(&container, None).len(), 3);
        assert_eq!(own_variables(&object(json!({})), None).len(), 0);
    }
}

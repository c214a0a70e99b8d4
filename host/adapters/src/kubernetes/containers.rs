//! What a container of a pod runs: its image, or a variable of its environment, names the version.

use ripcord_core::name::VersionName;
use serde_json::{Value, json};

use super::{Behind, Replica, Template, entry, shown, text};

/// What of a container names the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// Its image.
    Image(Template),
    /// The value of a variable of this name.
    Variable(String, Template),
}

impl NamedBy {
    fn template(&self) -> &Template {
        match self {
            Self::Image(template) | Self::Variable(_, template) => template,
        }
    }

    /// What is written for a version.
    pub(crate) fn value(&self, version: &VersionName) -> String {
        self.template().of(version)
    }

    /// What a container says now, or why it says nothing.
    pub(crate) fn said<'v>(&self, container: &'v Value) -> Result<&'v str, String> {
        let of = || format!("container `{}`", shown(text(&container["name"])));
        match self {
            Self::Image(_) => {
                container["image"].as_str().ok_or_else(|| format!("has no image in the {}", of()))
            }
            Self::Variable(name, _) => {
                let all = container["env"].as_array().map(Vec::as_slice).unwrap_or_default();
                let found: Vec<_> = all.iter().filter(|one| text(&one["name"]) == name).collect();
                match found.as_slice() {
                    [one] => one["value"].as_str().ok_or_else(|| {
                        format!("has the variable `{name}` of the {} from elsewhere (`valueFrom`): only a value of its own is set here", of())
                    }),
                    [] => Err(format!("sets no variable `{name}` in the {}", of())),
                    _ => Err(format!("sets the variable `{name}` twice in the {}", of())),
                }
            }
        }
    }

    /// The version that a container is made for, or what it says instead.
    pub(crate) fn version(&self, container: &Value) -> Result<VersionName, String> {
        let said = self.said(container)?;
        let template = self.template();
        // Some clusters write the digest behind the tag.
        let tagged = match (self, said.split_once('@')) {
            (Self::Image(_), Some((tagged, _))) if !template.has('@') => tagged,
            _ => said,
        };
        template.version(tagged)
    }

    /// The container as it has to be.
    pub(crate) fn wanted(&self, name: &str, value: &str) -> Value {
        match self {
            Self::Image(_) => json!({ "name": name, "image": value }),
            Self::Variable(variable, _) => {
                json!({ "name": name, "env": [{ "name": variable, "value": value }] })
            }
        }
    }

    /// The field within `containers` that is set.
    pub(crate) fn field(&self, name: &str) -> Vec<String> {
        match self {
            Self::Image(_) => vec![entry(name), "image".to_owned()],
            Self::Variable(variable, _) => {
                vec![entry(name), "env".to_owned(), entry(variable), "value".to_owned()]
            }
        }
    }
}

/// The container of this name, or the only one.
pub(crate) fn container<'v>(pod_spec: &'v Value, name: Option<&str>) -> Result<&'v Value, String> {
    let all = pod_spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    match (name, all) {
        (None, [one]) => Ok(one),
        (None, _) => Err(format!("has {} containers: say by `container` which one is meant", all.len())),
        (Some(name), _) => all
            .iter()
            .find(|one| text(&one["name"]) == name)
            .ok_or_else(|| format!("has no container `{}`", shown(name))),
    }
}

/// Whether all pods of one version run the same image; where one tag led to two, the pods are told.
pub(crate) fn one_image_each(
    behind: &Behind,
    container: &str,
    made_for: impl Fn(&Replica) -> Result<VersionName, String>,
) -> Result<(), String> {
    let mut known: Vec<(VersionName, &str, &str)> = Vec::new();
    for replica in &behind.ready {
        let statuses = replica.pod["status"]["containerStatuses"].as_array();
        let status = statuses.into_iter().flatten().find(|status| text(&status["name"]) == container);
        let image = status.map_or("", |status| text(&status["imageID"]));
        let Some((_, digest)) = image.rsplit_once('@') else { continue };
        let version = made_for(replica)?;
        match known.iter().find(|(of, ..)| *of == version) {
            Some((_, other, pod)) if *other != digest => {
                return Err(format!(
                    "the pods `{}` and `{}` are both made for `{version}` and run two images, `{}` and `{}`: its tag was moved; name images by digest",
                    shown(pod),
                    shown(&replica.name),
                    shown(other),
                    shown(digest)
                ));
            }
            Some(_) => {}
            None => known.push((version, digest, &replica.name)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str) -> NamedBy {
        NamedBy::Image(Template::new("image", text, "fraud").unwrap())
    }

    #[test]
    fn an_image_names_a_version() {
        let container = |image: &str| json!({ "name": "main", "image": image });
        let by_tag = image("registry.example/{model}:{version}");
        let version = VersionName::new("1.0").unwrap();
        assert_eq!(by_tag.version(&container("registry.example/fraud:1.0")).unwrap(), version);
        assert_eq!(by_tag.version(&container("registry.example/fraud:1.0@sha256:ab")).unwrap(), version);
        assert!(by_tag.version(&container("other/fraud:1.0")).unwrap_err().contains("does not fit `image`"));
        let by_digest = image("registry.example/fraud@sha256:{version}");
        assert_eq!(by_digest.version(&container("registry.example/fraud@sha256:ab")).unwrap().as_str(), "ab");
        assert!(by_digest.version(&container("registry.example/fraud:1.0")).is_err());
        assert!(by_tag.version(&json!({ "name": "main" })).unwrap_err().contains("has no image"));
    }

    #[test]
    fn a_variable_names_a_version() {
        let template = Template::new("value", "{version}", "fraud").unwrap();
        let by = NamedBy::Variable("MODEL_VERSION".into(), template);
        let of = |env: Value| by.version(&json!({ "name": "main", "env": env }));
        assert_eq!(of(json!([{ "name": "MODEL_VERSION", "value": "1.0" }])).unwrap().as_str(), "1.0");
        let from = json!([{ "name": "MODEL_VERSION", "valueFrom": { "fieldRef": {} } }]);
        assert!(of(from).unwrap_err().contains("from elsewhere"));
        assert!(of(json!([])).unwrap_err().contains("sets no variable `MODEL_VERSION`"));
        let twice =
            json!([{ "name": "MODEL_VERSION", "value": "1" }, { "name": "MODEL_VERSION", "value": "2" }]);
        assert!(of(twice).unwrap_err().contains("twice"));
    }

    #[test]
    fn the_only_container_need_not_be_named() {
        let one = json!({ "containers": [{ "name": "main" }] });
        let two = json!({ "containers": [{ "name": "main" }, { "name": "proxy" }] });
        assert_eq!(container(&one, None).unwrap()["name"], "main");
        assert_eq!(container(&two, Some("proxy")).unwrap()["name"], "proxy");
        assert!(container(&two, None).unwrap_err().contains("say by `container`"));
        assert!(container(&one, Some("other")).unwrap_err().contains("no container `other`"));
    }
}

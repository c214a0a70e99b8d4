//! What puts objects back to what a repository says.

use serde_json::Value;

use super::{shown, text};

/// Labels and annotations by which such a system marks what is its own.
const MARKS: [(&str, &str); 4] = [
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
];

/// What a person should know of it, where there is such a system.
pub(crate) fn put_back_by(object: &Value) -> Option<String> {
    let metadata = &object["metadata"];
    MARKS.iter().find_map(|(mark, system)| {
        let by = [&metadata["annotations"][mark], &metadata["labels"][mark]].into_iter().find(|value| value.is_string())?;
        Some(format!(
            "{system} (`{}`) sets this object from a repository: where it heals itself, it puts a bad version back after a rollback; roll back in the repository too, or pause it",
            shown(text(by))
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_sets_an_object_from_a_repository_is_told() {
        let marked = json!({ "metadata": { "labels": { "argocd.argoproj.io/instance": "fraud" } } });
        assert!(put_back_by(&marked).unwrap().starts_with("Argo CD (`fraud`)"));
        let marked = json!({ "metadata": { "annotations": { "kustomize.toolkit.fluxcd.io/name": "apps" } } });
        assert!(put_back_by(&marked).unwrap().starts_with("Flux (`apps`)"));
        assert_eq!(put_back_by(&json!({ "metadata": { "labels": {} } })), None);
    }
}

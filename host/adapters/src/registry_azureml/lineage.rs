//! What a version was made of: what it says itself, and the job that made it.

use std::collections::BTreeMap;

use ripcord_core::fact::{Dataset, Lineage};
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_ports::{ErrorKind, PortError};
use serde_json::Value;

use super::api::{Api, Home, is_name};
use super::place::without_secrets;
use super::wire::{Dictionary, JobInput, Version};

/// Where the commit stands, in the order in which it is believed.
const CODE: [&str; 5] =
    ["azureml.git.commit", "mlflow.source.git.commit", "git.commit", "git-commit", "commit"];
/// What else is told of the code.
const OF_CODE: [&str; 5] = [
    "azureml.git.repository_uri",
    "azureml.git.branch",
    "azureml.git.dirty",
    "mlflow.source.git.repoURL",
    "mlflow.source.git.branch",
];
const DATASET: &str = "dataset";
const DATASET_REVISION: [&str; 2] = ["dataset-revision", "dataset_revision"];
/// More are no parameters that anybody compares.
const PARAMETERS_MAX: usize = 200;
/// More are no data sets that anybody looks through.
const DATASETS_MAX: usize = 200;

/// What is found of one version's origin.
#[derive(Default)]
struct Found {
    parameters: BTreeMap<String, String>,
    datasets: Vec<Dataset>,
    /// Whether there are data sets that are not in `datasets`.
    too_many: bool,
    parent: Option<VersionTarget>,
}

impl Found {
    fn parameter(&mut self, name: &str, value: &str) {
        if self.parameters.len() < PARAMETERS_MAX && !value.is_empty() {
            self.parameters.entry(name.to_owned()).or_insert_with(|| without_secrets(value));
        }
    }

    fn dataset(&mut self, (name, revision): (&str, Option<&str>), context: Option<&str>) {
        let (name, revision) = (without_secrets(name), revision.map(without_secrets));
        let is_known = |set: &Dataset| set.name == name && set.revision == revision;
        if name.is_empty() || self.datasets.iter().any(is_known) {
            return;
        }
        if self.datasets.len() >= DATASETS_MAX {
            self.too_many = true;
            return;
        }
        self.datasets.push(Dataset { name, revision, context: context.map(str::to_owned) });
    }
}

/// What is known of the version's origin. A job that is gone is left out, and with it the data sets that only it named: it does not come back, and what the
/// version says itself counts still. One that the identity may not see is an error, and so are more data sets than are kept, since a data set that is not
/// shown would be taken for none.
pub(super) async fn of(api: &Api, version: &Version) -> Result<Lineage, PortError> {
    let own = &version.properties;
    let mut found = Found::default();
    let said = [&own.properties, &own.tags];
    let mut code = first(&said, &CODE);
    if let Some(name) = first(&said, &[DATASET]) {
        let revision = first(&said, &DATASET_REVISION);
        found.dataset((&name, revision.as_deref()), Some("training"));
    }
    for of in OF_CODE {
        if let Some(value) = first(&said, &[of]) {
            found.parameter(of, &value);
        }
    }
    for set in &own.datasets {
        let (name, revision) = asset(&set.id, "data").unwrap_or((&set.id, None));
        // The reference's own name is what it was used for.
        let name = if name.is_empty() { &set.name } else { name };
        found.dataset((name, revision), Some(&set.name).filter(|name| !name.is_empty()).map(String::as_str));
    }
    let job = Some(own.job_name.as_str()).filter(|job| is_name(job));
    if let (Some(name), Home::Workspace(_)) = (job, &api.home)
        && let Some(job) = unless_gone(api.job(name).await)?
    {
        let of_job = job.properties;
        code = code.or_else(|| first(&[&of_job.properties], &CODE));
        for of in OF_CODE {
            if let Some(value) = first(&[&of_job.properties], &[of]) {
                found.parameter(of, &value);
            }
        }
        for (name, input) in &of_job.inputs {
            given(&mut found, name, input, api, version);
        }
        for (name, value) in &of_job.parameters {
            match value {
                Value::String(text) => found.parameter(name, text),
                Value::Number(_) | Value::Bool(_) => found.parameter(name, &value.to_string()),
                _ => {}
            }
        }
    }
    if found.too_many {
        let text = format!(
            "version `{}` of `{}`, or the job that made it, was given more than {DATASETS_MAX} data sets: what it was made of is not known; look at the job in Azure ML",
            version.name.escape_debug(),
            api.what()
        );
        return Err(PortError::not_applied(ErrorKind::TooLarge, text));
    }
    let parameters = found.parameters.into_iter().map(|(name, value)| Label { name, value }).collect();
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let lineage = Lineage {
        code,
        run: text(&own.job_name),
        source: text(&without_secrets(&own.model_uri)),
        parameters,
        parent: found.parent,
        ..Lineage::default()
    };
    Ok(lineage.with_datasets(found.datasets))
}

fn first(of: &[&Dictionary], names: &[&str]) -> Option<String> {
    let value =
        |name: &&str| of.iter().find_map(|one| one.get(*name)?.clone().filter(|value| !value.is_empty()));
    names.iter().find_map(value)
}

fn unless_gone<T>(read: Result<T, PortError>) -> Result<Option<T>, PortError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a job was given: a value, a version of a model, or data.
fn given(found: &mut Found, name: &str, input: &JobInput, api: &Api, version: &Version) {
    match input.job_input_type.as_str() {
        "literal" => found.parameter(name, &input.value),
        "custom_model" | "mlflow_model" | "triton_model" => match asset(&input.uri, "models") {
            Some((of, Some(revision)))
                if of == api.model
                    && revision != version.name
                    && is_own(&input.uri, &api.home, &api.scope()) =>
            {
                let parent = VersionName::new(revision.to_owned()).ok();
                let parent = parent.map(|version| VersionTarget { version, digest: None });
                found.parent = found.parent.take().or(parent);
            }
            _ => found.parameter(name, &input.uri),
        },
        _ => {
            let set = asset(&input.uri, "data").unwrap_or((&input.uri, None));
            found.dataset(set, Some(name));
        }
    }
}

/// Whether an asset is of the own workspace or registry, whose address is `scope`. A place of Azure's (`azureml://locations/…`) names a workspace by an id that is
/// not known here, and is taken for the own one: what is taken for made of a condemned version is looked at, and what is not may be gone back to.
fn is_own(uri: &str, home: &Home, scope: &str) -> bool {
    let uri = uri.to_ascii_lowercase();
    let (kind, name) = home.key();
    let in_registry = uri.strip_prefix("azureml://registries/").and_then(|rest| rest.split('/').next());
    if let Some(registry) = in_registry {
        return kind == "registry" && registry == name.to_ascii_lowercase();
    }
    if !uri.contains('/') || uri.starts_with("azureml://locations/") {
        return true;
    }
    let scope = scope.to_ascii_lowercase();
    // Azure's own client leaves out whose kind of resource it is.
    let short = scope.replace("/providers/microsoft.machinelearningservices", "");
    [scope, short].iter().any(|scope| uri.contains(&format!("{scope}/models/")))
}

/// Name and version of an asset, where an address names one: `azureml:NAME:VERSION`, or `…/KIND/NAME/versions/VERSION`.
fn asset<'a>(uri: &'a str, kind: &str) -> Option<(&'a str, Option<&'a str>)> {
    if let Some((_, rest)) = uri.split_once(&format!("/{kind}/")) {
        let (name, rest) = rest.split_once("/versions/")?;
        let version = rest.split('/').next().filter(|version| !version.is_empty());
        return (!name.is_empty() && !name.contains('/')).then_some((name, version));
    }
    let rest = uri.strip_prefix("azureml:").filter(|rest| !rest.contains('/'))?;
    let (name, version) = rest.split_once(':').or_else(|| rest.split_once('@'))?;
    Some((name, Some(version).filter(|version| !version.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_read_from_each_form_of_its_address() {
        for uri in [
            "azureml:transactions:7",
            "azureml://locations/westeurope/workspaces/1/data/transactions/versions/7",
            "azureml:/subscriptions/s/resourceGroups/r/providers/Microsoft.MachineLearningServices/workspaces/w/data/transactions/versions/7",
            "azureml://registries/acme/data/transactions/versions/7",
        ] {
            assert_eq!(asset(uri, "data"), Some(("transactions", Some("7"))), "{uri}");
        }
        for uri in ["azureml://datastores/b/paths/a", "https://a/b", "", "transactions"] {
            assert_eq!(asset(uri, "data"), None, "{uri}");
        }
    }

    #[test]
    fn a_version_elsewhere_is_told_from_the_own_one() {
        let workspace = Home::Workspace("w".into());
        let of = |kind: &str, name: &str| {
            format!(
                "/subscriptions/s/resourceGroups/r/providers/Microsoft.MachineLearningServices/{kind}/{name}"
            )
        };
        let (scope, other) = (of("workspaces", "w"), of("workspaces", "w2"));
        let own = |uri: &str| is_own(uri, &workspace, &scope);
        for uri in [
            "azureml:fraud:1",
            "azureml:fraud@latest",
            "azureml://locations/westeurope/workspaces/1/models/fraud/versions/1",
            "azureml://subscriptions/S/resourcegroups/R/workspaces/W/models/fraud/versions/1",
            &format!("azureml:{scope}/models/fraud/versions/1"),
            &format!("{}/models/fraud/versions/1", scope.to_uppercase()),
        ] {
            assert!(own(uri), "{uri}");
        }
        for uri in [
            "azureml://registries/acme/models/fraud/versions/1",
            "azureml://registries/w/models/fraud/versions/1",
            "azureml://subscriptions/s/resourcegroups/r/workspaces/w2/models/fraud/versions/1",
            "azureml://subscriptions/s2/resourcegroups/r/workspaces/w/models/fraud/versions/1",
            &format!("azureml:{other}/models/fraud/versions/1"),
        ] {
            assert!(!own(uri), "{uri}");
        }
        let (registry, scope) = (Home::Registry("acme".into()), of("registries", "acme"));
        assert!(is_own("azureml://registries/Acme/models/fraud/versions/1", &registry, &scope));
        assert!(!is_own("azureml://registries/acme2/models/fraud/versions/1", &registry, &scope));
    }
}

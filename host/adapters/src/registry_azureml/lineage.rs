//! What a version was made of: what it says itself, and the job that made it.

use std::collections::BTreeMap;

use ripcord_core::fact::{Dataset, Lineage};
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_ports::{ErrorKind, PortError};
use serde_json::Value;

use super::api::{Api, Home, is_name};
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
    parent: Option<VersionTarget>,
}

impl Found {
    fn parameter(&mut self, name: &str, value: &str) {
        if self.parameters.len() < PARAMETERS_MAX && !value.is_empty() {
            self.parameters.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }

    fn dataset(&mut self, (name, revision): (&str, Option<&str>), context: Option<&str>) {
        let is_known = |set: &Dataset| set.name == name && set.revision.as_deref() == revision;
        if !name.is_empty() && self.datasets.len() < DATASETS_MAX && !self.datasets.iter().any(is_known) {
            let (revision, context) = (revision.map(str::to_owned), context.map(str::to_owned));
            self.datasets.push(Dataset { name: name.to_owned(), revision, context });
        }
    }
}

/// What is known of the version's origin. A job that is gone is left out; one that the identity may not see is an error, since a data set that is not shown
/// would be taken for none.
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
            given(&mut found, name, input, &api.model, version);
        }
        for (name, value) in &of_job.parameters {
            match value {
                Value::String(text) => found.parameter(name, text),
                Value::Number(_) | Value::Bool(_) => found.parameter(name, &value.to_string()),
                _ => {}
            }
        }
    }
    let parameters = found.parameters.into_iter().map(|(name, value)| Label { name, value }).collect();
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    // Blob Storage's addresses may carry what lets their holder in.
    let source = own.model_uri.split(['?', '#']).next().unwrap_or_default();
    let lineage = Lineage {
        code,
        run: text(&own.job_name),
        source: text(source),
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
fn given(found: &mut Found, name: &str, input: &JobInput, model: &str, version: &Version) {
    match input.job_input_type.as_str() {
        "literal" => found.parameter(name, &input.value),
        "custom_model" | "mlflow_model" | "triton_model" => match asset(&input.uri, "models") {
            Some((of, Some(revision))) if of == model && revision != version.name => {
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
}

//! What a version was made of: what it says itself, the training pipeline that uploaded it, and the graph of Vertex ML Metadata around it.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::fact::{Dataset, Lineage};
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_ports::{ErrorKind, PortError};
use serde_json::{Map, Value};

use super::api::{self, Api};
use super::wire::{Model, Node, Subgraph, TrainingPipeline};

/// Labels that say what nothing else in Vertex AI does.
const CODE_LABELS: [&str; 3] = ["commit", "git-commit", "git_commit"];
const DATASET_LABEL: &str = "dataset";
const DATASET_REVISION_LABELS: [&str; 2] = ["dataset-revision", "dataset_revision"];
/// More are no parameters that anybody compares.
const PARAMETERS_MAX: usize = 200;

/// What is found of one version's origin.
#[derive(Default)]
struct Found {
    parameters: BTreeMap<String, String>,
    datasets: Vec<Dataset>,
    parent: Option<VersionTarget>,
}

impl Found {
    fn parameter(&mut self, name: &str, value: &Value) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return,
        };
        if self.parameters.len() < PARAMETERS_MAX {
            self.parameters.entry(name.to_owned()).or_insert(text);
        }
    }

    fn dataset(&mut self, name: &str, revision: Option<String>, context: Option<&str>) {
        if !name.is_empty() && self.datasets.iter().all(|set| set.name != name || set.revision != revision) {
            let context = context.map(str::to_owned);
            self.datasets.push(Dataset { name: name.to_owned(), revision, context });
        }
    }
}

/// What is known of the version's origin. What is gone is left out; what the account may not see is an error, since a data set that is not shown would be
/// taken for none.
pub(super) async fn of(api: &Api, model: &Model) -> Result<Lineage, PortError> {
    let mut found = Found::default();
    let mut code = labelled(&model.labels, &CODE_LABELS);
    if let Some(name) = model.labels.get(DATASET_LABEL) {
        found.dataset(name, labelled(&model.labels, &DATASET_REVISION_LABELS), Some("training"));
    }
    let run = [&model.pipeline_job, &model.training_pipeline].into_iter().find(|name| !name.is_empty());
    if !model.training_pipeline.is_empty()
        && let Some(training) = unless_gone(api.training(&model.training_pipeline).await)?
    {
        if training.name.is_empty() {
            return Err(api.without("the training pipeline that it was asked for"));
        }
        code = code.or_else(|| labelled(&training.labels, &CODE_LABELS));
        of_training(&mut found, &training);
    }
    if !model.metadata_artifact.is_empty()
        && let Some(graph) = unless_gone(api.subgraph(&model.metadata_artifact).await)?
    {
        of_graph(&mut found, &graph, &model.metadata_artifact, &api.id)?;
    }
    let copied = model.original_model_info.as_ref().map(|info| info.model.clone());
    let source =
        [copied.unwrap_or_default(), model.artifact_uri.clone()].into_iter().find(|it| !it.is_empty());
    let parameters = found.parameters.into_iter().map(|(name, value)| Label { name, value }).collect();
    let lineage =
        Lineage { code, run: run.cloned(), source, parameters, parent: found.parent, ..Lineage::default() };
    Ok(lineage.with_datasets(found.datasets))
}

fn labelled(labels: &BTreeMap<String, String>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| labels.get(*name)).filter(|value| !value.is_empty()).cloned()
}

fn unless_gone<T>(read: Result<T, PortError>) -> Result<Option<T>, PortError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Data set and parameters of a training pipeline: what its task is given as plain values, and the arguments of the first container that it runs.
fn of_training(found: &mut Found, training: &TrainingPipeline) {
    if let Some(data) = &training.input_data_config {
        found.dataset(&data.dataset_id, None, Some("training"));
    }
    let inputs = &training.training_task_inputs;
    for (name, value) in inputs.as_object().into_iter().flatten() {
        found.parameter(name, value);
    }
    let first = &inputs["workerPoolSpecs"][0];
    for spec in ["containerSpec", "pythonPackageSpec"] {
        let arguments = first[spec]["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for argument in arguments {
            if let Some((name, value)) = argument.strip_prefix("--").and_then(|rest| rest.split_once('=')) {
                found.parameter(name, &Value::from(value));
            }
        }
    }
}

/// Of the graph around the version's own artifact: what the executions that made it were given.
fn of_graph(found: &mut Found, graph: &Subgraph, own: &str, id: &str) -> Result<(), PortError> {
    let own = tail(own);
    if !graph.artifacts.iter().any(|artifact| tail(&artifact.name) == own) {
        let text = "Vertex ML Metadata answered with a lineage that does not have what it was asked about";
        return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
    }
    let made: BTreeSet<&str> = graph
        .events
        .iter()
        .filter(|event| event.kind == "OUTPUT" && tail(&event.artifact) == own)
        .map(|event| tail(&event.execution))
        .collect();
    let given: BTreeSet<&str> = graph
        .events
        .iter()
        .filter(|event| event.kind == "INPUT" && made.contains(tail(&event.execution)))
        .map(|event| tail(&event.artifact))
        .collect();
    for execution in graph.executions.iter().filter(|execution| made.contains(tail(&execution.name))) {
        for (name, value) in &execution.metadata {
            // Pipelines write what a step was given so; the rest is about the run itself.
            if let Some(name) = name.strip_prefix("input:") {
                found.parameter(name, value);
            }
        }
    }
    for artifact in graph.artifacts.iter().filter(|artifact| given.contains(tail(&artifact.name))) {
        if artifact.schema_title.ends_with("Model") {
            found.parent = found.parent.take().or_else(|| parent(artifact, id));
        } else {
            let name = if artifact.display_name.is_empty() { &artifact.uri } else { &artifact.display_name };
            found.dataset(name, text(&artifact.metadata, "version"), Some(&artifact.schema_title));
        }
    }
    Ok(())
}

/// The version of this model that went in, if it was one: what else was trained on from has other numbers.
fn parent(artifact: &Node, id: &str) -> Option<VersionTarget> {
    let named = text(&artifact.metadata, "resourceName").unwrap_or_else(|| artifact.uri.clone());
    let (model, version) = named.rsplit('/').next()?.split_once('@')?;
    (model == id && api::number(version).is_some()).then_some(())?;
    Some(VersionTarget { version: VersionName::new(version.to_owned()).ok()?, digest: None })
}

fn text(metadata: &Map<String, Value>, name: &str) -> Option<String> {
    match metadata.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A resource's name without its project, which is written by id or by number.
fn tail(name: &str) -> &str {
    name.split_once("/locations/").map_or(name, |(_, tail)| tail)
}

//! From SageMaker's words to the port's.

use ripcord_core::fact::{Dataset, Lineage};
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::RegistryVersion;
use ripcord_ports::{ErrorKind, PortError};

use super::api::Api;
use super::holds;
use super::objects::{Objects, parts};
use super::wire::{Channel, Package, TrainingJob, text};

/// Names of SageMaker's own fields among tags and parameters, which no property and no parameter of a user's begins with.
const OWN: &str = "sagemaker:";
/// More are no steps to one version.
const JOBS_MAX: usize = 20;
const COMPLETED: &str = "Completed";

/// One version with what hangs on it. What hinders a later fetch makes it broken; what hinders knowing is an error.
pub(super) async fn version(
    objects: &Objects,
    name: &VersionName,
    package: &Package,
    aliases: Vec<String>,
    group: &str,
) -> Result<RegistryVersion, PortError> {
    let created_at = created_at(package.creation_time).ok_or_else(|| {
        let text = format!("SageMaker says of version `{name}` of `{group}` that it was made at {}, which is no time after 1970", package.creation_time);
        PortError::not_applied(ErrorKind::BadAnswer, text)
    })?;
    let hindered = match hindrance(package) {
        Some(why) => Some(why),
        None => found(objects, package, &format!("version `{name}` of `{group}`")).await?,
    };
    let containers = package.inference_specification.iter().flat_map(|of| of.containers.iter().flatten());
    let images: Vec<String> = containers
        .filter_map(|container| {
            let image = text(container.image.as_ref())?;
            let digest = text(container.image_digest.as_ref()).filter(|_| !image.contains('@'));
            Some(digest.map_or(image.clone(), |digest| format!("{image}@{digest}")))
        })
        .collect();
    Ok(RegistryVersion {
        version: VersionTarget { version: name.clone(), digest: None },
        created_at,
        aliases,
        tags: tags(package),
        measures: Vec::new(),
        signature: None,
        runtime: (!images.is_empty()).then(|| images.join(", ")),
        broken: hindered,
    })
}

fn created_at(seconds: f64) -> Option<UnixMillis> {
    let ms = (seconds * 1_000.0).round();
    // What fits is far beyond any time that is meant.
    (ms.is_finite() && (0.0..9e15).contains(&ms)).then_some(UnixMillis(ms as u64))
}

/// What SageMaker itself says against the version.
fn hindrance(package: &Package) -> Option<String> {
    let status = package.model_package_status.as_str();
    if status == COMPLETED {
        return None;
    }
    let details = package.model_package_status_details.as_ref();
    let reasons = details.iter().flat_map(|details| details.validation_statuses.iter().flatten());
    let reason = reasons.filter_map(|one| text(one.failure_reason.as_ref())).next();
    let reason = reason.map_or_else(String::new, |why| format!(": {}", why.escape_debug()));
    Some(format!("SageMaker calls it `{}`{reason}", status.escape_debug()))
}

/// Whether its files are there.
async fn found(objects: &Objects, package: &Package, what: &str) -> Result<Option<String>, PortError> {
    let parts = match parts(package) {
        Ok(parts) => parts,
        Err(why) => return Ok(Some(why)),
    };
    match objects.are_there(&parts, what).await {
        Ok(()) => Ok(None),
        // A property of this version, which hides no other. It may be another the next time.
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::Denied
                    | ErrorKind::NotFound
                    | ErrorKind::Configuration
                    | ErrorKind::Unsupported
                    | ErrorKind::WrongDigest
                    | ErrorKind::TooLarge
            ) =>
        {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

fn tags(package: &Package) -> Vec<Label> {
    let life = package.model_life_cycle.clone().unwrap_or_default();
    let own = [
        ("approval", package.model_approval_status.as_ref()),
        ("approval-description", package.approval_description.as_ref()),
        ("stage", life.stage.as_ref()),
        ("stage-status", life.stage_status.as_ref()),
    ];
    let own = own.into_iter().filter_map(|(name, value)| own_label(name, text(value)));
    let properties = package.customer_metadata_properties.iter().flatten();
    let properties = properties.filter(|(key, _)| *key != holds::BEFORE);
    let mut tags: Vec<Label> =
        own.chain(properties.map(|(key, value)| Label::new(key.clone(), value.clone()))).collect();
    tags.sort();
    tags
}

fn own_label(name: &str, value: Option<String>) -> Option<Label> {
    Some(Label::new(format!("{OWN}{name}"), value?))
}

/// What the version, and the training job that it says made it, tell of the origin.
pub(super) async fn lineage(api: &Api, package: &Package) -> Result<Lineage, PortError> {
    let metadata = package.metadata_properties.clone().unwrap_or_default();
    let source = parts(package).ok().and_then(|parts| parts.first().map(|part| part.uri.clone()));
    let run = text(metadata.generated_by.as_ref());
    let algorithms = package.source_algorithm_specification.iter();
    let algorithms = algorithms.flat_map(|of| of.source_algorithms.iter().flatten());
    let algorithms: Vec<String> = algorithms.filter_map(|one| text(one.algorithm_name.as_ref())).collect();
    let parent = algorithms.iter().find_map(|arn| parent(arn, &package.model_package_arn));
    let own = [
        ("repository", metadata.repository.as_ref()),
        ("project", metadata.project_id.as_ref()),
        ("source-algorithm", algorithms.first().filter(|_| parent.is_none())),
    ];
    let mut parameters: Vec<Label> =
        own.into_iter().filter_map(|(name, value)| own_label(name, text(value))).collect();
    let jobs = jobs(api, run.as_deref()).await?;
    let several = jobs.len() > 1;
    let mut datasets = Vec::new();
    for TrainingJob { training_job_arn, hyper_parameters, input_data_config } in jobs {
        // Two jobs may have a parameter of one name.
        let of = training_job(&training_job_arn).filter(|_| several);
        let of = of.map_or_else(String::new, |job| format!("{job}:"));
        let own = hyper_parameters.into_iter().flatten();
        parameters.extend(own.map(|(name, value)| Label { name: format!("{of}{name}"), value }));
        datasets.extend(input_data_config.into_iter().flatten().filter_map(dataset));
    }
    parameters.sort();
    // What was trained on before what it was only measured with.
    datasets.sort_by_key(|set| !matches!(set.context.as_deref(), Some("train" | "training")));
    let lineage = Lineage {
        code: text(metadata.commit_id.as_ref()),
        run,
        source,
        parameters,
        parent,
        ..Lineage::default()
    };
    Ok(lineage.with_datasets(datasets))
}

/// The training jobs behind what made a version: itself, or those of the steps of a pipeline's execution.
async fn jobs(api: &Api, run: Option<&str>) -> Result<Vec<TrainingJob>, PortError> {
    let Some(run) = run else { return Ok(Vec::new()) };
    let arns = if run.contains(":pipeline/") && run.contains("/execution/") {
        api.trained_in(run).await?
    } else {
        vec![run.to_owned()]
    };
    if arns.len() > JOBS_MAX {
        let text =
            format!("`{}` trained more than {JOBS_MAX} times: its lineage is not told", run.escape_debug());
        return Err(PortError::not_applied(ErrorKind::TooLarge, text));
    }
    let mut jobs = Vec::new();
    for name in arns.iter().filter_map(|arn| training_job(arn)) {
        jobs.extend(api.training_job(name).await?);
    }
    Ok(jobs)
}

/// The name of the training job that an ARN is of.
fn training_job(arn: &str) -> Option<&str> {
    let (_, name) = arn.split_once(":training-job/")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// The version that this one began with, where it is of the same group.
fn parent(arn: &str, own: &str) -> Option<VersionTarget> {
    let (group, number) = arn.rsplit_once('/')?;
    let (own_group, _) = own.rsplit_once('/')?;
    let number: u64 = number.parse().ok()?;
    if group != own_group || arn == own {
        return None;
    }
    Some(VersionTarget { version: VersionName::new(number.to_string()).ok()?, digest: None })
}

/// A channel of a training job. Its place is its name: SageMaker keeps no revision of it.
fn dataset(channel: Channel) -> Option<Dataset> {
    let source = channel.data_source?;
    let s3 = source.s3.and_then(|s3| text(s3.uri.as_ref()));
    let name = s3.or_else(|| {
        let system = source.file_system?;
        Some(format!(
            "{}{}",
            text(system.file_system_id.as_ref())?,
            system.directory_path.unwrap_or_default()
        ))
    })?;
    Some(Dataset { name, revision: None, context: text(channel.channel_name.as_ref()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_to_the_millisecond_and_nonsense_is_none() {
        assert_eq!(created_at(1_790_000_000.685), Some(UnixMillis(1_790_000_000_685)));
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(created_at(seconds), None, "{seconds}");
        }
    }

    #[test]
    fn a_parent_is_another_version_of_the_same_group() {
        let own = "arn:aws:sagemaker:eu-west-1:1:model-package/fraud/7";
        let of = |arn: &str| parent(arn, own).map(|target| target.version.to_string());
        assert_eq!(of("arn:aws:sagemaker:eu-west-1:1:model-package/fraud/3").as_deref(), Some("3"));
        for other in
            [own, "arn:aws:sagemaker:eu-west-1:2:model-package/fraud/3", "xgboost", "arn:x/fraud/last"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(training_job("arn:aws:sagemaker:eu-west-1:1:training-job/t-1"), Some("t-1"));
        assert_eq!(training_job("arn:aws:sagemaker:eu-west-1:1:pipeline/p/execution/x"), None);
    }
}

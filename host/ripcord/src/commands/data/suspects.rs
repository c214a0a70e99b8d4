//! `ripcord data suspects`: the version is asked by its name at the service's endpoint, or at an address that is given.

use std::sync::Arc;

use ripcord_adapters::Shared;
use ripcord_adapters::endpoint_open_inference::{OpenInferenceEndpoint, OpenInferenceEndpointConfig};
use ripcord_data::ManifestAt;
use ripcord_data::suspects::{InputForm, Judge, Limits, SuspectsOrder};
use ripcord_ports::{Endpoint, GoldenData};
use serde::Deserialize;

use super::{failure, page, say};
use crate::cli::{Global, SuspectsArgs};
use crate::commands::states::names;
use crate::commands::{Outcome, Reach};
use crate::config::{Config, ConfigError, Mistakes, ServiceConfig};
use crate::output::{Exit, Failure, Progress};
use crate::wiring;

/// For one answer at an address that is given, in milliseconds: a batch is slower than a row.
const DEADLINE_MS: u64 = 30_000;

pub(in crate::commands) async fn suspects(global: &Global, args: &SuspectsArgs) -> Outcome {
    let manifest = ManifestAt::read(&args.manifest).map_err(failure)?;
    let reach = Reach::new(global)?;
    names(&reach, Some(&args.service))?;
    let config = reach.here()?;
    let service = config.services.iter().find(|service| service.name == args.service);
    let service = service.ok_or_else(|| Failure::usage(format!("`{}` is not configured", args.service)))?;
    let shared = wiring::shared().map_err(|error| Failure::of(Exit::Failed, error))?;
    let (endpoint, golden) = ports(config, service, &shared)?;
    let endpoint = match &args.url {
        Some(url) => at(url, service, args, &shared)?,
        None => by_name(endpoint, args)?,
    };
    let order = SuspectsOrder {
        manifest: &manifest,
        endpoint: &*endpoint,
        candidate: None,
        version: Some(&args.version),
        trial: "data-suspects",
        form: form(golden.as_deref(), args).await,
        judge: match args.within {
            Some(within) => Judge::Within(within),
            None => Judge::Class(args.answer.iter().cloned().collect()),
        },
        limits: Limits::default(),
        rows_max: args.rows,
        batch_rows: usize::try_from(args.batch).unwrap_or(usize::MAX),
    };
    let progress = Progress::new(global.form(), global.color);
    let report =
        ripcord_data::suspects::suspects(&order, &mut |at| say(&progress, at)).await.map_err(failure)?;
    Ok(page::suspects(&report, &args.service))
}

type TrialPorts = (Option<Arc<dyn Endpoint>>, Option<Arc<dyn GoldenData>>);

fn ports(config: &Config, service: &ServiceConfig, shared: &Shared) -> Result<TrialPorts, Failure> {
    let mut mistakes = Mistakes::default();
    let ports = wiring::trial_ports(config, service, shared, &mut mistakes);
    match ConfigError::new(config.file.clone(), mistakes) {
        None => Ok(ports),
        Some(error) => {
            let text = error.text();
            Err(Failure::of(Exit::Usage, error).laid_out(text))
        }
    }
}

fn by_name(endpoint: Option<Arc<dyn Endpoint>>, args: &SuspectsArgs) -> Result<Arc<dyn Endpoint>, Failure> {
    let Some(endpoint) = endpoint else {
        return Err(Failure::usage(format!("`{}` has no endpoint that could be asked", args.service))
            .help("give the service an `endpoint` in the configuration, or a server with `--url`"));
    };
    endpoint.of_version(&args.version).ok_or_else(|| {
        Failure::usage(format!("`{}` asks no version by its name", endpoint.name()))
            .help("serve that version somewhere, and say where with `--url`")
    })
}

/// No token goes there: it is for the server that it was configured for.
fn at(
    url: &str,
    service: &ServiceConfig,
    args: &SuspectsArgs,
    shared: &Shared,
) -> Result<Arc<dyn Endpoint>, Failure> {
    let config = OpenInferenceEndpointConfig {
        url: url.to_owned(),
        model: service.facts.model.clone(),
        output: args.output.clone(),
        deadline_ms: DEADLINE_MS,
    };
    let made = OpenInferenceEndpoint::new(config, None, shared);
    made.map(|made| Arc::new(made) as Arc<dyn Endpoint>).map_err(|error| Failure::of(Exit::Usage, error))
}

/// As it is said, else as a golden set sends one row.
async fn form(golden: Option<&dyn GoldenData>, args: &SuspectsArgs) -> InputForm {
    let matrix = |name: String, datatype: String| InputForm::Matrix { name, datatype };
    if let Some(name) = &args.tensor {
        return matrix(name.clone(), args.datatype.clone());
    }
    match one_tensor(golden).await {
        Some(tensor) => matrix(tensor.name, tensor.datatype),
        None => InputForm::Columns { datatype: args.datatype.clone() },
    }
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    datatype: String,
}

async fn one_tensor(golden: Option<&dyn GoldenData>) -> Option<Tensor> {
    let golden = golden?;
    let name = golden.names().into_iter().next()?;
    let rows = golden.rows(&name).await.ok()?;
    let mut tensors: Vec<Tensor> = serde_json::from_str(&rows.first()?.input.body).ok()?;
    (tensors.len() == 1).then(|| tensors.remove(0))
}

//! `ripcord data suspects`: the version is asked at the service's endpoint, or at an address that is given.

use ripcord_adapters::endpoint_open_inference::OpenInferenceEndpoint;
use ripcord_data::ManifestAt;
use ripcord_data::suspects::{InputForm, Judge, Limits, SuspectsOrder};
use serde::Deserialize;

use super::{failure, page, say};
use crate::cli::{Global, SuspectsArgs};
use crate::commands::states::names;
use crate::commands::{Outcome, Reach};
use crate::config::adapters::EndpointConfig;
use crate::config::{Config, ConfigError, Mistakes, ServiceConfig};
use crate::output::{Exit, Failure, Progress};
use crate::wiring;

/// Bytes of a golden set of which the first line is read.
const GOLDEN_LINE_MAX: usize = 1 << 20;

pub(in crate::commands) async fn suspects(global: &Global, args: &SuspectsArgs) -> Outcome {
    let manifest = ManifestAt::read(&args.manifest).map_err(failure)?;
    let reach = Reach::new(global)?;
    names(&reach, Some(&args.service))?;
    let config = reach.here()?;
    let service = config.services.iter().find(|service| service.name == args.service);
    let service = service.ok_or_else(|| Failure::usage(format!("`{}` is not configured", args.service)))?;
    let endpoint = endpoint(config, service, args)?;
    let order = SuspectsOrder {
        manifest: &manifest,
        endpoint: &endpoint,
        candidate: None,
        version: Some(&args.version),
        trial: "data-suspects",
        form: form(service, args),
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

fn endpoint(
    config: &Config,
    service: &ServiceConfig,
    args: &SuspectsArgs,
) -> Result<OpenInferenceEndpoint, Failure> {
    let Some(EndpointConfig::OpenInference(adapter)) = &service.endpoint else {
        return Err(Failure::usage(format!("`{}` has no endpoint that could be asked", args.service))
            .help("give the service an `endpoint` in the configuration"));
    };
    let wrong = |error| Failure::of(Exit::Usage, error);
    let shared = wiring::shared().map_err(wrong)?;
    let mut asked = adapter.config.clone();
    asked.output = args.output.clone().or(asked.output);
    if let Some(url) = &args.url {
        asked.url.clone_from(url);
        // A token is for the server that it was configured for.
        return OpenInferenceEndpoint::new(asked, None, &shared).map_err(wrong);
    }
    let mut mistakes = Mistakes::default();
    let token = wiring::doors::optional(adapter.token.as_ref(), &mut mistakes);
    if let Some(error) = ConfigError::new(config.file.clone(), mistakes) {
        let text = error.text();
        return Err(Failure::of(Exit::Usage, error).laid_out(text));
    }
    let endpoint = OpenInferenceEndpoint::new(asked, token, &shared).map_err(wrong)?;
    Ok(endpoint.for_version(&args.version))
}

/// As it is said, else as the service's golden set sends one row.
fn form(service: &ServiceConfig, args: &SuspectsArgs) -> InputForm {
    let named = |name: String, datatype: String| InputForm::Matrix { name, datatype };
    if let Some(name) = &args.tensor {
        return named(name.clone(), args.datatype.clone());
    }
    match one_tensor(service) {
        Some(tensor) => named(tensor.name, tensor.datatype),
        None => InputForm::Columns { datatype: args.datatype.clone() },
    }
}

#[derive(Deserialize)]
struct GoldenLine {
    inputs: Vec<TensorName>,
}

#[derive(Deserialize)]
struct TensorName {
    name: String,
    datatype: String,
}

fn one_tensor(service: &ServiceConfig) -> Option<TensorName> {
    use std::io::{BufRead as _, BufReader, Read as _};
    let (_, path) = service.golden.iter().next()?;
    let file = std::fs::File::open(path.get_ref()).ok()?;
    let mut line = String::new();
    BufReader::new(file.take(GOLDEN_LINE_MAX as u64)).read_line(&mut line).ok()?;
    let mut line: GoldenLine = serde_json::from_str(&line).ok()?;
    (line.inputs.len() == 1).then(|| line.inputs.remove(0))
}

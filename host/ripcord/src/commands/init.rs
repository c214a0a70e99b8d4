//! `ripcord init`: writes a commented `ripcord.toml` for what it finds. Nothing is overwritten.

mod find;
mod golden;
pub(crate) mod questions;
mod template;

use std::io::Write;
use std::path::{Path, PathBuf};

use ripcord_core::name::ServiceName;

pub use find::{Found, FoundModel, FoundRegistry, Named, Places, find};
pub use template::render;

use crate::output::{Text, text};
use golden::FirstRow;

/// The configuration's name.
pub const FILE: &str = "ripcord.toml";
/// Where the token of the first person is written.
const TOKEN_FILE: &str = "secrets/me.token";
/// Where the token of the alert source is written.
const SOURCE_TOKEN_FILE: &str = "secrets/alertmanager.token";
/// What keeps secrets out of a repository.
const IGNORE_FILE: &str = "secrets/.gitignore";
/// A harmless request, taken from the golden data.
const PROBE_FILE: &str = "probe.json";
/// The server's own settings beside a model.
const SETTINGS_FILE: &str = "model-settings.json";
/// The address that the template has for the host.
const HOOK: &str = "http://127.0.0.1:8787/hooks/alertmanager";

/// What `init` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitOptions {
    /// The folder that gets the configuration.
    pub folder: PathBuf,
    /// Where servers are looked for.
    pub places: Places,
    /// What a person names.
    pub named: Named,
    /// What the service is to be called.
    pub service: Option<ServiceName>,
}

/// What the configuration is written for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chosen {
    /// What was found and named.
    pub found: Found,
    /// What the service is called, where it is not named after its model.
    pub service: Option<ServiceName>,
    /// The output that the golden data's answers are compared with.
    pub output: Option<String>,
    /// Whether there is a harmless request.
    pub probe: bool,
    /// The server's settings, with places for model and version.
    pub settings: Option<String>,
}

impl Chosen {
    /// What is still missing for a service that can be protected.
    pub fn missing(&self) -> Vec<&'static str> {
        let found = &self.found;
        let parts = [
            (
                found.models.is_empty(),
                "a model server that speaks the Open Inference Protocol: `--server URL` and `--model NAME`",
            ),
            (found.registry.is_none(), "a registry: `--registry FOLDER` or `--registry MLFLOW-URL`"),
            (
                found.model_folder.is_none(),
                "the folder from which the server reads its model: `--model-directory FOLDER`",
            ),
        ];
        parts.into_iter().filter_map(|(missing, what)| missing.then_some(what)).collect()
    }
}

/// What `init` has done.
#[derive(Debug, Clone, PartialEq)]
pub struct Initialised {
    /// The configuration.
    pub file: PathBuf,
    /// Files that were written, the configuration first.
    pub written: Vec<PathBuf>,
    /// What it was written for.
    pub chosen: Chosen,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is one already.
    #[error("`{0}` is there already and is left as it is; `ripcord check` looks at it")]
    Exists(String),
    /// It cannot be written.
    #[error("`{path}` cannot be written: {source}")]
    Write {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// No random numbers.
    #[error("the system gives no random numbers for tokens: {0}")]
    Random(String),
    /// Several models are served, and none is named.
    #[error(
        "there are several models: {0}; name one with `--model`, and with `--server` where two servers have it"
    )]
    Several(String),
    /// What is named is not there.
    #[error("{0}")]
    NotThere(String),
}

/// Refuses what is named and cannot be used, or is not there.
fn check_named(folder: &Path, named: &Named) -> Result<(), InitError> {
    let wrong = |what: String| Err(InitError::NotThere(what));
    let Named { model, server, registry, model_directory, prometheus, golden, request_log } = named;
    for (flag, address) in [("--server", server), ("--prometheus", prometheus)] {
        if let Some(address) = address.as_deref().filter(|address| !find::is_address(address)) {
            return wrong(format!("`{flag} {address}` is no address such as `http://127.0.0.1:8080`"));
        }
    }
    if let Some(model) = model.as_deref().filter(|model| ServiceName::new(format!("{model}-api")).is_err()) {
        return wrong(format!(
            "`--model {model}` cannot stand in a service's name: give one with `--service`"
        ));
    }
    let registry = registry.as_ref().filter(|registry| !find::is_address(registry));
    let paths = [
        ("--registry", registry),
        ("--model-directory", model_directory.as_ref()),
        ("--golden", golden.as_ref()),
        ("--request-log", request_log.as_ref()),
    ];
    for (flag, path) in paths.into_iter().filter_map(|(flag, path)| Some((flag, path?))) {
        if path.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
            return wrong(format!(
                "`{flag}` names a path with a character that the configuration cannot hold"
            ));
        }
        if !folder.join(path).exists() {
            return wrong(format!("`{flag} {path}`: there is nothing at that place"));
        }
    }
    Ok(())
}

/// Looks around, and takes what is named in its place.
///
/// # Errors
/// Something that is named is not there, or several models are and none is named.
pub async fn choose(options: &InitOptions) -> Result<Chosen, InitError> {
    let named = &options.named;
    check_named(&options.folder, named)?;
    let found = find(&options.folder, &options.places, named).await;
    if let [_, _, ..] = found.models.as_slice() {
        let all: Vec<_> =
            found.models.iter().map(|model| format!("`{}` at {}", model.name, model.url)).collect();
        return Err(InitError::Several(all.join(", ")));
    }
    if let (Some(server), true) = (&named.server, found.models.is_empty()) {
        let model =
            named.model.as_ref().map(|model| format!(" that has the model `{model}`")).unwrap_or_default();
        return Err(InitError::NotThere(format!(
            "no server of the Open Inference Protocol{model} answers at `{server}`: start it, or leave `--server` out"
        )));
    }
    if let (Some(registry), None) = (&named.registry, &found.registry) {
        return Err(InitError::NotThere(format!(
            "no MLflow that has the model answers at `{registry}`: start it, name the model with `--model`, or leave `--registry` out"
        )));
    }
    let row = found.golden.first().and_then(|(_, path)| FirstRow::read(&options.folder.join(path)));
    let output = row.as_ref().zip(found.models.first()).and_then(|(row, model)| row.output(model));
    let settings =
        found.model_folder.as_ref().filter(|_| matches!(found.registry, Some(FoundRegistry::Mlflow { .. })));
    let settings = settings.and_then(|folder| settings_with_places(&options.folder.join(folder)));
    Ok(Chosen {
        output: output.map(str::to_owned),
        probe: row.is_some() || options.folder.join(PROBE_FILE).is_file(),
        settings,
        service: options.service.clone(),
        found,
    })
}

/// The live model's settings file with `{model}` and `{version}` in place of its own: a registry of artefacts has none.
fn settings_with_places(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(SETTINGS_FILE)).ok()?;
    let mut settings: serde_json::Value = serde_json::from_str(&text).ok()?;
    settings.as_object_mut()?.insert("name".into(), "{model}".into());
    let parameters = settings.as_object_mut()?.entry("parameters").or_insert_with(|| serde_json::json!({}));
    parameters.as_object_mut()?.insert("version".into(), "{version}".into());
    Some(settings.to_string()).filter(|text| !text.contains('\''))
}

/// Looks around and writes a configuration, and tokens for the first person and the alert source.
pub async fn init(options: &InitOptions) -> Result<Initialised, InitError> {
    let file = options.folder.join(FILE);
    if file.symlink_metadata().is_ok() {
        return Err(InitError::Exists(file.display().to_string()));
    }
    let chosen = choose(options).await?;
    let row = chosen.found.golden.first().and_then(|(_, path)| FirstRow::read(&options.folder.join(path)));
    let mut new = vec![
        (IGNORE_FILE, "# Nothing in this folder belongs into a repository.\n*\n".to_owned(), Mode::Secret),
        (TOKEN_FILE, format!("{}\n", token()?), Mode::Secret),
        (SOURCE_TOKEN_FILE, format!("{}\n", token()?), Mode::Secret),
    ];
    if let Some(row) = row {
        new.push((PROBE_FILE, format!("{}\n", row.inputs), Mode::Plain));
    }
    let mut written = vec![file.clone()];
    for (name, text, mode) in new {
        let path = options.folder.join(name);
        if path.symlink_metadata().is_err() {
            write_new(&path, &text, mode)?;
            written.push(path);
        }
    }
    // Last, so that a second try is not refused because the first one broke off.
    write_new(&file, &render(&chosen), Mode::Plain)?;
    Ok(Initialised { file, written, chosen })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    Secret,
}

fn write_new(path: &Path, text: &str, mode: Mode) -> Result<(), InitError> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let failed = |source| InitError::Write { path: path.display().to_string(), source };
    if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
        let bits = if mode == Mode::Secret { 0o700 } else { 0o755 };
        std::fs::DirBuilder::new().recursive(true).mode(bits).create(parent).map_err(failed)?;
    }
    let bits = if mode == Mode::Secret { 0o600 } else { 0o644 };
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(bits).open(path);
    let mut file = match opened {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(InitError::Exists(path.display().to_string()));
        }
        other => other.map_err(failed)?,
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn token() -> Result<String, InitError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| InitError::Random(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Initialised {
    /// For people.
    pub fn text(&self) -> Text {
        let mut text = self.chosen.found.text();
        for path in &self.written {
            text.push(text!("wrote {}\n", path.display()));
        }
        let missing = self.chosen.missing();
        if !missing.is_empty() {
            text.push(text!("the service is commented out, since this is not known:\n"));
            for what in missing {
                text.push(text!("  {}\n", what));
            }
            text.push(text!("write it into the file, or remove the file and run `ripcord init` with it\n"));
        }
        if self.chosen.found.alertmanager.is_some() || self.chosen.found.prometheus.is_some() {
            let token = self.file.with_file_name(SOURCE_TOKEN_FILE);
            let token = std::path::absolute(&token).unwrap_or(token);
            text.push(text!(
                "in Alertmanager's configuration, and a route that leads to it:\n\
                 \x20 receivers:\n    - name: ripcord\n      webhook_configs:\n        - url: {}\n          send_resolved: true\n\
                 \x20         http_config:\n            authorization:\n              credentials_file: {}\n",
                HOOK,
                token.display()
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, SourceFile};

    const NOWHERE: &str = "http://127.0.0.1:9";

    fn options(folder: &Path, servers: &[&str], prometheus: &str) -> InitOptions {
        let servers = servers.iter().map(|url| (*url).to_owned()).collect();
        let places = Places { servers, prometheus: prometheus.to_owned(), mlflow: NOWHERE.to_owned() };
        InitOptions { folder: folder.to_owned(), places, named: Named::default(), service: None }
    }

    fn whole() -> Chosen {
        let outputs = vec![("decision".to_owned(), "BYTES".to_owned())];
        Chosen {
            found: Found {
                models: vec![FoundModel {
                    url: "http://127.0.0.1:8080".into(),
                    name: "fraud".into(),
                    outputs,
                }],
                prometheus: Some("http://127.0.0.1:9090".into()),
                rules: vec!["FraudErrorRatio".into()],
                alertmanager: Some("alertmanager.yml".into()),
                registry: Some(FoundRegistry::Directory("registry".into())),
                golden: vec![("fraud".into(), "golden/fraud.jsonl".into())],
                request_log: Some("requests.jsonl".into()),
                model_folder: Some("models/fraud".into()),
            },
            output: Some("decision".into()),
            probe: true,
            ..Chosen::default()
        }
    }

    /// With MLflow the versions are artefacts, so the server's settings are written beside each.
    #[test]
    fn a_registry_in_mlflow_gets_the_settings_of_what_is_live() {
        let folder = tempfile::tempdir().unwrap();
        let live = r#"{"name": "fraud", "implementation": "sklearn", "parameters": {"uri": "./model.pkl", "version": "3"}}"#;
        std::fs::write(folder.path().join(SETTINGS_FILE), live).unwrap();
        let settings = settings_with_places(folder.path()).unwrap();
        let mut chosen = Chosen { settings: Some(settings), ..whole() };
        let alias = Some("champion".to_owned());
        chosen.found.registry = Some(FoundRegistry::Mlflow { url: "http://127.0.0.1:5000".into(), alias });
        chosen.service = Some(ServiceName::new("scoring").unwrap());
        let text = render(&chosen);
        Config::parse(SourceFile { path: "ripcord.toml".into(), text: text.clone() }).unwrap();
        assert!(text.contains(r#""name":"{model}""#) && text.contains(r#""version":"{version}""#), "{text}");
        assert!(text.contains("alias = \"champion\"") && text.contains("[services.scoring]"), "{text}");
    }

    /// What is named and wrong is told before anything is written.
    #[tokio::test]
    async fn what_is_named_and_not_there_is_told() {
        let named = |change: fn(&mut Named)| {
            let mut named = Named::default();
            change(&mut named);
            named
        };
        let table = [
            (
                named(|n| n.server = Some("http://127.0.0.1:9".into())),
                "no server of the Open Inference Protocol answers at",
            ),
            (named(|n| n.server = Some("nonsense".into())), "is no address"),
            (named(|n| n.server = Some("http://h/\"\n[people.eve]".into())), "is no address"),
            (
                named(|n| n.registry = Some("http://127.0.0.1:9".into())),
                "no MLflow that has the model answers",
            ),
            (named(|n| n.registry = Some("nowhere".into())), "there is nothing at that place"),
            (named(|n| n.golden = Some("a\"b".into())), "a character that the configuration cannot hold"),
            (named(|n| n.model = Some("a b".into())), "cannot stand in a service's name"),
        ];
        for (named, said) in table {
            let folder = tempfile::tempdir().unwrap();
            let error =
                init(&InitOptions { named, ..options(folder.path(), &[], NOWHERE) }).await.unwrap_err();
            assert!(error.to_string().contains(said), "{said}: {error}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{said}");
        }
    }

    #[tokio::test]
    async fn what_is_written_is_read_back_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path(), &[], NOWHERE);
        let done = init(&options).await.unwrap();
        Config::load(&done.file).unwrap();
        let before = std::fs::read(&done.file).unwrap();
        assert!(matches!(init(&options).await, Err(InitError::Exists(_))));
        assert_eq!(std::fs::read(&done.file).unwrap(), before);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(folder.path().join(TOKEN_FILE)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
        let ignored = std::fs::read_to_string(folder.path().join(IGNORE_FILE)).unwrap();
        assert!(ignored.lines().any(|line| line == "*"), "{ignored}");
    }

    #[tokio::test]
    async fn what_runs_and_lies_there_is_found_and_makes_a_whole_configuration() {
        use axum::routing::{get, post};
        let folder = tempfile::tempdir().unwrap();
        for path in ["registry/fraud/1.3.2", "models/fraud", "golden"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        std::fs::write(folder.path().join("golden/fraud.jsonl"), "").unwrap();
        std::fs::write(folder.path().join("requests.jsonl"), "").unwrap();
        // Whoever listens on this machine must not write lines of the configuration.
        let forged = "x\"\n[people.eve]\nroles = [\"admin\"]\n#";
        let models = serde_json::json!([{ "name": forged }, { "name": "a b" }, { "name": "fraud" }]);
        let server = axum::Router::new()
            .route("/v2", get(async || axum::Json(serde_json::json!({"name": "mlserver"}))))
            .route("/v2/repository/index", post(async || axum::Json(models)))
            .route(
                "/api/v1/status/buildinfo",
                get(async || axum::Json(serde_json::json!({"status": "success"}))),
            )
            .route(
                "/api/v1/rules",
                get(async || {
                    let rules = serde_json::json!([{"name": "FraudErrorRatio"}, {"name": "x\n[people.eve]"}]);
                    axum::Json(serde_json::json!({"data": {"groups": [{"rules": rules}]}}))
                }),
            );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move { axum::serve(listener, server).await });
        let options = options(folder.path(), &[NOWHERE, &url], &url);
        let done = init(&options).await.unwrap();
        let found = &done.chosen.found;
        assert_eq!(
            found.models,
            [FoundModel { url: url.clone(), name: "fraud".into(), outputs: Vec::new() }]
        );
        assert_eq!(found.prometheus, Some(url));
        assert_eq!(found.rules, ["FraudErrorRatio"], "and no rule that writes lines of its own");
        assert_eq!(found.model_folder.as_deref(), Some("models/fraud"));
        let config = Config::load(&done.file).unwrap();
        let service = config.service("fraud-api").unwrap();
        assert!(service.request_log.is_some() && service.golden_sets() == ["fraud"]);
        assert_eq!(service.policies.len(), 4, "a trigger, a planner, an approval, a verification");
        assert_eq!(config.sources[0].routes[0].service, service.name);
        // Secrets are there, and every policy takes the settings that the template gives it.
        use crate::commands::check::{CheckOptions, Scope, check};
        let report = check(&CheckOptions { config: done.file, alert: None, scope: Scope::Files }).await;
        assert_eq!(report.exit_code(), 0, "{report:?}");
    }

    /// What a service can be connected to stands in the file that people begin with.
    #[test]
    fn every_adapter_is_in_the_template() {
        let text = render(&whole());
        let kinds = ripcord_adapters::catalogue::all();
        for about in kinds.iter().filter(|about| about.example.starts_with("kind = ")) {
            // An endpoint comes with its deployer.
            let shown = about.port == "endpoint" || text.contains(&format!("kind = \"{}\"", about.kind));
            assert!(shown, "{} {}", about.port, about.kind);
        }
        assert!(text.contains("registry = { kind = \"mlflow\", url = \"http://127.0.0.1:5000\" }"), "{text}");
    }

    #[test]
    fn every_commented_key_is_a_real_one() {
        // Taking the comment signs off must still give a configuration: the template is the reference that people read.
        let text: String = render(&whole())
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let parsed = Config::parse(SourceFile { path: "ripcord.toml".into(), text });
        parsed.unwrap_or_else(|error| panic!("{error}"));
    }
}

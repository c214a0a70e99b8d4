//! `ripcord init`: writes a commented `ripcord.toml` for what it finds. Nothing is overwritten.

mod find;
mod template;

use std::io::Write;
use std::path::{Path, PathBuf};

pub use find::{Found, FoundModel, Places, find};
pub use template::render;

use crate::output::{Text, text};

/// The configuration's name.
pub const FILE: &str = "ripcord.toml";
/// Where the token of the first person is written.
const TOKEN_FILE: &str = "secrets/me.token";
/// Where the token of the alert source is written.
const SOURCE_TOKEN_FILE: &str = "secrets/alertmanager.token";

/// What `init` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitOptions {
    /// The folder that gets the configuration.
    pub folder: PathBuf,
    /// Where servers are looked for.
    pub places: Places,
}

/// What `init` has done.
#[derive(Debug, Clone, PartialEq)]
pub struct Initialised {
    /// The configuration.
    pub file: PathBuf,
    /// Files that were written, the configuration first.
    pub written: Vec<PathBuf>,
    /// What was found.
    pub found: Found,
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
}

/// Looks around and writes a configuration, and tokens for the first person and the alert source.
pub async fn init(options: &InitOptions) -> Result<Initialised, InitError> {
    let file = options.folder.join(FILE);
    if file.symlink_metadata().is_ok() {
        return Err(InitError::Exists(file.display().to_string()));
    }
    let found = find(&options.folder, &options.places).await;
    let mut written = vec![file.clone()];
    for name in [TOKEN_FILE, SOURCE_TOKEN_FILE] {
        let path = options.folder.join(name);
        if path.symlink_metadata().is_err() {
            write_new(&path, &format!("{}\n", token()?), Mode::Secret)?;
            written.push(path);
        }
    }
    // Last, so that a second try is not refused because the first one broke off.
    write_new(&file, &render(&found), Mode::Plain)?;
    Ok(Initialised { file, written, found })
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
        let mut text = self.found.text();
        for path in &self.written {
            text.push(text!("wrote {}\n", path.display()));
        }
        let file = self.file.display();
        text.push(text!("next: read {}, then `ripcord check --config {}`", file, file));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, SourceFile};

    #[tokio::test]
    async fn what_is_written_is_read_back_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places { servers: Vec::new(), prometheus: "http://127.0.0.1:9".into() };
        let options = InitOptions { folder: folder.path().to_owned(), places };
        let done = init(&options).await.unwrap();
        Config::load(&done.file).unwrap();
        let before = std::fs::read(&done.file).unwrap();
        assert!(matches!(init(&options).await, Err(InitError::Exists(_))));
        assert_eq!(std::fs::read(&done.file).unwrap(), before);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(folder.path().join(TOKEN_FILE)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
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
            );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move { axum::serve(listener, server).await });
        let places =
            Places { servers: vec!["http://127.0.0.1:9".into(), url.clone()], prometheus: url.clone() };
        let options = InitOptions { folder: folder.path().to_owned(), places };
        let done = init(&options).await.unwrap();
        assert_eq!(done.found.models, [FoundModel { url: url.clone(), name: "fraud".into() }]);
        assert_eq!(done.found.prometheus, Some(url));
        assert_eq!(done.found.model_folder.as_deref(), Some("models/fraud"));
        let config = Config::load(&done.file).unwrap();
        let service = config.service("fraud-api").unwrap();
        assert!(service.request_log.is_some() && service.golden.contains_key("fraud"));
        assert_eq!(service.policies.len(), 4, "a trigger, a planner, an approval, a verification");
        assert_eq!(config.sources[0].routes[0].service, service.name);
        // Secrets are there, and every policy takes the settings that the template gives it.
        use crate::commands::check::{CheckOptions, Scope, check};
        let report = check(&CheckOptions { config: done.file, alert: None, scope: Scope::Files }).await;
        assert_eq!(report.exit_code(), 0, "{report:?}");
    }

    #[test]
    fn every_commented_key_is_a_real_one() {
        // Taking the comment signs off must still give a configuration: the template is the reference that people read.
        let found = Found {
            models: vec![FoundModel { url: "http://127.0.0.1:8080".into(), name: "fraud".into() }],
            prometheus: Some("http://127.0.0.1:9090".into()),
            registry: Some("registry".into()),
            golden: vec![("fraud".into(), "golden/fraud.jsonl".into())],
            request_log: Some("requests.jsonl".into()),
            model_folder: Some("models/fraud".into()),
        };
        let text: String = render(&found)
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let parsed = Config::parse(SourceFile { path: "ripcord.toml".into(), text });
        parsed.unwrap_or_else(|error| panic!("{error}"));
    }
}

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::{Model, ModelError};
use crate::protocol::ModelSettings;

const SETTINGS: &str = "model-settings.json";

/// A folder of the model repository that holds `model-settings.json`.
#[derive(Debug)]
pub(super) struct ModelFolder {
    path: PathBuf,
    /// Directly in the model's folder, and so its default version; otherwise one of several side by side below it.
    pub(super) on_top: bool,
    /// What the settings say, or why they say nothing.
    pub(super) settings: Result<ModelSettings, Broken>,
}

/// Why a folder is not a model that can be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("`{path}` cannot be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("`{path}` are no model settings")]
    Settings { path: PathBuf, source: serde_json::Error },
    #[error("`{path}` names the artefact `{uri}`: it must be a file beside the settings")]
    Uri { path: PathBuf, uri: String },
    #[error("`{path}` cannot be served")]
    Model { path: PathBuf, source: ModelError },
    #[error("version `{0}` is there twice: keep one folder of it")]
    Twice(String),
}

impl ModelFolder {
    /// Every model folder of a repository, by name of the folder: `MODEL/` and `MODEL/VERSION/`.
    pub(super) fn find_all(repository: &Path) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for model in folders(repository)? {
            found.extend(Self::at(&model, true));
            // It may be gone by now: folders are replaced while the server runs.
            for version in folders(&model).or_else(empty_if_gone)? {
                found.extend(Self::at(&version, false));
            }
        }
        Ok(found)
    }

    fn at(path: &Path, on_top: bool) -> Option<Self> {
        let file = path.join(SETTINGS);
        let settings = match fs::read(&file) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|source| Broken::Settings { path: file, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(source) => Err(Broken::Read { path: file, source }),
        };
        Some(Self { path: path.to_owned(), on_top, settings })
    }

    /// The model's name: from the settings, or where they are broken from the folder.
    pub(super) fn name(&self) -> String {
        match &self.settings {
            Ok(settings) => settings.name.clone(),
            Err(_) => {
                let folder = if self.on_top { Some(self.path.as_path()) } else { self.path.parent() };
                folder
                    .and_then(Path::file_name)
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default()
            }
        }
    }

    /// Reads the artefact.
    pub(super) fn read(self) -> Result<(ModelSettings, Model), Broken> {
        let settings = self.settings?;
        let uri = settings.parameters.uri.as_str();
        let name = uri.strip_prefix("./").unwrap_or(uri);
        if name.is_empty() || name == ".." || name.contains(['/', '\\']) {
            return Err(Broken::Uri { path: self.path.join(SETTINGS), uri: uri.to_owned() });
        }
        let path = self.path.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(Broken::Read { path, source }),
        };
        match Model::from_json(&bytes) {
            Ok(model) => Ok((settings, model)),
            Err(source) => Err(Broken::Model { path, source }),
        }
    }
}

fn empty_if_gone(error: io::Error) -> io::Result<Vec<PathBuf>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) }
}

fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

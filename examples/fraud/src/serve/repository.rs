use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde::Serialize;

use super::folder::{Broken, ModelFolder};
use super::refusal::Refusal;
use crate::error::with_causes;
use crate::model::Model;
use crate::protocol::{ModelMetadata, ModelSettings};

/// A version in memory, ready to answer.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) settings: ModelSettings,
    pub(super) model: Model,
}

impl Loaded {
    pub(super) fn version(&self) -> &str {
        &self.settings.parameters.version
    }
}

/// The versions of one model that answer now. Replaced as a whole.
#[derive(Debug)]
struct Versions {
    default: Arc<Loaded>,
    all: Vec<Arc<Loaded>>,
}

/// The models on disk and those in memory.
#[derive(Debug)]
pub(super) struct Repository {
    path: PathBuf,
    served: RwLock<BTreeMap<String, Versions>>,
    /// Models that should be served and are not: their last load failed with nothing before it.
    missing: Mutex<BTreeSet<String>>,
    /// Held during a load, so that the last one asked for is the one that is served.
    loading: Mutex<()>,
}

/// A row of the repository index.
#[derive(Debug, Serialize)]
pub(super) struct IndexRow {
    name: String,
    version: String,
    state: &'static str,
    reason: String,
}

impl Repository {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, served: RwLock::default(), missing: Mutex::default(), loading: Mutex::default() }
    }

    /// Loads every model on disk; gives those that failed, with the reason.
    pub(super) fn load_all(&self) -> io::Result<Vec<(String, Refusal)>> {
        let names: BTreeSet<String> =
            ModelFolder::find_all(&self.path)?.iter().map(ModelFolder::name).collect();
        Ok(names
            .into_iter()
            .filter_map(|name| self.load(&name).err().map(|problem| (name, problem)))
            .collect())
    }

    /// Reads the folders of a model again and serves what they hold, all of it or nothing.
    pub(super) fn load(&self, name: &str) -> Result<(), Refusal> {
        let _one_at_a_time = lock(&self.loading);
        let folders: Vec<ModelFolder> = ModelFolder::find_all(&self.path)
            .map_err(Refusal::repository)?
            .into_iter()
            .filter(|folder| folder.name() == name)
            .collect();
        if folders.is_empty() {
            return Err(Refusal::no_model(name));
        }
        match read(folders) {
            Ok(versions) => {
                self.served.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), versions);
                lock(&self.missing).remove(name);
                Ok(())
            }
            Err(broken) => {
                if !self.served.read().unwrap_or_else(PoisonError::into_inner).contains_key(name) {
                    lock(&self.missing).insert(name.to_owned());
                }
                Err(Refusal::broken(&broken))
            }
        }
    }

    /// Stops serving a model.
    pub(super) fn unload(&self, name: &str) -> Result<(), Refusal> {
        let _one_at_a_time = lock(&self.loading);
        lock(&self.missing).remove(name);
        let removed = self.served.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        removed.map(drop).ok_or_else(|| Refusal::no_model(name))
    }

    /// The version that answers: the named one, or the default.
    pub(super) fn get(&self, name: &str, version: Option<&str>) -> Result<Arc<Loaded>, Refusal> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        let versions = served.get(name).ok_or_else(|| Refusal::no_model_version(name, version))?;
        match version {
            None => Ok(Arc::clone(&versions.default)),
            Some(wanted) => {
                let found = versions.all.iter().find(|loaded| loaded.version() == wanted);
                found.map(Arc::clone).ok_or_else(|| Refusal::no_model_version(name, version))
            }
        }
    }

    /// What is told about a model, or about one version of it.
    pub(super) fn metadata(&self, name: &str, version: Option<&str>) -> Result<ModelMetadata, Refusal> {
        let loaded = self.get(name, version)?;
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        let mut versions = vec![loaded.version().to_owned()];
        if let Some(all) = served.get(name) {
            versions.extend(
                all.all
                    .iter()
                    .map(|other| other.version().to_owned())
                    .filter(|other| other != loaded.version()),
            );
        }
        Ok(ModelMetadata {
            name: name.to_owned(),
            versions,
            platform: loaded.settings.implementation.clone(),
            inputs: loaded.settings.inputs.clone(),
            outputs: loaded.settings.outputs.clone(),
            parameters: serde_json::Map::new(),
        })
    }

    /// What is on disk and whether it is served.
    pub(super) fn index(&self) -> io::Result<Vec<IndexRow>> {
        let rows = ModelFolder::find_all(&self.path)?.into_iter().map(|folder| {
            let name = folder.name();
            let (version, reason) = match folder.settings {
                Ok(settings) => (settings.parameters.version, String::new()),
                Err(broken) => (String::new(), with_causes(&broken)),
            };
            let state = if self.get(&name, Some(&version)).is_ok() { "READY" } else { "UNAVAILABLE" };
            IndexRow { name, version, state, reason }
        });
        Ok(rows.collect())
    }

    /// The default version of every model that is served.
    pub(super) fn default_versions(&self) -> Vec<String> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.values().map(|versions| versions.default.version().to_owned()).collect()
    }

    /// Whether every model that should be served is.
    pub(super) fn is_ready(&self) -> bool {
        lock(&self.missing).is_empty()
    }
}

impl IndexRow {
    pub(super) fn is_ready(&self) -> bool {
        self.state == "READY"
    }
}

/// The default is what lies directly in the model's folder, otherwise the newest of those side by side.
fn read(folders: Vec<ModelFolder>) -> Result<Versions, Broken> {
    let mut on_top = None;
    let mut all: Vec<Arc<Loaded>> = Vec::new();
    for folder in folders {
        let is_on_top = folder.on_top;
        let (settings, model) = folder.read()?;
        let loaded = Arc::new(Loaded { settings, model });
        if all.iter().any(|other| other.version() == loaded.version()) {
            return Err(Broken::Twice(loaded.version().to_owned()));
        }
        if is_on_top {
            on_top = Some(Arc::clone(&loaded));
        }
        all.push(loaded);
    }
    let newest = all.iter().max_by(|a, b| by_age(a.version(), b.version()));
    match on_top.or_else(|| newest.map(Arc::clone)) {
        Some(default) => Ok(Versions { default, all }),
        None => Err(Broken::Read { path: PathBuf::new(), source: io::ErrorKind::NotFound.into() }),
    }
}

/// Orders `1.10.0` after `1.9.0`; parts that are not numbers compare as text, after numbers.
fn by_age(a: &str, b: &str) -> Ordering {
    let parts = |version: &str| -> Vec<(bool, u64, String)> {
        version
            .split(['.', '-'])
            .map(|part| {
                part.parse()
                    .map_or_else(|_| (true, 0, part.to_owned()), |number| (false, number, String::new()))
            })
            .collect()
    };
    parts(a).cmp(&parts(b))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::by_age;

    #[test]
    fn newest_version() {
        let check = |older: &str, newer: &str| assert!(by_age(older, newer).is_lt(), "{older} {newer}");
        check("1.3.2", "1.4.0");
        check("1.9.0", "1.10.0");
        check("1.9", "1.9.1");
        check("2", "v1");
        check("v1", "v2");
    }
}

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::refusal::Refusal;
use crate::decision::{ConfigError, InForce};

/// The decision configuration in force, if the server was given one. Replaced as a whole, and only when the server is told to reload.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    file: Option<PathBuf>,
    in_force: RwLock<Option<Arc<InForce>>>,
    /// Held during a reload, so that the last one asked for is the one in force.
    reloading: Mutex<()>,
}

impl Decisions {
    /// Reads the file, if one is given.
    pub(super) fn open(file: Option<PathBuf>) -> Result<Self, ConfigError> {
        let in_force = file.as_deref().map(InForce::read).transpose()?.map(Arc::new);
        Ok(Self { file, in_force: RwLock::new(in_force), reloading: Mutex::default() })
    }

    /// What a request that begins now is decided with.
    pub(super) fn in_force(&self) -> Option<Arc<InForce>> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is in force, for those who ask for it.
    pub(super) fn told(&self) -> Result<Arc<InForce>, Refusal> {
        self.in_force().ok_or_else(none_given)
    }

    /// Reads the file again. One that cannot be used changes nothing. `entered` is called before anybody else can reload. Blocks.
    pub(super) fn reload(&self, entered: impl FnOnce(&InForce)) -> Result<Arc<InForce>, Refusal> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.file.as_deref().ok_or_else(none_given)?;
        let read = Arc::new(InForce::read(file).map_err(|error| Refusal::config(&error))?);
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&read));
        entered(&read);
        Ok(read)
    }
}

fn none_given() -> Refusal {
    Refusal::unknown("there is no decision configuration: start the server with `--decision-config FILE`")
}

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use crate::Error;
use crate::error::with_causes;
use crate::files;

/// What decides where no version is asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// The default version of the model.
    Model,
    /// The fixed rule of [`crate::rules`].
    Rules,
}

impl Mode {
    pub(super) const ALL: [Self; 2] = [Self::Model, Self::Rules];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Rules => crate::rules::NAME,
        }
    }
}

/// What `/mode` gives and takes, and what the mode's file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModeDocument {
    pub(super) mode: Mode,
}

impl ModeDocument {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(bytes).map_err(|error| {
            Refusal::unusable(format!(
                "the body is not a mode: {error}: send `{{\"mode\": \"model\"}}` or `{{\"mode\": \"rules\"}}`"
            ))
        })
    }
}

/// The mode, and the file that has it survive a restart. Without a file the server starts in [`Mode::Model`].
#[derive(Debug)]
pub(super) struct ModeSwitch {
    file: Option<PathBuf>,
    /// Tells the states of this process from those of one before it: an entity tag is never given twice.
    started: i128,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    /// How often it was changed.
    changes: u64,
}

/// The mode and its entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tagged {
    pub(super) mode: Mode,
    pub(super) tag: String,
}

impl ModeSwitch {
    /// The mode that the file says; a file that is not there says `model`.
    pub(super) fn open(file: Option<PathBuf>) -> Result<Self, Error> {
        let mode = match &file {
            Some(file) => read(file)?,
            None => Mode::Model,
        };
        let started = Timestamp::now().as_nanosecond();
        Ok(Self { file, started, state: Mutex::new(State { mode, changes: 0 }) })
    }

    pub(super) fn mode(&self) -> Mode {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).mode
    }

    pub(super) fn tagged(&self) -> Tagged {
        self.tag(*self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tag(&self, state: State) -> Tagged {
        Tagged { mode: state.mode, tag: format!("\"{:x}-{}\"", self.started, state.changes) }
    }

    /// Changes the mode if the condition holds: in the file first, so that a restart never undoes what was answered. `entered` is called
    /// before anybody else can change it again. Blocks.
    pub(super) fn set(
        &self,
        mode: Mode,
        if_match: Option<&str>,
        entered: impl FnOnce(Mode),
    ) -> Result<Tagged, Refusal> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.tag(*state);
        if let Some(wanted) = if_match
            && wanted.trim() != "*"
            && !wanted.split(',').any(|tag| tag.trim() == now.tag)
        {
            return Err(Refusal::changed_meanwhile(format!(
                "the mode is `{}` with the tag {} and not as expected: read `/mode` again",
                now.mode.name(),
                now.tag
            )));
        }
        if mode == state.mode {
            return Ok(now);
        }
        if let Some(file) = &self.file {
            let text = serde_json::to_vec(&ModeDocument { mode }).map_err(Refusal::internal)?;
            files::replace(file, &text).map_err(|error| {
                Refusal::internal(format!("the mode stays `{}`: {}", state.mode.name(), with_causes(&error)))
            })?;
        }
        *state = State { mode, changes: state.changes + 1 };
        entered(mode);
        Ok(self.tag(*state))
    }
}

fn read(file: &Path) -> Result<Mode, Error> {
    // Found at the start, and not at the hour when the safe mode is needed.
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::metadata(folder).map_err(Error::read(folder))?;
    }
    match std::fs::read(file) {
        Ok(bytes) => ModeDocument::parse(&bytes).map(|document| document.mode).map_err(|_| {
            Error::Setting(format!(
                "`{}` says no mode: write `{{\"mode\": \"model\"}}` or `{{\"mode\": \"rules\"}}` there, or remove it",
                file.display()
            ))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Mode::Model),
        Err(error) => Err(Error::read(file)(error)),
    }
}

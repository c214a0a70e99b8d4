//! Where relative paths of a configuration start from.

use std::path::{Path, PathBuf};

use crate::command::CommandSurroundings;
use crate::restoring::ReloadConfig;

/// The folder of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a>(&'a Path);

impl<'a> Start<'a> {
    /// Relative paths start from `folder`.
    pub fn from(folder: &'a Path) -> Self {
        Self(folder)
    }

    /// The folder itself.
    pub fn folder(&self) -> &'a Path {
        self.0
    }

    /// Makes a path start there.
    pub fn path(&self, path: &mut PathBuf) {
        *path = self.0.join(&path);
    }

    /// The programs of an adapter and their working directory: one that is named by a path is found, and run, there.
    pub(crate) fn programs<'p>(
        &self,
        programs: impl IntoIterator<Item = Option<&'p mut Vec<String>>>,
        surroundings: &mut CommandSurroundings,
    ) {
        programs.into_iter().flatten().for_each(|program| self.program(program));
        self.working_directory(&mut surroundings.folder);
    }

    /// A program that is named by a path.
    pub(crate) fn program(&self, vector: &mut [String]) {
        if let Some(program) = vector.first_mut().filter(|program| program.contains('/')) {
            let below = program.strip_prefix("./").unwrap_or(program);
            *program = self.0.join(below).display().to_string();
        }
    }

    /// Where programs run; without one it is the folder itself.
    pub(crate) fn working_directory(&self, folder: &mut Option<PathBuf>) {
        *folder = Some(self.0.join(folder.take().unwrap_or_default()));
    }

    /// How a service is told.
    pub(crate) fn reload(&self, reload: &mut ReloadConfig) {
        if let Some(file) = &mut reload.pid_file {
            self.path(file);
        }
        self.programs([reload.command.as_mut()], &mut reload.surroundings);
    }
}

//! A folder that is there for a while and then taken away: a candidate's.

use ripcord_ports::PortError;

use super::note::{Before, Phase, Whose};
use super::{Paths, Swap};
use crate::folder;

impl Swap<'_> {
    pub(super) fn whose(&self) -> Result<Whose, PortError> {
        Ok(match self.read_note() {
            Some(_) => Whose::Ours,
            None if self.dir.try_exists(&self.paths.name).map_err(self.failed("look at"))? => {
                Whose::SomeoneElses
            }
            None => Whose::Nobodys,
        })
    }

    pub(super) fn take_away(&self) -> Result<bool, PortError> {
        let Paths { name, next, .. } = self.paths;
        let Some(mut note) = self.read_note() else {
            self.clean_up()?;
            return Ok(false);
        };
        note.phase = Phase::Restoring;
        note.before = Before::Nothing;
        self.write(&note)?;
        let failed = self.failed("take away");
        self.clean_up()?;
        if self.dir.try_exists(name).map_err(&failed)? {
            // A server must never see half of it.
            self.dir.rename(name, &self.dir, next).map_err(&failed)?;
            folder::sync(&self.dir).map_err(&failed)?;
        }
        self.clean_up()?;
        Ok(true)
    }

    pub(super) fn forget(&self) -> Result<(), PortError> {
        folder::remove(&self.dir, &self.paths.note).map_err(self.failed("clean up beside"))
    }
}

//! What is written down of a swap before each of its steps.

use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use serde::{Deserialize, Serialize};

/// How far a swap has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// The swap is next.
    Placing,
    /// The artefact is in place; the server may have been asked to load it.
    Placed,
    /// The old folder is to be put back.
    Restoring,
    /// The server has loaded it.
    Loaded,
}

/// What was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Before {
    /// Another artefact, which is kept.
    Folder,
    /// The same artefact: nothing was swapped.
    Same,
    /// Nothing.
    Nothing,
}

/// Whose a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Whose {
    /// There is none.
    Nobodys,
    /// Nobody knows who put it there.
    SomeoneElses,
    /// A swap of ours put it there.
    Ours,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) phase: Phase,
    pub(super) before: Before,
    pub(super) version: VersionName,
    /// The artefact's.
    pub(super) files: Vec<ArtefactFile>,
    /// Ours, beside the artefact's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) written: Vec<ArtefactFile>,
}

impl Note {
    pub(super) fn all(&self) -> impl Iterator<Item = &ArtefactFile> {
        self.files.iter().chain(&self.written)
    }

    /// Over all that lies in the folder, ours included.
    pub(super) fn whole(&self) -> Digest {
        artefact_digest(&self.all().cloned().collect::<Vec<_>>())
    }
}

//! Checkpoints in an S3-compatible store, in a build without the feature `s3`: where they are configured, that is said.

use ripcord_ports::{Checkpoints, PortError};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::adapter::{LeftOut, Port, Start};
use crate::checkpoints::Reader;
use crate::{Secret, Shared};

/// For the catalogue.
pub(crate) const LEFT_OUT: LeftOut =
    LeftOut { port: <dyn Checkpoints as Port>::NAME, kind: "s3", feature: "s3" };

/// Where the store is. There is none: reading it fails, and says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum S3CheckpointsConfig {}

impl<'de> Deserialize<'de> for S3CheckpointsConfig {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(format!("{LEFT_OUT}: {}", LEFT_OUT.help())))
    }
}

impl S3CheckpointsConfig {
    pub(crate) fn start(&mut self, _: &Start<'_>) {
        match *self {}
    }
}

pub(crate) fn reader(
    config: S3CheckpointsConfig,
    _: Option<Secret>,
    _: &Shared,
) -> Result<Reader, PortError> {
    match config {}
}

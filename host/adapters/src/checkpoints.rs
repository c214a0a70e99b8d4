//! What places of checkpoints share: how checkpoints are found in a place, how each kind describes itself, and how one becomes the files of a version.
//!
//! One reading code for all places, see [`place::Place`]. What looks like a checkpoint and cannot be used is told with the reason: there are never silently
//! fewer.

mod describe;
mod folder;
pub(crate) mod lenient;
mod place;
mod reader;
#[cfg(feature = "s3")]
mod s3;
mod served;
mod taken;

pub(crate) use folder::FolderPlace;
pub(crate) use reader::{Found, Reader};
#[cfg(feature = "s3")]
pub(crate) use s3::S3Place;
pub(crate) use served::{Served, shown};

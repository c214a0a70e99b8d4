//! A store in memory: the disk that outlives every host, and the host's way to it.

mod disk;
mod host;

pub use disk::{Disk, Observer};
pub use host::HostStore;

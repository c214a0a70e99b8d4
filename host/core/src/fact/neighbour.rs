//! How the host's other services fare.

use serde::{Deserialize, Serialize};

use crate::name::ServiceName;
use crate::time::UnixMillis;

/// How a service fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fares {
    /// It is watched, nothing fires and no incident is open.
    Well,
    /// An alert fires, or an incident of harm is open.
    Harmed,
    /// Nobody can tell.
    Unknown,
}

/// Another service of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its name.
    pub service: ServiceName,
    /// Its environment.
    pub environment: String,
    /// How it fares now.
    pub fares: Fares,
    /// Since when it is harmed, as far as known.
    pub harmed_since: Option<UnixMillis>,
}

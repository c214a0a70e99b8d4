//! What the suites share that run the real program: the program itself, a host that serves, model servers, alerts.

#![allow(dead_code, reason = "each suite uses its own part")]

pub(crate) mod alerts;
pub(crate) mod compiled;
#[cfg(target_os = "linux")]
pub(crate) mod disk;
pub(crate) mod fraud;
pub(crate) mod host;
pub(crate) mod kept;
pub(crate) mod pair;
pub(crate) mod programs;
pub(crate) mod prometheus;
pub(crate) mod run;

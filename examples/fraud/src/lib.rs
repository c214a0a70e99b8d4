//! A fraud model with everything around it: its training, its server, its traffic and its alert rule.
//!
//! This is the service that Ripcord's demo protects. It stands for somebody else's system, so it shares no code with Ripcord and is
//! reached only as such a system is: through its files, its HTTP interface, its metrics, its request log and its alerts.
//!
//! - [`train`] fits the versions `1.2.0`, `1.3.2` and the poisoned `1.4.0` and writes a registry, a golden set and a model folder;
//!   [`train::online`] goes on learning and keeps checkpoints, [`train::retrain`] learns from [`data`] with rows left out.
//! - [`serve`] answers the Open Inference Protocol from that model folder, under a [`decision`] configuration, or by fixed [`rules`].
//! - [`traffic`] plays customers, and the review team that later says which transactions were fraud.
//! - [`watch`] is the team's alert rule for a set-up without Prometheus.

// The project's bans on the clock and on plain file access are for the host; this crate is the world outside it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod client;
mod command;
pub mod data;
pub mod decision;
mod error;
mod files;
pub mod golden;
mod hex;
pub mod model;
pub mod protocol;
pub mod rules;
pub mod serve;
pub mod traffic;
pub mod train;
pub mod transaction;
pub mod watch;

pub use command::Command;
pub use error::Error;

/// The name of the model, in the registry, in the model folder and in every answer.
pub const MODEL: &str = "fraud";

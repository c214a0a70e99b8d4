//! The binary: configuration, HTTP, command line, demo, wiring.

pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod descriptors;
pub mod http;
pub mod key;
pub mod output;
pub mod policy;
pub mod starters;
pub mod telemetry;
pub mod wiring;

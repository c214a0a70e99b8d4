//! The binary: configuration, HTTP, command line, demo, wiring.

// What others wrote must not reach a terminal raw: `output` alone prints.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod client;
pub mod commands;
mod component;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod descriptors;
pub mod http;
pub mod key;
pub mod output;
pub mod policy;
pub mod signers;
pub mod starters;
pub mod telemetry;
pub mod wiring;

//! The binary: configuration, HTTP, command line, demo, wiring.

pub mod commands;
pub mod config;
pub mod http;
pub mod starters;
pub mod telemetry;
pub mod wiring;
